/* The settings of a Redis connection. */
#pragma once

#include "endpoint/kind.h"

struct redis_connection {
    struct connection base;
    char *url;
    struct string_list hosts; /* after the check: never empty; "host:port" or "/path" */
    char *user;
    char *password;
    int64_t db;
    int64_t timeout;   /* us: for connecting and logging in */
    int64_t heartbeat; /* us */
};
