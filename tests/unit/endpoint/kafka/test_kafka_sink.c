/* Tests Kafka sinks: the contract, what becomes of keys, headers and tombstones, missing places, large messages, brokers that
 * go and come. */
#include "kafka_fixture.h"
#include "support/suite.h"

/* ---- messages, and looking at what arrived */

static struct message *text_message(const char *payload, const char *key)
{
    struct message *m = message_new();
    message_set_payload(m, bytes_of_string(payload));
    message_set_key(m, bytes_of_string(key));
    return m;
}

static struct message *with_headers(struct message *m, const struct header *items, uint32_t count)
{
    m->headers = headers_new(count);
    memcpy(m->headers->items, items, count * sizeof *items);
    headers_seal(m->headers);
    return m;
}

/* The records of a topic's partitions from the beginning, by a plain consumer. */
struct reader {
    rd_kafka_t *rk;
    rd_kafka_message_t *last;
};

static struct reader reader_open(const char *topic, int partitions)
{
    struct reader r = { .rk = plain_client(RD_KAFKA_CONSUMER, "reader") };
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    ck_assert_int_eq(rd_kafka_assign(r.rk, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    return r;
}

static const rd_kafka_message_t *reader_next(struct reader *r)
{
    if (r->last)
        rd_kafka_message_destroy(r->last);
    do
        r->last = rd_kafka_consumer_poll(r->rk, 10000);
    while (r->last && r->last->err);
    ck_assert_msg(r->last != NULL, "no record");
    return r->last;
}

static void reader_close(struct reader *r)
{
    if (r->last)
        rd_kafka_message_destroy(r->last);
    rd_kafka_consumer_close(r->rk);
    rd_kafka_destroy(r->rk);
}

static void assert_header(const rd_kafka_message_t *m, size_t at, const char *name, const char *value, size_t size)
{
    rd_kafka_headers_t *list;
    const char *found;
    const void *data;
    size_t found_size;
    ck_assert_int_eq(rd_kafka_message_headers(m, &list), 0);
    ck_assert_int_eq(rd_kafka_header_get_all(list, at, &found, &data, &found_size), 0);
    ck_assert_str_eq(found, name);
    ck_assert_int_eq(data == NULL, value == NULL);
    ck_assert_uint_eq(found_size, size);
    if (value)
        ck_assert_mem_eq(data, value, size);
}

static const char *to_topic(const char *topic)
{
    static char text[256];
    snprintf(text, sizeof text, "{ topic: %s }", topic);
    return text;
}

static bool all_answered(void *arg)
{
    struct fake_sender *f = arg;
    return f->answered == f->sent_count;
}

static void wait_answers(struct fake_sender *f)
{
    contract_run_until(f->loop, all_answered, f, 20 * SEC, "verdicts");
}

static void sender_open(struct fake_sender *f, const char *options)
{
    fake_sender_open(f, &kafka_topic_sink, options, &given);
    f->sink->ops->start(f->sink);
}

/* ---- tests */

START_TEST(test_contract)
{
    struct contract_sink c = {
        .kind = &kafka_topic_sink, .options = to_topic(new_topic(3)), .env = given, .messages = 5000
    };
    contract_check_sink(&c);
    given.unordered = true;
    contract_check_sink(&c);
}
END_TEST

START_TEST(test_everything_arrives_as_it_is)
{
    const struct header headers[] = {
        { BYTES_LITERAL("a"), BYTES_LITERAL("1"), HEADER_BYTES },
        { BYTES_LITERAL("a"), BYTES_LITERAL("\0\xff"), HEADER_BYTES },
        { BYTES_LITERAL("empty"), BYTES_LITERAL(""), HEADER_BYTES },
        { BYTES_LITERAL("null"), BYTES_NULL, HEADER_NULL },
        { BYTES_LITERAL("count"), BYTES_LITERAL("-5"), HEADER_I32 },
    };
    const char *topic = new_topic(1);
    struct fake_sender f;
    sender_open(&f, to_topic(topic));
    fake_sender_send(&f, with_headers(text_message("payload", "key"), headers, 5));
    fake_sender_send(&f, text_message(NULL, "tombstone"));
    fake_sender_send(&f, text_message("", NULL));
    fake_sender_send(&f, text_message("x", ""));
    wait_answers(&f);
    ck_assert_uint_eq(f.by_class[VERDICT_OK], 4);
    fake_sender_close(&f);

    struct reader r = reader_open(topic, 1);
    const rd_kafka_message_t *m = reader_next(&r);
    ck_assert_uint_eq(m->len, 7);
    ck_assert_mem_eq(m->payload, "payload", 7);
    ck_assert_mem_eq(m->key, "key", 3);
    assert_header(m, 0, "a", "1", 1);
    assert_header(m, 1, "a", "\0\xff", 2);
    assert_header(m, 2, "empty", "", 0);
    assert_header(m, 3, "null", NULL, 0);
    assert_header(m, 4, "count", "-5", 2);
    assert_header(m, 5, "ferry.types", "count=i32", 9);
    m = reader_next(&r);
    ck_assert_ptr_null(m->payload);
    ck_assert_uint_eq(m->key_len, 9);
    m = reader_next(&r);
    ck_assert_ptr_nonnull(m->payload);
    ck_assert_uint_eq(m->len, 0);
    ck_assert_ptr_null(m->key);
    m = reader_next(&r);
    ck_assert_ptr_nonnull(m->key);
    ck_assert_uint_eq(m->key_len, 0);
    reader_close(&r);

    /* And back. */
    struct fake_route in;
    fake_route_open(&in, &kafka_topic_source, from_topic(topic), &given);
    in.source->ops->start(in.source);
    fake_route_grant(&in, 10, 1 << 20);
    wait_for(in.loop, &in.taken, 4, "the same messages");
    const struct headers *h = in.held[0].message->headers;
    ck_assert_uint_eq(h->count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert(bytes_equal(h->items[i].name, headers[i].name));
        ck_assert(bytes_equal(h->items[i].value, headers[i].value));
        ck_assert_int_eq(h->items[i].type, headers[i].type);
    }
    ck_assert_ptr_null(in.held[1].message->payload);
    ck_assert_ptr_null(in.held[1].message->headers);
    ck_assert_ptr_nonnull(in.held[2].message->payload);
    ck_assert_ptr_null(in.held[2].message->key);
    ck_assert_ptr_nonnull(in.held[3].message->key);
    ck_assert_int_gt(in.held[0].message->timestamp_ms, 1500000000000);
    fake_route_close(&in);
}
END_TEST

START_TEST(test_templates_make_topic_key_partition_and_headers)
{
    const char *topic = new_topic(4);
    char options[512];
    struct fake_sender f;
    snprintf(options, sizeof options,
             "{ topic: '{{ header(\"to\") }}', key: 'k-{{ key }}', partition: '{{ header(\"at\") }}', "
             "headers: { added: 'v-{{ key }}', none: '' } }");
    const struct header headers[] = { { BYTES_LITERAL("to"), bytes_of_string(topic), HEADER_BYTES },
                                      { BYTES_LITERAL("at"), BYTES_LITERAL("2"), HEADER_BYTES } };
    sender_open(&f, options);
    fake_sender_send(&f, with_headers(text_message("p", "1"), headers, 2));
    wait_answers(&f);
    ck_assert_int_eq(f.sent[0].verdict, VERDICT_OK);
    struct reader r = reader_open(topic, 4);
    const rd_kafka_message_t *m = reader_next(&r);
    ck_assert_int_eq(m->partition, 2);
    ck_assert_mem_eq(m->key, "k-1", 3);
    assert_header(m, 2, "added", "v-1", 3);
    assert_header(m, 3, "none", "", 0);
    reader_close(&r);

    struct header wrong[2] = { headers[0], headers[1] };
    wrong[1].value = BYTES_LITERAL("2x");
    fake_sender_send(&f, with_headers(text_message("p", "1"), wrong, 2));
    wrong[1].value = BYTES_LITERAL("99");
    fake_sender_send(&f, with_headers(text_message("p", "1"), wrong, 2));
    wrong[0].value = BYTES_LITERAL("no topic");
    fake_sender_send(&f, with_headers(text_message("p", "1"), wrong, 2));
    fake_sender_send(&f, text_message("p", "1"));
    wait_answers(&f);
    ck_assert_uint_eq(f.by_class[VERDICT_REJECT], 4);
    ck_assert_str_eq(f.sent[1].reason, "the partition is no number");
    ck_assert_ptr_nonnull(strstr(f.sent[2].reason, "Unknown partition"));
    ck_assert_ptr_nonnull(strstr(f.sent[3].reason, "a topic's name"));
    fake_sender_close(&f);
}
END_TEST

START_TEST(test_a_large_message_is_rejected_alone)
{
    const char *topic = new_topic(1);
    struct fake_sender f;
    char *large = mem_alloc(2000001);
    memset(large, 'x', 2000000);
    large[2000000] = 0;
    sender_open(&f, to_topic(topic));
    fake_sender_send(&f, text_message("before", "k"));
    fake_sender_send(&f, text_message(large, "k"));
    fake_sender_send(&f, text_message("after", "k"));
    wait_answers(&f);
    ck_assert_uint_eq(f.by_class[VERDICT_OK], 2);
    ck_assert_int_eq(f.sent[1].verdict, VERDICT_REJECT);
    ck_assert_ptr_nonnull(strstr(f.sent[1].reason, "too large"));
    fake_sender_close(&f);
    free(large);
}
END_TEST

/* The broker refuses whole batches and names no culprit. What it refused is sent again in order, as a route would. */
START_TEST(test_a_batch_too_large_for_the_topic_costs_only_the_culprit)
{
    enum { COUNT = 400, CULPRIT = 150, LARGE = 20000 };
    static char payloads[COUNT][LARGE + 1];
    bool done[COUNT] = { false };
    unsigned rejected = 0, rounds = 0;
    struct fake_sender f;
    const char *topic = new_topic_with(1, "max.message.bytes", "10000");
    for (int i = 0; i < COUNT; i++) {
        int len = snprintf(payloads[i], sizeof payloads[i], "%04d", i);
        memset(payloads[i] + len, 'x', (size_t)((i == CULPRIT ? LARGE : 300) - len));
    }
    sender_open(&f, to_topic(topic));
    for (unsigned left = COUNT; left && rounds < 200; rounds++) {
        size_t first = f.sent_count;
        int numbers[COUNT];
        for (int i = 0; i < COUNT; i++)
            if (!done[i] && (f.sent_count == first || f.sink->ops->window(f.sink).messages))
                numbers[fake_sender_send(&f, text_message(payloads[i], "k")) - first] = i;
        wait_answers(&f);
        for (size_t k = first; k < f.sent_count; k++) {
            enum verdict_class class = f.sent[k].verdict;
            ck_assert(class != VERDICT_REJECT || numbers[k - first] == CULPRIT);
            rejected += class == VERDICT_REJECT;
            if (class == VERDICT_OK || class == VERDICT_REJECT) {
                done[numbers[k - first]] = true;
                left--;
            }
        }
    }
    ck_assert_uint_eq(rejected, 1);
    for (int i = 0; i < COUNT; i++)
        ck_assert_msg(done[i], "%d is not done after %u rounds", i, rounds);
    fake_sender_close(&f);
    struct reader r = reader_open(topic, 1);
    for (int highest = -1; highest < COUNT - 1;) {
        const rd_kafka_message_t *m = reader_next(&r);
        int number = (int)strtol((const char *)m->payload, NULL, 10);
        ck_assert_msg(number <= highest + 1 + (highest + 1 == CULPRIT), "%d after %d", number, highest);
        highest = number > highest ? number : highest;
    }
    reader_close(&r);
}
END_TEST

START_TEST(test_a_missing_topic)
{
    struct fake_sender f;
    char name[80], options[128];
    connection_reopen("allow.auto.create.topics: false");
    snprintf(name, sizeof name, "ferry-unit-%d-missing", (int)getpid());
    sender_open(&f, to_topic(name));
    size_t first = fake_sender_send(&f, text_message("p", "k"));
    wait_answers(&f);
    ck_assert_int_eq(f.sent[first].verdict, VERDICT_FAULT);
    ck_assert_int_eq(f.sink->status.state, ENDPOINT_FAULT);
    ck_assert_ptr_nonnull(strstr(f.sink->status.reason, name));
    fill_partition(name, RD_KAFKA_PARTITION_UA, 1); /* makes it */
    size_t last = first;
    for (int i = 0; i < 40 && f.sent[last].verdict != VERDICT_OK; i++) {
        contract_run_for(f.loop, 500 * MSEC);
        f.sink->ops->probe(f.sink);
        last = fake_sender_send(&f, text_message("p", "k"));
        wait_answers(&f);
    }
    ck_assert_int_eq(f.sent[last].verdict, VERDICT_OK);
    ck_assert_int_eq(f.sink->status.state, ENDPOINT_UP);
    fake_sender_close(&f);

    snprintf(options, sizeof options, "{ topic: 'ferry-unit-%d-{{ key }}' }", (int)getpid());
    sender_open(&f, options);
    fake_sender_send(&f, text_message("p", "nowhere"));
    wait_answers(&f);
    ck_assert_int_eq(f.sent[0].verdict, VERDICT_REJECT);
    ck_assert_int_eq(f.sink->status.state, ENDPOINT_UP);
    fake_sender_close(&f);
}
END_TEST

START_TEST(test_topics_are_bounded)
{
    struct fake_sender f;
    char keys[1010][12];
    for (int i = 0; i < 1010; i++)
        snprintf(keys[i], sizeof keys[i], "%d", i);
    sender_open(&f, "{ topic: 't-{{ key }}' }");
    for (int i = 0; i < 1010; i++)
        fake_sender_send(&f, text_message("p", keys[i]));
    contract_run_for(f.loop, 100 * MSEC);
    ck_assert_uint_eq(f.by_class[VERDICT_REJECT], 10);
    ck_assert_str_eq(f.sent[1009].reason, "more than 1,000 different topics");
    f.sink->ops->cancel(f.sink);
    wait_answers(&f);
    fake_sender_close(&f);
}
END_TEST

/* Memory of a source, wiped when it is let go. */
struct buffer {
    struct backing backing;
    char bytes[4096];
};

static void wipe(struct backing *b)
{
    struct buffer *buffer = CONTAINER_OF(b, struct buffer, backing);
    memset(buffer->bytes, '#', sizeof buffer->bytes);
}

/* A route with several destinations moves a message to memory of its own when one of them holds it, whatever another has
 * under way; and lets it go when it is given up. */
START_TEST(test_memory_stays_until_the_report)
{
    enum { COUNT = 8 };
    static struct buffer buffers[COUNT];
    const char *topic = new_topic(1);
    struct fake_sender f;
    sender_open(&f, to_topic(topic));
    for (int i = 0; i < COUNT; i++) {
        memset(buffers[i].bytes, 'a' + i, sizeof buffers[i].bytes);
        buffers[i].backing = (struct backing){ .refs = 1, .free = wipe };
        struct message *m = message_new();
        m->backing = &buffers[i].backing;
        message_set_payload(m, bytes_of(buffers[i].bytes, sizeof buffers[i].bytes));
        fake_sender_send(&f, m);
        message_own(m);
        ck_assert_int_eq(buffers[i].bytes[0], 'a' + i);
    }
    wait_answers(&f);
    ck_assert_uint_eq(f.by_class[VERDICT_OK], COUNT);
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(buffers[i].bytes[0], '#'); /* and not longer */
    fake_sender_close(&f);
    struct reader r = reader_open(topic, 1);
    for (int i = 0; i < COUNT; i++) {
        const char *payload = reader_next(&r)->payload;
        ck_assert_int_eq(payload[0], 'a' + i);
        ck_assert_int_eq(payload[sizeof buffers[i].bytes - 1], 'a' + i);
    }
    reader_close(&r);
}
END_TEST

START_TEST(test_a_broker_that_goes_and_comes)
{
    struct fake_sender f;
    const char *topic = new_topic(1);
    sender_open(&f, to_topic(topic));
    fake_sender_send(&f, text_message("0", "k"));
    wait_answers(&f);
    rd_kafka_mock_broker_set_down(mock, 1);
    char texts[10][12];
    for (int i = 0; i < 9; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i + 1);
        fake_sender_send(&f, text_message(texts[i], "k"));
    }
    wait_state(f.loop, &f.sink->status, ENDPOINT_DOWN);
    ck_assert_str_eq(f.sink->status.reason, "no broker of k answers");
    ck_assert_uint_gt(f.sink->ops->window(f.sink).messages, 0);
    ck_assert_uint_eq(f.answered, 1);
    rd_kafka_mock_broker_set_up(mock, 1);
    wait_state(f.loop, &f.sink->status, ENDPOINT_UP);
    wait_answers(&f);
    ck_assert_uint_eq(f.by_class[VERDICT_OK], 10);
    fake_sender_close(&f);
    struct reader r = reader_open(topic, 1);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(*(const char *)reader_next(&r)->payload, '0' + i);
    reader_close(&r);
}
END_TEST

START_TEST(test_what_nobody_answers_is_given_up_in_time)
{
    struct fake_sender f;
    sender_open(&f, to_topic(new_topic(1)));
    fake_sender_send(&f, text_message("0", "k"));
    wait_answers(&f);
    rd_kafka_mock_broker_set_rtt(mock, 1, 60000);
    for (int i = 0; i < 5; i++)
        fake_sender_send(&f, text_message("1", "k"));
    contract_run_for(f.loop, 50 * MSEC);
    f.sink->ops->cancel(f.sink);
    contract_run_until(f.loop, all_answered, &f, 100 * MSEC, "cancel to answer");
    ck_assert_uint_eq(f.by_class[VERDICT_UNKNOWN] + f.by_class[VERDICT_AGAIN], 5);
    int64_t before = clock_us();
    fake_sender_close(&f);
    ck_assert_int_lt(clock_us() - before, 4 * SEC);
}
END_TEST

START_TEST(test_fatal_errors_make_the_producer_anew)
{
    struct fake_sender f;
    sender_open(&f, to_topic(new_topic(1)));
    fake_sender_send(&f, text_message("0", "k"));
    wait_answers(&f);
    rd_kafka_mock_push_request_errors(mock, 0 /* Produce */, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    size_t bad = fake_sender_send(&f, text_message("1", "k"));
    wait_answers(&f);
    ck_assert_int_eq(f.sent[bad].verdict, VERDICT_REJECT);
    for (int i = 0; i < 20; i++)
        fake_sender_send(&f, text_message("2", "k"));
    wait_answers(&f);
    ck_assert_uint_ge(f.by_class[VERDICT_OK], 1 + f.by_class[VERDICT_AGAIN] / 20);
    size_t last = fake_sender_send(&f, text_message("3", "k"));
    wait_answers(&f);
    ck_assert_int_eq(f.sent[last].verdict, VERDICT_OK);
    fake_sender_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kafka sink");
    TCase *broker = kafka_case(suite, "broker", broker_setup);
    tcase_add_test(broker, test_contract);
    tcase_add_test(broker, test_everything_arrives_as_it_is);
    tcase_add_test(broker, test_templates_make_topic_key_partition_and_headers);
    tcase_add_test(broker, test_a_large_message_is_rejected_alone);
    tcase_add_test(broker, test_a_batch_too_large_for_the_topic_costs_only_the_culprit);
    tcase_add_test(broker, test_a_missing_topic);
    tcase_add_test(broker, test_memory_stays_until_the_report);
    TCase *failing = kafka_case(suite, "failing", mock_setup);
    tcase_add_test(failing, test_topics_are_bounded);
    tcase_add_test(failing, test_a_broker_that_goes_and_comes);
    tcase_add_test(failing, test_what_nobody_answers_is_given_up_in_time);
    tcase_add_test(failing, test_fatal_errors_make_the_producer_anew);
    return suite_run(suite);
}
