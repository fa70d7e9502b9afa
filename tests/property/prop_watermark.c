/* Plays random histories on a watermark and on a plain array of positions, and compares all answers after each step. A
 * failure prints the seed; FERRY_SEED=N plays that one again. */
#include "endpoint/watermark.h"
#include "support/seeds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define STEPS 4000

struct model {
    uint64_t position[STEPS];
    bool done[STEPS];
    size_t count;
};

static uint64_t state;

static uint64_t draw(uint64_t bound) /* xorshift64* */
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717) % bound;
}

static bool model_done(struct model *m, uint64_t position)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->position[i] == position && !m->done[i])
            return m->done[i] = true;
    return false;
}

static bool agrees(const struct watermark *w, const struct model *m)
{
    size_t base = 0, open = 0;
    while (base < m->count && m->done[base])
        base++;
    for (size_t i = base; i < m->count; i++)
        open += !m->done[i];
    uint64_t mark = !m->count ? 0 : base < m->count ? m->position[base] : m->position[m->count - 1] + 1;
    return watermark_mark(w) == mark && watermark_open(w) == open && watermark_span(w) == m->count - base &&
           watermark_held(w) == m->count - base - open;
}

static uint64_t some_position(const struct model *m, uint64_t next)
{
    if (!m->count || draw(20) == 0)
        return draw(next + 3); /* often none of ours */
    size_t near = draw(2) ? 8 : m->count;
    return m->position[m->count - 1 - draw(near < m->count ? near : m->count)];
}

static bool play(uint64_t seed)
{
    struct watermark *w = watermark_new();
    struct model *m = calloc(1, sizeof *m);
    state = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    uint64_t next = draw(100), gaps = draw(3) * 10, settle = 20 + draw(70);
    bool good = true;
    for (int step = 0; good && step < STEPS; step++) {
        if (draw(2000) == 0) {
            watermark_reset(w);
            m->count = 0;
            next = draw(1000);
        } else if (draw(100) < settle) {
            uint64_t position = some_position(m, next);
            good = watermark_done(w, position) == model_done(m, position);
        } else {
            next += gaps && draw(gaps) == 0 ? draw(5) : 0;
            watermark_take(w, next);
            m->position[m->count] = next++;
            m->done[m->count++] = false;
        }
        good = good && agrees(w, m);
        if (!good)
            fprintf(stderr, "the watermark differs from the model in step %d\n", step);
    }
    watermark_free(w);
    free(m);
    return good;
}

int main(void)
{
    return seeds_play(200, play);
}
