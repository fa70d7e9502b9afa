/* One of a route instance's two limits (messages, bytes): what its source was granted and has not used, what is held in
 * memory, and the budget that both are taken from. One lane. */
#pragma once

#include "route/budget.h"

#include <stdbool.h>

struct allowance {
    struct budget budget;
    int64_t granted; /* below zero when the source brought more than it was granted */
    int64_t held;    /* by messages in memory */
    int64_t freed;   /* since the last turn: given back at once then */
};

/* What was granted becomes held; what came beyond the grant is taken by force. */
void allowance_use(struct allowance *a, int64_t amount);
static inline void allowance_free(struct allowance *a, int64_t amount)
{
    a->held -= amount;
    a->freed += amount;
}
/* Gives back to the budget what was freed: once a turn, not once a message. */
void allowance_give(struct allowance *a);
/* How much to grant now, so that `most` are outstanding; nothing while half of it is. lacking is set when the bound was
 * reached. */
int64_t allowance_top_up(struct allowance *a, int64_t most, bool *lacking);
