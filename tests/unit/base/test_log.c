/* Log lines as the journal and a terminal get them. Each test logs in a child whose standard error is a pipe or a terminal. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "support/suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child writes to `fd` while it runs `body`; the buffer is the caller's. */
static struct buf said_to(int from, int fd, void (*body)(void))
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(fd, STDERR_FILENO);
        close(from);
        close(fd);
        body();
        _exit(0);
    }
    close(fd);
    struct buf said = BUF_EMPTY;
    ssize_t n;
    while ((n = read(from, buf_reserve(&said, 4096), 4096)) > 0) /* a terminal ends with an error */
        said.len += (size_t)n;
    buf_string(&said)[said.len] = 0;
    close(from);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    return said;
}

static struct buf said_to_pipe(void (*body)(void))
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    return said_to(ends[0], ends[1], body);
}

static struct buf said_to_terminal(void (*body)(void))
{
    int from = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert_int_ge(from, 0);
    ck_assert_int_eq(grantpt(from), 0);
    ck_assert_int_eq(unlockpt(from), 0);
    int fd = open(ptsname(from), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(fd, 0);
    return said_to(from, fd, body);
}

static void every_level(void)
{
    log_set_level(LEVEL_DEBUG);
    log_error("route a", "error %d", 1);
    log_warning("route a", "warning");
    log_notice("route a", "notice");
    log_info("route a", "info");
    log_debug("route a", "debug");
}

START_TEST(the_journal_gets_priorities)
{
    CLEANUP(buf_free) struct buf said = said_to_pipe(every_level);
    ck_assert_str_eq(buf_string(&said), "<3>route a: error 1\n<4>route a: warning\n<5>route a: notice\n"
                                        "<6>route a: info\n<7>route a: debug\n");
}
END_TEST

static void hostile(void)
{
    log_info("a\nb", "one\n<0>two \x1b[2J \xff \"quoted\" back\\slash ä");
    log_info("empty", "%s", "");
}

START_TEST(a_line_is_a_line)
{
    CLEANUP(buf_free) struct buf said = said_to_pipe(hostile);
    ck_assert_str_eq(buf_string(&said), "<6>a\\nb: one\\n<0>two \\x1b[2J \\xff \"quoted\" back\\slash ä\n<6>empty: \n");
}
END_TEST

static void long_line(void)
{
    log_info("x", "%05000d", 1);
}

START_TEST(a_long_line_is_whole)
{
    CLEANUP(buf_free) struct buf said = said_to_pipe(long_line);
    ck_assert_uint_eq(said.len, strlen("<6>x: ") + 5000 + 1);
}
END_TEST

static void only_warnings(void)
{
    log_set_level(LEVEL_WARNING);
    log_notice("a", "no");
    log_debug("a", "no");
    log_warning("a", "yes");
    if (log_enabled(LEVEL_NOTICE) || !log_enabled(LEVEL_ERROR))
        log_error("a", "wrong");
}

START_TEST(the_level_decides)
{
    CLEANUP(buf_free) struct buf said = said_to_pipe(only_warnings);
    ck_assert_str_eq(buf_string(&said), "<4>a: yes\n");
}
END_TEST

START_TEST(a_terminal_gets_time_and_colour)
{
    unsetenv("NO_COLOR");
    CLEANUP(buf_free) struct buf said = said_to_terminal(every_level);
    ck_assert_ptr_nonnull(strstr(buf_string(&said), "\033[1;31merror   route a:\033[0m error 1"));
    ck_assert_ptr_null(strstr(buf_string(&said), "<3>"));
}
END_TEST

START_TEST(no_color_is_respected)
{
    setenv("NO_COLOR", "1", 1);
    CLEANUP(buf_free) struct buf said = said_to_terminal(every_level);
    ck_assert_ptr_nonnull(strstr(buf_string(&said), " error   route a: error 1"));
    ck_assert_ptr_null(strchr(buf_string(&said), '\033'));
}
END_TEST

static void *write_many(void *arg)
{
    for (int i = 0; i < 200; i++)
        log_info("thread", "%s", (const char *)arg);
    return NULL;
}

static void many_threads(void)
{
    static char texts[4][64];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        memset(texts[i], 'a' + i, sizeof(texts[i]) - 1);
        pthread_create(&threads[i], NULL, write_many, texts[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

START_TEST(lines_of_threads_do_not_mix)
{
    CLEANUP(buf_free) struct buf said = said_to_pipe(many_threads);
    size_t lines = 0;
    char *rest = buf_string(&said);
    for (char *line; (line = strsep(&rest, "\n")) && *line; lines++) {
        ck_assert_uint_eq(strlen(line), strlen("<6>thread: ") + 63);
        ck_assert_uint_eq(strspn(line + 11, (char[]){ line[11], 0 }), 63);
    }
    ck_assert_uint_eq(lines, 800);
}
END_TEST

START_TEST(logging_keeps_errno)
{
    errno = ENOENT;
    log_debug("a", "not written");
    log_info("a", "written: %m");
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(a_limit_lets_one_through_and_counts_the_rest)
{
    struct log_limit limit = { 0 };
    unsigned suppressed = 99;
    ck_assert(log_limited(&limit, 3600 * SEC, &suppressed));
    ck_assert_uint_eq(suppressed, 0);
    for (int i = 0; i < 5; i++)
        ck_assert(!log_limited(&limit, 3600 * SEC, &suppressed));
    limit.next_us = 0; /* the hour is over */
    ck_assert(log_limited(&limit, 3600 * SEC, &suppressed));
    ck_assert_uint_eq(suppressed, 5);
    ck_assert(!log_limited(&limit, 3600 * SEC, &suppressed));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base: log");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, the_journal_gets_priorities);
    tcase_add_test(tests, a_line_is_a_line);
    tcase_add_test(tests, a_long_line_is_whole);
    tcase_add_test(tests, the_level_decides);
    tcase_add_test(tests, a_terminal_gets_time_and_colour);
    tcase_add_test(tests, no_color_is_respected);
    tcase_add_test(tests, lines_of_threads_do_not_mix);
    tcase_add_test(tests, logging_keeps_errno);
    tcase_add_test(tests, a_limit_lets_one_through_and_counts_the_rest);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
