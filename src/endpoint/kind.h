/* The kinds of connections, sources and sinks: const tables, one row a kind, each at the end of its own file. Configuration,
 * documentation and the engine know endpoints through these only. endpoint/kinds.c lists them.
 *
 * In the file an endpoint is a map. Its transport key names the connection (`redis: cache`), or the variant where there is no
 * connection (`test: generate`, `file: lines`, `stdout: lines`); one selector key among the rest chooses the kind
 * (`stream: orders`). All other keys are the kind's options; the selector is one of them. */
#pragma once

#include "config/option.h"
#include "endpoint/sink.h"
#include "endpoint/source.h"
#include "runtime/dial.h"

/* Settings of a connection, read from its table: the struct begins with this. */
struct connection {
    const struct connection_kind *kind;
    char *name;
    struct mark mark;
};

struct connection_kind {
    const char *transport;        /* "redis": the key in endpoints, and the scheme's family in URLs */
    const char *const *schemes;   /* "amqp", NULL-terminated */
    const struct option *options; /* `url` is one of them; a scalar connection is its url */
    size_t settings_size;
    /* Completes and checks after reading: takes hosts and credentials out of the url. */
    void (*check)(struct connection *c, struct diagnostics *d);
    const char *help; /* for the manual */
};

/* The state of one lane that a transport's connections share: pooled connections, producers. Made on first use. */
struct transport_lane;

/* One pooled connection, for `ferryctl connections`. */
struct connection_report {
    char name[64], role[16], address[128];
    struct endpoint_status status;
    unsigned users;
    uint64_t bytes_in, bytes_out; /* 0 where the library does not tell */
};

/* One per transport that has connections. */
struct transport {
    const char *name; /* "redis" */
    struct transport_lane *(*open)(struct loop *loop, struct resolver *resolver);
    /* All sources and sinks are freed; closes what is still pooled. */
    void (*close)(struct transport_lane *t);
    /* Calls visit for each pooled connection. */
    void (*report)(struct transport_lane *t, void (*visit)(const struct connection_report *r, void *arg), void *arg);
};

enum order { ORDER_NONE, ORDER_KEY, ORDER_STRICT };

/* Where an endpoint lives: given to create; all of it outlives the endpoint. */
struct environment {
    struct loop *loop;
    struct resolver *resolver;
    struct transport_lane *transport;    /* of the kind's transport on this lane; NULL where it has none */
    const struct connection *connection; /* NULL where it has none */
    const char *subject;                 /* "route orders from" */
    const char *member;                  /* name.route.index: consumer name, group.instance.id, key suffixes */
    const char *route;
    unsigned instance;
    enum order order;
    uint64_t share_messages, share_bytes; /* the instance's part of limits, for prefetch; credit is the bound */
    uint64_t share_unsettled;             /* positions that may be unsettled behind one that is held */
};

struct source_caps {
    bool at_least_once; /* settle means something */
    bool partitions;    /* members of a group get whole keys (Kafka): order: key survives instances > 1 */
    bool stable_ids;
    bool finite;      /* it may end */
    bool only_one;    /* the process has one of it, so one route may read it: standard input */
    bool shared_name; /* several instances of one route may read it */
};

struct source_kind {
    const char *transport, *selector; /* "redis" "stream"; for "test: generate": "test" "generate" */
    const char *name;                 /* "redis stream", for errors and status */
    const struct option *options;
    size_t settings_size;
    struct source_caps caps;
    /* Cross-checks after reading; NULL where nothing is to check. */
    void (*check)(void *settings, const struct connection *c, struct mark at, struct diagnostics *d);
    struct source *(*create)(const void *settings, const struct environment *env, const struct source_host *host,
                             void *ctx);
    const char *(*target)(const void *settings); /* "orders": what status shows beside the kind's name */
    const char *help;
};

struct sink_caps {
    bool
        ordered_on_failure; /* keeps the order of what it was sent also when some of it fails; otherwise the route sends one
                                message of a key at a time */
    bool null_payload, repeated_headers; /* holds them as they are; otherwise docs/mapping.md says how */
};

struct sink_kind {
    const char *transport, *selector, *name;
    const struct option *options;
    size_t settings_size;
    struct sink_caps caps;
    void (*check)(void *settings, const struct connection *c, struct mark at, struct diagnostics *d);
    struct sink *(*create)(const void *settings, const struct environment *env, const struct sink_host *host,
                           void *ctx);
    const char *(*target)(const void *settings);
    const char *help;
};

/* endpoint/kinds.c: NULL-terminated. */
extern const struct connection_kind *const connection_kinds[];
extern const struct transport *const transports[];
extern const struct source_kind *const source_kinds[];
extern const struct sink_kind *const sink_kinds[];
