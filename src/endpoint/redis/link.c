/* A connection's life: waiting ─▶ dialling ─▶ login ─▶ up ─▶ (lost) ─▶ waiting … Only set_phase moves it.
 *
 * Login is AUTH alone first, so that a refused password never goes on as the default user, then SELECT, CLIENT SETNAME and a
 * PING whose answer tells whether the server serves at all (LOADING, MASTERDOWN, NOAUTH). */
#include "endpoint/redis/link_private.h"

#include "base/mem.h"
#include "endpoint/redis/command.h"
#include "endpoint/redis/refusal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void connect_now(struct redis_link *l);

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

void link_lose(struct redis_link *l, const char *reason)
{
    uint64_t sent = l->sent;
    if (l->phase == UP && loop_now(l->lane->loop) - l->up_us > 2 * SEC)
        backoff_reset(&l->backoff);
    close_socket(l);
    l->phase = WAITING;
    set_status(l, ENDPOINT_DOWN, reason);
    timer_set(&l->timer, backoff_next(&l->backoff));
    link_fail_expected(l, sent);
    tell(l, false);
}

void link_lose_because(struct redis_link *l, const char *what, int error)
{
    char reason[REASON_MAX];
    snprintf(reason, sizeof reason, "%s%s%s", what, error ? ": " : "", error ? strerror(error) : "");
    link_lose(l, reason);
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
    link_lose(l, reason);
    return true;
}

/* A user who may not set a name is no worse off; too many clients and the like are told at the first reply. */
static void on_name_set(void *arg, const struct reply *r, bool sent)
{
    (void)sent;
    if (r && reply_is(r, 0, RESP_ERROR) && refusal_of(reply_text(r, 0))->class == VERDICT_AGAIN)
        refused(arg, r, "");
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
        link_expect(l, 1, on_selected, l);
    }
    command_strings(&l->out, "CLIENT", "SETNAME", "ferryd", NULL);
    link_expect(l, 1, on_name_set, l);
    command_strings(&l->out, "PING", NULL);
    link_expect(l, 1, on_first_pong, l);
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
    link_expect(l, 1, on_authenticated, l);
}

static void on_dialled(void *arg, int fd, size_t index, const char *error)
{
    struct redis_link *l = arg;
    l->dial = NULL;
    if (fd < 0) {
        link_lose(l, error);
        return;
    }
    l->fd = fd;
    l->host = index;
    l->phase = LOGIN;
    l->reading = true;
    io_init(&l->io, l->lane->loop, fd, link_on_ready, l);
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
    bool waits = link_expects(l) || l->pinged;
    int64_t since = l->heard_us > l->asked_us ? l->heard_us : l->asked_us;
    if (waits && now - since >= 2 * beat) {
        char reason[REASON_MAX];
        snprintf(reason, sizeof reason, "the server does not answer (%lld s)", (long long)((now - since) / SEC));
        l->host++;
        link_lose(l, reason);
    } else if (!waits && now - l->heard_us >= beat) {
        command_strings(&l->out, "PING", NULL);
        if (l->subscriber)
            link_written(l);
        else
            link_expect(l, 1, on_pong, l);
        l->pinged = true;
        l->asked_us = now;
    }
}

static void on_timer(void *arg)
{
    struct redis_link *l = arg;
    if (l->broken) {
        link_lose_because(l, "sending", l->broken);
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
        link_lose(l, "the server does not answer the login");
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

void link_renew(struct redis_link *l, const char *reason)
{
    if (l->fd < 0)
        return;
    l->host++;
    link_lose(l, reason);
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
    task_init(&l->flush, link_on_flush, l);
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
    LIST_EACH(&lane->closed, node) {
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
