/* Talks to the service manager. */
#include "daemon/notify.h"

#include "base/buf.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

bool notify_wanted(void)
{
    return getenv("NOTIFY_SOCKET") != NULL;
}

void notify_ready(void)
{
    sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
    /* MONOTONIC_USEC is what Type=notify-reload asks for; older managers ignore it. */
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_us());
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

void notify_status(const char *format, ...)
{
    if (!notify_wanted())
        return;
    struct buf text = BUF_EMPTY;
    buf_append_string(&text, "STATUS=");
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    sd_notify(0, buf_string(&text));
    buf_free(&text);
}

static void on_keepalive(void *arg)
{
    struct keepalive *k = arg;
    bool ill = !watchdog_healthy(k->watchdog);
    if (!ill)
        sd_notify(0, "WATCHDOG=1");
    else if (!k->ill)
        log_error("watchdog", "a loop does not run; the service manager is not told that all is well");
    k->ill = ill;
    timer_set(&k->timer, k->every_us);
}

void keepalive_start(struct keepalive *k, struct loop *loop, const struct watchdog *watchdog)
{
    uint64_t interval_us = 0;
    *k = (struct keepalive){ .watchdog = watchdog };
    timer_init(&k->timer, loop, on_keepalive, k);
    if (sd_watchdog_enabled(0, &interval_us) <= 0)
        return;
    k->every_us = (int64_t)(interval_us / 2);
    on_keepalive(k);
}

void keepalive_stop(struct keepalive *k)
{
    timer_close(&k->timer);
}
