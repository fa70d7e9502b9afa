/* The backoff: within its limits, spread over them, never zero. */
#include "base/clock.h"
#include "runtime/backoff.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

START_TEST(waits_stay_within_floor_and_doubling_limit)
{
    for (int round = 0; round < 1000; round++) {
        struct backoff b = BACKOFF_RECONNECT;
        for (unsigned n = 0; n < 100; n++) {
            int64_t limit = n < 5 ? b.base_us << n : b.cap_us;
            int64_t wait = backoff_next(&b);
            if (wait < b.base_us / 10 || wait > limit)
                ck_abort_msg("attempt %u waits %lld us", n, (long long)wait);
        }
        ck_assert_uint_eq(b.attempt, 100);
        backoff_reset(&b);
        ck_assert_int_le(backoff_next(&b), b.base_us);
    }
}
END_TEST

START_TEST(waits_are_spread_over_the_whole_range)
{
    struct backoff b = { .base_us = SEC, .cap_us = SEC };
    int low = 0, high = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t wait = backoff_next(&b);
        low += wait < SEC / 2;
        high += wait >= SEC / 2;
    }
    ck_assert_int_gt(low, 300);
    ck_assert_int_gt(high, 300);
}
END_TEST

START_TEST(odd_settings_are_harmless)
{
    struct backoff nothing = { 0 };
    ck_assert_int_eq(backoff_next(&nothing), MSEC);
    struct backoff huge = { .base_us = INT64_MAX / 2, .cap_us = INT64_MAX - 1 };
    for (int i = 0; i < 100; i++)
        ck_assert_int_gt(backoff_next(&huge), 0);
    struct backoff forever = { .base_us = 1, .cap_us = 10 * SEC, .attempt = UINT32_MAX - 1 };
    for (int i = 0; i < 4; i++)
        ck_assert_int_le(backoff_next(&forever), 10 * SEC);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runtime: backoff");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, waits_stay_within_floor_and_doubling_limit);
    tcase_add_test(tests, waits_are_spread_over_the_whole_range);
    tcase_add_test(tests, odd_settings_are_harmless);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
