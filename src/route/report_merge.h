/* How the engine puts lanes' reports together. */
#pragma once

#include "route/lane.h"

void report_merge_route(struct route_report *into, const struct route_report *from);
void report_add_lane(struct report *r, struct lane_report *part); /* may take from part, which stays the caller's */
void report_sort(struct report *r, const struct settings *s);     /* in the order of the file; those it has not, last */
