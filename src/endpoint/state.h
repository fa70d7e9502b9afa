/* How an endpoint or a connection is, in words an operator can act on. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum endpoint_state {
    ENDPOINT_IDLE,       /* not started, or paused */
    ENDPOINT_CONNECTING, /* name, connect, login, declare */
    ENDPOINT_UP,
    ENDPOINT_DOWN,    /* the broker cannot be reached, or says it cannot serve now; tried again for ever */
    ENDPOINT_BLOCKED, /* connected, but the broker takes nothing now: connection.blocked, OOM */
    ENDPOINT_FAULT,   /* the route is wrong: missing queue, wrong type, denied; probed for ever */
    ENDPOINT_ENDED,   /* a finite source has brought everything */
};

const char *endpoint_state_name(enum endpoint_state s);

#define REASON_MAX 200

struct endpoint_status {
    enum endpoint_state state;
    char reason[REASON_MAX]; /* "" when up; never a secret */
    int64_t since_us;        /* monotonic: when the state began */
    uint64_t connects;       /* successful ones since the start */
    uint64_t unsettled;    /* sources: outcomes told by settle that the broker was not yet told or has not confirmed */
    uint64_t gaps;         /* redis channel, pattern: reconnects during which messages may have been missed */
    uint64_t no_receivers; /* redis channel sink: PUBLISH that nobody heard */

    /* endpoint_status_set's own: what was logged last. */
    enum endpoint_state logged_state;
    uint64_t logged_reason; /* its hash */
    int64_t logged_us;
};

/* Sets state and reason; logs "old -> new: reason" under subject once per change, and keeps since_us while the state stays.
 * True when something changed. format may be NULL: no reason. A repeated state with another reason (DOWN, CONNECTING, DOWN
 * counts as repeated) logs at most once in 10 s. */
bool endpoint_status_set(struct endpoint_status *st, const char *subject, enum endpoint_state s, const char *format,
                         ...) __attribute__((format(printf, 4, 5)));
