/* ferryd: runs the daemon, or checks and shows its configuration. */
#include "admin/protocol.h"
#include "base/log.h"
#include "daemon/cmdline.h"
#include "daemon/daemon.h"
#include "daemon/process.h"

#include <stdio.h>

/* Everything that is wrong, or may be, goes to stderr. NULL: there are errors. */
static struct settings *load(const char *path, size_t *errors, size_t *warnings)
{
    struct diagnostics *d = diagnostics_new();
    struct buf text = BUF_EMPTY;
    struct settings *s = settings_load(path, d);
    diagnostics_print(d, &text);
    fputs(buf_string(&text), stderr);
    buf_free(&text);
    *errors = diagnostics_errors(d);
    *warnings = diagnostics_warnings(d);
    diagnostics_free(d);
    return s;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static int check(const char *path)
{
    size_t errors, warnings;
    struct settings *s = load(path, &errors, &warnings);
    if (!s) {
        printf("%s: %zu error%s, %zu warning%s\n", path, errors, plural(errors), warnings, plural(warnings));
        return EXIT_FAILED;
    }
    printf("%s: ok: %zu route%s, %zu connection%s, %zu warning%s\n", path, s->route_count, plural(s->route_count),
           s->connection_count, plural(s->connection_count), warnings, plural(warnings));
    settings_unref(s);
    return EXIT_HEALTHY;
}

static int print(const char *path)
{
    size_t errors, warnings;
    struct settings *s = load(path, &errors, &warnings);
    if (!s)
        return EXIT_FAILED;
    struct buf text = BUF_EMPTY;
    settings_print(s, &text);
    fputs(buf_string(&text), stdout);
    buf_free(&text);
    settings_unref(s);
    return EXIT_HEALTHY;
}

static int print_reference(bool markdown)
{
    struct buf text = BUF_EMPTY;
    settings_reference(markdown, &text);
    fputs(buf_string(&text), stdout);
    buf_free(&text);
    return EXIT_HEALTHY;
}

static int run(const char *path)
{
    process_prepare();
    struct diagnostics *d = diagnostics_new();
    struct settings *s = settings_load(path, d);
    log_diagnostics(d);
    if (!s)
        log_error("ferryd", "%s has errors: not started", path);
    diagnostics_free(d);
    return s ? daemon_run(s) : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct cmdline o = cmdline_read(argc, argv);
    switch (o.mode) {
    case MODE_RUN:
        return run(o.config);
    case MODE_CHECK:
        return check(o.config);
    case MODE_PRINT:
        return print(o.config);
    case MODE_REFERENCE:
        return print_reference(false);
    case MODE_MARKDOWN:
        return print_reference(true);
    case MODE_VERSION:
        puts("ferryd " FERRY_VERSION);
        return EXIT_HEALTHY;
    case MODE_HELP:
        fputs(cmdline_usage, stdout);
        return EXIT_HEALTHY;
    case MODE_USAGE:
        break;
    }
    return EXIT_USAGE;
}
