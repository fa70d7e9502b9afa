/* Status of endpoints: every change is told once, what repeats is not. */
#include "endpoint/state.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REPEAT_US (10 * SEC)

static const struct {
    const char *name;
    enum log_level level;
} states[] = {
    [ENDPOINT_IDLE] = { "idle", LEVEL_INFO },
    [ENDPOINT_CONNECTING] = { "connecting", LEVEL_DEBUG },
    [ENDPOINT_UP] = { "up", LEVEL_NOTICE },
    [ENDPOINT_DOWN] = { "down", LEVEL_WARNING },
    [ENDPOINT_BLOCKED] = { "blocked", LEVEL_WARNING },
    [ENDPOINT_FAULT] = { "fault", LEVEL_ERROR },
    [ENDPOINT_ENDED] = { "ended", LEVEL_NOTICE },
};

const char *endpoint_state_name(enum endpoint_state s)
{
    return states[s].name;
}

/* Reconnecting goes down, connecting, down for ever: connecting does not count as a change in between, the same reason is not
 * told again, and another one only after a while. */
static bool worth_a_line(struct endpoint_status *st, int64_t now)
{
    if (st->state == ENDPOINT_CONNECTING)
        return true;
    uint64_t reason = hash_bytes(bytes_of_string(st->reason));
    if (st->logged_us && st->logged_state == st->state &&
        (st->logged_reason == reason || now - st->logged_us < REPEAT_US))
        return false;
    st->logged_state = st->state;
    st->logged_reason = reason;
    st->logged_us = now;
    return true;
}

bool endpoint_status_set(struct endpoint_status *st, const char *subject, enum endpoint_state s, const char *format,
                         ...)
{
    char reason[REASON_MAX] = "";
    if (format) {
        va_list args;
        va_start(args, format);
        vsnprintf(reason, sizeof(reason), format, args);
        va_end(args);
    }
    enum endpoint_state old = st->state;
    if (s == old && strcmp(reason, st->reason) == 0)
        return false;
    int64_t now = clock_us();
    if (s != old || !st->since_us)
        st->since_us = now;
    st->state = s;
    memcpy(st->reason, reason, sizeof(reason));
    if (worth_a_line(st, now))
        log_write(states[s].level, subject, "%s -> %s%s%s", states[old].name, states[s].name, *reason ? ": " : "",
                  reason);
    return true;
}
