/* The watchdog notices a loop that blocks, says which and in what, and that it moves again. */
#include "runtime/thread.h"
#include "runtime/watchdog.h"
#include "support/suite.h"

#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct loop *loop;
static struct watchdog *dog;
static atomic_bool block;
static atomic_int blocked;
static int log_pipe[2];
static char said[4096];

static void on_tick(void *arg)
{
    struct timer *t = arg;
    if (atomic_load(&block)) {
        loop_set_doing(loop, "route orders");
        atomic_fetch_add(&blocked, 1);
        while (atomic_load(&block))
            usleep(1000);
    }
    timer_set(t, 5 * MSEC);
}

static void *run_loop(void *arg)
{
    struct timer t;
    timer_init(&t, loop, on_tick, &t);
    timer_set(&t, 0);
    loop_set_heartbeat(loop, 100 * MSEC);
    loop_run(loop);
    timer_close(&t);
    return arg;
}

/* Reads the log until it has that text; the test's own time-out is what ends a wait in vain. */
static void wait_for_log(const char *text)
{
    size_t len = strlen(said);
    while (!strstr(said, text)) {
        ssize_t n = read(log_pipe[0], said + len, sizeof(said) - 1 - len);
        ck_assert_int_gt(n, 0);
        len += (size_t)n;
        said[len] = 0;
    }
}

static size_t count_in_log(const char *text)
{
    size_t count = 0;
    for (const char *at = said; (at = strstr(at, text)); at++)
        count++;
    return count;
}

START_TEST(a_blocked_loop_is_noticed_while_it_is_blocked)
{
    ck_assert_int_eq(pipe(log_pipe), 0);
    dup2(log_pipe[1], STDERR_FILENO);
    loop = loop_new("lane 0");
    dog = watchdog_new(300 * MSEC);
    watchdog_watch(dog, loop);
    watchdog_start(dog);
    ck_assert_uint_eq(watchdog_stalls(dog), 0);
    pthread_t thread = thread_start("lane 0", run_loop, NULL);

    atomic_store(&block, true);
    wait_for_log("lane 0: stalled for ");
    wait_for_log(" ms in route orders\n");
    ck_assert_uint_eq(watchdog_stalls(dog), 1);
    while (watchdog_healthy(dog)) /* until the stall is longer than the heartbeat allows, too */
        usleep(1000);
    usleep(700 * 1000);
    ck_assert_uint_eq(watchdog_stalls(dog), 1); /* one stall is counted, and logged, once */

    atomic_store(&block, false);
    wait_for_log("lane 0: moves again after about ");
    ck_assert_uint_eq(count_in_log("stalled for"), 1);
    while (!watchdog_healthy(dog))
        usleep(1000);

    atomic_store(&block, true); /* the next one is another */
    while (watchdog_stalls(dog) < 2)
        usleep(1000);
    atomic_store(&block, false);
    loop_stop(loop);
    pthread_join(thread, NULL);
    watchdog_free(dog);
    loop_free(loop);
}
END_TEST

static void *run_idle(void *arg)
{
    loop_run(arg);
    return NULL;
}

START_TEST(an_idle_loop_is_healthy_without_a_heartbeat)
{
    loop = loop_new("main");
    dog = watchdog_new(20 * MSEC);
    watchdog_watch(dog, loop);
    watchdog_start(dog);
    pthread_t thread = thread_start("main", run_idle, loop);
    usleep(200 * 1000);
    ck_assert(watchdog_healthy(dog));
    loop_stop(loop);
    pthread_join(thread, NULL);
    watchdog_free(dog);
    loop_free(loop);
}
END_TEST

START_TEST(a_loop_that_nobody_runs_is_unhealthy_when_it_should_beat)
{
    loop = loop_new("lane 1");
    loop_set_heartbeat(loop, 10 * MSEC);
    dog = watchdog_new(20 * MSEC);
    watchdog_watch(dog, loop);
    usleep(100 * 1000);
    ck_assert(!watchdog_healthy(dog));
    watchdog_free(dog); /* never started */
    watchdog_free(NULL);
    loop_free(loop);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runtime: watchdog");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_blocked_loop_is_noticed_while_it_is_blocked);
    tcase_add_test(tests, an_idle_loop_is_healthy_without_a_heartbeat);
    tcase_add_test(tests, a_loop_that_nobody_runs_is_unhealthy_when_it_should_beat);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
