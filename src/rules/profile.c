/*
 * profile - reads a profile as the operator wrote it and leaves what a request needs.
 *
 * Whatever can be known without a request is refused here, with its place and a sentence, so that
 * a packet that is granted is also one that a store takes. What is the same in every packet is
 * finished here, once for forms and once for headers; only texts with words are left to expand.
 */
#include "presignd/profile.h"

#include "presignd/content_type.h"
#include "presignd/filename.h"

enum { KEY_BYTES_MAX = 1024, KEY_TEXT_MAX = 2048, PLACE_BYTES_MAX = 2048 };

#define OBJECT_BYTES_MAX \
    (INT64_C(5) << 30) /* AWS "PUT Object", "POST Object": 5 GiB in one piece */

/* ---- looking up ---- */

const struct profile *rules_profile(const struct rules *r, struct str name)
{
    size_t from = 0, to = r->n_profiles;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = str_compare(name, r->profiles[mid].name);
        if (order == 0)
            return &r->profiles[mid];
        if (order < 0)
            to = mid;
        else
            from = mid + 1;
    }
    return NULL;
}

static const struct plan *plan_named(const struct rules *r, struct str name)
{
    for (size_t i = 0; i < r->n_plans; i++) {
        if (str_equal(r->plans[i].name, name))
            return &r->plans[i];
    }
    return NULL;
}

const struct plan *rules_plan(const struct rules *r, struct str name)
{
    const struct plan *plan = plan_named(r, name);
    return plan ? plan : r->default_plan;
}

/* ---- buckets ---- */

static enum status resolve(const struct endpoint_config *where, bool use_public, struct arena *a,
                           struct endpoint *out, struct buf *why)
{
    char *room = arena_alloc(a, PLACE_BYTES_MAX);
    if (!room)
        return ST_NO_MEMORY;
    /* fixed: what the views point to never moves */
    struct buf text = {
        .ptr = room, .cap = PLACE_BYTES_MAX, .limit = PLACE_BYTES_MAX, .fixed = true
    };
    return endpoint_resolve(where, use_public, &text, out, why);
}

enum status bucket_prepare(struct bucket *b, struct arena *a, struct buf *why)
{
    bool custom = b->where.endpoint.len > 0 || b->where.public_endpoint.len > 0;
    if (!b->path_style_given)
        b->where.path_style = endpoint_wants_path_style(b->where.bucket, custom);
    TRY(resolve(&b->where, true, a, &b->public_place, why));
    return resolve(&b->where, false, a, &b->own_place, why);
}

/* ---- refusing and warning ---- */

struct prep {
    struct profile *out;
    const struct profile_config *c;
    const struct rules *r;
    struct arena *a;
    struct str *member;
    struct buf *why, *warn;
};

static enum status wrong(struct prep *p, struct str member, struct str sentence)
{
    *p->member = member;
    buf_str(p->why, sentence);
    return ST_INVALID;
}

static struct str below(struct prep *p, struct str parent, struct str name)
{
    return profile_member(p->a, parent, name);
}

static enum status wrong_below(struct prep *p, struct str parent, struct str name,
                               struct str sentence)
{
    return wrong(p, below(p, parent, name), sentence);
}

static void warn(struct prep *p, struct str member, struct str sentence)
{
    buf_lit(p->warn, "profiles.");
    buf_str(p->warn, p->c->name);
    buf_char(p->warn, '.');
    buf_str(p->warn, member);
    buf_lit(p->warn, ": ");
    buf_str(p->warn, sentence);
    buf_char(p->warn, '\n');
}

/* ---- members one by one ---- */

static enum status take_bucket(struct prep *p)
{
    for (size_t i = 0; i < p->r->n_buckets; i++) {
        if (str_equal(p->r->buckets[i].name, p->c->bucket)) {
            p->out->bucket = &p->r->buckets[i];
            return ST_OK;
        }
    }
    return wrong(p, STR("bucket"), STR("names no bucket of \"buckets\""));
}

static enum status take_key(struct prep *p)
{
    *p->member = STR("key");
    if (p->c->key.len > KEY_TEXT_MAX)
        return wrong(p, STR("key"), STR("is too long for a key"));
    return template_compile(&p->out->key, p->c->key, TEMPLATE_KEY, p->a, p->why);
}

static enum status take_types(struct prep *p)
{
    const struct jr_strs *types = &p->c->content_types;
    if (types->n == 0)
        return wrong(p, STR("content_types"), STR("is empty: no file could be uploaded"));
    for (size_t i = 0; i < types->n; i++) {
        if (!content_type_pattern_ok(types->items[i]))
            return wrong_below(p, STR("content_types"), types->items[i],
                               STR("is neither type/subtype nor type/*, in lower case"));
    }
    p->out->content_types = *types;
    return ST_OK;
}

static bool extension_ok(struct str ext)
{
    for (size_t i = 0; i < ext.len; i++) {
        if (!ascii_alnum(ext.ptr[i]) || ascii_lower(ext.ptr[i]) != ext.ptr[i])
            return false;
    }
    return ext.len > 0 && ext.len <= FILENAME_EXT_MAX;
}

static bool takes_type(const struct prep *p, struct str type)
{
    struct content_type ct = { .whole = type, .essence = type };
    for (size_t i = 0; i < p->c->content_types.n; i++) {
        if (content_type_matches(&ct, p->c->content_types.items[i]))
            return true;
    }
    return false;
}

static enum status take_extensions(struct prep *p)
{
    const struct profile_extensions *rows = p->c->extensions.items;
    for (size_t i = 0; i < p->c->extensions.n; i++) {
        struct str type = rows[i].content_type;
        if (!content_type_pattern_ok(type) || str_ends(type, STR("/*")))
            return wrong_below(p, STR("extensions"), type,
                               STR("is not a type/subtype in lower case"));
        if (rows[i].extensions.n == 0)
            return wrong_below(p, STR("extensions"), type, STR("has no extension"));
        for (size_t j = 0; j < rows[i].extensions.n; j++) {
            if (!extension_ok(rows[i].extensions.items[j]))
                return wrong_below(p, STR("extensions"), type,
                                   STR("wants extensions without a dot: 1 to 16 of a-z and 0-9"));
        }
        if (!takes_type(p, type))
            warn(p, below(p, STR("extensions"), type),
                 STR("has no effect: content_types does not admit this type"));
    }
    p->out->extensions = rows;
    p->out->n_extensions = p->c->extensions.n;
    return ST_OK;
}

static enum status take_sizes(struct prep *p)
{
    const struct profile_config *c = p->c;
    if (c->max_bytes < 0 || c->max_bytes > OBJECT_BYTES_MAX)
        return wrong(p, STR("max_bytes"), STR("must be from 0 to 5368709120 (5 GiB)"));
    if (c->min_bytes < 0 || c->min_bytes > c->max_bytes)
        return wrong(p, STR("min_bytes"), STR("must be from 0 to max_bytes"));
    if (c->size < SIZE_EXACT || c->size > SIZE_ANY)
        return wrong(p, STR("size"), STR("must be exact, range or any"));
    if (c->checksum < CHECKSUM_NONE || c->checksum > CHECKSUM_REQUIRED)
        return wrong(p, STR("checksum"), STR("must be none, optional or required"));
    p->out->min_bytes = c->min_bytes;
    p->out->max_bytes = c->max_bytes;
    p->out->size = (enum size_rule)c->size;
    p->out->checksum = (enum checksum_rule)c->checksum;
    return ST_OK;
}

static enum status take_expiry(struct prep *p)
{
    int64_t life = p->c->expires_s;
    int64_t most = p->c->max_expires_given ? p->c->max_expires_s : MAX_OF(3600, life);
    if (life < 1 || life > EXPIRES_MAX_S)
        return wrong(p, STR("expires_s"), STR("must be from 1 to 604800 (seven days)"));
    if (most < 1 || most > EXPIRES_MAX_S)
        return wrong(p, STR("max_expires_s"), STR("must be from 1 to 604800 (seven days)"));
    if (life > most)
        return wrong(p, STR("expires_s"), STR("is more than max_expires_s"));
    p->out->expires_s = life;
    p->out->max_expires_s = most;
    return ST_OK;
}

static enum status take_metadata_names(struct prep *p)
{
    const struct jr_strs *allow = &p->c->metadata_allow;
    for (size_t i = 0; i < allow->n; i++) {
        if (!profile_metadata_name_ok(allow->items[i]))
            return wrong_below(p, STR("metadata.allow"), allow->items[i],
                               STR("is no name: 1 to 64 of a-z, 0-9 and -"));
    }
    const struct jr_pairs *set = &p->c->metadata_set;
    struct str *names = arena_array(p->a, set->n, sizeof(*names));
    if (!names)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < set->n; i++)
        names[i] = set->items[i].name;
    p->out->metadata_allow = *allow;
    p->out->metadata_set = (struct jr_strs){ names, set->n };
    return ST_OK;
}

/* ---- who may ---- */

static enum status take_allowed_plans(struct prep *p)
{
    const struct jr_strs *plans = &p->c->allow_plans;
    if (p->c->allow_plans_given && plans->n == 0)
        return wrong(p, STR("allow.plans"), STR("is empty: nobody could use this profile"));
    for (size_t i = 0; i < plans->n && p->r->n_plans > 0; i++) {
        if (!plan_named(p->r, plans->items[i]))
            return wrong_below(p, STR("allow.plans"), plans->items[i],
                               STR("names no plan of \"plans\""));
    }
    p->out->allow_plans = *plans;
    p->out->allow_plans_given = p->c->allow_plans_given;
    return ST_OK;
}

static enum status take_claim(struct prep *p, struct str name, json_t *values,
                              struct profile_claim *out)
{
    if (!json_is_array(values) || json_array_size(values) == 0)
        return wrong_below(p, STR("allow.claims"), name, STR("must be a list of texts"));
    out->name = arena_copy(p->a, name);
    out->values.items = arena_array(p->a, json_array_size(values), sizeof(struct str));
    if (!out->name.ptr || !out->values.items)
        return ST_NO_MEMORY;
    size_t i;
    json_t *value;
    json_array_foreach(values, i, value)
    {
        if (!json_is_string(value))
            return wrong_below(p, STR("allow.claims"), name, STR("must be a list of texts"));
        struct str text = { json_string_value(value), json_string_length(value) };
        struct str kept = arena_copy(p->a, text);
        if (!kept.ptr)
            return ST_NO_MEMORY;
        out->values.items[out->values.n++] = kept;
    }
    return ST_OK;
}

static enum status take_allow(struct prep *p)
{
    struct str scope = p->c->allow_scope;
    TRY(take_allowed_plans(p));
    if (!str_printable_ascii(scope) || str_find(scope, ' ', 0) < scope.len)
        return wrong(p, STR("allow.scope"), STR("must be one word"));
    p->out->allow_scope = scope;
    if (p->c->allow_claims && !json_is_object(p->c->allow_claims))
        return wrong(p, STR("allow.claims"), STR("must be an object"));
    size_t n = json_object_size(p->c->allow_claims);
    struct profile_claim *claims = arena_array(p->a, n, sizeof(*claims));
    if (!claims)
        return ST_NO_MEMORY;
    const char *name;
    json_t *values;
    size_t i = 0;
    json_object_foreach(p->c->allow_claims, name, values)
        TRY(take_claim(p, str_from(name), values, &claims[i++]));
    p->out->allow_claims = claims;
    p->out->n_allow_claims = n;
    return ST_OK;
}

/* ---- what the whole is like ---- */

/* The key, and every text with words; both sides hold the same ones. */
static enum status gather_words(struct prep *p)
{
    const struct profile_side *side = &p->out->post_side;
    const struct template **words = arena_array(p->a, side->n_varying + 1, sizeof(*words));
    if (!words)
        return ST_NO_MEMORY;
    words[0] = &p->out->key;
    p->out->n_words = 1;
    for (size_t i = 0; i < side->n_varying; i++)
        words[p->out->n_words++] = &side->varying[i].value;
    p->out->words = words;
    return ST_OK;
}

static void warn_metadata(struct prep *p)
{
    const struct profile_side *side = &p->out->post_side;
    size_t most = side->metadata_bytes;
    for (size_t i = 0; i < side->n_varying; i++) {
        const struct profile_text *t = &side->varying[i];
        if (t->form == TEXT_METADATA)
            most += t->name.len + t->value.max_bytes * (t->value.has_filename ? 3 : 1);
    }
    if (most > PROFILE_METADATA_BYTES_MAX)
        warn(p, STR("metadata"),
             STR("may grow over the 2048 bytes that S3 takes; such requests "
                 "are refused"));
}

/*
 * A field stands in the form and, as base64, in the policy. What else is there (key, credential,
 * session token, signature) is estimated generously.
 */
static void warn_form(struct prep *p)
{
    enum { OTHERS = 6000, PART = 160 };
    const struct profile_side *side = &p->out->post_side;
    size_t most = 0;
    for (size_t i = 0; i < side->n_shared; i++)
        most += side->shared[i].name.len + side->shared[i].value.len;
    for (size_t i = 0; i < side->n_varying; i++)
        most += side->varying[i].name.len + side->varying[i].value.max_bytes;
    if (OTHERS + most / 3 * 7 + PART * (side->n_shared + side->n_varying) > POST_FORM_BYTES_MAX)
        warn(p, STR("fields"),
             STR("may make forms longer than the 20480 bytes that S3 takes; such "
                 "requests are refused"));
}

static void warn_key(struct prep *p)
{
    if (p->out->key.max_bytes > KEY_BYTES_MAX)
        warn(p, STR("key"),
             STR("may grow over the 1024 bytes that S3 takes; such requests are refused"));
}

static bool allowed_name(const struct prep *p, struct str name)
{
    for (size_t i = 0; i < p->c->metadata_allow.n; i++) {
        if (str_equal(p->c->metadata_allow.items[i], name))
            return true;
    }
    return false;
}

static void warn_all(struct prep *p)
{
    const struct profile *out = p->out;
    if (out->size == SIZE_ANY)
        warn(p, STR("size"),
             STR("any lets a PUT be as long as it likes; its size is known only "
                 "when the upload is completed"));
    if (!out->bucket->post)
        warn(p, STR("bucket"),
             STR("takes no POST: requests for a form, and the form dialect of "
                 "/presign, are refused"));
    if (p->r->several_issuers && out->key.has_user && !out->key.has_user_hash)
        warn(p, STR("key"),
             STR("holds {user}, which two issuers may both give; {user_hash} tells "
                 "them apart"));
    for (size_t i = 0; i < out->metadata_set.n; i++) {
        if (allowed_name(p, out->metadata_set.items[i]))
            warn(p, profile_member(p->a, STR("metadata.allow"), out->metadata_set.items[i]),
                 STR("is also set, so that no client can send it"));
    }
    warn_key(p);
    warn_metadata(p);
    warn_form(p);
}

enum status profile_prepare(struct profile *out, const struct profile_config *c,
                            const struct rules *r, struct arena *a, struct str *member,
                            struct buf *why, struct buf *warnings)
{
    struct prep p = {
        .out = out, .c = c, .r = r, .a = a, .member = member, .why = why, .warn = warnings
    };
    *out = (struct profile){ .name = c->name, .token_bound = c->token_bound };
    TRY(take_bucket(&p));
    TRY(take_key(&p));
    TRY(take_types(&p));
    TRY(take_extensions(&p));
    TRY(take_sizes(&p));
    TRY(take_expiry(&p));
    TRY(profile_texts_prepare(c->fields, &c->metadata_set, a, &out->post_side, &out->put_side,
                              member, why));
    TRY(take_metadata_names(&p));
    TRY(take_allow(&p));
    TRY(gather_words(&p));
    warn_all(&p);
    return buf_check(warnings);
}
