/* from: { redis: …, list: NAME }: moves elements to a pending list of its own, and trims that as they are settled.
 *
 *   CLOSED ─scripts─▶ ACQUIRE ─▶ REPLAY (what is pending and was not handed over) ─▶ LIVE (move) ─▶ …
 *                       ▲ lease lost: generation + 1, everything is returned ◀──────────┘
 *
 * A start of a member takes its lease at once; whoever held it, frozen perhaps, is refused from then on by every script, and
 * takes it again only when it is free. Positions are dense, done in any order, and trimmed as one prefix (watermark.h).
 * A server cannot block inside a script: an empty list is asked again after a millisecond, then ever later, up to `poll`. */
#include "endpoint/redis/list_source.h"

#include "base/log.h"
#include "base/mem.h"
#include "endpoint/redis/redis.h"

static const char *const sides[] = { "left", "right", NULL };

static struct list_source *list_of(struct source *s)
{
    return CONTAINER_OF(s, struct list_source, source);
}

void list_call(struct list_source *s, enum list_script which, const struct bytes *args, size_t n, reply_fn on_reply)
{
    list_script_call(link_out(s->user.link), &s->keys, which, s->settings->lease / MSEC, args, n);
    link_expect(s->user.link, 1, on_reply, s);
}

/* ---- state */

void list_set_status(struct list_source *s, enum endpoint_state state, const char *reason)
{
    if (endpoint_status_set(&s->source.status, s->source.subject, state, "%s", reason))
        s->source.host->status(s->source.ctx);
}

void list_note(struct list_source *s)
{
    s->source.status.unsettled = watermark_held(s->mark) + (watermark_mark(s->mark) - s->trimmed);
}

void list_served(struct list_source *s)
{
    if (s->source.status.state == ENDPOINT_UP)
        return;
    backoff_reset(&s->backoff);
    backoff_reset(&s->probe);
    list_set_status(s, ENDPOINT_UP, "");
}

void list_refused(struct list_source *s, struct bytes error)
{
    char reason[REASON_MAX];
    if (error_is(error, "NOSCRIPT")) { /* forgotten by the server: taught again on the way to ACQUIRE */
        s->phase = CLOSED;
        list_acquire(s);
        return;
    }
    if (error_is(error, "LEASE")) {
        log_warning(s->source.subject, "lost the lease of list %s", s->settings->list);
        list_lose_lease(s);
        if (s->stopping)
            list_finish_stop(s);
        else
            list_acquire(s);
        return;
    }
    const struct refusal *r = refusal_of(error);
    bool fault = r->class == VERDICT_FAULT || error_is(error, "ERR Error compiling script");
    refusal_text(r, error, reason, sizeof reason);
    list_set_status(s, fault ? ENDPOINT_FAULT : ENDPOINT_BLOCKED, reason);
    timer_set(&s->again, backoff_next(fault ? &s->probe : &s->backoff));
    if (r->reconnect)
        link_renew(s->user.link, reason);
}

bool list_failed(struct list_source *s, const struct reply *r)
{
    if (!r)
        return true;
    if (!reply_is(r, 0, RESP_ERROR))
        return false;
    list_refused(s, reply_text(r, 0));
    return true;
}

/* ---- the link */

static void on_up(struct link_user *u)
{
    struct list_source *s = CONTAINER_OF(u, struct list_source, user);
    s->source.status.connects++;
    timer_cancel(&s->again);
    s->phase = CLOSED;
    list_acquire(s);
}

static void on_down(struct link_user *u)
{
    struct list_source *s = CONTAINER_OF(u, struct list_source, user);
    const struct endpoint_status *st = link_status(u->link);
    s->asking = false;
    s->phase = CLOSED;
    timer_cancel(&s->again);
    list_set_status(s, st->state, st->reason);
}

static const struct link_events link_events = { .on_up = on_up, .on_down = on_down };

/* ---- the source's operations */

static void start(struct source *source)
{
    struct list_source *s = list_of(source);
    list_set_status(s, ENDPOINT_CONNECTING, "");
    link_join(&s->user, s->lane, s->connection, LINK_CONSUME, false, &link_events);
    timer_set(&s->renew, s->settings->lease / 3);
    if (list_is_up(s))
        on_up(&s->user);
}

static void grant(struct source *source, uint64_t messages, uint64_t bytes)
{
    struct list_source *s = list_of(source);
    s->credit_messages += (int64_t)messages;
    s->credit_bytes += (int64_t)bytes;
    list_read_more(s);
}

static void settle(struct source *source, const struct token *tokens, size_t n)
{
    struct list_source *s = list_of(source);
    for (size_t i = 0; i < n; i++)
        if (tokens[i].generation == s->generation)
            watermark_done(s->mark, tokens[i].a);
    list_note(s);
    loop_defer(s->loop, &s->flush);
}

static void release(struct source *source, const struct token *tokens, size_t n)
{
    struct list_source *s = list_of(source);
    for (size_t i = 0; i < n; i++)
        if (tokens[i].generation == s->generation)
            list_positions_add(&s->released, tokens[i].a);
    s->source.host->released(s->source.ctx, tokens, n);
    list_read_more(s);
}

static void pause(struct source *source)
{
    list_of(source)->paused = true;
}

static void resume(struct source *source)
{
    struct list_source *s = list_of(source);
    s->paused = false;
    if (s->user.link)
        link_hurry(s->user.link);
    if (s->again.armed)
        timer_set(&s->again, 0);
    list_read_more(s);
}

static void drain(struct source *source)
{
    list_of(source)->draining = true;
}

static void on_stopped(void *arg)
{
    struct list_source *s = arg;
    s->source.host->stopped(s->source.ctx);
}

void list_finish_stop(struct list_source *s)
{
    if (s->stop_told)
        return;
    s->stop_told = true;
    struct timer *timers[] = { &s->again, &s->renew, &s->grace };
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        timer_cancel(timers[i]);
    task_cancel(&s->flush);
    if (s->user.link)
        link_forget(s->user.link, s);
    link_leave(&s->user);
    list_set_status(s, ENDPOINT_IDLE, "");
    loop_defer(s->loop, &s->stopped);
}

static void on_grace(void *arg)
{
    list_finish_stop(arg);
}

static void stop(struct source *source, int64_t grace_us)
{
    struct list_source *s = list_of(source);
    s->draining = s->stopping = true;
    if (!s->user.link || list_all_trimmed(s))
        list_finish_stop(s);
    else
        timer_set(&s->grace, grace_us);
}

static void destroy(struct source *source)
{
    struct list_source *s = list_of(source);
    link_leave(&s->user);
    struct timer *timers[] = { &s->again, &s->renew, &s->grace };
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        timer_close(timers[i]);
    task_cancel(&s->flush);
    task_cancel(&s->stopped);
    watermark_free(s->mark);
    list_keys_free(&s->keys);
    free(s->released.items);
    free(s->fetching.items);
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
    struct list_source *s = mem_zero(sizeof *s);
    s->source = (struct source){ .ops = &source_ops, .host = host, .ctx = ctx, .subject = env->subject };
    s->settings = settings;
    s->loop = env->loop;
    s->lane = env->transport;
    s->connection = (const struct redis_connection *)env->connection;
    s->origin = (struct origin){ "redis list", env->connection->name, s->settings->list, -1 };
    s->share_unsettled = env->share_unsettled ? env->share_unsettled : 1;
    s->mark = watermark_new();
    s->generation = 1;
    s->wait_us = LIST_POLL_FIRST_US;
    s->backoff = BACKOFF_RECONNECT;
    s->probe = BACKOFF_PROBE;
    list_keys_init(&s->keys, s->settings->list, env->member);
    timer_init(&s->again, s->loop, list_on_again, s);
    timer_init(&s->renew, s->loop, list_on_renew, s);
    timer_init(&s->grace, s->loop, on_grace, s);
    task_init(&s->flush, list_on_flush, s);
    task_init(&s->stopped, on_stopped, s);
    return &s->source;
}

/* ---- the kind */

static const struct option options[] = {
    OPTION(struct list_settings, list, OPTION_STRING, .required = true, .help = "list to take elements from"),
    OPTION(struct list_settings, side, OPTION_ENUM, .choices = sides, .fallback = "left",
           .help = "end of the list that elements are taken from"),
    OPTION(struct list_settings, count, OPTION_INT, .fallback = "500", .min = 1, .max = 5000,
           .help = "most elements moved at once"),
    OPTION(struct list_settings, poll, OPTION_DURATION, .fallback = "20ms", .min = MSEC, .max = 60 * SEC,
           .help = "an empty list is asked again at least this often"),
    OPTION(struct list_settings, lease, OPTION_DURATION, .fallback = "30s", .min = SEC, .max = 86400 * SEC,
           .help = "how long the pending list stays this member's own without a sign of life"),
    OPTION_END,
};

static const char *target(const void *settings)
{
    return ((const struct list_settings *)settings)->list;
}

const struct source_kind redis_list_source = {
    .transport = "redis",
    .selector = "list",
    .name = "redis list",
    .options = options,
    .settings_size = sizeof(struct list_settings),
    .caps = { .at_least_once = true, .shared_name = true },
    .create = create,
    .target = target,
    .help = "Takes elements from a list by way of a pending list of its own, which is trimmed as they are settled. "
            "Needs Redis 7.0.",
};
