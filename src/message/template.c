/* Compiling templates: literal text and names in double braces. */
#include "message/template.h"

#include "base/mem.h"
#include "message/header_value.h"
#include "message/template_parts.h"

#include <ctype.h>

static const struct {
    const char *name;
    enum part_kind kind;
    bool takes_name; /* ("NAME") follows */
} names[] = {
    { "id", PART_ID, false },        { "key", PART_KEY, false },        { "payload", PART_PAYLOAD, false },
    { "header", PART_HEADER, true }, { "headers", PART_HEADERS, true }, { "meta", PART_META, true },
    { "json", PART_JSON, false },
};
#define KNOWN_NAMES "id, key, payload, header(\"NAME\"), headers(\"NAME\"), meta(\"NAME\"), json.PATH"

struct reader {
    const char *text, *at;
    char *error; /* the first; owned until handed over */
    size_t error_offset;
};

static bool fail_at(struct reader *r, const char *at, char *error)
{
    if (r->error) {
        free(error);
        return false;
    }
    r->error = error;
    r->error_offset = (size_t)(at - r->text);
    return false;
}

static void skip_spaces(struct reader *r)
{
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\n')
        r->at++;
}

static bool skip_char(struct reader *r, char c)
{
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

static bool at_end(const struct reader *r)
{
    return r->at[0] == '}' && r->at[1] == '}';
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '$' || c == '@' || (unsigned char)c >= 0x80;
}

/* "text" or 'text'; a backslash takes the next character as it is. Owned by the caller; NULL after an error. */
static char *read_quoted(struct reader *r)
{
    const char *start = r->at;
    char quote = *r->at++;
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    buf_reserve(&out, 1);
    for (; *r->at && *r->at != quote; r->at++) {
        if (*r->at == '\\' && r->at[1])
            r->at++;
        buf_append_byte(&out, (uint8_t)*r->at);
    }
    if (!skip_char(r, quote)) {
        fail_at(r, start, mem_format("this quote is not closed"));
        return NULL;
    }
    return out.len ? buf_take(&out) : mem_string("");
}

static char *read_word(struct reader *r)
{
    const char *start = r->at;
    while (is_word(*r->at))
        r->at++;
    return mem_string_n(start, (size_t)(r->at - start));
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

/* ("NAME") */
static bool read_argument(struct reader *r, const char *function, struct part *p)
{
    skip_spaces(r);
    bool open = skip_char(r, '(');
    skip_spaces(r);
    if (!open || !is_quote(*r->at))
        return fail_at(r, r->at, mem_format("expected a quoted name: %s(\"NAME\")", function));
    char *name = read_quoted(r);
    if (!name)
        return false;
    p->text = bytes_of_string(name);
    skip_spaces(r);
    return skip_char(r, ')') || fail_at(r, r->at, mem_format("expected ) after the name of %s", function));
}

static void add_step(struct part *p, char *name, size_t index)
{
    p->steps = mem_resize(p->steps, (p->step_count + 1) * sizeof(*p->steps));
    p->steps[p->step_count++] = (struct step){ name, index };
}

/* [0] or ["name"] */
static bool read_bracket(struct reader *r, struct part *p)
{
    const char *start = r->at - 1;
    if (is_quote(*r->at)) {
        char *name = read_quoted(r);
        if (!name)
            return false;
        add_step(p, name, 0);
    } else {
        size_t digits = strspn(r->at, "0123456789");
        uint64_t index;
        if (!header_parse_integer(HEADER_U32, bytes_of(r->at, digits), &index))
            return fail_at(r, start, mem_format("expected [INDEX] or [\"NAME\"]"));
        r->at += digits;
        add_step(p, NULL, index);
    }
    return skip_char(r, ']') || fail_at(r, start, mem_format("expected ] after this [ and its index or name"));
}

/* .name ."quoted name" [0] ["name"], any number of them: none is the whole document. */
static bool read_path(struct reader *r, struct part *p)
{
    for (;;) {
        if (skip_char(r, '[')) {
            if (!read_bracket(r, p))
                return false;
        } else if (skip_char(r, '.')) {
            if (!is_quote(*r->at) && !is_word(*r->at))
                return fail_at(r, r->at,
                               mem_format("expected a name after the dot; quote it if it is unusual: json.\"a b\""));
            char *name = is_quote(*r->at) ? read_quoted(r) : read_word(r);
            if (!name)
                return false;
            add_step(p, name, 0);
        } else {
            return true;
        }
    }
}

/* | default: x */
static bool read_default(struct reader *r, struct part *p)
{
    const char *start = r->at - 1;
    skip_spaces(r);
    bool is_default = strncmp(r->at, "default", 7) == 0;
    r->at += is_default ? 7 : 0;
    skip_spaces(r);
    if (!is_default || !skip_char(r, ':'))
        return fail_at(r, start, mem_format("expected \"| default: VALUE\""));
    skip_spaces(r);
    char *value;
    if (is_quote(*r->at)) {
        value = read_quoted(r);
    } else {
        const char *from = r->at, *end = strstr(from, "}}");
        end = end ? end : from + strlen(from);
        r->at = end;
        while (end > from && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\n'))
            end--;
        if (end == from)
            return fail_at(r, start, mem_format("expected a value after \"default:\"; an empty one is written ''"));
        value = mem_string_n(from, (size_t)(end - from));
    }
    if (!value)
        return false;
    p->fallback = bytes_of_string(value);
    skip_spaces(r);
    return true;
}

static bool read_name(struct reader *r, struct part *p)
{
    const char *start = r->at;
    char *word = read_word(r);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(word, names[i].name) == 0) {
            free(word);
            p->kind = names[i].kind;
            if (names[i].takes_name)
                return read_argument(r, names[i].name, p);
            return p->kind != PART_JSON || read_path(r, p);
        }
    if (*word)
        fail_at(r, start, mem_format("unknown name \"%s\"; there are %s", word, KNOWN_NAMES));
    else
        fail_at(r, start, mem_format("expected a name: one of %s", KNOWN_NAMES));
    free(word);
    return false;
}

/* Between the braces: r->at is behind the opening ones, and behind the closing ones after. */
static bool read_expression(struct reader *r, struct part *p)
{
    const char *open = r->at - 2;
    skip_spaces(r);
    const char *start = r->at;
    if (!read_name(r, p))
        return false;
    const char *end = r->at;
    skip_spaces(r);
    if (skip_char(r, '|') && !read_default(r, p))
        return false;
    if (!*r->at)
        return fail_at(r, open, mem_format("this {{ is not closed by }}"));
    if (!at_end(r))
        return fail_at(r, r->at, mem_format("expected }} or \"| default: VALUE\""));
    r->at += 2;
    p->source = mem_string_n(start, (size_t)(end - start));
    return true;
}

/* ---- parts */

static void part_free(struct part *p)
{
    free((void *)p->text.data);
    free((void *)p->fallback.data);
    free(p->source);
    for (size_t i = 0; i < p->step_count; i++)
        free(p->steps[i].name);
    free(p->steps);
}

static void add_part(struct template *t, struct part p)
{
    t->parts = mem_resize(t->parts, (t->count + 1) * sizeof(p));
    t->parts[t->count++] = p;
}

static void add_literal(struct template *t, struct buf *literal)
{
    if (!literal->len)
        return;
    size_t len = literal->len;
    add_part(t, (struct part){ .kind = PART_LITERAL, .text = bytes_of(buf_take(literal), len) });
}

static bool read_parts(struct reader *r, struct template *t)
{
    CLEANUP(buf_free) struct buf literal = BUF_EMPTY;
    while (*r->at) {
        if (strncmp(r->at, "{{{{", 4) == 0) {
            buf_append_string(&literal, "{{");
            r->at += 4;
        } else if (strncmp(r->at, "{{", 2) == 0) {
            add_literal(t, &literal);
            r->at += 2;
            struct part p = { 0 };
            bool ok = read_expression(r, &p);
            add_part(t, p);
            if (!ok)
                return false;
        } else {
            buf_append_byte(&literal, (uint8_t)*r->at++);
        }
    }
    add_literal(t, &literal);
    return true;
}

struct template *template_compile(const char *text, char **error, size_t *error_offset)
{
    struct template *t = mem_zero(sizeof(*t));
    t->text = mem_string(text);
    struct reader r = { .text = t->text, .at = t->text };
    if (read_parts(&r, t))
        return t;
    *error = r.error;
    *error_offset = r.error_offset;
    template_free(t);
    return NULL;
}

void template_free(struct template *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        part_free(&t->parts[i]);
    free(t->parts);
    free(t->text);
    free(t);
}

const char *template_text(const struct template *t)
{
    return t->text;
}

struct bytes template_constant(const struct template *t)
{
    if (t->count == 0)
        return BYTES_LITERAL("");
    return t->count == 1 && t->parts[0].kind == PART_LITERAL ? t->parts[0].text : BYTES_NULL;
}

bool template_is_constant(const struct template *t)
{
    return template_constant(t).data;
}
