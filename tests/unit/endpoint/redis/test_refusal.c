/* Tests what Redis' errors are taken to mean. */
#include "endpoint/redis/refusal.h"
#include "support/suite.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *error;
    enum verdict_class constant, templated;
    bool reconnect;
} cases[] = {
    { "OOM command not allowed when used memory > 'maxmemory'.", VERDICT_AGAIN, VERDICT_AGAIN, false },
    { "MISCONF Errors writing to the AOF file: No space left on device", VERDICT_AGAIN, VERDICT_AGAIN, false },
    { "READONLY You can't write against a read only replica.", VERDICT_AGAIN, VERDICT_AGAIN, true },
    { "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", VERDICT_AGAIN, VERDICT_AGAIN,
      true },
    { "NOREPLICAS Not enough good replicas to write.", VERDICT_AGAIN, VERDICT_AGAIN, false },
    { "LOADING Redis is loading the dataset in memory", VERDICT_AGAIN, VERDICT_AGAIN, false },
    { "BUSY Redis is busy running a script.", VERDICT_AGAIN, VERDICT_AGAIN, false },
    { "CLUSTERDOWN The cluster is down", VERDICT_AGAIN, VERDICT_AGAIN, false },
    { "NOAUTH Authentication required.", VERDICT_AGAIN, VERDICT_AGAIN, true },
    { "WRONGPASS invalid username-password pair or user is disabled.", VERDICT_AGAIN, VERDICT_AGAIN, true },
    { "ERR max number of clients reached", VERDICT_AGAIN, VERDICT_AGAIN, true },
    { "WRONGTYPE Operation against a key holding the wrong kind of value", VERDICT_FAULT, VERDICT_REJECT, false },
    { "NOPERM this user has no permissions to run the 'xadd' command", VERDICT_FAULT, VERDICT_FAULT, false },
    { "MOVED 1234 127.0.0.1:7001", VERDICT_FAULT, VERDICT_FAULT, false },
    { "ERR unknown command 'XADD'", VERDICT_FAULT, VERDICT_FAULT, false },
    { "ERR string exceeds maximum allowed size (proto-max-bulk-len)", VERDICT_REJECT, VERDICT_REJECT, false },
    { "ERR something new", VERDICT_RETRY, VERDICT_RETRY, false },
    { "", VERDICT_RETRY, VERDICT_RETRY, false },
};

START_TEST(test_errors)
{
    const struct refusal *r = refusal_of(bytes_of_string(cases[_i].error));
    ck_assert_int_eq(refusal_class(r, false), cases[_i].constant);
    ck_assert_int_eq(refusal_class(r, true), cases[_i].templated);
    ck_assert_int_eq(r->reconnect, cases[_i].reconnect);
}
END_TEST

START_TEST(test_texts)
{
    char text[REASON_MAX], small[20];
    struct bytes error = BYTES_LITERAL("OOM command\r\nnot allowed");
    refusal_text(refusal_of(error), error, text, sizeof text);
    ck_assert_msg(strncmp(text, "the server is at its maxmemory: OOM command", 43) == 0, "%s", text);
    ck_assert_ptr_null(strchr(text, '\n'));
    refusal_text(refusal_of(error), error, small, sizeof small);
    ck_assert_uint_eq(strlen(small), sizeof small - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("refusal");
    TCase *tests = tcase_create("refusal");
    tcase_add_loop_test(tests, test_errors, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tests, test_texts);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
