/* Reads signals from a descriptor, so that their handlers are ordinary callbacks. */
#include "daemon/signals.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t handled(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

void signals_block(void)
{
    sigset_t set = handled();
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void on_ready(void *arg, unsigned ready)
{
    struct signals *s = arg;
    struct signalfd_siginfo info;
    (void)ready;
    while (read(s->fd, &info, sizeof info) == (ssize_t)sizeof info)
        s->on_signal(s->arg, (int)info.ssi_signo);
}

void signals_open(struct signals *s, struct loop *loop, void (*on_signal)(void *arg, int number), void *arg)
{
    sigset_t set = handled();
    s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->fd < 0)
        abort(); /* no descriptors or memory at start-up */
    s->on_signal = on_signal;
    s->arg = arg;
    io_init(&s->io, loop, s->fd, on_ready, s);
    io_want(&s->io, IO_READ);
}

void signals_close(struct signals *s)
{
    io_close(&s->io);
    close(s->fd);
}
