/* The commands of the control socket: one table, one place that decides who may run what. Main thread only. */
#pragma once

#include "route/engine.h"

#include <jansson.h>

/* Who connects to the socket may look: the socket's mode (0660) says who that is. Who may act is root, or the user that the
 * daemon runs as. */
enum privilege { OBSERVER, OPERATOR };

struct reload_result {
    bool ok;
    const char *error;   /* not ok: one sentence */
    const char *details; /* not ok: the configuration's errors, a line each; "" when it was something else */
    struct engine_change change;
    const char
        *restart_needed; /* ok: the keys whose new value waits for a restart, "lanes, limits"; "" when there are none */
};

/* What commands act on: the daemon's; tests have a fake one. Each done is called exactly once, maybe at once; what it is
 * given is valid during the call. */
struct control_host {
    void (*report)(void *arg, void (*done)(void *done_arg, const struct report *r), void *done_arg);
    bool (*pause)(void *arg, const char *route); /* false: there is no such route */
    bool (*resume)(void *arg, const char *route);
    const char *(*nearest_route)(void *arg, const char *name); /* for "did you mean"; NULL: none is near */
    void (*reload)(void *arg, void (*done)(void *done_arg, const struct reload_result *result), void *done_arg);
    const char *version;
    void *arg;
};

/* One request. Whoever makes it embeds this; a command answers it exactly once, maybe later, by reply, after which it is the
 * maker's again. */
struct request {
    const struct control_host *host;
    json_t *arguments; /* the request's object */
    const char *peer;  /* \"pid 4711, uid 0\", for the log; valid while command_run runs */
    void (*reply)(struct request *r, json_t *answer); /* takes the answer */
    const struct command *command;
};

struct command {
    const char *name, *usage;
    enum privilege privilege;
    void (*run)(struct request *r);
    bool takes_route;
    const char *help;
};
extern const struct command commands[]; /* ends with a NULL name */

/* Finds the command, checks what it needs and runs it. Every refusal is an answer too. */
void command_run(struct request *r, enum privilege who);
/* {"ok": false, "error": …} */
json_t *command_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
