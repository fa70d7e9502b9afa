/* Chunks: those of the common size go round through a short stack, so that a steady flow reads into warm memory. */
#include "endpoint/redis/chunk.h"

#include "base/mem.h"

enum { FREE_MAX = 8 };

struct chunk_pool {
    struct chunk *free; /* newest first: the warmest */
    unsigned free_count;
    size_t used;
    bool closed;
};

static void release(struct backing *b)
{
    struct chunk *c = CONTAINER_OF(b, struct chunk, backing);
    struct chunk_pool *p = c->pool;
    p->used--;
    if (!p->closed && c->cap == CHUNK_SIZE && p->free_count < FREE_MAX) {
        c->next_free = p->free;
        p->free = c;
        p->free_count++;
        return;
    }
    free(c);
    if (p->closed && p->used == 0)
        free(p);
}

struct chunk_pool *chunk_pool_new(void)
{
    return mem_zero(sizeof(struct chunk_pool));
}

void chunk_pool_close(struct chunk_pool *p)
{
    if (!p)
        return;
    while (p->free) {
        struct chunk *c = p->free;
        p->free = c->next_free;
        free(c);
    }
    p->free_count = 0;
    p->closed = true;
    if (p->used == 0)
        free(p);
}

struct chunk *chunk_new(struct chunk_pool *p, size_t cap)
{
    struct chunk *c;
    if (cap <= CHUNK_SIZE && p->free) {
        c = p->free;
        p->free = c->next_free;
        p->free_count--;
    } else {
        if (cap < CHUNK_SIZE)
            cap = CHUNK_SIZE;
        c = mem_alloc(sizeof *c + cap);
        c->cap = cap;
        c->pool = p;
        c->backing.free = release;
    }
    c->backing.refs = 1;
    c->next_free = NULL;
    c->len = 0;
    p->used++;
    return c;
}
