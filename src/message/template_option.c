/* The option type of templates. */
#include "message/template.h"

#include "base/mem.h"
#include "base/text.h"
#include "config/scalar.h"

static bool read_template(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    if (n->type != NODE_SCALAR) {
        diagnostics_error(d, n->mark, "%s: expected %s, found %s", o->name, o->type->expected, node_describe(n));
        return false;
    }
    if (strlen(n->text) != n->len) {
        diagnostics_error(d, n->mark, "%s: a template cannot have a NUL character in it", o->name);
        return false;
    }
    char *error;
    size_t offset;
    struct template *t = template_compile(n->text, &error, &offset);
    if (!t && n->secret) {
        diagnostics_error(d, n->mark,
                          "%s: what a secret is part of is no template: something is wrong at character %zu", o->name,
                          offset + 1);
        free(error);
        return false;
    }
    if (!t) {
        /* The place is quoted, since the text may have been escaped or interpolated in the file. */
        CLEANUP(buf_free) struct buf near = BUF_EMPTY;
        text_escape(&near, bytes_of_string(n->text + offset), 24);
        diagnostics_error(d, n->mark, "%s: %s (at character %zu%s%s%s)", o->name, error, offset + 1,
                          near.len ? ", \"" : "", near.len ? buf_string(&near) : ", the end", near.len ? "\"" : "");
        free(error);
        return false;
    }
    *(struct template **)field = t;
    return true;
}

static void print_template(const struct option *o, const void *field, struct buf *out)
{
    (void)o;
    const struct template *t = *(struct template *const *)field;
    if (!t) {
        buf_append_string(out, "null");
        return;
    }
    option_print_text(template_text(t), out);
}

static bool equal_template(const struct option *o, const void *a, const void *b)
{
    (void)o;
    const struct template *x = *(struct template *const *)a, *y = *(struct template *const *)b;
    return !x || !y ? x == y : strcmp(template_text(x), template_text(y)) == 0;
}

static void free_template(const struct option *o, void *field)
{
    (void)o;
    template_free(*(struct template **)field);
    *(struct template **)field = NULL;
}

const struct option_type OPTION_TEMPLATE = {
    .name = "template",
    .expected = "a text, with {{ names }} in it if you like",
    .read = read_template,
    .print = print_template,
    .equal = equal_template,
    .free = free_template,
};
