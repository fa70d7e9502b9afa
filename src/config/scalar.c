/* Prints texts as YAML scalars and decodes UTF-8. */
#include "config/scalar.h"

#include "base/text.h"

#include <ctype.h>

bool utf8_next(const uint8_t **p, const uint8_t *end, uint32_t *character)
{
    const uint8_t *s = *p;
    size_t len = text_utf8_length(bytes_of(s, (size_t)(end - s)));
    if (!len)
        return false;
    uint32_t c = len == 1 ? s[0] : s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (s[i] & 0x3f);
    *p += len;
    *character = c;
    return true;
}

bool yaml_allows(uint32_t c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0x7e) || c == 0x85 || (c >= 0xa0 && c <= 0xd7ff) ||
           (c >= 0xe000 && c <= 0xfffd && c != 0xfeff) || c >= 0x10000;
}

bool yaml_is_null(const char *text)
{
    return !strcmp(text, "~") || !strcmp(text, "null") || !strcmp(text, "Null") || !strcmp(text, "NULL");
}

bool yaml_is_typed(const char *text)
{
    if (!strcmp(text, "true") || !strcmp(text, "false"))
        return true;
    text += *text == '-';
    size_t digits = strspn(text, "0123456789");
    if (!digits)
        return false;
    text += digits;
    if (*text == '.') {
        digits = strspn(text + 1, "0123456789");
        if (!digits)
            return false;
        text += 1 + digits;
    }
    return !*text;
}

/* Plain is only what no YAML reader could take for anything else. */
static bool may_be_plain(struct bytes s)
{
    static const char first[] = "_./", later[] = "_./+@%=^~*-:";
    if (!s.len || (!isalnum(s.data[0]) && !memchr(first, s.data[0], sizeof first - 1) && s.data[0] != '-'))
        return false;
    /* A minus may begin a number only: alone, or before a space, it begins a list. */
    if (s.data[0] == '-' && (s.len == 1 || !isdigit(s.data[1])))
        return false;
    for (size_t i = 1; i < s.len; i++)
        if (!isalnum(s.data[i]) && !memchr(later, s.data[i], sizeof later - 1))
            return false;
    return s.data[s.len - 1] != ':' && !bytes_is(s, "null") && !bytes_is(s, "Null") && !bytes_is(s, "NULL");
}

static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0x2028 || c == 0x2029 || !yaml_allows(c);
}

static void append_escaped(struct buf *out, uint32_t c)
{
    if (c == '\n')
        buf_append_string(out, "\\n");
    else if (c == '\t')
        buf_append_string(out, "\\t");
    else if (c < 0x100)
        buf_printf(out, "\\x%02x", (unsigned)c);
    else
        buf_printf(out, "\\u%04x", (unsigned)c); /* beyond U+FFFF everything is allowed as it is */
}

void yaml_print(struct bytes s, bool value, struct buf *out)
{
    if (may_be_plain(s)) {
        buf_append_bytes(out, s);
        return;
    }
    bool escapes = false;
    const uint8_t *end = s.data + s.len;
    uint32_t c;
    for (const uint8_t *p = s.data; p < end && utf8_next(&p, end, &c);)
        escapes = escapes || needs_escape(c);
    char quote = escapes || (s.len && memchr(s.data, '\'', s.len)) ? '"' : '\'';
    buf_append_byte(out, (uint8_t)quote);
    for (const uint8_t *p = s.data; p < end;) {
        const uint8_t *from = p;
        if (!utf8_next(&p, end, &c))
            break;
        if (value && c == '$' && p < end && *p == '{')
            buf_append_byte(out, '$');
        if (quote == '"' && (c == '"' || c == '\\'))
            buf_append_byte(out, '\\');
        if (quote == '"' && needs_escape(c))
            append_escaped(out, c);
        else
            buf_append(out, from, (size_t)(p - from));
    }
    buf_append_byte(out, (uint8_t)quote);
}
