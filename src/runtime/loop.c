/* The loop: libevent waits for descriptors; timers, hooks and tasks are run here, once each pass.
 *
 * Timers are a heap of our own and one timerfd, because libevent's clock is the coarse one (timers up to 4 ms early) and its
 * precise one costs a system call each pass. The timerfd is set only when the first deadline comes nearer than what it is set
 * to; a deadline that moved away costs one idle pass. */
#include "runtime/loop.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { DOING_WORDS = LOOP_DOING_MAX / sizeof(uint64_t) };

struct loop {
    char *name;
    struct event_base *base;
    struct event *wake;
    struct list tasks; /* struct task.node */
    struct list hooks; /* struct loop_hook.node */
    struct heap timers;
    int timer_fd;
    struct io timer_io;
    int64_t timer_fd_at; /* what it is set to; INT64_MAX: nothing */
    struct timer heartbeat;

    int64_t now;
    bool in_pass;

    /* Read by other threads. */
    atomic_bool stop;
    atomic_uint_least64_t passes;
    atomic_int_least64_t last_us;
    atomic_bool running;
    atomic_int_least64_t heartbeat_us;
    atomic_uint_least64_t doing[DOING_WORDS];
};

static void use_threads(void)
{
    evthread_use_pthreads();
}

static _Noreturn void cannot(const char *what)
{
    log_error("loop", "%s: %m", what);
    abort();
}

/* ---- passes */

/* Every callback from libevent calls this first: libevent has no hook between its wait and its callbacks. */
static void pass_begin(struct loop *l)
{
    if (l->in_pass)
        return;
    l->in_pass = true;
    l->now = clock_us();
    atomic_store_explicit(&l->doing[0], 0, memory_order_relaxed);
    atomic_store_explicit(&l->last_us, l->now, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->passes, 1, memory_order_relaxed);
    atomic_store_explicit(&l->running, true, memory_order_release);
}

static void pass_end(struct loop *l)
{
    l->in_pass = false;
    atomic_store_explicit(&l->running, false, memory_order_release);
}

static void run_timers(struct loop *l)
{
    struct heap_node *first;
    while ((first = heap_first(&l->timers)) && first->key <= l->now) {
        struct timer *t = CONTAINER_OF(first, struct timer, node);
        timer_cancel(t);
        t->on_fire(t->arg);
    }
}

/* Each is put back before it runs, so that it may remove itself, or any other. */
static void run_hooks(struct loop *l)
{
    struct list now;
    list_move(&now, &l->hooks);
    struct list *node;
    while ((node = list_pop_front(&now))) {
        struct loop_hook *h = LIST_ENTRY(node, struct loop_hook, node);
        list_push_back(&l->hooks, node);
        h->run(h->arg);
    }
}

static void run_tasks(struct loop *l)
{
    struct list now;
    list_move(&now, &l->tasks);
    struct list *node;
    while ((node = list_pop_front(&now))) {
        struct task *t = LIST_ENTRY(node, struct task, node);
        t->run(t->arg);
    }
}

/* Sets the timerfd if a deadline is nearer than what it is set to; true when one has come already. */
static bool prepare_timers(struct loop *l)
{
    struct heap_node *first = heap_first(&l->timers);
    if (!first || first->key >= l->timer_fd_at)
        return false;
    if (first->key <= clock_us())
        return true;
    struct itimerspec at = { .it_value = { first->key / SEC, first->key % SEC * 1000 } };
    if (timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
        cannot("timerfd_settime");
    l->timer_fd_at = first->key;
    return false;
}

static void on_timer_fd(void *arg, unsigned ready)
{
    struct loop *l = arg;
    uint64_t expirations;
    (void)ready;
    if (read(l->timer_fd, &expirations, sizeof(expirations)) > 0)
        l->timer_fd_at = INT64_MAX;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    pass_begin(arg);
}

void loop_run(struct loop *l)
{
    while (!atomic_load_explicit(&l->stop, memory_order_acquire)) {
        bool busy = prepare_timers(l) || !list_empty(&l->tasks);
        int flags = EVLOOP_NO_EXIT_ON_EMPTY | EVLOOP_ONCE | (busy ? EVLOOP_NONBLOCK : 0);
        if (event_base_loop(l->base, flags) < 0)
            cannot("event_base_loop");
        pass_begin(l);
        run_timers(l);
        run_hooks(l);
        run_tasks(l);
        pass_end(l);
    }
    atomic_store_explicit(&l->stop, false, memory_order_relaxed);
}

/* ---- the loop */

struct loop *loop_new(const char *name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_threads);
    struct loop *l = mem_zero(sizeof(*l));
    l->name = mem_string(name);
    list_init(&l->tasks);
    list_init(&l->hooks);
    l->timer_fd_at = INT64_MAX;
    l->base = event_base_new();
    l->wake = l->base ? event_new(l->base, -1, 0, on_wake, l) : NULL;
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (!l->wake || l->timer_fd < 0)
        cannot("making an event loop");
    io_init(&l->timer_io, l, l->timer_fd, on_timer_fd, l);
    io_want(&l->timer_io, IO_READ);
    atomic_store_explicit(&l->last_us, clock_us(), memory_order_relaxed);
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    timer_close(&l->heartbeat);
    io_close(&l->timer_io);
    close(l->timer_fd);
    event_free(l->wake);
    event_base_free(l->base);
    heap_free(&l->timers);
    free(l->name);
    free(l);
}

/* event_active, and not event_base_loopbreak: that is forgotten when it comes between two calls of event_base_loop. */
void loop_wake(struct loop *l)
{
    event_active(l->wake, EV_READ, 0);
}

void loop_stop(struct loop *l)
{
    atomic_store_explicit(&l->stop, true, memory_order_release);
    loop_wake(l);
}

const char *loop_name(const struct loop *l)
{
    return l->name;
}

int64_t loop_now(const struct loop *l)
{
    return l->in_pass ? l->now : clock_us();
}

/* ---- heartbeat */

static void on_heartbeat(void *arg)
{
    struct loop *l = arg; /* the pass that it caused is the beat */
    timer_set(&l->heartbeat, loop_heartbeat(l));
}

struct loop_beat loop_beat(const struct loop *l)
{
    struct loop_beat beat;
    beat.running = atomic_load_explicit(&l->running, memory_order_acquire);
    beat.passes = atomic_load_explicit(&l->passes, memory_order_relaxed);
    beat.last_us = atomic_load_explicit(&l->last_us, memory_order_relaxed);
    return beat;
}

void loop_set_heartbeat(struct loop *l, int64_t every_us)
{
    atomic_store_explicit(&l->heartbeat_us, every_us, memory_order_relaxed);
    timer_close(&l->heartbeat);
    if (every_us > 0) {
        timer_init(&l->heartbeat, l, on_heartbeat, l);
        timer_set(&l->heartbeat, every_us);
    }
}

int64_t loop_heartbeat(const struct loop *l)
{
    return atomic_load_explicit(&l->heartbeat_us, memory_order_relaxed);
}

/* Words, because two threads must not meet in a plain array of characters; and no pointer, because a route may be freed
 * while the watchdog reads its name. */
void loop_set_doing(struct loop *l, const char *what)
{
    uint64_t words[DOING_WORDS] = { 0 };
    memcpy(words, what, strnlen(what, sizeof(words) - 1));
    for (size_t i = 0; i < DOING_WORDS; i++)
        atomic_store_explicit(&l->doing[i], words[i], memory_order_relaxed);
}

void loop_doing(const struct loop *l, char text[LOOP_DOING_MAX])
{
    for (size_t i = 0; i < DOING_WORDS; i++) {
        uint64_t word = atomic_load_explicit(&l->doing[i], memory_order_relaxed);
        memcpy(text + i * sizeof(word), &word, sizeof(word));
    }
    text[LOOP_DOING_MAX - 1] = 0;
}

/* ---- timers */

void timer_init(struct timer *t, struct loop *l, void (*on_fire)(void *arg), void *arg)
{
    *t = (struct timer){ .loop = l, .on_fire = on_fire, .arg = arg };
}

void timer_set(struct timer *t, int64_t delay_us)
{
    int64_t now = loop_now(t->loop);
    int64_t delay = delay_us < 1 ? 1 : delay_us; /* later than now, so that no pass fires it twice */
    timer_cancel(t);
    heap_insert(&t->loop->timers, &t->node, delay > INT64_MAX - now ? INT64_MAX : now + delay);
    t->armed = true;
}

void timer_cancel(struct timer *t)
{
    if (t->armed)
        heap_remove(&t->loop->timers, &t->node);
    t->armed = false;
}

void timer_close(struct timer *t)
{
    timer_cancel(t);
    *t = (struct timer){ 0 };
}

/* ---- descriptors */

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct io *io = arg;
    (void)fd;
    pass_begin(io->loop);
    io->on_ready(io->arg, what & EV_WRITE ? IO_WRITE : IO_READ); /* which may have freed io */
}

void io_init(struct io *io, struct loop *l, int fd, void (*on_ready)(void *arg, unsigned ready), void *arg)
{
    *io = (struct io){ .loop = l, .fd = fd, .on_ready = on_ready, .arg = arg };
}

/* Two events, so that wanting to write as well is one epoll_ctl and not a removal and an addition. */
static void want(struct io *io, void **event, short what, bool on)
{
    if (on && !*event)
        *event = event_new(io->loop->base, io->fd, (short)(what | EV_PERSIST), on_event, io);
    if (on ? !*event || event_add(*event, NULL) < 0 : event_del(*event) < 0)
        cannot("watching a descriptor");
}

void io_want(struct io *io, unsigned flags)
{
    unsigned change = io->want ^ flags;
    io->want = flags;
    if (change & IO_READ)
        want(io, &io->read_event, EV_READ, flags & IO_READ);
    if (change & IO_WRITE)
        want(io, &io->write_event, EV_WRITE, flags & IO_WRITE);
}

void io_close(struct io *io)
{
    if (io->read_event)
        event_free(io->read_event);
    if (io->write_event)
        event_free(io->write_event);
    io->read_event = io->write_event = NULL;
    io->want = 0;
}

/* ---- tasks and hooks */

void task_init(struct task *t, void (*run)(void *arg), void *arg)
{
    list_init(&t->node);
    t->run = run;
    t->arg = arg;
}

void loop_defer(struct loop *l, struct task *t)
{
    if (list_empty(&t->node))
        list_push_back(&l->tasks, &t->node);
}

void task_cancel(struct task *t)
{
    if (t->node.next)
        list_remove(&t->node);
}

void loop_add_hook(struct loop *l, struct loop_hook *h)
{
    list_push_back(&l->hooks, &h->node);
}

void loop_remove_hook(struct loop_hook *h)
{
    list_remove(&h->node);
}
