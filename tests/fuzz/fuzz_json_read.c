/*
 * fuzz_json_read - any text through the parser and a table with every type of field.
 *
 * What must hold: nothing is read past the end; a refusal explains itself in UTF-8 without
 * controls, in bounded length; what is accepted is inside the limits of its table; and no text is
 * accepted that jansson, asked alone and strictly, refuses.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "presignd/json_read.h"

enum { ARENA_MAX = 1 << 22, DEPTH = 8, MEMBER_MAX = 16 * 1024 };

struct leaf {
    struct str name;
    int64_t n;
    bool n_given;
    struct str s;
};

struct root {
    struct str s;
    int64_t n;
    bool b;
    int e;
    struct leaf o;
    struct leaf *p;
    struct jr_list l;
    struct jr_list m;
    struct jr_strs t;
    struct jr_pairs q;
    json_t *a;
};

#define AT(type, member) .offset = offsetof(struct type, member)

static const char *const words[] = { "x", "yy", NULL };

/* clang-format off */
static const struct jr_field leaf_fields[] = {
    { .name = "n", .type = JR_INT, AT(leaf, n), .min = -3, .max = 300,
      .given_offset = offsetof(struct leaf, n_given) },
    { .name = "s", .type = JR_STR, AT(leaf, s), .max = 8 },
};
static const struct leaf leaf_defaults = { .n = 7 };
static const struct jr_table leaf_table = {
    leaf_fields, ARRAY_LEN(leaf_fields), sizeof(struct leaf), &leaf_defaults,
};
static const struct jr_field root_fields[] = {
    { .name = "s", .type = JR_STR, AT(root, s), .flags = JR_NOT_EMPTY, .max = 8 },
    { .name = "n", .type = JR_INT, AT(root, n), .min = 1, .max = 100 },
    { .name = "b", .type = JR_BOOL, AT(root, b) },
    { .name = "e", .type = JR_ENUM, AT(root, e), .words = words },
    { .name = "o", .type = JR_OBJECT, AT(root, o), .sub = &leaf_table },
    { .name = "p", .type = JR_OPT_OBJECT, AT(root, p), .sub = &leaf_table },
    { .name = "l", .type = JR_LIST, AT(root, l), .sub = &leaf_table, .max = 5 },
    { .name = "m", .type = JR_MAP, AT(root, m), .sub = &leaf_table, .flags = JR_NOT_EMPTY },
    { .name = "t", .type = JR_STRS, AT(root, t), .max = 8 },
    { .name = "q", .type = JR_PAIRS, AT(root, q), .max = 3 },
    { .name = "a", .type = JR_ANY, AT(root, a) },
};
static const struct jr_table root_table = {
    root_fields, ARRAY_LEN(root_fields), sizeof(struct root), NULL,
};
/* clang-format on */

static void must(bool held)
{
    if (!held)
        abort();
}

static void must_be_shown(struct str s)
{
    must(s.ptr != NULL && s.len <= MEMBER_MAX && str_valid_utf8(s));
    for (size_t i = 0; i < s.len; i++)
        must((unsigned char)s.ptr[i] >= 0x20 && s.ptr[i] != 0x7f);
}

static void must_explain(const struct jr_error *err)
{
    must_be_shown(err->member);
    must_be_shown(err->detail);
    must(err->detail.len > 0);
}

static void must_be_leaf(const struct leaf *leaf)
{
    must(leaf->n >= -3 && leaf->n <= 300 && leaf->s.len <= 8);
    must(leaf->n_given || leaf->n == 7);
}

static void must_be_leaves(const struct jr_list *list)
{
    const struct leaf *leaves = list->items;
    for (size_t i = 0; i < list->n; i++)
        must_be_leaf(&leaves[i]);
}

static void must_be_root(const struct root *r)
{
    must(r->s.len <= 8 && r->n >= 1 && r->n <= 100 && r->e >= 0 && r->e <= 1);
    must(r->l.n <= 5 && r->q.n <= 3);
    must_be_leaf(&r->o);
    must_be_leaves(&r->l);
    must_be_leaves(&r->m);
    if (r->p)
        must_be_leaf(r->p);
    for (size_t i = 0; i < r->t.n; i++)
        must(r->t.items[i].len <= 8 && str_valid_utf8(r->t.items[i]));
    for (size_t i = 0; i < r->q.n; i++)
        must(strlen(r->q.items[i].value.ptr) == r->q.items[i].value.len);
}

static void fill(json_t *doc, struct arena *a)
{
    struct root r = { .n = 1, .o = leaf_defaults };
    struct jr_error err = { 0 };
    switch (jr_fill(doc, &root_table, STR("root"), a, &r, &err)) {
    case ST_OK: must_be_root(&r); break;
    case ST_INVALID_REQUEST: must_explain(&err); break;
    case ST_NO_MEMORY: break;
    default: abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) a = ARENA_INIT(ARENA_MAX);
    struct str text = { (const char *)data, size };
    struct jr_error err = { 0 };
    json_t *doc = NULL;
    enum status st = jr_parse(text, DEPTH, &a, &doc, &err);
    must(st == ST_OK || st == ST_INVALID_REQUEST);
    must((doc != NULL) == (st == ST_OK));
    if (st == ST_INVALID_REQUEST) {
        must_explain(&err);
        return 0;
    }
    must(str_valid_utf8(text) && !memchr(data, 0, size));
    fill(doc, &a);
    json_decref(doc);
    return 0;
}
