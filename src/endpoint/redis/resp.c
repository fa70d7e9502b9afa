/* The decoder: one pass over the bytes, resumed where the last read ended. */
#include "endpoint/redis/resp.h"

#include "base/mem.h"

void resp_decoder_free(struct resp_decoder *d)
{
    free(d->nodes);
    *d = (struct resp_decoder){ .nodes = NULL };
}

void resp_decoder_reset(struct resp_decoder *d)
{
    /* A giant reply must not leave its node list behind for ever. */
    if (d->cap > 1 << 18) {
        free(d->nodes);
        d->nodes = NULL;
        d->cap = 0;
    }
    d->count = d->scanned = d->need = 0;
    d->depth = 0;
    d->error = NULL;
}

static enum resp_progress bad(struct resp_decoder *d, const char *why)
{
    d->error = why;
    return RESP_BAD;
}

/* The number of a length line, from p; *next is behind its CRLF. RESP_MORE when the line is not complete. */
static enum resp_progress length_line(const uint8_t *p, const uint8_t *end, int64_t *value, const uint8_t **next)
{
    bool negative = p < end && *p == '-';
    const uint8_t *digits = p += negative;
    int64_t v = 0;
    while (p < end && *p >= '0' && *p <= '9') {
        if (p - digits >= 10)
            return RESP_BAD;
        v = v * 10 + (*p++ - '0');
    }
    if (end - p < 2)
        return p < end && *p != '\r' ? RESP_BAD : RESP_MORE;
    if (p == digits || p[0] != '\r' || p[1] != '\n')
        return RESP_BAD;
    *value = negative ? -v : v;
    *next = p + 2;
    return RESP_DONE;
}

/* A line of text, from p: *len bytes before its CRLF. */
static enum resp_progress text_line(const uint8_t *p, const uint8_t *end, uint32_t *len)
{
    size_t there = (size_t)(end - p);
    const uint8_t *cr = memchr(p, '\r', there < RESP_LINE_MAX ? there : RESP_LINE_MAX);
    if (!cr)
        return there < RESP_LINE_MAX ? RESP_MORE : RESP_BAD;
    if (end - cr < 2)
        return RESP_MORE;
    *len = (uint32_t)(cr - p);
    return cr[1] == '\n' ? RESP_DONE : RESP_BAD;
}

static bool is_integer(const uint8_t *p, uint32_t len)
{
    uint32_t i = len && (*p == '-' || *p == '+');
    if (i == len || len > 20)
        return false;
    for (; i < len; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return true;
}

static void add_node(struct resp_decoder *d, enum resp_type type, uint32_t at, uint32_t size)
{
    if (d->count == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 64;
        d->nodes = mem_resize(d->nodes, d->cap * sizeof *d->nodes);
    }
    d->nodes[d->count++] = (struct resp_node){ at, size, type };
}

/* One node that begins at base + scanned. RESP_DONE: it is in the list, and scanned is behind it. */
static enum resp_progress node(struct resp_decoder *d, const uint8_t *base, size_t len)
{
    const uint8_t *p = base + d->scanned, *end = base + len, *next;
    int64_t n;
    uint32_t text;
    enum resp_progress progress;
    switch (*p) {
    case '$':
        if ((progress = length_line(p + 1, end, &n, &next)) != RESP_DONE)
            return progress == RESP_BAD ? bad(d, "a bulk string without a length") : progress;
        if (n < 0) {
            if (n != -1)
                return bad(d, "a bulk string of negative length");
            add_node(d, RESP_NIL, 0, 0);
            break;
        }
        if (n > RESP_BULK_MAX)
            return bad(d, "a bulk string of more than 512 MiB");
        if (end - next < n + 2) {
            /* The line is read again when all is there: no state to keep for it. */
            if ((uint64_t)(next - base) + (uint64_t)n + 2 > RESP_REPLY_MAX)
                return bad(d, "a reply of more than 1 GiB");
            d->need = (uint32_t)(next - base) + (uint32_t)n + 2;
            return RESP_MORE;
        }
        if (next[n] != '\r' || next[n + 1] != '\n')
            return bad(d, "a bulk string that is longer than its length");
        add_node(d, RESP_BULK, (uint32_t)(next - base), (uint32_t)n);
        next += n + 2;
        break;
    case '*':
        if ((progress = length_line(p + 1, end, &n, &next)) != RESP_DONE)
            return progress == RESP_BAD ? bad(d, "an array without a length") : progress;
        if (n < -1)
            return bad(d, "an array of negative length");
        if (n > RESP_NODES_MAX)
            return bad(d, "an array of too many elements");
        if (n > 0) {
            if (d->depth == RESP_DEPTH_MAX)
                return bad(d, "arrays nested too deep");
            d->left[d->depth++] = (uint32_t)n + 1; /* itself counts, see resp_decode */
        }
        add_node(d, n < 0 ? RESP_NIL : RESP_ARRAY, 0, n < 0 ? 0 : (uint32_t)n);
        break;
    case ':':
    case '+':
    case '-':
        if ((progress = text_line(p + 1, end, &text)) != RESP_DONE)
            return progress == RESP_BAD ? bad(d, "a line that does not end") : progress;
        if (*p == ':' && !is_integer(p + 1, text))
            return bad(d, "an integer that is none");
        add_node(d, *p == ':' ? RESP_INTEGER : *p == '+' ? RESP_STATUS : RESP_ERROR, (uint32_t)(p + 1 - base), text);
        next = p + 1 + text + 2;
        break;
    default:
        return bad(d, "bytes that are no Redis reply");
    }
    d->scanned = (uint32_t)(next - base);
    return RESP_DONE;
}

enum resp_progress resp_decode(struct resp_decoder *d, const uint8_t *base, size_t len)
{
    if (len > RESP_REPLY_MAX)
        len = RESP_REPLY_MAX;
    for (;;) {
        if (d->scanned >= len || len < d->need)
            return d->scanned >= RESP_REPLY_MAX ? bad(d, "a reply of more than 1 GiB") : RESP_MORE;
        enum resp_progress progress = node(d, base, len);
        if (progress != RESP_DONE)
            return progress == RESP_MORE && len == RESP_REPLY_MAX ? bad(d, "a reply of more than 1 GiB") : progress;
        if (d->count > RESP_NODES_MAX)
            return bad(d, "a reply of too many elements");
        while (d->depth && --d->left[d->depth - 1] == 0)
            d->depth--;
        if (d->depth == 0)
            return RESP_DONE;
    }
}

bool reply_int(const struct reply *r, uint32_t i, int64_t *value)
{
    struct bytes s = reply_text(r, i);
    if (!s.data || !is_integer(s.data, (uint32_t)s.len))
        return false;
    bool negative = s.data[0] == '-';
    uint64_t v = 0;
    for (size_t k = negative || s.data[0] == '+'; k < s.len; k++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s.data[k] - '0', &v))
            return false;
    if (v > (uint64_t)INT64_MAX + negative)
        return false;
    *value = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

uint32_t reply_skip(const struct reply *r, uint32_t i)
{
    for (uint64_t open = 1; open && i < r->count; i++) {
        open--;
        if (r->nodes[i].type == RESP_ARRAY)
            open += r->nodes[i].size;
    }
    return i;
}
