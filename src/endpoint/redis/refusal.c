/* The table of errors. Rows are tried in turn, the more exact before the more general. */
#include "endpoint/redis/refusal.h"

#include "base/buf.h"
#include "base/text.h"

#include <stdio.h>

static const struct refusal table[] = {
    { "OOM", VERDICT_AGAIN, "the server is at its maxmemory", false, false },
    { "MISCONF", VERDICT_AGAIN, "the server cannot save to its disk and takes no writes", false, false },
    { "READONLY", VERDICT_AGAIN, "the server is a replica", false, true },
    { "MASTERDOWN", VERDICT_AGAIN, "the server is a replica without its primary", false, true },
    { "NOREPLICAS", VERDICT_AGAIN, "the server has too few replicas", false, false },
    { "LOADING", VERDICT_AGAIN, "the server is loading its data", false, false },
    { "BUSY ", VERDICT_AGAIN, "the server is busy with a script", false, false },
    { "CLUSTERDOWN", VERDICT_AGAIN, "the cluster is down", false, false },
    { "TRYAGAIN", VERDICT_AGAIN, "the cluster is moving the key", false, false },
    { "FAILOVER", VERDICT_AGAIN, "the server is failing over", false, false },
    { "NOAUTH", VERDICT_AGAIN, "the server wants a password", false, true },
    { "WRONGPASS", VERDICT_AGAIN, "the server does not take user and password", false, true },
    { "ERR max number of clients reached", VERDICT_AGAIN, "the server has too many clients", false, true },
    { "WRONGTYPE", VERDICT_FAULT, "the key holds another type", true, false },
    { "NOPERM", VERDICT_FAULT, "the user may not do this", false, false },
    { "ERR The user executing the script can't", VERDICT_FAULT, "the user may not do this", false, false },
    { "MOVED", VERDICT_FAULT, "the server is part of a cluster", false, false },
    { "ASK", VERDICT_FAULT, "the server is part of a cluster", false, false },
    { "CROSSSLOT", VERDICT_FAULT, "the keys are not on one node of the cluster", false, false },
    { "NOGROUP", VERDICT_FAULT, "the group or the stream is gone", false, false },
    { "UNBLOCKED", VERDICT_FAULT, "the stream is gone", false, false },
    { "ERR unknown command", VERDICT_FAULT, "the server does not know the command", false, false },
    { "ERR string exceeds maximum allowed size", VERDICT_REJECT, "too big for the server", false, false },
};

static const struct refusal unknown = { "", VERDICT_RETRY, "the server refuses", false, false };

bool error_is(struct bytes error, const char *word)
{
    size_t len = strlen(word);
    return error.len >= len && memcmp(error.data, word, len) == 0;
}

const struct refusal *refusal_of(struct bytes error)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (error_is(error, table[i].prefix))
            return &table[i];
    return &unknown;
}

enum verdict_class refusal_class(const struct refusal *r, bool templated)
{
    return r->templated_too && templated ? VERDICT_REJECT : r->class;
}

const char *refusal_text(const struct refusal *r, struct bytes error, char *text, size_t size)
{
    struct buf b = BUF_EMPTY;
    text_escape(&b, error, REASON_MAX);
    snprintf(text, size, "%s: %s", r->words, buf_string(&b));
    buf_free(&b);
    return text;
}

enum endpoint_state refusal_state(const struct refusal *r)
{
    return r->class == VERDICT_AGAIN ? ENDPOINT_BLOCKED : r->class == VERDICT_FAULT ? ENDPOINT_FAULT : ENDPOINT_UP;
}
