/* Keeps what cannot be sent now, by order key: see parking.h. */
#include "route/parking.h"

#include "base/mem.h"

void parking_init(struct parking *p)
{
    *p = (struct parking){ .holds = pool_new(sizeof(struct hold)), .branches = pool_new(sizeof(struct branch)) };
    list_init(&p->going);
    list_init(&p->refused);
    list_init(&p->fault);
}

void parking_clear(struct parking *p)
{
    map64_free(&p->by_key);
    heap_free(&p->by_due);
    pool_free(p->holds);
    pool_free(p->branches);
    p->holds = p->branches = NULL;
    p->count = 0;
}

struct hold *parking_open(struct parking *p, uint64_t order)
{
    struct hold *h = pool_get(p->holds);
    *h = (struct hold){ .order = order, .state = HOLD_GATE };
    list_init(&h->branches);
    list_init(&h->node);
    if (order)
        map64_put(&p->by_key, order, h);
    return h;
}

static uint64_t ticket_at(const struct list *node)
{
    return LIST_ENTRY(node, struct branch, node)->root->ticket;
}

/* Where a ticket belongs: before which node. Most come last; those that come back come in runs, next to each other. */
static struct list *place(struct hold *h, uint64_t ticket)
{
    struct list *end = &h->branches, *at = end->next;
    if (end->prev == end || ticket_at(end->prev) < ticket)
        return end;
    if (h->added && h->added->root->ticket < ticket)
        at = h->added->node.next;
    while (at != end && ticket_at(at) < ticket)
        at = at->next;
    return at;
}

void parking_add(struct parking *p, struct hold *h, struct root *r)
{
    struct branch *b = pool_get(p->branches);
    b->root = r;
    list_insert_before(place(h, r->ticket), &b->node);
    h->added = b;
    p->count++;
    if (h->state != HOLD_GATE)
        message_own(r->message);
}

struct root *parking_take(struct parking *p, struct hold *h)
{
    if (list_empty(&h->branches))
        return NULL;
    struct branch *b = LIST_ENTRY(h->branches.next, struct branch, node);
    struct root *r = b->root;
    parking_remove(p, h, b);
    return r;
}

void parking_remove(struct parking *p, struct hold *h, struct branch *b)
{
    if (h->added == b)
        h->added = NULL;
    list_remove(&b->node);
    pool_put(p->branches, b);
    p->count--;
}

static void own_all(struct hold *h)
{
    LIST_EACH(&h->branches, node) {
        message_own(LIST_ENTRY(node, struct branch, node)->root->message);
    }
}

void parking_move(struct parking *p, struct hold *h, enum hold_state state, int64_t due)
{
    if (h->state == HOLD_TIMED && state == HOLD_TIMED && h->due.index && h->due.key <= due)
        return;
    heap_remove(&p->by_due, &h->due);
    list_remove(&h->node);
    if (h->state == HOLD_GATE && state != HOLD_GATE)
        own_all(h);
    h->state = state;
    switch (state) {
    case HOLD_GATE:
        break;
    case HOLD_GOING:
        list_push_back(&p->going, &h->node);
        break;
    case HOLD_TIMED:
        heap_insert(&p->by_due, &h->due, due);
        break;
    case HOLD_REFUSED:
        list_push_back(&p->refused, &h->node);
        break;
    case HOLD_FAULT:
        list_push_back(&p->fault, &h->node);
        break;
    }
}

void parking_close(struct parking *p, struct hold *h)
{
    heap_remove(&p->by_due, &h->due);
    list_remove(&h->node);
    if (h->order)
        map64_remove(&p->by_key, h->order);
    pool_put(p->holds, h);
}

struct hold *parking_oldest_fault(const struct parking *p)
{
    struct hold *oldest = NULL;
    uint64_t ticket = UINT64_MAX;
    LIST_EACH(&p->fault, node) {
        struct hold *h = LIST_ENTRY(node, struct hold, node);
        if (list_empty(&h->branches))
            continue;
        struct root *first = LIST_ENTRY(h->branches.next, struct branch, node)->root;
        if (first->ticket < ticket) {
            ticket = first->ticket;
            oldest = h;
        }
    }
    return oldest;
}
