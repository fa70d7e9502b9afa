/* Small text helpers: suggestions, sizes and durations, escaping, UTF-8. */
#include "base/text.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>

/* ---- suggestions */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits (insert, remove, replace, swap neighbours) from a to b, whatever the case. Rows of the usual table, three kept. */
static size_t edits(const char *a, const char *b)
{
    size_t width = strlen(b) + 1;
    size_t *rows = mem_array(3 * width, sizeof(*rows));
    size_t *before = rows, *last = rows + width, *row = rows + 2 * width;
    for (size_t j = 0; j < width; j++)
        last[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        row[0] = i;
        for (size_t j = 1; j < width; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) && tolower((unsigned char)a[i - 2]) == cb)
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    size_t result = last[width - 1];
    free(rows);
    return result;
}

const char *text_nearest(const char *word, const char *const *names)
{
    size_t len = strlen(word);
    size_t best = len == 2 ? 2 : len / 3 + 1; /* one more than allowed */
    const char *nearest = NULL;
    for (; *names; names++) {
        size_t other = strlen(*names);
        size_t at_least = len < other ? other - len : len - other;
        size_t distance = at_least < best ? edits(word, *names) : best;
        if (distance < best) {
            best = distance;
            nearest = *names;
        }
    }
    return nearest;
}

/* ---- sizes and durations */

struct unit {
    const char *name;
    uint64_t size;
};

/* The shortest of the exact texts; the first of equally short ones. */
static void append_in_units(struct buf *out, uint64_t value, const struct unit *units, size_t count)
{
    char best[32] = "";
    for (size_t i = 0; i < count; i++) {
        if (value % units[i].size)
            continue;
        char text[32];
        snprintf(text, sizeof(text), "%llu%s", (unsigned long long)(value / units[i].size), units[i].name);
        if (!best[0] || strlen(text) < strlen(best))
            memcpy(best, text, sizeof(best));
    }
    buf_append_string(out, best);
}

void text_size(struct buf *out, uint64_t bytes)
{
    static const struct unit units[] = { { "GiB", 1u << 30 },       { "MiB", 1u << 20 }, { "KiB", 1u << 10 },
                                         { "GB", 1000u * 1000000 }, { "MB", 1000000 },   { "", 1 } };
    append_in_units(out, bytes, units, ARRAY_LEN(units));
}

void text_duration(struct buf *out, int64_t us)
{
    static const struct unit units[] = { { "s", 1000000 },
                                         { "ms", 1000 },
                                         { "m", 60 * 1000000u },
                                         { "h", 3600 * 1000000ull },
                                         { "d", 86400 * 1000000ull },
                                         { "us", 1 } };
    if (us < 0)
        buf_append_byte(out, '-');
    append_in_units(out, us < 0 ? -(uint64_t)us : (uint64_t)us, units, ARRAY_LEN(units));
}

/* ---- UTF-8 */

/* Whether all of s[1 … n - 1] are continuation bytes. */
static bool continues(struct bytes s, size_t n)
{
    if (s.len < n)
        return false;
    for (size_t i = 1; i < n; i++)
        if ((s.data[i] & 0xC0) != 0x80)
            return false;
    return true;
}

/* Overlong forms, surrogates and what is beyond U+10FFFF show in the second byte. */
size_t text_utf8_length(struct bytes s)
{
    uint8_t first = s.len ? s.data[0] : 0xFF;
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return continues(s, 2) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        if (!continues(s, 3) || (first == 0xE0 && s.data[1] < 0xA0) || (first == 0xED && s.data[1] > 0x9F))
            return 0;
        return 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        if (!continues(s, 4) || (first == 0xF0 && s.data[1] < 0x90) || (first == 0xF4 && s.data[1] > 0x8F))
            return 0;
        return 4;
    }
    return 0;
}

bool text_is_utf8(struct bytes s)
{
    while (s.len) {
        uint64_t eight;
        if (s.len >= sizeof(eight)) { /* text is mostly ASCII */
            memcpy(&eight, s.data, sizeof(eight));
            if (!(eight & UINT64_C(0x8080808080808080))) {
                s = bytes_of(s.data + sizeof(eight), s.len - sizeof(eight));
                continue;
            }
        }
        size_t n = text_utf8_length(s);
        if (!n)
            return false;
        s = bytes_of(s.data + n, s.len - n);
    }
    return true;
}

/* ---- escaping */

/* Writes what stands for the first character of s to piece; returns how many bytes of s that is. */
static size_t escape_one(struct bytes s, bool quotes, char piece[9], size_t *piece_len)
{
    static const char named[] = "\nn\tt\rr";
    uint8_t c = s.data[0];
    size_t n = text_utf8_length(s);
    bool c1_control = n == 2 && c == 0xC2 && s.data[1] < 0xA0;
    const char *name = c && c < 0x20 ? strchr(named, c) : NULL;
    if (name)
        *piece_len = (size_t)sprintf(piece, "\\%c", name[1]);
    else if (quotes && (c == '"' || c == '\\'))
        *piece_len = (size_t)sprintf(piece, "\\%c", c);
    else if (!n || c < 0x20 || c == 0x7F || c1_control)
        *piece_len = (size_t)sprintf(piece, c1_control ? "\\x%02x\\x%02x" : "\\x%02x", c, s.len > 1 ? s.data[1] : 0);
    else
        memcpy(piece, s.data, *piece_len = n);
    return n ? n : 1;
}

static void escape(struct buf *out, struct bytes s, bool quotes, size_t max)
{
    size_t start = out->len;
    while (s.len) {
        char piece[9];
        size_t piece_len;
        size_t taken = escape_one(s, quotes, piece, &piece_len);
        if (out->len - start + piece_len > max) {
            buf_append_string(out, "…");
            return;
        }
        buf_append(out, piece, piece_len);
        s = bytes_of(s.data + taken, s.len - taken);
    }
}

void text_escape(struct buf *out, struct bytes s, size_t max)
{
    escape(out, s, true, max);
}

void text_escape_controls(struct buf *out, struct bytes s)
{
    escape(out, s, false, SIZE_MAX);
}
