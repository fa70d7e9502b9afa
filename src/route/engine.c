/* The routes of a configuration over the lanes: starting, replacing, stopping, asking. Main thread. */
#include "route/engine.h"

#include "base/log.h"
#include "base/mem.h"
#include "route/report_merge.h"

#include <stdio.h>
#include <unistd.h>

/* A route that runs, or is on its way out; its successor starts when the last of its instances has gone. */
struct running {
    struct list node;
    struct settings *settings;
    const struct route_settings *route;
    unsigned alive;
    bool paused, stopping;
    struct settings *next_settings; /* NULL: none */
    const struct route_settings *next;
};

struct inquiry {
    struct list node;
    uint64_t number;
    unsigned missing;
    struct report *report;
    struct timer timeout;
    struct engine *engine;
    void (*done)(void *arg, struct report *r);
    void *arg;
};

struct engine {
    struct loop *loop;
    struct mailbox *inbox;
    struct resolver *resolver;
    struct watchdog *watchdog;
    struct settings *settings;
    struct lane **lanes;
    unsigned lane_count;
    struct budget_pool messages, bytes;
    struct list routes, inquiries;
    uint64_t next_inquiry, returned;
    int64_t started_us;
    void (*stopped)(void *arg, uint64_t returned);
    void *stopped_arg;
};

static void on_instance_stopped(void *ctx, struct lane *l, const char *route, unsigned index, uint64_t returned);
static void on_reported(void *ctx, struct lane *l, struct lane_report *part);

struct engine *engine_new(struct loop *main_loop, struct watchdog *watchdog, const struct settings *settings)
{
    struct engine *e = mem_zero(sizeof *e);
    e->loop = main_loop;
    e->inbox = mailbox_new(main_loop);
    e->resolver = resolver_new();
    e->watchdog = watchdog;
    e->started_us = clock_us();
    list_init(&e->routes);
    list_init(&e->inquiries);
    budget_pool_init(&e->messages, settings->limits.in_flight);
    budget_pool_init(&e->bytes, settings->limits.memory);
    e->lane_count = (unsigned)settings->lanes;
    e->lanes = mem_array(e->lane_count, sizeof(struct lane *));
    struct lane_host host = { .instance_stopped = on_instance_stopped, .reported = on_reported, .ctx = e };
    for (unsigned i = 0; i < e->lane_count; i++) {
        e->lanes[i] = lane_new(i, e->resolver, e->inbox, &host);
        if (watchdog)
            watchdog_watch(watchdog, lane_loop(e->lanes[i]));
    }
    for (unsigned i = 0; i < e->lane_count; i++)
        lane_run(e->lanes[i]);
    return e;
}

/* ---- placing routes */

static struct lane *least_loaded(struct engine *e)
{
    struct lane *best = e->lanes[0];
    for (unsigned i = 1; i < e->lane_count; i++)
        if (lane_load(e->lanes[i]) < lane_load(best))
            best = e->lanes[i];
    return best;
}

static unsigned total_instances(const struct engine *e)
{
    unsigned total = 0;
    LIST_EACH(&e->routes, node) {
        const struct running *r = LIST_ENTRY(node, struct running, node);
        total += (unsigned)(r->next ? r->next->instances : r->route->instances);
    }
    return total ? total : 1;
}

static void share_out(struct engine *e)
{
    for (unsigned i = 0; i < e->lane_count; i++)
        lane_share(e->lanes[i], total_instances(e));
}

static void start_instances(struct engine *e, struct running *r)
{
    r->alive = (unsigned)r->route->instances;
    for (unsigned i = 0; i < r->alive; i++)
        lane_add(least_loaded(e), r->settings, r->route, i, total_instances(e), &e->messages, &e->bytes, r->paused);
}

static struct running *add_route(struct engine *e, struct settings *s, const struct route_settings *route)
{
    struct running *r = mem_zero(sizeof *r);
    r->settings = settings_ref(s);
    r->route = route;
    list_push_back(&e->routes, &r->node);
    return r;
}

static struct running *find_running(struct engine *e, const char *name)
{
    LIST_EACH(&e->routes, node) {
        struct running *r = LIST_ENTRY(node, struct running, node);
        if (strcmp(r->route->name, name) == 0)
            return r;
    }
    return NULL;
}

static const struct route_settings *find_settings(const struct settings *s, const char *name)
{
    for (size_t i = 0; s && i < s->route_count; i++)
        if (strcmp(s->routes[i].name, name) == 0)
            return &s->routes[i];
    return NULL;
}

static void command(struct engine *e, enum lane_command c, const char *route, int64_t grace_us)
{
    for (unsigned i = 0; i < e->lane_count; i++)
        lane_command(e->lanes[i], c, route, grace_us);
}

static void succeed_by(struct running *r, struct settings *s, const struct route_settings *next)
{
    settings_unref(r->next_settings);
    r->next_settings = next ? settings_ref(s) : NULL;
    r->next = next;
}

static void stop_route(struct engine *e, struct running *r, int64_t grace_us)
{
    if (r->stopping)
        return;
    r->stopping = true;
    command(e, LANE_STOP, r->route->name, grace_us);
}

void engine_apply(struct engine *e, struct settings *s, void (*done)(void *arg, const struct engine_change *change),
                  void *arg)
{
    struct engine_change change = { 0 };
    LIST_EACH(&e->routes, node) {
        struct running *r = LIST_ENTRY(node, struct running, node);
        const struct route_settings *next = find_settings(s, r->route->name);
        if (next && !r->stopping && route_settings_equal(r->route, next)) {
            change.kept++;
            continue;
        }
        succeed_by(r, s, next);
        stop_route(e, r, e->settings->shutdown_timeout_us);
        if (next)
            change.changed++;
        else
            change.removed++;
    }
    for (size_t i = 0; i < s->route_count; i++) {
        if (find_running(e, s->routes[i].name))
            continue;
        add_route(e, s, &s->routes[i]);
        change.added++;
    }
    LIST_EACH(&e->routes, node) {
        struct running *r = LIST_ENTRY(node, struct running, node);
        if (!r->alive && !r->stopping)
            start_instances(e, r);
    }
    struct settings *old = e->settings;
    e->settings = settings_ref(s);
    settings_unref(old);
    share_out(e);
    if (done)
        done(arg, &change);
}

static void route_gone(struct engine *e, struct running *r)
{
    struct settings *next_settings = r->next_settings;
    const struct route_settings *next = r->next;
    bool paused = r->paused;
    list_remove(&r->node);
    settings_unref(r->settings);
    free(r);
    if (next && !e->stopped) {
        struct running *successor = add_route(e, next_settings, next);
        successor->paused = paused;
        start_instances(e, successor);
    }
    settings_unref(next_settings);
    if (e->stopped && list_empty(&e->routes))
        e->stopped(e->stopped_arg, e->returned);
}

static void on_instance_stopped(void *ctx, struct lane *l, const char *route, unsigned index, uint64_t returned)
{
    (void)l, (void)index;
    struct engine *e = ctx;
    struct running *r = find_running(e, route);
    e->returned += returned;
    if (r && --r->alive == 0)
        route_gone(e, r);
}

/* ---- the operator */

bool engine_pause(struct engine *e, const char *route)
{
    struct running *r = find_running(e, route);
    if (!r)
        return false;
    r->paused = true;
    command(e, LANE_PAUSE, route, 0);
    return true;
}

bool engine_resume(struct engine *e, const char *route)
{
    struct running *r = find_running(e, route);
    if (!r)
        return false;
    r->paused = false;
    command(e, LANE_RESUME, route, 0);
    return true;
}

/* ---- reports */

static uint64_t resident_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void finish(struct inquiry *q)
{
    struct engine *e = q->engine;
    struct report *r = q->report;
    r->complete = q->missing == 0;
    report_sort(r, e->settings);
    list_remove(&q->node);
    timer_close(&q->timeout);
    q->done(q->arg, r);
    free(q);
}

static void on_inquiry_timeout(void *arg)
{
    finish(arg);
}

void engine_report(struct engine *e, void (*done)(void *arg, struct report *r), void *arg)
{
    struct inquiry *q = mem_zero(sizeof *q);
    struct report *r = mem_zero(sizeof *r);
    r->taken_wall_ms = clock_wall_ms();
    r->uptime_s = (double)(clock_us() - e->started_us) / SEC;
    snprintf(r->name, sizeof r->name, "%s", e->settings ? e->settings->name : "");
    r->rss_bytes = resident_bytes();
    r->stalls = e->watchdog ? watchdog_stalls(e->watchdog) : 0;
    *q = (struct inquiry){
        .number = ++e->next_inquiry, .missing = e->lane_count, .report = r, .engine = e, .done = done, .arg = arg
    };
    list_push_back(&e->inquiries, &q->node);
    timer_init(&q->timeout, e->loop, on_inquiry_timeout, q);
    timer_set(&q->timeout, SEC);
    for (unsigned i = 0; i < e->lane_count; i++)
        lane_report_request(e->lanes[i], q->number);
}

static void on_reported(void *ctx, struct lane *l, struct lane_report *part)
{
    (void)l;
    struct engine *e = ctx;
    LIST_EACH(&e->inquiries, node) {
        struct inquiry *q = LIST_ENTRY(node, struct inquiry, node);
        if (q->number != part->request)
            continue;
        report_add_lane(q->report, part);
        if (--q->missing == 0)
            finish(q);
        break;
    }
    lane_report_free(part);
}

/* ---- the end */

struct stop_mail {
    struct mail mail;
    struct engine *engine;
};

static void on_nothing_to_stop(struct mail *m)
{
    struct stop_mail *s = CONTAINER_OF(m, struct stop_mail, mail);
    struct engine *e = s->engine;
    free(s);
    e->stopped(e->stopped_arg, 0);
}

void engine_stop(struct engine *e, int64_t grace_us, void (*done)(void *arg, uint64_t returned), void *arg)
{
    e->stopped = done;
    e->stopped_arg = arg;
    LIST_EACH(&e->routes, node) {
        stop_route(e, LIST_ENTRY(node, struct running, node), grace_us);
    }
    if (list_empty(&e->routes)) {
        struct stop_mail *s = mem_zero(sizeof *s);
        s->mail.deliver = on_nothing_to_stop;
        s->engine = e;
        mailbox_post(e->inbox, &s->mail);
    }
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    for (unsigned i = 0; i < e->lane_count; i++)
        lane_free(e->lanes[i]);
    struct list *node;
    while ((node = list_pop_front(&e->inquiries))) {
        struct inquiry *q = LIST_ENTRY(node, struct inquiry, node);
        timer_close(&q->timeout);
        report_free(q->report);
        free(q);
    }
    mailbox_free(e->inbox);
    resolver_free(e->resolver);
    settings_unref(e->settings);
    free(e->lanes);
    free(e);
}
