/* What RabbitMQ's reply codes mean: the one table. */
#pragma once

#include "endpoint/sink.h"

struct reply {
    unsigned code;
    const char *name;
    enum verdict_class constant;  /* of a publish that is to blame, to a destination named by a constant */
    enum verdict_class templated; /* the same, to one named by a template */
    bool fault;        /* somebody has to mend something first: probe slowly. Otherwise it passes by itself */
    const char *words; /* what to do about it; NULL: the broker's own words say it */
};

/* Never NULL: a code that is not in the table gets the row of 541, INTERNAL_ERROR. */
const struct reply *rabbit_reply_of(unsigned code);
/* The same for a broker's close of a channel or connection, where the text tells apart what the code does not. */
const struct reply *rabbit_reply_of_close(unsigned code, struct bytes text);

/* The exchange or queue that a reply text names: "NOT_FOUND - no exchange 'x' in vhost '/'"; NULL bytes when it names none.
 * A slice of text. */
struct bytes rabbit_reply_object(struct bytes text);
/* The size limit in "message size 140 is larger than configured max size 128"; 0 when the text is another. */
uint64_t rabbit_reply_size_limit(struct bytes text);
