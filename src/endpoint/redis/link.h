/* One connection to a Redis server: dialled and logged in for ever, pipelined, its output written once a pass, its replies
 * handed in order to whoever expects them. Endpoints of a lane that name the same connection share links by role.
 *
 *   link_out + link_expect ─▶ out ─▶ send │ server │ recv ─▶ chunk ─▶ decoder ─▶ expectation ─▶ on_reply
 *
 * One lane's thread. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "endpoint/redis/resp.h"
#include "endpoint/redis/settings.h"

struct redis_link;
struct link_user;

enum link_role {
    LINK_CONSUME, /* what sources read by */
    LINK_PUBLISH, /* what sinks write by */
    LINK_CONTROL, /* acknowledgements and questions of sources: never blocking */
};

struct link_events {
    void (*on_up)(struct link_user *u); /* logged in: write now */
    /* Lost, or not to be had; link_status says which and why. Every expectation was answered before. Called again when the
     * reason changes. */
    void (*on_down)(struct link_user *u);
    void (*on_push)(struct link_user *u, const struct reply *r); /* a subscriber's: what nobody expected */
};

/* Embed it in the endpoint. */
struct link_user {
    struct list node;
    struct redis_link *link; /* NULL: not joined */
    const struct link_events *events;
};

/* Answers one expected reply. reply NULL: the connection was lost first; sent tells whether the server may have seen the
 * command (when false it certainly did not run). */
typedef void (*reply_fn)(void *arg, const struct reply *reply, bool sent);

/* Joins the lane's link of that connection and role, made when there is none; exclusive: one of its own, for commands that
 * block or subscribe. It begins connecting; on_up is never called inside. */
void link_join(struct link_user *u, struct transport_lane *lane, const struct redis_connection *c, enum link_role role,
               bool exclusive, const struct link_events *events);
/* Its expectations must be gone or forgotten (link_forget). The link closes with its last user. Nothing when not joined. */
void link_leave(struct link_user *u);

bool link_is_up(const struct redis_link *l);
const struct endpoint_status *link_status(const struct redis_link *l);

/* Where commands are written, while the link is up; each followed by link_expect. */
struct buf *link_out(struct redis_link *l);
/* The next n replies go to on_reply, one call each. Written at the end of this pass. */
void link_expect(struct redis_link *l, uint32_t n, reply_fn on_reply, void *arg);
/* The same with no expectation: for subscribers. */
void link_written(struct redis_link *l);
void link_flush(struct redis_link *l); /* now: where the server can begin while this pass goes on */
/* Replies that arg still expects are dropped when they come. */
void link_forget(struct redis_link *l, void *arg);
/* Bytes written to the link that the kernel has not taken yet. */
size_t link_backlog(const struct redis_link *l);
/* Lets the server wait: nothing is read until it is on again, and silence is no fault meanwhile. */
void link_read(struct redis_link *l, bool on);
/* Closes and connects again with backoff, another host first when there are several: the server said that it is no use. */
void link_renew(struct redis_link *l, const char *reason);
/* Tries to connect now if it waits for a backoff. */
void link_hurry(struct redis_link *l);
