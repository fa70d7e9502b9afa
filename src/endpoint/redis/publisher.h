/* What the Redis sinks share: a queue of deliveries, runs of them written to a link, answers turned into verdicts.
 *
 *   send ─▶ queue ─▶ run ─▶ link │ server │ reply ─▶ verdicts, in the order of the queue
 *
 * How a run is written depends on the route's order and on the name:
 *
 *   no order                        each its own command, pipelined; an element list, when the command takes many, as one
 *   ordered, a constant name        MULTI … EXEC: whatever refuses one of them refuses all, for all do the same to one key
 *   ordered, a name from a template a script that stops at the first error; PUBLISH too, since inside of MULTI a server
 *                                   that is out of memory refuses also what needs none
 *
 * On ordered routes one run is under way at a time, so that no later run can succeed where an earlier one was refused; the
 * next is ready when its answer comes. The transaction was chosen over the script where both would do because it costs the
 * server 1.7 to 1.9 us a message of 256 bytes, as much as plain pipelining, against 2.3 to 2.9 us. */
#pragma once

#include "endpoint/redis/entry.h"
#include "endpoint/redis/link.h"
#include "endpoint/redis/settings.h"
#include "message/template.h"
#include "runtime/backoff.h"

struct publisher;

/* What one kind of sink writes. */
struct publish_ops {
    const char *command; /* "XADD" */
    bool variadic;       /* the command takes many messages of one value each: RPUSH */
    bool receivers;      /* its reply counts receivers, and its name is no key: PUBLISH */
    void (*measure)(struct publisher *p, const struct message *m, struct entry_shape *shape);
    uint8_t *(*put)(struct publisher *p, const struct message *m, const struct entry_shape *shape, uint8_t *at);
};

/* For kinds whose element is the payload and nothing else. */
void publish_payload_measure(struct publisher *p, const struct message *m, struct entry_shape *shape);
uint8_t *publish_payload_put(struct publisher *p, const struct message *m, const struct entry_shape *shape,
                             uint8_t *at);

enum publish_mode { PUBLISH_EACH, PUBLISH_VARIADIC, PUBLISH_TRANSACTION, PUBLISH_SCRIPT };

struct publish_slot {
    struct message *message; /* the route's reference */
    void *tag;
    char *refused; /* why it is not sent at all, owned; NULL: nothing is wrong with it */
    size_t size;
};

struct verdict_list {
    struct verdict *items;
    size_t count, cap;
    char **reasons; /* owned; the verdicts point to them */
    size_t reason_count, reason_cap;
};

/* Embed it first: the sink is freed through it. */
struct publisher {
    struct sink sink;
    const struct publish_ops *ops;
    enum publish_mode mode;
    struct loop *loop;
    struct transport_lane *lane;
    const struct redis_connection *connection;
    struct link_user user;
    const struct template *name;
    struct buf head; /* the words before the values, encoded: command, and name where constant, and fixed ones */
    struct buf tail; /* the fixed words behind a templated name */
    uint32_t fixed;  /* how many words head, name and tail are */
    struct buf script;
    char sha[41];

    struct publish_slot *slots; /* a ring: head … sent are with the server, … tail wait */
    size_t slot_mask, slot_head, slot_sent, slot_tail;
    uint64_t queued_bytes;

    /* The run under way on ordered routes. */
    size_t run;           /* messages; 0: none */
    uint32_t run_replies; /* that came */
    struct buf run_error; /* the first error of the transaction's commands */

    struct buf names, values, scratch, types;
    struct verdict_list verdicts, told;
    struct task pump, tell;
    struct task stopped;
    struct timer hold; /* armed: the server takes nothing now */
    struct backoff backoff;
    bool probing; /* after a hold: one message, until one is taken */
    bool narrow;  /* the route was told of a small window, or filled it */
    bool started;
};

/* fixed: the words between the name and the values, up to NULL. name, settings and env outlive the publisher. */
void publisher_init(struct publisher *p, const struct publish_ops *ops, const struct template *name,
                    const char *const *fixed, const struct environment *env, const struct sink_host *host, void *ctx);

/* Largest payload, key or header that a server takes. */
#define PUBLISH_WORD_MAX ((size_t)512 << 20)
