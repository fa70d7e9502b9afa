/* The control protocol: one JSON object a line, a request and its reply, over a unix socket.
 *   {"command": "pause", "route": "orders"}
 *   {"ok": true, …}   or   {"ok": false, "error": "there is no route \"ordres\"; did you mean \"orders\"?"} */
#pragma once

#define CONTROL_SOCKET_DEFAULT "/run/ferry/ctl.sock"
#define CONTROL_REQUEST_MAX    4096 /* bytes of a request line */

enum exit_code { EXIT_HEALTHY = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_UNHEALTHY = 3 };
