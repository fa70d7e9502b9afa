/* declare: groups as methods. Sent one after another without waiting: the first that the broker refuses closes the channel
 * with its words, and what is behind it never happens. */
#pragma once

#include "endpoint/rabbitmq/link.h"

/* Each answers with one declare-ok and a bind-ok for every binding; nobody needs to look at them. */
void rabbit_declare_queue(struct rabbit_channel *c, const char *name, const struct queue_declaration *q);
void rabbit_declare_exchange(struct rabbit_channel *c, const char *name, const struct exchange_declaration *e);
