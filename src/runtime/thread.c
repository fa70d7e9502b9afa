/* Starting threads. */
#include "runtime/thread.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

enum { NAME_MAX_LEN = 15 }; /* the kernel's */

struct start {
    char name[NAME_MAX_LEN + 1];
    void *(*run)(void *);
    void *arg;
};

static void *on_started(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    pthread_setname_np(pthread_self(), start.name);
    return start.run(start.arg);
}

pthread_t thread_start(const char *name, void *(*run)(void *), void *arg)
{
    struct start *start = mem_zero(sizeof(*start));
    snprintf(start->name, sizeof(start->name), "%s", name);
    start->run = run;
    start->arg = arg;

    /* Inherited, so that there is no moment in which the new thread takes a signal. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    errno = pthread_create(&thread, NULL, on_started, start);
    if (errno) {
        log_error("thread", "cannot start %s: %m", name);
        abort();
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return thread;
}
