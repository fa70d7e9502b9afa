/* Renders answers. Fields that are missing (an older or newer daemon) show as empty or 0. */
#include "ctl/render.h"

#include "base/mem.h"

#include <inttypes.h>

static const char *text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

static uint64_t count(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static bool flag(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static enum tone state_tone(const char *state)
{
    static const struct {
        const char *state;
        enum tone tone;
    } tones[] = { { "running", TONE_GOOD }, { "up", TONE_GOOD },      { "ended", TONE_FAINT },
                  { "idle", TONE_FAINT },   { "paused", TONE_WARN },  { "draining", TONE_WARN },
                  { "waiting", TONE_WARN }, { "blocked", TONE_WARN }, { "connecting", TONE_WARN } };
    for (size_t i = 0; i < ARRAY_LEN(tones); i++)
        if (strcmp(tones[i].state, state) == 0)
            return tones[i].tone;
    return TONE_BAD;
}

static void cell_count(struct table *t, double n)
{
    char s[16];
    format_count(s, n);
    table_cell(t, TONE_PLAIN, "%s", s);
}

static void cell_exact(struct table *t, uint64_t n)
{
    table_cell(t, TONE_PLAIN, "%" PRIu64, n);
}

static void cell_bytes(struct table *t, uint64_t n)
{
    char s[16];
    format_bytes(s, n);
    table_cell(t, TONE_PLAIN, "%s", s);
}

static void cell_state(struct table *t, const char *state)
{
    table_cell(t, state_tone(state), "%s", state);
}

static void endpoint_name(const json_t *endpoint, struct buf *out)
{
    const char *target = text(endpoint, "target");
    buf_printf(out, "%s%s%s", text(endpoint, "kind"), *target ? " " : "", target);
}

/* "redis stream orders -> kafka topic orders, rabbitmq queue audit" */
static void route_way(const json_t *route, struct buf *out)
{
    const json_t *to = json_object_get(route, "to");
    endpoint_name(json_object_get(route, "from"), out);
    for (size_t i = 0; i < json_array_size(to); i++) {
        buf_append_string(out, i ? ", " : " -> ");
        endpoint_name(json_array_get(to, i), out);
    }
}

/* What an endpoint says beyond what its route said already. */
static void endpoint_note(struct table *t, const json_t *route, const char *what, const json_t *endpoint)
{
    const char *state = text(endpoint, "state"), *reason = text(endpoint, "reason");
    if (!*reason || strcmp(state, "idle") == 0 || strstr(text(route, "reason"), reason))
        return;
    struct buf name = BUF_EMPTY;
    endpoint_name(endpoint, &name);
    table_note(t, state_tone(state), "%s %s: %s: %s", what, buf_string(&name), state, reason);
    buf_free(&name);
}

/* Why a route does not run, or is held; what its endpoints say where that is something else. */
static void route_notes(struct table *t, const json_t *route)
{
    const json_t *from = json_object_get(route, "from"), *to = json_object_get(route, "to");
    enum tone tone = state_tone(text(route, "state"));
    if (*text(route, "reason"))
        table_note(t, tone == TONE_GOOD ? TONE_WARN : tone, "%s", text(route, "reason"));
    if (*text(route, "held_at"))
        table_note(t, TONE_WARN, "held at %s", text(route, "held_at"));
    if (!flag(route, "accounted"))
        table_note(t, TONE_BAD, "its counters do not add up: this is a bug in ferryd");
    endpoint_note(t, route, "from", from);
    for (size_t i = 0; i < json_array_size(to); i++)
        endpoint_note(t, route, "to", json_array_get(to, i));
}

static void incomplete(const json_t *answer, bool colour, struct buf *out)
{
    if (!json_is_false(json_object_get(answer, "complete")))
        return;
    print_toned(out, colour, TONE_BAD, "a lane did not answer in time: its routes are missing here");
    buf_append_byte(out, '\n');
}

static void status_head(const json_t *a, bool colour, struct buf *out)
{
    const json_t *routes = json_object_get(a, "routes");
    size_t total = json_array_size(routes), healthy = 0;
    char age[24], rss[16];
    for (size_t i = 0; i < total; i++)
        healthy += flag(json_array_get(routes, i), "healthy");
    format_age(age, number(a, "uptime_s"));
    format_bytes(rss, count(a, "rss_bytes"));
    char *head = mem_format("%s: ferryd %s, pid %" PRIu64 ", up %s, %s resident", text(a, "name"), text(a, "version"),
                            count(a, "pid"), age, rss);
    char *health = mem_format("%zu of %zu route%s healthy", healthy, total, total == 1 ? "" : "s");
    print_toned(out, colour, TONE_PLAIN, head);
    buf_append_string(out, "\n");
    print_toned(out, colour, flag(a, "healthy") ? TONE_GOOD : TONE_BAD, health);
    if (count(a, "stalls"))
        buf_printf(out, ", %" PRIu64 " stalls of a loop (see the log)", count(a, "stalls"));
    buf_append_string(out, "\n\n");
    free(head);
    free(health);
}

void render_status(const json_t *a, bool colour, struct buf *out)
{
    static const struct column columns[] = { { "ROUTE", false },    { "STATE", false },    { "IN/s", true },
                                             { "OUT/s", true },     { "IN FLIGHT", true }, { "UNSETTLED", true },
                                             { "DELIVERED", true }, { "WAY", false } };
    const json_t *routes = json_object_get(a, "routes");
    status_head(a, colour, out);
    struct table *t = table_new(columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(routes); i++) {
        const json_t *r = json_array_get(routes, i);
        struct buf way = BUF_EMPTY;
        route_way(r, &way);
        table_cell(t, TONE_PLAIN, "%s", text(r, "name"));
        cell_state(t, text(r, "state"));
        cell_count(t, number(r, "rate_in"));
        cell_count(t, number(r, "rate_out"));
        cell_count(t, (double)count(r, "in_flight"));
        cell_count(t, (double)count(r, "unsettled"));
        cell_count(t, (double)count(json_object_get(r, "counters"), "delivered"));
        table_cell(t, TONE_PLAIN, "%s", buf_string(&way));
        route_notes(t, r);
        buf_free(&way);
    }
    table_print(t, colour, out);
    table_free(t);
    incomplete(a, colour, out);
}

void render_routes(const json_t *a, bool colour, struct buf *out)
{
    static const struct column columns[] = { { "ROUTE", false },    { "STATE", false },    { "IN", true },
                                             { "DELIVERED", true }, { "DEAD", true },      { "FILTERED", true },
                                             { "DUPLICATE", true }, { "RETURNED", true },  { "IN FLIGHT", true },
                                             { "ORDER", false },    { "GUARANTEE", false } };
    static const char *const counters[] = { "in", "delivered", "dead", "filtered", "duplicate", "returned" };
    const json_t *routes = json_object_get(a, "routes");
    struct table *t = table_new(columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(routes); i++) {
        const json_t *r = json_array_get(routes, i);
        table_cell(t, TONE_PLAIN, "%s", text(r, "name"));
        cell_state(t, text(r, "state"));
        for (size_t c = 0; c < ARRAY_LEN(counters); c++)
            cell_exact(t, count(json_object_get(r, "counters"), counters[c]));
        cell_exact(t, count(r, "in_flight"));
        table_cell(t, TONE_PLAIN, "%s", text(r, "order"));
        table_cell(t, TONE_PLAIN, "%s", text(r, "guarantee"));
        route_notes(t, r);
    }
    table_print(t, colour, out);
    table_free(t);
    incomplete(a, colour, out);
}

/* ---- one route */

static void pair_text(struct table *t, const char *name, enum tone tone, const char *value)
{
    table_cell(t, TONE_FAINT, "%s", name);
    table_cell(t, tone, "%s", value);
    table_cell(t, TONE_PLAIN, "%s", "");
}

static void pair_count(struct table *t, const char *name, uint64_t value, const char *unit)
{
    table_cell(t, TONE_FAINT, "%s", name);
    table_cell(t, TONE_PLAIN, "%" PRIu64, value);
    table_cell(t, TONE_FAINT, "%s", unit);
}

static const struct column pair_columns[] = { { "", false }, { "", false }, { "", false } };

static void endpoint_pairs(struct table *t, const json_t *e)
{
    char age[24];
    format_age(age, number(e, "state_age_s"));
    char *state = mem_format("%s for %s", text(e, "state"), age);
    pair_text(t, "  state", state_tone(text(e, "state")), state);
    free(state);
    if (*text(e, "reason"))
        pair_text(t, "  reason", TONE_WARN, text(e, "reason"));
    if (*text(e, "connection"))
        pair_text(t, "  connection", TONE_PLAIN, text(e, "connection"));
    pair_count(t, "  connects", count(e, "connects"), "");
    if (count(e, "gaps"))
        pair_count(t, "  gaps", count(e, "gaps"), "reconnects that may have missed messages");
    if (count(e, "no_receivers"))
        pair_count(t, "  no_receivers", count(e, "no_receivers"), "messages that nobody heard");
}

static void render_endpoint(const char *what, const json_t *e, bool colour, struct buf *out)
{
    const char *key;
    json_t *value;
    struct buf name = BUF_EMPTY;
    buf_printf(&name, "%s ", what);
    endpoint_name(e, &name);
    print_toned(out, colour, TONE_PLAIN, buf_string(&name));
    buf_append_byte(out, '\n');
    buf_free(&name);
    struct table *t = table_new(pair_columns, ARRAY_LEN(pair_columns));
    endpoint_pairs(t, e);
    json_object_foreach(json_object_get(e, "counters"), key, value)
    {
        char *label = mem_format("  %s", key);
        pair_count(t, label, (uint64_t)json_integer_value(value), "");
        free(label);
    }
    if (json_object_get(e, "waiting")) {
        pair_count(t, "  waiting", count(e, "waiting"), "for the window");
        pair_count(t, "  parked", count(e, "parked"), "after trouble, or behind one of the same key");
        pair_count(t, "  outstanding", count(e, "outstanding"), "sent, no answer yet");
    } else {
        pair_count(t, "  unsettled", count(e, "unsettled"), "outcomes that the source has not confirmed yet");
    }
    table_print(t, colour, out);
    table_free(t);
}

static void render_route_head(const json_t *r, bool colour, struct buf *out)
{
    const char *key;
    json_t *value;
    struct table *t = table_new(pair_columns, ARRAY_LEN(pair_columns));
    char rate[40], in[16], sent[16];
    format_count(in, number(r, "rate_in"));
    format_count(sent, number(r, "rate_out"));
    snprintf(rate, sizeof rate, "%s in, %s out", in, sent);
    pair_text(t, "route", TONE_PLAIN, text(r, "name"));
    pair_text(t, "state", state_tone(text(r, "state")), text(r, "state"));
    if (*text(r, "reason"))
        pair_text(t, "reason", TONE_WARN, text(r, "reason"));
    if (*text(r, "held_at"))
        pair_text(t, "held at", TONE_WARN, text(r, "held_at"));
    pair_text(t, "order", TONE_PLAIN, text(r, "order"));
    pair_text(t, "guarantee", TONE_PLAIN, text(r, "guarantee"));
    pair_count(t, "instances", count(r, "instances"), "");
    pair_text(t, "messages/s", TONE_PLAIN, rate);
    json_object_foreach(json_object_get(r, "counters"), key, value)
        pair_count(t, key, (uint64_t)json_integer_value(value), "");
    pair_count(t, "in_flight", count(r, "in_flight"), "");
    pair_count(t, "in_flight_bytes", count(r, "in_flight_bytes"), "");
    pair_count(t, "unsettled", count(r, "unsettled"), "outcome known, not yet confirmed to the source");
    pair_text(t, "accounted", flag(r, "accounted") ? TONE_GOOD : TONE_BAD,
              flag(r, "accounted") ? "yes: in = delivered + dead + filtered + duplicate + returned + in_flight"
                                   : "no: this is a bug in ferryd");
    table_print(t, colour, out);
    table_free(t);
}

void render_route(const json_t *a, bool colour, struct buf *out)
{
    const json_t *r = json_object_get(a, "route"), *to = json_object_get(r, "to");
    render_route_head(r, colour, out);
    render_endpoint("from", json_object_get(r, "from"), colour, out);
    for (size_t i = 0; i < json_array_size(to); i++)
        render_endpoint("to", json_array_get(to, i), colour, out);
}

/* ---- the rest */

void render_connections(const json_t *a, bool colour, struct buf *out)
{
    static const struct column columns[] = { { "CONNECTION", false }, { "ROLE", false },    { "STATE", false },
                                             { "FOR", true },         { "ADDRESS", false }, { "CONNECTS", true },
                                             { "USERS", true },       { "IN", true },       { "OUT", true } };
    const json_t *connections = json_object_get(a, "connections");
    struct table *t = table_new(columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(connections); i++) {
        const json_t *c = json_array_get(connections, i);
        char age[24];
        format_age(age, number(c, "state_age_s"));
        table_cell(t, TONE_PLAIN, "%s", text(c, "name"));
        table_cell(t, TONE_PLAIN, "%s", text(c, "role"));
        cell_state(t, text(c, "state"));
        table_cell(t, TONE_PLAIN, "%s", age);
        table_cell(t, TONE_PLAIN, "%s", text(c, "address"));
        cell_exact(t, count(c, "connects"));
        cell_exact(t, count(c, "users"));
        cell_bytes(t, count(c, "bytes_in"));
        cell_bytes(t, count(c, "bytes_out"));
        if (*text(c, "reason"))
            table_note(t, state_tone(text(c, "state")), "%s", text(c, "reason"));
    }
    table_print(t, colour, out);
    table_free(t);
    incomplete(a, colour, out);
}

void render_reload(const json_t *a, bool colour, struct buf *out)
{
    buf_printf(out, "routes: %" PRIu64 " kept, %" PRIu64 " changed, %" PRIu64 " added, %" PRIu64 " removed\n",
               count(a, "kept"), count(a, "changed"), count(a, "added"), count(a, "removed"));
    if (!*text(a, "restart_needed"))
        return;
    char *line = mem_format("the new %s will hold after a restart only", text(a, "restart_needed"));
    print_toned(out, colour, TONE_WARN, line);
    buf_append_byte(out, '\n');
    free(line);
}

void render_version(const json_t *a, bool colour, struct buf *out)
{
    (void)colour;
    buf_printf(out, "ferryctl %s\nferryd   %s\n", FERRY_VERSION, text(a, "version"));
}
