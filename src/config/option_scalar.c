/* The option types of one word: flags, numbers, texts, choices, durations, sizes, ranges. */
#include "config/option.h"

#include "config/scalar.h"
#include "config/secret.h"

#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>

/* ---- the single readers */

bool parse_int(const char *text, int64_t *value)
{
    bool negative = *text == '-';
    text += negative;
    if (!isdigit((unsigned char)*text))
        return false;
    int64_t v = 0; /* counts downwards: the least number has no positive twin */
    for (; isdigit((unsigned char)*text); text++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *text - '0', &v))
            return false;
    if (*text || (!negative && __builtin_mul_overflow(v, -1, &v)))
        return false;
    *value = v;
    return true;
}

struct unit {
    const char *name;
    int64_t size;
};

/* "1.5 GiB": a number, with decimals when the result is whole, and a unit. */
static bool parse_in_units(const char *text, const struct unit *units, int64_t *value)
{
    if (!isdigit((unsigned char)*text))
        return false;
    int64_t number = 0, scale = 1;
    bool decimals = false;
    for (;; text++) {
        if (*text == '.' && !decimals && isdigit((unsigned char)text[1])) {
            decimals = true;
            continue;
        }
        if (!isdigit((unsigned char)*text))
            break;
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *text - '0', &number) ||
            (decimals && __builtin_mul_overflow(scale, 10, &scale)))
            return false;
    }
    text += *text == ' ';
    for (; units->name; units++) {
        if (strcmp(text, units->name) != 0)
            continue;
        if (__builtin_mul_overflow(number, units->size, &number) || number % scale)
            return false;
        *value = number / scale;
        return true;
    }
    return false;
}

bool parse_duration(const char *text, int64_t *us)
{
    static const struct unit units[] = {
        { "us", 1 },       { "ms", 1000 },      { "s", 1000000 },
        { "m", 60000000 }, { "h", 3600000000 }, { "d", 86400 * 1000000ll },
        { NULL, 0 },
    };
    return parse_in_units(text, units, us);
}

bool parse_size(const char *text, int64_t *bytes)
{
    static const struct unit units[] = {
        { "", 1 },
        { "B", 1 },
        { "KiB", 1 << 10 },
        { "MiB", 1 << 20 },
        { "GiB", 1 << 30 },
        { "kB", 1000 },
        { "KB", 1000 },
        { "MB", 1000000 },
        { "GB", 1000000000 },
        { "TiB", 1ll << 40 },
        { "TB", 1000000000000 },
        { NULL, 0 },
    };
    return parse_in_units(text, units, bytes);
}

/* ---- shared by the types */

/* The text of a scalar that has one, NULL otherwise. Types are told apart by the table, so that quotes make no
 * difference: in { } an interpolated number must be quoted. */
static const char *word(const struct node *n)
{
    return n->type == NODE_SCALAR && strlen(n->text) == n->len ? n->text : NULL;
}

static bool wrong(const struct option *o, const struct node *n, struct diagnostics *d, const char *expected,
                  const char *suggestion)
{
    diagnostics_error(d, n->mark, "%s: expected %s, found %s%s%s", o->name, expected, node_describe(n),
                      suggestion ? "; " : "", suggestion ? suggestion : "");
    return false;
}

static bool has_bounds(const struct option *o)
{
    return o->min || o->max;
}

static bool has_upper_bound(const struct option *o)
{
    return o->max != INT64_MAX && !(o->max == 0 && o->min > 0);
}

static bool check_bounds(const struct option *o, const struct node *n, int64_t value, struct diagnostics *d)
{
    if (!has_bounds(o) || (value >= o->min && (value <= o->max || !has_upper_bound(o))))
        return true;
    CLEANUP(buf_free) struct buf expected = BUF_EMPTY;
    option_print_bounds(o, &expected);
    return wrong(o, n, d, buf_string(&expected), NULL);
}

static bool equal_int64(const struct option *o, const void *a, const void *b)
{
    (void)o;
    return *(const int64_t *)a == *(const int64_t *)b;
}

static void free_nothing(const struct option *o, void *field)
{
    (void)o;
    (void)field;
}

/* ---- bool */

static bool read_bool(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    static const char *const truths[] = { "yes", "Yes", "YES", "on", "On", "ON", "True", "TRUE", "y", "1", NULL };
    static const char *const lies[] = { "no", "No", "NO", "off", "Off", "OFF", "False", "FALSE", "n", "0", NULL };
    const char *text = word(n);
    if (text && (!strcmp(text, "true") || !strcmp(text, "false"))) {
        *(bool *)field = *text == 't';
        return true;
    }
    const char *suggestion = NULL;
    for (size_t i = 0; text && truths[i]; i++)
        suggestion = !strcmp(text, truths[i]) ? "write true" : !strcmp(text, lies[i]) ? "write false" : suggestion;
    return wrong(o, n, d, "true or false", suggestion);
}

static void print_bool(const struct option *o, const void *field, struct buf *out)
{
    (void)o;
    buf_append_string(out, *(const bool *)field ? "true" : "false");
}

static bool equal_bool(const struct option *o, const void *a, const void *b)
{
    (void)o;
    return *(const bool *)a == *(const bool *)b;
}

const struct option_type OPTION_BOOL = {
    "bool", "true or false", read_bool, print_bool, equal_bool, free_nothing,
};

/* ---- whole numbers */

static bool read_int(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    int64_t value;
    if (!word(n) || !parse_int(word(n), &value)) {
        CLEANUP(buf_free) struct buf expected = BUF_EMPTY;
        option_print_bounds(o, &expected);
        return wrong(o, n, d, buf_string(&expected), NULL);
    }
    if (!check_bounds(o, n, value, d))
        return false;
    *(int64_t *)field = value;
    return true;
}

static void print_int(const struct option *o, const void *field, struct buf *out)
{
    (void)o;
    buf_printf(out, "%lld", (long long)*(const int64_t *)field);
}

const struct option_type OPTION_INT = {
    "number", "a whole number", read_int, print_int, equal_int64, free_nothing,
};

/* ---- texts */

static bool read_string(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    const char *text = word(n);
    if (!text || n->missing)
        return wrong(o, n, d, o->type->expected, n->type == NODE_MAP && n->flow ? "quote this value" : NULL);
    if (n->plain && yaml_is_null(text))
        return wrong(o, n, d, o->type->expected, "leave the key out, or quote this value");
    *(char **)field = mem_string(text);
    return true;
}

static void print_string(const struct option *o, const void *field, struct buf *out)
{
    (void)o;
    option_print_text(*(char *const *)field, out);
}

static bool equal_string(const struct option *o, const void *a, const void *b)
{
    (void)o;
    return bytes_equal(bytes_of_string(*(char *const *)a), bytes_of_string(*(char *const *)b));
}

static void free_string(const struct option *o, void *field)
{
    (void)o;
    free(*(char **)field);
    *(char **)field = NULL;
}

const struct option_type OPTION_STRING = {
    "text", "a text", read_string, print_string, equal_string, free_string,
};

static void print_secret(const struct option *o, const void *field, struct buf *out)
{
    (void)o;
    if (*(char *const *)field)
        buf_append_string(out, "'" SECRET_MASK "'");
}

/* What is found in place of a secret may be one: errors do not show it. */
static bool read_secret(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    struct node hidden = *n;
    hidden.secret = n->type == NODE_SCALAR && !n->missing;
    return read_string(o, &hidden, field, d);
}

const struct option_type OPTION_SECRET = {
    "secret", "a text", read_secret, print_secret, equal_string, free_string,
};

/* ---- choices */

static bool read_enum(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    const char *text = word(n);
    for (int i = 0; text && o->choices[i]; i++) {
        if (strcmp(text, o->choices[i]) == 0) {
            *(int *)field = i;
            return true;
        }
    }
    CLEANUP(buf_free) struct buf expected = BUF_EMPTY, suggestion = BUF_EMPTY;
    option_print_bounds(o, &expected);
    const char *nearest = text ? text_nearest(text, o->choices) : NULL;
    if (nearest)
        buf_printf(&suggestion, "did you mean \"%s\"?", nearest);
    return wrong(o, n, d, buf_string(&expected), nearest ? buf_string(&suggestion) : NULL);
}

static void print_enum(const struct option *o, const void *field, struct buf *out)
{
    yaml_print(bytes_of_string(o->choices[*(const int *)field]), true, out);
}

static bool equal_enum(const struct option *o, const void *a, const void *b)
{
    (void)o;
    return *(const int *)a == *(const int *)b;
}

const struct option_type OPTION_ENUM = {
    "choice", "one of a few words", read_enum, print_enum, equal_enum, free_nothing,
};

/* ---- durations and sizes */

static bool read_quantity(const struct option *o, const struct node *n, void *field, struct diagnostics *d,
                          bool (*parse)(const char *, int64_t *), const char *number_hint)
{
    int64_t value, number;
    if (word(n) && parse(word(n), &value)) {
        if (!check_bounds(o, n, value, d))
            return false;
        *(int64_t *)field = value;
        return true;
    }
    bool is_number = word(n) && parse_int(word(n), &number);
    return wrong(o, n, d, o->type->expected, is_number ? number_hint : NULL);
}

static bool read_duration(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    return read_quantity(o, n, field, d, parse_duration, "add the unit: us, ms, s, m, h or d");
}

static bool read_size(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    return read_quantity(o, n, field, d, parse_size, NULL);
}

static void print_duration(const struct option *o, const void *field, struct buf *out)
{
    (void)o;
    text_duration(out, *(const int64_t *)field);
}

static void print_size(const struct option *o, const void *field, struct buf *out)
{
    (void)o;
    text_size(out, (uint64_t) * (const int64_t *)field);
}

const struct option_type OPTION_DURATION = {
    "duration", "a duration such as 200ms, 5s or 1h", read_duration, print_duration, equal_int64, free_nothing,
};

const struct option_type OPTION_SIZE = {
    "size", "a size such as 512, 64KiB or 1GiB", read_size, print_size, equal_int64, free_nothing,
};

static bool read_range(const struct option *o, const struct node *n, void *field, struct diagnostics *d)
{
    struct range r;
    const char *text = word(n), *dots = text ? strstr(text, "..") : NULL;
    char *low = dots ? mem_string_n(text, (size_t)(dots - text)) : NULL;
    bool ok = dots && parse_duration(low, &r.low) && parse_duration(dots + 2, &r.high);
    free(low);
    if (!ok)
        return wrong(o, n, d, o->type->expected, NULL);
    if (r.low > r.high)
        return wrong(o, n, d, o->type->expected, "the smaller one stands first");
    if (!check_bounds(o, n, r.low, d) || !check_bounds(o, n, r.high, d))
        return false;
    *(struct range *)field = r;
    return true;
}

static void print_range(const struct option *o, const void *field, struct buf *out)
{
    (void)o;
    const struct range *r = field;
    text_duration(out, r->low);
    buf_append_string(out, "..");
    text_duration(out, r->high);
}

static bool equal_range(const struct option *o, const void *a, const void *b)
{
    (void)o;
    const struct range *x = a, *y = b;
    return x->low == y->low && x->high == y->high;
}

const struct option_type OPTION_DURATION_RANGE = {
    "durations a..b", "two durations such as 200ms..30s", read_range, print_range, equal_range, free_nothing,
};

/* ---- what a row takes, in words */

static void print_bound(const struct option *o, int64_t value, struct buf *out)
{
    if (o->type == &OPTION_SIZE)
        text_size(out, (uint64_t)value);
    else if (o->type == &OPTION_INT)
        buf_printf(out, "%lld", (long long)value);
    else
        text_duration(out, value);
}

void option_print_bounds(const struct option *o, struct buf *out)
{
    if (o->type == &OPTION_ENUM) {
        for (size_t i = 0; o->choices[i]; i++)
            buf_printf(out, "%s%s", !i ? "" : o->choices[i + 1] ? ", " : " or ", o->choices[i]);
        return;
    }
    buf_append_string(out, o->type->expected);
    if (!has_bounds(o))
        return;
    if (!has_upper_bound(o)) {
        buf_append_string(out, o->type == &OPTION_INT ? " of at least " : ", at least ");
        print_bound(o, o->min, out);
        return;
    }
    buf_append_string(out, o->type == &OPTION_INT ? " from " : ", from ");
    print_bound(o, o->min, out);
    buf_append_string(out, " to ");
    print_bound(o, o->max, out);
}
