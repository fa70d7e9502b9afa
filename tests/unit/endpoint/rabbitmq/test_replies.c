/* Tests the reply code table, with texts as RabbitMQ 3.10 writes them. */
#include "endpoint/rabbitmq/replies.h"
#include "support/suite.h"

#include <check.h>

static const char not_found[] = "NOT_FOUND - no exchange 'it's' in vhost '/'";
static const char refused[] = "ACCESS_REFUSED - access to exchange 'orders' in vhost '/' refused for user 'ferry'";
static const char too_large[] =
    "PRECONDITION_FAILED - message size 140000000 is larger than configured max size 134217728";
static const char timed_out[] =
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: "
    "1800000 ms. This timeout value can be configured, see consumers doc guide to learn more";

START_TEST(codes)
{
    ck_assert_int_eq(rabbit_reply_of(404)->constant, VERDICT_FAULT);
    ck_assert_int_eq(rabbit_reply_of(404)->templated, VERDICT_REJECT);
    ck_assert_int_eq(rabbit_reply_of(403)->templated, VERDICT_FAULT);
    ck_assert_int_eq(rabbit_reply_of(312)->constant, VERDICT_REJECT);
    ck_assert(rabbit_reply_of(406)->fault);
    ck_assert(!rabbit_reply_of(320)->fault);
    ck_assert_uint_eq(rabbit_reply_of(999)->code, 541);
}
END_TEST

START_TEST(texts)
{
    ck_assert(bytes_is(rabbit_reply_object(bytes_of_string(not_found)), "it's"));
    ck_assert(bytes_is(rabbit_reply_object(bytes_of_string(refused)), "orders"));
    ck_assert(bytes_is(rabbit_reply_object(bytes_of_string("no queue 'q' in vhost 'x'")), "q"));
    ck_assert_ptr_null(rabbit_reply_object(bytes_of_string("INTERNAL_ERROR")).data);
    ck_assert_ptr_null(rabbit_reply_object(bytes_of_string("no exchange '")).data);
    ck_assert_ptr_null(rabbit_reply_object(BYTES_LITERAL("")).data);
    ck_assert_uint_eq(rabbit_reply_size_limit(bytes_of_string(too_large)), 134217728);
    ck_assert_uint_eq(rabbit_reply_size_limit(bytes_of_string(not_found)), 0);
    ck_assert_uint_eq(rabbit_reply_size_limit(bytes_of_string("message size, max size ")), 0);
}
END_TEST

START_TEST(an_expired_delivery_is_no_fault)
{
    ck_assert(!rabbit_reply_of_close(406, bytes_of_string(timed_out))->fault);
    ck_assert(rabbit_reply_of_close(406, bytes_of_string(too_large))->fault);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rabbitmq replies");
    TCase *t = tcase_create("table");
    tcase_add_test(t, codes);
    tcase_add_test(t, texts);
    tcase_add_test(t, an_expired_delivery_is_no_fault);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
