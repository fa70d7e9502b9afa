/* Tests the watermark on the cases that matter: order, gaps, repeats, growth, reset. */
#include "endpoint/watermark.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

static struct watermark *w;

static void setup(void)
{
    w = watermark_new();
}

static void teardown(void)
{
    watermark_free(w);
}

static void assert_state(uint64_t mark, uint64_t open, uint64_t span, uint64_t held)
{
    ck_assert_uint_eq(watermark_mark(w), mark);
    ck_assert_uint_eq(watermark_open(w), open);
    ck_assert_uint_eq(watermark_span(w), span);
    ck_assert_uint_eq(watermark_held(w), held);
}

START_TEST(test_empty)
{
    assert_state(0, 0, 0, 0);
    ck_assert(!watermark_done(w, 0));
    ck_assert(!watermark_done(w, 7));
}
END_TEST

START_TEST(test_the_example_of_the_header)
{
    const uint64_t taken[] = { 5, 6, 7, 9, 10 };
    for (size_t i = 0; i < 5; i++)
        watermark_take(w, taken[i]);
    assert_state(5, 5, 5, 0);
    ck_assert(watermark_done(w, 9));
    assert_state(5, 4, 5, 1);
    ck_assert(watermark_done(w, 5));
    ck_assert(watermark_done(w, 6));
    assert_state(7, 2, 3, 1);
    ck_assert(watermark_done(w, 7));
    assert_state(10, 1, 1, 0);
    ck_assert(watermark_done(w, 10));
    assert_state(11, 0, 0, 0);
}
END_TEST

START_TEST(test_a_gap_belongs_to_the_position_before_it)
{
    watermark_take(w, 5);
    ck_assert(watermark_done(w, 5));
    assert_state(6, 0, 0, 0);
    watermark_take(w, 100);
    assert_state(100, 1, 1, 0);
}
END_TEST

START_TEST(test_what_is_not_there_is_refused)
{
    watermark_take(w, 5);
    watermark_take(w, 9);
    ck_assert(!watermark_done(w, 4));
    ck_assert(!watermark_done(w, 6));
    ck_assert(!watermark_done(w, 10));
    ck_assert(watermark_done(w, 9));
    ck_assert_msg(!watermark_done(w, 9), "a repeated settle");
    ck_assert(watermark_done(w, 5));
    ck_assert_msg(!watermark_done(w, 5), "a repeated settle below the mark");
    assert_state(10, 0, 0, 0);
}
END_TEST

START_TEST(test_position_zero)
{
    watermark_take(w, 0);
    assert_state(0, 1, 1, 0);
    ck_assert(watermark_done(w, 0));
    assert_state(1, 0, 0, 0);
}
END_TEST

START_TEST(test_one_held_message_grows_the_bitmap)
{
    for (uint64_t i = 0; i < 100000; i++)
        watermark_take(w, i + 1000);
    for (uint64_t i = 99999; i > 0; i--)
        ck_assert(watermark_done(w, i + 1000));
    assert_state(1000, 1, 100000, 99999);
    ck_assert(watermark_done(w, 1000));
    assert_state(101000, 0, 0, 0);
}
END_TEST

START_TEST(test_reset_forgets_everything)
{
    for (uint64_t i = 0; i < 1000; i += 2)
        watermark_take(w, i);
    for (uint64_t i = 2; i < 1000; i += 4)
        watermark_done(w, i);
    watermark_reset(w);
    assert_state(0, 0, 0, 0);
    ck_assert(!watermark_done(w, 4));
    for (uint64_t i = 0; i < 1000; i++)
        watermark_take(w, i);
    assert_state(0, 1000, 1000, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watermark");
    TCase *cases = tcase_create("watermark");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, test_empty);
    tcase_add_test(cases, test_the_example_of_the_header);
    tcase_add_test(cases, test_a_gap_belongs_to_the_position_before_it);
    tcase_add_test(cases, test_what_is_not_there_is_refused);
    tcase_add_test(cases, test_position_zero);
    tcase_add_test(cases, test_one_held_message_grows_the_bitmap);
    tcase_add_test(cases, test_reset_forgets_everything);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
