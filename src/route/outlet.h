/* One sink of a route instance: sends in order, within the sink's window, and sorts what comes back.
 *
 *   push ─▶ ready ──▶ pump ──▶ sink ──▶ verdict ── ok ──────────────▶ on_done
 *             ▲         │ key held?       │ again, retry, unknown: timed hold
 *             │         ▼                 │ reject: refused, until resume
 *            going ◀─ parking ◀───────────┘ fault: until a probe passes
 *
 * Order: what a hold lets go is sent from the hold, before `ready`; what comes back meanwhile takes its place in it, and later
 * messages of its key join it. Where the sink cannot keep order on failure, one message of a key is under way at a time. */
#pragma once

#include "base/ring.h"
#include "endpoint/kind.h"
#include "route/parking.h"
#include "route/report.h"
#include "route/settings.h"
#include "runtime/backoff.h"

struct outlet;

struct outlet_host {
    /* The sink confirmed this branch, or dropped is set: the root was an orphan, or the outlet gave it up. */
    void (*done)(void *ctx, struct outlet *o, struct root *r, bool dropped);
    /* Something happened that may move the route: verdicts, window, status. The route calls outlet_pump soon. */
    void (*wake)(void *ctx);
    void (*stopped)(void *ctx, struct outlet *o);
};

struct outlet {
    const struct sink_kind *kind;
    const struct endpoint_settings *settings;
    struct sink *sink;
    const struct outlet_host *host;
    void *ctx;
    struct loop *loop;
    char *subject;
    bool gated; /* one message of an order key at a time */
    bool stopped, abandoned;
    struct ring ready;
    struct parking parking;
    struct timer due_timer, probe_timer;
    uint64_t outstanding;
    bool at_fault, probing;
    struct backoff probe;
    char fault_reason[REASON_MAX], refused_reason[REASON_MAX];
    uint64_t refused; /* branches refused for good, waiting for the operator */
    struct sink_counters counters;
};

/* Embedded in its instance. env.order and env.subject are the outlet's own copies to fill in; see instance.c. */
void outlet_init(struct outlet *o, const struct endpoint_settings *settings, const struct environment *env,
                 const struct outlet_host *host, void *ctx);
void outlet_start(struct outlet *o);
static inline void outlet_push(struct outlet *o, struct root *r)
{
    ring_push(&o->ready, r);
}
/* Sends what may be sent now. Not from inside a sink's callback. */
void outlet_pump(struct outlet *o);
/* The source took some roots back: those that are held for good are let go of. */
void outlet_sweep(struct outlet *o);
/* The operator's resume: what was refused goes again, a fault is probed at once. */
void outlet_resume(struct outlet *o);
/* Hands every branch that is not with the sink back as dropped, and asks the sink to give up the others. */
void outlet_abandon(struct outlet *o);
/* Nothing is outstanding: closes the sink; host->stopped follows. */
void outlet_stop(struct outlet *o, int64_t grace_us);
void outlet_clear(struct outlet *o); /* after stopped */
/* Waiting for the window; what is parked is not counted. */
static inline size_t outlet_waiting(const struct outlet *o)
{
    return ring_len(&o->ready);
}
