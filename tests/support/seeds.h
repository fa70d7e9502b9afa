/* The main() of a property test. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Plays `count` seeds, from a random one on, until play() is false: then it has said what is wrong. FERRY_SEED=N plays that one
 * alone. main()'s status. */
int seeds_play(unsigned count, bool (*play)(uint64_t seed));
