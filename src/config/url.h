/* URLs of connections: scheme://user:password@host:port/path?query, percent-decoded; a unix socket as scheme:///path. */
#pragma once

#include "base/buf.h"

struct url {
    char *scheme, *user, *password, *host, *path; /* NULL when not there; path without its first slash */
    char *query;
    unsigned port; /* 0: not there */
};
/* False: *error says why (static text, never quoting the password). */
bool url_parse(const char *text, struct url *out, const char **error);
void url_free(struct url *u);
/* The text with the password as ********, for logs and -T. */
void url_print_masked(const char *text, struct buf *out);
