/* An arena that only grows: a chunk goes when its last message does, and is filled again when it holds none. */
#include "endpoint/rabbitmq/arena.h"

#include "base/mem.h"

/* Small enough that a few messages which a route keeps pin little, large enough that allocating one is rare. */
enum { CHUNK_SIZE = 64 * 1024 };

struct chunk {
    struct backing backing;
    size_t size, used;
    uint8_t memory[] __attribute__((aligned(8)));
};

static void chunk_free(struct backing *b)
{
    free(CONTAINER_OF(b, struct chunk, backing));
}

static struct chunk *chunk_new(size_t size)
{
    struct chunk *c = mem_alloc(sizeof *c + size);
    *c = (struct chunk){ .backing = { 1, chunk_free }, .size = size };
    return c;
}

uint8_t *rabbit_arena_take(struct arena *a, size_t len, struct backing **backing)
{
    if (len > CHUNK_SIZE / 4) {
        struct chunk *own = chunk_new(len);
        *backing = &own->backing;
        return own->memory;
    }
    if (a->chunk && a->chunk->backing.refs == 1)
        a->chunk->used = 0;
    if (!a->chunk || a->chunk->size - a->chunk->used < len) {
        rabbit_arena_close(a);
        a->chunk = chunk_new(CHUNK_SIZE);
    }
    uint8_t *memory = a->chunk->memory + a->chunk->used;
    a->chunk->used += (len + 7) & ~(size_t)7;
    *backing = backing_ref(&a->chunk->backing);
    return memory;
}

void rabbit_arena_close(struct arena *a)
{
    if (a->chunk)
        backing_unref(&a->chunk->backing);
    a->chunk = NULL;
}
