/* The companion header `ferry.types`: what the types were of headers that cross a broker without types. */
#include "message/headers.h"

#include "base/map.h"
#include "base/mem.h"
#include "message/header_value.h"
#include "message/message.h"

#define NAME BYTES_LITERAL(HEADER_TYPES_NAME)

/* Which occurrence of its name each header is, from 1, and whether there are more. */
struct ordinal {
    uint32_t nth;
    bool repeated;
};

enum { FEW = 24 }; /* up to here comparing all with all is cheaper than a map */

static void count_few(const struct headers *h, struct ordinal *ordinals)
{
    for (uint32_t i = 0; i < h->count; i++) {
        ordinals[i] = (struct ordinal){ 1, false };
        for (uint32_t k = i; k > 0; k--)
            if (bytes_equal(h->items[k - 1].name, h->items[i].name)) {
                ordinals[i] = (struct ordinal){ ordinals[k - 1].nth + 1, true };
                ordinals[k - 1].repeated = true;
                break;
            }
    }
}

/* Hostile messages have many: the map keeps this linear. It holds the last occurrence of each name so far. */
static void count_many(const struct headers *h, struct ordinal *ordinals)
{
    CLEANUP(strmap_free) struct strmap seen = { 0 };
    for (uint32_t i = 0; i < h->count; i++) {
        struct ordinal *before = strmap_get(&seen, h->items[i].name);
        ordinals[i] = (struct ordinal){ before ? before->nth + 1 : 1, before };
        if (before)
            before->repeated = true;
        strmap_put(&seen, h->items[i].name, &ordinals[i]);
    }
}

/* Owned by the caller: free. */
static struct ordinal *count_names(const struct headers *h)
{
    struct ordinal *ordinals = mem_array(h->count, sizeof(*ordinals));
    if (h->count <= FEW)
        count_few(h, ordinals);
    else
        count_many(h, ordinals);
    return ordinals;
}

bool headers_types_write(const struct headers *h, bool null_too, struct buf *out)
{
    if (!h)
        return false;
    bool needed = h->typed || headers_last(h, NAME);
    for (uint32_t i = 0; !needed && null_too && i < h->count; i++)
        needed = h->items[i].type == HEADER_NULL;
    if (!needed)
        return false;
    struct ordinal *ordinals = count_names(h);
    const char *separator = "";
    for (uint32_t i = 0; i < h->count; i++) {
        const struct header *item = &h->items[i];
        if (item->type == HEADER_BYTES || (item->type == HEADER_NULL && !null_too))
            continue;
        buf_append_string(out, separator);
        separator = ";";
        percent_escape(item->name, "=;#", false, out);
        if (ordinals[i].repeated)
            buf_printf(out, "#%u", ordinals[i].nth);
        buf_printf(out, "=%s", header_type_name(item->type));
    }
    free(ordinals);
    return true;
}

/* ---- the way back */

struct entry {
    struct buf name;
    uint32_t nth;
    enum header_type type;
};

/* "NAME=TYPE" or "NAME#n=TYPE". */
static bool parse_entry(struct bytes text, struct entry *e)
{
    const uint8_t *equals = text.len ? memchr(text.data, '=', text.len) : NULL;
    if (!equals)
        return false;
    size_t name_len = (size_t)(equals - text.data);
    const uint8_t *hash = memchr(text.data, '#', name_len);
    uint64_t nth = 1;
    if (hash && !header_parse_integer(HEADER_U32, bytes_of(hash + 1, (size_t)(equals - hash) - 1), &nth))
        return false;
    e->nth = (uint32_t)nth;
    buf_clear(&e->name);
    return percent_unescape(bytes_of(text.data, hash ? (size_t)(hash - text.data) : name_len), &e->name) &&
           header_type_parse(bytes_of(equals + 1, text.len - name_len - 1), &e->type) && e->type != HEADER_BYTES;
}

static bool fits(const struct header *item, enum header_type t)
{
    if (item->type != HEADER_BYTES)
        return false;
    return t == HEADER_NULL ? item->value.len == 0 : header_value_valid(t, item->value);
}

/* Finds what each entry is of and sets its type in types. Entries come in the headers' order, so that the search goes on from
 * where the last one ended. */
static bool match_entries(const struct headers *h, uint32_t companion, uint8_t *types)
{
    struct bytes text = h->items[companion].value;
    struct ordinal *ordinals = count_names(h);
    struct entry e = { .name = BUF_EMPTY };
    uint32_t at = 0;
    bool ok = true;
    while (ok && text.len) {
        const uint8_t *end = memchr(text.data, ';', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        ok = parse_entry(bytes_of(text.data, len), &e);
        while (ok && at < h->count &&
               !(bytes_equal(h->items[at].name, buf_bytes(&e.name)) && ordinals[at].nth == e.nth))
            at++;
        ok = ok && at < companion && fits(&h->items[at], e.type);
        if (ok)
            types[at++] = (uint8_t)e.type;
        text = end ? bytes_of(end + 1, text.len - len - 1) : BYTES_NULL;
    }
    buf_free(&e.name);
    free(ordinals);
    return ok;
}

/* A copy that shares the bytes, for headers that somebody else holds too. */
static struct headers *share(struct headers *h)
{
    struct headers *copy = headers_new(h->count);
    memcpy(copy->items, h->items, h->count * sizeof(h->items[0]));
    if (h->backing)
        copy->backing = backing_ref(h->backing);
    headers_unref(h);
    return copy;
}

struct headers *headers_types_read(struct headers *h)
{
    const struct header *companion = headers_last(h, NAME);
    if (!companion || companion->type != HEADER_BYTES)
        return h;
    uint32_t index = (uint32_t)(companion - h->items);
    uint8_t *types = mem_array(h->count, 1);
    if (match_entries(h, index, types)) {
        if (h->refs > 1)
            h = share(h);
        for (uint32_t i = 0; i < index; i++)
            if (types[i]) {
                h->items[i].type = types[i];
                if (types[i] == HEADER_NULL)
                    h->items[i].value = BYTES_NULL;
            }
        h->count--;
        memmove(&h->items[index], &h->items[index + 1], (h->count - index) * sizeof(h->items[0]));
        headers_seal(h);
    }
    free(types);
    return h;
}
