/* A Kafka for tests: the broker that FERRY_KAFKA_BOOTSTRAP names (`make unit` starts one), or librdkafka's mock cluster, which
 * fails when it is told to; and plain clients to look at it from outside. */
#pragma once

#include "base/mem.h"
#include "endpoint/kafka/kafka.h"
#include "endpoint/kafka/settings.h"
#include "support/c11_threads.h"
#include "support/endpoint_contract.h"

#include <check.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <unistd.h>

static rd_kafka_t *mock_handle;
static rd_kafka_mock_cluster_t *mock; /* NULL: the broker is real */
static char bootstrap[256];
static struct kafka_connection *connection;
static struct contract_env given;
static unsigned names;

static rd_kafka_t *plain_client(rd_kafka_type_t type, const char *group)
{
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, error, sizeof error);
    rd_kafka_conf_set(conf, "log_level", "0", error, sizeof error);
    if (group) {
        rd_kafka_conf_set(conf, "group.id", group, error, sizeof error);
        rd_kafka_conf_set(conf, "enable.auto.commit", "false", error, sizeof error);
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof error);
    ck_assert_msg(rk != NULL, "%s", error);
    return rk;
}

static void connection_open(const char *properties)
{
    CLEANUP(buf_free) struct buf yaml = BUF_EMPTY;
    struct diagnostics *d = diagnostics_new();
    buf_printf(&yaml, "{ url: 'kafka://unused', hosts: ['%s'], properties: { %s } }", bootstrap, properties);
    connection = contract_settings(kafka_connection.options, kafka_connection.settings_size, buf_string(&yaml));
    connection->base.kind = &kafka_connection;
    connection->base.name = (char *)"k";
    kafka_connection.check(&connection->base, d);
    ck_assert_uint_eq(diagnostics_errors(d), 0);
    diagnostics_free(d);
    given = (struct contract_env){ .transport = &kafka_transport, .connection = &connection->base };
}

__attribute__((unused)) static void connection_reopen(const char *properties)
{
    contract_settings_free(kafka_connection.options, connection);
    connection_open(properties);
}

static void broker_setup(void)
{
    const char *name = getenv("FERRY_KAFKA_BOOTSTRAP");
    ck_assert_msg(name != NULL, "FERRY_KAFKA_BOOTSTRAP names no broker: `make unit` starts one");
    snprintf(bootstrap, sizeof bootstrap, "%s", name);
    connection_open("");
}

__attribute__((unused)) static void mock_setup(void)
{
    mock_handle = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0);
    mock = rd_kafka_mock_cluster_new(mock_handle, 1);
    snprintf(bootstrap, sizeof bootstrap, "%s", rd_kafka_mock_cluster_bootstraps(mock));
    connection_open("");
}

static void kafka_teardown(void)
{
    contract_settings_free(kafka_connection.options, connection);
    if (mock) {
        rd_kafka_mock_cluster_destroy(mock);
        rd_kafka_destroy(mock_handle);
    }
}

static TCase *kafka_case(Suite *suite, const char *name, void (*setup)(void))
{
    TCase *cases = tcase_create(name);
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, kafka_teardown);
    suite_add_tcase(suite, cases);
    return cases;
}

/* A new topic; its name is valid until 16 more were made. config: of a real broker's topic, or NULL. */
static const char *new_topic_with(int partitions, const char *config, const char *value)
{
    static char text[16][80];
    char *name = text[names++ % 16];
    snprintf(name, sizeof text[0], "ferry-unit-%d-%u", (int)getpid(), names);
    if (mock) {
        rd_kafka_mock_topic_create(mock, name, partitions, 1);
        return name;
    }
    rd_kafka_t *rk = plain_client(RD_KAFKA_PRODUCER, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, NULL, 0);
    if (config)
        rd_kafka_NewTopic_set_config(topic, config, value);
    rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 10000);
    ck_assert_msg(event && !rd_kafka_event_error(event), "no topic %s", name);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return name;
}

static const char *new_topic(int partitions)
{
    return new_topic_with(partitions, NULL, NULL);
}

/* Numbered texts with keys into one partition. */
static void fill_partition(const char *topic, int32_t partition, unsigned count)
{
    rd_kafka_t *rk = plain_client(RD_KAFKA_PRODUCER, NULL);
    for (unsigned i = 0; i < count; i++) {
        char payload[32], key[16];
        snprintf(payload, sizeof payload, "%u", i);
        snprintf(key, sizeof key, "k%u", i % 7);
        rd_kafka_resp_err_t err = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_VALUE(payload, strlen(payload)), RD_KAFKA_V_KEY(key, strlen(key)), RD_KAFKA_V_END);
        ck_assert_msg(!err, "%s", rd_kafka_err2str(err));
    }
    ck_assert_int_eq(rd_kafka_flush(rk, 10000), 0);
    rd_kafka_destroy(rk);
}

/* The options of a source with a group of its topic's own. */
static const char *from_topic(const char *topic)
{
    static char text[256];
    snprintf(text, sizeof text, "{ topic: %s, group: g-%s }", topic, topic);
    return text;
}

/* Not in every program. */
__attribute__((unused)) static void route_open(struct fake_route *f, const char *options, struct contract_env *env)
{
    fake_route_open(f, &kafka_topic_source, options, env);
    f->source->ops->start(f->source);
    fake_route_grant(f, 100000, 1 << 30);
}

struct goal {
    const uint64_t *counter;
    uint64_t least;
};

static bool goal_reached(void *arg)
{
    const struct goal *g = arg;
    return *g->counter >= g->least;
}

static void wait_for(struct loop *loop, const uint64_t *counter, uint64_t least, const char *what)
{
    struct goal g = { counter, least };
    contract_run_until(loop, goal_reached, &g, 20 * SEC, what);
}

struct state_goal {
    const struct endpoint_status *status;
    enum endpoint_state state;
};

static bool state_reached(void *arg)
{
    const struct state_goal *g = arg;
    return g->status->state == g->state;
}

__attribute__((unused)) static void wait_state(struct loop *loop, const struct endpoint_status *status,
                                               enum endpoint_state state)
{
    struct state_goal g = { status, state };
    contract_run_until(loop, state_reached, &g, 20 * SEC, endpoint_state_name(state));
}
