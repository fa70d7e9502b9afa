/* The mapping between messages and stream entries. */
#include "endpoint/redis/entry.h"

#include "endpoint/redis/command.h"

#define ESCAPE "ferry.header."
#define EMPTY  "ferry.empty"

static bool begins(struct bytes s, struct bytes prefix)
{
    return s.len >= prefix.len && memcmp(s.data, prefix.data, prefix.len) == 0;
}

static bool same(struct bytes a, struct bytes b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* ---- reading */

struct fields {
    const struct entry_names *names;
    struct message *m;
    struct headers *headers;
    bool typed; /* there is a ferry.types */
};

/* One field. left: how many are still to come, this one included. The first payload and key are the message's own; what
 * repeats is a header. */
static void take_field(struct fields *f, struct bytes name, struct bytes value, uint32_t left)
{
    if (!f->m->payload && same(name, f->names->payload)) {
        message_set_payload(f->m, value);
        return;
    }
    if (!f->m->key && same(name, f->names->key)) {
        message_set_key(f->m, value);
        return;
    }
    if (begins(name, BYTES_LITERAL("ferry."))) {
        if (same(name, BYTES_LITERAL(EMPTY)))
            return;
        if (same(name, BYTES_LITERAL(HEADER_TYPES_NAME)))
            f->typed = true;
        else if (begins(name, BYTES_LITERAL(ESCAPE)))
            name = bytes_of(name.data + sizeof ESCAPE - 1, name.len - (sizeof ESCAPE - 1));
    }
    if (!f->headers) {
        f->headers = headers_new(left);
        f->headers->count = 0;
    }
    f->headers->items[f->headers->count++] = (struct header){ .name = name, .value = value, .type = HEADER_BYTES };
}

struct message *entry_read(const struct entry_names *names, const struct reply *r, uint32_t id, uint32_t fields)
{
    struct bytes id_text = reply_text(r, id);
    struct entry_id parsed;
    if (!reply_is(r, fields, RESP_ARRAY) || r->nodes[fields].size % 2 || !entry_id_parse(id_text, &parsed))
        return NULL;
    uint32_t size = r->nodes[fields].size;
    for (uint32_t i = 1; i <= size; i++)
        if (!reply_is(r, fields + i, RESP_BULK))
            return NULL;
    struct fields f = { .names = names, .m = message_new() };
    struct message *m = f.m;
    for (uint32_t i = 0; i < size; i += 2) {
        const struct resp_node *node = &r->nodes[fields + 1 + i];
        take_field(&f, bytes_of(r->base + node[0].at, node[0].size), bytes_of(r->base + node[1].at, node[1].size),
                   (size - i) / 2);
    }
    if (f.headers) {
        headers_seal(f.headers);
        m->headers = f.typed ? headers_types_read(f.headers) : f.headers;
    }
    m->flags |= MESSAGE_ID_STABLE;
    m->id = id_text.data;
    m->id_len = (uint16_t)id_text.len;
    m->timestamp_ms = (int64_t)parsed.ms;
    if (r->backing)
        m->backing = backing_ref(r->backing);
    return m;
}

/* ---- writing */

/* The name means something else here, so that the way back would take it for that. */
static bool must_escape(const struct entry_names *names, struct bytes name)
{
    if (same(name, names->payload) || same(name, names->key))
        return true;
    return begins(name, BYTES_LITERAL("ferry.")) &&
           (same(name, BYTES_LITERAL(EMPTY)) || begins(name, BYTES_LITERAL(ESCAPE)));
}

void entry_measure(const struct entry_names *names, const struct message *m, struct buf *scratch,
                   struct entry_shape *shape)
{
    uint32_t words = (m->payload ? 2 : 0) + (m->key ? 2 : 0);
    size_t size = m->payload_len + m->key_len + names->payload.len + names->key.len + 4 * BULK_OVERHEAD;
    shape->plain = !m->headers || !m->headers->count;
    shape->types = NULL;
    if (!shape->plain) {
        words += 2 * m->headers->count;
        size += m->headers->bytes + (size_t)m->headers->count * (2 * BULK_OVERHEAD + sizeof ESCAPE);
        buf_clear(scratch);
        if (headers_types_write(m->headers, true, scratch)) {
            shape->types = scratch;
            words += 2;
            size += scratch->len + sizeof HEADER_TYPES_NAME + 2 * BULK_OVERHEAD;
        }
    }
    if (!words) {
        words = 2;
        size += sizeof EMPTY + 2 * BULK_OVERHEAD;
    }
    shape->words = words;
    shape->size = size;
}

static uint8_t *put_header(const struct entry_names *names, const struct header *h, uint8_t *p)
{
    if (must_escape(names, h->name)) {
        p = put_length(p, '$', h->name.len + sizeof ESCAPE - 1);
        p = put_raw(p, BYTES_LITERAL(ESCAPE));
        p = put_raw(p, h->name);
        p = put_raw(p, BYTES_LITERAL("\r\n"));
    } else {
        p = put_word(p, h->name);
    }
    return put_word(p, h->value);
}

uint8_t *entry_put(const struct entry_names *names, const struct message *m, const struct entry_shape *shape,
                   uint8_t *p)
{
    if (m->payload) {
        p = put_word(p, names->payload);
        p = put_word(p, message_payload(m));
    }
    if (m->key) {
        p = put_word(p, names->key);
        p = put_word(p, message_key(m));
    }
    if (!shape->plain) {
        for (uint32_t i = 0; i < m->headers->count; i++)
            p = put_header(names, &m->headers->items[i], p);
        if (shape->types) {
            p = put_word(p, BYTES_LITERAL(HEADER_TYPES_NAME));
            p = put_word(p, buf_bytes(shape->types));
        }
    } else if (!m->payload && !m->key) {
        p = put_word(p, BYTES_LITERAL(EMPTY));
        p = put_word(p, BYTES_LITERAL(""));
    }
    return p;
}

/* ---- IDs */

static bool parse_u64(const uint8_t **p, const uint8_t *end, uint64_t *value)
{
    const uint8_t *begin = *p;
    uint64_t v = 0;
    for (; *p < end && **p >= '0' && **p <= '9'; ++*p) {
        uint64_t digit = **p - '0';
        if (v > UINT64_MAX / 10 || (v == UINT64_MAX / 10 && digit > UINT64_MAX % 10))
            return false;
        v = v * 10 + digit;
    }
    *value = v;
    return *p != begin;
}

bool entry_id_parse(struct bytes text, struct entry_id *id)
{
    if (!text.len)
        return false;
    const uint8_t *p = text.data, *end = p + text.len;
    if (!parse_u64(&p, end, &id->ms) || p == end || *p++ != '-')
        return false;
    return parse_u64(&p, end, &id->seq) && p == end;
}

size_t entry_id_print(struct entry_id id, char text[ENTRY_ID_MAX])
{
    uint8_t *p = put_u64((uint8_t *)text, id.ms);
    *p++ = '-';
    p = put_u64(p, id.seq);
    *p = 0;
    return (size_t)(p - (uint8_t *)text);
}
