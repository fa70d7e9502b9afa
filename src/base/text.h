/* Small text helpers that several modules need. */
#pragma once

#include "base/buf.h"

/* The nearest of names (NULL-terminated) to word, within a third of its length in edits (but one edit in a word of
 * two letters), where letter case costs nothing and swapping two neighbours is one edit; NULL when none is near. */
const char *text_nearest(const char *word, const char *const *names);
/* "1536MiB", "200ms", "90m": the shortest exact text of a size in bytes (GiB MiB KiB GB MB, none) or a duration in
 * microseconds (d h m s ms us) that the configuration reader reads back as the same value. */
void text_size(struct buf *out, uint64_t bytes);
void text_duration(struct buf *out, int64_t us);
/* Appends s with control characters, double quotes, backslashes and bytes that are no UTF-8 escaped as in C, cut with "…"
 * where more than max bytes would be appended. */
void text_escape(struct buf *out, struct bytes s, size_t max);
/* The same without quotes and backslashes, uncut: for a whole line of a log. */
void text_escape_controls(struct buf *out, struct bytes s);
bool text_is_utf8(struct bytes s);
/* The length of the valid UTF-8 character at s (1 to 4), or 0 when there is none, or it is cut off. */
size_t text_utf8_length(struct bytes s);
