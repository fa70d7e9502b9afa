/* The loop: timers in order and never early, readiness, tasks at the end of a pass, wake-ups, no busy waiting. */
#include "base/mem.h"
#include "base/random.h"
#include "runtime/loop.h"
#include "support/run_loop.h"
#include "support/suite.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct loop *loop;

/* ---- timers */

static struct shot {
    struct timer timer;
    int64_t due_us;
} shots[200];
static size_t fired, wanted;
static int64_t last_due;

static void on_shot(void *arg)
{
    struct shot *s = arg;
    ck_assert_int_ge(clock_us(), s->due_us);
    ck_assert_int_ge(s->due_us, last_due);
    ck_assert(!s->timer.armed);
    last_due = s->due_us;
    if (++fired == wanted)
        loop_stop(loop);
}

START_TEST(timers_fire_in_order_and_never_early)
{
    loop = loop_new("test");
    int64_t now = loop_now(loop);
    for (size_t i = 0; i < ARRAY_LEN(shots); i++) {
        int64_t delay = (int64_t)random_below(30000);
        timer_init(&shots[i].timer, loop, on_shot, &shots[i]);
        timer_set(&shots[i].timer, 50 * MSEC); /* replaced by the next */
        timer_set(&shots[i].timer, delay);
        shots[i].due_us = now + delay;
    }
    /* Times of setting differ by what setting took: order by what the timer itself keeps. */
    for (size_t i = 0; i < ARRAY_LEN(shots); i++)
        shots[i].due_us = shots[i].timer.node.key;
    timer_cancel(&shots[7].timer);
    timer_cancel(&shots[7].timer);
    timer_close(&shots[8].timer);
    timer_close(&shots[8].timer);
    wanted = ARRAY_LEN(shots) - 2;
    loop_run(loop);
    ck_assert_uint_eq(fired, wanted);
    for (size_t i = 0; i < ARRAY_LEN(shots); i++)
        timer_close(&shots[i].timer);
    loop_free(loop);
}
END_TEST

static uint64_t pass_of_last_tick;
static int ticks;
static struct timer ticker;

static void on_tick(void *arg)
{
    (void)arg;
    uint64_t pass = loop_beat(loop).passes;
    ck_assert_uint_ne(pass, pass_of_last_tick);
    pass_of_last_tick = pass;
    if (++ticks == 5)
        loop_stop(loop);
    else
        timer_set(&ticker, 0);
}

START_TEST(a_timer_set_by_itself_fires_in_a_later_pass)
{
    loop = loop_new("test");
    timer_init(&ticker, loop, on_tick, NULL);
    timer_set(&ticker, 0);
    loop_run(loop);
    ck_assert_int_eq(ticks, 5);
    loop_free(loop);
}
END_TEST

static void on_free_itself(void *arg)
{
    struct timer *t = arg;
    timer_close(t);
    free(t);
    loop_stop(loop);
}

START_TEST(a_timer_may_be_freed_by_its_callback)
{
    loop = loop_new("test");
    struct timer *t = mem_zero(sizeof(*t));
    timer_init(t, loop, on_free_itself, t);
    timer_set(t, MSEC);
    loop_run(loop);
    loop_free(loop);
}
END_TEST

static struct timer others[2];

static void on_cancel_other(void *arg)
{
    size_t me = (size_t)((struct timer *)arg - others);
    timer_cancel(&others[1 - me]);
    fired++;
}

START_TEST(a_due_timer_can_still_be_cancelled)
{
    loop = loop_new("test");
    for (size_t i = 0; i < 2; i++) {
        timer_init(&others[i], loop, on_cancel_other, &others[i]);
        timer_set(&others[i], 0);
    }
    run_loop_for(loop, 5 * MSEC);
    ck_assert_uint_eq(fired, 1);
    loop_free(loop);
}
END_TEST

/* ---- tasks */

static char trace[64];

static void note(const char *what)
{
    strcat(trace, what);
}

static struct task task_a, task_b, task_again;

static void run_a(void *arg)
{
    (void)arg;
    note("a");
}

static void run_b(void *arg)
{
    (void)arg;
    note("b");
    task_cancel(&task_a);
}

static void run_again(void *arg)
{
    static uint64_t last_pass;
    static int runs;
    (void)arg;
    note("r");
    ck_assert_uint_ne(loop_beat(loop).passes, last_pass);
    last_pass = loop_beat(loop).passes;
    if (++runs < 3)
        loop_defer(loop, &task_again);
}

static void on_defer(void *arg)
{
    (void)arg;
    note("t");
    loop_defer(loop, &task_a);
    loop_defer(loop, &task_a);
}

START_TEST(tasks_run_once_after_the_callbacks)
{
    loop = loop_new("test");
    struct timer first, second;
    task_init(&task_a, run_a, NULL);
    timer_init(&first, loop, on_defer, NULL);
    timer_init(&second, loop, on_defer, NULL);
    timer_set(&first, 0);
    timer_set(&second, 0);
    usleep(1000); /* both are due in the first pass */
    run_loop_for(loop, 5 * MSEC);
    ck_assert_str_eq(trace, "tta");
    loop_free(loop);
}
END_TEST

START_TEST(a_task_queued_by_a_task_runs_in_the_next_pass)
{
    loop = loop_new("test");
    task_init(&task_again, run_again, NULL);
    loop_defer(loop, &task_again);
    run_loop_for(loop, 5 * MSEC);
    ck_assert_str_eq(trace, "rrr");
    loop_free(loop);
}
END_TEST

START_TEST(a_task_may_cancel_the_one_behind_it)
{
    loop = loop_new("test");
    struct task never = { 0 };
    task_cancel(&never);
    task_init(&task_a, run_a, NULL);
    task_init(&task_b, run_b, NULL);
    loop_defer(loop, &task_b);
    loop_defer(loop, &task_a);
    run_loop_for(loop, 5 * MSEC);
    ck_assert_str_eq(trace, "b");
    loop_free(loop);
}
END_TEST

/* ---- descriptors */

static int pair[2];
static struct io io;
static struct io *owned_io;
static unsigned ready_count[4];

static void on_ready(void *arg, unsigned ready)
{
    (void)arg;
    ready_count[ready]++;
    if (ready == IO_WRITE)
        io_want(&io, IO_READ);
    else
        loop_stop(loop);
}

START_TEST(readiness_is_told_as_long_as_it_is_wanted)
{
    loop = loop_new("test");
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    io_init(&io, loop, pair[0], on_ready, NULL);
    io_want(&io, IO_READ | IO_WRITE);
    run_loop_for(loop, 5 * MSEC);
    ck_assert_uint_eq(ready_count[IO_WRITE], 1);
    ck_assert_uint_eq(ready_count[IO_READ], 0);

    ck_assert_int_eq(write(pair[1], "x", 1), 1);
    loop_run(loop);
    loop_run(loop); /* nobody read it: level-triggered */
    ck_assert_uint_eq(ready_count[IO_READ], 2);

    io_want(&io, 0);
    run_loop_for(loop, 5 * MSEC);
    ck_assert_uint_eq(ready_count[IO_READ], 2);

    io_want(&io, IO_READ);
    close(pair[1]);
    loop_run(loop);
    ck_assert_uint_eq(ready_count[IO_READ], 3);
    io_close(&io);
    io_close(&io);
    close(pair[0]);
    loop_free(loop);
}
END_TEST

static void on_ready_free(void *arg, unsigned ready)
{
    (void)arg;
    (void)ready;
    ready_count[0]++;
    io_close(owned_io);
    free(owned_io);
}

START_TEST(an_io_may_be_freed_by_its_callback)
{
    loop = loop_new("test");
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ck_assert_int_eq(write(pair[1], "x", 1), 1);
    owned_io = mem_zero(sizeof(*owned_io));
    io_init(owned_io, loop, pair[0], on_ready_free, NULL);
    io_want(owned_io, IO_READ | IO_WRITE); /* both ready: the second must not come */
    run_loop_for(loop, 5 * MSEC);
    ck_assert_uint_eq(ready_count[0], 1);
    close(pair[0]);
    close(pair[1]);
    loop_free(loop);
}
END_TEST

static struct task flush;
static unsigned flushes;

static void on_flush(void *arg)
{
    (void)arg;
    if (++flushes == 100)
        loop_stop(loop);
}

static void on_ready_defer(void *arg, unsigned ready)
{
    (void)arg;
    (void)ready;
    loop_defer(loop, &flush);
}

START_TEST(a_socket_that_is_always_ready_starves_no_task)
{
    loop = loop_new("test");
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    task_init(&flush, on_flush, NULL);
    io_init(&io, loop, pair[0], on_ready_defer, NULL);
    io_want(&io, IO_WRITE);
    loop_run(loop);
    io_close(&io);
    close(pair[0]);
    close(pair[1]);
    loop_free(loop);
}
END_TEST

/* ---- the loop itself */

static void *stop_soon(void *arg)
{
    usleep(20000);
    loop_stop(arg);
    return NULL;
}

START_TEST(another_thread_stops_an_idle_loop)
{
    loop = loop_new("test");
    ck_assert_str_eq(loop_name(loop), "test");
    for (int i = 0; i < 3; i++) { /* it can run again */
        pthread_t thread;
        pthread_create(&thread, NULL, stop_soon, loop);
        loop_run(loop);
        pthread_join(thread, NULL);
    }
    loop_stop(loop);
    loop_run(loop); /* stopped before it ran: returns at once */
    loop_free(loop);
    loop_free(NULL);
}
END_TEST

static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * SEC + t.tv_nsec / 1000;
}

START_TEST(an_idle_loop_does_not_turn)
{
    loop = loop_new("test");
    run_loop_for(loop, MSEC);
    uint64_t passes = loop_beat(loop).passes;
    int64_t cpu = cpu_us();
    run_loop_for(loop, 300 * MSEC);
    ck_assert_uint_le(loop_beat(loop).passes - passes, 4);
    ck_assert_int_lt(cpu_us() - cpu, 100 * MSEC);
    loop_free(loop);
}
END_TEST

START_TEST(a_heartbeat_makes_an_idle_loop_pass)
{
    loop = loop_new("test");
    loop_set_heartbeat(loop, 10 * MSEC);
    ck_assert_int_eq(loop_heartbeat(loop), 10 * MSEC);
    uint64_t passes = loop_beat(loop).passes;
    run_loop_for(loop, 200 * MSEC);
    ck_assert_uint_ge(loop_beat(loop).passes - passes, 3);
    ck_assert(!loop_beat(loop).running);
    loop_set_heartbeat(loop, 0);
    passes = loop_beat(loop).passes;
    run_loop_for(loop, 100 * MSEC);
    ck_assert_uint_le(loop_beat(loop).passes - passes, 4);
    loop_free(loop);
}
END_TEST

static void on_doing(void *arg)
{
    char text[LOOP_DOING_MAX];
    (void)arg;
    loop_doing(loop, text);
    ck_assert_str_eq(text, "");
    loop_set_doing(loop, "route orders");
    loop_doing(loop, text);
    ck_assert_str_eq(text, "route orders");
    loop_set_doing(loop, "a name that is so long that it does not fit into what is kept of it");
    loop_doing(loop, text);
    ck_assert_uint_eq(strlen(text), LOOP_DOING_MAX - 1);
    ck_assert(loop_beat(loop).running);
    int64_t now = loop_now(loop);
    usleep(2000);
    ck_assert_int_eq(loop_now(loop), now);
    if (++ticks == 2)
        loop_stop(loop);
    else
        timer_set(&ticker, 0);
}

START_TEST(a_pass_has_one_time_and_forgets_what_was_done)
{
    loop = loop_new("test");
    timer_init(&ticker, loop, on_doing, NULL);
    timer_set(&ticker, 0);
    loop_run(loop);
    loop_free(loop);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runtime: loop");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, timers_fire_in_order_and_never_early);
    tcase_add_test(tests, a_timer_set_by_itself_fires_in_a_later_pass);
    tcase_add_test(tests, a_timer_may_be_freed_by_its_callback);
    tcase_add_test(tests, a_due_timer_can_still_be_cancelled);
    tcase_add_test(tests, tasks_run_once_after_the_callbacks);
    tcase_add_test(tests, a_task_queued_by_a_task_runs_in_the_next_pass);
    tcase_add_test(tests, a_task_may_cancel_the_one_behind_it);
    tcase_add_test(tests, readiness_is_told_as_long_as_it_is_wanted);
    tcase_add_test(tests, an_io_may_be_freed_by_its_callback);
    tcase_add_test(tests, a_socket_that_is_always_ready_starves_no_task);
    tcase_add_test(tests, another_thread_stops_an_idle_loop);
    tcase_add_test(tests, an_idle_loop_does_not_turn);
    tcase_add_test(tests, a_heartbeat_makes_an_idle_loop_pass);
    tcase_add_test(tests, a_pass_has_one_time_and_forgets_what_was_done);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
