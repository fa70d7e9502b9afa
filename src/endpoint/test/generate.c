/* The source `test: generate`: numbered messages at a rate, or as fast as the route takes them.
 *
 *   grant, timer ─▶ task: due = what rate, count and credit allow ─▶ slabs ─▶ intake
 *
 * The payloads of a batch lie side by side in slabs, each the backing of its messages. */
#include "endpoint/test/test.h"

#include "base/mem.h"

#include <stdio.h>

#define SLAB_BYTES 65536 /* a slab ends with the message that fills it: a message that is held pins little */
#define TICK_US    (10 * MSEC)
#define CATCH_UP   SEC /* what was due while there was no credit is made up for at most this long */
enum { BATCH = 512, NUMBER_MAX = 20, KEY_MAX = 24 };

struct generate_settings {
    int64_t rate, size, count, keys;
};

struct slab {
    struct backing backing;
    uint8_t data[];
};

struct generate {
    struct source source;
    const struct generate_settings *settings;
    struct loop *loop;
    struct origin origin;
    uint8_t *filler; /* what follows the number; settings->size bytes */
    uint64_t next;   /* position of the next message */
    int64_t credit_messages, credit_bytes;
    int64_t paced_since; /* of the pace: paced messages since then are rate * time */
    uint64_t paced;
    bool running, drained;
    struct timer timer;
    struct task produce, stopped;
    struct arrival arrivals[BATCH];
};

static const struct option options[] = {
    OPTION(struct generate_settings, rate, OPTION_INT, .fallback = "0", .min = 0, .max = 10000000,
           .help = "messages a second; 0: as fast as the route takes them"),
    OPTION(
        struct generate_settings, size, OPTION_SIZE, .fallback = "256", .min = 0, .max = 64 << 20,
        .help = "bytes of each payload: a number that counts up from 0, a space and letters; what is too small for the "
                "number has its last digits"),
    OPTION(struct generate_settings, count, OPTION_INT, .fallback = "0", .min = 0, .max = INT64_MAX,
           .help = "how many messages each instance makes; 0: no end"),
    OPTION(struct generate_settings, keys, OPTION_INT, .fallback = "0", .min = 0, .max = INT64_MAX,
           .help = "how many different keys (k0, k1 …) the messages have in turn; 0: no key"),
    OPTION_END,
};

static void set_status(struct generate *g, enum endpoint_state state, const char *reason)
{
    if (endpoint_status_set(&g->source.status, g->source.subject, state, "%s", reason))
        g->source.host->status(g->source.ctx);
}

/* ---- messages */

static void free_slab(struct backing *b)
{
    free(b);
}

static struct slab *new_slab(size_t size)
{
    struct slab *s = mem_alloc(sizeof(*s) + size);
    s->backing = (struct backing){ .refs = 1, .free = free_slab };
    return s;
}

static size_t room_each(const struct generate_settings *s)
{
    return (size_t)s->size + (s->keys ? KEY_MAX : 0);
}

/* Writes the payload of a position to at, which has room for settings->size. */
static void write_payload(const struct generate *g, uint64_t position, uint8_t *at)
{
    size_t size = (size_t)g->settings->size;
    uint8_t number[NUMBER_MAX + 1];
    size_t start = NUMBER_MAX;
    number[NUMBER_MAX] = ' ';
    do
        number[--start] = (uint8_t)('0' + position % 10);
    while (position /= 10);
    size_t digits = NUMBER_MAX - start;
    if (size <= digits) {
        memcpy(at, number + NUMBER_MAX - size, size);
        return;
    }
    memcpy(at, number + start, digits + 1);
    memcpy(at + digits + 1, g->filler, size - digits - 1);
}

static struct message *make_message(struct generate *g, struct slab *slab, uint8_t *at, int64_t now_ms)
{
    const struct generate_settings *s = g->settings;
    struct message *m = message_new();
    m->flags = MESSAGE_ID_POSITION | MESSAGE_ID_STABLE;
    m->position = g->next;
    m->origin = &g->origin;
    m->timestamp_ms = now_ms;
    m->backing = backing_ref(&slab->backing);
    write_payload(g, g->next, at);
    message_set_payload(m, bytes_of(at, (size_t)s->size));
    if (s->keys) {
        char *key = (char *)at + s->size;
        int len = snprintf(key, KEY_MAX, "k%llu", (unsigned long long)(g->next % (uint64_t)s->keys));
        message_set_key(m, bytes_of(key, (size_t)len));
    }
    g->next++;
    return m;
}

/* At most n messages and at most a slab of them; less when the credit's bytes end. How many became arrivals. */
static size_t fill_slab(struct generate *g, struct arrival *arrivals, size_t n, int64_t now_ms)
{
    size_t each = room_each(g->settings), fit = each ? SLAB_BYTES / each : n;
    n = fit == 0 ? 1 : n < fit ? n : fit;
    struct slab *slab = new_slab(n * each);
    size_t made = 0;
    while (made < n && g->credit_bytes > 0) {
        struct message *m = make_message(g, slab, slab->data + made * each, now_ms);
        arrivals[made++] = (struct arrival){ .message = m, .token = { .a = m->position, .generation = 1 } };
        g->credit_bytes -= (int64_t)message_size(m);
    }
    g->credit_messages -= (int64_t)made;
    backing_unref(&slab->backing);
    return made;
}

/* ---- pace */

static void restart_pace(struct generate *g)
{
    g->paced_since = loop_now(g->loop);
    g->paced = 0;
}

/* How many messages are due by the rate. */
static uint64_t due_by_rate(struct generate *g)
{
    uint64_t rate = (uint64_t)g->settings->rate;
    if (!rate)
        return UINT64_MAX;
    int64_t elapsed = loop_now(g->loop) - g->paced_since;
    uint64_t due = (uint64_t)((unsigned __int128)elapsed * rate / SEC) - g->paced;
    uint64_t most = (uint64_t)((unsigned __int128)CATCH_UP * rate / SEC) + 1;
    if (due <= most)
        return due;
    g->paced += due - most; /* given up */
    return most;
}

/* The next one is due at (paced + 1) / rate; several together where that is sooner than a tick. */
static void wait_for_rate(struct generate *g)
{
    uint64_t rate = (uint64_t)g->settings->rate;
    int64_t at = g->paced_since + (int64_t)((unsigned __int128)(g->paced + 1) * SEC / rate) + 1;
    int64_t delay = at - loop_now(g->loop);
    timer_set(&g->timer, delay > TICK_US ? delay : TICK_US);
}

static bool at_end(const struct generate *g)
{
    return g->settings->count && g->next >= (uint64_t)g->settings->count;
}

static size_t allowed(struct generate *g)
{
    if (g->credit_messages <= 0 || g->credit_bytes <= 0)
        return 0;
    uint64_t n = due_by_rate(g);
    n = n < (uint64_t)g->credit_messages ? n : (uint64_t)g->credit_messages;
    if (g->settings->count && n > (uint64_t)g->settings->count - g->next)
        n = (uint64_t)g->settings->count - g->next;
    return n < BATCH ? n : BATCH;
}

static void produce(void *arg)
{
    struct generate *g = arg;
    if (!g->running || g->drained || at_end(g))
        return;
    size_t n = allowed(g), made = 0;
    int64_t now_ms = n ? clock_wall_ms() : 0;
    while (made < n && g->credit_bytes > 0)
        made += fill_slab(g, g->arrivals + made, n - made, now_ms);
    g->paced += made;
    bool ended = at_end(g);
    source_intake(&g->source, g->arrivals, made); /* which may pause, drain or stop */
    if (ended) {
        set_status(g, ENDPOINT_ENDED, "");
        g->source.host->ended(g->source.ctx);
    } else if (!g->running || g->drained || g->credit_messages <= 0 || g->credit_bytes <= 0) {
        return; /* grant and resume go on */
    } else if (g->settings->rate && due_by_rate(g) == 0) {
        wait_for_rate(g);
    } else {
        loop_defer(g->loop, &g->produce);
    }
}

/* ---- the source's operations */

static void generate_start(struct source *s)
{
    struct generate *g = (struct generate *)s;
    g->running = true;
    g->source.status.connects++;
    restart_pace(g);
    set_status(g, ENDPOINT_UP, "");
    loop_defer(g->loop, &g->produce);
}

static void generate_grant(struct source *s, uint64_t messages, uint64_t bytes)
{
    struct generate *g = (struct generate *)s;
    g->credit_messages += (int64_t)messages;
    g->credit_bytes += (int64_t)bytes;
    if (!g->timer.armed)
        loop_defer(g->loop, &g->produce);
}

/* There is nobody to tell. */
static void generate_settle(struct source *s, const struct token *tokens, size_t n)
{
    (void)s;
    (void)tokens;
    (void)n;
}

static void generate_release(struct source *s, const struct token *tokens, size_t n)
{
    s->host->released(s->ctx, tokens, n);
}

static void generate_pause(struct source *s)
{
    struct generate *g = (struct generate *)s;
    g->running = false;
    timer_cancel(&g->timer);
    if (!at_end(g))
        set_status(g, ENDPOINT_IDLE, "paused");
}

static void generate_resume(struct source *s)
{
    struct generate *g = (struct generate *)s;
    g->running = true;
    restart_pace(g); /* what was not made meanwhile is not made up for */
    if (at_end(g))
        return;
    set_status(g, ENDPOINT_UP, "");
    loop_defer(g->loop, &g->produce);
}

static void generate_drain(struct source *s)
{
    struct generate *g = (struct generate *)s;
    g->drained = true;
    timer_cancel(&g->timer);
}

static void tell_stopped(void *arg)
{
    struct generate *g = arg;
    g->source.host->stopped(g->source.ctx);
}

static void generate_stop(struct source *s, int64_t grace_us)
{
    struct generate *g = (struct generate *)s;
    (void)grace_us;
    generate_drain(s);
    set_status(g, ENDPOINT_IDLE, "");
    loop_defer(g->loop, &g->stopped);
}

static void generate_free(struct source *s)
{
    struct generate *g = (struct generate *)s;
    timer_close(&g->timer);
    task_cancel(&g->produce);
    task_cancel(&g->stopped);
    free(g->filler);
    free(g);
}

static const struct source_ops ops = {
    .start = generate_start,
    .grant = generate_grant,
    .settle = generate_settle,
    .release = generate_release,
    .pause = generate_pause,
    .resume = generate_resume,
    .drain = generate_drain,
    .stop = generate_stop,
    .free = generate_free,
};

static struct source *generate_create(const void *settings, const struct environment *env,
                                      const struct source_host *host, void *ctx)
{
    struct generate *g = mem_zero(sizeof(*g));
    g->source = (struct source){ .ops = &ops, .host = host, .ctx = ctx, .subject = env->subject };
    g->settings = settings;
    g->loop = env->loop;
    g->origin = (struct origin){ "test generate", "", "generate", (int32_t)env->instance };
    g->filler = mem_alloc((size_t)g->settings->size + 1);
    for (int64_t i = 0; i < g->settings->size; i++)
        g->filler[i] = (uint8_t)('a' + i % 26);
    timer_init(&g->timer, g->loop, produce, g);
    task_init(&g->produce, produce, g);
    task_init(&g->stopped, tell_stopped, g);
    return &g->source;
}

static const char *generate_target(const void *settings)
{
    (void)settings;
    return "";
}

const struct source_kind test_generate_source = {
    .transport = "test",
    .selector = "generate",
    .name = "test generate",
    .options = options,
    .settings_size = sizeof(struct generate_settings),
    .caps = { .at_least_once = true, .stable_ids = true, .finite = true, .shared_name = true },
    .create = generate_create,
    .target = generate_target,
    .help = "Makes numbered messages, to try a route and to measure it. A start begins at 0 again.",
};
