/* The RabbitMQ endpoint kinds, for the table in endpoint/kinds.c. */
#pragma once

#include "endpoint/kind.h"

extern const struct connection_kind rabbitmq_connection;
extern const struct transport rabbitmq_transport;
extern const struct source_kind rabbitmq_queue_source;
extern const struct sink_kind rabbitmq_exchange_sink;
extern const struct sink_kind rabbitmq_queue_sink;
