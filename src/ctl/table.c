/* Lays out tables. */
#include "ctl/table.h"

#include "base/mem.h"

#include <stdio.h>

#define GAP 2 /* blanks between columns */

struct cell {
    char *text;
    enum tone tone;
    bool note;
};

struct table {
    const struct column *columns;
    size_t width;
    struct cell *cells; /* row by row; notes between rows */
    size_t count, cap;
};

struct table *table_new(const struct column *columns, size_t count)
{
    struct table *t = mem_zero(sizeof *t);
    t->columns = columns;
    t->width = count;
    return t;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i].text);
    free(t->cells);
    free(t);
}

static void __attribute__((format(printf, 4, 0)))
add(struct table *t, bool note, enum tone tone, const char *format, va_list args)
{
    struct buf text = BUF_EMPTY;
    buf_vprintf(&text, format, args);
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->cells = mem_resize(t->cells, t->cap * sizeof *t->cells);
    }
    t->cells[t->count++] = (struct cell){ .text = buf_take(&text), .tone = tone, .note = note };
}

void table_cell(struct table *t, enum tone tone, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(t, false, tone, format, args);
    va_end(args);
}

void table_note(struct table *t, enum tone tone, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(t, true, tone, format, args);
    va_end(args);
}

void print_toned(struct buf *out, bool colour, enum tone tone, const char *text)
{
    static const char *const codes[] = { "", "\033[32m", "\033[33m", "\033[1;31m", "\033[2m" };
    bool on = colour && tone != TONE_PLAIN;
    if (on)
        buf_append_string(out, codes[tone]);
    for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
        bool c1 = s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0; /* U+0080 … U+009F: terminals obey some of them */
        buf_append_byte(out, *s < 0x20 || *s == 0x7f || c1 ? '?' : *s);
        s += c1;
    }
    if (on)
        buf_append_string(out, "\033[0m");
}

/* Characters, not bytes. */
static size_t text_width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void pad(struct buf *out, size_t n)
{
    while (n--)
        buf_append_byte(out, ' ');
}

static void print_cell(const struct table *t, const struct cell *cell, size_t column, size_t width, bool colour,
                       struct buf *out)
{
    size_t used = text_width(cell->text), blank = used < width ? width - used : 0;
    bool right = t->columns[column].right, last = column + 1 == t->width;
    pad(out, right ? blank : 0);
    print_toned(out, colour, cell->tone, cell->text);
    pad(out, last ? 0 : GAP + (right ? 0 : blank));
    if (!last)
        return;
    while (out->len && out->data[out->len - 1] == ' ') /* of empty cells */
        out->data[--out->len] = 0;
    buf_append_byte(out, '\n');
}

/* What has nothing to its right may be as long as it likes: a reason moves no other row. */
static bool runs_over(const struct table *t, size_t cell, size_t column)
{
    if (t->columns[column].right || column + 1 == t->width)
        return false;
    while (++column < t->width)
        if (*t->cells[++cell].text)
            return false;
    return true;
}

static void measure(const struct table *t, size_t *widths)
{
    for (size_t i = 0; i < t->width; i++)
        widths[i] = text_width(t->columns[i].title);
    for (size_t i = 0, column = 0; i < t->count; i++) {
        if (t->cells[i].note)
            continue;
        size_t width = text_width(t->cells[i].text);
        if (width > widths[column] && !runs_over(t, i, column))
            widths[column] = width;
        if (++column == t->width)
            column = 0;
    }
}

void table_print(const struct table *t, bool colour, struct buf *out)
{
    size_t *widths = mem_array(t->width, sizeof *widths);
    measure(t, widths);
    for (size_t i = 0; i < t->width && *t->columns[0].title; i++) {
        struct cell title = { .text = (char *)t->columns[i].title, .tone = TONE_FAINT };
        print_cell(t, &title, i, widths[i], colour, out);
    }
    for (size_t i = 0, column = 0; i < t->count; i++) {
        if (t->cells[i].note) {
            pad(out, GAP);
            print_toned(out, colour, t->cells[i].tone, t->cells[i].text);
            buf_append_byte(out, '\n');
        } else {
            print_cell(t, &t->cells[i], column, widths[column], colour, out);
            if (++column == t->width)
                column = 0;
        }
    }
    free(widths);
}

/* ---- numbers */

static void scaled(char *out, size_t size, double n, double step, const char *const *units)
{
    while (n >= step && units[1]) {
        n /= step;
        units++;
    }
    /* Three digits; what would round up to the next power takes none behind the point. */
    snprintf(out, size, n < 99.95 && *units[0] ? "%.1f%s" : "%.0f%s", n, *units);
}

void format_count(char out[static 16], double n)
{
    static const char *const units[] = { "", "k", "M", "G", "T", NULL };
    if (n < 10000)
        snprintf(out, 16, n > 0 && n < 9.95 && n != (double)(long)n ? "%.1f" : "%.0f", n);
    else
        scaled(out, 16, n, 1000, units);
}

void format_bytes(char out[static 16], uint64_t bytes)
{
    static const char *const units[] = { " KiB", " MiB", " GiB", " TiB", " PiB", NULL };
    if (bytes < 1024)
        snprintf(out, 16, "%d B", (int)bytes);
    else
        scaled(out, 16, (double)bytes / 1024, 1024, units);
}

void format_age(char out[static 24], double seconds)
{
    long s = seconds > 0 && seconds < 1e12 ? (long)seconds : 0;
    if (s < 60)
        snprintf(out, 24, "%lds", s);
    else if (s < 3600)
        snprintf(out, 24, "%ldm %lds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, 24, "%ldh %ldm", s / 3600, s % 3600 / 60);
    else
        snprintf(out, 24, "%ldd %ldh", s / 86400, s % 86400 / 3600);
}
