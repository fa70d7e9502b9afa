/* Tables and arrays as JSON text whose leaves are tagged with their types: {"n":{"i32":"5"},"list":{"array":[…]}}. */
#include "message/header_value.h"

#include "base/mem.h"
#include "base/text.h"
#include "message/owned.h"

#define BASE64_TAG "base64" /* bytes that are no UTF-8 */

/* ---- writing */

void json_write_string(struct bytes s, struct buf *out)
{
    buf_append_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (c == '"' || c == '\\') {
            buf_append_byte(out, '\\');
            buf_append_byte(out, c);
        } else if (c < 0x20) {
            buf_printf(out, "\\u%04x", c);
        } else {
            buf_append_byte(out, c);
        }
    }
    buf_append_byte(out, '"');
}

static void write_tagged(enum header_type t, struct bytes text, struct buf *out)
{
    bool binary = t == HEADER_BLOB || (t == HEADER_BYTES && !text_is_utf8(text));
    buf_printf(out, "{\"%s\":", t == HEADER_BYTES && binary ? BASE64_TAG : header_type_name(t));
    if (t == HEADER_NULL) {
        buf_append_string(out, "null");
    } else if (t == HEADER_TABLE || t == HEADER_ARRAY) {
        buf_append_bytes(out, text);
    } else if (binary) {
        buf_append_byte(out, '"');
        base64_encode(text, out);
        buf_append_byte(out, '"');
    } else {
        json_write_string(text, out);
    }
    buf_append_byte(out, '}');
}

void header_write_fields(enum header_type t, const struct headers *fields, struct buf *out)
{
    CLEANUP(buf_free) struct buf name = BUF_EMPTY;
    buf_append_byte(out, t == HEADER_TABLE ? '{' : '[');
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct header *f = &fields->items[i];
        if (i)
            buf_append_byte(out, ',');
        if (t == HEADER_TABLE) {
            buf_clear(&name);
            percent_escape(f->name, "", true, &name);
            json_write_string(buf_bytes(&name), out);
            buf_append_byte(out, ':');
        }
        write_tagged(f->type, f->value, out);
    }
    buf_append_byte(out, t == HEADER_TABLE ? '}' : ']');
}

/* ---- reading */

static bool is_container(enum header_type t, json_t *value, unsigned depth);

/* The one tag of a tagged value, the type it means and what it holds; false when it is no tagged value. */
static bool read_tag(json_t *tagged, enum header_type *t, bool *base64, json_t **held)
{
    void *pair = json_object_size(tagged) == 1 ? json_object_iter(tagged) : NULL;
    if (!pair)
        return false;
    const char *tag = json_object_iter_key(pair);
    *held = json_object_iter_value(pair);
    *base64 = strcmp(tag, BASE64_TAG) == 0;
    *t = HEADER_BYTES;
    if (!*base64 && !header_type_parse(bytes_of_string(tag), t))
        return false;
    *base64 = *base64 || *t == HEADER_BLOB;
    return true;
}

static struct bytes string_bytes(json_t *s)
{
    return bytes_of(json_string_value(s), json_string_length(s));
}

/* Reads a leaf's bytes into out (appended); false when they are not of the type. */
static bool read_leaf(enum header_type t, bool base64, json_t *held, struct buf *out)
{
    if (t == HEADER_NULL)
        return json_is_null(held);
    if (!json_is_string(held))
        return false;
    if (base64)
        return base64_decode(string_bytes(held), out);
    buf_append_bytes(out, string_bytes(held));
    return header_value_valid(t, string_bytes(held));
}

static bool is_tagged(json_t *tagged, unsigned depth)
{
    enum header_type t;
    bool base64;
    json_t *held;
    if (!read_tag(tagged, &t, &base64, &held))
        return false;
    if (t == HEADER_TABLE || t == HEADER_ARRAY)
        return is_container(t, held, depth + 1);
    CLEANUP(buf_free) struct buf scratch = BUF_EMPTY;
    return read_leaf(t, base64, held, &scratch);
}

/* At most HEADER_DEPTH_MAX deep, so that neither this nor any user recurses without end. */
static bool is_container(enum header_type t, json_t *value, unsigned depth)
{
    if (depth > HEADER_DEPTH_MAX || !(t == HEADER_TABLE ? json_is_object(value) : json_is_array(value)))
        return false;
    const char *key;
    json_t *item;
    size_t i;
    CLEANUP(buf_free) struct buf scratch = BUF_EMPTY;
    if (t == HEADER_TABLE) {
        json_object_foreach(value, key, item) if (!percent_unescape(bytes_of_string(key), &scratch) ||
                                                  !is_tagged(item, depth)) return false;
    } else {
        json_array_foreach(value, i, item) if (!is_tagged(item, depth)) return false;
    }
    return true;
}

static int append_dump(const char *text, size_t len, void *out)
{
    buf_append(out, text, len);
    return 0;
}

/* Where a field's name and value lie in the buffer that becomes the headers' memory, while it may still move. */
struct place {
    enum header_type type;
    size_t name, name_len, value, value_len;
};

/* Appends the field's bytes to memory. The whole text was checked before. */
static struct place read_field(const char *key, json_t *tagged, struct buf *memory)
{
    struct place p = { .name = memory->len };
    percent_unescape(bytes_of_string(key), memory);
    p.name_len = memory->len - p.name;
    p.value = memory->len;
    bool base64 = false;
    json_t *held = NULL;
    read_tag(tagged, &p.type, &base64, &held);
    if (p.type == HEADER_TABLE || p.type == HEADER_ARRAY)
        json_dump_callback(held, append_dump, memory, JSON_COMPACT);
    else
        read_leaf(p.type, base64, held, memory);
    p.value_len = memory->len - p.value;
    return p;
}

static struct headers *headers_of_places(const struct place *places, size_t count, struct bytes memory)
{
    struct headers *h = headers_new((uint32_t)count);
    struct block *block = block_new(memory.len + 1, 1);
    uint8_t *base = block_memory(block);
    memcpy(base, memory.data, memory.len);
    h->backing = &block->backing;
    for (size_t i = 0; i < count; i++) {
        h->items[i].type = places[i].type;
        h->items[i].name = bytes_of(base + places[i].name, places[i].name_len);
        h->items[i].value = places[i].type == HEADER_NULL ? BYTES_NULL
                                                          : bytes_of(base + places[i].value, places[i].value_len);
    }
    headers_seal(h);
    return h;
}

struct headers *header_read_fields(enum header_type t, struct bytes v)
{
    json_t *root = json_loadb((const char *)v.data, v.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (!root || !is_container(t, root, 1)) {
        json_decref(root);
        return NULL;
    }
    size_t count = t == HEADER_TABLE ? json_object_size(root) : json_array_size(root), n = 0, i;
    struct place *places = mem_array(count, sizeof(*places));
    CLEANUP(buf_free) struct buf memory = BUF_EMPTY;
    const char *key;
    json_t *item;
    if (t == HEADER_TABLE) {
        json_object_foreach(root, key, item) places[n++] = read_field(key, item, &memory);
    } else {
        json_array_foreach(root, i, item) places[n++] = read_field("", item, &memory);
    }
    struct headers *h = headers_of_places(places, count, buf_bytes(&memory));
    free(places);
    json_decref(root);
    return h;
}
