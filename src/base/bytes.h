/* A borrowed run of bytes. NULL data means "no value", which is not the same as an empty one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data;
    size_t len;
};

#define BYTES_NULL       ((struct bytes){ NULL, 0 })
#define BYTES_LITERAL(s) ((struct bytes){ (const uint8_t *)(s), sizeof(s) - 1 })

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){ (const uint8_t *)data, len };
}

static inline struct bytes bytes_of_string(const char *s)
{
    return (struct bytes){ (const uint8_t *)s, s ? strlen(s) : 0 };
}

/* NULL equals only NULL. */
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    if (!a.data || !b.data)
        return !a.data && !b.data;
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static inline bool bytes_is(struct bytes a, const char *s)
{
    return a.data && a.len == strlen(s) && memcmp(a.data, s, a.len) == 0;
}
