/* Exponential backoff with full jitter. */
#include "runtime/backoff.h"

#include "base/clock.h"
#include "base/random.h"

enum { MAX_SHIFT = 40 };

int64_t backoff_next(struct backoff *b)
{
    unsigned shift = b->attempt < MAX_SHIFT ? b->attempt : MAX_SHIFT;
    int64_t limit = b->base_us > b->cap_us >> shift ? b->cap_us : b->base_us << shift;
    int64_t floor = b->base_us / 10 > MSEC ? b->base_us / 10 : MSEC;
    int64_t wait = (int64_t)random_below((uint64_t)limit + 1);
    b->attempt++;
    return wait < floor ? floor : wait;
}
