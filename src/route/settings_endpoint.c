/* Reads one endpoint: its transport key and one selector choose the kind, whose table reads the rest. */
#include "route/settings_private.h"

#include "base/mem.h"
#include "base/text.h"

#include <stddef.h>
#include <stdio.h>

#define KINDS_MAX 64

const struct option source_options[] = {
    OPTION(struct endpoint_settings, key, OPTION_TEMPLATE, .fallback_text = "the source's own key",
           .help = "what \"order: key\" goes by; also the first value of the message's key"),
    OPTION_END,
};

/* ---- kinds */

struct endpoint_kind endpoint_kind_at(bool source, size_t index)
{
    struct endpoint_settings e = { 0 };
    if (source)
        e.source = source_kinds[index];
    else
        e.sink = sink_kinds[index];
    return endpoint_kind_of(&e);
}

struct endpoint_kind endpoint_kind_of(const struct endpoint_settings *e)
{
#define VIEW(k)                                                                                           \
    {                                                                                                     \
        (k)->transport, (k)->selector, (k)->name, (k)->options, (k)->settings_size, (k)->check, (k)->help \
    }
    if (e->source)
        return (struct endpoint_kind)VIEW(e->source);
    if (e->sink)
        return (struct endpoint_kind)VIEW(e->sink);
    return (struct endpoint_kind){ 0 };
#undef VIEW
}

/* A set of words for "did you mean" and "expected a, b or c". */
struct words {
    const char *list[KINDS_MAX + 1];
    size_t count;
};

static void add_word(struct words *w, const char *word)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->list[i], word) == 0)
            return;
    if (w->count < KINDS_MAX)
        w->list[w->count++] = word;
}

static bool has_word(const struct words *w, const char *word)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->list[i], word) == 0)
            return true;
    return false;
}

/* "a, b or c"; per-thread buffer. */
static const char *either(const struct words *w)
{
    static _Thread_local char text[512];
    size_t len = 0;
    text[0] = 0;
    for (size_t i = 0; i < w->count && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s",
                                !i                  ? ""
                                : i + 1 == w->count ? " or "
                                                    : ", ",
                                w->list[i]);
    return text;
}

static const char *expected_key(const struct words *w)
{
    static _Thread_local char text[600];
    snprintf(text, sizeof text, "%s %s", w->count == 1 ? "the key" : "one of the keys", either(w));
    return text;
}

/* The transports of sources or sinks. */
static struct words transport_names(bool source)
{
    struct words w = { .count = 0 };
    struct endpoint_kind k;
    for (size_t i = 0; (k = endpoint_kind_at(source, i)).transport; i++)
        add_word(&w, k.transport);
    return w;
}

static struct words selector_names(bool source, const char *transport)
{
    struct words w = { .count = 0 };
    struct endpoint_kind k;
    for (size_t i = 0; (k = endpoint_kind_at(source, i)).transport; i++)
        if (strcmp(k.transport, transport) == 0)
            add_word(&w, k.selector);
    return w;
}

static void choose_kind(struct endpoint_settings *e, bool source, const char *transport, const char *selector)
{
    struct endpoint_kind k;
    for (size_t i = 0; (k = endpoint_kind_at(source, i)).transport; i++) {
        if (strcmp(k.transport, transport) != 0 || strcmp(k.selector, selector) != 0)
            continue;
        if (source)
            e->source = source_kinds[i];
        else
            e->sink = sink_kinds[i];
    }
}

/* ---- the transport key */

static const char *place(bool source)
{
    return source ? "from" : "to";
}

static bool missing_transport(struct settings_reader *r, bool source, const struct node *n, const struct words *names)
{
    for (size_t i = 0; i < n->count; i++) {
        const char *near = text_nearest(n->pairs[i].key->text, names->list);
        if (!near)
            continue;
        diagnostics_error(r->d, n->pairs[i].key->mark, "%s: unknown transport %s; did you mean \"%s\"?", place(source),
                          node_describe(n->pairs[i].key), near);
        return false;
    }
    diagnostics_error(r->d, n->mark, "%s: no transport is named; expected %s", place(source), expected_key(names));
    return false;
}

/* Finds the pair whose key is a transport; false, told, unless it is one, and of this direction. */
static bool find_transport(struct settings_reader *r, bool source, const struct node *n, const struct pair **found)
{
    struct words here = transport_names(source), there = transport_names(!source);
    *found = NULL;
    for (size_t i = 0; i < n->count; i++) {
        const struct pair *p = &n->pairs[i];
        if (!has_word(&here, p->key->text) && !has_word(&there, p->key->text))
            continue;
        if (*found) {
            diagnostics_error(r->d, p->key->mark, "%s: both \"%s\" and \"%s\" are named; an endpoint has one transport",
                              place(source), (*found)->key->text, p->key->text);
            return false;
        }
        *found = p;
    }
    if (!*found)
        return missing_transport(r, source, n, &here);
    if (has_word(&here, (*found)->key->text))
        return true;
    diagnostics_error(r->d, (*found)->key->mark, "%s: \"%s\" is a %s only; expected %s", place(source),
                      (*found)->key->text, source ? "destination" : "source", expected_key(&here));
    return false;
}

/* ---- the connection */

static bool wrong_connection(struct settings_reader *r, const struct pair *p)
{
    const char **names = mem_array(r->s->connection_count + 1, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < r->s->connection_count; i++)
        names[n++] = r->s->connections[i]->name;
    const char *near = text_nearest(p->value->text, names);
    diagnostics_error(r->d, p->value->mark, "%s: no connection is named %s%s%s%s", p->key->text,
                      node_describe(p->value),
                      near ? "; did you mean \""
                      : n  ? ""
                           : "; there are no connections",
                      near ? near : "", near ? "\"?" : "");
    free(names);
    return false;
}

static bool find_connection(struct settings_reader *r, const struct pair *p, struct endpoint_settings *e)
{
    for (size_t i = 0; i < r->s->connection_count; i++) {
        const struct connection *c = r->s->connections[i];
        if (strcmp(c->name, p->value->text) != 0)
            continue;
        r->used[i] = true;
        if (c->kind && strcmp(c->kind->transport, p->key->text) != 0) {
            diagnostics_error(r->d, p->value->mark,
                              "%s: \"%s\" is a %s connection; write \"%s: %s\" here, or name another", p->key->text,
                              c->name, c->kind->transport, c->kind->transport, c->name);
            return false;
        }
        e->connection = c;
        return true;
    }
    return wrong_connection(r, p);
}

/* ---- the selector */

static bool wrong_selector(struct settings_reader *r, bool source, const struct node *n, const char *transport,
                           const struct words *names)
{
    struct words others = selector_names(!source, transport);
    for (size_t i = 0; i < n->count; i++) {
        const struct node *key = n->pairs[i].key;
        const char *near = text_nearest(key->text, names->list);
        if (has_word(&others, key->text)) {
            diagnostics_error(r->d, key->mark, "%s: a %s \"%s\" is a %s only; expected %s", place(source), transport,
                              key->text, source ? "destination" : "source", expected_key(names));
            return false;
        }
        if (near && strcmp(key->text, transport) != 0) {
            diagnostics_error(r->d, key->mark, "%s: unknown key %s in a %s %s; did you mean \"%s\"?", place(source),
                              node_describe(key), transport, source ? "source" : "destination", near);
            return false;
        }
    }
    diagnostics_error(r->d, n->mark, "%s: nothing says what to %s; expected %s beside \"%s\"", place(source),
                      source ? "read" : "write to", expected_key(names), transport);
    return false;
}

/* Of a transport with connections: the one key that is a selector. */
static bool find_selector(struct settings_reader *r, bool source, const struct node *n, const char *transport,
                          struct endpoint_settings *e)
{
    struct words names = selector_names(source, transport);
    const struct node *found = NULL;
    for (size_t i = 0; i < n->count; i++) {
        const struct node *key = n->pairs[i].key;
        if (!has_word(&names, key->text))
            continue;
        if (found) {
            diagnostics_error(r->d, key->mark, "%s: both \"%s\" and \"%s\" are there; leave one out", place(source),
                              found->text, key->text);
            return false;
        }
        found = key;
    }
    if (!found)
        return wrong_selector(r, source, n, transport, &names);
    choose_kind(e, source, transport, found->text);
    return true;
}

/* Of a transport without connections: its value. */
static bool find_variant(struct settings_reader *r, bool source, const struct pair *p, struct endpoint_settings *e)
{
    struct words names = selector_names(source, p->key->text);
    if (has_word(&names, p->value->text)) {
        choose_kind(e, source, p->key->text, p->value->text);
        return true;
    }
    const char *near = text_nearest(p->value->text, names.list);
    diagnostics_error(r->d, p->value->mark, "%s: expected %s, found %s%s%s%s", p->key->text, either(&names),
                      node_describe(p->value), near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return false;
}

/* ---- all of it */

static bool choose(struct settings_reader *r, bool source, const struct node *n, struct endpoint_settings *e)
{
    const struct pair *p;
    if (!find_transport(r, source, n, &p) || node_is_lost(p->value))
        return false;
    bool connects = transport_has_connections(p->key->text);
    if (p->value->type != NODE_SCALAR || p->value->missing) {
        struct words names = selector_names(source, p->key->text);
        diagnostics_error(r->d, p->value->mark, "%s: expected %s, found %s", p->key->text,
                          connects ? "the name of a connection" : either(&names), node_describe(p->value));
        return false;
    }
    if (!connects)
        return find_variant(r, source, p, e);
    bool connected = find_connection(r, p, e);
    return find_selector(r, source, n, p->key->text, e) && connected;
}

static void read_options(struct settings_reader *r, bool source, const struct node *n, struct endpoint_settings *e)
{
    struct endpoint_kind k = endpoint_kind_of(e);
    const char *elsewhere[] = { k.transport, source ? source_options[0].name : NULL, NULL };
    char what[96];
    snprintf(what, sizeof what, "a %s %s", k.name, source ? "source" : "destination");
    e->settings = mem_zero(k.settings_size);
    options_read(k.options, n, e->settings, what, elsewhere, r->d);
    const struct node *key = source ? node_get(n, source_options[0].name) : NULL;
    if (key && !node_is_lost(key))
        source_options[0].type->read(&source_options[0], key, &e->key, r->d);
}

bool endpoint_settings_read(struct settings_reader *r, bool source, const struct node *n, struct endpoint_settings *e)
{
    size_t before = diagnostics_errors(r->d);
    e->mark = n->mark;
    if (node_is_lost(n))
        return false;
    if (n->type != NODE_MAP) {
        diagnostics_error(r->d, n->mark, "%s: expected a map such as { redis: NAME, stream: NAME }, found %s",
                          place(source), node_describe(n));
        return false;
    }
    bool chosen = choose(r, source, n, e);
    struct endpoint_kind k = endpoint_kind_of(e);
    if (!k.transport)
        return false;
    read_options(r, source, n, e);
    /* A connection without a kind was told about already. */
    bool connected = !e->connection || e->connection->kind;
    if (!chosen || !connected || node_lost_some(n) || diagnostics_errors(r->d) != before)
        return false;
    if (k.check)
        k.check(e->settings, e->connection, e->mark, r->d);
    return diagnostics_errors(r->d) == before;
}

void endpoint_settings_free(struct endpoint_settings *e)
{
    if (e->settings)
        options_free(endpoint_kind_of(e).options, e->settings);
    free(e->settings);
    template_free(e->key);
    *e = (struct endpoint_settings){ 0 };
}

static bool connection_equal(const struct connection *a, const struct connection *b)
{
    if (!a || !b)
        return a == b;
    return a->kind == b->kind && strcmp(a->name, b->name) == 0 && options_equal(a->kind->options, a, b);
}

bool endpoint_settings_equal(const struct endpoint_settings *a, const struct endpoint_settings *b)
{
    return a->source == b->source && a->sink == b->sink && connection_equal(a->connection, b->connection) &&
           options_equal(source_options, a, b) && options_equal(endpoint_kind_of(a).options, a->settings, b->settings);
}
