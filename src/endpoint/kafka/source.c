/* The sources `kafka: topic` and `kafka: topics`: a member of a consumer group.
 *
 *   group queue ──▶ assign ──▶ every partition's queue forwarded into ours
 *   our queue ──▶ fetch (while there is credit) ──▶ intake ──▶ … ──▶ settle ──▶ watermark ──▶ stored, committed
 *   group queue ──▶ revoke ──▶ nothing fetched, what is in flight gets REVOKE_GRACE ──▶ stored ──▶ unassign ──▶ returned
 *
 * Credit is kept by not polling our queue: pausing a partition would throw away what was prefetched. Records are taken as
 * events: no slower than in arrays, and arrays may skip records around a rebalance before librdkafka 2.1. */
#include "endpoint/kafka/source.h"

#include "base/log.h"
#include "base/mem.h"
#include "endpoint/kafka/fence.h"

#include <stdio.h>

#define TICK_US         (100 * MSEC) /* stores offsets, and polls: a member that does not poll leaves the group */
#define REVOKE_GRACE_US (2 * SEC)
#define FENCE_US        (2 * SEC)
#define COMMIT_US       (300 * MSEC)  /* what a crash repeats */
#define DOUBT_US        (1500 * MSEC) /* a broker that lives answers a fetch every 500 ms */
enum { FETCH_MOST = 512, PREFETCH_KB_LEAST = 1024, PREFETCH_KB_MOST = 256 << 10 };

static void set_status(struct kafka_source *s, enum endpoint_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void open_consumer(struct kafka_source *s);
static void close_consumer(struct kafka_source *s);
static void subscribe(struct kafka_source *s);
static void finish_stop(struct kafka_source *s);

static void set_status(struct kafka_source *s, enum endpoint_state state, const char *format, ...)
{
    char reason[REASON_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    if (state == ENDPOINT_UP && s->paused) {
        state = ENDPOINT_IDLE;
        snprintf(reason, sizeof(reason), "paused");
    }
    if (endpoint_status_set(&s->source.status, s->source.subject, state, "%s", reason))
        s->source.host->status(s->source.ctx);
}

static bool may_fetch(const struct kafka_source *s)
{
    return s->client.rk && !s->failed && !s->paused && !s->drained && !s->revoking && s->credit_messages > 0 &&
           s->credit_bytes > 0 && partitions_unsettled(&s->partitions) < s->share_unsettled;
}

static void update_unsettled(struct kafka_source *s)
{
    s->source.status.unsettled = partitions_unsettled(&s->partitions);
}

/* ---- trouble */

static void on_retry(void *arg)
{
    struct kafka_source *s = arg;
    if (s->client.rk)
        fence_ask(s->client.rk, s->settings->group, s->group);
    else
        open_consumer(s);
}

/* This consumer is finished; the next one is tried later. Its end waits until the event that told is released. */
static void fail(struct kafka_source *s, const char *why)
{
    s->failed = true;
    set_status(s, ENDPOINT_FAULT, "%s", why);
    loop_defer(s->loop, &s->end_failed);
}

static void end_failed(void *arg)
{
    struct kafka_source *s = arg;
    close_consumer(s);
    if (s->stopping)
        finish_stop(s);
    else
        timer_set(&s->retry, backoff_next(&s->backoff));
}

/* By another ferryd of our name, or by nobody: after a session without a broker librdkafka forgets its member's id, and the
 * commit that waited for the coordinator then goes out without one, which the broker calls fenced. Who was not heard therefore
 * joins again at once, once; who was fenced out of the blue waits until a session is over before anybody is blamed. */
static void on_fenced(struct kafka_source *s)
{
    s->fenced_us = s->unheard ? 0 : loop_now(s->loop);
    s->failed = true;
    set_status(s, ENDPOINT_CONNECTING,
               s->unheard ? "group %s gave this member up: joining again"
                          : "group %s has another member of this name, or had: waiting for its session to end",
               s->settings->group);
    loop_defer(s->loop, &s->end_failed);
}

static int64_t session_us(const struct kafka_source *s)
{
    char ms[24] = "";
    size_t size = sizeof(ms);
    int64_t value;
    if (rd_kafka_conf_get(rd_kafka_conf(s->client.rk), "session.timeout.ms", ms, &size) != RD_KAFKA_CONF_OK ||
        !parse_int(ms, &value))
        return 10 * SEC;
    return value * MSEC;
}

static void on_described(struct kafka_source *s, rd_kafka_event_t *event)
{
    if (!fence_is_held(event, s->member)) {
        s->fenced_us = 0;
        subscribe(s);
        return;
    }
    if (loop_now(s->loop) - s->fenced_us > session_us(s) + FENCE_US)
        set_status(s, ENDPOINT_FAULT, "another ferryd is named %s: it took over this member of group %s", s->member,
                   s->settings->group);
    timer_set(&s->retry, FENCE_US);
}

static void set_down(struct kafka_source *s)
{
    s->unheard = true;
    s->doubted = 0;
    kafka_client_lost(&s->client);
    set_status(s, ENDPOINT_DOWN, "no broker of %s answers", s->connection->base.name);
}

static bool is_silent(const struct kafka_source *s)
{
    return s->source.status.state == ENDPOINT_UP && kafka_client_silence(&s->client) > KAFKA_SILENCE_US;
}

/* librdkafka does not always tell ALL_BROKERS_DOWN: not when it forgets a dead coordinator before it counts. */
static void doubt(struct kafka_source *s)
{
    if (s->doubted || s->source.status.state != ENDPOINT_UP)
        return;
    s->doubted = loop_now(s->loop);
    kafka_client_lost(&s->client);
}

static void on_error(struct kafka_source *s, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);
    const char *words = rd_kafka_event_error_string(event);
    if (rd_kafka_event_error_is_fatal(event)) {
        if (err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
            on_fenced(s);
        else
            fail(s, words);
        return;
    }
    switch ((int)err) {
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        set_down(s);
        break;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
        kafka_client_lost(&s->client);
        set_status(s, ENDPOINT_FAULT, "%s", words);
        break;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
        set_status(s, ENDPOINT_FAULT, "%s", words);
        break;
    default: {
        unsigned suppressed;
        if (err == RD_KAFKA_RESP_ERR__TRANSPORT || err == RD_KAFKA_RESP_ERR__RESOLVE)
            doubt(s);
        if (log_limited(&s->errors, 10 * SEC, &suppressed))
            log_info(s->source.subject, "%s (%s)", words, rd_kafka_err2name(err));
    }
    }
}

/* ---- the group */

static void on_returned(void *arg, uint32_t generation)
{
    struct kafka_source *s = arg;
    s->source.host->returned(s->source.ctx, generation);
}

static void assign(struct kafka_source *s, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &list->elems[i];
        partitions_assign(&s->partitions, p->topic, p->partition);
        rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(s->client.rk, p->topic, p->partition);
        rd_kafka_queue_forward(queue, s->messages);
        rd_kafka_queue_destroy(queue);
    }
    rd_kafka_assign(s->client.rk, list);
    s->unheard = false;
    backoff_reset(&s->backoff);
    log_info(s->source.subject, "%d partition%s assigned", list->cnt, list->cnt == 1 ? "" : "s");
    /* Nothing assigned: the topics are not there, or other members have all of their partitions. */
    if (list->cnt || s->source.status.state != ENDPOINT_FAULT)
        set_status(s, ENDPOINT_UP, "%s", "");
}

static void finish_revoke(struct kafka_source *s, bool lost)
{
    s->revoking = false;
    s->unheard = s->unheard || lost;
    timer_cancel(&s->revoke);
    if (!lost)
        partitions_store(&s->partitions, s->client.rk); /* unassigning commits it */
    rd_kafka_assign(s->client.rk, NULL);
    log_info(s->source.subject, "partitions %s", lost ? "lost" : "revoked");
    partitions_revoke(&s->partitions, on_returned, s);
    update_unsettled(s);
}

static void on_revoke_grace_over(void *arg)
{
    finish_revoke(arg, false);
}

static void on_rebalance(struct kafka_source *s, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);
    bool lost = rd_kafka_assignment_lost(s->client.rk);
    if (s->revoking)
        finish_revoke(s, lost);
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assign(s, rd_kafka_event_topic_partition_list(event));
    } else if (lost || s->stopping || s->partitions.open == 0) {
        finish_revoke(s, lost);
    } else {
        /* The event need not be answered at once: the group waits for max.poll.interval.ms. */
        s->revoking = true;
        timer_set(&s->revoke, REVOKE_GRACE_US);
    }
}

static void on_commit(struct kafka_source *s, rd_kafka_event_t *event)
{
    const rd_kafka_topic_partition_list_t *offsets = rd_kafka_event_topic_partition_list(event);
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);
    s->committing = false;
    if (err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED || err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        set_status(s, ENDPOINT_FAULT, "commit: %s", rd_kafka_err2str(err));
    else if (err && err != RD_KAFKA_RESP_ERR__NO_OFFSET)
        log_debug(s->source.subject, "commit: %s", rd_kafka_err2str(err));
    if (offsets)
        partitions_confirm(&s->partitions, offsets);
    update_unsettled(s);
    if (may_fetch(s))
        loop_defer(s->loop, &s->fetch);
}

static void on_event(struct kafka_source *s, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_REBALANCE:
        on_rebalance(s, event);
        break;
    case RD_KAFKA_EVENT_OFFSET_COMMIT:
        on_commit(s, event);
        break;
    case RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT:
        on_described(s, event);
        break;
    case RD_KAFKA_EVENT_ERROR:
        on_error(s, event);
        break;
    default:
        break;
    }
}

/* Handling an event may end the consumer, and its queues with it. */
static void poll_queue(struct kafka_source *s, rd_kafka_queue_t **queue)
{
    rd_kafka_event_t *event;
    while (*queue && (event = rd_kafka_queue_poll(*queue, 0))) {
        on_event(s, event);
        rd_kafka_event_destroy(event);
    }
}

static void poll_group(struct kafka_source *s)
{
    poll_queue(s, &s->group);
    poll_queue(s, &s->closing);
    if (s->stopping && s->client.rk && rd_kafka_consumer_closed(s->client.rk))
        finish_stop(s);
}

/* ---- fetching */

static bool take(struct kafka_source *s, rd_kafka_event_t *event, struct arrival *out)
{
    const rd_kafka_message_t *m = rd_kafka_event_message_next(event);
    struct partition *p = m && !m->err ? partitions_find(&s->partitions, m) : NULL;
    if (!p) {
        rd_kafka_event_destroy(event);
        return false;
    }
    uint32_t returned;
    if (!partitions_take(&s->partitions, p, (uint64_t)m->offset, &returned)) {
        log_warning(s->source.subject, "offsets of %s [%d] went back to %lld: the topic was cut or made anew",
                    p->origin.name, (int)p->origin.partition, (long long)m->offset);
        on_returned(s, returned);
    }
    out->token = (struct token){ .a = (uint64_t)m->offset, .b = p->index, .generation = p->generation };
    out->message = record_message(s->keeper, event, m, &p->origin);
    return true;
}

static void fetch(void *arg)
{
    struct kafka_source *s = arg;
    struct arrival arrivals[FETCH_MOST];
    size_t n = 0;
    rd_kafka_event_t *event = NULL;
    while (n < FETCH_MOST && may_fetch(s) && (event = rd_kafka_queue_poll(s->messages, 0))) {
        if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_FETCH) {
            on_event(s, event);
            rd_kafka_event_destroy(event);
        } else if (take(s, event, &arrivals[n])) {
            s->credit_messages--;
            s->credit_bytes -= (int64_t)message_size(arrivals[n].message);
            n++;
        }
    }
    /* What was prefetched says nothing about a broker that is down. */
    if (n && s->source.status.state != ENDPOINT_UP && s->source.status.state != ENDPOINT_DOWN)
        set_status(s, ENDPOINT_UP, "%s", "");
    source_intake(&s->source, arrivals, n);
    /* An empty queue wakes us when it no longer is; grant, settle and resume come back to one that is not. */
    if (event && may_fetch(s))
        loop_defer(s->loop, &s->fetch);
}

/* ---- opening and closing */

static void on_ready(void *arg)
{
    struct kafka_source *s = arg;
    poll_group(s);
    if (may_fetch(s))
        loop_defer(s->loop, &s->fetch);
}

static void on_answer(void *arg)
{
    struct kafka_source *s = arg;
    bool doubted = s->doubted;
    s->doubted = 0;
    if (doubted && s->source.status.state == ENDPOINT_UP)
        return;
    s->source.status.connects++;
    if (s->partitions.assigned)
        set_status(s, ENDPOINT_UP, "%s", "");
    else if (!s->fenced_us)
        set_status(s, ENDPOINT_CONNECTING, "joining group %s", s->settings->group);
}

/* What would be committed otherwise waits in librdkafka, and goes out under a name that is void by then: see on_fenced. */
static bool is_heard(const struct kafka_source *s)
{
    return !s->doubted && s->source.status.state != ENDPOINT_DOWN;
}

/* Unless one is on its way, or the last was less than that ago. librdkafka's own timer would cost more when nothing flows than
 * all the rest of an idle daemon. */
static void commit(struct kafka_source *s, int64_t interval)
{
    int64_t now = loop_now(s->loop);
    if (s->committing || now - s->committed_us < interval)
        return;
    s->committed_us = now;
    partitions_store(&s->partitions, s->client.rk);
    s->committing = !rd_kafka_commit_queue(s->client.rk, NULL, s->group, NULL, NULL);
}

/* What is confirmed lags by a commit interval; near the bound it must not wait that long. */
static void commit_now(struct kafka_source *s)
{
    if (s->partitions.unconfirmed > s->share_unsettled / 2 && s->client.rk && is_heard(s))
        commit(s, 0);
}

static void on_tick(void *arg)
{
    struct kafka_source *s = arg;
    timer_set(&s->tick, TICK_US);
    poll_group(s);
    if (s->client.rk && ((s->doubted && loop_now(s->loop) - s->doubted > DOUBT_US) || is_silent(s)))
        set_down(s);
    if (s->client.rk && !s->stopping && is_heard(s) && s->partitions.unconfirmed)
        commit(s, COMMIT_US);
}

static void subscribe(struct kafka_source *s)
{
    const struct kafka_source_settings *set = s->settings;
    size_t count = set->topic ? 1 : set->topics.count;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, set->topic ? set->topic : set->topics.items[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(s->client.rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (err)
        fail(s, rd_kafka_err2str(err));
}

static bool open_client(struct kafka_source *s, char *error, size_t size)
{
    /* librdkafka before 2.2 looks only once a second whether a queue that was full has room again: it must hold more than a
     * second of peak. */
    char kbytes[24];
    uint64_t room = s->share_bytes / 1024;
    snprintf(kbytes, sizeof(kbytes), "%llu",
             (unsigned long long)(room < PREFETCH_KB_LEAST  ? PREFETCH_KB_LEAST
                                  : room > PREFETCH_KB_MOST ? PREFETCH_KB_MOST
                                                            : room));
    const struct kafka_setting defaults[] = {
        { "session.timeout.ms", "10000" },
        { "auto.commit.interval.ms", "5000" }, /* on_tick is sooner */
        { "fetch.queue.backoff.ms", "10" },
        { NULL, NULL },
    };
    const struct kafka_setting overrides[] = {
        { "group.id", s->settings->group },
        { "group.instance.id", s->member },
        { "auto.offset.reset", s->settings->start == START_LATEST ? "latest" : "earliest" },
        { "isolation.level", "read_committed" },
        { "enable.auto.offset.store", "false" },
        { "enable.auto.commit", "true" },
        { "queued.min.messages", "1000000" },
        { "queued.max.messages.kbytes", kbytes },
        { NULL, NULL },
    };
    const struct kafka_client_request request = {
        .type = RD_KAFKA_CONSUMER,
        .connection = s->connection,
        .subject = s->source.subject,
        .defaults = defaults,
        .overrides = overrides,
        .events = RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT,
        .on_ready = on_ready,
        .on_answer = on_answer,
        .arg = s,
    };
    return kafka_client_open(&s->client, s->lane, &request, error, size);
}

static void open_consumer(struct kafka_source *s)
{
    char error[REASON_MAX];
    if (!open_client(s, error, sizeof(error))) {
        set_status(s, ENDPOINT_FAULT, "%s", error);
        timer_set(&s->retry, backoff_next(&s->backoff));
        return;
    }
    s->doubted = 0;
    s->client.status = &s->source.status;
    s->client.users = 1;
    s->keeper = record_keeper_new();
    rd_kafka_poll_set_consumer(s->client.rk);
    s->group = rd_kafka_queue_get_consumer(s->client.rk);
    s->messages = rd_kafka_queue_new(s->client.rk);
    kafka_client_watch(&s->client, s->group);
    kafka_client_watch(&s->client, s->messages);
    if (s->source.status.state != ENDPOINT_FAULT)
        set_status(s, ENDPOINT_CONNECTING, "%s", "");
    timer_set(&s->tick, TICK_US);
    if (s->fenced_us)
        fence_ask(s->client.rk, s->settings->group, s->group);
    else
        subscribe(s);
    poll_group(s);
}

/* A consumer whose records are still in flight; ended when they are released, since ending waits for them. */
struct retired {
    struct kafka_client client;
    struct record_keeper *keeper;
};

static void on_none_outstanding(void *arg)
{
    struct retired *r = arg;
    kafka_client_close(&r->client, NULL, NULL);
    record_keeper_free(r->keeper);
    free(r);
}

static void destroy_queue(rd_kafka_queue_t **queue)
{
    if (*queue)
        rd_kafka_queue_destroy(*queue);
    *queue = NULL;
}

static void close_consumer(struct kafka_source *s)
{
    if (!s->client.rk)
        return;
    s->revoking = s->committing = s->failed = false;
    task_cancel(&s->end_failed);
    timer_cancel(&s->revoke);
    timer_cancel(&s->tick);
    partitions_revoke(&s->partitions, on_returned, s);
    update_unsettled(s);
    destroy_queue(&s->group);
    destroy_queue(&s->messages);
    destroy_queue(&s->closing);
    if (!s->keeper->outstanding) {
        kafka_client_close(&s->client, NULL, NULL);
        record_keeper_free(s->keeper);
    } else {
        struct retired *r = mem_zero(sizeof(*r));
        kafka_client_move(&r->client, &s->client);
        r->keeper = s->keeper;
        r->keeper->on_none = on_none_outstanding;
        r->keeper->arg = r;
    }
    s->keeper = NULL;
}

/* ---- the source's operations */

static void kafka_start(struct source *source)
{
    open_consumer((struct kafka_source *)source);
}

static void kafka_grant(struct source *source, uint64_t messages, uint64_t bytes)
{
    struct kafka_source *s = (struct kafka_source *)source;
    s->credit_messages += (int64_t)messages;
    s->credit_bytes += (int64_t)bytes;
    if (may_fetch(s))
        loop_defer(s->loop, &s->fetch);
}

static void on_drained(void *arg)
{
    struct kafka_source *s = arg;
    if (s->revoking && s->partitions.open == 0)
        finish_revoke(s, false);
}

static void kafka_settle(struct source *source, const struct token *tokens, size_t n)
{
    struct kafka_source *s = (struct kafka_source *)source;
    bool held = partitions_unsettled(&s->partitions) >= s->share_unsettled;
    partitions_done(&s->partitions, tokens, n);
    update_unsettled(s);
    commit_now(s);
    if (s->revoking && s->partitions.open == 0)
        loop_defer(s->loop, &s->drained_task);
    if (held && may_fetch(s))
        loop_defer(s->loop, &s->fetch);
}

/* The group's position stays below them: the partition's next assignment brings them again. */
static void kafka_release(struct source *source, const struct token *tokens, size_t n)
{
    source->host->released(source->ctx, tokens, n);
}

static void kafka_pause(struct source *source)
{
    struct kafka_source *s = (struct kafka_source *)source;
    s->paused = true;
    if (source->status.state == ENDPOINT_UP)
        set_status(s, ENDPOINT_IDLE, "paused");
}

static void kafka_resume(struct source *source)
{
    struct kafka_source *s = (struct kafka_source *)source;
    s->paused = false;
    if (source->status.state == ENDPOINT_IDLE && s->client.rk)
        set_status(s, s->partitions.assigned ? ENDPOINT_UP : ENDPOINT_CONNECTING, "%s", "");
    if (s->retry.armed) { /* the operator asks: try what is at fault at once */
        timer_cancel(&s->retry);
        on_retry(s);
    }
    if (may_fetch(s))
        loop_defer(s->loop, &s->fetch);
}

static void kafka_drain(struct source *source)
{
    ((struct kafka_source *)source)->drained = true;
}

static void tell_stopped(void *arg)
{
    struct kafka_source *s = arg;
    s->source.host->stopped(s->source.ctx);
}

static void finish_stop(struct kafka_source *s)
{
    close_consumer(s);
    timer_cancel(&s->grace);
    timer_cancel(&s->retry);
    set_status(s, ENDPOINT_IDLE, "%s", "");
    loop_defer(s->loop, &s->stopped);
}

static void on_grace_over(void *arg)
{
    struct kafka_source *s = arg;
    log_warning(s->source.subject, "no answer to the last commit: what was settled since the one before comes again");
    finish_stop(s);
}

/* Closing gives the assignment back, which commits what is stored. The member stays in the group until its session ends: a
 * restart within that time takes its partitions up again without a rebalance. */
static void kafka_stop(struct source *source, int64_t grace_us)
{
    struct kafka_source *s = (struct kafka_source *)source;
    s->drained = s->stopping = true;
    timer_cancel(&s->retry);
    if (!s->client.rk) {
        finish_stop(s);
        return;
    }
    partitions_store(&s->partitions, s->client.rk);
    if (s->revoking)
        finish_revoke(s, false);
    s->closing = rd_kafka_queue_new(s->client.rk);
    kafka_client_watch(&s->client, s->closing);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(s->client.rk, s->closing);
    if (error) {
        rd_kafka_error_destroy(error);
        finish_stop(s);
        return;
    }
    timer_set(&s->grace, grace_us);
}

static void kafka_free(struct source *source)
{
    struct kafka_source *s = (struct kafka_source *)source;
    timer_close(&s->tick);
    timer_close(&s->revoke);
    timer_close(&s->retry);
    timer_close(&s->grace);
    task_cancel(&s->fetch);
    task_cancel(&s->end_failed);
    task_cancel(&s->drained_task);
    task_cancel(&s->stopped);
    partitions_clear(&s->partitions);
    free(s->member);
    free(s);
}

static const struct source_ops ops = {
    .start = kafka_start,
    .grant = kafka_grant,
    .settle = kafka_settle,
    .release = kafka_release,
    .pause = kafka_pause,
    .resume = kafka_resume,
    .drain = kafka_drain,
    .stop = kafka_stop,
    .free = kafka_free,
};

struct source *kafka_source_create(const void *settings, const struct environment *env, const struct source_host *host,
                                   void *ctx)
{
    struct kafka_source *s = mem_zero(sizeof(*s));
    s->source = (struct source){ .ops = &ops, .host = host, .ctx = ctx, .subject = env->subject };
    s->settings = settings;
    s->connection = (const struct kafka_connection *)env->connection;
    s->loop = env->loop;
    s->lane = env->transport;
    s->member = mem_string(env->member);
    s->share_bytes = env->share_bytes;
    s->share_unsettled = env->share_unsettled ? env->share_unsettled : 1;
    s->backoff = BACKOFF_PROBE;
    partitions_init(&s->partitions, s->connection->base.name);
    timer_init(&s->tick, s->loop, on_tick, s);
    timer_init(&s->revoke, s->loop, on_revoke_grace_over, s);
    timer_init(&s->retry, s->loop, on_retry, s);
    timer_init(&s->grace, s->loop, on_grace_over, s);
    task_init(&s->fetch, fetch, s);
    task_init(&s->end_failed, end_failed, s);
    task_init(&s->drained_task, on_drained, s);
    task_init(&s->stopped, tell_stopped, s);
    return &s->source;
}
