/* Small text helpers that several modules need. */
#pragma once

#include "base/buf.h"

/* The nearest of names (NULL-terminated) to word, within a third of its length in edits; NULL when none is near. */
const char *text_nearest(const char *word, const char *const *names);
/* "1.5 GiB", "200 ms": the shortest exact text of a size in bytes or a duration in microseconds that the configuration
 * reader reads back as the same value. */
void text_size(struct buf *out, uint64_t bytes);
void text_duration(struct buf *out, int64_t us);
/* Appends s with control characters, quotes and bytes that are no UTF-8 escaped, cut at max bytes with "…". */
void text_escape(struct buf *out, struct bytes s, size_t max);
bool text_is_utf8(struct bytes s);
