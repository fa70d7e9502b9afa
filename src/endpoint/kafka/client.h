/* What a consumer and a producer have in common: their configuration, the descriptor by which librdkafka's queues wake the
 * loop, whether brokers answer, and an end that blocks nobody. A client lives on one lane.
 *
 *   librdkafka's threads ──▶ queue, 0 → 1 ──▶ eventfd ──▶ on_ready (drain every queue to NULL)
 *                        ──▶ first answer after trouble ──▶ the same eventfd ──▶ on_answer
 */
#pragma once

#include "base/pool.h"
#include "endpoint/kafka/settings.h"
#include "runtime/mailbox.h"

#include <librdkafka/rdkafka.h>

/* What the Kafka clients of one lane share. */
struct transport_lane {
    struct loop *loop;
    struct mailbox *mailbox; /* from the threads that end clients */
    struct list producers;   /* struct kafka_producer.node */
    struct list clients;     /* struct kafka_client.node, open ones, for the report */
    struct list endings;     /* threads that end clients */
};

/* A consumer hears of a broker that lives every three seconds at least: its heartbeat's answer. */
#define KAFKA_SILENCE_US (6 * SEC)

struct kafka_setting {
    const char *name, *value;
};

struct kafka_client_request {
    rd_kafka_type_t type;
    const struct kafka_connection *connection;
    const char *subject;                   /* for librdkafka's log lines; copied */
    const struct kafka_setting *defaults;  /* NULL-name-terminated; the connection's properties go over them … */
    const struct kafka_setting *overrides; /* … and these over the properties */
    int events;                            /* RD_KAFKA_EVENT_… */
    void (*on_ready)(void *arg);           /* something may be in a queue */
    void (*on_answer)(void *arg);          /* a broker answered, the first time since kafka_client_lost or the start */
    void *arg;
};

struct pulse;

struct kafka_client {
    struct list node;
    rd_kafka_t *rk; /* NULL: not open */
    struct transport_lane *lane;
    struct io io;
    struct pulse *pulse;
    void (*on_ready)(void *arg);
    void (*on_answer)(void *arg);
    void *arg;
    /* For the report. */
    const char *role;
    char *name, *address;
    const struct endpoint_status *status;
    unsigned users;
};

/* False: error says why, in librdkafka's words. */
bool kafka_client_open(struct kafka_client *c, struct transport_lane *lane, const struct kafka_client_request *request,
                       char *error, size_t size);
/* Lets the queue wake the client's loop. Poll it once afterwards: what is in it already wakes nobody. */
void kafka_client_watch(struct kafka_client *c, rd_kafka_queue_t *queue);
/* Microseconds since a broker answered anything, or since the client was opened. */
int64_t kafka_client_silence(const struct kafka_client *c);
/* No broker answers: on_answer tells when one does again. */
void kafka_client_lost(struct kafka_client *c);
/* The client goes on living at to, to be closed there; nobody is told anything any more. */
void kafka_client_move(struct kafka_client *to, struct kafka_client *from);
/* Ends the client on a thread of its own. Its queues, topics and messages must be released before. done (on the lane's
 * loop) may be NULL; transport_close waits for the thread in any case. */
void kafka_client_close(struct kafka_client *c, void (*done)(void *arg), void *arg);
