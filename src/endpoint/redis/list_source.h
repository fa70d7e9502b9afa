/* A list source in parts: list_source.c lives its life, list_lease.c holds the lease, list_read.c reads and trims. Between
 * these alone. */
#pragma once

#include "endpoint/redis/link.h"
#include "endpoint/redis/list_script.h"
#include "endpoint/redis/refusal.h"
#include "endpoint/watermark.h"
#include "runtime/backoff.h"

enum { LIST_LEFT, LIST_RIGHT };

/* An empty list is asked again after so long, at first. */
#define LIST_POLL_FIRST_US MSEC

struct list_settings {
    char *list;
    int side;
    int64_t count;
    int64_t poll;  /* us */
    int64_t lease; /* us */
};

enum list_phase { CLOSED, ACQUIRE, REPLAY, LIVE };

struct positions {
    uint64_t *items;
    size_t count, cap;
};

struct list_source {
    struct source source;
    const struct list_settings *settings;
    struct loop *loop;
    struct transport_lane *lane;
    const struct redis_connection *connection;
    struct link_user user;
    struct origin origin;
    struct list_keys keys;
    struct watermark *mark;
    uint64_t share_unsettled;
    bool paused, draining, stopping, stop_told;
    enum list_phase phase;
    bool taken_once;            /* the lease was ours: from now on it is not taken by force */
    bool asking;                /* acquiring, or a read under way */
    uint64_t next;              /* position of the next element to hand over */
    uint64_t total;             /* up to here elements are known to be pending */
    uint64_t trimmed, trimming; /* up to where; trimming > trimmed: a trim is under way */
    uint32_t generation;
    int64_t credit_messages, credit_bytes;
    uint64_t mean;
    int64_t wait_us; /* until an empty list is asked again */
    struct positions released, fetching;
    struct timer again, renew, grace;
    struct task flush, stopped;
    struct backoff backoff, probe;
};

static inline bool list_is_up(const struct list_source *s)
{
    return s->user.link && link_is_up(s->user.link);
}

/* list_source.c */
void list_call(struct list_source *s, enum list_script which, const struct bytes *args, size_t n, reply_fn on_reply);
void list_set_status(struct list_source *s, enum endpoint_state state, const char *reason);
void list_note(struct list_source *s);   /* status.unsettled */
void list_served(struct list_source *s); /* the server answered: it serves */
/* An error of any script: state and retry. */
void list_refused(struct list_source *s, struct bytes error);
/* True when the reply is no answer; what follows from that is done. */
bool list_failed(struct list_source *s, const struct reply *r);
void list_finish_stop(struct list_source *s);

/* list_lease.c */
void list_acquire(struct list_source *s);
/* Everything handed over is pending at the broker for whoever has the lease now: a new generation. */
void list_lose_lease(struct list_source *s);
void list_on_renew(void *arg);

/* list_read.c */
void list_positions_add(struct positions *p, uint64_t position);
void list_read_more(struct list_source *s); /* if it may, and nothing is under way */
void list_on_again(void *arg);
void list_on_flush(void *arg); /* trims what is settled */
bool list_all_trimmed(const struct list_source *s);
