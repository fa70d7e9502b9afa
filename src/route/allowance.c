/* A limit, as one route instance uses it. */
#include "route/allowance.h"

void allowance_use(struct allowance *a, int64_t amount)
{
    int64_t covered = a->granted < amount ? a->granted : amount;
    if (covered < 0)
        covered = 0;
    a->granted -= amount;
    a->held += amount;
    if (amount > covered)
        budget_force(&a->budget, amount - covered);
}

void allowance_give(struct allowance *a)
{
    budget_give(&a->budget, a->freed);
    a->freed = 0;
}

int64_t allowance_top_up(struct allowance *a, int64_t most, bool *lacking)
{
    if (a->granted > most / 2)
        return 0;
    int64_t debt = a->granted < 0 ? -a->granted : 0; /* held already, and paid for by force */
    int64_t got = budget_take(&a->budget, most - a->granted - debt);
    if (got <= 0) {
        *lacking = a->granted <= 0;
        return 0;
    }
    a->granted += debt + got;
    return debt + got;
}
