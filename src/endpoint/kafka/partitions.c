/* Keeps the partitions of a source, their watermarks and what of them the group knows. */
#include "endpoint/kafka/partitions.h"

#include "base/mem.h"

#include <stdio.h>

void partitions_init(struct partitions *ps, const char *connection)
{
    *ps = (struct partitions){ .connection = connection };
}

void partitions_clear(struct partitions *ps)
{
    for (size_t i = 0; i < ps->count; i++) {
        watermark_free(ps->items[i]->mark);
        free((char *)ps->items[i]->origin.name);
        free(ps->items[i]);
    }
    free(ps->items);
    strmap_free(&ps->by_name);
    *ps = (struct partitions){ 0 };
}

enum { NAME_MAX_LEN = 270 };

static struct bytes full_name(char out[NAME_MAX_LEN], const char *topic, int32_t number)
{
    int len = snprintf(out, NAME_MAX_LEN, "%s/%d", topic, (int)number);
    return bytes_of(out, (size_t)(len < NAME_MAX_LEN ? len : NAME_MAX_LEN - 1));
}

static struct partition *lookup(const struct partitions *ps, const char *topic, int32_t number)
{
    char name[NAME_MAX_LEN];
    return strmap_get(&ps->by_name, full_name(name, topic, number));
}

static struct partition *add(struct partitions *ps, const char *topic, int32_t number)
{
    char name[NAME_MAX_LEN];
    struct partition *p = mem_zero(sizeof(*p));
    p->origin = (struct origin){ "kafka topic", ps->connection, mem_string(topic), number };
    p->index = ps->count;
    p->mark = watermark_new();
    if (ps->count == ps->cap) {
        ps->cap = ps->cap ? 2 * ps->cap : 16;
        ps->items = mem_resize(ps->items, ps->cap * sizeof(struct partition *));
    }
    ps->items[ps->count++] = p;
    strmap_put(&ps->by_name, full_name(name, topic, number), p);
    return p;
}

static void begin_generation(struct partitions *ps, struct partition *p)
{
    ps->open -= watermark_open(p->mark);
    ps->held -= p->held;
    ps->unconfirmed -= p->unconfirmed;
    p->held = p->unconfirmed = p->taken = 0;
    p->generation = ++ps->last_generation;
    watermark_reset(p->mark);
}

void partitions_assign(struct partitions *ps, const char *topic, int32_t number)
{
    struct partition *p = lookup(ps, topic, number);
    if (!p)
        p = add(ps, topic, number);
    if (!p->generation)
        ps->assigned++;
    begin_generation(ps, p);
    ps->rkt = NULL;
}

struct partition *partitions_find(struct partitions *ps, const rd_kafka_message_t *m)
{
    if (m->rkt != ps->rkt || m->partition != ps->latest->origin.partition) {
        struct partition *p = lookup(ps, rd_kafka_topic_name(m->rkt), m->partition);
        if (!p || !p->generation)
            return NULL;
        ps->rkt = m->rkt;
        ps->latest = p;
    }
    return ps->latest;
}

bool partitions_take(struct partitions *ps, struct partition *p, uint64_t offset, uint32_t *returned)
{
    bool forward = !p->taken || offset >= p->next;
    if (!forward) {
        *returned = p->generation;
        begin_generation(ps, p);
    }
    if (!p->taken)
        p->stored = p->confirmed = offset;
    watermark_take(p->mark, offset);
    p->next = offset + 1;
    p->taken++;
    ps->open++;
    return forward;
}

/* Offsets have gaps: never more is unconfirmed than was taken and is done. */
static void count_unsettled(struct partitions *ps, struct partition *p)
{
    uint64_t unconfirmed = p->taken ? watermark_mark(p->mark) - p->confirmed : 0;
    uint64_t passed = p->taken - watermark_span(p->mark);
    unconfirmed = unconfirmed < passed ? unconfirmed : passed;
    ps->unconfirmed += unconfirmed - p->unconfirmed;
    p->unconfirmed = unconfirmed;
    uint64_t held = watermark_held(p->mark);
    ps->held += held - p->held;
    p->held = held;
}

void partitions_done(struct partitions *ps, const struct token *tokens, size_t n)
{
    struct partition *p = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct token *t = &tokens[i];
        if (!p || t->b != p->index) {
            if (p)
                count_unsettled(ps, p);
            p = ps->items[t->b];
        }
        if (t->generation == p->generation && watermark_done(p->mark, t->a))
            ps->open--;
    }
    if (p)
        count_unsettled(ps, p);
}

void partitions_store(struct partitions *ps, rd_kafka_t *rk)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    for (size_t i = 0; i < ps->count; i++) {
        struct partition *p = ps->items[i];
        uint64_t mark = watermark_mark(p->mark);
        if (!p->generation || !p->taken || mark == p->stored)
            continue;
        if (!list)
            list = rd_kafka_topic_partition_list_new((int)ps->assigned);
        rd_kafka_topic_partition_list_add(list, p->origin.name, p->origin.partition)->offset = (int64_t)mark;
        p->stored = mark;
    }
    if (!list)
        return;
    /* What was revoked behind our back answers _STATE: its next holder begins where the group was told. */
    rd_kafka_offsets_store(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void partitions_confirm(struct partitions *ps, const rd_kafka_topic_partition_list_t *offsets)
{
    for (int i = 0; i < offsets->cnt; i++) {
        const rd_kafka_topic_partition_t *o = &offsets->elems[i];
        struct partition *p = lookup(ps, o->topic, o->partition);
        if (o->err || o->offset < 0 || !p || !p->generation || !p->taken)
            continue;
        uint64_t offset = (uint64_t)o->offset;
        if (offset > p->confirmed && offset <= watermark_mark(p->mark)) {
            p->confirmed = offset;
            count_unsettled(ps, p);
        }
    }
}

void partitions_revoke(struct partitions *ps, void (*visit)(void *arg, uint32_t generation), void *arg)
{
    for (size_t i = 0; i < ps->count; i++) {
        struct partition *p = ps->items[i];
        uint32_t generation = p->generation;
        if (!generation)
            continue;
        bool had_open = watermark_open(p->mark) > 0;
        begin_generation(ps, p);
        p->generation = 0;
        ps->assigned--;
        if (had_open)
            visit(arg, generation);
    }
    ps->rkt = NULL;
}
