/* Queue, window, life and verdicts of a Redis sink; how runs are written is in publish_run.c. */
#include "endpoint/redis/publish_run.h"

#include "base/mem.h"
#include "endpoint/redis/command.h"
#include "endpoint/redis/refusal.h"

enum {
    QUEUE_MESSAGES = 2 * RUN_MESSAGES, /* one run under way, the next one waiting for it */
    QUEUE_BYTES = 4 << 20,
    BACKLOG_MAX = 16 << 20,
};

static struct publisher *publisher_of(struct sink *s)
{
    return CONTAINER_OF(s, struct publisher, sink);
}

/* ---- verdicts */

static const char *keep_reason(struct verdict_list *v, char *reason)
{
    if (v->reason_count == v->reason_cap) {
        v->reason_cap = v->reason_cap ? v->reason_cap * 2 : 8;
        v->reasons = mem_resize(v->reasons, v->reason_cap * sizeof *v->reasons);
    }
    return v->reasons[v->reason_count++] = reason;
}

static void answer(struct publisher *p, enum verdict_class class, const char *reason, bool untried)
{
    struct verdict_list *v = &p->verdicts;
    struct publish_slot *s = &p->slots[p->slot_head++ & p->slot_mask];
    if (s->refused) {
        if (class == VERDICT_REJECT)
            reason = keep_reason(v, s->refused);
        else
            free(s->refused);
        s->refused = NULL;
    }
    if (p->slot_sent < p->slot_head)
        p->slot_sent = p->slot_head;
    p->queued_bytes -= s->size;
    if (v->count == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 256;
        v->items = mem_resize(v->items, v->cap * sizeof *v->items);
    }
    v->items[v->count++] = (struct verdict){ .tag = s->tag, .class = class, .reason = reason, .untried = untried };
}

void publisher_answer(struct publisher *p, size_t n, enum verdict_class class, const char *reason)
{
    if (n && reason)
        reason = keep_reason(&p->verdicts, mem_string(reason));
    while (n--)
        answer(p, class, reason, false);
    loop_defer(p->loop, &p->tell);
}

void publisher_answer_refused(struct publisher *p)
{
    answer(p, VERDICT_REJECT, NULL, false);
    loop_defer(p->loop, &p->tell);
}

void publisher_answer_behind(struct publisher *p)
{
    while (p->slot_head != p->slot_tail)
        answer(p, VERDICT_AGAIN, "behind a refused message", true);
    loop_defer(p->loop, &p->tell);
}

static void clear_verdicts(struct verdict_list *v)
{
    for (size_t i = 0; i < v->reason_count; i++)
        free(v->reasons[i]);
    v->count = v->reason_count = 0;
}

static void free_verdicts(struct verdict_list *v)
{
    clear_verdicts(v);
    free(v->items);
    free(v->reasons);
}

/* The route may send and cancel inside: what that adds goes to the other list. */
static void on_tell(void *arg)
{
    struct publisher *p = arg;
    struct verdict_list now = p->verdicts;
    p->verdicts = p->told;
    p->told = (struct verdict_list){ .items = NULL };
    sink_verdicts(&p->sink, now.items, now.count);
    clear_verdicts(&now);
    p->told = now;
    if (p->narrow) {
        p->narrow = false;
        p->sink.host->window_open(p->sink.ctx);
    }
}

void publisher_tell(struct publisher *p)
{
    task_cancel(&p->tell);
    on_tell(p);
}

/* ---- state */

static void set_status(struct publisher *p, enum endpoint_state state, const char *reason)
{
    if (endpoint_status_set(&p->sink.status, p->sink.subject, state, "%s", reason))
        p->sink.host->status(p->sink.ctx);
}

void publisher_accepted(struct publisher *p)
{
    if (!p->probing && p->sink.status.state == ENDPOINT_UP)
        return;
    if (p->probing)
        p->narrow = true;
    p->probing = false;
    backoff_reset(&p->backoff);
    set_status(p, ENDPOINT_UP, "");
}

void publisher_refused(struct publisher *p, const struct refusal *r, const char *reason)
{
    if (r->class == VERDICT_AGAIN) {
        if (!p->hold.armed)
            timer_set(&p->hold, backoff_next(&p->backoff));
        p->probing = true;
        set_status(p, ENDPOINT_BLOCKED, reason);
        if (r->reconnect)
            link_renew(p->user.link, reason);
    } else if (refusal_class(r, !template_is_constant(p->name)) == VERDICT_FAULT) {
        set_status(p, ENDPOINT_FAULT, reason);
    }
}

static void on_hold_over(void *arg)
{
    struct publisher *p = arg;
    p->sink.host->window_open(p->sink.ctx);
}

static void on_up(struct link_user *u)
{
    struct publisher *p = CONTAINER_OF(u, struct publisher, user);
    p->sink.status.connects++;
    if (!p->probing)
        set_status(p, ENDPOINT_UP, "");
    p->sink.host->window_open(p->sink.ctx);
}

/* What was written had its answer from the link; what was not is given back. */
static void on_down(struct link_user *u)
{
    struct publisher *p = CONTAINER_OF(u, struct publisher, user);
    const struct endpoint_status *st = link_status(u->link);
    publisher_answer(p, p->slot_tail - p->slot_head, VERDICT_AGAIN, st->reason);
    set_status(p, st->state, st->reason);
}

static const struct link_events link_events = { .on_up = on_up, .on_down = on_down };

/* ---- the sink's operations */

static void start(struct sink *s)
{
    struct publisher *p = publisher_of(s);
    p->started = true;
    link_join(&p->user, p->lane, p->connection, LINK_PUBLISH, false, &link_events);
    if (link_is_up(p->user.link)) {
        s->status.connects++;
        set_status(p, ENDPOINT_UP, "");
    } else {
        set_status(p, ENDPOINT_CONNECTING, "");
    }
}

static struct window window(struct sink *s)
{
    struct publisher *p = publisher_of(s);
    struct window w = { 0, 0 };
    uint64_t queued = p->slot_tail - p->slot_head, most = p->probing ? 1 : QUEUE_MESSAGES;
    /* It opens when the route was told of the verdicts, not before. */
    bool open = p->user.link && link_is_up(p->user.link) && !p->hold.armed && !p->verdicts.count;
    if (open && queued < most && p->queued_bytes < QUEUE_BYTES && link_backlog(p->user.link) < BACKLOG_MAX)
        w = (struct window){ .messages = most - queued, .bytes = QUEUE_BYTES - p->queued_bytes };
    p->narrow = w.messages < RUN_MESSAGES || w.bytes < QUEUE_BYTES / 2;
    return w;
}

static void send_deliveries(struct sink *s, const struct delivery *deliveries, size_t n)
{
    struct publisher *p = publisher_of(s);
    for (size_t i = 0; i < n; i++) {
        size_t count = p->slot_tail - p->slot_head;
        if (!p->slots || count > p->slot_mask) { /* only the route that overfills its window gets here twice */
            size_t cap = p->slots ? 2 * (p->slot_mask + 1) : 64;
            struct publish_slot *ring = mem_array(cap, sizeof *ring);
            for (size_t k = 0; p->slots && k < count; k++)
                ring[k] = p->slots[(p->slot_head + k) & p->slot_mask];
            free(p->slots);
            p->slots = ring;
            p->slot_mask = cap - 1;
            p->slot_sent -= p->slot_head;
            p->slot_head = 0;
            p->slot_tail = count;
        }
        struct publish_slot *slot = &p->slots[p->slot_tail++ & p->slot_mask];
        *slot = (struct publish_slot){ .message = deliveries[i].message, .tag = deliveries[i].tag };
        slot->size = message_size(slot->message);
        p->queued_bytes += slot->size;
    }
    p->narrow = p->narrow || p->slot_tail - p->slot_head > RUN_MESSAGES;
    loop_defer(p->loop, &p->pump);
}

static void on_pump(void *arg)
{
    struct publisher *p = arg;
    if (p->user.link && link_is_up(p->user.link)) {
        publish_runs(p);
        link_flush(p->user.link);
    } else {
        publisher_answer(p, p->slot_tail - p->slot_head, VERDICT_AGAIN, p->sink.status.reason);
    }
}

static void cancel(struct sink *s)
{
    struct publisher *p = publisher_of(s);
    if (p->user.link)
        link_forget(p->user.link, p);
    p->run = 0;
    publisher_answer(p, p->slot_sent - p->slot_head, VERDICT_UNKNOWN, "given up");
    publisher_answer(p, p->slot_tail - p->slot_head, VERDICT_AGAIN, "given up");
}

static void probe(struct sink *s)
{
    struct publisher *p = publisher_of(s);
    if (!p->user.link)
        return;
    backoff_reset(&p->backoff);
    if (p->hold.armed)
        timer_set(&p->hold, 0);
    link_hurry(p->user.link);
}

static void on_stopped(void *arg)
{
    struct publisher *p = arg;
    p->sink.host->stopped(p->sink.ctx);
}

static void stop(struct sink *s, int64_t grace_us)
{
    struct publisher *p = publisher_of(s);
    (void)grace_us;
    if (p->user.link)
        link_forget(p->user.link, p);
    link_leave(&p->user);
    timer_cancel(&p->hold);
    task_cancel(&p->pump);
    set_status(p, ENDPOINT_IDLE, "");
    loop_defer(p->loop, &p->stopped);
}

static void destroy(struct sink *s)
{
    struct publisher *p = publisher_of(s);
    link_leave(&p->user);
    timer_close(&p->hold);
    task_cancel(&p->pump);
    task_cancel(&p->tell);
    task_cancel(&p->stopped);
    for (size_t i = p->slot_head; i != p->slot_tail; i++)
        free(p->slots[i & p->slot_mask].refused);
    free(p->slots);
    free_verdicts(&p->verdicts);
    free_verdicts(&p->told);
    struct buf *bufs[] = {
        &p->head, &p->tail, &p->script, &p->run_error, &p->names, &p->values, &p->scratch, &p->types
    };
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_free(bufs[i]);
    free(p);
}

static const struct sink_ops sink_ops = {
    .start = start,
    .window = window,
    .send = send_deliveries,
    .cancel = cancel,
    .probe = probe,
    .stop = stop,
    .free = destroy,
};

/* ---- making */

static enum publish_mode choose_mode(const struct publisher *p, enum order order)
{
    bool constant = template_is_constant(p->name);
    if (p->ops->variadic && constant)
        return PUBLISH_VARIADIC;
    if (order == ORDER_NONE)
        return PUBLISH_EACH;
    return constant && !p->ops->receivers ? PUBLISH_TRANSACTION : PUBLISH_SCRIPT;
}

void publish_payload_measure(struct publisher *p, const struct message *m, struct entry_shape *shape)
{
    (void)p;
    *shape = (struct entry_shape){ .words = 1, .size = m->payload_len + BULK_OVERHEAD, .plain = true };
}

uint8_t *publish_payload_put(struct publisher *p, const struct message *m, const struct entry_shape *shape, uint8_t *at)
{
    (void)p, (void)shape;
    return put_word(at, message_payload(m));
}

void publisher_init(struct publisher *p, const struct publish_ops *ops, const struct template *name,
                    const char *const *fixed, const struct environment *env, const struct sink_host *host, void *ctx)
{
    p->sink = (struct sink){ .ops = &sink_ops, .host = host, .ctx = ctx, .subject = env->subject };
    p->ops = ops;
    p->loop = env->loop;
    p->lane = env->transport;
    p->connection = (const struct redis_connection *)env->connection;
    p->name = name;
    p->backoff = BACKOFF_RECONNECT;
    p->mode = choose_mode(p, env->order);
    publish_prepare(p, fixed);
    script_sha(buf_bytes(&p->script), p->sha);
    task_init(&p->pump, on_pump, p);
    task_init(&p->tell, on_tell, p);
    task_init(&p->stopped, on_stopped, p);
    timer_init(&p->hold, p->loop, on_hold_over, p);
}
