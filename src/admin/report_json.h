/* A report as JSON: the one place that names its fields, for ferryctl and whoever else reads it. */
#pragma once

#include "route/report.h"

#include <jansson.h>

/* A route is healthy when it runs, or has brought all it had, and its messages add up. */
bool report_route_healthy(const struct route_report *r);
bool report_healthy(const struct report *r); /* all routes, and every lane answered */

/* The caller owns what these return. */
json_t *report_json(const struct report *r); /* everything, as the body of `status` */
json_t *report_json_route(const struct route_report *r);
json_t *report_json_routes(const struct report *r);
json_t *report_json_connections(const struct report *r);
