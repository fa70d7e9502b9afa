/* Channel 0: logging in, agreeing on limits, connection.blocked, and the end. */
#include "endpoint/rabbitmq/link_private.h"

#include "base/mem.h"

#include <stdio.h>

static amqp_table_entry_t text_entry(const char *key, const char *value)
{
    return (amqp_table_entry_t){ .key = amqp_cstring_bytes(key),
                                 .value = { .kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value) } };
}

static amqp_table_entry_t true_entry(const char *key)
{
    return (amqp_table_entry_t){ .key = amqp_cstring_bytes(key),
                                 .value = { .kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1 } };
}

static bool offers_plain(struct bytes mechanisms)
{
    struct bytes rest = mechanisms;
    while (rest.len) {
        const uint8_t *space = memchr(rest.data, ' ', rest.len);
        size_t len = space ? (size_t)(space - rest.data) : rest.len;
        if (bytes_is(bytes_of(rest.data, len), "PLAIN"))
            return true;
        rest = space ? bytes_of(space + 1, rest.len - len - 1) : BYTES_NULL;
    }
    return false;
}

/* Read by hand: librabbitmq would recurse into the server's properties as deep as a hostile peer likes. */
static void on_start(struct rabbit_link *l, struct bytes arguments)
{
    struct reader r = reader_of(arguments);
    read_number(&r, 2);   /* version */
    read_long_string(&r); /* server properties */
    struct bytes mechanisms = read_long_string(&r);
    if (r.bad || !offers_plain(mechanisms)) {
        rabbit_link_fail(l, true, "%s does not offer to log in by PLAIN", l->address);
        return;
    }
    /* Without consumer_cancel_notify nobody would tell us that a queue was deleted. */
    amqp_table_entry_t capabilities[] = {
        true_entry("consumer_cancel_notify"),
        true_entry("connection.blocked"),
        true_entry("basic.nack"),
        true_entry("publisher_confirms"),
        true_entry("exchange_exchange_bindings"),
        true_entry("authentication_failure_close"),
    };
    amqp_table_entry_t properties[] = {
        text_entry("product", "ferryd"),
        text_entry("platform", "C"),
        text_entry("connection_name", l->client_name),
        { .key = amqp_cstring_bytes("capabilities"),
          .value = { .kind = AMQP_FIELD_KIND_TABLE, .value.table = { ARRAY_LEN(capabilities), capabilities } } },
    };
    struct buf response = BUF_EMPTY;
    buf_append_byte(&response, 0);
    buf_append_string(&response, l->settings->user);
    buf_append_byte(&response, 0);
    buf_append_string(&response, l->settings->password);
    amqp_connection_start_ok_t ok = {
        .client_properties = { ARRAY_LEN(properties), properties },
        .mechanism = amqp_cstring_bytes("PLAIN"),
        .response = { response.len, response.data },
        .locale = amqp_cstring_bytes("en_US"),
    };
    rabbit_link_send(l, 0, AMQP_CONNECTION_START_OK_METHOD, &ok);
    explicit_bzero(response.data, response.len);
    buf_free(&response);
}

/* The smaller of two limits, where 0 is none. */
static unsigned agree(unsigned ours, unsigned theirs)
{
    return theirs && theirs < ours ? theirs : ours;
}

static void on_tune(struct rabbit_link *l, const amqp_connection_tune_t *tune)
{
    l->channel_max = agree(UINT16_MAX, tune->channel_max);
    l->frame_max = agree(l->frame_max, tune->frame_max);
    l->heartbeat = agree(l->heartbeat, tune->heartbeat);
    if (l->frame_max < FRAME_MIN_MAX) {
        rabbit_link_fail(l, false, "%s wants frames of at most %u bytes; AMQP demands %u", l->address, l->frame_max,
                         FRAME_MIN_MAX);
        return;
    }
    amqp_connection_tune_ok_t ok = { (uint16_t)l->channel_max, l->frame_max, (uint16_t)l->heartbeat };
    rabbit_link_send(l, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &ok);
    amqp_connection_open_t open = { .virtual_host = amqp_cstring_bytes(l->settings->vhost) };
    rabbit_link_send(l, 0, AMQP_CONNECTION_OPEN_METHOD, &open);
}

static void on_blocked(struct rabbit_link *l, bool blocked, struct bytes reason)
{
    l->blocked = blocked;
    snprintf(l->blocked_reason, sizeof l->blocked_reason, "the broker takes no messages: %.*s", (int)reason.len,
             (const char *)reason.data);
    if (blocked)
        log_warning(l->subject, "%s", l->blocked_reason);
    else
        log_notice(l->subject, "the broker takes messages again");
    rabbit_channels_changed(l);
}

static void on_close(struct rabbit_link *l, const amqp_connection_close_t *close)
{
    amqp_connection_close_ok_t ok = { 0 };
    struct bytes text = bytes_of(close->reply_text.bytes, close->reply_text.len);
    rabbit_link_send(l, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
    l->flush.run(l);
    if (l->fd >= 0)
        rabbit_link_refused(l, rabbit_reply_of_close(close->reply_code, text),
                            (uint32_t)close->class_id << 16 | close->method_id, text);
}

/* Whether the method may come in that phase. */
static bool expected(const struct rabbit_link *l, uint32_t method)
{
    switch (method) {
    case AMQP_CONNECTION_START_METHOD:
    case AMQP_CONNECTION_TUNE_METHOD:
    case AMQP_CONNECTION_OPEN_OK_METHOD:
        return l->phase == LINK_HANDSHAKE;
    case AMQP_CONNECTION_BLOCKED_METHOD:
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        return l->phase == LINK_OPEN || l->phase == LINK_CLOSING;
    case AMQP_CONNECTION_CLOSE_METHOD:
        return true;
    case AMQP_CONNECTION_CLOSE_OK_METHOD:
        return l->phase == LINK_CLOSING;
    default:
        return false;
    }
}

void rabbit_handshake_method(struct rabbit_link *l, uint32_t method, struct bytes arguments)
{
    void *decoded = NULL;
    amqp_bytes_t encoded = { arguments.len, (void *)(uintptr_t)arguments.data };
    bool by_hand = method == AMQP_CONNECTION_START_METHOD;
    recycle_amqp_pool(&l->pool);
    if (!expected(l, method) || (!by_hand && amqp_decode_method(method, &l->pool, encoded, &decoded) < 0)) {
        rabbit_link_fail(l, false, "%s sent an unexpected or malformed method (%u.%u)", l->address, method >> 16,
                         method & 0xffff);
        return;
    }
    switch (method) {
    case AMQP_CONNECTION_START_METHOD:
        on_start(l, arguments);
        break;
    case AMQP_CONNECTION_TUNE_METHOD:
        on_tune(l, decoded);
        break;
    case AMQP_CONNECTION_OPEN_OK_METHOD:
        rabbit_link_opened(l);
        break;
    case AMQP_CONNECTION_BLOCKED_METHOD: {
        const amqp_connection_blocked_t *blocked = decoded;
        on_blocked(l, true, bytes_of(blocked->reason.bytes, blocked->reason.len));
        break;
    }
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        on_blocked(l, false, BYTES_LITERAL(""));
        break;
    case AMQP_CONNECTION_CLOSE_METHOD:
        on_close(l, decoded);
        break;
    default:
        rabbit_link_ended(l);
        break;
    }
}
