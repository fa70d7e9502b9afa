/* The settings of a Kafka connection, and the option types that only Kafka has. */
#pragma once

#include "endpoint/kind.h"
#include "message/template.h"

struct kafka_connection {
    struct connection base;
    char *url;
    struct string_list hosts;     /* after the check: never empty; "host:port" */
    struct string_map properties; /* librdkafka's own; none that ferryd must set itself */
};

/* "h1:9092,h2:9092", appended. */
void kafka_bootstrap(const struct kafka_connection *c, struct buf *out);
/* Is the value of this librdkafka property a secret? */
bool kafka_property_is_secret(const char *name);

/* A string map whose secrets are masked when printed. */
extern const struct option_type OPTION_KAFKA_PROPERTIES;

struct header_template {
    char *name;
    struct template *value;
};
struct header_templates {
    struct header_template *items; /* in the file's order */
    size_t count;
};
extern const struct option_type OPTION_HEADER_TEMPLATES; /* struct header_templates: name -> template */

/* Why a topic cannot have this name, NULL when it can. */
const char *kafka_topic_name_error(const char *name);
