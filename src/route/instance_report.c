/* What a route instance says of itself. */
#include "route/instance_private.h"

#include <stdio.h>

void instance_sample_rates(struct instance *i)
{
    int64_t now = loop_now(i->start.loop);
    int64_t passed = now - i->sample.at;
    if (passed < SEC)
        return;
    uint64_t out = i->counters.delivered + i->counters.dead;
    if (i->sample.at) {
        i->sample.rate_in = (double)(i->counters.in - i->sample.in) * SEC / (double)passed;
        i->sample.rate_out = (double)(out - i->sample.out) * SEC / (double)passed;
    }
    i->sample.at = now;
    i->sample.in = i->counters.in;
    i->sample.out = out;
}

static void report_outlet(const struct outlet *o, struct endpoint_report *r)
{
    const struct connection *c = o->settings->connection;
    snprintf(r->kind, sizeof r->kind, "%s", o->kind->name);
    snprintf(r->target, sizeof r->target, "%s", o->kind->target ? o->kind->target(o->settings->settings) : "");
    snprintf(r->connection, sizeof r->connection, "%s", c ? c->name : "");
    r->status = o->sink->status;
    r->counters = o->counters;
    r->waiting = outlet_waiting(o);
    r->parked = o->parking.count;
    r->outstanding = o->outstanding;
}

static void describe(struct route_report *r, enum route_state state, const char *where, const char *reason)
{
    r->state = state;
    snprintf(r->reason, sizeof r->reason, "%s%s%s", where, *reason ? ": " : "", reason);
}

/* The worst that is true of the instance, and why. */
static void report_state(struct instance *i, struct route_report *r)
{
    char where[32] = "to";
    if (i->life >= LIFE_DRAINING) {
        describe(r, ROUTE_DRAINING, "stopping", "");
        return;
    }
    if (i->paused) {
        describe(r, ROUTE_PAUSED, "paused by the operator", "");
        return;
    }
    if (ring_len(&i->refused)) {
        describe(r, ROUTE_REFUSED, "from", i->refused_reason);
        return;
    }
    const struct endpoint_status *from = &i->source->status;
    const struct outlet *waiting = NULL, *fault = NULL;
    for (size_t n = 0; n < i->outlet_count; n++) {
        const struct outlet *o = &i->outlets[n];
        if (i->outlet_count > 1)
            snprintf(where, sizeof where, "to[%zu]", n);
        if (o->refused) {
            describe(r, ROUTE_REFUSED, where, o->refused_reason);
            return;
        }
        if (o->at_fault || o->sink->status.state == ENDPOINT_FAULT)
            fault = fault ? fault : o;
        else if (o->sink->status.state != ENDPOINT_UP)
            waiting = waiting ? waiting : o;
    }
    if (i->outlet_count > 1 && (fault || waiting))
        snprintf(where, sizeof where, "to[%td]", (fault ? fault : waiting) - i->outlets);
    if (from->state == ENDPOINT_FAULT)
        describe(r, ROUTE_FAULT, "from", from->reason);
    else if (fault)
        describe(r, ROUTE_FAULT, where, fault->at_fault ? fault->fault_reason : fault->sink->status.reason);
    else if (waiting)
        describe(r, ROUTE_WAITING, where, waiting->sink->status.reason);
    else if (i->ended)
        describe(r, pool_used(i->roots) || from->unsettled ? ROUTE_RUNNING : ROUTE_ENDED, "", "");
    else if (from->state != ENDPOINT_UP)
        describe(r, ROUTE_WAITING, "from", from->reason);
    else
        describe(r, ROUTE_RUNNING, "", "");
}

static const char *held_at(const struct instance *i)
{
    uint64_t share = (uint64_t)(i->start.settings->limits.unsettled / i->start.instances_total + 1);
    if (i->source->status.unsettled >= share)
        return "limits.unsettled";
    if (i->short_of_messages)
        return "limits.in_flight";
    return i->short_of_bytes ? "limits.memory" : "";
}

void instance_report(struct instance *i, struct route_report *r)
{
    const struct route_settings *route = i->start.route;
    instance_sample_rates(i);
    snprintf(r->name, sizeof r->name, "%s", route->name);
    r->instances = 1;
    r->order = route->order;
    r->guarantee = route->guarantee;
    r->counters = i->counters;
    r->in_flight = pool_used(i->roots) - i->orphans;
    r->in_flight_bytes = (uint64_t)i->bytes.held;
    r->unsettled = i->source->status.unsettled;
    r->rate_in = i->sample.rate_in;
    r->rate_out = i->sample.rate_out;
    snprintf(r->held_at, sizeof r->held_at, "%s", held_at(i));
    report_state(i, r);
    struct endpoint_report *from = &r->from;
    const struct connection *c = route->from.connection;
    snprintf(from->kind, sizeof from->kind, "%s", route->from.source->name);
    snprintf(from->target, sizeof from->target, "%s",
             route->from.source->target ? route->from.source->target(route->from.settings) : "");
    snprintf(from->connection, sizeof from->connection, "%s", c ? c->name : "");
    from->status = i->source->status;
    for (size_t n = 0; n < i->outlet_count; n++)
        report_outlet(&i->outlets[n], &r->to[n]);
}
