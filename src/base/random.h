/* Random numbers for jitter and identities, seeded from the kernel per thread. Not for secrets. */
#pragma once

#include <stdint.h>

uint64_t random_u64(void);
uint64_t random_below(uint64_t bound); /* 0 … bound - 1; 0 when bound is 0 */
void random_seed(uint64_t seed);       /* this thread's numbers from now on: for tests that can be played again */
