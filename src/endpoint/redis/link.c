/* A connection's life: waiting ─▶ dialling ─▶ login ─▶ up ─▶ (lost) ─▶ waiting … Only set_phase moves it.
 *
 * Login is AUTH alone first, so that a refused password never goes on as the default user, then SELECT, CLIENT SETNAME and a
 * PING whose answer tells whether the server serves at all (LOADING, MASTERDOWN, NOAUTH). */
#include "endpoint/redis/lane.h"

#include "base/log.h"
#include "base/mem.h"
#include "endpoint/redis/command.h"
#include "endpoint/redis/refusal.h"
#include "runtime/backoff.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum phase { WAITING, DIALLING, LOGIN, UP };

struct expectation {
    reply_fn on_reply; /* NULL: forgotten */
    void *arg;
    uint64_t end; /* of its command, in bytes ever sent */
    uint32_t replies;
};

struct redis_link {
    struct list node;
    struct transport_lane *lane;
    const struct redis_connection *settings;
    enum link_role role;
    bool exclusive, closing;
    bool subscriber; /* replies are pushes, to the one user */
    int broken;      /* errno of a send; the loss is told from the timer, never inside a user's call */
    unsigned user_count;
    enum phase phase;
    struct endpoint_status status;
    struct list users;
    struct dial *dial;
    size_t host; /* the index that was or will be tried first */
    int fd;
    struct io io;
    struct timer timer; /* backoff while WAITING, the deadline of DIALLING and LOGIN, the heartbeat when UP */
    struct backoff backoff;
    unsigned epoch; /* counts connections: a callback that lost the connection is noticed by it */
    int64_t up_us, heard_us, asked_us, checked_us;
    bool pinged;

    struct buf out;
    size_t out_sent; /* of out */
    uint64_t sent;   /* bytes ever */
    struct task flush, bury;

    struct expectation *expected; /* a ring */
    size_t expected_mask, expected_head, expected_tail;

    struct chunk *chunk;
    size_t reply_at; /* where the reply that is being decoded begins in the chunk */
    struct resp_decoder decoder;
    bool reading;
    uint64_t bytes_in, bytes_out;
};

static void connect_now(struct redis_link *l);
static void lose(struct redis_link *l, const char *reason);

/* ---- telling the users */

/* Tells every user. Any of them may leave, or lose the link, while one is told: who is still to be told stands on a list of
 * its own. */
static void tell(struct redis_link *l, bool up)
{
    struct list todo, *node;
    unsigned epoch = l->epoch;
    list_init(&todo);
    while ((node = list_pop_front(&l->users)))
        list_push_back(&todo, node);
    while ((node = list_pop_front(&todo))) {
        struct link_user *u = LIST_ENTRY(node, struct link_user, node);
        list_push_back(&l->users, node);
        if (l->epoch != epoch || l->closing)
            continue;
        if (up)
            u->events->on_up(u);
        else
            u->events->on_down(u);
    }
}

static void set_status(struct redis_link *l, enum endpoint_state state, const char *reason)
{
    if (l->status.state != state)
        l->status.since_us = loop_now(l->lane->loop);
    l->status.state = state;
    snprintf(l->status.reason, sizeof l->status.reason, "%s", reason);
}

/* ---- expectations */

static void expect(struct redis_link *l, uint32_t n, reply_fn on_reply, void *arg)
{
    size_t count = l->expected_tail - l->expected_head;
    if (!l->expected || count > l->expected_mask) {
        size_t cap = l->expected ? (l->expected_mask + 1) * 2 : 64;
        struct expectation *ring = mem_array(cap, sizeof *ring);
        for (size_t i = 0; i < count; i++)
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

static bool expects(const struct redis_link *l)
{
    return l->expected_tail != l->expected_head;
}

/* The connection is gone: everyone learns it, in order. */
static void fail_expected(struct redis_link *l, uint64_t sent)
{
    while (expects(l)) {
        struct expectation e = l->expected[l->expected_head++ & l->expected_mask];
        if (!e.on_reply)
            continue;
        for (uint32_t i = 0; i < e.replies; i++)
            e.on_reply(e.arg, NULL, e.end <= sent);
    }
}

/* ---- the end of a connection */

static void close_socket(struct redis_link *l)
{
    if (l->dial)
        dial_cancel(l->dial);
    l->dial = NULL;
    if (l->fd >= 0) {
        io_close(&l->io);
        close(l->fd);
        l->fd = -1;
    }
    l->epoch++;
    buf_clear(&l->out);
    if (l->out.cap > 1 << 20)
        buf_free(&l->out);
    task_cancel(&l->flush);
    resp_decoder_reset(&l->decoder);
    chunk_unref(l->chunk);
    l->chunk = NULL;
    l->reply_at = 0;
    l->pinged = l->subscriber = false;
    l->broken = 0;
    l->out_sent = 0;
}

/* Waits for the next attempt. Only a connection that served for a while makes the next one quick again. */
static void lose(struct redis_link *l, const char *reason)
{
    uint64_t sent = l->sent;
    if (l->phase == UP && loop_now(l->lane->loop) - l->up_us > 2 * SEC)
        backoff_reset(&l->backoff);
    close_socket(l);
    l->phase = WAITING;
    set_status(l, ENDPOINT_DOWN, reason);
    timer_set(&l->timer, backoff_next(&l->backoff));
    fail_expected(l, sent);
    tell(l, false);
}

static void lose_because(struct redis_link *l, const char *what, int error)
{
    char reason[REASON_MAX];
    snprintf(reason, sizeof reason, "%s%s%s", what, error ? ": " : "", error ? strerror(error) : "");
    lose(l, reason);
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

static void on_flush(void *arg)
{
    struct redis_link *l = arg;
    if (l->fd >= 0 && !(l->io.want & IO_WRITE))
        link_flush(l);
}

/* ---- input */

static void on_reply(struct redis_link *l, const struct reply *r)
{
    if (l->subscriber || !expects(l)) {
        struct list *first = l->users.next;
        struct link_user *u = first == &l->users ? NULL : LIST_ENTRY(first, struct link_user, node);
        if (u && u->events->on_push) {
            u->events->on_push(u, r);
            return;
        }
        /* Unasked, a server says only why it is about to close: too many clients, a time-out. */
        char reason[REASON_MAX];
        struct bytes text = reply_text(r, 0);
        lose(l, reply_is(r, 0, RESP_ERROR) ? refusal_text(refusal_of(text), text, reason, sizeof reason)
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
            lose(l, l->decoder.error);
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
            lose_because(l, n ? "receiving" : "the server closed the connection", n ? errno : 0);
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

static void on_ready(void *arg, unsigned ready)
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

/* ---- login */

static void on_pong(void *arg, const struct reply *r, bool sent)
{
    (void)arg, (void)r, (void)sent;
}

static bool refused(struct redis_link *l, const struct reply *r, const char *what)
{
    if (!r)
        return true;
    if (!reply_is(r, 0, RESP_ERROR))
        return false;
    char text[REASON_MAX], reason[REASON_MAX];
    struct bytes error = reply_text(r, 0);
    refusal_text(refusal_of(error), error, text, sizeof text);
    snprintf(reason, sizeof reason, "%.40s%.*s", what, REASON_MAX - 42, text);
    l->host++; /* perhaps another server takes us */
    lose(l, reason);
    return true;
}

static void on_name_set(void *arg, const struct reply *r, bool sent)
{
    (void)arg, (void)r, (void)sent; /* a user who may not is no worse off */
}

static void on_selected(void *arg, const struct reply *r, bool sent)
{
    (void)sent;
    refused(arg, r, "selecting the database: ");
}

/* The first PING: any answer but these means that the server serves, NOPERM and a subscriber's too. */
static void on_first_pong(void *arg, const struct reply *r, bool sent)
{
    struct redis_link *l = arg;
    (void)sent;
    if (!r || (reply_is(r, 0, RESP_ERROR) && refusal_of(reply_text(r, 0))->class == VERDICT_AGAIN)) {
        refused(l, r, "");
        return;
    }
    l->phase = UP;
    l->up_us = l->heard_us = l->checked_us = loop_now(l->lane->loop);
    set_status(l, ENDPOINT_UP, "");
    l->status.connects++;
    timer_set(&l->timer, l->settings->heartbeat / 4);
    tell(l, true);
}

static void introduce(struct redis_link *l)
{
    if (l->settings->db) {
        char db[24];
        snprintf(db, sizeof db, "%lld", (long long)l->settings->db);
        command_strings(&l->out, "SELECT", db, NULL);
        expect(l, 1, on_selected, l);
    }
    command_strings(&l->out, "CLIENT", "SETNAME", "ferryd", NULL);
    expect(l, 1, on_name_set, l);
    command_strings(&l->out, "PING", NULL);
    expect(l, 1, on_first_pong, l);
}

static void on_authenticated(void *arg, const struct reply *r, bool sent)
{
    (void)sent;
    if (!refused(arg, r, "login: "))
        introduce(arg);
}

static void log_in(struct redis_link *l)
{
    const struct redis_connection *c = l->settings;
    if (!c->password) {
        introduce(l);
        return;
    }
    if (c->user)
        command_strings(&l->out, "AUTH", c->user, c->password, NULL);
    else
        command_strings(&l->out, "AUTH", c->password, NULL);
    expect(l, 1, on_authenticated, l);
}

static void on_dialled(void *arg, int fd, size_t index, const char *error)
{
    struct redis_link *l = arg;
    l->dial = NULL;
    if (fd < 0) {
        lose(l, error);
        return;
    }
    l->fd = fd;
    l->host = index;
    l->phase = LOGIN;
    l->reading = true;
    io_init(&l->io, l->lane->loop, fd, on_ready, l);
    io_want(&l->io, IO_READ);
    l->heard_us = loop_now(l->lane->loop);
    timer_set(&l->timer, l->settings->timeout);
    log_in(l);
}

static void connect_now(struct redis_link *l)
{
    l->phase = DIALLING;
    /* A reason that is known stays in sight while the next attempt is under way. */
    if (l->status.state == ENDPOINT_IDLE)
        set_status(l, ENDPOINT_CONNECTING, "");
    struct dial_request request = {
        .resolver = l->lane->resolver,
        .loop = l->lane->loop,
        .addresses = (const char *const *)l->settings->hosts.items,
        .first = l->host % l->settings->hosts.count,
        .timeout_us = l->settings->timeout,
        .on_done = on_dialled,
        .arg = l,
    };
    l->dial = dial_start(&request);
}

/* ---- time */

/* A server that hangs is noticed by its silence: while something is asked of it, for twice the heartbeat. */
static void heartbeat(struct redis_link *l)
{
    int64_t now = loop_now(l->lane->loop), beat = l->settings->heartbeat;
    bool late = now - l->checked_us > beat; /* it was ferryd that stood still: nothing is known */
    l->checked_us = now;
    if (late)
        l->heard_us = now;
    timer_set(&l->timer, beat / 4);
    if (!l->reading)
        return;
    bool waits = expects(l) || l->pinged;
    int64_t since = l->heard_us > l->asked_us ? l->heard_us : l->asked_us;
    if (waits && now - since >= 2 * beat) {
        char reason[REASON_MAX];
        snprintf(reason, sizeof reason, "the server does not answer (%lld s)", (long long)((now - since) / SEC));
        l->host++;
        lose(l, reason);
    } else if (!waits && now - l->heard_us >= beat) {
        command_strings(&l->out, "PING", NULL);
        if (l->subscriber)
            link_written(l);
        else
            expect(l, 1, on_pong, l);
        l->pinged = true;
        l->asked_us = now;
    }
}

static void on_timer(void *arg)
{
    struct redis_link *l = arg;
    if (l->broken) {
        lose_because(l, "sending", l->broken);
        return;
    }
    switch (l->phase) {
    case WAITING:
        connect_now(l);
        break;
    case UP:
        heartbeat(l);
        break;
    case DIALLING:
        break; /* dial has its own deadline */
    case LOGIN:
        l->host++;
        lose(l, "the server does not answer the login");
        break;
    }
}

/* ---- for the users */

bool link_is_up(const struct redis_link *l)
{
    return l->phase == UP;
}

const struct endpoint_status *link_status(const struct redis_link *l)
{
    return &l->status;
}

struct buf *link_out(struct redis_link *l)
{
    return &l->out;
}

void link_expect(struct redis_link *l, uint32_t n, reply_fn on_one, void *arg)
{
    expect(l, n, on_one, arg);
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

void link_renew(struct redis_link *l, const char *reason)
{
    if (l->fd < 0)
        return;
    l->host++;
    lose(l, reason);
}

void link_hurry(struct redis_link *l)
{
    if (l->phase == WAITING && !l->closing) {
        timer_cancel(&l->timer);
        connect_now(l);
    }
}

/* ---- the pool */

/* Frees the link outside all callbacks. */
static void bury(void *arg)
{
    struct redis_link *l = arg;
    list_remove(&l->node);
    timer_close(&l->timer);
    buf_free(&l->out);
    resp_decoder_free(&l->decoder);
    free(l->expected);
    free(l);
}

static struct redis_link *link_make(struct transport_lane *lane, const struct redis_connection *c, enum link_role role,
                                    bool exclusive)
{
    struct redis_link *l = mem_zero(sizeof *l);
    l->lane = lane;
    l->settings = c;
    l->role = role;
    l->exclusive = exclusive;
    l->fd = -1;
    l->backoff = BACKOFF_RECONNECT;
    list_init(&l->users);
    timer_init(&l->timer, lane->loop, on_timer, l);
    task_init(&l->flush, on_flush, l);
    task_init(&l->bury, bury, l);
    list_push_back(&lane->links, &l->node);
    connect_now(l);
    return l;
}

void link_join(struct link_user *u, struct transport_lane *lane, const struct redis_connection *c, enum link_role role,
               bool exclusive, const struct link_events *events)
{
    u->events = events;
    u->link = NULL;
    LIST_EACH(&lane->links, node) {
        struct redis_link *l = LIST_ENTRY(node, struct redis_link, node);
        if (!exclusive && !l->exclusive && l->settings == c && l->role == role)
            u->link = l;
    }
    if (!u->link)
        u->link = link_make(lane, c, role, exclusive);
    u->link->user_count++;
    list_push_back(&u->link->users, &u->node);
}

void link_leave(struct link_user *u)
{
    struct redis_link *l = u->link;
    if (!l)
        return;
    u->link = NULL;
    list_remove(&u->node);
    if (--l->user_count)
        return;
    l->closing = true;
    list_remove(&l->node);
    list_push_back(&l->lane->closed, &l->node);
    close_socket(l);
    l->expected_head = l->expected_tail;
    timer_cancel(&l->timer);
    loop_defer(l->lane->loop, &l->bury);
}

void link_bury_closed(struct transport_lane *lane)
{
    struct list *node;
    while ((node = list_pop_front(&lane->closed))) {
        struct redis_link *l = LIST_ENTRY(node, struct redis_link, node);
        task_cancel(&l->bury);
        bury(l);
    }
}

void link_report(struct list *node, struct connection_report *out)
{
    const struct redis_link *l = LIST_ENTRY(node, struct redis_link, node);
    static const char *const roles[] = { "consume", "publish", "control" };
    const struct string_list *hosts = &l->settings->hosts;
    *out = (struct connection_report){
        .status = l->status, .users = l->user_count, .bytes_in = l->bytes_in, .bytes_out = l->bytes_out
    };
    snprintf(out->name, sizeof out->name, "%s", l->settings->base.name);
    snprintf(out->role, sizeof out->role, "%s", roles[l->role]);
    snprintf(out->address, sizeof out->address, "%s", hosts->items[l->host % hosts->count]);
}
