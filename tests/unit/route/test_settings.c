/* Settings as a whole: what is read, the rules of order and instances, printing, comparing, the reference. Runs against
 * kinds of its own, so that it says nothing about the real ones. */
#include "support/fake_kinds.h"
#include "support/suite.h"

#include "route/settings.h"

#include <check.h>
#include <stdio.h>

static struct diagnostics *d;
static struct settings *s;

static void setup(void)
{
    d = diagnostics_new();
    s = NULL;
}

static void teardown(void)
{
    settings_unref(s);
    diagnostics_free(d);
}

static struct settings *parse(const char *text)
{
    struct settings *parsed = settings_parse("t.yaml", bytes_of_string(text), d);
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    diagnostics_print(d, &out);
    ck_assert_msg(parsed, "%s", buf_string(&out));
    return parsed;
}

#define CONNECTIONS                               \
    "connections:\n"                              \
    "  cache: redis://127.0.0.1:6379/0\n"         \
    "  rabbit:\n"                                 \
    "    url: amqp://ferry:hunter2@rabbit/shop\n" \
    "    hosts: [r1:5672, r2:5672]\n"             \
    "    password: hunter3\n"                     \
    "  events: { url: 'kafka://k1', properties: { compression.type: zstd } }\n"

static const char full[] = "name: ferry-1\n" CONNECTIONS "limits: { memory: 1GiB, in_flight: 5, unsettled: 7 }\n"
                           "lanes: 3\n"
                           "watchdog: { stall: 50ms }\n"
                           "shutdown_timeout: 1m\n"
                           "admin: { socket: /tmp/s }\n"
                           "routes:\n"
                           "  orders:\n"
                           "    from: { redis: cache, stream: orders, group: ferry, key: \"{{ json.customer }}\" }\n"
                           "    order: strict\n"
                           "    to:\n"
                           "      - { kafka: events, topic: \"orders.{{ json.region }}\", key: \"{{ key }}\" }\n"
                           "      - { rabbitmq: rabbit, exchange: orders, routing_key: new }\n"
                           "  second:\n"
                           "    from: { rabbitmq: rabbit, queue: 2024, declare: { bindings: [ { exchange: e } ] } }\n"
                           "    to: { test: discard }\n";

START_TEST(everything_is_read)
{
    s = parse(full);
    ck_assert_str_eq(s->name, "ferry-1");
    ck_assert_int_eq(s->lanes, 3);
    ck_assert_int_eq(s->limits.memory, 1 << 30);
    ck_assert_int_eq(s->limits.in_flight, 5);
    ck_assert_int_eq(s->limits.unsettled, 7);
    ck_assert_int_eq(s->watchdog.stall_us, 50 * MSEC);
    ck_assert_int_eq(s->shutdown_timeout_us, 60 * SEC);
    ck_assert_str_eq(s->admin.socket, "/tmp/s");
    ck_assert_uint_eq(s->connection_count, 3);
    ck_assert_str_eq(s->connections[1]->name, "rabbit");
    ck_assert_ptr_eq(s->connections[1]->kind, &fake_rabbitmq);
    ck_assert_uint_eq(s->connections[0]->mark.line, 3);
    ck_assert_uint_eq(s->route_count, 2);
    const struct route_settings *r = &s->routes[0];
    ck_assert_str_eq(r->name, "orders");
    ck_assert_int_eq(r->order, ORDER_STRICT);
    ck_assert_int_eq(r->instances, 1);
    ck_assert_str_eq(r->guarantee, "at least once");
    ck_assert_str_eq(r->from.source->name, "redis stream");
    ck_assert_ptr_eq(r->from.connection, s->connections[0]);
    ck_assert_str_eq(template_text(r->from.key), "{{ json.customer }}");
    ck_assert_str_eq(((struct fake_endpoint *)r->from.settings)->name, "orders");
    ck_assert_uint_eq(r->to_count, 2);
    ck_assert_str_eq(r->to[1].sink->name, "rabbitmq exchange");
    ck_assert_str_eq(((struct fake_endpoint *)s->routes[1].from.settings)->name, "2024");
    ck_assert_ptr_null(s->routes[1].to[0].connection);
    ck_assert_uint_eq(diagnostics_warnings(d), 0);
}
END_TEST

START_TEST(defaults)
{
    s = parse("routes: { a: { from: { test: generate }, to: { test: discard } } }");
    ck_assert_uint_gt(strlen(s->name), 0);
    ck_assert(s->lanes >= 1 && s->lanes <= 4);
    ck_assert_int_eq(s->limits.memory, 512ll << 20);
    ck_assert_int_eq(s->limits.in_flight, 100000);
    ck_assert_int_eq(s->limits.unsettled, 1000000);
    ck_assert_int_eq(s->watchdog.stall_us, 100 * MSEC);
    ck_assert_int_eq(s->shutdown_timeout_us, 10 * SEC);
    ck_assert_str_eq(s->admin.socket, "/run/ferry/ctl.sock");
    ck_assert_int_eq(s->routes[0].order, ORDER_KEY);
    ck_assert_str_eq(s->routes[0].guarantee, "at most once");
}
END_TEST

/* The order of a route of three instances that reads from here, and the warnings. */
static enum order order_of(const char *from, const char *rest, size_t *warnings)
{
    char *text = mem_format(CONNECTIONS
                            "routes:\n  a:\n    from: { %s }\n    to:\n      - { kafka: events, topic: t }\n"
                            "      - { redis: cache, stream: s }\n      - { rabbitmq: rabbit, queue: q }\n"
                            "    instances: 3\n%s",
                            from, rest);
    size_t before = diagnostics_warnings(d);
    struct settings *parsed = parse(text);
    enum order order = parsed->routes[0].order;
    *warnings = diagnostics_warnings(d) - before;
    settings_unref(parsed);
    free(text);
    return order;
}

START_TEST(order_of_several_instances)
{
    size_t warnings;
    ck_assert_int_eq(order_of("kafka: events, topic: t, group: g", "", &warnings), ORDER_KEY);
    ck_assert_uint_eq(warnings, 0);
    ck_assert_int_eq(order_of("kafka: events, topics: [t], group: g", "    order: key\n", &warnings), ORDER_KEY);
    ck_assert_uint_eq(warnings, 0);
    ck_assert_int_eq(order_of("kafka: events, topic: t, group: g, key: '{{ id }}'", "", &warnings), ORDER_NONE);
    ck_assert_uint_eq(warnings, 1);
    ck_assert_int_eq(order_of("redis: cache, stream: t, group: g", "", &warnings), ORDER_NONE);
    ck_assert_uint_eq(warnings, 1);
    ck_assert_int_eq(order_of("rabbitmq: rabbit, queue: t", "    order: none\n", &warnings), ORDER_NONE);
    ck_assert_uint_eq(warnings, 0);
}
END_TEST

START_TEST(warnings)
{
    s = parse(CONNECTIONS "routes: { a: { from: { redis: cache, channel: c }, to: { kafka: events, topic: t } } }");
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    diagnostics_print(d, &out);
    ck_assert_str_eq(
        buf_string(&out),
        "t.yaml:3:3: warning: no route uses connection \"rabbit\"\n"
        "t.yaml:8:22: warning: route \"a\" delivers at most once: a redis channel source cannot ask again for "
        "what was lost\n");
    ck_assert_str_eq(s->routes[0].guarantee, "at most once");
}
END_TEST

START_TEST(prints_and_reads_back)
{
    s = parse(full);
    CLEANUP(buf_free) struct buf first = BUF_EMPTY, second = BUF_EMPTY;
    settings_print(s, &first);
    ck_assert_ptr_null(strstr(buf_string(&first), "hunter"));
    ck_assert_ptr_nonnull(strstr(buf_string(&first), "    password: '********'\n"));
    ck_assert_ptr_nonnull(strstr(buf_string(&first), "amqp://ferry:********@rabbit/shop\n"));
    struct settings *again = parse(buf_string(&first));
    settings_print(again, &second);
    ck_assert_str_eq(buf_string(&first), buf_string(&second));
    ck_assert(!route_settings_equal(&s->routes[0], &again->routes[0])); /* the password of rabbit is masked */
    settings_unref(again);
}
END_TEST

static bool still_equal(const char *from, const char *to)
{
    const char *at = strstr(full, from);
    ck_assert_ptr_nonnull(at);
    char *text = mem_format("%.*s%s%s", (int)(at - full), full, to, at + strlen(from));
    struct settings *other = parse(text);
    bool equal = route_settings_equal(&s->routes[0], &other->routes[0]);
    settings_unref(other);
    free(text);
    return equal;
}

START_TEST(compares)
{
    s = parse(full);
    ck_assert(still_equal("lanes: 3", "lanes: 2"));
    ck_assert(still_equal("    to: { test: discard }", "    to: { stdout: lines }"));
    ck_assert(still_equal("stream: orders, group: ferry", "group: 'ferry', stream: \"orders\""));
    ck_assert(!still_equal("group: ferry", "group: ferr"));
    ck_assert(!still_equal("json.customer", "json.client"));
    ck_assert(!still_equal("  orders:", "  order:"));
    ck_assert(!still_equal("order: strict", "order: key"));
    ck_assert(!still_equal("6379/0", "6379/1"));
    ck_assert(!still_equal("hunter3", "hunter4"));
    ck_assert(!still_equal("      - { rabbitmq: rabbit, exchange: orders, routing_key: new }\n", ""));
    ck_assert(!still_equal("routing_key: new", "routing_key: old"));
}
END_TEST

static void check_help(const char *section, const struct option *table)
{
    for (const struct option *o = table; o && o->name; o++) {
        size_t len = o->help ? strlen(o->help) : 0;
        ck_assert_msg(len, "%s: the key \"%s\" has no help", section, o->name);
        ck_assert_msg(o->help[len - 1] != '.', "%s: the help of \"%s\" ends with a full stop", section, o->name);
        check_help(section, o->group);
    }
}

static void visit_section(void *arg, const struct settings_section *section)
{
    const char *title = section->title ? section->title : section->heading;
    ck_assert_msg(section->help && *section->help, "section %s has no help", title);
    check_help(title, section->table);
    check_help(title, section->keys);
    ++*(unsigned *)arg;
}

START_TEST(every_key_has_help)
{
    unsigned sections = 0;
    settings_each_section(visit_section, &sections);
    ck_assert_uint_eq(sections, 5 + 3 + 8 + 7);
}
END_TEST

START_TEST(reference)
{
    CLEANUP(buf_free) struct buf markdown = BUF_EMPTY, troff = BUF_EMPTY;
    settings_reference(true, &markdown);
    settings_reference(false, &troff);
    static const char *const keys[] = { "limits.in_flight", "declare.bindings[].routing_key", "shutdown_timeout" };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        ck_assert_msg(strstr(buf_string(&markdown), keys[i]) && strstr(buf_string(&troff), keys[i]), "%s", keys[i]);
    ck_assert_ptr_nonnull(strstr(buf_string(&troff), ".SS redis stream\n"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("settings");
    TCase *c = tcase_create("settings");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, everything_is_read);
    tcase_add_test(c, defaults);
    tcase_add_test(c, order_of_several_instances);
    tcase_add_test(c, warnings);
    tcase_add_test(c, prints_and_reads_back);
    tcase_add_test(c, compares);
    tcase_add_test(c, every_key_has_help);
    tcase_add_test(c, reference);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
