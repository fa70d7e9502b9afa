/* What people see of an answer: the trouble is there, and answers of other versions or of nobody do no harm. */
#include "ctl/render.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

static const char status[] =
    "{\"ok\": true, \"name\": \"ferry-1\", \"version\": \"0.1\", \"pid\": 7, \"uptime_s\": 3700, \"rss_bytes\": 9437184,"
    " \"healthy\": false, \"complete\": true, \"stalls\": 0, \"routes\": ["
    "  {\"name\": \"orders\", \"healthy\": true, \"state\": \"running\", \"reason\": \"\", \"held_at\": \"limits.in_flight\","
    "   \"rate_in\": 10234.5, \"rate_out\": 10230, \"in_flight\": 312, \"unsettled\": 4, \"accounted\": true,"
    "   \"counters\": {\"in\": 1000, \"delivered\": 688},"
    "   \"from\": {\"kind\": \"redis stream\", \"target\": \"orders\", \"state\": \"up\", \"reason\": \"\"},"
    "   \"to\": [{\"kind\": \"kafka topic\", \"target\": \"o\", \"state\": \"up\", \"reason\": \"\"}]},"
    "  {\"name\": \"audit\", \"healthy\": false, \"state\": \"fault\", \"reason\": \"no queue \\\"audit\\\"\", \"accounted\": false,"
    "   \"from\": {\"kind\": \"stdin lines\", \"target\": \"\", \"state\": \"idle\", \"reason\": \"\"},"
    "   \"to\": [{\"kind\": \"rabbitmq queue\", \"target\": \"audit\", \"state\": \"down\", \"reason\": \"refused\"}]}]}";

static char *shown(render_fn *render, const char *answer)
{
    struct buf out = BUF_EMPTY;
    json_t *a = json_loads(answer, 0, NULL);
    ck_assert_ptr_nonnull(a);
    render(a, false, &out);
    json_decref(a);
    return buf_take(&out);
}

static void shows(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in:\n%s", part, text);
}

START_TEST(status_shows_trouble)
{
    char *text = shown(render_status, status);
    shows(text, "ferry-1: ferryd 0.1, pid 7, up 1h 1m, 9.0 MiB resident");
    shows(text, "1 of 2 routes healthy");
    shows(text, "redis stream orders -> kafka topic o");
    shows(text, "10.2k");
    shows(text, "\n  held at limits.in_flight\n");
    shows(text, "\n  no queue \"audit\"\n");
    shows(text, "\n  its counters do not add up");
    shows(text, "\n  to rabbitmq queue audit: down: refused\n");
    free(text);
}
END_TEST

START_TEST(route_shows_every_counter)
{
    char *text = shown(
        render_route,
        "{\"route\": {\"name\": \"orders\", \"state\": \"running\", \"accounted\": true,"
        " \"counters\": {\"in\": 12345678, \"later_counter\": 3}, \"from\": {\"kind\": \"a\", \"unsettled\": 9},"
        " \"to\": [{\"kind\": \"b\", \"counters\": {\"confirmed\": 77}, \"waiting\": 5, \"parked\": 6}]}}");
    shows(text, "12345678");
    shows(text, "later_counter");
    shows(text, "confirmed");
    shows(text, "after trouble");
    free(text);
}
END_TEST

START_TEST(nothing_breaks_a_renderer)
{
    static render_fn *const all[] = { render_status,      render_routes, render_route,
                                      render_connections, render_reload, render_version };
    static const char *const answers[] = { "{}", "{\"routes\": 3, \"route\": [], \"connections\": {}}",
                                           "{\"routes\": [null, 1, {}], \"connections\": [[]], \"complete\": false}",
                                           "{\"route\": {\"to\": [null, {\"waiting\": \"x\"}], \"counters\": []}}" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t j = 0; j < sizeof answers / sizeof *answers; j++)
            free(shown(all[i], answers[j]));
}
END_TEST

START_TEST(reload_shows_what_waits)
{
    char *text = shown(render_reload, "{\"kept\": 3, \"changed\": 1, \"restart_needed\": \"lanes, limits\"}");
    ck_assert_str_eq(text, "routes: 3 kept, 1 changed, 0 added, 0 removed\n"
                           "the new lanes, limits will hold after a restart only\n");
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("render");
    TCase *t = tcase_create("all");
    tcase_add_test(t, status_shows_trouble);
    tcase_add_test(t, route_shows_every_counter);
    tcase_add_test(t, nothing_breaks_a_renderer);
    tcase_add_test(t, reload_shows_what_waits);
    suite_add_tcase(s, t);
    return suite_run(s);
}
