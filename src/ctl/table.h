/* Text tables for people: aligned columns, colour where it helps, nothing that a terminal would obey. */
#pragma once

#include "base/buf.h"

enum tone { TONE_PLAIN, TONE_GOOD, TONE_WARN, TONE_BAD, TONE_FAINT };

struct column {
    const char *title;
    bool right; /* numbers */
};

struct table;

struct table *table_new(const struct column *columns, size_t count);
void table_free(struct table *t);
/* The next cell of the row; a row is full when every column has one. */
void table_cell(struct table *t, enum tone tone, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A line of its own below the last row. */
void table_note(struct table *t, enum tone tone, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Without a line of titles when the first column has none. */
void table_print(const struct table *t, bool colour, struct buf *out);

/* Appends text in its tone. Control characters, which come from brokers and configurations, become '?'. */
void print_toned(struct buf *out, bool colour, enum tone tone, const char *text);

/* Shortest readable forms. */
void format_count(char out[static 16], double n);       /* 0, 12, 1234, 12.3k, 4.5M */
void format_bytes(char out[static 16], uint64_t bytes); /* 12 B, 1.5 KiB */
void format_age(char out[static 24], double seconds);   /* 12s, 3m 4s, 2h 5m, 3d 4h */
