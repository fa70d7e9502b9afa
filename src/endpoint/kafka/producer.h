/* The idempotent producers of a lane: one for all sinks with the same servers, properties and patience. A producer's state
 * ends with librdkafka's instance: after a fatal error a new one takes its place, and everything outstanding is unknown.
 *
 *   RUNNING ──fatal──▶ PURGING (reports of everything come, or PURGE_GRACE) ──▶ ENDING (on a thread) ──▶ RUNNING, or gone
 */
#pragma once

#include "endpoint/kafka/client.h"
#include "message/message.h"
#include "runtime/backoff.h"

enum producer_state { PRODUCER_RUNNING, PRODUCER_FINISHING, PRODUCER_PURGING, PRODUCER_ENDING, PRODUCER_BROKEN };

struct kafka_sink;

/* One message between produce and its report. It keeps the memory that librdkafka reads the payload from: the message may
 * move to memory of its own meanwhile (another destination holds it), or be given up and freed. */
struct flight {
    struct list node; /* in its sink's flights */
    struct kafka_sink *sink;
    struct backing *backing; /* NULL when nobody has to */
    void *tag;
    uint32_t bytes;
    bool given_up; /* answered already */
};

struct kafka_producer {
    struct list node; /* in the lane's producers */
    char *identity;   /* what makes it fit for a sink */
    struct transport_lane *lane;
    const struct kafka_connection *connection; /* of the sink that is newest */
    bool ordered;
    enum producer_state state;
    struct kafka_client client;
    rd_kafka_queue_t *reports;
    struct pool *flights;
    struct list sinks; /* struct kafka_sink.node */
    unsigned users;
    struct endpoint_status status;
    /* A batch that is too large for the broker names no culprit: fewer are in flight until one is alone, or all pass. */
    uint64_t most;         /* in flight at once */
    uint64_t most_ever;    /* what `most` may grow to until … */
    int64_t ceiling_until; /* … monotonic us */
    uint64_t passed;       /* since `most` changed */
    int64_t busy_since;    /* something is in flight; 0: nothing */
    struct timer timer, tick;
    struct task ending;
    struct backoff backoff;
};

/* The producer that fits, made when there is none. ordered: messages wait for ever, and a batch that fails stops the
 * producer before a later one can overtake it. */
struct kafka_producer *kafka_producer_get(struct transport_lane *lane, const struct kafka_connection *c, bool ordered);
/* The sink is on no list of it any more and has nothing in flight. */
void kafka_producer_put(struct kafka_producer *p);
/* Gives up librdkafka's instance and everything in it. */
void kafka_producer_reset(struct kafka_producer *p);
/* How many more messages may be in flight. */
uint64_t kafka_producer_room(const struct kafka_producer *p);
/* Purges what is in it, without ending it. */
void kafka_producer_purge(struct kafka_producer *p);

/* ---- what a producer tells its sinks; sink.c */

void kafka_sink_report(struct flight *f, rd_kafka_resp_err_t err, rd_kafka_msg_status_t status);
void kafka_sink_flush(struct kafka_sink *s);        /* everything was told that was there to tell */
void kafka_sink_status(struct kafka_sink *s);       /* producer->status changed */
void kafka_sink_client_gone(struct kafka_sink *s);  /* topic handles must go */
void kafka_sink_client_ready(struct kafka_sink *s); /* a new instance is there */
struct kafka_sink *kafka_sink_of(struct list *node);
const struct kafka_connection *kafka_sink_connection(const struct kafka_sink *s);
/* Calls visit for each flight; visit may free it. */
void kafka_sink_each_flight(struct kafka_sink *s, void (*visit)(struct flight *f));
