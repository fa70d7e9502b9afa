/* Tests what a source knows of its partitions: generations, what is unsettled, and offsets that go back. */
#include "endpoint/kafka/partitions.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

static struct partitions ps;
static uint32_t returned[16];
static size_t returned_count;

static void setup(void)
{
    partitions_init(&ps, "k");
    returned_count = 0;
}

static void teardown(void)
{
    partitions_clear(&ps);
}

static void on_returned(void *arg, uint32_t generation)
{
    (void)arg;
    returned[returned_count++] = generation;
}

static struct token take(struct partition *p, uint64_t offset)
{
    uint32_t old = 0;
    if (!partitions_take(&ps, p, offset, &old))
        on_returned(NULL, old);
    return (struct token){ .a = offset, .b = p->index, .generation = p->generation };
}

static void confirm(const char *topic, int32_t number, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, number)->offset = offset;
    partitions_confirm(&ps, list);
    rd_kafka_topic_partition_list_destroy(list);
}

START_TEST(test_unsettled_is_what_the_group_does_not_know)
{
    struct token t[5];
    partitions_assign(&ps, "a", 0);
    for (uint64_t i = 0; i < 5; i++)
        t[i] = take(ps.items[0], 100 + i);
    ck_assert_uint_eq(ps.open, 5);
    partitions_done(&ps, &t[3], 2);
    ck_assert_uint_eq(ps.held, 2);
    ck_assert_uint_eq(ps.unconfirmed, 0);
    partitions_done(&ps, &t[0], 3);
    ck_assert_uint_eq(ps.held, 0);
    ck_assert_uint_eq(ps.unconfirmed, 5);
    ck_assert_uint_eq(ps.open, 0);
    confirm("a", 0, 103);
    ck_assert_uint_eq(partitions_unsettled(&ps), 2);
    confirm("a", 0, 102); /* an older answer */
    ck_assert_uint_eq(partitions_unsettled(&ps), 2);
    confirm("b", 0, 105); /* none of ours */
    confirm("a", 0, 105);
    ck_assert_uint_eq(partitions_unsettled(&ps), 0);
}
END_TEST

START_TEST(test_gaps_are_not_unsettled)
{
    partitions_assign(&ps, "a", 0);
    struct token one = take(ps.items[0], 10), two = take(ps.items[0], 1000000);
    partitions_done(&ps, &one, 1);
    ck_assert_uint_eq(partitions_unsettled(&ps), 1);
    partitions_done(&ps, &two, 1);
    ck_assert_uint_eq(partitions_unsettled(&ps), 2);
}
END_TEST

START_TEST(test_a_revoked_generation_settles_nothing)
{
    partitions_assign(&ps, "a", 0);
    partitions_assign(&ps, "a", 1);
    struct token t = take(ps.items[0], 7);
    partitions_revoke(&ps, on_returned, NULL);
    ck_assert_uint_eq(returned_count, 1); /* partition 1 had nothing open */
    ck_assert_uint_eq(returned[0], t.generation);
    ck_assert_uint_eq(ps.assigned, 0);
    ck_assert_uint_eq(ps.open, 0);
    partitions_assign(&ps, "a", 0);
    ck_assert_uint_eq(ps.count, 2);
    ck_assert_uint_gt(ps.items[0]->generation, t.generation);
    struct token again = take(ps.items[0], 7);
    partitions_done(&ps, &t, 1);
    ck_assert_uint_eq(ps.open, 1);
    partitions_done(&ps, &again, 1);
    partitions_done(&ps, &again, 1); /* a repeated settle */
    ck_assert_uint_eq(ps.open, 0);
    ck_assert_uint_eq(partitions_unsettled(&ps), 1);
}
END_TEST

START_TEST(test_offsets_that_go_back_begin_a_generation)
{
    partitions_assign(&ps, "a", 0);
    struct token old = take(ps.items[0], 50), young = take(ps.items[0], 3);
    ck_assert_uint_eq(returned_count, 1);
    ck_assert_uint_eq(returned[0], old.generation);
    ck_assert_uint_ne(young.generation, old.generation);
    ck_assert_uint_eq(ps.open, 1);
    partitions_done(&ps, &old, 1);
    ck_assert_uint_eq(ps.open, 1);
    partitions_done(&ps, &young, 1);
    ck_assert_uint_eq(watermark_mark(ps.items[0]->mark), 4);
}
END_TEST

START_TEST(test_tokens_of_many_partitions_settle_together)
{
    struct token t[30];
    for (int32_t i = 0; i < 30; i++)
        partitions_assign(&ps, i % 2 ? "odd" : "even", i);
    for (size_t i = 0; i < 30; i++)
        t[i] = take(ps.items[i], i);
    ck_assert_uint_eq(ps.open, 30);
    partitions_done(&ps, t, 30);
    ck_assert_uint_eq(ps.open, 0);
    ck_assert_uint_eq(ps.unconfirmed, 30);
    confirm("odd", 3, 4);
    ck_assert_uint_eq(ps.unconfirmed, 29);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kafka partitions");
    TCase *cases = tcase_create("partitions");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, test_unsettled_is_what_the_group_does_not_know);
    tcase_add_test(cases, test_gaps_are_not_unsettled);
    tcase_add_test(cases, test_a_revoked_generation_settles_nothing);
    tcase_add_test(cases, test_offsets_that_go_back_begin_a_generation);
    tcase_add_test(cases, test_tokens_of_many_partitions_settle_together);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
