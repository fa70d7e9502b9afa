/* The publishes of a channel that the broker has not confirmed yet. Their numbers are AMQP's: from 1, one more each. Pure.
 *
 *   head: the oldest unconfirmed      tail: the next to be sent
 *   … done │ open  done  open  open │ …                                                            */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message;

struct publish {
    void *tag; /* the route's */
    const struct message *message;
    uint64_t offset;   /* in the link's output, where it begins */
    uint64_t exchange; /* hash of its name: whom a 404 blames */
    char *returned;    /* why it came back by basic.return; NULL: it did not. The visitor frees it. */
    uint32_t bytes;    /* counted against the window */
    bool done;
};

struct confirms {
    struct publish *slots;
    size_t mask;
    uint64_t head, tail;
    uint64_t bytes; /* of what is open */
    size_t open;
};

void rabbit_confirms_init(struct confirms *c);
void rabbit_confirms_free(struct confirms *c);
/* The next publish, clear but for being open; valid until the next push. */
struct publish *rabbit_confirms_push(struct confirms *c, uint32_t bytes);
/* NULL when that number is not open. */
struct publish *rabbit_confirms_get(struct confirms *c, uint64_t number);
/* basic.ack or basic.nack: calls visit for each that it newly tells of, in order (it may not push). multiple with 0 is all.
 * False: the broker confirms what was never sent. */
bool rabbit_confirms_settle(struct confirms *c, uint64_t number, bool multiple,
                            void (*visit)(void *arg, struct publish *p), void *arg);
/* All open ones are told of, oldest first; then numbers begin from 1 again, as on a new channel. */
void rabbit_confirms_reset(struct confirms *c, void (*visit)(void *arg, struct publish *p), void *arg);
