/* Tests the sharing out of limits: guarantees are always to be had, the common half goes to whoever asks, nothing is lost. */
#include "route/budget.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

static struct budget_pool pool;

static struct budget of_two(void)
{
    return (struct budget){ .pool = &pool, .guarantee = budget_guarantee(100, 2) };
}

static void setup(void)
{
    budget_pool_init(&pool, 100);
}

START_TEST(test_one_may_use_its_guarantee_and_the_common_half)
{
    struct budget a = of_two(), b = of_two();
    ck_assert_int_eq(budget_take(&a, 1000), 25 + 50);
    ck_assert_int_eq(budget_take(&a, 1), 0);
    ck_assert_int_eq(budget_take(&b, 1000), 25); /* the other's guarantee is untouched */
    budget_give(&a, 75);
    budget_give(&b, 25);
    ck_assert_int_eq(atomic_load(&pool.available), 50);
}
END_TEST

START_TEST(test_borrowed_goes_back_first)
{
    struct budget a = of_two(), b = of_two();
    budget_take(&a, 60);
    budget_give(&a, 35);
    ck_assert_int_eq(atomic_load(&pool.available), 50);
    ck_assert_int_eq(budget_take(&b, 1000), 75);
    ck_assert_int_eq(budget_take(&a, 5), 0); /* its guarantee is in use, the common half is b's */
    budget_give(&a, 25);
    ck_assert_int_eq(budget_take(&a, 1000), 25);
}
END_TEST

START_TEST(test_force_goes_below_and_is_paid_back)
{
    struct budget a = of_two(), b = of_two();
    budget_force(&a, 200);
    ck_assert_int_eq(a.used, 200);
    ck_assert_int_eq(atomic_load(&pool.available), -125);
    ck_assert_int_eq(budget_take(&b, 1000), 25);
    budget_give(&a, 200);
    ck_assert_int_eq(atomic_load(&pool.available), 50);
    ck_assert_int_eq(a.borrowed, 0);
}
END_TEST

START_TEST(test_everyone_is_guaranteed_something)
{
    ck_assert_int_eq(budget_guarantee(10, 1000), 1);
    ck_assert_int_eq(budget_guarantee(100, 0), 50);
    struct budget a = of_two();
    ck_assert_int_eq(budget_take(&a, 0), 0);
    ck_assert_int_eq(budget_take(&a, -5), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("budget");
    TCase *cases = tcase_create("budget");
    tcase_add_checked_fixture(cases, setup, NULL);
    tcase_add_test(cases, test_one_may_use_its_guarantee_and_the_common_half);
    tcase_add_test(cases, test_borrowed_goes_back_first);
    tcase_add_test(cases, test_force_goes_below_and_is_paid_back);
    tcase_add_test(cases, test_everyone_is_guaranteed_something);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
