/* One AMQP connection of a lane, which reconnects for ever, and the channels that endpoints have on it. librabbitmq encodes
 * and decodes methods; sockets, frames and states are ours, so that nothing blocks.
 *
 *   link:     DOWN ─▶ DIALING ─▶ HANDSHAKE ─▶ OPEN ─▶ (CLOSING) ─▶ DOWN …
 *   channel:  SHUT ─▶ OPENING ─▶ OPEN ─▶ CLOSING ─▶ SHUT
 *
 * A channel that the broker closes goes back to SHUT alone; its owner decides when to open it again. What is written is
 * gathered in one buffer and sent at the end of the loop's pass. One thread, the lane's. */
#pragma once

#include "endpoint/kind.h"
#include "endpoint/rabbitmq/replies.h"
#include "endpoint/rabbitmq/settings.h"
#include "endpoint/rabbitmq/wire.h"

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif

enum link_role { LINK_CONSUME, LINK_PUBLISH };

struct rabbit_link;
struct rabbit_channel;

/* Why a channel closed. */
struct channel_loss {
    bool link_lost;          /* the connection went, or was never there; else the broker closed the channel alone */
    const struct reply *why; /* NULL when there was no answer: a lost connection */
    uint32_t method;         /* which the broker blames; 0: none */
    struct bytes text;       /* its own words; empty when there was no answer */
};

/* A message as it came, whole. Valid during the callback. */
struct content {
    uint32_t method;  /* AMQP_BASIC_DELIVER_METHOD or AMQP_BASIC_RETURN_METHOD */
    uint64_t tag;     /* deliver */
    bool redelivered; /* deliver */
    unsigned code;    /* return */
    struct bytes consumer, exchange, routing_key;
    struct bytes properties, body;
};

struct channel_events {
    void (*opened)(struct rabbit_channel *c);
    /* Any method but those of opening and closing; decoded is librabbitmq's struct of it. */
    void (*method)(struct rabbit_channel *c, uint32_t method, const void *decoded);
    void (*content)(struct rabbit_channel *c, const struct content *content);
    /* It is SHUT, whatever it was. After link_lost it opens by itself with the next connection, otherwise by channel_open. */
    void (*lost)(struct rabbit_channel *c, const struct channel_loss *loss);
    void (*closed)(struct rabbit_channel *c);       /* the answer to channel_close */
    void (*batch_end)(struct rabbit_channel *c);    /* what one read brought is over; after method or content only */
    void (*link_changed)(struct rabbit_channel *c); /* link_status or link_blocked changed */
};

enum channel_state { CHANNEL_SHUT, CHANNEL_OPENING, CHANNEL_OPEN, CHANNEL_CLOSING };

/* Embedded in its owner. */
struct rabbit_channel {
    const struct channel_events *events;
    struct rabbit_link *link;
    enum channel_state state;
    unsigned number;
    bool wanted;  /* open it whenever the link is */
    bool touched; /* owes a batch_end */
    /* The content that is arriving. */
    struct {
        enum { CONTENT_NONE, CONTENT_HEADER, CONTENT_BODY } awaits;
        struct content head;
        uint64_t size;
        struct buf names, properties, body; /* names: consumer, exchange, routing key */
    } incoming;
};

/* The pooled link of (settings, role) on this lane, made and dialled when it is the first; a user more. member: who asks. */
struct rabbit_link *rabbit_link_acquire(struct transport_lane *lane, const struct rabbitmq_settings *settings,
                                        enum link_role role, const char *member);
void rabbit_link_release(
    struct rabbit_link *l); /* a user less; the last one's closes it in good order. No channel may be on it. */
const struct endpoint_status *rabbit_link_status(const struct rabbit_link *l);
bool rabbit_link_blocked(const struct rabbit_link *l);
const char *rabbit_link_blocked_reason(const struct rabbit_link *l);
unsigned rabbit_link_users(const struct rabbit_link *l);
size_t rabbit_link_frame_max(const struct rabbit_link *l);
struct bytes rabbit_link_user(const struct rabbit_link *l);
void rabbit_link_retry_now(struct rabbit_link *l); /* does not wait for the backoff */
/* What the broker sent on a channel makes no sense: the connection is given up and made anew. */
void rabbit_link_distrust(struct rabbit_link *l, const char *why);

/* Puts the channel on the link. The struct is cleared first. */
void rabbit_channel_init(struct rabbit_channel *c, struct rabbit_link *l, const struct channel_events *events);
void rabbit_channel_open(struct rabbit_channel *c); /* from SHUT; at once or as soon as the link is open */
/* From any state: closed follows, later, with the broker's answer or when the connection is lost; at once (inside) when the
 * channel is SHUT. */
void rabbit_channel_close(struct rabbit_channel *c);
void rabbit_channel_detach(
    struct rabbit_channel *c); /* before its memory goes, or link_release. Without an answer from the broker. */
/* Encodes a method; the channel must be OPEN. The decoded struct is librabbitmq's. */
void rabbit_channel_send(struct rabbit_channel *c, uint32_t method, const void *decoded);
/* The output buffer, to append whole frames to; then channel_written. */
struct buf *rabbit_channel_output(struct rabbit_channel *c);
void rabbit_channel_written(struct rabbit_channel *c);
/* Bytes queued since the link was made, and how many of them the socket took: what lies between was surely not sent. */
uint64_t rabbit_channel_queued(const struct rabbit_channel *c);
uint64_t rabbit_channel_sent(const struct rabbit_channel *c);
