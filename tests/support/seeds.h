/* The main() of a property test. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Plays `count` seeds, from a random one on, until play() is false: then it has said what is wrong. base/random.h draws from the
 * seed meanwhile. FERRY_SEED=N plays that one alone. main()'s status. */
int seeds_play(unsigned count, bool (*play)(uint64_t seed));
