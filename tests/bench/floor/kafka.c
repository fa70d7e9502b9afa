/* The floor's Kafka: librdkafka, zero copy from its fetch buffers where the source is Kafka too, offsets stored once a pass,
 * queues as io events on eventfds. */
#include "floor.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BATCH = 512, PARTITIONS = 256, WINDOW = 100000 };

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

static int wakeup(rd_kafka_queue_t *q, int fd)
{
    if (fd < 0)
        fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    rd_kafka_queue_io_event_enable(q, fd, "\1\0\0\0\0\0\0", 8);
    return fd;
}

static void drain(int fd)
{
    uint64_t n;
    while (read(fd, &n, sizeof(n)) < 0 && errno == EINTR)
        ;
}

/* ---- source */

struct kafka_source {
    struct source source;
    struct address address;
    rd_kafka_t *rk;
    rd_kafka_queue_t *consumer, *messages;
    int64_t store[PARTITIONS]; /* one past the newest confirmed offset of each partition; -1: none to store */
};

static void on_rebalance(struct kafka_source *k, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    bool assign = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    for (int i = 0; assign && i < list->cnt; i++) {
        rd_kafka_queue_t *q = rd_kafka_queue_get_partition(k->rk, list->elems[i].topic, list->elems[i].partition);
        rd_kafka_queue_forward(q, k->messages);
        rd_kafka_queue_destroy(q);
    }
    rd_kafka_assign(k->rk, assign ? list : NULL);
}

static void kafka_source_read(struct source *s)
{
    struct kafka_source *k = (struct kafka_source *)s;
    rd_kafka_event_t *event;
    drain(s->fd);
    while ((event = rd_kafka_queue_poll(k->consumer, 0))) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
            on_rebalance(k, event);
        else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            fprintf(stderr, "floor: kafka: %s\n", rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
    }
    rd_kafka_message_t *batch[BATCH];
    struct item items[BATCH];
    size_t room = floor_room(), n = 0;
    ssize_t got = rd_kafka_consume_batch_queue(k->messages, 0, batch, room < BATCH ? room : BATCH);
    for (ssize_t i = 0; i < got; i++) {
        rd_kafka_message_t *m = batch[i];
        if (m->err) {
            rd_kafka_message_destroy(m);
            continue;
        }
        items[n] = (struct item){ .payload = m->payload, .len = m->len, .key = m->key, .key_len = m->key_len };
        items[n].slot = floor_slot();
        *items[n].slot = (struct slot){ .a = (uint64_t)m->partition, .b = (uint64_t)m->offset, .keep = m };
        n++;
    }
    floor_items(items, n);
    /* The queue's event fires on empty -> not empty only. */
    if (got > 0) {
        uint64_t one = 1;
        if (write(s->fd, &one, sizeof(one)) < 0)
            die("eventfd", strerror(errno));
    }
}

static void kafka_source_settle(struct source *s, struct slot *const *slots, size_t n)
{
    struct kafka_source *k = (struct kafka_source *)s;
    for (size_t i = 0; i < n; i++) {
        k->store[slots[i]->a % PARTITIONS] = (int64_t)slots[i]->b + 1;
        rd_kafka_message_destroy(slots[i]->keep);
        slots[i]->keep = NULL;
    }
}

static void kafka_source_flush(struct source *s)
{
    struct kafka_source *k = (struct kafka_source *)s;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int i = 0; i < PARTITIONS; i++) {
        if (k->store[i] >= 0)
            rd_kafka_topic_partition_list_add(list, k->address.name, i)->offset = k->store[i];
        k->store[i] = -1;
    }
    if (list->cnt)
        rd_kafka_offsets_store(k->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

struct source *kafka_source(const char *address, const struct floor_options *o)
{
    struct kafka_source *k = calloc(1, sizeof(*k));
    k->address = address_parse(address);
    memset(k->store, -1, sizeof(k->store));
    const char *settings[] = { "bootstrap.servers",
                               k->address.host_port,
                               "group.id",
                               o->group,
                               "auto.offset.reset",
                               "earliest",
                               "isolation.level",
                               "read_committed",
                               "enable.auto.offset.store",
                               "false",
                               "enable.auto.commit",
                               "true",
                               "auto.commit.interval.ms",
                               "300",
                               "queued.min.messages",
                               "1000000",
                               "queued.max.messages.kbytes",
                               "131072",
                               "session.timeout.ms",
                               "10000",
                               NULL };
    k->rk = client(RD_KAFKA_CONSUMER, settings);
    rd_kafka_poll_set_consumer(k->rk);
    k->consumer = rd_kafka_queue_get_consumer(k->rk);
    k->messages = rd_kafka_queue_new(k->rk);
    k->source = (struct source){
        .fd = -1, .read = kafka_source_read, .settle = kafka_source_settle, .flush = kafka_source_flush
    };
    k->source.fd = wakeup(k->messages, wakeup(k->consumer, -1));
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, k->address.name, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(k->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return &k->source;
}

/* ---- sink */

struct kafka_sink {
    struct sink sink;
    rd_kafka_t *rk;
    rd_kafka_queue_t *reports;
    rd_kafka_topic_t *topic;
};

static void kafka_sink_send(struct sink *s, const struct item *items, size_t n)
{
    struct kafka_sink *k = (struct kafka_sink *)s;
    for (size_t i = 0; i < n; i++)
        if (rd_kafka_produce(k->topic, RD_KAFKA_PARTITION_UA, items[i].slot->keep ? 0 : RD_KAFKA_MSG_F_COPY,
                             (void *)items[i].payload, items[i].len, items[i].key, items[i].key_len,
                             items[i].slot) != 0)
            die("rd_kafka_produce", rd_kafka_err2str(rd_kafka_last_error()));
}

static void kafka_sink_read(struct sink *s)
{
    struct kafka_sink *k = (struct kafka_sink *)s;
    rd_kafka_event_t *event;
    drain(s->fd);
    while ((event = rd_kafka_queue_poll(k->reports, 0))) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            fprintf(stderr, "floor: kafka: %s\n", rd_kafka_event_error_string(event));
        const rd_kafka_message_t *m;
        struct slot *done[BATCH];
        size_t n = 0;
        while (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR && (m = rd_kafka_event_message_next(event))) {
            if (m->err)
                die("kafka", rd_kafka_err2str(m->err));
            done[n++] = m->_private;
            if (n == BATCH) {
                floor_confirmed(done, n);
                n = 0;
            }
        }
        floor_confirmed(done, n);
        rd_kafka_event_destroy(event);
    }
}

static void kafka_sink_flush(struct sink *s)
{
    (void)s;
}

struct sink *kafka_sink(const char *address, const struct floor_options *o)
{
    struct kafka_sink *k = calloc(1, sizeof(*k));
    struct address a = address_parse(address);
    const char *settings[] = { "bootstrap.servers",
                               a.host_port,
                               "enable.idempotence",
                               "true",
                               "message.timeout.ms",
                               "0",
                               "linger.ms",
                               o->linger,
                               "queue.buffering.max.messages",
                               "200000",
                               "queue.buffering.max.kbytes",
                               "1048576",
                               NULL };
    k->rk = client(RD_KAFKA_PRODUCER, settings);
    k->topic = rd_kafka_topic_new(k->rk, a.name, NULL);
    k->reports = rd_kafka_queue_get_main(k->rk);
    k->sink = (struct sink){
        .window = WINDOW, .send = kafka_sink_send, .read = kafka_sink_read, .flush = kafka_sink_flush
    };
    k->sink.fd = wakeup(k->reports, -1);
    return &k->sink;
}
