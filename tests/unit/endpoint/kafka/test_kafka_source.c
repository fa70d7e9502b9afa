/* Tests Kafka sources: the contract, what is committed, and the bound of what is not. */
#include "kafka_fixture.h"
#include "support/suite.h"

static int64_t committed(const char *group, const char *topic, int32_t partition)
{
    rd_kafka_t *rk = plain_client(RD_KAFKA_CONSUMER, group);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition);
    rd_kafka_resp_err_t err = rd_kafka_committed(rk, list, 10000);
    ck_assert_msg(!err, "%s", rd_kafka_err2str(err));
    int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return offset;
}

START_TEST(test_contract)
{
    const char *topic = new_topic(1);
    fill_partition(topic, 0, 200);
    struct contract_source c = {
        .kind = &kafka_topic_source, .options = from_topic(topic), .env = given, .available = 200
    };
    contract_check_source(&c);
}
END_TEST

START_TEST(test_contract_of_several_topics)
{
    const char *topic = new_topic(2);
    fill_partition(topic, 0, 100);
    fill_partition(topic, 1, 100);
    char options[256];
    snprintf(options, sizeof options, "{ topics: ['^%s$'], group: g-%s }", topic, topic);
    struct contract_source c = { .kind = &kafka_topics_source, .options = options, .env = given, .available = 200 };
    contract_check_source(&c);
}
END_TEST

START_TEST(test_only_the_settled_prefix_is_committed)
{
    const char *topic = new_topic(1);
    char group[100];
    struct fake_route f;
    snprintf(group, sizeof group, "g-%s", topic);
    fill_partition(topic, 0, 100);
    route_open(&f, from_topic(topic), &given);
    wait_for(f.loop, &f.taken, 100, "all messages");
    for (unsigned i = 0; i < 100; i++) {
        char text[8], scratch[MESSAGE_ID_MAX];
        snprintf(text, sizeof text, "%u", i);
        ck_assert(bytes_is(message_payload(f.held[i].message), text));
        snprintf(text, sizeof text, "-%u", i);
        ck_assert_ptr_nonnull(strstr((const char *)message_id(f.held[i].message, scratch).data, text));
    }
    fake_route_settle(&f, 40, true); /* 60 … 99 */
    ck_assert_uint_eq(f.source->status.unsettled, 40);
    fake_route_settle(&f, 10, false); /* 0 … 9 */
    ck_assert_uint_eq(f.source->status.unsettled, 50);
    contract_run_for(f.loop, 2 * SEC); /* a commit interval */
    ck_assert_uint_eq(f.source->status.unsettled, 40);
    fake_route_settle(&f, 15, false); /* … 24: told at the stop */
    fake_route_close(&f);
    ck_assert_int_eq(committed(group, topic, 0), 25);

    route_open(&f, from_topic(topic), &given);
    wait_for(f.loop, &f.taken, 75, "what was not committed");
    ck_assert(bytes_is(message_payload(f.held[0].message), "25"));
    fake_route_settle(&f, 75, false);
    fake_route_close(&f);
    ck_assert_int_eq(committed(group, topic, 0), 100);
}
END_TEST

START_TEST(test_unsettled_is_bounded)
{
    const char *topic = new_topic(1);
    struct fake_route f;
    fill_partition(topic, 0, 1000);
    fake_route_open(&f, &kafka_topic_source, from_topic(topic), &given);
    struct environment env = f.env;
    const struct source_host *host = f.source->host;
    f.source->ops->free(f.source);
    env.share_unsettled = 50;
    f.source = kafka_topic_source.create(f.settings, &env, host, &f);
    f.source->ops->start(f.source);
    fake_route_grant(&f, 100, 1 << 30);
    wait_for(f.loop, &f.taken, 100, "messages");
    fake_route_settle(&f, 60, true); /* 40 … 99, behind those that are not */
    fake_route_grant(&f, 100, 1 << 30);
    contract_run_for(f.loop, 200 * MSEC);
    ck_assert_uint_eq(f.taken, 100);
    fake_route_settle(&f, 40, false);
    wait_for(f.loop, &f.taken, 200, "more after the commit");
    fake_route_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kafka source");
    TCase *broker = kafka_case(suite, "broker", broker_setup);
    tcase_add_test(broker, test_contract);
    tcase_add_test(broker, test_contract_of_several_topics);
    tcase_add_test(broker, test_only_the_settled_prefix_is_committed);
    tcase_add_test(broker, test_unsettled_is_bounded);
    return suite_run(suite);
}
