/* A growable first-in first-out queue of pointers: amortised constant time, memory given back only by ring_free. */
#pragma once

#include <stddef.h>

struct ring {
    void **slots;
    size_t mask; /* capacity - 1, a power of two */
    size_t head; /* next to pop, free-running */
    size_t tail;
};

void ring_free(struct ring *r);
void ring_grow(struct ring *r);
static inline size_t ring_len(const struct ring *r)
{
    return r->tail - r->head;
}
static inline void ring_push(struct ring *r, void *p)
{
    if (!r->slots || r->tail - r->head > r->mask)
        ring_grow(r);
    r->slots[r->tail++ & r->mask] = p;
}
static inline void *ring_peek(const struct ring *r) /* NULL when empty */
{
    return r->tail == r->head ? NULL : r->slots[r->head & r->mask];
}
static inline void *ring_pop(struct ring *r) /* NULL when empty */
{
    return r->tail == r->head ? NULL : r->slots[r->head++ & r->mask];
}
