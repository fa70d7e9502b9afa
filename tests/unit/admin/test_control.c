/* The control socket against clients of every kind: pipelining, garbage, oversize, silent, gone, too many. */
#include "admin/control.h"
#include "admin/protocol.h"
#include "support/run_loop.h"
#include "support/suite.h"
#include "unit/admin/fake_host.h"

#include <check.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct fake_host host;
static struct loop *loop;
static struct control *control;
static char directory[64], path[128];

static void setup(void)
{
    struct buf error = BUF_EMPTY;
    strcpy(directory, "/tmp/ferry-control-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/run/ctl.sock", directory); /* its directory is missing */
    fake_host_init(&host);
    loop = loop_new("main");
    control = control_new(loop, path, &host.host, &error);
    ck_assert_msg(control != NULL, "%s", buf_string(&error));
    buf_free(&error);
}

static void teardown(void)
{
    char run[80];
    control_free(control);
    loop_free(loop);
    ck_assert_msg(access(path, F_OK) < 0, "the socket was left behind");
    snprintf(run, sizeof run, "%s/run", directory);
    rmdir(run);
    rmdir(directory);
}

static int dial(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    strcpy(address.sun_path, path);
    ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect: %s", strerror(errno));
    return fd;
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    run_loop_for(loop, 20 * MSEC);
}

/* What came, "" for nothing yet, NULL for a closed connection. */
static const char *hear(int fd)
{
    static char text[65536];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        return NULL;
    text[n > 0 ? n : 0] = 0;
    return text;
}

START_TEST(answers_line_by_line)
{
    struct stat st;
    ck_assert(stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0660);
    int fd = dial();
    say(fd, "{\"command\": \"vers");
    ck_assert_str_eq(hear(fd), "");
    say(fd, "ion\"}\n{\"command\": \"pause\", \"route\": \"orders\"}\n{\"command\": \"version\"}\n");
    const char *text = hear(fd);
    unsigned lines = 0;
    for (const char *s = text; (s = strchr(s, '\n')); s++)
        lines++;
    ck_assert_uint_eq(lines, 3);
    ck_assert_uint_eq(host.paused, 1); /* the test runs as the user that serves */
    close(fd);
}
END_TEST

START_TEST(garbage_is_answered_and_closed)
{
    static const char *const garbage[] = { "\n",
                                           "hello\n",
                                           "[]\n",
                                           "\"status\"\n",
                                           "{\"command\": \n",
                                           "\x01\xff\xfe\n",
                                           "{\"command\":\"a\",\"command\":\"b\"}\n" };
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        int fd = dial();
        say(fd, garbage[i]);
        const char *text = hear(fd);
        ck_assert_msg(text && strstr(text, "one JSON object on one line"), "%s", garbage[i]);
        ck_assert_ptr_null(hear(fd));
        close(fd);
    }
}
END_TEST

START_TEST(a_long_line_is_refused)
{
    char text[CONTROL_REQUEST_MAX + 2];
    int fd = dial();
    memset(text, ' ', sizeof text);
    memcpy(text, "{\"command\":\"version\"}", 21);
    text[CONTROL_REQUEST_MAX] = '\n';
    text[CONTROL_REQUEST_MAX + 1] = 0;
    say(fd, text); /* as long as may be */
    ck_assert_ptr_nonnull(strstr(hear(fd), "\"ok\":true"));
    text[CONTROL_REQUEST_MAX] = ' ';
    say(fd, text); /* one more, and no end in sight */
    ck_assert_ptr_nonnull(strstr(hear(fd), "at most 4096 bytes"));
    ck_assert_ptr_null(hear(fd));
    close(fd);
}
END_TEST

START_TEST(silence_has_a_deadline)
{
    int silent = dial(), half = dial();
    say(half, "{\"command\"");
    run_loop_for(loop, 1 * SEC);
    ck_assert_str_eq(hear(silent), "");
    run_loop_for(loop, 1500 * MSEC);
    ck_assert_ptr_null(hear(silent));
    ck_assert_ptr_null(hear(half));
    close(silent);
    close(half);
}
END_TEST

START_TEST(idle_clients_make_room)
{
    int idle[200];
    for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
        idle[i] = dial();
        if (i % 50 == 0)
            run_loop_for(loop, 20 * MSEC); /* the queue of the kernel holds 128 */
    }
    run_loop_for(loop, 50 * MSEC);
    int fd = dial();
    say(fd, "{\"command\": \"version\"}\n");
    ck_assert_ptr_nonnull(strstr(hear(fd), "\"ok\":true"));
    unsigned open = 0;
    for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
        open += hear(idle[i]) != NULL;
        close(idle[i]);
    }
    ck_assert_uint_le(open, 63);
    close(fd);
}
END_TEST

START_TEST(a_client_may_go_before_its_answer)
{
    host.hold_reports = true;
    int gone = dial(), kept = dial();
    say(gone, "{\"command\": \"status\"}\n");
    void (*done)(void *, const struct report *) = host.held;
    void *arg = host.held_arg;
    close(gone);
    say(kept, "{\"command\": \"status\"}\n{\"command\": \"version\"}\n");
    run_loop_for(loop, 2500 * MSEC); /* no deadline for what the daemon itself takes */
    ck_assert_str_eq(hear(kept), "");
    done(arg, fake_report());
    host.held(host.held_arg, fake_report());
    run_loop_for(loop, 20 * MSEC);
    ck_assert_ptr_nonnull(strstr(hear(kept), "\"version\""));
    close(kept);
    int left = dial(); /* its answer is owed for ever: control_free forgets it */
    say(left, "{\"command\": \"status\"}\n");
    close(left);
}
END_TEST

START_TEST(only_a_dead_socket_is_replaced)
{
    struct buf error = BUF_EMPTY;
    ck_assert_ptr_null(control_new(loop, path, &host.host, &error));
    ck_assert_ptr_nonnull(strstr(buf_string(&error), "another ferryd answers here"));
    ck_assert_int_eq(access(path, F_OK), 0);
    buf_clear(&error);

    char dead[160];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(dead, sizeof dead, "%s/run/dead.sock", directory);
    strcpy(address.sun_path, dead);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    struct control *second = control_new(loop, dead, &host.host, &error);
    ck_assert_msg(second != NULL, "%s", buf_string(&error));

    /* Somebody else's file at our path stays. */
    unlink(dead);
    FILE *f = fopen(dead, "w");
    fclose(f);
    control_free(second);
    ck_assert_int_eq(access(dead, F_OK), 0);
    ck_assert_ptr_null(control_new(loop, dead, &host.host, &error));
    ck_assert_ptr_nonnull(strstr(buf_string(&error), "is no socket"));
    unlink(dead);

    buf_clear(&error);
    memset(address.sun_path, 'x', sizeof address.sun_path);
    char *long_path = mem_format("%s/%.100s", directory, address.sun_path);
    ck_assert_ptr_null(control_new(loop, long_path, &host.host, &error));
    ck_assert_ptr_nonnull(strstr(buf_string(&error), "107 bytes"));
    free(long_path);
    buf_free(&error);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("control");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, answers_line_by_line);
    tcase_add_test(t, garbage_is_answered_and_closed);
    tcase_add_test(t, a_long_line_is_refused);
    tcase_add_test(t, silence_has_a_deadline);
    tcase_add_test(t, idle_clients_make_room);
    tcase_add_test(t, a_client_may_go_before_its_answer);
    tcase_add_test(t, only_a_dead_socket_is_replaced);
    suite_add_tcase(s, t);
    return suite_run(s);
}
