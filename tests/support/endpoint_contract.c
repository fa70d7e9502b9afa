/* A fake route around one endpoint, and the contract as a sequence of steps. */
#include "support/endpoint_contract.h"

#include "base/mem.h"
#include "config/document.h"

#include <check.h>
#include <stdio.h>

/* ---- loops and settings */

struct waiting {
    struct loop *loop;
    struct timer timer;
    bool (*done)(void *arg);
    void *arg;
    int64_t until;
    bool ok;
};

static void on_wait(void *arg)
{
    struct waiting *w = arg;
    w->ok = w->done && w->done(w->arg);
    if (w->ok || clock_us() >= w->until)
        loop_stop(w->loop);
    else
        timer_set(&w->timer, MSEC / 2);
}

static bool run(struct loop *loop, bool (*done)(void *arg), void *arg, int64_t us)
{
    struct waiting w = { .loop = loop, .done = done, .arg = arg, .until = clock_us() + us };
    timer_init(&w.timer, loop, on_wait, &w);
    timer_set(&w.timer, 1);
    loop_run(loop);
    timer_close(&w.timer);
    return w.ok;
}

void contract_run_until(struct loop *loop, bool (*done)(void *arg), void *arg, int64_t timeout_us, const char *what)
{
    ck_assert_msg(run(loop, done, arg, timeout_us), "waited in vain for: %s", what);
}

void contract_run_for(struct loop *loop, int64_t us)
{
    run(loop, NULL, NULL, us);
}

void *contract_settings(const struct option *options, size_t size, const char *yaml)
{
    struct diagnostics *d = diagnostics_new();
    struct document *doc = document_parse("test", bytes_of_string(yaml), d);
    void *settings = mem_zero(size);
    if (doc)
        options_read(options, document_root(doc), settings, "the test", NULL, d);
    CLEANUP(buf_free) struct buf errors = BUF_EMPTY;
    diagnostics_print(d, &errors);
    ck_assert_msg(doc && !diagnostics_errors(d), "%s", buf_string(&errors));
    document_free(doc);
    diagnostics_free(d);
    return settings;
}

void contract_settings_free(const struct option *options, void *settings)
{
    options_free(options, settings);
    free(settings);
}

static void open_environment(struct environment *env, struct resolver **resolver, const struct contract_env *given)
{
    struct loop *loop = loop_new("test");
    *resolver = given->resolver;
    if (given->transport && !*resolver)
        *resolver = resolver_new();
    *env = (struct environment){
        .loop = loop,
        .resolver = *resolver,
        .transport = given->transport ? given->transport->open(loop, *resolver) : NULL,
        .connection = given->connection,
        .subject = "route test",
        .member = given->member ? given->member : "test.route.0",
        .route = "test",
        .order = given->unordered ? ORDER_NONE : ORDER_KEY,
        .share_messages = 1000,
        .share_bytes = 16 << 20,
        .share_unsettled = 10000,
    };
}

static void close_environment(struct environment *env, struct resolver *resolver, const struct contract_env *given)
{
    if (given->transport)
        given->transport->close(env->transport);
    contract_run_for(env->loop, 1); /* what was deferred */
    if (resolver && !given->resolver)
        resolver_free(resolver);
    loop_free(env->loop);
}

/* ---- a route around a source */

static bool same_token(const struct token *a, const struct token *b)
{
    return a->a == b->a && a->b == b->b && a->generation == b->generation;
}

static void on_intake(void *ctx, struct arrival *arrivals, size_t n)
{
    struct fake_route *f = ctx;
    ck_assert_msg(!f->quiet, "%zu messages after pause, drain or stop", n);
    ck_assert_msg(n > 0, "an empty intake");
    ck_assert_msg(!f->exact || (f->credit_messages > 0 && f->credit_bytes > 0), "an intake without credit");
    f->held = mem_resize(f->held, (f->held_count + n) * sizeof(*f->held));
    for (size_t i = 0; i < n; i++) {
        struct message *m = arrivals[i].message;
        ck_assert_msg(arrivals[i].token.generation >= 1, "generations begin at 1");
        ck_assert_msg(m->origin && m->origin->kind && m->origin->name, "a message without an origin");
        char scratch[MESSAGE_ID_MAX];
        if (m->flags & MESSAGE_ID_STABLE)
            ck_assert_msg(message_id(m, scratch).len, "a stable id that is empty");
        for (size_t k = 0; k < f->held_count; k++)
            ck_assert_msg(!same_token(&f->held[k].token, &arrivals[i].token), "one token for two messages");
        f->held[f->held_count++] = arrivals[i];
        f->credit_messages--;
        f->credit_bytes -= (int64_t)message_size(m);
        f->taken++;
    }
}

static void drop_held(struct fake_route *f, size_t at)
{
    message_unref(f->held[at].message);
    memmove(&f->held[at], &f->held[at + 1], (--f->held_count - at) * sizeof(*f->held));
}

static void on_returned(void *ctx, uint32_t generation)
{
    struct fake_route *f = ctx;
    for (size_t i = f->held_count; i > 0; i--)
        if (f->held[i - 1].token.generation == generation) {
            drop_held(f, i - 1);
            f->returned++;
        }
}

static void on_released(void *ctx, const struct token *tokens, size_t n)
{
    struct fake_route *f = ctx;
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        while (at < f->held_count && !same_token(&f->held[at].token, &tokens[i]))
            at++;
        ck_assert_msg(at < f->held_count, "a token was released that nobody held");
        drop_held(f, at);
        f->released++;
    }
}

static void on_source_status(void *ctx)
{
    ((struct fake_route *)ctx)->status_calls++;
}

static void on_ended(void *ctx)
{
    struct fake_route *f = ctx;
    ck_assert_msg(!f->ended, "ended twice");
    ck_assert_msg(f->kind->caps.finite, "a kind that is not finite ended");
    f->ended = true;
}

static void on_source_stopped(void *ctx)
{
    struct fake_route *f = ctx;
    ck_assert_msg(!f->stopped, "stopped twice");
    f->stopped = true;
}

static const struct source_host source_host = {
    .intake = on_intake,
    .returned = on_returned,
    .released = on_released,
    .status = on_source_status,
    .ended = on_ended,
    .stopped = on_source_stopped,
};

void fake_route_open(struct fake_route *f, const struct source_kind *kind, const char *options_yaml,
                     const struct contract_env *env)
{
    *f = (struct fake_route){ .kind = kind, .given = env };
    open_environment(&f->env, &f->resolver, env);
    f->loop = f->env.loop;
    f->settings = contract_settings(kind->options, kind->settings_size, options_yaml);
    f->source = kind->create(f->settings, &f->env, &source_host, f);
}

void fake_route_grant(struct fake_route *f, uint64_t messages, uint64_t bytes)
{
    f->credit_messages += (int64_t)messages;
    f->credit_bytes += (int64_t)bytes;
    f->source->ops->grant(f->source, messages, bytes);
}

static void take_tokens(struct fake_route *f, size_t n, bool newest_first, struct token *tokens)
{
    ck_assert_uint_le(n, f->held_count);
    for (size_t i = 0; i < n; i++)
        tokens[i] = f->held[newest_first ? f->held_count - 1 - i : i].token;
}

void fake_route_settle(struct fake_route *f, size_t n, bool newest_first)
{
    struct token *tokens = mem_array(n + 1, sizeof(*tokens));
    take_tokens(f, n, newest_first, tokens);
    for (size_t i = 0; i < n; i++)
        drop_held(f, newest_first ? f->held_count - 1 : 0);
    f->source->ops->settle(f->source, tokens, n);
    f->settled += n;
    free(tokens);
}

struct wanted {
    const uint64_t *counter;
    uint64_t least;
};

static bool reached(void *arg)
{
    const struct wanted *w = arg;
    return *w->counter >= w->least;
}

static void wait_count(struct loop *loop, const uint64_t *counter, uint64_t least, const char *what)
{
    struct wanted w = { counter, least };
    contract_run_until(loop, reached, &w, 10 * SEC, what);
}

static bool is_true(void *flag)
{
    return *(bool *)flag;
}

void fake_route_release(struct fake_route *f, size_t n)
{
    struct token *tokens = mem_array(n + 1, sizeof(*tokens));
    take_tokens(f, n, false, tokens);
    uint64_t before = f->released + f->returned;
    f->source->ops->release(f->source, tokens, n);
    wait_count(f->loop, &f->released, before + n - f->returned, "every released token to be answered");
    free(tokens);
}

void fake_route_close(struct fake_route *f)
{
    while (f->held_count)
        drop_held(f, f->held_count - 1);
    if (!f->stopped) {
        f->quiet = true;
        f->source->ops->stop(f->source, 500 * MSEC);
        ck_assert_msg(!f->stopped, "stopped inside of stop");
        contract_run_until(f->loop, is_true, &f->stopped, 5 * SEC, "the source to stop");
    }
    f->source->ops->free(f->source);
    contract_settings_free(f->kind->options, f->settings);
    close_environment(&f->env, f->resolver, f->given);
    free(f->held);
}

static void wait_taken(struct fake_route *f, uint64_t least)
{
    wait_count(f->loop, &f->taken, least, "messages that credit was granted for");
}

static void check_credit(struct fake_route *f, uint64_t read_max)
{
    fake_route_grant(f, 10, 1 << 30);
    wait_taken(f, 10);
    contract_run_for(f->loop, 30 * MSEC);
    ck_assert_msg(f->taken <= 10 + read_max, "%llu messages for a credit of 10", (unsigned long long)f->taken);
    /* Bytes: enough messages, and what a byte is left for is at most one message more. */
    uint64_t before = f->taken;
    fake_route_grant(f, (uint64_t)-f->credit_messages + 20, (uint64_t)-f->credit_bytes + 1);
    wait_taken(f, before + 1);
    contract_run_for(f->loop, 30 * MSEC);
    ck_assert_msg(f->taken <= before + 1 + read_max, "%llu messages for one byte",
                  (unsigned long long)(f->taken - before));
    fake_route_grant(f, 0, (uint64_t)-f->credit_bytes + (1 << 30));
    wait_taken(f, before + 20);
}

static void check_pause(struct fake_route *f)
{
    f->source->ops->pause(f->source);
    f->quiet = true;
    fake_route_grant(f, 10, 1 << 30);
    contract_run_for(f->loop, 50 * MSEC);
    f->quiet = false;
    uint64_t before = f->taken;
    f->source->ops->resume(f->source);
    wait_taken(f, before + (f->credit_messages > 0 ? (uint64_t)f->credit_messages : 0));
}

void contract_check_source(const struct contract_source *c)
{
    struct fake_route f;
    fake_route_open(&f, c->kind, c->options, &c->env);
    f.exact = c->read_max == 0;
    f.source->ops->start(f.source);
    contract_run_for(f.loop, 30 * MSEC);
    ck_assert_msg(f.taken == 0, "messages without credit");
    check_credit(&f, c->read_max);
    fake_route_settle(&f, f.held_count / 2, true);
    fake_route_settle(&f, f.held_count / 2, false);
    contract_run_for(f.loop, 10 * MSEC);
    check_pause(&f);
    ck_assert_uint_ge(f.held_count, 2);
    fake_route_release(&f, f.held_count / 2);
    f.source->ops->drain(f.source);
    f.quiet = true;
    f.source->ops->grant(f.source, 10, 1 << 20);
    contract_run_for(f.loop, 30 * MSEC);
    fake_route_settle(&f, f.held_count, false);
    ck_assert_uint_eq(f.taken, f.settled + f.released + f.returned);
    ck_assert_msg(f.taken <= c->available, "more messages than there are");
    f.source->ops->stop(f.source, 500 * MSEC);
    ck_assert_msg(!f.stopped, "stopped inside of stop");
    contract_run_until(f.loop, is_true, &f.stopped, 5 * SEC, "the source to stop");
    unsigned calls = f.status_calls;
    contract_run_for(f.loop, 20 * MSEC);
    ck_assert_msg(f.status_calls == calls, "a callback after stopped");
    fake_route_close(&f);
}

/* ---- a route around a sink */

static void on_verdicts(void *ctx, const struct verdict *verdicts, size_t n)
{
    struct fake_sender *f = ctx;
    ck_assert_msg(!f->sending, "a verdict inside of send");
    ck_assert_msg(!f->stopped, "a verdict after stopped");
    for (size_t i = 0; i < n; i++) {
        size_t at = (size_t)verdicts[i].tag - 1;
        ck_assert_msg(at < f->sent_count, "a verdict for a tag that was never sent");
        struct sent *s = &f->sent[at];
        ck_assert_msg(s->message, "a second verdict for one delivery");
        ck_assert_msg((verdicts[i].class == VERDICT_OK) == !verdicts[i].reason, "a reason is what is not ok has");
        s->verdict = verdicts[i].class;
        snprintf(s->reason, sizeof(s->reason), "%s", verdicts[i].reason ? verdicts[i].reason : "");
        message_unref(s->message); /* from now on the sink must not look at it */
        s->message = NULL;
        f->answered++;
        f->by_class[s->verdict]++;
    }
}

static void on_window_open(void *ctx)
{
    struct fake_sender *f = ctx;
    ck_assert_msg(!f->sending, "window_open inside of send");
    ck_assert_msg(!f->stopped, "window_open after stopped");
    f->window_opens++;
}

static void on_sink_status(void *ctx)
{
    ((struct fake_sender *)ctx)->status_calls++;
}

static void on_sink_stopped(void *ctx)
{
    struct fake_sender *f = ctx;
    ck_assert_msg(!f->stopped, "stopped twice");
    f->stopped = true;
}

static const struct sink_host sink_host = {
    .verdicts = on_verdicts,
    .window_open = on_window_open,
    .status = on_sink_status,
    .stopped = on_sink_stopped,
};

void fake_sender_open(struct fake_sender *f, const struct sink_kind *kind, const char *options_yaml,
                      const struct contract_env *env)
{
    *f = (struct fake_sender){ .kind = kind, .given = env };
    open_environment(&f->env, &f->resolver, env);
    f->loop = f->env.loop;
    f->settings = contract_settings(kind->options, kind->settings_size, options_yaml);
    f->sink = kind->create(f->settings, &f->env, &sink_host, f);
}

static bool window_is_open(void *arg)
{
    struct fake_sender *f = arg;
    struct window w = f->sink->ops->window(f->sink);
    return w.messages && w.bytes;
}

size_t fake_sender_send(struct fake_sender *f, struct message *m)
{
    if (!window_is_open(f)) {
        unsigned opens = f->window_opens;
        contract_run_until(f->loop, window_is_open, f, 10 * SEC, "the window to open");
        ck_assert_msg(f->window_opens > opens, "the window opened and nobody was told");
    }
    if ((f->sent_count & (f->sent_count - 1)) == 0) /* room for twice as many at each power of two */
        f->sent = mem_resize(f->sent, (f->sent_count ? 2 * f->sent_count : 1) * sizeof(*f->sent));
    f->sent[f->sent_count] = (struct sent){ .message = m };
    struct delivery d = { m, (void *)++f->sent_count };
    f->sending = true;
    f->sink->ops->send(f->sink, &d, 1);
    f->sending = false;
    return f->sent_count - 1;
}

static bool all_answered(void *arg)
{
    struct fake_sender *f = arg;
    return f->answered == f->sent_count;
}

void fake_sender_close(struct fake_sender *f)
{
    if (!all_answered(f)) {
        f->sink->ops->cancel(f->sink);
        contract_run_until(f->loop, all_answered, f, SEC, "cancel to answer everything");
    }
    if (!f->stopped) {
        f->sink->ops->stop(f->sink, 500 * MSEC);
        ck_assert_msg(!f->stopped, "stopped inside of stop");
        contract_run_until(f->loop, is_true, &f->stopped, 5 * SEC, "the sink to stop");
    }
    contract_run_for(f->loop, 10 * MSEC);
    f->sink->ops->free(f->sink);
    contract_settings_free(f->kind->options, f->settings);
    close_environment(&f->env, f->resolver, f->given);
    free(f->sent);
}

static struct message *make_text(unsigned number)
{
    struct message *m = message_new();
    char text[32];
    int len = snprintf(text, sizeof(text), "message %u", number);
    message_set_payload(m, message_hold(m, bytes_of(text, (size_t)len)));
    len = snprintf(text, sizeof(text), "k%u", number % 7);
    message_set_key(m, message_hold(m, bytes_of(text, (size_t)len)));
    return m;
}

void contract_check_sink(const struct contract_sink *c)
{
    struct fake_sender f;
    fake_sender_open(&f, c->kind, c->options, &c->env);
    ck_assert_msg(f.sink->ops->window(f.sink).messages == 0, "a window before start");
    f.sink->ops->start(f.sink);
    size_t count = c->messages ? c->messages : 200;
    struct message *(*make)(unsigned number) = c->make ? c->make : make_text;
    for (unsigned i = 0; i < count; i++)
        fake_sender_send(&f, make(i));
    contract_run_until(f.loop, all_answered, &f, 10 * SEC, "every verdict");
    ck_assert_msg(f.by_class[VERDICT_OK] == count, "%zu of %zu are ok", f.by_class[VERDICT_OK], count);
    /* Given up at once: ok, again or unknown, but all of them, and soon. */
    for (unsigned i = 0; i < 10; i++)
        fake_sender_send(&f, make((unsigned)count + i));
    f.sink->ops->cancel(f.sink);
    contract_run_until(f.loop, all_answered, &f, 100 * MSEC, "cancel to answer everything");
    ck_assert_uint_eq(f.by_class[VERDICT_OK] + f.by_class[VERDICT_AGAIN] + f.by_class[VERDICT_UNKNOWN], count + 10);
    fake_sender_close(&f);
}
