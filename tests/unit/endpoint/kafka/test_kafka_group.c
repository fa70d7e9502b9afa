/* Tests how a Kafka source gets on with others and with trouble: rebalances, a second holder of its name, brokers that go and
 * come, topics that are missing. */
#include "kafka_fixture.h"
#include "support/suite.h"

/* ---- several members */

/* Each fake route has a loop of its own: they run in turn. */
static void run_both(struct fake_route f[2], int64_t us)
{
    for (int64_t until = clock_us() + us; clock_us() < until;) {
        contract_run_for(f[0].loop, 5 * MSEC);
        contract_run_for(f[1].loop, 5 * MSEC);
    }
}

START_TEST(test_a_revoke_waits_for_what_is_in_flight)
{
    const char *topic = new_topic(2);
    struct fake_route f[2];
    struct contract_env second = given;
    second.member = "test.route.1";
    fill_partition(topic, 0, 50);
    fill_partition(topic, 1, 50);
    route_open(&f[0], from_topic(topic), &given);
    wait_for(f[0].loop, &f[0].taken, 100, "all messages for the only member");
    fake_route_settle(&f[0], 80, true);
    route_open(&f[1], from_topic(topic), &second);
    /* 20 are open: the revoke waits for them in vain, and their whole partition comes again. */
    for (int i = 0; i < 2000 && f[0].taken + f[1].taken < 150; i++) {
        run_both(f, 10 * MSEC);
        if (f[0].returned == 0)
            ck_assert_uint_eq(f[1].taken, 0);
    }
    ck_assert_uint_eq(f[0].returned, 20);
    ck_assert_uint_eq(f[0].taken + f[1].taken, 150);
    f[0].quiet = f[1].quiet = true;
    f[1].source->ops->stop(f[1].source, SEC);
    f[0].source->ops->stop(f[0].source, SEC);
    run_both(f, 2 * SEC);
    ck_assert(f[0].stopped && f[1].stopped);
    fake_route_close(&f[0]);
    fake_route_close(&f[1]);
}
END_TEST

START_TEST(test_a_second_holder_of_the_name_is_a_fault)
{
    const char *topic = new_topic(1);
    struct fake_route f[2];
    connection_reopen("session.timeout.ms: 6000");
    route_open(&f[0], from_topic(topic), &given);
    wait_state(f[0].loop, &f[0].source->status, ENDPOINT_UP);
    route_open(&f[1], from_topic(topic), &given);
    for (int i = 0; i < 2000 && f[0].source->status.state != ENDPOINT_FAULT; i++)
        run_both(f, 10 * MSEC);
    ck_assert_int_eq(f[0].source->status.state, ENDPOINT_FAULT);
    ck_assert_ptr_nonnull(strstr(f[0].source->status.reason, "another ferryd is named test.route.0"));
    /* It does not throw the other out in turn, but waits until that one's session has ended. */
    run_both(f, 3 * SEC);
    ck_assert_int_eq(f[0].source->status.state, ENDPOINT_FAULT);
    ck_assert_int_eq(f[1].source->status.state, ENDPOINT_UP);
    f[1].quiet = true;
    fake_route_close(&f[1]);
    wait_state(f[0].loop, &f[0].source->status, ENDPOINT_UP);
    fake_route_close(&f[0]);
}
END_TEST

/* ---- trouble */

START_TEST(test_a_broker_that_goes_and_comes)
{
    struct fake_route f;
    const char *topic = new_topic(1);
    fill_partition(topic, 0, 20);
    route_open(&f, from_topic(topic), &given);
    wait_for(f.loop, &f.taken, 20, "messages");
    rd_kafka_mock_broker_set_down(mock, 1);
    wait_state(f.loop, &f.source->status, ENDPOINT_DOWN);
    ck_assert_str_eq(f.source->status.reason, "no broker of k answers");
    fake_route_settle(&f, 20, false);
    rd_kafka_mock_broker_set_up(mock, 1);
    wait_state(f.loop, &f.source->status, ENDPOINT_UP);
    ck_assert_uint_eq(f.source->status.connects, 2);
    fill_partition(topic, 0, 5);
    wait_for(f.loop, &f.taken, 25, "messages after the broker came back");
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_stop_without_a_broker_ends_in_time)
{
    struct fake_route f;
    snprintf(bootstrap, sizeof bootstrap, "127.0.0.1:9");
    connection_reopen("");
    route_open(&f, "{ topic: t, group: g }", &given);
    wait_state(f.loop, &f.source->status, ENDPOINT_DOWN);
    int64_t before = clock_us();
    fake_route_close(&f);
    ck_assert_int_lt(clock_us() - before, 3 * SEC);
}
END_TEST

START_TEST(test_a_topic_that_is_missing)
{
    struct fake_route f;
    char name[80];
    snprintf(name, sizeof name, "ferry-unit-%d-missing", (int)getpid());
    route_open(&f, from_topic(name), &given);
    wait_state(f.loop, &f.source->status, ENDPOINT_FAULT);
    ck_assert_ptr_nonnull(strstr(f.source->status.reason, "Unknown topic"));
    fill_partition(name, RD_KAFKA_PARTITION_UA, 3); /* makes it */
    wait_for(f.loop, &f.taken, 3, "messages of a topic that came late");
    ck_assert_int_eq(f.source->status.state, ENDPOINT_UP);
    fake_route_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kafka group");
    TCase *broker = kafka_case(suite, "broker", broker_setup);
    tcase_add_test(broker, test_a_revoke_waits_for_what_is_in_flight);
    tcase_add_test(broker, test_a_second_holder_of_the_name_is_a_fault);
    tcase_add_test(broker, test_a_stop_without_a_broker_ends_in_time);
    tcase_add_test(broker, test_a_topic_that_is_missing);
    TCase *failing = kafka_case(suite, "failing", mock_setup);
    tcase_add_test(failing, test_a_broker_that_goes_and_comes);
    return suite_run(suite);
}
