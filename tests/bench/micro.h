/* Shared by the small benchmarks: a clock, and figures as lines of JSON for tests/bench/run. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Microseconds. */
static inline double micro_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static inline void micro_print(const char *what, double figure)
{
    printf("{\"%s\": %.4f}\n", what, figure);
}
