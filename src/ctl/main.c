/* ferryctl: asks a running ferryd, and shows what it answers. */
#include "admin/protocol.h"
#include "base/mem.h"
#include "base/text.h"
#include "ctl/client.h"
#include "ctl/render.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

struct ctl_command {
    const char *name, *argument; /* NULL: it takes none */
    int timeout_s;
    render_fn *render; /* NULL: nothing is said when it worked */
    const char *help;
};

static const struct ctl_command commands_known[] = {
    { "status", NULL, 10, render_status, "the daemon and its routes at a glance" },
    { "routes", NULL, 10, render_routes, "the routes and where their messages went" },
    { "route", "ROUTE", 10, render_route, "everything about one route" },
    { "connections", NULL, 10, render_connections, "the connections to brokers" },
    { "pause", "ROUTE", 10, NULL, "stop taking messages; what is in flight is delivered" },
    { "resume", "ROUTE", 10, NULL, "go on; send again what was refused; probe faults at once" },
    /* Routes that go have the daemon's shutdown_timeout to drain. */
    { "reload", NULL, 600, render_reload, "read the configuration again, all or nothing" },
    { "version", NULL, 10, render_version, "the versions of ferryctl and of the daemon" },
    { .name = NULL },
};

struct invocation {
    const char *socket;
    bool json;
    const struct ctl_command *command;
    const char *argument;
};

static void print_usage(FILE *to)
{
    fputs("usage: ferryctl [-s SOCKET] [--json] COMMAND [ARGUMENT]\n\n", to);
    for (const struct ctl_command *c = commands_known; c->name; c++)
        fprintf(to, "  %-11s %-6s %s\n", c->name, c->argument ? c->argument : "", c->help);
    fputs("\n"
          "  -s, --socket SOCKET  the daemon's control socket (default: $FERRY_SOCKET, or " CONTROL_SOCKET_DEFAULT ")\n"
          "      --json           the daemon's answer as JSON\n"
          "  -V, --version        ferryctl's own version\n"
          "  -h, --help           this\n\n"
          "exit status: 0 healthy, 1 failed, 2 usage, 3 unhealthy. See ferryctl(1).\n",
          to);
}

static void usage_error(const char *message)
{
    fprintf(stderr, "ferryctl: %s (ferryctl -h shows all)\n", message);
}

static void unknown_command(const char *name)
{
    const char *names[ARRAY_LEN(commands_known)];
    for (size_t i = 0; i < ARRAY_LEN(commands_known); i++)
        names[i] = commands_known[i].name;
    const char *near = text_nearest(name, names);
    char *message = near ? mem_format("there is no command \"%s\"; did you mean \"%s\"?", name, near)
                         : mem_format("there is no command \"%s\"", name);
    usage_error(message);
    free(message);
}

/* The command and its argument. False: it said why. */
static bool read_command(int count, char **words, struct invocation *i)
{
    const struct ctl_command *c = commands_known;
    while (count && c->name && strcmp(c->name, words[0]) != 0)
        c++;
    i->command = c;
    i->argument = c->argument && count > 1 ? words[1] : NULL;
    if (count == 0)
        usage_error("which command?");
    else if (!c->name)
        unknown_command(words[0]);
    else if (c->argument && !i->argument)
        usage_error("which route? Give its name");
    else if (count > (c->argument ? 2 : 1))
        usage_error("too many arguments");
    else
        return true;
    return false;
}

static bool want_colour(void)
{
    const char *term = getenv("TERM"), *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && (!no || !*no) && (!term || strcmp(term, "dumb") != 0);
}

static json_t *build_request(const struct invocation *i)
{
    json_t *request = json_pack("{s:s}", "command", i->command->name);
    /* A name that is no UTF-8 cannot be a route's. */
    if (i->argument && json_object_set_new(request, "route", json_string(i->argument)) < 0)
        json_object_set_new(request, "route", json_string("?"));
    return request;
}

static void print_answer(const struct invocation *i, const json_t *answer)
{
    struct buf out = BUF_EMPTY;
    if (i->json) {
        char *text = json_dumps(answer, JSON_INDENT(2));
        buf_printf(&out, "%s\n", text ? text : "{}");
        free(text);
    } else if (i->command->render) {
        i->command->render(answer, want_colour(), &out);
    }
    fputs(buf_string(&out), stdout);
    buf_free(&out);
}

/* Errors of the daemon name what was wrong; of a configuration there may be many. */
static void print_failure(const json_t *answer)
{
    bool colour = isatty(STDERR_FILENO);
    const char *error = json_string_value(json_object_get(answer, "error"));
    const json_t *details = json_object_get(answer, "details");
    struct buf out = BUF_EMPTY;
    for (size_t n = 0; n < json_array_size(details); n++) {
        print_toned(&out, colour, TONE_PLAIN, json_string_value(json_array_get(details, n)));
        buf_append_byte(&out, '\n');
    }
    buf_append_string(&out, "ferryctl: ");
    print_toned(&out, colour, TONE_PLAIN, error ? error : "ferryd refused without saying why");
    fprintf(stderr, "%s\n", buf_string(&out));
    buf_free(&out);
}

static int run(const struct invocation *i)
{
    struct buf error = BUF_EMPTY;
    json_t *request = build_request(i);
    json_t *answer = client_call(i->socket, request, i->command->timeout_s, &error);
    int status = EXIT_FAILED;
    json_decref(request);
    if (!answer) {
        fprintf(stderr, "ferryctl: %s\n", buf_string(&error));
    } else if (!json_is_true(json_object_get(answer, "ok"))) {
        if (i->json)
            print_answer(i, answer);
        print_failure(answer);
    } else {
        print_answer(i, answer);
        status = json_is_false(json_object_get(answer, "healthy")) ? EXIT_UNHEALTHY : EXIT_HEALTHY;
    }
    json_decref(answer);
    buf_free(&error);
    return fflush(stdout) == 0 ? status : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    enum { LONG_JSON = 256 };
    static const struct option options[] = { { "socket", required_argument, NULL, 's' },
                                             { "json", no_argument, NULL, LONG_JSON },
                                             { "version", no_argument, NULL, 'V' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    const char *environment = getenv("FERRY_SOCKET");
    struct invocation i = { .socket = environment && *environment ? environment : CONTROL_SOCKET_DEFAULT,
                            .command = commands_known };
    for (int c; (c = getopt_long(argc, argv, "s:Vh", options, NULL)) != -1;) {
        switch (c) {
        case 's':
            i.socket = optarg;
            break;
        case LONG_JSON:
            i.json = true;
            break;
        case 'V':
            puts("ferryctl " FERRY_VERSION);
            return EXIT_HEALTHY;
        case 'h':
            print_usage(stdout);
            return EXIT_HEALTHY;
        default:
            return EXIT_USAGE; /* getopt_long said why */
        }
    }
    return read_command(argc - optind, argv + optind, &i) ? run(&i) : EXIT_USAGE;
}
