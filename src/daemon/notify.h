/* What the service manager is told (sd_notify). Without one, all of it does nothing. Main thread. */
#pragma once

#include "runtime/watchdog.h"

bool notify_wanted(void); /* somebody listens */
void notify_ready(void);
void notify_reloading(void); /* until the next notify_ready */
void notify_stopping(void);
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Tells the service manager's watchdog twice in its interval that the daemon is alive, as long as every loop is. */
struct keepalive {
    struct timer timer;
    int64_t every_us; /* 0: nobody asked */
    const struct watchdog *watchdog;
    bool ill;
};
void keepalive_start(struct keepalive *k, struct loop *loop, const struct watchdog *watchdog);
void keepalive_stop(struct keepalive *k);
