/* Reads the whole configuration: the daemon's own keys, then connections, then the routes that name them. */
#include "route/settings_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "config/scalar.h"

#include <limits.h>
#include <stddef.h>
#include <sys/un.h>
#include <unistd.h>

#define LANES_AUTO_MAX 4
#define LANES_MAX      64

/* ---- lanes: a number, or auto */

static bool read_lanes(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    if (n->type == NODE_SCALAR && strcmp(n->text, "auto") == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        *(int64_t *)field = cores < 1 ? 1 : cores > LANES_AUTO_MAX ? LANES_AUTO_MAX : cores;
        return true;
    }
    int64_t lanes;
    if (n->type != NODE_SCALAR || !parse_int(n->text, &lanes) || lanes < 1 || lanes > LANES_MAX) {
        diagnostics_error(d, n->mark, "%s: expected auto or a whole number from 1 to %d, found %s", o->name, LANES_MAX,
                          node_describe(n));
        return false;
    }
    *(int64_t *)field = lanes;
    return true;
}

static void print_lanes(const struct option *o, const void *field, struct buf *out)
{
    OPTION_INT.print(o, field, out);
}

static bool equal_lanes(const struct option *o, const void *a, const void *b)
{
    return OPTION_INT.equal(o, a, b);
}

static void free_lanes(const struct option *o, void *field)
{
    (void)o;
    (void)field;
}

static const struct option_type OPTION_LANES = {
    "number", "auto or a whole number from 1 to 64", read_lanes, print_lanes, equal_lanes, free_lanes,
};

/* ---- the daemon's own keys. The groups' fields stand in struct settings itself, so that their rows' offset is 0. */

static const struct option limits_options[] = {
    OPTION_AS("memory", struct settings, limits.memory, OPTION_SIZE, .fallback = "512MiB", .min = 1 << 20,
              .max = 1ll << 44, .help = "payloads, keys and headers in flight"),
    OPTION_AS("in_flight", struct settings, limits.in_flight, OPTION_INT, .fallback = "100000", .min = 1,
              .max = 100000000, .help = "messages whose outcome is not known yet"),
    OPTION_AS(
        "unsettled", struct settings, limits.unsettled, OPTION_INT, .fallback = "1000000", .min = 1, .max = 1000000000,
        .help = "messages whose outcome is known, but whose source cannot be told yet because an older one is held; a "
                "crash repeats at most these"),
    OPTION_END,
};

static const struct option watchdog_options[] = {
    OPTION_AS("stall", struct settings, watchdog.stall_us, OPTION_DURATION, .fallback = "100ms", .min = MSEC,
              .max = 3600 * SEC, .help = "a lane that does nothing else for so long is reported, with a backtrace"),
    OPTION_END,
};

static const struct option admin_options[] = {
    OPTION_AS("socket", struct settings, admin.socket, OPTION_STRING, .fallback = "/run/ferry/ctl.sock",
              .help = "path of the socket that ferryctl talks to"),
    OPTION_END,
};

#define GROUP(key, rows, ...)                                                                                 \
    {                                                                                                         \
        .name = key, .type = &OPTION_GROUP, .group = rows, .group_size = sizeof(struct settings), __VA_ARGS__ \
    }

const struct option settings_options[] = {
    OPTION(
        struct settings, name, OPTION_STRING, .fallback_text = "the host name",
        .help = "what the brokers know this daemon by: it stays the same across restarts, and no two daemons share it"),
    GROUP("limits", limits_options,
          .help = "bounds of the whole daemon, its clients' prefetch included; reaching one takes "
                  "credit from the sources and drops nothing"),
    OPTION(struct settings, lanes, OPTION_LANES, .fallback = "auto",
           .help = "threads that move messages; auto is the number of cores, at most 4"),
    GROUP("watchdog", watchdog_options, .help = "reports whatever keeps a lane from its work"),
    OPTION_AS("shutdown_timeout", struct settings, shutdown_timeout_us, OPTION_DURATION, .fallback = "10s", .min = 0,
              .max = 3600 * SEC, .help = "how long a stop waits for what is in flight; the rest returns to its source"),
    GROUP("admin", admin_options, .help = "where the daemon can be talked to"),
    OPTION_END,
};

static const struct option_type section_map = { .name = "map", .expected = "a map" };

const struct option settings_sections[] = {
    { .name = "connections", .type = &section_map, .help = "brokers by name: for each a URL, or a map" },
    { .name = "routes", .type = &section_map, .required = true, .help = "what is moved, by name" },
    { .name = "include",
      .type = &OPTION_STRINGS,
      .help = "files, relative to this one, such as conf.d/*.yaml, whose connections and routes are added" },
    OPTION_END,
};

static const char *const section_names[] = { "connections", "routes", "include", NULL };

/* ---- names */

static bool is_name(const char *text, size_t max)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t len = strlen(text);
    return len >= 1 && len <= max && strspn(text, allowed) == len;
}

void settings_check_name(const struct node *key, struct diagnostics *d)
{
    if (!is_name(key->text, 63))
        diagnostics_error(d, key->mark, "expected a name of 1 to 63 letters, digits, \"_\", \".\" or \"-\", found %s",
                          node_describe(key));
}

static void complete_name(struct settings_reader *r, const struct node *root)
{
    struct settings *s = r->s;
    const struct node *written = node_get(root, "name");
    if (s->name && !is_name(s->name, HOST_NAME_MAX))
        diagnostics_error(r->d, written->mark,
                          "name: expected 1 to %d letters, digits, \"_\", \".\" or \"-\", found %s", HOST_NAME_MAX,
                          node_describe(written));
    if (s->name)
        return;
    char host[HOST_NAME_MAX + 1] = "";
    gethostname(host, sizeof host - 1);
    s->name = mem_string(*host ? host : "ferryd");
}

static void check_socket(struct settings_reader *r, const struct node *root)
{
    struct sockaddr_un address;
    const struct node *written = node_get(node_get(root, "admin"), "socket");
    if (!written || !r->s->admin.socket)
        return;
    size_t len = strlen(r->s->admin.socket);
    if (!len || len >= sizeof address.sun_path)
        diagnostics_error(r->d, written->mark, "socket: expected a path of 1 to %zu bytes, found one of %zu",
                          sizeof address.sun_path - 1, len);
}

/* ---- the sections */

/* The entries of a section, NULL (told, unless it may be absent) when there are none. */
static const struct node *section(struct settings_reader *r, const struct node *root, const char *name, bool required)
{
    const struct node *n = node_get(root, name);
    if (!n && required && !root->broken)
        diagnostics_error(r->d, root->mark, "the configuration needs \"%s\": what is moved, by name", name);
    if (!n || node_is_lost(n))
        return NULL;
    if (n->type != NODE_MAP)
        diagnostics_error(r->d, n->mark, "%s: expected a map of names, found %s", name, node_describe(n));
    else if (!n->count && required)
        diagnostics_error(r->d, n->mark, "%s: expected at least one, found an empty map", name);
    return n->type == NODE_MAP ? n : NULL;
}

static void read_connections(struct settings_reader *r, const struct node *n)
{
    r->s->connections = mem_array(n->count + 1, sizeof(struct connection *));
    r->used = mem_array(n->count + 1, sizeof *r->used);
    for (size_t i = 0; i < n->count; i++)
        connection_read(r, &n->pairs[i]);
}

static void check_only_one(struct settings_reader *r)
{
    const struct route_settings *first = NULL;
    for (size_t i = 0; i < r->s->route_count; i++) {
        const struct route_settings *route = &r->s->routes[i];
        if (!route->from.source || !route->from.source->caps.only_one)
            continue;
        if (first)
            diagnostics_error(
                r->d, route->from.mark,
                "route \"%s\" reads %s, which route \"%s\" (line %u) reads already; expected one route for it",
                route->name, route->from.source->name, first->name, first->from.mark.line);
        else
            first = route;
    }
}

static void read_routes(struct settings_reader *r, const struct node *n)
{
    r->s->routes = mem_array(n->count + 1, sizeof *r->s->routes);
    for (size_t i = 0; i < n->count; i++)
        route_read(r, &n->pairs[i]);
    check_only_one(r);
}

/* Only when all is well: a route that was not understood may have meant one of them. */
static void warn_of_unused(struct settings_reader *r)
{
    for (size_t i = 0; r->used && i < r->s->connection_count; i++)
        if (!r->used[i] && !diagnostics_errors(r->d))
            diagnostics_warning(r->d, r->s->connections[i]->mark, "no route uses connection \"%s\"",
                                r->s->connections[i]->name);
}

static void read_root(struct settings_reader *r, const struct node *root)
{
    options_read(settings_options, root, r->s, "the configuration", section_names, r->d);
    if (root->type != NODE_MAP)
        return;
    complete_name(r, root);
    check_socket(r, root);
    const struct node *connections = section(r, root, "connections", false);
    if (connections)
        read_connections(r, connections);
    const struct node *routes = section(r, root, "routes", true);
    if (routes)
        read_routes(r, routes);
    warn_of_unused(r);
}

/* Takes the document. */
static struct settings *settings_read(const char *path, struct document *doc, struct diagnostics *d)
{
    if (!doc)
        return NULL;
    struct settings *s = mem_zero(sizeof *s);
    s->refs = 1;
    s->path = mem_string(path);
    s->document = doc;
    struct settings_reader r = { .s = s, .d = d };
    read_root(&r, document_root(doc));
    free(r.used);
    if (!diagnostics_errors(d))
        return s;
    settings_unref(s);
    return NULL;
}

struct settings *settings_load(const char *path, struct diagnostics *d)
{
    return settings_read(path, document_read(path, true, d), d);
}

struct settings *settings_parse(const char *name, struct bytes text, struct diagnostics *d)
{
    return settings_read(name, document_parse(name, text, d), d);
}

struct settings *settings_ref(struct settings *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void settings_unref(struct settings *s)
{
    if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
        return;
    for (size_t i = 0; i < s->route_count; i++)
        route_free(&s->routes[i]);
    for (size_t i = 0; i < s->connection_count; i++)
        connection_free(s->connections[i]);
    free(s->routes);
    free(s->connections);
    options_free(settings_options, s);
    free(s->path);
    document_free(s->document);
    free(s);
}
