/* AMQP field tables and their values, as the typed texts of message/header_value.h and back. */
#pragma once

#include "endpoint/rabbitmq/wire.h"
#include "message/headers.h"

/* Reads one value, its kind byte first. Strings and byte arrays stay slices of what is read, in *slice; every other value's
 * text is appended to text and *slice is NULL bytes, as it is for a void. False: malformed, of an unknown kind, or nested
 * deeper than HEADER_DEPTH_MAX. */
bool rabbit_table_read(struct reader *r, enum header_type *type, struct bytes *slice, struct buf *text);

/* Appends the value, kind byte first. False, and nothing appended, when RabbitMQ has no such value (u64, NaN, infinities) or
 * the text is not one of the type: it can then be written as BYTES, which always succeeds. */
bool rabbit_table_write(struct buf *out, enum header_type type, struct bytes text);
