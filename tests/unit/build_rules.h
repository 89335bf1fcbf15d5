/*
 * build_rules.h - profiles for tests, written as the configuration writes them: a JSON object laid
 * over a profile that works. What the texts point to lives in the arena and in `docs`.
 */
#ifndef PRESIGND_BUILD_RULES_H
#define PRESIGND_BUILD_RULES_H

#include <jansson.h>

#include "presignd/profile.h"

static const char BASE_PROFILE[] =
    "{'bucket': 'main', 'key': '{user_hash}/{uuid}', 'content_types': ['image/*', "
    "'application/pdf'],"
    " 'min_bytes': 1, 'max_bytes': 1000, 'size': 'exact', 'checksum': 'optional',"
    " 'expires_s': 900}";

struct building {
    struct arena arena;
    json_t *docs; /* keeps every document alive */
};

#define BUILDING_INIT ((struct building){ .arena = ARENA_INIT(1 << 20), .docs = json_array() })

static inline void building_release(struct building *b)
{
    json_decref(b->docs);
    arena_release(&b->arena);
}

/* JSON with ' for ". */
static inline json_t *building_json(struct building *b, const char *text)
{
    char copy[4096];
    assert_true(strlen(text) < sizeof(copy));
    memcpy(copy, text, strlen(text) + 1);
    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_error_t error;
    json_t *doc = json_loads(copy, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!doc)
        fail_msg("%s: %s", text, error.text);
    json_array_append_new(b->docs, doc);
    return doc;
}

static inline struct str building_text(const json_t *value)
{
    return value ? (struct str){ json_string_value(value), json_string_length(value) } : STR("");
}

static inline struct jr_strs building_list(struct building *b, const json_t *list)
{
    struct jr_strs out = { arena_array(&b->arena, json_array_size(list), sizeof(struct str)),
                           json_array_size(list) };
    for (size_t i = 0; i < out.n; i++)
        out.items[i] = building_text(json_array_get(list, i));
    return out;
}

static inline int building_word(const json_t *value, const char *const *words)
{
    int i = 0;
    while (words[i] && strcmp(words[i], json_string_value(value)) != 0)
        i++;
    return i;
}

static inline struct jr_list building_extensions(struct building *b, json_t *map)
{
    struct profile_extensions *rows = arena_array(&b->arena, json_object_size(map), sizeof(*rows));
    struct jr_list out = { rows, 0 };
    const char *name;
    json_t *list;
    json_object_foreach(map, name, list) rows[out.n++] =
        (struct profile_extensions){ str_from(name), building_list(b, list) };
    return out;
}

static inline struct jr_pairs building_pairs(struct building *b, json_t *map)
{
    struct jr_pairs out = { arena_array(&b->arena, json_object_size(map), sizeof(struct jr_pair)),
                            0 };
    const char *name;
    json_t *text;
    json_object_foreach(map, name, text) out.items[out.n++] =
        (struct jr_pair){ str_from(name), building_text(text) };
    return out;
}

/* The base with `changes` laid over it; null removes a member. */
static inline struct profile_config building_profile(struct building *b, const char *name,
                                                     const char *changes)
{
    static const char *const sizes[] = { "exact", "range", "any", NULL };
    static const char *const checksums[] = { "none", "optional", "required", NULL };
    json_t *o = building_json(b, BASE_PROFILE);
    json_object_update(o, building_json(b, changes));
    json_t *allow = json_object_get(o, "allow"), *metadata = json_object_get(o, "metadata");
    return (struct profile_config){
        .name = str_from(name),
        .bucket = building_text(json_object_get(o, "bucket")),
        .key = building_text(json_object_get(o, "key")),
        .content_types = building_list(b, json_object_get(o, "content_types")),
        .extensions = building_extensions(b, json_object_get(o, "extensions")),
        .min_bytes = json_integer_value(json_object_get(o, "min_bytes")),
        .max_bytes = json_integer_value(json_object_get(o, "max_bytes")),
        .size = building_word(json_object_get(o, "size"), sizes),
        .checksum = building_word(json_object_get(o, "checksum"), checksums),
        .expires_s = json_integer_value(json_object_get(o, "expires_s")),
        .max_expires_s = json_integer_value(json_object_get(o, "max_expires_s")),
        .max_expires_given = json_object_get(o, "max_expires_s") != NULL,
        .fields = json_object_get(o, "fields"),
        .metadata_allow = building_list(b, json_object_get(metadata, "allow")),
        .metadata_set = building_pairs(b, json_object_get(metadata, "set")),
        .allow_plans_given = json_object_get(allow, "plans") != NULL,
        .allow_plans = building_list(b, json_object_get(allow, "plans")),
        .allow_scope = building_text(json_object_get(allow, "scope")),
        .allow_claims = json_object_get(allow, "claims"),
        .token_bound = json_is_true(json_object_get(o, "token_bound")),
    };
}

#endif
