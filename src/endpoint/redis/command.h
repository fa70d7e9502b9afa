/* Writing commands: by the thousand into reserved room here, all others through hiredis' formatter. */
#pragma once

#include "base/buf.h"

/* Enough for "$4294967295\r\n" and a CRLF. */
enum { BULK_OVERHEAD = 16 };

/* Decimal digits of v to p; the position behind them. */
static inline uint8_t *put_u64(uint8_t *p, uint64_t v)
{
    uint8_t digits[20], *d = digits + sizeof digits;
    do
        *--d = (uint8_t)('0' + v % 10);
    while (v /= 10);
    size_t n = (size_t)(digits + sizeof digits - d);
    memcpy(p, d, n);
    return p + n;
}

static inline uint8_t *put_raw(uint8_t *p, struct bytes s)
{
    memcpy(p, s.data, s.len);
    return p + s.len;
}

/* "*4\r\n" (mark '*', a command of so many words) or "$256\r\n" (mark '$', a word of so many bytes). */
static inline uint8_t *put_length(uint8_t *p, char mark, uint64_t n)
{
    *p++ = (uint8_t)mark;
    p = put_u64(p, n);
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

/* One word. It takes at most s.len + BULK_OVERHEAD bytes of room; NULL bytes are written as empty ones. */
static inline uint8_t *put_word(uint8_t *p, struct bytes s)
{
    p = put_length(p, '$', s.len);
    if (s.len)
        p = put_raw(p, s);
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

static inline uint8_t *put_number(uint8_t *p, uint64_t v)
{
    uint8_t text[20];
    return put_word(p, bytes_of(text, (size_t)(put_u64(text, v) - text)));
}

/* Tells the buffer how far its reserved room was used. */
static inline void buf_used_to(struct buf *b, const uint8_t *end)
{
    b->len = (size_t)(end - b->data);
    b->data[b->len] = 0;
}

/* Appends a whole command. */
void command_write(struct buf *out, const struct bytes *words, size_t n);
/* The same from strings, up to NULL. */
void command_strings(struct buf *out, const char *first, ...) __attribute__((sentinel));

/* The name of a script for EVALSHA, NUL-terminated. */
void script_sha(struct bytes text, char sha[41]);
