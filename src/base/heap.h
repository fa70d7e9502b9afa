/* An intrusive binary heap, smallest key first. Equal keys come in no order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    size_t index; /* 1-based place in the heap; 0 when in none */
};
struct heap {
    struct heap_node **nodes;
    size_t count, cap;
};
void heap_free(struct heap *h); /* the heap, not the nodes */
void heap_insert(struct heap *h, struct heap_node *n, int64_t key);
void heap_remove(struct heap *h, struct heap_node *n);           /* nothing when it is in none */
static inline struct heap_node *heap_first(const struct heap *h) /* NULL when empty */
{
    return h->count ? h->nodes[0] : NULL;
}
