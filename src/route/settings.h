/* What a configuration file says, read, checked and immutable. Shared by reference: a reload's new settings and the old ones
 * live side by side until the last route of the old ones has gone. */
#pragma once

#include "endpoint/kind.h"
#include "message/template.h"

struct endpoint_settings {
    struct mark mark;
    const struct source_kind *source;    /* of `from` */
    const struct sink_kind *sink;        /* of each `to` */
    void *settings;                      /* the kind's struct */
    const struct connection *connection; /* NULL where the kind has none */
    struct template *key;                /* from.key: what order: goes by; NULL: the source's own key */
};

struct route_settings {
    char *name;
    struct mark mark;
    struct endpoint_settings from;
    struct endpoint_settings *to;
    size_t to_count;
    enum order order;
    int64_t instances;
    const char *guarantee; /* what these endpoints can keep, in words: "at least once" … */
};

struct settings {
    unsigned refs; /* atomic; settings_ref, settings_unref from any thread */
    char *path;
    char *name;    /* default: the host name */
    int64_t lanes; /* resolved: auto is the number of cores, at most 4 */
    int64_t shutdown_timeout_us;
    struct {
        int64_t memory, in_flight, unsettled;
    } limits;
    struct {
        char *socket;
    } admin;
    struct {
        int64_t stall_us;
    } watchdog;
    struct connection **connections;
    size_t connection_count;
    struct route_settings *routes;
    size_t route_count;
    struct document *document; /* marks point into it */
};

/* NULL when there are errors, which are in d. */
struct settings *settings_load(const char *path, struct diagnostics *d);
/* The same from memory: tests, fuzzing. */
struct settings *settings_parse(const char *name, struct bytes text, struct diagnostics *d);
struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings *s); /* NULL is allowed */
/* The effective configuration as YAML that reads back as the same settings but for the masked secrets. */
void settings_print(const struct settings *s, struct buf *out);
/* Same endpoints, options, connections, order: a reload leaves such a route alone. */
bool route_settings_equal(const struct route_settings *a, const struct route_settings *b);
/* One table of the reference: where its keys stand, and what for. */
struct settings_section {
    const char *heading; /* of a group of sections, "Sources"; NULL: the same as before */
    const char *title;   /* "redis stream"; NULL: the heading's own */
    const char *shape;   /* how it looks in the file: "from: { redis: NAME, stream: … }"; NULL: nothing to show */
    const char *help;    /* sentences */
    const struct option *table; /* NULL: none */
    const struct option *keys;  /* more keys of the same map; NULL: none */
};
/* Every section in the reference's order; all of it is valid during the call only. */
void settings_each_section(void (*visit)(void *arg, const struct settings_section *section), void *arg);
/* The reference of every key, from the option tables: troff for ferry.yaml(5) (markdown: for docs/). */
void settings_reference(bool markdown, struct buf *out);
