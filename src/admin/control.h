/* The control socket: lines of JSON in, lines of JSON out, for clients that may be hostile, slow or gone. Main thread. */
#pragma once

#include "admin/command.h"

struct control;

/* Listens at path and serves host's commands on the loop until control_free. NULL: error says why. The host outlives it. */
struct control *control_new(struct loop *loop, const char *path, const struct control_host *host, struct buf *error);
/* Closes the socket and every client, forgets what the host has not answered: it must not answer any more. NULL is allowed. */
void control_free(struct control *c);
