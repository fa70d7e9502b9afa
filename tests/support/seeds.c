#include "support/seeds.h"

#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int seeds_play(unsigned count, bool (*play)(uint64_t seed))
{
    const char *given = getenv("FERRY_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : random_u64() >> 16;
    if (given)
        count = 1;
    else
        printf("seeds from %" PRIu64 "\n", first);
    for (unsigned i = 0; i < count; i++) {
        random_seed(first + i);
        if (!play(first + i)) {
            printf("failed: FERRY_SEED=%" PRIu64 " plays it again\n", first + i);
            return EXIT_FAILURE;
        }
    }
    printf("100%%: Checks: %u, Failures: 0, Errors: 0\n", count);
    return EXIT_SUCCESS;
}
