/* A message as a stream entry's fields, and back. docs/mapping.md, "Redis", is the text behind this.
 *
 *   payload ↔ the field `payload` (or what field: says), absent when NULL        key ↔ the field `key`, absent when NULL
 *   headers ↔ the other fields, in order, repeats kept; types and NULL values in `ferry.types`
 *   a header whose name is one of those ↔ `ferry.header.NAME`                    nothing at all ↔ `ferry.empty`
 */
#pragma once

#include "base/buf.h"
#include "endpoint/redis/resp.h"
#include "message/message.h"

struct entry_names {
    struct bytes payload; /* the payload's field */
    struct bytes key;
};

/* A new message (the caller's reference) of an entry whose fields are node `fields` of r, an even array: id, timestamp and
 * slices that r->backing keeps alive. NULL when r is no such entry. */
struct message *entry_read(const struct entry_names *names, const struct reply *r, uint32_t id, uint32_t fields);

/* How an entry of m is written: counted first, then put. */
struct entry_shape {
    uint32_t words;    /* names and values */
    size_t size;       /* upper bound of what entry_put writes */
    bool plain;        /* payload and key only */
    struct buf *types; /* the value of ferry.types; NULL: there is none */
};
void entry_measure(const struct entry_names *names, const struct message *m, struct buf *scratch,
                   struct entry_shape *shape);
/* The words, each as a bulk string; the position behind them. */
uint8_t *entry_put(const struct entry_names *names, const struct message *m, const struct entry_shape *shape,
                   uint8_t *p);

/* An entry's ID, "1526919030474-55". */
struct entry_id {
    uint64_t ms, seq;
};
#define ENTRY_ID_MAX 42
bool entry_id_parse(struct bytes text, struct entry_id *id);
size_t entry_id_print(struct entry_id id, char text[ENTRY_ID_MAX]); /* its length; NUL-terminated */
