/* The mailbox: a lock-free stack that posters push to and the loop takes whole, then turns round. */
#include "runtime/mailbox.h"

#include "base/mem.h"

#include <stdatomic.h>

struct mailbox {
    _Atomic(struct mail *) posted; /* newest first */
    struct mail *taken;            /* oldest first; the loop's */
    bool delivering, dead;         /* a delivery frees the mailbox: it is dead, and gone when the delivery is over */
    struct loop *loop;
    struct loop_hook hook;
};

/* Takes what was posted behind what is being delivered already (when a delivery frees the mailbox). */
static void take(struct mailbox *m)
{
    struct mail *mail = atomic_exchange_explicit(&m->posted, NULL, memory_order_acquire);
    struct mail *in_order = NULL;
    while (mail) {
        struct mail *older = mail->next;
        mail->next = in_order;
        in_order = mail;
        mail = older;
    }
    struct mail **end = &m->taken;
    while (*end)
        end = &(*end)->next;
    *end = in_order;
}

static void deliver_taken(struct mailbox *m)
{
    while (m->taken) {
        struct mail *mail = m->taken;
        m->taken = mail->next;
        mail->deliver(mail);
    }
}

/* Delivers what is there now; what comes meanwhile waits for the next pass, so that no mailbox keeps a loop to itself. */
static void on_pass(void *arg)
{
    struct mailbox *m = arg;
    if (!atomic_load_explicit(&m->posted, memory_order_relaxed))
        return;
    take(m);
    m->delivering = true;
    deliver_taken(m);
    m->delivering = false;
    if (m->dead)
        free(m);
}

struct mailbox *mailbox_new(struct loop *l)
{
    struct mailbox *m = mem_zero(sizeof(*m));
    m->loop = l;
    m->hook = (struct loop_hook){ .run = on_pass, .arg = m };
    loop_add_hook(l, &m->hook);
    return m;
}

void mailbox_post(struct mailbox *m, struct mail *mail)
{
    /* Read before the mail is seen: the loop may deliver it, and free the mailbox, as soon as it is. */
    struct loop *l = m->loop;
    struct mail *newest = atomic_load_explicit(&m->posted, memory_order_relaxed);
    do
        mail->next = newest;
    while (
        !atomic_compare_exchange_weak_explicit(&m->posted, &newest, mail, memory_order_release, memory_order_relaxed));
    if (!newest)
        loop_wake(l);
}

void mailbox_free(struct mailbox *m)
{
    if (!m)
        return;
    loop_remove_hook(&m->hook);
    do {
        take(m);
        deliver_taken(m);
    } while (atomic_load_explicit(&m->posted, memory_order_relaxed)); /* a delivery posted */
    if (m->delivering)
        m->dead = true;
    else
        free(m);
}
