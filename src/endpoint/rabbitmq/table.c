/* Field tables: each AMQP kind and the header type it is. */
#include "endpoint/rabbitmq/table.h"

#include "base/mem.h"
#include "message/header_value.h"

/* Kinds whose values are whole numbers. */
static const struct integer_kind {
    uint8_t kind, size;
    enum header_type type;
} integer_kinds[] = {
    { 'b', 1, HEADER_I8 },  { 'B', 1, HEADER_U8 },  { 's', 2, HEADER_I16 }, { 'u', 2, HEADER_U16 },
    { 'I', 4, HEADER_I32 }, { 'i', 4, HEADER_U32 }, { 'l', 8, HEADER_I64 }, { 'T', 8, HEADER_TIMESTAMP },
};

/* ---- reading */

static bool read_integer(struct reader *r, uint8_t kind, enum header_type *type, struct buf *text)
{
    for (size_t i = 0; i < ARRAY_LEN(integer_kinds); i++) {
        const struct integer_kind *k = &integer_kinds[i];
        if (k->kind != kind)
            continue;
        uint64_t bits = read_number(r, k->size);
        if (k->type == HEADER_I8)
            bits = (uint64_t)(int8_t)bits;
        else if (k->type == HEADER_I16)
            bits = (uint64_t)(int16_t)bits;
        else if (k->type == HEADER_I32)
            bits = (uint64_t)(int32_t)bits;
        *type = k->type;
        header_write_integer(k->type, bits, text);
        return !r->bad;
    }
    return false;
}

static bool read_scalar(struct reader *r, uint8_t kind, enum header_type *type, struct buf *text)
{
    switch (kind) {
    case 't':
        *type = HEADER_BOOL;
        buf_append_string(text, read_number(r, 1) ? "true" : "false");
        break;
    case 'f':
        *type = HEADER_F32;
        header_write_f32((uint32_t)read_number(r, 4), text);
        break;
    case 'd':
        *type = HEADER_F64;
        header_write_f64(read_number(r, 8), text);
        break;
    case 'D': {
        uint8_t scale = (uint8_t)read_number(r, 1);
        *type = HEADER_DECIMAL;
        header_write_decimal((uint32_t)read_number(r, 4), scale, text);
        break;
    }
    default:
        return read_integer(r, kind, type, text);
    }
    return !r->bad;
}

static bool read_value(struct reader *r, unsigned depth, enum header_type *type, struct bytes *slice, struct buf *text);

/* The fields of a table or an array, while their texts may still move. */
struct fields {
    struct header *items;
    size_t *offsets; /* of the value in texts, where it is no slice of the input */
    size_t count, cap;
    struct buf texts;
};

static bool read_field(struct reader *r, bool named, unsigned depth, struct fields *f)
{
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 8;
        f->items = mem_resize_array(f->items, f->cap, sizeof *f->items);
        f->offsets = mem_resize_array(f->offsets, f->cap, sizeof *f->offsets);
    }
    struct header *field = &f->items[f->count];
    size_t offset = f->texts.len;
    field->name = named ? read_short_string(r) : BYTES_LITERAL("");
    if (r->bad || !read_value(r, depth, &field->type, &field->value, &f->texts))
        return false;
    if (!field->value.data)
        field->value.len = f->texts.len - offset;
    f->offsets[f->count++] = offset;
    return true;
}

static bool read_nested(struct reader *r, uint8_t kind, unsigned depth, enum header_type *type, struct buf *text)
{
    struct fields f = { .texts = BUF_EMPTY };
    struct bytes encoded = read_long_string(r);
    bool ok = !r->bad && depth < HEADER_DEPTH_MAX;
    struct reader inner = reader_of(encoded);
    *type = kind == 'F' ? HEADER_TABLE : HEADER_ARRAY;
    while (ok && inner.at < inner.end)
        ok = read_field(&inner, kind == 'F', depth + 1, &f);
    if (ok) {
        struct headers *fields = headers_new((uint32_t)f.count);
        for (size_t i = 0; i < f.count; i++) {
            fields->items[i] = f.items[i];
            if (!f.items[i].value.data && f.items[i].type != HEADER_NULL)
                fields->items[i].value.data = f.texts.data + f.offsets[i];
        }
        headers_seal(fields);
        header_write_fields(*type, fields, text);
        headers_unref(fields);
    }
    free(f.items);
    free(f.offsets);
    buf_free(&f.texts);
    return ok;
}

static bool read_value(struct reader *r, unsigned depth, enum header_type *type, struct bytes *slice, struct buf *text)
{
    uint8_t kind = (uint8_t)read_number(r, 1);
    *slice = BYTES_NULL;
    switch (kind) {
    case 'S':
    case 'x':
        *type = kind == 'S' ? HEADER_BYTES : HEADER_BLOB;
        *slice = read_long_string(r);
        return !r->bad;
    case 'V':
        *type = HEADER_NULL;
        return true;
    case 'F':
    case 'A':
        return read_nested(r, kind, depth, type, text);
    default:
        return read_scalar(r, kind, type, text);
    }
}

bool rabbit_table_read(struct reader *r, enum header_type *type, struct bytes *slice, struct buf *text)
{
    return read_value(r, 0, type, slice, text);
}

/* ---- writing */

static bool write_integer(struct buf *out, enum header_type type, struct bytes text)
{
    uint64_t bits;
    for (size_t i = 0; i < ARRAY_LEN(integer_kinds); i++) {
        if (integer_kinds[i].type != type)
            continue;
        if (!header_parse_integer(type, text, &bits))
            return false;
        buf_append_byte(out, integer_kinds[i].kind);
        write_number(out, bits, integer_kinds[i].size);
        return true;
    }
    return false;
}

/* Erlang cannot hold what is not finite: RabbitMQ would close the connection. */
static bool write_float(struct buf *out, enum header_type type, struct bytes text)
{
    uint32_t single;
    uint64_t full;
    if (type == HEADER_F32) {
        if (!header_parse_f32(text, &single) || (single & 0x7f800000) == 0x7f800000)
            return false;
        buf_append_byte(out, 'f');
        write_number(out, single, 4);
        return true;
    }
    const uint64_t exponent = UINT64_C(0x7ff) << 52;
    if (!header_parse_f64(text, &full) || (full & exponent) == exponent)
        return false;
    buf_append_byte(out, 'd');
    write_number(out, full, 8);
    return true;
}

static bool write_decimal(struct buf *out, struct bytes text)
{
    uint32_t unscaled;
    uint8_t scale;
    if (!header_parse_decimal(text, &unscaled, &scale))
        return false;
    buf_append_byte(out, 'D');
    buf_append_byte(out, scale);
    write_number(out, unscaled, 4);
    return true;
}

/* Inside a table, what RabbitMQ has no value for is written as its text. */
static bool write_nested(struct buf *out, enum header_type type, struct bytes text)
{
    struct headers *fields = header_read_fields(type, text);
    bool ok = fields != NULL;
    if (!ok)
        return false;
    buf_append_byte(out, type == HEADER_TABLE ? 'F' : 'A');
    size_t start = out->len;
    write_number(out, 0, 4);
    for (uint32_t i = 0; ok && i < fields->count; i++) {
        const struct header *field = &fields->items[i];
        ok = field->name.len <= SHORT_STRING_MAX;
        if (ok && type == HEADER_TABLE)
            write_short_string(out, field->name);
        if (ok && !rabbit_table_write(out, field->type, field->value))
            ok = rabbit_table_write(out, HEADER_BYTES, field->value);
    }
    store_number(out->data + start, out->len - start - 4, 4);
    headers_unref(fields);
    return ok;
}

bool rabbit_table_write(struct buf *out, enum header_type type, struct bytes text)
{
    size_t start = out->len;
    bool ok = true;
    switch (type) {
    case HEADER_BYTES:
    case HEADER_BLOB:
        buf_append_byte(out, type == HEADER_BYTES ? 'S' : 'x');
        write_long_string(out, text);
        break;
    case HEADER_NULL:
        buf_append_byte(out, 'V');
        break;
    case HEADER_BOOL:
        ok = bytes_is(text, "true") || bytes_is(text, "false");
        buf_append_byte(out, 't');
        buf_append_byte(out, bytes_is(text, "true"));
        break;
    case HEADER_F32:
    case HEADER_F64:
        ok = write_float(out, type, text);
        break;
    case HEADER_DECIMAL:
        ok = write_decimal(out, text);
        break;
    case HEADER_TABLE:
    case HEADER_ARRAY:
        ok = write_nested(out, type, text);
        break;
    default:
        ok = write_integer(out, type, text);
    }
    if (!ok)
        out->len = start;
    return ok;
}
