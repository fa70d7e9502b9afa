/* The report desk: one report answers many, nobody gets one that was begun before it asked, and floods become few. */
#include "admin/report_desk.h"
#include "base/mem.h"
#include "support/run_loop.h"
#include "support/suite.h"

#include <check.h>

static struct loop *loop;
static struct report_desk *desk;
static unsigned asked, answered;
static void (*pending)(void *arg, struct report *r);
static void *pending_arg;

static void ask(void *arg, void (*done)(void *done_arg, struct report *r), void *done_arg)
{
    (void)arg;
    asked++;
    pending = done;
    pending_arg = done_arg;
}

static void deliver(void)
{
    void (*done)(void *arg, struct report *r) = pending;
    ck_assert(done != NULL);
    pending = NULL;
    done(pending_arg, mem_zero(sizeof(struct report)));
}

static void on_answer(void *arg, const struct report *r)
{
    ck_assert_ptr_nonnull(r);
    answered += arg ? 100 : 1;
}

static void setup(void)
{
    asked = answered = 0;
    pending = NULL;
    loop = loop_new("main");
    desk = report_desk_new(loop, ask, NULL);
}

static void teardown(void)
{
    report_desk_free(desk);
    loop_free(loop);
}

START_TEST(the_first_is_asked_at_once_and_later_ones_share_the_next)
{
    report_desk_ask(desk, on_answer, NULL);
    ck_assert_uint_eq(asked, 1);
    for (int i = 0; i < 50; i++)
        report_desk_ask(desk, on_answer, &asked);
    deliver();
    ck_assert_uint_eq(answered, 1); /* the others asked after it was begun */
    ck_assert_uint_eq(asked, 1);    /* and it is too soon */
    run_loop_for(loop, 70 * MSEC);
    ck_assert_uint_eq(asked, 2);
    deliver();
    ck_assert_uint_eq(answered, 1 + 50 * 100);
    run_loop_for(loop, 70 * MSEC);
    ck_assert_uint_eq(asked, 2);
}
END_TEST

static void ask_again(void *arg, const struct report *r)
{
    on_answer(NULL, r);
    report_desk_ask(arg, ask_again, arg);
}

START_TEST(who_asks_again_for_ever_is_slowed_down)
{
    report_desk_ask(desk, ask_again, desk);
    for (int i = 0; i < 20; i++) {
        if (pending)
            deliver();
        run_loop_for(loop, 10 * MSEC);
    }
    ck_assert_uint_ge(asked, 3);
    ck_assert_uint_le(asked, 6);
}
END_TEST

START_TEST(freeing_forgets)
{
    report_desk_ask(desk, on_answer, NULL);
    report_desk_ask(desk, on_answer, NULL);
    report_desk_free(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("report_desk");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_first_is_asked_at_once_and_later_ones_share_the_next);
    tcase_add_test(t, who_asks_again_for_ever_is_slowed_down);
    tcase_add_test(t, freeing_forgets);
    suite_add_tcase(s, t);
    return suite_run(s);
}
