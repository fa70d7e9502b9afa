/* The sink `test: discard`: takes everything and confirms it at once, that is, in the loop's next pass. */
#include "endpoint/test/test.h"

#include "base/mem.h"

enum { WINDOW = 65536 }; /* messages between send and verdict */

struct discard {
    struct sink sink;
    struct loop *loop;
    struct task confirm, stopped;
    bool up;
    struct verdict *verdicts; /* of what was sent and not answered; WINDOW of them */
    size_t outstanding;
};

struct discard_settings {
    char none;
};

static const struct option options[] = { OPTION_END };

static void set_status(struct discard *d, enum endpoint_state state)
{
    if (endpoint_status_set(&d->sink.status, d->sink.subject, state, NULL))
        d->sink.host->status(d->sink.ctx);
}

/* The host may send again from inside its callback: what it sends then goes to the other array. */
static void confirm(void *arg)
{
    struct discard *d = arg;
    size_t n = d->outstanding;
    struct verdict *verdicts = d->verdicts;
    if (n) {
        d->verdicts = NULL;
        d->outstanding = 0;
        sink_verdicts(&d->sink, verdicts, n);
        if (d->verdicts)
            free(verdicts);
        else
            d->verdicts = verdicts;
    }
    if (n == 0 || n == WINDOW) /* just up, or the window was closed */
        d->sink.host->window_open(d->sink.ctx);
}

static void discard_start(struct sink *s)
{
    struct discard *d = (struct discard *)s;
    d->up = true;
    d->sink.status.connects++;
    set_status(d, ENDPOINT_UP);
    loop_defer(d->loop, &d->confirm);
}

static struct window discard_window(struct sink *s)
{
    struct discard *d = (struct discard *)s;
    return (struct window){ d->up ? WINDOW - d->outstanding : 0, UINT64_MAX };
}

static void discard_send(struct sink *s, const struct delivery *deliveries, size_t n)
{
    struct discard *d = (struct discard *)s;
    if (!d->verdicts)
        d->verdicts = mem_alloc(WINDOW * sizeof(*d->verdicts));
    for (size_t i = 0; i < n; i++)
        d->verdicts[d->outstanding++] = (struct verdict){ .tag = deliveries[i].tag, .class = VERDICT_OK };
    loop_defer(d->loop, &d->confirm);
}

/* Nothing is left to give up: all of it is gone, and the pass that comes says so. */
static void discard_cancel(struct sink *s)
{
    (void)s;
}

static void discard_probe(struct sink *s)
{
    (void)s;
}

static void tell_stopped(void *arg)
{
    struct discard *d = arg;
    d->sink.host->stopped(d->sink.ctx);
}

static void discard_stop(struct sink *s, int64_t grace_us)
{
    struct discard *d = (struct discard *)s;
    (void)grace_us;
    d->up = false;
    task_cancel(&d->confirm);
    set_status(d, ENDPOINT_IDLE);
    loop_defer(d->loop, &d->stopped);
}

static void discard_free(struct sink *s)
{
    struct discard *d = (struct discard *)s;
    task_cancel(&d->confirm);
    task_cancel(&d->stopped);
    free(d->verdicts);
    free(d);
}

static const struct sink_ops ops = {
    .start = discard_start,
    .window = discard_window,
    .send = discard_send,
    .cancel = discard_cancel,
    .probe = discard_probe,
    .stop = discard_stop,
    .free = discard_free,
};

static struct sink *discard_create(const void *settings, const struct environment *env, const struct sink_host *host,
                                   void *ctx)
{
    (void)settings;
    struct discard *d = mem_zero(sizeof(*d));
    d->sink = (struct sink){ .ops = &ops, .host = host, .ctx = ctx, .subject = env->subject };
    d->loop = env->loop;
    task_init(&d->confirm, confirm, d);
    task_init(&d->stopped, tell_stopped, d);
    return &d->sink;
}

static const char *discard_target(const void *settings)
{
    (void)settings;
    return "";
}

const struct sink_kind test_discard_sink = {
    .transport = "test",
    .selector = "discard",
    .name = "test discard",
    .options = options,
    .settings_size = sizeof(struct discard_settings),
    .caps = { .ordered_on_failure = true, .null_payload = true, .repeated_headers = true },
    .create = discard_create,
    .target = discard_target,
    .help = "Takes every message and forgets it, to try a source and to measure it.",
};
