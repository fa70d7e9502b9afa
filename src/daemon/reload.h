/* Reading the configuration again while routes run: all or nothing. Main thread. */
#pragma once

#include "admin/command.h"

struct reload;

/* The settings that run, owned here from now on. */
struct reload *reload_new(struct engine *engine, struct settings *settings);
void reload_free(struct reload *r); /* a reload that is under way is answered first */
const struct settings *reload_settings(const struct reload *r);
/* Calls done once, maybe at once; see control_host. One at a time: while one is under way another is refused. */
void reload_start(struct reload *r, void (*done)(void *arg, const struct reload_result *result), void *arg);
/* The same for SIGHUP, which nobody waits for: it goes to the log, and one that comes during another follows it. */
void reload_signal(struct reload *r);
/* Refuses every reload from now on, the one under way too. */
void reload_forbid(struct reload *r);
