/* Where the ring grows and ends; the rest is inline. */
#include "base/ring.h"

#include "base/mem.h"

#include <string.h>

enum { FIRST_SLOTS = 16 };

void ring_free(struct ring *r)
{
    free(r->slots);
    *r = (struct ring){ 0 };
}

/* Unrolls the content to the front of twice the room. */
void ring_grow(struct ring *r)
{
    size_t old_slots = r->slots ? r->mask + 1 : 0;
    size_t len = ring_len(r);
    size_t new_slots = old_slots ? old_slots * 2 : FIRST_SLOTS;
    void **slots = mem_array(new_slots, sizeof(*slots));
    if (r->slots) {
        size_t start = r->head & r->mask;
        size_t to_end = old_slots - start < len ? old_slots - start : len;
        memcpy(slots, r->slots + start, to_end * sizeof(*slots));
        memcpy(slots + to_end, r->slots, (len - to_end) * sizeof(*slots));
    }
    free(r->slots);
    *r = (struct ring){ .slots = slots, .mask = new_slots - 1, .head = 0, .tail = len };
}
