/* Random templates render what a model says; random text compiles or is refused at a place inside of it, and never more.
 * FERRY_SEED=n runs one case. */
#include "base/mem.h"
#include "base/random.h"
#include "message/template.h"
#include "support/seeds.h"

#include <stdio.h>

/* The names that templates may have here, and what they stand for in the message below; NULL: nothing. */
static const struct {
    const char *source, *value;
} names[] = {
    { "id", "7-0" },
    { "key", "the key" },
    { "header(\"a\")", "2" },
    { "header('a')", "2" },
    { "headers(\"a\")", "1,2" },
    { "header(\"n\")", NULL },
    { "headers(\"n\")", NULL },
    { "header(\"none\")", NULL },
    { "meta(\"queue\")", "orders" },
    { "meta(\"partition\")", NULL },
    { "json.a", "x" },
    { "json.b[1].c", "2.5" },
    { "json.b", "[1,{\"c\":2.5}]" },
    { "json[\"b\"][0]", "1" },
    { "json.n", NULL },
    { "json.b[9]", NULL },
    { "json.\"q \\\" d\"", "true" },
    { "payload", "{\"a\":\"x\",\"b\":[1,{\"c\":2.5}],\"n\":null,\"q \\\" d\":true}" },
};
/* One brace that opens must not stand before two: that would be another template. */
static const char *const literals[] = { "orders.", "}", "}}", "{.", "\xc3\xa9", "a b", "|", "\"", "." };
static const char *const spaces[] = { "", " ", "\t", "  " };

static struct message *make_message(void)
{
    static const struct origin origin = { "rabbitmq queue", "", "orders", -1 };
    struct message *m = message_new();
    m->origin = &origin;
    m->id = (const uint8_t *)"7-0";
    m->id_len = 3;
    message_set_key(m, BYTES_LITERAL("the key"));
    message_set_payload(m, bytes_of_string(names[ARRAY_LEN(names) - 1].value));
    m->headers = headers_new(3);
    m->headers->items[0] = (struct header){ BYTES_LITERAL("a"), BYTES_LITERAL("1"), HEADER_BYTES };
    m->headers->items[1] = (struct header){ BYTES_LITERAL("n"), BYTES_NULL, HEADER_NULL };
    m->headers->items[2] = (struct header){ BYTES_LITERAL("a"), BYTES_LITERAL("2"), HEADER_BYTES };
    headers_seal(m->headers);
    return m;
}

/* Appends a name in braces to text and its value to expected; false when it has none. */
static bool random_expression(struct buf *text, struct buf *expected)
{
    size_t i = random_below(ARRAY_LEN(names));
    const char *value = names[i].value;
    buf_printf(text, "{{%s%s%s", spaces[random_below(4)], names[i].source, spaces[random_below(4)]);
    if (random_below(3) == 0) {
        static const char *const defaults[][2] = { { "x y", "x y" }, { "\"\"", "" }, { "'}}'", "}}" }, { "0", "0" } };
        const char *const *d = defaults[random_below(4)];
        buf_printf(text, "|%sdefault%s:%s%s%s", spaces[random_below(4)], spaces[random_below(4)],
                   spaces[random_below(4)], d[0], spaces[random_below(4)]);
        value = value ? value : d[1];
    }
    buf_append_string(text, "}}");
    if (value)
        buf_append_string(expected, value);
    return value;
}

static bool renders_as_the_model(const struct message *m)
{
    CLEANUP(buf_free) struct buf text = BUF_EMPTY, expected = BUF_EMPTY, out = BUF_EMPTY;
    bool has_value = true;
    for (uint64_t i = random_below(6); i > 0; i--) {
        if (random_below(2)) {
            has_value = random_expression(&text, &expected) && has_value;
        } else if (random_below(4) == 0) {
            buf_append_string(&text, "{{{{");
            buf_append_string(&expected, "{{");
        } else {
            const char *literal = literals[random_below(ARRAY_LEN(literals))];
            buf_append_string(&text, literal);
            buf_append_string(&expected, literal);
        }
    }
    char *error = NULL;
    size_t offset;
    struct template *t = template_compile(buf_string(&text), &error, &offset);
    if (!t) {
        fprintf(stderr, "%s: %s\n", buf_string(&text), error);
        free(error);
        return false;
    }
    const char *why = NULL;
    struct bytes peeked;
    bool ok = template_render(t, m, &out, &why);
    bool good = ok == has_value && (ok || why) &&
                bytes_equal(buf_bytes(&out), has_value ? buf_bytes(&expected) : BYTES_LITERAL(""));
    if (template_peek(t, m, &peeked))
        good = good && bytes_equal(peeked, has_value ? buf_bytes(&expected) : BYTES_NULL);
    if (template_is_constant(t))
        good = good && bytes_equal(template_constant(t), buf_bytes(&expected));
    good = good && strcmp(template_text(t), buf_string(&text)) == 0;
    if (!good)
        fprintf(stderr, "%s: \"%s\", not \"%s\"\n", buf_string(&text), buf_string(&out), buf_string(&expected));
    template_free(t);
    return good;
}

static bool refuses_inside(const struct message *m)
{
    static const char *const pieces[] = { "{{",     "}}", "{",       "}",          "id", "key", "json", ".",
                                          "[",      "]",  "0",       "9999999999", "\"", "'",   "(",    ")",
                                          "header", "|",  "default", ":",          " ",  "\\",  "a",    "\xff" };
    CLEANUP(buf_free) struct buf text = BUF_EMPTY, out = BUF_EMPTY;
    for (uint64_t i = random_below(12); i > 0; i--)
        buf_append_string(&text, pieces[random_below(ARRAY_LEN(pieces))]);
    char *error = NULL;
    size_t offset = 0;
    struct template *t = template_compile(buf_string(&text), &error, &offset);
    if (!t) {
        bool good = error && *error && offset <= text.len;
        free(error);
        return good;
    }
    const char *why = NULL;
    bool good = template_render(t, m, &out, &why) || why;
    template_free(t);
    return good;
}

static struct message *message;

static bool play(uint64_t seed)
{
    (void)seed; /* the numbers that are drawn */
    return renders_as_the_model(message) && refuses_inside(message);
}

int main(void)
{
    message = make_message();
    int status = seeds_play(20000, play);
    message_unref(message);
    return status;
}
