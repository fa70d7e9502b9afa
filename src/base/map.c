/* Hash maps with linear probing; a removal closes its gap by moving back what follows, so there are no tombstones. */
#include "base/map.h"

#include "base/mem.h"
#include "base/random.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FIRST_SLOTS = 16 };

/* Written once, before main, so that any thread reads them without a lock. */
static uint64_t hash_seed;
static uint8_t hash_secret[XXH3_SECRET_DEFAULT_SIZE];

static __attribute__((constructor)) void seed_hashes(void)
{
    hash_seed = random_u64();
    XXH3_generateSecret_fromSeed(hash_secret, random_u64());
}

uint64_t hash_bytes(struct bytes b)
{
    /* The seed serves short keys, the prepared secret long ones, which would derive one from the seed each time. */
    uint64_t h = XXH3_64bits_withSecretandSeed(b.data, b.len, hash_secret, sizeof(hash_secret), hash_seed);
    return h ? h : 1;
}

/* Keys may be counters or chosen by a peer: the folded product spreads both. */
static size_t mix(uint64_t key)
{
    unsigned __int128 product = (unsigned __int128)(key ^ hash_seed) * 0x9E3779B97F4A7C15u;
    return (size_t)((uint64_t)product ^ (uint64_t)(product >> 64));
}

/* Whether what has its home at `home` and lies at `at` may move to the gap before it. */
static bool may_move(size_t home, size_t gap, size_t at, size_t mask)
{
    return ((at - home) & mask) >= ((at - gap) & mask);
}

/* The number of slots that count entries should have now: at most three quarters full, and shrunk below an eighth. */
static size_t slots_for(size_t count, size_t slots)
{
    if (!slots)
        return FIRST_SLOTS;
    if (count > slots / 4 * 3)
        return slots * 2;
    if (slots > FIRST_SLOTS && count < slots / 8)
        return slots / 2;
    return slots;
}

/* ---- by number */

void map64_free(struct map64 *m)
{
    free(m->slots);
    *m = (struct map64){ 0 };
}

/* The slot of key, or the free slot where it belongs. There is always a free one. */
static struct map64_slot *map64_find(const struct map64 *m, uint64_t key)
{
    size_t at = mix(key) & m->mask;
    while (m->slots[at].value && m->slots[at].key != key)
        at = (at + 1) & m->mask;
    return &m->slots[at];
}

static void map64_fit(struct map64 *m, size_t count)
{
    size_t old_slots = m->slots ? m->mask + 1 : 0;
    size_t new_slots = slots_for(count, old_slots);
    if (new_slots == old_slots)
        return;
    struct map64_slot *old = m->slots;
    m->slots = mem_array(new_slots, sizeof(*m->slots));
    m->mask = new_slots - 1;
    for (size_t i = 0; i < old_slots; i++)
        if (old[i].value)
            *map64_find(m, old[i].key) = old[i];
    free(old);
}

void *map64_get(const struct map64 *m, uint64_t key)
{
    return m->count ? map64_find(m, key)->value : NULL;
}

void map64_put(struct map64 *m, uint64_t key, void *value)
{
    map64_fit(m, m->count + 1);
    struct map64_slot *slot = map64_find(m, key);
    if (!slot->value)
        m->count++;
    *slot = (struct map64_slot){ key, value };
}

void *map64_remove(struct map64 *m, uint64_t key)
{
    struct map64_slot *slot = m->count ? map64_find(m, key) : NULL;
    if (!slot || !slot->value)
        return NULL;
    void *value = slot->value;
    size_t gap = (size_t)(slot - m->slots);
    for (size_t at = (gap + 1) & m->mask; m->slots[at].value; at = (at + 1) & m->mask)
        if (may_move(mix(m->slots[at].key), gap, at, m->mask)) {
            m->slots[gap] = m->slots[at];
            gap = at;
        }
    m->slots[gap].value = NULL;
    map64_fit(m, --m->count);
    return value;
}

void map64_each(const struct map64 *m, void (*visit)(uint64_t key, void *value, void *arg), void *arg)
{
    for (size_t i = 0; m->count && i <= m->mask; i++)
        if (m->slots[i].value)
            visit(m->slots[i].key, m->slots[i].value, arg);
}

/* ---- by string */

void strmap_free(struct strmap *m)
{
    for (size_t i = 0; m->slots && i <= m->mask; i++)
        free(m->slots[i].key);
    free(m->slots);
    *m = (struct strmap){ 0 };
}

static bool strmap_holds(const struct strmap_slot *slot, struct bytes key, uint64_t hash)
{
    return slot->hash == hash && slot->len == key.len && (!key.len || memcmp(slot->key, key.data, key.len) == 0);
}

static struct strmap_slot *strmap_find(const struct strmap *m, struct bytes key, uint64_t hash)
{
    size_t at = hash & m->mask;
    while (m->slots[at].key && !strmap_holds(&m->slots[at], key, hash))
        at = (at + 1) & m->mask;
    return &m->slots[at];
}

static void strmap_fit(struct strmap *m, size_t count)
{
    size_t old_slots = m->slots ? m->mask + 1 : 0;
    size_t new_slots = slots_for(count, old_slots);
    if (new_slots == old_slots)
        return;
    struct strmap_slot *old = m->slots;
    m->slots = mem_array(new_slots, sizeof(*m->slots));
    m->mask = new_slots - 1;
    for (size_t i = 0; i < old_slots; i++)
        if (old[i].key)
            *strmap_find(m, bytes_of(old[i].key, old[i].len), old[i].hash) = old[i];
    free(old);
}

void *strmap_get(const struct strmap *m, struct bytes key)
{
    return m->count ? strmap_find(m, key, hash_bytes(key))->value : NULL;
}

void strmap_put(struct strmap *m, struct bytes key, void *value)
{
    strmap_fit(m, m->count + 1);
    uint64_t hash = hash_bytes(key);
    struct strmap_slot *slot = strmap_find(m, key, hash);
    if (!slot->key) {
        *slot = (struct strmap_slot){ mem_string_n((const char *)key.data, key.len), key.len, hash, NULL };
        m->count++;
    }
    slot->value = value;
}

void *strmap_remove(struct strmap *m, struct bytes key)
{
    struct strmap_slot *slot = m->count ? strmap_find(m, key, hash_bytes(key)) : NULL;
    if (!slot || !slot->key)
        return NULL;
    void *value = slot->value;
    free(slot->key);
    size_t gap = (size_t)(slot - m->slots);
    for (size_t at = (gap + 1) & m->mask; m->slots[at].key; at = (at + 1) & m->mask)
        if (may_move(m->slots[at].hash, gap, at, m->mask)) {
            m->slots[gap] = m->slots[at];
            gap = at;
        }
    m->slots[gap] = (struct strmap_slot){ 0 };
    strmap_fit(m, --m->count);
    return value;
}

void strmap_each(const struct strmap *m, void (*visit)(const char *key, void *value, void *arg), void *arg)
{
    for (size_t i = 0; m->count && i <= m->mask; i++)
        if (m->slots[i].key)
            visit(m->slots[i].key, m->slots[i].value, arg);
}
