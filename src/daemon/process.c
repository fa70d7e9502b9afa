/* Prepares the process. */
#include "daemon/process.h"

#include "base/log.h"
#include "config/url.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

void process_prepare(void)
{
    umask(027);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) < 0)
            log_warning("ferryd", "cannot raise the limit of descriptors: %s", strerror(errno));
    }
    /* Stronger than RLIMIT_CORE, which a core handler that is a pipe does not ask. */
    prctl(PR_SET_DUMPABLE, 0);
}

/* A password that is written in the file itself, not taken from elsewhere by ${file:} or ${credential:}. */
static bool is_literal_secret(const char *key, const struct node *value)
{
    if (value->type != NODE_SCALAR || value->secret || value->len == 0)
        return false;
    if (strstr(key, "password") || strstr(key, "secret"))
        return true;
    struct buf masked = BUF_EMPTY;
    url_print_masked(value->text, &masked);
    bool has_password = strcmp(buf_string(&masked), value->text) != 0;
    buf_free(&masked);
    return has_password && strstr(value->text, "://");
}

static const struct node *find_secret(const char *key, const struct node *n)
{
    if (is_literal_secret(key, n))
        return n;
    const struct node *found = NULL;
    for (size_t i = 0; i < n->count && !found && n->type != NODE_SCALAR; i++)
        found = n->type == NODE_LIST ? find_secret(key, n->items[i])
                                     : find_secret(n->pairs[i].key->text, n->pairs[i].value);
    return found;
}

void process_warn_readable(const struct settings *s)
{
    const struct node *connections = node_get(document_root(s->document), "connections");
    const char *warned = NULL; /* connections of one file stand together */
    for (size_t i = 0; connections && i < connections->count; i++) {
        const struct node *secret = find_secret("", connections->pairs[i].value);
        struct stat st;
        if (!secret || (warned && strcmp(warned, secret->mark.file) == 0))
            continue;
        if (stat(secret->mark.file, &st) == 0 && (st.st_mode & S_IROTH)) {
            log_warning("configuration",
                        "%s holds a password (line %u) and everyone may read it: chmod o-r it, or use ${file:…}",
                        secret->mark.file, secret->mark.line);
            warned = secret->mark.file;
        }
    }
}
