/* The daemon's limits, shared out: half of each limit is split equally among the route instances as guarantees, the other
 * half goes to whoever asks. What one instance borrowed it gives back first. The common half is atomic and touched once a
 * batch; the rest belongs to the instance's lane. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* The common half of one limit; may be below zero for a moment after a source overshot. Any thread. */
struct budget_pool {
    _Atomic int64_t available;
};

struct budget {
    struct budget_pool *pool;
    int64_t guarantee, used, borrowed; /* borrowed is part of used */
};

void budget_pool_init(struct budget_pool *p, int64_t limit);
/* What each of n instances is guaranteed of a limit: at least 1. */
int64_t budget_guarantee(int64_t limit, unsigned instances);

/* Takes up to want; returns what was had. */
int64_t budget_take(struct budget *b, int64_t want);
/* Takes all of want, beyond the bounds if it must. */
void budget_force(struct budget *b, int64_t want);
void budget_give(struct budget *b, int64_t amount);
