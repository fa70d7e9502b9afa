/* Lines as the operating system takes them. */
#include "endpoint/file/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void writer_init(struct writer *w)
{
    *w = (struct writer){ .fd = -1, .give_up_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
}

/* A last line without a newline was torn by a crash, of ours or of someone else. */
static bool ends_torn(int fd, off_t size)
{
    char last;
    return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

int writer_open(struct writer *w, const char *path)
{
    /* O_NONBLOCK: opening a pipe that nobody reads fails instead of waiting. O_RDWR would make it its own reader. */
    w->fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0640)
                 : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    struct stat st;
    if (w->fd < 0 || fstat(w->fd, &st) < 0)
        return errno;
    w->is_socket = S_ISSOCK(st.st_mode);
    w->pollable = w->is_socket || S_ISFIFO(st.st_mode) || isatty(w->fd);
    w->own = path;
    w->torn = false;
    w->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    if (path && S_ISREG(st.st_mode)) {
        int readable = open(path, O_RDONLY | O_CLOEXEC);
        w->torn = readable >= 0 && ends_torn(readable, st.st_size);
        if (readable >= 0)
            close(readable);
    }
    return 0;
}

/* Waits until a reader takes more. 0, or an errno. */
static int wait_for_reader(struct writer *w)
{
    struct pollfd fds[] = { { .fd = w->fd, .events = POLLOUT }, { .fd = w->give_up_fd, .events = POLLIN } };
    while (poll(fds, 2, -1) < 0)
        if (errno != EINTR)
            return errno;
    return fds[1].revents ? ECANCELED : 0;
}

/* What a pipe takes without blocking, and without another writer's lines in the middle: whole lines, unless the first is
 * longer than that. */
static size_t piece(struct bytes data)
{
    size_t most = data.len < PIPE_BUF ? data.len : PIPE_BUF;
    const uint8_t *last = memrchr(data.data, '\n', most);
    return last ? (size_t)(last - data.data) + 1 : most;
}

/* Some of data; a negative errno. Standard output may be shared with a shell that wants it blocking, so it stays as it is: a
 * pipe that is ready takes PIPE_BUF bytes without blocking. */
static ssize_t write_some(struct writer *w, struct bytes data)
{
    size_t n = data.len;
    if (w->pollable) {
        int error = wait_for_reader(w);
        if (error)
            return -error;
        n = piece(data);
    }
    ssize_t written = w->is_socket ? send(w->fd, data.data, n, MSG_DONTWAIT | MSG_NOSIGNAL)
                                   : write(w->fd, data.data, n);
    if (written < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    return written;
}

static size_t write_all(struct writer *w, struct bytes data, int *error)
{
    size_t at = 0;
    *error = 0;
    while (at < data.len && !*error) {
        ssize_t n = write_some(w, bytes_of(data.data + at, data.len - at));
        if (n < 0)
            *error = (int)-n;
        else
            at += (size_t)n;
    }
    w->size += at;
    return at;
}

/* Takes back the last torn bytes. Not where somebody else has appended meanwhile: then the next write ends the line. */
static void mend(struct writer *w, size_t torn)
{
    struct stat st;
    off_t whole = (off_t)(w->size - torn);
    if (w->own && fstat(w->fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == w->size &&
        ftruncate(w->fd, whole) == 0)
        w->size = (uint64_t)whole;
    else
        w->torn = true;
}

size_t writer_write(struct writer *w, struct bytes lines, int *error)
{
    if (w->torn) {
        if (write_all(w, BYTES_LITERAL("\n"), error) == 0)
            return 0;
        w->torn = false;
    }
    size_t written = write_all(w, lines, error);
    const uint8_t *last = written ? memrchr(lines.data, '\n', written) : NULL;
    size_t whole = last ? (size_t)(last - lines.data) + 1 : 0;
    if (whole < written)
        mend(w, written - whole);
    return whole;
}

int writer_sync(struct writer *w)
{
    if (w->pollable || fdatasync(w->fd) == 0)
        return 0;
    return errno;
}

void writer_close(struct writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

void writer_give_up(struct writer *w)
{
    uint64_t one = 1;
    ssize_t n = write(w->give_up_fd, &one, sizeof(one));
    (void)n; /* it fails only when it is set already */
}

void writer_free(struct writer *w)
{
    writer_close(w);
    if (w->give_up_fd >= 0)
        close(w->give_up_fd);
}
