/* Option tables: one row describes a key once: its name, type, place in a struct, default, bounds and help. The reader, the
 * effective configuration (-T), the comparison for reloads and the manual's reference all work from the rows.
 *
 *   static const struct option options[] = {
 *       OPTION(struct stream_settings, group, OPTION_STRING, .required = true, .help = "consumer group"),
 *       OPTION(struct stream_settings, block, OPTION_DURATION, .fallback = "5s", .min = 1 * MSEC, .help = "…"),
 *       OPTION_END,
 *   };
 */
#pragma once

#include "config/document.h"

struct option_type;

struct option {
    const char *name; /* the key in the file */
    const struct option_type *type;
    size_t offset;             /* of the field in the settings struct */
    const char *fallback;      /* the default, in the file's own syntax (YAML flow); NULL: the field stays zero */
    const char *fallback_text; /* how the manual names a default that is computed, such as "host name" */
    const char *help;          /* one sentence for the manual: what it does, and its unit if any */
    bool required;
    int64_t min, max;           /* OPTION_INT, _DURATION (us), _SIZE (bytes); 0,0: no bounds but the type's own; max
                                   INT64_MAX, or 0 above a min: no upper one */
    const char *const *choices; /* OPTION_ENUM: NULL-terminated; the field is the index */
    const struct option *group; /* OPTION_GROUP, OPTION_GROUPS: the table of each map */
    size_t group_size;          /* sizeof its struct */
};

#define OPTION(struct_type, field, option_type_name, ...)                                              \
    {                                                                                                  \
        .name = #field, .type = &option_type_name, .offset = offsetof(struct_type, field), __VA_ARGS__ \
    }
/* The same where the key is no C name: OPTION_AS("max-length", struct s, max_length, OPTION_INT, …). */
#define OPTION_AS(key, struct_type, field, option_type_name, ...)                                   \
    {                                                                                               \
        .name = key, .type = &option_type_name, .offset = offsetof(struct_type, field), __VA_ARGS__ \
    }
#define OPTION_END   \
    {                \
        .name = NULL \
    }

/* Fields by type. Strings and the like belong to the settings struct and are released by options_free. */
struct string_list {
    char **items; /* NULL-terminated when count > 0 */
    size_t count;
};
struct string_pair {
    char *name, *value;
    bool typed; /* the value was written without quotes and reads as a number or as true or false */
    struct mark mark;
};
struct string_map {
    struct string_pair *items; /* in the file's order */
    size_t count;
};
struct groups {
    void *items; /* an array of count structs of group_size */
    size_t count;
};
struct range {
    int64_t low, high;
};

extern const struct option_type OPTION_BOOL, /* bool: true, false */
    OPTION_INT,                              /* int64_t */
    OPTION_STRING,                           /* char *: takes 2024 or true verbatim */
    OPTION_SECRET,                           /* char *: masked wherever it is printed */
    OPTION_ENUM,                             /* int: index into choices */
    OPTION_DURATION,                         /* int64_t, microseconds: 200ms 5s 1h 2d; the unit is required */
    OPTION_SIZE,                             /* int64_t, bytes: 512 (bytes), 64KiB, 1GiB, 10MB */
    OPTION_DURATION_RANGE,                   /* struct range: 200ms..30s */
    OPTION_STRINGS,                          /* struct string_list: a list of texts, or one text */
    OPTION_STRING_MAP,                       /* struct string_map: scalars only; numbers and booleans verbatim */
    OPTION_GROUP,                            /* the struct in place: a map */
    OPTION_GROUP_PTR,                        /* a pointer to one, NULL when not written */
    OPTION_GROUPS;                           /* struct groups: a list of maps */

/* A type. Modules make their own (templates do). All functions may assume a zeroed or read field. */
struct option_type {
    const char *name;     /* for the manual: "duration" */
    const char *expected; /* for errors: "a duration such as 200ms, 5s or 1h" */
    /* Reads node into field, which is zeroed; on an error says so in d (with the node's mark), leaves nothing to free and
     * returns false. */
    bool (*read)(const struct option *o, const struct node *n, void *field, struct diagnostics *d);
    /* YAML flow text of the value, secrets as "********". */
    void (*print)(const struct option *o, const void *field, struct buf *out);
    bool (*equal)(const struct option *o, const void *a, const void *b);
    void (*free)(const struct option *o, void *field);
};

/* For the print of custom types: a text as it stands in the file, quoted where needed; what is known to be secret is masked.
 * NULL prints nothing. */
void option_print_text(const char *text, struct buf *out);
/* What the row takes, for errors and the manual: its choices, or its type's `expected` and its bounds. */
void option_print_bounds(const struct option *o, struct buf *out);

/* Reads a map into settings (zeroed by the caller): defaults, then what is written, then what is required. Every problem is
 * told, none stops the reading. what: how errors name the map, "a redis stream source". Keys in known_elsewhere
 * (NULL-terminated, or NULL) are left to the caller. */
void options_read(const struct option *table, const struct node *map, void *settings, const char *what,
                  const char *const *known_elsewhere, struct diagnostics *d);
/* Only the defaults. */
void options_defaults(const struct option *table, void *settings);
/* "key: value" pairs that are not at their default (all: every one that has a value), as the body of a YAML flow or, with
 * indent >= 0, block map: then a line each, indented so far. */
void options_print(const struct option *table, const void *settings, int indent, bool all, struct buf *out);
bool options_equal(const struct option *table, const void *a, const void *b);
void options_free(const struct option *table, void *settings);

/* The single readers, for custom types. False without a word when the text is not that. */
bool parse_duration(const char *text, int64_t *us);
bool parse_size(const char *text, int64_t *bytes);
bool parse_int(const char *text, int64_t *value);
