/* A stream source in parts: stream_source.c lives its life, stream_read.c reads, stream_ack.c acknowledges, stream_claim.c takes over what others left and
 * fetches again what was released. Between these alone. */
#pragma once

#include "endpoint/redis/entry.h"
#include "endpoint/redis/link.h"
#include "endpoint/redis/refusal.h"
#include "runtime/backoff.h"

struct stream_settings {
    char *stream, *group, *start, *field;
    int64_t count;      /* entries a read, at most */
    int64_t block;      /* us */
    int64_t claim_idle; /* us; 0: never */
};

struct id_list {
    struct entry_id *items;
    size_t count, cap;
};
void id_list_add(struct id_list *l, struct entry_id id);
void id_list_drop(struct id_list *l, size_t n); /* the first n */

/* Where reading stands; HISTORY is what this member was given before and never told of. */
enum stream_phase { STREAM_SETUP, STREAM_HISTORY, STREAM_LIVE };

struct stream_source {
    struct source source;
    const struct stream_settings *settings;
    const char *member;
    struct loop *loop;
    struct transport_lane *lane;
    const struct redis_connection *connection;
    struct link_user reader; /* its own link: reads block */
    struct link_user control;
    struct origin origin;
    struct entry_names names;
    bool started, paused, draining, stopping;

    /* Reading. Every entry pending for this member with an ID up to high was handed over, so that after a lost connection
     * only what is behind it need be read again. */
    enum stream_phase phase;
    bool group_lost; /* it is made from 0, not from start: */
    bool reading;    /* a read or the making of the group is under way */
    bool again;      /* the server refused, a retry is due */
    struct entry_id high;
    int64_t credit_messages, credit_bytes;
    uint64_t mean; /* bytes of an entry, running; 0: not known */
    uint32_t generation;
    struct timer retry;  /* after a refusal */
    struct timer linger; /* until a small credit is worth a read */
    struct backoff backoff, probe;

    /* Acknowledging. */
    struct id_list acks;     /* to be sent */
    struct id_list unacked;  /* sent, in order, not answered */
    size_t ack_batches[256]; /* how many of unacked each command under way has; a ring */
    unsigned ack_first, ack_count;
    struct task flush_acks, stopped;
    struct timer ack_retry, grace;
    struct backoff ack_backoff;

    /* Claiming and fetching again. */
    struct timer alive;
    struct id_list again_ids; /* released: ours and pending, to be fetched */
    struct id_list asked;     /* asked for by the XCLAIM under way */
    struct id_list doubtful;  /* asked for when the connection was lost: ours or not */
    size_t doubts;            /* questions under way */
    bool claiming;            /* from XINFO to XCLAIM */
    bool asked_own;           /* asked are ours already */
};

/* May more be brought now? */
static inline bool stream_may_read(const struct stream_source *s)
{
    return s->started && !s->paused && !s->draining && s->credit_messages > 0 && s->credit_bytes > 0;
}
/* stream_source.c */
void stream_set_status(struct stream_source *s, enum endpoint_state state, const char *reason);
/* An error of any command of the source: state and retry. */
void stream_refused(struct stream_source *s, struct bytes error);
void stream_served(struct stream_source *s); /* the server answered: it serves */

/* stream_read.c */
/* How many entries the credit and a reply's size allow, at least 1, at most limit. */
size_t stream_count(const struct stream_source *s, size_t limit);
/* Hands over the entries of an array node (of [id, fields]); the number of entries, deleted ones included. *last: the last
 * entry's ID. -1: the reply is none. */
int64_t stream_take(struct stream_source *s, const struct reply *r, uint32_t list, uint16_t flags,
                    struct entry_id *last);
/* Reads if it may and none is under way. */
void stream_read(struct stream_source *s);
void stream_on_linger(void *arg);

/* stream_ack.c */
void ack_init(struct stream_source *s);
void ack_add(struct stream_source *s, struct entry_id id); /* sent at the end of the pass */
void ack_up(struct stream_source *s);                      /* the control link is up */
void ack_forget(struct stream_source *s);                  /* the group is gone */
bool ack_idle(const struct stream_source *s);              /* nothing to send or to be answered */
void ack_free(struct stream_source *s);
void stream_finish_stop(struct stream_source *s); /* called when acks are idle while stopping */

/* stream_claim.c */
void claim_init(struct stream_source *s);
void claim_start(struct stream_source *s);
void claim_up(struct stream_source *s); /* the control link is up */
void claim_release(struct stream_source *s, struct entry_id id);
void claim_now(struct stream_source *s); /* the history is read: look for what others left */
void claim_fetch(struct stream_source *s);
void claim_forget(struct stream_source *s); /* the group is gone */
void claim_stop(struct stream_source *s);
void claim_free(struct stream_source *s);
