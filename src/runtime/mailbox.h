/* How threads meet: owned messages, and one wake-up when a mailbox goes from empty to non-empty. */
#pragma once

#include "runtime/loop.h"

/* Embed at the start of what is sent. Posting gives the mail away; deliver owns it and runs on the mailbox's loop. */
struct mail {
    struct mail *next;
    void (*deliver)(struct mail *m);
};

struct mailbox;

struct mailbox *mailbox_new(struct loop *l);             /* the loop's thread, or before it runs */
void mailbox_post(struct mailbox *m, struct mail *mail); /* any thread; order of one poster is kept */
/* The loop's thread, when no thread posts any more: delivers what is left, then frees. May be called by deliver. NULL is
 * allowed. */
void mailbox_free(struct mailbox *m);
