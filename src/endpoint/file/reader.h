/* Opening and reading what lines come from: a file, a pipe, a terminal, standard input. All of it may block; on the disk's
 * thread, but for reader_read where the descriptor is pollable. */
#pragma once

#include "base/bytes.h"
#include "endpoint/state.h"

/* What an errno of opening or reading means for the route. */
enum endpoint_state reader_state_of(int error);

struct reader {
    int fd;        /* -1: closed */
    bool pollable; /* pipes, terminals, sockets: read on the loop when it says so; never blocks then */
    bool is_socket;
};

/* path NULL: standard input, left as it is for whoever has it too. 0, or an errno. */
int reader_open(struct reader *r, const char *path);
/* Bytes read, 0 at the end, or a negative errno; -EAGAIN when there is nothing yet. */
long reader_read(struct reader *r, uint8_t *to, size_t room);
void reader_close(struct reader *r);
