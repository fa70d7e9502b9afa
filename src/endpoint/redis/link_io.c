/* A link's output, input, and the replies that are expected. */
#include "base/mem.h"
#include "endpoint/redis/link_private.h"
#include "endpoint/redis/refusal.h"

#include <errno.h>
#include <sys/socket.h>

/* ---- expectations */

void link_expect(struct redis_link *l, uint32_t n, reply_fn on_reply, void *arg)
{
    size_t count = l->expected_tail - l->expected_head;
    if (!l->expected || count > l->expected_mask) {
        size_t cap = l->expected ? (l->expected_mask + 1) * 2 : 64;
        struct expectation *ring = mem_array(cap, sizeof *ring);
        for (size_t i = 0; l->expected && i < count; i++)
            ring[i] = l->expected[(l->expected_head + i) & l->expected_mask];
        free(l->expected);
        l->expected = ring;
        l->expected_mask = cap - 1;
        l->expected_head = 0;
        l->expected_tail = count;
    }
    if (!count && !l->pinged)
        l->asked_us = loop_now(l->lane->loop);
    uint64_t end = l->sent + l->out.len - l->out_sent;
    l->expected[l->expected_tail++ & l->expected_mask] = (struct expectation){ on_reply, arg, end, n };
    loop_defer(l->lane->loop, &l->flush);
}

bool link_expects(const struct redis_link *l)
{
    return l->expected_tail != l->expected_head;
}

void link_fail_expected(struct redis_link *l, uint64_t sent)
{
    while (link_expects(l)) {
        struct expectation e = l->expected[l->expected_head++ & l->expected_mask];
        if (!e.on_reply)
            continue;
        for (uint32_t i = 0; i < e.replies; i++)
            e.on_reply(e.arg, NULL, e.end <= sent);
    }
}

/* ---- output */

void link_flush(struct redis_link *l)
{
    while (!l->broken && l->out_sent < l->out.len) {
        ssize_t n = send(l->fd, l->out.data + l->out_sent, l->out.len - l->out_sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN) {
                l->broken = errno;
                timer_set(&l->timer, 0);
                return;
            }
            io_want(&l->io, (l->reading ? IO_READ : 0) | IO_WRITE);
            return;
        }
        l->out_sent += (size_t)n;
        l->sent += (uint64_t)n;
        l->bytes_out += (uint64_t)n;
    }
    if (l->broken)
        return;
    buf_clear(&l->out);
    l->out_sent = 0;
    if (l->io.want & IO_WRITE)
        io_want(&l->io, l->reading ? IO_READ : 0);
}

void link_on_flush(void *arg)
{
    struct redis_link *l = arg;
    if (l->fd >= 0 && !(l->io.want & IO_WRITE))
        link_flush(l);
}

/* ---- input */

static void on_reply(struct redis_link *l, const struct reply *r)
{
    if (l->subscriber || !link_expects(l)) {
        struct list *first = l->users.next;
        struct link_user *u = first == &l->users ? NULL : LIST_ENTRY(first, struct link_user, node);
        if (u && u->events->on_push) {
            u->events->on_push(u, r);
            return;
        }
        /* Unasked, a server says only why it is about to close: too many clients, a time-out. */
        char reason[REASON_MAX];
        struct bytes text = reply_text(r, 0);
        link_lose(l, reply_is(r, 0, RESP_ERROR) ? refusal_text(refusal_of(text), text, reason, sizeof reason)
                                                : "a reply to no command");
        return;
    }
    struct expectation *e = &l->expected[l->expected_head & l->expected_mask];
    reply_fn fn = e->on_reply;
    void *arg = e->arg;
    if (--e->replies == 0)
        l->expected_head++;
    if (fn)
        fn(arg, r, true);
}

/* Hands on every reply that is complete. */
static void decode(struct redis_link *l)
{
    unsigned epoch = l->epoch;
    while (l->reply_at < l->chunk->len && !l->closing) {
        const uint8_t *base = l->chunk->data + l->reply_at;
        enum resp_progress progress = resp_decode(&l->decoder, base, l->chunk->len - l->reply_at);
        if (progress == RESP_MORE)
            return;
        if (progress == RESP_BAD) {
            link_lose(l, l->decoder.error);
            return;
        }
        /* The chunk stays while the callback runs, whatever that does to the link. */
        struct reply r = { base, l->decoder.nodes, l->decoder.count, backing_ref(&l->chunk->backing) };
        on_reply(l, &r);
        backing_unref(r.backing);
        if (l->epoch != epoch)
            return;
        l->reply_at += l->decoder.scanned;
        resp_decoder_reset(&l->decoder);
    }
}

/* Room to read into. A reply that is only begun moves along into the next chunk; a chunk that nobody else holds is used
 * again from its start. */
static void make_room(struct redis_link *l)
{
    enum { ROOM_MIN = 32 * 1024 };
    struct chunk *c = l->chunk;
    if (!c) {
        l->chunk = chunk_new(l->lane->chunks, CHUNK_SIZE);
        l->reply_at = 0;
        return;
    }
    size_t begun = c->len - l->reply_at;
    if (!begun && c->backing.refs == 1 && c->cap == CHUNK_SIZE) {
        c->len = l->reply_at = 0;
        return;
    }
    size_t whole = l->decoder.need > begun ? l->decoder.need : begun + ROOM_MIN;
    if (c->cap - l->reply_at >= whole && c->cap <= 4 * CHUNK_SIZE + begun)
        return;
    if (c->backing.refs == 1 && begun && c->cap >= whole && l->reply_at) {
        memmove(c->data, c->data + l->reply_at, begun);
        c->len = begun;
        l->reply_at = 0;
        return;
    }
    if (whole < 2 * begun) /* of unknown length: doubled, so that it does not move again and again */
        whole = 2 * begun;
    struct chunk *fresh = chunk_new(l->lane->chunks, whole);
    memcpy(fresh->data, c->data + l->reply_at, begun);
    fresh->len = begun;
    chunk_unref(c);
    l->chunk = fresh;
    l->reply_at = 0;
}

static void receive(struct redis_link *l)
{
    unsigned epoch = l->epoch;
    /* Twice at most, so that one link cannot keep the loop. */
    for (int turn = 0; turn < 2; turn++) {
        make_room(l);
        struct chunk *c = l->chunk;
        size_t room = c->cap - c->len;
        ssize_t n = recv(l->fd, c->data + c->len, room, 0);
        if (n <= 0) {
            if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
            link_lose_because(l, n ? "receiving" : "the server closed the connection", n ? errno : 0);
            return;
        }
        c->len += (size_t)n;
        l->bytes_in += (uint64_t)n;
        l->heard_us = loop_now(l->lane->loop);
        l->pinged = false;
        decode(l);
        if (l->epoch != epoch || (size_t)n < room || !l->reading)
            return;
    }
}

void link_on_ready(void *arg, unsigned ready)
{
    struct redis_link *l = arg;
    unsigned epoch = l->epoch;
    if (ready & IO_READ)
        receive(l);
    if (l->epoch == epoch && ready & IO_WRITE)
        link_flush(l);
}

void link_read(struct redis_link *l, bool on)
{
    if (on && !l->reading)
        l->heard_us = loop_now(l->lane->loop);
    l->reading = on;
    if (l->fd >= 0)
        io_want(&l->io, (on ? IO_READ : 0) | (l->io.want & IO_WRITE));
}

/* ---- for the users */

struct buf *link_out(struct redis_link *l)
{
    return &l->out;
}

void link_written(struct redis_link *l)
{
    l->subscriber = true;
    loop_defer(l->lane->loop, &l->flush);
}

void link_forget(struct redis_link *l, void *arg)
{
    for (size_t i = l->expected_head; i != l->expected_tail; i++)
        if (l->expected[i & l->expected_mask].arg == arg)
            l->expected[i & l->expected_mask].on_reply = NULL;
}

size_t link_backlog(const struct redis_link *l)
{
    return l->out.len - l->out_sent;
}
