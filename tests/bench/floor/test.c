/* The floor's ends that have no broker: generate and discard. */
#include "floor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { BATCH = 500, KEY_SIZE = 24 };

struct generate {
    struct source source;
    const struct floor_options *options;
    char *payloads;
    char keys[BATCH][KEY_SIZE];
    uint64_t made, began_ns;
    int timer;
};

/* Paced: each payload begins with the time when it was due, so that waiting in here counts as delay too. */
static void generate_read(struct source *s)
{
    struct generate *g = (struct generate *)s;
    const struct floor_options *o = g->options;
    struct item items[BATCH];
    size_t n = floor_room();
    uint64_t due = o->count - g->made, now = floor_now_ns();
    if (!g->began_ns)
        g->began_ns = now;
    if (o->rate) {
        uint64_t paced = (now - g->began_ns) / 1000 * o->rate / 1000000;
        due = paced > g->made ? paced - g->made : 0;
        if (due > o->count - g->made)
            due = o->count - g->made;
    }
    n = n < due ? n : due;
    n = n < BATCH ? n : BATCH;
    for (size_t i = 0; i < n; i++, g->made++) {
        char *payload = g->payloads + i * o->size, number[24];
        uint64_t stamp = o->rate ? g->began_ns + g->made * 1000000000 / o->rate : g->made;
        int digits = snprintf(number, sizeof(number), "%020llu ", (unsigned long long)stamp);
        memcpy(payload, number, (size_t)digits < o->size ? (size_t)digits : o->size);
        items[i] = (struct item){ .payload = payload, .len = o->size, .slot = floor_slot() };
        if (o->keys) {
            items[i].key = g->keys[i];
            items[i].key_len = (size_t)snprintf(g->keys[i], KEY_SIZE, "k%llu", (unsigned long long)(g->made % o->keys));
        }
    }
    floor_items(items, n);
}

static void generate_settle(struct source *s, struct slot *const *slots, size_t n)
{
    (void)s;
    (void)slots;
    (void)n;
}

static void nothing_to_flush(struct source *s)
{
    struct generate *g = (struct generate *)s;
    uint64_t ticks;
    if (g->timer >= 0 && read(g->timer, &ticks, sizeof(ticks)) < 0)
        return;
}

struct source *generate_source(const struct floor_options *o)
{
    struct generate *g = calloc(1, sizeof(*g));
    g->source = (struct source){
        .fd = -1, .read = generate_read, .settle = generate_settle, .flush = nothing_to_flush
    };
    g->options = o;
    g->timer = -1;
    if (o->rate) {
        struct itimerspec tick = { .it_interval.tv_nsec = 500000, .it_value.tv_nsec = 500000 };
        g->timer = g->source.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        timerfd_settime(g->timer, 0, &tick, NULL);
    }
    g->payloads = malloc(BATCH * o->size);
    for (size_t i = 0; i < BATCH * o->size; i++)
        g->payloads[i] = (char)('a' + i * 7 % 26);
    return &g->source;
}

struct discard {
    struct sink sink;
    bool measure;
    uint64_t began_ns;
    uint32_t *delays_us;
    size_t n, size;
};

static void discard_send(struct sink *s, const struct item *items, size_t n)
{
    struct discard *d = (struct discard *)s;
    struct slot *slots[BATCH];
    uint64_t now = d->measure ? floor_now_ns() : 0;
    for (size_t i = 0; i < n;) {
        size_t batch = 0;
        for (; i < n && batch < BATCH; i++) {
            slots[batch++] = items[i].slot;
            if (d->measure && d->n < d->size && items[i].len > 20) {
                uint64_t made = strtoull(items[i].payload, NULL, 10);
                if (made > d->began_ns) /* what was there before is no delay */
                    d->delays_us[d->n++] = (uint32_t)((now - made) / 1000);
            }
        }
        floor_confirmed(slots, batch);
    }
}

static void discard_nothing(struct sink *s)
{
    (void)s;
}

static struct discard *the_discard;

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_delays(void)
{
    struct discard *d = the_discard;
    if (!d->n)
        return;
    qsort(d->delays_us, d->n, sizeof(*d->delays_us), by_value);
    printf("{\"delay_us\": {\"p50\": %u, \"p90\": %u, \"p99\": %u, \"p999\": %u, \"max\": %u}}\n",
           d->delays_us[d->n / 2], d->delays_us[d->n * 9 / 10], d->delays_us[d->n * 99 / 100],
           d->delays_us[d->n * 999 / 1000], d->delays_us[d->n - 1]);
}

struct sink *discard_sink(const struct floor_options *o)
{
    struct discard *d = calloc(1, sizeof(*d));
    d->sink = (struct sink){
        .fd = -1, .window = BATCH, .send = discard_send, .read = discard_nothing, .flush = discard_nothing
    };
    d->measure = o->measure_delay;
    if (d->measure) {
        d->size = o->count;
        d->began_ns = floor_now_ns();
        d->delays_us = calloc(d->size, sizeof(*d->delays_us));
        the_discard = d;
        atexit(print_delays);
    }
    return &d->sink;
}
