/* What is counted for each route and each of its sinks: one row a counter. Lanes own the counters and count plainly; readers
 * get a snapshot by mail. X(field, name in status, unit, help) */
#pragma once

#include <stdint.h>

/* in = delivered + dead + filtered + duplicate + returned + in_flight, always, in source messages. in_flight is derived. */
#define ROUTE_COUNTERS(X)                                                                                    \
    X(in, "in", "messages", "messages taken from the source")                                                \
    X(delivered, "delivered", "messages", "messages that every sink confirmed")                              \
    X(dead, "dead", "messages", "messages that the dead-letter endpoint confirmed")                          \
    X(filtered, "filtered", "messages", "messages that policy dropped")                                      \
    X(duplicate, "duplicate", "messages", "messages that deduplication dropped")                             \
    X(returned, "returned", "messages", "messages that the source took back before their outcome was known") \
    X(bytes_in, "bytes_in", "bytes", "payload, key, id and headers taken from the source")

#define SINK_COUNTERS(X)                                                                    \
    X(sent, "sent", "messages", "deliveries handed to the sink, repeats included")          \
    X(confirmed, "confirmed", "messages", "deliveries that the destination confirmed")      \
    X(again, "again", "messages", "deliveries held for a broker that cannot take them now") \
    X(retry, "retry", "messages", "deliveries that failed and may pass later")              \
    X(rejected, "rejected", "messages", "deliveries that the destination will never take")  \
    X(fault, "fault", "messages", "deliveries held because the route itself is wrong")      \
    X(unknown, "unknown", "messages", "deliveries sent without an answer, sent again")      \
    X(bytes_out, "bytes_out", "bytes", "payload, key, id and headers confirmed")

#define COUNTER_FIELD(field, name, unit, help) uint64_t field;
struct route_counters {
    ROUTE_COUNTERS(COUNTER_FIELD)
};
struct sink_counters {
    SINK_COUNTERS(COUNTER_FIELD)
};
#undef COUNTER_FIELD

static inline uint64_t route_in_flight(const struct route_counters *c)
{
    return c->in - c->delivered - c->dead - c->filtered - c->duplicate - c->returned;
}
