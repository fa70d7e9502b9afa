/* A loop that runs for a while, and is woken by nothing else of ours meanwhile. */
#pragma once

#include "runtime/loop.h"

static inline void run_loop_end(void *loop)
{
    loop_stop(loop);
}

static inline void run_loop_for(struct loop *loop, int64_t us)
{
    struct timer end;
    timer_init(&end, loop, run_loop_end, loop);
    timer_set(&end, us);
    loop_run(loop);
    timer_close(&end);
}
