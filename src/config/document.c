/* The document itself: files into trees, and looking things up in them. */
#include "config/document_private.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void *document_keep(struct document *doc, void *p)
{
    if (!p)
        return NULL;
    if (doc->owned_count == doc->owned_cap) {
        doc->owned_cap = doc->owned_cap ? doc->owned_cap * 2 : 64;
        doc->owned = mem_resize(doc->owned, doc->owned_cap * sizeof *doc->owned);
    }
    return doc->owned[doc->owned_count++] = p;
}

struct node *document_node(struct document *doc, enum node_type type, struct mark mark)
{
    struct node *n = document_keep(doc, mem_zero(sizeof *n));
    n->type = type;
    n->mark = mark;
    return n;
}

bool file_read(const char *path, size_t max, struct buf *out)
{
    /* Not to wait for a writer should it be a pipe; a device or a folder is no file to read from. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    struct stat st;
    ssize_t n = -1;
    if (fstat(fd, &st) == 0 && (S_ISDIR(st.st_mode) || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    else
        while ((n = read(fd, buf_reserve(out, 65536), 65536)) > 0 || (n < 0 && errno == EINTR)) {
            if (n > 0)
                out->len += (size_t)n;
            if (out->len > max) {
                errno = EFBIG;
                n = -1;
                break;
            }
        }
    int saved = errno;
    close(fd);
    errno = saved;
    return n == 0;
}

char *path_beside(const char *file, const char *path)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    if (*path == '/' || !slash)
        return mem_string(path);
    return mem_format("%.*s/%s", (int)(slash - file), file, path);
}

struct document *document_parse(const char *name, struct bytes text, struct diagnostics *d)
{
    struct document *doc = mem_zero(sizeof *doc);
    doc->root = yaml_read(doc, document_keep(doc, mem_string(name)), text, d);
    if (doc->root)
        return doc;
    document_free(doc);
    return NULL;
}

struct document *document_read(const char *path, bool follow_include, struct diagnostics *d)
{
    CLEANUP(buf_free) struct buf text = BUF_EMPTY;
    if (!file_read(path, FILE_MAX_BYTES, &text)) {
        diagnostics_error(d, (struct mark){ path, 0, 0 }, "cannot be read: %s", strerror(errno));
        return NULL;
    }
    struct document *doc = document_parse(path, buf_bytes(&text), d);
    if (doc && follow_include)
        document_include(doc, path, d);
    return doc;
}

void document_free(struct document *doc)
{
    if (!doc)
        return;
    for (size_t i = 0; i < doc->owned_count; i++)
        free(doc->owned[i]);
    free(doc->owned);
    free(doc);
}

const struct node *document_root(const struct document *doc)
{
    return doc->root;
}

const struct node *node_get(const struct node *n, const char *key)
{
    for (size_t i = 0; n && n->type == NODE_MAP && i < n->count; i++)
        if (strcmp(n->pairs[i].key->text, key) == 0)
            return n->pairs[i].value;
    return NULL;
}

bool node_lost_some(const struct node *n)
{
    bool lost = n->broken;
    for (size_t i = 0; n->type == NODE_MAP && i < n->count; i++)
        lost = lost || node_is_lost(n->pairs[i].value);
    return lost;
}

const char *node_describe(const struct node *n)
{
    static _Thread_local char text[160];
    if (n->type != NODE_SCALAR)
        return n->type == NODE_LIST ? "a list" : "a map";
    if (n->missing)
        return "nothing";
    if (n->secret)
        return "a secret";
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    text_escape(&out, bytes_of(n->text, n->len), 60);
    snprintf(text, sizeof text, "\"%s\"", buf_string(&out));
    return text;
}
