/* Log lines: level, subject first, one line each. Text with time and colour on a terminal; "<N>" priorities for the
 * journal otherwise. Any thread. Control characters in a line are escaped. Never pass a secret. */
#pragma once

#include <stdbool.h>

enum log_level { LEVEL_ERROR, LEVEL_WARNING, LEVEL_NOTICE, LEVEL_INFO, LEVEL_DEBUG };

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
/* subject: what the line is about, such as "route orders" or "connection cache". */
void log_write(enum log_level level, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(subject, ...)   log_write(LEVEL_ERROR, subject, __VA_ARGS__)
#define log_warning(subject, ...) log_write(LEVEL_WARNING, subject, __VA_ARGS__)
#define log_notice(subject, ...)  log_write(LEVEL_NOTICE, subject, __VA_ARGS__)
#define log_info(subject, ...)    log_write(LEVEL_INFO, subject, __VA_ARGS__)
#define log_debug(subject, ...)                           \
    do {                                                  \
        if (log_enabled(LEVEL_DEBUG))                     \
            log_write(LEVEL_DEBUG, subject, __VA_ARGS__); \
    } while (0)

/* A line that may repeat: log_limited() says whether to write now, at most once in every_us for this limit, and how many
 * were left out since. Zero-initialise. One thread. */
struct log_limit {
    long long next_us;
    unsigned suppressed;
};
bool log_limited(struct log_limit *limit, long long every_us, unsigned *suppressed);
