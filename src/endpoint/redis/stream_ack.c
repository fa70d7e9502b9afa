/* Acknowledging: what was settled during a pass goes out as one XACK of many IDs, kept until it is answered, and sent again
 * when the connection was lost or the server refused it. XACK twice does no harm. */
#include "base/mem.h"
#include "endpoint/redis/command.h"
#include "endpoint/redis/stream_source.h"

enum { ACK_MAX = 1000 };

static void note(struct stream_source *s)
{
    s->source.status.unsettled = s->acks.count + s->unacked.count;
}

/* The oldest command's IDs, whatever became of it. */
static size_t pop_batch(struct stream_source *s)
{
    size_t n = s->ack_batches[s->ack_first++ % ARRAY_LEN(s->ack_batches)];
    s->ack_count--;
    return n;
}

/* Puts the first n of unacked back to be sent. */
static void take_back(struct stream_source *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        id_list_add(&s->acks, s->unacked.items[i]);
    id_list_drop(&s->unacked, n);
}

static void on_acked(void *arg, const struct reply *r, bool sent)
{
    struct stream_source *s = arg;
    (void)sent;
    if (!s->ack_count)
        return; /* forgotten with its group */
    size_t n = pop_batch(s);
    if (r && !reply_is(r, 0, RESP_ERROR)) {
        id_list_drop(&s->unacked, n);
        backoff_reset(&s->ack_backoff);
        if (s->acks.count)
            loop_defer(s->loop, &s->flush_acks);
    } else {
        take_back(s, n);
        if (r && !s->ack_retry.armed) {
            char reason[REASON_MAX];
            const struct refusal *refusal = refusal_of(reply_text(r, 0));
            refusal_text(refusal, reply_text(r, 0), reason, sizeof reason);
            stream_set_status(s, refusal->class == VERDICT_FAULT ? ENDPOINT_FAULT : ENDPOINT_BLOCKED, reason);
            timer_set(&s->ack_retry, backoff_next(&s->ack_backoff));
        }
    }
    note(s);
    if (s->stopping && ack_idle(s))
        stream_finish_stop(s);
}

/* One command of the first n. */
static void write_acks(struct stream_source *s, size_t n)
{
    struct bytes stream = bytes_of_string(s->settings->stream), group = bytes_of_string(s->settings->group);
    struct buf *out = link_out(s->control.link);
    uint8_t *p = buf_reserve(out, stream.len + group.len + (n + 4) * (ENTRY_ID_MAX + BULK_OVERHEAD));
    p = put_length(p, '*', n + 3);
    p = put_word(p, BYTES_LITERAL("XACK"));
    p = put_word(p, stream);
    p = put_word(p, group);
    for (size_t i = 0; i < n; i++) {
        char text[ENTRY_ID_MAX];
        p = put_word(p, bytes_of(text, entry_id_print(s->acks.items[i], text)));
        id_list_add(&s->unacked, s->acks.items[i]);
    }
    buf_used_to(out, p);
    id_list_drop(&s->acks, n);
    s->ack_batches[(s->ack_first + s->ack_count++) % ARRAY_LEN(s->ack_batches)] = n;
    link_expect(s->control.link, 1, on_acked, s);
}

static void flush(void *arg)
{
    struct stream_source *s = arg;
    if (!s->control.link || !link_is_up(s->control.link) || s->ack_retry.armed)
        return;
    while (s->acks.count && s->ack_count < ARRAY_LEN(s->ack_batches))
        write_acks(s, s->acks.count < ACK_MAX ? s->acks.count : ACK_MAX);
    link_flush(s->control.link);
}

static void on_retry(void *arg)
{
    flush(arg);
}

void ack_add(struct stream_source *s, struct entry_id id)
{
    id_list_add(&s->acks, id);
    note(s);
    loop_defer(s->loop, &s->flush_acks);
}

void ack_up(struct stream_source *s)
{
    timer_cancel(&s->ack_retry);
    flush(s);
}

void ack_forget(struct stream_source *s)
{
    s->acks.count = s->unacked.count = 0;
    s->ack_count = 0;
    if (s->control.link)
        link_forget(s->control.link, s);
    note(s);
}

bool ack_idle(const struct stream_source *s)
{
    return !s->acks.count && !s->unacked.count;
}

void ack_init(struct stream_source *s)
{
    s->ack_backoff = BACKOFF_RECONNECT;
    timer_init(&s->ack_retry, s->loop, on_retry, s);
    task_init(&s->flush_acks, flush, s);
}

void ack_free(struct stream_source *s)
{
    timer_close(&s->ack_retry);
    task_cancel(&s->flush_acks);
    free(s->acks.items);
    free(s->unacked.items);
}
