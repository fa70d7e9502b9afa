/* Reads one connection: its URL's scheme finds the transport, whose table reads the rest. */
#include "route/settings_private.h"

#include "base/mem.h"
#include "base/text.h"
#include "config/url.h"

#include <stdio.h>

bool transport_has_connections(const char *transport)
{
    for (size_t i = 0; connection_kinds[i]; i++)
        if (strcmp(connection_kinds[i]->transport, transport) == 0)
            return true;
    return false;
}

static const struct connection_kind *kind_of_scheme(const char *scheme)
{
    for (size_t i = 0; connection_kinds[i]; i++)
        for (const char *const *s = connection_kinds[i]->schemes; *s; s++)
            if (strcmp(*s, scheme) == 0)
                return connection_kinds[i];
    return NULL;
}

static void unknown_scheme(struct settings_reader *r, struct mark at, const char *scheme)
{
    size_t count = 0, n = 0;
    for (size_t i = 0; connection_kinds[i]; i++)
        for (const char *const *s = connection_kinds[i]->schemes; *s; s++)
            count++;
    const char **all = mem_array(count + 1, sizeof *all);
    CLEANUP(buf_free) struct buf list = BUF_EMPTY, found = BUF_EMPTY;
    for (size_t i = 0; connection_kinds[i]; i++)
        for (const char *const *s = connection_kinds[i]->schemes; *s; s++) {
            buf_printf(&list, "%s%s://", n ? n + 1 == count ? " or " : ", " : "", *s);
            all[n++] = *s;
        }
    text_escape(&found, bytes_of_string(scheme), 40);
    const char *near = text_nearest(scheme, all);
    diagnostics_error(r->d, at, "url: expected %s, found \"%s://\"%s%s%s", buf_string(&list), buf_string(&found),
                      near ? "; did you mean \"" : "", near ? near : "", near ? "://\"?" : "");
    free(all);
}

/* NULL, told, when the URL names no transport. */
static const struct connection_kind *kind_of_url(struct settings_reader *r, const char *name, const struct node *map,
                                                 const struct node *n)
{
    if (!n && !map->broken)
        diagnostics_error(r->d, map->mark, "connection \"%s\" needs \"url\", such as redis://127.0.0.1:6379", name);
    if (!n || node_is_lost(n))
        return NULL;
    if (n->type != NODE_SCALAR || !n->len) {
        diagnostics_error(r->d, n->mark, "url: expected a text such as redis://127.0.0.1:6379, found %s",
                          node_describe(n));
        return NULL;
    }
    struct url u;
    const char *error;
    if (!url_parse(n->text, &u, &error)) {
        diagnostics_error(r->d, n->mark, "the url of connection \"%s\": %s", name, error);
        return NULL;
    }
    const struct connection_kind *kind = kind_of_scheme(u.scheme);
    if (!kind)
        unknown_scheme(r, n->mark, u.scheme);
    url_free(&u);
    return kind;
}

static void read_by_kind(struct settings_reader *r, struct connection *c, const struct node *map)
{
    char what[96];
    snprintf(what, sizeof what, "connection \"%.63s\"", c->name);
    size_t before = diagnostics_errors(r->d);
    options_read(c->kind->options, map, c, what, NULL, r->d);
    if (c->kind->check && !node_lost_some(map) && diagnostics_errors(r->d) == before)
        c->kind->check(c, r->d);
}

/* One that was not understood stays in the list, without a kind, so that endpoints can name it without another error. */
void connection_read(struct settings_reader *r, const struct pair *entry)
{
    static const struct node url_key = { .type = NODE_SCALAR, .plain = true, .text = "url", .len = 3 };
    const struct node *n = entry->value;
    struct pair url_pair = { &url_key, n };
    struct node map = { .type = NODE_MAP, .mark = n->mark, .broken = n->broken, .count = 1, .pairs = &url_pair };
    bool readable = n->type == NODE_MAP || (n->type == NODE_SCALAR && !n->missing);
    if (n->type == NODE_MAP)
        map = *n;
    if (!readable)
        diagnostics_error(r->d, n->mark, "connection \"%s\": expected a URL or a map, found %s", entry->key->text,
                          node_describe(n));
    settings_check_name(entry->key, r->d);
    const struct connection_kind *kind = readable ? kind_of_url(r, entry->key->text, &map, node_get(&map, "url"))
                                                  : NULL;
    struct connection *c = mem_zero(kind ? kind->settings_size : sizeof *c);
    c->kind = kind;
    c->name = mem_string(entry->key->text);
    c->mark = entry->key->mark;
    r->s->connections[r->s->connection_count++] = c;
    if (kind)
        read_by_kind(r, c, &map);
}

void connection_free(struct connection *c)
{
    if (c->kind)
        options_free(c->kind->options, c);
    free(c->name);
    free(c);
}
