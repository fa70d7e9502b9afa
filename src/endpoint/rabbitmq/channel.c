/* Channels: their states, and putting content together from its frames. */
#include "base/mem.h"
#include "endpoint/rabbitmq/link_private.h"

enum {
    BODY_MAX = 512 * 1024 * 1024, /* RabbitMQ's own upper limit for max_message_size */
    BODY_KEPT = 256 * 1024        /* a body buffer beyond this is given back */
};

struct rabbit_channel rabbit_closing_channel;

/* ---- owners' side */

static unsigned free_number(struct rabbit_link *l)
{
    for (size_t i = 0; i < l->channel_count; i++)
        if (!l->channels[i])
            return (unsigned)i + 1;
    size_t count = l->channel_count ? l->channel_count * 2 : 4;
    l->channels = mem_resize_array(l->channels, count, sizeof(struct rabbit_channel *));
    memset(l->channels + l->channel_count, 0, (count - l->channel_count) * sizeof(struct rabbit_channel *));
    unsigned number = (unsigned)l->channel_count + 1;
    l->channel_count = count;
    return number;
}

void rabbit_channel_init(struct rabbit_channel *c, struct rabbit_link *l, const struct channel_events *events)
{
    memset(c, 0, sizeof *c);
    c->events = events;
    c->link = l;
    c->number = free_number(l);
    l->channels[c->number - 1] = c;
}

static void shut(struct rabbit_channel *c)
{
    c->state = CHANNEL_SHUT;
    c->incoming.awaits = CONTENT_NONE;
}

static void send_open(struct rabbit_channel *c)
{
    amqp_channel_open_t open = { .out_of_band = amqp_empty_bytes };
    if (c->number > c->link->channel_max) {
        struct channel_loss loss = { .why = rabbit_reply_of(530),
                                     .text = BYTES_LITERAL("no channel is left on the connection") };
        c->events->lost(c, &loss);
        return;
    }
    c->state = CHANNEL_OPENING;
    rabbit_link_send(c->link, c->number, AMQP_CHANNEL_OPEN_METHOD, &open);
}

void rabbit_channel_open(struct rabbit_channel *c)
{
    c->wanted = true;
    if (c->state == CHANNEL_SHUT && c->link->phase == LINK_OPEN)
        send_open(c);
}

static void send_close(struct rabbit_link *l, unsigned number)
{
    amqp_channel_close_t close = { .reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes("goodbye") };
    rabbit_link_send(l, number, AMQP_CHANNEL_CLOSE_METHOD, &close);
}

void rabbit_channel_close(struct rabbit_channel *c)
{
    c->wanted = false;
    if (c->state == CHANNEL_SHUT) {
        c->events->closed(c);
    } else if (c->state != CHANNEL_CLOSING) {
        send_close(c->link, c->number);
        c->state = CHANNEL_CLOSING;
    }
}

void rabbit_channel_detach(struct rabbit_channel *c)
{
    struct rabbit_link *l = c->link;
    if (!l)
        return;
    bool busy = c->state != CHANNEL_SHUT && l->phase == LINK_OPEN;
    if (busy && c->state != CHANNEL_CLOSING)
        send_close(l, c->number);
    l->channels[c->number - 1] = busy ? &rabbit_closing_channel : NULL;
    buf_free(&c->incoming.names);
    buf_free(&c->incoming.properties);
    buf_free(&c->incoming.body);
    c->link = NULL;
}

void rabbit_channel_send(struct rabbit_channel *c, uint32_t method, const void *decoded)
{
    rabbit_link_send(c->link, c->number, method, decoded);
}

struct buf *rabbit_channel_output(struct rabbit_channel *c)
{
    return &c->link->out;
}

void rabbit_channel_written(struct rabbit_channel *c)
{
    rabbit_link_flush_later(c->link);
}

uint64_t rabbit_channel_queued(const struct rabbit_channel *c)
{
    return c->link->sent + (c->link->out.len - c->link->out_at);
}

uint64_t rabbit_channel_sent(const struct rabbit_channel *c)
{
    return c->link->sent;
}

/* ---- the link's side */

static bool is_owned(const struct rabbit_channel *c)
{
    return c && c != &rabbit_closing_channel;
}

void rabbit_channels_opened(struct rabbit_link *l)
{
    for (size_t i = 0; i < l->channel_count; i++) {
        struct rabbit_channel *c = l->channels[i];
        if (!is_owned(c))
            continue;
        if (c->wanted && c->state == CHANNEL_SHUT)
            send_open(c);
        c->events->link_changed(c);
    }
}

void rabbit_channels_lost(struct rabbit_link *l, const struct reply *why, uint32_t method, struct bytes text)
{
    struct channel_loss loss = { .link_lost = true, .why = why, .method = method, .text = text };
    for (size_t i = 0; i < l->channel_count; i++) {
        struct rabbit_channel *c = l->channels[i];
        if (!is_owned(c)) {
            l->channels[i] = NULL;
            continue;
        }
        bool was_closing = c->state == CHANNEL_CLOSING, was_shut = c->state == CHANNEL_SHUT;
        shut(c);
        if (was_closing)
            c->events->closed(c);
        else if (was_shut)
            c->events->link_changed(c);
        else
            c->events->lost(c, &loss);
    }
}

void rabbit_channels_changed(struct rabbit_link *l)
{
    for (size_t i = 0; i < l->channel_count; i++)
        if (is_owned(l->channels[i]))
            l->channels[i]->events->link_changed(l->channels[i]);
}

void rabbit_channels_batch_end(struct rabbit_link *l)
{
    if (!l->any_touched)
        return;
    l->any_touched = false;
    for (size_t i = 0; i < l->channel_count; i++) {
        struct rabbit_channel *c = l->channels[i];
        if (is_owned(c) && c->touched) {
            c->touched = false;
            c->events->batch_end(c);
        }
    }
}

/* ---- content */

static void deliver_content(struct rabbit_channel *c)
{
    c->incoming.awaits = CONTENT_NONE;
    c->incoming.head.properties = buf_bytes(&c->incoming.properties);
    c->touched = c->link->any_touched = true;
    c->events->content(c, &c->incoming.head);
    if (c->incoming.body.cap > BODY_KEPT)
        buf_free(&c->incoming.body);
}

/* Keeps what the method says until the body is here; names move into memory that stays. */
static void begin_content(struct rabbit_channel *c, struct content head)
{
    struct buf *names = &c->incoming.names;
    buf_clear(names);
    buf_append_bytes(names, head.consumer);
    buf_append_bytes(names, head.exchange);
    buf_append_bytes(names, head.routing_key);
    head.consumer.data = names->data;
    head.exchange.data = head.consumer.data + head.consumer.len;
    head.routing_key.data = head.exchange.data + head.exchange.len;
    c->incoming.head = head;
    c->incoming.awaits = CONTENT_HEADER;
}

/* By hand: these two are most of what comes. */
static bool begin_delivery(struct rabbit_channel *c, struct bytes arguments)
{
    struct reader r = reader_of(arguments);
    struct content head = { .method = AMQP_BASIC_DELIVER_METHOD };
    head.consumer = read_short_string(&r);
    head.tag = read_number(&r, 8);
    head.redelivered = read_number(&r, 1) & 1;
    head.exchange = read_short_string(&r);
    head.routing_key = read_short_string(&r);
    if (!r.bad)
        begin_content(c, head);
    return !r.bad;
}

static bool begin_return(struct rabbit_channel *c, struct bytes arguments)
{
    struct reader r = reader_of(arguments);
    struct content head = { .method = AMQP_BASIC_RETURN_METHOD };
    head.code = (unsigned)read_number(&r, 2);
    read_short_string(&r); /* its text says what the code does */
    head.exchange = read_short_string(&r);
    head.routing_key = read_short_string(&r);
    if (!r.bad)
        begin_content(c, head);
    return !r.bad;
}

static bool on_header(struct rabbit_channel *c, struct bytes payload)
{
    struct reader r = reader_of(payload);
    if (c->incoming.awaits != CONTENT_HEADER || read_number(&r, 2) != AMQP_BASIC_CLASS)
        return false;
    read_number(&r, 2); /* weight */
    c->incoming.size = read_number(&r, 8);
    if (r.bad || c->incoming.size > BODY_MAX)
        return false;
    buf_clear(&c->incoming.properties);
    buf_append(&c->incoming.properties, r.at, (size_t)(r.end - r.at));
    buf_clear(&c->incoming.body);
    c->incoming.head.body = BYTES_LITERAL("");
    c->incoming.awaits = CONTENT_BODY;
    if (!c->incoming.size)
        deliver_content(c);
    return true;
}

/* A body in one frame is handed over where it lies; others are gathered, as much as really came. */
static bool on_body(struct rabbit_channel *c, struct bytes payload)
{
    struct buf *body = &c->incoming.body;
    if (c->incoming.awaits != CONTENT_BODY || payload.len > c->incoming.size - body->len)
        return false;
    if (!body->len && payload.len == c->incoming.size) {
        c->incoming.head.body = payload;
        deliver_content(c);
        return true;
    }
    buf_append_bytes(body, payload);
    if (body->len == c->incoming.size) {
        c->incoming.head.body = buf_bytes(body);
        deliver_content(c);
    }
    return true;
}

/* ---- methods */

static void on_channel_close(struct rabbit_channel *c, const amqp_channel_close_t *close)
{
    amqp_channel_close_ok_t ok = { 0 };
    struct bytes text = bytes_of(close->reply_text.bytes, close->reply_text.len);
    struct channel_loss loss = {
        .why = rabbit_reply_of_close(close->reply_code, text),
        .method = (uint32_t)close->class_id << 16 | close->method_id,
        .text = text,
    };
    bool was_closing = c->state == CHANNEL_CLOSING;
    rabbit_link_send(c->link, c->number, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    if (was_closing)
        return; /* both at once: our close is answered too */
    shut(c);
    c->events->lost(c, &loss);
}

static void on_method(struct rabbit_channel *c, uint32_t method, const void *decoded)
{
    switch (method) {
    case AMQP_CHANNEL_OPEN_OK_METHOD:
        if (c->state == CHANNEL_OPENING) {
            c->state = CHANNEL_OPEN;
            c->events->opened(c);
        }
        break;
    case AMQP_CHANNEL_CLOSE_METHOD:
        on_channel_close(c, decoded);
        break;
    case AMQP_CHANNEL_CLOSE_OK_METHOD:
        if (c->state == CHANNEL_CLOSING) {
            shut(c);
            c->events->closed(c);
            if (c->wanted && c->link && c->state == CHANNEL_SHUT) /* opened again meanwhile */
                rabbit_channel_open(c);
        }
        break;
    case AMQP_CHANNEL_FLOW_METHOD: {
        const amqp_channel_flow_t *flow = decoded;
        amqp_channel_flow_ok_t ok = { flow->active };
        rabbit_channel_send(c, AMQP_CHANNEL_FLOW_OK_METHOD, &ok);
        break;
    }
    default:
        if (c->state == CHANNEL_OPEN) {
            c->touched = c->link->any_touched = true;
            c->events->method(c, method, decoded);
        }
    }
}

/* The frames of a channel whose owner has gone: all that matters is the end. */
static void on_orphan(struct rabbit_link *l, unsigned number, uint32_t method)
{
    amqp_channel_close_ok_t ok = { 0 };
    if (method == AMQP_CHANNEL_CLOSE_METHOD)
        rabbit_link_send(l, number, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    if (method == AMQP_CHANNEL_CLOSE_OK_METHOD)
        l->channels[number - 1] = NULL;
}

/* Methods that only a server sends, or that answer ours. Anything else is refused before librabbitmq decodes it: none of these
 * has a table, into which a hostile peer could make it recurse. */
static bool is_for_clients(uint32_t method)
{
    switch (method) {
    case AMQP_CHANNEL_OPEN_OK_METHOD:
    case AMQP_CHANNEL_FLOW_METHOD:
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CHANNEL_CLOSE_OK_METHOD:
    case AMQP_EXCHANGE_DECLARE_OK_METHOD:
    case AMQP_EXCHANGE_BIND_OK_METHOD:
    case AMQP_QUEUE_DECLARE_OK_METHOD:
    case AMQP_QUEUE_BIND_OK_METHOD:
    case AMQP_BASIC_QOS_OK_METHOD:
    case AMQP_BASIC_CONSUME_OK_METHOD:
    case AMQP_BASIC_CANCEL_METHOD:
    case AMQP_BASIC_CANCEL_OK_METHOD:
    case AMQP_BASIC_ACK_METHOD:
    case AMQP_BASIC_NACK_METHOD:
    case AMQP_CONFIRM_SELECT_OK_METHOD:
        return true;
    default:
        return false;
    }
}

static bool method_frame(struct rabbit_link *l, struct rabbit_channel *c, unsigned number, struct bytes payload)
{
    struct reader r = reader_of(payload);
    uint32_t method = (uint32_t)read_number(&r, 4);
    struct bytes arguments = bytes_of(r.at, (size_t)(r.end - r.at));
    if (c == &rabbit_closing_channel) {
        on_orphan(l, number, method);
        return !r.bad;
    }
    if (c->state == CHANNEL_SHUT || c->incoming.awaits != CONTENT_NONE)
        return false;
    if (method == AMQP_BASIC_DELIVER_METHOD)
        return begin_delivery(c, arguments);
    if (method == AMQP_BASIC_RETURN_METHOD)
        return begin_return(c, arguments);
    void *decoded;
    amqp_bytes_t encoded = { arguments.len, (void *)(uintptr_t)arguments.data };
    recycle_amqp_pool(&l->pool);
    if (r.bad || !is_for_clients(method) || amqp_decode_method(method, &l->pool, encoded, &decoded) < 0)
        return false;
    on_method(c, method, decoded);
    return true;
}

void rabbit_channel_frame(struct rabbit_link *l, unsigned type, unsigned number, struct bytes payload)
{
    uint64_t incarnation = l->incarnation;
    struct rabbit_channel *c = number <= l->channel_count ? l->channels[number - 1] : NULL;
    bool ok = c && (l->phase == LINK_OPEN || l->phase == LINK_CLOSING);
    if (ok && type == FRAME_METHOD) {
        ok = method_frame(l, c, number, payload);
    } else if (ok && (type == FRAME_HEADER || type == FRAME_BODY)) {
        /* Content of a channel that is closing is put together like any other, and dropped by its owner. */
        if (c != &rabbit_closing_channel)
            ok = type == FRAME_HEADER ? on_header(c, payload) : on_body(c, payload);
    } else {
        ok = false;
    }
    if (!ok && l->incarnation == incarnation)
        rabbit_link_fail(l, false, "%s sent an unexpected or malformed frame (type %u, channel %u)", l->address, type,
                         number);
}
