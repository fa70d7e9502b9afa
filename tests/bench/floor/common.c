/* Buffers and addresses of the floor's sources and sinks. */
#include "floor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

char *queue_room(struct bytes_queue *q, size_t n)
{
    if (q->begin == q->end)
        q->begin = q->end = 0;
    if (q->end + n > q->size && q->begin) {
        memmove(q->data, q->data + q->begin, q->end - q->begin);
        q->end -= q->begin;
        q->begin = 0;
    }
    while (q->end + n > q->size) {
        q->size = q->size ? q->size * 2 : 4 * READ_BYTES;
        q->data = realloc(q->data, q->size);
        if (!q->data)
            die("realloc", strerror(errno));
    }
    return q->data + q->end;
}

void queue_put(struct bytes_queue *q, const void *data, size_t n)
{
    memcpy(queue_room(q, n), data, n);
    q->end += n;
}

bool queue_write(struct bytes_queue *q, int fd)
{
    while (q->begin < q->end) {
        ssize_t n = send(fd, q->data + q->begin, q->end - q->begin, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0 && errno != EINTR)
            die("send", strerror(errno));
        if (n > 0)
            q->begin += (size_t)n;
    }
    return true;
}

bool queue_read(struct bytes_queue *q, int fd)
{
    ssize_t n = recv(fd, queue_room(q, READ_BYTES), READ_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0)
        die("recv", n == 0 ? "closed by the broker" : strerror(errno));
    q->end += (size_t)n;
    return true;
}

struct address address_parse(const char *text)
{
    struct address a = { 0 };
    const char *host_end = strchr(text, ':'), *port_end = host_end ? strchr(host_end + 1, ':') : NULL;
    if (!port_end || (size_t)(host_end - text) >= sizeof(a.host))
        die(text, "is not HOST:PORT:NAME");
    memcpy(a.host, text, (size_t)(host_end - text));
    a.port = (int)strtol(host_end + 1, NULL, 10);
    a.name = port_end + 1;
    snprintf(a.host_port, sizeof(a.host_port), "%s:%d", a.host, a.port);
    return a;
}
