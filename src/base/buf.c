/* The growable byte buffer. */
#include "base/buf.h"

#include "base/mem.h"

#include <stdio.h>

enum { FIRST_CAP = 64 };

void buf_free(struct buf *b)
{
    free(b->data);
    *b = BUF_EMPTY;
}

uint8_t *buf_reserve(struct buf *b, size_t extra)
{
    if (b->cap - b->len > extra)
        return b->data + b->len;
    if (extra > SIZE_MAX / 4 - b->len)
        extra = SIZE_MAX / 4; /* which no allocator has */
    size_t need = b->len + extra + 1;
    size_t cap = b->cap < FIRST_CAP ? FIRST_CAP : b->cap + b->cap / 2;
    b->cap = cap < need ? need : cap;
    b->data = mem_resize(b->data, b->cap);
    b->data[b->len] = 0;
    return b->data + b->len;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
    uint8_t *at = buf_reserve(b, len);
    if (len)
        memcpy(at, data, len);
    at[len] = 0;
    b->len += len;
}

void buf_append_bytes(struct buf *b, struct bytes s)
{
    buf_append(b, s.data, s.len);
}

void buf_append_string(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_append_byte(struct buf *b, uint8_t c)
{
    buf_append(b, &c, 1);
}

void buf_append_u64(struct buf *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    buf_append(b, digits + at, sizeof(digits) - at);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    buf_reserve(b, FIRST_CAP);
    size_t room = b->cap - b->len;
    int len = vsnprintf((char *)b->data + b->len, room, format, args);
    if (len >= 0 && (size_t)len >= room) {
        buf_reserve(b, (size_t)len);
        vsnprintf((char *)b->data + b->len, (size_t)len + 1, format, again);
    }
    if (len >= 0)
        b->len += (size_t)len;
    b->data[b->len] = 0; /* also after a format that failed half-way */
    va_end(again);
}

void buf_consume(struct buf *b, size_t len)
{
    if (len >= b->len) {
        buf_clear(b);
        return;
    }
    b->len -= len;
    memmove(b->data, b->data + len, b->len + 1);
}

char *buf_string(struct buf *b)
{
    buf_reserve(b, 0);
    return (char *)b->data;
}

char *buf_take(struct buf *b)
{
    char *text = buf_string(b);
    *b = BUF_EMPTY;
    return text;
}
