/* Explains YAML's own errors: most come from a value that needed quotes, and libyaml's words never say so. */
#include "config/yaml.h"

#include "config/scalar.h"

#include <ctype.h>

const char *yaml_at(struct yaml_text *text, yaml_mark_t at)
{
    if (at.index < text->seen_index)
        text->seen_index = text->seen_offset = 0;
    const uint8_t *p = text->bytes.data + text->seen_offset, *end = text->bytes.data + text->bytes.len;
    while (text->seen_index < at.index && p < end) {
        do
            p++;
        while (p < end && (*p & 0xc0) == 0x80);
        text->seen_index++;
    }
    text->seen_offset = (size_t)(p - text->bytes.data);
    return (const char *)p;
}

struct mark yaml_mark(const struct yaml_text *text, yaml_mark_t at)
{
    return (struct mark){ text->name, (unsigned)at.line + 1, (unsigned)at.column + 1 };
}

bool yaml_check_bytes(struct yaml_text *text, struct diagnostics *d)
{
    const uint8_t *p = text->bytes.data, *end = p + text->bytes.len;
    struct mark at = { text->name, 1, 1 };
    while (p < end) {
        uint32_t c;
        if (!utf8_next(&p, end, &c)) {
            diagnostics_error(d, at, "found the byte 0x%02x, expected a text in UTF-8", *p);
            return false;
        }
        if (!yaml_allows(c)) {
            diagnostics_error(d, at,
                              "found the character U+%04X, which YAML does not allow; in \"quotes\" write \\u%04x",
                              (unsigned)c, (unsigned)c);
            return false;
        }
        at.column++;
        if (c == '\n' || (c == '\r' && (p == end || *p != '\n'))) {
            at.line++;
            at.column = 1;
        }
    }
    return true;
}

/* A cause found in a line: where it stands and what it is. */
struct cause {
    size_t column; /* bytes from the line's start */
    const char *what;
};

static const char *indicator_name(char c)
{
    switch (c) {
    case '*':
        return "a \"*\" begins the name of an alias";
    case '&':
        return "an \"&\" begins the name of an anchor";
    case '!':
        return "a \"!\" begins a tag";
    case '%':
        return "a \"%\" may not begin a value";
    case '@':
        return "an \"@\" may not begin a value";
    case '`':
        return "a \"`\" may not begin a value";
    case '|':
    case '>':
        return "a \"|\" or \">\" begins a text of several lines";
    default:
        return NULL;
    }
}

/* Whether a value can begin at line[i]: after "key: ", "- ", "[", "{" or ",". */
static bool begins_value(const char *line, size_t i)
{
    size_t before = i;
    while (before && line[before - 1] == ' ')
        before--;
    if (!before)
        return true;
    char c = line[before - 1];
    return c == '[' || c == '{' || c == ',' || (before < i && (c == ':' || c == '-'));
}

/* After the quote at line[i]: the place behind the closing one. */
static size_t skip_quoted(const char *line, size_t len, size_t i)
{
    char quote = line[i++];
    while (i < len && line[i] != quote)
        i += quote == '"' && line[i] == '\\' ? 2 : 1;
    return i < len ? i + 1 : len;
}

static bool find_cause(const char *line, size_t len, struct cause *cause)
{
    bool in_flow = false;
    size_t colons = 0, value = 0;
    for (size_t i = 0; i < len; i++) {
        bool begins = begins_value(line, i);
        if (begins && (line[i] == '"' || line[i] == '\'')) {
            i = skip_quoted(line, len, i) - 1;
            continue;
        }
        bool last = i + 1 == len;
        if (!last && line[i + 1] == '{' && (line[i] == '{' || (line[i] == '$' && in_flow))) {
            *cause = (struct cause){ i, line[i] == '{' ? "\"{{\" begins a map in a map"
                                                       : "the \"{\" of \"${\" begins a map" };
            return true;
        }
        if (begins && indicator_name(line[i])) {
            *cause = (struct cause){ i, indicator_name(line[i]) };
            return true;
        }
        if (line[i] == ':' && (last || line[i + 1] == ' ')) {
            if (++colons == 2 && !in_flow) {
                *cause = (struct cause){ value, "a \": \" in a value begins another key" };
                return true;
            }
            for (value = i + 1; value < len && line[value] == ' ';)
                value++;
        }
        if (line[i] == '#' && i && line[i - 1] == ' ')
            break;
        in_flow = in_flow || line[i] == '{' || line[i] == '[';
    }
    return false;
}

static size_t characters(const char *from, size_t bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)from[i] & 0xc0) != 0x80;
    return n;
}

static bool hint_at_line(struct yaml_text *text, yaml_mark_t at, struct diagnostics *d)
{
    const char *start = (const char *)text->bytes.data, *here = yaml_at(text, at);
    while (here > start && here[-1] != '\n')
        here--;
    struct cause cause;
    size_t len = strcspn(here, "\r\n");
    if (!find_cause(here, len, &cause))
        return false;
    struct mark mark = { text->name, (unsigned)at.line + 1, (unsigned)characters(here, cause.column) + 1 };
    diagnostics_error(d, mark, "%s; quote this value", cause.what);
    return true;
}

void yaml_explain(struct yaml_text *text, const yaml_parser_t *parser, struct diagnostics *d)
{
    yaml_mark_t at = parser->problem_mark;
    bool has_context = parser->context && parser->error != YAML_READER_ERROR;
    /* An undefined alias is marked at its start; what follows a broken value is marked later, often on the next line. */
    if (hint_at_line(text, at, d))
        return;
    if (has_context && parser->context_mark.line != at.line && hint_at_line(text, parser->context_mark, d))
        return;
    /* At the end of the file it is the beginning of what never ended that helps. */
    bool ended = !*yaml_at(text, at) && has_context;
    struct mark mark = yaml_mark(text, ended ? parser->context_mark : at);
    if (*yaml_at(text, at) == '\t') {
        diagnostics_error(d, mark, "found a tab; YAML is indented with spaces");
        return;
    }
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    if (ended)
        diagnostics_error(d, mark, "%s %s that begins here", problem, parser->context);
    else if (has_context)
        diagnostics_error(d, mark, "%s %s that begins at %zu:%zu", problem, parser->context,
                          parser->context_mark.line + 1, parser->context_mark.column + 1);
    else
        diagnostics_error(d, mark, "%s", problem);
}
