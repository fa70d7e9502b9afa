/* Draws random settings, writes them as a configuration, and checks that what is read is what was drawn, and that the printed
 * effective configuration reads back as the same. A failure prints the seed; FERRY_SEED=N plays that one again. */
#include "support/fake_kinds.h"
#include "support/seeds.h"

#include "base/random.h"
#include "route/settings.h"

#include <inttypes.h>
#include <stdio.h>

#define SEEDS 300

/* Pieces of text that YAML, interpolation or the printer could trip over. None makes a URL: those lose their password. */
static const char *const pieces[] = {
    "a",
    "Z9",
    "é",
    "日本",
    "😀",
    " ",
    "  ",
    "\n",
    "\t",
    "\r",
    "'",
    "\"",
    "\\",
    "#",
    " #",
    ":",
    ": ",
    "- ",
    "-",
    "?",
    "? ",
    "*x",
    "&x",
    "!t",
    "%",
    "@",
    "`",
    "|",
    ">",
    "{",
    "}",
    "[",
    "]",
    ",",
    "$",
    "${",
    "$${",
    "${A}",
    "$${A:-b}",
    "{{",
    "~",
    "null",
    "true",
    "no",
    "5",
    "-5",
    "0.5",
    "1e3",
    "..",
    "---",
    "<<",
    "=",
    "\x01",
    "\x7f",
    "\xc2\x85",
    "\xe2\x80\xa8",
    "\xef\xbb\xbf",
    "\xef\xbf\xbe",
    "/",
    "a b",
};
static const char *const templates[] = {
    "plain", "{{ key }}", "orders.{{ json.region }}", "a{{{{b", "${x}", "{{ header(\"a: #b\") | default: 'x y' }}", "",
    " # ",   "null",
};

static char *random_text(void)
{
    struct buf out = BUF_EMPTY;
    for (uint64_t n = random_below(6); n; n--)
        buf_append_string(&out, pieces[random_below(ARRAY_LEN(pieces))]);
    buf_append_string(&out, "");
    return buf_take(&out);
}

static int64_t random_number(const struct option *o)
{
    if (o->min || o->max)
        return o->min + (int64_t)random_below((uint64_t)(o->max - o->min) + 1);
    return (int64_t)(random_u64() >> (1 + random_below(62)));
}

static void fill(const struct option *table, void *settings);

static void fill_map(struct string_map *m)
{
    m->count = random_below(4);
    m->items = m->count ? mem_array(m->count, sizeof *m->items) : NULL;
    for (size_t i = 0; i < m->count; i++) {
        char *text = random_text();
        bool typed = random_below(3) == 0;
        m->items[i].name = mem_format("%zu%s", i, text); /* no two alike, none empty */
        m->items[i].value = typed ? mem_string(random_below(2) ? "true" : "-7.5") : random_text();
        m->items[i].typed = typed;
        free(text);
    }
}

static void fill_list(struct string_list *l)
{
    l->count = random_below(4);
    l->items = l->count ? mem_array(l->count + 1, sizeof *l->items) : NULL;
    for (size_t i = 0; i < l->count; i++)
        l->items[i] = random_text();
}

static void fill_groups(const struct option *o, struct groups *g)
{
    g->count = random_below(3);
    g->items = g->count ? mem_array(g->count, o->group_size) : NULL;
    for (size_t i = 0; i < g->count; i++)
        fill(o->group, (char *)g->items + i * o->group_size);
}

/* How a field of each type is drawn; a secret reads back as its mask. */
static void fill_field(const struct option *o, void *field)
{
    if (o->type == &OPTION_BOOL) {
        *(bool *)field = random_below(2);
    } else if (o->type == &OPTION_INT || o->type == &OPTION_DURATION || o->type == &OPTION_SIZE) {
        *(int64_t *)field = random_number(o);
    } else if (o->type == &OPTION_STRING) {
        *(char **)field = random_text();
    } else if (o->type == &OPTION_SECRET) {
        *(char **)field = mem_string("********");
    } else if (o->type == &OPTION_ENUM) {
        int count = 0;
        while (o->choices[count])
            count++;
        *(int *)field = (int)random_below((uint64_t)count);
    } else if (o->type == &OPTION_DURATION_RANGE) {
        struct range *r = field;
        r->low = random_number(o) / 2;
        r->high = r->low + random_number(o) / 2;
    } else if (o->type == &OPTION_STRINGS) {
        fill_list(field);
    } else if (o->type == &OPTION_STRING_MAP) {
        fill_map(field);
    } else if (o->type == &OPTION_GROUP) {
        fill(o->group, field);
    } else if (o->type == &OPTION_GROUP_PTR) {
        void *group = mem_zero(o->group_size);
        fill(o->group, group);
        *(void **)field = group;
    } else if (o->type == &OPTION_GROUPS) {
        fill_groups(o, field);
    } else if (o->type == &OPTION_TEMPLATE) {
        char *error = NULL;
        size_t offset;
        *(struct template **)field = template_compile(templates[random_below(ARRAY_LEN(templates))], &error, &offset);
        if (error) {
            fprintf(stderr, "template: %s\n", error);
            abort();
        }
    }
}

static void fill(const struct option *table, void *settings)
{
    for (const struct option *o = table; o->name; o++) {
        void *field = (char *)settings + o->offset;
        if (o->required || o->type == &OPTION_GROUP || random_below(3))
            fill_field(o, field);
        else if (o->fallback)
            o->type->read(o, &(struct node){ .type = NODE_SCALAR, .text = o->fallback, .len = strlen(o->fallback) },
                          field, NULL);
    }
}

/* ---- a whole configuration, and the structs it was printed from */

#define CONNECTIONS 3
#define ROUTES_MAX  4

struct drawn {
    struct fake_connection connections[CONNECTIONS];
    struct fake_endpoint from[ROUTES_MAX], to[ROUTES_MAX];
    size_t source[ROUTES_MAX], sink[ROUTES_MAX];
    size_t routes;
    struct buf text;
};

static const char *transport_connection(const char *transport)
{
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (strcmp(connection_kinds[i]->transport, transport) == 0)
            return transport; /* connections are named so */
    return NULL;
}

static void print_endpoint(struct buf *out, const char *place, const char *transport, const char *selector,
                           const struct option *options, const void *settings)
{
    const char *name = transport_connection(transport);
    bool flow = random_below(2);
    buf_printf(out, flow ? "    %s: { %s: %s" : "    %s:\n      %s: %s", place, transport, name ? name : selector);
    size_t before = out->len;
    buf_append_string(out, flow ? ", " : "\n");
    size_t separator = out->len;
    options_print(options, settings, flow ? -1 : 6, random_below(2), out);
    if (flow && out->len == separator)
        out->len = before;
    buf_append_string(out, flow ? " }\n" : "");
}

static void draw_connection(struct drawn *w, size_t i)
{
    static const char *const urls[] = { "redis://h:1/2", "amqp://u@[::1]:5672/%2f", "kafka://k1" };
    const struct connection_kind *k = connection_kinds[i];
    struct fake_connection *c = &w->connections[i];
    fill(k->options, c);
    free(c->url);
    c->url = mem_string(urls[i]);
    if (!c->password)
        c->password = mem_string("********"); /* a user must have one */
    buf_printf(&w->text, "  %s:\n", k->transport);
    options_print(k->options, c, 4, true, &w->text);
}

/* Any kind of source, but one that only one route may read for the first route alone. */
static size_t draw_source(size_t route)
{
    size_t kind;
    do
        kind = random_below(8);
    while (route > 0 && source_kinds[kind]->caps.only_one);
    return kind;
}

static void draw_route(struct drawn *w, size_t i)
{
    w->source[i] = draw_source(i);
    w->sink[i] = random_below(7);
    const struct source_kind *source = source_kinds[w->source[i]];
    const struct sink_kind *sink = sink_kinds[w->sink[i]];
    fill(source->options, &w->from[i]);
    fill(sink->options, &w->to[i]);
    buf_printf(&w->text, "  r%zu:\n", i);
    print_endpoint(&w->text, "from", source->transport, source->selector, source->options, &w->from[i]);
    print_endpoint(&w->text, "to", sink->transport, sink->selector, sink->options, &w->to[i]);
}

static struct drawn *draw(void)
{
    struct drawn *w = mem_zero(sizeof *w);
    buf_append_string(&w->text, "connections:\n");
    for (size_t i = 0; i < CONNECTIONS; i++)
        draw_connection(w, i);
    buf_append_string(&w->text, "routes:\n");
    w->routes = 1 + random_below(ROUTES_MAX);
    for (size_t i = 0; i < w->routes; i++)
        draw_route(w, i);
    return w;
}

static void drawn_free(struct drawn *w)
{
    for (size_t i = 0; i < CONNECTIONS; i++)
        options_free(connection_kinds[i]->options, &w->connections[i]);
    for (size_t i = 0; i < w->routes; i++) {
        options_free(source_kinds[w->source[i]]->options, &w->from[i]);
        options_free(sink_kinds[w->sink[i]]->options, &w->to[i]);
    }
    buf_free(&w->text);
    free(w);
}

static struct settings *parse(const struct buf *text)
{
    struct diagnostics *d = diagnostics_new();
    struct settings *s = settings_parse("drawn", buf_bytes(text), d);
    if (!s) {
        CLEANUP(buf_free) struct buf out = BUF_EMPTY;
        diagnostics_print(d, &out);
        fputs(buf_string(&out), stderr);
    }
    diagnostics_free(d);
    return s;
}

static bool is_drawn(const struct settings *s, const struct drawn *w)
{
    bool same = s->connection_count == CONNECTIONS && s->route_count == w->routes;
    for (size_t i = 0; same && i < CONNECTIONS; i++)
        same = options_equal(connection_kinds[i]->options, s->connections[i], &w->connections[i]);
    for (size_t i = 0; same && i < w->routes; i++)
        same = options_equal(source_kinds[w->source[i]]->options, s->routes[i].from.settings, &w->from[i]) &&
               options_equal(sink_kinds[w->sink[i]]->options, s->routes[i].to[0].settings, &w->to[i]);
    return same;
}

static bool is_same(const struct settings *a, const struct settings *b)
{
    bool same = a->lanes == b->lanes && strcmp(a->name, b->name) == 0 && a->route_count == b->route_count;
    for (size_t i = 0; same && i < a->route_count; i++)
        same = route_settings_equal(&a->routes[i], &b->routes[i]);
    return same;
}

static bool play(uint64_t seed)
{
    (void)seed; /* the numbers that are drawn */
    struct drawn *w = draw();
    CLEANUP(buf_free) struct buf printed = BUF_EMPTY;
    struct settings *read = parse(&w->text), *again = NULL;
    if (read) {
        settings_print(read, &printed);
        again = parse(&printed);
    }
    const char *wrong = !read                   ? "it is refused"
                        : !is_drawn(read, w)    ? "it reads as something else"
                        : !again                ? "what is printed is refused"
                        : !is_same(read, again) ? "what is printed reads as something else"
                                                : NULL;
    if (wrong)
        fprintf(stderr, "%s\nprinted:\n%s\n%s\n", buf_string(&w->text), buf_string(&printed), wrong);
    settings_unref(read);
    settings_unref(again);
    drawn_free(w);
    return !wrong;
}

int main(void)
{
    return seeds_play(SEEDS, play);
}
