/* The option types that only Kafka has: properties with secrets among them, and headers made by templates. */
#include "endpoint/kafka/settings.h"

#include "base/mem.h"
#include "config/scalar.h"
#include "config/secret.h"

/* ---- properties */

static bool read_properties(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    if (!OPTION_STRING_MAP.read(o, n, field, d))
        return false;
    const struct string_map *m = field;
    for (size_t i = 0; i < m->count; i++)
        if (kafka_property_is_secret(m->items[i].name))
            secret_remember(bytes_of_string(m->items[i].value));
    return true;
}

static void print_properties(const struct option *o, const void *field, struct buf *out)
{
    const struct string_map *m = field;
    struct string_map masked = { .items = mem_array(m->count + 1, sizeof(*m->items)), .count = m->count };
    for (size_t i = 0; i < m->count; i++) {
        masked.items[i] = m->items[i];
        if (kafka_property_is_secret(m->items[i].name))
            masked.items[i].value = (char *)SECRET_MASK;
    }
    OPTION_STRING_MAP.print(o, &masked, out);
    free(masked.items);
}

static bool equal_properties(const struct option *o, const void *a, const void *b)
{
    return OPTION_STRING_MAP.equal(o, a, b);
}

static void free_properties(const struct option *o, void *field)
{
    OPTION_STRING_MAP.free(o, field);
}

const struct option_type OPTION_KAFKA_PROPERTIES = {
    .name = "map of properties",
    .expected = "a map of librdkafka properties",
    .read = read_properties,
    .print = print_properties,
    .equal = equal_properties,
    .free = free_properties,
};

/* ---- headers */

static void free_headers(const struct option *o, void *field)
{
    (void)o;
    struct header_templates *h = field;
    for (size_t i = 0; i < h->count; i++) {
        free(h->items[i].name);
        template_free(h->items[i].value);
    }
    free(h->items);
    *h = (struct header_templates){ 0 };
}

static bool read_headers(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    if (n->type != NODE_MAP) {
        diagnostics_error(d, n->mark, "%s: expected %s, found %s", o->name, o->type->expected, node_describe(n));
        return false;
    }
    struct header_templates h = { .items = mem_array(n->count + 1, sizeof(*h.items)) };
    bool ok = true;
    for (size_t i = 0; i < n->count; i++) {
        struct option one = { .name = n->pairs[i].key->text, .type = &OPTION_TEMPLATE };
        struct template *value = NULL;
        if (OPTION_TEMPLATE.read(&one, n->pairs[i].value, &value, d) && value)
            h.items[h.count++] = (struct header_template){ mem_string(n->pairs[i].key->text), value };
        else
            ok = false;
    }
    if (ok)
        *(struct header_templates *)field = h;
    else
        free_headers(o, &h);
    return ok;
}

static void print_headers(const struct option *o, const void *field, struct buf *out)
{
    const struct header_templates *h = field;
    buf_append_byte(out, '{');
    for (size_t i = 0; i < h->count; i++) {
        buf_append_string(out, i ? ", " : " ");
        yaml_print(bytes_of_string(h->items[i].name), false, out);
        buf_append_string(out, ": ");
        OPTION_TEMPLATE.print(o, &h->items[i].value, out);
    }
    buf_append_string(out, h->count ? " }" : "}");
}

static bool equal_headers(const struct option *o, const void *a, const void *b)
{
    const struct header_templates *x = a, *y = b;
    if (x->count != y->count)
        return false;
    for (size_t i = 0; i < x->count; i++)
        if (strcmp(x->items[i].name, y->items[i].name) != 0 ||
            !OPTION_TEMPLATE.equal(o, &x->items[i].value, &y->items[i].value))
            return false;
    return true;
}

const struct option_type OPTION_HEADER_TEMPLATES = {
    .name = "map of templates",
    .expected = "a map of header names and templates",
    .read = read_headers,
    .print = print_headers,
    .equal = equal_headers,
    .free = free_headers,
};
