/* Remembers every text that came from ${file:} or ${credential:}, so that whatever is printed later can leave it out. Any
 * thread. */
#pragma once

#include "base/buf.h"

#define SECRET_MASK "********"

/* For the life of the process; configurations come and go, logs stay. */
void secret_remember(struct bytes text);
/* Appends text without secrets: the mask when it is one, or in the place of a long one within it; a URL loses its password. */
void secret_print_masked(const char *text, struct buf *out);
