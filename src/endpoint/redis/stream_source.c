/* from: { redis: …, stream: NAME, group: GROUP }: reads as one consumer of a group.
 *
 *   SETUP ─▶ HISTORY (own pending entries behind `high`) ─▶ LIVE (new ones) ──lost connection──▶ HISTORY
 *     ▲                                                       │
 *     └──────────────── the group is gone ◀───────────────────┘
 *
 * Reads block, so they have a link of their own; acknowledgements go over the lane's control link, side by side. */
#include "endpoint/redis/stream_source.h"

#include "base/log.h"
#include "base/mem.h"
#include "endpoint/redis/command.h"
#include "endpoint/redis/redis.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    REPLY_BYTES = 192 * 1024, /* what a read should bring at most: two fit into a chunk */
    FIRST_COUNT = 32,         /* while the size of entries is not known */
    ENTRY_OVERHEAD = 64,
    LINGER_US = 1000,
};

static struct stream_source *stream_of(struct source *s)
{
    return CONTAINER_OF(s, struct stream_source, source);
}

void id_list_add(struct id_list *l, struct entry_id id)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->items = mem_resize(l->items, l->cap * sizeof *l->items);
    }
    l->items[l->count++] = id;
}

void id_list_drop(struct id_list *l, size_t n)
{
    l->count -= n;
    memmove(l->items, l->items + n, l->count * sizeof *l->items);
}

/* ---- state */

void stream_set_status(struct stream_source *s, enum endpoint_state state, const char *reason)
{
    if (endpoint_status_set(&s->source.status, s->source.subject, state, "%s", reason))
        s->source.host->status(s->source.ctx);
}

/* The broker hands out again what was not settled: from the group's new beginning. */
static void lose_group(struct stream_source *s, const char *reason)
{
    log_warning(s->source.subject, "the group %s of stream %s is made again, from the stream's beginning: %s",
                s->settings->group, s->settings->stream, reason);
    s->group_lost = true;
    s->phase = STREAM_SETUP;
    s->high = (struct entry_id){ 0, 0 };
    uint32_t old = s->generation++;
    ack_forget(s);
    claim_forget(s);
    s->source.host->returned(s->source.ctx, old);
}

static void retry_later(struct stream_source *s, int64_t delay)
{
    s->again = true;
    if (!s->retry.armed)
        timer_set(&s->retry, delay);
}

void stream_refused(struct stream_source *s, struct bytes error)
{
    char reason[REASON_MAX];
    const struct refusal *r = refusal_of(error);
    refusal_text(r, error, reason, sizeof reason);
    if (error_is(error, "NOGROUP") || error_is(error, "UNBLOCKED")) {
        if (s->phase != STREAM_SETUP)
            lose_group(s, reason);
        return;
    }
    bool fault = r->class == VERDICT_FAULT;
    stream_set_status(s, fault ? ENDPOINT_FAULT : ENDPOINT_BLOCKED, reason);
    retry_later(s, backoff_next(fault ? &s->probe : &s->backoff));
    if (r->reconnect && s->reader.link)
        link_renew(s->reader.link, reason);
}

static void on_retry(void *arg)
{
    struct stream_source *s = arg;
    s->again = false;
    stream_read(s);
}

/* What the server answered at all: it serves. */
static void served(struct stream_source *s)
{
    if (s->source.status.state == ENDPOINT_UP)
        return;
    backoff_reset(&s->backoff);
    backoff_reset(&s->probe);
    stream_set_status(s, ENDPOINT_UP, "");
}

/* ---- taking entries */

size_t stream_count(const struct stream_source *s, size_t limit)
{
    uint64_t n = limit, bytes = REPLY_BYTES;
    if ((uint64_t)s->credit_bytes < bytes)
        bytes = (uint64_t)s->credit_bytes;
    uint64_t fit = s->mean ? bytes / s->mean : FIRST_COUNT;
    if (fit < n)
        n = fit;
    if ((uint64_t)s->credit_messages < n)
        n = (uint64_t)s->credit_messages;
    return n ? n : 1;
}

/* One entry; NULL when it was deleted (its fields are nil) and is acknowledged here, for nobody will ever see it. */
static struct message *take_entry(struct stream_source *s, const struct reply *r, uint32_t at, struct entry_id *id)
{
    struct bytes text = reply_text(r, at + 1);
    if (!reply_is_array(r, at, 2) || !entry_id_parse(text, id))
        return NULL;
    if (reply_is(r, at + 2, RESP_NIL)) {
        log_notice(s->source.subject, "entry %.*s of stream %s was deleted before it was settled", (int)text.len,
                   (const char *)text.data, s->settings->stream);
        ack_add(s, *id);
        return NULL;
    }
    return entry_read(&s->names, r, at + 1, at + 2);
}

int64_t stream_take(struct stream_source *s, const struct reply *r, uint32_t list, uint16_t flags,
                    struct entry_id *last)
{
    enum { BATCH = 256 };
    struct arrival batch[BATCH];
    size_t n = 0;
    if (!reply_is(r, list, RESP_ARRAY))
        return -1;
    uint32_t count = r->nodes[list].size, at = list + 1;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct entry_id id = { 0, 0 };
        struct message *m = take_entry(s, r, at, &id);
        bool deleted = !m && reply_is(r, at + 2, RESP_NIL);
        at = m ? at + 3 + r->nodes[at + 2].size : reply_skip(r, at);
        if (id.ms || id.seq)
            *last = id;
        if (deleted)
            continue;
        if (!m)
            return -1;
        m->flags |= flags;
        m->origin = &s->origin;
        size_t size = message_size(m);
        bytes += size;
        s->credit_bytes -= (int64_t)size;
        s->credit_messages--;
        batch[n++] = (struct arrival){ m, { id.ms, id.seq, s->generation } };
        if (n == BATCH) {
            source_intake(&s->source, batch, n);
            n = 0;
        }
    }
    if (count) {
        uint64_t mean = bytes / count + ENTRY_OVERHEAD;
        s->mean = s->mean > mean / 2 && s->mean < mean * 2 ? (7 * s->mean + mean) / 8 : mean;
    }
    source_intake(&s->source, batch, n);
    return count;
}

/* ---- reading */

static void on_group(void *arg, const struct reply *r, bool sent)
{
    struct stream_source *s = arg;
    (void)sent;
    s->reading = false;
    if (!r)
        return;
    struct bytes error = reply_is(r, 0, RESP_ERROR) ? reply_text(r, 0) : BYTES_NULL;
    if (error.data && !error_is(error, "BUSYGROUP")) {
        stream_refused(s, error);
        return;
    }
    s->phase = STREAM_HISTORY;
    s->group_lost = true; /* from now on a missing group is one that was lost */
    served(s);
    stream_read(s);
}

static void make_group(struct stream_source *s)
{
    const struct stream_settings *set = s->settings;
    const char *start = s->group_lost || strcmp(set->start, "earliest") == 0 ? "0"
                        : strcmp(set->start, "latest") == 0                  ? "$"
                                                                             : set->start;
    s->reading = true;
    command_strings(link_out(s->reader.link), "XGROUP", "CREATE", set->stream, set->group, start, "MKSTREAM", NULL);
    link_expect(s->reader.link, 1, on_group, s);
}

/* The entries of a read's reply: [[stream, entries]]; nil when a block ended. 0: none. */
static uint32_t entries_of(const struct reply *r)
{
    return reply_is_array(r, 0, 1) && reply_is_array(r, 1, 2) && reply_is(r, 3, RESP_ARRAY) ? 3 : 0;
}

static bool next_read(struct stream_source *s);

static void on_history(void *arg, const struct reply *r, bool sent)
{
    struct stream_source *s = arg;
    (void)sent;
    s->reading = false;
    if (!r)
        return;
    if (reply_is(r, 0, RESP_ERROR)) {
        stream_refused(s, reply_text(r, 0));
        stream_read(s);
        return;
    }
    uint32_t list = entries_of(r);
    /* Paused while it was read: it stays pending, and is read again from the same place. */
    if (s->paused || s->draining)
        return;
    int64_t n = list ? stream_take(s, r, list, MESSAGE_REDELIVERED, &s->high) : 0;
    if (n < 0) {
        link_renew(s->reader.link, "a reply that is no list of entries");
        return;
    }
    served(s);
    if (n == 0) {
        s->phase = STREAM_LIVE;
        claim_now(s);
    }
    stream_read(s);
}

/* Entries that are handed over leave credit behind; the next read goes out before them, so that the server works meanwhile. */
static void on_entries(void *arg, const struct reply *r, bool sent)
{
    struct stream_source *s = arg;
    (void)sent;
    s->reading = false;
    if (!r)
        return;
    if (reply_is(r, 0, RESP_ERROR)) {
        stream_refused(s, reply_text(r, 0));
        stream_read(s);
        return;
    }
    served(s);
    uint32_t list = entries_of(r);
    if (list && (s->paused || s->draining)) {
        s->phase = STREAM_HISTORY; /* left pending, read again by resume */
        return;
    }
    if (list) {
        int64_t n = r->nodes[list].size;
        bool ahead = s->mean && s->credit_messages > n && s->credit_bytes > n * (int64_t)s->mean;
        if (ahead) {
            s->credit_messages -= n;
            s->credit_bytes -= n * (int64_t)s->mean;
            if (next_read(s))
                link_flush(s->reader.link);
            s->credit_messages += n;
            s->credit_bytes += n * (int64_t)s->mean;
        }
        if (stream_take(s, r, list, 0, &s->high) < 0) {
            link_renew(s->reader.link, "a reply that is no list of entries");
            return;
        }
    }
    stream_read(s);
}

static void write_read(struct stream_source *s, size_t count, const char *from)
{
    const struct stream_settings *set = s->settings;
    char count_text[24], block_text[24];
    /* A read must be answered often enough for the heartbeat; of a history it does not block. */
    int64_t wait = set->block < s->connection->heartbeat ? set->block : s->connection->heartbeat;
    snprintf(count_text, sizeof count_text, "%zu", count);
    snprintf(block_text, sizeof block_text, "%" PRId64, wait / MSEC ? wait / MSEC : 1);
    struct bytes words[] = {
        BYTES_LITERAL("XREADGROUP"),  BYTES_LITERAL("GROUP"),      bytes_of_string(set->group),
        bytes_of_string(s->member),   BYTES_LITERAL("COUNT"),      bytes_of_string(count_text),
        BYTES_LITERAL("BLOCK"),       bytes_of_string(block_text), BYTES_LITERAL("STREAMS"),
        bytes_of_string(set->stream), bytes_of_string(from),
    };
    command_write(link_out(s->reader.link), words, ARRAY_LEN(words));
}

/* A read of a few entries costs as much as one of hundreds: a small credit waits a moment for more. */
static bool worth_reading(struct stream_source *s)
{
    size_t most = (size_t)s->settings->count, wish = s->mean ? REPLY_BYTES / s->mean : FIRST_COUNT;
    if (2 * stream_count(s, most) >= (wish < most ? wish : most)) {
        timer_cancel(&s->linger);
        return true;
    }
    if (!s->linger.armed)
        timer_set(&s->linger, LINGER_US);
    return false;
}

/* Writes what is to be read next; false when nothing is. */
static bool next_read(struct stream_source *s)
{
    if (s->reading || s->again || s->stopping || !s->reader.link || !link_is_up(s->reader.link))
        return false;
    if (s->phase == STREAM_SETUP) {
        make_group(s);
        return true;
    }
    if (!stream_may_read(s))
        return false;
    s->reading = true;
    if (s->phase == STREAM_HISTORY) {
        char from[ENTRY_ID_MAX];
        entry_id_print(s->high, from);
        write_read(s, stream_count(s, (size_t)s->settings->count), from);
        link_expect(s->reader.link, 1, on_history, s);
        return true;
    }
    write_read(s, stream_count(s, (size_t)s->settings->count), ">");
    link_expect(s->reader.link, 1, on_entries, s);
    return true;
}

void stream_read(struct stream_source *s)
{
    if (s->again_ids.count || s->doubtful.count)
        claim_fetch(s);
    if (s->phase == STREAM_LIVE && stream_may_read(s) && !s->reading && !worth_reading(s))
        return;
    next_read(s);
}

static void on_linger(void *arg)
{
    struct stream_source *s = arg;
    next_read(s);
}

/* ---- links */

static void on_reader_up(struct link_user *u)
{
    struct stream_source *s = CONTAINER_OF(u, struct stream_source, reader);
    s->source.status.connects++;
    s->again = false;
    timer_cancel(&s->retry);
    stream_read(s);
    if (s->phase != STREAM_SETUP)
        served(s);
}

static void on_reader_down(struct link_user *u)
{
    struct stream_source *s = CONTAINER_OF(u, struct stream_source, reader);
    const struct endpoint_status *st = link_status(u->link);
    s->reading = false;
    if (s->phase == STREAM_LIVE)
        s->phase = STREAM_HISTORY; /* a reply may have been lost */
    stream_set_status(s, st->state, st->reason);
}

static void on_control_up(struct link_user *u)
{
    struct stream_source *s = CONTAINER_OF(u, struct stream_source, control);
    ack_up(s);
    claim_up(s);
}

static void on_control_down(struct link_user *u)
{
    (void)u; /* what was under way came back to its lists */
}

static const struct link_events reader_events = { .on_up = on_reader_up, .on_down = on_reader_down };
static const struct link_events control_events = { .on_up = on_control_up, .on_down = on_control_down };

/* ---- the source's operations */

static void start(struct source *source)
{
    struct stream_source *s = stream_of(source);
    s->started = true;
    stream_set_status(s, ENDPOINT_CONNECTING, "");
    link_join(&s->reader, s->lane, s->connection, LINK_CONSUME, true, &reader_events);
    link_join(&s->control, s->lane, s->connection, LINK_CONTROL, false, &control_events);
    claim_start(s);
}

static void grant(struct source *source, uint64_t messages, uint64_t bytes)
{
    struct stream_source *s = stream_of(source);
    s->credit_messages += (int64_t)messages;
    s->credit_bytes += (int64_t)bytes;
    if (!stream_may_read(s))
        return;
    claim_fetch(s);
    stream_read(s);
}

static void settle(struct source *source, const struct token *tokens, size_t n)
{
    struct stream_source *s = stream_of(source);
    for (size_t i = 0; i < n; i++)
        if (tokens[i].generation == s->generation)
            ack_add(s, (struct entry_id){ tokens[i].a, tokens[i].b });
}

static void release(struct source *source, const struct token *tokens, size_t n)
{
    struct stream_source *s = stream_of(source);
    for (size_t i = 0; i < n; i++)
        if (tokens[i].generation == s->generation)
            claim_release(s, (struct entry_id){ tokens[i].a, tokens[i].b });
    s->source.host->released(s->source.ctx, tokens, n);
    claim_fetch(s);
}

static void pause(struct source *source)
{
    stream_of(source)->paused = true;
}

static void resume(struct source *source)
{
    struct stream_source *s = stream_of(source);
    s->paused = false;
    if (s->again) {
        timer_cancel(&s->retry);
        s->again = false;
    }
    if (s->reader.link)
        link_hurry(s->reader.link);
    claim_fetch(s);
    stream_read(s);
}

static void drain(struct source *source)
{
    stream_of(source)->draining = true;
}

static void on_stopped(void *arg)
{
    struct stream_source *s = arg;
    s->source.host->stopped(s->source.ctx);
}

void stream_finish_stop(struct stream_source *s)
{
    timer_cancel(&s->grace);
    if (s->control.link)
        link_forget(s->control.link, s);
    link_leave(&s->control);
    stream_set_status(s, ENDPOINT_IDLE, "");
    loop_defer(s->loop, &s->stopped);
}

static void on_grace(void *arg)
{
    stream_finish_stop(arg);
}

static void stop(struct source *source, int64_t grace_us)
{
    struct stream_source *s = stream_of(source);
    s->draining = s->stopping = true;
    timer_cancel(&s->retry);
    timer_cancel(&s->linger);
    claim_stop(s);
    if (s->reader.link)
        link_forget(s->reader.link, s);
    link_leave(&s->reader);
    if (!s->control.link || ack_idle(s))
        stream_finish_stop(s);
    else
        timer_set(&s->grace, grace_us);
}

static void destroy(struct source *source)
{
    struct stream_source *s = stream_of(source);
    link_leave(&s->reader);
    link_leave(&s->control);
    struct timer *timers[] = { &s->retry, &s->linger, &s->grace };
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        timer_close(timers[i]);
    task_cancel(&s->stopped);
    ack_free(s);
    claim_free(s);
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
    struct stream_source *s = mem_zero(sizeof *s);
    s->source = (struct source){ .ops = &source_ops, .host = host, .ctx = ctx, .subject = env->subject };
    s->settings = settings;
    s->member = env->member;
    s->loop = env->loop;
    s->lane = env->transport;
    s->connection = (const struct redis_connection *)env->connection;
    s->origin = (struct origin){ "redis stream", env->connection->name, s->settings->stream, -1 };
    s->names = (struct entry_names){ bytes_of_string(s->settings->field), BYTES_LITERAL("key") };
    s->generation = 1;
    s->backoff = BACKOFF_RECONNECT;
    s->probe = BACKOFF_PROBE;
    timer_init(&s->retry, s->loop, on_retry, s);
    timer_init(&s->linger, s->loop, on_linger, s);
    timer_init(&s->grace, s->loop, on_grace, s);
    task_init(&s->stopped, on_stopped, s);
    ack_init(s);
    claim_init(s);
    return &s->source;
}

/* ---- the kind */

static const struct option options[] = {
    OPTION(struct stream_settings, stream, OPTION_STRING, .required = true, .help = "stream to read; made if missing"),
    OPTION(struct stream_settings, group, OPTION_STRING, .required = true, .help = "consumer group; made if missing"),
    OPTION(struct stream_settings, start, OPTION_STRING, .fallback = "earliest",
           .help = "where a group that does not exist yet begins: earliest, latest, or the ID of the entry before"),
    OPTION(struct stream_settings, field, OPTION_STRING, .fallback = "payload", .help = "field that holds the payload"),
    OPTION(struct stream_settings, count, OPTION_INT, .fallback = "500", .min = 1, .max = 10000,
           .help = "most entries of one read"),
    OPTION(struct stream_settings, block, OPTION_DURATION, .fallback = "5s", .min = MSEC, .max = 300 * SEC,
           .help = "how long a read waits at the server, at most the connection's heartbeat"),
    OPTION(
        struct stream_settings, claim_idle, OPTION_DURATION, .fallback = "1m", .min = 0, .max = 7 * 86400 * SEC,
        .help =
            "a consumer of the group that was not heard of for so long loses its pending entries to this one; 0s: never"),
    OPTION_END,
};

static void check(void *settings, const struct connection *c, struct mark at, struct diagnostics *d)
{
    const struct stream_settings *s = settings;
    (void)c;
    if (s->field && (!*s->field || strcmp(s->field, "key") == 0))
        diagnostics_error(d, at, "field \"%s\" of a redis stream source; expected a name other than \"key\"", s->field);
    if (s->claim_idle && s->claim_idle < 100 * MSEC)
        diagnostics_error(d, at, "claim_idle is too short; expected at least 100ms, or 0s for never");
    struct entry_id id;
    int64_t ms;
    if (s->start && strcmp(s->start, "earliest") != 0 && strcmp(s->start, "latest") != 0 && !parse_int(s->start, &ms) &&
        !entry_id_parse(bytes_of_string(s->start), &id))
        diagnostics_error(d, at, "start \"%s\" of a redis stream source; expected earliest, latest or an entry's ID",
                          s->start);
}

static const char *target(const void *settings)
{
    return ((const struct stream_settings *)settings)->stream;
}

const struct source_kind redis_stream_source = {
    .transport = "redis",
    .selector = "stream",
    .name = "redis stream",
    .options = options,
    .settings_size = sizeof(struct stream_settings),
    .caps = { .at_least_once = true, .stable_ids = true, .shared_name = true },
    .check = check,
    .create = create,
    .target = target,
    .help = "Reads a stream as a consumer of a group; settled entries are acknowledged (XACK).",
};
