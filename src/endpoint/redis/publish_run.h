/* How runs of messages are written and their replies understood; between publisher.c and publish_run.c alone. */
#pragma once

#include "endpoint/redis/publisher.h"
#include "endpoint/redis/refusal.h"

enum {
    RUN_MESSAGES = 1000,
    RUN_BYTES = 1 << 20,
};

/* Writes what the queue holds and may be written now. The link is up. */
void publish_runs(struct publisher *p);
/* Fills in what is the same in every command. */
void publish_prepare(struct publisher *p, const char *const *fixed);

/* The first n of the queue got this verdict; reason is copied. The route is told at the end of the pass, or by tell. */
void publisher_answer(struct publisher *p, size_t n, enum verdict_class class, const char *reason);
void publisher_answer_refused(struct publisher *p); /* the first, for the reason that it carries */
void publisher_answer_behind(struct publisher *p);  /* all the rest */
void publisher_tell(struct publisher *p);
/* The server took something; the server refused something. */
void publisher_accepted(struct publisher *p);
void publisher_refused(struct publisher *p, const struct refusal *r, const char *reason);
