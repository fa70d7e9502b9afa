/* from: { redis: …, list: NAME }: moves elements to a pending list of its own, and trims that as they are settled.
 *
 *   CLOSED ─scripts─▶ ACQUIRE ─▶ REPLAY (what is pending and was not handed over) ─▶ LIVE (move) ─▶ …
 *                       ▲ lease lost: generation + 1, everything is returned ◀──────────┘
 *
 * A start of a member takes its lease at once; whoever held it, frozen perhaps, is refused from then on by every script, and
 * takes it again only when it is free. Positions are dense, done in any order, and trimmed as one prefix (watermark.h).
 * A server cannot block inside a script: an empty list is asked again after a millisecond, then ever later, up to `poll`. */
#include "base/log.h"
#include "base/mem.h"
#include "endpoint/redis/link.h"
#include "endpoint/redis/list_script.h"
#include "endpoint/redis/redis.h"
#include "endpoint/redis/refusal.h"
#include "endpoint/watermark.h"
#include "runtime/backoff.h"

#include <inttypes.h>
#include <stdio.h>

enum { SIDE_LEFT, SIDE_RIGHT };
static const char *const sides[] = { "left", "right", NULL };

struct settings {
    char *list;
    int side;
    int64_t count;
    int64_t poll;  /* us */
    int64_t lease; /* us */
};

enum phase { CLOSED, ACQUIRE, REPLAY, LIVE };

enum {
    REPLY_BYTES = 192 * 1024,
    FIRST_COUNT = 32,
    ELEMENT_OVERHEAD = 8,
    POLL_FIRST_US = 1000,
    FETCH_MAX = 100,
};

struct positions {
    uint64_t *items;
    size_t count, cap;
};

struct list_source {
    struct source source;
    const struct settings *settings;
    struct loop *loop;
    struct transport_lane *lane;
    const struct redis_connection *connection;
    struct link_user user;
    struct origin origin;
    struct list_keys keys;
    struct watermark *mark;
    uint64_t share_unsettled;
    bool paused, draining, stopping, stop_told;
    enum phase phase;
    bool taken_once;            /* the lease was ours: from now on it is not taken by force */
    bool asking;                /* acquiring, or a read under way */
    uint64_t next;              /* position of the next element to hand over */
    uint64_t total;             /* up to here elements are known to be pending */
    uint64_t trimmed, trimming; /* up to where; trimming > trimmed: a trim is under way */
    uint32_t generation;
    int64_t credit_messages, credit_bytes;
    uint64_t mean;
    int64_t wait_us; /* until an empty list is asked again */
    struct positions released, fetching;
    struct timer again, renew, grace;
    struct task flush, stopped;
    struct backoff backoff, probe;
};

static struct list_source *list_of(struct source *s)
{
    return CONTAINER_OF(s, struct list_source, source);
}

static void read_more(struct list_source *s);
static void acquire(struct list_source *s);

static void positions_add(struct positions *p, uint64_t position)
{
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 64;
        p->items = mem_resize(p->items, p->cap * sizeof *p->items);
    }
    p->items[p->count++] = position;
}

static bool is_up(const struct list_source *s)
{
    return s->user.link && link_is_up(s->user.link);
}

static void call(struct list_source *s, enum list_script which, const struct bytes *args, size_t n, reply_fn on_reply)
{
    list_script_call(link_out(s->user.link), &s->keys, which, s->settings->lease / MSEC, args, n);
    link_expect(s->user.link, 1, on_reply, s);
}

/* ---- state */

static void set_status(struct list_source *s, enum endpoint_state state, const char *reason)
{
    if (endpoint_status_set(&s->source.status, s->source.subject, state, "%s", reason))
        s->source.host->status(s->source.ctx);
}

static void note(struct list_source *s)
{
    s->source.status.unsettled = watermark_held(s->mark) + (watermark_mark(s->mark) - s->trimmed);
}

static void served(struct list_source *s)
{
    if (s->source.status.state == ENDPOINT_UP)
        return;
    backoff_reset(&s->backoff);
    backoff_reset(&s->probe);
    set_status(s, ENDPOINT_UP, "");
}

/* What was handed over is pending at the broker for whoever has the lease now. */
static void lose_lease(struct list_source *s)
{
    uint32_t old = s->generation++;
    watermark_reset(s->mark);
    s->next = s->total = s->trimmed = s->trimming = 0;
    s->released.count = s->fetching.count = 0;
    if (is_up(s))
        link_forget(s->user.link, s);
    s->asking = false;
    s->phase = ACQUIRE;
    note(s);
    s->source.host->returned(s->source.ctx, old);
}

static void finish_stop(struct list_source *s);

/* An error of any script. */
static void refused(struct list_source *s, struct bytes error)
{
    char reason[REASON_MAX];
    if (error_is(error, "NOSCRIPT")) { /* forgotten by the server: taught again on the way to ACQUIRE */
        s->phase = CLOSED;
        acquire(s);
        return;
    }
    if (error_is(error, "LEASE")) {
        log_warning(s->source.subject, "lost the lease of list %s", s->settings->list);
        lose_lease(s);
        if (s->stopping)
            finish_stop(s);
        else
            acquire(s);
        return;
    }
    const struct refusal *r = refusal_of(error);
    bool fault = r->class == VERDICT_FAULT || error_is(error, "ERR Error compiling script");
    refusal_text(r, error, reason, sizeof reason);
    set_status(s, fault ? ENDPOINT_FAULT : ENDPOINT_BLOCKED, reason);
    timer_set(&s->again, backoff_next(fault ? &s->probe : &s->backoff));
    if (r->reconnect)
        link_renew(s->user.link, reason);
}

/* True when the reply is no answer; what follows from that is done. */
static bool failed(struct list_source *s, const struct reply *r)
{
    if (!r)
        return true;
    if (!reply_is(r, 0, RESP_ERROR))
        return false;
    refused(s, reply_text(r, 0));
    return true;
}

/* ---- the lease */

static void on_loaded(void *arg, const struct reply *r, bool sent)
{
    (void)sent;
    if (r && reply_is(r, 0, RESP_ERROR)) {
        struct list_source *s = arg;
        log_debug(s->source.subject, "loading a script: %.*s", (int)reply_text(r, 0).len,
                  (const char *)reply_text(r, 0).data);
    }
}

static void on_acquired(void *arg, const struct reply *r, bool sent)
{
    struct list_source *s = arg;
    int64_t got, fresh, base, length;
    (void)sent;
    s->asking = false;
    if (failed(s, r))
        return;
    if (!reply_int(r, 1, &got) || (got && (!reply_int(r, 2, &fresh) || !reply_int(r, 3, &base) ||
                                           !reply_int(r, 4, &length) || base < 0 || length < 0))) {
        link_renew(s->user.link, "a strange answer to a script");
        return;
    }
    if (!got) {
        set_status(s, ENDPOINT_FAULT, "another ferryd of the same name has taken the list over");
        timer_set(&s->again, backoff_next(&s->probe));
        return;
    }
    if (fresh && s->taken_once && s->next)
        lose_lease(s); /* it had run out meanwhile */
    s->taken_once = true;
    s->total = (uint64_t)base + (uint64_t)length;
    if (s->total < s->next || (uint64_t)base < s->trimmed) { /* somebody meddled with the keys */
        lose_lease(s);
        s->total = (uint64_t)base + (uint64_t)length;
        s->next = s->trimmed = s->trimming = (uint64_t)base;
    }
    if ((uint64_t)base > s->trimmed) /* the trim whose answer was lost */
        s->trimmed = (uint64_t)base;
    s->trimming = s->trimmed;
    s->phase = REPLAY;
    served(s);
    loop_defer(s->loop, &s->flush);
    read_more(s);
}

static void acquire(struct list_source *s)
{
    if (!is_up(s) || s->asking)
        return;
    if (s->phase == CLOSED) {
        list_scripts_load(link_out(s->user.link));
        link_expect(s->user.link, LIST_SCRIPTS, on_loaded, s);
    }
    s->phase = ACQUIRE;
    s->asking = true;
    struct bytes args[] = { s->taken_once ? BYTES_LITERAL("0") : BYTES_LITERAL("1"), bytes_of_string(s->keys.member) };
    call(s, LIST_ACQUIRE, args, ARRAY_LEN(args), on_acquired);
}

static void on_renewed(void *arg, const struct reply *r, bool sent)
{
    struct list_source *s = arg;
    (void)sent;
    if (r && reply_is(r, 0, RESP_ERROR) && error_is(reply_text(r, 0), "LEASE"))
        refused(s, reply_text(r, 0));
}

static void adopt(struct list_source *s);

static void on_adopted(void *arg, const struct reply *r, bool sent)
{
    struct list_source *s = arg;
    int64_t n;
    (void)sent;
    if (!r || !reply_int(r, 0, &n) || n <= 0)
        return; /* asked again in a while */
    log_info(s->source.subject, "put %" PRId64 " elements back to list %s that a member left that is gone", n,
             s->settings->list);
    if (!s->draining)
        adopt(s);
}

/* What members left whose lease has run out goes back to the list, for any member to take. */
static void adopt(struct list_source *s)
{
    struct bytes args[] = { bytes_of_string(s->keys.prefix), bytes_of_string(s->keys.member),
                            s->settings->side == SIDE_LEFT ? BYTES_LITERAL("LPUSH") : BYTES_LITERAL("RPUSH") };
    call(s, LIST_ADOPT, args, ARRAY_LEN(args), on_adopted);
}

static void on_renew(void *arg)
{
    struct list_source *s = arg;
    timer_set(&s->renew, s->settings->lease / 3);
    if (is_up(s) && s->phase >= REPLAY) {
        call(s, LIST_RENEW, NULL, 0, on_renewed);
        if (!s->paused && !s->draining)
            adopt(s);
    }
}

/* ---- taking elements */

static bool may_read(const struct list_source *s)
{
    return !s->paused && !s->draining && s->credit_messages > 0 && s->credit_bytes > 0;
}

static struct arrival arrive(struct list_source *s, struct bytes element, struct backing *backing, uint64_t position)
{
    struct message *m = message_new();
    message_set_payload(m, element);
    m->backing = backing_ref(backing);
    m->origin = &s->origin;
    m->position = position;
    m->flags = MESSAGE_ID_POSITION | (s->phase == REPLAY ? MESSAGE_REDELIVERED : 0);
    s->credit_messages--;
    s->credit_bytes -= (int64_t)message_size(m);
    return (struct arrival){ m, { position, 0, s->generation } };
}

/* Hands over the elements of an array reply as the next positions. */
static void take(struct list_source *s, const struct reply *r)
{
    enum { BATCH = 256 };
    struct arrival batch[BATCH];
    size_t n = 0;
    uint32_t count = r->nodes[0].size, generation = s->generation;
    uint64_t bytes = 0, first = s->next;
    s->next += count;
    if (s->total < s->next)
        s->total = s->next;
    for (uint32_t i = 0; i < count; i++)
        watermark_take(s->mark, first + i);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes element = reply_text(r, i + 1);
        bytes += element.len;
        batch[n++] = arrive(s, element, r->backing, first + i);
        if (n < BATCH)
            continue;
        source_intake(&s->source, batch, n);
        n = 0;
        if (s->generation != generation)
            return;
    }
    uint64_t mean = bytes / count + ELEMENT_OVERHEAD;
    s->mean = s->mean > mean / 2 && s->mean < mean * 2 ? (7 * s->mean + mean) / 8 : mean;
    source_intake(&s->source, batch, n);
}

static void on_elements(void *arg, const struct reply *r, bool sent)
{
    struct list_source *s = arg;
    (void)sent;
    s->asking = false;
    if (failed(s, r))
        return;
    if (!reply_is(r, 0, RESP_ARRAY) || r->count != r->nodes[0].size + 1) {
        link_renew(s->user.link, "a strange answer to a script");
        return;
    }
    served(s);
    uint32_t count = r->nodes[0].size;
    if (s->paused || s->draining) { /* they stay pending, and are replayed */
        if (s->phase == LIVE)
            s->total += count;
        s->phase = REPLAY;
        return;
    }
    if (count) {
        s->wait_us = POLL_FIRST_US;
        take(s, r);
        read_more(s);
    } else if (s->phase == REPLAY) {
        s->next = s->total; /* shorter than it was said to be */
        read_more(s);
    } else {
        timer_set(&s->again, s->wait_us);
        s->wait_us = 2 * s->wait_us < s->settings->poll ? 2 * s->wait_us : s->settings->poll;
    }
}

/* ---- reading */

static size_t how_many(const struct list_source *s)
{
    uint64_t bytes = (uint64_t)s->credit_bytes < REPLY_BYTES ? (uint64_t)s->credit_bytes : REPLY_BYTES;
    uint64_t n = s->mean ? bytes / s->mean : FIRST_COUNT, span = watermark_span(s->mark);
    uint64_t limits[] = { (uint64_t)s->settings->count, (uint64_t)s->credit_messages,
                          span < s->share_unsettled ? s->share_unsettled - span : 0 };
    if (!n)
        n = 1;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        n = limits[i] < n ? limits[i] : n;
    return n;
}

static void fetch_released(struct list_source *s);

static void read_more(struct list_source *s)
{
    if (s->phase < REPLAY || s->asking || s->again.armed || !is_up(s) || !may_read(s))
        return;
    if (s->released.count) {
        fetch_released(s);
        return;
    }
    char count[24], from[24];
    size_t n = how_many(s);
    if (!n)
        return; /* too much is unsettled behind one that is held; settling it goes on from here */
    if (s->phase == REPLAY && s->next == s->total)
        s->phase = LIVE;
    s->asking = true;
    if (s->phase == REPLAY) {
        snprintf(from, sizeof from, "%" PRIu64, s->next);
        snprintf(count, sizeof count, "%" PRIu64, n < s->total - s->next ? n : s->total - s->next);
        struct bytes args[] = { bytes_of_string(from), bytes_of_string(count) };
        call(s, LIST_PAGE, args, 2, on_elements);
        return;
    }
    snprintf(count, sizeof count, "%zu", n);
    struct bytes args[] = { bytes_of_string(count),
                            s->settings->side == SIDE_LEFT ? BYTES_LITERAL("LPOP") : BYTES_LITERAL("RPOP") };
    call(s, LIST_MOVE, args, 2, on_elements);
}

static void on_again(void *arg)
{
    struct list_source *s = arg;
    if (s->phase < REPLAY)
        acquire(s);
    else
        read_more(s);
    loop_defer(s->loop, &s->flush);
}

/* ---- what was released is fetched again, by position */

static void on_fetched(void *arg, const struct reply *r, bool sent)
{
    struct list_source *s = arg;
    (void)sent;
    s->asking = false;
    struct positions asked = s->fetching;
    s->fetching = (struct positions){ .items = NULL };
    bool gone = failed(s, r) || !reply_is_array(r, 0, (uint32_t)asked.count) || s->paused || s->draining;
    for (uint32_t i = 0; i < asked.count; i++) {
        struct bytes element = gone ? BYTES_NULL : reply_text(r, i + 1);
        if (gone) {
            if (!r || !reply_is(r, 0, RESP_ERROR) || !error_is(reply_text(r, 0), "LEASE"))
                positions_add(&s->released, asked.items[i]);
        } else if (element.data) {
            struct arrival a = arrive(s, element, r->backing, asked.items[i]);
            a.message->flags |= MESSAGE_REDELIVERED;
            source_intake(&s->source, &a, 1);
        }
    }
    free(asked.items);
    if (!gone)
        read_more(s);
}

static void fetch_released(struct list_source *s)
{
    struct bytes args[FETCH_MAX];
    char texts[FETCH_MAX][24];
    size_t most = how_many(s), n = s->released.count < FETCH_MAX ? s->released.count : FETCH_MAX;
    if (!most)
        most = 1; /* their positions are counted already */
    n = most < n ? most : n;
    for (size_t i = 0; i < n; i++) {
        positions_add(&s->fetching, s->released.items[i]);
        args[i] = bytes_of(texts[i], (size_t)snprintf(texts[i], sizeof texts[i], "%" PRIu64, s->released.items[i]));
    }
    s->released.count -= n;
    memmove(s->released.items, s->released.items + n, s->released.count * sizeof *s->released.items);
    s->asking = true;
    call(s, LIST_FETCH, args, n, on_fetched);
}

/* ---- trimming */

static bool all_trimmed(const struct list_source *s)
{
    return s->trimmed >= watermark_mark(s->mark);
}

static void on_trimmed(void *arg, const struct reply *r, bool sent)
{
    struct list_source *s = arg;
    uint64_t upto = s->trimming;
    (void)sent;
    s->trimming = s->trimmed;
    if (failed(s, r)) /* acquiring it again tells whether it was done */
        return;
    s->trimmed = s->trimming = upto;
    note(s);
    if (!all_trimmed(s))
        loop_defer(s->loop, &s->flush);
    else if (s->stopping)
        finish_stop(s);
    read_more(s);
}

static void on_flush(void *arg)
{
    struct list_source *s = arg;
    uint64_t upto = watermark_mark(s->mark);
    if (!is_up(s) || s->phase < REPLAY || s->trimming > s->trimmed || upto <= s->trimmed)
        return;
    s->trimming = upto;
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, upto);
    struct bytes arg1 = bytes_of_string(text);
    call(s, LIST_TRIM, &arg1, 1, on_trimmed);
    link_flush(s->user.link);
}

/* ---- the link */

static void on_up(struct link_user *u)
{
    struct list_source *s = CONTAINER_OF(u, struct list_source, user);
    s->source.status.connects++;
    timer_cancel(&s->again);
    s->phase = CLOSED;
    acquire(s);
}

static void on_down(struct link_user *u)
{
    struct list_source *s = CONTAINER_OF(u, struct list_source, user);
    const struct endpoint_status *st = link_status(u->link);
    s->asking = false;
    s->phase = CLOSED;
    timer_cancel(&s->again);
    set_status(s, st->state, st->reason);
}

static const struct link_events link_events = { .on_up = on_up, .on_down = on_down };

/* ---- the source's operations */

static void start(struct source *source)
{
    struct list_source *s = list_of(source);
    set_status(s, ENDPOINT_CONNECTING, "");
    link_join(&s->user, s->lane, s->connection, LINK_CONSUME, false, &link_events);
    timer_set(&s->renew, s->settings->lease / 3);
    if (is_up(s))
        on_up(&s->user);
}

static void grant(struct source *source, uint64_t messages, uint64_t bytes)
{
    struct list_source *s = list_of(source);
    s->credit_messages += (int64_t)messages;
    s->credit_bytes += (int64_t)bytes;
    read_more(s);
}

static void settle(struct source *source, const struct token *tokens, size_t n)
{
    struct list_source *s = list_of(source);
    for (size_t i = 0; i < n; i++)
        if (tokens[i].generation == s->generation)
            watermark_done(s->mark, tokens[i].a);
    note(s);
    loop_defer(s->loop, &s->flush);
}

static void release(struct source *source, const struct token *tokens, size_t n)
{
    struct list_source *s = list_of(source);
    for (size_t i = 0; i < n; i++)
        if (tokens[i].generation == s->generation)
            positions_add(&s->released, tokens[i].a);
    s->source.host->released(s->source.ctx, tokens, n);
    read_more(s);
}

static void pause(struct source *source)
{
    list_of(source)->paused = true;
}

static void resume(struct source *source)
{
    struct list_source *s = list_of(source);
    s->paused = false;
    if (s->user.link)
        link_hurry(s->user.link);
    if (s->again.armed)
        timer_set(&s->again, 0);
    read_more(s);
}

static void drain(struct source *source)
{
    list_of(source)->draining = true;
}

static void on_stopped(void *arg)
{
    struct list_source *s = arg;
    s->source.host->stopped(s->source.ctx);
}

static void finish_stop(struct list_source *s)
{
    if (s->stop_told)
        return;
    s->stop_told = true;
    struct timer *timers[] = { &s->again, &s->renew, &s->grace };
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        timer_cancel(timers[i]);
    task_cancel(&s->flush);
    if (s->user.link)
        link_forget(s->user.link, s);
    link_leave(&s->user);
    set_status(s, ENDPOINT_IDLE, "");
    loop_defer(s->loop, &s->stopped);
}

static void on_grace(void *arg)
{
    finish_stop(arg);
}

static void stop(struct source *source, int64_t grace_us)
{
    struct list_source *s = list_of(source);
    s->draining = s->stopping = true;
    if (!s->user.link || all_trimmed(s))
        finish_stop(s);
    else
        timer_set(&s->grace, grace_us);
}

static void destroy(struct source *source)
{
    struct list_source *s = list_of(source);
    link_leave(&s->user);
    struct timer *timers[] = { &s->again, &s->renew, &s->grace };
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        timer_close(timers[i]);
    task_cancel(&s->flush);
    task_cancel(&s->stopped);
    watermark_free(s->mark);
    list_keys_free(&s->keys);
    free(s->released.items);
    free(s->fetching.items);
    free(s);
}

static const struct source_ops source_ops = {
    .start = start,
    .grant = grant,
    .settle = settle,
    .release = release,
    .pause = pause,
    .resume = resume,
    .drain = drain,
    .stop = stop,
    .free = destroy,
};

static struct source *create(const void *settings, const struct environment *env, const struct source_host *host,
                             void *ctx)
{
    struct list_source *s = mem_zero(sizeof *s);
    s->source = (struct source){ .ops = &source_ops, .host = host, .ctx = ctx, .subject = env->subject };
    s->settings = settings;
    s->loop = env->loop;
    s->lane = env->transport;
    s->connection = (const struct redis_connection *)env->connection;
    s->origin = (struct origin){ "redis list", env->connection->name, s->settings->list, -1 };
    s->share_unsettled = env->share_unsettled ? env->share_unsettled : 1;
    s->mark = watermark_new();
    s->generation = 1;
    s->wait_us = POLL_FIRST_US;
    s->backoff = BACKOFF_RECONNECT;
    s->probe = BACKOFF_PROBE;
    list_keys_init(&s->keys, s->settings->list, env->member);
    timer_init(&s->again, s->loop, on_again, s);
    timer_init(&s->renew, s->loop, on_renew, s);
    timer_init(&s->grace, s->loop, on_grace, s);
    task_init(&s->flush, on_flush, s);
    task_init(&s->stopped, on_stopped, s);
    return &s->source;
}

/* ---- the kind */

static const struct option options[] = {
    OPTION(struct settings, list, OPTION_STRING, .required = true, .help = "list to take elements from"),
    OPTION(struct settings, side, OPTION_ENUM, .choices = sides, .fallback = "left",
           .help = "end of the list that elements are taken from"),
    OPTION(struct settings, count, OPTION_INT, .fallback = "500", .min = 1, .max = 5000,
           .help = "most elements moved at once"),
    OPTION(struct settings, poll, OPTION_DURATION, .fallback = "20ms", .min = MSEC, .max = 60 * SEC,
           .help = "an empty list is asked again at least this often"),
    OPTION(struct settings, lease, OPTION_DURATION, .fallback = "30s", .min = SEC, .max = 86400 * SEC,
           .help = "how long the pending list stays this member's own without a sign of life"),
    OPTION_END,
};

static const char *target(const void *settings)
{
    return ((const struct settings *)settings)->list;
}

const struct source_kind redis_list_source = {
    .transport = "redis",
    .selector = "list",
    .name = "redis list",
    .options = options,
    .settings_size = sizeof(struct settings),
    .caps = { .at_least_once = true, .shared_name = true },
    .create = create,
    .target = target,
    .help = "Takes elements from a list by way of a pending list of its own, which is trimmed as they are settled. "
            "Needs Redis 7.0.",
};
