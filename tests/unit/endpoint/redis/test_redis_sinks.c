/* Tests the Redis sinks against a real server: the contract, order when something is refused, what happens to what was on
 * its way, and that what was written reads back as it was. */
#include "support/suite.h"
#include "unit/endpoint/redis/redis_server.h"

static struct fake_sender s;

static struct message *make(const char *payload, const char *key)
{
    struct message *m = message_new();
    message_set_payload(m, message_hold(m, bytes_of_string(payload)));
    if (key)
        message_set_key(m, message_hold(m, bytes_of_string(key)));
    return m;
}

static void open_sink(const struct sink_kind *kind, const char *options)
{
    fake_sender_open(&s, kind, options, &redis_env);
    s.sink->ops->start(s.sink);
}

static bool all_answered(void *arg)
{
    struct fake_sender *f = arg;
    return f->answered == f->sent_count;
}

static void wait_answers(void)
{
    contract_run_until(s.loop, all_answered, &s, 10 * SEC, "every verdict");
}

/* n messages "0" … in one pass of the loop, so that they are one run; of the keys a, b, c in turn. */
static void send_run(int n)
{
    static const char *const keys[] = { "a", "b", "c" };
    for (int i = 0; i < n; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        fake_sender_send(&s, make(text, keys[i % 3]));
    }
}

/* ---- the contract */

static const struct {
    const struct sink_kind *kind;
    const char *options;
} cases[] = {
    { &redis_stream_sink, "{ stream: t }" },
    { &redis_stream_sink, "{ stream: t, maxlen: 100, field: body }" },
    { &redis_stream_sink, "{ stream: 't.{{ key }}' }" },
    { &redis_list_sink, "{ list: l }" },
    { &redis_list_sink, "{ list: 'l.{{ key }}', side: left }" },
    { &redis_channel_sink, "{ channel: c }" },
    { &redis_channel_sink, "{ channel: 'c.{{ key }}' }" },
};
enum { CASES = sizeof cases / sizeof *cases };

START_TEST(test_the_sink_contract)
{
    struct contract_sink c = { .kind = cases[_i % CASES].kind, .options = cases[_i % CASES].options, .env = redis_env };
    c.env.unordered = _i >= CASES;
    c.messages = 3000; /* more than a window */
    contract_check_sink(&c);
}
END_TEST

/* ---- what is written */

static void assert_list(const char *key, const char *const *wanted, size_t n)
{
    redisReply *r = ask("LRANGE %s 0 -1", key);
    ck_assert_uint_eq(r->elements, n);
    for (size_t i = 0; i < n; i++)
        ck_assert_str_eq(r->element[i]->str, wanted[i]);
    freeReplyObject(r);
}

START_TEST(test_lists)
{
    open_sink(&redis_list_sink, "{ list: l }");
    send_run(3);
    wait_answers();
    assert_list("l", (const char *const[]){ "0", "1", "2" }, 3);
    fake_sender_close(&s);
    open_sink(&redis_list_sink, "{ list: 'l.{{ key }}', side: left }");
    send_run(6);
    wait_answers();
    assert_list("l.b", (const char *const[]){ "4", "1" }, 2);
    fake_sender_close(&s);
}
END_TEST

START_TEST(test_receivers)
{
    for (int unordered = 0; unordered < 2; unordered++) {
        redis_env.unordered = unordered;
        open_sink(&redis_channel_sink, "{ channel: 'c.{{ key }}' }");
        redisContext *listener = redisConnectUnix(server_socket);
        freeReplyObject(redisCommand(listener, "SUBSCRIBE c.a"));
        send_run(6);
        wait_answers();
        ck_assert_uint_eq(s.by_class[VERDICT_OK], 6);
        ck_assert_uint_eq(s.sink->status.no_receivers, 4);
        redisFree(listener);
        fake_sender_close(&s);
    }
}
END_TEST

static void assert_same_headers(const struct headers *a, const struct headers *b)
{
    ck_assert_uint_eq(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        ck_assert(bytes_equal(a->items[i].name, b->items[i].name));
        ck_assert(bytes_equal(a->items[i].value, b->items[i].value));
        ck_assert_int_eq(a->items[i].type, b->items[i].type);
    }
}

static bool came(void *arg)
{
    return ((struct fake_route *)arg)->credit_messages <= 0;
}

START_TEST(test_what_was_written_reads_back)
{
    static const struct header headers[] = {
        { .name = { (const uint8_t *)"a", 1 }, .value = { (const uint8_t *)"x\0y\r\n", 5 } },
        { .name = { (const uint8_t *)"a", 1 }, .value = { (const uint8_t *)"", 0 } },
        { .name = { (const uint8_t *)"none", 4 }, .type = HEADER_NULL },
        { .name = { (const uint8_t *)"payload", 7 }, .value = { (const uint8_t *)"17", 2 }, .type = HEADER_I64 },
    };
    enum { BIG = 5 << 20 };
    static uint8_t big[BIG];
    for (size_t i = 0; i < BIG; i++)
        big[i] = (uint8_t)(i * 7919 >> 5);
    struct bytes bodies[] = { bytes_of(big, BIG), BYTES_NULL, BYTES_LITERAL(""), bytes_of("\0\n\xff", 3) };
    open_sink(&redis_stream_sink, _i ? "{ stream: 't{{ key | default: \"\" }}' }" : "{ stream: t }");
    for (size_t i = 0; i < 4; i++) {
        struct message *m = message_new();
        message_set_payload(m, bodies[i]);
        m->headers = headers_new(4);
        memcpy(m->headers->items, headers, sizeof headers);
        headers_seal(m->headers);
        fake_sender_send(&s, m);
    }
    wait_answers();
    ck_assert_uint_eq(s.by_class[VERDICT_OK], 4);
    fake_sender_close(&s);
    struct fake_route f;
    fake_route_open(&f, &redis_stream_source, "{ stream: t, group: g }", &redis_env);
    f.source->ops->start(f.source);
    fake_route_grant(&f, 4, 64 << 20);
    contract_run_until(f.loop, came, &f, 10 * SEC, "the messages");
    for (size_t i = 0; i < 4; i++) {
        ck_assert(bytes_equal(message_payload(f.held[i].message), bodies[i]));
        struct headers *wanted = headers_new(4);
        memcpy(wanted->items, headers, sizeof headers);
        assert_same_headers(f.held[i].message->headers, wanted);
        headers_unref(wanted);
    }
    fake_route_close(&f);
}
END_TEST

/* ---- order when something is refused */

START_TEST(test_a_script_stops_at_the_first_error)
{
    do_it(ask("LPUSH t.b x"));
    open_sink(&redis_stream_sink, "{ stream: 't.{{ key }}' }");
    send_run(7);
    wait_answers();
    ck_assert_int_eq(s.sent[0].verdict, VERDICT_OK);
    ck_assert_int_eq(s.sent[1].verdict, VERDICT_REJECT);
    ck_assert_ptr_nonnull(strstr(s.sent[1].reason, "WRONGTYPE"));
    for (int i = 2; i < 7; i++) {
        ck_assert_int_eq(s.sent[i].verdict, VERDICT_AGAIN);
        ck_assert_str_eq(s.sent[i].reason, "behind a refused message");
    }
    ck_assert_int_eq(number(ask("EXISTS t.c")), 0);
    ck_assert_int_eq(s.sink->status.state, ENDPOINT_UP);
    fake_sender_close(&s);
}
END_TEST

START_TEST(test_without_order_only_the_bad_one_is_refused)
{
    do_it(ask("LPUSH t.b x"));
    redis_env.unordered = true;
    open_sink(&redis_stream_sink, "{ stream: 't.{{ key }}' }");
    send_run(7);
    wait_answers();
    ck_assert_uint_eq(s.by_class[VERDICT_OK], 5);
    ck_assert_uint_eq(s.by_class[VERDICT_REJECT], 2);
    fake_sender_close(&s);
}
END_TEST

START_TEST(test_names_that_templates_do_not_give)
{
    for (int unordered = 0; unordered < 2; unordered++) {
        redis_env.unordered = unordered;
        open_sink(&redis_stream_sink, "{ stream: '{{ key }}' }");
        fake_sender_send(&s, make("0", "t"));
        fake_sender_send(&s, make("1", NULL));
        fake_sender_send(&s, make("2", ""));
        fake_sender_send(&s, make("3", "t"));
        wait_answers();
        ck_assert_int_eq(s.sent[0].verdict, VERDICT_OK);
        ck_assert_int_eq(s.sent[1].verdict, VERDICT_REJECT);
        ck_assert_int_eq(s.sent[2].verdict, unordered ? VERDICT_REJECT : VERDICT_AGAIN);
        ck_assert_int_eq(s.sent[3].verdict, unordered ? VERDICT_OK : VERDICT_AGAIN);
        fake_sender_close(&s);
    }
}
END_TEST

START_TEST(test_a_constant_name_of_another_type_is_a_fault)
{
    do_it(ask("LPUSH t x"));
    open_sink(&redis_stream_sink, "{ stream: t }");
    send_run(5);
    wait_answers();
    ck_assert_uint_eq(s.by_class[VERDICT_FAULT], 5);
    ck_assert_int_eq(s.sink->status.state, ENDPOINT_FAULT);
    do_it(ask("DEL t"));
    send_run(1);
    wait_answers();
    ck_assert_uint_eq(s.by_class[VERDICT_OK], 1);
    ck_assert_int_eq(s.sink->status.state, ENDPOINT_UP);
    fake_sender_close(&s);
}
END_TEST

static bool window_is_open(void *arg)
{
    struct fake_sender *f = arg;
    return f->sink->ops->window(f->sink).messages > 0;
}

START_TEST(test_out_of_memory_holds)
{
    do_it(ask("XADD t 1-0 a b"));
    open_sink(cases[_i % CASES].kind, cases[_i % CASES].options);
    send_run(1);
    wait_answers();
    do_it(ask("CONFIG SET maxmemory 1"));
    send_run(5);
    wait_answers();
    if (s.kind == &redis_channel_sink) { /* needs none */
        ck_assert_uint_eq(s.by_class[VERDICT_OK], 6);
    } else {
        ck_assert_uint_eq(s.by_class[VERDICT_AGAIN], 5);
        ck_assert_int_eq(s.sink->status.state, ENDPOINT_BLOCKED);
        ck_assert_ptr_nonnull(strstr(s.sent[3].reason, "OOM"));
        ck_assert_uint_eq(s.sink->ops->window(s.sink).messages, 0);
        contract_run_until(s.loop, window_is_open, &s, 3 * SEC, "the next try");
        ck_assert_uint_eq(s.sink->ops->window(s.sink).messages, 1);
    }
    do_it(ask("CONFIG SET maxmemory 0"));
    send_run(5);
    wait_answers();
    ck_assert_int_eq(s.sink->status.state, ENDPOINT_UP);
    ck_assert_uint_eq(s.by_class[VERDICT_OK], s.kind == &redis_channel_sink ? 11 : 6);
    fake_sender_close(&s);
}
END_TEST

START_TEST(test_a_forgotten_script)
{
    open_sink(&redis_list_sink, "{ list: 'l.{{ key }}' }");
    send_run(3);
    wait_answers();
    do_it(ask("SCRIPT FLUSH"));
    send_run(3);
    wait_answers();
    ck_assert_uint_eq(s.by_class[VERDICT_OK], 6);
    assert_list("l.a", (const char *const[]){ "0", "0" }, 2);
    fake_sender_close(&s);
}
END_TEST

START_TEST(test_a_denied_command_is_a_fault)
{
    do_it(ask("ACL SETUSER ferry on >pw ~* +@all -xadd -rpush"));
    connection_close();
    connection_open(", user: ferry, password: pw");
    open_sink(cases[_i].kind, cases[_i].options);
    send_run(3);
    wait_answers();
    ck_assert_uint_eq(s.by_class[VERDICT_FAULT], 3);
    ck_assert_int_eq(s.sink->status.state, ENDPOINT_FAULT);
    do_it(ask("ACL SETUSER ferry +xadd"));
    fake_sender_close(&s);
    do_it(ask("ACL DELUSER ferry"));
}
END_TEST

/* ---- connections */

START_TEST(test_what_was_on_its_way_is_unknown)
{
    redis_env.unordered = _i >= CASES;
    open_sink(cases[_i % CASES].kind, cases[_i % CASES].options);
    send_run(1);
    wait_answers();
    kill(server_pid, SIGSTOP);
    send_run(50);
    contract_run_until(s.loop, all_answered, &s, 10 * SEC, "the silence to be noticed");
    kill(server_pid, SIGCONT);
    ck_assert_uint_eq(s.by_class[VERDICT_OK], 1);
    ck_assert_uint_eq(s.by_class[VERDICT_UNKNOWN], 50);
    send_run(3);
    wait_answers();
    ck_assert_uint_eq(s.by_class[VERDICT_OK], 4);
    fake_sender_close(&s);
}
END_TEST

START_TEST(test_a_restart_of_the_server)
{
    open_sink(&redis_stream_sink, "{ stream: t }");
    send_run(3);
    wait_answers();
    uint64_t connects = s.sink->status.connects;
    do_it(ask("CLIENT KILL TYPE normal SKIPME yes"));
    contract_run_for(s.loop, 5 * MSEC);
    ck_assert_uint_eq(s.sink->ops->window(s.sink).messages, 0);
    ck_assert_int_eq(s.sink->status.state, ENDPOINT_DOWN);
    send_run(3);
    wait_answers();
    ck_assert_uint_eq(s.by_class[VERDICT_OK], 6);
    ck_assert_uint_eq(s.sink->status.connects, connects + 1);
    fake_sender_close(&s);
}
END_TEST

START_TEST(test_a_replica_is_left)
{
    open_sink(&redis_stream_sink, "{ stream: t }");
    send_run(1);
    wait_answers();
    do_it(ask("REPLICAOF 127.0.0.1 1"));
    send_run(4);
    wait_answers();
    ck_assert_uint_eq(s.by_class[VERDICT_AGAIN], 4);
    do_it(ask("REPLICAOF NO ONE"));
    send_run(4);
    wait_answers();
    ck_assert_uint_eq(s.by_class[VERDICT_OK], 5);
    fake_sender_close(&s);
}
END_TEST

int main(void)
{
    server_start();
    Suite *suite = suite_create("redis sinks");
    TCase *tests = tcase_create("redis sinks");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_the_sink_contract, 0, 2 * CASES);
    tcase_add_test(tests, test_lists);
    tcase_add_test(tests, test_receivers);
    tcase_add_loop_test(tests, test_what_was_written_reads_back, 0, 2);
    tcase_add_test(tests, test_a_script_stops_at_the_first_error);
    tcase_add_test(tests, test_without_order_only_the_bad_one_is_refused);
    tcase_add_test(tests, test_names_that_templates_do_not_give);
    tcase_add_test(tests, test_a_constant_name_of_another_type_is_a_fault);
    tcase_add_loop_test(tests, test_out_of_memory_holds, 0, CASES);
    tcase_add_test(tests, test_a_forgotten_script);
    tcase_add_loop_test(tests, test_a_denied_command_is_a_fault, 0, 4);
    tcase_add_loop_test(tests, test_what_was_on_its_way_is_unknown, 0, CASES + 1);
    tcase_add_test(tests, test_a_restart_of_the_server);
    tcase_add_test(tests, test_a_replica_is_left);
    suite_add_tcase(suite, tests);
    int status = suite_run(suite);
    server_remove();
    return status;
}
