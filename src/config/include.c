/* Adds the connections and routes of included files to the root's, as if they stood there. */
#include "config/document_private.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <glob.h>
#include <sys/stat.h>

static const char *const sections[] = { "connections", "routes", NULL };

struct inclusion {
    struct document *doc;
    const char *path; /* of the including file */
    struct diagnostics *d;
};

static const struct node *key_of(const struct node *map, const char *name)
{
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->pairs[i].key->text, name) == 0)
            return map->pairs[i].key;
    return NULL;
}

/* A new map with more's pairs after old's: either may be shared by an alias, so neither changes. */
static struct node *joined(struct inclusion *in, const struct node *old, const struct node *more, const char *section)
{
    struct node *n = document_node(in->doc, NODE_MAP, old->mark);
    *n = *old;
    struct pair *pairs = document_keep(in->doc, mem_array(old->count + more->count + 1, sizeof *pairs));
    n->pairs = pairs;
    if (old->count)
        memcpy(pairs, old->pairs, old->count * sizeof *pairs);
    for (size_t i = 0; i < more->count; i++) {
        const struct node *key = more->pairs[i].key, *first = key_of(n, key->text);
        if (first)
            diagnostics_error(in->d, key->mark, "\"%s\" is written twice in %s; it was first at %s:%u:%u", key->text,
                              section, first->mark.file, first->mark.line, first->mark.column);
        else
            pairs[n->count++] = more->pairs[i];
    }
    n->broken = old->broken || more->broken;
    return n;
}

static void add_section(struct inclusion *in, const struct node *key, const struct node *value)
{
    struct node *root = in->doc->root;
    if (node_is_lost(value))
        return;
    if (value->type != NODE_MAP) {
        diagnostics_error(in->d, value->mark, "%s: expected a map of names, found %s", key->text, node_describe(value));
        return;
    }
    struct pair *pairs = document_keep(in->doc, mem_array(root->count + 1, sizeof *pairs));
    if (root->count)
        memcpy(pairs, root->pairs, root->count * sizeof *pairs);
    root->pairs = pairs;
    for (size_t i = 0; i < root->count; i++) {
        if (strcmp(pairs[i].key->text, key->text) != 0)
            continue;
        if (pairs[i].value->type == NODE_MAP) /* otherwise the root's own is told about later */
            pairs[i].value = joined(in, pairs[i].value, value, key->text);
        return;
    }
    pairs[root->count++] = (struct pair){ key, value };
}

static void add_file(struct inclusion *in, const char *path)
{
    /* The name in marks lives with the document. */
    const char *name = document_keep(in->doc, mem_string(path));
    CLEANUP(buf_free) struct buf text = BUF_EMPTY;
    struct mark at = { name, 0, 0 };
    if (!file_read(name, FILE_MAX_BYTES, &text)) {
        diagnostics_error(in->d, at, "cannot be read: %s", strerror(errno));
        return;
    }
    const struct node *root = yaml_read(in->doc, name, buf_bytes(&text), in->d);
    if (!root || node_is_lost(root))
        return;
    if (root->type != NODE_MAP) {
        diagnostics_error(in->d, root->mark, "expected a map with \"connections\" or \"routes\", found %s",
                          node_describe(root));
        return;
    }
    for (size_t i = 0; i < root->count; i++) {
        const struct node *key = root->pairs[i].key;
        bool known = strcmp(key->text, sections[0]) == 0 || strcmp(key->text, sections[1]) == 0;
        if (known) {
            add_section(in, key, root->pairs[i].value);
            continue;
        }
        const char *near = text_nearest(key->text, sections);
        diagnostics_error(in->d, key->mark, "unknown key \"%s\" in an included file%s%s%s", key->text,
                          near ? "; did you mean \"" : ", which has only \"connections\" and \"routes\"",
                          near ? near : "", near ? "\"?" : "");
    }
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void add_pattern(struct inclusion *in, const struct node *n)
{
    if (node_is_lost(n))
        return;
    if (n->type != NODE_SCALAR || !n->len) {
        diagnostics_error(in->d, n->mark, "include: expected a path such as conf.d/*.yaml, found %s", node_describe(n));
        return;
    }
    char *pattern = path_beside(in->path, n->text);
    glob_t found;
    int result = glob(pattern, GLOB_ERR, NULL, &found);
    if (result == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            if (is_same_file(found.gl_pathv[i], in->path))
                diagnostics_error(in->d, n->mark, "include: %s is this file itself", found.gl_pathv[i]);
            else
                add_file(in, found.gl_pathv[i]);
        }
        globfree(&found);
    } else if (result != GLOB_NOMATCH || !strpbrk(n->text, "*?[")) {
        /* A pattern may match nothing: an empty conf.d is no mistake. */
        diagnostics_error(in->d, n->mark, "include: %s cannot be read", pattern);
    }
    free(pattern);
}

void document_include(struct document *doc, const char *path, struct diagnostics *d)
{
    struct inclusion in = { doc, path, d };
    const struct node *include = node_get(doc->root, "include");
    if (!include || node_is_lost(include))
        return;
    if (include->type == NODE_LIST)
        for (size_t i = 0; i < include->count; i++)
            add_pattern(&in, include->items[i]);
    else
        add_pattern(&in, include);
}
