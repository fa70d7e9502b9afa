/* The disk thread: a loop that does nothing but its mail. */
#include "endpoint/file/disk.h"

#include "base/mem.h"
#include "runtime/thread.h"

struct disk {
    struct loop *loop;      /* the thread's */
    struct mailbox *outbox; /* to the thread */
    struct mailbox *inbox;  /* back to the lane */
    pthread_t thread;
    struct disk_job last;
    void (*closed)(void *arg);
    void *arg;
};

static void *run_thread(void *arg)
{
    loop_run(((struct disk *)arg)->loop);
    return NULL;
}

struct disk *disk_new(struct loop *lane, const char *thread_name)
{
    struct disk *d = mem_zero(sizeof(*d));
    d->loop = loop_new(thread_name);
    d->outbox = mailbox_new(d->loop);
    d->inbox = mailbox_new(lane);
    d->thread = thread_start(thread_name, run_thread, d);
    return d;
}

static void on_done(struct mail *mail)
{
    struct disk_job *job = (struct disk_job *)mail;
    job->done(job);
}

static void on_work(struct mail *mail)
{
    struct disk_job *job = (struct disk_job *)mail;
    struct disk *d = job->disk;
    job->work(job);
    job->mail.deliver = on_done;
    mailbox_post(d->inbox, &job->mail);
}

void disk_do(struct disk *d, struct disk_job *job)
{
    job->disk = d;
    job->mail.deliver = on_work;
    mailbox_post(d->outbox, &job->mail);
}

static void stop_thread(struct disk_job *job)
{
    loop_stop(job->disk->loop);
}

static void free_disk(struct disk_job *job)
{
    struct disk *d = job->disk;
    void (*closed)(void *arg) = d->closed;
    void *arg = d->arg;
    pthread_join(d->thread, NULL); /* it has nothing left to do but to return */
    mailbox_free(d->outbox);
    mailbox_free(d->inbox);
    loop_free(d->loop);
    free(d);
    closed(arg);
}

void disk_close(struct disk *d, void (*closed)(void *arg), void *arg)
{
    d->closed = closed;
    d->arg = arg;
    d->last = (struct disk_job){ .work = stop_thread, .done = free_disk };
    disk_do(d, &d->last);
}
