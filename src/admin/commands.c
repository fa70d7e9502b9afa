/* The command table of the control socket, and the commands. */
#include "admin/command.h"

#include "admin/protocol.h"
#include "admin/report_json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdarg.h>
#include <unistd.h>

json_t *command_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    json_t *message = json_vsprintf(format, args);
    va_end(args);
    return json_pack("{s:b, s:o}", "ok", 0, "error", message ? message : json_string("that is no UTF-8"));
}

static const char *route_argument(const struct request *r)
{
    return json_string_value(json_object_get(r->arguments, "route"));
}

static json_t *no_such_route(const struct request *r, const char *route)
{
    const char *near = r->host->nearest_route(r->host->arg, route);
    return near ? command_error("there is no route \"%s\"; did you mean \"%s\"?", route, near)
                : command_error("there is no route \"%s\"", route);
}

static json_t *ok(void)
{
    return json_pack("{s:b}", "ok", 1);
}

/* ---- what observers may do: each is a view of the report */

static void reply_status(void *arg, const struct report *report)
{
    struct request *r = arg;
    json_t *answer = ok();
    json_object_update_new(answer, report_json(report));
    json_object_set_new(answer, "version", json_string(r->host->version));
    json_object_set_new(answer, "pid", json_integer(getpid()));
    r->reply(r, answer);
}

static void reply_routes(void *arg, const struct report *report)
{
    struct request *r = arg;
    json_t *answer = json_pack("{s:b, s:b, s:b, s:o}", "ok", 1, "healthy", report_healthy(report), "complete",
                               report->complete, "routes", report_json_routes(report));
    r->reply(r, answer);
}

static void reply_route(void *arg, const struct report *report)
{
    struct request *r = arg;
    const char *name = route_argument(r);
    json_t *answer = NULL;
    for (size_t i = 0; i < report->route_count && !answer; i++)
        if (strcmp(report->routes[i].name, name) == 0)
            answer = json_pack("{s:b, s:b, s:o}", "ok", 1, "healthy", report_route_healthy(&report->routes[i]), "route",
                               report_json_route(&report->routes[i]));
    if (!answer && !report->complete)
        answer = command_error("the lane of route \"%s\" does not answer, if there is such a route", name);
    r->reply(r, answer ? answer : no_such_route(r, name));
}

static void reply_connections(void *arg, const struct report *report)
{
    struct request *r = arg;
    bool healthy = report->complete;
    for (size_t i = 0; i < report->connection_count; i++)
        healthy &= report->connections[i].status.state == ENDPOINT_UP;
    json_t *answer = json_pack("{s:b, s:b, s:b, s:o}", "ok", 1, "healthy", healthy, "complete", report->complete,
                               "connections", report_json_connections(report));
    r->reply(r, answer);
}

static void run_status(struct request *r)
{
    r->host->report(r->host->arg, reply_status, r);
}

static void run_routes(struct request *r)
{
    r->host->report(r->host->arg, reply_routes, r);
}

static void run_route(struct request *r)
{
    r->host->report(r->host->arg, reply_route, r);
}

static void run_connections(struct request *r)
{
    r->host->report(r->host->arg, reply_connections, r);
}

static void run_version(struct request *r)
{
    r->reply(r, json_pack("{s:b, s:s, s:i}", "ok", 1, "version", r->host->version, "pid", (int)getpid()));
}

/* ---- what operators may do */

static void run_pause(struct request *r)
{
    const char *route = route_argument(r);
    r->reply(r, r->host->pause(r->host->arg, route) ? ok() : no_such_route(r, route));
}

static void run_resume(struct request *r)
{
    const char *route = route_argument(r);
    r->reply(r, r->host->resume(r->host->arg, route) ? ok() : no_such_route(r, route));
}

static json_t *lines_json(const char *text)
{
    json_t *lines = json_array();
    while (*text) {
        size_t len = strcspn(text, "\n");
        json_t *line = json_stringn(text, len);
        json_array_append_new(lines, line ? line : json_string("(a line that is no UTF-8)"));
        text += len + (text[len] == '\n');
    }
    return lines;
}

static void reply_reload(void *arg, const struct reload_result *result)
{
    struct request *r = arg;
    json_t *answer;
    if (result->ok) {
        const struct engine_change *c = &result->change;
        answer = json_pack("{s:b, s:i, s:i, s:i, s:i, s:s}", "ok", 1, "kept", (int)c->kept, "changed", (int)c->changed,
                           "added", (int)c->added, "removed", (int)c->removed, "restart_needed",
                           result->restart_needed);
    } else {
        answer = command_error("%s", result->error);
        json_object_set_new(answer, "details", lines_json(result->details));
    }
    r->reply(r, answer);
}

static void run_reload(struct request *r)
{
    r->host->reload(r->host->arg, reply_reload, r);
}

/* ---- the table */

const struct command commands[] = {
    { "status", "status", OBSERVER, run_status, false, "the daemon, its routes and connections" },
    { "routes", "routes", OBSERVER, run_routes, false, "the routes and their counters" },
    { "route", "route ROUTE", OBSERVER, run_route, true, "everything about one route" },
    { "connections", "connections", OBSERVER, run_connections, false, "the connections to brokers" },
    { "pause", "pause ROUTE", OPERATOR, run_pause, true, "stop taking messages; what is in flight is delivered" },
    { "resume", "resume ROUTE", OPERATOR, run_resume, true,
      "go on; send again what was refused; probe faults at once" },
    { "reload", "reload", OPERATOR, run_reload, false, "read the configuration again, all or nothing" },
    { "version", "version", OBSERVER, run_version, false, "the daemon's version" },
    { .name = NULL },
};

static json_t *no_such_command(const char *name)
{
    const char *names[ARRAY_LEN(commands)];
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        names[i] = commands[i].name;
    const char *near = text_nearest(name, names);
    return near ? command_error("there is no command \"%s\"; did you mean \"%s\"?", name, near)
                : command_error("there is no command \"%s\"", name);
}

static void run(struct request *r, const struct command *c)
{
    const char *route = c->takes_route ? route_argument(r) : "";
    if (c->privilege == OPERATOR)
        log_notice("control", "%s%s%s (%s)", c->name, *route ? " " : "", route, r->peer);
    c->run(r);
}

void command_run(struct request *r, enum privilege who)
{
    const char *name = json_string_value(json_object_get(r->arguments, "command"));
    if (!name) {
        r->reply(r, command_error("a request is an object with a \"command\", such as {\"command\": \"status\"}"));
        return;
    }
    const struct command *c = commands;
    while (c->name && strcmp(c->name, name) != 0)
        c++;
    r->command = c->name ? c : NULL;
    if (!c->name)
        r->reply(r, no_such_command(name));
    else if (c->privilege > who)
        r->reply(r, command_error("\"%s\" is for root and the user that ferryd runs as", name));
    else if (c->takes_route && !route_argument(r))
        r->reply(r, command_error("\"%s\" needs a route: {\"command\": \"%s\", \"route\": \"NAME\"}", name, name));
    else
        run(r, c);
}
