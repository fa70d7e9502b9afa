/* A thread of an endpoint's own for calls that may wait for a disk, and the way there and back: jobs go out in order, are worked
 * on one at a time, and come back to the lane in the same order. */
#pragma once

#include "runtime/mailbox.h"

struct disk;

/* Embed first in what the job is about. Its owner must not touch it between disk_do and done. */
struct disk_job {
    struct mail mail;
    struct disk *disk;
    void (*work)(struct disk_job *job); /* on the disk's thread; may block */
    void (*done)(struct disk_job *job); /* on the lane */
};

struct disk *disk_new(struct loop *lane, const char *thread_name);
void disk_do(struct disk *d, struct disk_job *job);
/* Behind all jobs given: ends the thread and frees d, then calls closed on the lane, never inside this call. A call that hangs
 * in the kernel holds this up, and nothing else. */
void disk_close(struct disk *d, void (*closed)(void *arg), void *arg);
