/* Keeps the contiguous watermark: every taken position has an index, counted without gaps; a ring of bits says which
 * indexes are done, and a queue of runs says which positions they stand for.
 *
 *   positions   5 6 7 . 9 10            runs: {position 5, index 0} {position 9, index 3}
 *   index       0 1 2   3 4             base: 2 (the oldest that is not done)     next: 5
 *   done bit    . . 0   1 0             bits before base are clear and mean nothing
 */
#include "endpoint/watermark.h"

#include "base/mem.h"

struct run {
    uint64_t position; /* of its first member */
    uint64_t index;
};

struct watermark {
    uint64_t base, next; /* indexes, free-running */
    uint64_t open;
    uint64_t expected; /* the position that continues the newest run */
    uint64_t *words;   /* ring of bits: index i is bit i % 64 of word i / 64 & word_mask */
    uint64_t word_mask;
    struct run *runs; /* ring; the first one holds base, or is the newest when everything is done */
    uint64_t run_mask, first_run, end_run;
};

#define WORDS_AT_FIRST 16
#define RUNS_AT_FIRST  4

struct watermark *watermark_new(void)
{
    struct watermark *w = mem_zero(sizeof *w);
    w->words = mem_array(WORDS_AT_FIRST, sizeof *w->words);
    w->word_mask = WORDS_AT_FIRST - 1;
    w->runs = mem_array(RUNS_AT_FIRST, sizeof *w->runs);
    w->run_mask = RUNS_AT_FIRST - 1;
    return w;
}

void watermark_free(struct watermark *w)
{
    if (!w)
        return;
    free(w->words);
    free(w->runs);
    free(w);
}

void watermark_reset(struct watermark *w)
{
    for (uint64_t i = w->base / 64; i <= w->next / 64; i++)
        w->words[i & w->word_mask] = 0;
    w->base = w->next = w->open = w->expected = 0;
    w->first_run = w->end_run = 0;
}

static void grow_words(struct watermark *w)
{
    uint64_t mask = (w->word_mask + 1) * 2 - 1;
    uint64_t *words = mem_array(mask + 1, sizeof *words);
    for (uint64_t i = w->base / 64; i < w->base / 64 + w->word_mask + 1; i++)
        words[i & mask] = w->words[i & w->word_mask];
    free(w->words);
    w->words = words;
    w->word_mask = mask;
}

static void begin_run(struct watermark *w, uint64_t position)
{
    if (w->end_run - w->first_run > w->run_mask) {
        uint64_t mask = (w->run_mask + 1) * 2 - 1;
        struct run *runs = mem_array(mask + 1, sizeof *runs);
        for (uint64_t i = w->first_run; i != w->end_run; i++)
            runs[i & mask] = w->runs[i & w->run_mask];
        free(w->runs);
        w->runs = runs;
        w->run_mask = mask;
    }
    w->runs[w->end_run++ & w->run_mask] = (struct run){ position, w->next };
}

/* Runs that base has left behind are over; the newest stays, for the mark. */
static void drop_runs(struct watermark *w)
{
    while (w->end_run - w->first_run > 1 && w->runs[(w->first_run + 1) & w->run_mask].index <= w->base)
        w->first_run++;
}

void watermark_take(struct watermark *w, uint64_t position)
{
    if (position != w->expected || w->first_run == w->end_run) {
        begin_run(w, position);
        drop_runs(w);
    }
    w->expected = position + 1;
    if (w->next / 64 - w->base / 64 > w->word_mask)
        grow_words(w);
    w->next++;
    w->open++;
}

/* The run that may hold the position: the last that begins at or before it. */
static uint64_t find_run(const struct watermark *w, uint64_t position)
{
    uint64_t low = w->first_run, high = w->end_run - 1;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        if (w->runs[middle & w->run_mask].position <= position)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Moves base over what is done, a word at a time, and leaves clear words behind for their next use. */
static void advance(struct watermark *w)
{
    while (w->base < w->next) {
        uint64_t *word = &w->words[w->base / 64 & w->word_mask];
        uint64_t undone = ~*word >> w->base % 64;
        unsigned rest = 64 - (unsigned)(w->base % 64);
        unsigned done = undone ? (unsigned)__builtin_ctzll(undone) : rest;
        if (done > rest)
            done = rest;
        w->base += done;
        if (done < rest)
            break;
        *word = 0;
    }
    drop_runs(w);
}

bool watermark_done(struct watermark *w, uint64_t position)
{
    if (w->first_run == w->end_run)
        return false;
    uint64_t at = find_run(w, position);
    const struct run *r = &w->runs[at & w->run_mask];
    if (position < r->position)
        return false;
    uint64_t index = r->index + (position - r->position);
    uint64_t end = at + 1 == w->end_run ? w->next : w->runs[(at + 1) & w->run_mask].index;
    if (index >= end || index < w->base)
        return false;
    uint64_t *word = &w->words[index / 64 & w->word_mask], bit = UINT64_C(1) << index % 64;
    if (*word & bit)
        return false;
    *word |= bit;
    w->open--;
    if (index == w->base)
        advance(w);
    return true;
}

uint64_t watermark_mark(const struct watermark *w)
{
    if (w->first_run == w->end_run)
        return 0;
    const struct run *r = &w->runs[w->first_run & w->run_mask];
    return r->position + (w->base - r->index);
}

uint64_t watermark_open(const struct watermark *w)
{
    return w->open;
}

uint64_t watermark_span(const struct watermark *w)
{
    return w->next - w->base;
}

uint64_t watermark_held(const struct watermark *w)
{
    return w->next - w->base - w->open;
}
