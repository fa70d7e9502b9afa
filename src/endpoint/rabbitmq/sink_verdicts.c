/* What becomes of each publish: confirms, returns and closed channels as verdicts.
 *
 *   publish ─▶ ack ─▶ ok                                  nack ─▶ again
 *   publish ─▶ return ─▶ ack ─▶ reject; a constant queue: fault
 *   publish ─▶ channel closed: 404, 403: those to the exchange that it names: fault, or reject when a template named it
 *                              406 message size: those that are larger: reject
 *                              anything else: each alone from now on; the one that closes it again: reject
 *   the same where a publish made it close the connection, if no other sink is on that
 *              in all cases the others: unknown; never written to the socket: again                          */
#include "endpoint/rabbitmq/sink.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>

/* ---- telling */

void rabbit_sink_verdict(struct rabbit_sink *s, void *tag, enum verdict_class class, char *reason)
{
    struct gathered_verdicts *g = &s->verdicts;
    if (g->count == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 256;
        g->items = mem_resize_array(g->items, g->cap, sizeof *g->items);
    }
    g->items[g->count++] = (struct verdict){ .tag = tag, .class = class, .reason = reason };
}

/* The route may send again, or cancel, while it is told: what that brings is gathered apart. */
void rabbit_sink_tell(struct rabbit_sink *s)
{
    struct gathered_verdicts now = s->verdicts;
    if (!now.count)
        return;
    s->verdicts = s->spare;
    s->spare = (struct gathered_verdicts){ 0 };
    task_cancel(&s->tell);
    sink_verdicts(&s->base, now.items, now.count);
    for (size_t i = 0; i < now.count; i++)
        free((char *)(uintptr_t)now.items[i].reason);
    now.count = 0;
    s->spare = now;
    if (s->verdicts.count)
        loop_defer(s->env.loop, &s->tell);
}

/* ---- confirms */

static void on_ack(void *arg, struct publish *p)
{
    struct rabbit_sink *s = arg;
    if (s->suspects)
        s->suspects--;
    if (!p->returned) {
        rabbit_sink_verdict(s, p->tag, VERDICT_OK, NULL);
        if (s->probing) {
            s->probing = false;
            backoff_reset(&s->probe);
            rabbit_sink_status(s, ENDPOINT_UP, "");
        }
        return;
    }
    bool missing_queue = !s->settings->exchange && s->constant;
    if (missing_queue)
        rabbit_sink_fault(s, p->returned);
    rabbit_sink_verdict(s, p->tag, missing_queue ? VERDICT_FAULT : VERDICT_REJECT, p->returned);
    p->returned = NULL;
}

static void on_nack(void *arg, struct publish *p)
{
    struct rabbit_sink *s = arg;
    if (s->suspects)
        s->suspects--;
    rabbit_sink_verdict(s, p->tag, VERDICT_AGAIN,
                        mem_string("the broker refused it for now (basic.nack): a queue is full"));
    free(p->returned);
    p->returned = NULL;
}

void rabbit_sink_confirmed(struct rabbit_sink *s, uint64_t number, bool multiple, bool ack)
{
    if (!rabbit_confirms_settle(&s->confirms, number, multiple, ack ? on_ack : on_nack, s))
        rabbit_link_distrust(s->link, "it confirms what was never published");
}

/* ---- returns */

static bool same_body(const struct publish *p, const struct content *content)
{
    struct bytes body = message_payload(p->message);
    return body.len == content->body.len && (!body.len || memcmp(body.data, content->body.data, body.len) == 0);
}

static bool same_address(struct rabbit_sink *s, const struct publish *p, const struct content *content)
{
    struct bytes exchange, key;
    return !rabbit_sink_address(s, p->message, &exchange, &key) && bytes_equal(exchange, content->exchange) &&
           bytes_equal(key, content->routing_key);
}

static bool same_properties(struct rabbit_sink *s, const struct publish *p, const struct content *content)
{
    buf_clear(&s->scratch);
    return !rabbit_properties_write(&s->writer, p->message, rabbit_link_frame_max(s->link), &s->scratch) &&
           bytes_equal(buf_bytes(&s->scratch), content->properties);
}

/* A return carries no number, only the message itself. It is the first open publish from `from` on that looks the same; the
 * properties decide only between several, because the broker may have changed them. */
static uint64_t find_returned(struct rabbit_sink *s, uint64_t from, const struct content *content)
{
    uint64_t similar = 0;
    for (uint64_t n = from < s->confirms.head ? s->confirms.head : from; n < s->confirms.tail; n++) {
        struct publish *p = rabbit_confirms_get(&s->confirms, n);
        if (!p || p->returned || !same_body(p, content) || !same_address(s, p, content))
            continue;
        if (same_properties(s, p, content))
            return n;
        if (!similar)
            similar = n;
    }
    return similar;
}

void rabbit_sink_returned(struct rabbit_sink *s, const struct content *content)
{
    const struct reply *why = rabbit_reply_of(content->code);
    uint64_t number = find_returned(s, s->returned_up_to + 1, content);
    if (!number)
        number = find_returned(s, 0, content);
    if (!number) {
        /* Its ack would look like success: nothing on this channel can be believed. */
        log_error(s->base.subject, "the broker returned a message that is none of those sent");
        rabbit_link_distrust(s->link, "it returned a message that was not sent");
        return;
    }
    s->returned_up_to = number;
    struct buf reason = BUF_EMPTY;
    if (content->exchange.len)
        buf_printf(&reason, "unroutable: %u %s: exchange '%.*s', routing key '%.*s'", content->code, why->name,
                   (int)content->exchange.len, (const char *)content->exchange.data, (int)content->routing_key.len,
                   (const char *)content->routing_key.data);
    else
        buf_printf(&reason, "%u %s: there is no queue '%.*s'", content->code, why->name, (int)content->routing_key.len,
                   (const char *)content->routing_key.data);
    rabbit_confirms_get(&s->confirms, number)->returned = buf_take(&reason);
}

/* ---- losses */

struct blame {
    struct rabbit_sink *s;
    const char *words;
    uint64_t sent;            /* of the link's output */
    enum verdict_class class; /* of who is to blame */
    bool by_exchange, by_size, the_only_one;
    uint64_t exchange, max_size;
};

static bool is_culprit(const struct blame *b, const struct publish *p)
{
    return (b->by_exchange && p->exchange == b->exchange) || (b->by_size && p->message->payload_len > b->max_size) ||
           b->the_only_one;
}

static void on_loss(void *arg, struct publish *p)
{
    struct blame *b = arg;
    enum verdict_class class = is_culprit(b, p) ? b->class : p->offset >= b->sent ? VERDICT_AGAIN : VERDICT_UNKNOWN;
    free(p->returned);
    p->returned = NULL;
    rabbit_sink_verdict(b->s, p->tag, class, mem_string(b->words));
}

/* Who is to blame when the broker closed the channel because of a publish. */
static void blame_publish(struct rabbit_sink *s, const struct channel_loss *loss, struct blame *b)
{
    struct bytes exchange = rabbit_reply_object(loss->text);
    uint64_t limit = rabbit_reply_size_limit(loss->text);
    if (limit) {
        b->by_size = true;
        b->max_size = limit;
        b->class = VERDICT_REJECT;
        if (limit < s->max_size)
            s->max_size = limit;
    } else if ((loss->why->code == 404 || loss->why->code == 403) && exchange.data) {
        b->by_exchange = true;
        b->exchange = hash_bytes(exchange);
        b->class = s->constant ? loss->why->constant : loss->why->templated;
    } else {
        /* Something about one message that we cannot tell from the words: they go one by one until it is found. */
        b->the_only_one = s->confirms.open == 1;
        b->class = VERDICT_REJECT;
        s->suspects = b->the_only_one ? 0 : s->confirms.open;
    }
}

bool rabbit_sink_lost(struct rabbit_sink *s, const struct channel_loss *loss, const char *words)
{
    struct blame b = { .s = s, .words = words, .sent = rabbit_channel_sent(&s->channel), .class = VERDICT_UNKNOWN };
    bool by_publish = loss->method == AMQP_BASIC_PUBLISH_METHOD &&
                      (!loss->link_lost || rabbit_link_users(s->link) == 1);
    if (by_publish && s->confirms.open)
        blame_publish(s, loss, &b);
    /* What lies in the output buffer is still sent when only the channel went, but the broker ignores it. */
    rabbit_confirms_reset(&s->confirms, on_loss, &b);
    s->returned_up_to = 0;
    if (loss->link_lost)
        return false;
    return by_publish ? b.class == VERDICT_FAULT : loss->why->fault;
}

void rabbit_sink_forget(struct rabbit_sink *s, const char *why)
{
    struct blame b = { .s = s, .words = why, .sent = UINT64_MAX };
    rabbit_confirms_reset(&s->confirms, on_loss, &b);
    s->returned_up_to = 0;
}
