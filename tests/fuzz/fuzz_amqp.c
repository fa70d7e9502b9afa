/* Feeds bytes as a hostile RabbitMQ: from the first byte of a connection, or after a proper handshake and an opened channel,
 * to a source that settles and releases, or to a sink that publishes.
 *
 * What arrives is mapped to AMQP and back twice: from the first time on nothing may change any more.
 *
 * The first byte of the input chooses: bit 0 a sink instead of a source, bit 1 the handshake is done, bit 2 messages are held. */
#include "base/log.h"
#include "base/mem.h"
#include "endpoint/rabbitmq/properties.h"
#include "endpoint/rabbitmq/rabbitmq.h"
#include "endpoint/rabbitmq/settings.h"
#include "message/template.h"
#include "runtime/dial.h"

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static int peer = -1;
static bool stopped, hold;
static struct arrival *held;
static size_t held_count;
static struct source *source;
static struct sink *sink;

/* ---- instead of runtime/dial.c: a socket pair */

struct dial {
    struct dial_request request;
    struct task task;
    int fd;
};
static struct dial dialling;

static void on_connected(void *arg)
{
    struct dial *d = arg;
    d->request.on_done(d->request.arg, d->fd, 0, NULL);
}

/* Only the first connection of an input is answered. */
struct dial *dial_start(const struct dial_request *request)
{
    int fds[2];
    dialling.request = *request;
    task_init(&dialling.task, on_connected, &dialling);
    if (peer >= 0)
        return &dialling;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        abort();
    dialling.fd = fds[0];
    peer = fds[1];
    loop_defer(request->loop, &dialling.task);
    return &dialling;
}

void dial_cancel(struct dial *d)
{
    task_cancel(&d->task);
}

/* ---- the route */

static struct properties_reader reader;
static struct properties_writer writer;
static struct arena arena;

/* NULL when AMQP cannot hold it. */
static struct message *there_and_back(const struct message *m)
{
    static struct buf raw;
    uint8_t *extra;
    buf_clear(&raw);
    if (rabbit_properties_write(&writer, m, 1 << 20, &raw))
        return NULL;
    return rabbit_properties_read(&reader, &arena, buf_bytes(&raw), message_payload(m), 0, &extra);
}

static bool same(const struct message *a, const struct message *b)
{
    uint32_t count = a->headers ? a->headers->count : 0;
    if (!bytes_equal(message_key(a), message_key(b)) || a->timestamp_ms != b->timestamp_ms ||
        !a->payload != !b->payload || a->id_len != b->id_len || (b->headers ? b->headers->count : 0) != count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct header *x = &a->headers->items[i], *y = &b->headers->items[i];
        if (!bytes_equal(x->name, y->name) || !bytes_equal(x->value, y->value) || x->type != y->type)
            return false;
    }
    return true;
}

static void check_mapping(const struct message *m)
{
    struct message *once = there_and_back(m), *twice = once ? there_and_back(once) : NULL;
    if (twice && !same(once, twice))
        abort();
    message_unref(once);
    message_unref(twice);
}

static void on_intake(void *ctx, struct arrival *arrivals, size_t n)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        check_mapping(arrivals[i].message);
        if (!hold)
            message_unref(arrivals[i].message);
    }
    if (hold) {
        held = mem_resize_array(held, held_count + n, sizeof *held);
        memcpy(held + held_count, arrivals, n * sizeof *held);
        held_count += n;
    } else {
        for (size_t i = 0; i < n; i++)
            if (i % 3)
                source->ops->settle(source, &arrivals[i].token, 1);
            else
                source->ops->release(source, &arrivals[i].token, 1);
    }
}

static void on_returned(void *ctx, uint32_t generation)
{
    (void)ctx;
    (void)generation;
}

static void on_released(void *ctx, const struct token *tokens, size_t n)
{
    (void)ctx;
    (void)tokens;
    (void)n;
}

static void ignore(void *ctx)
{
    (void)ctx;
}

static void on_stopped(void *ctx)
{
    (void)ctx;
    stopped = true;
}

static size_t unanswered;

static void on_verdicts(void *ctx, const struct verdict *verdicts, size_t n)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++)
        message_unref(verdicts[i].tag);
    unanswered -= n;
}

static void on_window_open(void *ctx)
{
    (void)ctx;
    struct window w = sink->ops->window(sink);
    for (uint64_t i = 0; i < w.messages && i < 20 && unanswered < 100; i++) {
        struct message *m = message_new();
        message_set_payload(m, BYTES_LITERAL("a body"));
        message_set_key(m, i % 2 ? BYTES_LITERAL("k") : BYTES_LITERAL("q"));
        struct delivery d = { m, m };
        unanswered++;
        sink->ops->send(sink, &d, 1);
    }
}

static const struct source_host source_host = { on_intake, on_returned, on_released, ignore, ignore, on_stopped };
static const struct sink_host sink_host = { on_verdicts, on_window_open, ignore, on_stopped };

/* ---- the loop */

static unsigned passes;
static struct task ticker;

static void on_tick(void *arg)
{
    (void)arg;
    if (passes--)
        loop_defer(loop, &ticker);
    else
        loop_stop(loop);
}

static void run_passes(unsigned n)
{
    passes = n;
    loop_defer(loop, &ticker);
    loop_run(loop);
}

static void drain_peer(void)
{
    char sink_buffer[4096];
    while (recv(peer, sink_buffer, sizeof sink_buffer, MSG_DONTWAIT) > 0)
        ;
}

static void feed(const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t n = send(peer, data, size < 8192 ? size : 8192, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0)
            return;
        data += n;
        size -= (size_t)n;
        run_passes(2);
        drain_peer();
    }
}

/* What a broker says until a channel is ready: start, tune, open-ok, channel.open-ok, declare-ok, then consume-ok or
 * select-ok. */
static const uint8_t start[] = "\1\0\0\0\0\0\30\0\12\0\12\0\11\0\0\0\0\0\0\0\5PLAIN\0\0\0\1x\316"
                               "\1\0\0\0\0\0\14\0\12\0\36\7\377\0\2\0\0\0\0\316"
                               "\1\0\0\0\0\0\5\0\12\0\51\0\316"
                               "\1\0\1\0\0\0\10\0\24\0\13\0\0\0\0\316";
static const uint8_t consume_ok[] = "\1\0\1\0\0\0\7\0\74\0\25\2t1\316";
static const uint8_t select_ok[] = "\1\0\1\0\0\0\4\0\125\0\13\316";

static struct rabbitmq_settings *connection_settings(void)
{
    static struct rabbitmq_settings *s;
    if (s)
        return s;
    s = mem_zero(sizeof *s);
    options_defaults(rabbitmq_connection.options, s);
    s->base.kind = &rabbitmq_connection;
    s->base.name = mem_string("rabbit");
    s->url = mem_string("amqp://h");
    struct diagnostics *d = diagnostics_new();
    rabbitmq_connection.check(&s->base, d);
    diagnostics_free(d);
    return s;
}

/* Settings of a kind with no more than what it requires. */
static void *endpoint_settings(const struct option *options, size_t size, const char *yaml)
{
    struct diagnostics *d = diagnostics_new();
    struct document *doc = document_parse("fuzz", bytes_of_string(yaml), d);
    void *settings = mem_zero(size);
    options_read(options, document_root(doc), settings, "fuzz", NULL, d);
    if (diagnostics_errors(d))
        abort();
    document_free(doc);
    diagnostics_free(d);
    return settings;
}

static void stop_all(void)
{
    stopped = false;
    if (source)
        source->ops->stop(source, 0);
    if (sink) {
        sink->ops->cancel(sink);
        run_passes(3);
        sink->ops->stop(sink, 0);
    }
    for (unsigned i = 0; i < 1000 && !stopped; i++)
        run_passes(2);
    if (!stopped || unanswered)
        abort();
    if (source)
        source->ops->free(source);
    if (sink)
        sink->ops->free(sink);
    source = NULL;
    sink = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void *source_settings, *sink_settings;
    if (!loop) {
        log_set_level(LEVEL_ERROR);
        loop = loop_new("fuzz");
        task_init(&ticker, on_tick, NULL);
        source_settings = endpoint_settings(rabbitmq_queue_source.options, rabbitmq_queue_source.settings_size,
                                            "{ queue: q }");
        sink_settings = endpoint_settings(rabbitmq_exchange_sink.options, rabbitmq_exchange_sink.settings_size,
                                          "{ exchange: e, routing_key: '{{ key }}' }");
    }
    if (!size)
        return 0;
    uint8_t mode = data[0];
    struct environment env = {
        .loop = loop,
        .transport = rabbitmq_transport.open(loop, NULL),
        .connection = &connection_settings()->base,
        .subject = "fuzz",
        .member = "t",
        .share_messages = 100,
        .share_bytes = 1 << 20,
    };
    hold = mode & 4;
    if (mode & 1) {
        sink = rabbitmq_exchange_sink.create(sink_settings, &env, &sink_host, NULL);
        sink->ops->start(sink);
    } else {
        source = rabbitmq_queue_source.create(source_settings, &env, &source_host, NULL);
        source->ops->start(source);
        source->ops->grant(source, 1000, 1 << 30);
    }
    run_passes(3);
    if (mode & 2) {
        feed(start, sizeof start - 1);
        if (mode & 1)
            feed(select_ok, sizeof select_ok - 1);
        else
            feed(consume_ok, sizeof consume_ok - 1);
    }
    feed(data + 1, size - 1);
    close(peer);
    run_passes(3);
    stop_all();
    for (size_t i = 0; i < held_count; i++)
        message_unref(held[i].message);
    held_count = 0;
    rabbitmq_transport.close(env.transport);
    run_passes(1);
    peer = -1;
    return 0;
}
