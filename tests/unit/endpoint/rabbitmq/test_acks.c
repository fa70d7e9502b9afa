/* Tests the acknowledgement planner against a model of what a broker holds. */
#include "endpoint/rabbitmq/acks.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

enum { TAGS = 400000 };
static struct acks a;
static uint8_t broker[TAGS + 1]; /* 1: unacknowledged */
static uint8_t mine[TAGS + 1];   /* 1: open, 2: settled, 3: released */
static uint64_t delivered, methods, acknowledged;

static void on_ack(void *arg, uint64_t tag, bool multiple)
{
    (void)arg;
    methods++;
    ck_assert_msg(tag <= delivered && broker[tag], "unknown delivery tag %llu: the broker would close the channel",
                  (unsigned long long)tag);
    for (uint64_t t = multiple ? 1 : tag; t <= tag; t++)
        if (broker[t]) {
            ck_assert_msg(mine[t] == 2, "tag %llu was acknowledged and not settled", (unsigned long long)t);
            broker[t] = 0;
            acknowledged++;
        }
}

static void deliver(uint64_t n)
{
    while (n--) {
        ck_assert(rabbit_acks_deliver(&a, ++delivered));
        broker[delivered] = mine[delivered] = 1;
    }
}

static void settle(uint64_t tag)
{
    ck_assert_uint_eq(rabbit_acks_settle(&a, tag), mine[tag] == 1);
    if (mine[tag] == 1)
        mine[tag] = 2;
}

static void release(uint64_t tag)
{
    ck_assert_uint_eq(rabbit_acks_release(&a, tag), mine[tag] == 1);
    if (mine[tag] == 1) {
        mine[tag] = 3;
        broker[tag] = 0;
    }
}

static void setup(void)
{
    memset(broker, 0, sizeof broker);
    memset(mine, 0, sizeof mine);
    delivered = methods = acknowledged = 0;
    rabbit_acks_init(&a);
}

static void teardown(void)
{
    rabbit_acks_free(&a);
}

START_TEST(a_prefix_takes_one_method)
{
    deliver(100);
    for (uint64_t t = 100; t > 0; t--)
        settle(t);
    ck_assert_uint_eq(a.unsettled, 100);
    rabbit_acks_plan(&a, 0, on_ack, NULL);
    ck_assert_uint_eq(methods, 1);
    ck_assert_uint_eq(acknowledged, 100);
    ck_assert_uint_eq(a.unsettled, 0);
}
END_TEST

START_TEST(behind_a_held_one_only_when_asked)
{
    deliver(10);
    settle(1);
    settle(3);
    settle(4);
    rabbit_acks_plan(&a, 0, on_ack, NULL);
    ck_assert_uint_eq(acknowledged, 1);
    ck_assert_uint_eq(a.unsettled, 2);
    rabbit_acks_plan(&a, UINT64_MAX, on_ack, NULL);
    ck_assert_uint_eq(acknowledged, 3);
    settle(2);
    settle(5);
    rabbit_acks_plan(&a, 0, on_ack, NULL);
    ck_assert_uint_eq(acknowledged, 5);
    ck_assert_uint_eq(methods, 4);
}
END_TEST

START_TEST(released_ones_are_no_part_of_it)
{
    deliver(5);
    release(5);
    release(2);
    settle(1);
    settle(3);
    rabbit_acks_plan(&a, UINT64_MAX, on_ack, NULL);
    ck_assert_uint_eq(methods, 1);
    settle(4);
    settle(2);
    rabbit_acks_plan(&a, UINT64_MAX, on_ack, NULL);
    ck_assert_uint_eq(acknowledged, 3);
}
END_TEST

START_TEST(wrong_tags_are_refused)
{
    deliver(2);
    ck_assert(!rabbit_acks_deliver(&a, 2));
    ck_assert(!rabbit_acks_deliver(&a, 4));
    ck_assert(!rabbit_acks_settle(&a, 3));
    ck_assert(!rabbit_acks_settle(&a, 0));
    settle(1);
    settle(1);
}
END_TEST

/* One message held for very long: memory stays small, everything else is acknowledged, and in the end so is it. */
START_TEST(a_message_held_for_long)
{
    deliver(1);
    for (int i = 0; i < 390; i++) {
        deliver(1000);
        for (uint64_t t = delivered; t > delivered - 1000; t--)
            settle(t);
        rabbit_acks_plan(&a, i % 3 == 0 ? UINT64_MAX : 0, on_ack, NULL);
    }
    rabbit_acks_plan(&a, UINT64_MAX, on_ack, NULL);
    ck_assert_uint_eq(acknowledged, delivered - 1);
    ck_assert_uint_lt(a.mask, 512 * 1024);
    ck_assert_uint_eq(a.open, 1);
    deliver(5);
    settle(delivered);
    settle(1);
    settle(delivered - 4);
    rabbit_acks_plan(&a, UINT64_MAX, on_ack, NULL);
    ck_assert_uint_eq(a.open, 3);
    ck_assert_uint_eq(a.unsettled, 0);
    ck_assert_uint_eq(acknowledged, delivered - 3);
}
END_TEST

START_TEST(random_settles)
{
    srand(11);
    while (delivered < 300000) {
        deliver((uint64_t)rand() % 500);
        uint64_t low = delivered > 3000 ? delivered - 3000 : 1;
        for (int i = 0; i < 500 && delivered; i++) {
            uint64_t tag = low + (uint64_t)rand() % (delivered - low + 1);
            if (rand() % 10 == 0)
                release(tag);
            else
                settle(tag);
        }
        rabbit_acks_plan(&a, rand() % 5 == 0 ? UINT64_MAX : 0, on_ack, NULL);
    }
    for (uint64_t t = 1; t <= delivered; t++)
        if (mine[t] == 1)
            settle(t);
    rabbit_acks_plan(&a, UINT64_MAX, on_ack, NULL);
    for (uint64_t t = 1; t <= delivered; t++)
        ck_assert_uint_eq(broker[t], 0);
    ck_assert_uint_eq(a.open + a.unsettled, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rabbitmq acks");
    TCase *t = tcase_create("planner");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_prefix_takes_one_method);
    tcase_add_test(t, behind_a_held_one_only_when_asked);
    tcase_add_test(t, released_ones_are_no_part_of_it);
    tcase_add_test(t, wrong_tags_are_refused);
    tcase_add_test(t, a_message_held_for_long);
    tcase_add_test(t, random_settles);
    suite_add_tcase(suite, t);
    return suite_run(suite);
}
