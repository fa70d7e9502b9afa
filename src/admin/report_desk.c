/* Shares reports among those who ask.
 *
 *   ask ─▶ waiting ── 50 ms after the last one began ──▶ asked ── the report ──▶ done
 *
 * Who asks while one is being made waits for the next: it may have asked because it changed something. */
#include "admin/report_desk.h"

#include "base/mem.h"
#include "base/ring.h"

#define INTERVAL (50 * MSEC)

struct asker {
    void (*done)(void *arg, const struct report *r);
    void *arg;
};

struct report_desk {
    void (*ask)(void *arg, void (*done)(void *done_arg, struct report *r), void *done_arg);
    void *arg;
    struct ring waiting, asked;
    bool under_way;
    int64_t begun_us;
    struct timer due;
};

static void begin(struct report_desk *d);

/* r may be NULL: they are forgotten. */
static void answer(struct ring *askers, const struct report *r)
{
    struct asker *a;
    while ((a = ring_pop(askers))) {
        if (r)
            a->done(a->arg, r);
        free(a);
    }
}

static void on_report(void *arg, struct report *r)
{
    struct report_desk *d = arg;
    answer(&d->asked, r);
    report_free(r);
    d->under_way = false;
    begin(d);
}

static void begin(struct report_desk *d)
{
    if (d->under_way || d->due.armed || !ring_len(&d->waiting))
        return;
    int64_t now = clock_us(), wait = d->begun_us + INTERVAL - now;
    if (wait > 0) {
        timer_set(&d->due, wait);
        return;
    }
    while (ring_len(&d->waiting))
        ring_push(&d->asked, ring_pop(&d->waiting));
    d->under_way = true;
    d->begun_us = now;
    d->ask(d->arg, on_report, d);
}

static void on_due(void *arg)
{
    begin(arg);
}

struct report_desk *report_desk_new(struct loop *loop,
                                    void (*ask)(void *arg, void (*done)(void *done_arg, struct report *r),
                                                void *done_arg),
                                    void *arg)
{
    struct report_desk *d = mem_zero(sizeof *d);

    d->ask = ask;
    d->arg = arg;
    d->begun_us = -INTERVAL;
    timer_init(&d->due, loop, on_due, d);
    return d;
}

void report_desk_ask(struct report_desk *d, void (*done)(void *arg, const struct report *r), void *arg)
{
    struct asker *a = mem_zero(sizeof *a);
    a->done = done;
    a->arg = arg;
    ring_push(&d->waiting, a);
    begin(d);
}

void report_desk_free(struct report_desk *d)
{
    if (!d)
        return;
    answer(&d->waiting, NULL);
    answer(&d->asked, NULL);
    ring_free(&d->waiting);
    ring_free(&d->asked);
    timer_close(&d->due);
    free(d);
}
