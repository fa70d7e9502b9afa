/* Tests the engine with real lanes and threads, and endpoints that need no broker: starting, reporting, pausing, replacing,
 * stopping. */
#include "base/mem.h"
#include "endpoint/file/file.h"
#include "endpoint/test/test.h"
#include "route/engine.h"
#include "support/suite.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

const struct connection_kind *const connection_kinds[] = { NULL };
const struct transport *const transports[] = { NULL };
const struct source_kind *const source_kinds[] = { &test_generate_source, NULL };
const struct sink_kind *const sink_kinds[] = { &test_discard_sink, &file_lines_sink, NULL };

static struct loop *loop;
static struct engine *engine;
static struct report *report;
static struct engine_change change;
static uint64_t returned;

static struct settings *parse(const char *routes)
{
    struct diagnostics *d = diagnostics_new();
    struct buf text = BUF_EMPTY, errors = BUF_EMPTY;
    buf_printf(&text, "name: test\nlanes: 2\nroutes:\n%s", routes);
    struct settings *s = settings_parse("test.yaml", buf_bytes(&text), d);
    diagnostics_print(d, &errors);
    ck_assert_msg(s != NULL, "%s", buf_string(&errors));
    diagnostics_free(d);
    buf_free(&text);
    buf_free(&errors);
    return s;
}

static void on_change(void *arg, const struct engine_change *c)
{
    (void)arg;
    change = *c;
}

static void on_report(void *arg, struct report *r)
{
    (void)arg;
    report_free(report);
    report = r;
    loop_stop(loop);
}

static void on_stopped(void *arg, uint64_t n)
{
    (void)arg;
    returned = n;
    loop_stop(loop);
}

static void apply(const char *routes)
{
    struct settings *s = parse(routes);
    if (!engine)
        engine = engine_new(loop, NULL, s);
    engine_apply(engine, s, on_change, NULL);
    settings_unref(s);
}

static const struct route_report *ask(const char *route)
{
    engine_report(engine, on_report, NULL);
    loop_run(loop);
    ck_assert(report->complete);
    for (size_t i = 0; i < report->route_count; i++) {
        const struct route_report *r = &report->routes[i];
        const struct route_counters *c = &r->counters;
        ck_assert_uint_eq(c->in,
                          c->delivered + c->dead + c->filtered + c->duplicate + c->returned + route_in_flight(c));
        if (strcmp(r->name, route) == 0)
            return r;
    }
    return NULL;
}

/* Asks until the route is in that state: other threads decide when. */
static const struct route_report *await(const char *route, enum route_state state)
{
    for (;;) {
        const struct route_report *r = ask(route);
        if (r && r->state == state)
            return r;
    }
}

static void stop_within(int64_t grace_us)
{
    engine_stop(engine, grace_us, on_stopped, NULL);
    loop_run(loop);
    engine_free(engine);
    engine = NULL;
}

static void stop(void)
{
    stop_within(5 * SEC);
}

static void setup(void)
{
    loop = loop_new("main");
}

static void teardown(void)
{
    report_free(report);
    report = NULL;
    loop_free(loop);
}

START_TEST(test_a_finite_route_ends_with_everything_delivered)
{
    apply(
        "  a: { from: { test: generate, count: 50000, keys: 100 }, to: { test: discard } }\n"
        "  b: { from: { test: generate, count: 1000 }, to: [ { test: discard }, { test: discard } ], instances: 2 }\n");
    const struct route_report *a = await("a", ROUTE_ENDED);
    ck_assert_uint_eq(a->counters.in, 50000);
    ck_assert_uint_eq(a->counters.delivered, 50000);
    ck_assert_uint_eq(a->in_flight_bytes, 0);
    ck_assert_uint_eq(a->unsettled, 0);
    ck_assert_uint_eq(a->to[0].counters.confirmed, 50000);
    const struct route_report *b = await("b", ROUTE_ENDED);
    ck_assert_uint_eq(b->instances, 2);
    ck_assert_uint_eq(b->counters.delivered, 2000);
    ck_assert_uint_eq(b->to_count, 2);
    ck_assert_uint_eq(b->to[1].counters.confirmed, 2000);
    ck_assert_str_eq(report->routes[0].name, "a");
    stop();
    ck_assert_uint_eq(returned, 0);
}
END_TEST

START_TEST(test_pause_holds_and_resume_goes_on)
{
    apply("  a: { from: { test: generate }, to: { test: discard } }\n");
    await("a", ROUTE_RUNNING);
    ck_assert(!engine_pause(engine, "nobody"));
    ck_assert(engine_pause(engine, "a"));
    const struct route_report *r = await("a", ROUTE_PAUSED);
    while (route_in_flight(&r->counters))
        r = ask("a");
    uint64_t in = r->counters.in;
    for (int i = 0; i < 20; i++)
        r = ask("a");
    ck_assert_uint_eq(r->counters.in, in);
    ck_assert(engine_resume(engine, "a"));
    do
        r = ask("a");
    while (r->counters.in == in);
    stop();
    ck_assert_uint_eq(returned, 0);
}
END_TEST

START_TEST(test_a_reload_touches_only_what_changed)
{
    apply("  kept: { from: { test: generate, rate: 1000 }, to: { test: discard } }\n"
          "  changed: { from: { test: generate, rate: 1000, size: 10 }, to: { test: discard } }\n"
          "  removed: { from: { test: generate, rate: 1000 }, to: { test: discard } }\n");
    const struct route_report *r;
    do
        r = ask("kept");
    while (!r || r->counters.delivered == 0);
    uint64_t delivered = r->counters.delivered;
    ck_assert(engine_pause(engine, "changed"));
    apply("  kept: { from: { test: generate, rate: 1000 }, to: { test: discard } }\n"
          "  changed: { from: { test: generate, rate: 1000, size: 20 }, to: { test: discard } }\n"
          "  added: { from: { test: generate, count: 5 }, to: { test: discard } }\n");
    ck_assert_uint_eq(change.kept, 1);
    ck_assert_uint_eq(change.changed, 1);
    ck_assert_uint_eq(change.removed, 1);
    ck_assert_uint_eq(change.added, 1);
    await("added", ROUTE_ENDED);
    while (ask("removed"))
        ;
    ck_assert_uint_ge(ask("kept")->counters.delivered, delivered);
    await("changed", ROUTE_PAUSED); /* the operator's word outlives a reload */
    stop();
}
END_TEST

START_TEST(test_a_second_reload_before_the_first_has_drained)
{
    apply("  a: { from: { test: generate, size: 1 }, to: { test: discard } }\n");
    for (int i = 0; i < 10; i++) {
        apply("  a: { from: { test: generate, size: 2 }, to: { test: discard } }\n");
        apply("  b: { from: { test: generate, size: 2 }, to: { test: discard } }\n");
        apply("  a: { from: { test: generate, count: 3, size: 3 }, to: { test: discard } }\n");
    }
    const struct route_report *r = await("a", ROUTE_ENDED);
    ck_assert_uint_eq(r->counters.delivered, 3);
    while (ask("b"))
        ;
    stop();
}
END_TEST

START_TEST(test_a_stop_counts_all_that_it_returns)
{
    enum { COUNT = 15000 }; /* more than the sink takes: some are given up by it, the others wait for its window */
    char dir[] = "/tmp/test_engine.XXXXXX", path[64], routes[256];
    ck_assert(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/pipe", dir);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int pipe = open(path, O_RDWR | O_CLOEXEC); /* and nobody reads */
    ck_assert_int_ge(pipe, 0);
    snprintf(routes, sizeof routes, "  a: { from: { test: generate, count: %d }, to: { file: lines, path: %s } }\n",
             (int)COUNT, path);
    apply(routes);
    const struct route_report *r;
    do
        r = ask("a");
    while (!r || r->counters.in < COUNT || !r->to[0].outstanding);
    ck_assert_uint_eq(r->counters.delivered, 0);
    stop_within(SEC / 2);
    ck_assert_uint_eq(returned, COUNT);
    close(pipe);
    unlink(path);
    rmdir(dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *cases = tcase_create("engine");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, test_a_finite_route_ends_with_everything_delivered);
    tcase_add_test(cases, test_pause_holds_and_resume_goes_on);
    tcase_add_test(cases, test_a_stop_counts_all_that_it_returns);
    tcase_add_test(cases, test_a_reload_touches_only_what_changed);
    tcase_add_test(cases, test_a_second_reload_before_the_first_has_drained);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
