/* Tables for people: alignment, colour, notes, nothing that a terminal would obey; numbers in their shortest form. */
#include "ctl/table.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

static const struct column columns[] = { { "NAME", false }, { "N", true }, { "WAY", false } };

static struct table *sample(void)
{
    struct table *t = table_new(columns, 3);
    table_cell(t, TONE_PLAIN, "a");
    table_cell(t, TONE_GOOD, "%d", 5);
    table_cell(t, TONE_PLAIN, "x");
    table_note(t, TONE_BAD, "because");
    table_cell(t, TONE_PLAIN, "h\xc3\xa9lio");
    table_cell(t, TONE_PLAIN, "%d", 1234);
    table_cell(t, TONE_PLAIN, "y");
    return t;
}

START_TEST(columns_are_aligned)
{
    struct buf out = BUF_EMPTY;
    struct table *t = sample();
    table_print(t, false, &out);
    ck_assert_str_eq(buf_string(&out), "NAME      N  WAY\n"
                                       "a         5  x\n"
                                       "  because\n"
                                       "h\xc3\xa9lio  1234  y\n");
    table_free(t);
    buf_free(&out);
}
END_TEST

START_TEST(colour_does_not_move_columns)
{
    struct buf out = BUF_EMPTY;
    struct table *t = sample();
    table_print(t, true, &out);
    ck_assert_ptr_nonnull(strstr(buf_string(&out), "a         \033[32m5\033[0m  x\n"));
    ck_assert_ptr_nonnull(strstr(buf_string(&out), "  \033[1;31mbecause\033[0m\n"));
    table_free(t);
    buf_free(&out);
}
END_TEST

START_TEST(control_characters_are_disarmed)
{
    struct buf out = BUF_EMPTY;
    print_toned(&out, false, TONE_PLAIN,
                "a\033[2J\r\nb\x7f \xc2\x9b"
                "c \xc3\xa9");
    ck_assert_str_eq(buf_string(&out), "a?[2J??b? ?c \xc3\xa9");
    buf_free(&out);
}
END_TEST

START_TEST(an_empty_table_has_its_titles)
{
    struct buf out = BUF_EMPTY;
    struct table *t = table_new(columns, 3);
    table_print(t, false, &out);
    ck_assert_str_eq(buf_string(&out), "NAME  N  WAY\n");
    table_free(t);
    table_free(NULL);
    buf_free(&out);
}
END_TEST

START_TEST(without_titles_and_with_empty_cells)
{
    static const struct column untitled[] = { { "", false }, { "", true }, { "", false } };
    struct buf out = BUF_EMPTY;
    struct table *t = table_new(untitled, 3);
    for (int i = 0; i < 3; i++)
        table_cell(t, TONE_PLAIN, "%s", "");
    table_cell(t, TONE_PLAIN, "a");
    table_cell(t, TONE_PLAIN, "b");
    table_cell(t, TONE_PLAIN, "%s", "");
    table_print(t, false, &out);
    ck_assert_str_eq(buf_string(&out), "\na  b\n");
    table_free(t);
    buf_free(&out);
}
END_TEST

START_TEST(a_long_text_with_nothing_behind_it_moves_no_other_row)
{
    static const struct column bare[] = { { "", false }, { "", false }, { "", false } };
    struct buf out = BUF_EMPTY;
    struct table *t = table_new(bare, 3);
    const char *const cells[] = { "state", "up", "for 5s", "reason", "nobody answers", "", "a", "5678", "x" };
    for (size_t i = 0; i < 9; i++)
        table_cell(t, TONE_PLAIN, "%s", cells[i]);
    table_print(t, false, &out);
    ck_assert_str_eq(buf_string(&out), "state   up    for 5s\n"
                                       "reason  nobody answers\n"
                                       "a       5678  x\n");
    table_free(t);
    buf_free(&out);
}
END_TEST

START_TEST(counts)
{
    static const struct {
        double n;
        const char *text;
    } cases[] = { { 0, "0" },         { 0.25, "0.2" },    { 3, "3" },          { 12.4, "12" }, { 9999, "9999" },
                  { 10000, "10.0k" }, { 123456, "123k" }, { 4500000, "4.5M" }, { 2e9, "2.0G" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char s[16];
        format_count(s, cases[i].n);
        ck_assert_str_eq(s, cases[i].text);
    }
}
END_TEST

START_TEST(bytes_and_ages)
{
    char s[24];
    format_bytes(s, 1023);
    ck_assert_str_eq(s, "1023 B");
    format_bytes(s, 1536);
    ck_assert_str_eq(s, "1.5 KiB");
    format_bytes(s, UINT64_MAX);
    ck_assert_str_eq(s, "16384 PiB");
    format_age(s, 59.9);
    ck_assert_str_eq(s, "59s");
    format_age(s, 3661);
    ck_assert_str_eq(s, "1h 1m");
    format_age(s, 90000);
    ck_assert_str_eq(s, "1d 1h");
    format_age(s, -1);
    ck_assert_str_eq(s, "0s");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("table");
    TCase *t = tcase_create("all");
    tcase_add_test(t, columns_are_aligned);
    tcase_add_test(t, colour_does_not_move_columns);
    tcase_add_test(t, control_characters_are_disarmed);
    tcase_add_test(t, an_empty_table_has_its_titles);
    tcase_add_test(t, without_titles_and_with_empty_cells);
    tcase_add_test(t, a_long_text_with_nothing_behind_it_moves_no_other_row);
    tcase_add_test(t, counts);
    tcase_add_test(t, bytes_and_ages);
    suite_add_tcase(s, t);
    return suite_run(s);
}
