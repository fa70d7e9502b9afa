/* The inside of a link, for link.c (connecting, sockets, heartbeats), handshake.c (channel 0) and channel.c. */
#pragma once

#include "base/list.h"
#include "base/log.h"
#include "endpoint/rabbitmq/lane.h"
#include "endpoint/rabbitmq/link.h"
#include "runtime/backoff.h"
#include "runtime/dial.h"

enum link_phase { LINK_DOWN, LINK_DIALING, LINK_HANDSHAKE, LINK_OPEN, LINK_CLOSING, LINK_ENDED };

struct rabbit_link {
    struct list node;
    struct transport_lane *lane;
    const struct rabbitmq_settings *settings;
    enum link_role role;
    unsigned users;
    char subject[96];
    char *client_name;
    struct endpoint_status status;
    enum link_phase phase;

    struct dial *dial;
    size_t next_host;
    char address[128];
    struct io io;
    int fd; /* -1: none */
    unsigned io_wanted;
    struct timer timer;       /* DOWN: reconnect; HANDSHAKE, CLOSING: time is up; ENDED: free */
    struct timer beat;        /* a quarter of the heartbeat */
    struct backoff reconnect; /* nobody there, or it went */
    struct backoff probe;     /* we are refused */

    struct buf in;
    size_t in_at;
    struct buf out;
    size_t out_at;
    uint64_t sent, received; /* bytes since the link was made */
    struct task flush;
    int64_t last_in, last_out;
    uint64_t incarnation; /* of the socket: changes when it is lost, so that a loop over input sees it */

    unsigned channel_max, frame_max, heartbeat; /* agreed on; seconds */
    bool blocked;
    char blocked_reason[REASON_MAX];
    amqp_pool_t pool; /* of the method being handled */

    struct rabbit_channel **channels; /* by number - 1; NULL: free; &closing_channel: its owner has gone */
    size_t channel_count;
    bool any_touched;
};

/* Stands for a channel whose number waits for the broker's close-ok. */
extern struct rabbit_channel rabbit_closing_channel;

/* Gives the connection up and plans the next. fault: somebody has to mend something, so probe slowly. */
void rabbit_link_fail(struct rabbit_link *l, bool fault, const char *format, ...) __attribute__((format(printf, 3, 4)));
void rabbit_link_send(struct rabbit_link *l, unsigned channel, uint32_t method, const void *decoded);
void rabbit_link_flush_later(struct rabbit_link *l);
/* The broker closed the connection with words. */
void rabbit_link_refused(struct rabbit_link *l, const struct reply *why, uint32_t method, struct bytes text);
/* The handshake is over. */
void rabbit_link_opened(struct rabbit_link *l);
void rabbit_link_ended(struct rabbit_link *l); /* CLOSING is over: freed soon */

/* Payload of a method frame of channel 0, the method's number cut off. */
void rabbit_handshake_method(struct rabbit_link *l, uint32_t method, struct bytes arguments);
/* Frames of other channels. */
void rabbit_channel_frame(struct rabbit_link *l, unsigned type, unsigned number, struct bytes payload);
void rabbit_channels_opened(struct rabbit_link *l);
void rabbit_channels_lost(struct rabbit_link *l, const struct reply *why, uint32_t method, struct bytes text);
void rabbit_channels_changed(struct rabbit_link *l);
void rabbit_channels_batch_end(struct rabbit_link *l);
