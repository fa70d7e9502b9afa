/* The reference of every key, made from the option tables: markdown for docs/, troff for ferry.yaml(5). */
#include "route/settings_private.h"

#include "base/mem.h"

#include <stdio.h>

/* ---- the sections */

static void each_connection(void (*visit)(void *arg, const struct settings_section *section), void *arg)
{
    for (size_t i = 0; connection_kinds[i]; i++) {
        const struct connection_kind *k = connection_kinds[i];
        CLEANUP(buf_free) struct buf shape = BUF_EMPTY;
        buf_append_string(&shape, "connections: { NAME: ");
        for (const char *const *s = k->schemes; *s; s++)
            buf_printf(&shape, "%s\"%s://…\"", s == k->schemes ? "" : " or ", *s);
        buf_append_string(&shape, " }, or a map");
        visit(arg, &(struct settings_section){ NULL, k->transport, buf_string(&shape), k->help, k->options, NULL });
    }
}

static void each_endpoint(bool source, void (*visit)(void *arg, const struct settings_section *section), void *arg)
{
    struct endpoint_kind k;
    for (size_t i = 0; (k = endpoint_kind_at(source, i)).transport; i++) {
        bool connects = transport_has_connections(k.transport);
        char shape[160];
        snprintf(shape, sizeof shape, connects ? "%s: { %s: CONNECTION, %s: … }" : "%s: { %s: %s }",
                 source ? "from" : "to", k.transport, k.selector);
        visit(arg,
              &(struct settings_section){ NULL, k.name, shape, k.help, k.options, source ? source_options : NULL });
    }
}

void settings_each_section(void (*visit)(void *arg, const struct settings_section *section), void *arg)
{
    visit(arg, &(struct settings_section){ "The file", NULL, NULL,
                                           "One YAML file. Values may hold ${NAME} and ${NAME:-default} (environment), "
                                           "${file:PATH} and ${credential:NAME}; $${ is a literal ${.",
                                           settings_options, settings_sections });
    visit(arg, &(struct settings_section){
                   "Connections", NULL, NULL,
                   "Each has a name that endpoints use. The scheme of its URL chooses the kind. In a "
                   "user or password write special signs as in any URL, @ as %40.",
                   NULL, NULL });
    each_connection(visit, arg);
    visit(arg, &(struct settings_section){ "Routes", NULL, "routes: { NAME: { from: …, to: … } }",
                                           "Each moves messages from one source to one or more destinations.",
                                           route_options, route_sections });
    visit(arg, &(struct settings_section){ "Sources", NULL, NULL, "What may stand in from.", NULL, NULL });
    each_endpoint(true, visit, arg);
    visit(arg, &(struct settings_section){ "Destinations", NULL, NULL, "What may stand in to.", NULL, NULL });
    each_endpoint(false, visit, arg);
}

/* ---- rows */

struct writer {
    struct buf *out;
    bool markdown;
};

/* Appends s so that the format takes no character of it for its own. */
static void text(struct writer *w, const char *s)
{
    for (; *s; s++) {
        if (w->markdown && strchr("|*<>_", *s))
            buf_append_byte(w->out, '\\');
        else if (!w->markdown && (*s == '\\' || *s == '-'))
            buf_append_string(w->out, *s == '-' ? "\\" : "\\e");
        if (w->markdown || *s != '\\')
            buf_append_byte(w->out, (uint8_t)*s);
    }
}

/* The same for what is shown as it stands in the file. */
static void code(struct writer *w, const char *s)
{
    if (w->markdown) {
        buf_append_byte(w->out, '`');
        for (; *s; s++) /* a bar ends a cell even here */
            buf_printf(w->out, *s == '|' ? "\\%c" : "%c", *s);
        buf_append_byte(w->out, '`');
        return;
    }
    buf_append_string(w->out, "\\fB");
    text(w, s);
    buf_append_string(w->out, "\\fR");
}

static void default_of(struct writer *w, const struct option *o)
{
    if (o->required)
        text(w, "required");
    else if (o->fallback_text)
        text(w, o->fallback_text);
    else if (o->fallback)
        code(w, o->fallback);
    else if (o->type == &OPTION_BOOL)
        code(w, "false");
    else if (o->type == &OPTION_ENUM)
        code(w, o->choices[0]);
    else
        text(w, w->markdown ? "" : "none");
}

static void row(struct writer *w, const char *path, const struct option *o)
{
    CLEANUP(buf_free) struct buf takes = BUF_EMPTY;
    option_print_bounds(o, &takes);
    buf_append_string(w->out, w->markdown ? "| " : ".TP\n");
    code(w, path);
    buf_append_string(w->out, w->markdown ? " | " : "\n");
    text(w, buf_string(&takes));
    buf_append_string(w->out, w->markdown ? " | " : "; default: ");
    default_of(w, o);
    buf_append_string(w->out, w->markdown ? " | " : ".\n.br\n");
    text(w, o->help ? o->help : "");
    buf_append_string(w->out, w->markdown ? " |\n" : ".\n");
}

static void rows(struct writer *w, const char *prefix, const struct option *table)
{
    for (const struct option *o = table; o && o->name; o++) {
        char path[160];
        snprintf(path, sizeof path, "%s%s", prefix, o->name);
        row(w, path, o);
        if (!o->group)
            continue;
        snprintf(path, sizeof path, "%s%s%s.", prefix, o->name, o->type == &OPTION_GROUPS ? "[]" : "");
        rows(w, path, o->group);
    }
}

static void write_section(void *arg, const struct settings_section *s)
{
    struct writer *w = arg;
    if (s->heading)
        buf_printf(w->out, w->markdown ? "\n## %s\n" : ".SH %s\n", s->heading);
    if (s->title)
        buf_printf(w->out, w->markdown ? "\n### %s\n" : ".SS %s\n", s->title);
    buf_append_string(w->out, w->markdown ? "\n" : "");
    text(w, s->help);
    buf_append_string(w->out, "\n");
    if (s->shape) {
        buf_append_string(w->out, w->markdown ? "\n" : ".PP\n");
        code(w, s->shape);
        buf_append_string(w->out, "\n");
    }
    if (!s->table)
        return;
    if (w->markdown)
        buf_append_string(w->out, "\n| key | value | default | meaning |\n|---|---|---|---|\n");
    rows(w, "", s->keys);
    rows(w, "", s->table);
}

void settings_reference(bool markdown, struct buf *out)
{
    struct writer w = { out, markdown };
    settings_each_section(write_section, &w);
}
