/* Suggestions, sizes and durations, escaping, UTF-8; random numbers within their bounds. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/text.h"
#include "support/suite.h"

#include <check.h>

static const char *const NAMES[] = { "stream", "list", "channel", "group", "key", "to", "routing_key", NULL };

static void assert_nearest(const char *word, const char *expected)
{
    const char *found = text_nearest(word, NAMES);
    ck_assert_msg(expected ? found && strcmp(found, expected) == 0 : !found, "%s: %s", word, found ? found : "nothing");
}

START_TEST(the_nearest_name_is_within_a_third)
{
    assert_nearest("sream", "stream");
    assert_nearest("Stream", "stream");
    assert_nearest("streem", "stream");
    assert_nearest("gruop", "group"); /* a swap is one edit */
    assert_nearest("chanel", "channel");
    assert_nearest("rooting-key", "routing_key");
    assert_nearest("kay", "key");
    assert_nearest("ot", "to");
    assert_nearest("stream", "stream");
    assert_nearest("queue", NULL);
    assert_nearest("x", NULL);
    assert_nearest("", NULL);
    assert_nearest("lost", "list");
    assert_nearest("last_", NULL);
}
END_TEST

static void assert_size(uint64_t bytes, const char *expected)
{
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    text_size(&out, bytes);
    ck_assert_str_eq(buf_string(&out), expected);
}

static void assert_duration(int64_t us, const char *expected)
{
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    text_duration(&out, us);
    ck_assert_str_eq(buf_string(&out), expected);
}

START_TEST(sizes_and_durations_are_short_and_exact)
{
    assert_size(0, "0");
    assert_size(512, "512");
    assert_size(1000, "1000");
    assert_size(65536, "64KiB");
    assert_size(512 << 20, "512MiB");
    assert_size(1536 << 20, "1536MiB");
    assert_size(UINT64_C(3) << 30, "3GiB");
    assert_size(10000000, "10MB");
    assert_size(UINT64_MAX, "18446744073709551615");
    assert_duration(0, "0s");
    assert_duration(1, "1us");
    assert_duration(1500, "1500us");
    assert_duration(200 * MSEC, "200ms");
    assert_duration(1500 * MSEC, "1500ms");
    assert_duration(30 * SEC, "30s");
    assert_duration(60 * SEC, "1m");
    assert_duration(90 * SEC, "90s");
    assert_duration(5400 * SEC, "90m");
    assert_duration(3600 * SEC, "1h");
    assert_duration(172800 * SEC, "2d");
    assert_duration(-5 * SEC, "-5s");
    assert_duration(INT64_MIN, "-9223372036854775808us");
}
END_TEST

static void assert_escaped(struct bytes s, size_t max, const char *expected)
{
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    buf_append_string(&out, "> ");
    text_escape(&out, s, max);
    ck_assert_str_eq(buf_string(&out) + 2, expected);
}

START_TEST(escaping_leaves_only_what_can_be_shown)
{
    assert_escaped(BYTES_LITERAL("plain äöü €"), 100, "plain äöü €");
    assert_escaped(BYTES_LITERAL("a\"b\\c\nd\te\r"), 100, "a\\\"b\\\\c\\nd\\te\\r");
    assert_escaped(BYTES_LITERAL("\0\x1b[31m\x7f"), 100, "\\x00\\x1b[31m\\x7f");
    assert_escaped(BYTES_LITERAL("\xff\xc3("), 100, "\\xff\\xc3(");
    assert_escaped(BYTES_LITERAL("\xc2\x9b"), 100, "\\xc2\\x9b"); /* a control character in UTF-8 */
    assert_escaped(BYTES_NULL, 100, "");
}
END_TEST

START_TEST(escaping_cuts_between_characters)
{
    assert_escaped(BYTES_LITERAL("12345"), 5, "12345");
    assert_escaped(BYTES_LITERAL("123456"), 5, "12345…");
    assert_escaped(BYTES_LITERAL("1234\n"), 5, "1234…");
    assert_escaped(BYTES_LITERAL("123€"), 5, "123…");
    assert_escaped(BYTES_LITERAL("x"), 0, "…");
}
END_TEST

START_TEST(utf8_is_checked_strictly)
{
    static const struct bytes good[] = {
        BYTES_LITERAL(""),
        BYTES_LITERAL("long enough to be taken by eights, ä and more of it"),
        BYTES_LITERAL(
            "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
        BYTES_LITERAL("\0"),
    };
    static const struct bytes bad[] = {
        BYTES_LITERAL("\x80"),
        BYTES_LITERAL("\xc0\x80"),
        BYTES_LITERAL("\xc1\xbf"),
        BYTES_LITERAL("\xe0\x9f\xbf"),
        BYTES_LITERAL("\xed\xa0\x80"),
        BYTES_LITERAL("\xf0\x8f\xbf\xbf"),
        BYTES_LITERAL("\xf4\x90\x80\x80"),
        BYTES_LITERAL("\xf5\x80\x80\x80"),
        BYTES_LITERAL("12345678\xff"),
        BYTES_LITERAL("\xc3"),
        BYTES_LITERAL("1234567\xe2\x82"),
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ck_assert_msg(text_is_utf8(good[i]), "good %zu", i);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!text_is_utf8(bad[i]), "bad %zu", i);
}
END_TEST

START_TEST(random_numbers_stay_below_their_bound_and_reach_all)
{
    ck_assert_uint_eq(random_below(0), 0);
    ck_assert_uint_eq(random_below(1), 0);
    bool seen[10] = { false };
    for (int i = 0; i < 10000; i++) {
        uint64_t r = random_below(ARRAY_LEN(seen));
        ck_assert_uint_lt(r, ARRAY_LEN(seen));
        seen[r] = true;
    }
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        ck_assert(seen[i]);
    ck_assert_uint_ne(random_u64(), random_u64());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base: text, random");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, the_nearest_name_is_within_a_third);
    tcase_add_test(tests, sizes_and_durations_are_short_and_exact);
    tcase_add_test(tests, escaping_leaves_only_what_can_be_shown);
    tcase_add_test(tests, escaping_cuts_between_characters);
    tcase_add_test(tests, utf8_is_checked_strictly);
    tcase_add_test(tests, random_numbers_stay_below_their_bound_and_reach_all);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
