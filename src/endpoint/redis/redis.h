/* The Redis endpoint kinds, for the table in endpoint/kinds.c. */
#pragma once

#include "endpoint/kind.h"

extern const struct connection_kind redis_connection;
extern const struct transport redis_transport;
extern const struct source_kind redis_stream_source;
extern const struct source_kind redis_list_source;
extern const struct source_kind redis_channel_source;
extern const struct source_kind redis_pattern_source;
extern const struct sink_kind redis_stream_sink;
extern const struct sink_kind redis_list_sink;
extern const struct sink_kind redis_channel_sink;
