/* The Kafka endpoint kinds, for the table in endpoint/kinds.c. */
#pragma once

#include "endpoint/kind.h"

extern const struct connection_kind kafka_connection;
extern const struct transport kafka_transport;
extern const struct source_kind kafka_topic_source;
extern const struct source_kind kafka_topics_source;
extern const struct sink_kind kafka_topic_sink;
