/* Plays random histories on a whole route instance between a source and sinks made for it, in virtual time, and holds the
 * outcome against the rules of settling:
 *
 *   - nothing is settled before every sink confirmed it, nothing twice, everything in the end;
 *   - order: key and strict: the first confirmations of a key come in the source's order, at every sink;
 *   - in = delivered + … + returned + in flight, at every step; every message is freed; the source is never asked for more
 *     than the bounds.
 *
 * A failure prints the seed of its case and a smaller case that fails too; FERRY_SEED=N plays one again. */
#include "../support/virtual_loop.h"

#include "base/random.h"
#include "route/instance.h"
#include "support/seeds.h"

#include <inttypes.h>
#include <stdio.h>

enum { MESSAGES_MAX = 400, SINKS_MAX = 3, CASES = 10000, IN_FLIGHT_LIMIT = 64 };

struct shape {
    uint64_t seed;
    unsigned messages, keys, sinks, steps_of_trouble;
    enum order order;
    bool keeps_order, stage;
};

static uint64_t state;
static const char *failure;

static uint64_t draw(uint64_t bound)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717) % bound;
}

static void fail(const char *why)
{
    if (!failure)
        failure = why;
}

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            fail(#condition); \
    } while (0)

/* The settings here are on the stack. */
struct settings *settings_ref(struct settings *s)
{
    return s;
}
void settings_unref(struct settings *s)
{
    (void)s;
}

/* ---- the model: what truly happened to each position */

struct truth {
    unsigned key;
    bool settled, in_hand; /* in_hand: brought in this generation, not settled */
    bool applied[SINKS_MAX];
};

struct fake_source {
    struct source base;
    int64_t credit_messages, credit_bytes;
    unsigned next;
    uint32_t generation;
    bool paused, drained;
    struct task stop_task;
};

struct fake_delivery {
    struct list node;
    void *tag;
    unsigned position;
};

struct fake_sink {
    struct sink base;
    unsigned index;
    struct list outstanding;
    size_t count;
    bool down;
    struct task stop_task;
};

static struct world {
    struct shape shape;
    struct truth truth[MESSAGES_MAX];
    struct fake_source *source;
    struct fake_sink *sinks[SINKS_MAX];
    struct instance *instance;
    struct loop *loop;
    long live_messages;
    unsigned most_in_hand, in_hand;
    bool healed, stopped, ended;
    uint64_t in_expected, returned_expected;
} world;

/* ---- source */

struct fake_backing {
    struct backing base;
};

static void release_backing(struct backing *b)
{
    world.live_messages--;
    free(b);
}

static struct message *make_message(unsigned position)
{
    static char keys[64][16], payloads[MESSAGES_MAX][16];
    struct message *m = message_new();
    struct fake_backing *b = mem_zero(sizeof *b);
    b->base = (struct backing){ 1, release_backing };
    world.live_messages++;
    m->backing = &b->base;
    snprintf(payloads[position], sizeof payloads[0], "%u", position);
    message_set_payload(m, bytes_of_string(payloads[position]));
    unsigned key = world.truth[position].key;
    if (key) {
        snprintf(keys[key % 64], sizeof keys[0], "%u", key);
        message_set_key(m, bytes_of_string(keys[key % 64]));
    }
    return m;
}

static unsigned position_of(const struct message *m)
{
    unsigned position = 0;
    for (uint32_t i = 0; i < m->payload_len; i++)
        position = position * 10 + (unsigned)(m->payload[i] - '0');
    return position;
}

static void source_bring(struct fake_source *s)
{
    struct arrival arrivals[40];
    size_t n = 0, most = 1 + draw(ARRAY_LEN(arrivals));
    while (n < most && s->next < world.shape.messages && s->credit_messages > (int64_t)n && s->credit_bytes > 0) {
        unsigned p = s->next++;
        if (world.truth[p].settled)
            continue;
        arrivals[n++] = (struct arrival){ make_message(p), { p, 7, s->generation } };
        world.truth[p].in_hand = true;
        world.in_hand++;
    }
    if (world.in_hand > world.most_in_hand)
        world.most_in_hand = world.in_hand;
    s->credit_messages -= (int64_t)n;
    world.in_expected += n;
    source_intake(&s->base, arrivals, n);
}

static void fake_source_start(struct source *base)
{
    base->status.state = ENDPOINT_UP;
}
static void fake_grant(struct source *base, uint64_t messages, uint64_t bytes)
{
    struct fake_source *s = (struct fake_source *)base;
    s->credit_messages += (int64_t)messages;
    s->credit_bytes += (int64_t)bytes;
    REQUIRE(s->credit_messages <= IN_FLIGHT_LIMIT);
}
static void fake_settle(struct source *base, const struct token *tokens, size_t n)
{
    struct fake_source *s = (struct fake_source *)base;
    for (size_t i = 0; i < n; i++) {
        if (tokens[i].generation != s->generation)
            continue;
        struct truth *t = &world.truth[tokens[i].a];
        REQUIRE(tokens[i].b == 7);
        REQUIRE(!t->settled);
        REQUIRE(t->in_hand);
        for (unsigned k = 0; k < world.shape.sinks; k++)
            REQUIRE(t->applied[k]);
        t->settled = true;
        t->in_hand = false;
        world.in_hand--;
    }
}
static void fake_release(struct source *base, const struct token *tokens, size_t n)
{
    (void)base, (void)tokens, (void)n;
    fail("release is not expected");
}
static void fake_pause(struct source *base)
{
    REQUIRE(!((struct fake_source *)base)->paused);
    ((struct fake_source *)base)->paused = true;
}
static void fake_resume(struct source *base)
{
    REQUIRE(((struct fake_source *)base)->paused);
    ((struct fake_source *)base)->paused = false;
}
static void fake_drain(struct source *base)
{
    ((struct fake_source *)base)->drained = true;
}
static void fake_source_stop(struct source *base, int64_t grace_us)
{
    (void)grace_us;
    loop_defer(world.loop, &((struct fake_source *)base)->stop_task);
}
static void source_has_stopped(void *arg)
{
    struct source *s = arg;
    s->host->stopped(s->ctx);
}
static void fake_source_free(struct source *base)
{
    free(base);
}
static const struct source_ops fake_source_ops = {
    fake_source_start, fake_grant, fake_settle,      fake_release,     fake_pause,
    fake_resume,       fake_drain, fake_source_stop, fake_source_free,
};
static struct source *fake_source_create(const void *settings, const struct environment *env,
                                         const struct source_host *host, void *ctx)
{
    (void)settings;
    struct fake_source *s = mem_zero(sizeof *s);
    s->base = (struct source){ .ops = &fake_source_ops, .host = host, .ctx = ctx, .subject = env->subject };
    s->generation = 1;
    task_init(&s->stop_task, source_has_stopped, s);
    return &(world.source = s)->base;
}

static void source_disconnect(struct fake_source *s)
{
    s->base.host->returned(s->base.ctx, s->generation);
    s->generation++;
    world.returned_expected += world.in_hand;
    s->next = 0;
    for (unsigned p = 0; p < world.shape.messages; p++)
        world.truth[p].in_hand = false;
    world.in_hand = 0;
}

/* ---- sinks */

static void fake_sink_start(struct sink *base)
{
    base->status.state = ENDPOINT_UP;
}
static struct window fake_window(struct sink *base)
{
    struct fake_sink *s = (struct fake_sink *)base;
    size_t most = world.healed ? 1000 : 1 + draw(50);
    return (struct window){ s->down || s->count >= most ? 0 : most - s->count, 1 << 20 };
}
static void fake_send(struct sink *base, const struct delivery *deliveries, size_t n)
{
    struct fake_sink *s = (struct fake_sink *)base;
    for (size_t i = 0; i < n; i++) {
        struct fake_delivery *d = mem_zero(sizeof *d);
        d->tag = deliveries[i].tag;
        d->position = position_of(deliveries[i].message);
        list_push_back(&s->outstanding, &d->node);
        s->count++;
    }
}

/* The destination has it: the oracle of order is here. */
static void apply(struct fake_sink *s, unsigned position)
{
    struct truth *t = &world.truth[position];
    if (t->applied[s->index])
        return;
    t->applied[s->index] = true;
    if (world.shape.order == ORDER_NONE || (world.shape.order == ORDER_KEY && !t->key))
        return;
    for (unsigned p = 0; p < position; p++)
        if (world.shape.order == ORDER_STRICT || world.truth[p].key == t->key)
            REQUIRE(world.truth[p].applied[s->index]);
}

static enum verdict_class draw_class(void)
{
    unsigned roll = (unsigned)draw(100);
    if (world.healed || roll < 80)
        return VERDICT_OK;
    if (roll < 86)
        return VERDICT_AGAIN;
    if (roll < 90)
        return VERDICT_RETRY;
    if (roll < 93)
        return VERDICT_FAULT;
    return roll < 95 ? VERDICT_REJECT : VERDICT_UNKNOWN;
}

/* Some of the outstanding get their verdicts. A sink that keeps order answers in order, and once one failed, all behind it
 * that share its key fail too; the other kind answers in any order, each for itself. */
static void answer(struct fake_sink *s, enum verdict_class all)
{
    struct verdict verdicts[64];
    size_t n = 0, most = all == VERDICT_CLASSES ? 1 + draw(ARRAY_LEN(verdicts)) : ARRAY_LEN(verdicts);
    unsigned failed[64];
    size_t failures = 0;
    LIST_EACH(&s->outstanding, node) {
        struct fake_delivery *d = LIST_ENTRY(node, struct fake_delivery, node);
        if (n == most)
            break;
        if (!world.shape.keeps_order && all == VERDICT_CLASSES && draw(3) == 0)
            continue;
        enum verdict_class class = all == VERDICT_CLASSES ? draw_class() : all;
        if (world.shape.keeps_order)
            for (size_t i = 0; i < failures; i++)
                if (world.shape.order == ORDER_STRICT || world.truth[failed[i]].key == world.truth[d->position].key)
                    class = VERDICT_AGAIN;
        if (class != VERDICT_OK)
            failed[failures++] = d->position;
        if (class == VERDICT_OK || (class == VERDICT_UNKNOWN && failures == 1 && draw(2)))
            apply(s, d->position);
        verdicts[n++] = (struct verdict){ d->tag, class, class == VERDICT_OK ? NULL : "drawn" };
        list_remove(&d->node);
        s->count--;
        free(d);
    }
    /* What is behind a failure of its key, in the same connection, fails with it. */
    if (world.shape.keeps_order && failures)
        LIST_EACH(&s->outstanding, node) {
            struct fake_delivery *d = LIST_ENTRY(node, struct fake_delivery, node);
            if (n == ARRAY_LEN(verdicts)) {
                sink_verdicts(&s->base, verdicts, n);
                n = 0;
            }
            verdicts[n++] = (struct verdict){ d->tag, VERDICT_AGAIN, "behind", draw(2) };
            list_remove(&d->node);
            s->count--;
            free(d);
        }
    sink_verdicts(&s->base, verdicts, n);
}

static void fake_cancel(struct sink *base)
{
    struct fake_sink *s = (struct fake_sink *)base;
    while (s->count)
        answer(s, VERDICT_UNKNOWN);
}
static void fake_probe(struct sink *base)
{
    (void)base;
}
static void fake_sink_stop(struct sink *base, int64_t grace_us)
{
    (void)grace_us;
    REQUIRE(((struct fake_sink *)base)->count == 0);
    loop_defer(world.loop, &((struct fake_sink *)base)->stop_task);
}
static void sink_has_stopped(void *arg)
{
    struct sink *s = arg;
    s->host->stopped(s->ctx);
}
static void fake_sink_free(struct sink *base)
{
    free(base);
}
static const struct sink_ops fake_sink_ops = {
    fake_sink_start, fake_window, fake_send, fake_cancel, fake_probe, fake_sink_stop, fake_sink_free,
};
static struct sink *fake_sink_create(const void *settings, const struct environment *env, const struct sink_host *host,
                                     void *ctx)
{
    struct fake_sink *s = mem_zero(sizeof *s);
    s->index = *(const unsigned *)settings;
    s->base = (struct sink){ .ops = &fake_sink_ops, .host = host, .ctx = ctx, .subject = env->subject };
    list_init(&s->outstanding);
    task_init(&s->stop_task, sink_has_stopped, s);
    return &(world.sinks[s->index] = s)->base;
}

/* ---- a stage that finishes in any order */

struct fake_stage {
    struct stage base;
    struct ticket *held[MESSAGES_MAX * 4];
    size_t count;
    struct timer timer;
};

static void stage_run(struct stage *base, struct ticket **tickets, size_t n)
{
    struct fake_stage *s = (struct fake_stage *)base;
    for (size_t i = 0; i < n; i++) {
        if (draw(4) == 0)
            stage_done(base, &tickets[i], 1);
        else
            s->held[s->count++] = tickets[i];
    }
    if (s->count && !s->timer.armed)
        timer_set(&s->timer, (int64_t)draw(5000));
}
static void stage_finish_some(void *arg)
{
    struct fake_stage *s = arg;
    struct ticket *done[16];
    size_t n = 0;
    while (s->count && n < ARRAY_LEN(done)) {
        size_t at = draw(s->count);
        done[n++] = s->held[at];
        s->held[at] = s->held[--s->count];
    }
    stage_done(&s->base, done, n);
    if (s->count && !s->timer.armed)
        timer_set(&s->timer, (int64_t)draw(5000));
}
static void stage_free(struct stage *base)
{
    struct fake_stage *s = (struct fake_stage *)base;
    timer_close(&s->timer);
    free(s);
}
static const struct stage_ops fake_stage_ops = { stage_run, stage_free };

/* ---- a case */

static void on_instance_stopped(void *lane, struct instance *i, uint64_t returned)
{
    (void)lane, (void)i, (void)returned;
    world.stopped = true;
}

static void check_account(void)
{
    struct route_report r = { .to_count = world.shape.sinks };
    struct endpoint_report to[SINKS_MAX] = { 0 };
    r.to = to;
    instance_report(world.instance, &r);
    REQUIRE(r.counters.in == world.in_expected);
    REQUIRE(route_in_flight(&r.counters) == r.in_flight);
    REQUIRE(r.counters.returned == world.returned_expected);
    REQUIRE(route_in_flight(&r.counters) <= (uint64_t)world.live_messages + MESSAGES_MAX);
    uint64_t parts = r.counters.delivered + r.counters.dead + r.counters.filtered + r.counters.duplicate +
                     r.counters.returned;
    REQUIRE(parts <= r.counters.in);
    if (world.healed && world.ended) {
        REQUIRE(parts == r.counters.in);
        REQUIRE(r.in_flight_bytes == 0);
        for (unsigned k = 0; k < world.shape.sinks; k++)
            REQUIRE(to[k].waiting == 0 && to[k].parked == 0 && to[k].outstanding == 0);
    }
}

static void trouble(void)
{
    unsigned what = (unsigned)draw(100);
    struct fake_sink *s = world.sinks[draw(world.shape.sinks)];
    if (what < 45 && !world.source->paused && !world.source->drained)
        source_bring(world.source);
    else if (what < 80)
        answer(s, VERDICT_CLASSES);
    else if (what < 84) {
        s->down = !s->down;
        if (s->down)
            fake_cancel(&s->base);
        else
            s->base.host->window_open(s->base.ctx);
    } else if (what < 86)
        source_disconnect(world.source);
    else if (what < 89)
        instance_pause(world.instance);
    else if (what < 94)
        instance_resume(world.instance);
    else if (what < 98)
        s->base.host->window_open(s->base.ctx);
    else
        check_account();
}

static bool all_settled(void)
{
    for (unsigned p = 0; p < world.shape.messages; p++)
        if (!world.truth[p].settled)
            return false;
    return true;
}

/* Everything works from now on: all must be settled in the end. */
static void heal(void)
{
    world.healed = true;
    for (unsigned k = 0; k < world.shape.sinks; k++)
        world.sinks[k]->down = false;
    instance_resume(world.instance);
    for (unsigned step = 0; step < 100000 && !all_settled() && !failure; step++) {
        if (!world.source->paused)
            source_bring(world.source);
        for (unsigned k = 0; k < world.shape.sinks; k++) {
            answer(world.sinks[k], VERDICT_CLASSES);
            world.sinks[k]->base.host->window_open(world.sinks[k]->base.ctx);
        }
        if (step % 50 == 49)
            instance_resume(world.instance);
        virtual_loop_step(world.loop);
    }
    REQUIRE(all_settled());
    /* Orphans may still be on their way. */
    for (unsigned step = 0; step < 2000; step++) {
        for (unsigned k = 0; k < world.shape.sinks; k++)
            answer(world.sinks[k], VERDICT_CLASSES);
        virtual_loop_step(world.loop);
    }
    world.ended = true;
    check_account();
}

static bool play(const struct shape *shape)
{
    unsigned sink_index[SINKS_MAX] = { 0, 1, 2 };
    struct source_kind source_kind = { .name = "fake",
                                       .create = fake_source_create,
                                       .caps = { .at_least_once = true } };
    struct sink_kind sink_kind = { .name = "fake",
                                   .create = fake_sink_create,
                                   .caps = { .ordered_on_failure = shape->keeps_order } };
    struct endpoint_settings to[SINKS_MAX];
    for (unsigned k = 0; k < SINKS_MAX; k++)
        to[k] = (struct endpoint_settings){ .sink = &sink_kind, .settings = &sink_index[k] };
    struct route_settings route = { .name = (char *)"r",
                                    .from = { .source = &source_kind },
                                    .to = to,
                                    .to_count = shape->sinks,
                                    .order = shape->order,
                                    .instances = 1 };
    struct settings settings = { .refs = 1000, .name = (char *)"n", .limits = { 1 << 20, IN_FLIGHT_LIMIT, 1 << 20 } };
    struct budget_pool messages, bytes;
    budget_pool_init(&messages, IN_FLIGHT_LIMIT);
    budget_pool_init(&bytes, 1 << 20);

    failure = NULL;
    random_seed(shape->seed);
    world = (struct world){ .shape = *shape, .loop = virtual_loop_new() };
    state = shape->seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    for (unsigned p = 0; p < shape->messages; p++)
        world.truth[p].key = (unsigned)draw(shape->keys + 1);
    world.instance = instance_new(&(struct instance_start){ .settings = &settings,
                                                            .route = &route,
                                                            .messages = &messages,
                                                            .bytes = &bytes,
                                                            .instances_total = 1,
                                                            .loop = world.loop,
                                                            .stopped = on_instance_stopped });
    struct fake_stage *stage = NULL;
    if (shape->stage) {
        stage = mem_zero(sizeof *stage);
        stage->base.ops = &fake_stage_ops;
        timer_init(&stage->timer, world.loop, stage_finish_some, stage);
        pipeline_add(instance_pipeline(world.instance), &stage->base);
    }
    instance_run(world.instance);
    for (unsigned step = 0; step < shape->steps_of_trouble && !failure; step++) {
        trouble();
        for (unsigned n = (unsigned)draw(3); n; n--)
            virtual_loop_step(world.loop);
    }
    if (!failure)
        heal();
    instance_stop(world.instance, 10 * SEC);
    for (unsigned step = 0; step < 100000 && !world.stopped; step++)
        if (!virtual_loop_step(world.loop))
            break;
    REQUIRE(world.stopped);
    if (world.stopped)
        instance_free(world.instance);
    REQUIRE(failure || world.live_messages == 0);
    REQUIRE(atomic_load(&messages.available) == IN_FLIGHT_LIMIT - IN_FLIGHT_LIMIT / 2);
    virtual_loop_free(world.loop);
    return !failure;
}

static struct shape draw_shape(uint64_t seed)
{
    state = seed * UINT64_C(0xD1342543DE82EF95) | 1;
    draw(2);
    return (struct shape){
        .seed = seed,
        .messages = 1 + (unsigned)draw(draw(4) ? 60 : MESSAGES_MAX),
        .keys = (unsigned)draw(8),
        .sinks = 1 + (unsigned)(draw(3) ? 0 : draw(SINKS_MAX)),
        .steps_of_trouble = (unsigned)draw(400),
        .order = (enum order)draw(3),
        .keeps_order = draw(2),
        .stage = draw(4) == 0,
    };
}

static void print_shape(const char *what, const struct shape *s)
{
    printf("%s: %u messages, %u keys, %u sinks, %u steps, order %d, sink %s order, %s stage: %s\n", what, s->messages,
           s->keys, s->sinks, s->steps_of_trouble, (int)s->order, s->keeps_order ? "keeps" : "does not keep",
           s->stage ? "a" : "no", failure);
}

/* Fewer messages, steps and sinks while it still fails. */
static struct shape shrink(struct shape s)
{
    for (bool smaller = true; smaller;) {
        smaller = false;
        struct shape tries[] = { s, s, s, s, s };
        tries[0].messages = s.messages / 2 ? s.messages / 2 : 1;
        tries[1].steps_of_trouble /= 2;
        tries[2].steps_of_trouble -= s.steps_of_trouble ? 1 : 0;
        tries[3].sinks = 1;
        tries[4].stage = false;
        for (size_t i = 0; i < ARRAY_LEN(tries) && !smaller; i++) {
            if (memcmp(&tries[i], &s, sizeof s) == 0 || play(&tries[i]))
                continue;
            s = tries[i];
            smaller = true;
        }
    }
    play(&s);
    return s;
}

static bool holds(uint64_t seed)
{
    struct shape s = draw_shape(seed);
    if (play(&s))
        return true;
    print_shape("failed", &s);
    s = shrink(s);
    print_shape("shrunk", &s);
    return false;
}

int main(void)
{
    if (!getenv("V") && !freopen("/dev/null", "w", stderr)) /* what goes wrong on purpose is logged */
        return 1;
    return seeds_play(CASES, holds);
}
