/* The binary heap: nodes[i]'s children are at 2i + 1 and 2i + 2; a node knows its own place, so that it can be removed. */
#include "base/heap.h"

#include "base/mem.h"

enum { FIRST_CAP = 16 };

static void place(struct heap *h, size_t at, struct heap_node *n)
{
    h->nodes[at] = n;
    n->index = at + 1;
}

static void sift_up(struct heap *h, size_t at, struct heap_node *n)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (h->nodes[parent]->key <= n->key)
            break;
        place(h, at, h->nodes[parent]);
        at = parent;
    }
    place(h, at, n);
}

static void sift_down(struct heap *h, size_t at, struct heap_node *n)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->nodes[child + 1]->key < h->nodes[child]->key)
            child++;
        if (n->key <= h->nodes[child]->key)
            break;
        place(h, at, h->nodes[child]);
        at = child;
    }
    place(h, at, n);
}

void heap_free(struct heap *h)
{
    free(h->nodes);
    *h = (struct heap){ 0 };
}

void heap_insert(struct heap *h, struct heap_node *n, int64_t key)
{
    if (h->count == h->cap) {
        h->cap = h->cap ? h->cap * 2 : FIRST_CAP;
        h->nodes = mem_resize_array(h->nodes, h->cap, sizeof(struct heap_node *));
    }
    n->key = key;
    sift_up(h, h->count++, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    if (!n->index)
        return;
    size_t at = n->index - 1;
    struct heap_node *last = h->nodes[--h->count];
    n->index = 0;
    if (last == n)
        return;
    /* The last node takes the hole; only one of the two directions moves it. */
    if (at > 0 && last->key < h->nodes[(at - 1) / 2]->key)
        sift_up(h, at, last);
    else
        sift_down(h, at, last);
}
