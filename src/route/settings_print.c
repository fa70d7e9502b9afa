/* Prints the effective configuration as YAML that reads back. */
#include "route/settings_private.h"

#include "config/scalar.h"

static void print_key(int indent, const char *key, struct buf *out)
{
    buf_printf(out, "%*s", indent, "");
    yaml_print(bytes_of_string(key), false, out);
    buf_append_byte(out, ':');
}

/* Variants of a transport without connections stand where the others name theirs. */
static void print_endpoint(const struct endpoint_settings *e, int indent, struct buf *out)
{
    struct endpoint_kind k = endpoint_kind_of(e);
    print_key(indent, k.transport, out);
    buf_append_byte(out, ' ');
    yaml_print(bytes_of_string(e->connection ? e->connection->name : k.selector), true, out);
    buf_append_byte(out, '\n');
    options_print(k.options, e->settings, indent, true, out);
    if (e->source)
        options_print(source_options, e, indent, true, out);
}

static void print_route(const struct route_settings *route, struct buf *out)
{
    print_key(2, route->name, out);
    buf_append_string(out, "\n    from:\n");
    print_endpoint(&route->from, 6, out);
    options_print(route_options, route, 4, true, out);
    buf_append_string(out, "    to:\n");
    for (size_t i = 0; i < route->to_count; i++) {
        size_t start = out->len;
        print_endpoint(&route->to[i], 8, out);
        out->data[start + 6] = '-';
    }
}

void settings_print(const struct settings *s, struct buf *out)
{
    options_print(settings_options, s, 0, true, out);
    if (s->connection_count)
        buf_append_string(out, "connections:\n");
    for (size_t i = 0; i < s->connection_count; i++) {
        print_key(2, s->connections[i]->name, out);
        buf_append_byte(out, '\n');
        options_print(s->connections[i]->kind->options, s->connections[i], 4, true, out);
    }
    buf_append_string(out, "routes:\n");
    for (size_t i = 0; i < s->route_count; i++)
        print_route(&s->routes[i], out);
}
