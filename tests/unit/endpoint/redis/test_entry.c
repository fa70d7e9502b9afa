/* Tests the mapping between messages and stream entries, both ways. */
#include "endpoint/redis/entry.h"

#include "base/mem.h"
#include "support/suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const struct entry_names names = { { (const uint8_t *)"payload", 7 }, { (const uint8_t *)"key", 3 } };
static struct resp_decoder d;
static struct buf wire, types;

static void teardown(void)
{
    resp_decoder_free(&d);
    buf_free(&wire);
    buf_free(&types);
}

/* The entry as XREADGROUP sends it. */
static struct reply written(const struct message *m)
{
    struct entry_shape shape;
    entry_measure(&names, m, &types, &shape);
    buf_clear(&wire);
    buf_printf(&wire, "*2\r\n$4\r\n77-8\r\n*%u\r\n", shape.words);
    uint8_t *start = buf_reserve(&wire, shape.size), *end = entry_put(&names, m, &shape, start);
    ck_assert_uint_le((size_t)(end - start), shape.size);
    wire.len += (size_t)(end - start);
    resp_decoder_reset(&d);
    ck_assert_int_eq(resp_decode(&d, wire.data, wire.len), RESP_DONE);
    ck_assert_uint_eq(d.scanned, wire.len);
    return (struct reply){ wire.data, d.nodes, d.count, NULL };
}

static void assert_field(const struct reply *r, uint32_t n, const char *name, const char *value)
{
    ck_assert_msg(bytes_is(reply_text(r, 3 + 2 * n), name) && bytes_is(reply_text(r, 4 + 2 * n), value),
                  "field %u is not %s=%s", n, name, value);
}

/* Writes m, reads it back, compares; the reply stays in d. */
static struct reply round_trip(const struct message *m)
{
    struct reply r = written(m);
    struct message *back = entry_read(&names, &r, 1, 2);
    ck_assert_ptr_nonnull(back);
    ck_assert(bytes_equal(message_payload(back), message_payload(m)));
    ck_assert(bytes_equal(message_key(back), message_key(m)));
    uint32_t count = m->headers ? m->headers->count : 0;
    ck_assert_uint_eq(back->headers ? back->headers->count : 0, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct header *a = &m->headers->items[i], *b = &back->headers->items[i];
        ck_assert(bytes_equal(a->name, b->name) && bytes_equal(a->value, b->value));
        ck_assert_int_eq(a->type, b->type);
    }
    message_unref(back);
    return r;
}

static struct message *make(struct bytes payload, struct bytes key, const struct header *headers, uint32_t n)
{
    struct message *m = message_new();
    message_set_payload(m, payload);
    message_set_key(m, key);
    if (n) {
        m->headers = headers_new(n);
        memcpy(m->headers->items, headers, n * sizeof *headers);
        headers_seal(m->headers);
    }
    return m;
}

#define H(n, v, t)                                                                                         \
    {                                                                                                      \
        .name = { (const uint8_t *)(n), sizeof(n) - 1 }, .value = { (const uint8_t *)(v), sizeof(v) - 1 }, \
        .type = (enum header_type)t                                                                        \
    }

START_TEST(test_payload_and_key)
{
    struct message *m = make(BYTES_LITERAL("body"), BYTES_LITERAL("k1"), NULL, 0);
    struct reply r = round_trip(m);
    ck_assert(reply_is_array(&r, 2, 4));
    assert_field(&r, 0, "payload", "body");
    assert_field(&r, 1, "key", "k1");
    struct message *back = entry_read(&names, &r, 1, 2);
    char scratch[MESSAGE_ID_MAX];
    ck_assert(bytes_is(message_id(back, scratch), "77-8"));
    ck_assert(back->flags & MESSAGE_ID_STABLE);
    ck_assert_int_eq(back->timestamp_ms, 77);
    message_unref(back);
    message_unref(m);
}
END_TEST

START_TEST(test_null_is_not_empty)
{
    struct bytes forms[] = { BYTES_NULL, BYTES_LITERAL(""), BYTES_LITERAL("\0\r\n\xff") };
    for (int p = 0; p < 3; p++)
        for (int k = 0; k < 3; k++) {
            struct message *m = make(forms[p], forms[k], NULL, 0);
            struct reply r = round_trip(m);
            if (p == 0 && k == 0)
                assert_field(&r, 0, "ferry.empty", "");
            message_unref(m);
        }
}
END_TEST

START_TEST(test_headers)
{
    static const struct header headers[] = {
        H("a", "1", HEADER_BYTES),
        H("a", "", HEADER_BYTES),
        H("", "no name", HEADER_BYTES),
        H("b\0c", "\0", HEADER_BYTES),
        { .name = { (const uint8_t *)"gone", 4 }, .type = HEADER_NULL },
        H("n", "-5", HEADER_I32),
        H("a", "2024", HEADER_TIMESTAMP),
    };
    struct message *m = make(BYTES_LITERAL("x"), BYTES_NULL, headers, ARRAY_LEN(headers));
    struct reply r = round_trip(m);
    assert_field(&r, 1, "a", "1");
    assert_field(&r, 8, "ferry.types", "gone=null;n=i32;a#3=timestamp");
    message_unref(m);
}
END_TEST

START_TEST(test_names_that_mean_something)
{
    static const struct header headers[] = {
        H("payload", "not the payload", HEADER_BYTES),
        H("key", "not the key", HEADER_BYTES),
        H("ferry.empty", "", HEADER_BYTES),
        H("ferry.header.x", "y", HEADER_BYTES),
        H("ferry.other", "z", HEADER_BYTES),
        H("ferry.types", "n=i32", HEADER_BYTES),
        H("payload", "7", HEADER_U8),
    };
    for (int with = 0; with < 2; with++) {
        struct bytes body = with ? BYTES_LITERAL("body") : BYTES_NULL;
        struct message *m = make(body, body, headers, ARRAY_LEN(headers));
        struct reply r = round_trip(m);
        assert_field(&r, with ? 2 : 0, "ferry.header.payload", "not the payload");
        message_unref(m);
    }
}
END_TEST

START_TEST(test_an_untyped_ferry_types)
{
    static const struct header headers[] = { H("n", "5", HEADER_BYTES), H("ferry.types", "n=i32", HEADER_BYTES) };
    struct message *m = make(BYTES_LITERAL("x"), BYTES_NULL, headers, ARRAY_LEN(headers));
    round_trip(m);
    message_unref(m);
}
END_TEST

static struct message *read_text(const char *text)
{
    buf_clear(&wire);
    buf_append_string(&wire, text);
    resp_decoder_reset(&d);
    ck_assert_int_eq(resp_decode(&d, wire.data, wire.len), RESP_DONE);
    struct reply r = { wire.data, d.nodes, d.count, NULL };
    return entry_read(&names, &r, 1, 2);
}

START_TEST(test_entries_of_others)
{
    /* Two payloads: the first is the payload, the other a header. */
    struct message *m = read_text("*2\r\n$3\r\n1-0\r\n*6\r\n$7\r\npayload\r\n$1\r\na\r\n$1\r\nx\r\n$1\r\ny\r\n"
                                  "$7\r\npayload\r\n$1\r\nb\r\n");
    ck_assert(bytes_is(message_payload(m), "a"));
    ck_assert_uint_eq(m->headers->count, 2);
    ck_assert(bytes_is(m->headers->items[1].name, "payload") && bytes_is(m->headers->items[1].value, "b"));
    message_unref(m);
    /* None: there is no payload. */
    m = read_text("*2\r\n$3\r\n1-0\r\n*2\r\n$4\r\ntemp\r\n$2\r\n21\r\n");
    ck_assert(!m->payload && m->headers->count == 1);
    message_unref(m);
}
END_TEST

START_TEST(test_what_is_no_entry)
{
    static const char *const texts[] = {
        "*2\r\n$3\r\n1-0\r\n*1\r\n$7\r\npayload\r\n",
        "*2\r\n$3\r\n1-0\r\n*2\r\n$7\r\npayload\r\n:5\r\n",
        "*2\r\n$1\r\n1\r\n*2\r\n$7\r\npayload\r\n$1\r\na\r\n",
        "*2\r\n$-1\r\n*2\r\n$7\r\npayload\r\n$1\r\na\r\n",
        "*2\r\n$3\r\n1-0\r\n$-1\r\n",
        "*1\r\n$3\r\n1-0\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ck_assert_ptr_null(read_text(texts[i]));
}
END_TEST

START_TEST(test_ids)
{
    struct entry_id id;
    char text[ENTRY_ID_MAX];
    ck_assert(entry_id_parse(BYTES_LITERAL("18446744073709551615-18446744073709551615"), &id));
    ck_assert_uint_eq(entry_id_print(id, text), 41);
    ck_assert_str_eq(text, "18446744073709551615-18446744073709551615");
    static const char *const bad[] = { "", "1", "1-", "-1", "1-2-3", "18446744073709551616-0", "1-2 ", "a-b" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!entry_id_parse(bytes_of_string(bad[i]), &id), "%s", bad[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("entry");
    TCase *cases = tcase_create("entry");
    tcase_add_checked_fixture(cases, NULL, teardown);
    tcase_add_test(cases, test_payload_and_key);
    tcase_add_test(cases, test_null_is_not_empty);
    tcase_add_test(cases, test_headers);
    tcase_add_test(cases, test_names_that_mean_something);
    tcase_add_test(cases, test_an_untyped_ferry_types);
    tcase_add_test(cases, test_entries_of_others);
    tcase_add_test(cases, test_what_is_no_entry);
    tcase_add_test(cases, test_ids);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
