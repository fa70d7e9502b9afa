/* The inside of the sinks `exchange` and `queue`: one state machine (sink.c), and what becomes of a publish (sink_verdicts.c). */
#pragma once

#include "base/log.h"
#include "endpoint/rabbitmq/confirms.h"
#include "endpoint/rabbitmq/link.h"
#include "endpoint/rabbitmq/properties.h"
#include "message/template.h"
#include "runtime/backoff.h"

struct sink_settings {
    struct template *exchange;    /* NULL: the default exchange */
    struct template *routing_key; /* of the queue sink: the queue's name */
    struct queue_declaration *declare_queue;
    struct exchange_declaration *declare_exchange;
    int64_t unconfirmed, max_size;
};

struct gathered_verdicts {
    struct verdict *items; /* reasons are allocated */
    size_t count, cap;
};

struct rabbit_sink {
    struct sink base;
    const struct sink_settings *settings;
    struct environment env;
    struct rabbit_link *link;
    struct rabbit_channel channel;
    struct confirms confirms;
    uint64_t returned_up_to; /* returns come in the order of publishing */
    struct properties_writer writer;
    struct buf exchange, routing_key, scratch;

    bool constant; /* what may be missing, exchange or queue, has a constant name */
    bool started, stopping, stopped;
    bool ready;        /* confirm.select was answered, nothing is known to be at fault */
    bool probing;      /* after a fault that only a publish shows: one message goes ahead */
    bool hungry;       /* the route was told of a small window */
    size_t suspects;   /* so many go one by one: one of them made the broker close the channel */
    uint64_t max_size; /* of a body; the broker may have told a smaller one */

    struct gathered_verdicts verdicts, spare; /* spare: while one is being told */
    struct task tell;
    struct timer retry, stop_timer;
    struct backoff probe, reconnect;
};

/* ---- sink.c */

void rabbit_sink_status(struct rabbit_sink *s, enum endpoint_state state, const char *reason);
/* Where the message goes, rendered into s->exchange and s->routing_key (or slices of the message). NULL, or why it cannot. */
const char *rabbit_sink_address(struct rabbit_sink *s, const struct message *m, struct bytes *exchange,
                                struct bytes *key);
/* Takes nothing until the probe; tries again after a while. */
void rabbit_sink_fault(struct rabbit_sink *s, const char *reason);
struct window rabbit_sink_window(struct rabbit_sink *s);

/* ---- sink_verdicts.c */

/* Adds a verdict to those that are told at the end of this batch or pass. reason: allocated, given away; NULL only when ok. */
void rabbit_sink_verdict(struct rabbit_sink *s, void *tag, enum verdict_class class, char *reason);
void rabbit_sink_tell(struct rabbit_sink *s);
void rabbit_sink_confirmed(struct rabbit_sink *s, uint64_t number, bool multiple, bool ack);
void rabbit_sink_returned(struct rabbit_sink *s, const struct content *content);
/* The channel or its connection went: every open publish gets its verdict. True: the destination is at fault. */
bool rabbit_sink_lost(struct rabbit_sink *s, const struct channel_loss *loss, const char *words);
/* All open ones are unknown from now on. */
void rabbit_sink_forget(struct rabbit_sink *s, const char *why);
