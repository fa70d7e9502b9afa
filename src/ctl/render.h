/* The daemon's answers as text for people. Pure: answer in, text out. */
#pragma once

#include "ctl/table.h"

#include <jansson.h>

typedef void render_fn(const json_t *answer, bool colour, struct buf *out);

render_fn render_status, render_routes, render_route, render_connections, render_reload, render_version;
