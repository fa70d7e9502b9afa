/* The acknowledgement planner. */
#include "endpoint/rabbitmq/acks.h"

#include "base/mem.h"

enum { FIRST_SIZE = 1024, SPAN_MAX = 128 * 1024 };
enum { TAG_OPEN, TAG_SETTLED, TAG_GONE };

void rabbit_acks_init(struct acks *a)
{
    *a = (struct acks){ .states = mem_array(FIRST_SIZE, 1), .mask = FIRST_SIZE - 1, .base = 1, .next = 1 };
}

void rabbit_acks_free(struct acks *a)
{
    free(a->states);
    free(a->behind);
    map64_free(&a->held);
    a->states = NULL;
    a->behind = NULL;
}

void rabbit_acks_reset(struct acks *a)
{
    rabbit_acks_free(a);
    rabbit_acks_init(a);
}

static uint8_t *state_of(const struct acks *a, uint64_t tag)
{
    return &a->states[tag & a->mask];
}

static void grow(struct acks *a)
{
    struct acks larger = *a;
    larger.mask = a->mask * 2 + 1;
    larger.states = mem_array(larger.mask + 1, 1);
    for (uint64_t tag = a->base; tag < a->next; tag++)
        *state_of(&larger, tag) = *state_of(a, tag);
    free(a->states);
    *a = larger;
}

/* Moves what is still open at the beginning out of the ring, up to the next that is not. */
static void set_aside(struct acks *a)
{
    while (a->base < a->next && *state_of(a, a->base) == TAG_OPEN)
        map64_put(&a->held, a->base++, a);
    while (a->base < a->next && *state_of(a, a->base) == TAG_GONE)
        a->base++;
}

bool rabbit_acks_deliver(struct acks *a, uint64_t tag)
{
    if (tag != a->next)
        return false;
    if (a->next - a->base >= SPAN_MAX)
        set_aside(a);
    if (a->next - a->base > a->mask)
        grow(a);
    *state_of(a, a->next++) = TAG_OPEN;
    a->open++;
    return true;
}

static void push_behind(struct acks *a, uint64_t tag)
{
    if (a->behind_count == a->behind_cap) {
        a->behind_cap = a->behind_cap ? a->behind_cap * 2 : 256;
        a->behind = mem_resize_array(a->behind, a->behind_cap, sizeof *a->behind);
    }
    a->behind[a->behind_count++] = tag;
}

/* Takes an open tag out; false when it is none. */
static bool close_tag(struct acks *a, uint64_t tag, uint8_t state)
{
    if (tag < a->base) {
        if (!map64_remove(&a->held, tag))
            return false;
    } else if (tag >= a->next || *state_of(a, tag) != TAG_OPEN) {
        return false;
    } else {
        *state_of(a, tag) = state;
    }
    a->open--;
    return true;
}

bool rabbit_acks_settle(struct acks *a, uint64_t tag)
{
    if (!close_tag(a, tag, TAG_SETTLED))
        return false;
    a->unsettled++;
    push_behind(a, tag);
    return true;
}

bool rabbit_acks_release(struct acks *a, uint64_t tag)
{
    return close_tag(a, tag, TAG_GONE);
}

/* The settled prefix: the tag to acknowledge up to, 0 when there is none. */
static uint64_t take_prefix(struct acks *a)
{
    uint64_t last = 0;
    for (; a->base < a->next && *state_of(a, a->base) != TAG_OPEN; a->base++)
        if (*state_of(a, a->base) == TAG_SETTLED) {
            last = a->base;
            a->unsettled--;
        }
    return last;
}

static int by_tag(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return a < b ? -1 : a > b;
}

void rabbit_acks_plan(struct acks *a, uint64_t behind_below, void (*ack)(void *arg, uint64_t tag, bool multiple),
                      void *arg)
{
    uint64_t before = a->base, last = a->held.count ? 0 : take_prefix(a);
    size_t kept = 0;
    if (last)
        ack(arg, last, true);
    else if (!behind_below)
        return;
    if (behind_below && a->behind_count)
        qsort(a->behind, a->behind_count, sizeof *a->behind, by_tag);
    for (size_t i = 0; i < a->behind_count; i++) {
        uint64_t tag = a->behind[i];
        if (tag < a->base && (tag >= before || last)) { /* in the prefix, or a held one that it takes along */
            a->unsettled -= tag < before;
            continue;
        }
        if (tag >= behind_below) {
            a->behind[kept++] = tag;
            continue;
        }
        if (tag >= a->base)
            *state_of(a, tag) = TAG_GONE;
        a->unsettled--;
        ack(arg, tag, false);
    }
    a->behind_count = kept;
    while (a->held.count && a->base < a->next && *state_of(a, a->base) == TAG_GONE)
        a->base++;
}
