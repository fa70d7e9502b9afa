/* Sharing out of the daemon's limits. */
#include "route/budget.h"

void budget_pool_init(struct budget_pool *p, int64_t limit)
{
    atomic_init(&p->available, limit - limit / 2);
}

int64_t budget_guarantee(int64_t limit, unsigned instances)
{
    int64_t share = limit / 2 / (instances ? instances : 1);
    return share > 0 ? share : 1;
}

static int64_t borrow(struct budget_pool *p, int64_t want)
{
    int64_t available = atomic_load_explicit(&p->available, memory_order_relaxed);
    while (available > 0) {
        int64_t got = want < available ? want : available;
        if (atomic_compare_exchange_weak_explicit(&p->available, &available, available - got, memory_order_relaxed,
                                                  memory_order_relaxed))
            return got;
    }
    return 0;
}

int64_t budget_take(struct budget *b, int64_t want)
{
    if (want <= 0)
        return 0;
    int64_t own = b->guarantee - (b->used - b->borrowed);
    int64_t got = own <= 0 ? 0 : own < want ? own : want;
    if (got < want) {
        int64_t borrowed = borrow(b->pool, want - got);
        b->borrowed += borrowed;
        got += borrowed;
    }
    b->used += got;
    return got;
}

void budget_force(struct budget *b, int64_t want)
{
    int64_t short_of = want - budget_take(b, want);
    if (short_of > 0) {
        atomic_fetch_sub_explicit(&b->pool->available, short_of, memory_order_relaxed);
        b->borrowed += short_of;
        b->used += short_of;
    }
}

void budget_give(struct budget *b, int64_t amount)
{
    int64_t back = amount < b->borrowed ? amount : b->borrowed;
    b->used -= amount;
    if (back > 0) {
        b->borrowed -= back;
        atomic_fetch_add_explicit(&b->pool->available, back, memory_order_relaxed);
    }
}
