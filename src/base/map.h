/* Hash maps: by 64-bit number and by string. Open addressing; no order. Values are borrowed pointers, never NULL. */
#pragma once

#include "base/bytes.h"

/* XXH3, seeded once at start by a random number so that nobody outside can choose collisions. 0 is never returned. */
uint64_t hash_bytes(struct bytes b);

struct map64_slot {
    uint64_t key;
    void *value;
};
struct map64 {
    struct map64_slot *slots;
    size_t mask, count;
};
void map64_free(struct map64 *m);                           /* the map, not the values */
void *map64_get(const struct map64 *m, uint64_t key);       /* NULL when absent */
void map64_put(struct map64 *m, uint64_t key, void *value); /* replaces */
void *map64_remove(struct map64 *m, uint64_t key);          /* the value removed, or NULL */
/* Visits every pair; the map must not change meanwhile. */
void map64_each(const struct map64 *m, void (*visit)(uint64_t key, void *value, void *arg), void *arg);

struct strmap_slot {
    char *key; /* owned by the map; NUL-terminated, and may have NULs inside */
    size_t len;
    uint64_t hash;
    void *value;
};
struct strmap {
    struct strmap_slot *slots;
    size_t mask, count;
};
void strmap_free(struct strmap *m);
void *strmap_get(const struct strmap *m, struct bytes key);
void strmap_put(struct strmap *m, struct bytes key, void *value); /* copies the key; replaces */
void *strmap_remove(struct strmap *m, struct bytes key);
void strmap_each(const struct strmap *m, void (*visit)(const char *key, void *value, void *arg), void *arg);
