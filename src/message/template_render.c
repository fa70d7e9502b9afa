/* Rendering templates, on a lane, once a message. */
#include "message/template.h"

#include "message/owned.h"
#include "message/template_parts.h"

#include <stdio.h>

static _Thread_local char render_error[320];

static struct bytes last_header(const struct message *m, struct bytes name)
{
    const struct header *h = headers_last(m->headers, name);
    return h ? h->value : BYTES_NULL;
}

/* What a plain name stands for, NULL bytes when it has no value; json and headers() are none of these. */
static struct bytes plain_value(const struct part *p, const struct message *m, char scratch[MESSAGE_ID_MAX])
{
    switch (p->kind) {
    case PART_LITERAL:
        return p->text;
    case PART_ID:
        return message_id(m, scratch);
    case PART_KEY:
        return message_key(m);
    case PART_PAYLOAD:
        return message_payload(m);
    case PART_HEADER:
        return last_header(m, p->text);
    case PART_META:
        return message_meta(m, p->text, scratch);
    default:
        return BYTES_NULL;
    }
}

static bool append_plain(struct bytes value, struct buf *out)
{
    if (!value.data)
        return false;
    buf_append_bytes(out, value);
    return true;
}

static bool append_headers(const struct headers *h, struct bytes name, struct buf *out)
{
    bool any = false;
    for (uint32_t i = 0; h && i < h->count; i++) {
        if (!h->items[i].value.data || !bytes_equal(h->items[i].name, name))
            continue;
        if (any)
            buf_append_byte(out, ',');
        buf_append_bytes(out, h->items[i].value);
        any = true;
    }
    return any;
}

/* A payload that is not JSON is an error whatever the default: it would hide a message that is broken. One that is not there
 * has no value. */
static bool append_json(const struct part *p, const struct message *m, struct buf *out, const char **error)
{
    json_t *root = m->payload ? message_json(m, error) : NULL;
    if (m->payload && !root)
        return false;
    json_t *value = json_find(root, p->steps, p->step_count);
    *error = NULL;
    if (value)
        json_write_text(value, out);
    return value;
}

static bool append_part(const struct part *p, const struct message *m, struct buf *out, const char **error)
{
    char scratch[MESSAGE_ID_MAX];
    *error = NULL;
    bool there = p->kind == PART_JSON      ? append_json(p, m, out, error)
                 : p->kind == PART_HEADERS ? append_headers(m->headers, p->text, out)
                                           : append_plain(plain_value(p, m, scratch), out);
    if (there)
        return true;
    if (!*error && p->fallback.data)
        return append_plain(p->fallback, out);
    snprintf(render_error, sizeof(render_error), "{{ %.100s }}: %s", p->source, *error ? *error : "has no value");
    *error = render_error;
    return false;
}

bool template_render(const struct template *t, const struct message *m, struct buf *out, const char **error)
{
    size_t before = out->len;
    for (size_t i = 0; i < t->count; i++)
        if (!append_part(&t->parts[i], m, out, error)) {
            out->len = before; /* nothing half-rendered is left to be used by mistake */
            if (out->data)
                out->data[before] = 0;
            return false;
        }
    return true;
}

bool template_peek(const struct template *t, const struct message *m, struct bytes *value)
{
    if (t->count > 1)
        return false;
    if (t->count == 0) {
        *value = BYTES_LITERAL("");
        return true;
    }
    const struct part *p = &t->parts[0];
    if (p->kind == PART_JSON || p->kind == PART_HEADERS)
        return false;
    char scratch[MESSAGE_ID_MAX];
    struct bytes found = plain_value(p, m, scratch);
    if (found.data >= (uint8_t *)scratch && found.data < (uint8_t *)scratch + sizeof(scratch))
        return false; /* made for this call */
    *value = found.data ? found : p->fallback;
    return true;
}
