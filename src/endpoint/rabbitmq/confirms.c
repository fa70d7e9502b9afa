/* A ring of publishes, by number. */
#include "endpoint/rabbitmq/confirms.h"

#include "base/mem.h"

#include <string.h>

enum { FIRST_SIZE = 256 };

void rabbit_confirms_init(struct confirms *c)
{
    *c = (struct confirms){
        .slots = mem_array(FIRST_SIZE, sizeof(struct publish)), .mask = FIRST_SIZE - 1, .head = 1, .tail = 1
    };
}

void rabbit_confirms_free(struct confirms *c)
{
    free(c->slots);
    c->slots = NULL;
}

static struct publish *at(const struct confirms *c, uint64_t number)
{
    return &c->slots[number & c->mask];
}

static void grow(struct confirms *c)
{
    struct confirms larger = *c;
    larger.mask = c->mask * 2 + 1;
    larger.slots = mem_array(larger.mask + 1, sizeof(struct publish));
    for (uint64_t n = c->head; n < c->tail; n++)
        *at(&larger, n) = *at(c, n);
    free(c->slots);
    *c = larger;
}

struct publish *rabbit_confirms_push(struct confirms *c, uint32_t bytes)
{
    if (c->tail - c->head > c->mask)
        grow(c);
    struct publish *p = at(c, c->tail++);
    memset(p, 0, sizeof *p);
    p->bytes = bytes;
    c->bytes += bytes;
    c->open++;
    return p;
}

struct publish *rabbit_confirms_get(struct confirms *c, uint64_t number)
{
    if (number < c->head || number >= c->tail || at(c, number)->done)
        return NULL;
    return at(c, number);
}

static void settle_one(struct confirms *c, struct publish *p, void (*visit)(void *arg, struct publish *p), void *arg)
{
    if (p->done)
        return;
    p->done = true;
    c->bytes -= p->bytes;
    c->open--;
    visit(arg, p);
}

bool rabbit_confirms_settle(struct confirms *c, uint64_t number, bool multiple,
                            void (*visit)(void *arg, struct publish *p), void *arg)
{
    if (multiple && number == 0)
        number = c->tail - 1;
    if (number >= c->tail || number == 0)
        return false;
    if (multiple)
        for (uint64_t n = c->head; n <= number; n++)
            settle_one(c, at(c, n), visit, arg);
    else if (number >= c->head)
        settle_one(c, at(c, number), visit, arg);
    while (c->head < c->tail && at(c, c->head)->done)
        c->head++;
    return true;
}

void rabbit_confirms_reset(struct confirms *c, void (*visit)(void *arg, struct publish *p), void *arg)
{
    for (uint64_t n = c->head; n < c->tail; n++)
        settle_one(c, at(c, n), visit, arg);
    c->head = c->tail = 1;
}
