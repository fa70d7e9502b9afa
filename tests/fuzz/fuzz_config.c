/* Reads whatever bytes as a configuration; what is accepted must print, and read back as what it was. */
#include "support/fake_kinds.h"

#include "route/settings.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool reads_files(const uint8_t *data, size_t size)
{
    return memmem(data, size, "${file:", 7) || memmem(data, size, "${credential:", 13);
}

/* Equality goes through the printed text: masked secrets differ in their routes. */
static void check_read_back(const struct settings *s)
{
    CLEANUP(buf_free) struct buf first = BUF_EMPTY, second = BUF_EMPTY, told = BUF_EMPTY;
    struct diagnostics *d = diagnostics_new();
    settings_print(s, &first);
    struct settings *again = settings_parse("again", buf_bytes(&first), d);
    diagnostics_print(d, &told);
    if (again)
        settings_print(again, &second);
    if (!again || !bytes_equal(buf_bytes(&first), buf_bytes(&second))) {
        fprintf(stderr, "%s\n---\n%s\n---\n%s\n", buf_string(&first), buf_string(&second), buf_string(&told));
        abort();
    }
    settings_unref(again);
    diagnostics_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (reads_files(data, size)) /* the machine's own files are not the input */
        return 0;
    struct diagnostics *d = diagnostics_new();
    struct settings *s = settings_parse("fuzz", bytes_of(data, size), d);
    if (!s && !diagnostics_errors(d))
        abort();
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    diagnostics_print(d, &out);
    if (s)
        check_read_back(s);
    settings_unref(s);
    diagnostics_free(d);
    return 0;
}
