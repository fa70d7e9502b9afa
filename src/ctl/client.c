/* Talks to the control socket. */
#include "ctl/client.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX (64 << 20) /* bytes; a daemon with 10,000 routes stays well below */

static void explain_connect(struct buf *error, const char *path)
{
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
        buf_printf(error, "ferryd is not running, or not with this socket: %s: %s", path,
                   errno == ECONNREFUSED ? "nobody listens" : "no such file");
    else if (errno == EACCES)
        buf_printf(error, "%s: permission denied; be root, or in the group of the socket", path);
    else
        buf_printf(error, "%s: %s", path, strerror(errno));
}

/* A connected socket, or -1. */
static int client_connect(const char *path, struct buf *error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        buf_printf(error, "%s: longer than a socket's path may be", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    explain_connect(error, path);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A request is less than a socket's buffer, so that one send takes it. */
static bool client_send(int fd, const json_t *request, struct buf *error)
{
    char *text = json_dumps(request, JSON_COMPACT);
    struct buf line = BUF_EMPTY;
    if (text)
        buf_append_string(&line, text);
    buf_append_byte(&line, '\n');
    free(text);
    bool sent = send(fd, line.data, line.len, MSG_NOSIGNAL) == (ssize_t)line.len;
    if (!sent)
        buf_printf(error, "ferryd does not take the request: %s", strerror(errno));
    buf_free(&line);
    return sent;
}

/* Reads up to the end of the line. */
static bool client_receive(int fd, int timeout_s, struct buf *line, struct buf *error)
{
    int64_t until = clock_us() + timeout_s * SEC;
    while (!line->len || line->data[line->len - 1] != '\n') {
        int64_t left_ms = (until - clock_us()) / MSEC;
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (left_ms <= 0 || poll(&p, 1, (int)left_ms) == 0) {
            buf_printf(error, "ferryd did not answer within %d s", timeout_s);
            return false;
        }
        ssize_t n = recv(fd, buf_reserve(line, 65536), 65536, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || line->len > ANSWER_MAX) {
            buf_printf(error, "ferryd closed the connection without an answer%s%s", n < 0 ? ": " : "",
                       n < 0 ? strerror(errno) : "");
            return false;
        }
        line->len += (size_t)n;
    }
    return true;
}

json_t *client_call(const char *socket_path, const json_t *request, int timeout_s, struct buf *error)
{
    int fd = client_connect(socket_path, error);
    if (fd < 0)
        return NULL;
    struct buf line = BUF_EMPTY;
    json_t *answer = NULL;
    if (client_send(fd, request, error) && client_receive(fd, timeout_s, &line, error)) {
        answer = json_loadb((const char *)line.data, line.len, 0, NULL);
        if (!json_is_object(answer)) {
            json_decref(answer);
            answer = NULL;
            buf_printf(error, "%s: what answers there is no ferryd", socket_path);
        }
    }
    buf_free(&line);
    close(fd);
    return answer;
}
