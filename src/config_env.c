/*
 * config_env - the environment over the file: PRESIGND__BUCKETS__MAIN__REGION=eu-west-1. The tables
 * say what type a member has; text is taken as it stands, lists and free maps only whole, as JSON.
 */
#include "presignd/config_raw.h"

#include <string.h>

#define PREFIX "PRESIGND__"

enum { NAME_MAX_BYTES = 128 };

struct str config_env_get(char **environment, const char *name)
{
    const size_t len = strlen(name);
    for (char **e = environment; e && *e; e++)
        if (strncmp(*e, name, len) == 0 && (*e)[len] == '=')
            return str_from(*e + len + 1);
    return STR("");
}

/* Takes the part before the next "__" off the front. */
static bool next_part(struct str *rest, struct str *out)
{
    if (!rest->ptr)
        return false;
    for (size_t i = 0; i + 1 < rest->len; i++)
        if (rest->ptr[i] == '_' && rest->ptr[i + 1] == '_') {
            *out = str_slice(*rest, 0, i);
            *rest = str_slice(*rest, i + 2, rest->len);
            return out->len > 0;
        }
    *out = *rest;
    *rest = STR_NONE;
    return out->len > 0;
}

/* A part as the file writes it: small letters, and '-' for '_' in names that operators choose. */
static bool lower(struct str part, char dash, char out[NAME_MAX_BYTES])
{
    if (part.len >= NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < part.len; i++) {
        const char c = part.ptr[i];
        if (c >= 'a' && c <= 'z')
            return false;
        out[i] = c == '_' ? dash : ascii_lower(c);
    }
    out[part.len] = '\0';
    return true;
}

static const struct jr_field *find_field(const struct jr_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_fields; i++)
        if (strcmp(t->fields[i].name, name) == 0)
            return &t->fields[i];
    return NULL;
}

/* The object under `name`, made when missing; NULL without memory or where something else stands. */
static json_t *enter(json_t *object, const char *name)
{
    json_t *inner = json_object_get(object, name);
    if (!inner || json_is_null(inner)) {
        if (json_object_set_new(object, name, json_object()) != 0)
            return NULL;
        inner = json_object_get(object, name);
    }
    return json_is_object(inner) ? inner : NULL;
}

/* NULL: the text does not fit the type. */
static json_t *value_of(const struct jr_field *f, struct str text)
{
    if (f->type == JR_STR || f->type == JR_ENUM)
        return json_stringn(text.ptr, text.len);
    return json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
}

enum set_result { SET_OK, SET_UNKNOWN, SET_BAD_VALUE };

static enum set_result set_in_map(json_t *map, const struct jr_table *sub, struct str rest,
                                  struct str value);

static enum set_result set_in(json_t *object, const struct jr_table *t, struct str rest,
                              struct str value)
{
    char name[NAME_MAX_BYTES];
    struct str part;
    if (!next_part(&rest, &part) || !lower(part, '_', name))
        return SET_UNKNOWN;
    const struct jr_field *f = find_field(t, name);
    if (!f)
        return SET_UNKNOWN;
    if (!rest.ptr) {
        json_t *v = value_of(f, value);
        return v && json_object_set_new(object, name, v) == 0 ? SET_OK : SET_BAD_VALUE;
    }
    if (f->type != JR_OBJECT && f->type != JR_OPT_OBJECT && f->type != JR_MAP)
        return SET_UNKNOWN;
    json_t *inner = enter(object, name);
    if (!inner)
        return SET_BAD_VALUE;
    return f->type == JR_MAP ? set_in_map(inner, f->sub, rest, value)
                             : set_in(inner, f->sub, rest, value);
}

static enum set_result set_in_map(json_t *map, const struct jr_table *sub, struct str rest,
                                  struct str value)
{
    char name[NAME_MAX_BYTES];
    struct str part;
    if (!next_part(&rest, &part) || !lower(part, '-', name) || !rest.ptr)
        return SET_UNKNOWN;
    json_t *inner = enter(map, name);
    return inner ? set_in(inner, sub, rest, value) : SET_BAD_VALUE;
}

static void complain(struct buf *why, struct str name, enum set_result r)
{
    buf_str(why, name);
    if (r == SET_UNKNOWN)
        buf_lit(why, ": no member of the configuration has that name\n");
    else
        buf_lit(why, ": the value does not fit this member (numbers, true/false, lists and maps "
                     "are written as JSON)\n");
}

enum status config_env_apply(json_t *doc, char **environment, struct buf *why, bool *out_any)
{
    enum status st = ST_OK;
    *out_any = false;
    for (char **e = environment; e && *e; e++) {
        const struct str entry = str_from(*e);
        if (!str_starts(entry, STR(PREFIX)))
            continue;
        *out_any = true;
        const size_t eq = str_find(entry, '=', 0);
        const struct str name = str_slice(entry, 0, eq);
        const enum set_result r =
            set_in(doc, &raw_config_table, str_slice(name, sizeof(PREFIX) - 1, name.len),
                   str_slice(entry, eq + 1, entry.len));
        if (r == SET_OK)
            continue;
        complain(why, name, r);
        st = ST_INVALID;
    }
    return st;
}
