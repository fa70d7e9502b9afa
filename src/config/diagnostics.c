/* Gathers the problems of a configuration and prints them sorted by place. */
#include "config/diagnostics.h"

#include "base/mem.h"

/* A broken file can have a problem a line; beyond this many they are only counted. */
#define DIAGNOSTICS_MAX 1000

struct entry {
    struct mark at; /* file points into files */
    size_t file;    /* its index there: files are sorted by when each was first named */
    size_t sequence;
    bool error;
    char *text;
};

struct diagnostics {
    struct entry *entries;
    size_t count, cap;
    size_t errors, warnings, left_out;
    char **files; /* own copies: a document may be gone before its errors are printed */
    size_t file_count;
};

struct diagnostics *diagnostics_new(void)
{
    return mem_zero(sizeof(struct diagnostics));
}

void diagnostics_free(struct diagnostics *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->count; i++)
        free(d->entries[i].text);
    for (size_t i = 0; i < d->file_count; i++)
        free(d->files[i]);
    free(d->entries);
    free(d->files);
    free(d);
}

static size_t file_index(struct diagnostics *d, const char *file)
{
    if (!file)
        file = "";
    for (size_t i = 0; i < d->file_count; i++)
        if (strcmp(d->files[i], file) == 0)
            return i;
    d->files = mem_resize(d->files, (d->file_count + 1) * sizeof *d->files);
    d->files[d->file_count] = mem_string(file);
    return d->file_count++;
}

void diagnostics_file(struct diagnostics *d, const char *file)
{
    file_index(d, file);
}

/* A node behind several aliases is read several times: its problem is told once. */
static bool is_told(const struct diagnostics *d, const struct entry *e)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct entry *old = &d->entries[i];
        if (old->file == e->file && old->at.line == e->at.line && old->at.column == e->at.column &&
            old->error == e->error && strcmp(old->text, e->text) == 0)
            return true;
    }
    return false;
}

static void __attribute__((format(printf, 4, 0)))
add(struct diagnostics *d, struct mark at, bool error, const char *format, va_list args)
{
    struct buf text = BUF_EMPTY;
    buf_vprintf(&text, format, args);
    struct entry e = { .at = at, .file = file_index(d, at.file), .sequence = d->count, .error = error };
    e.text = buf_take(&text);
    if (is_told(d, &e)) {
        free(e.text);
        return;
    }
    *(error ? &d->errors : &d->warnings) += 1;
    if (d->count == DIAGNOSTICS_MAX) {
        d->left_out++;
        free(e.text);
        return;
    }
    if (d->count == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 16;
        d->entries = mem_resize(d->entries, d->cap * sizeof *d->entries);
    }
    d->entries[d->count++] = e;
}

void diagnostics_error(struct diagnostics *d, struct mark at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(d, at, true, format, args);
    va_end(args);
}

void diagnostics_warning(struct diagnostics *d, struct mark at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(d, at, false, format, args);
    va_end(args);
}

size_t diagnostics_errors(const struct diagnostics *d)
{
    return d->errors;
}

size_t diagnostics_warnings(const struct diagnostics *d)
{
    return d->warnings;
}

static int by_place(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->at.line != y->at.line)
        return x->at.line < y->at.line ? -1 : 1;
    if (x->at.column != y->at.column)
        return x->at.column < y->at.column ? -1 : 1;
    return x->sequence < y->sequence ? -1 : 1;
}

void diagnostics_print(const struct diagnostics *d, struct buf *out)
{
    if (!d->count)
        return;
    struct entry *sorted = mem_dup(d->entries, d->count * sizeof *sorted);
    qsort(sorted, d->count, sizeof *sorted, by_place);
    for (size_t i = 0; i < d->count; i++) {
        const struct entry *e = &sorted[i];
        const char *file = d->files[e->file];
        if (*file && e->at.line)
            buf_printf(out, "%s:%u:%u: ", file, e->at.line, e->at.column);
        else if (*file)
            buf_printf(out, "%s: ", file);
        buf_printf(out, "%s: %s\n", e->error ? "error" : "warning", e->text);
    }
    free(sorted);
    if (d->left_out)
        buf_printf(out, "and %zu more\n", d->left_out);
}
