/* A bare bridge: what the client libraries alone can do, as the floor that ferryd is measured against. One route, one
 * thread, poll(2); no error handling but to end, no ferryd code. A source's items go to the sink at once; what the sink
 * confirmed is settled at the source. The same settings towards the brokers as ferryd's.
 *
 *   source->read ─▶ items ─▶ sink->send ··· broker ··· sink->read ─▶ floor_confirmed ─▶ source->settle */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source;
struct sink;

enum { READ_BYTES = 256 << 10 };

/* One message in flight; the source's position in a and b, and in keep what must live until it is settled. */
struct slot {
    uint64_t a, b;
    void *keep;
};

/* Payload and key are valid during send only, unless the slot keeps them. */
struct item {
    const char *payload, *key;
    size_t len, key_len;
    struct slot *slot;
};

struct floor_options {
    uint64_t count, rate, keys;
    size_t size;
    bool transient;     /* RabbitMQ: not persistent */
    bool properties;    /* RabbitMQ: as many as ferryd writes */
    bool measure_delay; /* discard: payloads begin with the time of their making */
    const char *group, *linger;
};

struct source {
    int fd;
    bool wants_write;
    void (*read)(struct source *s);
    void (*settle)(struct source *s, struct slot *const *slots, size_t n); /* what the sink confirmed, in any order */
    void (*flush)(struct source *s);                                       /* once a pass: acknowledge, ask for more */
};

struct sink {
    int fd;
    bool wants_write;
    size_t window;
    void (*send)(struct sink *s, const struct item *items, size_t n);
    void (*read)(struct sink *s);
    void (*flush)(struct sink *s);
};

struct source *generate_source(const struct floor_options *o);
struct source *redis_source(const char *address, const struct floor_options *o);
struct source *rabbit_source(const char *address, const struct floor_options *o);
struct source *kafka_source(const char *address, const struct floor_options *o);
struct sink *discard_sink(const struct floor_options *o);
struct sink *redis_sink(const char *address, const struct floor_options *o);
struct sink *rabbit_sink(const char *address, const struct floor_options *o);
struct sink *kafka_sink(const char *address, const struct floor_options *o);

/* The loop's side. */
uint64_t floor_now_ns(void);
size_t floor_room(void); /* how many items the source may hand over now */
struct slot *floor_slot(void);
void floor_items(const struct item *items, size_t n);
void floor_confirmed(struct slot *const *slots, size_t n);
_Noreturn void die(const char *what, const char *why);

/* What waits to be written to a socket, or was read from it and not understood yet. */
struct bytes_queue {
    char *data;
    size_t begin, end, size;
};
char *queue_room(struct bytes_queue *q, size_t n); /* n bytes at q->end */
void queue_put(struct bytes_queue *q, const void *data, size_t n);
bool queue_write(struct bytes_queue *q, int fd); /* false: some is left */
bool queue_read(struct bytes_queue *q, int fd);  /* false: nothing was there */

/* "HOST:PORT:NAME", or "HOST:PORT:NAME" with colons in NAME. */
struct address {
    char host[64], host_port[80];
    int port;
    const char *name;
};
struct address address_parse(const char *text);
