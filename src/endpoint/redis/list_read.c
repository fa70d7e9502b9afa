/* A list source's elements: pages of what is pending, moves of what is new, both handed over as positions; trims. */
#include "base/mem.h"
#include "endpoint/redis/list_source.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    REPLY_BYTES = 192 * 1024,
    FIRST_COUNT = 32,
    ELEMENT_OVERHEAD = 8,
    FETCH_MAX = 100,
};

void list_positions_add(struct positions *p, uint64_t position)
{
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 64;
        p->items = mem_resize(p->items, p->cap * sizeof *p->items);
    }
    p->items[p->count++] = position;
}

/* ---- taking elements */

static bool may_read(const struct list_source *s)
{
    return !s->paused && !s->draining && s->credit_messages > 0 && s->credit_bytes > 0;
}

static struct arrival arrive(struct list_source *s, struct bytes element, struct backing *backing, uint64_t position)
{
    struct message *m = message_new();
    message_set_payload(m, element);
    m->backing = backing_ref(backing);
    m->origin = &s->origin;
    m->position = position;
    m->flags = MESSAGE_ID_POSITION | (s->phase == REPLAY ? MESSAGE_REDELIVERED : 0);
    s->credit_messages--;
    s->credit_bytes -= (int64_t)message_size(m);
    return (struct arrival){ m, { position, 0, s->generation } };
}

/* Hands over the elements of an array reply as the next positions. */
static void take(struct list_source *s, const struct reply *r)
{
    enum { BATCH = 256 };
    struct arrival batch[BATCH];
    size_t n = 0;
    uint32_t count = r->nodes[0].size, generation = s->generation;
    uint64_t bytes = 0, first = s->next;
    s->next += count;
    if (s->total < s->next)
        s->total = s->next;
    for (uint32_t i = 0; i < count; i++)
        watermark_take(s->mark, first + i);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes element = reply_text(r, i + 1);
        bytes += element.len;
        batch[n++] = arrive(s, element, r->backing, first + i);
        if (n < BATCH)
            continue;
        source_intake(&s->source, batch, n);
        n = 0;
        if (s->generation != generation)
            return;
    }
    uint64_t mean = bytes / count + ELEMENT_OVERHEAD;
    s->mean = s->mean > mean / 2 && s->mean < mean * 2 ? (7 * s->mean + mean) / 8 : mean;
    source_intake(&s->source, batch, n);
}

static void on_elements(void *arg, const struct reply *r, bool sent)
{
    struct list_source *s = arg;
    (void)sent;
    s->asking = false;
    if (list_failed(s, r))
        return;
    if (!reply_is(r, 0, RESP_ARRAY) || r->count != r->nodes[0].size + 1) {
        link_renew(s->user.link, "a strange answer to a script");
        return;
    }
    list_served(s);
    uint32_t count = r->nodes[0].size;
    if (s->paused || s->draining) { /* they stay pending, and are replayed */
        if (s->phase == LIVE)
            s->total += count;
        s->phase = REPLAY;
        return;
    }
    if (count) {
        s->wait_us = LIST_POLL_FIRST_US;
        take(s, r);
        list_read_more(s);
    } else if (s->phase == REPLAY) {
        s->next = s->total; /* shorter than it was said to be */
        list_read_more(s);
    } else {
        timer_set(&s->again, s->wait_us);
        s->wait_us = 2 * s->wait_us < s->settings->poll ? 2 * s->wait_us : s->settings->poll;
    }
}

/* ---- reading */

static size_t how_many(const struct list_source *s)
{
    uint64_t bytes = (uint64_t)s->credit_bytes < REPLY_BYTES ? (uint64_t)s->credit_bytes : REPLY_BYTES;
    uint64_t n = s->mean ? bytes / s->mean : FIRST_COUNT, span = watermark_span(s->mark);
    uint64_t limits[] = { (uint64_t)s->settings->count, (uint64_t)s->credit_messages,
                          span < s->share_unsettled ? s->share_unsettled - span : 0 };
    if (!n)
        n = 1;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        n = limits[i] < n ? limits[i] : n;
    return n;
}

static void fetch_released(struct list_source *s);

void list_read_more(struct list_source *s)
{
    if (s->phase < REPLAY || s->asking || s->again.armed || !list_is_up(s) || !may_read(s))
        return;
    if (s->released.count) {
        fetch_released(s);
        return;
    }
    char count[24], from[24];
    size_t n = how_many(s);
    if (!n)
        return; /* too much is unsettled behind one that is held; settling it goes on from here */
    if (s->phase == REPLAY && s->next == s->total)
        s->phase = LIVE;
    s->asking = true;
    if (s->phase == REPLAY) {
        snprintf(from, sizeof from, "%" PRIu64, s->next);
        snprintf(count, sizeof count, "%" PRIu64, n < s->total - s->next ? n : s->total - s->next);
        struct bytes args[] = { bytes_of_string(from), bytes_of_string(count) };
        list_call(s, LIST_PAGE, args, 2, on_elements);
        return;
    }
    snprintf(count, sizeof count, "%zu", n);
    struct bytes args[] = { bytes_of_string(count),
                            s->settings->side == LIST_LEFT ? BYTES_LITERAL("LPOP") : BYTES_LITERAL("RPOP") };
    list_call(s, LIST_MOVE, args, 2, on_elements);
}

void list_on_again(void *arg)
{
    struct list_source *s = arg;
    if (s->phase < REPLAY)
        list_acquire(s);
    else
        list_read_more(s);
    loop_defer(s->loop, &s->flush);
}

/* ---- what was released is fetched again, by position */

static void on_fetched(void *arg, const struct reply *r, bool sent)
{
    struct list_source *s = arg;
    (void)sent;
    s->asking = false;
    struct positions asked = s->fetching;
    s->fetching = (struct positions){ .items = NULL };
    bool gone = list_failed(s, r) || !reply_is_array(r, 0, (uint32_t)asked.count) || s->paused || s->draining;
    for (uint32_t i = 0; i < asked.count; i++) {
        struct bytes element = gone ? BYTES_NULL : reply_text(r, i + 1);
        if (gone) {
            if (!r || !reply_is(r, 0, RESP_ERROR) || !error_is(reply_text(r, 0), "LEASE"))
                list_positions_add(&s->released, asked.items[i]);
        } else if (element.data) {
            struct arrival a = arrive(s, element, r->backing, asked.items[i]);
            a.message->flags |= MESSAGE_REDELIVERED;
            source_intake(&s->source, &a, 1);
        }
    }
    free(asked.items);
    if (!gone)
        list_read_more(s);
}

static void fetch_released(struct list_source *s)
{
    struct bytes args[FETCH_MAX];
    char texts[FETCH_MAX][24];
    size_t most = how_many(s), n = s->released.count < FETCH_MAX ? s->released.count : FETCH_MAX;
    if (!most)
        most = 1; /* their positions are counted already */
    n = most < n ? most : n;
    for (size_t i = 0; i < n; i++) {
        list_positions_add(&s->fetching, s->released.items[i]);
        args[i] = bytes_of(texts[i], (size_t)snprintf(texts[i], sizeof texts[i], "%" PRIu64, s->released.items[i]));
    }
    s->released.count -= n;
    memmove(s->released.items, s->released.items + n, s->released.count * sizeof *s->released.items);
    s->asking = true;
    list_call(s, LIST_FETCH, args, n, on_fetched);
}

/* ---- trimming */

bool list_all_trimmed(const struct list_source *s)
{
    return s->trimmed >= watermark_mark(s->mark);
}

static void on_trimmed(void *arg, const struct reply *r, bool sent)
{
    struct list_source *s = arg;
    uint64_t upto = s->trimming;
    (void)sent;
    s->trimming = s->trimmed;
    if (list_failed(s, r)) /* acquiring it again tells whether it was done */
        return;
    s->trimmed = s->trimming = upto;
    list_note(s);
    if (!list_all_trimmed(s))
        loop_defer(s->loop, &s->flush);
    else if (s->stopping)
        list_finish_stop(s);
    list_read_more(s);
}

void list_on_flush(void *arg)
{
    struct list_source *s = arg;
    uint64_t upto = watermark_mark(s->mark);
    if (!list_is_up(s) || s->phase < REPLAY || s->trimming > s->trimmed || upto <= s->trimmed)
        return;
    s->trimming = upto;
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, upto);
    struct bytes arg1 = bytes_of_string(text);
    list_call(s, LIST_TRIM, &arg1, 1, on_trimmed);
    link_flush(s->user.link);
}
