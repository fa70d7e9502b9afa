/* A stream source's reads: the group is made, the history gone through, new entries are waited for and handed over. */
#include "base/log.h"
#include "base/mem.h"
#include "endpoint/redis/command.h"
#include "endpoint/redis/stream_source.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    REPLY_BYTES = 192 * 1024, /* what a read should bring at most: two fit into a chunk */
    FIRST_COUNT = 32,         /* while the size of entries is not known */
    ENTRY_OVERHEAD = 64,
    LINGER_US = 1000,
};

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
    stream_served(s);
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

/* False: it brought nothing, and what is to be done about that is done. */
static bool read_answered(struct stream_source *s, const struct reply *r)
{
    s->reading = false;
    if (!r)
        return false;
    if (!reply_is(r, 0, RESP_ERROR))
        return true;
    stream_refused(s, reply_text(r, 0));
    stream_read(s);
    return false;
}

static void on_history(void *arg, const struct reply *r, bool sent)
{
    struct stream_source *s = arg;
    (void)sent;
    if (!read_answered(s, r))
        return;
    uint32_t list = entries_of(r);
    /* Paused while it was read: it stays pending, and is read again from the same place. */
    if (s->paused || s->draining)
        return;
    int64_t n = list ? stream_take(s, r, list, MESSAGE_REDELIVERED, &s->high) : 0;
    if (n < 0) {
        link_renew(s->reader.link, "a reply that is no list of entries");
        return;
    }
    stream_served(s);
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
    if (!read_answered(s, r))
        return;
    stream_served(s);
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

void stream_on_linger(void *arg)
{
    struct stream_source *s = arg;
    next_read(s);
}
