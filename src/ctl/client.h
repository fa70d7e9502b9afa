/* One request to the daemon and its answer. */
#pragma once

#include "base/buf.h"

#include <jansson.h>

/* Sends the request and waits for the answer, at most timeout_s seconds. NULL: error says why in words for the user. The
 * caller owns the answer, an object; the request stays the caller's. */
json_t *client_call(const char *socket_path, const json_t *request, int timeout_s, struct buf *error);
