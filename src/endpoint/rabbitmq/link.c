/* Connecting for ever, reading, writing once a pass, and heartbeats. */
#include "endpoint/rabbitmq/link_private.h"

#include "base/mem.h"
#include "endpoint/rabbitmq/rabbitmq.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_SIZE = 128 * 1024,  /* beyond the largest frame */
    READS_PER_PASS = 8,      /* others on the lane want to be served too */
    OUT_KEPT = 1024 * 1024,  /* an output buffer beyond this is given back when it is empty */
    CLOSE_GRACE_US = 1000000 /* for the answer to connection.close */
};

/* ---- writing */

void rabbit_link_flush_later(struct rabbit_link *l)
{
    loop_defer(l->lane->loop, &l->flush);
}

static void want(struct rabbit_link *l, unsigned flags)
{
    if (flags != l->io_wanted)
        io_want(&l->io, l->io_wanted = flags);
}

static void flush(void *arg)
{
    struct rabbit_link *l = arg;
    if (l->fd < 0)
        return;
    while (l->out_at < l->out.len) {
        ssize_t n = send(l->fd, l->out.data + l->out_at, l->out.len - l->out_at, MSG_NOSIGNAL);
        if (n > 0) {
            l->out_at += (size_t)n;
            l->sent += (size_t)n;
            l->last_out = loop_now(l->lane->loop);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            want(l, IO_READ | IO_WRITE);
            return;
        } else if (errno != EINTR) {
            rabbit_link_fail(l, false, "%s: %m", l->address);
            return;
        }
    }
    l->out_at = 0;
    if (l->out.cap > OUT_KEPT)
        buf_free(&l->out);
    else
        buf_clear(&l->out);
    want(l, IO_READ);
}

void rabbit_link_send(struct rabbit_link *l, unsigned channel, uint32_t method, const void *decoded)
{
    struct buf *out = &l->out;
    size_t payload = frame_begin(out, FRAME_METHOD, channel);
    write_number(out, method, 4);
    for (size_t room = 512;; room *= 2) {
        amqp_bytes_t at = { room, buf_reserve(out, room) };
        int len = amqp_encode_method(method, (void *)(uintptr_t)decoded, at);
        if (len >= 0) {
            out->len += (size_t)len;
            break;
        }
        if (room > FRAME_MIN_MAX * 1024) /* our own settings fill no frame of 4 MiB */
            abort();
    }
    frame_end(out, payload);
    rabbit_link_flush_later(l);
}

/* ---- reading */

static void handle_frame(struct rabbit_link *l, unsigned type, unsigned channel, struct bytes payload)
{
    if (type == FRAME_HEARTBEAT) {
        if (channel || payload.len)
            rabbit_link_fail(l, false, "%s sent a malformed heartbeat", l->address);
    } else if (channel) {
        rabbit_channel_frame(l, type, channel, payload);
    } else if (type == FRAME_METHOD && payload.len >= 4) {
        struct reader r = reader_of(payload);
        uint32_t method = (uint32_t)read_number(&r, 4);
        rabbit_handshake_method(l, method, bytes_of(r.at, payload.len - 4));
    } else {
        rabbit_link_fail(l, false, "%s sent a frame of type %u on channel 0", l->address, type);
    }
}

/* Takes whole frames off the input. Nothing reaches librabbitmq before its size and its end are checked. */
static void handle_input(struct rabbit_link *l)
{
    uint64_t incarnation = l->incarnation;
    while (l->incarnation == incarnation && l->in.len - l->in_at >= 7) {
        struct reader r = reader_of(bytes_of(l->in.data + l->in_at, 7));
        unsigned type = (unsigned)read_number(&r, 1), channel = (unsigned)read_number(&r, 2);
        size_t size = (size_t)read_number(&r, 4);
        if (type == 'A') {
            rabbit_link_fail(l, true, "%s speaks another protocol than AMQP 0-9-1", l->address);
            return;
        }
        if (size + FRAME_OVERHEAD > l->frame_max) {
            rabbit_link_fail(l, false, "%s sent a frame of %zu bytes, more than the %u agreed on", l->address, size,
                             l->frame_max);
            return;
        }
        if (l->in.len - l->in_at < size + FRAME_OVERHEAD)
            return;
        const uint8_t *payload = r.at;
        if (payload[size] != FRAME_END) {
            rabbit_link_fail(l, false, "%s sent a frame without an end", l->address);
            return;
        }
        l->in_at += size + FRAME_OVERHEAD;
        handle_frame(l, type, channel, bytes_of(payload, size));
    }
}

/* One read; false: there is no more for now, or the connection went. */
static bool read_once(struct rabbit_link *l)
{
    if (l->in_at) {
        memmove(l->in.data, l->in.data + l->in_at, l->in.len - l->in_at);
        l->in.len -= l->in_at;
        l->in_at = 0;
    }
    size_t room = l->frame_max + READ_SIZE - l->in.len;
    ssize_t n = recv(l->fd, buf_reserve(&l->in, room), room, 0);
    if (n > 0) {
        uint64_t incarnation = l->incarnation;
        l->in.len += (size_t)n;
        l->received += (size_t)n;
        l->last_in = loop_now(l->lane->loop);
        handle_input(l);
        rabbit_channels_batch_end(l);
        return l->incarnation == incarnation && (size_t)n == room;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return false;
    if (l->phase == LINK_CLOSING)
        rabbit_link_ended(l);
    else if (n == 0)
        rabbit_link_fail(l, false, "%s closed the connection%s", l->address,
                         l->phase == LINK_HANDSHAKE ? " while logging in" : "");
    else
        rabbit_link_fail(l, false, "%s: %m", l->address);
    return false;
}

static void on_ready(void *arg, unsigned ready)
{
    struct rabbit_link *l = arg;
    uint64_t incarnation = l->incarnation;
    if (ready & IO_READ)
        for (unsigned i = 0; i < READS_PER_PASS && read_once(l); i++)
            ;
    if (ready & IO_WRITE && l->incarnation == incarnation)
        flush(l);
}

/* ---- heartbeats */

static void on_beat(void *arg)
{
    struct rabbit_link *l = arg;
    int64_t period = (int64_t)l->heartbeat * SEC, now = loop_now(l->lane->loop);
    uint64_t incarnation = l->incarnation;
    if (now - l->last_in > 2 * period - period / 4) {
        /* It may be ourselves who slept: what came meanwhile still counts. */
        read_once(l);
        if (l->incarnation != incarnation)
            return;
        if (now - l->last_in > 2 * period - period / 4) {
            rabbit_link_fail(l, false, "%s has said nothing for %lld s", l->address,
                             (long long)((now - l->last_in) / SEC));
            return;
        }
    }
    if (now - l->last_out >= period / 2 && l->out_at == l->out.len) {
        frame_end(&l->out, frame_begin(&l->out, FRAME_HEARTBEAT, 0));
        rabbit_link_flush_later(l);
    }
    timer_set(&l->beat, period / 4);
}

/* ---- connecting */

static void disconnect(struct rabbit_link *l)
{
    l->incarnation++;
    timer_cancel(&l->timer);
    timer_cancel(&l->beat);
    task_cancel(&l->flush);
    if (l->dial)
        dial_cancel(l->dial);
    l->dial = NULL;
    if (l->fd >= 0) {
        io_close(&l->io);
        close(l->fd);
    }
    l->fd = -1;
    l->io_wanted = 0;
    l->blocked = false;
}

static void give_up(struct rabbit_link *l, bool fault, const struct reply *why, uint32_t method, struct bytes text,
                    const char *reason)
{
    if (!l->users) {
        rabbit_link_ended(l);
        return;
    }
    disconnect(l);
    l->phase = LINK_DOWN;
    if (fault)
        backoff_reset(&l->reconnect);
    else
        backoff_reset(&l->probe);
    timer_set(&l->timer, backoff_next(fault ? &l->probe : &l->reconnect));
    endpoint_status_set(&l->status, l->subject, fault ? ENDPOINT_FAULT : ENDPOINT_DOWN, "%s", reason);
    /* Owners compare rabbit_channel_sent with what they queued: the buffers are emptied after that. The input's memory stays,
     * because a caller may still look at the frame that it is in. */
    rabbit_channels_lost(l, why, method, text);
    l->in_at = l->in.len = 0;
    l->out_at = l->out.len = 0;
}

void rabbit_link_fail(struct rabbit_link *l, bool fault, const char *format, ...)
{
    struct buf reason = BUF_EMPTY;
    va_list args;
    va_start(args, format);
    buf_vprintf(&reason, format, args);
    va_end(args);
    give_up(l, fault, NULL, 0, BYTES_LITERAL(""), buf_string(&reason));
    buf_free(&reason);
}

void rabbit_link_refused(struct rabbit_link *l, const struct reply *why, uint32_t method, struct bytes text)
{
    struct buf reason = BUF_EMPTY;
    buf_printf(&reason, "%s closed the connection: %.*s%s%s", l->address, (int)text.len, (const char *)text.data,
               why->words ? "; " : "", why->words ? why->words : "");
    give_up(l, why->fault, why, method, text, buf_string(&reason));
    buf_free(&reason);
}

void rabbit_link_opened(struct rabbit_link *l)
{
    l->phase = LINK_OPEN;
    timer_cancel(&l->timer);
    backoff_reset(&l->reconnect);
    backoff_reset(&l->probe);
    l->status.connects++;
    endpoint_status_set(&l->status, l->subject, ENDPOINT_UP, "%s", "");
    rabbit_channels_opened(l);
}

static void on_timer(void *arg);

static void on_dialled(void *arg, int fd, size_t index, const char *error)
{
    struct rabbit_link *l = arg;
    l->dial = NULL;
    if (fd < 0) {
        rabbit_link_fail(l, false, "%s", error);
        return;
    }
    l->fd = fd;
    l->phase = LINK_HANDSHAKE;
    l->next_host = (index + 1) % l->settings->hosts.count; /* where to go when this one fails */
    snprintf(l->address, sizeof l->address, "%s", l->settings->hosts.items[index]);
    l->frame_max = (unsigned)l->settings->frame_max;
    l->heartbeat = (unsigned)((l->settings->heartbeat + SEC - 1) / SEC);
    l->last_in = l->last_out = loop_now(l->lane->loop);
    io_init(&l->io, l->lane->loop, fd, on_ready, l);
    want(l, IO_READ);
    timer_set(&l->timer, l->settings->timeout);
    timer_set(&l->beat, (int64_t)l->heartbeat * SEC / 4);
    buf_append(&l->out, "AMQP\0\0\11\1", 8);
    rabbit_link_flush_later(l);
}

static void dial(struct rabbit_link *l)
{
    l->phase = LINK_DIALING;
    struct dial_request request = {
        .resolver = l->lane->resolver,
        .loop = l->lane->loop,
        .addresses = (const char *const *)l->settings->hosts.items,
        .first = l->next_host,
        .timeout_us = l->settings->timeout,
        .on_done = on_dialled,
        .arg = l,
    };
    l->dial = dial_start(&request);
}

static void link_free(struct rabbit_link *l)
{
    disconnect(l);
    timer_close(&l->timer);
    timer_close(&l->beat);
    list_remove(&l->node);
    empty_amqp_pool(&l->pool);
    buf_free(&l->in);
    buf_free(&l->out);
    free(l->channels);
    free(l->client_name);
    free(l);
}

static void on_timer(void *arg)
{
    struct rabbit_link *l = arg;
    switch (l->phase) {
    case LINK_DOWN:
        dial(l);
        break;
    case LINK_HANDSHAKE:
        rabbit_link_fail(l, false, "%s does not answer", l->address);
        break;
    case LINK_CLOSING:
    case LINK_ENDED:
        link_free(l);
        break;
    default:
        break;
    }
}

void rabbit_link_ended(struct rabbit_link *l)
{
    disconnect(l);
    l->phase = LINK_ENDED;
    timer_set(&l->timer, 0);
}

void rabbit_link_retry_now(struct rabbit_link *l)
{
    if (l->phase == LINK_DOWN)
        timer_set(&l->timer, 0);
}

void rabbit_link_distrust(struct rabbit_link *l, const char *why)
{
    rabbit_link_fail(l, false, "%s: %s", l->address, why);
}

/* ---- the pool */

static struct rabbit_link *link_new(struct transport_lane *lane, const struct rabbitmq_settings *settings,
                                    enum link_role role, const char *member)
{
    struct rabbit_link *l = mem_zero(sizeof *l);
    l->lane = lane;
    l->settings = settings;
    l->role = role;
    l->fd = -1;
    l->reconnect = BACKOFF_RECONNECT;
    l->probe = BACKOFF_PROBE;
    l->client_name = mem_format("%s/%s", member, settings->base.name);
    snprintf(l->subject, sizeof l->subject, "connection %s (%s)", settings->base.name,
             role == LINK_CONSUME ? "consume" : "publish");
    init_amqp_pool(&l->pool, 16 * 1024);
    timer_init(&l->timer, lane->loop, on_timer, l);
    timer_init(&l->beat, lane->loop, on_beat, l);
    task_init(&l->flush, flush, l);
    list_push_back(&lane->links, &l->node);
    endpoint_status_set(&l->status, l->subject, ENDPOINT_CONNECTING, "%s", "");
    dial(l);
    return l;
}

struct rabbit_link *rabbit_link_acquire(struct transport_lane *lane, const struct rabbitmq_settings *settings,
                                        enum link_role role, const char *member)
{
    struct rabbit_link *l = NULL;
    LIST_EACH(&lane->links, node) {
        struct rabbit_link *other = LIST_ENTRY(node, struct rabbit_link, node);
        if (other->settings == settings && other->role == role && other->users)
            l = other;
    }
    if (!l)
        l = link_new(lane, settings, role, member);
    l->users++;
    return l;
}

static void say_goodbye(struct rabbit_link *l)
{
    amqp_connection_close_t goodbye = { .reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes("goodbye") };
    rabbit_link_send(l, 0, AMQP_CONNECTION_CLOSE_METHOD, &goodbye);
}

void rabbit_link_release(struct rabbit_link *l)
{
    if (--l->users)
        return;
    if (l->phase == LINK_OPEN) {
        say_goodbye(l);
        l->phase = LINK_CLOSING;
        timer_set(&l->timer, CLOSE_GRACE_US);
    } else {
        rabbit_link_ended(l);
    }
}

const struct endpoint_status *rabbit_link_status(const struct rabbit_link *l)
{
    return &l->status;
}

unsigned rabbit_link_users(const struct rabbit_link *l)
{
    return l->users;
}

bool rabbit_link_blocked(const struct rabbit_link *l)
{
    return l->blocked;
}

const char *rabbit_link_blocked_reason(const struct rabbit_link *l)
{
    return l->blocked_reason;
}

size_t rabbit_link_frame_max(const struct rabbit_link *l)
{
    return l->frame_max;
}

struct bytes rabbit_link_user(const struct rabbit_link *l)
{
    return bytes_of_string(l->settings->user);
}

/* ---- the transport */

static struct transport_lane *lane_open(struct loop *loop, struct resolver *resolver)
{
    struct transport_lane *t = mem_zero(sizeof *t);
    t->loop = loop;
    t->resolver = resolver;
    list_init(&t->links);
    return t;
}

static void lane_close(struct transport_lane *t)
{
    LIST_EACH(&t->links, node) {
        struct rabbit_link *l = LIST_ENTRY(node, struct rabbit_link, node);
        if (l->phase == LINK_CLOSING)
            flush(l);
    }
    struct list *node;
    while ((node = list_pop_front(&t->links)))
        link_free(LIST_ENTRY(node, struct rabbit_link, node));
    free(t);
}

static void lane_report(struct transport_lane *t, void (*visit)(const struct connection_report *r, void *arg),
                        void *arg)
{
    LIST_EACH(&t->links, node) {
        const struct rabbit_link *l = LIST_ENTRY(node, struct rabbit_link, node);
        struct connection_report r = {
            .status = l->status, .users = l->users, .bytes_in = l->received, .bytes_out = l->sent
        };
        if (!l->users)
            continue;
        snprintf(r.name, sizeof r.name, "%s", l->settings->base.name);
        snprintf(r.role, sizeof r.role, "%s", l->role == LINK_CONSUME ? "consume" : "publish");
        snprintf(r.address, sizeof r.address, "%s", l->fd >= 0 ? l->address : l->settings->hosts.items[l->next_host]);
        if (l->blocked) {
            r.status.state = ENDPOINT_BLOCKED;
            memcpy(r.status.reason, l->blocked_reason, sizeof r.status.reason);
        }
        visit(&r, arg);
    }
}

const struct transport rabbitmq_transport = {
    .name = "rabbitmq",
    .open = lane_open,
    .close = lane_close,
    .report = lane_report,
};
