/* What the watermark costs a message: taken in order, done in order, in reverse, and at random within a window. */
#include "endpoint/watermark.h"
#include "micro.h"

enum { WINDOW = 10000, ROUNDS = 200 };

static uint64_t position;

static double measure(const uint32_t *order)
{
    struct watermark *w = watermark_new();
    double began = micro_now();
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t first = position;
        for (int i = 0; i < WINDOW; i++)
            watermark_take(w, position++);
        for (int i = 0; i < WINDOW; i++)
            watermark_done(w, first + order[i]);
        if (watermark_mark(w) != position)
            abort();
    }
    double took = micro_now() - began;
    watermark_free(w);
    return took / ROUNDS / WINDOW;
}

int main(void)
{
    static uint32_t forward[WINDOW], reverse[WINDOW], random_order[WINDOW];
    for (uint32_t i = 0; i < WINDOW; i++) {
        forward[i] = random_order[i] = i;
        reverse[i] = WINDOW - 1 - i;
    }
    for (uint32_t i = WINDOW - 1, x = 1; i > 0; i--) {
        x = x * 1664525 + 1013904223;
        uint32_t j = (x >> 8) % (i + 1), t = random_order[i];
        random_order[i] = random_order[j];
        random_order[j] = t;
    }
    micro_print("in order, µs", measure(forward));
    micro_print("in reverse, µs", measure(reverse));
    micro_print("at random, µs", measure(random_order));
    return 0;
}
