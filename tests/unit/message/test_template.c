/* Tests templates: what they render, what they refuse and where, and that the JSON cache never answers for another. */
#include "message/template.h"

#include "base/mem.h"
#include "support/suite.h"

#include <check.h>

static const struct origin origin = { "redis stream", "cache", "orders", -1 };
static struct message *m;

#define PAYLOAD                                                                                                                  \
    "{\"region\":\"eu\",\"total\":0.1,\"whole\":2.0,\"n\":-7,\"ok\":true,\"no\":null,\"items\":[{\"id\":\"a\"},{\"id\":\"b\"}]," \
    "\"a b\":{\"c\\\"d\":1},\"q\":\"say \\\"hi\\\"\",\"empty\":\"\"}"

static void setup(void)
{
    m = message_new();
    m->origin = &origin;
    m->id = (const uint8_t *)"17-0";
    m->id_len = 4;
    message_set_payload(m, BYTES_LITERAL(PAYLOAD));
    message_set_key(m, BYTES_LITERAL("k1"));
    m->headers = headers_new(4);
    m->headers->items[0] = (struct header){ BYTES_LITERAL("type"), BYTES_LITERAL("old"), HEADER_BYTES };
    m->headers->items[1] = (struct header){ BYTES_LITERAL("type"), BYTES_NULL, HEADER_NULL };
    m->headers->items[2] = (struct header){ BYTES_LITERAL("type"), BYTES_LITERAL("new"), HEADER_BYTES };
    m->headers->items[3] = (struct header){ BYTES_LITERAL("none"), BYTES_NULL, HEADER_NULL };
    headers_seal(m->headers);
}

static void teardown(void)
{
    message_unref(m);
}

static struct template *compile(const char *text)
{
    char *error = NULL;
    size_t offset;
    struct template *t = template_compile(text, &error, &offset);
    ck_assert_msg(t, "%s: %s", text, error);
    return t;
}

/* What the template renders; error: whether it should fail, with this in the reason. */
static void assert_renders(const char *text, const char *expected, const char *error)
{
    struct template *t = compile(text);
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    buf_append_string(&out, ">");
    const char *why = NULL;
    bool ok = template_render(t, m, &out, &why);
    ck_assert_msg(ok == !error, "%s: %s", text, ok ? buf_string(&out) : why);
    if (error)
        ck_assert_msg(strstr(why, error), "%s: \"%s\" does not say \"%s\"", text, why, error);
    ck_assert_msg(strcmp(buf_string(&out) + 1, error ? "" : expected) == 0, "%s: %s", text, buf_string(&out));
    template_free(t);
}

START_TEST(test_what_renders)
{
    static const char *const rows[][2] = {
        { "", "" },
        { "plain } text", "plain } text" },
        { "{{{{ key }}", "{{ key }}" },
        { "{{ id }}/{{key}}", "17-0/k1" },
        { "orders.{{ json.region }}", "orders.eu" },
        { "{{ header(\"type\") }}", "new" },
        { "{{ headers('type') }}", "old,new" },
        { "{{ meta(\"stream\") }} {{ meta(\"kind\") }}", "orders redis stream" },
        { "{{ header(\"none\") | default: x }}", "x" },
        { "{{ header(\"gone\") | default: a b }}.", "a b." },
        { "{{ headers(\"none\") | default: \"a \\\" }} b\" }}", "a \" }} b" },
        { "{{ header(\"gone\") | default: '' }}", "" },
        { "{{ json.total }} {{ json.whole }} {{ json.n }} {{ json.ok }}", "0.1 2.0 -7 true" },
        { "{{ json.items[1].id }}{{ json.items }}", "b[{\"id\":\"a\"},{\"id\":\"b\"}]" },
        { "{{ json.\"a b\".'c\"d' }}{{ json[\"a b\"] }}", "1{\"c\\\"d\":1}" },
        { "{{ json.q }}", "say \"hi\"" },
        { "{{ json.empty }}", "" },
        { "{{ json.no | default: nothing }}", "nothing" },
        { "{{ json.items[2] | default: 0 }}{{ json.region.x | default: 1 }}", "01" },
        { "{{ payload }}", PAYLOAD },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_renders(rows[i][0], rows[i][1], NULL);
    assert_renders("{{ json.gone }}", NULL, "json.gone }}: has no value");
    assert_renders("x{{ json.no }}", NULL, "has no value");
    assert_renders("x{{ header(\"gone\") }}", NULL, "header(\"gone\")");
    assert_renders("{{ header(\"none\") }}", NULL, "has no value");
    assert_renders("{{ meta(\"queue\") }}", NULL, "has no value");
}
END_TEST

START_TEST(test_payloads_that_are_no_json)
{
    message_set_payload(m, BYTES_LITERAL("{\"a\":"));
    assert_renders("{{ json.a | default: x }}", NULL, "not JSON");
    message_set_payload(m, BYTES_LITERAL(""));
    assert_renders("{{ json.a }}", NULL, "not JSON");
    message_set_payload(m, BYTES_LITERAL("\"text\""));
    assert_renders("{{ json }}", "text", NULL);
    message_set_payload(m, BYTES_NULL);
    assert_renders("{{ json.a }}", NULL, "has no value");
    assert_renders("{{ json.a | default: x }}", "x", NULL);
    assert_renders("{{ payload }}", NULL, "has no value");
}
END_TEST

START_TEST(test_what_does_not_compile)
{
    static const struct {
        const char *text, *error;
        size_t offset;
    } rows[] = {
        { "a{{ key", "not closed", 1 },
        { "{{ }}", "expected a name", 3 },
        { "{{{ key }}", "expected a name", 2 },
        { "x {{ kye }}", "unknown name \"kye\"", 5 },
        { "{{ key.x }}", "expected }}", 6 },
        { "{{ header }}", "header(\"NAME\")", 10 },
        { "{{ header(type) }}", "quoted name", 10 },
        { "{{ header(\"type }}", "quote is not closed", 10 },
        { "{{ header(\"type\" }}", "expected )", 17 },
        { "{{ json.items[x] }}", "[INDEX]", 13 },
        { "{{ json.items[1 }}", "expected ]", 13 },
        { "{{ json. }}", "name after the dot", 8 },
        { "{{ key | upper }}", "default", 7 },
        { "{{ key | default x }}", "default", 7 },
        { "{{ key | default: }}", "empty one is written ''", 7 },
        { "{{ key | default: 'x' y }}", "expected }}", 22 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *error = NULL;
        size_t offset = 0;
        ck_assert_msg(!template_compile(rows[i].text, &error, &offset), "%s", rows[i].text);
        ck_assert_msg(strstr(error, rows[i].error), "%s: %s", rows[i].text, error);
        ck_assert_msg(offset == rows[i].offset, "%s: %zu is not %zu", rows[i].text, offset, rows[i].offset);
        free(error);
    }
}
END_TEST

START_TEST(test_constants)
{
    struct template *t = compile("orders{{{{");
    ck_assert(template_is_constant(t));
    ck_assert(bytes_is(template_constant(t), "orders{{"));
    ck_assert_str_eq(template_text(t), "orders{{{{");
    template_free(t);
    t = compile("");
    ck_assert(template_is_constant(t) && template_constant(t).len == 0);
    template_free(t);
    t = compile("o{{ key }}");
    ck_assert(!template_is_constant(t) && !template_constant(t).data);
    template_free(t);
}
END_TEST

START_TEST(test_peeking)
{
    static const struct {
        const char *text, *value; /* NULL: NULL bytes */
        bool simple;
    } rows[] = {
        { "", "", true },
        { "orders", "orders", true },
        { "{{ key }}", "k1", true },
        { "{{ id }}", "17-0", true },
        { "{{ header(\"type\") }}", "new", true },
        { "{{ header(\"gone\") }}", NULL, true },
        { "{{ header(\"gone\") | default: x }}", "x", true },
        { "{{ meta(\"stream\") }}", "orders", true },
        { "{{ json.region }}", NULL, false },
        { "{{ headers(\"type\") }}", NULL, false },
        { "{{ key }}.", NULL, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct template *t = compile(rows[i].text);
        struct bytes value = BYTES_NULL;
        ck_assert_msg(template_peek(t, m, &value) == rows[i].simple, "%s", rows[i].text);
        ck_assert_msg(bytes_equal(value, bytes_of_string(rows[i].value)), "%s", rows[i].text);
        template_free(t);
    }
    m->flags = MESSAGE_ID_POSITION;
    struct template *t = compile("{{ id }}");
    struct bytes value;
    ck_assert(!template_peek(t, m, &value)); /* written when asked for: there is nothing to point at */
    template_free(t);
}
END_TEST

/* The pool hands the same address out again, and a buffer may come back at the same address, too. */
START_TEST(test_the_cache_never_answers_for_another)
{
    char text[] = "{\"a\":1}";
    struct template *t = compile("{{ json.a }}");
    struct message *before = NULL;
    for (int i = 1; i < 9; i++) {
        text[5] = (char)('0' + i);
        struct message *one = message_new();
        ck_assert(!before || one == before);
        before = one;
        message_set_payload(one, bytes_of_string(text));
        CLEANUP(buf_free) struct buf out = BUF_EMPTY;
        const char *why;
        ck_assert(template_render(t, one, &out, &why));
        ck_assert_int_eq(buf_string(&out)[0], '0' + i);
        message_unref(one);
    }
    template_free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("template");
    TCase *cases = tcase_create("template");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, test_what_renders);
    tcase_add_test(cases, test_payloads_that_are_no_json);
    tcase_add_test(cases, test_what_does_not_compile);
    tcase_add_test(cases, test_constants);
    tcase_add_test(cases, test_peeking);
    tcase_add_test(cases, test_the_cache_never_answers_for_another);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
