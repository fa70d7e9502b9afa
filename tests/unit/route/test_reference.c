/* Every key of the real tables is explained and sound: it has help, its default reads, its name is said once, a selector is a
 * key of its kind. What fails here would be missing from ferry.yaml(5), or stop the daemon at its start. */
#include "base/mem.h"
#include "route/settings.h"
#include "support/suite.h"

#include <check.h>

static const char *title;
static unsigned sections, keys;

static void check_table(const struct option *table)
{
    for (const struct option *o = table; o && o->name; o++) {
        size_t len = o->help ? strlen(o->help) : 0;
        keys++;
        ck_assert_msg(len, "%s: the key \"%s\" has no help", title, o->name);
        ck_assert_msg(o->help[len - 1] != '.', "%s: the help of \"%s\" ends with a full stop", title, o->name);
        ck_assert_msg(!(o->required && o->fallback), "%s: \"%s\" is required and has a default", title, o->name);
        ck_assert_msg((o->type == &OPTION_ENUM) == (o->choices != NULL), "%s: choices of \"%s\"", title, o->name);
        ck_assert_msg(!o->group || o->group_size || o->type == &OPTION_GROUP, "%s: no group_size of \"%s\"", title,
                      o->name);
        for (const struct option *other = table; other != o; other++)
            ck_assert_msg(strcmp(o->name, other->name) != 0, "%s: \"%s\" is there twice", title, o->name);
        check_table(o->group);
    }
}

static void visit(void *arg, const struct settings_section *s)
{
    (void)arg;
    title = s->title ? s->title : s->heading;
    sections++;
    ck_assert_msg(s->help && *s->help, "section %s has no help", title);
    check_table(s->table);
    check_table(s->keys);
}

START_TEST(every_key_is_explained)
{
    settings_each_section(visit, NULL);
    ck_assert_uint_gt(sections, 5);
    ck_assert_uint_gt(keys, 20);
}
END_TEST

/* Defaults that do not read abort. */
static void check_defaults(const struct option *table, size_t size)
{
    void *settings = mem_zero(size), *same = mem_zero(size);
    options_defaults(table, settings);
    options_defaults(table, same);
    ck_assert(options_equal(table, settings, same));
    CLEANUP(buf_free) struct buf out = BUF_EMPTY;
    options_print(table, settings, 0, true, &out);
    options_free(table, settings);
    options_free(table, same);
    free(settings);
    free(same);
}

static bool has_key(const struct option *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return true;
    return false;
}

static bool connects(const char *transport)
{
    for (size_t i = 0; connection_kinds[i]; i++)
        if (strcmp(connection_kinds[i]->transport, transport) == 0)
            return true;
    return false;
}

START_TEST(every_kind_is_sound)
{
    for (size_t i = 0; connection_kinds[i]; i++) {
        ck_assert_msg(has_key(connection_kinds[i]->options, "url"), "%s has no url", connection_kinds[i]->transport);
        check_defaults(connection_kinds[i]->options, connection_kinds[i]->settings_size);
    }
    for (size_t i = 0; source_kinds[i]; i++) {
        const struct source_kind *k = source_kinds[i];
        ck_assert_msg(!connects(k->transport) || has_key(k->options, k->selector), "%s: its selector is no key",
                      k->name);
        ck_assert_msg(!has_key(k->options, "key"), "%s: every source has a \"key\" already", k->name);
        check_defaults(k->options, k->settings_size);
    }
    for (size_t i = 0; sink_kinds[i]; i++) {
        const struct sink_kind *k = sink_kinds[i];
        ck_assert_msg(!connects(k->transport) || has_key(k->options, k->selector), "%s: its selector is no key",
                      k->name);
        check_defaults(k->options, k->settings_size);
    }
}
END_TEST

START_TEST(the_reference_is_printed)
{
    CLEANUP(buf_free) struct buf markdown = BUF_EMPTY, troff = BUF_EMPTY;
    settings_reference(true, &markdown);
    settings_reference(false, &troff);
    ck_assert_ptr_nonnull(strstr(buf_string(&markdown), "| `limits.in_flight` |"));
    ck_assert_ptr_nonnull(strstr(buf_string(&troff), ".SS redis stream\n"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reference");
    TCase *c = tcase_create("reference");
    tcase_add_test(c, every_key_is_explained);
    tcase_add_test(c, every_kind_is_sound);
    tcase_add_test(c, the_reference_is_printed);
    suite_add_tcase(s, c);
    return suite_run(s);
}
