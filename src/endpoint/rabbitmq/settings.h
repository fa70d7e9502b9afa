/* Options of RabbitMQ connections and of what endpoints declare. */
#pragma once

#include "endpoint/kind.h"

#include "endpoint/rabbitmq/wire.h"

struct rabbitmq_settings {
    struct connection base;
    char *url;
    struct string_list hosts; /* after check: never empty, always with a port */
    char *user, *password, *vhost;
    int64_t heartbeat, timeout; /* microseconds */
    int64_t frame_max;
};

struct binding_settings {
    char *exchange, *routing_key;
    struct string_map arguments;
};

enum queue_type { QUEUE_CLASSIC, QUEUE_QUORUM, QUEUE_STREAM };
struct queue_declaration {
    int type; /* enum queue_type */
    bool durable;
    struct string_map arguments;
    struct groups bindings;
};

struct exchange_declaration {
    char *type;
    bool durable;
    struct string_map arguments;
    struct groups bindings; /* of this exchange to others */
};

extern const struct option rabbitmq_queue_declaration_options[];
extern const struct option rabbitmq_exchange_declaration_options[];
/* Says what cannot be declared: a quorum queue that is not durable, arguments that the type sets. */
void rabbitmq_check_queue_declaration(const struct queue_declaration *q, struct mark at, struct diagnostics *d);
