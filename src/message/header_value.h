/* The texts of typed header values, for endpoints whose broker has types of its own, and for `ferry.types`. Every value has
 * exactly one text, and every text that is accepted is written back as the same bytes. docs/mapping.md lists them. Pure. */
#pragma once

#include "message/headers.h"

/* Whether v is the text that a value of this type is written as; anything is for BYTES and BLOB. */
bool header_value_valid(enum header_type t, struct bytes v);

/* Decimal within the type's range, HEADER_I8 … HEADER_U64; unsigned values come in the same 64 bits. False when it is not. */
bool header_parse_integer(enum header_type t, struct bytes v, uint64_t *bits);
void header_write_integer(enum header_type t, uint64_t bits, struct buf *out);

/* IEEE bits, not numbers: a NaN crosses with its own. */
bool header_parse_f32(struct bytes v, uint32_t *bits);
bool header_parse_f64(struct bytes v, uint64_t *bits);
void header_write_f32(uint32_t bits, struct buf *out);
void header_write_f64(uint64_t bits, struct buf *out);

bool header_parse_decimal(struct bytes v, uint32_t *unscaled, uint8_t *scale);
void header_write_decimal(uint32_t unscaled, uint8_t scale, struct buf *out);

/* The text of a TABLE or ARRAY (type says which) from its fields and back, one level at a time: a nested table is a field
 * whose value is such a text again. Fields of an array have no names. write takes valid texts and appends. read returns
 * headers that own their bytes, NULL when v is no such text, has a name twice, or is nested deeper than
 * HEADER_DEPTH_MAX. */
#define HEADER_DEPTH_MAX 32
void header_write_fields(enum header_type t, const struct headers *fields, struct buf *out);
struct headers *header_read_fields(enum header_type t, struct bytes v);

/* Standard base64 with padding, no line breaks. decode is false, with out as it was, on anything else. */
void base64_encode(struct bytes in, struct buf *out);
bool base64_decode(struct bytes in, struct buf *out);

/* s as a JSON string with its quotes; s must be UTF-8 (NULs are escaped). */
void json_write_string(struct bytes s, struct buf *out);

/* Percent-escapes '%', control characters, the characters of also and, with utf8, bytes that are no UTF-8. unescape is false,
 * with out as it was, on a '%' without two hexadecimal digits. */
void percent_escape(struct bytes s, const char *also, bool utf8, struct buf *out);
bool percent_unescape(struct bytes s, struct buf *out);
