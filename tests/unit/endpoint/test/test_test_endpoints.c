/* Tests `test: generate` and `test: discard`: the contract, the payloads, the rate. */
#include "endpoint/test/test.h"

#include "support/endpoint_contract.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

static const struct contract_env no_env = { 0 };
static struct fake_route f;

static void open_and_start(const char *options)
{
    fake_route_open(&f, &test_generate_source, options, &no_env);
    f.source->ops->start(f.source);
}

static bool source_ended(void *arg)
{
    return ((struct fake_route *)arg)->ended;
}

static void assert_payload(size_t at, const char *text)
{
    struct bytes p = message_payload(f.held[at].message);
    ck_assert_msg(bytes_is(p, text), "\"%.*s\" is not \"%s\"", (int)p.len, (const char *)p.data, text);
}

START_TEST(test_the_source_contract)
{
    static const struct contract_source cases[] = {
        { .kind = &test_generate_source, .options = "{}", .available = UINT64_MAX },
        { .kind = &test_generate_source, .options = "{ rate: 5000, keys: 3, size: 40 }", .available = UINT64_MAX },
        { .kind = &test_generate_source, .options = "{ size: 100KiB }", .available = UINT64_MAX },
    };
    contract_check_source(&cases[_i]);
}
END_TEST

START_TEST(test_the_sink_contract)
{
    static const struct contract_sink c = { .kind = &test_discard_sink, .options = "{}", .messages = 1000 };
    contract_check_sink(&c);
}
END_TEST

START_TEST(test_what_messages_look_like)
{
    open_and_start("{ count: 12, size: 8, keys: 5 }");
    fake_route_grant(&f, 100, 1 << 20);
    contract_run_until(f.loop, source_ended, &f, SEC, "the end");
    ck_assert_uint_eq(f.taken, 12);
    assert_payload(0, "0 abcdef");
    assert_payload(11, "11 abcde");
    ck_assert(bytes_is(message_key(f.held[11].message), "k1"));
    char scratch[MESSAGE_ID_MAX];
    ck_assert(bytes_is(message_id(f.held[11].message, scratch), "generate-0-11"));
    ck_assert(f.held[0].message->flags & MESSAGE_ID_STABLE);
    ck_assert_int_gt(f.held[0].message->timestamp_ms, 1600000000000);
    ck_assert_int_eq(f.source->status.state, ENDPOINT_ENDED);
    fake_route_settle(&f, 12, true);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_small_payloads)
{
    open_and_start("{ count: 101, size: 1 }");
    fake_route_grant(&f, 101, 1 << 20);
    contract_run_until(f.loop, source_ended, &f, SEC, "the end");
    assert_payload(99, "9");
    assert_payload(100, "0");
    fake_route_close(&f);
    open_and_start("{ count: 3, size: 0 }");
    fake_route_grant(&f, 101, 1 << 20);
    contract_run_until(f.loop, source_ended, &f, SEC, "the end");
    assert_payload(2, "");
    ck_assert_ptr_nonnull(f.held[2].message->payload);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_the_end_waits_for_credit)
{
    open_and_start("{ count: 5 }");
    fake_route_grant(&f, 4, 1 << 20);
    contract_run_for(f.loop, 20 * MSEC);
    ck_assert(f.taken == 4 && !f.ended);
    fake_route_grant(&f, 1, 1 << 20);
    contract_run_until(f.loop, source_ended, &f, SEC, "the end");
    fake_route_close(&f);
}
END_TEST

/* Measured, since a busy machine makes a wait longer than it was meant to be: never more than the rate, and some. */
static void assert_rate(uint64_t made, uint64_t rate, int64_t since_us)
{
    uint64_t due = (uint64_t)(clock_us() - since_us) * rate / SEC + 1;
    ck_assert_msg(made <= due, "%d messages, %d were due", (int)made, (int)due);
    ck_assert_msg(made > 0, "no message");
}

START_TEST(test_the_rate_is_kept)
{
    int64_t start = clock_us();
    open_and_start("{ rate: 2000, size: 16 }");
    fake_route_grant(&f, 100000, 1 << 30);
    contract_run_for(f.loop, 300 * MSEC);
    assert_rate(f.taken, 2000, start);
    ck_assert_uint_ge(f.taken, 300);
    /* Pausing is no credit for later. */
    f.source->ops->pause(f.source);
    contract_run_for(f.loop, 200 * MSEC);
    uint64_t before = f.taken;
    start = clock_us();
    f.source->ops->resume(f.source);
    contract_run_for(f.loop, 50 * MSEC);
    assert_rate(f.taken - before, 2000, start);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_slow_rate)
{
    int64_t start = clock_us();
    open_and_start("{ rate: 10, size: 16 }");
    fake_route_grant(&f, 100, 1 << 20);
    contract_run_for(f.loop, 350 * MSEC);
    assert_rate(f.taken, 10, start);
    fake_route_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("test endpoints");
    TCase *cases = tcase_create("test endpoints");
    tcase_set_timeout(cases, 30);
    tcase_add_loop_test(cases, test_the_source_contract, 0, 3);
    tcase_add_test(cases, test_the_sink_contract);
    tcase_add_test(cases, test_what_messages_look_like);
    tcase_add_test(cases, test_small_payloads);
    tcase_add_test(cases, test_the_end_waits_for_credit);
    tcase_add_test(cases, test_the_rate_is_kept);
    tcase_add_test(cases, test_a_slow_rate);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
