/* Opening a connection without blocking: the name is resolved on the resolver thread, then each address is tried in turn
 * by a non-blocking connect. Addresses: "host:port", "[v6]:port", or "/path" for a unix socket. */
#pragma once

#include "runtime/loop.h"

struct resolver; /* a thread of getaddrinfo calls; one for the process */
struct resolver *resolver_new(void);
void resolver_free(struct resolver *r); /* waits for a lookup that is under way */

struct dial_request {
    struct resolver *resolver;
    struct loop *loop;
    const char *const *addresses; /* NULL-terminated, copied; tried in this order from `first` on, round */
    size_t first;
    int64_t timeout_us; /* for the whole attempt; 0: 5 s */
    /* Once, never inside dial_start. fd >= 0: connected, non-blocking, TCP_NODELAY and keep-alive set, the caller's;
     * index is which address answered. fd < 0: error says why for each address ("k1:9092: connection refused"), valid
     * during the call. */
    void (*on_done)(void *arg, int fd, size_t index, const char *error);
    void *arg;
};
struct dial;
struct dial *dial_start(const struct dial_request *request);
void dial_cancel(struct dial *d); /* before on_done only; on_done is not called */
