/* A picture of everything at one moment, made on the lanes and put together on the main thread: what status shows. Plain
 * data, owned by whoever got it. */
#pragma once

#include "endpoint/kind.h"
#include "stats/route_counters.h"

enum route_state {
    ROUTE_RUNNING,
    ROUTE_WAITING,  /* an endpoint is not up: nothing is wrong with the route itself; nothing is lost, nothing flows */
    ROUTE_PAUSED,   /* by the operator */
    ROUTE_REFUSED,  /* a sink refused a message for good: waits for `ferryctl resume` */
    ROUTE_FAULT,    /* the route is wrong; probes by itself */
    ROUTE_DRAINING, /* shutting down or being replaced */
    ROUTE_ENDED,    /* a finite source has brought everything and all of it is settled */
    ROUTE_STATES
};
const char *route_state_name(enum route_state s);

struct endpoint_report {
    char kind[32], target[128], connection[64];
    struct endpoint_status status;
    struct sink_counters counters; /* sinks */
    uint64_t waiting;              /* sinks: for the window */
    uint64_t parked;               /* sinks: held back after trouble, or behind such a one of the same key */
    uint64_t outstanding;          /* sinks: sent, no verdict yet */
};

struct route_report {
    char name[64];
    unsigned instances;
    enum route_state state;
    char reason[REASON_MAX + 64]; /* why it is not running; "" when it is */
    char held_at[64];             /* the bound that takes the source's credit now: "limits.in_flight", "limits.memory",
                                      "limits.unsettled"; "" when none */
    enum order order;
    const char *guarantee;
    struct route_counters counters; /* sum over the instances */
    uint64_t in_flight;             /* counted by itself, not derived: the counters must agree with it */
    uint64_t in_flight_bytes;
    uint64_t unsettled;
    double rate_in, rate_out;    /* messages a second over the last second or so */
    struct endpoint_report from; /* of the instance that is worst off */
    struct endpoint_report *to;  /* sums of counters; status of the one that is worst off */
    size_t to_count;
};

struct report {
    int64_t taken_wall_ms;
    double uptime_s;
    char name[256];
    uint64_t rss_bytes;
    bool complete;               /* false: a lane did not answer in time; its routes are missing */
    struct route_report *routes; /* in the order of the file */
    size_t route_count;
    struct connection_report *connections;
    size_t connection_count;
    uint64_t stalls;
};
void report_free(struct report *r); /* NULL is allowed */
