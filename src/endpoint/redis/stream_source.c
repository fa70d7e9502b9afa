/* from: { redis: …, stream: NAME, group: GROUP }: reads as one consumer of a group.
 *
 *   SETUP ─▶ HISTORY (own pending entries behind `high`) ─▶ LIVE (new ones) ──lost connection──▶ HISTORY
 *     ▲                                                       │
 *     └──────────────── the group is gone ◀───────────────────┘
 *
 * Reads block, so they have a link of their own; acknowledgements go over the lane's control link, side by side. */
#include "endpoint/redis/stream_source.h"

#include "base/log.h"
#include "base/mem.h"
#include "endpoint/redis/redis.h"

static struct stream_source *stream_of(struct source *s)
{
    return CONTAINER_OF(s, struct stream_source, source);
}

void id_list_add(struct id_list *l, struct entry_id id)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->items = mem_resize(l->items, l->cap * sizeof *l->items);
    }
    l->items[l->count++] = id;
}

void id_list_drop(struct id_list *l, size_t n)
{
    l->count -= n;
    memmove(l->items, l->items + n, l->count * sizeof *l->items);
}

/* ---- state */

void stream_set_status(struct stream_source *s, enum endpoint_state state, const char *reason)
{
    if (endpoint_status_set(&s->source.status, s->source.subject, state, "%s", reason))
        s->source.host->status(s->source.ctx);
}

/* The broker hands out again what was not settled: from the group's new beginning. */
static void lose_group(struct stream_source *s, const char *reason)
{
    log_warning(s->source.subject, "the group %s of stream %s is made again, from the stream's beginning: %s",
                s->settings->group, s->settings->stream, reason);
    s->group_lost = true;
    s->phase = STREAM_SETUP;
    s->high = (struct entry_id){ 0, 0 };
    uint32_t old = s->generation++;
    ack_forget(s);
    claim_forget(s);
    s->source.host->returned(s->source.ctx, old);
}

static void retry_later(struct stream_source *s, int64_t delay)
{
    s->again = true;
    if (!s->retry.armed)
        timer_set(&s->retry, delay);
}

void stream_refused(struct stream_source *s, struct bytes error)
{
    char reason[REASON_MAX];
    const struct refusal *r = refusal_of(error);
    refusal_text(r, error, reason, sizeof reason);
    if (error_is(error, "NOGROUP") || error_is(error, "UNBLOCKED")) {
        if (s->phase != STREAM_SETUP)
            lose_group(s, reason);
        return;
    }
    bool fault = r->class == VERDICT_FAULT;
    stream_set_status(s, fault ? ENDPOINT_FAULT : ENDPOINT_BLOCKED, reason);
    retry_later(s, backoff_next(fault ? &s->probe : &s->backoff));
    if (r->reconnect && s->reader.link)
        link_renew(s->reader.link, reason);
}

static void on_retry(void *arg)
{
    struct stream_source *s = arg;
    s->again = false;
    stream_read(s);
}

void stream_served(struct stream_source *s)
{
    if (s->source.status.state == ENDPOINT_UP)
        return;
    backoff_reset(&s->backoff);
    backoff_reset(&s->probe);
    stream_set_status(s, ENDPOINT_UP, "");
}

/* ---- links */

static void on_reader_up(struct link_user *u)
{
    struct stream_source *s = CONTAINER_OF(u, struct stream_source, reader);
    s->source.status.connects++;
    s->again = false;
    timer_cancel(&s->retry);
    stream_read(s);
    if (s->phase != STREAM_SETUP)
        stream_served(s);
}

static void on_reader_down(struct link_user *u)
{
    struct stream_source *s = CONTAINER_OF(u, struct stream_source, reader);
    const struct endpoint_status *st = link_status(u->link);
    s->reading = false;
    if (s->phase == STREAM_LIVE)
        s->phase = STREAM_HISTORY; /* a reply may have been lost */
    stream_set_status(s, st->state, st->reason);
}

static void on_control_up(struct link_user *u)
{
    struct stream_source *s = CONTAINER_OF(u, struct stream_source, control);
    ack_up(s);
    claim_up(s);
}

static void on_control_down(struct link_user *u)
{
    (void)u; /* what was under way came back to its lists */
}

static const struct link_events reader_events = { .on_up = on_reader_up, .on_down = on_reader_down };
static const struct link_events control_events = { .on_up = on_control_up, .on_down = on_control_down };

/* ---- the source's operations */

static void start(struct source *source)
{
    struct stream_source *s = stream_of(source);
    s->started = true;
    stream_set_status(s, ENDPOINT_CONNECTING, "");
    link_join(&s->reader, s->lane, s->connection, LINK_CONSUME, true, &reader_events);
    link_join(&s->control, s->lane, s->connection, LINK_CONTROL, false, &control_events);
    claim_start(s);
}

static void grant(struct source *source, uint64_t messages, uint64_t bytes)
{
    struct stream_source *s = stream_of(source);
    s->credit_messages += (int64_t)messages;
    s->credit_bytes += (int64_t)bytes;
    if (!stream_may_read(s))
        return;
    claim_fetch(s);
    stream_read(s);
}

static void settle(struct source *source, const struct token *tokens, size_t n)
{
    struct stream_source *s = stream_of(source);
    for (size_t i = 0; i < n; i++)
        if (tokens[i].generation == s->generation)
            ack_add(s, (struct entry_id){ tokens[i].a, tokens[i].b });
}

static void release(struct source *source, const struct token *tokens, size_t n)
{
    struct stream_source *s = stream_of(source);
    for (size_t i = 0; i < n; i++)
        if (tokens[i].generation == s->generation)
            claim_release(s, (struct entry_id){ tokens[i].a, tokens[i].b });
    s->source.host->released(s->source.ctx, tokens, n);
    claim_fetch(s);
}

static void pause(struct source *source)
{
    stream_of(source)->paused = true;
}

static void resume(struct source *source)
{
    struct stream_source *s = stream_of(source);
    s->paused = false;
    if (s->again) {
        timer_cancel(&s->retry);
        s->again = false;
    }
    if (s->reader.link)
        link_hurry(s->reader.link);
    claim_fetch(s);
    stream_read(s);
}

static void drain(struct source *source)
{
    stream_of(source)->draining = true;
}

static void on_stopped(void *arg)
{
    struct stream_source *s = arg;
    s->source.host->stopped(s->source.ctx);
}

void stream_finish_stop(struct stream_source *s)
{
    timer_cancel(&s->grace);
    if (s->control.link)
        link_forget(s->control.link, s);
    link_leave(&s->control);
    stream_set_status(s, ENDPOINT_IDLE, "");
    loop_defer(s->loop, &s->stopped);
}

static void on_grace(void *arg)
{
    stream_finish_stop(arg);
}

static void stop(struct source *source, int64_t grace_us)
{
    struct stream_source *s = stream_of(source);
    s->draining = s->stopping = true;
    timer_cancel(&s->retry);
    timer_cancel(&s->linger);
    claim_stop(s);
    if (s->reader.link)
        link_forget(s->reader.link, s);
    link_leave(&s->reader);
    if (!s->control.link || ack_idle(s))
        stream_finish_stop(s);
    else
        timer_set(&s->grace, grace_us);
}

static void destroy(struct source *source)
{
    struct stream_source *s = stream_of(source);
    link_leave(&s->reader);
    link_leave(&s->control);
    struct timer *timers[] = { &s->retry, &s->linger, &s->grace };
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        timer_close(timers[i]);
    task_cancel(&s->stopped);
    ack_free(s);
    claim_free(s);
    free(s);
}

static const struct source_ops source_ops = {
    .start = start,
    .grant = grant,
    .settle = settle,
    .release = release,
    .pause = pause,
    .resume = resume,
    .drain = drain,
    .stop = stop,
    .free = destroy,
};

static struct source *create(const void *settings, const struct environment *env, const struct source_host *host,
                             void *ctx)
{
    struct stream_source *s = mem_zero(sizeof *s);
    s->source = (struct source){ .ops = &source_ops, .host = host, .ctx = ctx, .subject = env->subject };
    s->settings = settings;
    s->member = env->member;
    s->loop = env->loop;
    s->lane = env->transport;
    s->connection = (const struct redis_connection *)env->connection;
    s->origin = (struct origin){ "redis stream", env->connection->name, s->settings->stream, -1 };
    s->names = (struct entry_names){ bytes_of_string(s->settings->field), BYTES_LITERAL("key") };
    s->generation = 1;
    s->backoff = BACKOFF_RECONNECT;
    s->probe = BACKOFF_PROBE;
    timer_init(&s->retry, s->loop, on_retry, s);
    timer_init(&s->linger, s->loop, stream_on_linger, s);
    timer_init(&s->grace, s->loop, on_grace, s);
    task_init(&s->stopped, on_stopped, s);
    ack_init(s);
    claim_init(s);
    return &s->source;
}

/* ---- the kind */

static const struct option options[] = {
    OPTION(struct stream_settings, stream, OPTION_STRING, .required = true, .help = "stream to read; made if missing"),
    OPTION(struct stream_settings, group, OPTION_STRING, .required = true, .help = "consumer group; made if missing"),
    OPTION(struct stream_settings, start, OPTION_STRING, .fallback = "earliest",
           .help = "where a group that does not exist yet begins: earliest, latest, or the ID of the entry before"),
    OPTION(struct stream_settings, field, OPTION_STRING, .fallback = "payload", .help = "field that holds the payload"),
    OPTION(struct stream_settings, count, OPTION_INT, .fallback = "500", .min = 1, .max = 10000,
           .help = "most entries of one read"),
    OPTION(struct stream_settings, block, OPTION_DURATION, .fallback = "5s", .min = MSEC, .max = 300 * SEC,
           .help = "how long a read waits at the server, at most the connection's heartbeat"),
    OPTION(
        struct stream_settings, claim_idle, OPTION_DURATION, .fallback = "1m", .min = 0, .max = 7 * 86400 * SEC,
        .help =
            "a consumer of the group that was not heard of for so long loses its pending entries to this one; 0s: never"),
    OPTION_END,
};

static void check(void *settings, const struct connection *c, struct mark at, struct diagnostics *d)
{
    const struct stream_settings *s = settings;
    (void)c;
    if (s->field && (!*s->field || strcmp(s->field, "key") == 0))
        diagnostics_error(d, at, "field \"%s\" of a redis stream source; expected a name other than \"key\"", s->field);
    if (s->claim_idle && s->claim_idle < 100 * MSEC)
        diagnostics_error(d, at, "claim_idle is too short; expected at least 100ms, or 0s for never");
    struct entry_id id;
    int64_t ms;
    if (s->start && strcmp(s->start, "earliest") != 0 && strcmp(s->start, "latest") != 0 && !parse_int(s->start, &ms) &&
        !entry_id_parse(bytes_of_string(s->start), &id))
        diagnostics_error(d, at, "start \"%s\" of a redis stream source; expected earliest, latest or an entry's ID",
                          s->start);
}

static const char *target(const void *settings)
{
    return ((const struct stream_settings *)settings)->stream;
}

const struct source_kind redis_stream_source = {
    .transport = "redis",
    .selector = "stream",
    .name = "redis stream",
    .options = options,
    .settings_size = sizeof(struct stream_settings),
    .caps = { .at_least_once = true, .stable_ids = true, .shared_name = true },
    .check = check,
    .create = create,
    .target = target,
    .help = "Reads a stream as a consumer of a group; settled entries are acknowledged (XACK).",
};
