/* A lane: one thread, one loop, the transports' shared connections, and the route instances that live on it. The main
 * thread speaks to it by mail only; every lane_ function here is the main thread's. */
#pragma once

#include "route/instance.h"
#include "runtime/mailbox.h"

struct lane;
struct lane_report;

/* What lanes tell the engine, delivered on the main loop. */
struct lane_host {
    void (*instance_stopped)(void *ctx, struct lane *l, const char *route, unsigned index, uint64_t returned);
    void (*reported)(void *ctx, struct lane *l, struct lane_report *r);
    void *ctx;
};

/* One lane's part of a report. Whoever gets it frees it by lane_report_free. */
struct lane_report {
    uint64_t request; /* which lane_report_request asked */
    struct route_report *instances;
    size_t instance_count;
    struct connection_report *connections;
    size_t connection_count;
};
void lane_report_free(struct lane_report *r);

struct lane *lane_new(unsigned index, struct resolver *resolver, struct mailbox *main, const struct lane_host *host);
struct loop *lane_loop(struct lane *l);   /* for the watchdog */
void lane_run(struct lane *l);            /* starts the thread */
unsigned lane_load(const struct lane *l); /* instances placed here */

void lane_add(struct lane *l, struct settings *settings, const struct route_settings *route, unsigned index,
              unsigned instances_total, struct budget_pool *messages, struct budget_pool *bytes, bool paused);
enum lane_command { LANE_PAUSE, LANE_RESUME, LANE_STOP };
/* Every instance of the route on this lane; for LANE_STOP instance_stopped follows for each. */
void lane_command(struct lane *l, enum lane_command command, const char *route, int64_t grace_us);
void lane_share(struct lane *l, unsigned instances_total);
void lane_report_request(struct lane *l, uint64_t request);
/* No instance is left: ends the thread and frees. */
void lane_free(struct lane *l);
