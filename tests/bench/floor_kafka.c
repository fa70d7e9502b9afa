/* The floor under Kafka -> Kafka: librdkafka alone, one thread, zero copy, with the broker settings that ferryd uses.
 *
 *   floor_kafka BOOTSTRAP SOURCE SINK COUNT GROUP     consume -> produce; offsets stored as reports come in
 *   floor_kafka BOOTSTRAP SOURCE -    COUNT GROUP     consume alone
 *
 * Prints messages a second, CPU microseconds a message and resident memory as JSON. FERRY_FLOOR=events takes messages
 * from the queue as events instead of in arrays. */
#include <librdkafka/rdkafka.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 512, IN_FLIGHT = 100000, PARTITIONS = 256 };

struct floor {
    rd_kafka_t *consumer, *producer;
    rd_kafka_queue_t *consumer_queue, *messages, *reports;
    rd_kafka_topic_t *sink;
    const char *source;
    uint64_t taken, done, in_flight, count;
    int64_t last[PARTITIONS]; /* one past the newest confirmed offset of each partition; -1: none to store */
    uint64_t began_us, ended_us, cpu_began_us;
};

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "floor_kafka: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *const *settings)
{
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (; *settings; settings += 2)
        if (rd_kafka_conf_set(conf, settings[0], settings[1], error, sizeof(error)) != RD_KAFKA_CONF_OK)
            die(settings[0], error);
    rd_kafka_conf_set_events(conf, type == RD_KAFKA_PRODUCER ? RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR
                                                             : RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR);
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof(error));
    if (!rk)
        die("rd_kafka_new", error);
    return rk;
}

static void on_rebalance(struct floor *f, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    bool assign = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    for (int i = 0; assign && i < list->cnt; i++) {
        rd_kafka_queue_t *q = rd_kafka_queue_get_partition(f->consumer, list->elems[i].topic, list->elems[i].partition);
        rd_kafka_queue_forward(q, f->messages);
        rd_kafka_queue_destroy(q);
    }
    rd_kafka_assign(f->consumer, assign ? list : NULL);
}

static void poll_consumer(struct floor *f)
{
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(f->consumer_queue, 0))) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
            on_rebalance(f, event);
        else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            fprintf(stderr, "floor_kafka: %s\n", rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
    }
}

/* The message is the report's opaque: it lives until then. */
static void hand_over(struct floor *f, rd_kafka_message_t *m, void *keep)
{
    if (f->taken++ == 0) {
        f->began_us = now_us();
        f->cpu_began_us = cpu_us();
    }
    if (!f->sink) {
        f->done++;
        f->last[m->partition % PARTITIONS] = m->offset + 1;
        return;
    }
    f->in_flight++;
    if (rd_kafka_produce(f->sink, RD_KAFKA_PARTITION_UA, 0, m->payload, m->len, m->key, m->key_len, keep) != 0)
        die("produce", rd_kafka_err2str(rd_kafka_last_error()));
}

static size_t take_events(struct floor *f, size_t most)
{
    rd_kafka_event_t *event;
    size_t n = 0;
    while (n < most && (event = rd_kafka_queue_poll(f->messages, 0))) {
        rd_kafka_message_t *m = (rd_kafka_message_t *)rd_kafka_event_message_next(event);
        if (!m || m->err) {
            rd_kafka_event_destroy(event);
            continue;
        }
        hand_over(f, m, m);
        n++;
        if (!f->sink)
            rd_kafka_event_destroy(event);
    }
    return n;
}

static size_t take_batch(struct floor *f, size_t most)
{
    rd_kafka_message_t *batch[BATCH];
    ssize_t n = rd_kafka_consume_batch_queue(f->messages, 0, batch, most < BATCH ? most : BATCH);
    for (ssize_t i = 0; i < n; i++) {
        if (batch[i]->err) {
            rd_kafka_message_destroy(batch[i]);
            continue;
        }
        hand_over(f, batch[i], batch[i]);
        if (!f->sink)
            rd_kafka_message_destroy(batch[i]);
    }
    return n > 0 ? (size_t)n : 0;
}

static void on_reports(struct floor *f, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *report;
    while ((report = rd_kafka_event_message_next(event))) {
        rd_kafka_message_t *m = report->_private;
        if (report->err)
            die("report", rd_kafka_err2str(report->err));
        f->last[m->partition % PARTITIONS] = m->offset + 1;
        rd_kafka_message_destroy(m);
        f->in_flight--;
        f->done++;
    }
}

static void store(struct floor *f)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int i = 0; i < PARTITIONS; i++) {
        if (f->last[i] >= 0)
            rd_kafka_topic_partition_list_add(list, f->source, i)->offset = f->last[i];
        f->last[i] = -1;
    }
    if (list->cnt)
        rd_kafka_offsets_store(f->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

static void drain_fd(int fd)
{
    uint64_t n;
    while (read(fd, &n, sizeof(n)) < 0 && errno == EINTR)
        ;
}

static void run(struct floor *f)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    bool events = getenv("FERRY_FLOOR") && strcmp(getenv("FERRY_FLOOR"), "events") == 0;
    rd_kafka_queue_io_event_enable(f->consumer_queue, fd, "\1\0\0\0\0\0\0", 8);
    rd_kafka_queue_io_event_enable(f->messages, fd, "\1\0\0\0\0\0\0", 8);
    if (f->reports)
        rd_kafka_queue_io_event_enable(f->reports, fd, "\1\0\0\0\0\0\0", 8);
    while (f->done < f->count) {
        drain_fd(fd);
        poll_consumer(f);
        size_t most = IN_FLIGHT - f->in_flight, n = 0;
        if (most)
            n = events ? take_events(f, most < BATCH ? most : BATCH) : take_batch(f, most);
        rd_kafka_event_t *event;
        size_t reports = 0;
        while (f->reports && (event = rd_kafka_queue_poll(f->reports, 0))) {
            if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
                on_reports(f, event);
            else
                fprintf(stderr, "floor_kafka: %s\n", rd_kafka_event_error_string(event));
            rd_kafka_event_destroy(event);
            reports++;
        }
        store(f);
        if (!n && !reports)
            poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 1000);
    }
    f->ended_us = now_us();
}

static void report(const struct floor *f, uint64_t cpu)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double seconds = (double)(f->ended_us - f->began_us) / 1e6;
    printf("{\"messages\": %llu, \"seconds\": %.3f, \"per_second\": %.0f, \"cpu_us\": %.3f, \"rss_mb\": %.1f}\n",
           (unsigned long long)f->done, seconds, (double)f->done / seconds, (double)cpu / (double)f->done,
           (double)u.ru_maxrss / 1024);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: floor_kafka BOOTSTRAP SOURCE SINK|- COUNT GROUP\n");
        return 2;
    }
    struct floor f = { .source = argv[2], .count = strtoull(argv[4], NULL, 10) };
    memset(f.last, -1, sizeof(f.last));
    const char *consumer[] = { "bootstrap.servers",
                               argv[1],
                               "group.id",
                               argv[5],
                               "auto.offset.reset",
                               "earliest",
                               "isolation.level",
                               "read_committed",
                               "enable.auto.offset.store",
                               "false",
                               "enable.auto.commit",
                               "true",
                               "auto.commit.interval.ms",
                               "1000",
                               "queued.min.messages",
                               "1000000",
                               "queued.max.messages.kbytes",
                               "65536",
                               "session.timeout.ms",
                               "10000",
                               NULL };
    const char *producer[] = { "bootstrap.servers",
                               argv[1],
                               "enable.idempotence",
                               "true",
                               "message.timeout.ms",
                               "0",
                               "linger.ms",
                               getenv("FERRY_LINGER") ? getenv("FERRY_LINGER") : "5",
                               "queue.buffering.max.messages",
                               "100000",
                               "queue.buffering.max.kbytes",
                               "1048576",
                               NULL };
    f.consumer = client(RD_KAFKA_CONSUMER, consumer);
    rd_kafka_poll_set_consumer(f.consumer);
    f.consumer_queue = rd_kafka_queue_get_consumer(f.consumer);
    f.messages = rd_kafka_queue_new(f.consumer);
    if (strcmp(argv[3], "-") != 0) {
        f.producer = client(RD_KAFKA_PRODUCER, producer);
        f.sink = rd_kafka_topic_new(f.producer, argv[3], NULL);
        f.reports = rd_kafka_queue_get_main(f.producer);
    }
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, argv[2], RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(f.consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    run(&f);
    report(&f, cpu_us() - f.cpu_began_us);
    fflush(stdout);
    _exit(EXIT_SUCCESS); /* closing takes seconds and is not measured */
}
