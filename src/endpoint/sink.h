/* What every sink does for a route. One sink belongs to one route instance on one lane; every call and every callback is on
 * that lane's thread, and nothing blocks.
 *
 *   create ─▶ start ─▶ [ window ─▶ send ─▶ verdicts ]* ─▶ stop ─▶ on_stopped ─▶ free
 *
 * Each delivery sent gets exactly one verdict, later, never inside send. Until then its message stays valid: a sink need
 * take no reference. But the message's bytes may move meanwhile (another sink of the route parks it, which copies them out of
 * their source's buffer): a sink that reads them later than send keeps their backing. Verdicts come in arrays, as the
 * broker's answers were read. */
#pragma once

#include "endpoint/state.h"
#include "message/message.h"
#include "runtime/loop.h"

struct sink;

enum verdict_class {
    VERDICT_OK,      /* confirmed by the destination */
    VERDICT_AGAIN,   /* connection or broker state: hold, send again, no attempt burnt */
    VERDICT_RETRY,   /* message trouble that may pass: an attempt is burnt */
    VERDICT_REJECT,  /* this message will never be taken */
    VERDICT_FAULT,   /* the route itself is wrong: a constant destination is missing, access denied, wrong type */
    VERDICT_UNKNOWN, /* sent, no answer: send again under the same id */
    VERDICT_CLASSES
};
const char *verdict_class_name(enum verdict_class c);

struct delivery {
    struct message *message;
    void *tag; /* the route's; comes back in the verdict */
};

struct verdict {
    void *tag;
    enum verdict_class class;
    const char *reason; /* in words, with the broker's own error; NULL when ok. Valid during the callback. */
    /* With AGAIN: nothing is known to be wrong with the destination. It was only not tried, because one sent before it
     * was refused: it may be sent again at once. */
    bool untried;
};

struct window {
    uint64_t messages, bytes; /* 0 messages: nothing now (not connected, blocked, full) */
};

struct sink_host {
    void (*verdicts)(void *ctx, const struct verdict *verdicts, size_t n);
    /* The window opened: it was too small for what the route has, and no longer is. Also called after each connect. May be
     * called too often. Never inside send. */
    void (*window_open)(void *ctx);
    void (*status)(void *ctx);  /* sink->status changed */
    void (*stopped)(void *ctx); /* after stop: nothing more will be called */
};

struct sink_ops {
    void (*start)(struct sink *s); /* begins connecting, for ever, with BACKOFF_RECONNECT */
    struct window (*window)(struct sink *s);
    /* Takes all n, in this order: n <= window().messages, and the bytes fit but for the last message. Written at the end of
     * the loop's pass at the latest. */
    void (*send)(struct sink *s, const struct delivery *deliveries, size_t n);
    /* Gives up everything sent: each gets its verdict, AGAIN where it certainly was not written, UNKNOWN otherwise, before
     * the loop's next pass ends. */
    void (*cancel)(struct sink *s);
    /* Tries what is at fault or down at once instead of waiting for the backoff: `ferryctl resume`. */
    void (*probe)(struct sink *s);
    /* Nothing is outstanding (the route saw to it, or cancelled): close, then stopped (later). */
    void (*stop)(struct sink *s, int64_t grace_us);
    void (*free)(struct sink *s); /* after stopped only */
};

/* Embedded first in each sink. */
struct sink {
    const struct sink_ops *ops;
    const struct sink_host *host;
    void *ctx;
    const char *subject; /* for log lines: "route orders to[0]"; owned by the environment */
    struct endpoint_status status;
};

static inline void sink_verdicts(struct sink *s, const struct verdict *verdicts, size_t n)
{
    if (n)
        s->host->verdicts(s->ctx, verdicts, n);
}
