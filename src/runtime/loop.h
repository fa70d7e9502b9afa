/* The libevent wrapper: one event_base, and what upper code needs of it. Everything here belongs to the loop's thread
 * unless it says "any thread". Nothing here blocks but loop_run.
 *
 *     one pass:  wait ──▶ descriptors ──▶ timers that are due ──▶ hooks (mailboxes) ──▶ tasks ──▶ wait …
 */
#pragma once

#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct loop *loop_new(const char *name); /* name: "main", "lane 0"; calls evthread_use_pthreads once */
void loop_free(struct loop *l);          /* NULL is allowed; nothing may be armed */
void loop_run(struct loop *l);           /* until loop_stop */
void loop_stop(struct loop *l);          /* any thread */
const char *loop_name(const struct loop *l);
/* Monotonic microseconds at the start of this pass: cheap, for timers and ages. The time itself outside of a pass. */
int64_t loop_now(const struct loop *l);
/* Ends the wait: a pass begins soon. Any thread. */
void loop_wake(struct loop *l);

/* The heartbeat: any thread. An idle loop passes at least every every_us while loop_set_heartbeat is on, and not otherwise. */
struct loop_beat {
    uint64_t passes;
    int64_t last_us; /* when the last pass began */
    bool running;    /* it has not ended: the loop is not waiting */
};
struct loop_beat loop_beat(const struct loop *l);
void loop_set_heartbeat(struct loop *l, int64_t every_us); /* 0: off */
int64_t loop_heartbeat(const struct loop *l);              /* any thread */
/* What the loop does from now on until the end of this pass, "route orders": the watchdog's log names it. Copied, cut at 47
 * bytes; cheap enough for each batch. */
enum { LOOP_DOING_MAX = 48 };
void loop_set_doing(struct loop *l, const char *what);
void loop_doing(const struct loop *l, char text[LOOP_DOING_MAX]); /* any thread; may be torn unless the loop stalls */

/* A one-shot timer. Zero-initialise, then timer_init; may be set again, closed or freed in its callback; freeing its memory
 * needs timer_cancel first. Timers fire in the order of their times, never early, and never in the pass that set them. */
struct timer {
    struct heap_node node;
    struct loop *loop;
    void (*on_fire)(void *arg);
    void *arg;
    bool armed;
};
void timer_init(struct timer *t, struct loop *l, void (*on_fire)(void *arg), void *arg);
void timer_set(struct timer *t, int64_t delay_us); /* from loop_now; replaces what was set */
void timer_cancel(struct timer *t);                /* keeps the timer usable; also a never initialised one */
void timer_close(struct timer *t);                 /* the end of a timer; also of a never initialised one */

/* Readiness of a file descriptor, level-triggered. The descriptor stays the caller's. An error or hang-up shows as whatever
 * is wanted. Reading and writing may come in two calls of one pass. */
enum { IO_READ = 1, IO_WRITE = 2 };
struct io {
    struct loop *loop;
    void *read_event, *write_event;
    int fd;
    unsigned want;
    void (*on_ready)(void *arg, unsigned ready);
    void *arg;
};
void io_init(struct io *io, struct loop *l, int fd, void (*on_ready)(void *arg, unsigned ready), void *arg);
void io_want(struct io *io, unsigned flags); /* 0: nothing */
void io_close(struct io *io);                /* before closing the fd; may be called inside on_ready, and twice */

/* Work for the end of this pass of the loop, after the callbacks that are ready now: the place to write once what many
 * callbacks produced. A task that is queued already is not queued twice. A task queued by a task runs in the next pass. */
struct task {
    struct list node;
    void (*run)(void *arg);
    void *arg;
};
void task_init(struct task *t, void (*run)(void *arg), void *arg);
void loop_defer(struct loop *l, struct task *t);
void task_cancel(struct task *t); /* also a never initialised one */

/* Called once in each pass: for what other threads hand over (who then call loop_wake). May remove any hook. */
struct loop_hook {
    struct list node;
    void (*run)(void *arg);
    void *arg;
};
void loop_add_hook(struct loop *l, struct loop_hook *h);
void loop_remove_hook(struct loop_hook *h);
