/* The maps against plain arrays, under random puts and removals that keep colliding. */
#include "base/map.h"
#include "base/mem.h"
#include "base/random.h"
#include "support/suite.h"

#include <check.h>
#include <stdio.h>

enum { KEYS = 700, STEPS = 60000 };

static int things[STEPS];
static void *model[KEYS];
static size_t model_count;

/* Changes the model; which key, and what it is now (NULL: removed). */
static size_t next_step(size_t step, void **value)
{
    /* Waves of mostly putting and mostly removing, so that tables grow and shrink. */
    bool put = random_below(100) < (step / 10000 % 2 ? 20u : 80u);
    size_t key = random_below(KEYS);
    *value = put ? &things[step] : NULL;
    return key;
}

static void set_model(size_t key, void *value)
{
    model_count += (value != NULL) - (model[key] != NULL);
    model[key] = value;
}

/* Few distinct low bits, as pointers and counters have. */
static uint64_t number_of(size_t key)
{
    return (uint64_t)key << 20;
}

static void on_number(uint64_t key, void *value, void *arg)
{
    size_t *seen = arg;
    ck_assert_ptr_eq(value, model[key >> 20]);
    ++*seen;
}

START_TEST(map64_agrees_with_a_model)
{
    struct map64 m = { 0 };
    ck_assert_ptr_null(map64_get(&m, 0));
    ck_assert_ptr_null(map64_remove(&m, 0));
    for (size_t step = 0; step < STEPS; step++) {
        void *value;
        size_t key = next_step(step, &value);
        if (value)
            map64_put(&m, number_of(key), value);
        else
            ck_assert_ptr_eq(map64_remove(&m, number_of(key)), model[key]);
        set_model(key, value);
        size_t other = random_below(KEYS);
        ck_assert_ptr_eq(map64_get(&m, number_of(other)), model[other]);
        ck_assert_uint_eq(m.count, model_count);
        if (step % 6000 == 0)
            for (size_t i = 0; i < KEYS; i++)
                ck_assert_ptr_eq(map64_get(&m, number_of(i)), model[i]);
    }
    size_t seen = 0;
    map64_each(&m, on_number, &seen);
    ck_assert_uint_eq(seen, model_count);
    map64_free(&m);
    ck_assert_ptr_null(map64_get(&m, 0));
}
END_TEST

/* Keys differ in length, in what is behind a NUL, and one is empty. */
static struct bytes text_of(size_t key, char room[32])
{
    if (key == 0)
        return BYTES_NULL; /* as a key: the empty one */
    memset(room, 0, 32);
    snprintf(room + 1, 31, "%zu", key / 2);
    return bytes_of(room, 1 + strlen(room + 1) + key % 2);
}

static void on_text(const char *key, void *value, void *arg)
{
    size_t *seen = arg;
    ck_assert_ptr_nonnull(key);
    ck_assert_ptr_nonnull(value);
    ++*seen;
}

START_TEST(strmap_agrees_with_a_model)
{
    struct strmap m = { 0 };
    char room[32];
    ck_assert_ptr_null(strmap_get(&m, BYTES_LITERAL("x")));
    ck_assert_ptr_null(strmap_remove(&m, BYTES_LITERAL("x")));
    for (size_t step = 0; step < STEPS; step++) {
        void *value;
        size_t key = next_step(step, &value);
        if (value)
            strmap_put(&m, text_of(key, room), value);
        else
            ck_assert_ptr_eq(strmap_remove(&m, text_of(key, room)), model[key]);
        set_model(key, value);
        size_t other = random_below(KEYS);
        ck_assert_ptr_eq(strmap_get(&m, text_of(other, room)), model[other]);
        ck_assert_uint_eq(m.count, model_count);
    }
    size_t seen = 0;
    strmap_each(&m, on_text, &seen);
    ck_assert_uint_eq(seen, model_count);
    strmap_free(&m);
    ck_assert_ptr_null(strmap_get(&m, BYTES_LITERAL("x")));
}
END_TEST

START_TEST(an_emptied_map_gives_its_memory_back)
{
    struct map64 m = { 0 };
    for (size_t i = 0; i < 100000; i++)
        map64_put(&m, i, &m);
    size_t full = m.mask;
    for (size_t i = 0; i < 100000; i++)
        if (map64_remove(&m, i) != &m)
            ck_abort_msg("%zu is lost", i);
    ck_assert_uint_lt(m.mask, full / 1000);
    map64_free(&m);
}
END_TEST

START_TEST(equal_bytes_hash_equally_and_never_to_0)
{
    char room[300];
    for (size_t len = 0; len < sizeof(room); len++) {
        memset(room, 'x', len);
        uint64_t h = hash_bytes(bytes_of(room, len));
        ck_assert_uint_ne(h, 0);
        ck_assert_uint_eq(h, hash_bytes(bytes_of(room, len)));
        if (len) {
            room[len / 2] ^= 1;
            ck_assert_uint_ne(h, hash_bytes(bytes_of(room, len)));
        }
    }
    ck_assert_uint_ne(hash_bytes(BYTES_NULL), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base: maps");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, map64_agrees_with_a_model);
    tcase_add_test(tests, strmap_agrees_with_a_model);
    tcase_add_test(tests, an_emptied_map_gives_its_memory_back);
    tcase_add_test(tests, equal_bytes_hash_equally_and_never_to_0);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
