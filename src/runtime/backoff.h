/* Full-jitter exponential backoff: random(0, min(cap, base * 2^n)), but at least a tenth of base and 1 ms (so that a retry
 * is never a busy loop). Pure but for the random number. */
#pragma once

#include <stdint.h>

struct backoff {
    int64_t base_us, cap_us;
    unsigned attempt;
};

#define BACKOFF_RECONNECT ((struct backoff){ .base_us = 100000, .cap_us = 2000000 })  /* every reconnect, and "again" */
#define BACKOFF_PROBE     ((struct backoff){ .base_us = 500000, .cap_us = 10000000 }) /* a route at fault */

int64_t backoff_next(struct backoff *b); /* microseconds to wait; counts the attempt */
static inline void backoff_reset(struct backoff *b)
{
    b->attempt = 0;
}
