/* The connection's option table, what its url stands for, and which librdkafka properties are ferryd's own. */
#include "endpoint/kafka/settings.h"

#include "base/mem.h"
#include "config/url.h"
#include "endpoint/kafka/kafka.h"

#include <librdkafka/rdkafka.h>

static const char *const schemes[] = { "kafka", NULL };

static const struct option options[] = {
    OPTION(struct kafka_connection, url, OPTION_STRING, .required = true,
           .help = "kafka://host:port; user and password go into properties"),
    OPTION(struct kafka_connection, hosts, OPTION_STRINGS, .fallback_text = "the url's host",
           .help = "host:port of the servers to begin with; used instead of the url's host"),
    OPTION(struct kafka_connection, properties, OPTION_KAFKA_PROPERTIES,
           .help = "librdkafka's configuration properties, such as security.protocol or compression.type, for every "
                   "consumer and producer of this connection"),
    OPTION_END,
};

/* What ferryd's promises hang on. */
static const struct {
    const char *name, *why;
} owned[] = {
    { "bootstrap.servers", "write hosts:" },
    { "metadata.broker.list", "write hosts:" },
    { "group.id", "a source's group: is it" },
    { "group.instance.id", "it is made of name:, route and instance" },
    { "group.protocol", "partitions are taken over one assignment at a time (classic)" },
    { "transactional.id", "it is made of name:, route and instance" },
    { "auto.offset.reset", "a source's start: is it" },
    { "topic.auto.offset.reset", "a source's start: is it" },
    { "enable.auto.commit", "only what every sink confirmed is committed" },
    { "auto.commit.enable", "only what every sink confirmed is committed" },
    { "enable.auto.offset.store", "only what every sink confirmed is committed" },
    { "offset.store.method", "offsets are kept by the group" },
    { "isolation.level", "aborted transactions are never read" },
    { "enable.partition.eof", "a source has no end" },
    { "enable.idempotence", "a producer is always idempotent, or a lost answer could double and reorder" },
    { "enable.gapless.guarantee", "it follows from order:" },
    { "acks", "a message counts as delivered when all replicas in sync have it" },
    { "request.required.acks", "a message counts as delivered when all replicas in sync have it" },
    { "message.timeout.ms", "it follows from order:" },
    { "delivery.timeout.ms", "it follows from order:" },
    { "message.send.max.retries", "a producer tries until message.timeout.ms" },
    { "retries", "a producer tries until message.timeout.ms" },
    { "queue.buffering.max.messages", "it follows from limits:" },
    { "queue.buffering.max.kbytes", "it follows from limits:" },
    { "queued.min.messages", "it follows from limits:" },
    { "queued.max.messages.kbytes", "it follows from limits:" },
    { "log.queue", "log lines are ferryd's" },
};

bool kafka_property_is_secret(const char *name)
{
    static const char *const words[] = { "password", "secret", "ssl.key.pem", "sasl.oauthbearer.config" };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

void kafka_bootstrap(const struct kafka_connection *c, struct buf *out)
{
    for (size_t i = 0; i < c->hosts.count; i++)
        buf_printf(out, "%s%s", i ? "," : "", c->hosts.items[i]);
}

const char *kafka_topic_name_error(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 249)
        return "a topic's name has 1 to 249 characters";
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return "a topic cannot be named . or ..";
    if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != len)
        return "a topic's name is made of letters, digits, '.', '_' and '-'";
    return NULL;
}

/* ---- the check */

static void default_hosts(struct kafka_connection *c, const struct url *u)
{
    if (!c->hosts.count) {
        const char *host = u->host && *u->host ? u->host : "127.0.0.1";
        c->hosts.items = mem_array(2, sizeof(*c->hosts.items));
        c->hosts.count = 1;
        c->hosts.items[0] = mem_format(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, u->port ? u->port : 9092);
    }
    for (size_t i = 0; i < c->hosts.count; i++) {
        char *h = c->hosts.items[i], *bracket = strrchr(h, ']');
        if (strchr(bracket ? bracket : h, ':'))
            continue;
        c->hosts.items[i] = mem_format("%s:9092", h);
        free(h);
    }
}

static const char *why_owned(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(owned); i++)
        if (strcmp(owned[i].name, name) == 0)
            return owned[i].why;
    return NULL;
}

/* librdkafka's words about a property and its value, cut at the first line. They may name it otherwise: some are aliases. */
static bool library_accepts(rd_kafka_conf_t *scratch, const struct string_pair *p, char *error, size_t size)
{
    if (rd_kafka_conf_set(scratch, p->name, p->value, error, size) == RD_KAFKA_CONF_OK)
        return true;
    error[strcspn(error, "\n")] = 0;
    return false;
}

static void check_properties(const struct kafka_connection *c, struct diagnostics *d)
{
    rd_kafka_conf_t *scratch = rd_kafka_conf_new();
    char error[512];
    for (size_t i = 0; i < c->properties.count; i++) {
        const struct string_pair *p = &c->properties.items[i];
        const char *why = why_owned(p->name);
        if (why)
            diagnostics_error(d, p->mark, "the property %s is ferryd's own: %s", p->name, why);
        else if (strcmp(p->name, "partition.assignment.strategy") == 0 && strstr(p->value, "cooperative"))
            diagnostics_error(d, p->mark,
                              "partition.assignment.strategy: expected range or roundrobin, found \"%s\": partitions "
                              "are taken over one assignment at a time",
                              p->value);
        else if (!library_accepts(scratch, p, error, sizeof(error)))
            diagnostics_error(d, p->mark, "%s: %s", p->name,
                              kafka_property_is_secret(p->name) ? "librdkafka does not accept it" : error);
    }
    rd_kafka_conf_destroy(scratch);
}

static void check(struct connection *base, struct diagnostics *d)
{
    struct kafka_connection *c = (struct kafka_connection *)base;
    struct url u = { .scheme = NULL };
    const char *error;
    check_properties(c, d);
    if (!c->url)
        return; /* already told: it is required */
    if (!url_parse(c->url, &u, &error)) {
        diagnostics_error(d, base->mark, "the url of connection %s: %s%s", base->name, error,
                          strchr(c->url, ',') ? "; several servers go into hosts:" : "");
        return;
    }
    if (strcmp(u.scheme, "kafka") != 0)
        diagnostics_error(d, base->mark, "the url of connection %s begins with %s://; expected kafka://", base->name,
                          u.scheme);
    if (u.user || u.password)
        diagnostics_error(d, base->mark,
                          "the url of connection %s has a user or password; write them as the properties "
                          "sasl.username and sasl.password, with sasl.mechanism and security.protocol",
                          base->name);
    if ((u.path && *u.path) || u.query)
        diagnostics_error(d, base->mark, "the url of connection %s has a path; expected kafka://host:port", base->name);
    default_hosts(c, &u);
    url_free(&u);
}

const struct connection_kind kafka_connection = {
    .transport = "kafka",
    .schemes = schemes,
    .options = options,
    .settings_size = sizeof(struct kafka_connection),
    .check = check,
    .help = "A Kafka cluster, through librdkafka: TLS, SASL and tuning are its properties.",
};
