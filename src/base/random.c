/* xoshiro256**, one generator a thread. */
#include "base/random.h"

#include "base/clock.h"

#include <stdbool.h>
#include <sys/random.h>

static _Thread_local struct {
    uint64_t s[4];
    bool seeded;
} generator;

/* splitmix64: spreads a few bits of difference over all of a state. */
static uint64_t split_mix(uint64_t *x)
{
    uint64_t z = (*x += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void random_seed(uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        generator.s[i] = split_mix(&seed);
    generator.seeded = true;
}

static void seed_from_kernel(void)
{
    uint64_t x;
    /* A kernel without entropy yet must not hold a start up: then the clock and this thread's own address do. */
    if (getrandom(&x, sizeof(x), GRND_NONBLOCK) != (ssize_t)sizeof(x))
        x = (uint64_t)clock_us() ^ (uint64_t)clock_wall_ms() << 20 ^ (uint64_t)(uintptr_t)&generator;
    random_seed(x);
}

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

uint64_t random_u64(void)
{
    if (!generator.seeded)
        seed_from_kernel();
    uint64_t *s = generator.s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* Lemire's multiplication; the few low products that would favour some results are drawn again. */
uint64_t random_below(uint64_t bound)
{
    if (!bound)
        return 0;
    uint64_t unfair = -bound % bound;
    for (;;) {
        unsigned __int128 product = (unsigned __int128)random_u64() * bound;
        if ((uint64_t)product >= unfair)
            return (uint64_t)(product >> 64);
    }
}
