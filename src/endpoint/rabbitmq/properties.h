/* AMQP basic properties and headers, as a message's headers, key, id and timestamp, and back. docs/mapping.md, section
 * RabbitMQ, is the text behind this. */
#pragma once

#include "endpoint/rabbitmq/arena.h"
#include "endpoint/rabbitmq/wire.h"

/* Names of our own in the header table. A header that has one by itself gets RESERVED_ESCAPE in front. */
#define RESERVED_KEY      "ferry.key"      /* the message's key */
#define RESERVED_NULL     "ferry.null"     /* true: there is no payload */
#define RESERVED_DERIVED  "ferry.derived"  /* which properties the sink made up: "id;timestamp=MILLISECONDS" */
#define RESERVED_REPEATED "ferry.repeated" /* arrays that were repeated headers, and where those stood */
#define RESERVED_ESCAPE   "ferry.escaped."
/* A table entry with the name of a property header gets this in front when it becomes a header. */
#define TABLE_PREFIX "amqp.headers."

struct part;

/* What reading needs in between, kept from message to message. Zero-initialise; rabbit_properties_reader_close at the end. */
struct properties_reader {
    struct part *parts;
    size_t count, cap;
    struct buf texts; /* of values that are no slices of the input */
    struct bytes key, message_id, repeated;
    uint64_t timestamp;
    int64_t derived_timestamp_ms;
    bool has_timestamp, derived_timestamp, derived_id, null_payload;
};

/* A new message from the encoded properties and the body: its bytes are copied into the arena once. Properties that cannot be
 * parsed become one header, amqp.raw. *extra_memory gets extra bytes, 8-byte aligned, that live as long. The caller sets the
 * origin, flags of delivery and detail. */
struct message *rabbit_properties_read(struct properties_reader *r, struct arena *a, struct bytes raw,
                                       struct bytes body, size_t extra, uint8_t **extra_memory);
void rabbit_properties_reader_close(struct properties_reader *r);

struct properties_writer {
    struct bytes user; /* whom we are logged in as: RabbitMQ refuses any other user-id */
    struct destination *destinations;
    size_t cap;
    struct buf types, repeated;
};

/* Appends the encoded properties of m (flags first). NULL, or why AMQP cannot hold it, static; out is then as it was. max: how
 * many bytes there may be. */
const char *rabbit_properties_write(struct properties_writer *w, const struct message *m, size_t max, struct buf *out);
void rabbit_properties_writer_close(struct properties_writer *w);

/* The basic properties in the order of their flags, from bit 15 down. */
enum property_form { PROPERTY_TEXT, PROPERTY_TABLE, PROPERTY_OCTET, PROPERTY_TIME };
enum {
    CONTENT_TYPE,
    CONTENT_ENCODING,
    HEADERS,
    DELIVERY_MODE,
    PRIORITY,
    CORRELATION_ID,
    REPLY_TO,
    EXPIRATION,
    MESSAGE_ID,
    TIMESTAMP,
    TYPE,
    USER_ID,
    APP_ID,
    CLUSTER_ID,
    PROPERTIES
};
struct property {
    const char *name; /* of the header */
    size_t len;
    enum property_form form;
};
extern const struct property rabbit_properties[PROPERTIES];
/* Which property the header of that name is; -1: none. */
int rabbit_property_of(struct bytes name);
