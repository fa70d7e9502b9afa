/* Inside message/ only: blocks of memory that a message or its headers own, and the parsed JSON of the last message. */
#pragma once

#include "message/message.h"

#include <jansson.h>

/* One allocation that holds slices, and perhaps the struct headers over them. */
struct block {
    struct backing backing;
    size_t size; /* of all of it */
};
struct block *block_new(size_t size, uint32_t refs); /* size: beyond the struct itself */
static inline uint8_t *block_memory(struct block *b)
{
    return (uint8_t *)(b + 1);
}
/* The block that h itself lies in, NULL when h was allocated alone. */
struct block *block_around(const struct headers *h);
/* Whether b is memory of ours, small and exact, not a source's buffer. NULL (constant data) is. */
bool backing_is_own(const struct backing *b);

/* What headers_copy needs at a block's start: aligned, structs and bytes. */
size_t headers_block_size(const struct headers *h);
/* Builds the copy at memory, which lies in block; returns it, one reference of block (the caller's) given to it. */
struct headers *headers_copy(const struct headers *h, struct block *block, uint8_t *memory);

/* The payload of m as JSON, parsed once for as long as m is the last that was asked for. NULL and *error (per-thread, until
 * the next call) when it is none. Owned by the cache. */
json_t *message_json(const struct message *m, const char **error);

/* Whose JSON is kept; a message that dies or moves its payload clears it, so that no reused address can hit. */
extern _Thread_local const struct message *json_cached;
void message_json_forget(void);
