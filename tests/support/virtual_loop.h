/* A loop whose time is virtual: the same functions as runtime/loop.h, driven by virtual_loop_step. Including it in one file
 * of a test program replaces the real loop there, so that days of backoff pass in a second. */
#pragma once

#include "base/heap.h"
#include "base/mem.h"
#include "runtime/loop.h"

struct loop {
    int64_t now;
    struct heap timers;
    struct list tasks;
};

static inline struct loop *virtual_loop_new(void)
{
    struct loop *l = mem_zero(sizeof *l);
    l->now = SEC;
    list_init(&l->tasks);
    return l;
}

static inline void virtual_loop_free(struct loop *l)
{
    heap_free(&l->timers);
    free(l);
}

/* One pass: the tasks that are queued, then the next timer. False: there was nothing to do. */
static inline bool virtual_loop_step(struct loop *l)
{
    bool did = !list_empty(&l->tasks);
    if (did) {
        struct list now;
        list_init(&now);
        for (struct list *n; (n = list_pop_front(&l->tasks));)
            list_push_back(&now, n);
        for (struct list *n; (n = list_pop_front(&now));) {
            struct task *t = LIST_ENTRY(n, struct task, node);
            t->run(t->arg);
        }
    }
    struct heap_node *first = heap_first(&l->timers);
    if (!first)
        return did;
    if (first->key > l->now)
        l->now = first->key;
    heap_remove(&l->timers, first);
    struct timer *t = CONTAINER_OF(first, struct timer, node);
    t->armed = false;
    t->on_fire(t->arg);
    return true;
}

int64_t loop_now(const struct loop *l)
{
    return l->now;
}

void timer_init(struct timer *t, struct loop *l, void (*on_fire)(void *arg), void *arg)
{
    *t = (struct timer){ .loop = l, .on_fire = on_fire, .arg = arg };
}

void timer_cancel(struct timer *t)
{
    if (t->armed)
        heap_remove(&t->loop->timers, &t->node);
    t->armed = false;
}

void timer_set(struct timer *t, int64_t delay_us)
{
    timer_cancel(t);
    heap_insert(&t->loop->timers, &t->node, t->loop->now + (delay_us > 0 ? delay_us : 0));
    t->armed = true;
}

void timer_close(struct timer *t)
{
    timer_cancel(t);
}

void loop_set_doing(struct loop *l, const char *what)
{
    (void)l, (void)what;
}

void task_init(struct task *t, void (*run)(void *arg), void *arg)
{
    *t = (struct task){ .run = run, .arg = arg };
    list_init(&t->node);
}

void loop_defer(struct loop *l, struct task *t)
{
    if (list_empty(&t->node))
        list_push_back(&l->tasks, &t->node);
}

void task_cancel(struct task *t)
{
    if (!list_empty(&t->node))
        list_remove(&t->node);
}
