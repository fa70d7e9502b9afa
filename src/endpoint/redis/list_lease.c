/* A list source's lease: taken at the start, renewed, lost; and what members left whose lease has run out. */
#include "base/log.h"
#include "base/mem.h"
#include "endpoint/redis/list_source.h"

#include <inttypes.h>

void list_lose_lease(struct list_source *s)
{
    uint32_t old = s->generation++;
    watermark_reset(s->mark);
    s->next = s->total = s->trimmed = s->trimming = 0;
    s->released.count = s->fetching.count = 0;
    if (list_is_up(s))
        link_forget(s->user.link, s);
    s->asking = false;
    s->phase = ACQUIRE;
    list_note(s);
    s->source.host->returned(s->source.ctx, old);
}

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
    if (list_failed(s, r))
        return;
    if (!reply_int(r, 1, &got) || (got && (!reply_int(r, 2, &fresh) || !reply_int(r, 3, &base) ||
                                           !reply_int(r, 4, &length) || base < 0 || length < 0))) {
        link_renew(s->user.link, "a strange answer to a script");
        return;
    }
    if (!got) {
        list_set_status(s, ENDPOINT_FAULT, "another ferryd of the same name has taken the list over");
        timer_set(&s->again, backoff_next(&s->probe));
        return;
    }
    if (fresh && s->taken_once && s->next)
        list_lose_lease(s); /* it had run out meanwhile */
    s->taken_once = true;
    s->total = (uint64_t)base + (uint64_t)length;
    if (s->total < s->next || (uint64_t)base < s->trimmed) { /* somebody meddled with the keys */
        list_lose_lease(s);
        s->total = (uint64_t)base + (uint64_t)length;
        s->next = s->trimmed = s->trimming = (uint64_t)base;
    }
    if ((uint64_t)base > s->trimmed) /* the trim whose answer was lost */
        s->trimmed = (uint64_t)base;
    s->trimming = s->trimmed;
    s->phase = REPLAY;
    list_served(s);
    loop_defer(s->loop, &s->flush);
    list_read_more(s);
}

void list_acquire(struct list_source *s)
{
    if (!list_is_up(s) || s->asking)
        return;
    if (s->phase == CLOSED) {
        list_scripts_load(link_out(s->user.link));
        link_expect(s->user.link, LIST_SCRIPTS, on_loaded, s);
    }
    s->phase = ACQUIRE;
    s->asking = true;
    struct bytes args[] = { s->taken_once ? BYTES_LITERAL("0") : BYTES_LITERAL("1"), bytes_of_string(s->keys.member) };
    list_call(s, LIST_ACQUIRE, args, ARRAY_LEN(args), on_acquired);
}

static void on_renewed(void *arg, const struct reply *r, bool sent)
{
    struct list_source *s = arg;
    (void)sent;
    if (r && reply_is(r, 0, RESP_ERROR) && error_is(reply_text(r, 0), "LEASE"))
        list_refused(s, reply_text(r, 0));
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
                            s->settings->side == LIST_LEFT ? BYTES_LITERAL("LPUSH") : BYTES_LITERAL("RPUSH") };
    list_call(s, LIST_ADOPT, args, ARRAY_LEN(args), on_adopted);
}

void list_on_renew(void *arg)
{
    struct list_source *s = arg;
    timer_set(&s->renew, s->settings->lease / 3);
    if (list_is_up(s) && s->phase >= REPLAY) {
        list_call(s, LIST_RENEW, NULL, 0, on_renewed);
        if (!s->paused && !s->draining)
            adopt(s);
    }
}
