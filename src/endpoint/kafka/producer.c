/* Makes, shares, resets and ends producers, and carries delivery reports to the sinks. */
#include "endpoint/kafka/producer.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

#define PURGE_GRACE_US (2 * SEC)
#define ANSWER_US      (1 * SEC)
#define CEILING_US     (10 * SEC)
#define TICK_US        (1 * SEC)
enum { IN_FLIGHT_MOST = 1 << 20 };

static void set_status(struct kafka_producer *p, enum endpoint_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void set_status(struct kafka_producer *p, enum endpoint_state state, const char *format, ...)
{
    if (p->status.state != state)
        p->status.since_us = clock_us();
    p->status.state = state;
    va_list args;
    va_start(args, format);
    vsnprintf(p->status.reason, sizeof(p->status.reason), format, args);
    va_end(args);
    LIST_EACH(&p->sinks, node) {
        kafka_sink_status(kafka_sink_of(node));
    }
}

/* ---- events */

/* One event is one batch. True: it was too large, and the culprit may be any of them. */
static bool narrow(struct kafka_producer *p, uint64_t count)
{
    if (count == 1) {
        p->most_ever = IN_FLIGHT_MOST; /* there it is */
        return false;
    }
    p->most = count / 2 < p->most ? count / 2 : p->most;
    p->most_ever = p->most_ever < count / 2 ? p->most_ever : count / 2;
    p->ceiling_until = loop_now(p->lane->loop) + CEILING_US;
    p->passed = 0;
    log_info("kafka",
             "producer of %s: a batch of %llu messages is too large for its topic; the property batch.size bounds "
             "batches",
             p->client.name, (unsigned long long)count);
    return true;
}

static void widen(struct kafka_producer *p, uint64_t count)
{
    p->passed += count;
    if (p->most == IN_FLIGHT_MOST || p->passed < p->most)
        return;
    if (loop_now(p->lane->loop) >= p->ceiling_until)
        p->most_ever = IN_FLIGHT_MOST;
    p->most = p->most * 2 < p->most_ever ? p->most * 2 : p->most_ever;
    p->passed = 0;
}

uint64_t kafka_producer_room(const struct kafka_producer *p)
{
    uint64_t used = pool_used(p->flights);
    return p->state != PRODUCER_RUNNING || used >= p->most ? 0 : p->most - used;
}

static void on_reports(struct kafka_producer *p, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *m;
    size_t count = rd_kafka_event_message_count(event);
    bool first = true, blameless = false;
    while ((m = rd_kafka_event_message_next(event))) {
        if (first && m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
            blameless = narrow(p, count);
        first = false;
        kafka_sink_report(m->_private, blameless ? RD_KAFKA_RESP_ERR__PURGE_QUEUE : m->err, rd_kafka_message_status(m));
    }
    widen(p, blameless ? 0 : count);
}

static void set_down(struct kafka_producer *p)
{
    kafka_client_lost(&p->client);
    set_status(p, ENDPOINT_DOWN, "no broker of %s answers", p->client.name);
}

static void on_error(struct kafka_producer *p, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);
    const char *words = rd_kafka_event_error_string(event);
    if (rd_kafka_event_error_is_fatal(event)) {
        log_warning("kafka", "producer of %s: %s; it is made anew", p->client.name, words);
        loop_defer(p->lane->loop, &p->ending); /* not while its event is held */
    } else if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        set_down(p);
    } else if (err == RD_KAFKA_RESP_ERR__AUTHENTICATION || err == RD_KAFKA_RESP_ERR__SSL ||
               err == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED) {
        kafka_client_lost(&p->client);
        set_status(p, ENDPOINT_FAULT, "%s", words);
    } else {
        log_debug("kafka", "producer of %s: %s", p->client.name, words);
    }
}

static void try_end(struct kafka_producer *p);

static void on_ready(void *arg)
{
    struct kafka_producer *p = arg;
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(p->reports, 0))) {
        switch (rd_kafka_event_type(event)) {
        case RD_KAFKA_EVENT_DR:
            on_reports(p, event);
            break;
        case RD_KAFKA_EVENT_ERROR:
            on_error(p, event);
            break;
        default:
            break;
        }
        rd_kafka_event_destroy(event);
    }
    LIST_EACH(&p->sinks, node) {
        kafka_sink_flush(kafka_sink_of(node));
    }
    if (p->state == PRODUCER_PURGING || p->state == PRODUCER_FINISHING)
        try_end(p);
}

static void on_answer(void *arg)
{
    struct kafka_producer *p = arg;
    p->status.connects++;
    backoff_reset(&p->backoff);
    set_status(p, ENDPOINT_UP, "%s", "");
}

/* ---- librdkafka's instance */

static bool open_client(struct kafka_producer *p, char *error, size_t size)
{
    static const struct kafka_setting defaults[] = {
        { "linger.ms", "2" },
        /* How long a topic that was just named may be unknown: to wait longer hides a wrong name. */
        { "topic.metadata.propagation.max.ms", "3000" },
        { NULL, NULL },
    };
    /* The windows of the sinks are the bound; librdkafka's own must not come before. */
    const struct kafka_setting overrides[] = {
        { "enable.idempotence", "true" },
        { "message.timeout.ms", p->ordered ? "0" : "30000" },
        { "enable.gapless.guarantee", p->ordered ? "true" : "false" },
        { "queue.buffering.max.messages", "10000000" },
        { "queue.buffering.max.kbytes", "2147483647" },
        { NULL, NULL },
    };
    const struct kafka_client_request request = {
        .type = RD_KAFKA_PRODUCER,
        .connection = p->connection,
        .subject = p->connection->base.name,
        .defaults = defaults,
        .overrides = overrides,
        .events = RD_KAFKA_EVENT_DR,
        .on_ready = on_ready,
        .on_answer = on_answer,
        .arg = p,
    };
    return kafka_client_open(&p->client, p->lane, &request, error, size);
}

static void open_producer(struct kafka_producer *p)
{
    char error[REASON_MAX];
    if (!open_client(p, error, sizeof(error))) {
        p->state = PRODUCER_BROKEN;
        set_status(p, ENDPOINT_FAULT, "%s", error);
        timer_set(&p->timer, backoff_next(&p->backoff));
        return;
    }
    p->state = PRODUCER_RUNNING;
    p->client.status = &p->status;
    p->client.users = p->users;
    p->reports = rd_kafka_queue_get_main(p->client.rk);
    kafka_client_watch(&p->client, p->reports);
    set_status(p, ENDPOINT_CONNECTING, "%s", "");
    LIST_EACH(&p->sinks, node) {
        kafka_sink_client_ready(kafka_sink_of(node));
    }
    on_ready(p);
}

static void free_producer(struct kafka_producer *p)
{
    list_remove(&p->node);
    timer_close(&p->timer);
    timer_close(&p->tick);
    task_cancel(&p->ending);
    pool_free(p->flights);
    free(p->identity);
    free(p);
}

static void answer_unknown(struct flight *f)
{
    kafka_sink_report(f, RD_KAFKA_RESP_ERR__FATAL, RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED);
}

/* librdkafka's instance is gone, and nothing refers to the messages any more. */
static void on_ended(void *arg)
{
    struct kafka_producer *p = arg;
    LIST_EACH(&p->sinks, node) {
        kafka_sink_each_flight(kafka_sink_of(node), answer_unknown);
        kafka_sink_flush(kafka_sink_of(node));
    }
    if (p->users)
        open_producer(p);
    else
        free_producer(p);
}

static void end(struct kafka_producer *p)
{
    p->state = PRODUCER_ENDING;
    timer_cancel(&p->timer);
    LIST_EACH(&p->sinks, node) {
        kafka_sink_client_gone(kafka_sink_of(node));
    }
    rd_kafka_queue_destroy(p->reports);
    p->reports = NULL;
    kafka_client_close(&p->client, on_ended, p);
}

static void try_end(struct kafka_producer *p)
{
    if (pool_used(p->flights) == 0)
        end(p);
}

static bool may_be_purged(const struct kafka_producer *p)
{
    return p->state == PRODUCER_RUNNING || p->state == PRODUCER_FINISHING;
}

void kafka_producer_purge(struct kafka_producer *p)
{
    if (may_be_purged(p))
        rd_kafka_purge(p->client.rk,
                       RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

static void leave(struct kafka_producer *p, enum producer_state state, int64_t grace)
{
    p->state = state;
    timer_set(&p->timer, grace);
    set_status(p, ENDPOINT_CONNECTING, "%s", "the producer is made anew");
    on_ready(p);
}

void kafka_producer_reset(struct kafka_producer *p)
{
    if (!may_be_purged(p))
        return;
    kafka_producer_purge(p);
    leave(p, PRODUCER_PURGING, PURGE_GRACE_US);
}

/* The broker lives: what is on its way is answered in a moment, and to give it up would make duplicates. */
static void on_fatal(void *arg)
{
    struct kafka_producer *p = arg;
    if (p->state != PRODUCER_RUNNING)
        return;
    rd_kafka_purge(p->client.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
    leave(p, PRODUCER_FINISHING, ANSWER_US);
}

static void on_timer(void *arg)
{
    struct kafka_producer *p = arg;
    if (p->state == PRODUCER_FINISHING)
        kafka_producer_reset(p);
    else if (p->state == PRODUCER_PURGING)
        end(p); /* a request that is half written is not purged */
    else if (p->state == PRODUCER_BROKEN)
        open_producer(p);
}

/* A broker that hangs is told by no event. */
static void on_tick(void *arg)
{
    struct kafka_producer *p = arg;
    int64_t now = loop_now(p->lane->loop);
    timer_set(&p->tick, TICK_US);
    if (p->state != PRODUCER_RUNNING || pool_used(p->flights) == 0)
        p->busy_since = 0;
    else if (!p->busy_since)
        p->busy_since = now;
    else if (p->status.state == ENDPOINT_UP && now - p->busy_since > KAFKA_SILENCE_US &&
             kafka_client_silence(&p->client) > KAFKA_SILENCE_US)
        set_down(p);
}

/* ---- sharing */

static char *identity_of(const struct kafka_connection *c, bool ordered)
{
    struct buf b = BUF_EMPTY;
    kafka_bootstrap(c, &b);
    buf_printf(&b, "\n%d", ordered);
    for (size_t i = 0; i < c->properties.count; i++)
        buf_printf(&b, "\n%s=%s", c->properties.items[i].name, c->properties.items[i].value);
    return buf_take(&b);
}

struct kafka_producer *kafka_producer_get(struct transport_lane *lane, const struct kafka_connection *c, bool ordered)
{
    char *identity = identity_of(c, ordered);
    LIST_EACH(&lane->producers, node) {
        struct kafka_producer *p = LIST_ENTRY(node, struct kafka_producer, node);
        if (p->users && strcmp(p->identity, identity) == 0) {
            free(identity);
            p->connection = c;
            p->client.users = ++p->users;
            return p;
        }
    }
    struct kafka_producer *p = mem_zero(sizeof(*p));
    p->identity = identity;
    p->lane = lane;
    p->connection = c;
    p->ordered = ordered;
    p->users = 1;
    p->most = p->most_ever = IN_FLIGHT_MOST;
    p->flights = pool_new(sizeof(struct flight));
    p->backoff = BACKOFF_PROBE;
    list_init(&p->sinks);
    list_push_back(&lane->producers, &p->node);
    timer_init(&p->timer, lane->loop, on_timer, p);
    timer_init(&p->tick, lane->loop, on_tick, p);
    timer_set(&p->tick, TICK_US);
    task_init(&p->ending, on_fatal, p);
    open_producer(p);
    return p;
}

void kafka_producer_put(struct kafka_producer *p)
{
    p->client.users = --p->users;
    if (p->users) /* the settings of who went may go too */
        p->connection = kafka_sink_connection(kafka_sink_of(p->sinks.next));
    if (p->users || p->state == PRODUCER_FINISHING || p->state == PRODUCER_PURGING || p->state == PRODUCER_ENDING)
        return;
    if (p->state == PRODUCER_RUNNING)
        end(p);
    else
        free_producer(p);
}
