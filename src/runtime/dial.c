/* Opening a connection: address after address, each looked up if it is a name, then connected to without blocking.
 *
 *     next address ──▶ look up ──▶ next of its socket addresses ──▶ connect ──▶ on_done
 *          ▲                                  ▲        │ failed, or its share of the time is over
 *          └────────── none left ─────────────┴────────┘
 */
#include "runtime/dial.h"

#include "base/buf.h"
#include "base/mem.h"
#include "runtime/resolver.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const int64_t DEFAULT_TIMEOUT = 5 * SEC;
enum { KEEP_IDLE_S = 10, KEEP_INTERVAL_S = 5, KEEP_PROBES = 3, UNACKNOWLEDGED_MS = 20000 };

struct dial {
    struct dial_request request; /* addresses: our own copies */
    size_t count;                /* of addresses */
    size_t tried;                /* begun so far; the current one is the last of them */
    int64_t deadline_us;         /* of the whole attempt */
    int64_t address_deadline_us; /* of the current address */

    struct task begin;
    struct timer timeout;
    struct lookup *lookup;       /* under way, or NULL */
    struct addrinfo *found;      /* of the current address, owned */
    const struct addrinfo *next; /* in found: to be tried */
    struct sockaddr_storage at;  /* what is being connected to */
    bool was_looked_up;          /* so that errors name the number too */
    int fd;                      /* connecting, or -1 */
    struct io io;
    struct buf errors;
};

static void try_next(struct dial *d);

static size_t current_index(const struct dial *d)
{
    return d->tried ? (d->request.first + d->tried - 1) % d->count : 0;
}

static const char *current_address(const struct dial *d)
{
    return d->request.addresses[current_index(d)];
}

/* Of what the current address may take. */
static int64_t time_left(const struct dial *d)
{
    return d->address_deadline_us - loop_now(d->request.loop);
}

/* ---- the end */

static void close_attempt(struct dial *d)
{
    timer_cancel(&d->timeout);
    io_close(&d->io);
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

static void forget_found(struct dial *d)
{
    if (d->found)
        freeaddrinfo(d->found);
    d->found = NULL;
    d->next = NULL;
}

static void dial_free(struct dial *d)
{
    task_cancel(&d->begin);
    close_attempt(d);
    if (d->lookup)
        lookup_cancel(d->lookup);
    forget_found(d);
    for (size_t i = 0; i < d->count; i++)
        free((char *)d->request.addresses[i]);
    free((void *)d->request.addresses);
    buf_free(&d->errors);
    free(d);
}

/* Nothing of d is left when the caller is told, so that it may do as it likes, but for the error's text. */
static void finish(struct dial *d, int fd)
{
    struct dial_request request = d->request;
    size_t index = current_index(d);
    CLEANUP(buf_free) struct buf errors = d->errors;
    d->errors = BUF_EMPTY;
    d->fd = -1;
    dial_free(d);
    request.on_done(request.arg, fd, index, fd < 0 ? buf_string(&errors) : NULL);
}

/* ---- errors */

/* "Connection refused" in the middle of a sentence. */
static void append_lower(struct buf *out, const char *text)
{
    size_t at = out->len;
    buf_append_string(out, text);
    if (text[0] && !isupper((unsigned char)text[1]))
        out->data[at] = (uint8_t)tolower(out->data[at]);
}

static void append_number(struct buf *out, const struct sockaddr_storage *at)
{
    char host[NI_MAXHOST];
    socklen_t len = at->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (getnameinfo((const struct sockaddr *)at, len, host, sizeof(host), NULL, 0, NI_NUMERICHOST) == 0)
        buf_printf(out, " (%s)", host);
}

/* Notes why the current address, or one of its socket addresses (at != NULL), failed. */
static void add_error(struct dial *d, const struct sockaddr_storage *at, const char *why)
{
    if (d->errors.len)
        buf_append_string(&d->errors, "; ");
    buf_append_string(&d->errors, current_address(d));
    if (at && d->was_looked_up)
        append_number(&d->errors, at);
    buf_append_string(&d->errors, ": ");
    append_lower(&d->errors, why);
}

/* ---- one socket address */

static void set_options(const struct dial *d, int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },
        { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S },
        { IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S },
        { IPPROTO_TCP, TCP_KEEPCNT, KEEP_PROBES },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS },
    };
    /* A kernel that refuses one still makes a connection. The last one is the one to leave out. */
    for (size_t i = 0; i < ARRAY_LEN(options) - d->request.peer_may_pause; i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
}

/* A port of this machine's ephemeral range that nobody listens on may connect to itself. */
static bool is_connected_to_itself(int fd)
{
    struct sockaddr_storage here = { 0 }, there = { 0 };
    socklen_t here_len = sizeof(here), there_len = sizeof(there);
    if (getsockname(fd, (struct sockaddr *)&here, &here_len) < 0 ||
        getpeername(fd, (struct sockaddr *)&there, &there_len) < 0)
        return false;
    return here.ss_family != AF_UNIX && here_len == there_len && memcmp(&here, &there, here_len) == 0;
}

/* The attempt is over with this error, 0 for success: tells the caller, or goes on. */
static void on_connected(struct dial *d, int error)
{
    if (!error && is_connected_to_itself(d->fd))
        error = ECONNREFUSED;
    if (!error) {
        int fd = d->fd;
        io_close(&d->io);
        finish(d, fd);
        return;
    }
    add_error(d, &d->at, strerrordesc_np(error));
    close_attempt(d);
    try_next(d);
}

static void on_writable(void *arg, unsigned ready)
{
    struct dial *d = arg;
    int error = 0;
    socklen_t len = sizeof(error);
    (void)ready;
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    on_connected(d, error);
}

static void connect_to(struct dial *d, const struct sockaddr *at, socklen_t len)
{
    d->at = (struct sockaddr_storage){ 0 };
    memcpy(&d->at, at, len);
    d->fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd >= 0 && at->sa_family != AF_UNIX)
        set_options(d, d->fd);
    if (d->fd < 0 || (connect(d->fd, at, len) < 0 && errno != EINPROGRESS)) {
        on_connected(d, errno);
        return;
    }
    io_init(&d->io, d->request.loop, d->fd, on_writable, d); /* also when connected already: writable at once */
    io_want(&d->io, IO_WRITE);
}

static void connect_unix(struct dial *d, const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(at.sun_path)) {
        add_error(d, NULL, "path is too long for a unix socket");
        try_next(d);
        return;
    }
    memcpy(at.sun_path, path, strlen(path) + 1);
    timer_set(&d->timeout, time_left(d));
    connect_to(d, (const struct sockaddr *)&at, sizeof(at));
}

/* ---- one address */

/* Splits "host:port" or "[v6]:port", owned by the caller; NULL, or what is wrong with it. */
static const char *split(const char *address, char **host, char **port)
{
    const char *colon = strrchr(address, ':');
    if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5 ||
        atoi(colon + 1) > 65535)
        return "expected host:port, with a port number";
    const char *start = address, *end = colon;
    if (start[0] == '[' && end[-1] == ']') {
        start++;
        end--;
    } else if (memchr(start, ':', (size_t)(end - start))) {
        return "an IPv6 address is written [address]:port";
    }
    if (end <= start)
        return "expected host:port, without a host";
    *host = mem_string_n(start, (size_t)(end - start));
    *port = mem_string(colon + 1);
    return NULL;
}

static void on_found(void *arg, struct addrinfo *found, const char *error)
{
    struct dial *d = arg;
    d->lookup = NULL;
    timer_cancel(&d->timeout);
    if (error)
        add_error(d, NULL, error);
    d->found = found;
    d->next = found;
    try_next(d);
}

static void start_address(struct dial *d)
{
    const char *address = current_address(d);
    if (address[0] == '/') {
        connect_unix(d, address);
        return;
    }
    char *host, *port;
    const char *wrong = split(address, &host, &port);
    if (wrong) {
        add_error(d, NULL, wrong);
        try_next(d);
        return;
    }
    struct addrinfo numbers = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
    d->was_looked_up = getaddrinfo(host, port, &numbers, &d->found) != 0;
    if (d->was_looked_up) {
        d->found = NULL;
        timer_set(&d->timeout, time_left(d));
        d->lookup = lookup_start(d->request.resolver, d->request.loop, host, port, on_found, d);
    }
    free(host);
    free(port);
    if (!d->lookup) {
        d->next = d->found;
        try_next(d);
    }
}

/* ---- the whole */

static void on_timeout(void *arg)
{
    struct dial *d = arg;
    if (d->lookup) {
        lookup_cancel(d->lookup);
        d->lookup = NULL;
        add_error(d, NULL, "timed out looking the name up");
    } else {
        add_error(d, &d->at, "timed out connecting");
    }
    close_attempt(d);
    try_next(d);
}

/* The next socket address of this address, else the next address, else the end. Time that is left is shared equally by
 * what is left to try, so that one that never answers does not take it all. */
static void try_next(struct dial *d)
{
    if (d->next) {
        const struct addrinfo *at = d->next;
        int64_t left = 0;
        for (const struct addrinfo *a = at; a; a = a->ai_next)
            left++;
        d->next = at->ai_next;
        timer_set(&d->timeout, time_left(d) / left);
        connect_to(d, at->ai_addr, at->ai_addrlen);
        return;
    }
    forget_found(d);
    d->was_looked_up = false;
    if (d->tried == d->count) {
        finish(d, -1);
        return;
    }
    int64_t now = loop_now(d->request.loop);
    d->address_deadline_us = now + (d->deadline_us - now) / (int64_t)(d->count - d->tried);
    d->tried++;
    start_address(d);
}

static void on_begin(void *arg)
{
    struct dial *d = arg;
    if (!d->count)
        buf_append_string(&d->errors, "no address to connect to");
    try_next(d);
}

struct dial *dial_start(const struct dial_request *request)
{
    struct dial *d = mem_zero(sizeof(*d));
    d->request = *request;
    while (request->addresses[d->count])
        d->count++;
    char **addresses = mem_array(d->count, sizeof(*addresses));
    for (size_t i = 0; i < d->count; i++)
        addresses[i] = mem_string(request->addresses[i]);
    d->request.addresses = (const char *const *)addresses;
    d->deadline_us = loop_now(request->loop) + (request->timeout_us > 0 ? request->timeout_us : DEFAULT_TIMEOUT);
    d->fd = -1;
    task_init(&d->begin, on_begin, d);
    timer_init(&d->timeout, request->loop, on_timeout, d);
    loop_defer(request->loop, &d->begin);
    return d;
}

void dial_cancel(struct dial *d)
{
    if (d)
        dial_free(d);
}
