/* Tests the reply decoder: what it reads, cut anywhere; what it refuses; that it agrees with hiredis. */
#include "endpoint/redis/resp.h"

#include "base/random.h"
#include "support/suite.h"

#include <check.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

static struct resp_decoder d;

static void setup(void)
{
    d = (struct resp_decoder){ .nodes = NULL };
}

static void teardown(void)
{
    resp_decoder_free(&d);
}

/* Decodes text as one read; the reply points into it. */
static struct reply decode(struct bytes text)
{
    resp_decoder_reset(&d);
    ck_assert_int_eq(resp_decode(&d, text.data, text.len), RESP_DONE);
    return (struct reply){ text.data, d.nodes, d.count, NULL };
}

static const struct {
    const char *text, *error;
} hostile[] = {
    { "hello\r\n", "bytes that are no Redis reply" },
    { "$abc\r\n", "a bulk string without a length" },
    { "$-2\r\n", "a bulk string of negative length" },
    { "$3\rabc", "a bulk string without a length" },
    { "$536870913\r\n", "a bulk string of more than 512 MiB" },
    { "$99999999999\r\n", "a bulk string without a length" },
    { "$3\r\nabcd\r\n", "a bulk string that is longer than its length" },
    { "*-7\r\n", "an array of negative length" },
    { "*16777217\r\n", "an array of too many elements" },
    { "*x\r\n", "an array without a length" },
    { "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
      "arrays nested too deep" },
    { ":12x\r\n", "an integer that is none" },
    { ":\r\n", "an integer that is none" },
    { "+OK\rno", "a line that does not end" },
};

START_TEST(test_hostile_replies)
{
    size_t len = strlen(hostile[_i].text);
    ck_assert_int_eq(resp_decode(&d, (const uint8_t *)hostile[_i].text, len), RESP_BAD);
    ck_assert_str_eq(d.error, hostile[_i].error);
}
END_TEST

START_TEST(test_a_line_without_an_end)
{
    char *text = malloc(RESP_LINE_MAX + 10);
    memset(text, 'x', RESP_LINE_MAX + 10);
    text[0] = '+';
    ck_assert_int_eq(resp_decode(&d, (const uint8_t *)text, 1000), RESP_MORE);
    ck_assert_int_eq(resp_decode(&d, (const uint8_t *)text, RESP_LINE_MAX + 10), RESP_BAD);
    free(text);
}
END_TEST

START_TEST(test_types)
{
    struct reply r = decode(
        BYTES_LITERAL("*8\r\n+OK\r\n-ERR no\r\n:-42\r\n$4\r\na\r\nb\r\n$0\r\n\r\n$-1\r\n*0\r\n*-1\r\n"));
    ck_assert_uint_eq(r.count, 9);
    ck_assert(reply_is_array(&r, 0, 8));
    ck_assert(reply_is(&r, 1, RESP_STATUS) && bytes_is(reply_text(&r, 1), "OK"));
    ck_assert(reply_is(&r, 2, RESP_ERROR) && bytes_is(reply_text(&r, 2), "ERR no"));
    int64_t n;
    ck_assert(reply_int(&r, 3, &n) && n == -42);
    ck_assert(bytes_is(reply_text(&r, 4), "a\r\nb"));
    ck_assert(reply_text(&r, 5).data && reply_text(&r, 5).len == 0);
    ck_assert(reply_is(&r, 6, RESP_NIL) && !reply_text(&r, 6).data);
    ck_assert(reply_is_array(&r, 7, 0));
    ck_assert(reply_is(&r, 8, RESP_NIL));
    ck_assert(!reply_text(&r, 9).data && !reply_is(&r, 9, RESP_NIL));
}
END_TEST

START_TEST(test_integers)
{
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } cases[] = {
        { ":9223372036854775807\r\n", true, INT64_MAX },
        { ":-9223372036854775808\r\n", true, INT64_MIN },
        { ":9223372036854775808\r\n", false, 0 },
        { "$3\r\n+12\r\n", true, 12 },
        { "$1\r\n-\r\n", false, 0 },
        { "$0\r\n\r\n", false, 0 },
        { "$20\r\n99999999999999999999\r\n", false, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reply r = decode(bytes_of_string(cases[i].text));
        int64_t value = 0;
        ck_assert_msg(reply_int(&r, 0, &value) == cases[i].good, "%s", cases[i].text);
        ck_assert_int_eq(value, cases[i].value);
    }
}
END_TEST

START_TEST(test_skipping)
{
    struct reply r = decode(BYTES_LITERAL("*3\r\n*2\r\n:1\r\n*1\r\n:2\r\n*0\r\n:3\r\n"));
    ck_assert_uint_eq(reply_skip(&r, 1), 5);
    ck_assert_uint_eq(reply_skip(&r, 5), 6);
    ck_assert_uint_eq(reply_skip(&r, 0), r.count);
}
END_TEST

START_TEST(test_the_need_of_a_bulk_is_told)
{
    ck_assert_int_eq(resp_decode(&d, (const uint8_t *)"$1000\r\nabc", 10), RESP_MORE);
    ck_assert_uint_eq(d.need, 7 + 1000 + 2);
}
END_TEST

/* ---- random replies, cut anywhere, against hiredis */

static void random_reply(struct buf *out, unsigned depth)
{
    switch (random_below(depth ? 7 : 5)) {
    case 0:
        buf_printf(out, "+status %d\r\n", (int)random_below(1000));
        break;
    case 1:
        buf_printf(out, "-ERR %d\r\n", (int)random_below(1000));
        break;
    case 2:
        buf_printf(out, ":%lld\r\n", (long long)random_u64());
        break;
    case 3:
        buf_append_string(out, "$-1\r\n");
        break;
    case 4: {
        size_t len = random_below(40);
        buf_printf(out, "$%zu\r\n", len);
        for (size_t i = 0; i < len; i++)
            buf_append_byte(out, (uint8_t)random_u64());
        buf_append_string(out, "\r\n");
        break;
    }
    default: {
        size_t n = random_below(5);
        buf_printf(out, "*%zu\r\n", n);
        while (n--)
            random_reply(out, depth - 1);
    }
    }
}

/* The node behind what equals theirs. */
static uint32_t assert_same(const struct reply *r, uint32_t i, const redisReply *theirs)
{
    static const int types[] = { REDIS_REPLY_STATUS, REDIS_REPLY_ERROR, REDIS_REPLY_INTEGER,
                                 REDIS_REPLY_STRING, REDIS_REPLY_NIL,   REDIS_REPLY_ARRAY };
    int64_t n;
    ck_assert_int_eq(types[r->nodes[i].type], theirs->type);
    if (r->nodes[i].type == RESP_INTEGER)
        ck_assert(reply_int(r, i, &n) && n == theirs->integer);
    else if (r->nodes[i].type < RESP_NIL)
        ck_assert(bytes_equal(reply_text(r, i), bytes_of(theirs->str, theirs->len)));
    if (r->nodes[i].type != RESP_ARRAY)
        return i + 1;
    ck_assert_uint_eq(r->nodes[i].size, theirs->elements);
    uint32_t at = i + 1;
    for (size_t k = 0; k < theirs->elements; k++)
        at = assert_same(r, at, theirs->element[k]);
    ck_assert_uint_eq(at, reply_skip(r, i));
    return at;
}

START_TEST(test_random_replies)
{
    struct buf text = BUF_EMPTY;
    redisReader *reader = redisReaderCreate();
    for (int round = 0; round < 3000; round++) {
        buf_clear(&text);
        random_reply(&text, 4);
        /* Bytes behind the reply are the next one's. */
        size_t len = text.len;
        buf_append_string(&text, "+NEXT\r\n");
        resp_decoder_reset(&d);
        size_t there = 0;
        enum resp_progress progress = RESP_MORE;
        uint8_t *moved = NULL;
        while (progress == RESP_MORE && there < len) {
            there += 1 + random_below(20);
            if (there > text.len)
                there = text.len;
            /* Each time at another place, as when it moves to another chunk. */
            uint8_t *copy = malloc(there);
            memcpy(copy, text.data, there);
            free(moved);
            moved = copy;
            progress = resp_decode(&d, moved, there);
        }
        ck_assert_int_eq(progress, RESP_DONE);
        ck_assert_uint_eq(d.scanned, len);
        struct reply r = { moved, d.nodes, d.count, NULL };
        void *theirs = NULL;
        redisReaderFeed(reader, (const char *)text.data, len);
        ck_assert_int_eq(redisReaderGetReply(reader, &theirs), REDIS_OK);
        ck_assert_uint_eq(assert_same(&r, 0, theirs), r.count);
        freeReplyObject(theirs);
        free(moved);
    }
    redisReaderFree(reader);
    buf_free(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resp");
    TCase *cases = tcase_create("resp");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, test_hostile_replies, 0, sizeof hostile / sizeof *hostile);
    tcase_add_test(cases, test_a_line_without_an_end);
    tcase_add_test(cases, test_types);
    tcase_add_test(cases, test_integers);
    tcase_add_test(cases, test_skipping);
    tcase_add_test(cases, test_the_need_of_a_bulk_is_told);
    tcase_add_test(cases, test_random_replies);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
