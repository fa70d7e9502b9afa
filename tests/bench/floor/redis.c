/* The floor's Redis: XREADGROUP and XACK, pipelined XADD; replies are read in place. Fields: payload, and key if there is
 * one. */
#include "floor.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_COUNT = 500, READS = 2, SINK_WINDOW = 1000, FIFO = 4096 };

/* Connecting is the library's; from then on the socket is ours. */
static int connected(const struct address *a, const char *stream, const char *group)
{
    redisContext *c = redisConnect(a->host, a->port);
    if (!c || c->err)
        die(a->host_port, c ? c->errstr : "no memory");
    redisEnableKeepAlive(c);
    if (group)
        freeReplyObject(redisCommand(c, "XGROUP CREATE %s %s 0 MKSTREAM", stream, group));
    return c->fd;
}

/* ---- reading RESP in place: each returns where it ends, or NULL when more must be read first */

static char *number_line(char *p, const char *end, char type, int64_t *n)
{
    char *line = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
    if (!line)
        return NULL;
    if (*p == '-')
        die("redis", p);
    if (*p != type)
        die("redis", "an unexpected reply");
    bool minus = p[1] == '-';
    *n = 0;
    for (p += 1 + minus; *p != '\r'; p++)
        *n = *n * 10 + (*p - '0');
    if (minus)
        *n = -*n;
    return line + 1;
}

static char *string(char *p, const char *end, const char **data, size_t *len)
{
    int64_t n;
    p = number_line(p, end, '$', &n);
    if (!p || end - p < n + 2)
        return NULL;
    *data = p;
    *len = (size_t)n;
    return p + n + 2;
}

/* ---- source */

struct redis_source {
    struct source source;
    struct address address;
    const char *group;
    struct bytes_queue in, out;
    char expected[FIFO]; /* what the replies to come are: r for read, a for ack */
    unsigned first, last;
    unsigned reads;
    int64_t entries; /* left of the reply being read */
    struct slot acks[1 << 17];
    size_t n_acks;
};

static void put_string(struct bytes_queue *q, const char *data, size_t len)
{
    char head[32];
    queue_put(q, head, (size_t)snprintf(head, sizeof(head), "$%zu\r\n", len));
    queue_put(q, data, len);
    queue_put(q, "\r\n", 2);
}

static void put_head(struct bytes_queue *q, size_t n, const char *const *words)
{
    char head[32];
    queue_put(q, head, (size_t)snprintf(head, sizeof(head), "*%zu\r\n", n));
    for (; *words; words++)
        put_string(q, *words, strlen(*words));
}

static void expect(struct redis_source *r, char what)
{
    r->expected[r->last++ % FIFO] = what;
}

static char *parse_entry(char *p, char *end, struct item *item)
{
    int64_t n;
    const char *id;
    size_t id_len;
    if (!(p = number_line(p, end, '*', &n)) || !(p = string(p, end, &id, &id_len)) ||
        !(p = number_line(p, end, '*', &n)))
        return NULL;
    *item = (struct item){ 0 };
    for (; n > 0; n -= 2) {
        const char *name, *value;
        size_t name_len, value_len;
        if (!(p = string(p, end, &name, &name_len)) || !(p = string(p, end, &value, &value_len)))
            return NULL;
        if (name_len == 7 && memcmp(name, "payload", 7) == 0) {
            item->payload = value;
            item->len = value_len;
        } else if (name_len == 3 && memcmp(name, "key", 3) == 0) {
            item->key = value;
            item->key_len = value_len;
        }
    }
    item->slot = floor_slot();
    char *dash;
    item->slot->a = strtoull(id, &dash, 10);
    item->slot->b = strtoull(dash + 1, NULL, 10);
    return p;
}

/* What comes before the entries of a read; or a whole reply to XACK. */
static char *parse_head(struct redis_source *r, char *p, char *end)
{
    int64_t n;
    const char *name;
    size_t len;
    if (r->expected[r->first % FIFO] == 'a') {
        if ((p = number_line(p, end, ':', &n)))
            r->first++;
        return p;
    }
    if (!(p = number_line(p, end, '*', &n)))
        return NULL;
    if (n < 0)
        r->entries = 0;
    else if (!(p = number_line(p, end, '*', &n)) || !(p = string(p, end, &name, &len)) ||
             !(p = number_line(p, end, '*', &r->entries)))
        return NULL;
    r->first++;
    r->reads--;
    return p;
}

static bool parse(struct redis_source *r)
{
    struct item items[READ_COUNT];
    size_t n = 0, room = floor_room();
    char *p = r->in.data + r->in.begin, *end = r->in.data + r->in.end;
    room = room < READ_COUNT ? room : READ_COUNT;
    while (n < room && p < end) {
        bool entry = r->entries > 0;
        char *next = entry ? parse_entry(p, end, &items[n]) : parse_head(r, p, end);
        if (!next)
            break;
        p = next;
        n += entry;
        r->entries -= entry;
    }
    r->in.begin = (size_t)(p - r->in.data);
    floor_items(items, n);
    return n > 0;
}

static void redis_source_read(struct source *s)
{
    struct redis_source *r = (struct redis_source *)s;
    bool came;
    do
        came = queue_read(&r->in, s->fd) && r->in.end - r->in.begin > 0;
    while ((parse(r) || came) && floor_room());
}

static void redis_source_settle(struct source *s, struct slot *const *slots, size_t n)
{
    struct redis_source *r = (struct redis_source *)s;
    for (size_t i = 0; i < n; i++)
        r->acks[r->n_acks++] = *slots[i];
}

static void ask(struct redis_source *r)
{
    const char *words[] = { "XREADGROUP", "GROUP", r->group,  "floor",         "COUNT", "500",
                            "BLOCK",      "100",   "STREAMS", r->address.name, ">",     NULL };
    put_head(&r->out, 11, words);
    expect(r, 'r');
    r->reads++;
}

/* The acknowledgement goes first: a read may wait. */
static void redis_source_flush(struct source *s)
{
    struct redis_source *r = (struct redis_source *)s;
    if (r->n_acks) {
        put_head(&r->out, 3 + r->n_acks, (const char *[]){ "XACK", r->address.name, r->group, NULL });
        for (size_t i = 0; i < r->n_acks; i++) {
            char id[48];
            put_string(&r->out, id,
                       (size_t)snprintf(id, sizeof(id), "%" PRIu64 "-%" PRIu64, r->acks[i].a, r->acks[i].b));
        }
        expect(r, 'a');
        r->n_acks = 0;
    }
    while (r->reads < READS && floor_room() >= READ_COUNT)
        ask(r);
    s->wants_write = !queue_write(&r->out, s->fd);
}

struct source *redis_source(const char *address, const struct floor_options *o)
{
    struct redis_source *r = calloc(1, sizeof(*r));
    r->address = address_parse(address);
    r->group = o->group;
    r->source = (struct source){ .fd = connected(&r->address, r->address.name, o->group),
                                 .read = redis_source_read,
                                 .settle = redis_source_settle,
                                 .flush = redis_source_flush };
    redis_source_flush(&r->source);
    return &r->source;
}

/* ---- sink */

struct redis_sink {
    struct sink sink;
    struct bytes_queue in, out;
    char *with_key, *without_key; /* the command up to the payload's length */
    size_t with_len, without_len;
    struct slot *sent[FIFO]; /* replies come in this order */
    unsigned first, last;
};

static void redis_sink_send(struct sink *s, const struct item *items, size_t n)
{
    struct redis_sink *r = (struct redis_sink *)s;
    for (size_t i = 0; i < n; i++) {
        if (items[i].key_len) {
            queue_put(&r->out, r->with_key, r->with_len);
            put_string(&r->out, items[i].payload, items[i].len);
            queue_put(&r->out, "$3\r\nkey\r\n", 9);
            put_string(&r->out, items[i].key, items[i].key_len);
        } else {
            queue_put(&r->out, r->without_key, r->without_len);
            put_string(&r->out, items[i].payload, items[i].len);
        }
        r->sent[r->last++ % FIFO] = items[i].slot;
    }
}

static void redis_sink_read(struct sink *s)
{
    struct redis_sink *r = (struct redis_sink *)s;
    struct slot *done[FIFO];
    while (queue_read(&r->in, s->fd)) {
        char *p = r->in.data + r->in.begin, *end = r->in.data + r->in.end, *next;
        const char *id;
        size_t len, n = 0;
        while (p < end && (next = string(p, end, &id, &len))) {
            done[n++] = r->sent[r->first++ % FIFO];
            p = next;
        }
        r->in.begin = (size_t)(p - r->in.data);
        floor_confirmed(done, n);
    }
}

static void redis_sink_flush(struct sink *s)
{
    struct redis_sink *r = (struct redis_sink *)s;
    s->wants_write = !queue_write(&r->out, s->fd);
}

static char *command_head(const char *stream, int words, size_t *len)
{
    char text[512];
    *len = (size_t)snprintf(text, sizeof(text), "*%d\r\n$4\r\nXADD\r\n$%zu\r\n%s\r\n$1\r\n*\r\n$7\r\npayload\r\n",
                            words, strlen(stream), stream);
    return strdup(text);
}

struct sink *redis_sink(const char *address, const struct floor_options *o)
{
    struct address a = address_parse(address);
    struct redis_sink *r = calloc(1, sizeof(*r));
    (void)o;
    r->sink = (struct sink){ .fd = connected(&a, a.name, NULL),
                             .window = SINK_WINDOW,
                             .send = redis_sink_send,
                             .read = redis_sink_read,
                             .flush = redis_sink_flush };
    r->with_key = command_head(a.name, 7, &r->with_len);
    r->without_key = command_head(a.name, 5, &r->without_len);
    return &r->sink;
}
