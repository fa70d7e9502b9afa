/* The watchdog thread: looks at each loop's heartbeat, logs the ones whose pass does not end, and says when they go on. */
#include "runtime/watchdog.h"

#include "base/log.h"
#include "base/mem.h"
#include "runtime/thread.h"

#include <stdatomic.h>
#include <time.h>

static const int64_t LOG_AGAIN = 10 * SEC;

struct watched {
    struct loop *loop;
    uint64_t stalled_pass; /* its number; 0: moves */
    int64_t since_us;      /* when that pass began */
    int64_t log_at_us;
};

struct watchdog {
    int64_t stall_us;
    struct watched *loops; /* the thread's, once it runs, but for the loop pointers */
    size_t count;
    atomic_uint_least64_t stalls;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* guards stop */
    pthread_cond_t stop_changed;
    bool stop;
};

static void log_stall(const struct watched *s, int64_t now)
{
    char doing[LOOP_DOING_MAX];
    loop_doing(s->loop, doing);
    log_warning(loop_name(s->loop), "stalled for %lld ms%s%s", (long long)((now - s->since_us) / MSEC),
                doing[0] ? " in " : "", doing);
}

static void sample(struct watchdog *w, struct watched *s, int64_t now)
{
    struct loop_beat beat = loop_beat(s->loop);
    if (s->stalled_pass && (!beat.running || beat.passes != s->stalled_pass)) {
        log_notice(loop_name(s->loop), "moves again after about %lld ms", (long long)((now - s->since_us) / MSEC));
        s->stalled_pass = 0;
    }
    if (!beat.running || now - beat.last_us < w->stall_us)
        return;
    if (!s->stalled_pass) {
        s->stalled_pass = beat.passes;
        s->since_us = beat.last_us;
        s->log_at_us = now;
        atomic_fetch_add_explicit(&w->stalls, 1, memory_order_relaxed);
    }
    if (now >= s->log_at_us) {
        log_stall(s, now);
        s->log_at_us = now + LOG_AGAIN;
    }
}

/* Waits until at_us, or until it is told to stop: true then. */
static bool wait_for_stop(struct watchdog *w, int64_t at_us)
{
    struct timespec at = { .tv_sec = at_us / SEC, .tv_nsec = at_us % SEC * 1000 };
    pthread_mutex_lock(&w->lock);
    while (!w->stop && clock_us() < at_us)
        pthread_cond_timedwait(&w->stop_changed, &w->lock, &at);
    bool stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return stop;
}

static void *watch(void *arg)
{
    struct watchdog *w = arg;
    while (!wait_for_stop(w, clock_us() + w->stall_us / 2))
        for (size_t i = 0; i < w->count; i++)
            sample(w, &w->loops[i], clock_us());
    return NULL;
}

struct watchdog *watchdog_new(int64_t stall_us)
{
    struct watchdog *w = mem_zero(sizeof(*w));
    w->stall_us = stall_us < 2 * MSEC ? 2 * MSEC : stall_us;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->stop_changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return w;
}

void watchdog_watch(struct watchdog *w, struct loop *l)
{
    w->loops = mem_resize_array(w->loops, w->count + 1, sizeof(*w->loops));
    w->loops[w->count++] = (struct watched){ .loop = l };
}

void watchdog_start(struct watchdog *w)
{
    w->thread = thread_start("watchdog", watch, w);
    w->started = true;
}

static bool is_healthy(const struct watchdog *w, const struct loop *l)
{
    struct loop_beat beat = loop_beat(l);
    int64_t heartbeat = loop_heartbeat(l);
    if (!beat.running && !heartbeat)
        return true;
    return clock_us() - beat.last_us <= w->stall_us + heartbeat;
}

bool watchdog_healthy(const struct watchdog *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (!is_healthy(w, w->loops[i].loop))
            return false;
    return true;
}

uint64_t watchdog_stalls(const struct watchdog *w)
{
    return atomic_load_explicit(&w->stalls, memory_order_relaxed);
}

void watchdog_free(struct watchdog *w)
{
    if (!w)
        return;
    if (w->started) {
        pthread_mutex_lock(&w->lock);
        w->stop = true;
        pthread_cond_signal(&w->stop_changed);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
    }
    pthread_cond_destroy(&w->stop_changed);
    pthread_mutex_destroy(&w->lock);
    free(w->loops);
    free(w);
}
