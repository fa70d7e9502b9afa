/* Decodes whatever bytes as a server's replies: whole, and cut at every read; both must say the same. What decodes is read
 * as a stream's entries, too. */
#include "endpoint/redis/entry.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct entry_names names = { { (const uint8_t *)"payload", 7 }, { (const uint8_t *)"key", 3 } };

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What reads back must be what was written. */
static void write_again(const struct message *m)
{
    struct buf types = BUF_EMPTY, out = BUF_EMPTY;
    struct entry_shape shape;
    entry_measure(&names, m, &types, &shape);
    buf_printf(&out, "*2\r\n$3\r\n1-1\r\n*%u\r\n", shape.words);
    uint8_t *start = buf_reserve(&out, shape.size);
    size_t len = (size_t)(entry_put(&names, m, &shape, start) - start);
    require(len <= shape.size);
    out.len += len;
    struct resp_decoder d = { .nodes = NULL };
    require(resp_decode(&d, out.data, out.len) == RESP_DONE);
    struct reply r = { out.data, d.nodes, d.count, NULL };
    struct message *back = entry_read(&names, &r, 1, 2);
    require(back && bytes_equal(message_payload(back), message_payload(m)));
    require(bytes_equal(message_key(back), message_key(m)));
    uint32_t count = m->headers ? m->headers->count : 0;
    require((back->headers ? back->headers->count : 0) == count);
    for (uint32_t i = 0; i < count; i++)
        require(bytes_equal(back->headers->items[i].name, m->headers->items[i].name) &&
                bytes_equal(back->headers->items[i].value, m->headers->items[i].value) &&
                back->headers->items[i].type == m->headers->items[i].type);
    message_unref(back);
    resp_decoder_free(&d);
    buf_free(&types);
    buf_free(&out);
}

static volatile uint8_t touched;

static void visit(const struct reply *r)
{
    require(reply_skip(r, 0) == r->count);
    for (uint32_t i = 0; i < r->count; i++) {
        int64_t n;
        struct bytes text = reply_text(r, i);
        if (text.len) /* touched, for the sanitizer to see */
            touched ^= text.data[0] ^ text.data[text.len - 1];
        reply_int(r, i, &n);
        require(reply_skip(r, i) <= r->count);
        if (!reply_is_array(r, i, 2))
            continue;
        struct message *m = entry_read(&names, r, i + 1, i + 2);
        if (m)
            write_again(m);
        message_unref(m);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct resp_decoder whole = { .nodes = NULL }, cut = { .nodes = NULL };
    size_t step = size ? 1 + data[size - 1] % 9 : 1;
    while (size) {
        enum resp_progress progress = resp_decode(&whole, data, size), piece = RESP_MORE;
        for (size_t there = step; piece == RESP_MORE; there += step) {
            piece = resp_decode(&cut, data, there < size ? there : size);
            if (there >= size)
                break;
        }
        require(piece == progress && cut.count == whole.count && cut.scanned == whole.scanned);
        if (progress != RESP_DONE)
            break;
        require(whole.scanned && whole.scanned <= size);
        struct reply r = { data, whole.nodes, whole.count, NULL };
        visit(&r);
        data += whole.scanned;
        size -= whole.scanned;
        resp_decoder_reset(&whole);
        resp_decoder_reset(&cut);
    }
    resp_decoder_free(&whole);
    resp_decoder_free(&cut);
    return 0;
}
