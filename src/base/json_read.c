/*
 * json_read - JSON text into structs, with faults a person can act on.
 *
 * jansson parses; what it would accept or explain badly is looked at before: depth is counted on
 * the text itself, so nothing recursive ever sees deep input, and NUL and UTF-8 are checked whole.
 * Where a fault lies is kept as a chain of places on the C stack and becomes text only when there
 * is a fault. Names from outside are cut and cleaned before they stand in an error.
 */
#include "presignd/json_read.h"

#include <string.h>

#include "presignd/json_guard.h"

enum { NAME_SHOWN_BYTES = 64, ERROR_TEXT_MAX = 8192, FIELDS_MAX = 64, DEPTH_LIMIT = 64 };

/* One step of a member's path: a name, or an index when the name is missing. */
struct place {
    const struct place *parent;
    struct str name;
    size_t index;
};

struct reader {
    struct arena *arena;
    struct str path;
    struct jr_error *err;
};

/* ---- errors ---- */

static bool control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* jansson cuts what it quotes between bytes, not between characters. */
static void put_cleaned(struct buf *out, struct str text)
{
    size_t n;
    for (size_t at = 0; at < text.len; at += MAX_OF(n, 1)) {
        n = str_utf8_at(text, at);
        if (n == 0 || control(text.ptr[at]))
            buf_char(out, '?');
        else
            buf_str(out, str_slice(text, at, at + n));
    }
}

/* Cut between characters, so that the error stays UTF-8. */
static void put_name(struct buf *out, struct str name)
{
    size_t end = 0, n;
    while ((n = str_utf8_at(name, end)) > 0 && end + n <= NAME_SHOWN_BYTES)
        end += n;
    put_cleaned(out, str_slice(name, 0, end));
    if (end < name.len)
        buf_lit(out, "...");
}

static void put_step(struct buf *out, const struct place *step)
{
    if (!step->name.ptr) {
        buf_char(out, '[');
        buf_int(out, (int64_t)step->index);
        buf_char(out, ']');
        return;
    }
    if (out->len > 0)
        buf_char(out, '.');
    put_name(out, step->name);
}

static void put_place(struct buf *out, struct str path, const struct place *at)
{
    const struct place *steps[DEPTH_LIMIT + 1];
    size_t n = 0;
    for (; at && n < ARRAY_LEN(steps); at = at->parent)
        steps[n++] = at;
    buf_str(out, path);
    while (n > 0)
        put_step(out, steps[--n]);
}

static enum status keep_error(struct arena *a, struct jr_error *err, const struct buf *member,
                              const struct buf *detail)
{
    TRY(arena_keep(a, member, &err->member));
    TRY(arena_keep(a, detail, &err->detail));
    return ST_INVALID_REQUEST;
}

/* The sentence is the member's path between `before` and `after`. */
static enum status refuse_with(struct reader *r, const struct place *at, struct str before,
                               struct str after)
{
    AUTO(buf) member = BUF_INIT(ERROR_TEXT_MAX);
    AUTO(buf) detail = BUF_INIT(2 * ERROR_TEXT_MAX);
    put_place(&member, r->path, at);
    buf_str(&detail, before);
    if (member.len > 0)
        buf_str(&detail, buf_view(&member));
    else
        buf_str(&detail, at ? STR("(empty name)") : STR("the JSON text"));
    buf_str(&detail, after);
    return keep_error(r->arena, r->err, &member, &detail);
}

static enum status refuse(struct reader *r, const struct place *at, struct str after)
{
    return refuse_with(r, at, STR_NONE, after);
}

/* "must ... <number><unit>" */
static enum status refuse_number(struct reader *r, const struct place *at, struct str words,
                                 int64_t number, struct str unit)
{
    AUTO(buf) after = BUF_INIT(ERROR_TEXT_MAX);
    buf_str(&after, words);
    buf_int(&after, number);
    buf_str(&after, unit);
    TRY(buf_check(&after));
    return refuse(r, at, buf_view(&after));
}

/* ---- the text, before jansson sees it ---- */

/* A look at brackets and strings only; in a broken text it may be wrong, jansson then says so. */
struct scan {
    struct str text;
    size_t at;
    int depth;
    int depth_max;
    bool too_deep;
    struct place steps[DEPTH_LIMIT];
};

/* The string that starts at the quote, without quotes; ends at the end of the text when unclosed. */
static struct str scan_string(struct scan *s)
{
    size_t start = s->at + 1, i = start;
    while (i < s->text.len && s->text.ptr[i] != '"')
        i += s->text.ptr[i] == '\\' ? 2 : 1;
    s->at = MIN_OF(i, s->text.len);
    return str_slice(s->text, start, s->at);
}

static void scan_open(struct scan *s, bool list)
{
    if (s->depth == s->depth_max) {
        s->too_deep = true;
        return;
    }
    s->steps[s->depth] = (struct place){
        .parent = s->depth > 0 ? &s->steps[s->depth - 1] : NULL,
        .name = list ? STR_NONE : STR(""),
    };
    s->depth++;
}

static void scan_one(struct scan *s)
{
    struct place *step = s->depth > 0 ? &s->steps[s->depth - 1] : NULL;
    struct str string;
    switch (s->text.ptr[s->at]) {
    case '"':
        string = scan_string(s);
        /* In an object the last string before a colon is the name; index says "colon seen". */
        if (step && step->name.ptr && step->index == 0)
            step->name = string;
        break;
    case ':':
        if (step && step->name.ptr)
            step->index = 1;
        break;
    case ',':
        if (step)
            step->index = step->name.ptr ? 0 : step->index + 1;
        break;
    case '{': scan_open(s, false); break;
    case '[': scan_open(s, true); break;
    case '}':
    case ']': s->depth -= s->depth > 0; break;
    default: break;
    }
}

static void scan_to(struct scan *s, size_t end)
{
    for (; s->at < end && s->at < s->text.len && !s->too_deep; s->at++)
        scan_one(s);
}

static enum status refuse_depth(struct reader *r, int depth)
{
    return refuse_number(r, NULL, STR(" is nested deeper than "), depth, STR(" levels"));
}

static enum status refuse_duplicate(struct reader *r, struct str text, size_t position)
{
    struct scan s = { .text = text, .depth_max = DEPTH_LIMIT };
    scan_to(&s, position);
    const struct place *at = s.depth > 0 ? &s.steps[s.depth - 1] : NULL;
    return refuse(r, at, STR(" stands there twice"));
}

static struct str reason_of(const json_error_t *e)
{
    switch (json_error_code(e)) {
    case json_error_null_character:
    case json_error_null_byte_in_key: return STR("a NUL (\\u0000) is not allowed");
    case json_error_premature_end_of_input: return STR("the text ends too early");
    default: return str_from(e->text);
    }
}

/* "line 3, column 7: ..." */
static enum status refuse_syntax(struct reader *r, const json_error_t *e)
{
    AUTO(buf) detail = BUF_INIT(ERROR_TEXT_MAX);
    buf_lit(&detail, "line ");
    buf_int(&detail, e->line);
    buf_lit(&detail, ", column ");
    buf_int(&detail, e->column);
    buf_lit(&detail, ": ");
    put_cleaned(&detail, reason_of(e));
    return keep_error(r->arena, r->err, &BUF_INIT(0), &detail);
}

static enum status check_text(struct reader *r, struct str text, int depth)
{
    struct scan s = { .text = text, .depth_max = depth };
    if (str_find(text, '\0', 0) < text.len)
        return refuse(r, NULL, STR(" holds a NUL byte"));
    if (!str_valid_utf8(text))
        return refuse(r, NULL, STR(" is not valid UTF-8"));
    scan_to(&s, text.len);
    return s.too_deep ? refuse_depth(r, depth) : ST_OK;
}

enum status jr_parse(struct str text, int depth, struct arena *a, json_t **out_doc,
                     struct jr_error *err)
{
    assert(depth > 0 && depth <= DEPTH_LIMIT);
    struct reader r = { .arena = a, .err = err };
    TRY(check_text(&r, text, depth));

    json_error_t e = { 0 };
    enum status st = json_guard_load(text, JSON_REJECT_DUPLICATES, out_doc, &e);
    if (st != ST_INVALID_REQUEST)
        return st;
    if (json_error_code(&e) == json_error_duplicate_key)
        return refuse_duplicate(&r, text, (size_t)e.position);
    return refuse_syntax(&r, &e);
}

/* ---- the document into structs ---- */

static enum status fill_object(struct reader *r, json_t *object, const struct jr_table *t,
                               const struct place *at, void *out);

static struct str text_of(const json_t *string)
{
    return (struct str){ json_string_value(string), json_string_length(string) };
}

static bool has_upper_end(const struct jr_field *f)
{
    return f->max >= f->min && f->max != 0;
}

/* `unit` is " bytes" or " entries". */
static enum status check_size(struct reader *r, const struct jr_field *f, const struct place *at,
                              size_t size, struct str unit)
{
    if (f->min > 0 && size < (uint64_t)f->min)
        return refuse_number(r, at, STR(" must have at least "), f->min, unit);
    if (has_upper_end(f) && size > (uint64_t)f->max)
        return refuse_number(r, at, STR(" must have at most "), f->max, unit);
    return ST_OK;
}

static enum status check_entries(struct reader *r, const struct jr_field *f, const struct place *at,
                                 size_t n)
{
    if (n == 0 && (f->flags & JR_NOT_EMPTY))
        return refuse(r, at, STR(" must not be empty"));
    return check_size(r, f, at, n, STR(" entries"));
}

static enum status copy_text(struct reader *r, struct str text, struct str *out)
{
    *out = arena_copy(r->arena, text);
    return out->ptr ? ST_OK : ST_NO_MEMORY;
}

static enum status read_text(struct reader *r, const json_t *v, const struct place *at,
                             struct str *out)
{
    if (!json_is_string(v))
        return refuse(r, at, STR(" must be a string"));
    return copy_text(r, text_of(v), out);
}

static enum status new_items(struct reader *r, size_t n, size_t size, void **out)
{
    *out = arena_array(r->arena, n, size);
    return *out ? ST_OK : ST_NO_MEMORY;
}

static void set_defaults(const struct jr_table *t, void *item)
{
    if (t->defaults)
        memcpy(item, t->defaults, t->struct_bytes);
}

static enum status fill_str(struct reader *r, json_t *v, const struct jr_field *f,
                            const struct place *at, void *out)
{
    struct str text;
    TRY(read_text(r, v, at, &text));
    if (text.len == 0 && (f->flags & JR_NOT_EMPTY))
        return refuse(r, at, STR(" must not be empty"));
    TRY(check_size(r, f, at, text.len, STR(" bytes")));
    *(struct str *)out = text;
    return ST_OK;
}

static enum status fill_int(struct reader *r, json_t *v, const struct jr_field *f,
                            const struct place *at, void *out)
{
    if (!json_is_integer(v))
        return refuse(r, at, STR(" must be an integer"));
    int64_t value = json_integer_value(v);
    bool any = f->min == 0 && f->max == 0;
    if (!any && value < f->min)
        return refuse_number(r, at, STR(" must be at least "), f->min, STR_NONE);
    if (!any && f->max >= f->min && value > f->max)
        return refuse_number(r, at, STR(" must be at most "), f->max, STR_NONE);
    *(int64_t *)out = value;
    return ST_OK;
}

static enum status fill_bool(struct reader *r, json_t *v, const struct jr_field *f,
                             const struct place *at, void *out)
{
    (void)f;
    if (!json_is_boolean(v))
        return refuse(r, at, STR(" must be true or false"));
    *(bool *)out = json_is_true(v);
    return ST_OK;
}

static enum status refuse_word(struct reader *r, const struct jr_field *f, const struct place *at)
{
    AUTO(buf) after = BUF_INIT(ERROR_TEXT_MAX);
    buf_lit(&after, " must be one of ");
    for (int i = 0; f->words[i]; i++) {
        buf_str(&after, i > 0 ? STR(", \"") : STR("\""));
        buf_str(&after, str_from(f->words[i]));
        buf_char(&after, '"');
    }
    TRY(buf_check(&after));
    return refuse(r, at, buf_view(&after));
}

static enum status fill_enum(struct reader *r, json_t *v, const struct jr_field *f,
                             const struct place *at, void *out)
{
    if (!json_is_string(v))
        return refuse(r, at, STR(" must be a string"));
    for (int i = 0; f->words[i]; i++) {
        if (str_equal(text_of(v), str_from(f->words[i]))) {
            *(int *)out = i;
            return ST_OK;
        }
    }
    return refuse_word(r, f, at);
}

static enum status fill_embedded(struct reader *r, json_t *v, const struct jr_field *f,
                                 const struct place *at, void *out)
{
    return fill_object(r, v, f->sub, at, out);
}

static enum status fill_optional(struct reader *r, json_t *v, const struct jr_field *f,
                                 const struct place *at, void *out)
{
    void *item;
    TRY(new_items(r, 1, f->sub->struct_bytes, &item));
    set_defaults(f->sub, item);
    TRY(fill_object(r, v, f->sub, at, item));
    *(void **)out = item;
    return ST_OK;
}

static enum status fill_list(struct reader *r, json_t *v, const struct jr_field *f,
                             const struct place *at, void *out)
{
    struct jr_list list = { .n = json_array_size(v) };
    if (!json_is_array(v))
        return refuse(r, at, STR(" must be a list"));
    TRY(check_entries(r, f, at, list.n));
    TRY(new_items(r, list.n, f->sub->struct_bytes, &list.items));
    for (size_t i = 0; i < list.n; i++) {
        char *item = (char *)list.items + i * f->sub->struct_bytes;
        struct place here = { .parent = at, .index = i };
        set_defaults(f->sub, item);
        TRY(fill_object(r, json_array_get(v, i), f->sub, &here, item));
    }
    *(struct jr_list *)out = list;
    return ST_OK;
}

static enum status fill_strs(struct reader *r, json_t *v, const struct jr_field *f,
                             const struct place *at, void *out)
{
    size_t n = json_array_size(v);
    void *items;
    if (!json_is_array(v))
        return refuse(r, at, STR(" must be a list of strings"));
    if (n == 0 && (f->flags & JR_NOT_EMPTY))
        return refuse(r, at, STR(" must not be empty"));
    TRY(new_items(r, n, sizeof(struct str), &items));
    for (size_t i = 0; i < n; i++) {
        struct place here = { .parent = at, .index = i };
        struct str *item = (struct str *)items + i;
        TRY(read_text(r, json_array_get(v, i), &here, item));
        TRY(check_size(r, f, &here, item->len, STR(" bytes")));
    }
    *(struct jr_strs *)out = (struct jr_strs){ items, n };
    return ST_OK;
}

/* A step over the members of an object, in the order of the text. */
struct member {
    void *at;
    struct str name;
    json_t *value;
};

static bool next_member(json_t *object, struct member *m)
{
    m->at = m->at ? json_object_iter_next(object, m->at) : json_object_iter(object);
    if (!m->at)
        return false;
    m->name = str_from(json_object_iter_key(m->at));
    m->value = json_object_iter_value(m->at);
    return true;
}

static enum status fill_map(struct reader *r, json_t *v, const struct jr_field *f,
                            const struct place *at, void *out)
{
    struct jr_list map = { .n = json_object_size(v) };
    if (!json_is_object(v))
        return refuse(r, at, STR(" must be an object"));
    TRY(check_entries(r, f, at, map.n));
    TRY(new_items(r, map.n, f->sub->struct_bytes, &map.items));
    char *item = map.items;
    for (struct member m = { 0 }; next_member(v, &m); item += f->sub->struct_bytes) {
        struct place here = { .parent = at, .name = m.name };
        set_defaults(f->sub, item);
        TRY(copy_text(r, m.name, (struct str *)(void *)item));
        TRY(fill_object(r, m.value, f->sub, &here, item));
    }
    *(struct jr_list *)out = map;
    return ST_OK;
}

static enum status fill_pairs(struct reader *r, json_t *v, const struct jr_field *f,
                              const struct place *at, void *out)
{
    size_t n = json_object_size(v);
    void *items;
    if (!json_is_object(v))
        return refuse(r, at, STR(" must be an object of strings"));
    TRY(check_entries(r, f, at, n));
    TRY(new_items(r, n, sizeof(struct jr_pair), &items));
    struct jr_pair *pair = items;
    for (struct member m = { 0 }; next_member(v, &m); pair++) {
        struct place here = { .parent = at, .name = m.name };
        TRY(copy_text(r, m.name, &pair->name));
        TRY(read_text(r, m.value, &here, &pair->value));
    }
    *(struct jr_pairs *)out = (struct jr_pairs){ items, n };
    return ST_OK;
}

static enum status fill_any(struct reader *r, json_t *v, const struct jr_field *f,
                            const struct place *at, void *out)
{
    (void)r, (void)f, (void)at;
    *(json_t **)out = v;
    return ST_OK;
}

typedef enum status fill_fn(struct reader *r, json_t *v, const struct jr_field *f,
                            const struct place *at, void *out);

/* clang-format off */
static fill_fn *const fillers[] = {
    [JR_STR]        = fill_str,
    [JR_INT]        = fill_int,
    [JR_BOOL]       = fill_bool,
    [JR_ENUM]       = fill_enum,
    [JR_OBJECT]     = fill_embedded,
    [JR_OPT_OBJECT] = fill_optional,
    [JR_LIST]       = fill_list,
    [JR_STRS]       = fill_strs,
    [JR_MAP]        = fill_map,
    [JR_PAIRS]      = fill_pairs,
    [JR_ANY]        = fill_any,
};
/* clang-format on */

static enum status fill_field(struct reader *r, json_t *v, const struct jr_field *f,
                              const struct place *parent, char *out)
{
    struct place at = { .parent = parent, .name = str_from(f->name) };
    bool required = f->flags & JR_REQUIRED;
    if (!v)
        return required ? refuse(r, &at, STR(" is missing")) : ST_OK;
    if (json_is_null(v) && (!required || (f->flags & JR_NULL_OK)))
        return ST_OK;
    TRY(fillers[f->type](r, v, f, &at, out + f->offset));
    if (f->given_offset > 0)
        *(bool *)(void *)(out + f->given_offset) = true;
    return ST_OK;
}

static bool known(const struct jr_table *t, struct str name)
{
    for (size_t i = 0; i < t->n_fields; i++) {
        if (str_equal(name, str_from(t->fields[i].name)))
            return true;
    }
    return false;
}

static enum status refuse_unknown(struct reader *r, json_t *object, const struct jr_table *t,
                                  const struct place *at)
{
    struct member m = { 0 };
    while (next_member(object, &m) && known(t, m.name))
        ;
    struct place here = { .parent = at, .name = m.name };
    return refuse_with(r, &here, STR("unknown member \""), STR("\""));
}

static enum status fill_object(struct reader *r, json_t *object, const struct jr_table *t,
                               const struct place *at, void *out)
{
    json_t *values[FIELDS_MAX];
    size_t found = 0;
    assert(t->n_fields <= FIELDS_MAX);
    if (!json_is_object(object))
        return refuse(r, at, STR(" must be an object"));

    for (size_t i = 0; i < t->n_fields; i++) {
        values[i] = json_object_get(object, t->fields[i].name);
        found += values[i] != NULL;
    }
    /* Before anything else: a misspelt name is the better answer than its absence. */
    if (found < json_object_size(object))
        return refuse_unknown(r, object, t, at);
    for (size_t i = 0; i < t->n_fields; i++)
        TRY(fill_field(r, values[i], &t->fields[i], at, out));
    return ST_OK;
}

enum status jr_fill(json_t *object, const struct jr_table *t, struct str path, struct arena *a,
                    void *out, struct jr_error *err)
{
    struct reader r = { .arena = a, .path = path, .err = err };
    return fill_object(&r, object, t, NULL, out);
}
