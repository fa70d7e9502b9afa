/* Asks the group for its members. */
#include "endpoint/kafka/fence.h"

#include <string.h>

enum { TIMEOUT_MS = 5000 };

void fence_ask(rd_kafka_t *rk, const char *group, rd_kafka_queue_t *queue)
{
    char error[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, error, sizeof(error));
    rd_kafka_DescribeConsumerGroups(rk, &group, 1, options, queue);
    rd_kafka_AdminOptions_destroy(options);
}

bool fence_is_held(rd_kafka_event_t *event, const char *member)
{
    size_t groups = 0;
    const rd_kafka_DescribeConsumerGroups_result_t *result = rd_kafka_event_DescribeConsumerGroups_result(event);
    const rd_kafka_ConsumerGroupDescription_t **list = result ? rd_kafka_DescribeConsumerGroups_result_groups(result,
                                                                                                              &groups)
                                                              : NULL;
    if (rd_kafka_event_error(event) || groups != 1 || rd_kafka_ConsumerGroupDescription_error(list[0]))
        return true;
    size_t members = rd_kafka_ConsumerGroupDescription_member_count(list[0]);
    for (size_t i = 0; i < members; i++) {
        const char *name = rd_kafka_MemberDescription_group_instance_id(
            rd_kafka_ConsumerGroupDescription_member(list[0], i));
        if (name && strcmp(name, member) == 0)
            return true;
    }
    return false;
}
