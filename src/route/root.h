/* A message tree's root: one source message from intake until its outcome is known.
 *
 *   token ─▶ root ─▶ message          open: branches (one a sink) whose outcome is not known yet
 *
 * A branch has no memory of its own while nothing is wrong with it: see parking.h for what is allocated when there is. */
#pragma once

#include "endpoint/source.h"

enum outcome { /* in the order of precedence among a root's branches: the last one wins */
               OUTCOME_NONE,
               OUTCOME_FILTERED,
               OUTCOME_DUPLICATE,
               OUTCOME_DELIVERED,
               OUTCOME_DEAD,
};

struct root {
    struct message *message; /* the original: what a dead letter will carry */
    uint64_t token_a, token_b;
    uint64_t ticket;     /* counts up in the order of intake */
    uint64_t order;      /* hash of the order key; 0: none, keeps the source's order only until it has to be held */
    uint32_t generation; /* of the token */
    uint16_t open;
    uint8_t outcome;    /* enum outcome */
    uint8_t orphan : 1; /* the source took it back: deliver no more, settle nothing */
    uint8_t holds : 7;  /* times in a row that it was held: the exponent of its backoff, saturating */
};

_Static_assert(sizeof(struct root) + sizeof(struct message) <= 128, "bookkeeping a message: DESIGN 6");

static inline struct token root_token(const struct root *r)
{
    return (struct token){ r->token_a, r->token_b, r->generation };
}
