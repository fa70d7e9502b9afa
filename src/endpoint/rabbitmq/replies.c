/* The table of reply codes, and what more their texts tell. */
#include "endpoint/rabbitmq/replies.h"

#include "base/mem.h"

#include <stdlib.h>

static const struct reply replies[] = {
    { 200, "REPLY_SUCCESS", VERDICT_UNKNOWN, VERDICT_UNKNOWN, false, NULL },
    { 311, "CONTENT_TOO_LARGE", VERDICT_REJECT, VERDICT_REJECT, false, NULL },
    { 312, "NO_ROUTE", VERDICT_REJECT, VERDICT_REJECT, false, "no queue is bound for it" },
    { 313, "NO_CONSUMERS", VERDICT_REJECT, VERDICT_REJECT, false, NULL },
    { 320, "CONNECTION_FORCED", VERDICT_UNKNOWN, VERDICT_UNKNOWN, false, NULL },
    { 402, "INVALID_PATH", VERDICT_FAULT, VERDICT_FAULT, true, "check the vhost" },
    { 403, "ACCESS_REFUSED", VERDICT_FAULT, VERDICT_FAULT, true, "check user, password and permissions" },
    { 404, "NOT_FOUND", VERDICT_FAULT, VERDICT_REJECT, true, "create it, or let declare: do it" },
    { 405, "RESOURCE_LOCKED", VERDICT_FAULT, VERDICT_FAULT, true, "another connection has it exclusively" },
    { 406, "PRECONDITION_FAILED", VERDICT_FAULT, VERDICT_REJECT, true, NULL },
    { 501, "FRAME_ERROR", VERDICT_UNKNOWN, VERDICT_UNKNOWN, false, NULL },
    { 502, "SYNTAX_ERROR", VERDICT_UNKNOWN, VERDICT_UNKNOWN, false, NULL },
    { 503, "COMMAND_INVALID", VERDICT_UNKNOWN, VERDICT_UNKNOWN, false, NULL },
    { 504, "CHANNEL_ERROR", VERDICT_UNKNOWN, VERDICT_UNKNOWN, false, NULL },
    { 505, "UNEXPECTED_FRAME", VERDICT_UNKNOWN, VERDICT_UNKNOWN, false, NULL },
    { 506, "RESOURCE_ERROR", VERDICT_UNKNOWN, VERDICT_UNKNOWN, false, NULL },
    { 530, "NOT_ALLOWED", VERDICT_FAULT, VERDICT_FAULT, true, "check vhost, permissions and limits" },
    { 540, "NOT_IMPLEMENTED", VERDICT_FAULT, VERDICT_FAULT, true, NULL },
    { 541, "INTERNAL_ERROR", VERDICT_UNKNOWN, VERDICT_UNKNOWN, false, NULL },
};

const struct reply *rabbit_reply_of(unsigned code)
{
    for (size_t i = 0; i < ARRAY_LEN(replies); i++)
        if (replies[i].code == code)
            return &replies[i];
    return &replies[ARRAY_LEN(replies) - 1];
}

static const uint8_t *find(struct bytes text, const char *what)
{
    return memmem(text.data, text.len, what, strlen(what));
}

const struct reply *rabbit_reply_of_close(unsigned code, struct bytes text)
{
    /* consumer_timeout: a message was held longer than the broker allows. Nothing is wrong; a new channel gets it again. */
    if (code == 406 && find(text, "delivery acknowledgement"))
        return rabbit_reply_of(541);
    return rabbit_reply_of(code);
}

struct bytes rabbit_reply_object(struct bytes text)
{
    const uint8_t *at = find(text, "exchange '");
    if (!at)
        at = find(text, "queue '");
    if (!at)
        return BYTES_NULL;
    const uint8_t *end = text.data + text.len, *start = (const uint8_t *)memchr(at, '\'', (size_t)(end - at)) + 1;
    struct bytes rest = bytes_of(start, (size_t)(end - start));
    const uint8_t *stop = find(rest, "' in vhost");
    if (!stop)
        stop = memchr(start, '\'', rest.len);
    return stop ? bytes_of(start, (size_t)(stop - start)) : BYTES_NULL;
}

uint64_t rabbit_reply_size_limit(struct bytes text)
{
    static const char before[] = "max size ";
    const uint8_t *at = find(text, "message size") ? find(text, before) : NULL;
    uint64_t limit = 0;
    if (!at)
        return 0;
    for (at += sizeof before - 1; at < text.data + text.len && *at >= '0' && *at <= '9' && limit < 1u << 31; at++)
        limit = limit * 10 + (*at - '0');
    return limit;
}
