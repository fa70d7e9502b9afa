/* Parking: what a sink of a route cannot be sent now, by order key.
 *
 *          ┌──────────── hold (one an order key) ────────────┐
 *   heap ──┤ due │ state │ branches, lowest ticket first      │
 *          └──────────────────────────────────────────────────┘
 *
 * One index serves waiting behind an unconfirmed message of the same key (sinks that cannot keep order on failure), held
 * again, retried, unknown, refused and at fault. While a key has a hold, every later message of the key joins it, so
 * nothing overtakes. Messages without a key get a hold each. A hold in trouble owns its messages' bytes: a few held
 * back must not pin their source's read buffers. */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/pool.h"
#include "route/root.h"

enum hold_state {
    HOLD_GATE,    /* nothing is wrong: one of the key is under way, the branches wait for its verdict */
    HOLD_GOING,   /* may be sent, before anything else: on the list of those */
    HOLD_TIMED,   /* in the heap until due */
    HOLD_REFUSED, /* until the operator resumes the route */
    HOLD_FAULT,   /* until the sink's fault is mended */
};

struct branch {
    struct list node;
    struct root *root;
};

struct hold {
    struct heap_node due; /* first, for the downcast; key: monotonic microseconds */
    uint64_t order;       /* 0: not in the map */
    enum hold_state state;
    bool under_way;       /* one of the key is with the sink; only kept where one at a time may be */
    struct list branches; /* by ticket */
    struct branch *added; /* the last one added, a hint for the next; NULL when it has gone */
    struct list node;     /* on the parking's list of its state */
};

struct parking {
    struct map64 by_key;
    struct heap by_due;
    struct list going, refused, fault;
    struct pool *holds, *branches;
    size_t count; /* branches parked */
};

void parking_init(struct parking *p);
void parking_clear(struct parking *p); /* frees everything but the roots */

/* The hold of a key, NULL when it has none (always for 0). */
static inline struct hold *parking_find(const struct parking *p, uint64_t order)
{
    return p->by_key.count && order ? map64_get(&p->by_key, order) : NULL;
}
/* A hold without branches, in state HOLD_GATE. */
struct hold *parking_open(struct parking *p, uint64_t order);
/* Adds a root by its ticket. */
void parking_add(struct parking *p, struct hold *h, struct root *r);
/* The first root, taken out; NULL when there is none. */
struct root *parking_take(struct parking *p, struct hold *h);
/* Takes one branch out; its root is the caller's. */
void parking_remove(struct parking *p, struct hold *h, struct branch *b);
/* Moves between states; due is for HOLD_TIMED. A timed hold keeps its earlier due. Messages are copied out on leaving GATE. */
void parking_move(struct parking *p, struct hold *h, enum hold_state state, int64_t due);
/* The hold, which must have no branches, is gone. */
void parking_close(struct parking *p, struct hold *h);
/* The timed hold that is due first, NULL when there is none. */
static inline struct hold *parking_first(const struct parking *p)
{
    return (struct hold *)heap_first(&p->by_due);
}
/* The hold at fault whose first branch has the lowest ticket; NULL when there is none. */
struct hold *parking_oldest_fault(const struct parking *p);
