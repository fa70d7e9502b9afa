/* A YAML document as a tree of nodes with marks, after interpolation. Refuses what YAML allows but a configuration must not
 * have: two documents, an empty file, keys twice, cycles, aliases that explode, bad UTF-8, depth beyond 64. */
#pragma once

#include "config/diagnostics.h"

enum node_type { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node;
struct pair {
    const struct node *key; /* a scalar */
    const struct node *value;
};
struct node {
    enum node_type type;
    struct mark mark;
    bool plain;       /* scalar: written without quotes, so that types may be read from it */
    bool missing;     /* scalar: nothing is written where a value should be ("key:" and the line's end) */
    bool flow;        /* list or map: written with [ ] or { } */
    bool broken;      /* an error was told about it already: a scalar says nothing, a map may lack keys */
    bool secret;      /* scalar: some of it came from ${file:} or ${credential:}: masked wherever it is printed */
    const char *text; /* scalar, NUL-terminated, interpolated; len for one with NULs in it */
    size_t len;
    size_t count; /* list or map */
    const struct node *const *items;
    const struct pair *pairs;
};

struct document;

/* Reads the file (and, with follow_include, its `include:` files, whose `connections` and `routes` are added to the root's
 * as if they stood there; a name twice is an error). Returns NULL when nothing can be made of it; there may be errors
 * though a document is returned. Interpolation happens here: ${NAME}, ${NAME:-default}, ${file:PATH} (one trailing newline
 * cut), ${credential:NAME}; in values, once; "$${" is a literal "${". */
struct document *document_read(const char *path, bool follow_include, struct diagnostics *d);
/* The same from memory, for tests, the fuzzer and defaults; name stands for the file (NULL: marks have none). An `include:`
 * is left as it is. */
struct document *document_parse(const char *name, struct bytes text, struct diagnostics *d);
void document_free(struct document *doc); /* NULL is allowed */
const struct node *document_root(const struct document *doc);

/* What stood here could not be read, which was told: readers keep silent. */
static inline bool node_is_lost(const struct node *n)
{
    return n->broken && n->type == NODE_SCALAR;
}
/* n is a map that lost a key or a value: what checks it as a whole would tell of a consequence. */
bool node_lost_some(const struct node *n);

/* The value of a key, NULL when absent or n is no map. */
const struct node *node_get(const struct node *n, const char *key);
/* For error messages: "a list", "a map", "nothing", "a secret", or a text in quotes, cut when long. Per-thread buffer. */
const char *node_describe(const struct node *n);
