/* A message's payload as JSON: parsed once for all templates of a route, found along paths, written as text. */
#include "base/mem.h"
#include "message/header_value.h"
#include "message/owned.h"
#include "message/template_parts.h"

#include <stdio.h>

/* The last message that was asked for. The payload's address is part of the key, since a step may give the same message
 * another one; that address stays taken as long as the message has not moved or died, and both come to forget. */
_Thread_local const struct message *json_cached;
static _Thread_local struct {
    const uint8_t *payload;
    uint32_t len;
    json_t *root; /* NULL: it is no JSON, and error says why */
    char error[JSON_ERROR_TEXT_LENGTH + 80];
} cache;

void message_json_forget(void)
{
    json_cached = NULL;
    json_decref(cache.root);
    cache.root = NULL;
}

json_t *message_json(const struct message *m, const char **error)
{
    if (json_cached != m || cache.payload != m->payload || cache.len != m->payload_len) {
        message_json_forget();
        json_error_t why;
        cache.payload = m->payload;
        cache.len = m->payload_len;
        cache.root = json_loadb((const char *)m->payload, m->payload_len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
        json_cached = m;
        if (!cache.root)
            snprintf(cache.error, sizeof(cache.error), "the payload is not JSON: %s at byte %d", why.text,
                     why.position);
    }
    *error = cache.error;
    return cache.root;
}

json_t *json_find(json_t *value, const struct step *steps, size_t count)
{
    for (size_t i = 0; value && i < count; i++)
        value = steps[i].name ? json_object_get(value, steps[i].name) : json_array_get(value, steps[i].index);
    return json_is_null(value) ? NULL : value;
}

static void write_real(double number, struct buf *out)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    size_t start = out->len;
    header_write_f64(bits, out);
    if (!strpbrk((char *)out->data + start, ".e"))
        buf_append_string(out, ".0");
}

static struct bytes string_bytes(const json_t *s)
{
    return bytes_of(json_string_value(s), json_string_length(s));
}

/* Compact JSON. jansson's own writes reals with 17 digits: 0.1 as 0.10000000000000001. The parser bounds the depth. */
static void write_json(json_t *v, struct buf *out)
{
    const char *key, *separator = "";
    json_t *item;
    size_t i;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        buf_append_byte(out, '{');
        json_object_foreach(v, key, item)
        {
            buf_append_string(out, separator);
            json_write_string(bytes_of_string(key), out);
            buf_append_byte(out, ':');
            write_json(item, out);
            separator = ",";
        }
        buf_append_byte(out, '}');
        break;
    case JSON_ARRAY:
        buf_append_byte(out, '[');
        json_array_foreach(v, i, item)
        {
            buf_append_string(out, separator);
            write_json(item, out);
            separator = ",";
        }
        buf_append_byte(out, ']');
        break;
    case JSON_STRING:
        json_write_string(string_bytes(v), out);
        break;
    case JSON_INTEGER:
        header_write_integer(HEADER_I64, (uint64_t)json_integer_value(v), out);
        break;
    case JSON_REAL:
        write_real(json_real_value(v), out);
        break;
    case JSON_TRUE:
        buf_append_string(out, "true");
        break;
    case JSON_FALSE:
        buf_append_string(out, "false");
        break;
    case JSON_NULL:
        buf_append_string(out, "null");
        break;
    }
}

void json_write_text(json_t *v, struct buf *out)
{
    if (json_is_string(v))
        buf_append_bytes(out, string_bytes(v));
    else
        write_json(v, out);
}
