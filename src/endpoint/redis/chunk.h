/* The memory that replies are read into, and that messages then point into: chunks of one size, reused while warm, kept
 * alive by whoever holds a slice of one. One lane's thread. */
#pragma once

#include "message/message.h"

/* Big enough that a read of 500 entries of 256 bytes fits twice or thrice: what a reply split over two chunks leaves
 * behind is then a small part of a chunk that held messages keep alive. */
#define CHUNK_SIZE ((size_t)512 * 1024)

struct chunk_pool;

struct chunk {
    struct backing backing;
    struct chunk_pool *pool;
    struct chunk *next_free;
    size_t cap;
    size_t len; /* how much of it was read */
    uint8_t data[];
};

struct chunk_pool *chunk_pool_new(void);
/* Chunks that are still referred to stay valid; the last of them frees the pool. NULL is allowed. */
void chunk_pool_close(struct chunk_pool *p);
/* Of at least cap bytes, len 0, one reference, the caller's. */
struct chunk *chunk_new(struct chunk_pool *p, size_t cap);
static inline void chunk_unref(struct chunk *c) /* NULL is allowed */
{
    if (c)
        backing_unref(&c->backing);
}
