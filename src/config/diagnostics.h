/* Every error of a configuration, gathered and printed at once, in the order of the file. */
#pragma once

#include "base/buf.h"

/* Where something stands. file is owned by the document that was read and lives as long as it does. Lines and columns
 * count from 1; columns count characters. */
struct mark {
    const char *file;
    unsigned line, column;
};

struct diagnostics;

struct diagnostics *diagnostics_new(void);
void diagnostics_free(struct diagnostics *d);
/* Files are printed in the order in which they were first named, by this or by an error. */
void diagnostics_file(struct diagnostics *d, const char *file);
/* One sentence: what was found, what was expected; a suggestion last where there is one: 'unknown key "strem" in a redis
 * source; did you mean "stream"?' Never a secret's value. */
void diagnostics_error(struct diagnostics *d, struct mark at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Accepted, but probably not what was meant; also what `-t` tells of a guarantee. */
void diagnostics_warning(struct diagnostics *d, struct mark at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t diagnostics_errors(const struct diagnostics *d);
size_t diagnostics_warnings(const struct diagnostics *d);
/* "file:line:column: error: …" a line, sorted by place. */
void diagnostics_print(const struct diagnostics *d, struct buf *out);
