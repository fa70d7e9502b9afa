/* Where reports are asked for: however many ask, and however often, the lanes make at most twenty a second. Main thread. */
#pragma once

#include "route/report.h"
#include "runtime/loop.h"

struct report_desk;

/* ask makes a report; it answers once, maybe at once, and gives the report away. */
struct report_desk *report_desk_new(struct loop *loop,
                                    void (*ask)(void *arg, void (*done)(void *done_arg, struct report *r),
                                                void *done_arg),
                                    void *arg);
/* Calls done with a report that was begun after this call; it is valid during the call. */
void report_desk_ask(struct report_desk *d, void (*done)(void *arg, const struct report *r), void *arg);
/* Forgets who waits; nothing that was asked may be answered any more. NULL is allowed. */
void report_desk_free(struct report_desk *d);
