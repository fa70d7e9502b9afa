/* Writing lines to a file or to standard output, so that what is there is whole lines also after a failure. All of it may
 * block: on the disk's thread. */
#pragma once

#include "base/bytes.h"

struct writer {
    int fd;         /* -1: closed */
    int give_up_fd; /* an eventfd: writer_give_up */
    bool pollable;  /* pipes, terminals, sockets: who reads may stall, and nothing written can be taken back */
    bool is_socket;
    bool own;      /* opened by its path: nobody shares its position */
    bool torn;     /* the last thing written is part of a line */
    uint64_t size; /* of a regular file, as far as this writer knows */
};

void writer_init(struct writer *w); /* any thread, before all else */
/* path NULL: standard output, left as it is for whoever has it too. 0, or an errno. */
int writer_open(struct writer *w, const char *path);
/* Writes all of it, unless something fails: *error is then an errno, ECANCELED after writer_give_up. Returns how many bytes are
 * there for good; a line that is there in part is cut off, or ended before the next write begins. Begins with a whole line. */
size_t writer_write(struct writer *w, struct bytes lines, int *error);
int writer_sync(struct writer *w); /* 0, or an errno; nothing where there is no disk */
void writer_close(struct writer *w);
void writer_give_up(struct writer *w); /* any thread: ends a wait for a reader, now and later */
void writer_free(struct writer *w);
