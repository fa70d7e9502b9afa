/* What other consumers left, and what was handed back.
 *
 * A consumer that was not heard of for claim_idle is taken to be gone, and its pending entries are claimed; that is told by
 * XINFO CONSUMERS, not by the entries' own age, so that a slow but living consumer keeps what it works on. Members keep
 * themselves alive by an empty read of their own history. min-idle in XCLAIM lets one of several claimers win.
 *
 *   alive timer ─▶ XINFO CONSUMERS ─▶ XPENDING of one that is gone ─▶ XCLAIM ─▶ intake ─▶ XINFO … until none is left
 *
 * Released entries are pending here already: XCLAIM with no min-idle fetches them. If the reply to a claim is lost, XPENDING
 * tells which of the entries are ours now. */
#include "base/log.h"
#include "base/mem.h"
#include "endpoint/redis/command.h"
#include "endpoint/redis/stream_source.h"

#include <inttypes.h>
#include <stdio.h>

enum { CLAIM_MAX = 100 };

/* Behind the very last ID there is nothing to look for, and the server would not note that it was asked. */
#define NEARLY_LAST "18446744073709551615-18446744073709551614"

static bool control_is_up(const struct stream_source *s)
{
    return s->control.link && link_is_up(s->control.link);
}

static bool failed(struct stream_source *s, const struct reply *r)
{
    if (!r)
        return true;
    if (!reply_is(r, 0, RESP_ERROR))
        return false;
    log_debug(s->source.subject, "claiming: %.*s", (int)reply_text(r, 0).len, (const char *)reply_text(r, 0).data);
    return true;
}

/* ---- XCLAIM: of asked, entries with bodies */

/* The claim's entries are not handed over: ours are fetched later, of others' it is asked whether they became ours. */
static void take_back(struct stream_source *s)
{
    for (size_t i = 0; i < s->asked.count; i++)
        id_list_add(s->asked_own ? &s->again_ids : &s->doubtful, s->asked.items[i]);
    s->asked.count = 0;
}

static void on_claimed(void *arg, const struct reply *r, bool sent)
{
    struct stream_source *s = arg;
    s->claiming = false;
    if (failed(s, r) || s->paused || s->draining) {
        if (r || sent || s->asked_own)
            take_back(s);
        s->asked.count = 0;
        return;
    }
    s->asked.count = 0;
    struct entry_id last;
    int64_t n = stream_take(s, r, 0, MESSAGE_REDELIVERED, &last);
    if (n > 0 && !s->asked_own) {
        log_info(s->source.subject, "claimed %" PRId64 " entries of a consumer that is gone", n);
        claim_now(s);
    }
    claim_fetch(s);
}

static void write_claim(struct stream_source *s, bool own)
{
    char idle[24];
    snprintf(idle, sizeof idle, "%" PRId64, own ? 0 : s->settings->claim_idle / MSEC);
    struct bytes words[5 + CLAIM_MAX] = { BYTES_LITERAL("XCLAIM"), bytes_of_string(s->settings->stream),
                                          bytes_of_string(s->settings->group), bytes_of_string(s->member),
                                          bytes_of_string(idle) };
    char ids[CLAIM_MAX][ENTRY_ID_MAX];
    for (size_t i = 0; i < s->asked.count; i++)
        words[5 + i] = bytes_of(ids[i], entry_id_print(s->asked.items[i], ids[i]));
    s->asked_own = own;
    command_write(link_out(s->control.link), words, 5 + s->asked.count);
    link_expect(s->control.link, 1, on_claimed, s);
}

/* ---- whether entries became ours */

static void on_doubt(void *arg, const struct reply *r, bool sent)
{
    struct stream_source *s = arg;
    struct entry_id id;
    (void)sent;
    s->doubts--;
    if (!r) { /* asked again when the link is back */
        id_list_add(&s->doubtful, s->asked.items[s->asked.count - s->doubts - 1]);
    } else if (reply_is(r, 0, RESP_ARRAY) && reply_is_array(r, 1, 4) && entry_id_parse(reply_text(r, 2), &id)) {
        id_list_add(&s->again_ids, id);
    }
    if (s->doubts)
        return;
    s->asked.count = 0;
    claim_fetch(s);
}

static void ask_doubtful(struct stream_source *s)
{
    s->doubts = s->doubtful.count;
    for (size_t i = 0; i < s->doubtful.count; i++) {
        char id[ENTRY_ID_MAX];
        entry_id_print(s->doubtful.items[i], id);
        id_list_add(&s->asked, s->doubtful.items[i]);
        command_strings(link_out(s->control.link), "XPENDING", s->settings->stream, s->settings->group, id, id, "1",
                        s->member, NULL);
    }
    s->doubtful.count = 0;
    link_expect(s->control.link, (uint32_t)s->doubts, on_doubt, s);
}

/* ---- fetching what was released */

void claim_release(struct stream_source *s, struct entry_id id)
{
    id_list_add(&s->again_ids, id);
}

void claim_fetch(struct stream_source *s)
{
    if (s->asked.count || s->claiming || s->doubts || !stream_may_read(s) || !control_is_up(s))
        return;
    if (s->doubtful.count) {
        ask_doubtful(s);
        return;
    }
    size_t n = stream_count(s, CLAIM_MAX);
    if (n > s->again_ids.count)
        n = s->again_ids.count;
    if (!n)
        return;
    for (size_t i = 0; i < n; i++)
        id_list_add(&s->asked, s->again_ids.items[i]);
    id_list_drop(&s->again_ids, n);
    write_claim(s, true);
}

/* ---- claiming */

static void on_pending(void *arg, const struct reply *r, bool sent)
{
    struct stream_source *s = arg;
    (void)sent;
    if (failed(s, r) || !reply_is(r, 0, RESP_ARRAY) || !stream_may_read(s)) {
        s->claiming = false;
        return;
    }
    uint32_t at = 1, count = r->nodes[0].size;
    for (uint32_t i = 0; i < count && i < CLAIM_MAX; i++, at = reply_skip(r, at)) {
        struct entry_id id;
        if (reply_is_array(r, at, 4) && entry_id_parse(reply_text(r, at + 1), &id))
            id_list_add(&s->asked, id);
    }
    if (s->asked.count)
        write_claim(s, false);
    else
        s->claiming = false;
}

/* The value of a name in a flat list of names and values at node at. */
static uint32_t value_of(const struct reply *r, uint32_t at, const char *name)
{
    uint32_t size = r->nodes[at++].size;
    for (uint32_t i = 0; i + 1 < size; i += 2) {
        uint32_t value = reply_skip(r, at);
        if (bytes_is(reply_text(r, at), name))
            return value;
        at = reply_skip(r, value);
    }
    return r->count; /* no node */
}

/* The first consumer that is gone and left something. */
static struct bytes find_gone(struct stream_source *s, const struct reply *r)
{
    uint32_t at = 1, count = r->nodes[0].size;
    for (uint32_t i = 0; i < count; i++, at = reply_skip(r, at)) {
        int64_t pending, idle;
        if (!reply_is(r, at, RESP_ARRAY))
            return BYTES_NULL;
        struct bytes name = reply_text(r, value_of(r, at, "name"));
        if (name.data && !bytes_is(name, s->member) && reply_int(r, value_of(r, at, "pending"), &pending) &&
            reply_int(r, value_of(r, at, "idle"), &idle) && pending > 0 && idle >= s->settings->claim_idle / MSEC)
            return name;
    }
    return BYTES_NULL;
}

static void on_consumers(void *arg, const struct reply *r, bool sent)
{
    struct stream_source *s = arg;
    (void)sent;
    struct bytes gone = BYTES_NULL;
    if (!failed(s, r) && reply_is(r, 0, RESP_ARRAY) && stream_may_read(s))
        gone = find_gone(s, r);
    if (!gone.data) {
        s->claiming = false;
        return;
    }
    char count[24];
    snprintf(count, sizeof count, "%zu", stream_count(s, CLAIM_MAX));
    struct bytes words[] = {
        BYTES_LITERAL("XPENDING"),
        bytes_of_string(s->settings->stream),
        bytes_of_string(s->settings->group),
        BYTES_LITERAL("-"),
        BYTES_LITERAL("+"),
        bytes_of_string(count),
        gone,
    };
    command_write(link_out(s->control.link), words, ARRAY_LEN(words));
    link_expect(s->control.link, 1, on_pending, s);
}

void claim_now(struct stream_source *s)
{
    if (!s->settings->claim_idle || s->claiming || s->asked.count || s->doubtful.count || s->doubts)
        return;
    if (s->phase != STREAM_LIVE || !stream_may_read(s) || !control_is_up(s))
        return;
    s->claiming = true;
    command_strings(link_out(s->control.link), "XINFO", "CONSUMERS", s->settings->stream, s->settings->group, NULL);
    link_expect(s->control.link, 1, on_consumers, s);
}

/* ---- staying alive */

static void on_alive_read(void *arg, const struct reply *r, bool sent)
{
    (void)sent;
    failed(arg, r); /* a missing group is noticed by the reader */
}

static void on_alive(void *arg)
{
    struct stream_source *s = arg;
    timer_set(&s->alive, s->settings->claim_idle / 3);
    if (!control_is_up(s) || s->phase == STREAM_SETUP)
        return;
    command_strings(link_out(s->control.link), "XREADGROUP", "GROUP", s->settings->group, s->member, "COUNT", "1",
                    "STREAMS", s->settings->stream, NEARLY_LAST, NULL);
    link_expect(s->control.link, 1, on_alive_read, s);
    claim_now(s);
}

void claim_up(struct stream_source *s)
{
    claim_fetch(s);
}

/* ---- life */

void claim_init(struct stream_source *s)
{
    timer_init(&s->alive, s->loop, on_alive, s);
}

void claim_start(struct stream_source *s)
{
    if (s->settings->claim_idle)
        timer_set(&s->alive, s->settings->claim_idle / 3);
}

void claim_forget(struct stream_source *s)
{
    s->again_ids.count = s->asked.count = s->doubtful.count = s->doubts = 0;
    s->claiming = false;
}

void claim_stop(struct stream_source *s)
{
    timer_cancel(&s->alive);
}

void claim_free(struct stream_source *s)
{
    timer_close(&s->alive);
    free(s->again_ids.items);
    free(s->asked.items);
    free(s->doubtful.items);
}
