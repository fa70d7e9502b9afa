/* The partitions of a source: which are assigned, how far each is done, and what the group was told of it.
 *
 *   offsets    ... 40 41 42 43 44 45 46          confirmed: 41   the broker's answer to a commit
 *   done bit       1  1  1  0  1  1  .           stored:    42   given to librdkafka for its next commit
 *                        ^mark                   mark:      43   what may be stored
 *
 *   unsettled = done behind the mark (44, 45) + done and not confirmed (41, 42)
 */
#pragma once

#include "base/map.h"
#include "endpoint/source.h"
#include "endpoint/watermark.h"

#include <librdkafka/rdkafka.h>

struct partition {
    struct origin origin; /* its name is owned */
    uint64_t index;       /* in items: a token's b */
    uint32_t generation;  /* of its assignment; 0: not assigned */
    struct watermark *mark;
    uint64_t next;  /* one past the newest taken */
    uint64_t taken; /* of this generation */
    uint64_t stored, confirmed;
    uint64_t held, unconfirmed; /* its part of the sums below */
};

/* One that was assigned once stays: messages refer to its origin. */
struct partitions {
    struct partition **items;
    size_t count, cap;
    struct strmap by_name;       /* topic, '/', number */
    const char *connection;      /* for origins */
    const rd_kafka_topic_t *rkt; /* of the newest record, and … */
    struct partition *latest;    /* … its partition: records come in runs */
    size_t assigned;             /* how many are */
    uint64_t open;               /* taken and not done */
    uint64_t held, unconfirmed;  /* done behind the mark; done and not confirmed */
    uint32_t last_generation;
};

static inline uint64_t partitions_unsettled(const struct partitions *ps)
{
    return ps->held + ps->unconfirmed;
}

void partitions_init(struct partitions *ps, const char *connection);
void partitions_clear(struct partitions *ps);
/* A new generation of it. */
void partitions_assign(struct partitions *ps, const char *topic, int32_t number);
/* NULL: not assigned. */
struct partition *partitions_find(struct partitions *ps, const rd_kafka_message_t *m);
/* False: the offset went back within the assignment (the log was cut, or the topic made anew). The caller tells the route
 * that the old generation is returned; the new one has taken the offset already. */
bool partitions_take(struct partitions *ps, struct partition *p, uint64_t offset, uint32_t *returned);
void partitions_done(struct partitions *ps, const struct token *tokens, size_t n);
/* Gives librdkafka the marks that moved. */
void partitions_store(struct partitions *ps, rd_kafka_t *rk);
/* The answer to a commit. */
void partitions_confirm(struct partitions *ps, const rd_kafka_topic_partition_list_t *offsets);
/* Nothing is assigned any more; visit gets each generation that had messages open. */
void partitions_revoke(struct partitions *ps, void (*visit)(void *arg, uint32_t generation), void *arg);
