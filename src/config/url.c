/* Takes connection URLs apart, and prints them without their password. */
#include "config/url.h"

#include "base/mem.h"

#include <ctype.h>

#define MASK "********"

/* The slices of a URL as written; data is NULL where a part is not there. */
struct parts {
    struct bytes scheme, user, password, host, port, path, query;
};

static const char ENCODE_HINT[] =
    "the port is no number from 1 to 65535 (in a user or password, write \"/\" as %2F, \"?\" as %3F, \"#\" as %23, "
    "\"@\" as %40 and \":\" as %3A)";

static struct bytes between(const char *from, const char *to)
{
    return bytes_of(from, (size_t)(to - from));
}

static const char *last_of(struct bytes s, char c)
{
    return s.len ? memrchr(s.data, c, s.len) : NULL;
}

static bool is_scheme(struct bytes s)
{
    if (!s.len || !isalpha(s.data[0]))
        return false;
    for (size_t i = 1; i < s.len; i++)
        if (!isalnum(s.data[i]) && !strchr("+-.", s.data[i]))
            return false;
    return true;
}

static const char *split_host(const char *from, const char *to, struct parts *p)
{
    const char *host_end = to;
    if (from < to && *from == '[') {
        const char *close = memchr(from, ']', (size_t)(to - from));
        if (!close)
            return "the \"[\" of an IPv6 address is not closed";
        p->host = between(from + 1, close);
        host_end = close + 1;
        if (host_end < to && *host_end != ':')
            return "only a port may follow the \"]\" of an IPv6 address";
    } else {
        const char *colon = from < to ? memchr(from, ':', (size_t)(to - from)) : NULL;
        if (colon)
            host_end = colon;
        p->host = between(from, host_end);
        if (from < to && memchr(from, ',', (size_t)(to - from)))
            return "a url names one host; name several in \"hosts\"";
    }
    if (host_end < to)
        p->port = between(host_end + 1, to);
    return NULL;
}

static const char *split(const char *text, struct parts *p)
{
    memset(p, 0, sizeof *p);
    const char *authority = strstr(text, "://");
    if (!authority || !is_scheme(between(text, authority)))
        return "it does not begin with a scheme and \"://\"";
    p->scheme = between(text, authority);
    authority += 3;
    const char *end = authority + strcspn(authority, "/?#");
    const char *at = last_of(between(authority, end), '@');
    if (at) {
        const char *colon = memchr(authority, ':', (size_t)(at - authority));
        p->user = between(authority, colon ? colon : at);
        if (colon)
            p->password = between(colon + 1, at);
    }
    const char *error = split_host(at ? at + 1 : authority, end, p);
    if (error)
        return error;
    if (*end == '/') {
        const char *path_end = end + strcspn(end, "?#");
        p->path = between(end + 1, path_end);
        end = path_end;
    }
    if (*end == '?') {
        const char *query_end = end + strcspn(end, "#");
        p->query = between(end + 1, query_end);
        end = query_end;
    }
    return *end ? "it has a \"#\"; write %23 where one is meant" : NULL;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL stays NULL. False on a bad escape. */
static bool decode(struct bytes s, char **out)
{
    *out = NULL;
    if (!s.data)
        return true;
    char *text = mem_alloc(s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = (char)s.data[i];
        if (c == '%') {
            bool room = i + 2 < s.len;
            int high = room ? hex_digit(s.data[i + 1]) : -1;
            int low = room ? hex_digit(s.data[i + 2]) : -1;
            if (high < 0 || low < 0 || (!high && !low)) {
                free(text);
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        text[n++] = c;
    }
    text[n] = 0;
    *out = text;
    return true;
}

static bool parse_port(struct bytes s, unsigned *port)
{
    *port = 0;
    if (!s.data)
        return true;
    for (size_t i = 0; i < s.len && *port <= 65535; i++) {
        if (!isdigit(s.data[i]))
            return false;
        *port = *port * 10 + (s.data[i] - '0');
    }
    return *port >= 1 && *port <= 65535;
}

static struct bytes unless_empty(struct bytes s)
{
    return s.len ? s : BYTES_NULL;
}

bool url_parse(const char *text, struct url *out, const char **error)
{
    struct parts p;
    memset(out, 0, sizeof *out);
    *error = split(text, &p);
    if (!*error && !parse_port(p.port, &out->port))
        *error = ENCODE_HINT;
    if (*error)
        return false;
    bool ok = decode(p.scheme, &out->scheme) && decode(unless_empty(p.user), &out->user) &&
              decode(p.password, &out->password) && decode(unless_empty(p.host), &out->host) &&
              decode(p.path, &out->path);
    if (!ok) {
        *error = "a \"%\" is not followed by two hexadecimal digits; write %25 for the sign itself";
        url_free(out);
        return false;
    }
    for (char *c = out->scheme; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    out->query = p.query.data ? mem_string_n((const char *)p.query.data, p.query.len) : NULL;
    return true;
}

void url_free(struct url *u)
{
    free(u->scheme);
    free(u->user);
    free(u->password);
    free(u->host);
    free(u->path);
    free(u->query);
    memset(u, 0, sizeof *u);
}

void url_print_masked(const char *text, struct buf *out)
{
    const char *authority = strstr(text, "://");
    if (!authority) {
        buf_append_string(out, text);
        return;
    }
    authority += 3;
    struct url u;
    const char *error;
    const char *end = authority + strlen(authority);
    /* In a broken url a sign of the password may look like the end of the host: then too much is masked, not too little. */
    if (url_parse(text, &u, &error)) {
        end = authority + strcspn(authority, "/?#");
        url_free(&u);
    }
    const char *at = last_of(between(authority, end), '@');
    const char *colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
    if (!colon) {
        buf_append_string(out, text);
        return;
    }
    buf_append(out, text, (size_t)(colon + 1 - text));
    buf_append_string(out, MASK);
    buf_append_string(out, at);
}
