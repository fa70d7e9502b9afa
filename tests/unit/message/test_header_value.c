/* Tests the texts of header values: what is accepted, what is written, tables and escapes. */
#include "message/header_value.h"

#include "base/mem.h"
#include "support/suite.h"

#include <check.h>
#include <float.h>

static struct bytes text_of(const char *s)
{
    return bytes_of_string(s);
}

static void assert_buf(const struct buf *b, const char *text)
{
    ck_assert_msg(bytes_is(buf_bytes(b), text), "\"%.*s\" is not \"%s\"", (int)b->len, (const char *)b->data, text);
}

START_TEST(test_what_is_valid)
{
    static const struct {
        enum header_type type;
        const char *good, *bad; /* separated by spaces; "_" is the empty text */
    } rows[] = {
        { HEADER_BOOL, "true false", "_ TRUE 1 yes" },
        { HEADER_I8, "0 -1 127 -128", "_ - 128 -129 +1 01 -0 1.0 0x1" },
        { HEADER_U8, "0 255", "256 -1" },
        { HEADER_I16, "32767 -32768", "32768 -32769" },
        { HEADER_U16, "65535", "65536" },
        { HEADER_I32, "2147483647 -2147483648", "2147483648 -2147483649" },
        { HEADER_U32, "4294967295", "4294967296" },
        { HEADER_I64, "9223372036854775807 -9223372036854775808", "9223372036854775808 -9223372036854775809" },
        { HEADER_U64, "18446744073709551615", "18446744073709551616 99999999999999999999 000000000000000000000" },
        { HEADER_TIMESTAMP, "0 1700000000", "-1 now" },
        { HEADER_F32, "0 -0 0.1 1e+10 16777216 inf -inf nan nan:7fc00001",
          "0.10 1e10 0x1p3 nan:7fc00000 NAN infinity 1f" },
        { HEADER_F64, "0.1 5e-324 1.7976931348623157e+308 nan:fff8000000000000", "0.1000 1e999 nan: nan:1" },
        { HEADER_DECIMAL, "12345e-2 0e-0 4294967295e-255", "12345 e-2 1e2 1e-256 4294967296e-0 -1e-1" },
        { HEADER_TABLE, "{} {\"a\":{\"i32\":\"5\"}} {\"n\":{\"null\":null}}",
          "[] {\"a\":5} {\"a\":{\"i32\":5}} {\"a\":{\"i32\":\"x\"}} {\"a\":{}} {\"a\":{\"blob\":\"?\"}} {\"%\":{\"null\":null}} "
          "{\"a\":{\"null\":null},\"a\":{\"null\":null}} _" },
        { HEADER_ARRAY, "[] [{\"bool\":\"true\"},{\"array\":[]}]", "{} [1] [[]] [{\"table\":[]}]" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int good = 0; good < 2; good++) {
            CLEANUP(buf_free) struct buf words = BUF_EMPTY;
            buf_append_string(&words, good ? rows[i].good : rows[i].bad);
            char *rest = NULL;
            for (char *w = strtok_r(buf_string(&words), " ", &rest); w; w = strtok_r(NULL, " ", &rest))
                ck_assert_msg(header_value_valid(rows[i].type, text_of(strcmp(w, "_") ? w : "")) == good, "%s as %s", w,
                              header_type_name(rows[i].type));
        }
    ck_assert(header_value_valid(HEADER_NULL, BYTES_NULL));
    ck_assert(!header_value_valid(HEADER_NULL, text_of("")));
    ck_assert(!header_value_valid(HEADER_I32, BYTES_NULL));
    ck_assert(header_value_valid(HEADER_BLOB, bytes_of("\0\xff", 2)));
    ck_assert(!header_value_valid(HEADER_F64, bytes_of("1\0", 2)));
}
END_TEST

START_TEST(test_type_names_read_back)
{
    enum header_type t;
    for (int i = 0; i < HEADER_TYPES; i++) {
        ck_assert(header_type_parse(text_of(header_type_name((enum header_type)i)), &t));
        ck_assert_int_eq(t, i);
    }
    ck_assert(!header_type_parse(text_of("int"), &t));
}
END_TEST

START_TEST(test_floats_are_short)
{
    static const struct {
        double number;
        const char *f32, *f64;
    } rows[] = { { 0.1, "0.1", "0.1" },
                 { 100, "100", "100" },
                 { 1.0 / 3, "0.33333334", "0.3333333333333333" },
                 { -0.0, "-0", "-0" },
                 { 3e8, "3e+08", "300000000" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_free) struct buf out = BUF_EMPTY;
        float f = (float)rows[i].number;
        uint32_t bits32;
        uint64_t bits64;
        memcpy(&bits32, &f, 4);
        memcpy(&bits64, &rows[i].number, 8);
        header_write_f32(bits32, &out);
        assert_buf(&out, rows[i].f32);
        buf_clear(&out);
        header_write_f64(bits64, &out);
        assert_buf(&out, rows[i].f64);
    }
}
END_TEST

START_TEST(test_fields_of_a_table)
{
    struct headers *h = headers_new(5);
    h->items[0] = (struct header){ text_of("a%b"), text_of("5"), HEADER_I32 };
    h->items[1] = (struct header){ bytes_of("\xff\n", 2), bytes_of("\xff", 1), HEADER_BYTES };
    h->items[2] = (struct header){ text_of("\xc3\xa9"), bytes_of("say \"\0\"", 7), HEADER_BYTES };
    h->items[3] = (struct header){ text_of("none"), BYTES_NULL, HEADER_NULL };
    h->items[4] = (struct header){ text_of("t"), text_of("{\"x\":{\"blob\":\"\"}}"), HEADER_TABLE };
    headers_seal(h);
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    header_write_fields(HEADER_TABLE, h, &out);
    assert_buf(
        &out,
        "{\"a%25b\":{\"i32\":\"5\"},\"%FF%0A\":{\"base64\":\"/w==\"},\"\xc3\xa9\":{\"bytes\":\"say \\\"\\u0000\\\"\"},"
        "\"none\":{\"null\":null},\"t\":{\"table\":{\"x\":{\"blob\":\"\"}}}}");
    struct headers *back = header_read_fields(HEADER_TABLE, buf_bytes(&out));
    ck_assert_ptr_nonnull(back);
    ck_assert_uint_eq(back->count, h->count);
    for (uint32_t i = 0; i < h->count; i++) {
        ck_assert(bytes_equal(back->items[i].name, h->items[i].name));
        ck_assert(bytes_equal(back->items[i].value, h->items[i].value));
        ck_assert_int_eq(back->items[i].type, h->items[i].type);
    }
    headers_unref(back);
    headers_unref(h);
}
END_TEST

START_TEST(test_depth_is_bounded)
{
    for (int depth = HEADER_DEPTH_MAX - 1; depth <= HEADER_DEPTH_MAX; depth++) {
        CLEANUP(buf_free) struct buf text = BUF_EMPTY;
        for (int i = 0; i < depth; i++)
            buf_append_string(&text, "[{\"array\":");
        buf_append_string(&text, "[]");
        for (int i = 0; i < depth; i++)
            buf_append_string(&text, "}]");
        ck_assert_int_eq(header_value_valid(HEADER_ARRAY, buf_bytes(&text)), depth < HEADER_DEPTH_MAX);
    }
}
END_TEST

START_TEST(test_base64)
{
    static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" } };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        CLEANUP(buf_free) struct buf out = BUF_EMPTY;
        base64_encode(text_of(pairs[i][0]), &out);
        assert_buf(&out, pairs[i][1]);
        buf_clear(&out);
        ck_assert(base64_decode(text_of(pairs[i][1]), &out));
        assert_buf(&out, pairs[i][0]);
    }
    static const char *const bad[] = { "Zg=", "Zg", "Z===", "Zg==Zg==", " Zg=", "Zg= ", "====", "Zm9\n", "Z\xff==" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(buf_free) struct buf out = BUF_EMPTY;
        buf_append_string(&out, "before");
        ck_assert_msg(!base64_decode(text_of(bad[i]), &out), "%s", bad[i]);
        assert_buf(&out, "before");
    }
}
END_TEST

START_TEST(test_percent)
{
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    percent_escape(bytes_of("a=b%\0\x7f\xff", 7), "=;#", false, &out);
    assert_buf(&out, "a%3Db%25%00%7F\xff");
    CLEANUP(buf_free) struct buf back = BUF_EMPTY;
    ck_assert(percent_unescape(buf_bytes(&out), &back));
    ck_assert(bytes_equal(buf_bytes(&back), bytes_of("a=b%\0\x7f\xff", 7)));
    ck_assert(!percent_unescape(text_of("abc%4"), &back));
    ck_assert(!percent_unescape(text_of("abc%4g"), &back));
    ck_assert_uint_eq(back.len, 7);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("header_value");
    TCase *cases = tcase_create("header_value");
    tcase_add_test(cases, test_what_is_valid);
    tcase_add_test(cases, test_type_names_read_back);
    tcase_add_test(cases, test_floats_are_short);
    tcase_add_test(cases, test_fields_of_a_table);
    tcase_add_test(cases, test_depth_is_bounded);
    tcase_add_test(cases, test_base64);
    tcase_add_test(cases, test_percent);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
