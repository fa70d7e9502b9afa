/* Plays random histories on a watermark and on a plain array of positions, and compares all answers after each step. A
 * failure prints the seed; FERRY_SEED=N plays that one again. */
#include "base/random.h"
#include "endpoint/watermark.h"
#include "support/seeds.h"

#include <stdio.h>
#include <stdlib.h>

#define STEPS 4000

struct model {
    uint64_t position[STEPS];
    bool done[STEPS];
    size_t count;
};

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
    if (!m->count || random_below(20) == 0)
        return random_below(next + 3); /* often none of ours */
    size_t near = random_below(2) ? 8 : m->count;
    return m->position[m->count - 1 - random_below(near < m->count ? near : m->count)];
}

static bool play(uint64_t seed)
{
    (void)seed; /* the numbers that are drawn */
    struct watermark *w = watermark_new();
    struct model *m = calloc(1, sizeof *m);
    uint64_t next = random_below(100), gaps = random_below(3) * 10, settle = 20 + random_below(70);
    bool good = true;
    for (int step = 0; good && step < STEPS; step++) {
        if (random_below(2000) == 0) {
            watermark_reset(w);
            m->count = 0;
            next = random_below(1000);
        } else if (random_below(100) < settle) {
            uint64_t position = some_position(m, next);
            good = watermark_done(w, position) == model_done(m, position);
        } else {
            next += gaps && random_below(gaps) == 0 ? random_below(5) : 0;
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
