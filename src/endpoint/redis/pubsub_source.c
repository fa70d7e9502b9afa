/* from: { redis: …, channel: NAME } or { redis: …, pattern: GLOB }: subscribes. What nobody reads while it is published is
 * gone, so this is at most once; every lost connection is counted as a gap.
 *
 * Without credit the socket is not read: the server's output buffer fills until it cuts the connection off, which is the one
 * bound there is, and one more gap. */
#include "base/log.h"
#include "base/mem.h"
#include "endpoint/redis/command.h"
#include "endpoint/redis/link.h"
#include "endpoint/redis/redis.h"
#include "endpoint/redis/refusal.h"
#include "runtime/backoff.h"

struct settings {
    char *channel, *pattern; /* one of them */
};

struct pubsub_source {
    struct source source;
    const struct settings *settings;
    struct loop *loop;
    struct transport_lane *lane;
    const struct redis_connection *connection;
    struct link_user user;
    struct origin origin;
    bool paused, draining, subscribed, granted;
    int64_t credit_messages, credit_bytes;
    uint64_t position;
    struct arrival batch[256];
    size_t count;
    struct task deliver, stopped;
    struct timer retry;
    struct backoff probe;
};

static struct pubsub_source *pubsub_of(struct source *s)
{
    return CONTAINER_OF(s, struct pubsub_source, source);
}

static void set_status(struct pubsub_source *s, enum endpoint_state state, const char *reason)
{
    if (endpoint_status_set(&s->source.status, s->source.subject, state, "%s", reason))
        s->source.host->status(s->source.ctx);
}

static bool has_credit(const struct pubsub_source *s)
{
    return s->credit_messages > 0 && s->credit_bytes > 0;
}

/* Reading goes on while there is credit; while paused too, for what is published then is not wanted. */
static void choose_reading(struct pubsub_source *s)
{
    if (s->user.link)
        link_read(s->user.link, !s->subscribed || s->paused || s->draining || (has_credit(s) && !s->count));
}

static void deliver(void *arg)
{
    struct pubsub_source *s = arg;
    size_t n = s->count;
    if (!s->granted && n < ARRAY_LEN(s->batch)) {
        choose_reading(s); /* what came along with the first answer waits for the first credit */
        return;
    }
    s->count = 0;
    source_intake(&s->source, s->batch, n);
    choose_reading(s);
}

/* ---- what comes in */

/* For meta("channel") where a pattern matches many. */
static void note_channel(struct message *m, struct bytes channel)
{
    struct message_detail detail[2] = { { BYTES_LITERAL("channel"), message_hold(m, channel) },
                                        { BYTES_NULL, BYTES_NULL } };
    m->detail = (struct message_detail *)message_hold(m, bytes_of(detail, sizeof detail)).data;
}

static void take(struct pubsub_source *s, const struct reply *r, uint32_t channel, uint32_t payload)
{
    struct message *m = message_new();
    message_set_payload(m, reply_text(r, payload));
    m->backing = backing_ref(r->backing);
    m->origin = &s->origin;
    m->flags = MESSAGE_ID_POSITION;
    m->position = s->position++;
    if (s->settings->pattern)
        note_channel(m, reply_text(r, channel));
    s->credit_messages--;
    s->credit_bytes -= (int64_t)message_size(m);
    s->batch[s->count++] = (struct arrival){ m, { m->position, 0, 1 } };
    if (s->count == ARRAY_LEN(s->batch))
        deliver(s);
    else
        loop_defer(s->loop, &s->deliver);
}

static void on_push(struct link_user *u, const struct reply *r)
{
    struct pubsub_source *s = CONTAINER_OF(u, struct pubsub_source, user);
    if (reply_is(r, 0, RESP_ERROR)) {
        char reason[REASON_MAX];
        const struct refusal *refusal = refusal_of(reply_text(r, 0));
        refusal_text(refusal, reply_text(r, 0), reason, sizeof reason);
        if (refusal->class == VERDICT_AGAIN) {
            link_renew(u->link, reason);
            return;
        }
        set_status(s, ENDPOINT_FAULT, reason);
        timer_set(&s->retry, backoff_next(&s->probe));
        return;
    }
    struct bytes kind = reply_text(r, 1);
    if (bytes_is(kind, "subscribe") || bytes_is(kind, "psubscribe")) {
        backoff_reset(&s->probe);
        s->subscribed = true;
        choose_reading(s);
        set_status(s, ENDPOINT_UP, "");
    }
    if (s->paused || s->draining)
        return;
    if (bytes_is(kind, "message") && reply_is_array(r, 0, 3) && reply_is(r, 3, RESP_BULK))
        take(s, r, 2, 3);
    else if (bytes_is(kind, "pmessage") && reply_is_array(r, 0, 4) && reply_is(r, 4, RESP_BULK))
        take(s, r, 3, 4);
}

/* ---- the link */

static void subscribe(void *arg)
{
    struct pubsub_source *s = arg;
    if (!link_is_up(s->user.link))
        return;
    command_strings(link_out(s->user.link), s->settings->pattern ? "PSUBSCRIBE" : "SUBSCRIBE",
                    s->settings->pattern ? s->settings->pattern : s->settings->channel, NULL);
    link_written(s->user.link);
}

static void on_up(struct link_user *u)
{
    struct pubsub_source *s = CONTAINER_OF(u, struct pubsub_source, user);
    if (s->source.status.connects++)
        s->source.status.gaps++;
    subscribe(s);
    choose_reading(s);
}

static void on_down(struct link_user *u)
{
    struct pubsub_source *s = CONTAINER_OF(u, struct pubsub_source, user);
    const struct endpoint_status *st = link_status(u->link);
    s->subscribed = false;
    timer_cancel(&s->retry);
    set_status(s, st->state, st->reason);
}

static const struct link_events link_events = { .on_up = on_up, .on_down = on_down, .on_push = on_push };

/* ---- the source's operations */

static void start(struct source *source)
{
    struct pubsub_source *s = pubsub_of(source);
    set_status(s, ENDPOINT_CONNECTING, "");
    link_join(&s->user, s->lane, s->connection, LINK_CONSUME, true, &link_events);
}

static void grant(struct source *source, uint64_t messages, uint64_t bytes)
{
    struct pubsub_source *s = pubsub_of(source);
    s->credit_messages += (int64_t)messages;
    s->credit_bytes += (int64_t)bytes;
    s->granted = true;
    if (s->count)
        loop_defer(s->loop, &s->deliver);
    choose_reading(s);
}

static void settle(struct source *source, const struct token *tokens, size_t n)
{
    (void)source, (void)tokens, (void)n; /* nobody waits for it */
}

static void release(struct source *source, const struct token *tokens, size_t n)
{
    source->host->released(source->ctx, tokens, n); /* for good: there is nobody to hand it back to */
}

static void pause(struct source *source)
{
    pubsub_of(source)->paused = true;
    choose_reading(pubsub_of(source));
}

static void resume(struct source *source)
{
    struct pubsub_source *s = pubsub_of(source);
    s->paused = false;
    if (s->user.link)
        link_hurry(s->user.link);
    if (s->retry.armed)
        timer_set(&s->retry, 0);
    choose_reading(s);
}

static void drain(struct source *source)
{
    pubsub_of(source)->draining = true;
    choose_reading(pubsub_of(source));
}

static void on_stopped(void *arg)
{
    struct pubsub_source *s = arg;
    s->source.host->stopped(s->source.ctx);
}

static void stop(struct source *source, int64_t grace_us)
{
    struct pubsub_source *s = pubsub_of(source);
    (void)grace_us;
    timer_cancel(&s->retry);
    link_leave(&s->user);
    task_cancel(&s->deliver);
    while (s->count)
        message_unref(s->batch[--s->count].message);
    set_status(s, ENDPOINT_IDLE, "");
    loop_defer(s->loop, &s->stopped);
}

static void destroy(struct source *source)
{
    struct pubsub_source *s = pubsub_of(source);
    link_leave(&s->user);
    timer_close(&s->retry);
    task_cancel(&s->deliver);
    task_cancel(&s->stopped);
    while (s->count)
        message_unref(s->batch[--s->count].message);
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
    struct pubsub_source *s = mem_zero(sizeof *s);
    s->source = (struct source){ .ops = &source_ops, .host = host, .ctx = ctx, .subject = env->subject };
    s->settings = settings;
    s->loop = env->loop;
    s->lane = env->transport;
    s->connection = (const struct redis_connection *)env->connection;
    bool pattern = s->settings->pattern != NULL;
    s->origin = (struct origin){ pattern ? "redis pattern" : "redis channel", env->connection->name,
                                 pattern ? s->settings->pattern : s->settings->channel, -1 };
    s->probe = BACKOFF_PROBE;
    task_init(&s->deliver, deliver, s);
    task_init(&s->stopped, on_stopped, s);
    timer_init(&s->retry, s->loop, subscribe, s);
    return &s->source;
}

/* ---- the kinds */

static const struct option channel_options[] = {
    OPTION(struct settings, channel, OPTION_STRING, .required = true, .help = "channel to subscribe to"),
    OPTION_END,
};

static const struct option pattern_options[] = {
    OPTION(struct settings, pattern, OPTION_STRING, .required = true,
           .help = "glob-style pattern of the channels to subscribe to, such as \"news.*\""),
    OPTION_END,
};

static const char *target(const void *settings)
{
    const struct settings *s = settings;
    return s->pattern ? s->pattern : s->channel;
}

const struct source_kind redis_channel_source = {
    .transport = "redis",
    .selector = "channel",
    .name = "redis channel",
    .options = channel_options,
    .settings_size = sizeof(struct settings),
    .create = create,
    .target = target,
    .help = "Subscribes to a channel. At most once: what is published while nobody is connected is lost; reconnects "
            "are counted as gaps.",
};

const struct source_kind redis_pattern_source = {
    .transport = "redis",
    .selector = "pattern",
    .name = "redis pattern",
    .options = pattern_options,
    .settings_size = sizeof(struct settings),
    .create = create,
    .target = target,
    .help = "Subscribes to all channels that match a pattern. At most once, as a channel.",
};
