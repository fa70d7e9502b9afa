/* Random headers lose their types, as in a broker without any, and get back exactly what they were; tables and floats read back
 * as they were written; a hostile `ferry.types` changes nothing or takes itself away. FERRY_SEED=n runs one case. */
#include "base/mem.h"
#include "base/random.h"
#include "message/header_value.h"
#include "message/message.h"
#include "support/seeds.h"

#include <stdio.h>

static uint64_t draw(uint64_t bound) /* 0: any number */
{
    return bound ? random_below(bound) : random_u64();
}

/* ---- making headers; their bytes live in one buffer that never moves */

static uint8_t memory[1 << 20];
static size_t used;

static struct bytes keep(const struct buf *b)
{
    uint8_t *at = memory + used;
    if (used + b->len > sizeof(memory))
        abort();
    if (b->len)
        memcpy(at, b->data, b->len);
    used += b->len;
    return bytes_of(at, b->len);
}

static void random_name(struct buf *out)
{
    static const char *const known[] = { "x-count", "a=b", "a;b", "50%", "a#2", "ferry.types", "", "\xc3\xa9", "type" };
    if (draw(3)) {
        buf_append_string(out, known[draw(ARRAY_LEN(known))]);
        return;
    }
    for (uint64_t i = draw(4); i > 0; i--)
        buf_append_byte(out, (uint8_t)draw(256));
}

static void random_value(enum header_type t, unsigned depth, struct buf *out);

static struct header random_header(unsigned depth)
{
    CLEANUP(buf_free) struct buf text = BUF_EMPTY;
    struct header h = { .type = (enum header_type)draw(depth ? HEADER_TYPES : HEADER_TABLE) };
    random_name(&text);
    h.name = keep(&text);
    buf_clear(&text);
    random_value(h.type, depth, &text);
    h.value = h.type == HEADER_NULL ? BYTES_NULL : keep(&text);
    return h;
}

static struct headers *random_headers(uint32_t count, unsigned depth)
{
    struct headers *h = headers_new(count);
    for (uint32_t i = 0; i < count; i++)
        h->items[i] = random_header(depth);
    headers_seal(h);
    return h;
}

static void random_fields(enum header_type t, unsigned depth, struct buf *out)
{
    struct headers *fields = random_headers((uint32_t)draw(4), depth);
    for (uint32_t i = 0; i < fields->count; i++) { /* names of a table are different ones */
        CLEANUP(buf_free) struct buf name = BUF_EMPTY;
        buf_append_bytes(&name, fields->items[i].name);
        buf_printf(&name, "%u", i);
        fields->items[i].name = t == HEADER_ARRAY ? BYTES_LITERAL("") : keep(&name);
    }
    header_write_fields(t, fields, out);
    headers_unref(fields);
}

static void random_value(enum header_type t, unsigned depth, struct buf *out)
{
    uint64_t bits = draw(0);
    switch (t) {
    case HEADER_NULL:
        break;
    case HEADER_BOOL:
        buf_append_string(out, bits & 1 ? "true" : "false");
        break;
    case HEADER_I8:
        header_write_integer(t, (uint64_t)(int8_t)bits, out);
        break;
    case HEADER_I16:
        header_write_integer(t, (uint64_t)(int16_t)bits, out);
        break;
    case HEADER_I32:
        header_write_integer(t, (uint64_t)(int32_t)bits, out);
        break;
    case HEADER_U8:
        header_write_integer(t, (uint8_t)bits, out);
        break;
    case HEADER_U16:
        header_write_integer(t, (uint16_t)bits, out);
        break;
    case HEADER_U32:
        header_write_integer(t, (uint32_t)bits, out);
        break;
    case HEADER_I64:
    case HEADER_U64:
    case HEADER_TIMESTAMP:
        header_write_integer(t, bits, out);
        break;
    case HEADER_F32:
        header_write_f32((uint32_t)bits, out);
        break;
    case HEADER_F64:
        header_write_f64(bits, out);
        break;
    case HEADER_DECIMAL:
        header_write_decimal((uint32_t)bits, (uint8_t)(bits >> 32), out);
        break;
    case HEADER_TABLE:
    case HEADER_ARRAY:
        random_fields(t, depth - 1, out);
        break;
    default:
        for (uint64_t i = draw(6); i > 0; i--)
            buf_append_byte(out, (uint8_t)draw(256));
    }
}

/* ---- the properties */

static bool same_headers(const struct headers *a, const struct headers *b)
{
    if (a->count != b->count || a->typed != b->typed || a->bytes != b->bytes)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->items[i].type != b->items[i].type || !bytes_equal(a->items[i].name, b->items[i].name) ||
            !bytes_equal(a->items[i].value, b->items[i].value))
            return false;
    return true;
}

/* What a destination without types holds. */
static struct headers *strip(const struct headers *h, bool null_too)
{
    CLEANUP(buf_free) struct buf types = BUF_EMPTY;
    bool listed = headers_types_write(h, null_too, &types);
    struct headers *out = headers_new(h->count + listed);
    for (uint32_t i = 0; i < h->count; i++) {
        bool null = h->items[i].type == HEADER_NULL;
        out->items[i].name = h->items[i].name;
        out->items[i].value = null && null_too ? BYTES_LITERAL("") : h->items[i].value;
        out->items[i].type = null && !null_too ? HEADER_NULL : HEADER_BYTES;
    }
    if (listed)
        out->items[h->count] = (struct header){ BYTES_LITERAL(HEADER_TYPES_NAME), keep(&types), HEADER_BYTES };
    headers_seal(out);
    return out;
}

static bool types_come_back(const struct headers *h)
{
    bool null_too = draw(2), shared = draw(2);
    struct headers *stripped = strip(h, null_too);
    struct headers *before = shared ? headers_ref(stripped) : NULL;
    struct headers *back = headers_types_read(stripped);
    bool good = same_headers(h, back) && (!before || before->typed == 0);
    headers_unref(before);
    headers_unref(back);
    return good;
}

static bool values_are_valid(const struct headers *h)
{
    for (uint32_t i = 0; i < h->count; i++)
        if (!header_value_valid(h->items[i].type, h->items[i].value))
            return false;
    return true;
}

/* Reads every table and array, and writes it again as the same text, all the way down. */
static bool tables_read_back(const struct headers *h)
{
    bool good = true;
    for (uint32_t i = 0; good && i < h->count; i++) {
        enum header_type t = h->items[i].type;
        if (t != HEADER_TABLE && t != HEADER_ARRAY)
            continue;
        struct headers *fields = header_read_fields(t, h->items[i].value);
        CLEANUP(buf_free) struct buf again = BUF_EMPTY;
        if (fields)
            header_write_fields(t, fields, &again);
        struct headers *twice = header_read_fields(t, buf_bytes(&again));
        good = fields && twice && same_headers(fields, twice) && tables_read_back(fields);
        headers_unref(twice);
        headers_unref(fields);
    }
    return good;
}

static bool owning_changes_nothing(const struct headers *h)
{
    struct headers *own = headers_own(h);
    bool good = same_headers(h, own);
    headers_unref(own);
    struct message *m = message_new();
    m->headers = headers_new(h->count);
    memcpy(m->headers->items, h->items, h->count * sizeof(h->items[0]));
    headers_seal(m->headers);
    static struct backing foreign = { .refs = 1 << 30, .free = NULL };
    m->backing = backing_ref(&foreign);
    message_own(m);
    good = good && same_headers(h, m->headers) && m->backing != &foreign;
    message_unref(m);
    return good;
}

static bool hostile_types_do_no_harm(const struct headers *h)
{
    CLEANUP(buf_free) struct buf types = BUF_EMPTY;
    headers_types_write(h, false, &types);
    for (uint64_t i = draw(4); i > 0 && types.len; i--) /* bent a little, so that most of it is still right */
        types.data[draw(types.len)] = (uint8_t) "=;#%1ai"[draw(7)];
    struct headers *odd = headers_new(h->count + 1);
    for (uint32_t i = 0; i < h->count; i++)
        odd->items[i] = (struct header){ h->items[i].name, h->items[i].value, HEADER_BYTES };
    odd->items[h->count] = (struct header){ BYTES_LITERAL(HEADER_TYPES_NAME), keep(&types), HEADER_BYTES };
    for (uint32_t i = 0; i < h->count; i++)
        if (!odd->items[i].value.data)
            odd->items[i].value = BYTES_LITERAL("");
    headers_seal(odd);
    uint32_t count = odd->count;
    odd = headers_types_read(odd);
    bool good = (odd->count == count && odd->typed == 0) || odd->count == count - 1;
    good = good && values_are_valid(odd);
    headers_unref(odd);
    return good;
}

static bool floats_read_back(void)
{
    CLEANUP(buf_free) struct buf text = BUF_EMPTY;
    uint64_t bits = draw(0), back64;
    uint32_t back32;
    if (draw(4) == 0)
        bits &= UINT64_C(0x800fffffffffffff); /* denormal */
    header_write_f64(bits, &text);
    bool good = header_parse_f64(buf_bytes(&text), &back64) && back64 == bits;
    buf_clear(&text);
    header_write_f32((uint32_t)bits, &text);
    return good && header_parse_f32(buf_bytes(&text), &back32) && back32 == (uint32_t)bits;
}

static bool play(uint64_t seed)
{
    (void)seed; /* the numbers that are drawn */
    used = 0;
    struct headers *h = random_headers((uint32_t)draw(draw(10) ? 8 : 100), 3);
    const char *broken = !values_are_valid(h)           ? "a value that was written is not valid"
                         : !types_come_back(h)          ? "types do not come back"
                         : !tables_read_back(h)         ? "a table does not read back"
                         : !owning_changes_nothing(h)   ? "owning changes headers"
                         : !hostile_types_do_no_harm(h) ? "a bent ferry.types does harm"
                         : !floats_read_back()          ? "a float does not read back"
                                                        : NULL;
    headers_unref(h);
    if (broken)
        fprintf(stderr, "%s\n", broken);
    return !broken;
}

int main(void)
{
    return seeds_play(20000, play);
}
