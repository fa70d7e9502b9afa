/* Mailboxes: nothing lost, the order of each poster kept, one wake-up for many mails, freeing from within. */
#include "base/mem.h"
#include "runtime/mailbox.h"
#include "runtime/thread.h"
#include "support/run_loop.h"
#include "support/suite.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { POSTERS = 4, MAILS = 20000 };

struct letter {
    struct mail mail;
    size_t poster, number;
};

static struct loop *loop;
static struct mailbox *box;
static size_t next_of[POSTERS], delivered;
static pthread_t loop_thread;

static void on_letter(struct mail *m)
{
    struct letter *l = (struct letter *)m;
    if (l->number != next_of[l->poster]++)
        ck_abort_msg("poster %zu: mail %zu is out of order", l->poster, l->number);
    if (!pthread_equal(pthread_self(), loop_thread))
        ck_abort_msg("delivered on another thread");
    free(l);
    if (++delivered == (size_t)POSTERS * MAILS)
        loop_stop(loop);
}

static void post(size_t poster, size_t number)
{
    struct letter *l = mem_zero(sizeof(*l));
    l->mail.deliver = on_letter;
    l->poster = poster;
    l->number = number;
    mailbox_post(box, &l->mail);
}

static void *post_many(void *arg)
{
    for (size_t i = 0; i < MAILS; i++)
        post((size_t)arg, i);
    return NULL;
}

START_TEST(each_poster_keeps_its_order)
{
    pthread_t threads[POSTERS];
    loop = loop_new("test");
    box = mailbox_new(loop);
    loop_thread = pthread_self();
    for (size_t i = 0; i < POSTERS; i++)
        threads[i] = thread_start("poster", post_many, (void *)i);
    loop_run(loop);
    for (size_t i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(delivered, (size_t)POSTERS * MAILS);
    mailbox_free(box);
    loop_free(loop);
}
END_TEST

START_TEST(many_mails_are_one_pass)
{
    loop = loop_new("test");
    box = mailbox_new(loop);
    loop_thread = pthread_self();
    for (size_t i = 0; i < 1000; i++)
        post(0, i);
    run_loop_for(loop, 20 * MSEC);
    ck_assert_uint_eq(delivered, 1000);
    ck_assert_uint_le(loop_beat(loop).passes, 3); /* the mails, and the end */
    mailbox_free(box);
    loop_free(loop);
}
END_TEST

START_TEST(freeing_delivers_what_is_left)
{
    loop = loop_new("test");
    box = mailbox_new(loop);
    loop_thread = pthread_self();
    for (size_t i = 0; i < 10; i++)
        post(1, i);
    mailbox_free(box);
    ck_assert_uint_eq(delivered, 10);
    mailbox_free(NULL);
    loop_free(loop);
}
END_TEST

static char trace[16];

static void on_free_box(struct mail *m)
{
    free(m);
    strcat(trace, "(");
    mailbox_free(box);
    strcat(trace, ")");
    loop_stop(loop);
}

static void on_trace(struct mail *m)
{
    free(m);
    strcat(trace, "m");
}

static void post_raw(void (*deliver)(struct mail *m))
{
    struct mail *m = mem_zero(sizeof(*m));
    m->deliver = deliver;
    mailbox_post(box, m);
}

START_TEST(a_delivery_may_free_its_mailbox)
{
    loop = loop_new("test");
    box = mailbox_new(loop);
    struct mailbox *other = mailbox_new(loop);
    post_raw(on_trace);
    post_raw(on_free_box);
    post_raw(on_trace);
    post_raw(on_trace);
    loop_run(loop);
    ck_assert_str_eq(trace, "m(mm)");
    mailbox_free(other);
    loop_free(loop);
}
END_TEST

static int echoes;

static void on_echo(struct mail *m)
{
    if (++echoes < 3) {
        mailbox_post(box, m);
        return;
    }
    free(m);
    loop_stop(loop);
}

START_TEST(mail_posted_by_a_delivery_comes_in_a_later_pass)
{
    loop = loop_new("test");
    box = mailbox_new(loop);
    post_raw(on_echo);
    loop_run(loop);
    ck_assert_int_eq(echoes, 3);
    ck_assert_uint_ge(loop_beat(loop).passes, 3);
    mailbox_free(box);
    loop_free(loop);
}
END_TEST

/* A pair of loops that send one mail to and fro: a lost wake-up would leave both waiting. */
struct side {
    struct loop *loop;
    struct mailbox *box;
    struct side *other;
};
struct ball {
    struct mail mail;
    struct side *to;
    int left;
};

static void on_ball(struct mail *m)
{
    struct ball *b = (struct ball *)m;
    struct side *here = b->to;
    b->to = here->other;
    if (b->left-- == 0) {
        loop_stop(here->loop);
        loop_stop(here->other->loop);
        free(b);
        return;
    }
    mailbox_post(b->to->box, m);
}

static void *run_side(void *arg)
{
    loop_run(((struct side *)arg)->loop);
    return NULL;
}

START_TEST(no_wake_up_is_lost)
{
    struct side left = { 0 }, right = { 0 };
    left.loop = loop_new("left");
    right.loop = loop_new("right");
    left.box = mailbox_new(left.loop);
    right.box = mailbox_new(right.loop);
    left.other = &right;
    right.other = &left;
    pthread_t thread = thread_start("right", run_side, &right);
    struct ball *b = mem_zero(sizeof(*b));
    *b = (struct ball){ .mail.deliver = on_ball, .to = &left, .left = 20000 };
    mailbox_post(left.box, &b->mail);
    loop_run(left.loop);
    pthread_join(thread, NULL);
    mailbox_free(left.box);
    mailbox_free(right.box);
    loop_free(left.loop);
    loop_free(right.loop);
}
END_TEST

static void *look_at_self(void *arg)
{
    sigset_t mask;
    (void)arg;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    ck_assert(sigismember(&mask, SIGTERM) && sigismember(&mask, SIGHUP));
    static char name[16];
    pthread_getname_np(pthread_self(), name, sizeof(name));
    return name;
}

START_TEST(threads_have_a_name_and_take_no_signals)
{
    void *name;
    pthread_join(thread_start("a name longer than the kernel's", look_at_self, NULL), &name);
    ck_assert_str_eq(name, "a name longer t");
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    ck_assert(!sigismember(&mask, SIGTERM)); /* the starter's own mask is as it was */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runtime: mailbox, thread");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, each_poster_keeps_its_order);
    tcase_add_test(tests, many_mails_are_one_pass);
    tcase_add_test(tests, freeing_delivers_what_is_left);
    tcase_add_test(tests, a_delivery_may_free_its_mailbox);
    tcase_add_test(tests, mail_posted_by_a_delivery_comes_in_a_later_pass);
    tcase_add_test(tests, no_wake_up_is_lost);
    tcase_add_test(tests, threads_have_a_name_and_take_no_signals);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
