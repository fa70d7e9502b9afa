/* What happens to messages between intake and delivery: a line of stages, each taking batches and finishing them in any
 * order, inside its run or later; between two stages what has finished is put back in sequence, per order group.
 *
 *   intake ─▶ enter ─▶ run ─▶ done (any order) ─▶ sequence ─▶ next stage … ─▶ delivery
 *
 * An order group is the messages of one order key (order: key; those without a key are a group too), or all (strict); with
 * order: none nothing waits for anything. */
#pragma once

#include "base/pool.h"
#include "route/root.h"

#include <stddef.h>

struct pipeline;

/* One message's passage through one stage. */
struct ticket {
    struct ticket *next; /* in its group */
    struct root *root;
    bool done;
};

struct stage;
struct stage_ops {
    /* Takes all; each is answered once by stage_done. */
    void (*run)(struct stage *s, struct ticket **tickets, size_t n);
    void (*free)(struct stage *s);
};
struct stage {
    const struct stage_ops *ops;
    struct pipeline *pipeline;
    size_t index;
};

/* deliver takes what left the last stage, in sequence. ordered: false for order: none. */
struct pipeline *pipeline_new(bool ordered, void (*deliver)(void *arg, struct root **roots, size_t n), void *arg);
/* Frees the stages too; what is inside them is forgotten: the roots are the route's. NULL is allowed. */
void pipeline_free(struct pipeline *p);
void pipeline_add(struct pipeline *p, struct stage *s); /* before the first run */
void pipeline_run(struct pipeline *p, struct root **roots, size_t n);
void stage_done(struct stage *s, struct ticket **tickets, size_t n);
/* Messages inside stages. */
size_t pipeline_count(const struct pipeline *p);
