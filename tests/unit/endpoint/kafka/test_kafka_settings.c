/* Tests the options of Kafka connections, sources and sinks: what is refused, with which words, and what is masked. */
#include "base/mem.h"
#include "endpoint/kafka/kafka.h"
#include "endpoint/kafka/settings.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

/* Reads yaml by a table and checks it; the errors as one text, the caller's. */
static char *errors_of(const struct option *options, void *settings, const char *yaml,
                       void (*check)(void *settings, struct diagnostics *d))
{
    struct diagnostics *d = diagnostics_new();
    struct document *doc = document_parse("t", bytes_of_string(yaml), d);
    ck_assert_ptr_nonnull(doc);
    options_read(options, document_root(doc), settings, "the test", NULL, d);
    if (check)
        check(settings, d);
    struct buf out = BUF_EMPTY;
    diagnostics_print(d, &out);
    diagnostics_free(d);
    document_free(doc);
    return buf_take(&out);
}

static void check_connection(void *settings, struct diagnostics *d)
{
    kafka_connection.check(settings, d);
}

static void check_source(void *settings, struct diagnostics *d)
{
    kafka_topic_source.check(settings, NULL, (struct mark){ "t", 1, 1 }, d);
}

static void check_sink(void *settings, struct diagnostics *d)
{
    kafka_topic_sink.check(settings, NULL, (struct mark){ "t", 1, 1 }, d);
}

static void expect(const struct option *options, size_t size, void (*check)(void *settings, struct diagnostics *d),
                   const char *yaml, const char *words)
{
    /* A connection's name is in its errors. */
    struct connection *settings = mem_zero(size);
    if (check == check_connection)
        settings->name = (char *)"k";
    char *errors = errors_of(options, settings, yaml, check);
    if (*words)
        ck_assert_msg(strstr(errors, words) != NULL, "%s:\n%s", yaml, errors);
    else
        ck_assert_msg(!*errors, "%s:\n%s", yaml, errors);
    free(errors);
    options_free(options, settings);
    free(settings);
}

#define CONNECTION(yaml, words) \
    expect(kafka_connection.options, kafka_connection.settings_size, check_connection, yaml, words)
#define SOURCE(yaml, words) \
    expect(kafka_topic_source.options, kafka_topic_source.settings_size, check_source, yaml, words)
#define SINK(yaml, words) expect(kafka_topic_sink.options, kafka_topic_sink.settings_size, check_sink, yaml, words)

START_TEST(test_properties_are_librdkafkas)
{
    CONNECTION("{ url: 'kafka://h', properties: { compression.type: lz4, linger.ms: 20 } }", "");
    CONNECTION("{ url: 'kafka://h', properties: { compresion.type: zstd } }",
               "t:1:35: error: compresion.type: No such configuration property: \"compresion.type\"");
    CONNECTION("{ url: 'kafka://h', properties: { compression.type: middle-out } }", "middle-out");
    CONNECTION("{ url: 'kafka://h', properties: { linger.ms: soon } }", "linger.ms");
}
END_TEST

START_TEST(test_ferryds_own_properties_are_refused)
{
    CONNECTION("{ url: 'kafka://h', properties: { group.id: g } }",
               "group.id is ferryd's own: a source's group: is it");
    CONNECTION("{ url: 'kafka://h', properties: { enable.auto.commit: false } }", "enable.auto.commit is ferryd's own");
    CONNECTION("{ url: 'kafka://h', properties: { transactional.id: t } }", "transactional.id is ferryd's own");
    CONNECTION("{ url: 'kafka://h', properties: { bootstrap.servers: h } }", "write hosts:");
    CONNECTION("{ url: 'kafka://h', properties: { partition.assignment.strategy: cooperative-sticky } }",
               "expected range or roundrobin");
    CONNECTION("{ url: 'kafka://h', properties: { partition.assignment.strategy: roundrobin } }", "");
}
END_TEST

START_TEST(test_the_url_is_a_host)
{
    CONNECTION("{ url: 'amqp://h' }", "expected kafka://");
    CONNECTION("{ url: 'kafka://u:p@h' }", "sasl.username");
    CONNECTION("{ url: 'kafka://h/topic' }", "has a path");
    CONNECTION("{ url: 'kafka://a:1,b:2' }", "several servers go into hosts:");
    CONNECTION("{ hosts: [a] }", "url");
}
END_TEST

START_TEST(test_hosts_get_the_default_port)
{
    struct kafka_connection *c = mem_zero(sizeof *c);
    c->base.name = (char *)"k";
    char *errors = errors_of(kafka_connection.options, c, "{ url: 'kafka://x', hosts: [a, 'b:1', '[::1]'] }",
                             check_connection);
    ck_assert_str_eq(errors, "");
    struct buf servers = BUF_EMPTY;
    kafka_bootstrap(c, &servers);
    ck_assert_str_eq(buf_string(&servers), "a:9092,b:1,[::1]:9092");
    buf_free(&servers);
    free(errors);
    options_free(kafka_connection.options, c);
    free(c);
}
END_TEST

START_TEST(test_secrets_are_masked)
{
    struct kafka_connection *c = mem_zero(sizeof *c);
    c->base.name = (char *)"k";
    char *errors = errors_of(kafka_connection.options, c,
                             "{ url: 'kafka://h', properties: { sasl.username: ann, sasl.password: canary1, "
                             "ssl.key.password: canary2, ssl.keystore.password: canary3, linger.ms: 3 } }",
                             check_connection);
    ck_assert_str_eq(errors, "");
    struct buf out = BUF_EMPTY;
    options_print(kafka_connection.options, c, 0, true, &out);
    ck_assert_ptr_null(strstr(buf_string(&out), "canary"));
    ck_assert_ptr_nonnull(strstr(buf_string(&out), "ann"));
    ck_assert_ptr_nonnull(strstr(buf_string(&out), "********"));
    ck_assert_ptr_nonnull(strstr(buf_string(&out), "linger.ms: 3"));
    buf_free(&out);
    free(errors);
    options_free(kafka_connection.options, c);
    free(c);
}
END_TEST

START_TEST(test_a_source_names_topics_that_can_be)
{
    SOURCE("{ topic: a.b-c_D9, group: g }", "");
    SOURCE("{ topic: '^orders\\.(eu|us)$', group: g }", "");
    SOURCE("{ topic: '^orders(', group: g }", "the topic expression \"^orders(\":");
    SOURCE("{ topic: 'a b', group: g }", "\"a b\" is no topic");
    SOURCE("{ topic: a }", "group");
    SOURCE("{ topic: a, group: '' }", "has a name");
    SOURCE("{ topic: a, group: g, start: soonest }", "start");
}
END_TEST

START_TEST(test_a_sink_names_a_topic_that_can_be)
{
    SINK("{ topic: a }", "");
    SINK("{ topic: 'a.{{ key }}', key: '{{ id }}', partition: 3, headers: { x: '{{ id }}', y: z } }", "");
    SINK("{ topic: 'a b' }", "is no topic");
    SINK("{ topic: a, partition: -1 }", "partition: expected a number from 0");
    SINK("{ topic: a, partition: '{{ meta(\"partition\") }}' }", "");
    SINK("{ topic: a, headers: { x: '{{ nothing }}' } }", "x: ");
    SINK("{ topic: a, headers: [x] }", "expected a map of header names and templates");
}
END_TEST

START_TEST(test_headers_read_back_as_they_print)
{
    const struct option *options = kafka_topic_sink.options;
    void *a = mem_zero(kafka_topic_sink.settings_size), *b = mem_zero(kafka_topic_sink.settings_size);
    free(errors_of(options, a, "{ topic: t, headers: { 'x: y': '{{ key }}', n: 1 } }", NULL));
    struct buf out = BUF_EMPTY;
    options_print(options, a, 0, true, &out);
    char *errors = errors_of(options, b, buf_string(&out), NULL);
    ck_assert_msg(!*errors, "%s\n%s", buf_string(&out), errors);
    ck_assert(options_equal(options, a, b));
    free(errors);
    buf_free(&out);
    options_free(options, a);
    options_free(options, b);
    free(a);
    free(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kafka settings");
    TCase *cases = tcase_create("settings");
    tcase_add_test(cases, test_properties_are_librdkafkas);
    tcase_add_test(cases, test_ferryds_own_properties_are_refused);
    tcase_add_test(cases, test_the_url_is_a_host);
    tcase_add_test(cases, test_hosts_get_the_default_port);
    tcase_add_test(cases, test_secrets_are_masked);
    tcase_add_test(cases, test_a_source_names_topics_that_can_be);
    tcase_add_test(cases, test_a_sink_names_a_topic_that_can_be);
    tcase_add_test(cases, test_headers_read_back_as_they_print);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
