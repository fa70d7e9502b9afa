/* Boots the daemon, runs its main loop and shuts it down.
 *
 *   settings ─▶ loop, watchdog, engine, control socket ─▶ routes start ─▶ READY=1
 *   SIGTERM, SIGINT ─▶ STOPPING=1 ─▶ engine_stop: drain ─▶ everything is freed ─▶ exit 0; a second one ─▶ exit at once */
#include "daemon/daemon.h"

#include "admin/control.h"
#include "admin/protocol.h"
#include "admin/report_desk.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/notify.h"
#include "daemon/process.h"
#include "daemon/reload.h"
#include "daemon/signals.h"

#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#define SUBJECT      "ferryd"
#define STATUS_EVERY (5 * SEC)
#define SAME_SIGNAL  (250 * MSEC) /* timeout(1), shells and supervisors tell a process and its group: that is one wish */
#define STOP_MARGIN  (800 * MSEC) /* beyond shutdown_timeout: then something hangs */

struct daemon {
    struct loop *loop;
    struct watchdog *watchdog;
    struct engine *engine;
    struct report_desk *reports;
    struct reload *reload;
    struct control_host host;
    struct control *control;
    struct signals signals;
    struct keepalive keepalive;
    struct timer status_due, stop_limit;
    int64_t stopping_us; /* when the first signal came; 0: it runs */
};

void log_diagnostics(const struct diagnostics *d)
{
    struct buf text = BUF_EMPTY;
    diagnostics_print(d, &text);
    for (char *line = buf_string(&text), *end; *line; line = end + 1) {
        end = line + strcspn(line, "\n");
        bool last = !*end;
        *end = 0;
        log_write(strstr(line, ": error: ") ? LEVEL_ERROR : LEVEL_WARNING, "configuration", "%s", line);
        if (last)
            break;
    }
    buf_free(&text);
}

static void describe_endpoint(const char *kind, const char *target, struct buf *out)
{
    buf_printf(out, "%s%s%s", kind, *target ? " " : "", target);
}

void describe_route(const struct route_settings *r, struct buf *out)
{
    static const char *const orders[] = { [ORDER_NONE] = "none", [ORDER_KEY] = "key", [ORDER_STRICT] = "strict" };
    buf_append_string(out, "from ");
    describe_endpoint(r->from.source->name, r->from.source->target(r->from.settings), out);
    for (size_t i = 0; i < r->to_count; i++) {
        buf_append_string(out, i ? " and " : " to ");
        describe_endpoint(r->to[i].sink->name, r->to[i].sink->target(r->to[i].settings), out);
    }
    buf_printf(out, ", order %s, %s", orders[r->order], r->guarantee);
    if (r->instances > 1)
        buf_printf(out, ", %" PRId64 " instances", r->instances);
}

static void log_routes(const struct settings *s)
{
    log_notice(SUBJECT, "%s %s: %zu route%s, %" PRId64 " lane%s, from %s", s->name, FERRY_VERSION, s->route_count,
               s->route_count == 1 ? "" : "s", s->lanes, s->lanes == 1 ? "" : "s", s->path);
    for (size_t i = 0; i < s->route_count; i++) {
        struct buf line = BUF_EMPTY;
        char *subject = mem_format("route %s", s->routes[i].name);
        describe_route(&s->routes[i], &line);
        log_notice(subject, "%s", buf_string(&line));
        free(subject);
        buf_free(&line);
    }
}

/* ---- what the control socket may ask for */

static void host_report(void *arg, void (*done)(void *done_arg, const struct report *r), void *done_arg)
{
    struct daemon *d = arg;
    report_desk_ask(d->reports, done, done_arg);
}

static bool host_pause(void *arg, const char *route)
{
    struct daemon *d = arg;
    return engine_pause(d->engine, route);
}

static bool host_resume(void *arg, const char *route)
{
    struct daemon *d = arg;
    return engine_resume(d->engine, route);
}

static const char *host_nearest_route(void *arg, const char *name)
{
    struct daemon *d = arg;
    const struct settings *s = reload_settings(d->reload);
    const char **names = mem_array(s->route_count + 1, sizeof *names);
    for (size_t i = 0; i < s->route_count; i++)
        names[i] = s->routes[i].name;
    const char *near = text_nearest(name, names);
    free(names);
    return near;
}

static void host_reload(void *arg, void (*done)(void *done_arg, const struct reload_result *result), void *done_arg)
{
    struct daemon *d = arg;
    reload_start(d->reload, done, done_arg);
}

/* ---- the service manager's status line */

static void on_status_report(void *arg, const struct report *r)
{
    size_t running = 0;
    double in = 0, out = 0;
    (void)arg;
    for (size_t i = 0; i < r->route_count; i++) {
        running += r->routes[i].state == ROUTE_RUNNING || r->routes[i].state == ROUTE_ENDED;
        in += r->routes[i].rate_in;
        out += r->routes[i].rate_out;
    }
    notify_status("%zu of %zu routes run, %.0f messages/s in, %.0f out", running, r->route_count, in, out);
}

static void on_status_due(void *arg)
{
    struct daemon *d = arg;
    if (d->stopping_us)
        return;
    report_desk_ask(d->reports, on_status_report, d);
    timer_set(&d->status_due, STATUS_EVERY);
}

/* ---- the end */

static void on_stopped(void *arg, uint64_t returned)
{
    struct daemon *d = arg;
    if (returned)
        log_notice(SUBJECT, "%" PRIu64 " messages in flight were returned to their sources", returned);
    timer_cancel(&d->stop_limit);
    loop_stop(d->loop);
}

static void exit_now(struct daemon *d, const char *why)
{
    log_error(SUBJECT, "%s; what was in flight comes again from its sources", why);
    control_free(d->control);
    _exit(EXIT_FAILED);
}

static void on_stop_limit(void *arg)
{
    exit_now(arg, "the routes did not stop within shutdown_timeout: exit without them");
}

static void stop(struct daemon *d, int number)
{
    int64_t grace_us = reload_settings(d->reload)->shutdown_timeout_us;
    d->stopping_us = clock_us();
    notify_stopping();
    notify_status("draining");
    struct buf grace = BUF_EMPTY;
    text_duration(&grace, grace_us);
    log_notice(SUBJECT, "%s: draining for at most %s", number == SIGTERM ? "SIGTERM" : "SIGINT", buf_string(&grace));
    buf_free(&grace);
    reload_forbid(d->reload);
    timer_cancel(&d->status_due);
    timer_set(&d->stop_limit, grace_us + STOP_MARGIN);
    engine_stop(d->engine, grace_us, on_stopped, d);
}

static void on_signal(void *arg, int number)
{
    struct daemon *d = arg;
    if (number == SIGHUP)
        reload_signal(d->reload);
    else if (!d->stopping_us)
        stop(d, number);
    else if (clock_us() - d->stopping_us > SAME_SIGNAL)
        exit_now(d, "a second signal: exit at once");
}

/* ---- boot */

static void ask_engine(void *arg, void (*done)(void *done_arg, struct report *r), void *done_arg)
{
    engine_report(arg, done, done_arg);
}

static void on_started(void *arg, const struct engine_change *change)
{
    (void)arg;
    (void)change;
}

static bool open_control(struct daemon *d, const char *path)
{
    struct buf error = BUF_EMPTY;
    d->host = (struct control_host){ .report = host_report,
                                     .pause = host_pause,
                                     .resume = host_resume,
                                     .nearest_route = host_nearest_route,
                                     .reload = host_reload,
                                     .version = FERRY_VERSION,
                                     .arg = d };
    d->control = control_new(d->loop, path, &d->host, &error);
    if (!d->control)
        log_error("control", "%s", buf_string(&error));
    buf_free(&error);
    return d->control != NULL;
}

static void start(struct daemon *d, struct settings *settings)
{
    d->watchdog = watchdog_new(settings->watchdog.stall_us);
    watchdog_watch(d->watchdog, d->loop);
    d->engine = engine_new(d->loop, d->watchdog, settings);
    watchdog_start(d->watchdog);
    d->reports = report_desk_new(d->loop, ask_engine, d->engine);
    d->reload = reload_new(d->engine, settings);
    timer_init(&d->status_due, d->loop, on_status_due, d);
    timer_init(&d->stop_limit, d->loop, on_stop_limit, d);
    engine_apply(d->engine, settings, on_started, d);
    signals_open(&d->signals, d->loop, on_signal, d);
    keepalive_start(&d->keepalive, d->loop, d->watchdog);
    notify_ready();
    if (notify_wanted())
        timer_set(&d->status_due, SEC);
}

static void finish(struct daemon *d)
{
    keepalive_stop(&d->keepalive);
    signals_close(&d->signals);
    watchdog_free(d->watchdog); /* before the loops that it looks at */
    engine_free(d->engine);
    report_desk_free(d->reports); /* after the engine, which may still owe it a report; control likewise */
    control_free(d->control);
    reload_free(d->reload);
    timer_close(&d->status_due);
    timer_close(&d->stop_limit);
}

int daemon_run(struct settings *settings)
{
    struct daemon d = { .stopping_us = 0 };
    signals_block();
    process_warn_readable(settings);
    d.loop = loop_new("main");
    /* First of all: a second daemon with the same file must not take a single message. */
    bool ok = open_control(&d, settings->admin.socket);
    if (ok) {
        log_routes(settings);
        start(&d, settings);
        loop_run(d.loop);
        finish(&d);
        log_notice(SUBJECT, "stopped");
    } else {
        settings_unref(settings);
    }
    loop_free(d.loop);
    return ok ? EXIT_HEALTHY : EXIT_FAILED;
}
