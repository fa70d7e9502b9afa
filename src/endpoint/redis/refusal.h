/* What each of Redis' errors means for a message, a route and a connection: one table. */
#pragma once

#include "endpoint/sink.h"

struct refusal {
    const char *prefix; /* how the error begins */
    enum verdict_class class;
    const char *words;  /* what it means, for an operator */
    bool templated_too; /* WRONGTYPE: where the name comes from a template, the message is to blame: reject */
    bool reconnect;     /* this connection (and perhaps this server) is no use any more */
};

/* Never NULL: an error that is not in the table is message trouble that may pass (VERDICT_RETRY). */
const struct refusal *refusal_of(struct bytes error);
enum verdict_class refusal_class(const struct refusal *r, bool templated);
/* "words: the error itself", cut to size, NUL-terminated; returns text. */
const char *refusal_text(const struct refusal *r, struct bytes error, char *text, size_t size);
/* The endpoint state that goes with a class: BLOCKED for again, FAULT for fault, UP otherwise. */
enum endpoint_state refusal_state(const struct refusal *r);
/* Whether the error begins with that word. */
bool error_is(struct bytes error, const char *word);
