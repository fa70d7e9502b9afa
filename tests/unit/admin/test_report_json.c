/* Reports as JSON: every field is there, health and the account are right, text is always UTF-8. */
#include "admin/report_json.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

static struct endpoint_report sink = { .kind = "kafka topic", .target = "orders", .connection = "events" };
static struct route_report route;
static struct connection_report connection = { .name = "events", .role = "publish", .address = "k1:9092" };
static struct report report;

static void setup(void)
{
    sink.status = (struct endpoint_status){ .state = ENDPOINT_UP, .connects = 2, .no_receivers = 3 };
    sink.counters = (struct sink_counters){ .sent = 9, .confirmed = 7, .again = 1, .unknown = 1 };
    sink.waiting = 4;
    route = (struct route_report){ .name = "orders", .instances = 2, .state = ROUTE_RUNNING, .order = ORDER_KEY };
    route.guarantee = "at least once";
    route.counters = (struct route_counters){ .in = 20, .delivered = 7, .dead = 1, .filtered = 2, .duplicate = 3 };
    route.counters.returned = 4;
    route.in_flight = 3;
    route.from = (struct endpoint_report){ .kind = "redis stream", .target = "orders", .connection = "cache" };
    route.to = &sink;
    route.to_count = 1;
    report = (struct report){ .name = "ferry-1", .uptime_s = 3.5, .complete = true, .rss_bytes = 1 << 20 };
    report.routes = &route;
    report.route_count = 1;
    report.connections = &connection;
    report.connection_count = 1;
}

static json_int_t integer(const json_t *object, const char *key)
{
    ck_assert_msg(json_is_integer(json_object_get(object, key)), "no integer %s", key);
    return json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
    ck_assert_msg(json_is_string(json_object_get(object, key)), "no text %s", key);
    return json_string_value(json_object_get(object, key));
}

START_TEST(names_every_field)
{
    json_t *j = report_json(&report);
    const json_t *r = json_array_get(json_object_get(j, "routes"), 0);
    const json_t *to = json_array_get(json_object_get(r, "to"), 0), *from = json_object_get(r, "from");
    const json_t *c = json_array_get(json_object_get(j, "connections"), 0);
    ck_assert_str_eq(text(j, "name"), "ferry-1");
    ck_assert_int_eq(integer(j, "rss_bytes"), 1 << 20);
    ck_assert(json_is_true(json_object_get(j, "complete")));
    ck_assert_str_eq(text(r, "state"), "running");
    ck_assert_str_eq(text(r, "order"), "key");
    ck_assert_str_eq(text(r, "guarantee"), "at least once");
    ck_assert_int_eq(integer(r, "instances"), 2);
    ck_assert_int_eq(integer(json_object_get(r, "counters"), "duplicate"), 3);
    ck_assert_int_eq(integer(r, "in_flight"), 3);
    ck_assert(json_is_true(json_object_get(r, "accounted")));
    ck_assert_str_eq(text(from, "kind"), "redis stream");
    ck_assert_str_eq(text(to, "target"), "orders");
    ck_assert_int_eq(integer(to, "no_receivers"), 3);
    ck_assert_int_eq(integer(to, "waiting"), 4);
    ck_assert_int_eq(integer(json_object_get(to, "counters"), "unknown"), 1);
    ck_assert_str_eq(text(c, "address"), "k1:9092");
    json_decref(j);
}
END_TEST

START_TEST(health_is_running_or_ended)
{
    for (int s = 0; s < ROUTE_STATES; s++) {
        route.state = (enum route_state)s;
        bool healthy = s == ROUTE_RUNNING || s == ROUTE_ENDED;
        ck_assert_int_eq(report_route_healthy(&route), healthy);
        ck_assert_int_eq(report_healthy(&report), healthy);
    }
    route.state = ROUTE_RUNNING;
    report.complete = false;
    ck_assert(!report_healthy(&report));
}
END_TEST

START_TEST(outcomes_that_do_not_add_up_are_no_account)
{
    route.counters.delivered = 8;
    ck_assert(!report_route_healthy(&route));
    json_t *j = report_json_route(&route);
    ck_assert(json_is_false(json_object_get(j, "accounted")));
    ck_assert_int_eq(integer(j, "in_flight"), 3);
    json_decref(j);
}
END_TEST

START_TEST(text_that_is_no_utf8_is_escaped)
{
    strcpy(sink.target, "a\xff");
    json_t *j = report_json_route(&route);
    const char *target = text(json_array_get(json_object_get(j, "to"), 0), "target");
    ck_assert_int_eq(target[0], 'a');
    ck_assert_ptr_null(strchr(target, 0xff));
    json_decref(j);
    strcpy(sink.target, "orders");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("report_json");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, names_every_field);
    tcase_add_test(t, health_is_running_or_ended);
    tcase_add_test(t, outcomes_that_do_not_add_up_are_no_account);
    tcase_add_test(t, text_that_is_no_utf8_is_escaped);
    suite_add_tcase(s, t);
    return suite_run(s);
}
