/* One message: immutable, refcounted, and never copied while it only passes through. It belongs to one lane's thread at a
 * time; counts are plain.
 *
 *   source ──▶ message (slices) ──▶ backing: the source's buffer, kept alive while any slice of it is
 *
 * What parks, waits or spools is copied out by message_own: a few messages held back must not pin megabytes. */
#pragma once

#include "base/bytes.h"
#include "message/headers.h"

/* What keeps payload, key, id and header slices alive. Embed it in the buffer it stands for. */
struct backing {
    uint32_t refs;
    void (*free)(struct backing *b);
};
static inline struct backing *backing_ref(struct backing *b)
{
    b->refs++;
    return b;
}
static inline void backing_unref(struct backing *b) /* NULL is allowed */
{
    if (b && --b->refs == 0)
        b->free(b);
}

/* Where messages come from, shared by all of one stream, queue, channel or partition. Owned by the source; a route frees
 * its messages before its source. */
struct origin {
    const char *kind;       /* "redis stream", "kafka topic" */
    const char *connection; /* name in the configuration, "" when none */
    const char *name;       /* stream, list, channel, queue, topic */
    int32_t partition;      /* -1: none */
};

enum message_flags {
    MESSAGE_ID_STABLE = 1,   /* the id is the same when the message is delivered again */
    MESSAGE_ID_POSITION = 2, /* the id is "origin name-partition-position", made when asked for */
    MESSAGE_REDELIVERED = 4, /* the broker says that it was delivered before */
};

struct message {
    uint32_t refs;
    uint16_t flags;
    uint16_t id_len;
    uint32_t payload_len, key_len;
    const uint8_t *payload; /* NULL: no payload (a tombstone), which is not empty */
    const uint8_t *key;     /* NULL: none */
    union {
        const uint8_t *id; /* NULL: none */
        uint64_t position; /* with MESSAGE_ID_POSITION */
    };
    struct headers *headers; /* NULL: none */
    struct backing *backing; /* NULL: nothing to keep alive (or constant data) */
    const struct origin *origin;
    int64_t timestamp_ms;          /* the source's own, wall time; 0: none */
    struct message_detail *detail; /* NULL: none. Rare: what one kind of source alone knows, for meta() */
};

/* meta("exchange") and the like, for sources that have such per message: pairs of name and value, NULL-name-terminated,
 * in the backing's memory. */
struct message_detail {
    struct bytes name, value;
};

/* From the thread's pool, refs 1, everything else clear. */
struct message *message_new(void);
static inline struct message *message_ref(struct message *m)
{
    m->refs++;
    return m;
}
void message_unref(struct message *m); /* NULL is allowed */

static inline struct bytes message_payload(const struct message *m)
{
    return bytes_of(m->payload, m->payload_len);
}
static inline struct bytes message_key(const struct message *m)
{
    return bytes_of(m->key, m->key_len);
}
static inline void message_set_payload(struct message *m, struct bytes b)
{
    m->payload = b.data;
    m->payload_len = (uint32_t)b.len;
}
static inline void message_set_key(struct message *m, struct bytes b)
{
    m->key = b.data;
    m->key_len = (uint32_t)b.len;
}

#define MESSAGE_ID_MAX 320
/* The id's text, in the message or written to scratch. */
struct bytes message_id(const struct message *m, char scratch[MESSAGE_ID_MAX]);
/* meta("NAME"): kind, connection, stream|list|channel|queue|topic (the origin's name, under "name" too), partition, offset,
 * redelivered, and the detail. NULL bytes when there is none. */
struct bytes message_meta(const struct message *m, struct bytes name, char scratch[MESSAGE_ID_MAX]);
/* Bytes charged against limits: payload, key, id and headers. */
size_t message_size(const struct message *m);
/* Copies every slice into memory of its own and lets go of the backing. Nothing when it owns its bytes already. */
void message_own(struct message *m);
/* A new message that shares the old one's slices and headers, for a step that changes some of it. */
struct message *message_clone(const struct message *m);
/* A copy of s that lives as long as m does: it becomes part of a backing of m's own. For steps and derived keys. */
struct bytes message_hold(struct message *m, struct bytes s);
