/* The state of a Kafka source. */
#pragma once

#include "endpoint/kafka/client.h"
#include "endpoint/kafka/partitions.h"
#include "endpoint/kafka/record.h"
#include "runtime/backoff.h"

#include "base/log.h"

enum { START_EARLIEST, START_LATEST };

struct kafka_source_settings {
    char *topic;               /* kind `topic` */
    struct string_list topics; /* kind `topics` */
    char *group;
    int start;
};

struct kafka_source {
    struct source source;
    const struct kafka_source_settings *settings;
    const struct kafka_connection *connection;
    struct loop *loop;
    struct transport_lane *lane;
    char *member;
    uint64_t share_bytes, share_unsettled;
    struct kafka_client client;
    struct record_keeper *keeper;
    rd_kafka_queue_t *group, *messages, *closing; /* NULL when not open */
    struct partitions partitions;
    int64_t credit_messages, credit_bytes;
    bool paused, drained, revoking, stopping;
    bool unheard;      /* since the last assignment the brokers were down, or the group gave us up */
    int64_t fenced_us; /* since when another member has our name: ask before joining again; 0: none */
    bool failed;       /* the consumer is about to be ended */
    bool committing;   /* a commit of ours is on its way */
    int64_t committed_us;
    int64_t doubted; /* since when a broker cannot be reached and none answered; 0: no doubt */
    struct timer tick, revoke, retry, grace;
    struct task fetch, drained_task, end_failed, stopped;
    struct backoff backoff;
    struct log_limit errors;
};

struct source *kafka_source_create(const void *settings, const struct environment *env, const struct source_host *host,
                                   void *ctx);
