/* to: { redis: …, list: NAME }: each payload an element. A run for one list is a single command of many elements. */
#include "base/mem.h"
#include "endpoint/redis/publisher.h"
#include "endpoint/redis/redis.h"

enum { SIDE_RIGHT, SIDE_LEFT };
static const char *const sides[] = { "right", "left", NULL };

struct settings {
    struct template *list;
    int side;
};

static const struct option options[] = {
    OPTION(struct settings, list, OPTION_TEMPLATE, .required = true, .help = "list to push to; may be a template"),
    OPTION(struct settings, side, OPTION_ENUM, .choices = sides, .fallback = "right",
           .help = "end of the list that elements are pushed to"),
    OPTION_END,
};

static const struct publish_ops right_ops = {
    .command = "RPUSH", .variadic = true, .measure = publish_payload_measure, .put = publish_payload_put
};
static const struct publish_ops left_ops = {
    .command = "LPUSH", .variadic = true, .measure = publish_payload_measure, .put = publish_payload_put
};

static struct sink *create(const void *settings, const struct environment *env, const struct sink_host *host, void *ctx)
{
    static const char *const fixed[] = { NULL };
    const struct settings *s = settings;
    struct publisher *p = mem_zero(sizeof *p);
    publisher_init(p, s->side == SIDE_LEFT ? &left_ops : &right_ops, s->list, fixed, env, host, ctx);
    return &p->sink;
}

static const char *target(const void *settings)
{
    return template_text(((const struct settings *)settings)->list);
}

const struct sink_kind redis_list_sink = {
    .transport = "redis",
    .selector = "list",
    .name = "redis list",
    .options = options,
    .settings_size = sizeof(struct settings),
    .caps = { .ordered_on_failure = true },
    .create = create,
    .target = target,
    .help = "Pushes each payload to a list. Key and headers have no place there.",
};
