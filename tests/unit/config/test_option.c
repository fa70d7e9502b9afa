/* Option tables: the single readers, defaults, every type read and printed, comparing. */
#include "config/option.h"

#include "base/clock.h"
#include "base/mem.h"
#include "support/suite.h"

#include <check.h>

struct inner {
    int64_t size;
    bool on;
};
struct everything {
    bool flag;
    int64_t number, wait, size;
    char *text, *secret;
    int choice;
    struct range range;
    struct string_list list;
    struct string_map map;
    struct inner inner;
    struct inner *optional;
    struct groups many;
};

static const char *const choices[] = { "red", "green", "blue", NULL };
static const struct option inner_options[] = {
    OPTION(struct inner, size, OPTION_SIZE, .fallback = "64KiB", .help = "size"),
    OPTION(struct inner, on, OPTION_BOOL, .help = "switch"),
    OPTION_END,
};
static const struct option options[] = {
    OPTION(struct everything, flag, OPTION_BOOL, .fallback = "true", .help = "flag"),
    OPTION(struct everything, number, OPTION_INT, .fallback = "7", .min = -5, .max = 100, .help = "number"),
    OPTION(struct everything, wait, OPTION_DURATION, .help = "wait"),
    OPTION_AS("the-size", struct everything, size, OPTION_SIZE, .help = "size"),
    OPTION(struct everything, text, OPTION_STRING, .fallback = "'a, b'", .help = "text"),
    OPTION(struct everything, secret, OPTION_SECRET, .help = "secret"),
    OPTION(struct everything, choice, OPTION_ENUM, .choices = choices, .fallback = "green", .help = "choice"),
    OPTION(struct everything, range, OPTION_DURATION_RANGE, .fallback = "200ms..30s", .help = "range"),
    OPTION(struct everything, list, OPTION_STRINGS, .fallback = "[x, y]", .help = "list"),
    OPTION(struct everything, map, OPTION_STRING_MAP, .fallback = "{ a: 1 }", .help = "map"),
    OPTION(struct everything, inner, OPTION_GROUP, .group = inner_options, .group_size = sizeof(struct inner),
           .help = "one"),
    OPTION(struct everything, optional, OPTION_GROUP_PTR, .group = inner_options, .group_size = sizeof(struct inner),
           .help = "perhaps one"),
    OPTION(struct everything, many, OPTION_GROUPS, .group = inner_options, .group_size = sizeof(struct inner),
           .help = "many"),
    OPTION_END,
};

static struct everything read_text(const char *text)
{
    struct everything e = { 0 };
    struct diagnostics *d = diagnostics_new();
    struct document *doc = document_parse("t", bytes_of_string(text), d);
    if (doc)
        options_read(options, document_root(doc), &e, "everything", NULL, d);
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    diagnostics_print(d, &out);
    ck_assert_msg(!diagnostics_errors(d), "%s%s", text, buf_string(&out));
    document_free(doc);
    diagnostics_free(d);
    return e;
}

START_TEST(durations)
{
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        { "5us", 5 },        { "200ms", 200 * MSEC },  { "5s", 5 * SEC },         { "1.5s", 1500 * MSEC },
        { "2m", 120 * SEC }, { "1h", 3600 * SEC },     { "2d", 2 * 86400 * SEC }, { "0s", 0 },
        { "0.5ms", 500 },    { "200 ms", 200 * MSEC },
    };
    static const char *const bad[] = { "",
                                       "5",
                                       "s",
                                       "-5s",
                                       "5 seconds",
                                       "1.s",
                                       ".5s",
                                       "0.5us",
                                       "1..2s",
                                       "5s ",
                                       " 5s",
                                       "9223372036854775808s",
                                       "99999999999999999999s",
                                       "1e3s",
                                       "5S" };
    int64_t us;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ck_assert_msg(parse_duration(good[i].text, &us), "%s", good[i].text);
        ck_assert_int_eq(us, good[i].us);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!parse_duration(bad[i], &us), "%s", bad[i]);
}
END_TEST

START_TEST(sizes)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {
        { "512", 512 },           { "64KiB", 65536 }, { "1GiB", 1 << 30 }, { "10MB", 10000000 },
        { "1.5 GiB", 3ll << 29 }, { "7B", 7 },        { "0", 0 },
    };
    static const char *const bad[] = { "", "1G", "1.5", "-1", "KiB", "1.3KiB", "9000000000GiB", "0x10" };
    int64_t bytes;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ck_assert_msg(parse_size(good[i].text, &bytes), "%s", good[i].text);
        ck_assert_int_eq(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!parse_size(bad[i], &bytes), "%s", bad[i]);
}
END_TEST

START_TEST(numbers)
{
    int64_t v;
    ck_assert(parse_int("9223372036854775807", &v) && v == INT64_MAX);
    ck_assert(parse_int("-9223372036854775808", &v) && v == INT64_MIN);
    ck_assert(parse_int("-0", &v) && v == 0);
    ck_assert(!parse_int("9223372036854775808", &v) && !parse_int("-9223372036854775809", &v));
    ck_assert(!parse_int("", &v) && !parse_int("-", &v) && !parse_int("+1", &v) && !parse_int("1 ", &v) &&
              !parse_int("0x1", &v) && !parse_int("1.0", &v));
}
END_TEST

START_TEST(bounds)
{
    static const struct option rows[] = {
        { .name = "a", .type = &OPTION_INT },
        { .name = "a", .type = &OPTION_INT, .min = 1, .max = 9 },
        { .name = "a", .type = &OPTION_INT, .min = 1, .max = INT64_MAX },
        { .name = "a", .type = &OPTION_INT, .min = 1 },
        { .name = "a", .type = &OPTION_INT, .min = -9, .max = 0 },
    };
    static const char *const expected[] = { "a whole number", "a whole number from 1 to 9",
                                            "a whole number of at least 1", "a whole number of at least 1",
                                            "a whole number from -9 to 0" };
    static const bool takes_ten[] = { true, false, true, true, false };
    struct node ten = { .type = NODE_SCALAR, .text = "10", .len = 2 };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_free) struct buf out = BUF_EMPTY;
        option_print_bounds(&rows[i], &out);
        ck_assert_str_eq(buf_string(&out), expected[i]);
        struct diagnostics *d = diagnostics_new();
        int64_t value;
        ck_assert(OPTION_INT.read(&rows[i], &ten, &value, d) == takes_ten[i]);
        diagnostics_free(d);
    }
}
END_TEST

START_TEST(defaults)
{
    struct everything e = { 0 }, f = read_text("{}");
    options_defaults(options, &e);
    ck_assert(e.flag);
    ck_assert_int_eq(e.number, 7);
    ck_assert_str_eq(e.text, "a, b");
    ck_assert_int_eq(e.choice, 1);
    ck_assert_int_eq(e.range.high, 30 * SEC);
    ck_assert_uint_eq(e.list.count, 2);
    ck_assert_str_eq(e.map.items[0].value, "1");
    ck_assert(e.map.items[0].typed);
    ck_assert_int_eq(e.inner.size, 65536);
    ck_assert_ptr_null(e.optional);
    ck_assert(options_equal(options, &e, &f));
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    options_print(options, &e, -1, false, &out);
    ck_assert_str_eq(buf_string(&out), "");
    options_print(options, &e, -1, true, &out);
    ck_assert_str_eq(buf_string(&out),
                     "flag: true, number: 7, text: 'a, b', choice: green, range: 200ms..30s, list: [x, y], "
                     "map: { a: 1 }, inner: { size: 64KiB, on: false }");
    options_free(options, &e);
    options_free(options, &f);
}
END_TEST

START_TEST(texts_are_verbatim)
{
    static const char *const texts[] = { "2024", "true", "1.50", "0x10", "1e3", "yes", "2024-01-01", "007" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char *yaml = mem_format("text: %s\nlist: %s\nmap: { k: %s }\n", texts[i], texts[i], texts[i]);
        struct everything e = read_text(yaml);
        ck_assert_str_eq(e.text, texts[i]);
        ck_assert_str_eq(e.list.items[0], texts[i]);
        ck_assert_str_eq(e.map.items[0].value, texts[i]);
        options_free(options, &e);
        free(yaml);
    }
    struct everything e = read_text("number: '5'\nflag: \"false\"\n");
    ck_assert_int_eq(e.number, 5);
    ck_assert(!e.flag);
    options_free(options, &e);
}
END_TEST

START_TEST(block_and_flow_read_back)
{
    struct everything e = read_text("flag: false\nnumber: -5\nwait: 90s\nthe-size: 1536\ntext: \"it's\\n$${x}\"\n"
                                    "secret: hunter2\nchoice: blue\nrange: 1s..1s\nlist: [null-ish, '~', '']\n"
                                    "map: { 'a b': '5', c: 5, d: true, e: 'true' }\ninner: { on: true }\n"
                                    "optional: { size: 1GiB }\nmany: [ { on: true }, {} ]\n");
    for (int indent = -1; indent <= 2; indent += 3) {
        CLEANUP(buf_free) struct buf out = BUF_EMPTY;
        options_print(options, &e, indent, indent >= 0, &out);
        ck_assert_ptr_null(strstr(buf_string(&out), "hunter2"));
        char *yaml = mem_format(indent < 0 ? "{ %s }" : "%s", buf_string(&out));
        struct everything f = read_text(yaml);
        ck_assert_str_eq(f.secret, "********");
        free(f.secret);
        f.secret = mem_string("hunter2");
        ck_assert_msg(options_equal(options, &e, &f), "%s", yaml);
        f.number++;
        ck_assert(!options_equal(options, &e, &f));
        options_free(options, &f);
        free(yaml);
    }
    options_free(options, &e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("option");
    TCase *c = tcase_create("option");
    tcase_add_test(c, durations);
    tcase_add_test(c, sizes);
    tcase_add_test(c, numbers);
    tcase_add_test(c, bounds);
    tcase_add_test(c, defaults);
    tcase_add_test(c, texts_are_verbatim);
    tcase_add_test(c, block_and_flow_read_back);
    suite_add_tcase(s, c);
    return suite_run(s);
}
