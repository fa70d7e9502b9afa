/* The sources `file: lines` and `stdin: lines`: one message a line, from the beginning to the end.
 *
 *   disk thread: open, read ─┐
 *                            ├─▶ chunk, ahead ─▶ cut lines as credit allows ─▶ intake
 *   loop: pipe is readable ──┘        └─ a line's beginning that a chunk ends with ─▶ carry
 *
 * Messages are slices of their chunk; only a line that spans two chunks is copied. */
#include "endpoint/file/file.h"

#include "base/mem.h"
#include "endpoint/file/disk.h"
#include "endpoint/file/reader.h"
#include "runtime/backoff.h"

#include <errno.h>

#define CHUNK (128 * 1024)
enum { BATCH = 512 };

struct lines_settings {
    char *path; /* NULL: standard input */
    int64_t max_line;
};

struct chunk {
    struct backing backing;
    size_t len;
    uint8_t data[];
};

/* The job that opens, reads or closes; one at a time. */
struct reading {
    struct disk_job job;
    struct reader *reader;
    const char *path;
    struct chunk *chunk; /* what was read */
    long result;         /* of reader_read, or minus an errno of opening */
};

struct lines_source {
    struct source source;
    const struct lines_settings *settings;
    struct loop *loop;
    struct origin origin;
    uint16_t flags;       /* of every message */
    struct disk *disk;    /* NULL: not started */
    struct reader reader; /* the disk's while reading.job is under way */
    struct reading reading;
    struct io io; /* of a pollable reader */
    struct chunk *chunk, *ahead;
    size_t at;        /* in chunk */
    struct buf carry; /* the beginning of a line that went on in the next chunk */
    uint64_t line_at; /* offset of the line that comes next */
    int64_t credit_messages, credit_bytes;
    bool opened, busy /* reading.job is out */, paused, drained, eof, done /* nothing comes any more */;
    struct backoff backoff;
    struct timer retry;
    struct task produce, stopped;
    struct arrival arrivals[BATCH];
};

static const char *name_of(const struct lines_source *s)
{
    return s->origin.name;
}

static void set_status(struct lines_source *s, enum endpoint_state state, const char *reason)
{
    if (endpoint_status_set(&s->source.status, s->source.subject, state, "%s", reason))
        s->source.host->status(s->source.ctx);
}

static bool may_go_on(const struct lines_source *s)
{
    return !s->paused && !s->drained && !s->done;
}

/* ---- chunks */

static void free_chunk(struct backing *b)
{
    free(b);
}

static struct chunk *new_chunk(size_t room)
{
    struct chunk *c = mem_alloc(sizeof(*c) + room);
    c->backing = (struct backing){ .refs = 1, .free = free_chunk };
    return c;
}

static void drop_chunk(struct chunk **c)
{
    if (*c)
        backing_unref(&(*c)->backing);
    *c = NULL;
}

static void next_chunk(struct lines_source *s)
{
    drop_chunk(&s->chunk);
    s->chunk = s->ahead;
    s->ahead = NULL;
    s->at = 0;
}

static void add_chunk(struct lines_source *s, struct chunk *c)
{
    if (s->chunk)
        s->ahead = c;
    else
        s->chunk = c;
}

/* ---- reading */

/* A failed open or read: said, and tried again. */
static void trouble(struct lines_source *s, int error)
{
    enum endpoint_state state = reader_state_of(error);
    if (s->source.status.state != state)
        s->backoff = state == ENDPOINT_FAULT ? BACKOFF_PROBE : BACKOFF_RECONNECT;
    if (endpoint_status_set(&s->source.status, s->source.subject, state, "%s: %s", name_of(s), strerror(error)))
        s->source.host->status(s->source.ctx);
    timer_set(&s->retry, backoff_next(&s->backoff));
}

/* A long line is no single bad message: what follows cannot be told from it, so the route stops here. */
static void refuse_line(struct lines_source *s)
{
    s->done = true;
    if (endpoint_status_set(&s->source.status, s->source.subject, ENDPOINT_FAULT,
                            "%s: the line at offset %llu is longer than max_line (%lld bytes)", name_of(s),
                            (unsigned long long)s->line_at, (long long)s->settings->max_line))
        s->source.host->status(s->source.ctx);
}

/* What a read brought, from either side. */
static void on_read(struct lines_source *s, struct chunk *c, long result)
{
    if (result == 0)
        s->eof = true;
    if (result > 0) {
        c->len = (size_t)result;
        add_chunk(s, c);
    } else if (c) {
        backing_unref(&c->backing);
    }
    if (s->drained || s->done)
        return;
    if (result < 0 && result != -EAGAIN) {
        trouble(s, (int)-result);
        return;
    }
    set_status(s, s->paused ? ENDPOINT_IDLE : ENDPOINT_UP, s->paused ? "paused" : "");
    loop_defer(s->loop, &s->produce);
}

static void on_readable(void *arg, unsigned ready)
{
    struct lines_source *s = arg;
    (void)ready;
    uint8_t scratch[CHUNK / 2]; /* a terminal brings a few bytes: they need no big chunk for themselves */
    long n = reader_read(&s->reader, scratch, sizeof(scratch));
    if (n == -EAGAIN)
        return;
    io_want(&s->io, 0); /* until there is room again */
    struct chunk *c = n > 0 ? new_chunk((size_t)n) : NULL;
    if (c)
        memcpy(c->data, scratch, (size_t)n);
    on_read(s, c, n);
}

static void work_open(struct disk_job *job)
{
    struct reading *r = (struct reading *)job;
    r->result = -reader_open(r->reader, r->path);
    if (r->result < 0)
        reader_close(r->reader);
}

static void done_open(struct disk_job *job)
{
    struct lines_source *s = CONTAINER_OF(job, struct lines_source, reading.job);
    s->busy = false;
    if (s->drained)
        return;
    if (s->reading.result < 0) {
        trouble(s, (int)-s->reading.result);
        return;
    }
    s->opened = true;
    s->source.status.connects++;
    if (s->reader.pollable)
        io_init(&s->io, s->loop, s->reader.fd, on_readable, s);
    set_status(s, s->paused ? ENDPOINT_IDLE : ENDPOINT_UP, s->paused ? "paused" : "");
    loop_defer(s->loop, &s->produce);
}

static void work_read(struct disk_job *job)
{
    struct reading *r = (struct reading *)job;
    r->chunk = new_chunk(CHUNK);
    r->result = reader_read(r->reader, r->chunk->data, CHUNK);
    if (r->result > 0 && r->result < CHUNK / 2)
        r->chunk = mem_resize(r->chunk, sizeof(*r->chunk) + (size_t)r->result);
}

static void done_read(struct disk_job *job)
{
    struct lines_source *s = CONTAINER_OF(job, struct lines_source, reading.job);
    s->busy = false;
    on_read(s, s->reading.chunk, s->reading.result);
}

static void work_close(struct disk_job *job)
{
    reader_close(((struct reading *)job)->reader);
}

static void start_job(struct lines_source *s, void (*work)(struct disk_job *), void (*done)(struct disk_job *))
{
    s->busy = true;
    s->reading = (struct reading){
        .job = { .work = work, .done = done },
        .reader = &s->reader,
        .path = s->settings->path,
    };
    disk_do(s->disk, &s->reading.job);
}

/* Asks for more where there is room and credit for it: one chunk that is cut, one ahead. */
static void fetch(struct lines_source *s)
{
    if (!s->disk || !may_go_on(s) || s->eof || s->ahead || s->busy || s->retry.armed)
        return;
    if (!s->opened)
        start_job(s, work_open, done_open);
    else if (s->credit_messages <= 0)
        return; /* a grant comes here again */
    else if (s->reader.pollable)
        io_want(&s->io, s->chunk ? 0 : IO_READ);
    else
        start_job(s, work_read, done_read);
}

/* ---- lines */

/* The next line's bytes, or false when there is none yet. A line in the chunk is a slice of it; one that was carried over is in
 * carry. */
static bool cut_line(struct lines_source *s, struct bytes *line, size_t *taken)
{
    while (s->chunk) {
        const uint8_t *from = s->chunk->data + s->at;
        size_t left = s->chunk->len - s->at;
        const uint8_t *newline = left ? memchr(from, '\n', left) : NULL;
        size_t len = newline ? (size_t)(newline - from) : left;
        if (s->carry.len + len > (size_t)s->settings->max_line) {
            refuse_line(s);
            return false;
        }
        if (newline && !s->carry.len) {
            *line = bytes_of(from, len);
            *taken = len + 1;
            s->at += len + 1;
            return true;
        }
        buf_append(&s->carry, from, len);
        s->at += len + (newline ? 1 : 0);
        if (newline) {
            *line = buf_bytes(&s->carry);
            *taken = line->len + 1;
            return true;
        }
        next_chunk(s);
    }
    if (!s->eof || !s->carry.len)
        return false;
    *line = buf_bytes(&s->carry); /* the last one, which no newline ends */
    *taken = line->len;
    return true;
}

static struct message *make_message(struct lines_source *s, struct bytes line)
{
    struct message *m = message_new();
    m->flags = s->flags;
    m->position = s->line_at;
    m->origin = &s->origin;
    if (s->carry.len) {
        message_set_payload(m, message_hold(m, line));
        if (s->carry.cap > CHUNK)
            buf_free(&s->carry);
        buf_clear(&s->carry);
    } else {
        m->backing = backing_ref(&s->chunk->backing);
        message_set_payload(m, line);
    }
    return m;
}

static size_t cut_batch(struct lines_source *s)
{
    size_t n = 0, taken;
    struct bytes line;
    while (n < BATCH && s->credit_messages > 0 && s->credit_bytes > 0 && cut_line(s, &line, &taken)) {
        struct message *m = make_message(s, line);
        s->arrivals[n++] = (struct arrival){ .message = m, .token = { .a = s->line_at, .generation = 1 } };
        s->line_at += taken;
        s->credit_messages--;
        s->credit_bytes -= (int64_t)message_size(m);
    }
    return n;
}

static void produce(void *arg)
{
    struct lines_source *s = arg;
    if (!may_go_on(s))
        return;
    size_t n = cut_batch(s);
    source_intake(&s->source, s->arrivals, n); /* which may pause, drain or stop */
    if (!may_go_on(s))
        return;
    if (s->chunk && s->at == s->chunk->len)
        next_chunk(s);
    if (s->eof && !s->chunk && !s->carry.len) {
        s->done = true;
        set_status(s, ENDPOINT_ENDED, "");
        s->source.host->ended(s->source.ctx);
        return;
    }
    fetch(s);
    if (n && s->credit_messages > 0 && s->credit_bytes > 0 && (s->chunk || s->eof))
        loop_defer(s->loop, &s->produce);
}

/* ---- the source's operations */

static void on_retry(void *arg)
{
    fetch(arg);
}

static void lines_start(struct source *source)
{
    struct lines_source *s = (struct lines_source *)source;
    s->disk = disk_new(s->loop, "file source");
    set_status(s, ENDPOINT_CONNECTING, "");
    start_job(s, work_open, done_open);
}

static void lines_grant(struct source *source, uint64_t messages, uint64_t bytes)
{
    struct lines_source *s = (struct lines_source *)source;
    s->credit_messages += (int64_t)messages;
    s->credit_bytes += (int64_t)bytes;
    loop_defer(s->loop, &s->produce);
}

/* The position lives as long as the run does: nobody is told. */
static void lines_settle(struct source *source, const struct token *tokens, size_t n)
{
    (void)source;
    (void)tokens;
    (void)n;
}

static void lines_release(struct source *source, const struct token *tokens, size_t n)
{
    source->host->released(source->ctx, tokens, n);
}

static void lines_pause(struct source *source)
{
    struct lines_source *s = (struct lines_source *)source;
    s->paused = true;
    io_want(&s->io, 0);
    if (s->opened && !s->done)
        set_status(s, ENDPOINT_IDLE, "paused");
}

static void lines_resume(struct source *source)
{
    struct lines_source *s = (struct lines_source *)source;
    s->paused = false;
    if (s->opened && !s->done)
        set_status(s, ENDPOINT_UP, "");
    loop_defer(s->loop, &s->produce);
}

static void lines_drain(struct source *source)
{
    struct lines_source *s = (struct lines_source *)source;
    s->drained = true;
    timer_cancel(&s->retry);
    io_want(&s->io, 0);
}

static void tell_stopped(void *arg)
{
    struct lines_source *s = arg;
    s->source.host->stopped(s->source.ctx);
}

static void on_disk_closed(void *arg)
{
    struct lines_source *s = arg;
    s->disk = NULL;
    tell_stopped(s);
}

static void free_job(struct disk_job *job)
{
    free(job);
}

static void lines_stop(struct source *source, int64_t grace_us)
{
    struct lines_source *s = (struct lines_source *)source;
    (void)grace_us;
    lines_drain(source);
    io_close(&s->io);
    set_status(s, ENDPOINT_IDLE, "");
    if (!s->disk) {
        loop_defer(s->loop, &s->stopped);
        return;
    }
    /* Not s->reading: a job that is out still may be. It ends first, and its results are dropped, since all is drained. */
    struct reading *closing = mem_alloc(sizeof(*closing));
    *closing = (struct reading){ .job = { .work = work_close, .done = free_job }, .reader = &s->reader };
    disk_do(s->disk, &closing->job);
    disk_close(s->disk, on_disk_closed, s);
}

static void lines_free(struct source *source)
{
    struct lines_source *s = (struct lines_source *)source;
    timer_close(&s->retry);
    task_cancel(&s->produce);
    task_cancel(&s->stopped);
    drop_chunk(&s->chunk);
    drop_chunk(&s->ahead);
    buf_free(&s->carry);
    free(s);
}

static const struct source_ops ops = {
    .start = lines_start,
    .grant = lines_grant,
    .settle = lines_settle,
    .release = lines_release,
    .pause = lines_pause,
    .resume = lines_resume,
    .drain = lines_drain,
    .stop = lines_stop,
    .free = lines_free,
};

static struct source *lines_create(const void *settings, const struct environment *env, const struct source_host *host,
                                   void *ctx)
{
    struct lines_source *s = mem_zero(sizeof(*s));
    s->source = (struct source){ .ops = &ops, .host = host, .ctx = ctx, .subject = env->subject };
    s->settings = settings;
    s->loop = env->loop;
    s->reader.fd = -1;
    bool is_file = s->settings->path;
    s->origin = (struct origin){ is_file ? "file lines" : "stdin lines", "", is_file ? s->settings->path : "stdin",
                                 -1 };
    s->flags = MESSAGE_ID_POSITION | (is_file ? MESSAGE_ID_STABLE : 0);
    timer_init(&s->retry, s->loop, on_retry, s);
    task_init(&s->produce, produce, s);
    task_init(&s->stopped, tell_stopped, s);
    return &s->source;
}

/* ---- the kinds */

#define MAX_LINE                                                                                       \
    OPTION(struct lines_settings, max_line, OPTION_SIZE, .fallback = "1MiB", .min = 1, .max = 1 << 30, \
           .help = "bytes of the longest line that is taken; a longer one stops the source")

static const struct option file_options[] = {
    OPTION(struct lines_settings, path, OPTION_STRING, .required = true,
           .help = "the file; a named pipe is read until "
                   "its last writer has gone"),
    MAX_LINE,
    OPTION_END,
};

static const struct option stdin_options[] = {
    MAX_LINE,
    OPTION_END,
};

static const char *file_target(const void *settings)
{
    return ((const struct lines_settings *)settings)->path;
}

static const char *stdin_target(const void *settings)
{
    (void)settings;
    return "";
}

const struct source_kind file_lines_source = {
    .transport = "file",
    .selector = "lines",
    .name = "file lines",
    .options = file_options,
    .settings_size = sizeof(struct lines_settings),
    .caps = { .at_least_once = true, .stable_ids = true, .finite = true },
    .create = lines_create,
    .target = file_target,
    .help = "Reads a file, one message a line, from its beginning to its end; what is added later is not followed. The "
            "position is kept while ferryd runs: a new start reads the file from its beginning again.",
};

const struct source_kind stdin_lines_source = {
    .transport = "stdin",
    .selector = "lines",
    .name = "stdin lines",
    .options = stdin_options,
    .settings_size = sizeof(struct lines_settings),
    .caps = { .finite = true, .only_one = true },
    .create = lines_create,
    .target = stdin_target,
    .help =
        "Reads standard input, one message a line, until it ends. At most once: what was read from a pipe is lost when "
        "ferryd is killed.",
};
