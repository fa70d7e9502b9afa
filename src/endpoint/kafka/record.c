/* Records to messages, and headers both ways. */
#include "endpoint/kafka/record.h"

#include "base/mem.h"

struct record {
    struct backing backing;
    rd_kafka_event_t *event;
    struct record_keeper *keeper;
};

struct record_keeper *record_keeper_new(void)
{
    struct record_keeper *k = mem_zero(sizeof(*k));
    k->pool = pool_new(sizeof(struct record));
    return k;
}

void record_keeper_free(struct record_keeper *k)
{
    pool_free(k->pool);
    free(k);
}

static void free_record(struct backing *b)
{
    struct record *r = CONTAINER_OF(b, struct record, backing);
    struct record_keeper *k = r->keeper;
    rd_kafka_event_destroy(r->event);
    pool_put(k->pool, r);
    if (--k->outstanding == 0 && k->on_none)
        k->on_none(k->arg);
}

/* librdkafka parses the headers here and keeps them with the record. */
static struct headers *read_headers(const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *list;
    if (rd_kafka_message_headers(m, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    uint32_t count = (uint32_t)rd_kafka_header_cnt(list);
    struct headers *h = headers_new(count);
    for (uint32_t i = 0; i < count; i++) {
        const char *name;
        const void *value;
        size_t size;
        rd_kafka_header_get_all(list, i, &name, &value, &size);
        h->items[i].name = bytes_of_string(name);
        h->items[i].value = value ? bytes_of(value, size) : BYTES_NULL;
        h->items[i].type = value ? HEADER_BYTES : HEADER_NULL;
    }
    headers_seal(h);
    return headers_types_read(h);
}

struct message *record_message(struct record_keeper *k, rd_kafka_event_t *event, const rd_kafka_message_t *m,
                               const struct origin *origin)
{
    struct record *r = pool_get(k->pool);
    *r = (struct record){ .backing = { .refs = 1, .free = free_record }, .event = event, .keeper = k };
    k->outstanding++;
    struct message *out = message_new();
    out->flags = MESSAGE_ID_POSITION | MESSAGE_ID_STABLE;
    out->position = (uint64_t)m->offset;
    out->origin = origin;
    out->backing = &r->backing;
    out->payload = m->payload;
    out->payload_len = (uint32_t)m->len;
    out->key = m->key;
    out->key_len = (uint32_t)m->key_len;
    out->headers = read_headers(m);
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(m, &type);
    out->timestamp_ms = timestamp > 0 ? timestamp : 0;
    return out;
}

static void add_header(rd_kafka_headers_t *list, const struct header *h)
{
    rd_kafka_header_add(list, (const char *)h->name.data, (ssize_t)h->name.len, h->value.data, (ssize_t)h->value.len);
}

rd_kafka_headers_t *record_headers(const struct headers *h, size_t extra)
{
    size_t count = h ? h->count : 0;
    if (count + extra == 0)
        return NULL;
    rd_kafka_headers_t *list = rd_kafka_headers_new(count + extra + 1);
    for (size_t i = 0; i < count; i++)
        add_header(list, &h->items[i]);
    if (h) {
        CLEANUP(buf_free) struct buf types = BUF_EMPTY;
        if (headers_types_write(h, false, &types))
            rd_kafka_header_add(list, HEADER_TYPES_NAME, -1, buf_bytes(&types).data, (ssize_t)types.len);
    }
    return list;
}
