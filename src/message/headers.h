/* Ordered, typed, repeatable headers: immutable once shared, refcounted, one lane at a time. docs/mapping.md is the text
 * behind this: what each broker's headers become, and back.
 *
 * A value is always bytes in text form plus a type, so that a destination without types writes readable text. A header
 * with a type other than BYTES and NULL that crosses to such a destination is listed in one companion header,
 * `ferry.types` ("x-count=i32;x-at=timestamp"), from which the way back restores it. */
#pragma once

#include "base/buf.h"

struct backing; /* message.h */

enum header_type {
    HEADER_BYTES, /* text or binary, as it is */
    HEADER_NULL,  /* present without a value; value is NULL bytes */
    HEADER_BOOL,  /* true, false */
    HEADER_I8,    /* decimal, and so the other integers */
    HEADER_U8,
    HEADER_I16,
    HEADER_U16,
    HEADER_I32,
    HEADER_U32,
    HEADER_I64,
    HEADER_U64,
    HEADER_F32, /* shortest text that reads back as the same bits; nan, inf, -inf */
    HEADER_F64,
    HEADER_DECIMAL,   /* "12345e-2": unscaled value, scale */
    HEADER_TIMESTAMP, /* seconds since 1970, decimal */
    HEADER_BLOB,      /* AMQP's byte array 'x', as it is */
    HEADER_TABLE,     /* JSON object whose leaves are {"TYPE": text}; binary leaves in base64 */
    HEADER_ARRAY,     /* JSON array of the same */
    HEADER_TYPES
};

struct header {
    struct bytes name; /* never NULL */
    struct bytes value;
    enum header_type type;
};

struct headers {
    uint32_t refs;
    uint32_t count;
    uint32_t typed;          /* how many are neither BYTES nor NULL */
    uint32_t bytes;          /* sum of the lengths of names and values */
    struct backing *backing; /* own memory of the slices, NULL when the message's backing keeps them */
    struct header items[];
};

struct headers *headers_new(uint32_t count); /* refs 1, items clear; the caller fills in items, then headers_seal */
void headers_seal(struct headers *h);        /* computes typed and bytes */
struct headers *headers_ref(struct headers *h);
void headers_unref(struct headers *h); /* NULL is allowed */
/* The last header of that name, NULL when there is none. h may be NULL. */
const struct header *headers_last(const struct headers *h, struct bytes name);
/* A copy in one block that owns its bytes. */
struct headers *headers_own(const struct headers *h);

const char *header_type_name(enum header_type t); /* "i32" */
bool header_type_parse(struct bytes name, enum header_type *out);

#define HEADER_TYPES_NAME "ferry.types"
/* The value of `ferry.types` for h, appended to out; false and nothing when h needs none. null_too: the destination cannot
 * hold a NULL value either (it writes an empty one). Names are percent-escaped for '=', ';', '#', '%' and control bytes; the n-th
 * (from 1) of a repeated name is written NAME#n=TYPE. Headers that have an ordinary `ferry.types` need one more, even an empty
 * one: a destination writes it last, and only the last is read back. */
bool headers_types_write(const struct headers *h, bool null_too, struct buf *out);
/* Applies and removes the `ferry.types` header, if there is one; returns h or its replacement. One that does not fit what
 * is there is left as an ordinary header. Takes the reference of h. */
struct headers *headers_types_read(struct headers *h);
