/* Signals as callbacks of the main loop. */
#pragma once

#include "runtime/loop.h"

struct signals {
    int fd;
    struct io io;
    void (*on_signal)(void *arg, int number);
    void *arg;
};

/* Takes SIGTERM, SIGINT and SIGHUP away from the process and ignores SIGPIPE. Before any thread is made: threads inherit it. */
void signals_block(void);
/* Calls on_signal on the loop for each, those that came since signals_block included. */
void signals_open(struct signals *s, struct loop *loop, void (*on_signal)(void *arg, int number), void *arg);
void signals_close(struct signals *s);
