/* Samples every loop's heartbeat from a thread of its own, twice in each `stall`. A loop whose pass has not ended for `stall`
 * is logged while it is still stalled, and every 10 s from then on, with its name, how long, and what it said it was doing
 * (loop_set_doing); the service manager's keep-alive asks watchdog_healthy. (Backtraces come with the issue on
 * transforms.) */
#pragma once

#include "runtime/loop.h"

struct watchdog;
struct watchdog *watchdog_new(int64_t stall_us);
void watchdog_watch(struct watchdog *w, struct loop *l); /* before watchdog_start; the loop must outlive the watchdog */
void watchdog_start(struct watchdog *w);
/* Any thread: every loop has begun a pass within stall + its heartbeat; one without heartbeat may wait as long as it likes. */
bool watchdog_healthy(const struct watchdog *w);
uint64_t watchdog_stalls(const struct watchdog *w); /* any thread: how many were noticed so far */
void watchdog_free(struct watchdog *w);             /* stops the thread; NULL is allowed */
