/* Makes and removes the control socket's file. */
#include "admin/listen.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

static bool fail(struct buf *error, const char *path, const char *what)
{
    buf_printf(error, "%s: %s", path, what);
    return false;
}

/* The directory's descriptor, locked: two daemons that start at once look and bind one after the other. -1: error says why. */
static int lock_directory(const char *path, struct buf *error)
{
    char *copy = mem_string(path);
    const char *directory = dirname(copy);
    mkdir(directory, 0750); /* one that is there is as good */
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        fail(error, directory, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    free(copy);
    return fd;
}

/* Removes what a daemon that was killed left behind. */
static bool make_room(const char *path, const struct sockaddr_un *address, struct buf *error)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT || fail(error, path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return fail(error, path, "this is there and is no socket");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(error, path, strerror(errno));
    bool stale = connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED;
    close(fd);
    if (!stale)
        return fail(error, path, "another ferryd answers here; give this one its own admin.socket");
    return unlink(path) == 0 || fail(error, path, strerror(errno));
}

static bool bind_and_listen(struct listener *l, const struct sockaddr_un *address, struct buf *error)
{
    struct stat st;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0 || bind(l->fd, (const struct sockaddr *)address, sizeof *address) < 0)
        return fail(error, l->path, strerror(errno));
    /* The umask made it stricter; until listen nobody gets in anyway. */
    if (chmod(l->path, 0660) < 0 || lstat(l->path, &st) < 0 || listen(l->fd, BACKLOG) < 0)
        return fail(error, l->path, strerror(errno));
    l->device = st.st_dev;
    l->inode = st.st_ino;
    return true;
}

bool listener_open(struct listener *l, const char *path, struct buf *error)
{
    *l = (struct listener){ .fd = -1 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return fail(error, path, "longer than the 107 bytes that a socket's path may have");
    memcpy(address.sun_path, path, strlen(path) + 1);
    int lock = lock_directory(path, error);
    if (lock < 0)
        return false;
    l->path = mem_string(path);
    bool ok = make_room(path, &address, error) && bind_and_listen(l, &address, error);
    close(lock);
    if (!ok)
        listener_close(l);
    return ok;
}

void listener_close(struct listener *l)
{
    struct stat st;
    if (l->inode && lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode)
        unlink(l->path);
    if (l->fd >= 0)
        close(l->fd);
    free(l->path);
    *l = (struct listener){ .fd = -1 };
}
