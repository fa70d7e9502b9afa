/* The resolver: a thread that calls getaddrinfo, one lookup after the other, and mails the results back.
 *
 *     lookup_start ──▶ queued ──▶ under way ──▶ mailed ──▶ on_found
 *                         └───────────┴────────────┴─ lookup_cancel: nothing refers to the loop any more
 */
#include "runtime/resolver.h"

#include "base/log.h"
#include "base/mem.h"
#include "runtime/mailbox.h"
#include "runtime/thread.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct resolver {
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below, and state and mailbox of every lookup */
    pthread_cond_t changed;
    struct list queue; /* struct lookup.node */
    bool stop;
    bool busy; /* a lookup is under way */
};

struct lookup {
    struct mail mail; /* first: mail is downcast */
    struct list node; /* in resolver.queue while queued */
    enum { QUEUED, UNDER_WAY, ABANDONED, MAILED } state;
    struct resolver *resolver;
    struct mailbox *mailbox; /* of this lookup alone, so that cancelling leaves nothing behind on the loop */
    char *host, *port;
    void (*on_found)(void *arg, struct addrinfo *found, const char *error); /* NULL: cancelled */
    void *arg;
    struct addrinfo *found;
    char *error;
};

static void lookup_free(struct lookup *k)
{
    mailbox_free(k->mailbox);
    if (k->found)
        freeaddrinfo(k->found);
    free(k->host);
    free(k->port);
    free(k->error);
    free(k);
}

/* On the loop. */
static void on_mail(struct mail *m)
{
    struct lookup *k = (struct lookup *)m;
    if (!k->on_found)
        return; /* lookup_cancel is freeing it */
    struct addrinfo *found = k->found;
    k->found = NULL;
    k->on_found(k->arg, found, k->error);
    lookup_free(k);
}

/* On the resolver's thread, without the lock: this is what blocks. */
static void look_up(struct lookup *k)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    int rc = getaddrinfo(k->host, k->port, &hints, &k->found);
    if (rc) {
        k->found = NULL;
        k->error = mem_string(rc == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(rc));
    }
}

static void destroy(struct resolver *r)
{
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* The thread. Who stops it while it is busy leaves the resolver to it. */
static void *resolve(void *arg)
{
    struct resolver *r = arg;
    bool is_mine = false;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (!r->stop && list_empty(&r->queue))
            pthread_cond_wait(&r->changed, &r->lock);
        if (r->stop)
            break;
        struct lookup *k = LIST_ENTRY(list_pop_front(&r->queue), struct lookup, node);
        k->state = UNDER_WAY;
        r->busy = true;
        pthread_mutex_unlock(&r->lock);
        look_up(k);
        pthread_mutex_lock(&r->lock);
        r->busy = false;
        is_mine = r->stop;
        if (k->state == ABANDONED) {
            lookup_free(k);
        } else {
            k->state = MAILED;
            mailbox_post(k->mailbox, &k->mail);
        }
    }
    pthread_mutex_unlock(&r->lock);
    if (is_mine)
        destroy(r);
    return NULL;
}

struct resolver *resolver_new(void)
{
    struct resolver *r = mem_zero(sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    list_init(&r->queue);
    r->thread = thread_start("resolver", resolve, r);
    return r;
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    pthread_t thread = r->thread;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    bool busy = r->busy;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (busy) {
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL);
    destroy(r);
}

struct lookup *lookup_start(struct resolver *r, struct loop *l, const char *host, const char *port,
                            void (*on_found)(void *arg, struct addrinfo *found, const char *error), void *arg)
{
    struct lookup *k = mem_zero(sizeof(*k));
    k->mail.deliver = on_mail;
    k->state = QUEUED;
    k->resolver = r;
    k->mailbox = mailbox_new(l);
    k->host = mem_string(host);
    k->port = mem_string(port);
    k->on_found = on_found;
    k->arg = arg;
    pthread_mutex_lock(&r->lock);
    list_push_back(&r->queue, &k->node);
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return k;
}

void lookup_cancel(struct lookup *k)
{
    struct resolver *r = k->resolver;
    k->on_found = NULL;
    pthread_mutex_lock(&r->lock);
    bool under_way = k->state == UNDER_WAY;
    if (under_way) { /* the thread frees it, and must find no mailbox, which is the loop's */
        k->state = ABANDONED;
        mailbox_free(k->mailbox);
        k->mailbox = NULL;
    } else if (k->state == QUEUED) {
        list_remove(&k->node);
    }
    pthread_mutex_unlock(&r->lock);
    if (!under_way)
        lookup_free(k);
}
