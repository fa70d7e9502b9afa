/* Runs one instance of a route: see instance.h. */
#include "route/instance_private.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

enum {
    GRANT_MESSAGES = 8192, /* topped up when half is used */
    GRANT_BYTES = 8 << 20,
    AHEAD_MESSAGES = 8192, /* what may wait for the fastest sink before the source is asked for no more: bounds are for
                                 trouble; a queue that only grows costs memory and latency */
    AHEAD_BYTES = 32 << 20,
};

static const struct source_host source_host;
static const struct outlet_host outlet_host;
static void on_turn(void *arg);
static void deliver(void *arg, struct root **roots, size_t n);
static void on_drain_timer(void *arg);
static void update_source_pause(struct instance *i);

static void wake(void *ctx)
{
    struct instance *i = ctx;
    loop_defer(i->start.loop, &i->turn);
}

/* ---- making one */

static struct transport_lane *transport_of(struct instance *i, const struct connection *c)
{
    return c ? i->start.transport(i->start.lane, c->kind->transport) : NULL;
}

static struct environment environment(struct instance *i, const struct connection *c)
{
    return (struct environment){
        .loop = i->start.loop,
        .resolver = i->start.resolver,
        .transport = transport_of(i, c),
        .connection = c,
        .member = i->member,
        .route = i->start.route->name,
        .instance = i->start.index,
        .order = i->start.route->order,
        /* Half of the guarantee is for what clients prefetch, the other half for what is in flight. */
        .share_messages = (uint64_t)i->messages.budget.guarantee,
        .share_bytes = (uint64_t)(i->bytes.budget.guarantee / 2 + 1),
        .share_unsettled = (uint64_t)(i->start.settings->limits.unsettled / i->start.instances_total + 1),
    };
}

struct instance *instance_new(const struct instance_start *start)
{
    struct instance *i = mem_zero(sizeof *i);
    const struct route_settings *route = start->route;
    i->start = *start;
    settings_ref(start->settings);
    i->paused = start->paused;
    task_init(&i->turn, on_turn, i);
    timer_init(&i->drain_timer, start->loop, on_drain_timer, i);
    i->roots = pool_new(sizeof(struct root));
    i->pipeline = pipeline_new(route->order != ORDER_NONE, deliver, i);
    i->messages.budget.pool = start->messages;
    i->bytes.budget.pool = start->bytes;
    instance_share(i, start->instances_total);

    char suffix[16] = "";
    if (route->instances > 1)
        snprintf(suffix, sizeof suffix, "#%u", start->index);
    snprintf(i->subject, sizeof i->subject, "route %s%s", route->name, suffix);
    snprintf(i->from_subject, sizeof i->from_subject, "%s from", i->subject);
    snprintf(i->member, sizeof i->member, "%s.%s.%u", start->settings->name, route->name, start->index);

    i->outlet_count = route->to_count;
    i->outlets = mem_array(route->to_count, sizeof *i->outlets);
    for (size_t n = 0; n < route->to_count; n++) {
        char subject[160];
        snprintf(subject, sizeof subject, route->to_count > 1 ? "%s to[%zu]" : "%s to", i->subject, n);
        struct environment env = environment(i, route->to[n].connection);
        env.subject = subject;
        outlet_init(&i->outlets[n], &route->to[n], &env, &outlet_host, i);
    }
    struct environment env = environment(i, route->from.connection);
    env.subject = i->from_subject;
    i->source = route->from.source->create(route->from.settings, &env, &source_host, i);
    return i;
}

void instance_run(struct instance *i)
{
    i->life = LIFE_RUNNING;
    for (size_t n = 0; n < i->outlet_count; n++)
        outlet_start(&i->outlets[n]);
    i->source->ops->start(i->source);
    update_source_pause(i);
    wake(i);
}

const struct route_settings *instance_route(const struct instance *i)
{
    return i->start.route;
}

unsigned instance_index(const struct instance *i)
{
    return i->start.index;
}

struct pipeline *instance_pipeline(struct instance *i)
{
    return i->pipeline;
}

void instance_share(struct instance *i, unsigned instances_total)
{
    i->start.instances_total = instances_total;
    i->messages.budget.guarantee = budget_guarantee(i->start.settings->limits.in_flight, instances_total);
    i->bytes.budget.guarantee = budget_guarantee(i->start.settings->limits.memory, instances_total) / 2 + 1;
}

/* ---- credit */

/* The least that waits at any sink: while it is plenty, more from the source would only wait too. */
static bool enough_ahead(const struct instance *i)
{
    if (!i->start.route->from.source->caps.at_least_once)
        return false; /* a source that cannot wait may use all of the bounds */
    size_t least = SIZE_MAX;
    for (size_t n = 0; n < i->outlet_count; n++) {
        size_t waiting = outlet_waiting(&i->outlets[n]);
        least = waiting < least ? waiting : least;
    }
    if (least >= AHEAD_MESSAGES)
        return true;
    return least > 0 && i->bytes.held / (i->messages.held ? i->messages.held : 1) * (int64_t)least > AHEAD_BYTES;
}

static void grant(struct instance *i)
{
    allowance_give(&i->messages);
    allowance_give(&i->bytes);
    i->short_of_messages = i->short_of_bytes = false;
    if (i->life != LIFE_RUNNING || i->source_paused || i->ended || enough_ahead(i))
        return;
    int64_t messages = allowance_top_up(&i->messages, GRANT_MESSAGES, &i->short_of_messages);
    int64_t bytes = allowance_top_up(&i->bytes, GRANT_BYTES, &i->short_of_bytes);
    if (messages > 0 || bytes > 0)
        i->source->ops->grant(i->source, (uint64_t)messages, (uint64_t)bytes);
}

/* ---- intake */

static void refuse_key(struct instance *i, struct root *r, const char *error)
{
    char scratch[MESSAGE_ID_MAX];
    struct bytes id = message_id(r->message, scratch);
    snprintf(i->refused_reason, sizeof i->refused_reason, "from.key: %s", error);
    if (!ring_len(&i->refused))
        log_error(i->subject, "message %.*s has no order key and the route pauses until `ferryctl resume`: %s",
                  (int)id.len, id.data ? (const char *)id.data : "", i->refused_reason);
    message_own(r->message);
    ring_push(&i->refused, r);
    update_source_pause(i);
}

/* from.key becomes the message's key. */
static bool make_key(struct instance *i, struct message *m, const char **error)
{
    const struct template *t = i->start.route->from.key;
    struct bytes key;
    if (template_peek(t, m, &key)) {
        message_set_key(m, key);
        return true;
    }
    buf_clear(&i->scratch);
    if (!template_render(t, m, &i->scratch, error))
        return false;
    message_set_key(m, message_hold(m, buf_bytes(&i->scratch)));
    return true;
}

static uint64_t order_of(const struct instance *i, const struct message *m)
{
    switch (i->start.route->order) {
    case ORDER_NONE:
        return 0;
    case ORDER_STRICT:
        return 1;
    default:
        return m->key_len ? hash_bytes(message_key(m)) : 0;
    }
}

static struct root *root_of(struct instance *i, const struct arrival *a)
{
    struct root *r = pool_get(i->roots);
    *r = (struct root){
        .message = a->message,
        .token_a = a->token.a,
        .token_b = a->token.b,
        .generation = a->token.generation,
        .ticket = i->next_ticket++,
        .open = (uint16_t)i->outlet_count,
    };
    return r;
}

static void on_intake(void *ctx, struct arrival *arrivals, size_t n)
{
    struct instance *i = ctx;
    struct root *roots[256];
    size_t count = 0;
    int64_t bytes = 0;
    bool keyed = i->start.route->from.key != NULL;
    for (size_t at = 0; at < n; at++) {
        struct root *r = root_of(i, &arrivals[at]);
        bytes += (int64_t)message_size(r->message);
        const char *error = NULL;
        if (keyed && !make_key(i, r->message, &error)) {
            refuse_key(i, r, error);
            continue;
        }
        r->order = order_of(i, r->message);
        roots[count++] = r;
        if (count == ARRAY_LEN(roots)) {
            pipeline_run(i->pipeline, roots, count);
            count = 0;
        }
    }
    i->counters.in += n;
    i->counters.bytes_in += (uint64_t)bytes;
    allowance_use(&i->messages, (int64_t)n);
    allowance_use(&i->bytes, bytes);
    if (count)
        pipeline_run(i->pipeline, roots, count);
    wake(i);
}

static void deliver(void *arg, struct root **roots, size_t n)
{
    struct instance *i = arg;
    for (size_t o = 0; o < i->outlet_count; o++)
        for (size_t at = 0; at < n; at++)
            outlet_push(&i->outlets[o], roots[at]);
    wake(i);
}

/* ---- outcomes */

static void flush_settled(struct instance *i)
{
    size_t n = i->settling_count;
    i->settling_count = 0;
    if (n)
        i->source->ops->settle(i->source, i->settling, n);
}

static void settle(struct instance *i, struct root *r)
{
    if (i->settling_count == SETTLE_BATCH)
        flush_settled(i);
    i->settling[i->settling_count++] = root_token(r);
}

static void root_free(struct instance *i, struct root *r)
{
    allowance_free(&i->messages, 1);
    i->orphans -= r->orphan;
    allowance_free(&i->bytes, (int64_t)message_size(r->message));
    message_unref(r->message);
    pool_put(i->roots, r);
}

/* Its outcome is known, or the source has it back. */
static void root_done(struct instance *i, struct root *r)
{
    if (!r->orphan) {
        switch (r->outcome) {
        case OUTCOME_DELIVERED:
            i->counters.delivered++;
            break;
        case OUTCOME_DEAD:
            i->counters.dead++;
            break;
        case OUTCOME_DUPLICATE:
            i->counters.duplicate++;
            break;
        default:
            i->counters.filtered++;
            break;
        }
        settle(i, r);
    }
    root_free(i, r);
}

/* Counted once, though its memory may wait for verdicts that are still to come. */
static void orphan(struct instance *i, struct root *r)
{
    if (r->orphan)
        return;
    r->orphan = 1;
    i->orphans++;
    i->counters.returned++;
}

static void on_branch_done(void *ctx, struct outlet *o, struct root *r, bool dropped)
{
    struct instance *i = ctx;
    (void)o;
    if (dropped)
        orphan(i, r);
    else if (r->outcome < OUTCOME_DELIVERED)
        r->outcome = OUTCOME_DELIVERED;
    if (--r->open == 0)
        root_done(i, r);
}

struct taken_back {
    struct instance *instance;
    uint32_t generation;
};

static void take_back(void *object, void *arg)
{
    struct root *r = object;
    const struct taken_back *t = arg;
    if (r->generation == t->generation)
        orphan(t->instance, r);
}

/* What is parked for good goes now; the rest when it comes by. */
static void sweep(struct instance *i)
{
    for (size_t n = ring_len(&i->refused); n > 0; n--) {
        struct root *r = ring_pop(&i->refused);
        if (r->orphan)
            root_free(i, r);
        else
            ring_push(&i->refused, r);
    }
    for (size_t n = 0; n < i->outlet_count; n++)
        outlet_sweep(&i->outlets[n]);
    update_source_pause(i);
    wake(i);
}

static void on_returned(void *ctx, uint32_t generation)
{
    struct instance *i = ctx;
    uint64_t before = i->counters.returned;
    flush_settled(i);
    pool_each(i->roots, take_back, &(struct taken_back){ i, generation });
    if (i->counters.returned != before)
        log_info(i->subject, "the source took back %llu messages in flight",
                 (unsigned long long)(i->counters.returned - before));
    sweep(i);
}

static void on_released(void *ctx, const struct token *tokens, size_t n)
{
    (void)ctx, (void)tokens, (void)n; /* this engine releases nothing yet but by stopping */
}

/* ---- one turn a pass of the loop */

static bool refused(const struct instance *i)
{
    if (ring_len(&i->refused))
        return true;
    for (size_t n = 0; n < i->outlet_count; n++)
        if (i->outlets[n].refused)
            return true;
    return false;
}

static void update_source_pause(struct instance *i)
{
    bool pause = i->paused || refused(i);
    if (pause == i->source_paused || i->life != LIFE_RUNNING)
        return;
    i->source_paused = pause;
    if (pause)
        i->source->ops->pause(i->source);
    else
        i->source->ops->resume(i->source);
}

static void stop_endpoints(struct instance *i, int64_t grace_us)
{
    i->life = LIFE_STOPPING;
    timer_cancel(&i->drain_timer);
    flush_settled(i);
    i->source->ops->stop(i->source, grace_us);
    for (size_t n = 0; n < i->outlet_count; n++)
        outlet_stop(&i->outlets[n], grace_us);
}

static void on_turn(void *arg)
{
    struct instance *i = arg;
    if (i->life == LIFE_STOPPING || i->life == LIFE_STOPPED)
        return;
    loop_set_doing(i->start.loop, i->subject);
    flush_settled(i);
    update_source_pause(i);
    if (i->life != LIFE_ABANDONED)
        for (size_t n = 0; n < i->outlet_count; n++)
            outlet_pump(&i->outlets[n]);
    grant(i);
    instance_sample_rates(i);
    bool draining = i->life == LIFE_DRAINING || i->life == LIFE_ABANDONED;
    if (draining && pool_used(i->roots) == 0)
        stop_endpoints(i, SEC);
}

/* ---- the operator */

void instance_pause(struct instance *i)
{
    i->paused = true;
    update_source_pause(i);
}

bool instance_paused(const struct instance *i)
{
    return i->paused;
}

static void retry_refused(struct instance *i)
{
    for (size_t n = ring_len(&i->refused); n > 0; n--) {
        struct root *r = ring_pop(&i->refused);
        const char *error = NULL;
        if (!make_key(i, r->message, &error)) {
            refuse_key(i, r, error);
            continue;
        }
        r->order = order_of(i, r->message);
        pipeline_run(i->pipeline, &r, 1);
    }
}

void instance_resume(struct instance *i)
{
    i->paused = false;
    retry_refused(i);
    for (size_t n = 0; n < i->outlet_count; n++)
        outlet_resume(&i->outlets[n]);
    update_source_pause(i);
    wake(i);
}

/* ---- the end */

void instance_stop(struct instance *i, int64_t grace_us)
{
    if (i->life != LIFE_RUNNING)
        return;
    i->life = LIFE_DRAINING;
    i->returned_before_stop = i->counters.returned;
    i->source->ops->drain(i->source);
    timer_set(&i->drain_timer, grace_us > SEC ? grace_us - SEC / 2 : grace_us / 2);
    wake(i);
}

static void abandon_refused(struct instance *i)
{
    struct root *r;
    while ((r = ring_pop(&i->refused))) {
        orphan(i, r);
        root_free(i, r);
    }
}

static void abandon_staged(void *object, void *arg)
{
    orphan(arg, object);
}

static void on_drain_timer(void *arg)
{
    struct instance *i = arg;
    if (i->life == LIFE_DRAINING) {
        i->life = LIFE_ABANDONED;
        abandon_refused(i);
        for (size_t n = 0; n < i->outlet_count; n++)
            outlet_abandon(&i->outlets[n]);
        timer_set(&i->drain_timer, SEC / 4);
        wake(i);
        return;
    }
    /* Stages and sinks had their time: what they still hold is returned too, and freed with the instance. */
    pool_each(i->roots, abandon_staged, i);
    stop_endpoints(i, SEC / 4);
}

static void stopped_one(struct instance *i)
{
    if (!i->source_stopped)
        return;
    for (size_t n = 0; n < i->outlet_count; n++)
        if (!i->outlets[n].stopped)
            return;
    i->life = LIFE_STOPPED;
    uint64_t returned = i->counters.returned - i->returned_before_stop;
    if (returned)
        log_warning(i->subject, "stopped with %llu messages returned to the source undelivered",
                    (unsigned long long)returned);
    i->start.stopped(i->start.lane, i, returned);
}

static void on_source_stopped(void *ctx)
{
    struct instance *i = ctx;
    i->source_stopped = true;
    stopped_one(i);
}

static void on_outlet_stopped(void *ctx, struct outlet *o)
{
    (void)o;
    stopped_one(ctx);
}

static void free_root(void *object, void *arg)
{
    root_free(arg, object);
}

void instance_free(struct instance *i)
{
    for (size_t n = 0; n < i->outlet_count; n++)
        outlet_clear(&i->outlets[n]);
    free(i->outlets);
    pipeline_free(i->pipeline);
    pool_each(i->roots, free_root, i);
    i->source->ops->free(i->source);
    pool_free(i->roots);
    /* The unused grant goes back too. */
    budget_give(&i->messages.budget, i->messages.budget.used);
    budget_give(&i->bytes.budget, i->bytes.budget.used);
    ring_free(&i->refused);
    buf_free(&i->scratch);
    task_cancel(&i->turn);
    timer_close(&i->drain_timer);
    settings_unref(i->start.settings);
    free(i);
}

static void on_ended(void *ctx)
{
    struct instance *i = ctx;
    i->ended = true;
    wake(i);
}

static const struct source_host source_host = {
    .intake = on_intake,
    .returned = on_returned,
    .released = on_released,
    .status = wake,
    .ended = on_ended,
    .stopped = on_source_stopped,
};

static const struct outlet_host outlet_host = {
    .done = on_branch_done,
    .wake = wake,
    .stopped = on_outlet_stopped,
};
