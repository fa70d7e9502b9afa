/* The connection's option table, and what its url stands for. */
#include "endpoint/redis/settings.h"

#include "base/mem.h"
#include "config/url.h"
#include "endpoint/redis/redis.h"

enum { DB_MAX = 1 << 20 };

static const char *const schemes[] = { "redis", "unix", NULL };

static const struct option options[] = {
    OPTION(struct redis_connection, url, OPTION_STRING, .required = true,
           .help = "redis://user:password@host:port/db, or unix:///path/of/socket?db=0"),
    OPTION(struct redis_connection, hosts, OPTION_STRINGS,
           .help = "host:port of each server, tried in turn; used instead of the url's host"),
    OPTION(struct redis_connection, user, OPTION_STRING,
           .help = "ACL user; without it a password is the default user's"),
    OPTION(struct redis_connection, password, OPTION_SECRET, .help = "password of the user"),
    OPTION(struct redis_connection, db, OPTION_INT, .min = 0, .max = DB_MAX, .fallback_text = "the url's, else 0",
           .help = "number of the database"),
    OPTION(struct redis_connection, timeout, OPTION_DURATION, .fallback = "5s", .min = 10 * MSEC, .max = 300 * SEC,
           .help = "how long connecting and logging in may take"),
    OPTION(struct redis_connection, heartbeat, OPTION_DURATION, .fallback = "8s", .min = 500 * MSEC, .max = 300 * SEC,
           .help = "an idle connection is tried this often; a server silent for twice as long is given up"),
    OPTION_END,
};

/* The address or addresses that the url names, as the only hosts. */
static void hosts_from_url(struct redis_connection *c, const struct url *u)
{
    bool local = strcmp(u->scheme, "unix") == 0;
    const char *host = u->host && *u->host ? u->host : "127.0.0.1";
    c->hosts.items = mem_array(2, sizeof *c->hosts.items);
    c->hosts.count = 1;
    c->hosts.items[0] = local               ? mem_format("/%s", u->path ? u->path : "")
                        : strchr(host, ':') ? mem_format("[%s]:%u", host, u->port ? u->port : 6379)
                                            : mem_format("%s:%u", host, u->port ? u->port : 6379);
}

/* "host" becomes "host:6379". */
static void default_ports(struct string_list *hosts)
{
    for (size_t i = 0; i < hosts->count; i++) {
        char *h = hosts->items[i], *bracket = strrchr(h, ']');
        if (*h == '/' || strchr(bracket ? bracket : h, ':'))
            continue;
        hosts->items[i] = mem_format("%s:6379", h);
        free(h);
    }
}

static void database_from_url(struct redis_connection *c, const struct url *u, struct diagnostics *d)
{
    bool local = strcmp(u->scheme, "unix") == 0;
    const char *text = local ? u->query : u->path;
    if (local ? text && strncmp(text, "db=", 3) != 0 : u->query != NULL) { /* not quoted: it may be a password */
        diagnostics_error(d, c->base.mark,
                          "the url of connection %s has a query; expected %s, and user, password and all else as keys",
                          c->base.name, local ? "unix:///path/of/socket?db=0" : "redis://host:port/db");
        return;
    }
    if (!text || !*text)
        return;
    if (local)
        text += 3;
    int64_t db;
    if (!parse_int(text, &db) || db < 0 || db > DB_MAX)
        diagnostics_error(d, c->base.mark, "\"%s\" in the url of connection %s is no database number", text,
                          c->base.name);
    else if (!c->db)
        c->db = db;
}

static void check(struct connection *base, struct diagnostics *d)
{
    struct redis_connection *c = (struct redis_connection *)base;
    struct url u = { .scheme = NULL };
    const char *error;
    if (!c->url)
        return; /* already told: it is required */
    if (!url_parse(c->url, &u, &error)) {
        diagnostics_error(d, base->mark, "the url of connection %s: %s", base->name, error);
        return;
    }
    if (strcmp(u.scheme, "redis") != 0 && strcmp(u.scheme, "unix") != 0) {
        diagnostics_error(d, base->mark, "the url of connection %s begins with %s://; expected redis:// or unix:///",
                          base->name, u.scheme);
        url_free(&u);
        return;
    }
    if (!c->hosts.count)
        hosts_from_url(c, &u);
    default_ports(&c->hosts);
    database_from_url(c, &u, d);
    if (!c->user && u.user && *u.user)
        c->user = mem_string(u.user);
    if (!c->password && u.password)
        c->password = mem_string(u.password);
    if (c->user && !c->password)
        diagnostics_error(d, base->mark, "connection %s has a user and no password", base->name);
    url_free(&u);
}

const struct connection_kind redis_connection = {
    .transport = "redis",
    .schemes = schemes,
    .options = options,
    .settings_size = sizeof(struct redis_connection),
    .check = check,
    .help = "A Redis server, 6.2 or later (a list source needs 7.0), by TCP or unix socket.",
};
