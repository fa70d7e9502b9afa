/* Tests what each error of librdkafka means for a delivery. */
#include "endpoint/kafka/answer.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

static const struct answer_place constant = { true, true }, templated = { false, false };

static enum verdict_class class_of(rd_kafka_resp_err_t err, struct answer_place place)
{
    return kafka_answer(err, RD_KAFKA_MSG_STATUS_NOT_PERSISTED, place);
}

START_TEST(test_the_message_itself)
{
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR_NO_ERROR, constant), VERDICT_OK);
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, constant), VERDICT_REJECT);
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR_INVALID_RECORD, constant), VERDICT_REJECT);
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR_INVALID_MSG, constant), VERDICT_RETRY);
}
END_TEST

START_TEST(test_a_missing_place_is_the_routes_fault_when_it_is_constant)
{
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, constant), VERDICT_FAULT);
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, templated), VERDICT_REJECT);
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, constant), VERDICT_FAULT);
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, templated), VERDICT_REJECT);
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, constant), VERDICT_FAULT);
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, templated), VERDICT_REJECT);
}
END_TEST

START_TEST(test_what_is_denied_is_a_fault_wherever_it_goes)
{
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, templated), VERDICT_FAULT);
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, constant), VERDICT_FAULT);
}
END_TEST

START_TEST(test_trouble_with_the_broker_burns_no_attempt)
{
    static const rd_kafka_resp_err_t errors[] = {
        RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,      RD_KAFKA_RESP_ERR__TRANSPORT,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,   RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, RD_KAFKA_RESP_ERR__FATAL,
        RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE,
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        ck_assert_int_eq(kafka_answer(errors[i], RD_KAFKA_MSG_STATUS_NOT_PERSISTED, constant), VERDICT_AGAIN);
        ck_assert_int_eq(kafka_answer(errors[i], RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED, constant), VERDICT_UNKNOWN);
    }
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR__QUEUE_FULL, constant), VERDICT_AGAIN);
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR__PURGE_QUEUE, constant), VERDICT_AGAIN);
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, constant), VERDICT_UNKNOWN);
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, constant), VERDICT_UNKNOWN);
}
END_TEST

START_TEST(test_what_nobody_knows_is_tried_again)
{
    ck_assert_int_eq(class_of(RD_KAFKA_RESP_ERR_UNKNOWN, constant), VERDICT_RETRY);
    ck_assert_int_eq(class_of((rd_kafka_resp_err_t)9999, constant), VERDICT_RETRY);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kafka answers");
    TCase *cases = tcase_create("answers");
    tcase_add_test(cases, test_the_message_itself);
    tcase_add_test(cases, test_a_missing_place_is_the_routes_fault_when_it_is_constant);
    tcase_add_test(cases, test_what_is_denied_is_a_fault_wherever_it_goes);
    tcase_add_test(cases, test_trouble_with_the_broker_burns_no_attempt);
    tcase_add_test(cases, test_what_nobody_knows_is_tried_again);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
