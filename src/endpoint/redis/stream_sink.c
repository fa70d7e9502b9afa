/* to: { redis: …, stream: NAME }: each message an entry. */
#include "base/mem.h"
#include "endpoint/redis/publisher.h"
#include "endpoint/redis/redis.h"

#include <stdio.h>

struct settings {
    struct template *stream;
    char *field;
    int64_t maxlen;
};

struct stream_sink {
    struct publisher publisher;
    struct entry_names names;
};

static const struct option options[] = {
    OPTION(struct settings, stream, OPTION_TEMPLATE, .required = true, .help = "stream to add to; may be a template"),
    OPTION(struct settings, field, OPTION_STRING, .fallback = "payload", .help = "field that holds the payload"),
    OPTION(struct settings, maxlen, OPTION_INT, .min = 1, .max = INT64_MAX, .fallback_text = "not trimmed",
           .help = "the stream is trimmed to about this many entries, whether they were read or not"),
    OPTION_END,
};

static void measure(struct publisher *p, const struct message *m, struct entry_shape *shape)
{
    struct stream_sink *s = CONTAINER_OF(p, struct stream_sink, publisher);
    entry_measure(&s->names, m, &p->types, shape);
}

static uint8_t *put(struct publisher *p, const struct message *m, const struct entry_shape *shape, uint8_t *at)
{
    struct stream_sink *s = CONTAINER_OF(p, struct stream_sink, publisher);
    return entry_put(&s->names, m, shape, at);
}

static const struct publish_ops ops = { .command = "XADD", .measure = measure, .put = put };

static struct sink *create(const void *settings, const struct environment *env, const struct sink_host *host, void *ctx)
{
    const struct settings *set = settings;
    struct stream_sink *s = mem_zero(sizeof *s);
    s->names = (struct entry_names){ bytes_of_string(set->field), BYTES_LITERAL("key") };
    char maxlen[24];
    snprintf(maxlen, sizeof maxlen, "%lld", (long long)set->maxlen);
    const char *trimmed[] = { "MAXLEN", "~", maxlen, "*", NULL }, *untrimmed[] = { "*", NULL };
    publisher_init(&s->publisher, &ops, set->stream, set->maxlen ? trimmed : untrimmed, env, host, ctx);
    return &s->publisher.sink;
}

static void check(void *settings, const struct connection *c, struct mark at, struct diagnostics *d)
{
    const struct settings *s = settings;
    (void)c;
    if (s->field && (!*s->field || strcmp(s->field, "key") == 0))
        diagnostics_error(d, at, "field \"%s\" of a redis stream sink; expected a name other than \"key\"", s->field);
}

static const char *target(const void *settings)
{
    return template_text(((const struct settings *)settings)->stream);
}

const struct sink_kind redis_stream_sink = {
    .transport = "redis",
    .selector = "stream",
    .name = "redis stream",
    .options = options,
    .settings_size = sizeof(struct settings),
    .caps = { .ordered_on_failure = true, .repeated_headers = true },
    .check = check,
    .create = create,
    .target = target,
    .help = "Adds each message to a stream: the payload in one field, the key in `key`, headers in the others.",
};
