/* AMQP 0-9-1 on the wire: frames, big-endian numbers and strings. Reading is bounds-checked and sticky: after the first
 * read beyond the end everything reads as zero and `bad` is set. */
#pragma once

#include "base/buf.h"

enum {
    FRAME_METHOD = 1,
    FRAME_HEADER = 2,
    FRAME_BODY = 3,
    FRAME_HEARTBEAT = 8,
    FRAME_END = 0xce,
    FRAME_OVERHEAD = 8,    /* type, channel, size; end byte */
    FRAME_MIN_MAX = 4096,  /* the smallest frame_max that the protocol allows */
    SHORT_STRING_MAX = 255 /* names, keys and most properties have a length byte */
};

struct reader {
    const uint8_t *at, *end;
    bool bad;
};

/* NULL bytes are bad from the start. */
static inline struct reader reader_of(struct bytes b)
{
    return (struct reader){ b.data, b.data ? b.data + b.len : NULL, !b.data };
}

/* NULL bytes when fewer than len are left. */
static inline struct bytes read_bytes(struct reader *r, size_t len)
{
    if (r->bad || (size_t)(r->end - r->at) < len) {
        r->bad = true;
        return BYTES_NULL;
    }
    struct bytes b = bytes_of(r->at, len);
    r->at += len;
    return b;
}

static inline uint64_t read_number(struct reader *r, unsigned size)
{
    struct bytes b = read_bytes(r, size);
    uint64_t value = 0;
    for (size_t i = 0; i < b.len; i++)
        value = value << 8 | b.data[i];
    return value;
}

static inline struct bytes read_short_string(struct reader *r)
{
    return read_bytes(r, (size_t)read_number(r, 1));
}

static inline struct bytes read_long_string(struct reader *r)
{
    return read_bytes(r, (size_t)read_number(r, 4));
}

static inline void store_number(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = size; i-- > 0; value >>= 8)
        at[i] = (uint8_t)value;
}

static inline void write_number(struct buf *out, uint64_t value, unsigned size)
{
    store_number(buf_reserve(out, size), value, size);
    out->len += size;
}

/* The caller saw to it that it has at most SHORT_STRING_MAX bytes. */
static inline void write_short_string(struct buf *out, struct bytes s)
{
    buf_append_byte(out, (uint8_t)s.len);
    buf_append_bytes(out, s);
}

static inline void write_long_string(struct buf *out, struct bytes s)
{
    write_number(out, s.len, 4);
    buf_append_bytes(out, s);
}

/* Begins a frame whose payload is appended next; the result goes to frame_end. */
static inline size_t frame_begin(struct buf *out, unsigned type, unsigned channel)
{
    uint8_t *at = buf_reserve(out, 7);
    at[0] = (uint8_t)type;
    store_number(at + 1, channel, 2);
    out->len += 7;
    return out->len;
}

static inline void frame_end(struct buf *out, size_t payload)
{
    store_number(out->data + payload - 4, out->len - payload, 4);
    buf_append_byte(out, FRAME_END);
}
