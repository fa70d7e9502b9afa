/* Redis' reply protocol (RESP2), decoded where it lies: a reply becomes a flat list of nodes, parents before children, whose
 * texts are slices of what was read.
 *
 *   *2\r\n$3\r\nabc\r\n:7\r\n   ──▶   [array of 2] [bulk "abc"] [integer "7"]
 *
 * hiredis formats the commands that are not written by the thousand (command.h). Its redisReader is not used: it keeps the
 * bytes in a buffer of its own that moves, so every text would have to be copied and every node be an object (0.35 to
 * 0.75 us a message, against 0.18 to 0.27 here), and two decoders cannot share one connection. Pure; one thread. */
#pragma once

#include "base/bytes.h"
#include "message/message.h"

enum resp_type { RESP_STATUS, RESP_ERROR, RESP_INTEGER, RESP_BULK, RESP_NIL, RESP_ARRAY };

/* What a peer may send: the server's own default for a bulk, and bounds that no honest reply reaches. */
#define RESP_BULK_MAX  ((uint32_t)512 << 20)
#define RESP_REPLY_MAX ((uint32_t)1 << 30)
#define RESP_NODES_MAX ((uint32_t)16 << 20)
#define RESP_LINE_MAX  ((uint32_t)64 << 10)
enum { RESP_DEPTH_MAX = 16 };

struct resp_node {
    uint32_t at;   /* of the text, from the reply's first byte */
    uint32_t size; /* of the text in bytes; of an array in elements */
    enum resp_type type;
};

/* Valid during the callback that brings it; slices of it as long as a reference of backing is held. */
struct reply {
    const uint8_t *base;
    const struct resp_node *nodes;
    uint32_t count;
    struct backing *backing; /* NULL: the memory is the caller's own (tests) */
};

struct resp_decoder {
    struct resp_node *nodes;
    uint32_t count, cap;
    uint32_t scanned;              /* decoded so far, from the reply's first byte */
    uint32_t need;                 /* the reply has at least so many bytes */
    uint32_t left[RESP_DEPTH_MAX]; /* elements still to come of each open array, outermost first */
    unsigned depth;
    const char *error;
};

enum resp_progress { RESP_MORE, RESP_DONE, RESP_BAD };

void resp_decoder_free(struct resp_decoder *d);
/* Forgets what was begun; the next byte begins a reply. */
void resp_decoder_reset(struct resp_decoder *d);
/* Goes on with the reply that begins at base, of which len bytes are there now. base may be another address than last time
 * as long as the bytes are the same. RESP_DONE: d->scanned is its length, d->nodes what it says, until resp_decoder_reset.
 * RESP_MORE: call again with more, at least d->need bytes. RESP_BAD: d->error says why; the connection is useless. */
enum resp_progress resp_decode(struct resp_decoder *d, const uint8_t *base, size_t len);

/* Texts of every type but arrays; BYTES_NULL for nil, arrays and what is not there. */
static inline struct bytes reply_text(const struct reply *r, uint32_t i)
{
    if (i >= r->count || r->nodes[i].type >= RESP_NIL)
        return BYTES_NULL;
    return bytes_of(r->base + r->nodes[i].at, r->nodes[i].size);
}
static inline bool reply_is(const struct reply *r, uint32_t i, enum resp_type type)
{
    return i < r->count && r->nodes[i].type == type;
}
static inline bool reply_is_array(const struct reply *r, uint32_t i, uint32_t size)
{
    return reply_is(r, i, RESP_ARRAY) && r->nodes[i].size == size;
}
/* An integer, or a text that is one; false when it is neither. */
bool reply_int(const struct reply *r, uint32_t i, int64_t *value);
/* The node behind node i and all that is in it. */
uint32_t reply_skip(const struct reply *r, uint32_t i);
