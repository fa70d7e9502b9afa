/* Chunks that the bytes of received messages are copied into; a message's backing is the chunk that it lies in. */
#pragma once

#include "message/message.h"

struct chunk;
struct arena {
    struct chunk *chunk; /* the one being filled; one reference */
};

/* 8-byte aligned memory of len bytes; *backing gets a reference that is the caller's. */
uint8_t *rabbit_arena_take(struct arena *a, size_t len, struct backing **backing);
void rabbit_arena_close(struct arena *a);
