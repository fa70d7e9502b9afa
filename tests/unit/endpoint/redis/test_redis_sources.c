/* Tests the Redis sources against a real server: the contract, restarts, lost connections, lost groups and leases. */
#include "support/suite.h"
#include "unit/endpoint/redis/redis_server.h"

static struct fake_route f, g;

static void fill_stream(const char *stream, int from, int n)
{
    for (int i = from; i < from + n; i++)
        do_it(ask("XADD %s * payload m%d key k%d", stream, i, i % 3));
}

static void fill_list(const char *list, int from, int n)
{
    for (int i = from; i < from + n; i++)
        do_it(ask("RPUSH %s m%d", list, i));
}

static void open_as(struct fake_route *r, const struct source_kind *kind, const char *options, const char *member)
{
    static struct contract_env envs[4];
    static unsigned next;
    struct contract_env *env = &envs[next++ % 4];
    *env = redis_env;
    env->member = member;
    fake_route_open(r, kind, options, env);
    r->source->ops->start(r->source);
}

static void open_stream(const char *options)
{
    open_as(&f, &redis_stream_source, options, NULL);
}

static bool has_taken(void *arg)
{
    struct fake_route *r = arg;
    return r->credit_messages <= 0;
}

/* Grants n and waits until they came. */
static void take(struct fake_route *r, uint64_t n)
{
    fake_route_grant(r, n, 1 << 24);
    contract_run_until(r->loop, has_taken, r, 10 * SEC, "messages");
}

static void assert_payload(const struct fake_route *r, size_t at, const char *text)
{
    struct bytes p = message_payload(r->held[at].message);
    ck_assert_msg(bytes_is(p, text), "\"%.*s\" is not \"%s\"", (int)p.len, (const char *)p.data, text);
}

static bool is_settled(void *arg)
{
    return ((struct fake_route *)arg)->source->status.unsettled == 0;
}

static void settle_all(struct fake_route *r)
{
    fake_route_settle(r, r->held_count, true);
    contract_run_until(r->loop, is_settled, r, 5 * SEC, "the acknowledgements");
}

static enum endpoint_state awaited;
static bool is_in_state(void *arg)
{
    return ((struct fake_route *)arg)->source->status.state == awaited;
}
static void wait_state(struct fake_route *r, enum endpoint_state state)
{
    awaited = state;
    contract_run_until(r->loop, is_in_state, r, 10 * SEC, endpoint_state_name(state));
}

static bool was_returned(void *arg)
{
    return ((struct fake_route *)arg)->returned > 0;
}

/* Stops without a word to the server, as kill -9 does: what is held stays pending. */
static void vanish(struct fake_route *r)
{
    while (r->held_count)
        message_unref(r->held[--r->held_count].message);
    fake_route_close(r);
}

static long long pending(const char *stream)
{
    redisReply *r = ask("XPENDING %s g", stream);
    long long n = r->element[0]->integer;
    freeReplyObject(r);
    return n;
}

/* ---- stream */

START_TEST(test_the_stream_contract)
{
    fill_stream("s", 0, 1000);
    struct contract_source c = { .kind = &redis_stream_source,
                                 .options = "{ stream: s, group: g }",
                                 .env = redis_env,
                                 .available = 1000,
                                 .read_max = 32 };
    contract_check_source(&c);
    do_it(ask("DEL s"));
    fill_stream("s", 0, 1000);
    c.options = "{ stream: s, group: g, count: 3, claim_idle: 0s }";
    contract_check_source(&c);
}
END_TEST

START_TEST(test_an_entry_is_a_message)
{
    do_it(ask("XADD s 5-1 payload body key k colour red"));
    open_stream("{ stream: s, group: g }");
    take(&f, 1);
    assert_payload(&f, 0, "body");
    const struct message *m = f.held[0].message;
    char scratch[MESSAGE_ID_MAX];
    ck_assert(bytes_is(message_key(m), "k"));
    ck_assert(bytes_is(message_id(m, scratch), "5-1"));
    ck_assert(bytes_is(headers_last(m->headers, BYTES_LITERAL("colour"))->value, "red"));
    ck_assert(bytes_is(message_meta(m, BYTES_LITERAL("stream"), scratch), "s"));
    ck_assert(!(m->flags & MESSAGE_REDELIVERED));
    settle_all(&f);
    ck_assert_int_eq(pending("s"), 0);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_where_a_group_starts)
{
    fill_stream("s", 0, 5);
    open_stream("{ stream: s, group: g, start: latest }");
    wait_state(&f, ENDPOINT_UP);
    fill_stream("s", 5, 1);
    take(&f, 1);
    assert_payload(&f, 0, "m5");
    fake_route_close(&f);
    do_it(ask("XADD t 7-0 payload a"));
    do_it(ask("XADD t 8-0 payload b"));
    open_stream("{ stream: t, group: g, start: 7-0 }");
    take(&f, 1);
    assert_payload(&f, 0, "b");
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_restart_finds_its_own)
{
    fill_stream("s", 0, 50);
    open_stream("{ stream: s, group: g, count: 7 }");
    take(&f, 30);
    fake_route_settle(&f, 10, false);
    contract_run_until(f.loop, is_settled, &f, 5 * SEC, "the acknowledgements");
    vanish(&f);
    open_stream("{ stream: s, group: g, count: 7 }");
    take(&f, 40);
    for (size_t i = 0; i < 40; i++) {
        char text[16];
        snprintf(text, sizeof text, "m%zu", i + 10);
        assert_payload(&f, i, text);
    }
    ck_assert(f.held[0].message->flags & MESSAGE_REDELIVERED);
    settle_all(&f);
    ck_assert_int_eq(pending("s"), 0);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_lost_connection_doubles_nothing)
{
    fill_stream("s", 0, 400);
    open_stream("{ stream: s, group: g, count: 20 }");
    fake_route_grant(&f, 400, 1 << 24);
    for (int i = 0; i < 10 && f.credit_messages > 0; i++) {
        contract_run_for(f.loop, 2 * MSEC);
        if (f.held_count > 5)
            fake_route_settle(&f, 5, true);
        do_it(ask("CLIENT KILL TYPE normal SKIPME yes"));
        contract_run_for(f.loop, 150 * MSEC);
    }
    contract_run_until(f.loop, has_taken, &f, 20 * SEC, "messages");
    settle_all(&f);
    contract_run_for(f.loop, 50 * MSEC);
    ck_assert_uint_eq(f.taken, 400);
    ck_assert_uint_eq(f.returned, 0);
    ck_assert_int_eq(pending("s"), 0);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_lost_group_is_made_from_the_beginning)
{
    fill_stream("s", 0, 4);
    open_stream("{ stream: s, group: g, start: latest }");
    wait_state(&f, ENDPOINT_UP);
    fill_stream("s", 4, 2);
    take(&f, 2);
    do_it(ask("XGROUP DESTROY s g"));
    fake_route_grant(&f, 6, 1 << 20);
    contract_run_until(f.loop, was_returned, &f, 5 * SEC, "the generation's return");
    contract_run_until(f.loop, has_taken, &f, 5 * SEC, "the stream from its beginning");
    assert_payload(&f, 0, "m0");
    ck_assert_uint_eq(f.held[0].token.generation, 2);
    settle_all(&f);
    /* Gone with the stream, while a read is blocked. */
    fake_route_grant(&f, 1, 1 << 20);
    contract_run_for(f.loop, 50 * MSEC);
    do_it(ask("DEL s"));
    contract_run_for(f.loop, 300 * MSEC);
    fill_stream("s", 6, 1);
    contract_run_until(f.loop, has_taken, &f, 5 * SEC, "the new stream's entry");
    assert_payload(&f, 0, "m6");
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_wrong_type_is_a_fault_until_it_is_mended)
{
    do_it(ask("LPUSH s x"));
    open_stream("{ stream: s, group: g }");
    wait_state(&f, ENDPOINT_FAULT);
    ck_assert_ptr_nonnull(strstr(f.source->status.reason, "WRONGTYPE"));
    do_it(ask("DEL s"));
    fill_stream("s", 0, 1);
    f.source->ops->resume(f.source);
    take(&f, 1);
    ck_assert_int_eq(f.source->status.state, ENDPOINT_UP);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_deleted_entries_are_acknowledged)
{
    fill_stream("s", 0, 3);
    do_it(ask("XADD s 9999999999999-0 payload last"));
    open_stream("{ stream: s, group: g }");
    take(&f, 4);
    vanish(&f);
    do_it(ask("XTRIM s MINID 9999999999999-0"));
    open_stream("{ stream: s, group: g }");
    take(&f, 1);
    assert_payload(&f, 0, "last");
    contract_run_until(f.loop, is_settled, &f, 5 * SEC, "the acknowledgements");
    ck_assert_int_eq(pending("s"), 1);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_claims_of_consumers_that_are_gone)
{
    fill_stream("s", 0, 250);
    open_as(&g, &redis_stream_source, "{ stream: s, group: g, claim_idle: 300ms }", "other.route.0");
    take(&g, 240);
    /* A living member keeps what it has, however long it works on it. */
    open_stream("{ stream: s, group: g, claim_idle: 300ms }");
    take(&f, 10);
    fake_route_grant(&f, 1000, 1 << 24);
    for (int i = 0; i < 10; i++) {
        contract_run_for(f.loop, 60 * MSEC);
        contract_run_for(g.loop, 60 * MSEC);
    }
    ck_assert_uint_eq(f.taken, 10);
    vanish(&g);
    for (int i = 0; i < 100 && f.taken < 250; i++)
        contract_run_for(f.loop, 50 * MSEC);
    ck_assert_uint_eq(f.taken, 250);
    ck_assert(f.held[249].message->flags & MESSAGE_REDELIVERED);
    settle_all(&f);
    ck_assert_int_eq(pending("s"), 0);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_what_was_released_comes_again)
{
    fill_stream("s", 0, 10);
    open_stream("{ stream: s, group: g }");
    take(&f, 10);
    fake_route_settle(&f, 3, false);
    fake_route_release(&f, 4);
    take(&f, 4);
    ck_assert_uint_eq(f.held_count, 7);
    assert_payload(&f, 0, "m7");
    assert_payload(&f, 3, "m3");
    settle_all(&f);
    ck_assert_int_eq(pending("s"), 0);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_wrong_password_is_told_and_nothing_is_read)
{
    do_it(ask("ACL SETUSER ferry on >right ~* +@all"));
    fill_stream("s", 0, 1);
    connection_close();
    connection_open(", user: ferry, password: wrong");
    open_stream("{ stream: s, group: g }");
    wait_state(&f, ENDPOINT_DOWN);
    ck_assert_ptr_nonnull(strstr(f.source->status.reason, "WRONGPASS"));
    fake_route_grant(&f, 1, 1 << 20);
    contract_run_for(f.loop, 300 * MSEC);
    ck_assert_uint_eq(f.taken, 0);
    ck_assert_uint_eq(f.source->status.connects, 0);
    do_it(ask("ACL SETUSER ferry >wrong"));
    contract_run_until(f.loop, has_taken, &f, 5 * SEC, "a message once the password is right");
    fake_route_close(&f);
    do_it(ask("ACL DELUSER ferry"));
}
END_TEST

START_TEST(test_too_many_clients)
{
    fill_stream("s", 0, 1);
    do_it(ask("CONFIG SET maxclients 1"));
    open_stream("{ stream: s, group: g }");
    wait_state(&f, ENDPOINT_DOWN);
    ck_assert_msg(strstr(f.source->status.reason, "too many clients") != NULL, "%s", f.source->status.reason);
    do_it(ask("CONFIG SET maxclients 100"));
    take(&f, 1);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_hanging_server_is_noticed)
{
    fill_stream("s", 0, 1);
    open_stream("{ stream: s, group: g, block: 200ms }");
    take(&f, 1);
    fake_route_grant(&f, 1, 1 << 20);
    kill(server_pid, SIGSTOP);
    wait_state(&f, ENDPOINT_DOWN);
    kill(server_pid, SIGCONT);
    fill_stream("s", 1, 1);
    contract_run_until(f.loop, has_taken, &f, 15 * SEC, "a message afterwards");
    settle_all(&f);
    fake_route_close(&f);
}
END_TEST

/* ---- list */

START_TEST(test_the_list_contract)
{
    fill_list("l", 0, 1000);
    struct contract_source c = { .kind = &redis_list_source,
                                 .options = "{ list: l, poll: 2ms }",
                                 .env = redis_env,
                                 .available = 1000,
                                 .read_max = 32 };
    contract_check_source(&c);
    c.options = "{ list: l, side: right, count: 3, poll: 2ms }";
    contract_check_source(&c);
}
END_TEST

static void open_list(struct fake_route *r)
{
    open_as(r, &redis_list_source, "{ list: l, lease: 1s, poll: 2ms }", NULL);
}

#define PENDING "{l}.test.route.0.pending"

START_TEST(test_a_list_is_trimmed_as_it_is_settled)
{
    fill_list("l", 0, 20);
    open_list(&f);
    take(&f, 10);
    ck_assert_int_eq(number(ask("LLEN l")), 10);
    ck_assert_int_eq(number(ask("LLEN " PENDING)), 10);
    fake_route_settle(&f, 4, true);
    contract_run_for(f.loop, 30 * MSEC);
    ck_assert_int_eq(number(ask("LLEN " PENDING)), 10); /* the first is not settled */
    ck_assert_uint_eq(f.source->status.unsettled, 4);
    fake_route_settle(&f, 3, false);
    contract_run_for(f.loop, 30 * MSEC);
    ck_assert_int_eq(number(ask("LLEN " PENDING)), 7);
    settle_all(&f);
    ck_assert_int_eq(number(ask("EXISTS " PENDING)), 0);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_list_restart_replays_what_is_pending)
{
    fill_list("l", 0, 20);
    open_list(&f);
    take(&f, 10);
    fake_route_settle(&f, 2, false);
    contract_run_until(f.loop, is_settled, &f, 5 * SEC, "the trim");
    vanish(&f);
    open_list(&f);
    take(&f, 18);
    assert_payload(&f, 0, "m2");
    assert_payload(&f, 17, "m19");
    ck_assert(f.held[0].message->flags & MESSAGE_REDELIVERED);
    settle_all(&f);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_new_start_fences_the_old_one)
{
    fill_list("l", 0, 20);
    open_list(&f);
    take(&f, 10);
    open_list(&g); /* the same member, as when the first was frozen */
    take(&g, 10);
    assert_payload(&g, 0, "m0");
    /* The old one's trim is refused, and it learns. */
    fake_route_settle(&f, 5, false);
    contract_run_until(f.loop, was_returned, &f, 5 * SEC, "the old one to be told");
    ck_assert_uint_eq(f.returned, 5);
    ck_assert_int_eq(number(ask("LLEN " PENDING)), 10);
    wait_state(&f, ENDPOINT_FAULT);
    settle_all(&g);
    fake_route_close(&g);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_list_survives_lost_connections)
{
    fill_list("l", 0, 300);
    open_as(&f, &redis_list_source, "{ list: l, count: 10, poll: 2ms }", NULL);
    fake_route_grant(&f, 300, 1 << 24);
    for (int i = 0; i < 10 && f.credit_messages > 0; i++) {
        contract_run_for(f.loop, 2 * MSEC);
        if (f.held_count > 5)
            fake_route_settle(&f, 5, false);
        do_it(ask("CLIENT KILL TYPE normal SKIPME yes"));
        contract_run_for(f.loop, 150 * MSEC);
    }
    contract_run_until(f.loop, has_taken, &f, 20 * SEC, "messages");
    settle_all(&f);
    ck_assert_uint_eq(f.taken, 300);
    ck_assert_uint_eq(f.returned, 0);
    ck_assert_int_eq(number(ask("EXISTS " PENDING)), 0);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_lost_lease_returns_everything)
{
    fill_list("l", 0, 20);
    open_list(&f);
    take(&f, 10);
    do_it(ask("DEL {l}.test.route.0.lease"));
    fake_route_settle(&f, 5, false);
    fake_route_grant(&f, 15, 1 << 24);
    contract_run_until(f.loop, was_returned, &f, 5 * SEC, "the generation's return");
    contract_run_until(f.loop, has_taken, &f, 5 * SEC, "what is pending");
    assert_payload(&f, 0, "m0");
    settle_all(&f);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_what_a_member_left_goes_back_to_the_list)
{
    fill_list("l", 0, 500);
    open_as(&g, &redis_list_source, "{ list: l, lease: 1s, poll: 2ms }", "gone.route.0");
    take(&g, 400);
    vanish(&g);
    open_list(&f);
    take(&f, 100); /* what is left of the list */
    assert_payload(&f, 0, "m400");
    fake_route_grant(&f, 400, 1 << 24);
    contract_run_for(f.loop, 300 * MSEC);
    ck_assert_uint_eq(f.taken, 100); /* the other's lease still lives */
    contract_run_until(f.loop, has_taken, &f, 10 * SEC, "what the other left");
    for (size_t i = 0; i < 400; i++) {
        char text[16];
        snprintf(text, sizeof text, "m%zu", i);
        assert_payload(&f, 100 + i, text);
    }
    settle_all(&f);
    ck_assert_int_eq(number(ask("EXISTS l {l}.gone.route.0.pending " PENDING)), 0);
    contract_run_for(f.loop, 500 * MSEC);
    ck_assert_int_eq(number(ask("SCARD {l}.members")), 1);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_list_works_without_memory)
{
    fill_list("l", 0, 20);
    do_it(ask("CONFIG SET maxmemory 1"));
    open_list(&f);
    take(&f, 20);
    settle_all(&f);
    do_it(ask("CONFIG SET maxmemory 0"));
    fake_route_close(&f);
}
END_TEST

START_TEST(test_released_elements_come_again)
{
    fill_list("l", 0, 10);
    open_list(&f);
    take(&f, 10);
    fake_route_release(&f, 4);
    take(&f, 4);
    assert_payload(&f, 6, "m0");
    do_it(ask("SCRIPT FLUSH"));
    settle_all(&f);
    ck_assert_int_eq(number(ask("EXISTS " PENDING)), 0);
    fake_route_close(&f);
}
END_TEST

/* ---- channel and pattern */

START_TEST(test_a_channel)
{
    open_as(&f, &redis_channel_source, "{ channel: news }", NULL);
    wait_state(&f, ENDPOINT_UP);
    fake_route_grant(&f, 3, 1 << 20);
    do_it(ask("PUBLISH news %b", "a\0b", (size_t)3));
    do_it(ask("PUBLISH news %b", "", (size_t)0));
    contract_run_for(f.loop, 50 * MSEC);
    ck_assert_uint_eq(f.taken, 2);
    ck_assert(bytes_equal(message_payload(f.held[0].message), bytes_of("a\0b", 3)));
    ck_assert(f.held[1].message->payload && f.held[1].message->payload_len == 0);
    ck_assert_uint_eq(f.source->status.gaps, 0);
    do_it(ask("CLIENT KILL TYPE pubsub"));
    wait_state(&f, ENDPOINT_DOWN);
    wait_state(&f, ENDPOINT_UP);
    ck_assert_uint_eq(f.source->status.gaps, 1);
    do_it(ask("PUBLISH news c"));
    contract_run_until(f.loop, has_taken, &f, SEC, "a message");
    /* Without credit nothing more is read; an idle subscription stays. */
    do_it(ask("PUBLISH news d"));
    contract_run_for(f.loop, 1300 * MSEC);
    ck_assert_uint_eq(f.taken, 3);
    fake_route_grant(&f, 1, 1 << 20);
    contract_run_until(f.loop, has_taken, &f, SEC, "what waited at the server");
    contract_run_for(f.loop, 1300 * MSEC);
    ck_assert_uint_eq(f.source->status.gaps, 1);
    fake_route_settle(&f, 2, false);
    fake_route_release(&f, 2);
    fake_route_close(&f);
}
END_TEST

START_TEST(test_a_pattern)
{
    open_as(&f, &redis_pattern_source, "{ pattern: 'news.*' }", NULL);
    wait_state(&f, ENDPOINT_UP);
    do_it(ask("PUBLISH news.de guten"));
    take(&f, 1);
    char scratch[MESSAGE_ID_MAX];
    assert_payload(&f, 0, "guten");
    ck_assert(bytes_is(message_meta(f.held[0].message, BYTES_LITERAL("channel"), scratch), "news.de"));
    fake_route_close(&f);
}
END_TEST

int main(void)
{
    server_start();
    Suite *suite = suite_create("redis sources");
    TCase *cases = tcase_create("redis sources");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, test_the_stream_contract);
    tcase_add_test(cases, test_an_entry_is_a_message);
    tcase_add_test(cases, test_where_a_group_starts);
    tcase_add_test(cases, test_a_restart_finds_its_own);
    tcase_add_test(cases, test_a_lost_connection_doubles_nothing);
    tcase_add_test(cases, test_a_lost_group_is_made_from_the_beginning);
    tcase_add_test(cases, test_a_wrong_type_is_a_fault_until_it_is_mended);
    tcase_add_test(cases, test_deleted_entries_are_acknowledged);
    tcase_add_test(cases, test_claims_of_consumers_that_are_gone);
    tcase_add_test(cases, test_what_was_released_comes_again);
    tcase_add_test(cases, test_a_wrong_password_is_told_and_nothing_is_read);
    tcase_add_test(cases, test_too_many_clients);
    tcase_add_test(cases, test_a_hanging_server_is_noticed);
    tcase_add_test(cases, test_the_list_contract);
    tcase_add_test(cases, test_a_list_is_trimmed_as_it_is_settled);
    tcase_add_test(cases, test_a_list_restart_replays_what_is_pending);
    tcase_add_test(cases, test_a_new_start_fences_the_old_one);
    tcase_add_test(cases, test_a_list_survives_lost_connections);
    tcase_add_test(cases, test_a_lost_lease_returns_everything);
    tcase_add_test(cases, test_what_a_member_left_goes_back_to_the_list);
    tcase_add_test(cases, test_a_list_works_without_memory);
    tcase_add_test(cases, test_released_elements_come_again);
    tcase_add_test(cases, test_a_channel);
    tcase_add_test(cases, test_a_pattern);
    suite_add_tcase(suite, cases);
    int status = suite_run(suite);
    server_remove();
    return status;
}
