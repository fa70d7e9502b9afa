/* Builds the tree of one YAML file out of libyaml's document, and refuses what YAML allows but a configuration must not have. */
#include "config/yaml.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

/* What became of each of libyaml's nodes: an alias shares the node that it names. */
struct made {
    struct node *node; /* NULL: not yet */
    bool open;         /* being made: who meets it now is inside it */
    unsigned height;
    size_t visits; /* how many nodes a reader that knows no aliases visits below, itself included */
};

struct reader {
    struct document *doc;
    struct diagnostics *d;
    struct yaml_text text;
    yaml_document_t yaml;
    struct made *made; /* by index - 1 */
};

static struct node *read_node(struct reader *r, int index, unsigned depth);

static struct node *broken(struct reader *r, struct mark at)
{
    struct node *n = document_node(r->doc, NODE_SCALAR, at);
    n->text = "";
    n->broken = true;
    return n;
}

static bool check_tag(struct reader *r, const yaml_node_t *y)
{
    static const char *const usual[] = {
        [YAML_SCALAR_NODE] = YAML_STR_TAG,
        [YAML_SEQUENCE_NODE] = YAML_SEQ_TAG,
        [YAML_MAPPING_NODE] = YAML_MAP_TAG,
    };
    if (!y->tag || strcmp((const char *)y->tag, usual[y->type]) == 0)
        return true;
    diagnostics_error(r->d, yaml_mark(&r->text, y->start_mark),
                      "found a tag, which has no meaning here; if the value begins with \"!\", quote this value");
    return false;
}

static struct node *read_scalar(struct reader *r, const yaml_node_t *y, struct mark at)
{
    struct node *n = document_node(r->doc, NODE_SCALAR, at);
    struct bytes text = bytes_of(y->data.scalar.value, y->data.scalar.length);
    n->plain = y->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->missing = n->plain && !text.len;
    struct buf out = BUF_EMPTY;
    n->broken = !interpolate(text, at, &out, &n->secret, r->d);
    n->len = out.len;
    n->text = out.data ? document_keep(r->doc, buf_take(&out)) : "";
    return n;
}

static struct node *read_list(struct reader *r, const yaml_node_t *y, struct mark at, unsigned depth, struct made *made)
{
    struct node *n = document_node(r->doc, NODE_LIST, at);
    n->flow = y->data.sequence.style == YAML_FLOW_SEQUENCE_STYLE;
    n->count = (size_t)(y->data.sequence.items.top - y->data.sequence.items.start);
    const struct node **items = document_keep(r->doc, n->count ? mem_array(n->count, sizeof(struct node *)) : NULL);
    n->items = items;
    for (size_t i = 0; i < n->count; i++) {
        int index = y->data.sequence.items.start[i];
        items[i] = read_node(r, index, depth + 1);
        made->visits += r->made[index - 1].visits;
        if (made->height <= r->made[index - 1].height)
            made->height = r->made[index - 1].height + 1;
    }
    return n;
}

/* NULL, after telling, when the key is no name. Keys are copies of their own: they are not interpolated. */
static struct node *read_key(struct reader *r, const yaml_node_t *map, const yaml_node_t *y)
{
    struct mark at = yaml_mark(&r->text, y->start_mark);
    if (y->type != YAML_SCALAR_NODE) {
        /* "{{ x }}" is a map whose one key is a map: mark what the reader of the file sees. */
        if (y->type == YAML_MAPPING_NODE && y->start_mark.index == map->start_mark.index + 1) {
            const char *start = yaml_at(&r->text, map->start_mark);
            size_t len = strcspn(start, "\r\n");
            const char *close = memmem(start, len, "}}", 2);
            CLEANUP(buf_free) struct buf shown = BUF_EMPTY;
            text_escape(&shown, bytes_of(start, close ? (size_t)(close + 2 - start) : len), 80);
            diagnostics_error(r->d, yaml_mark(&r->text, map->start_mark),
                              "\"{{\" begins a map in a map; quote this value: '%s'", buf_string(&shown));
        } else {
            diagnostics_error(r->d, at, "found %s as a key, expected a name",
                              y->type == YAML_MAPPING_NODE ? "a map" : "a list");
        }
        return NULL;
    }
    if (!check_tag(r, y))
        return NULL;
    struct node *key = document_node(r->doc, NODE_SCALAR, at);
    key->len = y->data.scalar.length;
    key->text = document_keep(r->doc, mem_string_n((const char *)y->data.scalar.value, key->len));
    if (!key->len || strlen(key->text) != key->len) {
        diagnostics_error(r->d, at, "found %s as a key, expected a name",
                          key->len ? "a text with a NUL in it" : "nothing");
        return NULL;
    }
    return key;
}

/* Where a value is missing YAML may have misled: a comma in a value, or a "#" that begins one. True when that was told;
 * *drop when the key itself is no key. */
static bool explain_missing(struct reader *r, const yaml_node_t *map, const yaml_node_t *key, bool *drop)
{
    const char *after = yaml_at(&r->text, key->end_mark);
    after += strspn(after, " \t");
    struct mark at = yaml_mark(&r->text, key->start_mark);
    *drop = map->data.mapping.style == YAML_FLOW_MAPPING_STYLE && *after != ':';
    if (*drop) { /* its text is not shown: it may be the rest of a password */
        diagnostics_error(
            r->d, at,
            "found a key without \":\" and value; inside { } a comma ends a value and begins a key: where it is "
            "part of a value, quote this value");
        return true;
    }
    if (*after == ':')
        after += 1 + strspn(after + 1, " \t");
    if (*after != '#')
        return false;
    diagnostics_error(r->d, at,
                      "the key has no value, what begins with \"#\" is a comment; if it is meant, quote this value");
    return true;
}

static struct node *read_value(struct reader *r, const yaml_node_t *map, const yaml_node_pair_t *pair, unsigned depth,
                               bool *drop)
{
    const yaml_node_t *key = yaml_document_get_node(&r->yaml, pair->key);
    const yaml_node_t *value = yaml_document_get_node(&r->yaml, pair->value);
    bool missing = value->type == YAML_SCALAR_NODE && value->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                   !value->data.scalar.length;
    *drop = false;
    if (missing && explain_missing(r, map, key, drop))
        return broken(r, yaml_mark(&r->text, value->start_mark));
    return read_node(r, pair->value, depth + 1);
}

static struct node *read_map(struct reader *r, const yaml_node_t *y, struct mark at, unsigned depth, struct made *made)
{
    struct node *n = document_node(r->doc, NODE_MAP, at);
    n->flow = y->data.mapping.style == YAML_FLOW_MAPPING_STYLE;
    size_t count = (size_t)(y->data.mapping.pairs.top - y->data.mapping.pairs.start);
    struct pair *pairs = document_keep(r->doc, count ? mem_array(count, sizeof *pairs) : NULL);
    n->pairs = pairs;
    struct strmap seen = { 0 };
    for (size_t i = 0; i < count; i++) {
        const yaml_node_pair_t *pair = &y->data.mapping.pairs.start[i];
        struct node *key = read_key(r, y, yaml_document_get_node(&r->yaml, pair->key));
        if (!key) {
            n->broken = true;
            continue;
        }
        const struct node *first = strmap_get(&seen, bytes_of(key->text, key->len));
        if (first) {
            diagnostics_error(r->d, key->mark, "\"%s\" is written twice; it was first at %u:%u", key->text,
                              first->mark.line, first->mark.column);
            continue;
        }
        strmap_put(&seen, bytes_of(key->text, key->len), key);
        bool drop;
        struct node *value = read_value(r, y, pair, depth, &drop);
        if (drop)
            continue;
        pairs[n->count++] = (struct pair){ key, value };
        const struct made *child = &r->made[pair->value - 1];
        made->visits += child->visits;
        if (made->height <= child->height)
            made->height = child->height + 1;
    }
    strmap_free(&seen);
    /* "{{ x }}", and whatever else has no name in it, is no map that anybody meant. */
    return n->broken && !n->count ? broken(r, at) : n;
}

static void tell_depth(struct reader *r, struct mark at)
{
    diagnostics_error(r->d, at, "nested deeper than %u levels", NODES_MAX_DEPTH);
}

static struct node *read_node(struct reader *r, int index, unsigned depth)
{
    struct made *made = &r->made[index - 1];
    const yaml_node_t *y = yaml_document_get_node(&r->yaml, index);
    struct mark at = yaml_mark(&r->text, y->start_mark);
    if (made->open) {
        diagnostics_error(r->d, at, "an alias within it names this value: it would contain itself");
        return broken(r, at);
    }
    if (depth + (made->node ? made->height : 0) > NODES_MAX_DEPTH) {
        tell_depth(r, at);
        return broken(r, at);
    }
    if (made->node)
        return made->node;
    made->open = true;
    made->visits = made->height = 1;
    if (!check_tag(r, y))
        made->node = broken(r, at);
    else if (y->type == YAML_SCALAR_NODE)
        made->node = read_scalar(r, y, at);
    else if (y->type == YAML_SEQUENCE_NODE)
        made->node = read_list(r, y, at, depth, made);
    else
        made->node = read_map(r, y, at, depth, made);
    made->open = false;
    if (made->visits > NODES_MAX)
        made->visits = NODES_MAX + 1; /* a doubling at each level would overflow */
    return made->node;
}

static struct node *read_tree(struct reader *r)
{
    size_t count = (size_t)(r->yaml.nodes.top - r->yaml.nodes.start);
    r->made = mem_array(count, sizeof *r->made);
    struct node *root = read_node(r, 1, 1);
    if (r->made[0].visits > NODES_MAX) {
        diagnostics_error(r->d, root->mark, "its aliases unfold to more than %u values", NODES_MAX);
        root = NULL;
    }
    free(r->made);
    return root;
}

/* Told whatever else is wrong; what is in it is not read. */
static void check_only_document(struct reader *r, yaml_parser_t *parser)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next)) {
        yaml_explain(&r->text, parser, r->d);
        return;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&next);
    if (root)
        diagnostics_error(r->d, yaml_mark(&r->text, next.start_mark),
                          "found a second document, expected one in a file; remove the line \"---\"");
    yaml_document_delete(&next);
}

static void start_parser(yaml_parser_t *parser, const struct yaml_text *text)
{
    if (!yaml_parser_initialize(parser))
        abort();
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, text->bytes.data, text->bytes.len);
}

/* Whether no value is nested too deeply, which is told. libyaml's time grows with the square of the depth (200,000 brackets
 * take minutes), so this looks at events, which come as the text is read, before a tree is built. */
static bool check_depth(struct reader *r)
{
    yaml_parser_t parser;
    yaml_event_t event;
    bool more = true, ok = true;
    start_parser(&parser, &r->text);
    for (unsigned depth = 0; more && ok && yaml_parser_parse(&parser, &event);) {
        bool begins = event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT;
        bool ends = event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        depth += begins;
        depth -= ends;
        ok = depth <= NODES_MAX_DEPTH;
        more = event.type != YAML_STREAM_END_EVENT;
        if (!ok)
            tell_depth(r, yaml_mark(&r->text, event.start_mark));
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return ok;
}

/* With the parser set up: everything that the text holds. */
static struct node *read_text(struct reader *r, yaml_parser_t *parser)
{
    struct node *root = NULL;
    if (!yaml_parser_load(parser, &r->yaml)) {
        yaml_explain(&r->text, parser, r->d);
        return NULL;
    }
    if (yaml_document_get_root_node(&r->yaml)) {
        root = read_tree(r);
        check_only_document(r, parser);
    } else {
        diagnostics_error(r->d, (struct mark){ r->text.name, 1, 1 },
                          "the file is empty, expected a map with \"routes\" in it");
    }
    yaml_document_delete(&r->yaml);
    return root;
}

struct node *yaml_read(struct document *doc, const char *name, struct bytes text, struct diagnostics *d)
{
    static const uint8_t byte_order_mark[] = { 0xef, 0xbb, 0xbf };
    if (text.len >= 3 && memcmp(text.data, byte_order_mark, 3) == 0)
        text = bytes_of(text.data + 3, text.len - 3);
    /* A copy, since what explains errors looks ahead up to a NUL. */
    char *copy = mem_string_n(text.len ? (const char *)text.data : "", text.len);
    struct reader r = { .doc = doc, .d = d, .text = { .name = name, .bytes = bytes_of(copy, text.len) } };
    struct node *root = NULL;
    diagnostics_file(d, name);
    if (yaml_check_bytes(&r.text, d) && check_depth(&r)) {
        yaml_parser_t parser;
        start_parser(&parser, &r.text);
        root = read_text(&r, &parser);
        yaml_parser_delete(&parser);
    }
    free(copy);
    return root;
}
