/* What the Redis connections of one lane share. */
#pragma once

#include "endpoint/redis/chunk.h"
#include "endpoint/redis/link.h"

struct transport_lane {
    struct loop *loop;
    struct resolver *resolver;
    struct chunk_pool *chunks;
    struct list links;  /* struct redis_link.node */
    struct list closed; /* those whose memory goes at the end of this pass */
};

/* The link of a node of links, for the report. */
void link_report(struct list *node, struct connection_report *out);
void link_bury_closed(struct transport_lane *lane);
