/* Is a member's name taken? A second holder of a group.instance.id makes the first one fatal, so that two ferryds of one name
 * would throw each other out for ever: who was thrown out asks before it joins again. */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

/* The answer comes to queue, as an event of the type RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT. */
void fence_ask(rd_kafka_t *rk, const char *group, rd_kafka_queue_t *queue);
/* False: nobody in the group has that name. True also when the answer is an error. Who has it is not told: the broker goes on
 * showing the client.id of the first holder. */
bool fence_is_held(rd_kafka_event_t *event, const char *member);
