/*
 * jr - reads JSON (parsed by jansson) through a table of fields into a struct.
 *
 * Refuses what API.md section 1 refuses: bad UTF-8, NUL, repeated members, unknown members, wrong
 * types, fractions or exponents where an integer is wanted, nesting over 16. The first fault is
 * described: the path of the member ("files[2].content_length") and a sentence.
 * The texts in the filled struct are copies in the arena.
 */
#ifndef PRESIGND_JSON_READ_H
#define PRESIGND_JSON_READ_H

#include <jansson.h>

#include "presignd/arena.h"

enum jr_type {
    JR_STR,        /* struct str */
    JR_INT,        /* int64_t within [min, max] */
    JR_BOOL,       /* bool */
    JR_ENUM,       /* int: index into `words` (NULL-terminated) */
    JR_OBJECT,     /* the struct of `sub`, embedded at offset */
    JR_OPT_OBJECT, /* a pointer to the struct of `sub`, NULL when absent */
    JR_LIST,       /* struct jr_list of elements of `sub` */
    JR_STRS,       /* struct jr_strs */
    JR_MAP,        /* struct jr_list of `sub` elements whose first member is `struct str name` */
    JR_PAIRS,      /* struct jr_pairs: object of strings */
    JR_ANY,        /* json_t *, borrowed from the parsed document */
};

/*
 * A null counts as absent unless the field is required. JR_NULL_OK with JR_REQUIRED: the member must
 * be there, but may be null. JR_NOT_EMPTY is about the text, or about the list, map or pairs.
 */
enum { JR_REQUIRED = 1, JR_NOT_EMPTY = 2, JR_NULL_OK = 4 };

struct jr_list {
    void *items;
    size_t n;
};

struct jr_strs {
    struct str *items;
    size_t n;
};

struct jr_pair {
    struct str name;
    struct str value;
};

struct jr_pairs {
    struct jr_pair *items;
    size_t n;
};

struct jr_table;

struct jr_field {
    const char *name;
    enum jr_type type;
    size_t offset;
    unsigned flags;
    /* JR_INT: the value; JR_STR and each of JR_STRS: bytes; lists, maps, pairs: entries.
       Both 0: any; max < min: no upper end. */
    int64_t min, max;
    const char *const *words; /* JR_ENUM */
    const struct jr_table *sub;
    size_t given_offset; /* of a bool that says whether it was there; 0: not wanted */
};

struct jr_table {
    const struct jr_field *fields;
    size_t n_fields;
    size_t struct_bytes;  /* of the struct the fields lie in */
    const void *defaults; /* as elements and optional objects start; NULL: zeroed */
};

/* What was wrong: the path of the member (empty: the whole text) and a sentence naming it. */
struct jr_error {
    struct str member;
    struct str detail;
};

/*
 * Parses text (at most `depth` levels). ST_OK: *out_doc is owned by the caller (json_decref).
 * ST_INVALID_REQUEST: err is filled (texts in the arena). ST_NO_MEMORY.
 */
MUST_CHECK enum status jr_parse(struct str text, int depth, struct arena *a, json_t **out_doc,
                                struct jr_error *err);

/*
 * Fills `out` (struct_bytes, already holding the defaults) from an object. `path` stands before the
 * member names in errors. ST_OK, ST_INVALID_REQUEST with err, ST_NO_MEMORY.
 */
MUST_CHECK enum status jr_fill(json_t *object, const struct jr_table *t, struct str path,
                               struct arena *a, void *out, struct jr_error *err);

#endif
