/* One instance of a route on one lane: its source, its sinks, and the messages between them.
 *
 *   source ─▶ intake ─▶ pipeline (stages) ─▶ outlets ─▶ done ─▶ settle ─▶ source
 *      ▲        │                                        │
 *      └ grant ─┴──────────── budgets ◀──────────────────┘
 *
 * Everything runs on the lane's thread. Callbacks from endpoints only note what happened; one deferred task a pass settles,
 * sends and grants, so that what many callbacks brought is one call downstream. */
#pragma once

#include "route/budget.h"
#include "route/outlet.h"
#include "route/settings.h"
#include "route/stage.h"

struct instance;

struct instance_start {
    struct settings *settings; /* a reference is taken: the route's settings live in it */
    const struct route_settings *route;
    unsigned index;
    struct budget_pool *messages, *bytes;
    unsigned instances_total; /* in the daemon, for the guarantees */
    struct loop *loop;
    struct resolver *resolver;
    struct transport_lane *(*transport)(void *lane, const char *name); /* the lane's, opened on first use */
    void *lane;
    void (*stopped)(void *lane, struct instance *i, uint64_t returned);
    bool paused;
};

struct instance *instance_new(const struct instance_start *start);
void instance_run(struct instance *i);
const struct route_settings *instance_route(const struct instance *i);
unsigned instance_index(const struct instance *i);
void instance_pause(struct instance *i);
void instance_resume(struct instance *i);
bool instance_paused(const struct instance *i);
/* Number of instances in the daemon changed. */
void instance_share(struct instance *i, unsigned instances_total);
/* Stops intake, drains within grace, returns the rest, closes; start.stopped follows, then instance_free is allowed. */
void instance_stop(struct instance *i, int64_t grace_us);
void instance_free(struct instance *i);
/* For tests: stages are added before instance_run. */
struct pipeline *instance_pipeline(struct instance *i);
/* Fills in everything of r (to has to_count zeroed rows). */
void instance_report(struct instance *i, struct route_report *r);
