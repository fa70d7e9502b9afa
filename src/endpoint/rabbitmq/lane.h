/* The RabbitMQ connections of one lane. Inside endpoint/rabbitmq only. */
#pragma once

#include "base/list.h"
#include "endpoint/kind.h"

struct transport_lane {
    struct loop *loop;
    struct resolver *resolver;
    struct list links; /* struct rabbit_link.node */
};
