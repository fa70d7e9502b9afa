/* Endpoint kinds that only have settings, shaped like the real ones, for tests of the configuration. Who includes this
 * replaces the table of endpoint/kinds.c; one file of a program may. */
#pragma once

#include "base/clock.h"
#include "base/mem.h"
#include "endpoint/kind.h"
#include "message/template.h"

struct fake_connection {
    struct connection base;
    char *url;
    struct string_list hosts;
    char *user;
    char *password;
    int64_t heartbeat;
    struct string_map properties;
};

#define FAKE_CONNECTION_OPTIONS                                                                                    \
    OPTION(struct fake_connection, url, OPTION_STRING, .required = true, .help = "where the broker is"),           \
        OPTION(struct fake_connection, hosts, OPTION_STRINGS, .help = "host:port of each server"),                 \
        OPTION(struct fake_connection, user, OPTION_STRING, .help = "user"),                                       \
        OPTION(struct fake_connection, password, OPTION_SECRET, .help = "password of the user"),                   \
        OPTION(struct fake_connection, heartbeat, OPTION_DURATION, .fallback = "15s", .min = SEC, .max = 60 * SEC, \
               .help = "how often an idle connection is tried")

static const struct option fake_connection_options[] = { FAKE_CONNECTION_OPTIONS, OPTION_END };
static const struct option fake_kafka_options[] = {
    FAKE_CONNECTION_OPTIONS,
    OPTION(struct fake_connection, properties, OPTION_STRING_MAP, .help = "properties of the client library"),
    OPTION_END,
};

static void fake_check_connection(struct connection *c, struct diagnostics *d)
{
    const struct fake_connection *f = (const struct fake_connection *)c;
    if (f->user && !f->password)
        diagnostics_error(d, c->mark, "connection \"%s\" has a user and no password", c->name);
}

static const char *const fake_redis_schemes[] = { "redis", "unix", NULL };
static const char *const fake_rabbitmq_schemes[] = { "amqp", NULL };
static const char *const fake_kafka_schemes[] = { "kafka", NULL };
static const struct connection_kind fake_redis = {
    "redis",  fake_redis_schemes, fake_connection_options, sizeof(struct fake_connection), fake_check_connection,
    "Redis.",
};
static const struct connection_kind fake_rabbitmq = {
    "rabbitmq",  fake_rabbitmq_schemes, fake_connection_options, sizeof(struct fake_connection), fake_check_connection,
    "RabbitMQ.",
};
static const struct connection_kind fake_kafka = {
    "kafka", fake_kafka_schemes, fake_kafka_options, sizeof(struct fake_connection), NULL, "Kafka.",
};

/* One struct serves every kind. */
struct fake_binding {
    char *exchange, *routing_key;
};
struct fake_declare {
    int type;
    bool durable;
    struct string_map arguments;
    struct groups bindings;
};
struct fake_trim {
    int64_t size;
};
struct fake_endpoint {
    char *name; /* stream, list, queue, topic … */
    struct string_list names;
    char *group;
    int64_t block, count, rate;
    struct range backoff;
    struct fake_trim trim;
    struct fake_declare *declare;
    struct template *value, *key;
};

static const char *const fake_queue_types[] = { "classic", "quorum", "stream", NULL };
static const struct option fake_binding_options[] = {
    OPTION(struct fake_binding, exchange, OPTION_STRING, .required = true, .help = "exchange to bind to"),
    OPTION(struct fake_binding, routing_key, OPTION_STRING, .fallback = "''", .help = "routing key of the binding"),
    OPTION_END,
};
static const struct option fake_declare_options[] = {
    OPTION(struct fake_declare, type, OPTION_ENUM, .choices = fake_queue_types, .fallback = "quorum",
           .help = "type of the queue"),
    OPTION(struct fake_declare, durable, OPTION_BOOL, .fallback = "true",
           .help = "the queue survives the broker's restart"),
    OPTION(struct fake_declare, arguments, OPTION_STRING_MAP, .help = "further arguments"),
    OPTION(struct fake_declare, bindings, OPTION_GROUPS, .group = fake_binding_options,
           .group_size = sizeof(struct fake_binding), .help = "exchanges that the queue is bound to"),
    OPTION_END,
};
static const struct option fake_trim_options[] = {
    OPTION(struct fake_trim, size, OPTION_SIZE, .fallback = "64KiB", .min = 1024, .max = 1 << 30,
           .help = "when to trim"),
    OPTION_END,
};

#define FAKE_NAME(selector) \
    OPTION_AS(selector, struct fake_endpoint, name, OPTION_STRING, .required = true, .help = "its name")
#define FAKE_GROUP OPTION(struct fake_endpoint, group, OPTION_STRING, .required = true, .help = "the consumer group")
#define FAKE_DECLARE                                                                       \
    OPTION(struct fake_endpoint, declare, OPTION_GROUP_PTR, .group = fake_declare_options, \
           .group_size = sizeof(struct fake_declare), .help = "declares the queue before use")

static const struct option fake_stream_source[] = {
    FAKE_NAME("stream"),
    FAKE_GROUP,
    OPTION(struct fake_endpoint, block, OPTION_DURATION, .fallback = "5s", .min = MSEC, .max = 60 * SEC,
           .help = "wait"),
    OPTION(struct fake_endpoint, count, OPTION_INT, .min = 1, .max = 10000, .fallback_text = "as many as there are",
           .help = "a read"),
    OPTION(struct fake_endpoint, trim, OPTION_GROUP, .group = fake_trim_options, .help = "trims the stream"),
    OPTION_END,
};
static const struct option fake_channel_source[] = { FAKE_NAME("channel"), OPTION_END };
static const struct option fake_queue_source[] = { FAKE_NAME("queue"), FAKE_DECLARE, OPTION_END };
static const struct option fake_topic_source[] = { FAKE_NAME("topic"), FAKE_GROUP, OPTION_END };
static const struct option fake_topics_source[] = {
    OPTION_AS("topics", struct fake_endpoint, names, OPTION_STRINGS, .required = true, .help = "names of topics"),
    FAKE_GROUP,
    OPTION_END,
};
static const struct option fake_generate[] = {
    OPTION(struct fake_endpoint, rate, OPTION_INT, .min = 0, .max = 1000000000, .fallback = "1000", .help = "a second"),
    OPTION_END,
};
static const struct option fake_lines[] = { FAKE_NAME("path"), OPTION_END };
static const struct option fake_nothing[] = { OPTION_END };
static const struct option fake_stream_sink[] = {
    OPTION_AS("stream", struct fake_endpoint, value, OPTION_TEMPLATE, .required = true, .help = "its name"),
    OPTION(struct fake_endpoint, backoff, OPTION_DURATION_RANGE, .fallback = "200ms..30s", .help = "between attempts"),
    OPTION_END,
};
static const struct option fake_queue_sink[] = { FAKE_NAME("queue"), FAKE_DECLARE, OPTION_END };
static const struct option fake_exchange_sink[] = {
    FAKE_NAME("exchange"),
    OPTION_AS("routing_key", struct fake_endpoint, key, OPTION_TEMPLATE, .required = true, .help = "the routing key"),
    OPTION_END,
};
static const struct option fake_topic_sink[] = {
    OPTION_AS("topic", struct fake_endpoint, value, OPTION_TEMPLATE, .required = true, .help = "its name"),
    OPTION(struct fake_endpoint, key, OPTION_TEMPLATE, .fallback = "'{{ key | default: \"\" }}'",
           .help = "the message's key"),
    OPTION_END,
};

#define FAKE_SIZE sizeof(struct fake_endpoint)
#define FAKE_SOURCE(transport_, selector_, table, ...)                                                      \
    {                                                                                                       \
        .transport = transport_, .selector = selector_, .name = transport_ " " selector_, .options = table, \
        .settings_size = FAKE_SIZE, .caps = { __VA_ARGS__ }, .help = "Reads."                               \
    }
#define FAKE_SINK(transport_, selector_, table)                                                             \
    {                                                                                                       \
        .transport = transport_, .selector = selector_, .name = transport_ " " selector_, .options = table, \
        .settings_size = FAKE_SIZE, .help = "Writes."                                                       \
    }

static const struct source_kind fake_sources[] = {
    FAKE_SOURCE("redis", "stream", fake_stream_source, .at_least_once = true, .shared_name = true),
    FAKE_SOURCE("redis", "channel", fake_channel_source, .shared_name = false),
    FAKE_SOURCE("rabbitmq", "queue", fake_queue_source, .at_least_once = true, .shared_name = true),
    FAKE_SOURCE("kafka", "topic", fake_topic_source, .at_least_once = true, .shared_name = true, .partitions = true),
    FAKE_SOURCE("kafka", "topics", fake_topics_source, .at_least_once = true, .shared_name = true, .partitions = true),
    FAKE_SOURCE("file", "lines", fake_lines, .at_least_once = true, .finite = true),
    FAKE_SOURCE("stdin", "lines", fake_nothing, .finite = true, .only_one = true),
    FAKE_SOURCE("test", "generate", fake_generate, .finite = true, .shared_name = true),
};
static const struct sink_kind fake_sinks[] = {
    FAKE_SINK("redis", "stream", fake_stream_sink),  FAKE_SINK("rabbitmq", "exchange", fake_exchange_sink),
    FAKE_SINK("rabbitmq", "queue", fake_queue_sink), FAKE_SINK("kafka", "topic", fake_topic_sink),
    FAKE_SINK("file", "lines", fake_lines),          FAKE_SINK("stdout", "lines", fake_nothing),
    FAKE_SINK("test", "discard", fake_nothing),
};

const struct connection_kind *const connection_kinds[] = { &fake_redis, &fake_rabbitmq, &fake_kafka, NULL };
const struct transport *const transports[] = { NULL };
const struct source_kind *const source_kinds[] = {
    &fake_sources[0], &fake_sources[1], &fake_sources[2],
    &fake_sources[3], &fake_sources[4], &fake_sources[5],
    &fake_sources[6], &fake_sources[7], NULL,
};
const struct sink_kind *const sink_kinds[] = {
    &fake_sinks[0], &fake_sinks[1], &fake_sinks[2], &fake_sinks[3],
    &fake_sinks[4], &fake_sinks[5], &fake_sinks[6], NULL,
};
