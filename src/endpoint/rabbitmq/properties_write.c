/* Writing: a message's headers, key, id and timestamp become encoded basic properties. */
#include "endpoint/rabbitmq/properties.h"

#include "base/map.h"
#include "base/mem.h"
#include "endpoint/rabbitmq/table.h"
#include "message/header_value.h"

#include <stdlib.h>

enum { FEW = 32 };
#define NO_NEXT UINT32_MAX

/* Where a header goes: into the table under name, with others of that name as one array; or nowhere (it is a property). */
struct destination {
    struct bytes name;
    uint64_t hash;
    uint32_t next;                   /* the next header of the same name */
    uint32_t index;                  /* of the header */
    bool property, escaped, follows; /* follows: an earlier one of the name writes it */
};

static bool begins(struct bytes s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.data, prefix, len) == 0;
}

/* CC and BCC are instructions to RabbitMQ, and closing the channel is its answer when they are no arrays. */
static bool is_reserved(const struct header *h)
{
    struct bytes n = h->name;
    if (begins(n, "ferry."))
        return bytes_is(n, RESERVED_KEY) || bytes_is(n, RESERVED_NULL) || bytes_is(n, RESERVED_DERIVED) ||
               bytes_is(n, RESERVED_REPEATED) || bytes_is(n, HEADER_TYPES_NAME) || begins(n, RESERVED_ESCAPE);
    return h->type != HEADER_ARRAY && (bytes_is(n, "CC") || bytes_is(n, "BCC"));
}

static bool is_digits(struct bytes s, unsigned max_len)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
    return s.len && s.len <= max_len;
}

/* Whether RabbitMQ takes that value for the property. Some it answers by closing the channel. */
static bool property_fits(const struct properties_writer *w, int which, const struct header *h)
{
    uint64_t number;
    if (h->type == HEADER_NULL)
        return false;
    switch (rabbit_properties[which].form) {
    case PROPERTY_TIME:
        return header_parse_integer(HEADER_U64, h->value, &number);
    case PROPERTY_OCTET:
        return header_parse_integer(HEADER_U8, h->value, &number) &&
               (which != DELIVERY_MODE || number == 1 || number == 2);
    default:
        break;
    }
    if (which == USER_ID)
        return bytes_equal(h->value, w->user);
    if (which == EXPIRATION)
        return is_digits(h->value, 9);
    return h->value.len <= SHORT_STRING_MAX;
}

/* ---- where everything goes */

static int compare(const void *a, const void *b)
{
    const struct destination *x = *(const struct destination *const *)a, *y = *(const struct destination *const *)b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static void link_pair(struct destination *earlier, struct destination *later)
{
    earlier->next = later->index;
    later->follows = true;
}

static bool same_name(const struct destination *a, const struct destination *b)
{
    return !a->property && !b->property && a->escaped == b->escaped && bytes_equal(a->name, b->name);
}

/* Few headers are compared with one another; a flood of them is sorted first. */
static bool link_repeated(struct destination *d, size_t n)
{
    bool any = false;
    if (n <= FEW) {
        for (size_t i = 1; i < n; i++)
            for (size_t k = i; k-- > 0;)
                if (same_name(&d[k], &d[i])) {
                    link_pair(&d[k], &d[i]);
                    any = true;
                    break;
                }
        return any;
    }
    struct destination **sorted = mem_array(n, sizeof(struct destination *));
    for (size_t i = 0; i < n; i++) {
        sorted[i] = &d[i];
        d[i].hash = hash_bytes(d[i].name);
    }
    qsort(sorted, n, sizeof(struct destination *), compare);
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k-- > 0 && sorted[k]->hash == sorted[i]->hash;)
            if (same_name(sorted[k], sorted[i])) {
                link_pair(sorted[k], sorted[i]);
                any = true;
                break;
            }
    free(sorted);
    return any;
}

/* Fills destinations and the values of properties; the last header of a property's name that fits is the property, all others
 * of that name are ordinary headers. */
static bool plan(struct properties_writer *w, const struct headers *h, struct bytes values[PROPERTIES])
{
    if (h->count > w->cap) {
        w->cap = h->count * 2;
        w->destinations = mem_resize_array(w->destinations, w->cap, sizeof *w->destinations);
    }
    for (uint32_t i = h->count; i-- > 0;) {
        const struct header *item = &h->items[i];
        struct destination *d = &w->destinations[i];
        *d = (struct destination){ .name = item->name, .next = NO_NEXT, .index = i };
        int which = rabbit_property_of(item->name);
        if (which >= 0 && !values[which].data && property_fits(w, which, item)) {
            values[which] = item->value;
            d->property = true;
        } else if (begins(item->name, TABLE_PREFIX)) {
            struct bytes inner = bytes_of(item->name.data + sizeof TABLE_PREFIX - 1,
                                          item->name.len - (sizeof TABLE_PREFIX - 1));
            if (rabbit_property_of(inner) >= 0 || begins(inner, TABLE_PREFIX))
                d->name = inner;
        } else {
            d->escaped = is_reserved(item);
        }
    }
    return link_repeated(w->destinations, h->count);
}

/* ---- the table */

static void list_type(struct properties_writer *w, const struct header *h, unsigned nth)
{
    if (w->types.len)
        buf_append_byte(&w->types, ';');
    percent_escape(h->name, "=;#", false, &w->types);
    if (nth)
        buf_printf(&w->types, "#%u", nth);
    buf_printf(&w->types, "=%s", header_type_name(h->type));
}

/* nth: which of a repeated name; 0: the only one. */
static void write_value(struct properties_writer *w, const struct header *h, unsigned nth, struct buf *out)
{
    if (rabbit_table_write(out, h->type, h->value))
        return;
    list_type(w, h, nth);
    rabbit_table_write(out, HEADER_BYTES, h->value);
}

/* The position of a header among those of the table, as the way back will count them. */
static unsigned table_position(const struct properties_writer *w, uint32_t index)
{
    unsigned position = 0;
    for (uint32_t i = 0; i < index; i++)
        position += !w->destinations[i].property;
    return position;
}

static void write_array(struct properties_writer *w, const struct headers *h, const struct destination *d,
                        struct buf *out)
{
    unsigned nth = 1;
    if (w->repeated.len)
        buf_append_byte(&w->repeated, ';');
    percent_escape(h->items[d->index].name, "=;,", false, &w->repeated);
    buf_append_byte(out, 'A');
    size_t start = out->len;
    write_number(out, 0, 4);
    for (uint32_t i = d->index; i != NO_NEXT; i = w->destinations[i].next, nth++) {
        buf_printf(&w->repeated, "%c%u", nth == 1 ? '=' : ',', table_position(w, i));
        write_value(w, &h->items[i], nth, out);
    }
    store_number(out->data + start, out->len - start - 4, 4);
}

static void write_text_entry(struct buf *out, const char *name, struct bytes value)
{
    write_short_string(out, bytes_of_string(name));
    buf_append_byte(out, 'S');
    write_long_string(out, value);
}

static const char *write_headers(struct properties_writer *w, const struct headers *h, struct buf *out)
{
    for (uint32_t i = 0; i < h->count; i++) {
        const struct destination *d = &w->destinations[i];
        size_t prefix = d->escaped ? sizeof RESERVED_ESCAPE - 1 : 0;
        if (d->property || d->follows)
            continue;
        if (prefix + d->name.len > SHORT_STRING_MAX)
            return "a header's name is longer than AMQP's 255 bytes";
        buf_append_byte(out, (uint8_t)(prefix + d->name.len));
        if (prefix)
            buf_append(out, RESERVED_ESCAPE, prefix);
        buf_append_bytes(out, d->name);
        if (d->next == NO_NEXT)
            write_value(w, &h->items[i], 0, out);
        else
            write_array(w, h, d, out);
    }
    return NULL;
}

static const char *write_table(struct properties_writer *w, const struct message *m, struct bytes derived,
                               struct buf *out)
{
    size_t start = out->len;
    const char *problem = NULL;
    write_number(out, 0, 4);
    if (m->headers)
        problem = write_headers(w, m->headers, out);
    if (m->key)
        write_text_entry(out, RESERVED_KEY, message_key(m));
    if (!m->payload) {
        write_short_string(out, BYTES_LITERAL(RESERVED_NULL));
        buf_append(out, "t\1", 2);
    }
    if (derived.len)
        write_text_entry(out, RESERVED_DERIVED, derived);
    if (w->repeated.len)
        write_text_entry(out, RESERVED_REPEATED, buf_bytes(&w->repeated));
    if (w->types.len)
        write_text_entry(out, HEADER_TYPES_NAME, buf_bytes(&w->types));
    store_number(out->data + start, out->len - start - 4, 4);
    return problem;
}

/* ---- the properties */

struct derived {
    char id[MESSAGE_ID_MAX], timestamp[24], text[64];
    size_t len;
};

static size_t decimal(char out[20], uint64_t value)
{
    char reversed[20];
    size_t len = 0;
    do
        reversed[len++] = (char)('0' + value % 10);
    while (value /= 10);
    for (size_t i = 0; i < len; i++)
        out[i] = reversed[len - 1 - i];
    return len;
}

/* message-id and timestamp of a message that has no headers which say them: other consumers expect them there. */
static void derive(const struct message *m, struct bytes values[PROPERTIES], struct derived *d)
{
    if (!values[MESSAGE_ID].data && m->flags & MESSAGE_ID_STABLE) {
        struct bytes id = message_id(m, d->id);
        if (id.len && id.len <= SHORT_STRING_MAX) {
            values[MESSAGE_ID] = id;
            memcpy(d->text, "id", d->len = 2);
        }
    }
    if (!values[TIMESTAMP].data && m->timestamp_ms > 0) {
        size_t len = decimal(d->timestamp, (uint64_t)m->timestamp_ms);
        if (d->len)
            d->text[d->len++] = ';';
        memcpy(d->text + d->len, "timestamp=", 10);
        memcpy(d->text + d->len + 10, d->timestamp, len);
        d->len += 10 + len;
        values[TIMESTAMP] = bytes_of(d->timestamp, decimal(d->timestamp, (uint64_t)m->timestamp_ms / 1000));
    }
}

static const char *write_properties(struct properties_writer *w, const struct message *m,
                                    const struct bytes values[PROPERTIES], struct bytes derived, struct buf *out)
{
    size_t start = out->len;
    unsigned flags = 0;
    uint64_t number;
    write_number(out, 0, 2);
    for (unsigned i = 0; i < PROPERTIES; i++) {
        if (i != HEADERS && !values[i].data)
            continue;
        if (i == HEADERS) {
            size_t table = out->len;
            const char *problem = write_table(w, m, derived, out);
            if (problem)
                return problem;
            if (out->len == table + 4) { /* empty: leave it out */
                out->len = table;
                continue;
            }
        } else if (rabbit_properties[i].form == PROPERTY_TEXT) {
            write_short_string(out, values[i]);
        } else {
            header_parse_integer(HEADER_U64, values[i], &number);
            write_number(out, number, rabbit_properties[i].form == PROPERTY_OCTET ? 1 : 8);
        }
        flags |= 0x8000u >> i;
    }
    store_number(out->data + start, flags, 2);
    return NULL;
}

const char *rabbit_properties_write(struct properties_writer *w, const struct message *m, size_t max, struct buf *out)
{
    struct bytes values[PROPERTIES] = { { NULL, 0 } };
    struct derived derived;
    derived.len = 0;
    size_t start = out->len;
    const char *problem = "its headers are larger than one AMQP frame";
    /* A flood of headers is refused before it is looked at: each has at least a length and a kind. */
    if (m->headers && m->headers->bytes + 2 * (size_t)m->headers->count > max)
        return problem;
    buf_clear(&w->types);
    buf_clear(&w->repeated);
    if (m->headers)
        plan(w, m->headers, values);
    derive(m, values, &derived);
    if (!values[DELIVERY_MODE].data)
        values[DELIVERY_MODE] = BYTES_LITERAL("2");
    const char *unfit = write_properties(w, m, values, bytes_of(derived.text, derived.len), out);
    if (!unfit && out->len - start <= max)
        return NULL;
    out->len = start;
    return unfit ? unfit : problem;
}

void rabbit_properties_writer_close(struct properties_writer *w)
{
    free(w->destinations);
    buf_free(&w->types);
    buf_free(&w->repeated);
    *w = (struct properties_writer){ 0 };
}
