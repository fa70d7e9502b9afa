/* Tests parking: order by ticket within a key, the states of a hold, and that only what is in trouble is copied out. */
#include "base/mem.h"
#include "route/parking.h"
#include "support/suite.h"

#include <check.h>

static struct parking parking;
static struct root roots[16];
static int backings;

static void on_backing_free(struct backing *b)
{
    backings--;
    free(b);
}

static void setup(void)
{
    parking_init(&parking);
    for (unsigned i = 0; i < 16; i++) {
        struct message *m = message_new();
        m->backing = mem_zero(sizeof *m->backing);
        *m->backing = (struct backing){ 1, on_backing_free };
        message_set_payload(m, BYTES_LITERAL("payload"));
        roots[i] = (struct root){ .message = m, .ticket = i, .order = 7 };
    }
    backings = 16;
}

static void teardown(void)
{
    for (unsigned i = 0; i < 16; i++)
        message_unref(roots[i].message);
    ck_assert_int_eq(backings, 0);
    parking_clear(&parking);
}

static struct hold *hold_of(const unsigned *tickets, size_t n)
{
    struct hold *h = parking_open(&parking, 7);
    for (size_t i = 0; i < n; i++)
        parking_add(&parking, h, &roots[tickets[i]]);
    return h;
}

START_TEST(test_branches_are_in_the_order_of_their_tickets)
{
    const unsigned mixed[] = { 5, 6, 2, 3, 4, 9, 0, 8, 1, 7 };
    struct hold *h = hold_of(mixed, 10);
    ck_assert_uint_eq(parking.count, 10);
    for (unsigned i = 0; i < 10; i++)
        ck_assert_uint_eq(parking_take(&parking, h)->ticket, i);
    ck_assert_ptr_null(parking_take(&parking, h));
    parking_close(&parking, h);
}
END_TEST

START_TEST(test_a_place_taken_by_its_hint_survives_removal)
{
    const unsigned some[] = { 3, 9 };
    struct hold *h = hold_of(some, 2);
    parking_add(&parking, h, &roots[1]);
    ck_assert_uint_eq(parking_take(&parking, h)->ticket, 1); /* the hint pointed there */
    parking_add(&parking, h, &roots[2]);
    parking_add(&parking, h, &roots[5]);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(parking_take(&parking, h)->ticket, ((const unsigned[]){ 2, 3, 5, 9 })[i]);
    parking_close(&parking, h);
}
END_TEST

START_TEST(test_waiting_behind_a_key_copies_nothing_trouble_copies_all)
{
    const unsigned two[] = { 0, 1 };
    struct hold *h = hold_of(two, 2);
    ck_assert_int_eq(backings, 16);
    parking_move(&parking, h, HOLD_TIMED, 100);
    ck_assert_int_eq(backings, 14);
    parking_add(&parking, h, &roots[2]);
    ck_assert_int_eq(backings, 13);
    ck_assert(bytes_is(message_payload(roots[2].message), "payload"));
    while (parking_take(&parking, h))
        ;
    parking_close(&parking, h);
}
END_TEST

START_TEST(test_holds_without_a_key_are_their_own)
{
    struct hold *a = parking_open(&parking, 0), *b = parking_open(&parking, 0);
    ck_assert_ptr_null(parking_find(&parking, 0));
    parking_add(&parking, a, &roots[0]);
    parking_add(&parking, b, &roots[1]);
    parking_move(&parking, a, HOLD_TIMED, 200);
    parking_move(&parking, b, HOLD_TIMED, 100);
    ck_assert_ptr_eq(parking_first(&parking), b);
    parking_move(&parking, b, HOLD_TIMED, 300); /* the earlier due stays */
    ck_assert_ptr_eq(parking_first(&parking), b);
    parking_move(&parking, b, HOLD_GOING, 0);
    ck_assert_ptr_eq(parking_first(&parking), a);
    parking_take(&parking, a);
    parking_take(&parking, b);
    parking_close(&parking, a);
    parking_close(&parking, b);
    ck_assert_ptr_null(parking_first(&parking));
}
END_TEST

START_TEST(test_the_oldest_fault_is_the_lowest_ticket)
{
    ck_assert_ptr_null(parking_oldest_fault(&parking));
    struct hold *a = parking_open(&parking, 1), *b = parking_open(&parking, 2);
    parking_add(&parking, a, &roots[4]);
    parking_add(&parking, b, &roots[3]);
    parking_move(&parking, a, HOLD_FAULT, 0);
    parking_move(&parking, b, HOLD_FAULT, 0);
    ck_assert_ptr_eq(parking_oldest_fault(&parking), b);
    parking_take(&parking, a);
    parking_take(&parking, b);
    parking_close(&parking, a);
    parking_close(&parking, b);
    ck_assert_ptr_null(parking_find(&parking, 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parking");
    TCase *cases = tcase_create("parking");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, test_branches_are_in_the_order_of_their_tickets);
    tcase_add_test(cases, test_a_place_taken_by_its_hint_survives_removal);
    tcase_add_test(cases, test_waiting_behind_a_key_copies_nothing_trouble_copies_all);
    tcase_add_test(cases, test_holds_without_a_key_are_their_own);
    tcase_add_test(cases, test_the_oldest_fault_is_the_lowest_ticket);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
