/* Tests that stages may finish in any order and messages still leave in sequence: all of them under order: strict, those of
 * one key under order: key, none of them with order: none. */
#include "base/mem.h"
#include "route/stage.h"
#include "support/suite.h"

#include <check.h>

enum { MESSAGES = 9, KEYS = 3 };

/* Keeps every ticket until the test lets it go. */
struct slow_stage {
    struct stage base;
    struct ticket *held[MESSAGES];
};

static struct root roots[MESSAGES];
static uint64_t left[MESSAGES];
static size_t left_count;
static struct pipeline *pipeline;

static void slow_run(struct stage *s, struct ticket **tickets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((struct slow_stage *)s)->held[tickets[i]->root->ticket] = tickets[i];
}

static void quick_run(struct stage *s, struct ticket **tickets, size_t n)
{
    stage_done(s, tickets, n);
}

static void stage_free(struct stage *s)
{
    free(s);
}

static const struct stage_ops slow_ops = { slow_run, stage_free }, quick_ops = { quick_run, stage_free };

static void on_left(void *arg, struct root **r, size_t n)
{
    (void)arg;
    for (size_t i = 0; i < n; i++)
        left[left_count++] = r[i]->ticket;
}

static struct slow_stage *add_slow(void)
{
    struct slow_stage *s = mem_zero(sizeof *s);
    s->base.ops = &slow_ops;
    pipeline_add(pipeline, &s->base);
    return s;
}

static void start(bool ordered, unsigned keys)
{
    left_count = 0;
    pipeline = pipeline_new(ordered, on_left, NULL);
    for (unsigned i = 0; i < MESSAGES; i++)
        roots[i] = (struct root){ .ticket = i, .order = keys ? i % keys : 0 };
}

static void enter_all(void)
{
    struct root *all[MESSAGES];
    for (unsigned i = 0; i < MESSAGES; i++)
        all[i] = &roots[i];
    pipeline_run(pipeline, all, MESSAGES);
}

static void finish_backwards(struct slow_stage *s)
{
    for (unsigned i = MESSAGES; i-- > 0;)
        stage_done(&s->base, &s->held[i], 1);
}

static void assert_left(const uint64_t *expected)
{
    ck_assert_uint_eq(left_count, MESSAGES);
    for (unsigned i = 0; i < MESSAGES; i++)
        ck_assert_uint_eq(left[i], expected[i]);
    ck_assert_uint_eq(pipeline_count(pipeline), 0);
    pipeline_free(pipeline);
}

START_TEST(test_one_group_leaves_as_it_came)
{
    start(true, 1);
    struct slow_stage *s = add_slow();
    enter_all();
    ck_assert_uint_eq(pipeline_count(pipeline), MESSAGES);
    finish_backwards(s);
    assert_left((const uint64_t[]){ 0, 1, 2, 3, 4, 5, 6, 7, 8 });
}
END_TEST

START_TEST(test_a_key_waits_for_itself_only)
{
    start(true, KEYS);
    struct slow_stage *s = add_slow();
    enter_all();
    stage_done(&s->base, &s->held[4], 1); /* behind 1 */
    ck_assert_uint_eq(left_count, 0);
    stage_done(&s->base, &s->held[2], 1); /* first of its key */
    ck_assert_uint_eq(left_count, 1);
    stage_done(&s->base, &s->held[1], 1); /* lets 4 go too */
    ck_assert_uint_eq(left_count, 3);
    struct ticket *rest[] = { s->held[8], s->held[7], s->held[6], s->held[5], s->held[3], s->held[0] };
    stage_done(&s->base, rest, 6);
    assert_left((const uint64_t[]){ 2, 1, 4, 7, 5, 8, 0, 3, 6 });
}
END_TEST

START_TEST(test_unordered_leaves_as_it_is_done)
{
    start(false, KEYS);
    struct slow_stage *s = add_slow();
    enter_all();
    finish_backwards(s);
    assert_left((const uint64_t[]){ 8, 7, 6, 5, 4, 3, 2, 1, 0 });
}
END_TEST

START_TEST(test_each_stage_puts_back_in_sequence)
{
    start(true, 1);
    struct slow_stage *first = add_slow();
    struct stage *quick = mem_zero(sizeof *quick);
    quick->ops = &quick_ops;
    pipeline_add(pipeline, quick);
    struct slow_stage *last = add_slow();
    enter_all();
    finish_backwards(first);
    ck_assert_uint_eq(left_count, 0);
    finish_backwards(last);
    assert_left((const uint64_t[]){ 0, 1, 2, 3, 4, 5, 6, 7, 8 });
}
END_TEST

START_TEST(test_without_stages_messages_pass_through)
{
    start(true, KEYS);
    enter_all();
    assert_left((const uint64_t[]){ 0, 1, 2, 3, 4, 5, 6, 7, 8 });
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stage");
    TCase *cases = tcase_create("stage");
    tcase_add_test(cases, test_one_group_leaves_as_it_came);
    tcase_add_test(cases, test_a_key_waits_for_itself_only);
    tcase_add_test(cases, test_unordered_leaves_as_it_is_done);
    tcase_add_test(cases, test_each_stage_puts_back_in_sequence);
    tcase_add_test(cases, test_without_stages_messages_pass_through);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
