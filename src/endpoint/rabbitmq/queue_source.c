/* The source `queue`: consumes, hands over, acknowledges.
 *
 *   opened ─▶ declare ─▶ qos, consume ─▶ consume-ok ─▶ deliver … ─▶ intake ─▶ settle ─▶ ack (once a pass)
 *      ▲                                      │ basic.cancel: the queue went: declare again, or fault and probe
 *      └── lost: returned(generation) ◀───────┘
 *
 * Each channel is a generation. Prefetch is the only credit that the broker knows: it is set at consume, and changed only by
 * a second consumer on the same channel that replaces the first, because basic.qos does not change a running one. */
#include "base/log.h"
#include "base/mem.h"
#include "endpoint/rabbitmq/acks.h"
#include "endpoint/rabbitmq/declare.h"
#include "endpoint/rabbitmq/properties.h"
#include "endpoint/rabbitmq/rabbitmq.h"
#include "runtime/backoff.h"

#include <stdio.h>

enum {
    PREFETCH_MAX = UINT16_MAX,
    BODY_GUESS = 1024,              /* until the mean size is measured */
    MEASURED_ENOUGH = 500,          /* messages before prefetch may change, and between two changes */
    ANSWERS_TAKE_US = 250000,       /* until a quorum queue has all acks for sure: see source_stop */
    ACK_BEHIND_US = 20,             /* how long what is settled behind a held message waits for it, by each message of
                                       prefetch: long enough that few are open by then, short enough that at 50,000
                                       messages a second they do not use the prefetch up */
    TAG_MAX = SHORT_STRING_MAX + 1, /* with its NUL */
};

struct queue_settings {
    char *queue;
    struct queue_declaration *declare;
    int64_t prefetch, priority;
};

struct queue_source {
    struct source base;
    const struct queue_settings *settings;
    struct environment env;
    struct rabbit_link *link;
    struct rabbit_channel channel;
    struct origin origin;
    uint32_t generation;

    bool started, granted, paused, draining, stopping;
    bool consuming;    /* the newest consumer is asked for, and not cancelled */
    unsigned consumer; /* its number */
    unsigned replaced; /* an older one that goes when the newest is confirmed; 0: none */
    unsigned prefetch; /* what the newest one was given */
    unsigned measured; /* messages since it was */
    double mean_size;
    struct timer retry; /* consume or open again */
    struct backoff probe, reconnect;

    struct acks acks;
    struct task ack_now;
    struct timer ack_behind, close_timer, stop_timer;
    int64_t answered_us;   /* when the newest ack or nack was written */
    uint64_t behind_below; /* tags that had come when ack_behind was set */

    struct arena arena;
    struct properties_reader reader;
    struct arrival *arrivals;
    size_t arrival_count, arrival_cap;
};

static struct queue_source *of_source(struct source *s)
{
    return (struct queue_source *)s;
}

static struct queue_source *of_channel(struct rabbit_channel *c)
{
    return CONTAINER_OF(c, struct queue_source, channel);
}

static void tell(struct queue_source *q, enum endpoint_state state, const char *reason)
{
    if (endpoint_status_set(&q->base.status, q->base.subject, state, "%s", reason))
        q->base.host->status(q->base.ctx);
}

static bool accepting(const struct queue_source *q)
{
    return !q->paused && !q->draining && !q->stopping;
}

/* ---- consuming */

static amqp_bytes_t consumer_tag(const struct queue_source *q, unsigned consumer, char text[TAG_MAX])
{
    int len = snprintf(text, TAG_MAX, "%.200s#%u", q->env.member, consumer);
    return (amqp_bytes_t){ (size_t)len, text };
}

static unsigned wanted_prefetch(const struct queue_source *q)
{
    if (q->settings->prefetch)
        return (unsigned)q->settings->prefetch;
    double by_bytes = (double)q->env.share_bytes / (q->mean_size > 1 ? q->mean_size : 1);
    double wanted = by_bytes < (double)q->env.share_messages ? by_bytes : (double)q->env.share_messages;
    return wanted < 1 ? 1 : wanted > PREFETCH_MAX ? PREFETCH_MAX : (unsigned)wanted;
}

static void send_consume(struct queue_source *q)
{
    char tag[TAG_MAX];
    q->prefetch = wanted_prefetch(q);
    q->measured = 0;
    amqp_basic_qos_t qos = { .prefetch_count = (uint16_t)q->prefetch };
    rabbit_channel_send(&q->channel, AMQP_BASIC_QOS_METHOD, &qos);
    amqp_table_entry_t priority = {
        .key = amqp_cstring_bytes("x-priority"),
        .value = { .kind = AMQP_FIELD_KIND_I32, .value.i32 = (int32_t)q->settings->priority },
    };
    amqp_basic_consume_t consume = {
        .queue = amqp_cstring_bytes(q->settings->queue),
        .consumer_tag = consumer_tag(q, ++q->consumer, tag),
        .arguments = { q->settings->priority != 0, &priority },
    };
    rabbit_channel_send(&q->channel, AMQP_BASIC_CONSUME_METHOD, &consume);
    q->consuming = true;
}

static void send_cancel(struct queue_source *q, unsigned consumer)
{
    char tag[TAG_MAX];
    amqp_basic_cancel_t cancel = { .consumer_tag = consumer_tag(q, consumer, tag) };
    rabbit_channel_send(&q->channel, AMQP_BASIC_CANCEL_METHOD, &cancel);
}

static void consume_if_due(struct queue_source *q)
{
    if (q->channel.state != CHANNEL_OPEN || q->consuming || !accepting(q) || !q->granted || q->retry.armed)
        return;
    send_consume(q);
}

static void stop_consuming(struct queue_source *q)
{
    timer_cancel(&q->retry);
    if (q->channel.state == CHANNEL_OPEN && q->consuming) {
        send_cancel(q, q->consumer);
        if (q->replaced)
            send_cancel(q, q->replaced);
    } else if (q->channel.state == CHANNEL_SHUT && q->started && !q->stopping) {
        rabbit_channel_open(
            &q->channel); /* the timer would have; settling needs no consumer, a paused route no fault */
    }
    q->consuming = false;
    q->replaced = 0;
}

/* Prefetch follows the size of messages, in steps of at least two, so that it changes a few times in all. */
static void adapt_prefetch(struct queue_source *q)
{
    unsigned wanted = wanted_prefetch(q);
    if (q->measured < MEASURED_ENOUGH || !q->consuming || q->replaced || !accepting(q))
        return;
    if (wanted < 2 * q->prefetch && q->prefetch < 2 * wanted)
        return;
    q->replaced = q->consumer;
    send_consume(q);
}

/* ---- acknowledging */

/* basic.ack and basic.nack as they are on the wire, 21 bytes. */
static void write_answer(struct queue_source *q, uint32_t method, uint64_t tag, unsigned flags)
{
    struct buf *out = rabbit_channel_output(&q->channel);
    uint8_t *at = buf_reserve(out, 21);
    q->answered_us = loop_now(q->env.loop);
    at[0] = FRAME_METHOD;
    store_number(at + 1, q->channel.number, 2);
    store_number(at + 3, 13, 4);
    store_number(at + 7, method, 4);
    store_number(at + 11, tag, 8);
    at[19] = (uint8_t)flags;
    at[20] = FRAME_END;
    out->len += 21;
}

static void on_ack(void *arg, uint64_t tag, bool multiple)
{
    write_answer(arg, AMQP_BASIC_ACK_METHOD, tag, multiple);
}

static void write_requeue(struct queue_source *q, uint64_t tag)
{
    write_answer(q, AMQP_BASIC_NACK_METHOD, tag, 2);
    rabbit_channel_written(&q->channel);
}

static void acknowledge(struct queue_source *q, uint64_t behind_below)
{
    if (q->channel.state != CHANNEL_OPEN)
        return;
    rabbit_acks_plan(&q->acks, behind_below, on_ack, q);
    rabbit_channel_written(&q->channel);
    q->base.status.unsettled = q->acks.unsettled;
    if (q->acks.behind_count && !q->ack_behind.armed) {
        q->behind_below = q->acks.next;
        timer_set(&q->ack_behind, (int64_t)q->prefetch * ACK_BEHIND_US);
    }
}

static void on_ack_now(void *arg)
{
    acknowledge(arg, 0);
}

static void on_ack_behind(void *arg)
{
    acknowledge(arg, ((struct queue_source *)arg)->behind_below);
}

/* ---- deliveries */

static void describe(struct queue_source *q, struct message *m, const struct content *content, uint8_t *extra)
{
    struct message_detail *detail = (struct message_detail *)(void *)extra;
    uint8_t *names = extra + 3 * sizeof *detail;
    memcpy(names, content->exchange.data, content->exchange.len);
    memcpy(names + content->exchange.len, content->routing_key.data, content->routing_key.len);
    detail[0] = (struct message_detail){ BYTES_LITERAL("exchange"), bytes_of(names, content->exchange.len) };
    detail[1] = (struct message_detail){ BYTES_LITERAL("routing_key"),
                                         bytes_of(names + content->exchange.len, content->routing_key.len) };
    detail[2] = (struct message_detail){ BYTES_NULL, BYTES_NULL };
    m->detail = detail;
    m->origin = &q->origin;
    if (content->redelivered)
        m->flags |= MESSAGE_REDELIVERED;
}

static void hand_over(struct queue_source *q, const struct content *content)
{
    uint8_t *extra;
    struct message *m = rabbit_properties_read(
        &q->reader, &q->arena, content->properties, content->body,
        3 * sizeof(struct message_detail) + content->exchange.len + content->routing_key.len, &extra);
    describe(q, m, content, extra);
    double size = (double)message_size(m);
    q->mean_size += (size - q->mean_size) / (q->measured < MEASURED_ENOUGH ? q->measured + 1 : MEASURED_ENOUGH);
    q->measured++;
    if (q->arrival_count == q->arrival_cap) {
        q->arrival_cap = q->arrival_cap ? q->arrival_cap * 2 : 256;
        q->arrivals = mem_resize_array(q->arrivals, q->arrival_cap, sizeof *q->arrivals);
    }
    q->arrivals[q->arrival_count++] = (struct arrival){ m, { .a = content->tag, .generation = q->generation } };
}

static void on_content(struct rabbit_channel *c, const struct content *content)
{
    struct queue_source *q = of_channel(c);
    if (c->state != CHANNEL_OPEN || content->method != AMQP_BASIC_DELIVER_METHOD)
        return;
    if (!rabbit_acks_deliver(&q->acks, content->tag)) {
        log_error(q->base.subject, "the broker delivered tag %llu out of turn", (unsigned long long)content->tag);
        rabbit_link_distrust(q->link, "it numbers its deliveries wrongly");
        return;
    }
    /* What comes between a cancel and its answer goes back to where it was in the queue, for whoever consumes next. */
    if (!accepting(q)) {
        rabbit_acks_release(&q->acks, content->tag);
        write_requeue(q, content->tag);
        return;
    }
    hand_over(q, content);
}

static void on_batch_end(struct rabbit_channel *c)
{
    struct queue_source *q = of_channel(c);
    size_t n = q->arrival_count;
    q->arrival_count = 0;
    source_intake(&q->base, q->arrivals, n);
    adapt_prefetch(q);
}

/* ---- the channel's life */

static void on_opened(struct rabbit_channel *c)
{
    struct queue_source *q = of_channel(c);
    q->generation++;
    rabbit_acks_reset(&q->acks);
    q->consuming = false;
    q->replaced = 0;
    timer_cancel(&q->retry);
    if (q->settings->declare)
        rabbit_declare_queue(c, q->settings->queue, q->settings->declare);
    consume_if_due(q);
    if (!q->consuming)
        tell(q, accepting(q) ? ENDPOINT_UP : ENDPOINT_IDLE, "");
}

/* The broker ended our consumer: the queue was deleted, or its node went. */
static void on_cancelled(struct queue_source *q, struct bytes tag)
{
    char own[TAG_MAX], reason[REASON_MAX];
    amqp_bytes_t current = consumer_tag(q, q->consumer, own);
    if (!q->consuming || !bytes_equal(tag, bytes_of(current.bytes, current.len)))
        return;
    q->consuming = false;
    q->replaced = 0;
    snprintf(reason, sizeof reason, "the broker ended the consumer: queue '%s' was deleted or became unavailable",
             q->settings->queue);
    tell(q, q->settings->declare ? ENDPOINT_CONNECTING : ENDPOINT_FAULT, reason);
    timer_set(&q->retry, q->settings->declare ? backoff_next(&q->reconnect) : backoff_next(&q->probe));
}

static void on_retry(void *arg)
{
    struct queue_source *q = arg;
    if (q->channel.state == CHANNEL_SHUT) {
        rabbit_channel_open(&q->channel);
    } else if (q->channel.state == CHANNEL_OPEN) {
        if (q->settings->declare)
            rabbit_declare_queue(&q->channel, q->settings->queue, q->settings->declare);
        consume_if_due(q);
    }
}

static void on_method(struct rabbit_channel *c, uint32_t method, const void *decoded)
{
    struct queue_source *q = of_channel(c);
    if (method == AMQP_BASIC_CONSUME_OK_METHOD && q->consuming) {
        backoff_reset(&q->probe);
        backoff_reset(&q->reconnect);
        if (q->replaced)
            send_cancel(q, q->replaced);
        else
            q->base.status.connects++;
        q->replaced = 0;
        tell(q, ENDPOINT_UP, "");
    } else if (method == AMQP_BASIC_CANCEL_METHOD) {
        const amqp_basic_cancel_t *cancel = decoded;
        on_cancelled(q, bytes_of(cancel->consumer_tag.bytes, cancel->consumer_tag.len));
    } else if (method == AMQP_BASIC_CANCEL_OK_METHOD && q->paused && !q->consuming) {
        tell(q, ENDPOINT_IDLE, "paused");
    }
}

/* Every token of this generation is void; the broker has the messages back. */
static void end_generation(struct queue_source *q)
{
    bool delivered = q->acks.next > 1;
    q->consuming = false;
    q->replaced = 0;
    timer_cancel(&q->ack_behind);
    task_cancel(&q->ack_now);
    for (size_t i = 0; i < q->arrival_count; i++) /* not handed over yet */
        message_unref(q->arrivals[i].message);
    q->arrival_count = 0;
    rabbit_acks_reset(&q->acks);
    q->base.status.unsettled = 0;
    if (delivered)
        q->base.host->returned(q->base.ctx, q->generation);
}

static void on_lost(struct rabbit_channel *c, const struct channel_loss *loss)
{
    struct queue_source *q = of_channel(c);
    const struct endpoint_status *link = rabbit_link_status(q->link);
    end_generation(q);
    if (loss->link_lost) {
        tell(q, link->state, link->reason);
        return;
    }
    char reason[REASON_MAX];
    snprintf(reason, sizeof reason, "queue '%.60s': %.*s%s%s", q->settings->queue, (int)loss->text.len,
             (const char *)loss->text.data, loss->why->words ? "; " : "", loss->why->words ? loss->why->words : "");
    tell(q, loss->why->fault ? ENDPOINT_FAULT : ENDPOINT_DOWN, reason);
    timer_set(&q->retry, backoff_next(loss->why->fault ? &q->probe : &q->reconnect));
}

static void on_link_changed(struct rabbit_channel *c)
{
    struct queue_source *q = of_channel(c);
    const struct endpoint_status *link = rabbit_link_status(q->link);
    if (link->state == ENDPOINT_DOWN || link->state == ENDPOINT_FAULT)
        tell(q, link->state, link->reason);
    /* A blocked connection that consumes is no trouble; and up is said when the broker has confirmed the consumer. */
}

/* Closing gives back to the broker whatever is not settled. */
static void on_close_timer(void *arg)
{
    rabbit_channel_close(&((struct queue_source *)arg)->channel);
}

static void on_stop_timer(void *arg)
{
    struct queue_source *q = arg;
    timer_cancel(&q->close_timer);
    if (q->started) {
        end_generation(q);
        rabbit_channel_detach(&q->channel); /* also when the broker's answer did not come in time */
    }
    tell(q, ENDPOINT_IDLE, "");
    q->base.host->stopped(q->base.ctx);
}

static void on_closed(struct rabbit_channel *c)
{
    timer_set(&of_channel(c)->stop_timer, 0);
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

static void source_start(struct source *s)
{
    struct queue_source *q = of_source(s);
    q->started = true;
    tell(q, ENDPOINT_CONNECTING, "");
    q->link = rabbit_link_acquire(q->env.transport, (const struct rabbitmq_settings *)q->env.connection, LINK_CONSUME,
                                  q->env.member);
    rabbit_channel_init(&q->channel, q->link, &channel_events);
    rabbit_channel_open(&q->channel);
}

/* The broker knows no credit but prefetch, which the shares of the limits bound. */
static void source_grant(struct source *s, uint64_t messages, uint64_t bytes)
{
    struct queue_source *q = of_source(s);
    (void)bytes;
    if (!messages)
        return;
    q->granted = true;
    if (!q->consuming)
        consume_if_due(q);
}

static void source_settle(struct source *s, const struct token *tokens, size_t n)
{
    struct queue_source *q = of_source(s);
    for (size_t i = 0; i < n; i++)
        if (tokens[i].generation == q->generation)
            rabbit_acks_settle(&q->acks, tokens[i].a);
    q->base.status.unsettled = q->acks.unsettled;
    if (q->acks.unsettled)
        loop_defer(q->env.loop, &q->ack_now);
}

static void source_release(struct source *s, const struct token *tokens, size_t n)
{
    struct queue_source *q = of_source(s);
    struct token *released = mem_array(n, sizeof *released);
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (tokens[i].generation == q->generation && rabbit_acks_release(&q->acks, tokens[i].a)) {
            write_requeue(q, tokens[i].a);
            released[count++] = tokens[i];
        }
    if (count)
        q->base.host->released(q->base.ctx, released, count);
    free(released);
}

/* The consumer is cancelled: prefetched messages would be kept from everybody else for as long as the pause lasts. */
static void source_pause(struct source *s)
{
    struct queue_source *q = of_source(s);
    q->paused = true;
    stop_consuming(q);
}

static void source_resume(struct source *s)
{
    struct queue_source *q = of_source(s);
    q->paused = false;
    timer_cancel(&q->retry);
    if (!q->started || q->draining || q->stopping)
        return;
    rabbit_link_retry_now(q->link);
    if (q->channel.state == CHANNEL_SHUT)
        rabbit_channel_open(&q->channel);
    else
        on_retry(q);
}

static void source_drain(struct source *s)
{
    struct queue_source *q = of_source(s);
    q->draining = true;
    if (q->started)
        stop_consuming(q);
}

/* To a quorum queue RabbitMQ's channel passes 32 acks on at a time and keeps the others back until the queue has written
 * those: when the channel is closed meanwhile it forgets them, and they would come again. No answer tells when it is done. */
static void source_stop(struct source *s, int64_t grace_us)
{
    struct queue_source *q = of_source(s);
    q->stopping = true;
    timer_cancel(&q->retry);
    timer_set(&q->stop_timer, q->started ? grace_us : 0);
    if (!q->started)
        return;
    acknowledge(q, UINT64_MAX);
    int64_t rest = q->answered_us ? q->answered_us + ANSWERS_TAKE_US - loop_now(q->env.loop) : 0;
    if (q->channel.state == CHANNEL_OPEN && rest > 0 && rest < grace_us)
        timer_set(&q->close_timer, rest);
    else
        rabbit_channel_close(&q->channel);
}

static void source_free(struct source *s)
{
    struct queue_source *q = of_source(s);
    if (q->started) {
        rabbit_channel_detach(&q->channel);
        rabbit_link_release(q->link);
    }
    timer_close(&q->retry);
    timer_close(&q->ack_behind);
    timer_close(&q->close_timer);
    timer_close(&q->stop_timer);
    task_cancel(&q->ack_now);
    rabbit_acks_free(&q->acks);
    rabbit_arena_close(&q->arena);
    rabbit_properties_reader_close(&q->reader);
    free(q->arrivals);
    free(q);
}

static const struct source_ops ops = {
    .start = source_start,
    .grant = source_grant,
    .settle = source_settle,
    .release = source_release,
    .pause = source_pause,
    .resume = source_resume,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
};

/* ---- the kind */

static struct source *create(const void *settings, const struct environment *env, const struct source_host *host,
                             void *ctx)
{
    struct queue_source *q = mem_zero(sizeof *q);
    q->base = (struct source){ .ops = &ops, .host = host, .ctx = ctx, .subject = env->subject };
    q->settings = settings;
    q->env = *env;
    q->origin = (struct origin){ "rabbitmq queue", env->connection->name, q->settings->queue, -1 };
    q->mean_size = BODY_GUESS;
    q->probe = BACKOFF_PROBE;
    q->reconnect = BACKOFF_RECONNECT;
    rabbit_acks_init(&q->acks);
    timer_init(&q->retry, env->loop, on_retry, q);
    timer_init(&q->ack_behind, env->loop, on_ack_behind, q);
    timer_init(&q->close_timer, env->loop, on_close_timer, q);
    timer_init(&q->stop_timer, env->loop, on_stop_timer, q);
    task_init(&q->ack_now, on_ack_now, q);
    return &q->base;
}

static void check(void *settings, const struct connection *c, struct mark at, struct diagnostics *d)
{
    const struct queue_settings *s = settings;
    (void)c;
    if (s->queue && (!*s->queue || strlen(s->queue) > SHORT_STRING_MAX))
        diagnostics_error(d, at, "a queue's name has 1 to 255 bytes");
    rabbitmq_check_queue_declaration(s->declare, at, d);
    if (s->declare && s->declare->type == QUEUE_STREAM)
        diagnostics_error(d, at,
                          "a queue of type stream keeps no position for its consumers and takes no messages back; "
                          "it cannot be a source");
}

static const char *target(const void *settings)
{
    return ((const struct queue_settings *)settings)->queue;
}

static const struct option options[] = {
    OPTION(struct queue_settings, queue, OPTION_STRING, .required = true, .help = "queue to consume from"),
    OPTION(
        struct queue_settings, declare, OPTION_GROUP_PTR, .group = rabbitmq_queue_declaration_options,
        .group_size = sizeof(struct queue_declaration),
        .help =
            "declare the queue at each connect, and again when it is deleted; without it a missing queue is a fault"),
    OPTION(struct queue_settings, prefetch, OPTION_INT, .min = 1, .max = PREFETCH_MAX,
           .fallback_text = "from the route's share of limits and the measured size of messages",
           .help = "how many unacknowledged messages the broker may hand over"),
    OPTION(struct queue_settings, priority, OPTION_INT, .min = INT32_MIN, .max = INT32_MAX, .fallback = "0",
           .help = "consumer priority: lower ones get messages only while higher ones are busy"),
    OPTION_END,
};

const struct source_kind rabbitmq_queue_source = {
    .transport = "rabbitmq",
    .selector = "queue",
    .name = "rabbitmq queue",
    .options = options,
    .settings_size = sizeof(struct queue_settings),
    .caps = { .at_least_once = true, .stable_ids = true, .shared_name = true },
    .check = check,
    .create = create,
    .target = target,
    .help = "Consumes a classic or quorum queue. A message is acknowledged when its outcome is known.",
};
