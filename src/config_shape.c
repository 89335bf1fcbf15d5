/*
 * config_shape - all that is wrong with the form of a document: unknown members, wrong types, values
 * out of bounds, what is missing. jr_fill() stops at the first fault, which is right for a request;
 * an operator wants to hear of all. So the tables are walked here, and every leaf is judged by
 * jr_fill() alone.
 *
 * Stricter than jr_fill() in one thing: null is no way to leave a member out, unless the member's
 * meaning is "none". Defaults would not be put under it.
 */
#include "presignd/config_make.h"

enum { PATH_LIMIT = 1024 };

void config_put_name(struct buf *out, struct str name)
{
    const bool utf8 = str_valid_utf8(name);
    for (size_t i = 0; i < name.len; i++) {
        const unsigned char c = (unsigned char)name.ptr[i];
        const bool plain = (c >= 0x20 && c < 0x7f) || (utf8 && c >= 0x80);
        buf_char(out, plain ? name.ptr[i] : '?');
    }
}

struct shape {
    struct arena *arena;
    struct buf *why;
    bool bad;
    bool no_memory;
};

static void check_table(struct shape *s, json_t *object, const struct jr_table *t, struct str path);

/* "<path>.<name>", or "<path>[<index>]" without a name. */
static struct str below(struct shape *s, struct str path, struct str name, size_t index)
{
    AUTO(buf) b = BUF_INIT(PATH_LIMIT);
    struct str kept = path;
    buf_str(&b, path);
    if (name.ptr) {
        if (path.len)
            buf_lit(&b, ".");
        config_put_name(&b, name);
    } else {
        buf_lit(&b, "[");
        buf_int(&b, (int64_t)index);
        buf_lit(&b, "]");
    }
    if (arena_keep(s->arena, &b, &kept) == ST_NO_MEMORY)
        s->no_memory = true;
    return kept;
}

static void say(struct shape *s, struct str place, struct str sentence)
{
    buf_str(s->why, place);
    buf_lit(s->why, ": ");
    buf_str(s->why, sentence);
    buf_lit(s->why, "\n");
    s->bad = true;
}

/* jr's sentences hold the place; here it stands in front. */
static void say_error(struct shape *s, const struct jr_error *err)
{
    const struct str unknown = STR("unknown member");
    struct str rest = err->detail;
    if (str_starts(rest, unknown))
        rest = unknown;
    else if (str_starts(rest, err->member))
        rest = str_trim(str_slice(rest, err->member.len, rest.len));
    say(s, err->member, rest);
}

/* One member (or its absence, v NULL) held against a table. */
static void check_alone(struct shape *s, const char *name, json_t *v, const struct jr_table *t,
                        struct str path)
{
    json_t *one = json_object();
    void *room = arena_alloc(s->arena, t->struct_bytes);
    struct jr_error err = { .member = STR("") };
    enum status st = ST_NO_MEMORY;
    if (one && room && (!v || json_object_set(one, name, v) == 0))
        st = jr_fill(one, t, path, s->arena, room, &err);
    json_decref(one);
    if (st == ST_INVALID_REQUEST)
        say_error(s, &err);
    else if (st != ST_OK)
        s->no_memory = true;
}

static void check_map(struct shape *s, json_t *map, const struct jr_table *t, struct str path)
{
    const char *key;
    json_t *v;
    json_object_foreach(map, key, v) check_table(s, v, t, below(s, path, str_from(key), 0));
}

static void check_list(struct shape *s, json_t *list, const struct jr_table *t, struct str path)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) check_table(s, v, t, below(s, path, STR_NONE, i));
}

static void check_field(struct shape *s, json_t *v, const struct jr_field *f,
                        const struct jr_table *t, struct str path)
{
    const struct jr_table alone = { .fields = f, .n_fields = 1, .struct_bytes = t->struct_bytes };
    const struct str here = below(s, path, str_from(f->name), 0);
    const bool object = f->type == JR_OBJECT || f->type == JR_OPT_OBJECT;
    if (json_is_null(v) && !(f->flags & JR_NULL_OK))
        say(s, here, STR("must not be null"));
    else if (object && json_is_object(v))
        check_table(s, v, f->sub, here);
    else if (f->type == JR_MAP && json_object_size(v) > 0)
        check_map(s, v, f->sub, here);
    else if (f->type == JR_LIST && json_array_size(v) > 0)
        check_list(s, v, f->sub, here);
    else
        check_alone(s, f->name, v, &alone, path);
}

static bool knows(const struct jr_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_fields; i++)
        if (str_equal(str_from(t->fields[i].name), str_from(name)))
            return true;
    return false;
}

static void check_table(struct shape *s, json_t *object, const struct jr_table *t, struct str path)
{
    if (!json_is_object(object)) {
        say(s, path, STR("must be an object"));
        return;
    }
    const struct jr_table none = { .fields = t->fields, .struct_bytes = t->struct_bytes };
    const char *key;
    json_t *v;
    json_object_foreach(object, key, v)
    {
        if (!knows(t, key))
            check_alone(s, key, v, &none, path);
    }
    for (size_t i = 0; i < t->n_fields; i++)
        check_field(s, json_object_get(object, t->fields[i].name), &t->fields[i], t, path);
}

enum status config_shape(json_t *doc, struct arena *a, struct buf *why)
{
    struct shape s = { .arena = a, .why = why };
    check_table(&s, doc, &raw_config_table, STR(""));
    if (s.no_memory)
        return ST_NO_MEMORY;
    return s.bad ? ST_INVALID : ST_OK;
}
