/* A consumed record as a message, without copying: the message's slices point into librdkafka's fetch buffer, which the
 * record's event keeps alive. docs/mapping.md, "Kafka", is the text behind this. */
#pragma once

#include "base/pool.h"
#include "message/message.h"

#include <librdkafka/rdkafka.h>

/* How many records of one consumer are still somewhere; it cannot be ended before they are released. */
struct record_keeper {
    struct pool *pool;
    uint64_t outstanding;
    void (*on_none)(void *arg); /* the last one was released, and the keeper may be freed; NULL: nobody wants to know */
    void *arg;
};

struct record_keeper *record_keeper_new(void);
void record_keeper_free(struct record_keeper *k); /* nothing outstanding */

/* Takes the event, whose only record is m. The id is the position m->offset of origin, which the caller owns. */
struct message *record_message(struct record_keeper *k, rd_kafka_event_t *event, const rd_kafka_message_t *m,
                               const struct origin *origin);
/* The headers of a message as librdkafka takes them, with `ferry.types` where it is needed and room for extra more; NULL
 * when there are none and extra is 0. The caller's, until a produce call takes them. */
rd_kafka_headers_t *record_headers(const struct headers *h, size_t extra);
