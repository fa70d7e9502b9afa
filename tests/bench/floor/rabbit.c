/* The floor's RabbitMQ: librabbitmq logs in and is a codec from then on, on a socket that is ours: acknowledgements with
 * multiple, one send for many publishes, confirms. */
#include "floor.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { PREFETCH = 2000, UNCONFIRMED = 2000, RING = 1 << 16, FRAME_MAX = 131072, BATCH = 256, FRAME_END = 0xCE };

struct link {
    amqp_connection_state_t amqp;
    struct bytes_queue in, out;
    int fd;
};

static void check(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        die("rabbit", what);
}

static void connected(struct link *l, const struct address *a)
{
    int one = 1;
    l->amqp = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(l->amqp);
    if (amqp_socket_open(socket, a->host, a->port) != 0)
        die(a->host_port, "cannot connect");
    check(amqp_login(l->amqp, "/", 0, FRAME_MAX, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
    amqp_channel_open(l->amqp, 1);
    check(amqp_get_rpc_reply(l->amqp), "channel.open");
    amqp_queue_declare(l->amqp, 1, amqp_cstring_bytes(a->name), 1, 0, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(l->amqp), "queue.declare");
    l->fd = amqp_get_sockfd(l->amqp);
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* What the library read beyond the answer that it waited for: call until false, then read the socket. */
static bool left_frame(struct link *l, amqp_frame_t *frame)
{
    struct timeval none = { 0 };
    return (amqp_frames_enqueued(l->amqp) || amqp_data_in_buffer(l->amqp)) &&
           amqp_simple_wait_frame_noblock(l->amqp, frame, &none) == AMQP_STATUS_OK;
}

/* The next whole frame of what was read; false when there is none. */
static bool next_frame(struct link *l, amqp_frame_t *frame)
{
    while (l->in.begin < l->in.end) {
        amqp_bytes_t rest = { .len = l->in.end - l->in.begin, .bytes = l->in.data + l->in.begin };
        int used = amqp_handle_input(l->amqp, rest, frame);
        if (used < 0)
            die("rabbit", amqp_error_string2(used));
        l->in.begin += (size_t)used;
        if (frame->frame_type != 0)
            return true;
    }
    return false;
}

static void put_u32(char *p, uint32_t n)
{
    for (int i = 3; i >= 0; i--, n >>= 8)
        p[i] = (char)n;
}

static void put_frame_head(char *p, int type, size_t size)
{
    p[0] = (char)type;
    p[1] = 0;
    p[2] = 1; /* the channel */
    put_u32(p + 3, (uint32_t)size);
}

/* A method frame, whole. */
static size_t method_frame(char *p, size_t room, amqp_method_number_t id, void *method)
{
    int n = amqp_encode_method(id, method, (amqp_bytes_t){ .len = room - 12, .bytes = p + 11 });
    if (n < 0)
        die("rabbit", amqp_error_string2(n));
    put_frame_head(p, AMQP_FRAME_METHOD, 4 + (size_t)n);
    put_u32(p + 7, id);
    p[11 + n] = (char)FRAME_END;
    return 12 + (size_t)n;
}

/* ---- source */

struct rabbit_source {
    struct source source;
    struct link link;
    uint64_t tag, acked, mark; /* newest delivered, acknowledged, all confirmed up to here */
    bool done[RING];
    size_t body_left;
    struct item items[BATCH];
    size_t n;
};

static void hand_over(struct rabbit_source *r)
{
    size_t n = r->n;
    r->n = 0;
    floor_items(r->items, n);
    amqp_maybe_release_buffers_on_channel(r->link.amqp, 1);
}

static void on_delivery_frame(struct rabbit_source *r, const amqp_frame_t *frame)
{
    if (frame->frame_type == AMQP_FRAME_METHOD) {
        if (frame->payload.method.id != AMQP_BASIC_DELIVER_METHOD)
            die("rabbit", amqp_method_name(frame->payload.method.id));
        r->tag = ((amqp_basic_deliver_t *)frame->payload.method.decoded)->delivery_tag;
    } else if (frame->frame_type == AMQP_FRAME_HEADER) {
        r->body_left = frame->payload.properties.body_size;
    } else if (frame->frame_type == AMQP_FRAME_BODY) {
        if (frame->payload.body_fragment.len != r->body_left)
            die("rabbit", "a body of several frames");
        struct slot *slot = floor_slot();
        *slot = (struct slot){ .a = r->tag };
        r->items[r->n++] = (struct item){ .payload = frame->payload.body_fragment.bytes,
                                          .len = frame->payload.body_fragment.len,
                                          .slot = slot };
        if (r->n == BATCH)
            hand_over(r);
    }
}

static void rabbit_source_read(struct source *s)
{
    struct rabbit_source *r = (struct rabbit_source *)s;
    amqp_frame_t frame;
    while (left_frame(&r->link, &frame))
        on_delivery_frame(r, &frame);
    while (queue_read(&r->link.in, s->fd)) {
        while (next_frame(&r->link, &frame))
            on_delivery_frame(r, &frame);
        hand_over(r);
    }
    hand_over(r);
}

static void rabbit_source_settle(struct source *s, struct slot *const *slots, size_t n)
{
    struct rabbit_source *r = (struct rabbit_source *)s;
    for (size_t i = 0; i < n; i++)
        r->done[slots[i]->a % RING] = true;
    while (r->done[(r->mark + 1) % RING])
        r->done[++r->mark % RING] = false;
}

static void rabbit_source_flush(struct source *s)
{
    struct rabbit_source *r = (struct rabbit_source *)s;
    if (r->mark > r->acked) {
        amqp_basic_ack_t ack = { .delivery_tag = r->mark, .multiple = 1 };
        char frame[64];
        queue_put(&r->link.out, frame, method_frame(frame, sizeof(frame), AMQP_BASIC_ACK_METHOD, &ack));
        r->acked = r->mark;
    }
    s->wants_write = !queue_write(&r->link.out, s->fd);
}

struct source *rabbit_source(const char *address, const struct floor_options *o)
{
    struct rabbit_source *r = calloc(1, sizeof(*r));
    struct address a = address_parse(address);
    (void)o;
    connected(&r->link, &a);
    amqp_basic_qos(r->link.amqp, 1, 0, PREFETCH, 0);
    check(amqp_get_rpc_reply(r->link.amqp), "basic.qos");
    amqp_basic_consume(r->link.amqp, 1, amqp_cstring_bytes(a.name), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(r->link.amqp), "basic.consume");
    r->source = (struct source){
        .fd = r->link.fd, .read = rabbit_source_read, .settle = rabbit_source_settle, .flush = rabbit_source_flush
    };
    return &r->source;
}

/* ---- sink */

struct rabbit_sink {
    struct sink sink;
    struct link link;
    char head[512]; /* basic.publish and the header, the same for all; the body's size is at size_at */
    size_t head_len, size_at;
    struct slot *sent[RING]; /* by publish number */
    uint64_t published, confirmed;
};

static void rabbit_sink_send(struct sink *s, const struct item *items, size_t n)
{
    struct rabbit_sink *r = (struct rabbit_sink *)s;
    for (size_t i = 0; i < n; i++) {
        size_t len = items[i].len;
        char *p = queue_room(&r->link.out, r->head_len + len + 8);
        memcpy(p, r->head, r->head_len);
        put_u32(p + r->size_at + 4, (uint32_t)len);
        p += r->head_len;
        if (len) {
            put_frame_head(p, AMQP_FRAME_BODY, len);
            memcpy(p + 7, items[i].payload, len);
            p[7 + len] = (char)FRAME_END;
            r->link.out.end += len + 8;
        }
        r->link.out.end += r->head_len;
        r->sent[++r->published % RING] = items[i].slot;
    }
}

/* Single confirms may come before those of older publishes: the floor takes them as they are. */
static void on_confirm(struct rabbit_sink *r, const amqp_basic_ack_t *ack)
{
    struct slot *done[UNCONFIRMED];
    size_t n = 0;
    uint64_t from = ack->multiple ? r->confirmed + 1 : ack->delivery_tag;
    for (uint64_t tag = from; tag <= ack->delivery_tag; tag++) {
        struct slot **slot = &r->sent[tag % RING];
        if (*slot)
            done[n++] = *slot;
        *slot = NULL;
    }
    while (r->confirmed < r->published && !r->sent[(r->confirmed + 1) % RING])
        r->confirmed++;
    floor_confirmed(done, n);
}

static void on_sink_frame(struct rabbit_sink *r, const amqp_frame_t *frame)
{
    if (frame->frame_type != AMQP_FRAME_METHOD || frame->payload.method.id != AMQP_BASIC_ACK_METHOD)
        die("rabbit", "not a confirm");
    on_confirm(r, frame->payload.method.decoded);
    amqp_maybe_release_buffers_on_channel(r->link.amqp, 1);
}

static void rabbit_sink_read(struct sink *s)
{
    struct rabbit_sink *r = (struct rabbit_sink *)s;
    amqp_frame_t frame;
    while (queue_read(&r->link.in, s->fd))
        while (next_frame(&r->link, &frame))
            on_sink_frame(r, &frame);
}

static void rabbit_sink_flush(struct sink *s)
{
    struct rabbit_sink *r = (struct rabbit_sink *)s;
    s->wants_write = !queue_write(&r->link.out, s->fd);
}

/* As many properties as ferryd writes for an entry with a key: what a broker does for them is no cost of a bridge. */
static void add_properties(amqp_basic_properties_t *p, amqp_table_entry_t entries[2])
{
    static const char *const texts[2][2] = { { "ferry.key", "k1234" },
                                             { "ferry.derived", "id;timestamp=1700000000000" } };
    for (int i = 0; i < 2; i++) {
        entries[i].key = amqp_cstring_bytes(texts[i][0]);
        entries[i].value.kind = AMQP_FIELD_KIND_UTF8;
        entries[i].value.value.bytes = amqp_cstring_bytes(texts[i][1]);
    }
    p->_flags |= AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG;
    p->headers = (amqp_table_t){ .num_entries = 2, .entries = entries };
    p->message_id = amqp_cstring_bytes("1700000000000-123");
    p->timestamp = 1700000000;
}

static void prepare_head(struct rabbit_sink *r, const char *queue, const struct floor_options *o)
{
    amqp_basic_publish_t publish = { .routing_key = amqp_cstring_bytes(queue), .mandatory = 1 };
    amqp_basic_properties_t properties = { ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                           .delivery_mode = o->transient ? 1 : 2 };
    amqp_table_entry_t entries[2];
    if (o->properties)
        add_properties(&properties, entries);
    size_t at = method_frame(r->head, sizeof(r->head), AMQP_BASIC_PUBLISH_METHOD, &publish);
    char *p = r->head + at;
    /* Class, weight, body size, properties. */
    int n = amqp_encode_properties(AMQP_BASIC_CLASS, &properties,
                                   (amqp_bytes_t){ .len = sizeof(r->head) - at - 32, .bytes = p + 19 });
    if (n < 0)
        die("rabbit", amqp_error_string2(n));
    put_frame_head(p, AMQP_FRAME_HEADER, 12 + (size_t)n);
    memset(p + 7, 0, 12);
    p[8] = AMQP_BASIC_CLASS;
    p[19 + n] = (char)FRAME_END;
    r->size_at = at + 11;
    r->head_len = at + 20 + (size_t)n;
}

struct sink *rabbit_sink(const char *address, const struct floor_options *o)
{
    struct rabbit_sink *r = calloc(1, sizeof(*r));
    struct address a = address_parse(address);
    connected(&r->link, &a);
    amqp_confirm_select(r->link.amqp, 1);
    check(amqp_get_rpc_reply(r->link.amqp), "confirm.select");
    prepare_head(r, a.name, o);
    r->sink = (struct sink){ .fd = r->link.fd,
                             .window = UNCONFIRMED,
                             .send = rabbit_sink_send,
                             .read = rabbit_sink_read,
                             .flush = rabbit_sink_flush };
    return &r->sink;
}
