/* Opening a connection without blocking: the name is resolved on the resolver thread, then each address is tried in turn
 * by a non-blocking connect. Addresses: "host:port", "[v6]:port", or "/path" for a unix socket.
 *
 * A peer that vanished is noticed within 30 s: by keep-alive probes (after 10 s of silence, every 5 s) when nothing is sent,
 * by TCP_USER_TIMEOUT (20 s) when what was sent is not acknowledged. */
#pragma once

#include "runtime/loop.h"

struct resolver; /* a thread of getaddrinfo calls; one for the process */
struct resolver *resolver_new(void);
/* No dial may be left; NULL is allowed. A lookup that is still under way (of a dial that was cancelled) is not waited for,
 * as it may take half a minute: the thread ends by itself after it. */
void resolver_free(struct resolver *r);

struct dial_request {
    struct resolver *resolver;
    struct loop *loop;
    const char *const *addresses; /* NULL-terminated, copied; tried in this order from `first` on, round */
    size_t first;
    int64_t timeout_us; /* for the whole attempt, each address has its share; 0: 5 s */
    /* The kernel's TCP_USER_TIMEOUT also kills a connection whose peer lives but reads nothing for 20 s, as RabbitMQ does
     * under an alarm. True leaves it out: then the protocol's own heartbeats must notice a peer that vanished. */
    bool peer_may_pause;
    /* Once, never inside dial_start. fd >= 0: connected, non-blocking, TCP_NODELAY and keep-alive set, the caller's;
     * index is which address answered. fd < 0: error says why for each address ("k1:9092: connection refused"), valid
     * during the call. */
    void (*on_done)(void *arg, int fd, size_t index, const char *error);
    void *arg;
};
struct dial;
struct dial *dial_start(const struct dial_request *request);
void dial_cancel(struct dial *d); /* before on_done only; on_done is not called; NULL is allowed */
