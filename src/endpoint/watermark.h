/* The contiguous watermark of a positional source: positions are taken in order, done in any order, and the mark advances
 * over what is done. One bit a position, from the oldest that is not done; external positions (Kafka offsets, which may have
 * gaps) are kept as runs. Pure; one thread.
 *
 *   taken:   5 6 7 9 10      done: 5 6 9      mark: 7 (the next one to commit)     open: 2     span: 3     held: 1 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watermark;

struct watermark *watermark_new(void);
void watermark_free(struct watermark *w);
/* Takes an external position, greater than every one before it. */
void watermark_take(struct watermark *w, uint64_t position);
/* It is done. False when it is not there or was done already (an old generation, a repeated settle). */
bool watermark_done(struct watermark *w, uint64_t position);
/* The oldest position that is not done, or with everything done the last taken + 1: what Kafka commits; 0 when nothing was
 * taken yet. Gaps belong to the position before them. */
uint64_t watermark_mark(const struct watermark *w);
uint64_t watermark_open(const struct watermark *w); /* taken and not done */
/* How many were taken from the oldest not done to the newest, inclusive: the bitmap's use. */
uint64_t watermark_span(const struct watermark *w);
uint64_t watermark_held(const struct watermark *w); /* done but behind one that is not: unsettled */
void watermark_reset(struct watermark *w);          /* forgets everything */
