/* What the files that build a document share. */
#pragma once

#include "config/document.h"

/* Limits of a file: far beyond any configuration, small enough that a hostile one cannot stop a reload for long. */
#define FILE_MAX_BYTES  ((size_t)16 << 20)
#define NODES_MAX_DEPTH 64
#define NODES_MAX       1000000

struct document {
    struct node *root;
    void **owned; /* every allocation of the tree */
    size_t owned_count, owned_cap;
};

/* p is freed with the document; returns p. */
void *document_keep(struct document *doc, void *p);
struct node *document_node(struct document *doc, enum node_type type, struct mark mark);

/* yaml.c: the tree of one YAML text, NULL when nothing can be made of it. */
struct node *yaml_read(struct document *doc, const char *name, struct bytes text, struct diagnostics *d);

/* interpolate.c: expands the references in text into out. False on an error, which is told without any secret's value.
 * *secret is set when something came from a file or a credential. Relative paths are relative to the file of at. */
bool interpolate(struct bytes text, struct mark at, struct buf *out, bool *secret, struct diagnostics *d);

/* include.c: adds the connections and routes of the files that the root's `include` names. */
void document_include(struct document *doc, const char *path, struct diagnostics *d);

/* document.c: appends a whole file to out; false with errno. EFBIG: larger than max. */
bool file_read(const char *path, size_t max, struct buf *out);
/* path as seen from the folder that file is in; the caller frees it. */
char *path_beside(const char *file, const char *path);
