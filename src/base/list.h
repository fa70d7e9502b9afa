/* Intrusive doubly linked list. A node that is on no list points to itself after list_init or list_remove. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_insert_before(struct list *at, struct list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}
static inline void list_push_back(struct list *l, struct list *node)
{
    list_insert_before(l, node);
}
static inline void list_push_front(struct list *l, struct list *node)
{
    list_insert_before(l->next, node);
}
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
static inline struct list *list_pop_front(struct list *l) /* NULL when empty */
{
    struct list *node = l->next;
    if (node == l)
        return NULL;
    /* Written out rather than list_remove(): so the analyser, too, sees that l no longer leads to node. */
    l->next = node->next;
    l->next->prev = l;
    list_init(node);
    return node;
}
static inline void list_move(struct list *to,
                             struct list *from) /* all of from, which is empty after; to is overwritten */
{
    list_insert_before(from, to);
    list_remove(from);
}
#define LIST_ENTRY(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))
/* The body may remove the node it is at. */
#define LIST_EACH(l, node)                                                      \
    for (struct list *node = (l)->next, *node##_next = node->next; node != (l); \
         node = node##_next, node##_next = node->next)
