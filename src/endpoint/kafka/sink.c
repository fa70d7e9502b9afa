/* The sink `kafka: topic`: messages to an idempotent producer, reports to verdicts.
 *
 *   send ──▶ flight ──▶ produce (no copy: its memory stays until its report) ──▶ report ──▶ verdicts ──▶ window_open
 *
 * What produce itself refuses is answered at the end of the loop's pass. */
#include "base/map.h"
#include "base/mem.h"
#include "endpoint/kafka/answer.h"
#include "endpoint/kafka/kafka.h"
#include "endpoint/kafka/producer.h"
#include "endpoint/kafka/record.h"

#include <stdio.h>

enum {
    WINDOW_MESSAGES = 100000,
    TOPICS_MOST = 1000,
    VERDICTS_MOST = 512,
};
#define WINDOW_BYTES  (UINT64_C(64) << 20)
#define TOPIC_IDLE_US (600 * SEC) /* at the most topics, one not used for so long makes room */

struct kafka_sink_settings {
    struct template *topic, *key, *partition;
    struct header_templates headers;
};

struct topic {
    struct list node; /* the least lately used first */
    rd_kafka_topic_t *rkt;
    char *name;
    int64_t used_us;
};

struct kafka_sink {
    struct sink sink;
    struct list node; /* in producer->sinks */
    const struct kafka_sink_settings *settings;
    const struct kafka_connection *connection;
    struct loop *loop;
    struct transport_lane *lane;
    struct kafka_producer *producer; /* NULL before start and after stop */
    bool ordered;
    struct answer_place place;
    int32_t partition;        /* when constant; RD_KAFKA_PARTITION_UA: librdkafka chooses */
    struct list flights;      /* in the order they were sent */
    uint64_t messages, bytes; /* of flights that are not given up */
    uint64_t given_up;
    bool hungry; /* the route was told a window of 0 */
    bool stopping;
    struct strmap topics;
    struct list topics_by_use;
    struct topic *constant; /* NULL: templated, or no producer */
    struct buf scratch;     /* rendered key, topic or header */
    struct verdict verdicts[VERDICTS_MOST];
    size_t verdict_count;
    struct list refused; /* flights that produce did not take */
    char reason[REASON_MAX],
        fault[REASON_MAX]; /* of the newest verdict that is not ok; what is at fault, "" when nothing */
    struct task answer, finish, stopped;
    struct timer grace;
};

/* A message that produce did not take, until its verdict. */
struct refusal {
    struct list node;
    void *tag;
    enum verdict_class class;
    char reason[];
};

static void check_stop(struct kafka_sink *s);

struct kafka_sink *kafka_sink_of(struct list *node)
{
    return LIST_ENTRY(node, struct kafka_sink, node);
}

const struct kafka_connection *kafka_sink_connection(const struct kafka_sink *s)
{
    return s->connection;
}

/* ---- status */

void kafka_sink_status(struct kafka_sink *s)
{
    const struct endpoint_status *p = &s->producer->status;
    bool at_fault = p->state == ENDPOINT_UP && *s->fault;
    s->sink.status.connects = p->connects;
    bool changed = endpoint_status_set(&s->sink.status, s->sink.subject, at_fault ? ENDPOINT_FAULT : p->state, "%s",
                                       at_fault ? s->fault : p->reason);
    if (changed)
        s->sink.host->status(s->sink.ctx);
    if (changed && p->state == ENDPOINT_UP && s->hungry && !s->stopping)
        loop_defer(s->loop, &s->answer);
}

static void set_fault(struct kafka_sink *s, const char *reason)
{
    if (strcmp(s->fault, reason) == 0)
        return;
    snprintf(s->fault, sizeof(s->fault), "%s", reason);
    kafka_sink_status(s);
}

/* ---- topics */

static void free_topic(struct kafka_sink *s, struct topic *t)
{
    strmap_remove(&s->topics, bytes_of_string(t->name));
    list_remove(&t->node);
    rd_kafka_topic_destroy(t->rkt);
    free(t->name);
    free(t);
}

static bool make_room(struct kafka_sink *s)
{
    if (s->topics.count < TOPICS_MOST)
        return true;
    struct topic *oldest = LIST_ENTRY(s->topics_by_use.next, struct topic, node);
    if (loop_now(s->loop) - oldest->used_us < TOPIC_IDLE_US)
        return false;
    free_topic(s, oldest);
    return true;
}

/* NULL: error says why. */
static struct topic *find_topic(struct kafka_sink *s, struct bytes name, const char **error)
{
    struct topic *t = strmap_get(&s->topics, name);
    if (!t) {
        char text[256] = "";
        if (name.len < sizeof(text) && !memchr(name.data, 0, name.len))
            memcpy(text, name.data, name.len);
        if ((*error = kafka_topic_name_error(text)))
            return NULL;
        if (!make_room(s)) {
            *error = "more than 1,000 different topics";
            return NULL;
        }
        rd_kafka_topic_t *rkt = rd_kafka_topic_new(s->producer->client.rk, text, NULL);
        if (!rkt) {
            *error = rd_kafka_err2str(rd_kafka_last_error());
            return NULL;
        }
        t = mem_zero(sizeof(*t));
        list_init(&t->node);
        t->rkt = rkt;
        t->name = mem_string(text);
        strmap_put(&s->topics, name, t);
    }
    t->used_us = loop_now(s->loop);
    list_remove(&t->node);
    list_push_back(&s->topics_by_use, &t->node);
    return t;
}

void kafka_sink_client_ready(struct kafka_sink *s)
{
    const char *error;
    if (s->place.constant_topic)
        s->constant = find_topic(s, template_constant(s->settings->topic), &error);
}

void kafka_sink_client_gone(struct kafka_sink *s)
{
    s->constant = NULL;
    while (!list_empty(&s->topics_by_use))
        free_topic(s, LIST_ENTRY(s->topics_by_use.next, struct topic, node));
}

/* ---- verdicts */

static void flush_verdicts(struct kafka_sink *s)
{
    size_t n = s->verdict_count;
    s->verdict_count = 0;
    sink_verdicts(&s->sink, s->verdicts, n);
}

static void open_window(struct kafka_sink *s)
{
    if (!s->hungry || s->stopping || !s->producer)
        return;
    bool half = s->messages <= WINDOW_MESSAGES / 2 && s->bytes <= WINDOW_BYTES / 2;
    if (half && kafka_producer_room(s->producer)) {
        s->hungry = false;
        s->sink.host->window_open(s->sink.ctx);
    }
}

/* The words of the newest error stay in place until another comes, so that a whole batch refers to them. */
static const char *words(struct kafka_sink *s, rd_kafka_resp_err_t err, const char *topic)
{
    char now[REASON_MAX];
    snprintf(now, sizeof(now), "topic %s: %s", topic, rd_kafka_err2str(err));
    if (strcmp(now, s->reason) != 0) {
        flush_verdicts(s);
        memcpy(s->reason, now, sizeof(now));
    }
    return s->reason;
}

static void release_flight(struct kafka_sink *s, struct flight *f)
{
    list_remove(&f->node);
    backing_unref(f->backing);
    pool_put(s->producer->flights, f);
}

void kafka_sink_report(struct flight *f, rd_kafka_resp_err_t err, rd_kafka_msg_status_t status)
{
    struct kafka_sink *s = f->sink;
    if (f->given_up) {
        s->given_up--;
        release_flight(s, f);
        return;
    }
    struct verdict v = { .tag = f->tag, .class = VERDICT_OK };
    if (err) {
        v.class = kafka_answer(err, status, s->place);
        v.untried = err == RD_KAFKA_RESP_ERR__PURGE_QUEUE;
        v.reason = words(s, err, template_text(s->settings->topic));
        if (v.class == VERDICT_FAULT)
            set_fault(s, v.reason);
    }
    s->messages--;
    s->bytes -= f->bytes;
    release_flight(s, f);
    s->verdicts[s->verdict_count++] = v;
    if (s->verdict_count == VERDICTS_MOST)
        flush_verdicts(s);
    if (!err && *s->fault)
        set_fault(s, "");
}

void kafka_sink_flush(struct kafka_sink *s)
{
    flush_verdicts(s);
    open_window(s);
    if (s->stopping)
        check_stop(s);
}

void kafka_sink_each_flight(struct kafka_sink *s, void (*visit)(struct flight *f))
{
    LIST_EACH(&s->flights, node) {
        visit(LIST_ENTRY(node, struct flight, node));
    }
}

/* ---- sending */

static void refuse(struct kafka_sink *s, void *tag, enum verdict_class class, const char *reason)
{
    size_t len = strlen(reason) + 1;
    struct refusal *r = mem_alloc(sizeof(*r) + len);
    list_init(&r->node);
    r->tag = tag;
    r->class = class;
    memcpy(r->reason, reason, len);
    list_push_back(&s->refused, &r->node);
    loop_defer(s->loop, &s->answer);
}

static void answer(void *arg)
{
    struct kafka_sink *s = arg;
    struct list *node;
    while ((node = list_pop_front(&s->refused))) {
        struct refusal *r = LIST_ENTRY(node, struct refusal, node);
        if (r->class == VERDICT_FAULT)
            set_fault(s, r->reason);
        const struct verdict v = { .tag = r->tag, .class = r->class, .reason = r->reason };
        sink_verdicts(&s->sink, &v, 1);
        free(r);
    }
    open_window(s);
}

struct addressed {
    rd_kafka_topic_t *rkt;
    int32_t partition;
    struct bytes key;
    rd_kafka_headers_t *headers; /* NULL: none */
};

static bool render(struct kafka_sink *s, const struct template *t, const struct message *m, struct bytes *out,
                   const char **error)
{
    if (template_peek(t, m, out) && (out->data || t == s->settings->key))
        return true; /* no value is an error, which rendering words, but for the key: that may be none */
    buf_clear(&s->scratch);
    if (!template_render(t, m, &s->scratch, error))
        return false;
    *out = buf_bytes(&s->scratch);
    return true;
}

static bool render_topic(struct kafka_sink *s, const struct message *m, struct addressed *a, const char **error)
{
    struct bytes name;
    if (s->constant) {
        a->rkt = s->constant->rkt;
        return true;
    }
    if (!render(s, s->settings->topic, m, &name, error))
        return false;
    const struct topic *t = find_topic(s, name, error);
    a->rkt = t ? t->rkt : NULL;
    return t != NULL;
}

static bool parse_partition(struct bytes text, int32_t *out)
{
    char digits[12] = "", *end;
    if (!text.data || !text.len || text.len >= sizeof(digits))
        return false;
    memcpy(digits, text.data, text.len);
    long n = strtol(digits, &end, 10);
    if (*end || n < 0 || n > INT32_MAX || digits[0] < '0' || digits[0] > '9')
        return false;
    *out = (int32_t)n;
    return true;
}

static bool render_partition(struct kafka_sink *s, const struct message *m, struct addressed *a, const char **error)
{
    struct bytes text;
    a->partition = s->partition;
    if (s->place.constant_partition)
        return true;
    if (!render(s, s->settings->partition, m, &text, error))
        return false;
    *error = "the partition is no number";
    return parse_partition(text, &a->partition);
}

static bool render_headers(struct kafka_sink *s, const struct message *m, struct addressed *a, const char **error)
{
    const struct header_templates *own = &s->settings->headers;
    a->headers = record_headers(m->headers, own->count);
    for (size_t i = 0; i < own->count; i++) {
        struct bytes value;
        if (!render(s, own->items[i].value, m, &value, error)) {
            rd_kafka_headers_destroy(a->headers);
            a->headers = NULL;
            return false;
        }
        rd_kafka_header_add(a->headers, own->items[i].name, -1, value.data, (ssize_t)value.len);
    }
    return true;
}

/* The key comes last: its bytes may be in scratch. */
static bool address(struct kafka_sink *s, const struct message *m, struct addressed *a, const char **error)
{
    *a = (struct addressed){ .key = message_key(m) };
    if (!render_topic(s, m, a, error) || !render_partition(s, m, a, error) || !render_headers(s, m, a, error))
        return false;
    if (s->settings->key && !render(s, s->settings->key, m, &a->key, error)) {
        if (a->headers)
            rd_kafka_headers_destroy(a->headers);
        return false;
    }
    return true;
}

static rd_kafka_resp_err_t produce(struct kafka_sink *s, const struct message *m, struct addressed *a, struct flight *f)
{
    if (!a->headers) {
        int failed = rd_kafka_produce(a->rkt, a->partition, 0, (void *)m->payload, m->payload_len, a->key.data,
                                      a->key.len, f);
        return failed ? rd_kafka_last_error() : RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    const rd_kafka_vu_t vus[] = {
        { .vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = a->rkt },
        { .vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = a->partition },
        { .vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = { (void *)m->payload, m->payload_len } },
        { .vtype = RD_KAFKA_VTYPE_KEY, .u.mem = { (void *)a->key.data, a->key.len } },
        { .vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = f },
        { .vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = a->headers },
    };
    rd_kafka_error_t *error = rd_kafka_produceva(s->producer->client.rk, vus, ARRAY_LEN(vus));
    if (!error)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t err = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    rd_kafka_headers_destroy(a->headers); /* produceva takes them only when it succeeds */
    return err;
}

static void send_one(struct kafka_sink *s, const struct delivery *d)
{
    const struct message *m = d->message;
    const char *error = "";
    struct addressed a;
    if (!s->producer || s->producer->state != PRODUCER_RUNNING) {
        refuse(s, d->tag, VERDICT_AGAIN, "no producer");
        return;
    }
    if (!address(s, m, &a, &error)) {
        refuse(s, d->tag, VERDICT_REJECT, error);
        return;
    }
    struct flight *f = pool_get(s->producer->flights);
    *f = (struct flight){ .sink = s, .tag = d->tag, .bytes = (uint32_t)message_size(m) };
    f->backing = m->backing ? backing_ref(m->backing) : NULL;
    list_push_back(&s->flights, &f->node);
    rd_kafka_resp_err_t err = produce(s, m, &a, f);
    if (err) {
        char reason[REASON_MAX];
        snprintf(reason, sizeof(reason), "topic %s: %s", rd_kafka_topic_name(a.rkt), rd_kafka_err2str(err));
        release_flight(s, f);
        refuse(s, d->tag, kafka_answer(err, RD_KAFKA_MSG_STATUS_NOT_PERSISTED, s->place), reason);
        return;
    }
    s->messages++;
    s->bytes += f->bytes;
}

/* ---- the sink's operations */

static void kafka_start(struct sink *sink)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;
    s->producer = kafka_producer_get(s->lane, s->connection, s->ordered);
    list_push_back(&s->producer->sinks, &s->node);
    if (s->producer->state == PRODUCER_RUNNING)
        kafka_sink_client_ready(s);
    kafka_sink_status(s);
}

static struct window kafka_window(struct sink *sink)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;
    struct window w = { 0, 0 };
    /* Before the first answer nothing is known; later, what waits for a broker waits in order. */
    if (s->producer && !s->stopping && s->producer->status.connects && s->messages < WINDOW_MESSAGES &&
        s->bytes < WINDOW_BYTES) {
        uint64_t room = kafka_producer_room(s->producer);
        w.messages = WINDOW_MESSAGES - s->messages < room ? WINDOW_MESSAGES - s->messages : room;
        w.bytes = w.messages ? WINDOW_BYTES - s->bytes : 0;
    }
    if (!w.messages)
        s->hungry = true;
    return w;
}

static void kafka_send(struct sink *sink, const struct delivery *deliveries, size_t n)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;
    for (size_t i = 0; i < n; i++)
        send_one(s, &deliveries[i]);
}

/* librdkafka cannot be told to forget a single message, so their memory stays until it reports them; they are answered now. */
static void kafka_cancel(struct sink *sink)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;
    LIST_EACH(&s->flights, node) {
        struct flight *f = LIST_ENTRY(node, struct flight, node);
        if (f->given_up)
            continue;
        f->given_up = true;
        s->given_up++;
        s->messages--;
        s->bytes -= f->bytes;
        refuse(s, f->tag, VERDICT_UNKNOWN, "given up before the broker answered");
    }
    if (s->given_up && s->producer->users == 1)
        kafka_producer_purge(s->producer);
}

/* A message that is sent asks anew; a broker that is down is tried every two seconds at most. */
static void kafka_probe(struct sink *sink)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;
    if (s->producer && s->producer->state == PRODUCER_BROKEN)
        timer_set(&s->producer->timer, 0);
}

static void tell_stopped(void *arg)
{
    struct kafka_sink *s = arg;
    s->sink.host->stopped(s->sink.ctx);
}

/* Nothing may refer to a message of ours any more. */
static void check_stop(struct kafka_sink *s)
{
    if (!s->producer || !list_empty(&s->flights))
        return;
    struct kafka_producer *p = s->producer;
    timer_cancel(&s->grace);
    kafka_sink_client_gone(s);
    list_remove(&s->node);
    s->producer = NULL;
    kafka_producer_put(p);
    if (endpoint_status_set(&s->sink.status, s->sink.subject, ENDPOINT_IDLE, "%s", ""))
        s->sink.host->status(s->sink.ctx);
    loop_defer(s->loop, &s->stopped);
}

static void finish(void *arg)
{
    check_stop(arg);
}

static void on_grace_over(void *arg)
{
    struct kafka_sink *s = arg;
    kafka_producer_reset(s->producer);
}

static void kafka_stop(struct sink *sink, int64_t grace_us)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;
    s->stopping = true;
    if (!s->producer) {
        loop_defer(s->loop, &s->stopped);
        return;
    }
    timer_set(&s->grace, grace_us);
    loop_defer(s->loop, &s->finish); /* not while the producer walks over its sinks */
}

static void kafka_free(struct sink *sink)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;
    timer_close(&s->grace);
    task_cancel(&s->answer);
    task_cancel(&s->finish);
    task_cancel(&s->stopped);
    strmap_free(&s->topics);
    buf_free(&s->scratch);
    struct list *node;
    while ((node = list_pop_front(&s->refused)))
        free(LIST_ENTRY(node, struct refusal, node));
    free(s);
}

static const struct sink_ops ops = {
    .start = kafka_start,
    .window = kafka_window,
    .send = kafka_send,
    .cancel = kafka_cancel,
    .probe = kafka_probe,
    .stop = kafka_stop,
    .free = kafka_free,
};

static struct sink *kafka_create(const void *settings, const struct environment *env, const struct sink_host *host,
                                 void *ctx)
{
    struct kafka_sink *s = mem_zero(sizeof(*s));
    s->sink = (struct sink){ .ops = &ops, .host = host, .ctx = ctx, .subject = env->subject };
    s->settings = settings;
    s->connection = (const struct kafka_connection *)env->connection;
    s->loop = env->loop;
    s->lane = env->transport;
    s->ordered = env->order != ORDER_NONE;
    s->place.constant_topic = template_is_constant(s->settings->topic);
    s->place.constant_partition = !s->settings->partition || template_is_constant(s->settings->partition);
    s->partition = RD_KAFKA_PARTITION_UA;
    if (s->settings->partition && s->place.constant_partition)
        parse_partition(template_constant(s->settings->partition), &s->partition);
    list_init(&s->node);
    list_init(&s->flights);
    list_init(&s->refused);
    list_init(&s->topics_by_use);
    task_init(&s->answer, answer, s);
    task_init(&s->finish, finish, s);
    task_init(&s->stopped, tell_stopped, s);
    timer_init(&s->grace, s->loop, on_grace_over, s);
    return &s->sink;
}

/* ---- options */

static const struct option options[] = {
    OPTION(struct kafka_sink_settings, topic, OPTION_TEMPLATE, .required = true, .help = "topic to write to"),
    OPTION(struct kafka_sink_settings, key, OPTION_TEMPLATE, .fallback_text = "the message's key, if any",
           .help = "the record's key, from which the partition follows"),
    OPTION(struct kafka_sink_settings, partition, OPTION_TEMPLATE, .fallback_text = "by key",
           .help = "number of the partition to write to"),
    OPTION(struct kafka_sink_settings, headers, OPTION_HEADER_TEMPLATES,
           .help = "headers to add to those of the message"),
    OPTION_END,
};

static void check_sink(void *settings, const struct connection *c, struct mark at, struct diagnostics *d)
{
    (void)c;
    const struct kafka_sink_settings *s = settings;
    int32_t partition;
    if (s->topic && template_is_constant(s->topic)) {
        const char *why = kafka_topic_name_error(template_text(s->topic));
        if (why)
            diagnostics_error(d, at, "\"%s\" is no topic: %s", template_text(s->topic), why);
    }
    if (s->partition && template_is_constant(s->partition) &&
        !parse_partition(template_constant(s->partition), &partition))
        diagnostics_error(d, at, "partition: expected a number from 0, found \"%s\"", template_text(s->partition));
}

static const char *target(const void *settings)
{
    const struct kafka_sink_settings *s = settings;
    return template_text(s->topic);
}

const struct sink_kind kafka_topic_sink = {
    .transport = "kafka",
    .selector = "topic",
    .name = "kafka topic",
    .options = options,
    .settings_size = sizeof(struct kafka_sink_settings),
    .caps = { .ordered_on_failure = true, .null_payload = true, .repeated_headers = true },
    .check = check_sink,
    .create = kafka_create,
    .target = target,
    .help = "A topic, written by an idempotent producer and confirmed by all replicas in sync.",
};
