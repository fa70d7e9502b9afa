/* The sinks `exchange` and `queue`: publish with confirms, always mandatory, persistent unless told otherwise.
 *
 *   opened ─▶ declare, or ask whether it exists ─▶ confirm.select ─▶ ready ─▶ window, send … verdicts
 *      ▲                                                               │
 *      └─ retry ◀─ fault, lost ◀───────────────────────────────────────┘                            */
#include "endpoint/rabbitmq/sink.h"

#include "base/map.h"
#include "base/mem.h"
#include "endpoint/rabbitmq/declare.h"
#include "endpoint/rabbitmq/rabbitmq.h"

#include <stdio.h>

enum {
    WINDOW_BYTES = 32 * 1024 * 1024,
    HEADER_OVERHEAD = FRAME_OVERHEAD + 12, /* class, weight, body size */
    PUBLISH_OVERHEAD = 64                  /* of frames, for the room to reserve */
};

static struct rabbit_sink *of_sink(struct sink *s)
{
    return (struct rabbit_sink *)s;
}

static struct rabbit_sink *of_channel(struct rabbit_channel *c)
{
    return CONTAINER_OF(c, struct rabbit_sink, channel);
}

void rabbit_sink_status(struct rabbit_sink *s, enum endpoint_state state, const char *reason)
{
    if (endpoint_status_set(&s->base.status, s->base.subject, state, "%s", reason))
        s->base.host->status(s->base.ctx);
}

/* ---- sending */

/* A constant, a slice of the message, or rendered into scratch. */
static const char *evaluate(const struct template *t, const struct message *m, struct buf *scratch, struct bytes *out)
{
    const char *error;
    *out = template_constant(t);
    if (out->data || (template_peek(t, m, out) && out->data))
        return NULL;
    buf_clear(scratch);
    if (!template_render(t, m, scratch, &error))
        return error;
    *out = buf_bytes(scratch);
    return NULL;
}

const char *rabbit_sink_address(struct rabbit_sink *s, const struct message *m, struct bytes *exchange,
                                struct bytes *key)
{
    const char *problem = NULL;
    *exchange = BYTES_LITERAL("");
    if (s->settings->exchange)
        problem = evaluate(s->settings->exchange, m, &s->exchange, exchange);
    if (!problem)
        problem = evaluate(s->settings->routing_key, m, &s->routing_key, key);
    if (problem)
        return problem;
    if (exchange->len > SHORT_STRING_MAX)
        return "the exchange's name is longer than AMQP's 255 bytes";
    if (key->len > SHORT_STRING_MAX)
        return s->settings->exchange ? "the routing key is longer than AMQP's 255 bytes"
                                     : "the queue's name is longer than AMQP's 255 bytes";
    return NULL;
}

static void write_publish(struct buf *out, unsigned channel, struct bytes exchange, struct bytes key)
{
    size_t payload = frame_begin(out, FRAME_METHOD, channel);
    write_number(out, AMQP_BASIC_PUBLISH_METHOD, 4);
    write_number(out, 0, 2);
    write_short_string(out, exchange);
    write_short_string(out, key);
    buf_append_byte(out, 1); /* mandatory */
    frame_end(out, payload);
}

/* An empty body has no frame; others as many as it takes, none of them empty. */
static void write_body(struct buf *out, unsigned channel, struct bytes body, size_t frame_max)
{
    while (body.len) {
        size_t len = body.len < frame_max - FRAME_OVERHEAD ? body.len : frame_max - FRAME_OVERHEAD;
        size_t payload = frame_begin(out, FRAME_BODY, channel);
        buf_append(out, body.data, len);
        frame_end(out, payload);
        body = bytes_of(body.data + len, body.len - len);
    }
}

/* NULL, or why this message cannot be published; the output is then as it was. */
static const char *write_message(struct rabbit_sink *s, const struct message *m, struct buf *out,
                                 struct bytes *exchange)
{
    struct bytes key, body = message_payload(m);
    size_t start = out->len, frame_max = rabbit_link_frame_max(s->link);
    const char *problem = rabbit_sink_address(s, m, exchange, &key);
    if (problem)
        return problem;
    if (body.len > s->max_size)
        return "it is larger than the broker's max_message_size";
    buf_reserve(out, body.len + exchange->len + key.len + PUBLISH_OVERHEAD);
    write_publish(out, s->channel.number, *exchange, key);
    size_t payload = frame_begin(out, FRAME_HEADER, s->channel.number);
    write_number(out, AMQP_BASIC_CLASS, 2);
    write_number(out, 0, 2);
    write_number(out, body.len, 8);
    problem = rabbit_properties_write(&s->writer, m, frame_max - HEADER_OVERHEAD, out);
    if (problem) {
        out->len = start;
        return problem;
    }
    frame_end(out, payload);
    write_body(out, s->channel.number, body, frame_max);
    return NULL;
}

struct window rabbit_sink_window(struct rabbit_sink *s)
{
    struct window none = { 0, 0 };
    uint64_t limit = s->suspects || s->probing ? 1 : (uint64_t)s->settings->unconfirmed;
    if (!s->ready || s->stopping || rabbit_link_blocked(s->link) || s->confirms.open >= limit ||
        s->confirms.bytes >= WINDOW_BYTES)
        return none;
    return (struct window){ limit - s->confirms.open, WINDOW_BYTES - s->confirms.bytes };
}

/* What the route knows of is not much: it wants to hear when there is more. */
static bool is_small(const struct rabbit_sink *s, struct window w)
{
    return w.messages < (uint64_t)s->settings->unconfirmed / 2 || w.bytes < WINDOW_BYTES / 2;
}

static struct window sink_window(struct sink *base)
{
    struct rabbit_sink *s = of_sink(base);
    struct window w = rabbit_sink_window(s);
    s->hungry = is_small(s, w);
    return w;
}

static void sink_send(struct sink *base, const struct delivery *deliveries, size_t n)
{
    struct rabbit_sink *s = of_sink(base);
    struct buf *out = s->ready ? rabbit_channel_output(&s->channel) : NULL;
    for (size_t i = 0; i < n; i++) {
        const struct message *m = deliveries[i].message;
        struct bytes exchange;
        uint64_t offset = out ? rabbit_channel_queued(&s->channel) : 0;
        if (!out) { /* it went down since the route asked for the window */
            rabbit_sink_verdict(s, deliveries[i].tag, VERDICT_AGAIN, mem_string("not connected"));
            continue;
        }
        const char *problem = write_message(s, m, out, &exchange);
        if (problem) {
            rabbit_sink_verdict(s, deliveries[i].tag, VERDICT_REJECT, mem_string(problem));
            continue;
        }
        struct publish *p = rabbit_confirms_push(&s->confirms, (uint32_t)message_size(m));
        p->tag = deliveries[i].tag;
        p->message = m;
        p->offset = offset;
        p->exchange = hash_bytes(exchange);
    }
    if (out)
        rabbit_channel_written(&s->channel);
    if (s->verdicts.count)
        loop_defer(s->env.loop, &s->tell);
    s->hungry = s->hungry || is_small(s, rabbit_sink_window(s));
}

/* After a batch of confirms. */
static void open_window(struct rabbit_sink *s)
{
    if (!s->hungry || !rabbit_sink_window(s).messages)
        return;
    s->hungry = false;
    s->base.host->window_open(s->base.ctx);
}

static void on_tell(void *arg)
{
    struct rabbit_sink *s = arg;
    rabbit_sink_tell(s);
    open_window(s);
}

/* ---- the channel's life */

/* Declares, or asks whether what has a constant name exists: a fault is better known before the first message is. */
static void prepare(struct rabbit_sink *s)
{
    const struct sink_settings *set = s->settings;
    struct bytes name = template_constant(set->exchange ? set->exchange : set->routing_key);
    if (set->declare_exchange) {
        rabbit_declare_exchange(&s->channel, (const char *)name.data, set->declare_exchange);
    } else if (set->declare_queue) {
        rabbit_declare_queue(&s->channel, (const char *)name.data, set->declare_queue);
    } else if (s->constant && set->exchange) {
        amqp_exchange_declare_t ask = { .exchange = { name.len, (void *)(uintptr_t)name.data },
                                        .type = amqp_cstring_bytes("direct"),
                                        .passive = 1 };
        if (name.len) /* the default exchange always exists, and may not be declared */
            rabbit_channel_send(&s->channel, AMQP_EXCHANGE_DECLARE_METHOD, &ask);
    } else if (s->constant) {
        amqp_queue_declare_t ask = { .queue = { name.len, (void *)(uintptr_t)name.data }, .passive = 1 };
        rabbit_channel_send(&s->channel, AMQP_QUEUE_DECLARE_METHOD, &ask);
    }
    amqp_confirm_select_t select = { 0 };
    rabbit_channel_send(&s->channel, AMQP_CONFIRM_SELECT_METHOD, &select);
}

static void show_state(struct rabbit_sink *s)
{
    const struct endpoint_status *link = rabbit_link_status(s->link);
    if (link->state != ENDPOINT_UP)
        rabbit_sink_status(s, link->state, link->reason);
    else if (rabbit_link_blocked(s->link))
        rabbit_sink_status(s, ENDPOINT_BLOCKED, rabbit_link_blocked_reason(s->link));
    else if (s->ready && !s->probing)
        rabbit_sink_status(s, ENDPOINT_UP, "");
}

static void on_opened(struct rabbit_channel *c)
{
    struct rabbit_sink *s = of_channel(c);
    timer_cancel(&s->retry);
    prepare(s);
}

static void on_retry(void *arg)
{
    struct rabbit_sink *s = arg;
    if (s->channel.state == CHANNEL_SHUT)
        rabbit_channel_open(&s->channel);
    else if (s->channel.state == CHANNEL_OPEN && !s->ready)
        prepare(s);
}

void rabbit_sink_fault(struct rabbit_sink *s, const char *reason)
{
    s->ready = false;
    s->probing = true;
    rabbit_sink_status(s, ENDPOINT_FAULT, reason);
    if (!s->retry.armed)
        timer_set(&s->retry, backoff_next(&s->probe));
}

static void on_selected(struct rabbit_sink *s)
{
    if (s->ready || s->retry.armed)
        return;
    s->ready = true;
    s->base.status.connects++;
    backoff_reset(&s->reconnect);
    /* A missing queue or exchange would have shown by now; only with neither asked for does it take a message. */
    if (s->constant)
        s->probing = s->probing && s->probe.attempt > 1;
    show_state(s);
    s->hungry = true;
    open_window(s);
}

static void on_method(struct rabbit_channel *c, uint32_t method, const void *decoded)
{
    struct rabbit_sink *s = of_channel(c);
    if (method == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *ack = decoded;
        rabbit_sink_confirmed(s, ack->delivery_tag, ack->multiple, true);
    } else if (method == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *nack = decoded;
        rabbit_sink_confirmed(s, nack->delivery_tag, nack->multiple, false);
    } else if (method == AMQP_CONFIRM_SELECT_OK_METHOD) {
        on_selected(s);
    }
}

static void on_content(struct rabbit_channel *c, const struct content *content)
{
    if (content->method == AMQP_BASIC_RETURN_METHOD && c->state == CHANNEL_OPEN)
        rabbit_sink_returned(of_channel(c), content);
}

static void on_batch_end(struct rabbit_channel *c)
{
    on_tell(of_channel(c));
}

static void on_lost(struct rabbit_channel *c, const struct channel_loss *loss)
{
    struct rabbit_sink *s = of_channel(c);
    const struct endpoint_status *link = rabbit_link_status(s->link);
    struct buf words = BUF_EMPTY;
    s->ready = false;
    if (loss->link_lost)
        buf_append_string(&words, link->reason);
    else
        buf_printf(&words, "%.*s%s%s", (int)loss->text.len, (const char *)loss->text.data, loss->why->words ? "; " : "",
                   loss->why->words ? loss->why->words : "");
    bool fault = rabbit_sink_lost(s, loss, buf_string(&words));
    if (loss->link_lost) {
        show_state(s);
    } else if (fault) {
        rabbit_sink_fault(s, buf_string(&words));
    } else {
        log_notice(s->base.subject, "the broker closed the channel: %s", buf_string(&words));
        timer_set(&s->retry, backoff_next(&s->reconnect));
    }
    buf_free(&words);
    if (s->verdicts.count)
        loop_defer(s->env.loop, &s->tell);
}

static void on_closed(struct rabbit_channel *c)
{
    struct rabbit_sink *s = of_channel(c);
    if (s->stopping)
        timer_set(&s->stop_timer, 0);
    else
        rabbit_channel_open(c); /* it was closed to forget what was sent on it */
}

static void on_link_changed(struct rabbit_channel *c)
{
    struct rabbit_sink *s = of_channel(c);
    show_state(s);
    if (!rabbit_link_blocked(s->link))
        open_window(s);
}

static const struct channel_events channel_events = {
    .opened = on_opened,
    .method = on_method,
    .content = on_content,
    .lost = on_lost,
    .closed = on_closed,
    .batch_end = on_batch_end,
    .link_changed = on_link_changed,
};

/* ---- what the route asks */

static void sink_start(struct sink *base)
{
    struct rabbit_sink *s = of_sink(base);
    s->started = true;
    rabbit_sink_status(s, ENDPOINT_CONNECTING, "");
    s->link = rabbit_link_acquire(s->env.transport, (const struct rabbitmq_settings *)s->env.connection, LINK_PUBLISH,
                                  s->env.member);
    s->writer.user = rabbit_link_user(s->link);
    rabbit_channel_init(&s->channel, s->link, &channel_events);
    rabbit_channel_open(&s->channel);
}

/* What is in the output buffer will be sent, so that all of it is unknown. A new channel begins to count from 1 again, and no
 * confirm of the old one can be taken for one of the new. */
static void sink_cancel(struct sink *base)
{
    struct rabbit_sink *s = of_sink(base);
    if (!s->started || !s->confirms.open)
        return;
    rabbit_sink_forget(s, "given up");
    s->ready = false;
    rabbit_channel_close(&s->channel);
    loop_defer(s->env.loop, &s->tell);
}

static void sink_probe(struct sink *base)
{
    struct rabbit_sink *s = of_sink(base);
    if (!s->started || s->stopping)
        return;
    rabbit_link_retry_now(s->link);
    if (s->retry.armed)
        timer_set(&s->retry, 0);
}

static void on_stop_timer(void *arg)
{
    struct rabbit_sink *s = arg;
    if (s->started)
        rabbit_channel_detach(&s->channel);
    rabbit_sink_tell(s);
    rabbit_sink_status(s, ENDPOINT_IDLE, "");
    s->base.host->stopped(s->base.ctx);
}

static void sink_stop(struct sink *base, int64_t grace_us)
{
    struct rabbit_sink *s = of_sink(base);
    s->stopping = true;
    s->ready = false;
    timer_cancel(&s->retry);
    timer_set(&s->stop_timer, s->started ? grace_us : 0);
    if (s->started)
        rabbit_channel_close(&s->channel);
}

static void sink_free(struct sink *base)
{
    struct rabbit_sink *s = of_sink(base);
    if (s->started) {
        rabbit_channel_detach(&s->channel);
        rabbit_link_release(s->link);
    }
    timer_close(&s->retry);
    timer_close(&s->stop_timer);
    task_cancel(&s->tell);
    rabbit_confirms_free(&s->confirms);
    rabbit_properties_writer_close(&s->writer);
    buf_free(&s->exchange);
    buf_free(&s->routing_key);
    buf_free(&s->scratch);
    free(s->verdicts.items);
    free(s->spare.items);
    free(s);
}

static const struct sink_ops ops = {
    .start = sink_start,
    .window = sink_window,
    .send = sink_send,
    .cancel = sink_cancel,
    .probe = sink_probe,
    .stop = sink_stop,
    .free = sink_free,
};

static struct sink *create(const void *settings, const struct environment *env, const struct sink_host *host, void *ctx)
{
    struct rabbit_sink *s = mem_zero(sizeof *s);
    s->base = (struct sink){ .ops = &ops, .host = host, .ctx = ctx, .subject = env->subject };
    s->settings = settings;
    s->env = *env;
    s->constant = template_is_constant(s->settings->exchange ? s->settings->exchange : s->settings->routing_key);
    s->max_size = (uint64_t)s->settings->max_size;
    s->probe = BACKOFF_PROBE;
    s->reconnect = BACKOFF_RECONNECT;
    rabbit_confirms_init(&s->confirms);
    timer_init(&s->retry, env->loop, on_retry, s);
    timer_init(&s->stop_timer, env->loop, on_stop_timer, s);
    task_init(&s->tell, on_tell, s);
    return &s->base;
}

/* ---- the kinds */

static void check(void *settings, const struct connection *c, struct mark at, struct diagnostics *d)
{
    const struct sink_settings *s = settings;
    const struct template *t = s->exchange ? s->exchange : s->routing_key;
    const char *what = s->exchange ? "exchange" : "queue";
    (void)c;
    if (!t)
        return; /* already told: it is required */
    if (template_is_constant(t) && template_constant(t).len > SHORT_STRING_MAX)
        diagnostics_error(d, at, "the name of the %s is longer than 255 bytes", what);
    if (!s->exchange && template_is_constant(t) && !template_constant(t).len)
        diagnostics_error(d, at, "a queue's name has 1 to 255 bytes");
    if (!template_is_constant(t) && (s->declare_exchange || s->declare_queue))
        diagnostics_error(d, at, "declare: needs an %s with a constant name, not a template", what);
    if (s->declare_exchange && !template_constant(t).len)
        diagnostics_error(d, at, "the default exchange cannot be declared");
    rabbitmq_check_queue_declaration(s->declare_queue, at, d);
}

static const char *exchange_target(const void *settings)
{
    return template_text(((const struct sink_settings *)settings)->exchange);
}

static const char *queue_target(const void *settings)
{
    return template_text(((const struct sink_settings *)settings)->routing_key);
}

#define COMMON_OPTIONS                                                                                             \
    OPTION(struct sink_settings, unconfirmed, OPTION_INT, .fallback = "2000", .min = 1, .max = 100000,             \
           .help = "how many messages may wait for the broker's confirm"),                                         \
        OPTION_AS("max_message_size", struct sink_settings, max_size, OPTION_SIZE, .fallback = "128MiB", .min = 1, \
                  .max = 512 << 20,                                                                                \
                  .help = "the broker's max_message_size: a larger payload is rejected before it is sent")

static const struct option exchange_options[] = {
    OPTION(struct sink_settings, exchange, OPTION_TEMPLATE, .required = true,
           .help = "exchange to publish to, a template; '' is the default exchange"),
    OPTION(struct sink_settings, routing_key, OPTION_TEMPLATE, .fallback = "''", .help = "routing key, a template"),
    OPTION_AS("declare", struct sink_settings, declare_exchange, OPTION_GROUP_PTR,
              .group = rabbitmq_exchange_declaration_options, .group_size = sizeof(struct exchange_declaration),
              .help = "declare the exchange at each connect; without it a missing one is a fault"),
    COMMON_OPTIONS,
    OPTION_END,
};

static const struct option queue_options[] = {
    OPTION_AS("queue", struct sink_settings, routing_key, OPTION_TEMPLATE, .required = true,
              .help = "queue to publish to through the default exchange, a template"),
    OPTION_AS("declare", struct sink_settings, declare_queue, OPTION_GROUP_PTR,
              .group = rabbitmq_queue_declaration_options, .group_size = sizeof(struct queue_declaration),
              .help = "declare the queue at each connect, and again when it is missing; without it that is a fault"),
    COMMON_OPTIONS,
    OPTION_END,
};

const struct sink_kind rabbitmq_exchange_sink = {
    .transport = "rabbitmq",
    .selector = "exchange",
    .name = "rabbitmq exchange",
    .options = exchange_options,
    .settings_size = sizeof(struct sink_settings),
    .check = check,
    .create = create,
    .target = exchange_target,
    .help = "Publishes to an exchange, confirmed by the broker. A message that no queue gets is rejected.",
};

const struct sink_kind rabbitmq_queue_sink = {
    .transport = "rabbitmq",
    .selector = "queue",
    .name = "rabbitmq queue",
    .options = queue_options,
    .settings_size = sizeof(struct sink_settings),
    .check = check,
    .create = create,
    .target = queue_target,
    .help = "Publishes to a queue through the default exchange, confirmed by the broker.",
};
