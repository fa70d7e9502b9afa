/* Dialling: literal addresses, names, unix sockets, refusals, silence, shares of the time, cancelling at every moment. */
#include "base/mem.h"
#include "runtime/dial.h"
#include "runtime/resolver.h"
#include "support/run_loop.h"
#include "support/suite.h"

#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct loop *loop;
static struct resolver *resolver;
static bool starting, done;
static int done_fd;
static size_t done_index;
static char done_error[1024];

static void setup(void)
{
    loop = loop_new("test");
    resolver = resolver_new();
}

static void teardown(void)
{
    resolver_free(resolver);
    loop_free(loop);
}

static void on_done(void *arg, int fd, size_t index, const char *error)
{
    (void)arg;
    ck_assert_msg(!starting, "called inside dial_start");
    ck_assert_msg(!done, "called twice");
    ck_assert((fd >= 0) == (error == NULL));
    done = true;
    done_fd = fd;
    done_index = index;
    snprintf(done_error, sizeof(done_error), "%s", error ? error : "");
    loop_stop(loop);
}

static struct dial *start(const char *const *addresses, size_t first, int64_t timeout_us)
{
    struct dial_request request = {
        .resolver = resolver,
        .loop = loop,
        .addresses = addresses,
        .first = first,
        .timeout_us = timeout_us,
        .on_done = on_done,
    };
    done = false;
    starting = true;
    struct dial *d = dial_start(&request);
    starting = false;
    return d;
}

static void dial(const char *const *addresses, size_t first, int64_t timeout_us)
{
    start(addresses, first, timeout_us);
    loop_run(loop);
    ck_assert(done);
}

/* A listener on a free port of the loopback; address receives "127.0.0.1:port". listening: false leaves the port bound
 * and closed, so that connecting to it is refused. */
static int bound(char address[64], const char *host, bool listening)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    if (listening)
        ck_assert_int_eq(listen(fd, 16), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(address, 64, "%s:%d", host, ntohs(at.sin_port));
    return fd;
}

/* A listener whose queue is full: further connections get no answer. */
static int silent(char address[64], int fillers[8])
{
    int fd = bound(address, "127.0.0.1", false);
    ck_assert_int_eq(listen(fd, 0), 0);
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    for (int i = 0; i < 8; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&at, sizeof(at));
    }
    usleep(50000); /* the handshakes that fit are over */
    return fd;
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void assert_connected_to(int listener)
{
    ck_assert_msg(done_fd >= 0, "%s", done_error);
    int peer = accept(listener, NULL, NULL);
    ck_assert_int_ge(peer, 0);
    ck_assert_int_eq(write(peer, "hello", 5), 5);
    char text[5];
    ck_assert_int_eq(fcntl(done_fd, F_SETFL, fcntl(done_fd, F_GETFL) & ~O_NONBLOCK), 0);
    ck_assert_int_eq(recv(done_fd, text, 5, MSG_WAITALL), 5);
    ck_assert_mem_eq(text, "hello", 5);
    close(peer);
    close(done_fd);
}

START_TEST(a_listening_socket_answers)
{
    char address[64];
    int listener = bound(address, "127.0.0.1", true);
    dial((const char *[]){ address, NULL }, 0, 0);
    ck_assert_uint_eq(done_index, 0);
    ck_assert(fcntl(done_fd, F_GETFL) & O_NONBLOCK);
    ck_assert(fcntl(done_fd, F_GETFD) & FD_CLOEXEC);
    ck_assert_int_eq(option(done_fd, IPPROTO_TCP, TCP_NODELAY), 1);
    ck_assert_int_eq(option(done_fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    ck_assert_int_eq(option(done_fd, IPPROTO_TCP, TCP_KEEPIDLE), 10);
    ck_assert_int_eq(option(done_fd, IPPROTO_TCP, TCP_KEEPINTVL), 5);
    ck_assert_int_eq(option(done_fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    ck_assert_int_eq(option(done_fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 20000);
    assert_connected_to(listener);
    close(listener);
}
END_TEST

START_TEST(a_peer_that_may_pause_is_not_given_up)
{
    char address[64];
    int listener = bound(address, "127.0.0.1", true);
    struct dial_request request = {
        .resolver = resolver,
        .loop = loop,
        .addresses = (const char *[]){ address, NULL },
        .peer_may_pause = true,
        .on_done = on_done,
    };
    dial_start(&request);
    loop_run(loop);
    ck_assert_int_eq(option(done_fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    ck_assert_int_eq(option(done_fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_connected_to(listener);
    close(listener);
}
END_TEST

START_TEST(every_address_is_named_in_the_error)
{
    char refused[64], expected[512];
    int closed = bound(refused, "127.0.0.1", false);
    const char *addresses[] = { refused, "no-port", "host:http", ":1", "::1:5", "a:99999", "/no/such/socket", NULL };
    dial(addresses, 0, 0);
    ck_assert_int_lt(done_fd, 0);
    snprintf(expected, sizeof(expected),
             "%s: connection refused; no-port: expected host:port, with a port number; "
             "host:http: expected host:port, with a port number; :1: expected host:port, without a host; "
             "::1:5: an IPv6 address is written [address]:port; a:99999: expected host:port, with a port number; "
             "/no/such/socket: no such file or directory",
             refused);
    ck_assert_str_eq(done_error, expected);
    close(closed);
}
END_TEST

START_TEST(no_address_is_an_error)
{
    dial((const char *[]){ NULL }, 0, 0);
    ck_assert_int_lt(done_fd, 0);
    ck_assert_str_eq(done_error, "no address to connect to");
}
END_TEST

START_TEST(addresses_are_tried_from_the_first_on_and_round)
{
    char one[64], two[64];
    int listener_one = bound(one, "127.0.0.1", true);
    int listener_two = bound(two, "127.0.0.1", true);
    const char *addresses[] = { one, "bad", two, "bad", NULL };
    dial(addresses, 1, 0);
    ck_assert_uint_eq(done_index, 2);
    assert_connected_to(listener_two);
    dial(addresses, 3, 0);
    ck_assert_uint_eq(done_index, 0);
    assert_connected_to(listener_one);
    dial(addresses, 6, 0); /* an index that only ever grows is fine too */
    ck_assert_uint_eq(done_index, 2);
    assert_connected_to(listener_two);
    close(listener_one);
    close(listener_two);
}
END_TEST

START_TEST(a_unix_socket_answers)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/ferry-test-dial-%d", (int)getpid());
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(listener, 4), 0);
    dial((const char *[]){ at.sun_path, NULL }, 0, 0);
    ck_assert(fcntl(done_fd, F_GETFL) & O_NONBLOCK);
    assert_connected_to(listener);
    close(listener);

    dial((const char *[]){ at.sun_path, NULL }, 0, 0);
    ck_assert_int_lt(done_fd, 0);
    ck_assert_ptr_nonnull(strstr(done_error, ": connection refused"));
    unlink(at.sun_path);

    char too_long[200] = "/";
    memset(too_long + 1, 'x', sizeof(too_long) - 2);
    dial((const char *[]){ too_long, NULL }, 0, 0);
    ck_assert_ptr_nonnull(strstr(done_error, "too long"));
}
END_TEST

START_TEST(a_name_is_looked_up)
{
    char address[64];
    int listener = bound(address, "localhost", true);
    dial((const char *[]){ address, NULL }, 0, 30 * SEC);
    assert_connected_to(listener);
    close(listener);

    int closed = bound(address, "localhost", false);
    dial((const char *[]){ address, NULL }, 0, 30 * SEC);
    ck_assert_int_lt(done_fd, 0);
    ck_assert_ptr_nonnull(strstr(done_error, " (127.0.0.1): connection refused"));
    close(closed);
}
END_TEST

START_TEST(a_name_that_does_not_exist_is_an_error)
{
    dial((const char *[]){ "no-such-host.invalid:1", NULL }, 0, 30 * SEC);
    ck_assert_int_lt(done_fd, 0);
    ck_assert_mem_eq(done_error, "no-such-host.invalid:1: ", 24);
    ck_assert_uint_gt(strlen(done_error), 24);
}
END_TEST

START_TEST(silence_ends_with_the_time_out)
{
    char address[64];
    int fillers[8];
    int listener = silent(address, fillers);
    int64_t begun = clock_us();
    dial((const char *[]){ address, NULL }, 0, 200 * MSEC);
    ck_assert_int_lt(done_fd, 0);
    ck_assert_int_ge(clock_us() - begun, 200 * MSEC);
    ck_assert_ptr_nonnull(strstr(done_error, ": timed out connecting"));
    for (int i = 0; i < 8; i++)
        close(fillers[i]);
    close(listener);
}
END_TEST

START_TEST(a_silent_address_leaves_time_for_the_next)
{
    char mute[64], good[64];
    int fillers[8];
    int mute_listener = silent(mute, fillers);
    int listener = bound(good, "127.0.0.1", true);
    dial((const char *[]){ mute, good, NULL }, 0, SEC);
    ck_assert_uint_eq(done_index, 1);
    assert_connected_to(listener);
    for (int i = 0; i < 8; i++)
        close(fillers[i]);
    close(mute_listener);
    close(listener);
}
END_TEST

static bool all_cancelled;

/* arg is where the test keeps the dial: it is over, and must not be cancelled. */
static void on_done_forget(void *arg, int fd, size_t index, const char *error)
{
    (void)index;
    (void)error;
    ck_assert_msg(!all_cancelled, "called after dial_cancel");
    *(struct dial **)arg = NULL;
    if (fd >= 0)
        close(fd);
}

START_TEST(cancelling_is_silent_at_every_moment)
{
    char mute[64], named[64];
    int fillers[8];
    int mute_listener = silent(mute, fillers);
    int listener = bound(named, "localhost", true);
    const char *targets[] = { named, "no-such-host.invalid:1", mute, named };
    for (int i = 0; i < 40; i++) {
        struct dial *dials[ARRAY_LEN(targets)];
        all_cancelled = false;
        for (size_t t = 0; t < ARRAY_LEN(targets); t++) {
            struct dial_request request = {
                .resolver = resolver,
                .loop = loop,
                .addresses = (const char *[]){ targets[t], NULL },
                .on_done = on_done_forget,
                .arg = &dials[t],
            };
            dials[t] = dial_start(&request);
        }
        if (i % 4) /* else before they even began */
            run_loop_for(loop, i % 4 * i * 5);
        for (size_t t = 0; t < ARRAY_LEN(targets); t++)
            dial_cancel(dials[t]);
        all_cancelled = true;
        run_loop_for(loop, MSEC);
    }
    dial_cancel(NULL);
    for (int i = 0; i < 8; i++)
        close(fillers[i]);
    close(mute_listener);
    close(listener);
}
END_TEST

static void on_found(void *arg, struct addrinfo *found, const char *error)
{
    size_t *count = arg;
    ck_assert((found == NULL) == (error != NULL));
    if (found)
        freeaddrinfo(found);
    ++*count;
    loop_stop(loop);
}

START_TEST(lookups_can_be_cancelled_when_queued_under_way_or_mailed)
{
    size_t found = 0, never = 0;
    for (int i = 0; i < 100; i++) {
        struct lookup *first = lookup_start(resolver, loop, "localhost", "1", on_found, &never);
        struct lookup *second = lookup_start(resolver, loop, "localhost", "1", on_found, &never);
        lookup_start(resolver, loop, "localhost", "1", on_found, &found);
        if (i % 2)
            usleep((useconds_t)i * 10);
        lookup_cancel(second);
        lookup_cancel(first);
        loop_run(loop);
    }
    ck_assert_uint_eq(found, 100);
    ck_assert_uint_eq(never, 0);
}
END_TEST

static void on_done_dial_again(void *arg, int fd, size_t index, const char *error)
{
    int *left = arg;
    ck_assert_int_lt(fd, 0);
    ck_assert_uint_eq(index, 0);
    ck_assert_str_eq(error, "bad: expected host:port, with a port number");
    if (--*left == 0) {
        loop_stop(loop);
        return;
    }
    struct dial_request request = {
        .resolver = resolver,
        .loop = loop,
        .addresses = (const char *[]){ "bad", NULL },
        .on_done = on_done_dial_again,
        .arg = arg,
    };
    dial_start(&request);
}

START_TEST(who_is_told_may_dial_again)
{
    int left = 4;
    on_done_dial_again(&left, -1, 0, "bad: expected host:port, with a port number");
    loop_run(loop);
    ck_assert_int_eq(left, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runtime: dial, resolver");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_listening_socket_answers);
    tcase_add_test(tests, a_peer_that_may_pause_is_not_given_up);
    tcase_add_test(tests, every_address_is_named_in_the_error);
    tcase_add_test(tests, no_address_is_an_error);
    tcase_add_test(tests, addresses_are_tried_from_the_first_on_and_round);
    tcase_add_test(tests, a_unix_socket_answers);
    tcase_add_test(tests, a_name_is_looked_up);
    tcase_add_test(tests, a_name_that_does_not_exist_is_an_error);
    tcase_add_test(tests, silence_ends_with_the_time_out);
    tcase_add_test(tests, a_silent_address_leaves_time_for_the_next);
    tcase_add_test(tests, cancelling_is_silent_at_every_moment);
    tcase_add_test(tests, lookups_can_be_cancelled_when_queued_under_way_or_mailed);
    tcase_add_test(tests, who_is_told_may_dial_again);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
