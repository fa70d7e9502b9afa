/* Documents that are fine: marks, interpolation, secrets, aliases, includes; and diagnostics' own order. */
#include "config/document.h"
#include "config/secret.h"

#include "base/mem.h"
#include "support/suite.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct diagnostics *d;
static struct document *doc;

static void setup(void)
{
    d = diagnostics_new();
    doc = NULL;
}

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void teardown(void)
{
    if (*folder)
        nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    document_free(doc);
    diagnostics_free(d);
}

static void ck_no_errors(void)
{
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    diagnostics_print(d, &out);
    ck_assert_msg(!diagnostics_errors(d), "%s", buf_string(&out));
}

static const struct node *parse(const char *text)
{
    doc = document_parse("t.yaml", bytes_of_string(text), d);
    ck_no_errors();
    return document_root(doc);
}

static void ck_text(const struct node *n, const char *expected)
{
    ck_assert_ptr_nonnull(n);
    ck_assert_int_eq(n->type, NODE_SCALAR);
    ck_assert_str_eq(n->text, expected);
    ck_assert_uint_eq(n->len, strlen(expected));
}

START_TEST(marks_count_characters)
{
    const struct node *root = parse("\xef\xbb\xbfgrüße: { ä: 1, b: [x, y] }\nc: |\n  two\n  lines\n");
    const struct node *map = node_get(root, "grüße");
    ck_assert_int_eq(map->type, NODE_MAP);
    ck_assert(map->flow);
    ck_assert_uint_eq(map->mark.line, 1);
    ck_assert_uint_eq(map->mark.column, 8);
    ck_assert_uint_eq(node_get(map, "b")->items[1]->mark.column, 23);
    ck_assert_str_eq(map->mark.file, "t.yaml");
    ck_text(node_get(root, "c"), "two\nlines\n");
    ck_assert_uint_eq(node_get(root, "c")->mark.line, 2);
    ck_assert_ptr_null(node_get(root, "d"));
    ck_assert_ptr_null(node_get(NULL, "d"));
}
END_TEST

START_TEST(scalars)
{
    const struct node *root = parse("a: 5\nb: '5'\nc:\nd: ''\ne: ~\nf: \"a\\0b\"\n");
    ck_assert(node_get(root, "a")->plain && !node_get(root, "b")->plain);
    ck_assert(node_get(root, "c")->missing);
    ck_assert(!node_get(root, "d")->missing && !node_get(root, "e")->missing);
    ck_assert_uint_eq(node_get(root, "f")->len, 3);
    ck_assert_str_eq(node_describe(node_get(root, "c")), "nothing");
    ck_assert_str_eq(node_describe(node_get(root, "a")), "\"5\"");
    ck_assert_str_eq(node_describe(root), "a map");
}
END_TEST

START_TEST(variables)
{
    setenv("FERRY_A", "one", 1);
    setenv("FERRY_EMPTY", "", 1);
    setenv("FERRY_ONCE", "${FERRY_A}", 1);
    unsetenv("FERRY_UNSET");
    const struct node *root = parse("a: ${FERRY_A}\n"
                                    "b: 'x${FERRY_A}y$FERRY_A$$'\n"
                                    "c: ${FERRY_UNSET:-two three}\n"
                                    "d: ${FERRY_EMPTY:-default}\n"
                                    "e: ${FERRY_EMPTY}\n"
                                    "f: $${FERRY_A}\n"
                                    "g: $$${FERRY_A}\n"
                                    "h: ${FERRY_ONCE}\n"
                                    "i: \"{{ json.x }} ${FERRY_UNSET:-}|\"\n"
                                    "${FERRY_A}: key\n");
    ck_text(node_get(root, "a"), "one");
    ck_assert(node_get(root, "a")->plain);
    ck_text(node_get(root, "b"), "xoney$FERRY_A$$");
    ck_text(node_get(root, "c"), "two three");
    ck_text(node_get(root, "d"), "default");
    ck_text(node_get(root, "e"), "");
    ck_assert_msg(!node_get(root, "e")->missing, "an empty variable is a value");
    ck_text(node_get(root, "f"), "${FERRY_A}");
    ck_text(node_get(root, "g"), "$${FERRY_A}");
    ck_text(node_get(root, "h"), "${FERRY_A}");
    ck_text(node_get(root, "i"), "{{ json.x }} |");
    ck_text(node_get(root, "${FERRY_A}"), "key");
    ck_assert(!node_get(root, "a")->secret);
}
END_TEST

static char *in_folder(const char *name)
{
    return mem_format("%s/%s", folder, name);
}

static void put(const char *name, const char *text)
{
    char *path = in_folder(name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    free(path);
}

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/ferry-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static const struct node *read_main(void)
{
    char *path = in_folder("main.yaml");
    doc = document_read(path, true, d);
    free(path);
    ck_no_errors();
    return document_root(doc);
}

START_TEST(secrets)
{
    make_folder();
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    put("pw", "correct horse\n");
    put("two", "two lines\n\n");
    put("empty", "");
    put("main.yaml", "a: ${file:pw}\nb: 'x ${credential:two}'\nc: ${file:empty}\nd: plain\n");
    const struct node *root = read_main();
    ck_text(node_get(root, "a"), "correct horse");
    ck_assert(node_get(root, "a")->secret);
    ck_text(node_get(root, "b"), "x two lines\n");
    ck_assert(node_get(root, "b")->secret && !node_get(root, "d")->secret);
    ck_text(node_get(root, "c"), "");
    ck_assert_str_eq(node_describe(node_get(root, "a")), "a secret");

    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    secret_print_masked("correct horse", &out);
    secret_print_masked(" has the correct horse in it", &out);
    ck_assert_str_eq(buf_string(&out), "******** has the ******** in it");
}
END_TEST

START_TEST(includes)
{
    make_folder();
    put("main.yaml", "include: [ 'conf.d/*.yaml', more.yaml, none/*.none ]\nroutes:\n  a: 1\nlanes: 2\n");
    char *conf = in_folder("conf.d"), *none = in_folder("none");
    mkdir(conf, 0700);
    mkdir(none, 0700);
    put("conf.d/1.yaml", "routes: { b: 2 }\nconnections: { x: 3 }\n");
    put("conf.d/2.yaml", "connections: { y: 4 }\n");
    put("conf.d/3.other", "broken: {\n");
    put("more.yaml", "routes: { c: 5 }\n");
    const struct node *root = read_main(), *routes = node_get(root, "routes");
    ck_assert_uint_eq(routes->count, 3);
    ck_text(node_get(routes, "a"), "1");
    ck_text(node_get(routes, "b"), "2");
    ck_text(node_get(routes, "c"), "5");
    ck_assert_ptr_nonnull(strstr(node_get(routes, "b")->mark.file, "/conf.d/1.yaml"));
    ck_assert_uint_eq(node_get(root, "connections")->count, 2);
    free(conf);
    free(none);
}
END_TEST

START_TEST(aliases_share)
{
    const struct node *root = parse("a: &x { k: v }\nb: *x\nc: { d: *x, e: *x }\n");
    ck_assert_ptr_eq(node_get(root, "a"), node_get(root, "b"));
    ck_assert_ptr_eq(node_get(root, "a"), node_get(node_get(root, "c"), "e"));
    ck_assert_uint_eq(node_get(root, "b")->mark.line, 1);
}
END_TEST

START_TEST(depth_of_64_is_fine)
{
    CLEANUP(buf_free) struct buf text = BUF_EMPTY;
    for (int i = 0; i < 63; i++)
        buf_append_byte(&text, '[');
    buf_append_byte(&text, 'x');
    for (int i = 0; i < 63; i++)
        buf_append_byte(&text, ']');
    parse(buf_string(&text));
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
    ck_assert_ptr_null(document_read("/nonexistent/x.yaml", true, d));
    ck_assert_ptr_null(document_read("/tmp", true, d));
    ck_assert_ptr_null(document_read("/dev/zero", true, d));
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    diagnostics_print(d, &out);
    ck_assert_str_eq(buf_string(&out), "/nonexistent/x.yaml: error: cannot be read: No such file or directory\n"
                                       "/tmp: error: cannot be read: Is a directory\n"
                                       "/dev/zero: error: cannot be read: Invalid argument\n");
}
END_TEST

START_TEST(diagnostics_are_sorted_and_told_once)
{
    char file[] = "b.yaml";
    struct mark at = { file, 3, 1 }, earlier = { file, 2, 9 }, other = { "a.yaml", 1, 1 };
    diagnostics_error(d, at, "third");
    diagnostics_warning(d, earlier, "second %d", 2);
    diagnostics_error(d, at, "third");
    diagnostics_error(d, other, "in a file named later");
    file[0] = 'x'; /* the document may be gone */
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    diagnostics_print(d, &out);
    ck_assert_str_eq(buf_string(&out), "b.yaml:2:9: warning: second 2\n"
                                       "b.yaml:3:1: error: third\n"
                                       "a.yaml:1:1: error: in a file named later\n");
    ck_assert_uint_eq(diagnostics_errors(d), 2);
    ck_assert_uint_eq(diagnostics_warnings(d), 1);
}
END_TEST

START_TEST(diagnostics_are_bounded)
{
    for (unsigned i = 1; i <= 1500; i++)
        diagnostics_error(d, (struct mark){ "f", i, 1 }, "wrong");
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    diagnostics_print(d, &out);
    ck_assert_uint_eq(diagnostics_errors(d), 1500);
    ck_assert_ptr_nonnull(strstr(buf_string(&out), "f:1000:1: error: wrong\nand 500 more\n"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("document");
    TCase *c = tcase_create("document");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, marks_count_characters);
    tcase_add_test(c, scalars);
    tcase_add_test(c, variables);
    tcase_add_test(c, secrets);
    tcase_add_test(c, includes);
    tcase_add_test(c, aliases_share);
    tcase_add_test(c, depth_of_64_is_fine);
    tcase_add_test(c, files_that_cannot_be_read);
    tcase_add_test(c, diagnostics_are_sorted_and_told_once);
    tcase_add_test(c, diagnostics_are_bounded);
    suite_add_tcase(s, c);
    return suite_run(s);
}
