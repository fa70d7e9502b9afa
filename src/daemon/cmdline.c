/* Reads ferryd's command line. Apart from main.c because getopt and the configuration both have a struct option. */
#include "daemon/cmdline.h"

#include "base/log.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define CONFIGURATION_DEFAULT "/etc/ferry/ferry.yaml"

const char cmdline_usage[] =
    "usage: ferryd [-c FILE] [-l LEVEL]     run in the foreground\n"
    "       ferryd -t [-c FILE]             check the configuration: exit 0 or 1\n"
    "       ferryd -T [-c FILE]             print the effective configuration, secrets masked\n"
    "\n"
    "  -c, --config FILE        the configuration (default " CONFIGURATION_DEFAULT ")\n"
    "  -l, --log-level LEVEL    error, warning, notice, info (default) or debug\n"
    "      --reference[=markdown]  print the reference of every configuration key, for ferry.yaml(5)\n"
    "  -V, --version            print the version\n"
    "  -h, --help               print this\n"
    "\n"
    "SIGTERM and SIGINT drain and stop, a second one stops at once; SIGHUP reloads. See ferryd(8), ferry.yaml(5), "
    "ferryctl(1).\n";

static bool set_log_level(const char *name)
{
    static const char *const names[] = { "error", "warning", "notice", "info", "debug", NULL };
    for (int i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0) {
            log_set_level((enum log_level)i);
            return true;
        }
    fprintf(stderr, "ferryd: there is no log level \"%s\": error, warning, notice, info or debug\n", name);
    return false;
}

static enum mode reference_mode(const char *format)
{
    if (!format)
        return MODE_REFERENCE;
    if (strcmp(format, "markdown") == 0)
        return MODE_MARKDOWN;
    fprintf(stderr, "ferryd: there is no reference as \"%s\": --reference or --reference=markdown\n", format);
    return MODE_USAGE;
}

struct cmdline cmdline_read(int argc, char **argv)
{
    enum { LONG_REFERENCE = 256 };
    static const struct option long_options[] = { { "config", required_argument, NULL, 'c' },
                                                  { "log-level", required_argument, NULL, 'l' },
                                                  { "reference", optional_argument, NULL, LONG_REFERENCE },
                                                  { "version", no_argument, NULL, 'V' },
                                                  { "help", no_argument, NULL, 'h' },
                                                  { NULL, 0, NULL, 0 } };
    struct cmdline o = { .config = CONFIGURATION_DEFAULT };
    for (int c; (c = getopt_long(argc, argv, "c:l:tTVh", long_options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            o.config = optarg;
            break;
        case 'l':
            o.mode = set_log_level(optarg) ? o.mode : MODE_USAGE;
            break;
        case 't':
            o.mode = MODE_CHECK;
            break;
        case 'T':
            o.mode = MODE_PRINT;
            break;
        case LONG_REFERENCE:
            o.mode = reference_mode(optarg);
            break;
        case 'V':
            o.mode = MODE_VERSION;
            break;
        case 'h':
            o.mode = MODE_HELP;
            break;
        default:
            o.mode = MODE_USAGE;
            break; /* getopt_long said why */
        }
        if (o.mode == MODE_USAGE)
            return o;
    }
    if (optind < argc) {
        fprintf(stderr, "ferryd: \"%s\" is no option; the configuration is given with -c FILE (ferryd -h shows all)\n",
                argv[optind]);
        o.mode = MODE_USAGE;
    }
    return o;
}
