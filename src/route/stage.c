/* Runs messages through stages and keeps their sequence. */
#include "route/stage.h"

#include "base/mem.h"

enum {
    GROUPS = 1024, /* two keys in one group wait for each other now and then; they are never reordered */
    BATCH = 256,
    STAGES_MAX = 32,
};

struct group {
    struct ticket *head, **tail;
};

struct passage {
    struct stage *stage;
    struct group *groups; /* NULL when nothing has to be kept in order */
};

struct pipeline {
    struct passage passages[STAGES_MAX];
    size_t stages, inside;
    bool ordered;
    struct pool *tickets;
    void (*deliver)(void *arg, struct root **roots, size_t n);
    void *arg;
};

struct pipeline *pipeline_new(bool ordered, void (*deliver)(void *arg, struct root **roots, size_t n), void *arg)
{
    struct pipeline *p = mem_zero(sizeof *p);
    p->ordered = ordered;
    p->deliver = deliver;
    p->arg = arg;
    p->tickets = pool_new(sizeof(struct ticket));
    return p;
}

void pipeline_free(struct pipeline *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->stages; i++) {
        p->passages[i].stage->ops->free(p->passages[i].stage);
        free(p->passages[i].groups);
    }
    pool_free(p->tickets);
    free(p);
}

void pipeline_add(struct pipeline *p, struct stage *s)
{
    if (p->stages == STAGES_MAX)
        abort();
    struct passage *passage = &p->passages[p->stages];
    passage->stage = s;
    s->pipeline = p;
    s->index = p->stages++;
    if (!p->ordered)
        return;
    passage->groups = mem_array(GROUPS, sizeof *passage->groups);
    for (size_t i = 0; i < GROUPS; i++)
        passage->groups[i].tail = &passage->groups[i].head;
}

size_t pipeline_count(const struct pipeline *p)
{
    return p->inside;
}

static void enter(struct pipeline *p, size_t index, struct root **roots, size_t n)
{
    if (index == p->stages) {
        p->deliver(p->arg, roots, n);
        return;
    }
    struct passage *passage = &p->passages[index];
    while (n) {
        struct ticket *tickets[BATCH];
        size_t count = n < BATCH ? n : BATCH;
        for (size_t i = 0; i < count; i++) {
            struct ticket *t = pool_get(p->tickets);
            *t = (struct ticket){ .root = roots[i] };
            if (passage->groups) {
                struct group *g = &passage->groups[roots[i]->order % GROUPS];
                *g->tail = t;
                g->tail = &t->next;
            }
            tickets[i] = t;
        }
        p->inside += count;
        passage->stage->ops->run(passage->stage, tickets, count);
        roots += count;
        n -= count;
    }
}

void pipeline_run(struct pipeline *p, struct root **roots, size_t n)
{
    enter(p, 0, roots, n);
}

struct outgoing {
    struct pipeline *pipeline;
    size_t next_stage, count;
    struct root *roots[BATCH];
};

static void flush(struct outgoing *out)
{
    size_t n = out->count;
    out->count = 0;
    if (n)
        enter(out->pipeline, out->next_stage, out->roots, n);
}

static void leave(struct outgoing *out, struct ticket *t)
{
    out->roots[out->count++] = t->root;
    pool_put(out->pipeline->tickets, t);
    out->pipeline->inside--;
    if (out->count == BATCH)
        flush(out);
}

void stage_done(struct stage *s, struct ticket **tickets, size_t n)
{
    struct pipeline *p = s->pipeline;
    struct passage *passage = &p->passages[s->index];
    struct outgoing out = { .pipeline = p, .next_stage = s->index + 1 };
    if (!passage->groups) {
        for (size_t i = 0; i < n; i++)
            leave(&out, tickets[i]);
        flush(&out);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct ticket *t = tickets[i];
        struct group *g = &passage->groups[t->root->order % GROUPS];
        t->done = true;
        if (g->head != t)
            continue;
        /* A ticket is marked in its own turn and leaves at the earliest then: none is looked at after it has gone. */
        while (g->head && g->head->done) {
            struct ticket *head = g->head;
            g->head = head->next;
            if (!g->head)
                g->tail = &g->head;
            leave(&out, head);
        }
    }
    flush(&out);
}
