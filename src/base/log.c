/* Log lines to standard error, one write(2) each, so that lines of several threads never mix. */
#include "base/log.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum style { STYLE_UNKNOWN, STYLE_JOURNAL, STYLE_PLAIN, STYLE_COLOUR };

static const struct {
    const char *name;
    const char *colour;
    int priority; /* syslog's */
} LEVELS[] = {
    [LEVEL_ERROR] = { "error", "\033[1;31m", 3 }, [LEVEL_WARNING] = { "warning", "\033[33m", 4 },
    [LEVEL_NOTICE] = { "notice", "\033[1m", 5 },  [LEVEL_INFO] = { "info", "", 6 },
    [LEVEL_DEBUG] = { "debug", "\033[2m", 7 },
};

static atomic_int level_now = LEVEL_INFO;
static atomic_int style_now = STYLE_UNKNOWN;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

/* Found by whoever logs first; two that are first at once find the same. */
static enum style style(void)
{
    int known = atomic_load_explicit(&style_now, memory_order_relaxed);
    if (known != STYLE_UNKNOWN)
        return (enum style)known;
    const char *no_colour = getenv("NO_COLOR");
    enum style found = !isatty(STDERR_FILENO) ? STYLE_JOURNAL : no_colour && no_colour[0] ? STYLE_PLAIN : STYLE_COLOUR;
    atomic_store_explicit(&style_now, (int)found, memory_order_relaxed);
    return found;
}

static void append_time(struct buf *line)
{
    int64_t now = clock_wall_ms();
    time_t seconds = (time_t)(now / 1000);
    struct tm local;
    localtime_r(&seconds, &local);
    buf_printf(line, "%02d:%02d:%02d.%03d ", local.tm_hour, local.tm_min, local.tm_sec, (int)(now % 1000));
}

static void append_head(struct buf *line, enum log_level level, const char *subject)
{
    enum style s = style();
    if (s == STYLE_JOURNAL) {
        buf_printf(line, "<%d>", LEVELS[level].priority);
    } else {
        append_time(line);
        if (s == STYLE_COLOUR)
            buf_append_string(line, LEVELS[level].colour);
        buf_printf(line, "%-7s ", LEVELS[level].name);
    }
    text_escape_controls(line, bytes_of_string(subject));
    buf_append_string(line, s == STYLE_COLOUR && LEVELS[level].colour[0] ? ":\033[0m " : ": ");
}

/* A line that cannot be written is lost: there is nowhere else to say so. */
static void write_line(struct bytes line)
{
    while (line.len) {
        ssize_t n = write(STDERR_FILENO, line.data, line.len);
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0)
            line = bytes_of(line.data + n, line.len - (size_t)n);
    }
}

void log_write(enum log_level level, const char *subject, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    CLEANUP(buf_free) struct buf text = BUF_EMPTY;
    CLEANUP(buf_free) struct buf line = BUF_EMPTY;
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    append_head(&line, level, subject);
    text_escape_controls(&line, buf_bytes(&text));
    buf_append_byte(&line, '\n');
    write_line(buf_bytes(&line));
    errno = saved_errno;
}

bool log_limited(struct log_limit *limit, long long every_us, unsigned *suppressed)
{
    int64_t now = clock_us();
    if (now < limit->next_us) {
        limit->suppressed++;
        return false;
    }
    *suppressed = limit->suppressed;
    *limit = (struct log_limit){ .next_us = now + every_us };
    return true;
}
