/* Reading: encoded basic properties become a message's headers, key, id and timestamp. */
#include "endpoint/rabbitmq/properties.h"

#include "base/mem.h"
#include "endpoint/rabbitmq/table.h"
#include "message/header_value.h"

#define PROPERTY(text, form)                         \
    {                                                \
        "amqp." text, sizeof("amqp." text) - 1, form \
    }

const struct property rabbit_properties[PROPERTIES] = {
    [CONTENT_TYPE] = PROPERTY("content-type", PROPERTY_TEXT),
    [CONTENT_ENCODING] = PROPERTY("content-encoding", PROPERTY_TEXT),
    [HEADERS] = PROPERTY("headers", PROPERTY_TABLE), /* never a header of this name: the table's entries are headers */
    [DELIVERY_MODE] = PROPERTY("delivery-mode", PROPERTY_OCTET),
    [PRIORITY] = PROPERTY("priority", PROPERTY_OCTET),
    [CORRELATION_ID] = PROPERTY("correlation-id", PROPERTY_TEXT),
    [REPLY_TO] = PROPERTY("reply-to", PROPERTY_TEXT),
    [EXPIRATION] = PROPERTY("expiration", PROPERTY_TEXT),
    [MESSAGE_ID] = PROPERTY("message-id", PROPERTY_TEXT),
    [TIMESTAMP] = PROPERTY("timestamp", PROPERTY_TIME),
    [TYPE] = PROPERTY("type", PROPERTY_TEXT),
    [USER_ID] = PROPERTY("user-id", PROPERTY_TEXT),
    [APP_ID] = PROPERTY("app-id", PROPERTY_TEXT),
    [CLUSTER_ID] = PROPERTY("cluster-id", PROPERTY_TEXT),
};

int rabbit_property_of(struct bytes name)
{
    if (name.len < 9 || memcmp(name.data, "amqp.", 5) != 0)
        return -1;
    for (int i = 0; i < PROPERTIES; i++)
        if (i != HEADERS && rabbit_properties[i].len == name.len &&
            memcmp(rabbit_properties[i].name, name.data, name.len) == 0)
            return i;
    return -1;
}

/* A header in the making. Texts may still move: what lies in them is an offset. */
struct part {
    struct bytes name, value;
    struct bytes raw; /* the encoded value, kind byte first; NULL for a property */
    enum header_type type;
    bool name_in_texts, value_in_texts;
};

static struct part *add_part(struct properties_reader *r)
{
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 16;
        r->parts = mem_resize_array(r->parts, r->cap, sizeof *r->parts);
    }
    struct part *p = &r->parts[r->count++];
    memset(p, 0, sizeof *p);
    return p;
}

static bool begins(struct bytes s, const char *prefix, size_t len)
{
    return s.len >= len && memcmp(s.data, prefix, len) == 0;
}
#define BEGINS(s, literal) begins(s, literal, sizeof(literal) - 1)

/* ---- the table */

/* "id", "timestamp=…", or both with a semicolon between them. */
static bool read_derived(struct properties_reader *r, struct bytes text)
{
    if (BEGINS(text, "id") && (text.len == 2 || text.data[2] == ';')) {
        r->derived_id = true;
        if (text.len == 2)
            return true;
        text = bytes_of(text.data + 3, text.len - 3);
    }
    uint64_t value;
    if (!BEGINS(text, "timestamp=") ||
        !header_parse_integer(HEADER_I64, bytes_of(text.data + 10, text.len - 10), &value))
        return r->derived_id = false;
    r->derived_timestamp = true;
    r->derived_timestamp_ms = (int64_t)value;
    return true;
}

/* What the sink wrote beside the headers. False: it is an ordinary header. */
static bool read_reserved(struct properties_reader *r, struct bytes name, const struct part *value)
{
    if (!BEGINS(name, "ferry."))
        return false;
    bool text = value->type == HEADER_BYTES;
    if (bytes_is(name, RESERVED_KEY) && (text || value->type == HEADER_BLOB)) {
        r->key = value->value;
        return true;
    }
    if (bytes_is(name, RESERVED_NULL) && value->type == HEADER_BOOL)
        return r->null_payload = value->raw.data[1];
    if (bytes_is(name, RESERVED_DERIVED) && text)
        return read_derived(r, value->value);
    if (bytes_is(name, RESERVED_REPEATED) && text)
        r->repeated = value->value; /* stays a part until it proves right */
    return false;
}

static void name_part(struct properties_reader *r, struct part *p, struct bytes name)
{
    p->name = name;
    if (BEGINS(name, RESERVED_ESCAPE)) {
        p->name = bytes_of(name.data + sizeof RESERVED_ESCAPE - 1, name.len - (sizeof RESERVED_ESCAPE - 1));
    } else if (BEGINS(name, TABLE_PREFIX) || rabbit_property_of(name) >= 0) {
        p->name = bytes_of((const uint8_t *)(uintptr_t)r->texts.len, sizeof TABLE_PREFIX - 1 + name.len);
        p->name_in_texts = true;
        buf_append_string(&r->texts, TABLE_PREFIX);
        buf_append_bytes(&r->texts, name);
    }
}

static bool read_value(struct properties_reader *r, struct reader *in, struct part *p)
{
    const uint8_t *start = in->at;
    size_t offset = r->texts.len;
    if (!rabbit_table_read(in, &p->type, &p->value, &r->texts))
        return false;
    p->raw = bytes_of(start, (size_t)(in->at - start));
    if (!p->value.data && p->type != HEADER_NULL) {
        p->value = bytes_of((const uint8_t *)(uintptr_t)offset, r->texts.len - offset);
        p->value_in_texts = true;
    }
    return true;
}

static bool read_table(struct properties_reader *r, struct bytes table)
{
    struct reader in = reader_of(table);
    while (in.at < in.end) {
        struct bytes name = read_short_string(&in);
        struct part *p = add_part(r);
        if (in.bad || !read_value(r, &in, p))
            return false;
        if (read_reserved(r, name, p))
            r->count--;
        else
            name_part(r, p, name);
    }
    return true;
}

/* ---- repeated headers */

static struct bytes part_name(const struct properties_reader *r, const struct part *p)
{
    return p->name_in_texts ? bytes_of(r->texts.data + (uintptr_t)p->name.data, p->name.len) : p->name;
}

/* Puts the elements of an array at the positions that list names: "0,2". */
static bool place_elements(struct properties_reader *r, struct part array, struct bytes list, struct part *slots,
                           size_t n)
{
    struct reader in = reader_of(array.raw);
    read_number(&in, 5); /* kind and length: checked when it was read first */
    while (list.len) {
        const uint8_t *comma = memchr(list.data, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.data) : list.len;
        uint64_t position;
        if (!header_parse_integer(HEADER_U32, bytes_of(list.data, len), &position) || position >= n ||
            slots[position].raw.data || in.at >= in.end)
            return false;
        struct part *p = &slots[position];
        p->name = array.name;
        p->name_in_texts = array.name_in_texts;
        if (!read_value(r, &in, p))
            return false;
        list = comma ? bytes_of(comma + 1, list.len - len - 1) : BYTES_NULL;
    }
    return in.at == in.end;
}

static struct part *find_array(struct properties_reader *r, struct bytes escaped_name, size_t first,
                               struct buf *scratch)
{
    buf_clear(scratch);
    if (!percent_unescape(escaped_name, scratch))
        return NULL;
    for (size_t i = first; i < r->count; i++)
        if (r->parts[i].type == HEADER_ARRAY && bytes_equal(part_name(r, &r->parts[i]), buf_bytes(scratch)))
            return &r->parts[i];
    return NULL;
}

/* Fills slots with the elements of every array listed; each such part loses its raw value. */
static bool place_arrays(struct properties_reader *r, size_t first, struct part *slots, size_t n)
{
    CLEANUP(buf_free) struct buf scratch = BUF_EMPTY;
    struct bytes text = r->repeated;
    while (text.len) {
        const uint8_t *end = memchr(text.data, ';', text.len), *equals = memchr(text.data, '=', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        if (!equals || equals > text.data + len)
            return false;
        size_t name_len = (size_t)(equals - text.data);
        struct part *array = find_array(r, bytes_of(text.data, name_len), first, &scratch);
        if (!array || !place_elements(r, *array, bytes_of(equals + 1, len - name_len - 1), slots, n))
            return false;
        array->type = HEADER_TYPES; /* taken */
        text = end ? bytes_of(end + 1, text.len - len - 1) : BYTES_NULL;
    }
    return true;
}

static size_t count_commas(struct bytes s, uint8_t *names)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += s.data[i] == ',';
        *names += s.data[i] == '=' && *names < UINT8_MAX;
    }
    return n;
}

/* Takes arrays that were repeated headers apart again, the table's parts being those from first on. What does not fit leaves
 * everything as it was. */
static void expand_repeated(struct properties_reader *r, size_t first)
{
    uint8_t names = 0;
    size_t marker = r->count - 1, n = r->count - first - 1 + count_commas(r->repeated, &names);
    while (marker > first && !bytes_is(part_name(r, &r->parts[marker]), RESERVED_REPEATED))
        marker--;
    struct part *saved = mem_dup(r->parts + first, (r->count - first) * sizeof *saved),
                *slots = mem_array(n + 1, sizeof *slots);
    bool ok = names && place_arrays(r, first, slots, n);
    size_t at = 0;
    for (size_t i = first; ok && i < r->count; i++) {
        if (i == marker || r->parts[i].type == HEADER_TYPES)
            continue;
        while (at < n && slots[at].raw.data)
            at++;
        ok = at < n;
        if (ok)
            slots[at++] = r->parts[i];
    }
    while (ok && at < n)
        ok = slots[at++].raw.data;
    if (ok) {
        r->count = first;
        for (size_t i = 0; i < n; i++)
            *add_part(r) = slots[i];
    } else {
        memcpy(r->parts + first, saved, (r->count - first) * sizeof *saved);
    }
    free(saved);
    free(slots);
}

/* ---- properties */

static void add_property(struct properties_reader *r, unsigned which, struct bytes value, bool in_texts)
{
    struct part *p = add_part(r);
    p->name = bytes_of(rabbit_properties[which].name, rabbit_properties[which].len);
    p->value = value;
    p->value_in_texts = in_texts;
}

static void add_number(struct properties_reader *r, unsigned which, uint64_t value)
{
    size_t offset = r->texts.len;
    buf_append_u64(&r->texts, value);
    add_property(r, which, bytes_of((const uint8_t *)(uintptr_t)offset, r->texts.len - offset), true);
}

static bool read_property(struct properties_reader *r, unsigned which, struct reader *in)
{
    uint64_t number;
    struct bytes text;
    size_t first;
    switch (rabbit_properties[which].form) {
    case PROPERTY_TEXT:
        text = read_short_string(in);
        if (in->bad)
            return false;
        if (which == MESSAGE_ID)
            r->message_id = text;
        if (which != MESSAGE_ID || !r->derived_id)
            add_property(r, which, text, false);
        return true;
    case PROPERTY_TABLE:
        first = r->count;
        text = read_long_string(in);
        if (in->bad || !read_table(r, text))
            return false;
        if (r->repeated.data)
            expand_repeated(r, first);
        return true;
    case PROPERTY_OCTET:
        number = read_number(in, 1);
        if (which != DELIVERY_MODE || number != 2) /* what the sink writes by itself */
            add_number(r, which, number);
        return !in->bad;
    default:
        r->timestamp = read_number(in, 8);
        r->has_timestamp = true;
        if (!r->derived_timestamp)
            add_number(r, which, r->timestamp);
        return !in->bad;
    }
}

static bool parse(struct properties_reader *r, struct bytes raw)
{
    struct reader in = reader_of(raw);
    unsigned flags = (unsigned)read_number(&in, 2);
    if (flags & 3) /* a second word of flags, or a property that does not exist */
        return false;
    for (unsigned i = 0; i < PROPERTIES; i++)
        if (flags & (0x8000u >> i) && !read_property(r, i, &in))
            return false;
    return !in.bad && in.at == in.end;
}

static void reset(struct properties_reader *r)
{
    struct properties_reader kept = { .parts = r->parts, .cap = r->cap, .texts = r->texts };
    *r = kept;
    buf_clear(&r->texts);
}

/* ---- the message */

/* Where the bytes of a part are now. */
struct relocation {
    const uint8_t *raw, *texts; /* copies */
    struct bytes from;          /* the original raw */
};

static struct bytes relocate(const struct relocation *to, struct bytes s, bool in_texts)
{
    if (in_texts)
        return bytes_of(to->texts + (uintptr_t)s.data, s.len);
    if (s.data >= to->from.data && s.data <= to->from.data + to->from.len && s.data)
        return bytes_of(to->raw + (s.data - to->from.data), s.len);
    return s; /* constant */
}

static struct headers *make_headers(const struct properties_reader *r, const struct relocation *to)
{
    bool has_types = false;
    struct headers *h = headers_new((uint32_t)r->count);
    for (size_t i = 0; i < r->count; i++) {
        const struct part *p = &r->parts[i];
        struct header *item = &h->items[i];
        item->type = p->type;
        item->name = relocate(to, p->name, p->name_in_texts);
        item->value = p->type == HEADER_NULL ? BYTES_NULL : relocate(to, p->value, p->value_in_texts);
        has_types = has_types || bytes_is(item->name, HEADER_TYPES_NAME);
    }
    headers_seal(h);
    return has_types ? headers_types_read(h) : h;
}

struct message *rabbit_properties_read(struct properties_reader *r, struct arena *a, struct bytes raw,
                                       struct bytes body, size_t extra, uint8_t **extra_memory)
{
    reset(r);
    if (!parse(r, raw)) {
        reset(r);
        struct part *p = add_part(r);
        *p = (struct part){ .name = BYTES_LITERAL("amqp.raw"), .value = raw, .type = HEADER_BLOB };
    }
    struct message *m = message_new();
    if (raw.len <= 2 && !r->count)
        raw.len = 0; /* flags, none of them set */
    *extra_memory = rabbit_arena_take(a, extra + raw.len + r->texts.len + body.len + 1, &m->backing);
    uint8_t *memory = *extra_memory + extra;
    struct relocation to = { memory, memory + raw.len, raw };
    if (raw.len)
        memcpy(memory, raw.data, raw.len);
    if (r->texts.len)
        memcpy(memory + raw.len, r->texts.data, r->texts.len);
    uint8_t *payload = memory + raw.len + r->texts.len;
    if (body.len)
        memcpy(payload, body.data, body.len);
    if (body.len || !r->null_payload)
        message_set_payload(m, bytes_of(payload, body.len));
    if (r->key.data)
        message_set_key(m, relocate(&to, r->key, false));
    if (r->message_id.len) {
        m->id = relocate(&to, r->message_id, false).data;
        m->id_len = (uint16_t)r->message_id.len;
        m->flags |= MESSAGE_ID_STABLE;
    }
    if (r->derived_timestamp)
        m->timestamp_ms = r->derived_timestamp_ms;
    else if (r->has_timestamp && r->timestamp <= INT64_MAX / 1000)
        m->timestamp_ms = (int64_t)r->timestamp * 1000;
    if (r->count)
        m->headers = make_headers(r, &to);
    return m;
}

void rabbit_properties_reader_close(struct properties_reader *r)
{
    free(r->parts);
    buf_free(&r->texts);
    *r = (struct properties_reader){ 0 };
}
