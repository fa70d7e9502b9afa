/* What yaml.c, which builds the tree, and yaml_hint.c, which explains where YAML misleads, share. */
#pragma once

#include "config/document_private.h"

#include <yaml.h>

/* A YAML text, with a way from libyaml's marks (which count characters) to its bytes. */
struct yaml_text {
    const char *name;
    struct bytes bytes;
    size_t seen_index, seen_offset; /* the last place asked for: marks mostly come in order */
};

const char *yaml_at(struct yaml_text *text, yaml_mark_t at); /* the text's end is a NUL */
struct mark yaml_mark(const struct yaml_text *text, yaml_mark_t at);

/* Tells the parser's error, with what to do about it where the cause is a value that needed quotes. */
void yaml_explain(struct yaml_text *text, const yaml_parser_t *parser, struct diagnostics *d);
/* Tells of the first byte that is no UTF-8, or a character that YAML does not allow; true when all is well. */
bool yaml_check_bytes(struct yaml_text *text, struct diagnostics *d);
