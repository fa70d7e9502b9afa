/* Delivery to one sink of a route instance. */
#include "route/outlet.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

enum {
    SEND_BATCH = 512,
    PUMP_MOST = 16384, /* deliveries in one go: other routes of the lane want a turn */
};

static const struct sink_host sink_host;

void outlet_init(struct outlet *o, const struct endpoint_settings *settings, const struct environment *env,
                 const struct outlet_host *host, void *ctx)
{
    *o = (struct outlet){
        .kind = settings->sink,
        .settings = settings,
        .host = host,
        .ctx = ctx,
        .loop = env->loop,
        .subject = mem_string(env->subject),
        .gated = env->order != ORDER_NONE && !settings->sink->caps.ordered_on_failure,
        .probe = BACKOFF_PROBE,
    };
    parking_init(&o->parking);
    struct environment own = *env;
    own.subject = o->subject;
    own.connection = settings->connection;
    o->sink = settings->sink->create(settings->settings, &own, &sink_host, o);
}

static void on_timer(void *arg)
{
    struct outlet *o = arg;
    o->host->wake(o->ctx);
}

void outlet_start(struct outlet *o)
{
    timer_init(&o->due_timer, o->loop, on_timer, o);
    timer_init(&o->probe_timer, o->loop, on_timer, o);
    o->sink->ops->start(o->sink);
}

/* ---- letting go of what was held */

static void let_go(struct outlet *o, struct hold *h)
{
    parking_move(&o->parking, h, HOLD_GOING, 0);
}

/* A hold that has nothing left is forgotten, unless it still guards its key. */
static void close_if_empty(struct outlet *o, struct hold *h)
{
    if (!h->under_way && list_empty(&h->branches))
        parking_close(&o->parking, h);
}

static void let_go_list(struct outlet *o, struct list *holds)
{
    while (!list_empty(holds))
        let_go(o, LIST_ENTRY(holds->next, struct hold, node));
}

static void let_go_due(struct outlet *o, int64_t now)
{
    struct hold *h;
    while ((h = parking_first(&o->parking)) && h->due.key <= now)
        let_go(o, h);
}

/* A probe of a fault is its oldest message, alone. */
static void start_probe(struct outlet *o)
{
    struct hold *h = parking_oldest_fault(&o->parking);
    if (!h) {
        o->at_fault = false;
        return;
    }
    o->probing = true;
    let_go(o, h);
}

/* ---- sending */

/* The one of its key that was with the sink is no longer. */
static void pass_on(struct outlet *o, struct root *r)
{
    struct hold *h = o->gated ? parking_find(&o->parking, r->order) : NULL;
    if (!h || !h->under_way)
        return;
    h->under_way = false;
    if (list_empty(&h->branches))
        parking_close(&o->parking, h);
    else if (h->state == HOLD_GATE)
        let_go(o, h);
}

/* Whether r, taken from ready, may be sent; otherwise it has joined its key's hold. */
static bool pass_gate(struct outlet *o, struct root *r)
{
    if (!r->order)
        return true;
    struct hold *h = parking_find(&o->parking, r->order);
    if (h) {
        parking_add(&o->parking, h, r);
        return false;
    }
    if (o->gated)
        parking_open(&o->parking, r->order)->under_way = true;
    return true;
}

/* From the holds that may go, oldest first within each. */
static struct root *next_going(struct outlet *o)
{
    while (!list_empty(&o->parking.going)) {
        struct hold *h = LIST_ENTRY(o->parking.going.next, struct hold, node);
        struct root *r = parking_take(&o->parking, h);
        bool send = r && !r->orphan;
        if (send && o->gated && h->order) {
            h->under_way = true;
            parking_move(&o->parking, h, HOLD_GATE, 0);
        }
        close_if_empty(o, h);
        if (send)
            return r;
        if (r)
            o->host->done(o->ctx, o, r, true);
    }
    return NULL;
}

static struct root *next_to_send(struct outlet *o)
{
    struct root *r = next_going(o);
    if (r || o->at_fault)
        return r;
    while ((r = ring_pop(&o->ready))) {
        if (r->orphan)
            o->host->done(o->ctx, o, r, true);
        else if (pass_gate(o, r))
            return r;
    }
    return NULL;
}

/* Fills batch within the window, but lets the last message overshoot its bytes. */
static size_t collect(struct outlet *o, struct window w, struct delivery *batch)
{
    size_t n = 0;
    uint64_t bytes = 0;
    size_t most = w.messages < SEND_BATCH ? w.messages : SEND_BATCH;
    while (n < most && bytes < w.bytes) {
        struct root *r = next_to_send(o);
        if (!r)
            break;
        batch[n++] = (struct delivery){ r->message, r };
        bytes += message_size(r->message);
    }
    return n;
}

void outlet_pump(struct outlet *o)
{
    int64_t now = loop_now(o->loop);
    if (o->parking.by_due.count && !o->at_fault)
        let_go_due(o, now);
    if (o->at_fault && !o->probing && !o->probe_timer.armed)
        start_probe(o);
    size_t sent = 0;
    while (!list_empty(&o->parking.going) || (ring_len(&o->ready) && !o->at_fault)) {
        if (sent >= PUMP_MOST) {
            o->host->wake(o->ctx);
            break;
        }
        struct window w = o->sink->ops->window(o->sink);
        if (!w.messages || !w.bytes)
            break;
        struct delivery batch[SEND_BATCH];
        size_t n = collect(o, w, batch);
        if (!n)
            break;
        sent += n;
        o->outstanding += n;
        o->counters.sent += n;
        o->sink->ops->send(o->sink, batch, n);
    }
    if (o->probing && !o->outstanding && list_empty(&o->parking.going)) {
        o->probing = false; /* the probe was taken back by its source */
        o->host->wake(o->ctx);
    }
    struct hold *first = parking_first(&o->parking);
    if (first && !o->at_fault)
        timer_set(&o->due_timer, first->due.key > now ? first->due.key - now : 0);
}

/* ---- verdicts */

static void confirmed(struct outlet *o, struct root *r)
{
    pass_on(o, r);
    if (o->at_fault) {
        log_notice(o->subject, "fault is mended, sending again");
        o->at_fault = o->probing = false;
        timer_cancel(&o->probe_timer);
        backoff_reset(&o->probe);
        let_go_list(o, &o->parking.fault);
    }
    r->holds = 0;
    o->counters.confirmed++;
    o->counters.bytes_out += message_size(r->message);
    o->host->done(o->ctx, o, r, r->orphan);
}

static int64_t hold_delay(struct root *r)
{
    struct backoff b = BACKOFF_RECONNECT;
    b.attempt = r->holds;
    if (r->holds < 100)
        r->holds++;
    return backoff_next(&b);
}

static void enter_fault(struct outlet *o, const char *reason)
{
    if (!o->at_fault || strcmp(o->fault_reason, reason) != 0)
        log_error(o->subject, "the route is at fault and holds its messages: %s", reason);
    snprintf(o->fault_reason, sizeof o->fault_reason, "%s", reason);
    if (!o->at_fault || o->probing)
        timer_set(&o->probe_timer, backoff_next(&o->probe));
    o->at_fault = true;
    o->probing = false;
}

static void refuse(struct outlet *o, struct root *r, const char *reason)
{
    char scratch[MESSAGE_ID_MAX];
    struct bytes id = message_id(r->message, scratch);
    if (!o->refused++)
        log_error(o->subject, "message %.*s is refused and the route pauses until `ferryctl resume`: %s", (int)id.len,
                  id.data ? (const char *)id.data : "", reason);
    snprintf(o->refused_reason, sizeof o->refused_reason, "%s", reason);
}

/* Anything but ok: the branch is held, with all later ones of its key. */
static void held(struct outlet *o, struct root *r, const struct verdict *v)
{
    const char *reason = v->reason ? v->reason : "no reason given";
    struct hold *h = parking_find(&o->parking, r->order);
    if (!h)
        h = parking_open(&o->parking, r->order);
    h->under_way = false;
    parking_add(&o->parking, h, r);
    int64_t now = loop_now(o->loop);
    switch (v->class) {
    case VERDICT_REJECT:
        refuse(o, r, reason);
        parking_move(&o->parking, h, HOLD_REFUSED, 0);
        break;
    case VERDICT_FAULT:
        if (h->state != HOLD_REFUSED)
            parking_move(&o->parking, h, HOLD_FAULT, 0);
        enter_fault(o, reason);
        break;
    case VERDICT_UNKNOWN:
        if (h->state == HOLD_GATE)
            parking_move(&o->parking, h, HOLD_TIMED, now);
        break;
    default:
        if (v->untried && h->state == HOLD_GATE)
            parking_move(&o->parking, h, HOLD_TIMED, now);
        else if (!v->untried && h->state != HOLD_REFUSED && h->state != HOLD_FAULT)
            parking_move(&o->parking, h, HOLD_TIMED, now + hold_delay(r));
        break;
    }
}

static void count(struct sink_counters *c, enum verdict_class class)
{
    switch (class) {
    case VERDICT_AGAIN:
        c->again++;
        break;
    case VERDICT_RETRY:
        c->retry++;
        break;
    case VERDICT_REJECT:
        c->rejected++;
        break;
    case VERDICT_FAULT:
        c->fault++;
        break;
    default:
        c->unknown++;
        break;
    }
}

static void on_verdicts(void *ctx, const struct verdict *verdicts, size_t n)
{
    struct outlet *o = ctx;
    o->outstanding -= n;
    for (size_t i = 0; i < n; i++) {
        struct root *r = verdicts[i].tag;
        if (verdicts[i].class == VERDICT_OK) {
            confirmed(o, r);
            continue;
        }
        count(&o->counters, verdicts[i].class);
        if (o->probing && verdicts[i].class != VERDICT_FAULT) { /* other trouble: probe again later */
            o->probing = false;
            timer_set(&o->probe_timer, backoff_next(&o->probe));
        }
        if (r->orphan || o->abandoned) {
            pass_on(o, r);
            o->host->done(o->ctx, o, r, true);
        } else
            held(o, r, &verdicts[i]);
    }
    o->host->wake(o->ctx);
}

static void on_wake(void *ctx)
{
    struct outlet *o = ctx;
    o->host->wake(o->ctx);
}

static void on_stopped(void *ctx)
{
    struct outlet *o = ctx;
    o->stopped = true;
    o->host->stopped(o->ctx, o);
}

static const struct sink_host sink_host = {
    .verdicts = on_verdicts,
    .window_open = on_wake,
    .status = on_wake,
    .stopped = on_stopped,
};

/* ---- the operator, the end */

static void sweep(struct outlet *o, struct list *holds)
{
    LIST_EACH(holds, node) {
        struct hold *h = LIST_ENTRY(node, struct hold, node);
        LIST_EACH(&h->branches, at) {
            struct root *r = LIST_ENTRY(at, struct branch, node)->root;
            if (!r->orphan)
                continue;
            parking_remove(&o->parking, h, LIST_ENTRY(at, struct branch, node));
            o->host->done(o->ctx, o, r, true);
        }
        if (list_empty(&h->branches))
            parking_close(&o->parking, h);
    }
}

void outlet_sweep(struct outlet *o)
{
    sweep(o, &o->parking.refused);
    sweep(o, &o->parking.fault);
    if (list_empty(&o->parking.refused)) {
        o->refused = 0;
        o->refused_reason[0] = 0;
    }
}

void outlet_resume(struct outlet *o)
{
    o->refused = 0;
    o->refused_reason[0] = 0;
    let_go_list(o, &o->parking.refused);
    if (o->at_fault) {
        timer_cancel(&o->probe_timer);
        backoff_reset(&o->probe);
    }
    o->sink->ops->probe(o->sink);
    o->host->wake(o->ctx);
}

static void drop_hold(struct outlet *o, struct hold *h)
{
    struct root *r;
    while ((r = parking_take(&o->parking, h)))
        o->host->done(o->ctx, o, r, true);
    parking_close(&o->parking, h);
}

static void collect_gate(uint64_t key, void *value, void *arg)
{
    (void)key;
    ring_push(arg, value);
}

void outlet_abandon(struct outlet *o)
{
    struct root *r;
    struct hold *h;
    o->abandoned = true;
    while ((r = ring_pop(&o->ready)))
        o->host->done(o->ctx, o, r, true);
    while ((h = parking_first(&o->parking)))
        drop_hold(o, h);
    while (!list_empty(&o->parking.going))
        drop_hold(o, LIST_ENTRY(o->parking.going.next, struct hold, node));
    while (!list_empty(&o->parking.refused))
        drop_hold(o, LIST_ENTRY(o->parking.refused.next, struct hold, node));
    while (!list_empty(&o->parking.fault))
        drop_hold(o, LIST_ENTRY(o->parking.fault.next, struct hold, node));
    struct ring gates = { 0 };
    map64_each(&o->parking.by_key, collect_gate, &gates);
    while ((h = ring_pop(&gates)))
        drop_hold(o, h);
    ring_free(&gates);
    if (o->outstanding)
        o->sink->ops->cancel(o->sink);
}

void outlet_stop(struct outlet *o, int64_t grace_us)
{
    timer_cancel(&o->due_timer);
    timer_cancel(&o->probe_timer);
    o->sink->ops->stop(o->sink, grace_us);
}

void outlet_clear(struct outlet *o)
{
    timer_close(&o->due_timer);
    timer_close(&o->probe_timer);
    o->sink->ops->free(o->sink);
    ring_free(&o->ready);
    parking_clear(&o->parking);
    free(o->subject);
}
