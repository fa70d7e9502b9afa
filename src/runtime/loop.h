/* The libevent wrapper: one event_base, and what upper code needs of it. Everything here belongs to the loop's thread
 * unless it says "any thread". Nothing here blocks but loop_run. */
#pragma once

#include "base/clock.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct loop *loop_new(const char *name); /* name: "main", "lane 0"; calls evthread_use_pthreads once */
void loop_free(struct loop *l);          /* NULL is allowed; nothing may be armed */
void loop_run(struct loop *l);           /* until loop_stop */
void loop_stop(struct loop *l);          /* any thread */
const char *loop_name(const struct loop *l);
/* Monotonic microseconds at the start of this pass: cheap, for timers and ages. */
int64_t loop_now(const struct loop *l);
/* Passes so far and when the last began: any thread; the watchdog's heartbeat. An idle loop passes at least every 250 ms
 * while loop_set_heartbeat is on, and not otherwise. */
struct loop_beat {
    uint64_t passes;
    int64_t last_us;
};
struct loop_beat loop_beat(const struct loop *l);
void loop_set_heartbeat(struct loop *l, int64_t every_us); /* 0: off */

/* A one-shot timer. Zero-initialise, then timer_init; may be set again from its callback; freeing its memory needs
 * timer_cancel first. */
struct timer {
    struct loop *loop;
    void *event;
    void (*on_fire)(void *arg);
    void *arg;
    bool armed;
};
void timer_init(struct timer *t, struct loop *l, void (*on_fire)(void *arg), void *arg);
void timer_set(struct timer *t, int64_t delay_us); /* replaces what was set */
void timer_cancel(struct timer *t);                /* keeps the timer usable */
void timer_close(struct timer *t);                 /* releases its memory; also a never initialised one */

/* Readiness of a file descriptor, level-triggered. The descriptor stays the caller's. */
enum { IO_READ = 1, IO_WRITE = 2 };
struct io {
    struct loop *loop;
    void *event;
    int fd;
    unsigned want;
    void (*on_ready)(void *arg, unsigned ready);
    void *arg;
};
void io_init(struct io *io, struct loop *l, int fd, void (*on_ready)(void *arg, unsigned ready), void *arg);
void io_want(struct io *io, unsigned flags); /* 0: nothing */
void io_close(struct io *io);                /* before closing the fd; may be called inside on_ready */

/* Work for the end of this pass of the loop, after the callbacks that are ready now: the place to write once what many
 * callbacks produced. A task that is queued already is not queued twice. A task queued by a task runs in the next pass. */
struct task {
    struct list node;
    void (*run)(void *arg);
    void *arg;
};
void task_init(struct task *t, void (*run)(void *arg), void *arg);
void loop_defer(struct loop *l, struct task *t);
void task_cancel(struct task *t);
