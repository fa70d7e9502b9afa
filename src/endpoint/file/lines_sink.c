/* The sinks `file: lines` and `stdout: lines`: one payload a line, confirmed when the write is complete, or on the disk.
 *
 *   send ─▶ filling ──(end of the pass, disk idle)──▶ writing ─▶ disk thread ─▶ verdicts
 *              ▲                                                     │
 *              └──────────── what comes meanwhile is the next batch ◀┘
 *
 * One batch is out at a time, so that what follows a failure was not written, and one fsync serves all that waited for it. */
#include "endpoint/file/file.h"

#include "base/mem.h"
#include "endpoint/file/disk.h"
#include "endpoint/file/writer.h"
#include "runtime/backoff.h"

#include <errno.h>
#include <stdio.h>

#define WINDOW_BYTES (8 << 20)
#define SLOW_US      SEC /* a write that takes longer is shown */
enum { WINDOW_MESSAGES = 10000 };

struct lines_settings {
    char *path; /* NULL: standard output */
    bool fsync;
};

struct line {
    void *tag;
    size_t end; /* in the batch's data; where the one before ended: refused, nothing of it is in there */
    bool refused;
};

struct batch {
    struct disk_job job;
    struct writer *writer;
    const char *path;
    bool open, fsync; /* what to do: open first; sync after */
    struct buf data;
    struct line *lines;
    size_t count, cap;
    /* The answer. */
    size_t whole; /* bytes that are there for good */
    int error;
    bool open_failed, sync_failed;
};

struct lines_sink {
    struct sink sink;
    const struct lines_settings *settings;
    struct loop *loop;
    struct disk *disk; /* NULL: not started */
    struct writer writer;
    struct batch batches[2], *filling, *writing; /* writing: NULL when the disk is idle */
    bool opened, holding /* trouble: wait for the timer */, trying /* one message, to see whether it is over */,
        stopping;
    struct backoff backoff;
    struct timer retry, slow;
    struct task flush, give_up, stopped;
};

static const char *name_of(const struct lines_sink *s)
{
    return s->settings->path ? s->settings->path : "stdout";
}

/* ---- what an errno means */

struct trouble {
    int error;
    enum verdict_class class;
    enum endpoint_state state;
    const char *words; /* NULL: strerror's */
};

/* What a person must mend is a fault; a full disk, or a pipe without a reader, may pass. */
static struct trouble trouble_of(const struct lines_sink *s, int error)
{
    static const struct trouble table[] = {
        { ENOSPC, VERDICT_AGAIN, ENDPOINT_BLOCKED, NULL },
        { EDQUOT, VERDICT_AGAIN, ENDPOINT_BLOCKED, NULL },
        { ENXIO, VERDICT_AGAIN, ENDPOINT_DOWN, "nobody reads the pipe" },
        { EPIPE, VERDICT_AGAIN, ENDPOINT_DOWN, "the reader of the pipe has gone" },
        { ECANCELED, VERDICT_AGAIN, ENDPOINT_IDLE, NULL },
        { EBADF, VERDICT_FAULT, ENDPOINT_FAULT, "it is closed" },
        { ENOENT, VERDICT_FAULT, ENDPOINT_FAULT, NULL },
        { ENOTDIR, VERDICT_FAULT, ENDPOINT_FAULT, NULL },
        { EISDIR, VERDICT_FAULT, ENDPOINT_FAULT, NULL },
        { EACCES, VERDICT_FAULT, ENDPOINT_FAULT, NULL },
        { EPERM, VERDICT_FAULT, ENDPOINT_FAULT, NULL },
        { EROFS, VERDICT_FAULT, ENDPOINT_FAULT, NULL },
        { ELOOP, VERDICT_FAULT, ENDPOINT_FAULT, NULL },
        { EFBIG, VERDICT_FAULT, ENDPOINT_FAULT, NULL },
        { ENAMETOOLONG, VERDICT_FAULT, ENDPOINT_FAULT, NULL },
    };
    if (error == EPIPE && !s->settings->path) /* nobody can come in its place */
        return (struct trouble){ error, VERDICT_FAULT, ENDPOINT_FAULT, "its reader has gone" };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].error == error)
            return table[i];
    return (struct trouble){ error, VERDICT_AGAIN, ENDPOINT_DOWN, NULL };
}

static void set_status(struct lines_sink *s, enum endpoint_state state, const char *reason)
{
    if (endpoint_status_set(&s->sink.status, s->sink.subject, state, "%s", reason))
        s->sink.host->status(s->sink.ctx);
}

/* Closes the window until the timer lets one message try. */
static void hold(struct lines_sink *s, const struct trouble *t, const char *reason)
{
    if (s->sink.status.state != t->state)
        s->backoff = t->state == ENDPOINT_FAULT ? BACKOFF_PROBE : BACKOFF_RECONNECT;
    s->holding = true;
    s->trying = false;
    set_status(s, t->state, reason);
    timer_set(&s->retry, backoff_next(&s->backoff));
}

/* ---- on the disk's thread */

static void work_batch(struct disk_job *job)
{
    struct batch *b = (struct batch *)job;
    b->whole = 0;
    b->error = 0;
    b->open_failed = b->sync_failed = false;
    if (b->open) {
        writer_close(b->writer);
        b->error = writer_open(b->writer, b->path);
        b->open_failed = b->error;
        if (b->error)
            return;
    }
    if (b->data.len)
        b->whole = writer_write(b->writer, buf_bytes(&b->data), &b->error);
    if (b->fsync && b->whole) {
        int error = writer_sync(b->writer);
        b->sync_failed = error;
        b->error = error ? error : b->error;
    }
}

/* ---- verdicts */

static void add_line(struct batch *b, void *tag, struct bytes payload)
{
    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 64;
        b->lines = mem_resize(b->lines, b->cap * sizeof(*b->lines));
    }
    bool refused = payload.len && memchr(payload.data, '\n', payload.len);
    if (!refused) {
        buf_append_bytes(&b->data, payload);
        buf_append_byte(&b->data, '\n');
    }
    b->lines[b->count++] = (struct line){ tag, b->data.len, refused };
}

static void empty(struct batch *b)
{
    b->count = 0;
    if (b->data.cap > 2 * WINDOW_BYTES)
        buf_free(&b->data); /* a giant's memory is not kept */
    buf_clear(&b->data);
}

/* Answers every line of b: up to whole bytes it is written, what is behind that is not. Leaves b without lines, but with its
 * data, which the disk's thread may still be reading. */
static void answer(struct lines_sink *s, struct batch *b, size_t whole, enum verdict_class written,
                   enum verdict_class rest, const char *reason)
{
    size_t n = b->count;
    struct verdict *verdicts = mem_array(n, sizeof(*verdicts));
    for (size_t i = 0; i < n; i++) {
        const struct line *l = &b->lines[i];
        enum verdict_class class = l->refused ? VERDICT_REJECT : l->end <= whole ? written : rest;
        const char *why = class == VERDICT_REJECT ? "the payload has a newline in it, which a line cannot hold"
                                                  : reason;
        verdicts[i] = (struct verdict){ .tag = l->tag, .class = class, .reason = class == VERDICT_OK ? NULL : why };
    }
    b->count = 0;
    sink_verdicts(&s->sink, verdicts, n);
    free(verdicts);
}

static void open_window(struct lines_sink *s)
{
    s->sink.host->window_open(s->sink.ctx);
}

/* After each batch: a route that found the window too small is told, however it opened. */
static void on_written(struct lines_sink *s, struct batch *b)
{
    s->holding = s->trying = false;
    if (!s->stopping)
        set_status(s, ENDPOINT_UP, "");
    answer(s, b, b->whole, VERDICT_OK, VERDICT_OK, NULL);
    empty(b);
    if (!s->stopping)
        open_window(s);
}

static void on_trouble(struct lines_sink *s, struct batch *b)
{
    struct trouble t = trouble_of(s, b->error);
    char reason[REASON_MAX];
    snprintf(reason, sizeof(reason), "%s: %s", name_of(s), t.words ? t.words : strerror(b->error));
    if (!s->stopping)
        hold(s, &t, reason);
    /* After a failed sync nobody knows what the disk has; the lines come again, behind what may be there. */
    answer(s, b, b->whole, b->sync_failed ? VERDICT_UNKNOWN : VERDICT_OK, t.class, reason);
    empty(b);
    answer(s, s->filling, 0, t.class, t.class, reason); /* was not tried */
    empty(s->filling);
}

static void done_batch(struct disk_job *job)
{
    struct batch *b = (struct batch *)job;
    struct lines_sink *s = CONTAINER_OF(b->writer, struct lines_sink, writer);
    timer_cancel(&s->slow);
    s->writing = NULL;
    if (b->open && !b->open_failed) {
        s->opened = true;
        s->sink.status.connects++;
    }
    if (b->error == EPIPE || b->error == EBADF || b->error == EIO)
        s->opened = false; /* a new one may do better */
    if (b->error)
        on_trouble(s, b);
    else
        on_written(s, b);
    if (s->filling->count)
        loop_defer(s->loop, &s->flush);
}

/* ---- sending */

/* Gives the disk what has gathered, or nothing but the order to open. */
static void start_batch(struct lines_sink *s)
{
    struct batch *b = s->filling;
    s->filling = b == &s->batches[0] ? &s->batches[1] : &s->batches[0];
    s->writing = b;
    b->job = (struct disk_job){ .work = work_batch, .done = done_batch };
    b->writer = &s->writer;
    b->path = s->settings->path;
    b->open = !s->opened;
    b->fsync = s->settings->fsync;
    timer_set(&s->slow, SLOW_US);
    disk_do(s->disk, &b->job);
}

static void flush(void *arg)
{
    struct lines_sink *s = arg;
    if (!s->writing && s->filling->count)
        start_batch(s);
}

static void lines_send(struct sink *sink, const struct delivery *deliveries, size_t n)
{
    struct lines_sink *s = (struct lines_sink *)sink;
    for (size_t i = 0; i < n; i++)
        add_line(s->filling, deliveries[i].tag, message_payload(deliveries[i].message));
    loop_defer(s->loop, &s->flush);
}

static struct window lines_window(struct sink *sink)
{
    struct lines_sink *s = (struct lines_sink *)sink;
    size_t messages = s->filling->count + (s->writing ? s->writing->count : 0);
    size_t bytes = s->filling->data.len + (s->writing ? s->writing->data.len : 0);
    if (!s->disk || s->stopping || s->holding || (!s->opened && !s->trying) || messages >= WINDOW_MESSAGES ||
        bytes >= WINDOW_BYTES)
        return (struct window){ 0, 0 };
    if (s->trying)
        return (struct window){ messages ? 0 : 1, WINDOW_BYTES };
    return (struct window){ WINDOW_MESSAGES - messages, WINDOW_BYTES - bytes };
}

static void on_slow(void *arg)
{
    struct lines_sink *s = arg;
    char reason[REASON_MAX];
    snprintf(reason, sizeof(reason), "%s: the %s takes nothing now", name_of(s),
             s->settings->path ? "disk or reader" : "reader");
    if (s->sink.status.state == ENDPOINT_UP)
        set_status(s, ENDPOINT_BLOCKED, reason);
}

/* Opening is tried without a message; whether a disk has room again, or a reader is there, only a message tells. */
static void on_retry(void *arg)
{
    struct lines_sink *s = arg;
    s->holding = false;
    if (s->opened) {
        s->trying = true;
        open_window(s);
    } else if (!s->writing) {
        start_batch(s);
    }
}

/* ---- the sink's operations */

static void lines_start(struct sink *sink)
{
    struct lines_sink *s = (struct lines_sink *)sink;
    s->disk = disk_new(s->loop, s->settings->path ? "file sink" : "stdout sink");
    set_status(s, ENDPOINT_CONNECTING, "");
    start_batch(s);
}

/* What the disk has may be written; its answer finds no lines any more. */
static void give_up(void *arg)
{
    struct lines_sink *s = arg;
    const char *reason = "given up while it was being written";
    if (s->writing)
        answer(s, s->writing, 0, VERDICT_UNKNOWN, VERDICT_UNKNOWN, reason);
    answer(s, s->filling, 0, VERDICT_AGAIN, VERDICT_AGAIN, "given up before it was written");
    empty(s->filling);
}

static void lines_cancel(struct sink *sink)
{
    struct lines_sink *s = (struct lines_sink *)sink;
    task_cancel(&s->flush);
    loop_defer(s->loop, &s->give_up);
}

static void lines_probe(struct sink *sink)
{
    struct lines_sink *s = (struct lines_sink *)sink;
    if (s->retry.armed)
        timer_set(&s->retry, 0);
    backoff_reset(&s->backoff);
}

static void tell_stopped(void *arg)
{
    struct lines_sink *s = arg;
    s->sink.host->stopped(s->sink.ctx);
}

static void on_disk_closed(void *arg)
{
    struct lines_sink *s = arg;
    s->disk = NULL;
    tell_stopped(s);
}

static void lines_stop(struct sink *sink, int64_t grace_us)
{
    struct lines_sink *s = (struct lines_sink *)sink;
    (void)grace_us;
    s->stopping = true;
    timer_cancel(&s->retry);
    timer_cancel(&s->slow);
    task_cancel(&s->flush);
    set_status(s, ENDPOINT_IDLE, "");
    if (!s->disk) {
        loop_defer(s->loop, &s->stopped);
        return;
    }
    writer_give_up(&s->writer); /* nothing is outstanding: what still waits for a reader was cancelled */
    disk_close(s->disk, on_disk_closed, s);
}

static void lines_free(struct sink *sink)
{
    struct lines_sink *s = (struct lines_sink *)sink;
    timer_close(&s->retry);
    timer_close(&s->slow);
    task_cancel(&s->flush);
    task_cancel(&s->give_up);
    task_cancel(&s->stopped);
    for (size_t i = 0; i < ARRAY_LEN(s->batches); i++) {
        buf_free(&s->batches[i].data);
        free(s->batches[i].lines);
    }
    writer_free(&s->writer);
    free(s);
}

static const struct sink_ops ops = {
    .start = lines_start,
    .window = lines_window,
    .send = lines_send,
    .cancel = lines_cancel,
    .probe = lines_probe,
    .stop = lines_stop,
    .free = lines_free,
};

static struct sink *lines_create(const void *settings, const struct environment *env, const struct sink_host *host,
                                 void *ctx)
{
    struct lines_sink *s = mem_zero(sizeof(*s));
    s->sink = (struct sink){ .ops = &ops, .host = host, .ctx = ctx, .subject = env->subject };
    s->settings = settings;
    s->loop = env->loop;
    s->filling = &s->batches[0];
    writer_init(&s->writer);
    timer_init(&s->retry, s->loop, on_retry, s);
    timer_init(&s->slow, s->loop, on_slow, s);
    task_init(&s->flush, flush, s);
    task_init(&s->give_up, give_up, s);
    task_init(&s->stopped, tell_stopped, s);
    return &s->sink;
}

/* ---- the kinds */

static const struct option file_options[] = {
    OPTION(struct lines_settings, path, OPTION_STRING, .required = true,
           .help = "the file, made when it is missing and appended to; or a named pipe"),
    OPTION(struct lines_settings, fsync, OPTION_BOOL, .fallback = "false",
           .help = "confirm when the disk has it (fdatasync), instead of when the system has taken it"),
    OPTION_END,
};

static const struct option stdout_options[] = { OPTION_END };

static const char *file_target(const void *settings)
{
    return ((const struct lines_settings *)settings)->path;
}

static const char *stdout_target(const void *settings)
{
    (void)settings;
    return "";
}

const struct sink_kind file_lines_sink = {
    .transport = "file",
    .selector = "lines",
    .name = "file lines",
    .options = file_options,
    .settings_size = sizeof(struct lines_settings),
    .caps = { .ordered_on_failure = true },
    .create = lines_create,
    .target = file_target,
    .help = "Appends each payload and a newline to a file. A payload that has a newline in it is rejected.",
};

const struct sink_kind stdout_lines_sink = {
    .transport = "stdout",
    .selector = "lines",
    .name = "stdout lines",
    .options = stdout_options,
    .settings_size = sizeof(struct lines_settings),
    .caps = { .ordered_on_failure = true },
    .create = lines_create,
    .target = stdout_target,
    .help = "Writes each payload and a newline to standard output. A payload that has a newline in it is rejected.",
};
