/* The heap against a plain array, and the pool: reuse, visiting, giving slabs back. */
#include "base/heap.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/random.h"
#include "support/suite.h"

#include <check.h>
#include <string.h>

enum { NODES = 300, STEPS = 30000 };

static int64_t smallest(const struct heap_node *nodes)
{
    int64_t key = INT64_MAX;
    for (size_t i = 0; i < NODES; i++)
        if (nodes[i].index && nodes[i].key < key)
            key = nodes[i].key;
    return key;
}

START_TEST(the_first_of_a_heap_is_always_the_smallest)
{
    static struct heap_node nodes[NODES];
    struct heap h = { 0 };
    size_t count = 0;
    for (size_t step = 0; step < STEPS; step++) {
        struct heap_node *n = &nodes[random_below(NODES)];
        if (n->index) {
            heap_remove(&h, n);
            ck_assert_uint_eq(n->index, 0);
            count--;
        } else {
            heap_insert(&h, n, (int64_t)random_below(100) - 50); /* many equal ones */
            count++;
        }
        ck_assert_uint_eq(h.count, count);
        struct heap_node *first = heap_first(&h);
        ck_assert(count ? first->key == smallest(nodes) : !first);
    }
    int64_t last = INT64_MIN;
    for (struct heap_node *n; (n = heap_first(&h)); heap_remove(&h, n)) {
        ck_assert_int_le(last, n->key);
        last = n->key;
    }
    heap_free(&h);
}
END_TEST

START_TEST(removing_what_is_in_no_heap_is_nothing)
{
    struct heap h = { 0 };
    struct heap_node a = { 0 }, b = { 0 };
    heap_remove(&h, &a);
    heap_insert(&h, &b, 1);
    heap_remove(&h, &a);
    ck_assert_ptr_eq(heap_first(&h), &b);
    heap_free(&h);
}
END_TEST

/* ---- pool */

START_TEST(objects_do_not_overlap_and_are_aligned)
{
    static const size_t sizes[] = { 1, 16, 24, 128, 1000, 5000 };
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        struct pool *p = pool_new(sizes[s]);
        uint8_t *objects[1500];
        for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
            objects[i] = pool_get(p);
            ck_assert_uint_eq((uintptr_t)objects[i] % 16, 0);
            memset(objects[i], (int)(i % 251), sizes[s]);
        }
        uint8_t expected[5000];
        for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
            memset(expected, (int)(i % 251), sizes[s]);
            ck_assert_mem_eq(objects[i], expected, sizes[s]);
        }
        ck_assert_uint_eq(pool_used(p), ARRAY_LEN(objects));
        pool_free(p); /* with its objects */
    }
    pool_free(NULL);
}
END_TEST

START_TEST(what_was_put_is_got_again)
{
    struct pool *p = pool_new(64);
    void *other = pool_get(p);
    void *object = pool_get(p);
    pool_put(p, object);
    ck_assert_uint_eq(pool_used(p), 1);
    ck_assert_ptr_eq(pool_get(p), object);
    ck_assert_ptr_ne(other, object);
    pool_free(p);
}
END_TEST

struct thing {
    bool live;
    bool seen;
};
struct visit {
    struct pool *pool;
    size_t seen;
    bool put_some;
};

static void on_thing(void *object, void *arg)
{
    struct thing *t = object;
    struct visit *v = arg;
    if (!t->live)
        ck_abort_msg("visited what is not in use");
    v->seen++;
    if (v->put_some && random_below(10)) {
        t->live = false;
        pool_put(v->pool, t);
    }
}

START_TEST(each_visits_exactly_what_is_in_use)
{
    struct pool *p = pool_new(sizeof(struct thing));
    static struct thing *things[20000];
    for (int round = 0; round < 20; round++) {
        size_t used = 0;
        /* Whole stretches come and go, so that slabs become empty. */
        size_t from = random_below(ARRAY_LEN(things)), to = from + random_below(ARRAY_LEN(things) - from);
        for (size_t i = 0; i < ARRAY_LEN(things); i++) {
            if (i >= from && i < to && things[i]) {
                pool_put(p, things[i]);
                things[i] = NULL;
            } else if (!things[i] && random_below(2)) {
                things[i] = pool_get(p);
                *things[i] = (struct thing){ .live = true };
            }
            used += things[i] != NULL;
        }
        struct visit v = { .pool = p };
        pool_each(p, on_thing, &v);
        ck_assert_uint_eq(v.seen, used);
        ck_assert_uint_eq(pool_used(p), used);
    }
    pool_free(p);
}
END_TEST

START_TEST(a_visit_may_put_what_it_is_given)
{
    struct pool *p = pool_new(sizeof(struct thing));
    for (size_t i = 0; i < 50000; i++)
        *(struct thing *)pool_get(p) = (struct thing){ .live = true };
    struct visit v = { .pool = p, .put_some = true };
    size_t before = pool_used(p);
    while (pool_used(p)) {
        v.seen = 0;
        pool_each(p, on_thing, &v);
        ck_assert_uint_eq(v.seen, before);
        before = pool_used(p);
    }
    void *object = pool_get(p);
    ck_assert_uint_eq(pool_used(p), 1);
    pool_put(p, object);
    pool_free(p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base: heap, pool");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, the_first_of_a_heap_is_always_the_smallest);
    tcase_add_test(tests, removing_what_is_in_no_heap_is_nothing);
    tcase_add_test(tests, objects_do_not_overlap_and_are_aligned);
    tcase_add_test(tests, what_was_put_is_got_again);
    tcase_add_test(tests, each_visits_exactly_what_is_in_use);
    tcase_add_test(tests, a_visit_may_put_what_it_is_given);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
