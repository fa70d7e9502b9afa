/* The one table of endpoint kinds: adding one is one file and one row here. */
#include "endpoint/kind.h"

#include "endpoint/file/file.h"
#include "endpoint/kafka/kafka.h"
#include "endpoint/rabbitmq/rabbitmq.h"
#include "endpoint/redis/redis.h"
#include "endpoint/test/test.h"

const struct connection_kind *const connection_kinds[] = {
    &redis_connection,
    &rabbitmq_connection,
    &kafka_connection,
    NULL,
};

const struct transport *const transports[] = {
    &redis_transport,
    &rabbitmq_transport,
    &kafka_transport,
    NULL,
};

const struct source_kind *const source_kinds[] = {
    &redis_stream_source,
    &redis_list_source,
    &redis_channel_source,
    &redis_pattern_source,
    &rabbitmq_queue_source,
    &kafka_topic_source,
    &kafka_topics_source,
    &file_lines_source,
    &stdin_lines_source,
    &test_generate_source,
    NULL,
};

const struct sink_kind *const sink_kinds[] = {
    &redis_stream_sink, &redis_list_sink, &redis_channel_sink, &rabbitmq_exchange_sink, &rabbitmq_queue_sink,
    &kafka_topic_sink,  &file_lines_sink, &stdout_lines_sink,  &test_discard_sink,      NULL,
};
