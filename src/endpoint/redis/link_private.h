/* The insides of a link: link.c lives its life, link_io.c writes, reads and keeps what is expected. Between these alone. */
#pragma once

#include "endpoint/redis/lane.h"
#include "runtime/backoff.h"

enum phase { WAITING, DIALLING, LOGIN, UP };

struct expectation {
    reply_fn on_reply; /* NULL: forgotten */
    void *arg;
    uint64_t end; /* of its command, in bytes ever sent */
    uint32_t replies;
};

struct redis_link {
    struct list node;
    struct transport_lane *lane;
    const struct redis_connection *settings;
    enum link_role role;
    bool exclusive, closing;
    bool subscriber; /* replies are pushes, to the one user */
    int broken;      /* errno of a send; the loss is told from the timer, never inside a user's call */
    unsigned user_count;
    enum phase phase;
    struct endpoint_status status;
    struct list users;
    struct dial *dial;
    size_t host; /* the index that was or will be tried first */
    int fd;
    struct io io;
    struct timer timer; /* backoff while WAITING, the deadline of DIALLING and LOGIN, the heartbeat when UP */
    struct backoff backoff;
    unsigned epoch; /* counts connections: a callback that lost the connection is noticed by it */
    int64_t up_us, heard_us, asked_us, checked_us;
    bool pinged;

    struct buf out;
    size_t out_sent; /* of out */
    uint64_t sent;   /* bytes ever */
    struct task flush, bury;

    struct expectation *expected; /* a ring */
    size_t expected_mask, expected_head, expected_tail;

    struct chunk *chunk;
    size_t reply_at; /* where the reply that is being decoded begins in the chunk */
    struct resp_decoder decoder;
    bool reading;
    uint64_t bytes_in, bytes_out;
};

/* ---- link.c */

/* The connection is gone: waits for the next attempt, and tells all who expect something, then all users. Only a connection
 * that served for a while makes the next attempt a quick one. */
void link_lose(struct redis_link *l, const char *reason);
void link_lose_because(struct redis_link *l, const char *what, int error); /* error: errno, 0: none */

/* ---- link_io.c */

void link_on_ready(void *arg, unsigned ready); /* of the socket */
void link_on_flush(void *arg);                 /* the end of a pass */
bool link_expects(const struct redis_link *l);
/* Everyone learns, in order, that no reply will come; sent: how many bytes ever left. */
void link_fail_expected(struct redis_link *l, uint64_t sent);
