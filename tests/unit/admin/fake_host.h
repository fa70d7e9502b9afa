/* A daemon that is none, for tests of the control socket: one route "orders", and a memory of what it was asked. */
#pragma once

#include "admin/command.h"
#include "base/mem.h"

struct fake_host {
    struct control_host host;
    struct reload_result reload_answer;
    unsigned paused, resumed, reloads, reports;
    bool hold_reports; /* do not answer until told */
    void (*held)(void *arg, const struct report *r);
    void *held_arg;
};

static const struct report *fake_report(void)
{
    static struct route_report route = { .name = "orders", .guarantee = "at least once" };
    static struct report report = { .complete = true, .routes = &route, .route_count = 1 };
    route.counters.in = route.counters.delivered = 5;
    return &report;
}

static void fake_report_call(void *arg, void (*done)(void *done_arg, const struct report *r), void *done_arg)
{
    struct fake_host *h = arg;
    h->reports++;
    h->held = done;
    h->held_arg = done_arg;
    if (!h->hold_reports)
        done(done_arg, fake_report());
}

static bool fake_pause(void *arg, const char *route)
{
    struct fake_host *h = arg;
    h->paused++;
    return strcmp(route, "orders") == 0;
}

static bool fake_resume(void *arg, const char *route)
{
    struct fake_host *h = arg;
    h->resumed++;
    return strcmp(route, "orders") == 0;
}

static const char *fake_nearest(void *arg, const char *name)
{
    (void)arg;
    return strncmp(name, "ord", 3) == 0 ? "orders" : NULL;
}

static void fake_reload(void *arg, void (*done)(void *done_arg, const struct reload_result *result), void *done_arg)
{
    struct fake_host *h = arg;
    h->reloads++;
    done(done_arg, &h->reload_answer);
}

static void fake_host_init(struct fake_host *h)
{
    *h = (struct fake_host){ .reload_answer = { .ok = true, .restart_needed = "" } };
    h->host = (struct control_host){
        fake_report_call, fake_pause, fake_resume, fake_nearest, fake_reload, "0.0-test", h
    };
}
