/* The floor of a route: see floor/floor.h. It is the filler of sources too, and what measures delay.
 *
 *   floor [-n COUNT] [-s SIZE] [-k KEYS] [-r RATE] [-g GROUP] [-l MS] [-t] [-p] [-d] FROM TO
 *     FROM: generate | redis:HOST:PORT:STREAM | rabbit:HOST:PORT:QUEUE | kafka:HOST:PORT:TOPIC
 *     TO:   discard  | the same
 *     -r  so many a second, each payload beginning with when it was due     -d  discard: print how late they are
 *     -l  the Kafka producer's linger.ms (2, ferryd's)     -t  transient RabbitMQ messages
 *     -p  RabbitMQ messages with the properties and headers that ferryd writes for an entry with a key
 *
 * Prints one JSON object: messages a second from the first item taken to the last confirmed, and between 10% and 90% of
 * them; CPU microseconds a message and peak resident memory of the process. */
#include "floor/floor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 1 << 17 };

static struct floor_options options = { .count = 100000, .size = 256, .group = "floor", .linger = "2" };
static struct source *source;
static struct sink *sink;
static struct slot slots[SLOTS], *free_slots[SLOTS];
static size_t n_free, in_flight;
static uint64_t taken, confirmed, first_ns, last_ns, tenth_ns, ninth_ns;

void die(const char *what, const char *why)
{
    fprintf(stderr, "floor: %s: %s\n", what, why);
    _exit(EXIT_FAILURE);
}

uint64_t floor_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

size_t floor_room(void)
{
    return in_flight < sink->window ? sink->window - in_flight : 0;
}

struct slot *floor_slot(void)
{
    if (!n_free)
        die("slots", "all are used");
    return free_slots[--n_free];
}

void floor_items(const struct item *items, size_t n)
{
    if (!n)
        return;
    if (!taken)
        first_ns = floor_now_ns();
    taken += n;
    in_flight += n;
    sink->send(sink, items, n);
}

void floor_confirmed(struct slot *const *done, size_t n)
{
    uint64_t before = confirmed;
    confirmed += n;
    in_flight -= n;
    if (before < options.count / 10 && confirmed >= options.count / 10)
        tenth_ns = floor_now_ns();
    if (before < options.count * 9 / 10 && confirmed >= options.count * 9 / 10)
        ninth_ns = floor_now_ns();
    source->settle(source, done, n);
    for (size_t i = 0; i < n; i++)
        free_slots[n_free++] = done[i];
}

static void run(void)
{
    while (confirmed < options.count) {
        struct pollfd fds[2] = {
            { .fd = source->fd, .events = (short)((floor_room() ? POLLIN : 0) | (source->wants_write ? POLLOUT : 0)) },
            { .fd = sink->fd, .events = (short)(POLLIN | (sink->wants_write ? POLLOUT : 0)) },
        };
        bool idle = source->fd >= 0 || !floor_room();
        if (poll(fds, 2, idle ? 1000 : 0) < 0 && errno != EINTR)
            die("poll", strerror(errno));
        if (sink->fd < 0 || fds[1].revents)
            sink->read(sink);
        if (floor_room())
            source->read(source);
        sink->flush(sink);
        source->flush(source);
    }
    last_ns = floor_now_ns();
}

/* getrusage() would count what the process was before exec too. */
static double peak_mb(void)
{
    char line[256];
    double kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = strtod(line + 6, NULL);
    if (f)
        fclose(f);
    return kb / 1024;
}

static void report(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
                 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    double n = (double)confirmed, all = (double)(last_ns - first_ns), steady = (double)(ninth_ns - tenth_ns);
    printf("{\"messages\": %.0f, \"per_second\": %.0f, \"steady\": %.0f, \"cpu_us\": %.3f, \"rss_mb\": %.1f}\n", n,
           n * 1e9 / all, steady > 0 ? 0.8 * n * 1e9 / steady : 0, cpu / n, peak_mb());
}

static const char *address(const char *text, const char *scheme)
{
    size_t n = strlen(scheme);
    return strncmp(text, scheme, n) == 0 && text[n] == ':' ? text + n + 1 : NULL;
}

static struct source *make_source(const char *text)
{
    const char *at;
    if (strcmp(text, "generate") == 0)
        return generate_source(&options);
    if ((at = address(text, "redis")))
        return redis_source(at, &options);
    if ((at = address(text, "rabbit")))
        return rabbit_source(at, &options);
    if ((at = address(text, "kafka")))
        return kafka_source(at, &options);
    die(text, "is no source");
}

static struct sink *make_sink(const char *text)
{
    const char *at;
    if (strcmp(text, "discard") == 0)
        return discard_sink(&options);
    if ((at = address(text, "redis")))
        return redis_sink(at, &options);
    if ((at = address(text, "rabbit")))
        return rabbit_sink(at, &options);
    if ((at = address(text, "kafka")))
        return kafka_sink(at, &options);
    die(text, "is no sink");
}

static void read_options(int argc, char **argv)
{
    int c;
    while ((c = getopt(argc, argv, "n:s:k:r:g:l:tpd")) != -1)
        switch (c) {
        case 'n':
            options.count = strtoull(optarg, NULL, 10);
            break;
        case 's':
            options.size = strtoul(optarg, NULL, 10);
            break;
        case 'k':
            options.keys = strtoull(optarg, NULL, 10);
            break;
        case 'r':
            options.rate = strtoull(optarg, NULL, 10);
            break;
        case 'g':
            options.group = optarg;
            break;
        case 'l':
            options.linger = optarg;
            break;
        case 't':
            options.transient = true;
            break;
        case 'p':
            options.properties = true;
            break;
        case 'd':
            options.measure_delay = true;
            break;
        default:
            exit(2);
        }
    if (argc - optind != 2) {
        fprintf(stderr,
                "usage: floor [-n COUNT] [-s SIZE] [-k KEYS] [-r RATE] [-g GROUP] [-l MS] [-t] [-p] [-d] FROM TO\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    for (size_t i = 0; i < SLOTS; i++)
        free_slots[n_free++] = &slots[i];
    sink = make_sink(argv[optind + 1]);
    source = make_source(argv[optind]);
    run();
    report();
    /* Closing clients takes seconds and is not measured; the delays are printed at exit. */
    fflush(stdout);
    if (options.measure_delay)
        exit(EXIT_SUCCESS);
    _exit(EXIT_SUCCESS);
}
