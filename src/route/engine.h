/* The routes of a configuration, running: what the daemon and the control socket see of lanes and route instances. Main
 * thread only; answers come later, on the main loop. */
#pragma once

#include "route/report.h"
#include "route/settings.h"
#include "runtime/watchdog.h"

struct engine;

/* Makes the lanes and their threads. Nothing runs yet. The watchdog may be NULL. */
struct engine *engine_new(struct loop *main_loop, struct watchdog *watchdog, const struct settings *settings);
/* Starts the routes of s, or changes what runs to it: routes that are gone drain and stop (within shutdown_timeout), changed ones
 * are replaced once drained, equal ones are left alone. Lanes and limits of the first settings stay until a restart; done tells
 * how many routes were kept, changed, added, removed. Takes a reference of s. */
struct engine_change {
    unsigned kept, changed, added, removed;
};
void engine_apply(struct engine *e, struct settings *s, void (*done)(void *arg, const struct engine_change *change),
                  void *arg);
/* Calls done with the report, which it then owns. */
void engine_report(struct engine *e, void (*done)(void *arg, struct report *r), void *arg);
/* Operator's commands. False: there is no such route. resume also sends again what was refused and probes faults at once. */
bool engine_pause(struct engine *e, const char *route);
bool engine_resume(struct engine *e, const char *route);
/* Drains every route within grace_us, counts what is left as returned and logs it, closes; done gets how many source messages
 * were returned, then engine_free is allowed. */
void engine_stop(struct engine *e, int64_t grace_us, void (*done)(void *arg, uint64_t returned), void *arg);
void engine_free(struct engine *e); /* routes have stopped; an answer that is still due is not given */
