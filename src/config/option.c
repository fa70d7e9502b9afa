/* Works an option table: reads a map by it, fills in defaults, prints, compares, releases. */
#include "config/option.h"

#include "config/scalar.h"
#include "config/secret.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>

/* Room for any field that is not a group. */
#define FIELD_MAX 64

static void *field_of(const struct option *o, void *settings)
{
    return (char *)settings + o->offset;
}

static const void *const_field_of(const struct option *o, const void *settings)
{
    return (const char *)settings + o->offset;
}

static bool is_group(const struct option *o)
{
    return o->type == &OPTION_GROUP;
}

/* ---- defaults */

/* A mistake in a table: every table is read by the unit tests. */
static void table_is_wrong(const struct option *o, const struct diagnostics *d)
{
    CLEANUP(buf_free) struct buf why = BUF_EMPTY;
    diagnostics_print(d, &why);
    fprintf(stderr, "option %s: default %s: %s", o->name, o->fallback, buf_string(&why));
    abort();
}

static void read_fallback(const struct option *o, void *field)
{
    struct diagnostics *d = diagnostics_new();
    const struct node *n = NULL;
    struct node scalar = { .type = NODE_SCALAR, .plain = true, .text = o->fallback, .len = strlen(o->fallback) };
    struct document *doc = NULL;
    if (strchr("[{'\"", o->fallback[0])) {
        doc = document_parse(NULL, bytes_of_string(o->fallback), d);
        n = doc ? document_root(doc) : NULL;
    } else {
        n = &scalar;
    }
    if (!n || !o->type->read(o, n, field, d))
        table_is_wrong(o, d);
    document_free(doc);
    diagnostics_free(d);
}

static void set_default(const struct option *o, void *settings)
{
    if (is_group(o))
        options_defaults(o->group, field_of(o, settings));
    else if (o->fallback)
        read_fallback(o, field_of(o, settings));
}

void options_defaults(const struct option *table, void *settings)
{
    for (const struct option *o = table; o->name; o++)
        set_default(o, settings);
}

/* ---- reading */

static bool is_among(const char *name, const char *const *names)
{
    for (; names && *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static const struct option *find_option(const struct option *table, const char *name)
{
    for (const struct option *o = table; o->name; o++)
        if (strcmp(o->name, name) == 0)
            return o;
    return NULL;
}

static void unknown_key(const struct option *table, const char *const *known_elsewhere, const struct node *key,
                        const char *what, struct diagnostics *d)
{
    size_t count = 0;
    for (const struct option *o = table; o->name; o++)
        count++;
    for (const char *const *k = known_elsewhere; k && *k; k++)
        count++;
    const char **names = mem_array(count + 1, sizeof *names);
    size_t n = 0;
    for (const char *const *k = known_elsewhere; k && *k; k++)
        names[n++] = *k;
    for (const struct option *o = table; o->name; o++)
        names[n++] = o->name;
    CLEANUP(buf_free) struct buf text = BUF_EMPTY;
    buf_append_string(&text, "unknown key ");
    buf_append_string(&text, node_describe(key));
    buf_printf(&text, " in %s", what);
    const char *nearest = text_nearest(key->text, names);
    if (nearest) {
        buf_printf(&text, "; did you mean \"%s\"?", nearest);
    } else if (count) {
        buf_append_string(&text, count > 1 ? "; its keys are " : "; its key is ");
        for (size_t i = 0; i < n; i++)
            buf_printf(&text, "%s%s", i ? ", " : "", names[i]);
    }
    diagnostics_error(d, key->mark, "%s", buf_string(&text));
    free(names);
}

void options_read(const struct option *table, const struct node *map, void *settings, const char *what,
                  const char *const *known_elsewhere, struct diagnostics *d)
{
    bool is_map = map->type == NODE_MAP;
    if (!is_map && !node_is_lost(map))
        diagnostics_error(d, map->mark, "%s: expected a map, found %s", what, node_describe(map));
    for (const struct option *o = table; o->name; o++) {
        const struct node *value = node_get(map, o->name);
        if (!value)
            set_default(o, settings);
        else if (!node_is_lost(value))
            o->type->read(o, value, field_of(o, settings), d);
        if (!value && o->required && is_map && !map->broken)
            diagnostics_error(d, map->mark, "%s needs \"%s\": %s", what, o->name, o->help);
    }
    for (size_t i = 0; is_map && i < map->count; i++) {
        const struct node *key = map->pairs[i].key;
        if (!find_option(table, key->text) && !is_among(key->text, known_elsewhere))
            unknown_key(table, known_elsewhere, key, what, d);
    }
}

/* ---- printing */

void option_print_text(const char *text, struct buf *out)
{
    if (!text)
        return;
    CLEANUP(buf_free) struct buf masked = BUF_EMPTY;
    secret_print_masked(text, &masked);
    yaml_print(buf_bytes(&masked), true, out);
}

/* Zero stands for "not written" where a row has no default; a flag and a choice have a meaning at zero. */
static bool is_unset(const struct option *o, const void *field)
{
    static const char zero[FIELD_MAX] = { 0 };
    return !o->fallback && !o->required && o->type != &OPTION_BOOL && o->type != &OPTION_ENUM &&
           o->type->equal(o, field, zero);
}

static bool is_default(const struct option *o, const void *field)
{
    char fallback[FIELD_MAX] __attribute__((aligned(16))) = { 0 };
    if (o->fallback)
        read_fallback(o, fallback);
    bool equal = o->type->equal(o, field, fallback);
    o->type->free(o, fallback);
    return equal;
}

static void print_group(const struct option *o, const void *settings, int indent, bool all, struct buf *out)
{
    options_print(o->group, settings, indent < 0 ? indent : indent + 2, all, out);
}

/* The value of one row, with what comes between its key and it; nothing when there is none to print. */
static void print_value(const struct option *o, const void *field, int indent, bool all, struct buf *out)
{
    bool pointer = o->type == &OPTION_GROUP_PTR;
    const void *inner = pointer ? *(void *const *)field : field;
    if (!is_group(o) && !(pointer && indent >= 0)) {
        if (!is_unset(o, field) && (all || o->required || !is_default(o, field)))
            o->type->print(o, field, out);
        return;
    }
    if (!inner)
        return;
    CLEANUP(buf_free) struct buf body = BUF_EMPTY;
    print_group(o, inner, indent, all, &body);
    if (body.len)
        buf_printf(out, indent < 0 ? "{ %s }" : "\n%s", buf_string(&body));
    else if (pointer)
        buf_append_string(out, "{}");
}

void options_print(const struct option *table, const void *settings, int indent, bool all, struct buf *out)
{
    bool first = true;
    for (const struct option *o = table; o->name; o++) {
        CLEANUP(buf_free) struct buf value = BUF_EMPTY;
        print_value(o, const_field_of(o, settings), indent, all, &value);
        if (!value.len)
            continue;
        if (indent >= 0)
            buf_printf(out, "%*s", indent, "");
        else if (!first)
            buf_append_string(out, ", ");
        yaml_print(bytes_of_string(o->name), false, out);
        buf_append_string(out, value.data[0] == '\n' ? ":" : ": ");
        buf_append_bytes(out, buf_bytes(&value));
        if (indent >= 0 && value.data[value.len - 1] != '\n')
            buf_append_byte(out, '\n');
        first = false;
    }
}

/* ---- comparing and releasing */

bool options_equal(const struct option *table, const void *a, const void *b)
{
    for (const struct option *o = table; o->name; o++)
        if (!o->type->equal(o, const_field_of(o, a), const_field_of(o, b)))
            return false;
    return true;
}

void options_free(const struct option *table, void *settings)
{
    for (const struct option *o = table; o->name; o++)
        if (o->type->free)
            o->type->free(o, field_of(o, settings));
}
