/* The file, stdin and stdout endpoint kinds, for the table in endpoint/kinds.c. */
#pragma once

#include "endpoint/kind.h"

extern const struct source_kind file_lines_source;
extern const struct source_kind stdin_lines_source;
extern const struct sink_kind file_lines_sink;
extern const struct sink_kind stdout_lines_sink;
