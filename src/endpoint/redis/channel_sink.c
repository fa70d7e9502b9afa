/* to: { redis: …, channel: NAME }: publishes each payload. Nobody listening is no error; it is counted. */
#include "base/mem.h"
#include "endpoint/redis/publisher.h"
#include "endpoint/redis/redis.h"

struct settings {
    struct template *channel;
};

static const struct option options[] = {
    OPTION(struct settings, channel, OPTION_TEMPLATE, .required = true, .help = "channel; may be a template"),
    OPTION_END,
};

static const struct publish_ops ops = {
    .command = "PUBLISH", .receivers = true, .measure = publish_payload_measure, .put = publish_payload_put
};

static struct sink *create(const void *settings, const struct environment *env, const struct sink_host *host, void *ctx)
{
    static const char *const fixed[] = { NULL };
    struct publisher *p = mem_zero(sizeof *p);
    publisher_init(p, &ops, ((const struct settings *)settings)->channel, fixed, env, host, ctx);
    return &p->sink;
}

static const char *target(const void *settings)
{
    return template_text(((const struct settings *)settings)->channel);
}

const struct sink_kind redis_channel_sink = {
    .transport = "redis",
    .selector = "channel",
    .name = "redis channel",
    .options = options,
    .settings_size = sizeof(struct settings),
    .caps = { .ordered_on_failure = true },
    .create = create,
    .target = target,
    .help = "Publishes each payload to a channel. No receiver is no error, and is counted.",
};
