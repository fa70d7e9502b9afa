/* Samples every loop's heartbeat from a thread of its own. A loop that has not begun a pass for `stall` is logged while it
 * is still stalled, with its name, how long, and what it said it was doing; the service manager's keep-alive asks
 * watchdog_healthy. (Backtraces come with the issue on transforms.) */
#pragma once

#include "runtime/loop.h"

struct watchdog;
struct watchdog *watchdog_new(int64_t stall_us);
void watchdog_watch(struct watchdog *w, struct loop *l); /* before watchdog_start */
void watchdog_start(struct watchdog *w);
bool watchdog_healthy(const struct watchdog *w);    /* any thread: every loop beat within stall + its heartbeat */
uint64_t watchdog_stalls(const struct watchdog *w); /* any thread: how many so far */
void watchdog_free(struct watchdog *w);             /* stops the thread */
