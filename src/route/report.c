/* Puts the lanes' parts together into one report. */
#include "route/report_merge.h"

#include "base/mem.h"

#include <stdio.h>

static const char *const state_names[ROUTE_STATES] = {
    [ROUTE_RUNNING] = "running", [ROUTE_WAITING] = "waiting",   [ROUTE_PAUSED] = "paused", [ROUTE_REFUSED] = "refused",
    [ROUTE_FAULT] = "fault",     [ROUTE_DRAINING] = "draining", [ROUTE_ENDED] = "ended",
};

const char *route_state_name(enum route_state s)
{
    return s < ROUTE_STATES ? state_names[s] : "?";
}

void report_free(struct report *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->route_count; i++)
        free(r->routes[i].to);
    free(r->routes);
    free(r->connections);
    free(r);
}

/* How bad a state is: what several instances show is the worst of them. */
static int route_severity(enum route_state s)
{
    static const int severity[ROUTE_STATES] = {
        [ROUTE_ENDED] = 0,    [ROUTE_RUNNING] = 1, [ROUTE_WAITING] = 2, [ROUTE_PAUSED] = 3,
        [ROUTE_DRAINING] = 4, [ROUTE_REFUSED] = 5, [ROUTE_FAULT] = 6,
    };
    return severity[s];
}

static int endpoint_severity(enum endpoint_state s)
{
    static const int severity[] = {
        [ENDPOINT_ENDED] = 0, [ENDPOINT_UP] = 1,      [ENDPOINT_IDLE] = 2,  [ENDPOINT_CONNECTING] = 3,
        [ENDPOINT_DOWN] = 4,  [ENDPOINT_BLOCKED] = 5, [ENDPOINT_FAULT] = 6,
    };
    return severity[s];
}

static void merge_endpoint(struct endpoint_report *into, const struct endpoint_report *from)
{
    struct endpoint_status sum = into->status;
    sum.connects += from->status.connects;
    sum.unsettled += from->status.unsettled;
    sum.gaps += from->status.gaps;
    sum.no_receivers += from->status.no_receivers;
    if (endpoint_severity(from->status.state) > endpoint_severity(into->status.state)) {
        into->status = from->status;
    }
    into->status.connects = sum.connects;
    into->status.unsettled = sum.unsettled;
    into->status.gaps = sum.gaps;
    into->status.no_receivers = sum.no_receivers;
#define ADD(field, name, unit, help) into->counters.field += from->counters.field;
    SINK_COUNTERS(ADD)
#undef ADD
    into->waiting += from->waiting;
    into->parked += from->parked;
    into->outstanding += from->outstanding;
}

void report_merge_route(struct route_report *into, const struct route_report *from)
{
    into->instances += from->instances;
    if (route_severity(from->state) > route_severity(into->state)) {
        into->state = from->state;
        memcpy(into->reason, from->reason, sizeof into->reason);
    }
    if (!into->held_at[0])
        memcpy(into->held_at, from->held_at, sizeof into->held_at);
#define ADD(field, name, unit, help) into->counters.field += from->counters.field;
    ROUTE_COUNTERS(ADD)
#undef ADD
    into->in_flight += from->in_flight;
    into->in_flight_bytes += from->in_flight_bytes;
    into->unsettled += from->unsettled;
    into->rate_in += from->rate_in;
    into->rate_out += from->rate_out;
    merge_endpoint(&into->from, &from->from);
    for (size_t i = 0; i < into->to_count && i < from->to_count; i++)
        merge_endpoint(&into->to[i], &from->to[i]);
}

static struct route_report *find(struct report *r, const char *name)
{
    for (size_t i = 0; i < r->route_count; i++)
        if (strcmp(r->routes[i].name, name) == 0)
            return &r->routes[i];
    return NULL;
}

void report_add_lane(struct report *r, struct lane_report *part)
{
    for (size_t i = 0; i < part->instance_count; i++) {
        struct route_report *one = &part->instances[i], *known = find(r, one->name);
        if (known) {
            report_merge_route(known, one);
            continue;
        }
        r->routes = mem_resize(r->routes, (r->route_count + 1) * sizeof *r->routes);
        r->routes[r->route_count++] = *one;
        one->to = NULL; /* moved */
    }
    r->connections = mem_resize(r->connections,
                                (r->connection_count + part->connection_count + 1) * sizeof *r->connections);
    if (part->connection_count)
        memcpy(r->connections + r->connection_count, part->connections,
               part->connection_count * sizeof *r->connections);
    r->connection_count += part->connection_count;
}

void report_sort(struct report *r, const struct settings *s)
{
    size_t at = 0;
    for (size_t n = 0; n < s->route_count; n++) {
        for (size_t i = at; i < r->route_count; i++) {
            if (strcmp(r->routes[i].name, s->routes[n].name) != 0)
                continue;
            struct route_report found = r->routes[i];
            r->routes[i] = r->routes[at];
            r->routes[at++] = found;
            break;
        }
    }
}
