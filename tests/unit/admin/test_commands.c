/* The command table: who may, what is refused and how, what each command asks of the daemon. */
#include "support/suite.h"
#include "unit/admin/fake_host.h"

#include <check.h>

static struct fake_host host;
static json_t *answer;

static void on_reply(struct request *r, json_t *a)
{
    ck_assert_msg(!answer, "answered twice");
    json_decref(r->arguments);
    answer = a;
}

static struct request request;

static const json_t *ask(const char *text, enum privilege who)
{
    json_decref(answer);
    answer = NULL;
    request = (struct request){ .host = &host.host, .peer = "test", .reply = on_reply };
    request.arguments = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(request.arguments);
    command_run(&request, who);
    return answer;
}

static bool is_ok(const json_t *a)
{
    return json_is_true(json_object_get(a, "ok"));
}

static const char *error(const json_t *a)
{
    ck_assert(json_is_false(json_object_get(a, "ok")));
    return json_string_value(json_object_get(a, "error"));
}

static void setup(void)
{
    fake_host_init(&host);
}

static void teardown(void)
{
    json_decref(answer);
    answer = NULL;
}

START_TEST(observers_look_and_do_not_touch)
{
    for (const struct command *c = commands; c->name; c++) {
        char text[128];
        snprintf(text, sizeof text, "{\"command\": \"%s\", \"route\": \"orders\"}", c->name);
        ck_assert_msg(is_ok(ask(text, OPERATOR)), "%s as operator", c->name);
        ck_assert_msg(is_ok(ask(text, OBSERVER)) == (c->privilege == OBSERVER), "%s as observer", c->name);
    }
    ck_assert_uint_eq(host.paused, 1);
    ck_assert_uint_eq(host.resumed, 1);
    ck_assert_uint_eq(host.reloads, 1);
    ck_assert_str_eq(error(ask("{\"command\": \"reload\"}", OBSERVER)),
                     "\"reload\" is for root and the user that ferryd runs as");
}
END_TEST

START_TEST(refusals_say_what_is_wrong)
{
    ck_assert_ptr_nonnull(strstr(error(ask("{}", OPERATOR)), "an object with a \"command\""));
    ck_assert_ptr_nonnull(strstr(error(ask("{\"command\": 7}", OPERATOR)), "an object with a \"command\""));
    ck_assert_str_eq(error(ask("{\"command\": \"statsu\"}", OPERATOR)),
                     "there is no command \"statsu\"; did you mean \"status\"?");
    ck_assert_ptr_nonnull(strstr(error(ask("{\"command\": \"pause\"}", OPERATOR)), "\"pause\" needs a route"));
    ck_assert_ptr_nonnull(strstr(error(ask("{\"command\": \"pause\", \"route\": []}", OPERATOR)), "needs a route"));
    ck_assert_str_eq(error(ask("{\"command\": \"pause\", \"route\": \"ordres\"}", OPERATOR)),
                     "there is no route \"ordres\"; did you mean \"orders\"?");
    ck_assert_str_eq(error(ask("{\"command\": \"route\", \"route\": \"x\"}", OBSERVER)), "there is no route \"x\"");
}
END_TEST

START_TEST(status_has_everything)
{
    const json_t *a = ask("{\"command\": \"status\"}", OBSERVER);
    ck_assert(json_is_true(json_object_get(a, "healthy")));
    ck_assert_str_eq(json_string_value(json_object_get(a, "version")), "0.0-test");
    ck_assert_uint_eq(json_array_size(json_object_get(a, "routes")), 1);
    a = ask("{\"command\": \"route\", \"route\": \"orders\"}", OBSERVER);
    ck_assert_int_eq(
        json_integer_value(json_object_get(json_object_get(json_object_get(a, "route"), "counters"), "in")), 5);
}
END_TEST

START_TEST(reload_tells_what_changed_or_every_error)
{
    host.reload_answer.change.changed = 2;
    host.reload_answer.restart_needed = "lanes";
    const json_t *a = ask("{\"command\": \"reload\"}", OPERATOR);
    ck_assert_int_eq(json_integer_value(json_object_get(a, "changed")), 2);
    ck_assert_str_eq(json_string_value(json_object_get(a, "restart_needed")), "lanes");

    host.reload_answer = (struct reload_result){ .error = "x has 2 errors",
                                                 .details = "x:1:1: error: a\nx:2:1: error: b\n" };
    a = ask("{\"command\": \"reload\"}", OPERATOR);
    ck_assert_str_eq(error(a), "x has 2 errors");
    const json_t *details = json_object_get(a, "details");
    ck_assert_uint_eq(json_array_size(details), 2);
    ck_assert_str_eq(json_string_value(json_array_get(details, 1)), "x:2:1: error: b");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("commands");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, observers_look_and_do_not_touch);
    tcase_add_test(t, refusals_say_what_is_wrong);
    tcase_add_test(t, status_has_everything);
    tcase_add_test(t, reload_tells_what_changed_or_every_error);
    suite_add_tcase(s, t);
    return suite_run(s);
}
