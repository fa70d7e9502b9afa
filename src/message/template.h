/* Templates: "orders.{{ json.region }}". Compiled once, rendered per message, on a lane: no allocation but the output's.
 * Names: id, key, payload, header("NAME") (last), headers("NAME") (all, comma-separated), meta("NAME"), json.PATH,
 * with `| default: x`. "{{{{" is a literal "{{". A name that has no value and no default is an error of that message. */
#pragma once

#include "config/option.h"
#include "message/message.h"

struct template;

/* Compiles; NULL and *error (owned by the caller, free) with *error_offset into text when it cannot. */
struct template *template_compile(const char *text, char **error, size_t *error_offset);
void template_free(struct template *t);
const char *template_text(const struct template *t);
bool template_is_constant(const struct template *t);
/* The text when constant; NULL bytes otherwise. */
struct bytes template_constant(const struct template *t);
/* Appends to out. False: *error says why, in words, static or in a per-thread buffer valid until the next call. */
bool template_render(const struct template *t, const struct message *m, struct buf *out, const char **error);
/* A template that is one plain name with nothing around it, such as "{{ key }}" or '{{ header("x") }}', renders without a
 * copy: *value points into the message (NULL bytes when there is no value and no default). False when it is not that
 * simple: use template_render. */
bool template_peek(const struct template *t, const struct message *m, struct bytes *value);

/* The option type of a template: a struct template * field. See config/option.h. */
extern const struct option_type OPTION_TEMPLATE;
