/* Inside message/ only: what a compiled template consists of. template.c makes it, template_render.c runs it. */
#pragma once

#include "message/template.h"

#include <jansson.h>

enum part_kind { PART_LITERAL, PART_ID, PART_KEY, PART_PAYLOAD, PART_HEADER, PART_HEADERS, PART_META, PART_JSON };

/* One step of json.PATH: into an object by name, or into an array by index. */
struct step {
    char *name; /* NULL: index */
    size_t index;
};

struct part {
    enum part_kind kind;
    struct bytes text;     /* the literal, or the name in header("NAME"); owned */
    struct bytes fallback; /* `| default: x`; NULL bytes: none; owned */
    char *source;          /* what stood between the braces, for errors; owned */
    struct step *steps;
    size_t step_count;
};

struct template
{
    char *text;
    struct part *parts;
    size_t count;
};

/* What the path leads to; NULL when it leads nowhere or to null. */
json_t *json_find(json_t *value, const struct step *steps, size_t count);
/* Strings as they are, other scalars as in JSON, objects and arrays as compact JSON. */
void json_write_text(json_t *v, struct buf *out);
