/* The connection's option table, what its url stands for, and the declare: groups. */
#include "endpoint/rabbitmq/settings.h"

#include "base/mem.h"
#include "config/url.h"
#include "endpoint/rabbitmq/rabbitmq.h"

static const char *const schemes[] = { "amqp", NULL };

static const struct option options[] = {
    OPTION(
        struct rabbitmq_settings, url, OPTION_STRING, .required = true,
        .help =
            "amqp://user:password@host:port/vhost, percent-encoded; without a path, or with / alone, the vhost is /"),
    OPTION(struct rabbitmq_settings, hosts, OPTION_STRINGS, .fallback_text = "the url's host",
           .help = "host:port of each server, tried in turn; used instead of the url's host"),
    OPTION(struct rabbitmq_settings, user, OPTION_STRING, .fallback_text = "the url's, else guest",
           .help = "user to log in as"),
    OPTION(struct rabbitmq_settings, password, OPTION_SECRET, .fallback_text = "the url's, else guest",
           .help = "password of the user"),
    OPTION(struct rabbitmq_settings, vhost, OPTION_STRING, .fallback_text = "the url's path, else /",
           .help = "virtual host"),
    OPTION(struct rabbitmq_settings, heartbeat, OPTION_DURATION, .fallback = "15s", .min = 1 * SEC, .max = 3600 * SEC,
           .help = "how often each side says that it lives; a server silent for twice as long is given up"),
    OPTION(struct rabbitmq_settings, timeout, OPTION_DURATION, .fallback = "5s", .min = 10 * MSEC, .max = 300 * SEC,
           .help = "how long connecting, and then logging in, may take"),
    OPTION(struct rabbitmq_settings, frame_max, OPTION_SIZE, .fallback = "128KiB", .min = FRAME_MIN_MAX,
           .max = 16 << 20, .help = "largest frame to agree on; a message's properties and headers must fit into one"),
    OPTION_END,
};

static void default_hosts(struct rabbitmq_settings *s, const struct url *u)
{
    if (!s->hosts.count) {
        const char *host = u->host && *u->host ? u->host : "127.0.0.1";
        s->hosts.items = mem_array(2, sizeof *s->hosts.items);
        s->hosts.count = 1;
        s->hosts.items[0] = mem_format(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, u->port ? u->port : 5672);
    }
    for (size_t i = 0; i < s->hosts.count; i++) {
        char *h = s->hosts.items[i], *bracket = strrchr(h, ']');
        if (strchr(bracket ? bracket : h, ':'))
            continue;
        s->hosts.items[i] = mem_format("%s:5672", h);
        free(h);
    }
}

static void take(char **field, const char *from_url, const char *otherwise)
{
    if (!*field)
        *field = mem_string(from_url && *from_url ? from_url : otherwise);
}

static void check(struct connection *base, struct diagnostics *d)
{
    struct rabbitmq_settings *s = (struct rabbitmq_settings *)base;
    struct url u = { .scheme = NULL };
    const char *error;
    if (!s->url)
        return; /* already told: it is required */
    if (!url_parse(s->url, &u, &error)) {
        diagnostics_error(d, base->mark, "the url of connection %s: %s", base->name, error);
        return;
    }
    if (strcmp(u.scheme, "amqp") != 0)
        diagnostics_error(d, base->mark, "the url of connection %s begins with %s://; expected amqp://", base->name,
                          u.scheme);
    if (u.query) /* not quoted: it may be a password */
        diagnostics_error(
            d, base->mark,
            "the url of connection %s has a query; write heartbeat, timeout and frame_max as keys beside url",
            base->name);
    default_hosts(s, &u);
    bool own_user = s->user || (u.user && *u.user);
    if (own_user && !s->password && !u.password)
        diagnostics_error(d, base->mark, "connection %s has a user and no password", base->name);
    take(&s->user, u.user, "guest");
    take(&s->password, u.password, "guest");
    take(&s->vhost, u.path, "/");
    if (strlen(s->vhost) > SHORT_STRING_MAX)
        diagnostics_error(d, base->mark, "the vhost of connection %s is longer than 255 bytes", base->name);
    url_free(&u);
}

const struct connection_kind rabbitmq_connection = {
    .transport = "rabbitmq",
    .schemes = schemes,
    .options = options,
    .settings_size = sizeof(struct rabbitmq_settings),
    .check = check,
    .help = "A RabbitMQ server or cluster, 3.8 or later, by AMQP 0-9-1 over TCP.",
};

/* ---- declare: */

static const struct option binding_options[] = {
    OPTION(struct binding_settings, exchange, OPTION_STRING, .required = true, .help = "exchange to bind to"),
    OPTION(struct binding_settings, routing_key, OPTION_STRING, .fallback = "''", .help = "routing key of the binding"),
    OPTION(struct binding_settings, arguments, OPTION_STRING_MAP,
           .help = "arguments of the binding; whole numbers, true and false are sent as such"),
    OPTION_END,
};

static const char *const queue_types[] = { "classic", "quorum", "stream", NULL };

const struct option rabbitmq_queue_declaration_options[] = {
    OPTION(struct queue_declaration, type, OPTION_ENUM, .choices = queue_types, .fallback = "classic",
           .help = "type of the queue"),
    OPTION(struct queue_declaration, durable, OPTION_BOOL, .fallback = "true",
           .help = "whether the queue survives a restart of the broker"),
    OPTION(struct queue_declaration, arguments, OPTION_STRING_MAP,
           .help = "x-arguments of the queue; whole numbers, true and false are sent as such"),
    OPTION(struct queue_declaration, bindings, OPTION_GROUPS, .group = binding_options,
           .group_size = sizeof(struct binding_settings), .help = "bindings of the queue to exchanges that exist"),
    OPTION_END,
};

const struct option rabbitmq_exchange_declaration_options[] = {
    OPTION(struct exchange_declaration, type, OPTION_STRING, .fallback = "direct",
           .help = "direct, topic, fanout, headers, or a plugin's type"),
    OPTION(struct exchange_declaration, durable, OPTION_BOOL, .fallback = "true",
           .help = "whether the exchange survives a restart of the broker"),
    OPTION(struct exchange_declaration, arguments, OPTION_STRING_MAP,
           .help = "arguments of the exchange; whole numbers, true and false are sent as such"),
    OPTION(struct exchange_declaration, bindings, OPTION_GROUPS, .group = binding_options,
           .group_size = sizeof(struct binding_settings),
           .help = "bindings of this exchange to others, from which it gets messages"),
    OPTION_END,
};

void rabbitmq_check_queue_declaration(const struct queue_declaration *q, struct mark at, struct diagnostics *d)
{
    if (!q)
        return;
    if (q->type != QUEUE_CLASSIC && !q->durable)
        diagnostics_error(d, at, "a %s queue is always durable; remove durable: false", queue_types[q->type]);
    for (size_t i = 0; i < q->arguments.count; i++) {
        const struct string_pair *a = &q->arguments.items[i];
        if (strcmp(a->name, "x-queue-type") == 0)
            diagnostics_error(d, a->mark, "x-queue-type is set by type: %s", queue_types[q->type]);
        else if (strcmp(a->name, "x-delivery-limit") == 0)
            diagnostics_warning(
                d, a->mark,
                "x-delivery-limit counts every reconnect as a delivery: messages that were only held may "
                "be dropped by the broker");
    }
}
