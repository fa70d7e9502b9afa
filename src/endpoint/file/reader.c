/* Where lines come from, as the operating system has it. */
#include "endpoint/file/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Missing or forbidden is for a person to mend; all else may pass. */
enum endpoint_state reader_state_of(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EACCES:
    case EPERM:
    case ELOOP:
    case EBADF:
    case ENAMETOOLONG:
        return ENDPOINT_FAULT;
    default:
        return ENDPOINT_DOWN;
    }
}

/* Regular files, directories and some devices are none. */
static bool is_pollable(int fd)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN };
    bool pollable = epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
    if (epoll >= 0)
        close(epoll);
    return pollable;
}

/* O_NONBLOCK belongs to the open file, which a shell and others share: so a pipe or terminal is opened a second time. A
 * regular file is not: it would begin at its beginning. Where it cannot be, reading only when there is something is enough
 * as long as nobody else reads. */
static int open_stdin(void)
{
    struct stat st;
    if (fstat(STDIN_FILENO, &st) < 0)
        return -1;
    int fd = -1;
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        fd = open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    return fd >= 0 ? fd : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
}

int reader_open(struct reader *r, const char *path)
{
    r->fd = path ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) : open_stdin();
    struct stat st;
    if (r->fd < 0 || fstat(r->fd, &st) < 0)
        return errno;
    r->is_socket = S_ISSOCK(st.st_mode);
    r->pollable = is_pollable(r->fd);
    return 0;
}

long reader_read(struct reader *r, uint8_t *to, size_t room)
{
    ssize_t n;
    do
        n = r->is_socket ? recv(r->fd, to, room, MSG_DONTWAIT) : read(r->fd, to, room);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

void reader_close(struct reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}
