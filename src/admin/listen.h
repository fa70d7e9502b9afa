/* The unix socket of the control protocol: making it, and taking it away. */
#pragma once

#include "base/buf.h"

#include <sys/types.h>

struct listener {
    int fd; /* non-blocking, close-on-exec; -1: none */
    char *path;
    dev_t device; /* of the socket's file, so that only our own is removed */
    ino_t inode;
};

/* Listens at path, mode 0660, making its directory (0750) if that is missing. A socket that nobody listens on any more is
 * replaced. False: error says why; so it does when another daemon answers there. */
bool listener_open(struct listener *l, const char *path, struct buf *error);
/* Closes and removes the file, if it is still this listener's. */
void listener_close(struct listener *l);
