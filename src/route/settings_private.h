/* What the files that read, print and explain settings share. */
#pragma once

#include "route/settings.h"

/* Keys of a map that no option table can read, such as `from`: rows for the manual and for "did you mean". */
extern const struct option settings_options[], settings_sections[];
extern const struct option route_options[], route_sections[];
extern const struct option source_options[]; /* of every source: over struct endpoint_settings */

/* While settings are being read. */
struct settings_reader {
    struct settings *s;
    struct diagnostics *d;
    bool *used; /* by connection: some endpoint names it */
};

/* A source's or a sink's kind, seen as the same. */
struct endpoint_kind {
    const char *transport, *selector, *name; /* transport is NULL behind the last one */
    const struct option *options;
    size_t settings_size;
    void (*check)(void *settings, const struct connection *c, struct mark at, struct diagnostics *d);
    const char *help;
};
struct endpoint_kind endpoint_kind_at(bool source, size_t index);
struct endpoint_kind endpoint_kind_of(const struct endpoint_settings *e);
/* Its endpoints name a connection; the others name a variant. */
bool transport_has_connections(const char *transport);

/* settings_endpoint.c: reads `from` (source) or one of `to`. False when an error was told; free is needed all the same. */
bool endpoint_settings_read(struct settings_reader *r, bool source, const struct node *n, struct endpoint_settings *e);
void endpoint_settings_free(struct endpoint_settings *e);
bool endpoint_settings_equal(const struct endpoint_settings *a, const struct endpoint_settings *b);

/* settings_route.c, settings_connection.c: one entry of their section, into s's last place. */
void route_read(struct settings_reader *r, const struct pair *entry);
void route_free(struct route_settings *route);
void connection_read(struct settings_reader *r, const struct pair *entry);
void connection_free(struct connection *c);
/* Tells of a name that is none. */
void settings_check_name(const struct node *key, struct diagnostics *d);
