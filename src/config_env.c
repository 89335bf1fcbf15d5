/*
 * config_env - the environment over the file: PRESIGND__BUCKETS__MAIN__REGION=eu-west-1. The tables
 * say what type a member has; text is taken as it stands, lists and free maps only whole, as JSON.
 *
 * Variables are applied in the order of their names, so that one which sets a whole object comes
 * before those that set its members, whatever order the process was given them in.
 */
#include "presignd/config_make.h"

#include <stdlib.h>
#include <string.h>

#include "presignd/json_guard.h"

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

/* Takes the part before the next "__" off the front; *rest has ptr NULL after the last. */
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
        if (!(c >= 'A' && c <= 'Z') && !ascii_digit(c) && c != '_')
            return false;
        out[i] = c == '_' ? dash : ascii_lower(c);
    }
    out[part.len] = '\0';
    return true;
}

/* How many bytes of rest spell this name, up to its end or the next "__"; 0: they do not. */
static size_t spells(struct str rest, const char *name)
{
    const size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        const char want = (char)(name[i] == '-' ? '_' : name[i]);
        const bool small = want >= 'a' && want <= 'z';
        if (i >= rest.len || rest.ptr[i] != (small ? want - ('a' - 'A') : want))
            return 0;
    }
    return len == rest.len || str_starts(str_slice(rest, len, rest.len), STR("__")) ? len : 0;
}

/* The name of a map's entry, off the front: the longest that is there already, else a new one. */
static bool next_name(json_t *map, struct str *rest, char out[NAME_MAX_BYTES])
{
    size_t longest = 0;
    const char *key;
    json_t *unused;
    json_object_foreach(map, key, unused)
    {
        const size_t len = rest->ptr ? spells(*rest, key) : 0;
        if (len <= longest || len >= NAME_MAX_BYTES)
            continue;
        longest = len;
        memcpy(out, key, len + 1);
    }
    (void)unused;
    if (longest) {
        const bool last = longest == rest->len;
        *rest = last ? STR_NONE : str_slice(*rest, longest + 2, rest->len);
        return true;
    }
    struct str part;
    return next_part(rest, &part) && lower(part, '-', out);
}

static const struct jr_field *find_field(const struct jr_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_fields; i++)
        if (strcmp(t->fields[i].name, name) == 0)
            return &t->fields[i];
    return NULL;
}

enum set_result { SET_OK, SET_UNKNOWN, SET_BAD_VALUE, SET_NO_MEMORY };

static enum set_result put(json_t *object, const char *name, bool as_text, struct str value)
{
    json_t *v = NULL;
    json_error_t unused;
    enum status st = ST_OK;
    if (as_text && !str_valid_utf8(value))
        return SET_BAD_VALUE;
    if (as_text)
        v = json_stringn_nocheck(value.ptr, value.len);
    else
        st = json_guard_load(value, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &v, &unused);
    if (st == ST_INVALID_REQUEST)
        return SET_BAD_VALUE;
    return v && json_object_set_new(object, name, v) == 0 ? SET_OK : SET_NO_MEMORY;
}

/* The object under `name`, made when missing. */
static enum set_result enter(json_t *object, const char *name, json_t **out)
{
    json_t *inner = json_object_get(object, name);
    if (!inner || json_is_null(inner)) {
        if (json_object_set_new(object, name, json_object()) != 0)
            return SET_NO_MEMORY;
        inner = json_object_get(object, name);
    }
    *out = inner;
    return json_is_object(inner) ? SET_OK : SET_BAD_VALUE;
}

static enum set_result set_in(json_t *object, const struct jr_table *t, struct str rest,
                              struct str value);

/* sub NULL: the entries are texts. */
static enum set_result set_in_map(json_t *map, const struct jr_table *sub, struct str rest,
                                  struct str value)
{
    char name[NAME_MAX_BYTES];
    if (!next_name(map, &rest, name) || (rest.ptr && !sub))
        return SET_UNKNOWN;
    if (!rest.ptr)
        return put(map, name, !sub, value);
    json_t *inner;
    const enum set_result r = enter(map, name, &inner);
    return r == SET_OK ? set_in(inner, sub, rest, value) : r;
}

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
    if (!rest.ptr)
        return put(object, name, f->type == JR_STR || f->type == JR_ENUM, value);
    const bool map = f->type == JR_MAP || f->type == JR_PAIRS;
    if (!map && f->type != JR_OBJECT && f->type != JR_OPT_OBJECT)
        return SET_UNKNOWN;
    json_t *inner;
    const enum set_result r = enter(object, name, &inner);
    if (r != SET_OK)
        return r;
    return map ? set_in_map(inner, f->sub, rest, value) : set_in(inner, f->sub, rest, value);
}

static void complain(struct buf *why, struct str name, enum set_result r)
{
    config_put_name(why, name);
    if (r == SET_UNKNOWN)
        buf_lit(why, ": no member of the configuration has that name\n");
    else
        buf_lit(why, ": the value does not fit this member (numbers, true/false, lists and maps "
                     "are written as JSON)\n");
}

static struct str name_of(const char *entry)
{
    const struct str s = str_from(entry);
    return str_slice(s, 0, str_find(s, '=', 0));
}

static int by_name(const void *a, const void *b)
{
    return str_compare(name_of(*(char *const *)a), name_of(*(char *const *)b));
}

static size_t count(char **environment, char **out)
{
    size_t n = 0;
    for (char **e = environment; e && *e; e++) {
        if (strncmp(*e, PREFIX, sizeof(PREFIX) - 1) != 0)
            continue;
        if (out)
            out[n] = *e;
        n++;
    }
    return n;
}

enum status config_env_apply(json_t *doc, char **environment, struct buf *why)
{
    enum status st = ST_OK;
    const size_t n = count(environment, NULL);
    char **entries = calloc(n + 1, sizeof(*entries));
    if (!entries)
        return ST_NO_MEMORY;
    count(environment, entries);
    qsort(entries, n, sizeof(*entries), by_name);
    for (size_t i = 0; i < n; i++) {
        const struct str entry = str_from(entries[i]), name = name_of(entries[i]);
        const enum set_result r =
            set_in(doc, &raw_config_table, str_slice(name, sizeof(PREFIX) - 1, name.len),
                   str_slice(entry, name.len + 1, entry.len));
        if (r == SET_NO_MEMORY)
            st = ST_NO_MEMORY;
        if (r == SET_OK || st == ST_NO_MEMORY)
            continue;
        complain(why, name, r);
        st = ST_INVALID;
    }
    free(entries);
    return st;
}
