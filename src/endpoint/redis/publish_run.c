/* Runs: the commands of a batch of messages, written as one, and what their replies say of each message. */
#include "endpoint/redis/publish_run.h"

#include "base/mem.h"
#include "endpoint/redis/command.h"

#include <stdio.h>

/* Lua unpacks at most 8,000 values; a message of so many headers is refused where runs are scripts. */
enum { SCRIPT_WORDS_MAX = 7000 };

static struct publish_slot *slot_at(const struct publisher *p, size_t i)
{
    return &p->slots[i & p->slot_mask];
}

/* ---- what is the same in every command */

static void append_word(struct buf *b, struct bytes word)
{
    buf_used_to(b, put_word(buf_reserve(b, word.len + BULK_OVERHEAD), word));
}

/* Each message is its count of values and the values; its name is a key, or for PUBLISH the first of the values. */
static void prepare_script(struct publisher *p, const char *const *fixed)
{
    bool keys = !p->ops->receivers;
    buf_printf(&p->script,
               "local a,u,p,i,d,z=ARGV,unpack,redis.pcall,1,0,0 while i<=#a do "
               "local c=a[i]+0 local r=p('%s'%s",
               p->ops->command, keys ? ",KEYS[d+1]" : "");
    for (; *fixed; fixed++)
        buf_printf(&p->script, ",'%s'", *fixed);
    buf_append_string(&p->script, ",u(a,i+1,i+c)) if type(r)=='table' then return {d,z,r.err or 'ERR'} end "
                                  "d=d+1 i=i+c+1 if r==0 then z=z+1 end end return {d,z}");
}

void publish_prepare(struct publisher *p, const char *const *fixed)
{
    append_word(&p->head, bytes_of_string(p->ops->command));
    p->fixed = 2;
    struct buf *b = &p->tail;
    if (template_is_constant(p->name)) {
        append_word(&p->head, template_constant(p->name));
        b = &p->head;
    }
    for (size_t i = 0; fixed[i]; i++, p->fixed++)
        append_word(b, bytes_of_string(fixed[i]));
    if (p->mode == PUBLISH_SCRIPT)
        prepare_script(p, fixed);
}

/* ---- one message */

static void refuse(struct publish_slot *s, const char *why)
{
    s->refused = mem_string(why);
}

static bool too_big(const struct message *m)
{
    if (m->payload_len > PUBLISH_WORD_MAX || m->key_len > PUBLISH_WORD_MAX)
        return true;
    return m->headers && m->headers->bytes > PUBLISH_WORD_MAX;
}

/* The name that the message goes to. False: the slot says why there is none. */
static bool name_of(struct publisher *p, struct publish_slot *s, struct bytes *name)
{
    const char *error = NULL;
    if (!template_peek(p->name, s->message, name)) {
        buf_clear(&p->scratch);
        if (!template_render(p->name, s->message, &p->scratch, &error)) {
            refuse(s, error);
            return false;
        }
        *name = buf_bytes(&p->scratch);
    }
    if (name->len)
        return true;
    refuse(s, "the name that the template gives is empty");
    return false;
}

/* Appends the message's command to out. False: it is refused, and the slot says why. */
static bool put_command(struct publisher *p, struct publish_slot *s, struct buf *out)
{
    struct bytes name = BYTES_NULL;
    struct entry_shape shape;
    if (too_big(s->message)) {
        refuse(s, "too big: a Redis string holds at most 512 MiB");
        return false;
    }
    bool constant = template_is_constant(p->name);
    if (!constant && !name_of(p, s, &name))
        return false;
    p->ops->measure(p, s->message, &shape);
    uint8_t *at = buf_reserve(out, shape.size + p->head.len + name.len + p->tail.len + 2 * BULK_OVERHEAD);
    at = put_length(at, '*', p->fixed + shape.words);
    at = put_raw(at, buf_bytes(&p->head));
    if (!constant) {
        at = put_word(at, name);
        at = put_raw(at, buf_bytes(&p->tail));
    }
    buf_used_to(out, p->ops->put(p, s->message, &shape, at));
    return true;
}

/* ---- each by itself, without an order */

/* Slots that were never sent are answered when their turn comes. */
static void answer_refused(struct publisher *p)
{
    while (p->slot_head != p->slot_sent && slot_at(p, p->slot_head)->refused)
        publisher_answer_refused(p);
}

/* One message's reply: ok, or what the error means; then everything that waits is given back if the server is the trouble. */
static void judge(struct publisher *p, size_t n, struct bytes error)
{
    if (!error.data) {
        publisher_answer(p, n, VERDICT_OK, NULL);
        publisher_accepted(p);
        return;
    }
    char reason[REASON_MAX];
    const struct refusal *r = refusal_of(error);
    refusal_text(r, error, reason, sizeof reason);
    publisher_answer(p, n, refusal_class(r, !template_is_constant(p->name)), reason);
    publisher_refused(p, r, reason);
}

static void count_receivers(struct publisher *p, const struct reply *reply)
{
    int64_t receivers;
    if (p->ops->receivers && reply_is(reply, 0, RESP_INTEGER) && reply_int(reply, 0, &receivers) && receivers == 0)
        p->sink.status.no_receivers++;
}

static void on_one(void *arg, const struct reply *reply, bool sent)
{
    struct publisher *p = arg;
    if (!reply) {
        publisher_answer(p, 1, sent ? VERDICT_UNKNOWN : VERDICT_AGAIN, "the connection was lost");
    } else {
        count_receivers(p, reply);
        judge(p, 1, reply_is(reply, 0, RESP_ERROR) ? reply_text(reply, 0) : BYTES_NULL);
    }
    answer_refused(p);
}

static void write_each(struct publisher *p)
{
    struct buf *out = link_out(p->user.link);
    uint32_t written = 0;
    while (p->slot_sent != p->slot_tail)
        written += put_command(p, slot_at(p, p->slot_sent++), out);
    if (written)
        link_expect(p->user.link, written, on_one, p);
    answer_refused(p);
}

/* ---- runs under way one at a time */

/* The run's first done were taken, and error (NULL data: none) refused the next one. */
static void finish_run(struct publisher *p, size_t done, struct bytes error)
{
    p->run = 0;
    if (done) {
        publisher_answer(p, done, VERDICT_OK, NULL);
        publisher_accepted(p);
    }
    if (error.data) {
        char reason[REASON_MAX];
        const struct refusal *r = refusal_of(error);
        enum verdict_class class = refusal_class(r, !template_is_constant(p->name));
        refusal_text(r, error, reason, sizeof reason);
        bool all = class == VERDICT_AGAIN || class == VERDICT_FAULT;
        publisher_answer(p, all ? p->slot_tail - p->slot_head : 1, class, reason);
        if (!all)
            publisher_answer_behind(p);
        publisher_refused(p, r, reason);
    } else {
        /* The next run goes out before the route learns of this one: the server need not wait for it. */
        publish_runs(p);
        link_flush(p->user.link);
    }
    publisher_tell(p);
}

static void lose_run(struct publisher *p, bool sent)
{
    size_t n = p->run;
    p->run = 0;
    publisher_answer(p, n, sent ? VERDICT_UNKNOWN : VERDICT_AGAIN, "the connection was lost");
}

/* One command for the whole run, or for a run of one. */
static void on_whole(void *arg, const struct reply *reply, bool sent)
{
    struct publisher *p = arg;
    if (!reply) {
        lose_run(p, sent);
        return;
    }
    bool refused = reply_is(reply, 0, RESP_ERROR);
    count_receivers(p, reply);
    finish_run(p, refused ? 0 : p->run, refused ? reply_text(reply, 0) : BYTES_NULL);
}

/* Replies to MULTI, to each command, to EXEC. A command that is refused when it is queued makes EXEC refuse all. */
static void on_transaction(void *arg, const struct reply *reply, bool sent)
{
    struct publisher *p = arg;
    if (!reply) {
        lose_run(p, sent);
        return;
    }
    bool last = p->run_replies++ == p->run + 1;
    if (!last || reply_is(reply, 0, RESP_ERROR)) {
        struct bytes error = reply_is(reply, 0, RESP_ERROR) ? reply_text(reply, 0) : BYTES_NULL;
        static const char because[] = "EXECABORT Transaction discarded because of: ";
        if (error_is(error, because))
            error = bytes_of(error.data + sizeof because - 1, error.len - (sizeof because - 1));
        if (error.data && !p->run_error.len)
            buf_append_bytes(&p->run_error, error);
        if (last)
            finish_run(p, 0, buf_bytes(&p->run_error));
        return;
    }
    if (!reply_is_array(reply, 0, (uint32_t)p->run)) {
        finish_run(p, 0, BYTES_LITERAL("ERR a transaction that was not executed"));
        return;
    }
    size_t done = 0;
    int64_t receivers;
    struct bytes error = BYTES_NULL;
    for (uint32_t i = 1; i <= p->run && !error.data; i++) {
        if (reply_is(reply, i, RESP_ERROR))
            error = reply_text(reply, i);
        else
            done++;
        if (p->ops->receivers && reply_int(reply, i, &receivers) && receivers == 0)
            p->sink.status.no_receivers++;
    }
    finish_run(p, done, error);
}

static void write_script(struct publisher *p, size_t n, bool whole);

/* {done, without receivers} or {done, without receivers, error}. */
static void on_script(void *arg, const struct reply *reply, bool sent)
{
    struct publisher *p = arg;
    int64_t done, deaf;
    if (!reply) {
        lose_run(p, sent);
        return;
    }
    if (reply_is(reply, 0, RESP_ERROR) && error_is(reply_text(reply, 0), "NOSCRIPT")) {
        p->slot_sent = p->slot_head;
        write_script(p, p->run, true);
        link_flush(p->user.link);
        return;
    }
    bool failed = reply_is_array(reply, 0, 3);
    if (!(failed || reply_is_array(reply, 0, 2)) || !reply_int(reply, 1, &done) || !reply_int(reply, 2, &deaf) ||
        done < 0 || (uint64_t)done > p->run || (!failed && (uint64_t)done != p->run)) {
        finish_run(p, 0,
                   reply_is(reply, 0, RESP_ERROR) ? reply_text(reply, 0)
                                                  : BYTES_LITERAL("ERR a script with a strange answer"));
        return;
    }
    if (p->ops->receivers)
        p->sink.status.no_receivers += (uint64_t)deaf;
    struct bytes error = failed ? reply_text(reply, 3) : BYTES_NULL;
    if (error.len && error.data[0] == '-') /* as Redis 6 words it */
        error = bytes_of(error.data + 1, error.len - 1);
    finish_run(p, (size_t)done, error);
}

/* ---- writing runs */

static void write_transaction(struct publisher *p)
{
    struct buf *out = link_out(p->user.link);
    static const char multi[] = "*1\r\n$5\r\nMULTI\r\n", exec[] = "*1\r\n$4\r\nEXEC\r\n";
    size_t n = 0, start = out->len;
    buf_append(out, multi, sizeof multi - 1);
    while (p->slot_sent != p->slot_tail && n < RUN_MESSAGES && out->len - start < RUN_BYTES) {
        if (!put_command(p, slot_at(p, p->slot_sent), out))
            break;
        p->slot_sent++;
        n++;
    }
    p->run = n;
    p->run_replies = 0;
    buf_clear(&p->run_error);
    if (n > 1) {
        buf_append(out, exec, sizeof exec - 1);
        link_expect(p->user.link, (uint32_t)n + 2, on_transaction, p);
        return;
    }
    /* One alone needs no transaction, none at all no command. */
    memmove(out->data + start, out->data + start + sizeof multi - 1, out->len - start - (sizeof multi - 1));
    out->len -= sizeof multi - 1;
    out->data[out->len] = 0;
    if (n)
        link_expect(p->user.link, 1, on_whole, p);
}

static void write_variadic(struct publisher *p)
{
    struct buf *out = link_out(p->user.link);
    size_t n = 0;
    buf_clear(&p->values);
    while (p->slot_sent != p->slot_tail && n < RUN_MESSAGES && p->values.len < RUN_BYTES) {
        struct publish_slot *s = slot_at(p, p->slot_sent);
        struct entry_shape shape;
        if (too_big(s->message)) {
            refuse(s, "too big: a Redis string holds at most 512 MiB");
            break;
        }
        p->ops->measure(p, s->message, &shape);
        buf_used_to(&p->values, p->ops->put(p, s->message, &shape, buf_reserve(&p->values, shape.size)));
        p->slot_sent++;
        n++;
    }
    p->run = n;
    if (!n)
        return;
    uint8_t *at = buf_reserve(out, BULK_OVERHEAD + p->head.len + p->values.len);
    at = put_length(at, '*', p->fixed + n);
    at = put_raw(at, buf_bytes(&p->head));
    buf_used_to(out, put_raw(at, buf_bytes(&p->values)));
    link_expect(p->user.link, 1, on_whole, p);
}

/* A run of at most n. whole: with the script's text, which the server then keeps. */
static void write_script(struct publisher *p, size_t n, bool whole)
{
    size_t run = 0, words = 0;
    bool keys = !p->ops->receivers;
    buf_clear(&p->names);
    buf_clear(&p->values);
    while (p->slot_sent != p->slot_tail && run < n && p->values.len < RUN_BYTES) {
        struct publish_slot *s = slot_at(p, p->slot_sent);
        struct entry_shape shape;
        struct bytes name;
        if (too_big(s->message))
            refuse(s, "too big: a Redis string holds at most 512 MiB");
        if (s->refused || !name_of(p, s, &name))
            break;
        p->ops->measure(p, s->message, &shape);
        if (shape.words > SCRIPT_WORDS_MAX) {
            refuse(s, "more headers than an ordered route with a templated name can write to Redis");
            break;
        }
        if (keys)
            append_word(&p->names, name);
        uint8_t *at = buf_reserve(&p->values, shape.size + name.len + 3 * BULK_OVERHEAD);
        at = put_number(at, shape.words + !keys);
        if (!keys)
            at = put_word(at, name);
        buf_used_to(&p->values, p->ops->put(p, s->message, &shape, at));
        words += 2 + shape.words; /* the count, the name, the values */
        p->slot_sent++;
        run++;
    }
    p->run = run;
    if (!run)
        return;
    struct buf *out = link_out(p->user.link);
    struct bytes body = whole ? buf_bytes(&p->script) : bytes_of(p->sha, 40);
    uint8_t *at = buf_reserve(out, p->names.len + p->values.len + body.len + 8 * BULK_OVERHEAD);
    at = put_length(at, '*', 3 + words);
    at = put_word(at, whole ? BYTES_LITERAL("EVAL") : BYTES_LITERAL("EVALSHA"));
    at = put_word(at, body);
    at = put_number(at, keys ? run : 0);
    at = put_raw(at, buf_bytes(&p->names));
    buf_used_to(out, put_raw(at, buf_bytes(&p->values)));
    link_expect(p->user.link, 1, on_script, p);
}

void publish_runs(struct publisher *p)
{
    if (p->mode == PUBLISH_EACH) {
        write_each(p);
        return;
    }
    if (p->run || p->slot_sent == p->slot_tail)
        return;
    switch (p->mode) {
    case PUBLISH_VARIADIC:
        write_variadic(p);
        break;
    case PUBLISH_TRANSACTION:
        write_transaction(p);
        break;
    default:
        write_script(p, RUN_MESSAGES, false);
        break;
    }
    /* The first that waits is refused here, with nothing under way before it. */
    if (!p->run) {
        publisher_answer_refused(p);
        publisher_answer_behind(p);
    }
}
