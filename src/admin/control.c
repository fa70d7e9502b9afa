/* Serves the control socket: accepts, reads one line at a time, runs it, writes the answer.
 *
 * A client costs one descriptor and at most a request and an answer of memory. It has two seconds to send a line and two to
 * take the answer. When all places are taken, the one that has been idle longest makes room, so that whoever wants something
 * gets in through any number of those who do not. */
#include "admin/control.h"

#include "admin/listen.h"
#include "admin/protocol.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX   64
#define DEADLINE      (2 * SEC)
#define ACCEPTS_MAX   16           /* in one pass: a flood of clients must not starve what else the loop does */
#define ACCEPT_PAUSE  (200 * MSEC) /* when there are no descriptors */
#define RECEIVE_CHUNK 1024

struct control {
    struct loop *loop;
    struct listener listener;
    struct io io;
    struct timer accept_again;
    const struct control_host *host;
    struct list clients; /* idle longest first */
    struct list jobs;
    size_t count;
};

struct client;
struct job { /* a request that is being run; outlives its client */
    struct list node;
    struct request request;
    struct client *client; /* NULL: it has gone */
};

struct client {
    struct list node;
    struct control *control;
    int fd;
    struct io io;
    struct timer deadline;
    struct task next; /* looks for the next line, never inside the answer to the last */
    struct ucred peer;
    char peer_text[48];
    struct buf in, out;
    size_t written;
    struct job *job;  /* NULL: none is running */
    bool close_after; /* the answer that is being written is the last */
};

static void client_close(struct client *c)
{
    if (c->job)
        c->job->client = NULL;
    c->control->count--;
    list_remove(&c->node);
    task_cancel(&c->next);
    timer_close(&c->deadline);
    io_close(&c->io);
    close(c->fd);
    buf_free(&c->in);
    buf_free(&c->out);
    free(c);
}

/* What the client has to do next it has to do before the deadline; it is now the one that was idle shortest. */
static void client_expect(struct client *c, unsigned what)
{
    io_want(&c->io, what);
    timer_set(&c->deadline, DEADLINE);
    list_remove(&c->node);
    list_push_back(&c->control->clients, &c->node);
}

/* ---- answers */

static void client_write(struct client *c)
{
    while (c->written < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->written, c->out.len - c->written, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && errno != EINTR) {
            client_close(c);
            return;
        }
        c->written += n > 0 ? (size_t)n : 0;
    }
    if (c->close_after) {
        client_close(c);
        return;
    }
    buf_free(&c->out);
    c->written = 0;
    client_expect(c, IO_READ);
    loop_defer(c->control->loop, &c->next);
}

static void client_answer(struct client *c, json_t *answer)
{
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    buf_append_string(&c->out, text ? text : "{\"ok\":false,\"error\":\"the answer cannot be written as JSON\"}");
    buf_append_byte(&c->out, '\n');
    free(text);
    client_expect(c, IO_WRITE);
    client_write(c);
}

static void job_free(struct job *job)
{
    list_remove(&job->node);
    json_decref(job->request.arguments);
    free(job);
}

static void on_reply(struct request *request, json_t *answer)
{
    struct job *job = CONTAINER_OF(request, struct job, request);
    struct client *c = job->client;
    job_free(job);
    if (!c) {
        json_decref(answer);
        return;
    }
    c->job = NULL;
    client_answer(c, answer);
}

/* ---- requests */

static enum privilege client_privilege(const struct client *c)
{
    return c->peer.uid == 0 || c->peer.uid == geteuid() ? OPERATOR : OBSERVER;
}

static void client_refuse(struct client *c, json_t *error)
{
    c->close_after = true;
    client_answer(c, error);
}

static void client_run(struct client *c, const char *line, size_t len)
{
    json_error_t error;
    json_t *arguments = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(arguments)) {
        json_decref(arguments);
        client_refuse(c, command_error("a request is one JSON object on one line, such as {\"command\": \"status\"}"));
        return;
    }
    struct job *job = mem_zero(sizeof *job);
    list_push_back(&c->control->jobs, &job->node);
    job->client = c;
    job->request.host = c->control->host;
    job->request.arguments = arguments;
    job->request.peer = c->peer_text;
    job->request.reply = on_reply;
    c->job = job;
    io_want(&c->io, 0); /* one at a time; a running command has no deadline here: the host answers in its time */
    timer_cancel(&c->deadline);
    command_run(&job->request, client_privilege(c));
}

static void client_next(void *arg)
{
    struct client *c = arg;
    if (c->job || c->out.len)
        return;
    const uint8_t *end = c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL;
    size_t len = end ? (size_t)(end - c->in.data) : c->in.len;
    if (len > CONTROL_REQUEST_MAX) {
        client_refuse(c, command_error("a request has at most %d bytes", CONTROL_REQUEST_MAX));
        return;
    }
    if (!end)
        return;
    char line[CONTROL_REQUEST_MAX];
    memcpy(line, c->in.data, len);
    buf_consume(&c->in, len + 1);
    client_run(c, line, len);
}

static void on_ready(void *arg, unsigned ready)
{
    struct client *c = arg;
    if (ready & IO_WRITE) {
        client_write(c);
        return;
    }
    ssize_t n = recv(c->fd, buf_reserve(&c->in, RECEIVE_CHUNK), RECEIVE_CHUNK, 0);
    if (n > 0) {
        c->in.len += (size_t)n;
        client_next(c);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        client_close(c);
    }
}

static void on_deadline(void *arg)
{
    client_close(arg); /* without a word: it may be the words that it does not take */
}

/* ---- clients */

static void client_new(struct control *control, int fd)
{
    struct client *c = mem_zero(sizeof *c);
    socklen_t len = sizeof c->peer;
    c->peer.uid = (uid_t)-1;
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->peer, &len);
    snprintf(c->peer_text, sizeof c->peer_text, "pid %d, uid %u", c->peer.pid, c->peer.uid);
    c->control = control;
    c->fd = fd;
    list_init(&c->node);
    io_init(&c->io, control->loop, fd, on_ready, c);
    timer_init(&c->deadline, control->loop, on_deadline, c);
    task_init(&c->next, client_next, c);
    control->count++;
    client_expect(c, IO_READ);
}

/* False: all are busy. */
static bool make_room(struct control *control)
{
    if (control->count < CLIENTS_MAX)
        return true;
    LIST_EACH(&control->clients, node) {
        struct client *c = LIST_ENTRY(node, struct client, node);
        if (!c->job) {
            client_close(c);
            return true;
        }
    }
    return false;
}

static void on_accept(void *arg, unsigned ready)
{
    struct control *control = arg;
    (void)ready;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int fd = accept4(control->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
            io_want(&control->io, 0); /* the client stays in the queue, and the descriptor ready: look again later */
            timer_set(&control->accept_again, ACCEPT_PAUSE);
        }
        if (fd < 0)
            return;
        if (make_room(control))
            client_new(control, fd);
        else
            close(fd);
    }
}

static void on_accept_again(void *arg)
{
    struct control *control = arg;
    io_want(&control->io, IO_READ);
}

struct control *control_new(struct loop *loop, const char *path, const struct control_host *host, struct buf *error)
{
    struct control *c = mem_zero(sizeof *c);
    if (!listener_open(&c->listener, path, error)) {
        free(c);
        return NULL;
    }
    c->loop = loop;
    c->host = host;
    list_init(&c->clients);
    list_init(&c->jobs);
    timer_init(&c->accept_again, loop, on_accept_again, c);
    io_init(&c->io, loop, c->listener.fd, on_accept, c);
    io_want(&c->io, IO_READ);
    return c;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    LIST_EACH(&c->clients, node) {
        client_close(LIST_ENTRY(node, struct client, node));
    }
    LIST_EACH(&c->jobs, node) {
        job_free(LIST_ENTRY(node, struct job, node));
    }
    timer_close(&c->accept_again);
    io_close(&c->io);
    listener_close(&c->listener);
    free(c);
}
