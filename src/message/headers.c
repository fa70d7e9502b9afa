/* Headers: counted, found, copied. Their types' texts are in header_value.c, the companion header in header_types.c. */
#include "message/headers.h"

#include "base/mem.h"
#include "message/owned.h"

struct headers *headers_new(uint32_t count)
{
    struct headers *h = mem_zero(sizeof(*h) + count * sizeof(h->items[0]));
    h->refs = 1;
    h->count = count;
    return h;
}

void headers_seal(struct headers *h)
{
    size_t bytes = 0;
    h->typed = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        const struct header *item = &h->items[i];
        bytes += item->name.len + item->value.len;
        h->typed += item->type != HEADER_BYTES && item->type != HEADER_NULL;
    }
    h->bytes = (uint32_t)bytes;
}

struct headers *headers_ref(struct headers *h)
{
    h->refs++;
    return h;
}

void headers_unref(struct headers *h)
{
    if (!h || --h->refs)
        return;
    struct backing *backing = h->backing;
    if (!block_around(h))
        free(h);
    backing_unref(backing);
}

const struct header *headers_last(const struct headers *h, struct bytes name)
{
    for (uint32_t i = h ? h->count : 0; i > 0; i--)
        if (bytes_equal(h->items[i - 1].name, name))
            return &h->items[i - 1];
    return NULL;
}

static size_t aligned(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

size_t headers_block_size(const struct headers *h)
{
    return aligned(sizeof(*h) + h->count * sizeof(h->items[0]) + h->bytes);
}

static struct bytes copy_bytes(uint8_t **at, struct bytes s)
{
    if (!s.data)
        return BYTES_NULL;
    struct bytes copy = bytes_of(*at, s.len);
    if (s.len)
        memcpy(*at, s.data, s.len);
    *at += s.len;
    return copy;
}

struct headers *headers_copy(const struct headers *h, struct block *block, uint8_t *memory)
{
    struct headers *copy = (struct headers *)memory;
    *copy = (struct headers){ .refs = 1, .count = h->count, .typed = h->typed, .bytes = h->bytes };
    copy->backing = &block->backing;
    uint8_t *at = (uint8_t *)&copy->items[h->count];
    for (uint32_t i = 0; i < h->count; i++) {
        copy->items[i].name = copy_bytes(&at, h->items[i].name);
        copy->items[i].value = copy_bytes(&at, h->items[i].value);
        copy->items[i].type = h->items[i].type;
    }
    return copy;
}

struct headers *headers_own(const struct headers *h)
{
    struct block *block = block_new(headers_block_size(h), 1);
    return headers_copy(h, block, block_memory(block));
}
