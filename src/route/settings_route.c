/* Reads one route and checks what its parts promise together: order, instances, guarantee. */
#include "route/settings_private.h"

#include "base/mem.h"

#include <stddef.h>
#include <stdio.h>

static const char *const orders[] = { [ORDER_NONE] = "none", [ORDER_KEY] = "key", [ORDER_STRICT] = "strict", NULL };

const struct option route_options[] = {
    OPTION(
        struct route_settings, order, OPTION_ENUM, .choices = orders, .fallback = "key",
        .help =
            "key: messages of one key never overtake each other; strict: none overtakes another, and one that is held "
            "holds all behind it; none: whatever is fastest"),
    OPTION(struct route_settings, instances, OPTION_INT, .fallback = "1", .min = 1, .max = 64,
           .help = "members of the source's group that this daemon runs, spread over its lanes"),
    OPTION_END,
};

static const struct option_type endpoint_map = { .name = "map", .expected = "a map" };
static const struct option_type endpoint_maps = { .name = "map or list of maps",
                                                  .expected = "a map or a list of maps" };

const struct option route_sections[] = {
    { .name = "from", .type = &endpoint_map, .required = true, .help = "the source, see Sources" },
    { .name = "to",
      .type = &endpoint_maps,
      .required = true,
      .help = "the destination, or several, each of which gets every message, see Destinations" },
    OPTION_END,
};

static const char *const section_names[] = { "from", "to", NULL };

/* The endpoint map under a required key, NULL (told) when there is none. */
static const struct node *required(struct settings_reader *r, const struct route_settings *route,
                                   const struct node *map, const char *key)
{
    const struct node *n = node_get(map, key);
    if (!n && map->type == NODE_MAP && !map->broken)
        diagnostics_error(r->d, map->mark, "route \"%s\" needs \"%s\"", route->name, key);
    return n && !node_is_lost(n) ? n : NULL;
}

static bool read_destinations(struct settings_reader *r, struct route_settings *route, const struct node *n)
{
    const struct node *one[] = { n };
    bool is_list = n->type == NODE_LIST;
    const struct node *const *items = is_list ? n->items : one;
    size_t count = is_list ? n->count : 1;
    if (!count) {
        diagnostics_error(r->d, n->mark, "to: expected at least one destination, found an empty list");
        return false;
    }
    route->to = mem_array(count, sizeof *route->to);
    bool ok = true;
    for (size_t i = 0; i < count; i++)
        ok = endpoint_settings_read(r, false, items[i], &route->to[route->to_count++]) && ok;
    return ok;
}

/* ---- what a route can keep */

/* Several members may take messages of one key at the same time, unless the source gives whole keys to one. */
static void check_order(struct settings_reader *r, struct route_settings *route, const struct node *map)
{
    const struct source_kind *source = route->from.source;
    const struct node *order = node_get(map, "order"), *instances = node_get(map, "instances");
    bool keeps_keys = source->caps.partitions && !route->from.key;
    const char *why = source->caps.partitions ? ", which goes by its own key and not by \"key\" in from" : "";
    if (route->instances == 1)
        return;
    if (!source->caps.shared_name) {
        diagnostics_error(r->d, instances->mark, "instances: expected 1, found %lld; a %s source cannot be shared",
                          (long long)route->instances, source->name);
    } else if (route->order == ORDER_STRICT) {
        diagnostics_error(r->d, instances->mark,
                          "instances: expected 1, found %lld; several cannot keep \"order: strict\"",
                          (long long)route->instances);
    } else if (route->order == ORDER_KEY && !keeps_keys && order) {
        diagnostics_error(
            r->d, instances->mark,
            "instances: expected 1, found %lld; several cannot keep \"order: key\" of a %s source%s; write "
            "\"order: none\" to do without",
            (long long)route->instances, source->name, why);
    } else if (route->order == ORDER_KEY && !keeps_keys) {
        route->order = ORDER_NONE;
        diagnostics_warning(
            r->d, instances->mark,
            "order is none in route \"%s\": %lld instances cannot keep that of keys of a %s source%s; write "
            "\"order: none\" to say so",
            route->name, (long long)route->instances, source->name, why);
    }
}

static void state_guarantee(struct settings_reader *r, struct route_settings *route)
{
    const struct source_kind *source = route->from.source;
    route->guarantee = source->caps.at_least_once ? "at least once" : "at most once";
    if (!source->caps.at_least_once && route->from.connection)
        diagnostics_warning(r->d, route->from.mark,
                            "route \"%s\" delivers at most once: a %s source cannot ask again for what was lost",
                            route->name, source->name);
}

void route_read(struct settings_reader *r, const struct pair *entry)
{
    struct route_settings *route = &r->s->routes[r->s->route_count++];
    const struct node *map = entry->value;
    route->name = mem_string(entry->key->text);
    route->mark = entry->key->mark;
    settings_check_name(entry->key, r->d);
    char what[96];
    snprintf(what, sizeof what, "route \"%.63s\"", route->name);
    size_t before = diagnostics_errors(r->d);
    options_read(route_options, map, route, what, section_names, r->d);
    bool understood = diagnostics_errors(r->d) == before;
    const struct node *from = required(r, route, map, "from"), *to = required(r, route, map, "to");
    bool readable = from && endpoint_settings_read(r, true, from, &route->from);
    if (to)
        read_destinations(r, route, to);
    if (!readable || !understood)
        return;
    check_order(r, route, map);
    state_guarantee(r, route);
}

void route_free(struct route_settings *route)
{
    endpoint_settings_free(&route->from);
    for (size_t i = 0; i < route->to_count; i++)
        endpoint_settings_free(&route->to[i]);
    free(route->to);
    options_free(route_options, route);
    free(route->name);
}

bool route_settings_equal(const struct route_settings *a, const struct route_settings *b)
{
    if (strcmp(a->name, b->name) != 0 || a->to_count != b->to_count || !options_equal(route_options, a, b) ||
        !endpoint_settings_equal(&a->from, &b->from))
        return false;
    for (size_t i = 0; i < a->to_count; i++)
        if (!endpoint_settings_equal(&a->to[i], &b->to[i]))
            return false;
    return true;
}
