/* Opens, watches and ends librdkafka's instances, and keeps those of a lane. */
#include "endpoint/kafka/client.h"

#include "base/log.h"
#include "base/mem.h"
#include "endpoint/kafka/kafka.h"
#include "runtime/thread.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What librdkafka's threads may touch: lives until they are gone. */
struct pulse {
    int fd;
    atomic_bool lost;      /* somebody waits for an answer */
    atomic_llong heard_us; /* the newest answer */
    atomic_bool answered;  /* it came, and the loop was not told yet */
    char *subject;
};

static void wake(struct pulse *p)
{
    uint64_t one = 1;
    while (write(p->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

/* ---- on librdkafka's threads */

/* Answers that come before a login proves nothing. */
static bool is_login(int16_t api_key)
{
    enum { SASL_HANDSHAKE = 17, API_VERSIONS = 18, SASL_AUTHENTICATE = 36 };
    return api_key == SASL_HANDSHAKE || api_key == API_VERSIONS || api_key == SASL_AUTHENTICATE;
}

static rd_kafka_resp_err_t on_response(rd_kafka_t *rk, int fd, const char *broker, int32_t id, int16_t api_key,
                                       int16_t version, int32_t correlation, size_t size, int64_t rtt,
                                       rd_kafka_resp_err_t err, void *opaque)
{
    (void)rk, (void)fd, (void)broker, (void)id, (void)version, (void)correlation, (void)size, (void)rtt;
    struct pulse *p = opaque;
    if (err || is_login(api_key))
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    atomic_store_explicit(&p->heard_us, clock_us(), memory_order_relaxed);
    if (!atomic_load_explicit(&p->lost, memory_order_relaxed))
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    if (atomic_exchange(&p->lost, false)) {
        atomic_store(&p->answered, true);
        wake(p);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque, char *error, size_t size)
{
    (void)conf, (void)error, (void)size;
    return rd_kafka_interceptor_add_on_response_received(rk, "ferry", on_response, opaque);
}

/* Status and verdicts tell operators what matters; these lines are for those who want to know more. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    const struct pulse *p = rd_kafka_opaque(rk);
    (void)level;
    if (p)
        log_debug(p->subject, "librdkafka: %s: %s", facility, text);
}

/* ---- opening */

static bool set_all(rd_kafka_conf_t *conf, const struct kafka_setting *settings, char *error, size_t size)
{
    for (const struct kafka_setting *s = settings; s->name; s++) {
        rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, s->name, s->value, error, size);
        if (result == RD_KAFKA_CONF_INVALID)
            return false; /* UNKNOWN: this librdkafka is too old for it, and does without */
    }
    return true;
}

static bool set_properties(rd_kafka_conf_t *conf, const struct kafka_connection *c, char *error, size_t size)
{
    CLEANUP(buf_free) struct buf servers = BUF_EMPTY;
    kafka_bootstrap(c, &servers);
    if (rd_kafka_conf_set(conf, "bootstrap.servers", buf_string(&servers), error, size) != RD_KAFKA_CONF_OK)
        return false;
    for (size_t i = 0; i < c->properties.count; i++)
        if (rd_kafka_conf_set(conf, c->properties.items[i].name, c->properties.items[i].value, error, size) !=
            RD_KAFKA_CONF_OK)
            return false;
    return true;
}

static rd_kafka_conf_t *make_conf(const struct kafka_client_request *r, struct pulse *p, char *error, size_t size)
{
    static const struct kafka_setting ours[] = {
        { "client.id", "ferryd" },
        { "reconnect.backoff.ms", "100" },
        { "reconnect.backoff.max.ms", "2000" },
        { "topic.metadata.refresh.interval.ms", "10000" }, /* a topic that appears is seen soon */
        { "socket.timeout.ms", "20000" },
        { "socket.keepalive.enable", "true" },
        { "log.connection.close", "false" },
        { NULL, NULL },
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!set_all(conf, ours, error, size) || !set_all(conf, r->defaults, error, size) ||
        !set_properties(conf, r->connection, error, size) || !set_all(conf, r->overrides, error, size)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_events(conf, r->events | RD_KAFKA_EVENT_ERROR);
    rd_kafka_conf_set_opaque(conf, p);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_interceptor_add_on_new(conf, "ferry", on_new, p);
    return conf;
}

static void on_readable(void *arg, unsigned ready)
{
    (void)ready;
    struct kafka_client *c = arg;
    uint64_t n;
    while (read(c->io.fd, &n, sizeof(n)) < 0 && errno == EINTR)
        ;
    if (atomic_exchange(&c->pulse->answered, false))
        c->on_answer(c->arg);
    if (c->rk)
        c->on_ready(c->arg);
}

static void free_pulse(struct pulse *p)
{
    close(p->fd);
    free(p->subject);
    free(p);
}

bool kafka_client_open(struct kafka_client *c, struct transport_lane *lane, const struct kafka_client_request *r,
                       char *error, size_t size)
{
    struct pulse *p = mem_zero(sizeof(*p));
    p->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    p->subject = mem_string(r->subject);
    atomic_init(&p->heard_us, clock_us());
    atomic_init(&p->lost, true);
    atomic_init(&p->answered, false);
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *rk = NULL;
    if (p->fd < 0)
        snprintf(error, size, "eventfd: %s", strerror(errno));
    else if ((conf = make_conf(r, p, error, size)) && !(rk = rd_kafka_new(r->type, conf, error, size)))
        rd_kafka_conf_destroy(conf);
    if (!rk) {
        free_pulse(p);
        return false;
    }
    CLEANUP(buf_free) struct buf servers = BUF_EMPTY;
    kafka_bootstrap(r->connection, &servers);
    *c = (struct kafka_client){
        .rk = rk,
        .lane = lane,
        .pulse = p,
        .on_ready = r->on_ready,
        .on_answer = r->on_answer,
        .arg = r->arg,
        .role = r->type == RD_KAFKA_PRODUCER ? "publish" : "consume",
        .name = mem_string(r->connection->base.name),
        .address = buf_take(&servers),
    };
    list_push_back(&lane->clients, &c->node);
    io_init(&c->io, lane->loop, p->fd, on_readable, c);
    io_want(&c->io, IO_READ);
    return true;
}

void kafka_client_watch(struct kafka_client *c, rd_kafka_queue_t *queue)
{
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(queue, c->pulse->fd, &one, sizeof(one));
}

int64_t kafka_client_silence(const struct kafka_client *c)
{
    return clock_us() - atomic_load_explicit(&c->pulse->heard_us, memory_order_relaxed);
}

void kafka_client_lost(struct kafka_client *c)
{
    atomic_store(&c->pulse->answered, false);
    atomic_store(&c->pulse->lost, true);
}

static void ignore(void *arg, unsigned ready)
{
    (void)arg, (void)ready;
}

void kafka_client_move(struct kafka_client *to, struct kafka_client *from)
{
    *to = *from;
    from->rk = NULL;
    io_close(&from->io);
    list_remove(&from->node);
    io_init(&to->io, to->lane->loop, to->pulse->fd, ignore, to);
    to->status = NULL;
    list_init(&to->node);
}

/* ---- ending: rd_kafka_destroy waits for librdkafka's threads */

struct ending {
    struct mail mail;
    struct list node;
    struct transport_lane *lane;
    pthread_t thread;
    bool joined;
    rd_kafka_t *rk;
    struct pulse *pulse;
    void (*done)(void *arg);
    void *arg;
};

static void on_ended(struct mail *m)
{
    struct ending *e = CONTAINER_OF(m, struct ending, mail);
    if (!e->joined)
        pthread_join(e->thread, NULL);
    list_remove(&e->node);
    if (e->done)
        e->done(e->arg);
    free(e);
}

static void *end(void *arg)
{
    struct ending *e = arg;
    rd_kafka_destroy_flags(e->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free_pulse(e->pulse);
    mailbox_post(e->lane->mailbox, &e->mail);
    return NULL;
}

void kafka_client_close(struct kafka_client *c, void (*done)(void *arg), void *arg)
{
    if (!c->rk)
        return;
    struct ending *e = mem_zero(sizeof(*e));
    *e = (struct ending){ .lane = c->lane, .rk = c->rk, .pulse = c->pulse, .done = done, .arg = arg };
    e->mail.deliver = on_ended;
    io_close(&c->io);
    list_remove(&c->node);
    c->rk = NULL;
    free(c->name);
    free(c->address);
    list_push_back(&e->lane->endings, &e->node);
    e->thread = thread_start("kafka end", end, e);
}

/* ---- the transport */

static struct transport_lane *lane_open(struct loop *loop, struct resolver *resolver)
{
    (void)resolver; /* librdkafka looks names up on its own threads */
    struct transport_lane *t = mem_zero(sizeof(*t));
    t->loop = loop;
    t->mailbox = mailbox_new(loop);
    list_init(&t->producers);
    list_init(&t->clients);
    list_init(&t->endings);
    return t;
}

static void lane_close(struct transport_lane *t)
{
    /* Each thread has posted when it is gone, and the mailbox delivers what is left. */
    LIST_EACH(&t->endings, node) {
        struct ending *e = LIST_ENTRY(node, struct ending, node);
        pthread_join(e->thread, NULL);
        e->joined = true;
    }
    mailbox_free(t->mailbox);
    free(t);
}

static void lane_report(struct transport_lane *t, void (*visit)(const struct connection_report *r, void *arg),
                        void *arg)
{
    LIST_EACH(&t->clients, node) {
        const struct kafka_client *c = LIST_ENTRY(node, struct kafka_client, node);
        struct connection_report r = { .users = c->users };
        snprintf(r.name, sizeof(r.name), "%s", c->name);
        snprintf(r.role, sizeof(r.role), "%s", c->role);
        snprintf(r.address, sizeof(r.address), "%s", c->address);
        if (c->status)
            r.status = *c->status;
        visit(&r, arg);
    }
}

const struct transport kafka_transport = {
    .name = "kafka",
    .open = lane_open,
    .close = lane_close,
    .report = lane_report,
};
