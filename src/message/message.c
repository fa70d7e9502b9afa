/* Messages: from the thread's pool, sharing slices with their source's buffer until they are told to own them. */
#include "message/message.h"

#include "base/mem.h"
#include "base/pool.h"
#include "message/owned.h"

#include <assert.h>
#include <pthread.h>

static_assert(sizeof(struct message) == 80,
              "bookkeeping of a message is bounded: see DESIGN, at most 128 bytes in all");

/* ---- the thread's pool, freed when the thread ends */

static _Thread_local struct pool *pool;
static pthread_key_t pool_key;
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

/* A message that outlives its thread is somebody's mistake: its memory stays, for the leak checker to tell of. */
static void on_thread_exit(void *p)
{
    if (pool_used(p) == 0)
        pool_free(p);
}

static void make_key(void)
{
    pthread_key_create(&pool_key, on_thread_exit);
}

static struct pool *make_pool(void)
{
    pthread_once(&pool_once, make_key);
    pool = pool_new(sizeof(struct message));
    pthread_setspecific(pool_key, pool);
    return pool;
}

struct message *message_new(void)
{
    struct message *m = pool_get(pool ? pool : make_pool());
    *m = (struct message){ .refs = 1 };
    return m;
}

void message_unref(struct message *m)
{
    if (!m || --m->refs)
        return;
    if (json_cached == m)
        message_json_forget();
    headers_unref(m->headers);
    backing_unref(m->backing);
    pool_put(pool, m);
}

struct message *message_clone(const struct message *m)
{
    struct message *copy = message_new();
    *copy = *m;
    copy->refs = 1;
    if (copy->headers)
        headers_ref(copy->headers);
    if (copy->backing)
        backing_ref(copy->backing);
    return copy;
}

size_t message_size(const struct message *m)
{
    return (size_t)m->payload_len + m->key_len + m->id_len + (m->headers ? m->headers->bytes : 0);
}

/* ---- memory of its own */

static void block_free(struct backing *b)
{
    free(b);
}

struct block *block_new(size_t size, uint32_t refs)
{
    struct block *b = mem_alloc(sizeof(*b) + size);
    b->backing = (struct backing){ .refs = refs, .free = block_free };
    b->size = sizeof(*b) + size;
    return b;
}

struct block *block_around(const struct headers *h)
{
    if (!h->backing || h->backing->free != block_free)
        return NULL;
    struct block *b = (struct block *)h->backing;
    const uint8_t *start = (const uint8_t *)b, *at = (const uint8_t *)h;
    return at > start && at < start + b->size ? b : NULL;
}

/* A held slice: a link in front of what the message had. */
struct hold {
    struct backing backing;
    struct backing *next;
    uint8_t data[];
};

static void hold_free(struct backing *b)
{
    struct hold *h = (struct hold *)b;
    struct backing *next = h->next;
    free(h);
    backing_unref(next);
}

bool backing_is_own(const struct backing *b)
{
    while (b && b->free == hold_free)
        b = ((const struct hold *)b)->next;
    return !b || b->free == block_free;
}

struct bytes message_hold(struct message *m, struct bytes s)
{
    if (!s.data)
        return BYTES_NULL;
    struct hold *h = mem_alloc(sizeof(*h) + s.len + 1);
    h->backing = (struct backing){ .refs = 1, .free = hold_free };
    h->next = m->backing;
    if (s.len)
        memcpy(h->data, s.data, s.len);
    h->data[s.len] = 0; /* an empty slice needs an address of its own, too */
    m->backing = &h->backing;
    return bytes_of(h->data, s.len);
}

static const uint8_t *copy_slice(uint8_t **at, const uint8_t *data, size_t len)
{
    if (!data)
        return NULL;
    uint8_t *start = *at;
    if (len)
        memcpy(start, data, len);
    *at += len;
    return start;
}

static size_t detail_size(const struct message_detail *d, size_t *count)
{
    size_t bytes = 0;
    *count = 0;
    for (; d && d->name.data; d++, ++*count)
        bytes += d->name.len + d->value.len;
    return bytes;
}

static struct message_detail *copy_detail(const struct message_detail *from, struct message_detail *to, uint8_t **at)
{
    struct message_detail *d = to;
    for (; from->name.data; from++, d++) {
        d->name = bytes_of(copy_slice(at, from->name.data, from->name.len), from->name.len);
        d->value = bytes_of(copy_slice(at, from->value.data, from->value.len), from->value.len);
    }
    *d = (struct message_detail){ BYTES_NULL, BYTES_NULL };
    return to;
}

/* The block: headers, detail, then the bytes; the structs first, so that they are aligned. */
void message_own(struct message *m)
{
    if (backing_is_own(m->backing) && (!m->headers || backing_is_own(m->headers->backing)))
        return;
    bool has_id = !(m->flags & MESSAGE_ID_POSITION);
    size_t details, headers_room = m->headers ? headers_block_size(m->headers) : 0;
    size_t detail_bytes = detail_size(m->detail, &details);
    size_t detail_room = m->detail ? (details + 1) * sizeof(struct message_detail) : 0;
    size_t bytes = (size_t)m->payload_len + m->key_len + (has_id ? m->id_len : 0) + detail_bytes;
    struct block *block = block_new(headers_room + detail_room + bytes + 1, m->headers ? 2 : 1);

    if (json_cached == m)
        message_json_forget();
    uint8_t *memory = block_memory(block), *at = memory + headers_room + detail_room;
    if (m->headers) {
        struct headers *h = headers_copy(m->headers, block, memory);
        headers_unref(m->headers);
        m->headers = h;
    }
    if (m->detail)
        m->detail = copy_detail(m->detail, (struct message_detail *)(memory + headers_room), &at);
    m->payload = copy_slice(&at, m->payload, m->payload_len);
    m->key = copy_slice(&at, m->key, m->key_len);
    if (has_id)
        m->id = copy_slice(&at, m->id, m->id_len);
    backing_unref(m->backing);
    m->backing = &block->backing;
}

/* ---- what it is called and where it came from */

static size_t write_u64(char *out, uint64_t value)
{
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + value % 10);
    while (value /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

struct bytes message_id(const struct message *m, char scratch[MESSAGE_ID_MAX])
{
    if (!(m->flags & MESSAGE_ID_POSITION))
        return bytes_of(m->id, m->id_len);
    /* A long name (a path) gives up its beginning: position and partition tell messages apart. */
    const size_t room = MESSAGE_ID_MAX - 2 - 10 - 20;
    const char *name = m->origin ? m->origin->name : "";
    size_t len = strlen(name), n = len < room ? len : room;
    memcpy(scratch, name + len - n, n);
    scratch[n++] = '-';
    if (m->origin && m->origin->partition >= 0) {
        n += write_u64(scratch + n, (uint64_t)m->origin->partition);
        scratch[n++] = '-';
    }
    n += write_u64(scratch + n, m->position);
    return bytes_of(scratch, n);
}

/* Whether name is the word that kind ends with: "topic" of "kafka topic", and of "kafka topics". */
static bool is_word_of_kind(struct bytes name, const char *kind)
{
    const char *word = strrchr(kind, ' ');
    if (!word)
        return false;
    struct bytes w = bytes_of_string(word + 1);
    if (bytes_equal(name, w))
        return true;
    return w.len && w.data[w.len - 1] == 's' && bytes_equal(name, bytes_of(w.data, w.len - 1));
}

static struct bytes number_or_null(bool there, uint64_t value, char *scratch)
{
    return there ? bytes_of(scratch, write_u64(scratch, value)) : BYTES_NULL;
}

struct bytes message_meta(const struct message *m, struct bytes name, char scratch[MESSAGE_ID_MAX])
{
    for (const struct message_detail *d = m->detail; d && d->name.data; d++)
        if (bytes_equal(d->name, name))
            return d->value;
    if (bytes_is(name, "redelivered"))
        return m->flags & MESSAGE_REDELIVERED ? BYTES_LITERAL("true") : BYTES_LITERAL("false");
    if (bytes_is(name, "offset"))
        return number_or_null(m->flags & MESSAGE_ID_POSITION, m->position, scratch);
    const struct origin *o = m->origin;
    if (!o)
        return BYTES_NULL;
    if (bytes_is(name, "partition"))
        return number_or_null(o->partition >= 0, (uint64_t)o->partition, scratch);
    if (bytes_is(name, "kind"))
        return bytes_of_string(o->kind);
    if (bytes_is(name, "connection"))
        return o->connection && *o->connection ? bytes_of_string(o->connection) : BYTES_NULL;
    if (bytes_is(name, "name") || is_word_of_kind(name, o->kind))
        return bytes_of_string(o->name);
    return BYTES_NULL;
}
