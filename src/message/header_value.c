/* The texts of typed header values that are no tables: integers, floats, decimals, and the escapes they need. */
#include "message/header_value.h"

#include "base/mem.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- integers */

/* "0" or digits without a leading zero, at most 20 of them, no overflow. */
static bool parse_u64(struct bytes v, uint64_t *out)
{
    if (!v.data || v.len == 0 || v.len > 20 || (v.data[0] == '0' && v.len > 1))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < v.len; i++) {
        unsigned digit = v.data[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

static const struct {
    bool is_signed;
    unsigned bits;
} integer_types[HEADER_TYPES] = {
    [HEADER_I8] = { true, 8 },    [HEADER_U8] = { false, 8 },   [HEADER_I16] = { true, 16 },
    [HEADER_U16] = { false, 16 }, [HEADER_I32] = { true, 32 },  [HEADER_U32] = { false, 32 },
    [HEADER_I64] = { true, 64 },  [HEADER_U64] = { false, 64 }, [HEADER_TIMESTAMP] = { false, 64 },
};

bool header_parse_integer(enum header_type t, struct bytes v, uint64_t *bits)
{
    bool negative = integer_types[t].is_signed && v.data && v.len && v.data[0] == '-';
    uint64_t magnitude;
    if (!parse_u64(negative ? bytes_of(v.data + 1, v.len - 1) : v, &magnitude) || (negative && !magnitude))
        return false;
    unsigned value_bits = integer_types[t].bits - integer_types[t].is_signed;
    uint64_t max = value_bits == 64 ? UINT64_MAX : (UINT64_C(1) << value_bits) - 1;
    if (magnitude > max + negative)
        return false;
    *bits = negative ? 0 - magnitude : magnitude;
    return true;
}

void header_write_integer(enum header_type t, uint64_t bits, struct buf *out)
{
    if (integer_types[t].is_signed && (int64_t)bits < 0) {
        buf_append_byte(out, '-');
        bits = 0 - bits;
    }
    buf_append_u64(out, bits);
}

/* ---- floats */

#define F32_NAN UINT32_C(0x7fc00000)
#define F64_NAN UINT64_C(0x7ff8000000000000)

static float f32_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static double f64_of(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

void header_write_f32(uint32_t bits, struct buf *out)
{
    if ((bits & 0x7fffffff) > 0x7f800000) {
        buf_append_string(out, "nan");
        if (bits != F32_NAN)
            buf_printf(out, ":%08x", bits);
        return;
    }
    char text[32];
    int precision = bits & 0x7f800000 ? 6 : 1; /* any 6 digits survive, but for denormals; 9 always suffice */
    do
        snprintf(text, sizeof(text), "%.*g", precision, (double)f32_of(bits));
    while (strtof(text, NULL) != f32_of(bits) && precision++ < 9);
    buf_append_string(out, text);
}

void header_write_f64(uint64_t bits, struct buf *out)
{
    if ((bits & INT64_MAX) > UINT64_C(0x7ff0000000000000)) {
        buf_append_string(out, "nan");
        if (bits != F64_NAN)
            buf_printf(out, ":%016llx", (unsigned long long)bits);
        return;
    }
    char text[40];
    int precision = bits & UINT64_C(0x7ff0000000000000) ? 15 : 1;
    do
        snprintf(text, sizeof(text), "%.*g", precision, f64_of(bits));
    while (strtod(text, NULL) != f64_of(bits) && precision++ < 17);
    buf_append_string(out, text);
}

/* v as a NUL-terminated text of float characters; what strtod would also take (spaces, hexadecimal) is caught by writing
 * the number again. */
static bool float_text(struct bytes v, char text[48])
{
    if (!v.data || v.len == 0 || v.len >= 48 || memchr(v.data, 0, v.len))
        return false;
    memcpy(text, v.data, v.len);
    text[v.len] = 0;
    return true;
}

bool header_parse_f32(struct bytes v, uint32_t *bits)
{
    char text[48];
    if (!float_text(v, text))
        return false;
    if (strncmp(text, "nan", 3) == 0) {
        *bits = text[3] == ':' ? (uint32_t)strtoul(text + 4, NULL, 16) : F32_NAN;
    } else {
        float f = strtof(text, NULL);
        memcpy(bits, &f, sizeof(f));
    }
    CLEANUP(buf_free) struct buf again = BUF_EMPTY;
    header_write_f32(*bits, &again);
    return bytes_equal(buf_bytes(&again), v);
}

bool header_parse_f64(struct bytes v, uint64_t *bits)
{
    char text[48];
    if (!float_text(v, text))
        return false;
    if (strncmp(text, "nan", 3) == 0) {
        *bits = text[3] == ':' ? strtoull(text + 4, NULL, 16) : F64_NAN;
    } else {
        double d = strtod(text, NULL);
        memcpy(bits, &d, sizeof(d));
    }
    CLEANUP(buf_free) struct buf again = BUF_EMPTY;
    header_write_f64(*bits, &again);
    return bytes_equal(buf_bytes(&again), v);
}

/* ---- decimals */

bool header_parse_decimal(struct bytes v, uint32_t *unscaled, uint8_t *scale)
{
    const uint8_t *e = v.data ? memchr(v.data, 'e', v.len) : NULL;
    if (!e)
        return false;
    size_t head = (size_t)(e - v.data);
    uint64_t value, digits;
    if (v.len < head + 2 || e[1] != '-' || !header_parse_integer(HEADER_U32, bytes_of(v.data, head), &value) ||
        !header_parse_integer(HEADER_U8, bytes_of(e + 2, v.len - head - 2), &digits))
        return false;
    *unscaled = (uint32_t)value;
    *scale = (uint8_t)digits;
    return true;
}

void header_write_decimal(uint32_t unscaled, uint8_t scale, struct buf *out)
{
    buf_printf(out, "%ue-%u", unscaled, scale);
}

/* ---- any type */

static const char *const type_names[HEADER_TYPES] = {
    [HEADER_BYTES] = "bytes", [HEADER_NULL] = "null",       [HEADER_BOOL] = "bool",
    [HEADER_I8] = "i8",       [HEADER_U8] = "u8",           [HEADER_I16] = "i16",
    [HEADER_U16] = "u16",     [HEADER_I32] = "i32",         [HEADER_U32] = "u32",
    [HEADER_I64] = "i64",     [HEADER_U64] = "u64",         [HEADER_F32] = "f32",
    [HEADER_F64] = "f64",     [HEADER_DECIMAL] = "decimal", [HEADER_TIMESTAMP] = "timestamp",
    [HEADER_BLOB] = "blob",   [HEADER_TABLE] = "table",     [HEADER_ARRAY] = "array",
};

const char *header_type_name(enum header_type t)
{
    return type_names[t];
}

bool header_type_parse(struct bytes name, enum header_type *out)
{
    for (int t = 0; t < HEADER_TYPES; t++)
        if (bytes_is(name, type_names[t])) {
            *out = (enum header_type)t;
            return true;
        }
    return false;
}

bool header_value_valid(enum header_type t, struct bytes v)
{
    uint64_t bits;
    uint32_t bits32;
    uint8_t scale;
    switch (t) {
    case HEADER_NULL:
        return !v.data;
    case HEADER_BYTES:
    case HEADER_BLOB:
        return v.data;
    case HEADER_BOOL:
        return bytes_is(v, "true") || bytes_is(v, "false");
    case HEADER_F32:
        return header_parse_f32(v, &bits32);
    case HEADER_F64:
        return header_parse_f64(v, &bits);
    case HEADER_DECIMAL:
        return header_parse_decimal(v, &bits32, &scale);
    case HEADER_TABLE:
    case HEADER_ARRAY: {
        struct headers *fields = header_read_fields(t, v);
        headers_unref(fields);
        return fields;
    }
    default:
        return header_parse_integer(t, v, &bits);
    }
}

/* ---- base64, percent */

void base64_encode(struct bytes in, struct buf *out)
{
    /* In pieces: EVP takes an int, and a multiple of 3 needs no padding in between. */
    for (size_t at = 0; at < in.len;) {
        size_t n = in.len - at < 3 << 20 ? in.len - at : 3 << 20;
        uint8_t *to = buf_reserve(out, (n + 2) / 3 * 4 + 1);
        out->len += (size_t)EVP_EncodeBlock(to, in.data + at, (int)n);
        at += n;
    }
}

bool base64_decode(struct bytes in, struct buf *out)
{
    if (in.len % 4 || in.len > INT32_MAX)
        return false;
    if (in.len == 0)
        return true;
    /* EVP skips white space at both ends, and takes padding for zero bits. */
    size_t padding = (in.data[in.len - 1] == '=') + (in.data[in.len - 2] == '=' && in.data[in.len - 1] == '=');
    for (size_t i = 0; i < in.len - padding; i++)
        if (in.data[i] <= ' ' || in.data[i] == '=' || in.data[i] >= 0x7f)
            return false;
    uint8_t *to = buf_reserve(out, in.len / 4 * 3 + 1);
    int n = EVP_DecodeBlock(to, in.data, (int)in.len);
    if (n < 0) {
        *to = 0;
        return false;
    }
    out->len += (size_t)n - padding;
    out->data[out->len] = 0;
    return true;
}

/* The length of the UTF-8 character that s begins with, 0 when it begins with none. */
static size_t utf8_length(const uint8_t *s, size_t left)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    if (n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, beyond U+10FFFF. */
    bool bad = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
               (s[0] == 0xf4 && s[1] > 0x8f);
    return bad ? 0 : n;
}

void percent_escape(struct bytes s, const char *also, bool utf8, struct buf *out)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8 ? utf8_length(s.data + i, s.len - i) : 1;
        uint8_t c = s.data[i];
        if (n == 0 || c == '%' || c < 0x20 || c == 0x7f || (c && strchr(also, c))) {
            buf_printf(out, "%%%02X", c);
            i++;
        } else {
            buf_append(out, s.data + i, n);
            i += n;
        }
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool percent_unescape(struct bytes s, struct buf *out)
{
    size_t before = out->len;
    buf_reserve(out, s.len);
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] != '%') {
            buf_append_byte(out, s.data[i]);
            continue;
        }
        int high = i + 2 < s.len ? hex_digit(s.data[i + 1]) : -1, low = high >= 0 ? hex_digit(s.data[i + 2]) : -1;
        if (low < 0) {
            out->len = before;
            out->data[before] = 0;
            return false;
        }
        buf_append_byte(out, (uint8_t)(high << 4 | low));
        i += 2;
    }
    return true;
}
