/* Every broken file of tests/unit/config/bad is told of in exactly the words of its .errors file: place, what was found, what
 * was expected, a suggestion; all errors at once. FERRY_UPDATE=1 writes the .errors files instead, to be read before they
 * are committed. */
#include "support/fake_kinds.h"
#include "support/suite.h"

#include "route/settings.h"

#include <check.h>
#include <dirent.h>
#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

#define FILES_MIN 50

static char *read_file(const char *path)
{
    struct buf out = BUF_EMPTY;
    FILE *f = fopen(path, "r");
    size_t n;
    while (f && (n = fread(buf_reserve(&out, 4096), 1, 4096, f)) > 0)
        out.len += n;
    if (f)
        fclose(f);
    buf_append_string(&out, "");
    return buf_take(&out);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static char *errors_of(const char *path)
{
    struct diagnostics *d = diagnostics_new();
    struct settings *s = settings_load(path, d);
    ck_assert_msg(!s, "%s was accepted", path);
    ck_assert_msg(diagnostics_errors(d) > 0, "%s was refused without an error", path);
    struct buf out = BUF_EMPTY;
    diagnostics_print(d, &out);
    diagnostics_free(d);
    return buf_take(&out);
}

static int is_yaml(const struct dirent *e)
{
    size_t len = strlen(e->d_name);
    return len > 5 && strcmp(e->d_name + len - 5, ".yaml") == 0;
}

static bool check_file(const char *name)
{
    char *expected_path = mem_format("%.*s.errors", (int)(strlen(name) - 5), name);
    char *found = errors_of(name), *expected = read_file(expected_path);
    bool same = strcmp(found, expected) == 0;
    if (getenv("FERRY_UPDATE")) {
        write_file(expected_path, found);
        same = true;
    }
    if (!same)
        printf("--- %s says\n%s--- expected\n%s", name, found, expected);
    ck_assert_msg(!strstr(found, "hunter2"), "%s shows a secret", name);
    free(found);
    free(expected);
    free(expected_path);
    return same;
}

START_TEST(bad_files)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    unsetenv("FERRY_TEST_UNSET");
    unsetenv("FERRY_TEST_UNSET_TOO");
    setenv("FERRY_TEST_TEXT", "many", 1);
    struct dirent **entries;
    int count = scandir(".", &entries, is_yaml, alphasort);
    ck_assert_int_ge(count, FILES_MIN);
    int wrong = 0;
    for (int i = 0; i < count; i++) {
        wrong += !check_file(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    ck_assert_int_eq(wrong, 0);
}
END_TEST

int main(void)
{
    char source[] = __FILE__;
    if (chdir(dirname(source)) != 0 || chdir("../config/bad") != 0) {
        perror(source);
        return 1;
    }
    Suite *s = suite_create("bad configurations");
    TCase *c = tcase_create("files");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, bad_files);
    suite_add_tcase(s, c);
    return suite_run(s);
}
