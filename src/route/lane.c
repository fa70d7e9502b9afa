/* A lane's thread and its mail. */
#include "route/lane.h"

#include "base/log.h"
#include "base/mem.h"
#include "runtime/thread.h"

#include <stdio.h>

struct resident {
    struct list node;
    struct instance *instance;
    struct lane *lane;
};

struct open_transport {
    const struct transport *transport;
    struct transport_lane *lane;
};

struct lane {
    unsigned index, load; /* load: the main thread's */
    struct loop *loop;
    struct mailbox *inbox, *main;
    struct resolver *resolver;
    struct lane_host host;
    pthread_t thread;
    struct list residents;
    struct open_transport transports[8];
    char name[16];
};

/* One kind of mail for every request: what to do, and its arguments. */
struct request {
    struct mail mail;
    struct lane *lane;
    void (*run)(struct request *r);
    struct settings *settings;
    const struct route_settings *route;
    char *name;
    unsigned index, instances_total;
    struct budget_pool *messages, *bytes;
    bool paused;
    enum lane_command command;
    int64_t grace_us;
    uint64_t number;
};

static void on_request(struct mail *m)
{
    struct request *r = CONTAINER_OF(m, struct request, mail);
    r->run(r);
    settings_unref(r->settings);
    free(r->name);
    free(r);
}

static void post(struct lane *l, struct request request)
{
    struct request *r = mem_dup(&request, sizeof request);
    r->lane = l;
    r->mail.deliver = on_request;
    mailbox_post(l->inbox, &r->mail);
}

/* ---- making, running */

struct lane *lane_new(unsigned index, struct resolver *resolver, struct mailbox *main, const struct lane_host *host)
{
    struct lane *l = mem_zero(sizeof *l);
    l->index = index;
    l->resolver = resolver;
    l->main = main;
    l->host = *host;
    snprintf(l->name, sizeof l->name, "lane %u", index);
    l->loop = loop_new(l->name);
    l->inbox = mailbox_new(l->loop);
    list_init(&l->residents);
    return l;
}

struct loop *lane_loop(struct lane *l)
{
    return l->loop;
}

static void close_transports(struct lane *l)
{
    for (size_t i = 0; i < ARRAY_LEN(l->transports) && l->transports[i].transport; i++)
        l->transports[i].transport->close(l->transports[i].lane);
}

static void *lane_thread(void *arg)
{
    struct lane *l = arg;
    loop_run(l->loop);
    close_transports(l);
    return NULL;
}

void lane_run(struct lane *l)
{
    l->thread = thread_start(l->name, lane_thread, l);
}

unsigned lane_load(const struct lane *l)
{
    return l->load;
}

void lane_free(struct lane *l)
{
    loop_stop(l->loop);
    pthread_join(l->thread, NULL);
    mailbox_free(l->inbox);
    loop_free(l->loop);
    free(l);
}

static struct transport_lane *transport_lane(void *arg, const char *name)
{
    struct lane *l = arg;
    size_t i = 0;
    for (; i < ARRAY_LEN(l->transports) && l->transports[i].transport; i++)
        if (strcmp(l->transports[i].transport->name, name) == 0)
            return l->transports[i].lane;
    for (size_t t = 0; transports[t] && i < ARRAY_LEN(l->transports); t++) {
        if (strcmp(transports[t]->name, name) != 0)
            continue;
        l->transports[i] = (struct open_transport){ transports[t], transports[t]->open(l->loop, l->resolver) };
        return l->transports[i].lane;
    }
    return NULL;
}

/* ---- instances */

struct stopped_mail {
    struct mail mail;
    struct lane *lane;
    char *route;
    unsigned index;
    uint64_t returned;
};

static void on_stopped_mail(struct mail *m)
{
    struct stopped_mail *s = CONTAINER_OF(m, struct stopped_mail, mail);
    s->lane->load--;
    s->lane->host.instance_stopped(s->lane->host.ctx, s->lane, s->route, s->index, s->returned);
    free(s->route);
    free(s);
}

/* The instance is inside its own callback, so it is freed by mail to ourselves. */
struct free_mail {
    struct mail mail;
    struct resident *resident;
    uint64_t returned;
};

static void on_free_mail(struct mail *m)
{
    struct free_mail *f = CONTAINER_OF(m, struct free_mail, mail);
    struct resident *r = f->resident;
    struct stopped_mail *s = mem_zero(sizeof *s);
    s->mail.deliver = on_stopped_mail;
    s->lane = r->lane;
    s->route = mem_string(instance_route(r->instance)->name);
    s->index = instance_index(r->instance);
    s->returned = f->returned;
    instance_free(r->instance);
    list_remove(&r->node);
    mailbox_post(r->lane->main, &s->mail);
    free(r);
    free(f);
}

static void on_instance_stopped(void *arg, struct instance *i, uint64_t returned)
{
    struct lane *l = arg;
    LIST_EACH(&l->residents, node) {
        struct resident *r = LIST_ENTRY(node, struct resident, node);
        if (r->instance != i)
            continue;
        struct free_mail *f = mem_zero(sizeof *f);
        f->mail.deliver = on_free_mail;
        f->resident = r;
        f->returned = returned;
        mailbox_post(l->inbox, &f->mail);
    }
}

static void run_add(struct request *r)
{
    struct resident *resident = mem_zero(sizeof *resident);
    resident->lane = r->lane;
    list_push_back(&r->lane->residents, &resident->node);
    resident->instance = instance_new(&(struct instance_start){
        .settings = r->settings,
        .route = r->route,
        .index = r->index,
        .messages = r->messages,
        .bytes = r->bytes,
        .instances_total = r->instances_total,
        .loop = r->lane->loop,
        .resolver = r->lane->resolver,
        .transport = transport_lane,
        .lane = r->lane,
        .stopped = on_instance_stopped,
        .paused = r->paused,
    });
    instance_run(resident->instance);
}

void lane_add(struct lane *l, struct settings *settings, const struct route_settings *route, unsigned index,
              unsigned instances_total, struct budget_pool *messages, struct budget_pool *bytes, bool paused)
{
    l->load++;
    post(l, (struct request){ .run = run_add,
                              .settings = settings_ref(settings),
                              .route = route,
                              .index = index,
                              .instances_total = instances_total,
                              .messages = messages,
                              .bytes = bytes,
                              .paused = paused });
}

static void run_command(struct request *r)
{
    LIST_EACH(&r->lane->residents, node) {
        struct instance *i = LIST_ENTRY(node, struct resident, node)->instance;
        if (strcmp(instance_route(i)->name, r->name) != 0)
            continue;
        switch (r->command) {
        case LANE_PAUSE:
            instance_pause(i);
            break;
        case LANE_RESUME:
            instance_resume(i);
            break;
        case LANE_STOP:
            instance_stop(i, r->grace_us);
            break;
        }
    }
}

void lane_command(struct lane *l, enum lane_command command, const char *route, int64_t grace_us)
{
    post(l,
         (struct request){ .run = run_command, .command = command, .name = mem_string(route), .grace_us = grace_us });
}

static void run_share(struct request *r)
{
    LIST_EACH(&r->lane->residents, node) {
        instance_share(LIST_ENTRY(node, struct resident, node)->instance, r->instances_total);
    }
}

void lane_share(struct lane *l, unsigned instances_total)
{
    post(l, (struct request){ .run = run_share, .instances_total = instances_total });
}

/* ---- reports */

struct report_mail {
    struct mail mail;
    struct lane *lane;
    struct lane_report *report;
};

static void on_report_mail(struct mail *m)
{
    struct report_mail *r = CONTAINER_OF(m, struct report_mail, mail);
    r->lane->host.reported(r->lane->host.ctx, r->lane, r->report);
    free(r);
}

static void add_connection(const struct connection_report *c, void *arg)
{
    struct lane_report *r = arg;
    r->connections = mem_resize(r->connections, (r->connection_count + 1) * sizeof *r->connections);
    r->connections[r->connection_count++] = *c;
}

static void run_report(struct request *request)
{
    struct lane *l = request->lane;
    struct lane_report *r = mem_zero(sizeof *r);
    r->request = request->number;
    LIST_EACH(&l->residents, node) {
        struct instance *i = LIST_ENTRY(node, struct resident, node)->instance;
        r->instances = mem_resize(r->instances, (r->instance_count + 1) * sizeof *r->instances);
        struct route_report *one = &r->instances[r->instance_count++];
        *one = (struct route_report){ .to_count = instance_route(i)->to_count };
        one->to = mem_array(one->to_count, sizeof *one->to);
        instance_report(i, one);
    }
    for (size_t t = 0; t < ARRAY_LEN(l->transports) && l->transports[t].transport; t++)
        l->transports[t].transport->report(l->transports[t].lane, add_connection, r);
    struct report_mail *m = mem_zero(sizeof *m);
    m->mail.deliver = on_report_mail;
    m->lane = l;
    m->report = r;
    mailbox_post(l->main, &m->mail);
}

void lane_report_request(struct lane *l, uint64_t request)
{
    post(l, (struct request){ .run = run_report, .number = request });
}

void lane_report_free(struct lane_report *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->instance_count; i++)
        free(r->instances[i].to);
    free(r->instances);
    free(r->connections);
    free(r);
}
