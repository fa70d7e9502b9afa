/* The RabbitMQ endpoints against a real broker, where FERRY_RABBIT_URL names one (eval "$(scripts/brokers env)"); without it
 * these tests are skipped. */
#include "support/endpoint_contract.h"

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
    snprintf(yaml, sizeof yaml, "{ url: \"%s\" }", getenv("FERRY_RABBIT_URL"));
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

int main(void)
{
    Suite *suite = suite_create("rabbitmq broker");
    TCase *c = tcase_create("contract");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    if (getenv("FERRY_RABBIT_URL")) {
        tcase_add_test(c, queue_sink_keeps_the_contract);
        tcase_add_test(c, exchange_sink_keeps_the_contract);
        tcase_add_test(c, queue_source_keeps_the_contract);
    }
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
