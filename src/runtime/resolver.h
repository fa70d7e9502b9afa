/* Looking names up on a thread of its own: inside of dial.c. */
#pragma once

#include "runtime/dial.h"

#include <netdb.h>

struct lookup;

/* on_found runs on the loop, never inside lookup_start: found is the callee's (freeaddrinfo), or NULL and error says why,
 * valid during the call. host and port are copied; port is a number. */
struct lookup *lookup_start(struct resolver *r, struct loop *l, const char *host, const char *port,
                            void (*on_found)(void *arg, struct addrinfo *found, const char *error), void *arg);
/* The loop's thread, before on_found, which is not called then; a lookup under way ends by itself, unseen. */
void lookup_cancel(struct lookup *k);
