/* The transport: a lane's pool of links and chunks. */
#include "endpoint/redis/lane.h"

#include "base/mem.h"
#include "endpoint/redis/redis.h"

static struct transport_lane *open_lane(struct loop *loop, struct resolver *resolver)
{
    struct transport_lane *t = mem_zero(sizeof *t);
    t->loop = loop;
    t->resolver = resolver;
    t->chunks = chunk_pool_new();
    list_init(&t->links);
    list_init(&t->closed);
    return t;
}

static void close_lane(struct transport_lane *t)
{
    link_bury_closed(t);
    chunk_pool_close(t->chunks);
    free(t);
}

static void report(struct transport_lane *t, void (*visit)(const struct connection_report *r, void *arg), void *arg)
{
    LIST_EACH(&t->links, node) {
        struct connection_report r;
        link_report(node, &r);
        visit(&r, arg);
    }
}

const struct transport redis_transport = { .name = "redis", .open = open_lane, .close = close_lane, .report = report };
