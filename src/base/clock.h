/* Time. Inside it is monotonic microseconds; wall time only where a person or another system reads it. */
#pragma once

#include <stdint.h>

#define MSEC ((int64_t)1000)
#define SEC  ((int64_t)1000000)

int64_t clock_us(void);      /* CLOCK_MONOTONIC */
int64_t clock_wall_ms(void); /* since 1970-01-01 UTC */
