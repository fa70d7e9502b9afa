/* Which deliveries of a channel can be acknowledged, and by how few methods: one ack for the settled prefix, one each for what
 * is settled behind a message that is held. Delivery tags come from 1, one more each. Pure.
 *
 *   base ─▼
 *   … gone │ open  settled  open  settled  settled │ next
 *
 * A message that is held for long leaves the bitmap for a small set, so that what comes after costs no memory; while that set
 * is not empty nothing can be acknowledged together, because that would include it. */
#pragma once

#include "base/map.h"

struct acks {
    uint8_t *states; /* a ring over [base, next) */
    size_t mask;
    uint64_t base, next;
    uint64_t *behind; /* settled, not in the prefix, not yet told */
    size_t behind_count, behind_cap;
    struct map64 held;  /* open tags below base */
    uint64_t unsettled; /* settled, not yet told */
    uint64_t open;
};

void rabbit_acks_init(struct acks *a);
void rabbit_acks_free(struct acks *a);
void rabbit_acks_reset(struct acks *a); /* a new channel */
/* The next delivery. False: this is not the tag that comes next. */
bool rabbit_acks_deliver(struct acks *a, uint64_t tag);
bool rabbit_acks_settle(struct acks *a, uint64_t tag); /* false: it is not open */
/* It goes back by a nack of its own. False: it is not open. */
bool rabbit_acks_release(struct acks *a, uint64_t tag);
/* Tells what to acknowledge: the settled prefix, and behind an open one only what is below `behind_below` (0: nothing), lowest
 * tag first. Everything else waits, because it may yet become part of the prefix. The broker looks for a single tag from its
 * oldest unacknowledged one on, so that single acks ahead of thousands of open tags cost it seconds. */
void rabbit_acks_plan(struct acks *a, uint64_t behind_below, void (*ack)(void *arg, uint64_t tag, bool multiple),
                      void *arg);
