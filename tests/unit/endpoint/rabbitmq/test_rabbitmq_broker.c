/* The RabbitMQ endpoints against a real broker, the one that FERRY_RABBIT_URL names (`make unit` starts one). */
#include "support/endpoint_contract.h"
#include "support/suite.h"

#include "base/mem.h"
#include "endpoint/rabbitmq/rabbitmq.h"

#include <check.h>
#include <stdio.h>
#include <unistd.h>

static struct connection *connection;
static char queue[64];
static char options_text[512];

static void setup(void)
{
    char yaml[256];
    struct diagnostics *d = diagnostics_new();
    const char *url = getenv("FERRY_RABBIT_URL");
    ck_assert_msg(url != NULL, "FERRY_RABBIT_URL names no broker: `make unit` starts one");
    snprintf(yaml, sizeof yaml, "{ url: \"%s\" }", url);
    connection = contract_settings(rabbitmq_connection.options, rabbitmq_connection.settings_size, yaml);
    connection->kind = &rabbitmq_connection;
    connection->name = mem_string("rabbit");
    rabbitmq_connection.check(connection, d);
    ck_assert_uint_eq(diagnostics_errors(d), 0);
    diagnostics_free(d);
    snprintf(queue, sizeof queue, "ferry-unit-%d", (int)getpid());
}

static void teardown(void)
{
    free(connection->name);
    contract_settings_free(rabbitmq_connection.options, connection);
}

static struct contract_env env(void)
{
    return (struct contract_env){ .transport = &rabbitmq_transport, .connection = connection };
}

/* The options with %s as the test's queue. */
#define OPTIONS(format) (snprintf(options_text, sizeof options_text, format, queue), options_text)
#define DECLARED        "{ queue: %s, declare: { durable: false, arguments: { x-expires: 60000 } } }"

static void fill(size_t messages)
{
    struct contract_sink c = {
        .kind = &rabbitmq_queue_sink, .options = OPTIONS(DECLARED), .env = env(), .messages = messages
    };
    contract_check_sink(&c);
}

START_TEST(queue_sink_keeps_the_contract)
{
    fill(3000);
}
END_TEST

START_TEST(exchange_sink_keeps_the_contract)
{
    fill(1);
    struct contract_sink c = { .kind = &rabbitmq_exchange_sink,
                               .options = OPTIONS("{ exchange: '', routing_key: %s }"),
                               .env = env() };
    contract_check_sink(&c);
}
END_TEST

struct goal {
    const uint64_t *counter;
    uint64_t least;
};

static bool reached(void *arg)
{
    const struct goal *g = arg;
    return *g->counter >= g->least;
}

static void wait_for(struct fake_route *f, const uint64_t *counter, uint64_t least, const char *what)
{
    struct goal g = { counter, least };
    contract_run_until(f->loop, reached, &g, 10 * SEC, what);
}

/* Prefetch is the only credit that RabbitMQ knows, so that contract_check_source, which waits for more without settling, is
 * done by hand here. */
START_TEST(queue_source_keeps_the_contract)
{
    struct fake_route f;
    struct contract_env given = env();
    fill(300);
    fake_route_open(&f, &rabbitmq_queue_source, OPTIONS("{ queue: %s, prefetch: 20 }"), &given);
    f.source->ops->start(f.source);
    contract_run_for(f.loop, 50 * MSEC);
    ck_assert_uint_eq(f.taken, 0);
    fake_route_grant(&f, 1000, 1 << 30);
    wait_for(&f, &f.taken, 20, "a prefetch of messages");
    contract_run_for(f.loop, 50 * MSEC);
    ck_assert_uint_eq(f.taken, 20);
    /* The newest half are acknowledged one by one, the oldest then together. */
    fake_route_settle(&f, 10, true);
    wait_for(&f, &f.taken, 30, "what the acknowledged ones made room for");
    fake_route_settle(&f, 20, false);
    wait_for(&f, &f.taken, 50, "what the acknowledged ones made room for");
    ck_assert_uint_eq(f.source->status.unsettled, 0);

    f.source->ops->pause(f.source);
    f.quiet = true;
    fake_route_settle(&f, f.held_count, false);
    contract_run_for(f.loop, 50 * MSEC);
    f.quiet = false;
    f.source->ops->resume(f.source);
    wait_for(&f, &f.taken, 70, "messages after resume");

    fake_route_release(&f, 5);
    wait_for(&f, &f.taken, 75, "released messages again");
    for (size_t i = f.held_count - 5; i < f.held_count; i++)
        ck_assert(f.held[i].message->flags & MESSAGE_REDELIVERED);
    f.source->ops->drain(f.source);
    f.quiet = true;
    contract_run_for(f.loop, 50 * MSEC);
    fake_route_settle(&f, 7, false);
    fake_route_close(&f);
}
END_TEST

/* ---- what goes wrong */

static struct message *text_message(const char *key, const char *payload, size_t size)
{
    struct message *m = message_new();
    char *memory = mem_alloc(size + 1);
    memset(memory, 'x', size);
    memcpy(memory, payload, strlen(payload) < size ? strlen(payload) : size);
    message_set_payload(m, message_hold(m, bytes_of(memory, size)));
    message_set_key(m, message_hold(m, bytes_of_string(key)));
    free(memory);
    return m;
}

static bool all_answered(void *arg)
{
    struct fake_sender *f = arg;
    return f->answered == f->sent_count;
}

static void wait_answers(struct fake_sender *f)
{
    contract_run_until(f->loop, all_answered, f, 10 * SEC, "verdicts");
}

static void assert_verdict(const struct fake_sender *f, size_t at, enum verdict_class class, const char *part)
{
    ck_assert_msg(f->sent[at].verdict == class, "%zu: %s: %s", at, verdict_class_name(f->sent[at].verdict),
                  f->sent[at].reason);
    ck_assert_msg(strstr(f->sent[at].reason, part), "%s", f->sent[at].reason);
}

/* Returns are told apart by what they carry: every second message has nowhere to go. */
START_TEST(unroutable_ones_are_rejected_and_no_others)
{
    struct fake_sender f;
    struct contract_env given = env();
    fill(1);
    fake_sender_open(&f, &rabbitmq_exchange_sink, "{ exchange: '', routing_key: '{{ key }}' }", &given);
    f.sink->ops->start(f.sink);
    for (size_t i = 0; i < 400; i++)
        fake_sender_send(&f, text_message(i % 2 ? "ferry-unit-nowhere" : queue, "same", 100));
    wait_answers(&f);
    for (size_t i = 0; i < 400; i++)
        assert_verdict(&f, i, i % 2 ? VERDICT_REJECT : VERDICT_OK, i % 2 ? "ferry-unit-nowhere" : "");
    fake_sender_close(&f);
}
END_TEST

START_TEST(a_missing_templated_exchange_rejects_only_its_own)
{
    struct fake_sender f;
    struct contract_env given = env();
    fill(1);
    fake_sender_open(&f, &rabbitmq_exchange_sink, OPTIONS("{ exchange: \"{{ key | default: '' }}\", routing_key: %s }"),
                     &given);
    f.sink->ops->start(f.sink);
    for (size_t i = 0; i < 20; i++)
        fake_sender_send(&f, text_message(i == 7 ? "ferry-unit-no-exchange" : "amq.direct", "x", 10));
    wait_answers(&f);
    for (size_t i = 0; i < 20; i++)
        if (i == 7)
            assert_verdict(&f, i, VERDICT_REJECT, "no exchange 'ferry-unit-no-exchange'");
        else
            ck_assert(f.sent[i].verdict == VERDICT_UNKNOWN || f.sent[i].verdict == VERDICT_REJECT); /* unroutable */
    /* And goes on. */
    size_t next = fake_sender_send(&f, text_message("amq.direct", "x", 10));
    wait_answers(&f);
    assert_verdict(&f, next, VERDICT_REJECT, "unroutable");
    fake_sender_close(&f);
}
END_TEST

static bool at_fault(void *arg)
{
    return ((struct sink *)arg)->status.state == ENDPOINT_FAULT;
}

static bool is_up(void *arg)
{
    return ((struct sink *)arg)->status.state == ENDPOINT_UP;
}

START_TEST(a_missing_constant_queue_is_a_fault_until_it_is_there)
{
    struct fake_sender f;
    struct contract_env given = env();
    fake_sender_open(&f, &rabbitmq_queue_sink, OPTIONS("{ queue: %s-late }"), &given);
    f.sink->ops->start(f.sink);
    contract_run_until(f.loop, at_fault, f.sink, 5 * SEC, "the fault");
    ck_assert_uint_eq(f.sink->ops->window(f.sink).messages, 0);
    ck_assert_msg(strstr(f.sink->status.reason, "no queue"), "%s", f.sink->status.reason);
    struct contract_sink declare = {
        .kind = &rabbitmq_queue_sink,
        .options = OPTIONS("{ queue: %s-late, declare: { durable: false, arguments: { x-expires: 60000 } } }"),
        .env = env(),
        .messages = 1,
    };
    contract_check_sink(&declare);
    f.sink->ops->probe(f.sink);
    contract_run_until(f.loop, is_up, f.sink, 5 * SEC, "the end of the fault");
    fake_sender_send(&f, text_message("k", "x", 10));
    wait_answers(&f);
    assert_verdict(&f, 0, VERDICT_OK, "");
    fake_sender_close(&f);
}
END_TEST

START_TEST(a_different_declaration_is_a_fault_in_the_brokers_words)
{
    struct fake_sender f;
    struct contract_env given = env();
    fill(1);
    fake_sender_open(&f, &rabbitmq_queue_sink, OPTIONS("{ queue: %s, declare: { durable: true } }"), &given);
    f.sink->ops->start(f.sink);
    contract_run_until(f.loop, at_fault, f.sink, 5 * SEC, "the fault");
    ck_assert_msg(strstr(f.sink->status.reason, "inequivalent arg"), "%s", f.sink->status.reason);
    fake_sender_close(&f);
}
END_TEST

START_TEST(what_is_too_large_is_rejected_before_it_is_sent)
{
    struct fake_sender f;
    struct contract_env given = env();
    fill(1);
    fake_sender_open(&f, &rabbitmq_queue_sink, OPTIONS("{ queue: %s, max_message_size: 1MiB }"), &given);
    f.sink->ops->start(f.sink);
    fake_sender_send(&f, text_message("k", "x", (1 << 20) + 1));
    struct message *flood = text_message("k", "x", 10);
    static char value[200000];
    memset(value, 'v', sizeof value);
    flood->headers = headers_new(1);
    flood->headers->items[0] = (struct header){ BYTES_LITERAL("big"), bytes_of(value, sizeof value), HEADER_BYTES };
    headers_seal(flood->headers);
    fake_sender_send(&f, flood);
    fake_sender_send(&f, text_message("k", "x", 1 << 20));
    wait_answers(&f);
    assert_verdict(&f, 0, VERDICT_REJECT, "max_message_size");
    assert_verdict(&f, 1, VERDICT_REJECT, "frame");
    assert_verdict(&f, 2, VERDICT_OK, "");
    ck_assert_uint_eq(f.sink->status.connects, 1);
    fake_sender_close(&f);
}
END_TEST

/* The broker has a limit that nobody told us: only the one that is too large is rejected, and the limit is learned. */
START_TEST(the_brokers_own_limit_is_learned)
{
    struct fake_sender f;
    struct contract_env given = env();
    fill(1);
    fake_sender_open(&f, &rabbitmq_queue_sink, OPTIONS("{ queue: %s, max_message_size: 512MiB }"), &given);
    f.sink->ops->start(f.sink);
    fake_sender_send(&f, text_message("k", "x", 100));
    fake_sender_send(&f, text_message("k", "x", (128 << 20) + 1));
    fake_sender_send(&f, text_message("k", "x", 100));
    wait_answers(&f);
    assert_verdict(&f, 1, VERDICT_REJECT, "message size");
    ck_assert(f.sent[2].verdict != VERDICT_REJECT && f.sent[2].verdict != VERDICT_FAULT);
    fake_sender_send(&f, text_message("k", "x", (128 << 20) + 1));
    fake_sender_send(&f, text_message("k", "x", 100));
    wait_answers(&f);
    assert_verdict(&f, 3, VERDICT_REJECT, "max_message_size");
    assert_verdict(&f, 4, VERDICT_OK, "");
    fake_sender_close(&f);
}
END_TEST

/* ---- through the broker and back */

static const size_t sizes[] = {
    0, 1, 131064 - 1, 131064, 131064 + 1, 2 * 131064, 2 * 131064 + 1, 5000000, 4096 - 8, 100
};

START_TEST(bodies_of_every_size_come_back)
{
    struct fake_sender out;
    struct fake_route in;
    struct contract_env given = env();
    struct contract_sink declare = {
        .kind = &rabbitmq_queue_sink,
        .options = OPTIONS("{ queue: %s-sizes, declare: { durable: false, arguments: { x-expires: 60000 } } }"),
        .env = env(),
        .messages = 1,
    };
    contract_check_sink(&declare);
    fake_sender_open(&out, &rabbitmq_queue_sink, OPTIONS("{ queue: %s-sizes }"), &given);
    out.sink->ops->start(out.sink);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        fake_sender_send(&out, text_message("a key", "begins", sizes[i]));
    wait_answers(&out);
    ck_assert_uint_eq(out.by_class[VERDICT_OK], ARRAY_LEN(sizes));
    fake_sender_close(&out);
    fake_route_open(&in, &rabbitmq_queue_source, OPTIONS("{ queue: %s-sizes }"), &given);
    in.source->ops->start(in.source);
    fake_route_grant(&in, 1000000, 1 << 30);
    wait_for(&in, &in.taken, ARRAY_LEN(sizes), "all of them");
    size_t extra = 0; /* what declaring it sent */
    while (extra < in.held_count && !bytes_is(message_key(in.held[extra].message), "a key"))
        extra++;
    wait_for(&in, &in.taken, ARRAY_LEN(sizes) + extra, "all of them");
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct message *expected = text_message("a key", "begins", sizes[i]);
        const struct message *m = in.held[extra + i].message;
        ck_assert_uint_eq(m->payload_len, sizes[i]);
        ck_assert(bytes_equal(message_payload(m), message_payload(expected)));
        ck_assert(bytes_is(message_key(m), "a key"));
        ck_assert_ptr_null(m->headers);
        char scratch[MESSAGE_ID_MAX];
        char name[80];
        snprintf(name, sizeof name, "%s-sizes", queue);
        ck_assert(bytes_is(message_meta(m, BYTES_LITERAL("routing_key"), scratch), name));
        ck_assert(bytes_is(message_meta(m, BYTES_LITERAL("exchange"), scratch), ""));
        message_unref(expected);
    }
    fake_route_settle(&in, in.held_count, false);
    fake_route_close(&in);
}
END_TEST

/* RabbitMQ takes every kind that we write, and gives it back. */
static const struct header typed[] = {
    { BYTES_LITERAL("S"), BYTES_LITERAL("\377\0x"), HEADER_BYTES },
    { BYTES_LITERAL("V"), { NULL, 0 }, HEADER_NULL },
    { BYTES_LITERAL("t"), BYTES_LITERAL("true"), HEADER_BOOL },
    { BYTES_LITERAL("b"), BYTES_LITERAL("-128"), HEADER_I8 },
    { BYTES_LITERAL("B"), BYTES_LITERAL("255"), HEADER_U8 },
    { BYTES_LITERAL("s"), BYTES_LITERAL("-32768"), HEADER_I16 },
    { BYTES_LITERAL("u"), BYTES_LITERAL("65535"), HEADER_U16 },
    { BYTES_LITERAL("I"), BYTES_LITERAL("-2147483648"), HEADER_I32 },
    { BYTES_LITERAL("i"), BYTES_LITERAL("4294967295"), HEADER_U32 },
    { BYTES_LITERAL("l"), BYTES_LITERAL("-9223372036854775808"), HEADER_I64 },
    { BYTES_LITERAL("L"), BYTES_LITERAL("18446744073709551615"), HEADER_U64 },
    { BYTES_LITERAL("f"), BYTES_LITERAL("1.5"), HEADER_F32 },
    { BYTES_LITERAL("d"), BYTES_LITERAL("nan"), HEADER_F64 },
    { BYTES_LITERAL("d"), BYTES_LITERAL("0.1"), HEADER_F64 },
    { BYTES_LITERAL("D"), BYTES_LITERAL("4294967295e-255"), HEADER_DECIMAL },
    { BYTES_LITERAL("T"), BYTES_LITERAL("1700000000"), HEADER_TIMESTAMP },
    { BYTES_LITERAL("x"), BYTES_LITERAL("\377\0"), HEADER_BLOB },
    { BYTES_LITERAL("F"), BYTES_LITERAL("{\"a\":{\"u16\":\"1\"},\"b\":{\"table\":{}}}"), HEADER_TABLE },
    { BYTES_LITERAL("A"), BYTES_LITERAL("[{\"array\":[]},{\"null\":null},{\"base64\":\"/w==\"}]"), HEADER_ARRAY },
    { BYTES_LITERAL("\377 no UTF-8"), BYTES_LITERAL(""), HEADER_BYTES },
};

START_TEST(every_header_type_crosses_the_broker)
{
    struct fake_sender out;
    struct fake_route in;
    struct contract_env given = env();
    const char *declared = OPTIONS("{ queue: %s-typed, declare: { durable: false, arguments: { x-expires: 60000 } } }");
    fake_sender_open(&out, &rabbitmq_queue_sink, declared, &given);
    out.sink->ops->start(out.sink);
    struct message *m = text_message("k", "typed", 5);
    m->headers = headers_new(ARRAY_LEN(typed));
    memcpy(m->headers->items, typed, sizeof typed);
    headers_seal(m->headers);
    fake_sender_send(&out, m);
    wait_answers(&out);
    assert_verdict(&out, 0, VERDICT_OK, "");
    fake_sender_close(&out);
    fake_route_open(&in, &rabbitmq_queue_source, OPTIONS("{ queue: %s-typed }"), &given);
    in.source->ops->start(in.source);
    fake_route_grant(&in, 1000, 1 << 30);
    wait_for(&in, &in.taken, 1, "the message");
    const struct headers *h = in.held[0].message->headers;
    ck_assert_uint_eq(h->count, ARRAY_LEN(typed));
    for (size_t i = 0; i < ARRAY_LEN(typed); i++) {
        ck_assert(bytes_equal(h->items[i].name, typed[i].name));
        ck_assert_msg(bytes_equal(h->items[i].value, typed[i].value), "%s", (const char *)typed[i].name.data);
        ck_assert_int_eq(h->items[i].type, typed[i].type);
    }
    fake_route_settle(&in, 1, false);
    fake_route_close(&in);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rabbitmq broker");
    TCase *c = tcase_create("contract");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, queue_sink_keeps_the_contract);
    tcase_add_test(c, exchange_sink_keeps_the_contract);
    tcase_add_test(c, queue_source_keeps_the_contract);
    tcase_add_test(c, unroutable_ones_are_rejected_and_no_others);
    tcase_add_test(c, a_missing_templated_exchange_rejects_only_its_own);
    tcase_add_test(c, a_missing_constant_queue_is_a_fault_until_it_is_there);
    tcase_add_test(c, a_different_declaration_is_a_fault_in_the_brokers_words);
    tcase_add_test(c, what_is_too_large_is_rejected_before_it_is_sent);
    tcase_add_test(c, the_brokers_own_limit_is_learned);
    tcase_add_test(c, bodies_of_every_size_come_back);
    tcase_add_test(c, every_header_type_crosses_the_broker);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
