/* Tests the file endpoints: the contract, lines of all lengths, pipes that stall and close, disks that are full. */
#include "endpoint/file/file.h"

#include "base/mem.h"
#include "endpoint/file/writer.h"
#include "support/endpoint_contract.h"
#include "support/suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct contract_env no_env = { 0 };
static char folder[64], path[128], options[256];
static struct fake_route route;
static struct fake_sender sender;

static void setup(void)
{
    snprintf(folder, sizeof(folder), "%s/ferry-test-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/lines", folder);
    snprintf(options, sizeof(options), "{ path: %s }", path);
}

static void teardown(void)
{
    chmod(path, 0600);
    unlink(path);
    rmdir(path);
    rmdir(folder);
}

static void write_file(const char *text, size_t len)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, len, f), len);
    fclose(f);
}

static void write_numbers(unsigned n)
{
    FILE *f = fopen(path, "w");
    for (unsigned i = 0; i < n; i++)
        fprintf(f, "line %u\n", i);
    fclose(f);
}

static void assert_file(const char *expected)
{
    char text[4096];
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = 0;
    fclose(f);
    ck_assert_str_eq(text, expected);
}

/* ---- reading */

static bool source_ended(void *arg)
{
    return ((struct fake_route *)arg)->ended;
}

static void open_source(const char *yaml)
{
    fake_route_open(&route, &file_lines_source, yaml, &no_env);
    route.source->ops->start(route.source);
}

static void read_to_end(void)
{
    fake_route_grant(&route, 1000000, 1 << 30);
    contract_run_until(route.loop, source_ended, &route, 10 * SEC, "the end of the file");
}

static void assert_line(size_t at, const char *text, uint64_t offset)
{
    ck_assert_uint_lt(at, route.held_count);
    const struct message *m = route.held[at].message;
    ck_assert_msg(bytes_is(message_payload(m), text), "line %zu: \"%.*s\" is not \"%s\"", at, (int)m->payload_len,
                  (const char *)m->payload, text);
    ck_assert_uint_eq(m->position, offset);
}

START_TEST(test_the_source_contract)
{
    write_numbers(2000);
    const struct contract_source c = { .kind = &file_lines_source, .options = options, .available = 2000 };
    contract_check_source(&c);
}
END_TEST

START_TEST(test_lines_are_cut)
{
    static const char text[] = "first\n\nthird\r\n\0nul\nlast";
    write_file(text, sizeof(text) - 1);
    open_source(options);
    read_to_end();
    ck_assert_uint_eq(route.taken, 5);
    assert_line(0, "first", 0);
    assert_line(1, "", 6);
    assert_line(2, "third\r", 7);
    ck_assert_uint_eq(route.held[3].message->payload_len, 4);
    assert_line(4, "last", 19);
    char scratch[MESSAGE_ID_MAX], id[200];
    snprintf(id, sizeof(id), "%s-19", path);
    ck_assert(bytes_is(message_id(route.held[4].message, scratch), id));
    ck_assert(bytes_is(message_meta(route.held[4].message, BYTES_LITERAL("kind"), scratch), "file lines"));
    ck_assert_int_eq(route.source->status.state, ENDPOINT_ENDED);
    fake_route_close(&route);
}
END_TEST

START_TEST(test_an_empty_file)
{
    write_file("", 0);
    open_source(options);
    read_to_end();
    ck_assert_uint_eq(route.taken, 0);
    fake_route_close(&route);
}
END_TEST

/* Lines that end before, at and behind the ends of what one read brings, and that are longer than that. */
START_TEST(test_lines_across_reads)
{
    static const size_t lengths[] = { 1, 131071, 131072, 131070, 1, 0, 400000, 262143, 5 };
    CLEANUP(buf_free) struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        memset(buf_reserve(&text, lengths[i]), 'a' + (int)i, lengths[i]);
        text.len += lengths[i];
        buf_append_byte(&text, '\n');
    }
    write_file(buf_string(&text), text.len);
    open_source(options);
    read_to_end();
    ck_assert_uint_eq(route.taken, ARRAY_LEN(lengths));
    uint64_t offset = 0;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        const struct message *m = route.held[i].message;
        ck_assert_uint_eq(m->payload_len, lengths[i]);
        for (size_t k = 0; k < lengths[i]; k++)
            ck_assert_int_eq(m->payload[k], 'a' + (int)i);
        ck_assert_uint_eq(m->position, offset);
        offset += lengths[i] + 1;
    }
    fake_route_close(&route);
}
END_TEST

static bool source_at_fault(void *arg)
{
    return ((struct fake_route *)arg)->source->status.state == ENDPOINT_FAULT;
}

START_TEST(test_a_line_that_is_too_long_stops)
{
    write_file("short\nthis is too long\nshort\n", 29);
    snprintf(options, sizeof(options), "{ path: %s, max_line: 10 }", path);
    open_source(options);
    fake_route_grant(&route, 100, 1 << 20);
    contract_run_until(route.loop, source_at_fault, &route, SEC, "a fault");
    ck_assert_uint_eq(route.taken, 1);
    ck_assert_ptr_nonnull(strstr(route.source->status.reason, "offset 6 is longer than max_line (10 bytes)"));
    fake_route_close(&route);
}
END_TEST

START_TEST(test_a_file_that_comes_later)
{
    open_source(options);
    fake_route_grant(&route, 100, 1 << 20);
    contract_run_until(route.loop, source_at_fault, &route, SEC, "a fault");
    ck_assert_ptr_nonnull(strstr(route.source->status.reason, "No such file"));
    write_numbers(3);
    contract_run_until(route.loop, source_ended, &route, 10 * SEC, "the end of the file");
    ck_assert_uint_eq(route.taken, 3);
    fake_route_close(&route);
}
END_TEST

START_TEST(test_a_folder_is_a_fault)
{
    ck_assert_int_eq(mkdir(path, 0700), 0);
    open_source(options);
    fake_route_grant(&route, 100, 1 << 20);
    contract_run_until(route.loop, source_at_fault, &route, SEC, "a fault");
    fake_route_close(&route);
}
END_TEST

START_TEST(test_a_named_pipe_ends_with_its_writer)
{
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    open_source(options);
    fake_route_grant(&route, 100, 1 << 20);
    contract_run_for(route.loop, 50 * MSEC);
    ck_assert(!route.ended); /* nobody writes yet */
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(write(fd, "one\ntw", 6), 6);
    contract_run_for(route.loop, 50 * MSEC);
    ck_assert_uint_eq(route.taken, 1);
    ck_assert_int_eq(write(fd, "o\nthree", 7), 7);
    close(fd);
    contract_run_until(route.loop, source_ended, &route, SEC, "the end of the pipe");
    ck_assert_uint_eq(route.taken, 3);
    assert_line(1, "two", 4);
    assert_line(2, "three", 8);
    fake_route_close(&route);
}
END_TEST

/* Standard input from a pipe: read without making it non-blocking for everybody who has it. */
START_TEST(test_stdin)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[0], 0), 0);
    close(ends[0]);
    fake_route_open(&route, &stdin_lines_source, "{}", &no_env);
    route.source->ops->start(route.source);
    fake_route_grant(&route, 100, 1 << 20);
    ck_assert_int_eq(write(ends[1], "a\nb", 3), 3);
    contract_run_for(route.loop, 50 * MSEC);
    ck_assert_uint_eq(route.taken, 1);
    ck_assert(!(fcntl(0, F_GETFL) & O_NONBLOCK));
    close(ends[1]);
    contract_run_until(route.loop, source_ended, &route, SEC, "the end of the pipe");
    assert_line(1, "b", 2);
    ck_assert(!(route.held[0].message->flags & MESSAGE_ID_STABLE));
    fake_route_close(&route);
}
END_TEST

/* From a file, from where its position is. */
START_TEST(test_stdin_from_a_file)
{
    write_file("skipped\nread\n", 13);
    int fd = open(path, O_RDONLY);
    ck_assert_int_eq(dup2(fd, 0), 0);
    close(fd);
    ck_assert_int_eq(lseek(0, 8, SEEK_SET), 8);
    fake_route_open(&route, &stdin_lines_source, "{}", &no_env);
    route.source->ops->start(route.source);
    read_to_end();
    ck_assert_uint_eq(route.taken, 1);
    assert_line(0, "read", 0);
    fake_route_close(&route);
}
END_TEST

START_TEST(test_credit_of_a_pipe)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[0], 0), 0);
    close(ends[0]);
    for (int i = 0; i < 2000; i++)
        ck_assert_int_eq(write(ends[1], "a line of text\n", 15), 15);
    const struct contract_source c = { .kind = &stdin_lines_source, .options = "{}", .available = 2000 };
    contract_check_source(&c);
    close(ends[1]);
}
END_TEST

/* ---- writing */

static struct message *text_message(const char *text)
{
    struct message *m = message_new();
    if (text)
        message_set_payload(m, message_hold(m, bytes_of_string(text)));
    return m;
}

static void open_sink(const char *yaml)
{
    fake_sender_open(&sender, &file_lines_sink, yaml, &no_env);
    sender.sink->ops->start(sender.sink);
}

static bool all_answered(void *arg)
{
    const struct fake_sender *s = arg;
    return s->answered == s->sent_count;
}

static void wait_verdicts(void)
{
    contract_run_until(sender.loop, all_answered, &sender, 5 * SEC, "every verdict");
}

START_TEST(test_the_sink_contract)
{
    const struct contract_sink c = { .kind = &file_lines_sink, .options = options, .messages = 20000 };
    contract_check_sink(&c);
    char synced[256];
    snprintf(synced, sizeof(synced), "{ path: %s, fsync: true }", path);
    const struct contract_sink c2 = { .kind = &file_lines_sink, .options = synced };
    contract_check_sink(&c2);
}
END_TEST

START_TEST(test_lines_are_written)
{
    write_file("before\ntorn", 11);
    open_sink(options);
    fake_sender_send(&sender, text_message("one"));
    fake_sender_send(&sender, text_message(NULL));
    size_t refused = fake_sender_send(&sender, text_message("two\nlines"));
    fake_sender_send(&sender, text_message("three\r"));
    wait_verdicts();
    ck_assert_uint_eq(sender.by_class[VERDICT_OK], 3);
    ck_assert_int_eq(sender.sent[refused].verdict, VERDICT_REJECT);
    ck_assert_ptr_nonnull(strstr(sender.sent[refused].reason, "newline"));
    assert_file("before\ntorn\none\n\nthree\r\n");
    fake_sender_close(&sender);
}
END_TEST

static bool sink_at_fault(void *arg)
{
    return ((struct fake_sender *)arg)->sink->status.state == ENDPOINT_FAULT;
}

START_TEST(test_a_folder_that_comes_later)
{
    char missing[256];
    snprintf(missing, sizeof(missing), "{ path: %s/x }", path);
    open_sink(missing);
    contract_run_until(sender.loop, sink_at_fault, &sender, SEC, "a fault");
    ck_assert_uint_eq(sender.sink->ops->window(sender.sink).messages, 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    sender.sink->ops->probe(sender.sink);
    fake_sender_send(&sender, text_message("one"));
    wait_verdicts();
    ck_assert_uint_eq(sender.by_class[VERDICT_OK], 1);
    fake_sender_close(&sender);
    snprintf(missing, sizeof(missing), "%s/x", path);
    unlink(missing);
}
END_TEST

START_TEST(test_a_full_device)
{
    open_sink("{ path: /dev/full }");
    fake_sender_send(&sender, text_message("one"));
    wait_verdicts();
    ck_assert_uint_eq(sender.by_class[VERDICT_AGAIN], 1);
    ck_assert_ptr_nonnull(strstr(sender.sent[0].reason, "No space left"));
    ck_assert_int_eq(sender.sink->status.state, ENDPOINT_BLOCKED);
    ck_assert_uint_eq(sender.sink->ops->window(sender.sink).messages, 0);
    fake_sender_send(&sender, text_message("one")); /* after the backoff, one at a time */
    ck_assert_uint_eq(sender.sink->ops->window(sender.sink).messages, 0);
    wait_verdicts();
    ck_assert_uint_eq(sender.by_class[VERDICT_AGAIN], 2);
    fake_sender_close(&sender);
}
END_TEST

/* A limit on the file's size stands for a disk that fills up in the middle of a line. */
static size_t write_limited(struct writer *w, rlim_t size, int *error)
{
    struct rlimit limit = { size, RLIM_INFINITY };
    setrlimit(RLIMIT_FSIZE, &limit);
    size_t whole = writer_write(w, BYTES_LITERAL("one\ntwo\nthree\n"), error);
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit); /* before Check writes to a file of its own */
    return whole;
}

START_TEST(test_a_torn_line_is_cut_off)
{
    signal(SIGXFSZ, SIG_IGN);
    struct writer w;
    int error;
    writer_init(&w);
    ck_assert_int_eq(writer_open(&w, path), 0);
    ck_assert_uint_eq(write_limited(&w, 10, &error), 8);
    ck_assert_int_eq(error, EFBIG);
    assert_file("one\ntwo\n");
    /* What somebody else has appended meanwhile is not cut off: the torn line is ended. */
    ck_assert_uint_eq(write_limited(&w, 18, &error), 8);
    assert_file("one\ntwo\none\ntwo\n");
    FILE *other = fopen(path, "a");
    fputs("other\n", other);
    fclose(other);
    ck_assert_uint_eq(write_limited(&w, 23, &error), 0);
    ck_assert_int_eq(error, EFBIG);
    ck_assert_uint_eq(writer_write(&w, BYTES_LITERAL("more\n"), &error), 5);
    assert_file("one\ntwo\none\ntwo\nother\no\nmore\n");
    writer_free(&w);
}
END_TEST

static int saved_stdout;

static int pipe_as_stdout(void)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    saved_stdout = dup(1);
    ck_assert_int_eq(dup2(ends[1], 1), 1);
    close(ends[1]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return ends[0];
}

static void restore_stdout(void)
{
    ck_assert_int_eq(dup2(saved_stdout, 1), 1);
    close(saved_stdout);
}

/* The pipe is full: the loop goes on, cancel is answered at once, and stop does not wait for the reader. */
START_TEST(test_a_reader_that_stalls)
{
    int fd = pipe_as_stdout();
    fake_sender_open(&sender, &stdout_lines_sink, "{}", &no_env);
    sender.sink->ops->start(sender.sink);
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = 0;
    for (int i = 0; i < 300; i++)
        fake_sender_send(&sender, text_message(text));
    contract_run_for(sender.loop, 1200 * MSEC);
    ck_assert_uint_lt(sender.answered, 300);
    ck_assert_int_eq(sender.sink->status.state, ENDPOINT_BLOCKED);
    ck_assert(!(fcntl(1, F_GETFL) & O_NONBLOCK));
    int64_t before = clock_us();
    sender.sink->ops->cancel(sender.sink);
    contract_run_until(sender.loop, all_answered, &sender, 100 * MSEC, "cancel to answer everything");
    ck_assert_uint_gt(sender.by_class[VERDICT_UNKNOWN], 0);
    fake_sender_close(&sender);
    restore_stdout();
    ck_assert_int_lt(clock_us() - before, SEC / 2);
    close(fd);
}
END_TEST

START_TEST(test_a_reader_that_goes)
{
    int fd = pipe_as_stdout();
    fake_sender_open(&sender, &stdout_lines_sink, "{}", &no_env);
    sender.sink->ops->start(sender.sink);
    fake_sender_send(&sender, text_message("seen"));
    wait_verdicts();
    char seen[16];
    ck_assert_int_eq(read(fd, seen, sizeof(seen)), 5);
    close(fd);
    fake_sender_send(&sender, text_message("unseen"));
    wait_verdicts();
    restore_stdout();
    ck_assert_int_eq(sender.sent[1].verdict, VERDICT_FAULT);
    ck_assert_ptr_nonnull(strstr(sender.sent[1].reason, "reader has gone"));
    fake_sender_close(&sender);
}
END_TEST

static struct buf many_lines;

static void *write_many(void *writer)
{
    int error;
    size_t whole = writer_write(writer, buf_bytes(&many_lines), &error);
    ck_assert_int_eq(error, 0);
    ck_assert_uint_eq(whole, many_lines.len);
    return NULL;
}

/* Several routes, or instances of one, may write to one pipe: each write is of whole lines. A pipe of one page takes a write
 * when it is empty only, so that a read brings what one write wrote. */
START_TEST(test_a_pipe_gets_whole_lines)
{
    for (int i = 0; i < 3000; i++)
        buf_printf(&many_lines, "%0*d\n", i % 97, i);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    ck_assert_int_eq(fcntl(fd, F_SETPIPE_SZ, 4096), 4096);
    ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
    struct writer w;
    writer_init(&w);
    ck_assert_int_eq(writer_open(&w, path), 0);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, write_many, &w), 0);
    char text[PIPE_BUF];
    for (size_t at = 0; at < many_lines.len;) {
        ssize_t n = read(fd, text, sizeof text);
        ck_assert_int_gt(n, 0);
        ck_assert_mem_eq(text, many_lines.data + at, (size_t)n);
        ck_assert_int_eq(text[n - 1], '\n');
        at += (size_t)n;
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    writer_free(&w);
    close(fd);
    buf_free(&many_lines);
}
END_TEST

START_TEST(test_stopping_before_start)
{
    fake_sender_open(&sender, &file_lines_sink, options, &no_env);
    fake_sender_close(&sender);
    fake_route_open(&route, &file_lines_source, options, &no_env);
    fake_route_close(&route);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("file endpoints");
    TCase *cases = tcase_create("file endpoints");
    tcase_set_timeout(cases, 30);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, test_the_source_contract);
    tcase_add_test(cases, test_lines_are_cut);
    tcase_add_test(cases, test_an_empty_file);
    tcase_add_test(cases, test_lines_across_reads);
    tcase_add_test(cases, test_a_line_that_is_too_long_stops);
    tcase_add_test(cases, test_a_file_that_comes_later);
    tcase_add_test(cases, test_a_folder_is_a_fault);
    tcase_add_test(cases, test_a_named_pipe_ends_with_its_writer);
    tcase_add_test(cases, test_stdin);
    tcase_add_test(cases, test_stdin_from_a_file);
    tcase_add_test(cases, test_credit_of_a_pipe);
    tcase_add_test(cases, test_the_sink_contract);
    tcase_add_test(cases, test_lines_are_written);
    tcase_add_test(cases, test_a_folder_that_comes_later);
    tcase_add_test(cases, test_a_full_device);
    tcase_add_test(cases, test_a_torn_line_is_cut_off);
    tcase_add_test(cases, test_a_reader_that_stalls);
    tcase_add_test(cases, test_a_reader_that_goes);
    tcase_add_test(cases, test_a_pipe_gets_whole_lines);
    tcase_add_test(cases, test_stopping_before_start);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
