/* The test endpoint kinds, for the table in endpoint/kinds.c. */
#pragma once

#include "endpoint/kind.h"

extern const struct source_kind test_generate_source;
extern const struct sink_kind test_discard_sink;
