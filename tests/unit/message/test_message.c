/* Tests messages: sharing, owning, holding, ids and meta. */
#include "message/message.h"

#include "base/mem.h"
#include "support/suite.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>

/* A source's buffer, which tells when it is let go. */
struct buffer {
    struct backing backing;
    bool freed;
    char data[256];
};

static void free_buffer(struct backing *b)
{
    struct buffer *buffer = (struct buffer *)b;
    buffer->freed = true;
    memset(buffer->data, '!', sizeof(buffer->data)); /* who still reads it sees something else */
}

static struct buffer buffer;
static const struct origin origin = { "kafka topic", "events", "orders", 3 };

static struct bytes slice(const char *text, size_t at)
{
    memcpy(buffer.data + at, text, strlen(text));
    return bytes_of(buffer.data + at, strlen(text));
}

static struct message *message_in_buffer(void)
{
    buffer = (struct buffer){ .backing = { 1, free_buffer } };
    struct message *m = message_new();
    m->backing = &buffer.backing;
    m->origin = &origin;
    message_set_payload(m, slice("the payload", 0));
    message_set_key(m, slice("the key", 20));
    m->id = slice("id-7", 40).data;
    m->id_len = 4;
    m->headers = headers_new(2);
    m->headers->items[0] = (struct header){ slice("type", 60), slice("new", 70), HEADER_BYTES };
    m->headers->items[1] = (struct header){ slice("none", 80), BYTES_NULL, HEADER_NULL };
    headers_seal(m->headers);
    return m;
}

static void assert_text(struct bytes b, const char *text)
{
    ck_assert_msg(bytes_is(b, text), "\"%.*s\" is not \"%s\"", (int)b.len, (const char *)b.data, text);
}

static void assert_content(const struct message *m)
{
    char scratch[MESSAGE_ID_MAX];
    assert_text(message_payload(m), "the payload");
    assert_text(message_key(m), "the key");
    assert_text(message_id(m, scratch), "id-7");
    ck_assert_uint_eq(m->headers->count, 2);
    assert_text(headers_last(m->headers, BYTES_LITERAL("type"))->value, "new");
    ck_assert_ptr_null(headers_last(m->headers, BYTES_LITERAL("none"))->value.data);
    ck_assert_uint_eq(message_size(m), 11 + 7 + 4 + 4 + 3 + 4);
}

START_TEST(test_a_new_message_is_clear)
{
    struct message *m = message_new();
    ck_assert_uint_eq(m->refs, 1);
    ck_assert_ptr_null(m->payload);
    ck_assert_ptr_null(m->headers);
    ck_assert_uint_eq(message_size(m), 0);
    message_unref(m);
    message_unref(NULL);
}
END_TEST

START_TEST(test_the_last_reference_frees_the_buffer)
{
    struct message *m = message_in_buffer();
    assert_content(m);
    message_ref(m);
    message_unref(m);
    ck_assert(!buffer.freed);
    message_unref(m);
    ck_assert(buffer.freed);
}
END_TEST

START_TEST(test_owning_lets_the_buffer_go)
{
    struct message *m = message_in_buffer();
    message_own(m);
    ck_assert(buffer.freed);
    assert_content(m);
    const uint8_t *payload = m->payload;
    message_own(m);
    ck_assert_ptr_eq(m->payload, payload); /* once is enough */
    message_unref(m);
}
END_TEST

START_TEST(test_owning_keeps_absent_and_empty_apart)
{
    struct message *m = message_in_buffer();
    m->payload = NULL;
    m->payload_len = 0;
    m->key_len = 0;
    message_own(m);
    ck_assert_ptr_null(m->payload);
    ck_assert_ptr_nonnull(m->key);
    message_unref(m);
}
END_TEST

START_TEST(test_owning_copies_the_detail)
{
    struct message *m = message_in_buffer();
    struct message_detail detail[] = { { slice("exchange", 100), slice("shop", 120) }, { BYTES_NULL, BYTES_NULL } };
    m->detail = detail;
    message_own(m);
    char scratch[MESSAGE_ID_MAX];
    assert_text(message_meta(m, BYTES_LITERAL("exchange"), scratch), "shop");
    message_unref(m);
}
END_TEST

START_TEST(test_a_clone_shares)
{
    struct message *m = message_in_buffer();
    struct message *copy = message_clone(m);
    message_unref(m);
    ck_assert(!buffer.freed);
    assert_content(copy);
    struct message *owned = message_clone(copy);
    message_own(owned);
    struct message *again = message_clone(owned);
    message_unref(owned);
    assert_content(again); /* headers outlive the message whose block they lie in */
    message_unref(again);
    message_unref(copy);
    ck_assert(buffer.freed);
}
END_TEST

START_TEST(test_headers_outlive_their_block)
{
    struct message *m = message_in_buffer();
    message_own(m);
    struct headers *h = headers_ref(m->headers);
    message_unref(m);
    assert_text(headers_last(h, BYTES_LITERAL("type"))->value, "new");
    headers_unref(h);
}
END_TEST

START_TEST(test_held_bytes_live_as_long_as_the_message)
{
    struct message *m = message_in_buffer();
    char text[] = "changed";
    struct bytes held = message_hold(m, bytes_of_string(text));
    struct bytes empty = message_hold(m, BYTES_LITERAL(""));
    ck_assert_ptr_null(message_hold(m, BYTES_NULL).data);
    text[0] = '!';
    message_set_payload(m, held);
    message_set_key(m, empty);
    ck_assert(!buffer.freed);
    assert_text(message_payload(m), "changed");
    message_own(m);
    ck_assert(buffer.freed);
    assert_text(message_payload(m), "changed");
    ck_assert_ptr_nonnull(m->key);
    message_hold(m, BYTES_LITERAL("more")); /* on memory of its own: nothing to copy */
    const uint8_t *payload = m->payload;
    message_own(m);
    ck_assert_ptr_eq(m->payload, payload);
    message_unref(m);
}
END_TEST

START_TEST(test_ids_from_positions)
{
    char scratch[MESSAGE_ID_MAX];
    struct message *m = message_new();
    m->flags = MESSAGE_ID_POSITION;
    m->position = 18446744073709551615u;
    m->origin = &origin;
    assert_text(message_id(m, scratch), "orders-3-18446744073709551615");
    struct origin file = { "file lines", "", "/var/log/x", -1 };
    m->origin = &file;
    m->position = 0;
    assert_text(message_id(m, scratch), "/var/log/x-0");
    char name[1000];
    memset(name, 'n', sizeof(name));
    name[999] = 0;
    file.name = name;
    file.partition = INT32_MAX;
    m->position = 42;
    struct bytes id = message_id(m, scratch);
    ck_assert_uint_lt(id.len, MESSAGE_ID_MAX);
    ck_assert_int_eq(memcmp(id.data + id.len - 14, "-2147483647-42", 14), 0);
    message_unref(m);
}
END_TEST

START_TEST(test_meta)
{
    static const struct {
        const char *name, *value;
    } expected[] = { { "kind", "kafka topic" }, { "connection", "events" },
                     { "name", "orders" },      { "topic", "orders" },
                     { "queue", NULL },         { "partition", "3" },
                     { "offset", "12" },        { "redelivered", "false" },
                     { "nothing", NULL },       { "", NULL } };
    char scratch[MESSAGE_ID_MAX];
    struct message *m = message_new();
    m->origin = &origin;
    m->flags = MESSAGE_ID_POSITION;
    m->position = 12;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        struct bytes value = message_meta(m, bytes_of_string(expected[i].name), scratch);
        if (expected[i].value)
            assert_text(value, expected[i].value);
        else
            ck_assert_ptr_null(value.data);
    }
    message_unref(m);
}
END_TEST

static void *use_messages(void *arg)
{
    for (int i = 0; i < 1000; i++)
        message_unref(message_new());
    return arg;
}

/* The leak checker sees whether the thread's pool went with it. */
START_TEST(test_a_thread_takes_its_pool_along)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, use_messages, NULL), 0);
    pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message");
    TCase *cases = tcase_create("message");
    tcase_add_test(cases, test_a_new_message_is_clear);
    tcase_add_test(cases, test_the_last_reference_frees_the_buffer);
    tcase_add_test(cases, test_owning_lets_the_buffer_go);
    tcase_add_test(cases, test_owning_keeps_absent_and_empty_apart);
    tcase_add_test(cases, test_owning_copies_the_detail);
    tcase_add_test(cases, test_a_clone_shares);
    tcase_add_test(cases, test_headers_outlive_their_block);
    tcase_add_test(cases, test_held_bytes_live_as_long_as_the_message);
    tcase_add_test(cases, test_ids_from_positions);
    tcase_add_test(cases, test_meta);
    tcase_add_test(cases, test_a_thread_takes_its_pool_along);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
