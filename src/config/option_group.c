/* The option types made of several values: lists and maps of texts, and groups of options. */
#include "config/option.h"

#include "config/scalar.h"

#include "base/mem.h"
#include "base/text.h"

/* YAML reads no longer key than 1,024 characters, quotes and escapes included. */
#define NAME_MAX_BYTES 250

static bool wrong(const struct option *o, const struct node *n, struct diagnostics *d)
{
    diagnostics_error(d, n->mark, "%s: expected %s, found %s", o->name, o->type->expected, node_describe(n));
    return false;
}

/* A member of a list or map is read as a text by itself; its errors name the whole option. */
static char *read_text(const struct option *o, const struct node *n, struct diagnostics *d)
{
    struct option text = { .name = o->name, .type = &OPTION_STRING };
    char *value = NULL;
    if (!node_is_lost(n))
        OPTION_STRING.read(&text, n, &value, d);
    return value;
}

/* ---- a list of texts */

static void free_strings(const struct option *o, void *field)
{
    (void)o;
    struct string_list *l = field;
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i]);
    free(l->items);
    *l = (struct string_list){ 0 };
}

static bool read_strings(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    if (n->type == NODE_MAP || n->missing)
        return wrong(o, n, d);
    const struct node *one[] = { n };
    const struct node *const *items = n->type == NODE_LIST ? n->items : one;
    size_t count = n->type == NODE_LIST ? n->count : 1;
    struct string_list l = { 0 };
    bool ok = true;
    if (count)
        l.items = mem_array(count + 1, sizeof *l.items);
    for (size_t i = 0; i < count; i++) {
        char *text = read_text(o, items[i], d);
        ok = ok && text;
        if (text)
            l.items[l.count++] = text;
    }
    if (ok)
        *(struct string_list *)field = l;
    else
        free_strings(o, &l);
    return ok;
}

static void print_strings(const struct option *o, const void *field, struct buf *out)
{
    (void)o;
    const struct string_list *l = field;
    buf_append_byte(out, '[');
    for (size_t i = 0; i < l->count; i++) {
        if (i)
            buf_append_string(out, ", ");
        option_print_text(l->items[i], out);
    }
    buf_append_byte(out, ']');
}

static bool equal_strings(const struct option *o, const void *a, const void *b)
{
    (void)o;
    const struct string_list *x = a, *y = b;
    if (x->count != y->count)
        return false;
    for (size_t i = 0; i < x->count; i++)
        if (strcmp(x->items[i], y->items[i]) != 0)
            return false;
    return true;
}

const struct option_type OPTION_STRINGS = {
    "list of texts", "a text or a list of texts", read_strings, print_strings, equal_strings, free_strings,
};

/* ---- a map of texts */

static void free_string_map(const struct option *o, void *field)
{
    (void)o;
    struct string_map *m = field;
    for (size_t i = 0; i < m->count; i++) {
        free(m->items[i].name);
        free(m->items[i].value);
    }
    free(m->items);
    *m = (struct string_map){ 0 };
}

static bool read_string_map(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    if (n->type != NODE_MAP)
        return wrong(o, n, d);
    struct string_map m = { 0 };
    bool ok = true;
    if (n->count)
        m.items = mem_array(n->count, sizeof *m.items);
    for (size_t i = 0; i < n->count; i++) {
        const struct node *key = n->pairs[i].key, *value = n->pairs[i].value;
        if (key->len > NAME_MAX_BYTES) {
            diagnostics_error(d, key->mark, "%s: expected a name of at most %u bytes, found one of %zu", o->name,
                              NAME_MAX_BYTES, key->len);
            ok = false;
            continue;
        }
        char *text = read_text(o, value, d);
        ok = ok && text;
        if (text)
            m.items[m.count++] = (struct string_pair){ .name = mem_string(key->text),
                                                       .value = text,
                                                       .typed = value->plain && yaml_is_typed(text),
                                                       .mark = key->mark };
    }
    if (ok)
        *(struct string_map *)field = m;
    else
        free_string_map(o, &m);
    return ok;
}

static void print_string_map(const struct option *o, const void *field, struct buf *out)
{
    (void)o;
    const struct string_map *m = field;
    buf_append_string(out, m->count ? "{ " : "{");
    for (size_t i = 0; i < m->count; i++) {
        const struct string_pair *p = &m->items[i];
        if (i)
            buf_append_string(out, ", ");
        yaml_print(bytes_of_string(p->name), false, out);
        buf_append_string(out, ": ");
        CLEANUP(buf_free) struct buf value = BUF_EMPTY;
        option_print_text(p->value, &value);
        /* A text that looks like a number keeps its quotes. */
        bool quote = !p->typed && yaml_is_typed(buf_string(&value));
        buf_printf(out, quote ? "'%s'" : "%s", buf_string(&value));
    }
    buf_append_string(out, m->count ? " }" : "}");
}

static bool equal_string_map(const struct option *o, const void *a, const void *b)
{
    (void)o;
    const struct string_map *x = a, *y = b;
    if (x->count != y->count)
        return false;
    for (size_t i = 0; i < x->count; i++) {
        const struct string_pair *p = &x->items[i], *q = &y->items[i];
        if (strcmp(p->name, q->name) != 0 || strcmp(p->value, q->value) != 0 || p->typed != q->typed)
            return false;
    }
    return true;
}

const struct option_type OPTION_STRING_MAP = {
    "map of texts", "a map of texts", read_string_map, print_string_map, equal_string_map, free_string_map,
};

/* ---- one group, in place */

static bool read_group(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    size_t before = diagnostics_errors(d);
    options_read(o->group, n, field, o->name, NULL, d);
    return diagnostics_errors(d) == before;
}

static void print_group(const struct option *o, const void *field, struct buf *out)
{
    CLEANUP(buf_free) struct buf body = BUF_EMPTY;
    options_print(o->group, field, -1, true, &body);
    buf_printf(out, body.len ? "{ %s }" : "{}%s", buf_string(&body));
}

static bool equal_group(const struct option *o, const void *a, const void *b)
{
    return options_equal(o->group, a, b);
}

static void free_group(const struct option *o, void *field)
{
    options_free(o->group, field);
}

const struct option_type OPTION_GROUP = {
    "map", "a map", read_group, print_group, equal_group, free_group,
};

/* ---- one group, when written */

static bool read_group_ptr(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    void *group = mem_zero(o->group_size);
    bool ok = read_group(o, n, group, d);
    if (ok) {
        *(void **)field = group;
    } else {
        free_group(o, group);
        free(group);
    }
    return ok;
}

static void print_group_ptr(const struct option *o, const void *field, struct buf *out)
{
    if (*(void *const *)field)
        print_group(o, *(void *const *)field, out);
}

static bool equal_group_ptr(const struct option *o, const void *a, const void *b)
{
    const void *x = *(void *const *)a, *y = *(void *const *)b;
    return x && y ? equal_group(o, x, y) : x == y;
}

static void free_group_ptr(const struct option *o, void *field)
{
    if (*(void **)field)
        free_group(o, *(void **)field);
    free(*(void **)field);
    *(void **)field = NULL;
}

const struct option_type OPTION_GROUP_PTR = {
    "map", "a map", read_group_ptr, print_group_ptr, equal_group_ptr, free_group_ptr,
};

/* ---- a list of groups */

static void *group_at(const struct option *o, const struct groups *g, size_t i)
{
    return (char *)g->items + i * o->group_size;
}

static void free_groups(const struct option *o, void *field)
{
    struct groups *g = field;
    for (size_t i = 0; i < g->count; i++)
        free_group(o, group_at(o, g, i));
    free(g->items);
    *g = (struct groups){ 0 };
}

static bool read_groups(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    if (n->type != NODE_LIST)
        return wrong(o, n, d);
    struct groups g = { .count = n->count };
    bool ok = true;
    if (n->count)
        g.items = mem_array(n->count, o->group_size);
    for (size_t i = 0; i < n->count; i++)
        if (!node_is_lost(n->items[i]))
            ok = read_group(o, n->items[i], group_at(o, &g, i), d) && ok;
    if (ok)
        *(struct groups *)field = g;
    else
        free_groups(o, &g);
    return ok;
}

static void print_groups(const struct option *o, const void *field, struct buf *out)
{
    const struct groups *g = field;
    buf_append_string(out, g->count ? "[ " : "[");
    for (size_t i = 0; i < g->count; i++) {
        if (i)
            buf_append_string(out, ", ");
        print_group(o, group_at(o, g, i), out);
    }
    buf_append_string(out, g->count ? " ]" : "]");
}

static bool equal_groups(const struct option *o, const void *a, const void *b)
{
    const struct groups *x = a, *y = b;
    if (x->count != y->count)
        return false;
    for (size_t i = 0; i < x->count; i++)
        if (!equal_group(o, group_at(o, x, i), group_at(o, y, i)))
            return false;
    return true;
}

const struct option_type OPTION_GROUPS = {
    "list of maps", "a list of maps", read_groups, print_groups, equal_groups, free_groups,
};
