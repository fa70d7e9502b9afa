/* Tests the ring of unconfirmed publishes. */
#include "endpoint/rabbitmq/confirms.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

static struct confirms c;
static uintptr_t told[4096];
static size_t told_count;

static void visit(void *arg, struct publish *p)
{
    (void)arg;
    told[told_count++] = (uintptr_t)p->tag;
}

static void publish(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct publish *p = rabbit_confirms_push(&c, 10);
        p->tag = (void *)(uintptr_t)(c.tail - 1);
    }
}

static void setup(void)
{
    told_count = 0;
    rabbit_confirms_init(&c);
}

static void teardown(void)
{
    rabbit_confirms_free(&c);
}

START_TEST(one_by_one_in_any_order)
{
    publish(3);
    ck_assert_uint_eq(c.bytes, 30);
    ck_assert(rabbit_confirms_settle(&c, 2, false, visit, NULL));
    ck_assert(rabbit_confirms_settle(&c, 3, false, visit, NULL));
    ck_assert_uint_eq(c.head, 1);
    ck_assert(rabbit_confirms_settle(&c, 1, false, visit, NULL));
    ck_assert_uint_eq(told_count, 3);
    ck_assert_uint_eq(told[0], 2);
    ck_assert_uint_eq(c.head, 4);
    ck_assert_uint_eq(c.open, 0);
    ck_assert_uint_eq(c.bytes, 0);
}
END_TEST

START_TEST(multiple_tells_each_once)
{
    publish(1000);
    ck_assert(rabbit_confirms_settle(&c, 5, false, visit, NULL));
    ck_assert(rabbit_confirms_settle(&c, 10, true, visit, NULL));
    ck_assert_uint_eq(told_count, 10);
    ck_assert(rabbit_confirms_settle(&c, 10, true, visit, NULL)); /* nothing new */
    ck_assert(rabbit_confirms_settle(&c, 5, false, visit, NULL));
    ck_assert_uint_eq(told_count, 10);
    ck_assert(rabbit_confirms_settle(&c, 0, true, visit, NULL)); /* all */
    ck_assert_uint_eq(told_count, 1000);
    ck_assert_uint_eq(c.head, c.tail);
    for (size_t i = 10; i < 1000; i++)
        ck_assert_uint_eq(told[i], i + 1);
}
END_TEST

START_TEST(what_was_never_sent_is_refused)
{
    publish(2);
    ck_assert(!rabbit_confirms_settle(&c, 3, false, visit, NULL));
    ck_assert(!rabbit_confirms_settle(&c, 3, true, visit, NULL));
    ck_assert(!rabbit_confirms_settle(&c, 0, false, visit, NULL));
    ck_assert_uint_eq(told_count, 0);
}
END_TEST

START_TEST(all_with_nothing_sent)
{
    ck_assert(!rabbit_confirms_settle(&c, 0, true, visit, NULL));
}
END_TEST

START_TEST(reset_tells_what_is_open_and_begins_from_1)
{
    publish(600);
    rabbit_confirms_settle(&c, 300, true, visit, NULL);
    told_count = 0;
    rabbit_confirms_reset(&c, visit, NULL);
    ck_assert_uint_eq(told_count, 300);
    ck_assert_uint_eq(told[0], 301);
    publish(1);
    ck_assert_ptr_nonnull(rabbit_confirms_get(&c, 1));
    ck_assert_ptr_null(rabbit_confirms_get(&c, 2));
    ck_assert_uint_eq(c.open, 1);
}
END_TEST

/* Against a plain array, with a window that slides far. */
START_TEST(many_random_answers)
{
    static bool open[100001];
    srand(7);
    size_t sent = 0, answered = 0;
    while (answered < 100000) {
        while (sent < 100000 && c.open < 500) {
            publish(1);
            open[++sent] = true;
        }
        uint64_t number = c.head + (uint64_t)rand() % (c.tail - c.head);
        bool multiple = rand() % 4 == 0;
        told_count = 0;
        ck_assert(rabbit_confirms_settle(&c, number, multiple, visit, NULL));
        for (size_t i = 0; i < told_count; i++) {
            ck_assert(open[told[i]]);
            open[told[i]] = false;
            ck_assert(multiple ? told[i] <= number : told[i] == number);
        }
        answered += told_count;
        ck_assert(!open[number]);
    }
    ck_assert_uint_eq(c.open, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rabbitmq confirms");
    TCase *t = tcase_create("ring");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, one_by_one_in_any_order);
    tcase_add_test(t, multiple_tells_each_once);
    tcase_add_test(t, what_was_never_sent_is_refused);
    tcase_add_test(t, all_with_nothing_sent);
    tcase_add_test(t, reset_tells_what_is_open_and_begins_from_1);
    tcase_add_test(t, many_random_answers);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
