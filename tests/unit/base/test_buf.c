/* The byte buffer, the ring and the list: what goes in comes out, in order, through every growth. */
#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/ring.h"
#include "support/suite.h"

#include <check.h>

START_TEST(an_empty_buffer_is_empty_text)
{
    CLEANUP(buf_free) struct buf b = BUF_EMPTY;
    buf_clear(&b);
    buf_consume(&b, 0);
    ck_assert_uint_eq(buf_bytes(&b).len, 0);
    ck_assert_ptr_nonnull(buf_bytes(&b).data);
    ck_assert_str_eq(buf_string(&b), "");
    char *text = buf_take(&b);
    ck_assert_str_eq(text, "");
    ck_assert_ptr_null(b.data);
    free(text);
}
END_TEST

START_TEST(appends_of_all_kinds_follow_each_other)
{
    CLEANUP(buf_free) struct buf b = BUF_EMPTY;
    buf_append_string(&b, "a=");
    buf_append_u64(&b, UINT64_MAX);
    buf_append_byte(&b, ' ');
    buf_append_u64(&b, 0);
    buf_append_bytes(&b, BYTES_NULL);
    buf_append_bytes(&b, BYTES_LITERAL(" x"));
    buf_printf(&b, " %d %s", -7, "seven");
    ck_assert_str_eq(buf_string(&b), "a=18446744073709551615 0 x -7 seven");
    ck_assert_uint_eq(b.len, strlen(buf_string(&b)));
}
END_TEST

START_TEST(growth_keeps_content_and_a_final_nul)
{
    CLEANUP(buf_free) struct buf b = BUF_EMPTY;
    for (unsigned i = 0; i < 10000; i++) {
        buf_append_byte(&b, (uint8_t)(i % 251));
        ck_assert_uint_eq(b.data[b.len], 0);
        ck_assert_uint_lt(b.len, b.cap);
    }
    for (unsigned i = 0; i < 10000; i++)
        ck_assert_uint_eq(b.data[i], i % 251);
}
END_TEST

START_TEST(reserve_gives_room_for_all_that_was_asked)
{
    CLEANUP(buf_free) struct buf b = BUF_EMPTY;
    buf_append_string(&b, "head");
    memset(buf_reserve(&b, 100000), 'z', 100000);
    b.len += 100000;
    buf_append_byte(&b, '!');
    ck_assert_uint_eq(b.len, 100005);
    ck_assert_mem_eq(b.data, "headz", 5);
    ck_assert_mem_eq(b.data + 100003, "z!", 3);
}
END_TEST

START_TEST(printf_of_every_length_around_the_room_is_whole)
{
    for (int len = 0; len < 300; len++) {
        CLEANUP(buf_free) struct buf b = BUF_EMPTY;
        buf_append_string(&b, "12345");
        buf_printf(&b, "%0*d", len + 1, 7);
        ck_assert_uint_eq(b.len, 5 + (size_t)len + 1);
        ck_assert_uint_eq(strlen(buf_string(&b)), b.len);
        ck_assert_uint_eq(b.data[b.len - 1], '7');
    }
}
END_TEST

START_TEST(consume_drops_from_the_front_only)
{
    CLEANUP(buf_free) struct buf b = BUF_EMPTY;
    buf_append_string(&b, "abcdef");
    buf_consume(&b, 2);
    ck_assert_str_eq(buf_string(&b), "cdef");
    buf_append_string(&b, "g");
    buf_consume(&b, 4);
    ck_assert_str_eq(buf_string(&b), "g");
    buf_consume(&b, 100);
    ck_assert_uint_eq(b.len, 0);
    ck_assert_str_eq(buf_string(&b), "");
}
END_TEST

START_TEST(take_gives_the_memory_away)
{
    struct buf b = BUF_EMPTY;
    buf_append_string(&b, "mine");
    char *text = buf_take(&b);
    buf_append_string(&b, "other");
    ck_assert_str_eq(text, "mine");
    ck_assert_str_eq(buf_string(&b), "other");
    free(text);
    buf_free(&b);
    buf_free(&b);
}
END_TEST

START_TEST(a_ring_is_first_in_first_out_however_it_wraps)
{
    struct ring r = { 0 };
    static int things[5000];
    size_t pushed = 0, popped = 0;
    ck_assert_ptr_null(ring_pop(&r));
    ck_assert_ptr_null(ring_peek(&r));
    while (popped < ARRAY_LEN(things)) {
        size_t more = random_below(40);
        while (more-- && pushed < ARRAY_LEN(things))
            ring_push(&r, &things[pushed++]);
        ck_assert_uint_eq(ring_len(&r), pushed - popped);
        size_t fewer = random_below(35);
        while (fewer-- && popped < pushed) {
            ck_assert_ptr_eq(ring_peek(&r), &things[popped]);
            ck_assert_ptr_eq(ring_pop(&r), &things[popped++]);
        }
    }
    ck_assert_ptr_null(ring_pop(&r));
    ring_free(&r);
    ring_free(&r);
}
END_TEST

START_TEST(a_ring_of_steady_length_does_not_grow)
{
    struct ring r = { 0 };
    int thing;
    for (int i = 0; i < 100000; i++) {
        ring_push(&r, &thing);
        ring_push(&r, &thing);
        ring_pop(&r);
        ring_pop(&r);
    }
    ck_assert_uint_lt(r.mask, 64);
    ring_free(&r);
}
END_TEST

START_TEST(a_list_moves_whole_and_empty_lists_move_too)
{
    struct list from, to, nodes[3];
    list_init(&from);
    list_move(&to, &from);
    ck_assert(list_empty(&to) && list_empty(&from));
    for (int i = 0; i < 3; i++)
        list_push_back(&from, &nodes[i]);
    list_move(&to, &from);
    ck_assert(list_empty(&from));
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_eq(list_pop_front(&to), &nodes[i]);
    ck_assert_ptr_null(list_pop_front(&to));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base: buf, ring, list");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, an_empty_buffer_is_empty_text);
    tcase_add_test(tests, appends_of_all_kinds_follow_each_other);
    tcase_add_test(tests, growth_keeps_content_and_a_final_nul);
    tcase_add_test(tests, reserve_gives_room_for_all_that_was_asked);
    tcase_add_test(tests, printf_of_every_length_around_the_room_is_whole);
    tcase_add_test(tests, consume_drops_from_the_front_only);
    tcase_add_test(tests, take_gives_the_memory_away);
    tcase_add_test(tests, a_ring_is_first_in_first_out_however_it_wraps);
    tcase_add_test(tests, a_ring_of_steady_length_does_not_grow);
    tcase_add_test(tests, a_list_moves_whole_and_empty_lists_move_too);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
