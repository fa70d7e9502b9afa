/* The daemon: everything between an accepted configuration and the exit status. Main thread. */
#pragma once

#include "route/settings.h"

/* Runs until a signal ends it; takes settings. Returns the process's exit status. */
int daemon_run(struct settings *settings);
/* Writes what diagnostics hold to the log, a line each. */
void log_diagnostics(const struct diagnostics *d);
/* "from redis stream orders to kafka topic orders, order key, at least once" */
void describe_route(const struct route_settings *r, struct buf *out);
