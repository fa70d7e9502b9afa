/* What each of librdkafka's errors means for a delivery: one table for produce calls and delivery reports. */
#pragma once

#include "endpoint/sink.h"

#include <librdkafka/rdkafka.h>

struct answer_place {
    bool constant_topic;     /* its name is not made by a template: a missing one is the route's fault */
    bool constant_partition; /* likewise; also when librdkafka chooses */
};

/* status: of a delivery report; RD_KAFKA_MSG_STATUS_NOT_PERSISTED for what was never accepted. */
enum verdict_class kafka_answer(rd_kafka_resp_err_t err, rd_kafka_msg_status_t status, struct answer_place place);
