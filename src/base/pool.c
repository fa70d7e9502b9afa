/* The slab pool: a slab is a power of two large and aligned to that, so an object finds its slab by masking its address. */
#include "base/pool.h"

#include "base/list.h"
#include "base/mem.h"

#include <assert.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
enum { GUARD = 16 }; /* poisoned bytes behind each object */
#else
#define ASAN_POISON_MEMORY_REGION(at, size)   ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
enum { GUARD = 0 };
#endif

enum { ALIGN = 16, MIN_SLAB = 32 * 1024, OBJECTS_WANTED = 32, MAX_OBJECTS = 512 };

struct slab {
    struct list all;
    struct list open;   /* in pool.open when partly used */
    struct slab *empty; /* the next in pool.empty */
    uint16_t free_count;
    uint16_t free[MAX_OBJECTS];        /* a stack: what was freed last is warm */
    uint64_t in_use[MAX_OBJECTS / 64]; /* a bit an object */
};

struct pool {
    size_t object_size;
    size_t stride;     /* from one object to the next */
    size_t slab_bytes; /* a power of two */
    size_t per_slab;
    size_t slabs, used;
    struct list all;    /* struct slab.all */
    struct list open;   /* slabs that are partly used */
    struct slab *empty; /* and those that are not at all */
    bool visiting;      /* pool_each: slabs stay */
};

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static const size_t HEADER = (sizeof(struct slab) + ALIGN - 1) / ALIGN * ALIGN;

struct pool *pool_new(size_t object_size)
{
    struct pool *p = mem_zero(sizeof(*p));
    p->object_size = object_size ? object_size : 1;
    p->stride = round_up(p->object_size, ALIGN) + GUARD;
    p->slab_bytes = MIN_SLAB;
    while (p->slab_bytes < HEADER + p->stride * OBJECTS_WANTED)
        p->slab_bytes *= 2;
    p->per_slab = (p->slab_bytes - HEADER) / p->stride;
    if (p->per_slab > MAX_OBJECTS)
        p->per_slab = MAX_OBJECTS;
    list_init(&p->all);
    list_init(&p->open);
    return p;
}

static char *slab_object(const struct pool *p, struct slab *s, size_t index)
{
    return (char *)s + HEADER + index * p->stride;
}

static struct slab *slab_new(struct pool *p)
{
    struct slab *s = aligned_alloc(p->slab_bytes, p->slab_bytes);
    if (!s)
        mem_exhausted();
    *s = (struct slab){ .free_count = (uint16_t)p->per_slab };
    for (size_t i = 0; i < p->per_slab; i++)
        s->free[i] = (uint16_t)(p->per_slab - 1 - i);
    list_init(&s->open);
    list_push_back(&p->all, &s->all);
    p->slabs++;
    ASAN_POISON_MEMORY_REGION(slab_object(p, s, 0), p->slab_bytes - HEADER);
    return s;
}

static void slab_free(struct pool *p, struct slab *s)
{
    list_remove(&s->all);
    p->slabs--;
    ASAN_UNPOISON_MEMORY_REGION(slab_object(p, s, 0), p->slab_bytes - HEADER);
    free(s);
}

/* A slab with room. */
static struct slab *open_slab(struct pool *p)
{
    if (!list_empty(&p->open))
        return LIST_ENTRY(p->open.next, struct slab, open);
    struct slab *s = p->empty;
    if (s)
        p->empty = s->empty;
    else
        s = slab_new(p);
    list_push_front(&p->open, &s->open);
    return s;
}

/* Gives empty slabs back while more than half of what would be left is free too: the gap to where pool_get makes a slab
 * again is half a slab at least, so that a number that sways costs no system calls. */
static void trim(struct pool *p)
{
    while (p->empty && p->used < (p->slabs - 1) * p->per_slab / 2) {
        struct slab *s = p->empty;
        p->empty = s->empty;
        slab_free(p, s);
    }
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    LIST_EACH(&p->all, node)
        slab_free(p, LIST_ENTRY(node, struct slab, all));
    free(p);
}

void *pool_get(struct pool *p)
{
    struct slab *s = open_slab(p);
    size_t index = s->free[--s->free_count];
    s->in_use[index / 64] |= UINT64_C(1) << index % 64;
    p->used++;
    if (!s->free_count)
        list_remove(&s->open);
    void *object = slab_object(p, s, index);
    ASAN_UNPOISON_MEMORY_REGION(object, p->object_size);
    return object;
}

void pool_put(struct pool *p, void *object)
{
    struct slab *s = (struct slab *)((uintptr_t)object & ~(uintptr_t)(p->slab_bytes - 1));
    size_t index = (size_t)((char *)object - slab_object(p, s, 0)) / p->stride;
    uint64_t bit = UINT64_C(1) << index % 64;
    assert(s->in_use[index / 64] & bit); /* freed twice, or another pool's */
    s->in_use[index / 64] &= ~bit;
    p->used--;
    ASAN_POISON_MEMORY_REGION(object, p->object_size);
    s->free[s->free_count++] = (uint16_t)index;
    if (s->free_count == 1)
        list_push_front(&p->open, &s->open);
    if (s->free_count < p->per_slab)
        return;
    list_remove(&s->open);
    s->empty = p->empty;
    p->empty = s;
    if (!p->visiting)
        trim(p);
}

size_t pool_used(const struct pool *p)
{
    return p->used;
}

void pool_each(struct pool *p, void (*visit)(void *object, void *arg), void *arg)
{
    p->visiting = true;
    LIST_EACH(&p->all, node) {
        struct slab *s = LIST_ENTRY(node, struct slab, all);
        for (size_t word = 0; word < MAX_OBJECTS / 64; word++)
            for (uint64_t left = s->in_use[word]; left; left &= left - 1)
                visit(slab_object(p, s, word * 64 + (size_t)__builtin_ctzll(left)), arg);
    }
    p->visiting = false;
    trim(p);
}
