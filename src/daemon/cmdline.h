/* ferryd's command line. */
#pragma once

enum mode { MODE_RUN, MODE_CHECK, MODE_PRINT, MODE_REFERENCE, MODE_MARKDOWN, MODE_VERSION, MODE_HELP, MODE_USAGE };

struct cmdline {
    enum mode mode;     /* MODE_USAGE: something is wrong with it, and was said on stderr in one line */
    const char *config; /* the path */
};

/* Also sets the log's level. */
struct cmdline cmdline_read(int argc, char **argv);
extern const char cmdline_usage[];
