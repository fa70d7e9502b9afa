/* Tests the mapping both ways: messages through AMQP and back, AMQP through messages and back. */
#include "endpoint/rabbitmq/properties.h"

#include "base/mem.h"
#include "endpoint/rabbitmq/table.h"
#include "support/suite.h"

#include <check.h>
#include <stdio.h>

static struct properties_reader reader;
static struct properties_writer writer;
static struct arena arena;

static void setup(void)
{
    memset(&reader, 0, sizeof reader);
    memset(&writer, 0, sizeof writer);
    memset(&arena, 0, sizeof arena);
    writer.user = BYTES_LITERAL("guest");
}

static void teardown(void)
{
    rabbit_properties_reader_close(&reader);
    rabbit_properties_writer_close(&writer);
    rabbit_arena_close(&arena);
}

static struct message *read_message(struct bytes raw, const char *body)
{
    uint8_t *extra;
    return rabbit_properties_read(&reader, &arena, raw, bytes_of_string(body), 0, &extra);
}

struct given {
    const char *name, *value;
    enum header_type type;
};

static struct message *make(const struct given *headers, size_t n)
{
    struct message *m = message_new();
    message_set_payload(m, BYTES_LITERAL("body"));
    if (!n)
        return m;
    m->headers = headers_new((uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        m->headers->items[i] = (struct header){ bytes_of_string(headers[i].name), bytes_of_string(headers[i].value),
                                                headers[i].type };
        if (headers[i].type == HEADER_NULL)
            m->headers->items[i].value = BYTES_NULL;
    }
    headers_seal(m->headers);
    return m;
}

/* Through AMQP and back; the caller's reference of m goes. */
static struct message *there_and_back(struct message *m)
{
    struct buf raw = BUF_EMPTY;
    const char *problem = rabbit_properties_write(&writer, m, 100000, &raw);
    ck_assert_msg(!problem, "%s", problem);
    struct message *back = read_message(buf_bytes(&raw), m->payload ? "body" : "");
    buf_free(&raw);
    message_unref(m);
    return back;
}

static void assert_headers(const struct message *m, const struct given *expected, size_t n)
{
    ck_assert_uint_eq(m->headers ? m->headers->count : 0, n);
    for (size_t i = 0; i < n; i++) {
        const struct header *h = &m->headers->items[i];
        ck_assert_msg(bytes_is(h->name, expected[i].name), "%zu: %.*s is not %s", i, (int)h->name.len,
                      (const char *)h->name.data, expected[i].name);
        ck_assert_msg(h->type == expected[i].type, "%s: %s", expected[i].name, header_type_name(h->type));
        if (h->type == HEADER_NULL)
            ck_assert_ptr_null(h->value.data);
        else
            ck_assert_msg(bytes_is(h->value, expected[i].value), "%s: %.*s is not %s", expected[i].name,
                          (int)h->value.len, (const char *)h->value.data, expected[i].value);
    }
}

static void assert_same_headers(const struct given *headers, size_t n)
{
    struct message *back = there_and_back(make(headers, n));
    assert_headers(back, headers, n);
    message_unref(back);
}
#define SAME(headers) assert_same_headers(headers, ARRAY_LEN(headers))

static const struct given every_type[] = {
    { "text", "a", HEADER_BYTES },
    { "empty", "", HEADER_BYTES },
    { "void", NULL, HEADER_NULL },
    { "yes", "true", HEADER_BOOL },
    { "no", "false", HEADER_BOOL },
    { "i8", "-128", HEADER_I8 },
    { "u8", "255", HEADER_U8 },
    { "i16", "-32768", HEADER_I16 },
    { "u16", "65535", HEADER_U16 },
    { "i32", "-2147483648", HEADER_I32 },
    { "u32", "4294967295", HEADER_U32 },
    { "i64", "-9223372036854775808", HEADER_I64 },
    { "u64", "18446744073709551615", HEADER_U64 }, /* RabbitMQ has none: ferry.types */
    { "f32", "1.5", HEADER_F32 },
    { "f64", "0.1", HEADER_F64 },
    { "nan", "nan", HEADER_F64 },  /* nor this */
    { "inf", "-inf", HEADER_F32 }, /* nor this */
    { "decimal", "12345e-2", HEADER_DECIMAL },
    { "at", "1700000000", HEADER_TIMESTAMP },
    { "blob", "\1\377", HEADER_BLOB },
    { "table", "{\"a\":{\"i32\":\"1\"},\"b\":{\"table\":{}},\"c\":{\"base64\":\"/w==\"}}", HEADER_TABLE },
    { "array", "[{\"bytes\":\"x\"},{\"array\":[]},{\"null\":null},{\"blob\":\"AQ==\"}]", HEADER_ARRAY },
};

START_TEST(every_type_survives)
{
    SAME(every_type);
    for (size_t i = 0; i < ARRAY_LEN(every_type); i++)
        assert_same_headers(&every_type[i], 1);
}
END_TEST

START_TEST(repeated_headers_keep_their_places)
{
    static const struct given headers[] = {
        { "a", "1", HEADER_BYTES },
        { "b", "x", HEADER_BYTES },
        { "a", NULL, HEADER_NULL },
        { "c", "7", HEADER_I32 },
        { "b", "18446744073709551615", HEADER_U64 },
        { "a", "3", HEADER_I16 },
        { "n,=;%", "1", HEADER_BYTES },
        { "n,=;%", "", HEADER_BYTES },
    };
    static const struct given one_array[] = { { "a", "[{\"i32\":\"1\"},{\"i32\":\"2\"}]", HEADER_ARRAY } };
    SAME(headers);
    SAME(one_array);
    static struct given flood[3000];
    static char names[3000][8];
    for (size_t i = 0; i < 3000; i++) {
        snprintf(names[i], sizeof names[i], "h%zu", i % 1000);
        flood[i] = (struct given){ names[i], "v", HEADER_BYTES };
    }
    SAME(flood);
}
END_TEST

START_TEST(properties_are_headers)
{
    static const struct given headers[] = {
        { "amqp.content-type", "text/plain", HEADER_BYTES },
        { "amqp.content-encoding", "gzip", HEADER_BYTES },
        { "mine", "1", HEADER_BYTES },
        { "amqp.delivery-mode", "1", HEADER_BYTES },
        { "amqp.priority", "9", HEADER_BYTES },
        { "amqp.correlation-id", "c", HEADER_BYTES },
        { "amqp.reply-to", "r", HEADER_BYTES },
        { "amqp.expiration", "60000", HEADER_BYTES },
        { "amqp.message-id", "m-1", HEADER_BYTES },
        { "amqp.timestamp", "1700000000", HEADER_BYTES },
        { "amqp.type", "t", HEADER_BYTES },
        { "amqp.user-id", "guest", HEADER_BYTES },
        { "amqp.app-id", "a", HEADER_BYTES },
        { "amqp.cluster-id", "x", HEADER_BYTES },
    };
    struct message *back = there_and_back(make(headers, ARRAY_LEN(headers)));
    char scratch[MESSAGE_ID_MAX];
    assert_headers(back, headers, ARRAY_LEN(headers));
    ck_assert(bytes_is(message_id(back, scratch), "m-1"));
    ck_assert(back->flags & MESSAGE_ID_STABLE);
    ck_assert_int_eq(back->timestamp_ms, 1700000000000);
    message_unref(back);
}
END_TEST

/* What RabbitMQ would close the channel for, or cannot hold, is an ordinary header of that name. */
START_TEST(properties_that_do_not_fit)
{
    char long_text[300];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[299] = 0;
    const struct given headers[] = {
        { "amqp.expiration", "soon", HEADER_BYTES }, { "amqp.user-id", "somebody", HEADER_BYTES },
        { "amqp.priority", "256", HEADER_BYTES },    { "amqp.delivery-mode", "3", HEADER_BYTES },
        { "amqp.type", long_text, HEADER_BYTES },    { "amqp.app-id", NULL, HEADER_NULL },
        { "amqp.other", "free", HEADER_BYTES },
    };
    struct message *back = there_and_back(make(headers, ARRAY_LEN(headers)));
    ck_assert_uint_eq(back->headers->count, ARRAY_LEN(headers));
    for (size_t i = 0; i + 1 < ARRAY_LEN(headers); i++) {
        char name[64];
        snprintf(name, sizeof name, "amqp.headers.%s", headers[i].name);
        ck_assert(bytes_is(back->headers->items[i].name, name));
    }
    ck_assert(bytes_is(back->headers->items[6].name, "amqp.other"));
    /* And from there on nothing changes any more. */
    struct message *again = there_and_back(message_ref(back));
    for (uint32_t i = 0; i < back->headers->count; i++)
        ck_assert(bytes_equal(again->headers->items[i].name, back->headers->items[i].name));
    message_unref(again);
    message_unref(back);
}
END_TEST

START_TEST(reserved_names_are_escaped)
{
    static const struct given headers[] = {
        { "ferry.key", "k", HEADER_BYTES },       { "ferry.null", "true", HEADER_BOOL },
        { "ferry.derived", "id", HEADER_BYTES },  { "ferry.repeated", "a=0,1", HEADER_BYTES },
        { "ferry.types", "x=i32", HEADER_BYTES }, { "ferry.escaped.x", "1", HEADER_BYTES },
        { "ferry.other", "1", HEADER_BYTES },     { "CC", "elsewhere", HEADER_BYTES },
        { "BCC", "elsewhere", HEADER_BYTES },     { "CC", "twice", HEADER_BYTES },
    };
    SAME(headers);
}
END_TEST

START_TEST(key_null_payload_id_and_time)
{
    struct message *m = make(NULL, 0);
    message_set_key(m, bytes_of("k\0\377", 3));
    message_set_payload(m, BYTES_NULL);
    m->id = (const uint8_t *)"topic-0-7";
    m->id_len = 9;
    m->flags = MESSAGE_ID_STABLE;
    m->timestamp_ms = 1700000000123;
    struct buf raw = BUF_EMPTY;
    ck_assert_ptr_null(rabbit_properties_write(&writer, m, 1000, &raw));
    /* Other consumers find id and time where AMQP has them. */
    ck_assert(memmem(raw.data, raw.len, "\x09topic-0-7\0\0\0\0\x65\x53\xf1\x00", 18));
    struct message *back = there_and_back(m);
    char scratch[MESSAGE_ID_MAX];
    ck_assert_ptr_null(back->headers);
    ck_assert_ptr_null(back->payload);
    ck_assert(bytes_equal(message_key(back), bytes_of("k\0\377", 3)));
    ck_assert(bytes_is(message_id(back, scratch), "topic-0-7"));
    ck_assert_int_eq(back->timestamp_ms, 1700000000123);
    message_unref(back);
    buf_free(&raw);

    m = make(NULL, 0);
    message_set_payload(m, BYTES_LITERAL(""));
    message_set_key(m, BYTES_LITERAL(""));
    raw = BUF_EMPTY;
    ck_assert_ptr_null(rabbit_properties_write(&writer, m, 1000, &raw));
    back = read_message(buf_bytes(&raw), "");
    ck_assert_ptr_nonnull(back->payload);
    ck_assert_ptr_nonnull(back->key);
    message_unref(back);
    message_unref(m);
    buf_free(&raw);
}
END_TEST

START_TEST(unstable_ids_are_not_published)
{
    struct message *m = make(NULL, 0);
    m->id = (const uint8_t *)"list-1";
    m->id_len = 6;
    m = there_and_back(m);
    ck_assert_ptr_null(m->headers);
    ck_assert_ptr_null(m->id);
    message_unref(m);
}
END_TEST

static struct bytes raw_of(struct buf *raw, unsigned flags, const char *rest, size_t len)
{
    buf_clear(raw);
    write_number(raw, flags, 2);
    buf_append(raw, rest, len);
    return buf_bytes(raw);
}

/* Whatever AMQP may contain becomes a message and the same bytes again. */
START_TEST(amqp_to_message_and_back)
{
    static const char table[] = "\0\0\0\x7a"
                                "\x01tt\x01\x01"
                                "b"
                                "b\x80\x01"
                                "B"
                                "B\xff\x01"
                                "ss\x80\x00\x01uu\xff\xff\x01II\x80\x00\x00\x00\x01ii\xff\xff\xff\xff"
                                "\x01ll\x80\x00\x00\x00\x00\x00\x00\x00\x01"
                                "ff\x3f\x80\x00\x00\x01"
                                "dd\x3f\xf0\x00\x00\x00\x00\x00\x00\x01"
                                "DD\x02\x00\x00\x00\x05\x01TT\x00\x00\x00\x00\x00\x00\x00\x01\x01SS\x00\x00\x00\x01s"
                                "\x01xx\x00\x00\x00\x01\x00\x01"
                                "AA\x00\x00\x00\x02t\x00\x01"
                                "FF\x00\x00\x00\x06\x01vV\x01wV\x01VV";
    struct buf raw = BUF_EMPTY, out = BUF_EMPTY;
    size_t len = sizeof table - 1;
    char copy[sizeof table];
    memcpy(copy, table, sizeof table);
    store_number((uint8_t *)copy, len - 4, 4);
    char rest[sizeof table + 1];
    memcpy(rest, copy, len);
    rest[len] = 2; /* delivery-mode */
    struct bytes encoded = raw_of(&raw, 0x3000, rest, len + 1);
    struct message *m = read_message(encoded, "x");
    ck_assert_uint_eq(m->headers->count, 17);
    ck_assert_ptr_null(rabbit_properties_write(&writer, m, 1000, &out));
    ck_assert(bytes_equal(buf_bytes(&out), encoded));
    message_unref(m);
    buf_free(&raw);
    buf_free(&out);
}
END_TEST

START_TEST(malformed_properties_are_kept_raw)
{
    static const struct {
        unsigned flags;
        const char *rest;
        size_t len;
    } cases[] = {
        { 0x8000, "\5abc", 4 },                  /* cut off */
        { 0x0001, "", 0 },                       /* more flags */
        { 0x2000, "\0\0\0\3\1aQ", 7 },           /* an unknown kind */
        { 0x2000, "\0\0\0\7\1aS\0\0\0\4x", 11 }, /* a string beyond its table */
        { 0x2000, "\377\377\377\377", 4 },       /* a table beyond everything */
        { 0x0000, "rest", 4 },                   /* more than the flags say */
    };
    struct buf raw = BUF_EMPTY;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes encoded = raw_of(&raw, cases[i].flags, cases[i].rest, cases[i].len);
        struct message *m = read_message(encoded, "x");
        ck_assert_uint_eq(m->headers->count, 1);
        ck_assert(bytes_is(m->headers->items[0].name, "amqp.raw"));
        ck_assert(bytes_equal(m->headers->items[0].value, encoded));
        ck_assert(bytes_is(message_payload(m), "x"));
        message_unref(m);
    }
    /* Arrays in arrays, without end. */
    buf_clear(&raw);
    write_number(&raw, 0x2000, 2);
    write_number(&raw, 3 + 5 * 20000, 4);
    buf_append(&raw, "\1a", 2);
    for (unsigned left = 20000; left--;) {
        buf_append_byte(&raw, 'A');
        write_number(&raw, 5 * left + 1, 4);
    }
    buf_append_byte(&raw, 'V');
    struct message *m = read_message(buf_bytes(&raw), "x");
    ck_assert(bytes_is(m->headers->items[0].name, "amqp.raw"));
    message_unref(m);
    buf_free(&raw);
}
END_TEST

START_TEST(what_amqp_cannot_hold_is_refused)
{
    char long_name[257], big[3000];
    memset(long_name, 'n', 256);
    long_name[256] = 0;
    memset(big, 'v', sizeof big - 1);
    big[sizeof big - 1] = 0;
    const struct given too_long = { long_name, "1", HEADER_BYTES }, too_big = { "a", big, HEADER_BYTES };
    struct buf out = BUF_EMPTY;
    struct message *m = make(&too_long, 1);
    ck_assert_ptr_nonnull(strstr(rabbit_properties_write(&writer, m, 4000, &out), "255"));
    ck_assert_uint_eq(out.len, 0);
    message_unref(m);
    m = make(&too_big, 1);
    ck_assert_ptr_nonnull(strstr(rabbit_properties_write(&writer, m, 3000, &out), "frame"));
    ck_assert_uint_eq(out.len, 0);
    ck_assert_ptr_null(rabbit_properties_write(&writer, m, 4000, &out));
    message_unref(m);
    buf_free(&out);
}
END_TEST

START_TEST(arena_memory_lives_with_its_messages)
{
    struct message *held[200];
    for (size_t round = 0; round < 50; round++)
        for (size_t i = 0; i < ARRAY_LEN(held); i++) {
            char body[1000];
            memset(body, (int)('a' + i % 26), sizeof body - 1);
            body[round == 7 ? 900 : i] = 0;
            if (round)
                message_unref(held[i]);
            held[i] = read_message(BYTES_LITERAL("\0\0"), body);
            ck_assert(bytes_is(message_payload(held[i]), body));
        }
    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        for (size_t k = 0; k < held[i]->payload_len; k++)
            ck_assert_uint_eq(held[i]->payload[k], 'a' + i % 26);
        message_unref(held[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rabbitmq properties");
    TCase *t = tcase_create("mapping");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, every_type_survives);
    tcase_add_test(t, repeated_headers_keep_their_places);
    tcase_add_test(t, properties_are_headers);
    tcase_add_test(t, properties_that_do_not_fit);
    tcase_add_test(t, reserved_names_are_escaped);
    tcase_add_test(t, key_null_payload_id_and_time);
    tcase_add_test(t, unstable_ids_are_not_published);
    tcase_add_test(t, amqp_to_message_and_back);
    tcase_add_test(t, malformed_properties_are_kept_raw);
    tcase_add_test(t, what_amqp_cannot_hold_is_refused);
    tcase_add_test(t, arena_memory_lives_with_its_messages);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
