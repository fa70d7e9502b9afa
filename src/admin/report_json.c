/* Turns a report into JSON. */
#include "admin/report_json.h"

#include "base/clock.h"
#include "base/text.h"

/* JSON is UTF-8; what a broker called its queue, or said in an error, need not be. */
static json_t *text_json(const char *s)
{
    if (text_is_utf8(bytes_of_string(s)))
        return json_string(s);
    struct buf escaped = BUF_EMPTY;
    text_escape(&escaped, bytes_of_string(s), 1024);
    json_t *json = json_string(buf_string(&escaped));
    buf_free(&escaped);
    return json ? json : json_string("?");
}

static void set_text(json_t *object, const char *key, const char *s)
{
    json_object_set_new(object, key, text_json(s));
}

static void set_count(json_t *object, const char *key, uint64_t n)
{
    json_object_set_new(object, key, json_integer((json_int_t)n));
}

static void set_bool(json_t *object, const char *key, bool b)
{
    json_object_set_new(object, key, json_boolean(b));
}

/* JSON has no NaN and no infinity. */
static void set_real(json_t *object, const char *key, double x)
{
    json_object_set_new(object, key, json_real(x >= 0 && x < 1e18 ? x : 0));
}

/* in = delivered + dead + filtered + duplicate + returned + in flight, which the route counts by itself. */
static bool accounted(const struct route_report *r)
{
    const struct route_counters *c = &r->counters;
    return c->in == c->delivered + c->dead + c->filtered + c->duplicate + c->returned + r->in_flight;
}

bool report_route_healthy(const struct route_report *r)
{
    return (r->state == ROUTE_RUNNING || r->state == ROUTE_ENDED) && accounted(r);
}

bool report_healthy(const struct report *r)
{
    for (size_t i = 0; i < r->route_count; i++)
        if (!report_route_healthy(&r->routes[i]))
            return false;
    return r->complete;
}

static void set_endpoint_status(json_t *object, const struct endpoint_status *st)
{
    set_text(object, "state", endpoint_state_name(st->state));
    set_text(object, "reason", st->reason);
    set_real(object, "state_age_s", st->since_us ? (double)(clock_us() - st->since_us) / SEC : 0);
    set_count(object, "connects", st->connects);
    set_count(object, "unsettled", st->unsettled);
    set_count(object, "gaps", st->gaps);
    set_count(object, "no_receivers", st->no_receivers);
}

static json_t *endpoint_json(const struct endpoint_report *e)
{
    json_t *object = json_object();
    set_text(object, "kind", e->kind);
    set_text(object, "target", e->target);
    set_text(object, "connection", e->connection);
    set_endpoint_status(object, &e->status);
    return object;
}

static json_t *sink_json(const struct endpoint_report *e)
{
    json_t *object = endpoint_json(e), *counters = json_object();
#define SET(field, name, unit, help) set_count(counters, name, e->counters.field);
    SINK_COUNTERS(SET)
#undef SET
    json_object_set_new(object, "counters", counters);
    set_count(object, "waiting", e->waiting);
    set_count(object, "parked", e->parked);
    set_count(object, "outstanding", e->outstanding);
    return object;
}

json_t *report_json_route(const struct route_report *r)
{
    static const char *const orders[] = { [ORDER_NONE] = "none", [ORDER_KEY] = "key", [ORDER_STRICT] = "strict" };
    json_t *object = json_object(), *counters = json_object(), *to = json_array();
    set_text(object, "name", r->name);
    set_bool(object, "healthy", report_route_healthy(r));
    set_text(object, "state", route_state_name(r->state));
    set_text(object, "reason", r->reason);
    set_text(object, "held_at", r->held_at);
    set_count(object, "instances", r->instances);
    set_text(object, "order", orders[r->order]);
    set_text(object, "guarantee", r->guarantee ? r->guarantee : "");
#define SET(field, name, unit, help) set_count(counters, name, r->counters.field);
    ROUTE_COUNTERS(SET)
#undef SET
    json_object_set_new(object, "counters", counters);
    set_bool(object, "accounted", accounted(r));
    set_count(object, "in_flight", r->in_flight);
    set_count(object, "in_flight_bytes", r->in_flight_bytes);
    set_count(object, "unsettled", r->unsettled);
    set_real(object, "rate_in", r->rate_in);
    set_real(object, "rate_out", r->rate_out);
    json_object_set_new(object, "from", endpoint_json(&r->from));
    for (size_t i = 0; i < r->to_count; i++)
        json_array_append_new(to, sink_json(&r->to[i]));
    json_object_set_new(object, "to", to);
    return object;
}

json_t *report_json_routes(const struct report *r)
{
    json_t *routes = json_array();
    for (size_t i = 0; i < r->route_count; i++)
        json_array_append_new(routes, report_json_route(&r->routes[i]));
    return routes;
}

json_t *report_json_connections(const struct report *r)
{
    json_t *connections = json_array();
    for (size_t i = 0; i < r->connection_count; i++) {
        const struct connection_report *c = &r->connections[i];
        json_t *object = json_object();
        set_text(object, "name", c->name);
        set_text(object, "role", c->role);
        set_text(object, "address", c->address);
        set_endpoint_status(object, &c->status);
        set_count(object, "users", c->users);
        set_count(object, "bytes_in", c->bytes_in);
        set_count(object, "bytes_out", c->bytes_out);
        json_array_append_new(connections, object);
    }
    return connections;
}

json_t *report_json(const struct report *r)
{
    json_t *object = json_object();
    set_text(object, "name", r->name);
    set_bool(object, "healthy", report_healthy(r));
    set_count(object, "taken_wall_ms", (uint64_t)r->taken_wall_ms);
    set_real(object, "uptime_s", r->uptime_s);
    set_count(object, "rss_bytes", r->rss_bytes);
    set_bool(object, "complete", r->complete);
    set_count(object, "stalls", r->stalls);
    json_object_set_new(object, "routes", report_json_routes(r));
    json_object_set_new(object, "connections", report_json_connections(r));
    return object;
}
