/* The kinds `kafka: topic` and `kafka: topics`: their options, checks and rows. */
#include "endpoint/kafka/kafka.h"
#include "endpoint/kafka/source.h"

#include <regex.h>

static const char *const starts[] = { "earliest", "latest", NULL };

#define GROUP_OPTIONS                                                                                       \
    OPTION(struct kafka_source_settings, group, OPTION_STRING, .required = true, .help = "consumer group"), \
        OPTION(struct kafka_source_settings, start, OPTION_ENUM, .fallback = "earliest", .choices = starts, \
               .help = "where a group begins that has committed nothing yet")

static const struct option topic_options[] = {
    OPTION(struct kafka_source_settings, topic, OPTION_STRING, .required = true,
           .help = "topic, or a regular expression that begins with ^ and takes every topic it matches"),
    GROUP_OPTIONS,
    OPTION_END,
};

static const struct option topics_options[] = {
    OPTION(struct kafka_source_settings, topics, OPTION_STRINGS, .required = true,
           .help = "topics, or regular expressions that begin with ^"),
    GROUP_OPTIONS,
    OPTION_END,
};

static void check_topic(const char *topic, struct mark at, struct diagnostics *d)
{
    char error[128];
    regex_t regex;
    if (topic[0] != '^') {
        const char *why = kafka_topic_name_error(topic);
        if (why)
            diagnostics_error(d, at, "\"%s\" is no topic: %s", topic, why);
        return;
    }
    int failed = regcomp(&regex, topic, REG_EXTENDED | REG_NOSUB);
    if (failed) {
        regerror(failed, &regex, error, sizeof(error));
        diagnostics_error(d, at, "the topic expression \"%s\": %s", topic, error);
    } else {
        regfree(&regex);
    }
}

static void check_source(void *settings, const struct connection *c, struct mark at, struct diagnostics *d)
{
    (void)c;
    struct kafka_source_settings *s = settings;
    if (s->topic)
        check_topic(s->topic, at, d);
    for (size_t i = 0; i < s->topics.count; i++)
        check_topic(s->topics.items[i], at, d);
    if (s->group && !*s->group)
        diagnostics_error(d, at, "group: a consumer group has a name");
}

static const char *target(const void *settings)
{
    const struct kafka_source_settings *s = settings;
    return s->topic ? s->topic : s->topics.count ? s->topics.items[0] : "";
}

#define SOURCE_CAPS                                                                        \
    {                                                                                      \
        .at_least_once = true, .partitions = true, .stable_ids = true, .shared_name = true \
    }

const struct source_kind kafka_topic_source = {
    .transport = "kafka",
    .selector = "topic",
    .name = "kafka topic",
    .options = topic_options,
    .settings_size = sizeof(struct kafka_source_settings),
    .caps = SOURCE_CAPS,
    .check = check_source,
    .create = kafka_source_create,
    .target = target,
    .help = "A topic, or all that a regular expression matches, read as a member of a consumer group. The position is "
            "committed up to the first message whose outcome is not known.",
};

const struct source_kind kafka_topics_source = {
    .transport = "kafka",
    .selector = "topics",
    .name = "kafka topics",
    .options = topics_options,
    .settings_size = sizeof(struct kafka_source_settings),
    .caps = SOURCE_CAPS,
    .check = check_source,
    .create = kafka_source_create,
    .target = target,
    .help = "Several topics, read as `topic` is.",
};
