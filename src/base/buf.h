/* A growable byte buffer. Always followed by a NUL that len does not count. Memory exhaustion aborts the process. */
#pragma once

#include "base/bytes.h"

#include <stdarg.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

#define BUF_EMPTY ((struct buf){ NULL, 0, 0 })

void buf_free(struct buf *b);               /* releases the memory, leaves an empty buffer */
static inline void buf_clear(struct buf *b) /* keeps the memory */
{
    b->len = 0;
    if (b->data)
        b->data[0] = 0;
}
uint8_t *buf_reserve(struct buf *b, size_t extra); /* room for extra more bytes; returns the write position */
void buf_append(struct buf *b, const void *data, size_t len);
void buf_append_bytes(struct buf *b, struct bytes s);
void buf_append_string(struct buf *b, const char *s);
void buf_append_byte(struct buf *b, uint8_t c);
void buf_append_u64(struct buf *b, uint64_t value); /* decimal */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
void buf_consume(struct buf *b, size_t len); /* drops the first len bytes */
char *buf_string(struct buf *b);             /* the text, "" when empty; owned by the buffer */
char *buf_take(struct buf *b);               /* the text, owned by the caller (free); the buffer is empty after */
static inline struct bytes buf_bytes(const struct buf *b)
{
    return bytes_of(b->data ? (const void *)b->data : "", b->len);
}
