/* What every source does for a route. One source belongs to one route instance on one lane; every call and every callback
 * is on that lane's thread, and nothing blocks.
 *
 *   create ─▶ start ─▶ [ grant ─▶ intake ─▶ settle | release ]* ─▶ drain ─▶ stop ─▶ on_stopped ─▶ free
 *
 * Credit is what the route will take: each message of an intake uses one, and its message_size in bytes. A source with no
 * credit left fetches nothing; what a read brought beyond it (a batch already on the wire, a pushed delivery) is handed over
 * all the same and makes the credit negative: bounds are overshot by one read at most.
 *
 * The source owns its position: it is told outcomes in any order and acknowledges to the broker only what is settled, never
 * past anything unsettled where the broker's position is a watermark. It is told nothing about attempts: those are the route's.
 */
#pragma once

#include "endpoint/state.h"
#include "message/message.h"
#include "runtime/loop.h"

struct source;

/* Opaque to everyone but the source that made it. generation is the exception: the route compares it. A source takes a new
 * generation (from 1, never reused) whenever the broker may hand out again what is unsettled: a new channel, a new
 * assignment of a partition, a new lease. */
struct token {
    uint64_t a, b;
    uint32_t generation;
};

/* One message of an intake; the reference goes to the route. Order in the array is the source's order. */
struct arrival {
    struct message *message;
    struct token token;
};

/* The route's side. ctx is the route's. Any of these may be called from inside any source call but create and free. */
struct source_host {
    void (*intake)(void *ctx, struct arrival *arrivals, size_t n);
    /* The broker took back every token of this generation that is not settled yet; settling them does nothing from now on. */
    void (*returned)(void *ctx, uint32_t generation);
    /* These tokens alone were handed back, in answer to release. */
    void (*released)(void *ctx, const struct token *tokens, size_t n);
    /* source_status() changed. */
    void (*status)(void *ctx);
    /* A finite source has brought everything it has (generate count, end of a file): settle still goes on. */
    void (*ended)(void *ctx);
    /* After stop: nothing more will be called; everything not settled is back with the broker. */
    void (*stopped)(void *ctx);
};

struct source_ops {
    /* Begins connecting, for ever, with BACKOFF_RECONNECT. No intake before credit is granted. */
    void (*start)(struct source *s);
    /* Adds credit. */
    void (*grant)(struct source *s, uint64_t messages, uint64_t bytes);
    /* Their outcome is known and they need never come again: acknowledge. Batched by the source (a deferred task). */
    void (*settle)(struct source *s, const struct token *tokens, size_t n);
    /* Hand back unsettled: requeued, or left pending for the next holder. Answered by released. */
    void (*release)(struct source *s, const struct token *tokens, size_t n);
    /* Stop, and begin again, to bring messages; settling goes on, the connection stays. */
    void (*pause)(struct source *s);
    void (*resume)(struct source *s);
    /* For good: no intake any more; settle goes on. What was prefetched and not handed over goes back to the broker. */
    void (*drain)(struct source *s);
    /* Flushes settled acknowledgements, waits for the broker's answer up to grace_us, closes, then calls stopped (later,
     * never inside this call; also when nothing was ever connected). */
    void (*stop)(struct source *s, int64_t grace_us);
    /* After stopped only. */
    void (*free)(struct source *s);
};

/* Embedded first in each source. */
struct source {
    const struct source_ops *ops;
    const struct source_host *host;
    void *ctx;
    const char *subject; /* for log lines: "route orders from"; owned by the environment */
    struct endpoint_status status;
};

static inline void source_intake(struct source *s, struct arrival *arrivals, size_t n)
{
    if (n)
        s->host->intake(s->ctx, arrivals, n);
}
