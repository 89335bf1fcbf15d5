/*
 * doctor_plan - which object is uploaded as a probe, by which profile, for whom.
 *
 * The rules that judge a client's wish judge this one too, for a user who has all that the profile
 * asks for; only the key is then another: below the profile's fixed prefix, where presignd has its
 * rights, and with a name that says what it is.
 */
#include "presignd/doctor.h"
#include "presignd/encode.h"

#define PROBE_NAME "presignd-doctor-probe"

enum {
    PROBE_MOST_BYTES = 65536,
    KEY_MAX = 1024,
    TYPE_MAX = 256,
    TOKEN_LIFE_S = 3600,
    UUID_SHOWN = 13
};

/* ---- who asks ----------------------------------------------------------------------------------- */

static void set_claim(json_t *claims, struct str name, struct str value)
{
    json_object_setn_new(claims, name.ptr, name.len, json_stringn(value.ptr, value.len));
}

/* {claim:NAME}: some value; allow.claims comes later and may want another. */
static void set_word_claims(json_t *claims, struct str text)
{
    const struct str mark = STR("{claim:");
    for (size_t at; (at = str_find_text(text, mark)) < text.len;) {
        text = str_slice(text, at + mark.len, text.len);
        const size_t end = str_find(text, '}', 0);
        set_claim(claims, str_slice(text, 0, end), STR(PROBE_NAME));
    }
}

static json_t *claims_for(const struct profile *p)
{
    json_t *claims = json_object();
    for (size_t i = 0; i < p->n_words; i++)
        set_word_claims(claims, p->words[i]->text);
    for (size_t i = 0; i < p->n_allow_claims; i++)
        if (p->allow_claims[i].values.n > 0)
            set_claim(claims, p->allow_claims[i].name, p->allow_claims[i].values.items[0]);
    return claims;
}

static struct principal *principal_for(const struct doctor *d, const struct profile *p)
{
    struct principal *who = principal_new();
    if (!who)
        return NULL;
    who->issuer = STR("doctor");
    who->user = who->tenant = STR(PROBE_NAME);
    who->plan = p->allow_plans.n > 0            ? p->allow_plans.items[0]
                : d->config->rules.default_plan ? d->config->rules.default_plan->name
                                                : STR(PROBE_NAME);
    who->scope = p->allow_scope;
    who->expires_at_s = doctor_now_s() + TOKEN_LIFE_S;
    who->claims = claims_for(p);
    principal_hash_user(who->issuer, who->user, who->user_hash);
    return who;
}

/* ---- what is asked ------------------------------------------------------------------------------ */

/* A type that the pattern admits; "image/ *" admits image/png. */
static struct str type_of(struct doctor *d, struct str pattern)
{
    static const struct {
        struct str pattern, type;
    } usual[] = {
        { STR_INIT("image/*"), STR_INIT("image/png") },
        { STR_INIT("text/*"), STR_INIT("text/plain") },
        { STR_INIT("video/*"), STR_INIT("video/mp4") },
        { STR_INIT("audio/*"), STR_INIT("audio/mpeg") },
        { STR_INIT("application/*"), STR_INIT("application/octet-stream") },
    };
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        if (str_equal(pattern, usual[i].pattern))
            return usual[i].type;
    if (!str_ends(pattern, STR("/*")))
        return pattern;
    char space[TYPE_MAX];
    struct buf text = BUF_FIXED(space);
    struct str kept;
    buf_str(&text, str_slice(pattern, 0, pattern.len - 1));
    buf_lit(&text, "x-" PROBE_NAME);
    return arena_keep(&d->arena, &text, &kept) == ST_OK ? kept : pattern;
}

static struct str extension_of(const struct profile *p, struct str type)
{
    for (size_t i = 0; i < p->n_extensions; i++)
        if (str_equal(p->extensions[i].content_type, type) && p->extensions[i].extensions.n > 0)
            return p->extensions[i].extensions.items[0];
    const struct str usual = content_type_extension(type);
    return usual.len ? usual : STR("bin");
}

static struct str filename_for(struct doctor *d, const struct profile *p, struct str type)
{
    char space[TYPE_MAX];
    struct buf text = BUF_FIXED(space);
    struct str kept;
    buf_lit(&text, PROBE_NAME ".");
    buf_str(&text, extension_of(p, type));
    return arena_keep(&d->arena, &text, &kept) == ST_OK ? kept : STR(PROBE_NAME);
}

/* A sentence, or as much of it as the profile takes, or more of it until the profile is content. */
static struct str body_for(struct doctor *d, const struct profile *p)
{
    static const struct str text =
        STR_INIT("presignd doctor put this here to try an upload. It may be deleted.\n");
    const size_t least = (size_t)MIN_OF(p->min_bytes, (int64_t)PROBE_MOST_BYTES);
    const size_t most = (size_t)MIN_OF(p->max_bytes, (int64_t)PROBE_MOST_BYTES);
    const size_t n = MIN_OF(MAX_OF(text.len, least), most);
    char *bytes = arena_alloc(&d->arena, n + 1);
    for (size_t i = 0; bytes && i < n; i++)
        bytes[i] = text.ptr[i % text.len];
    return (struct str){ bytes, bytes ? n : 0 };
}

static struct str checksum_of(struct doctor *d, struct str body)
{
    unsigned char digest[HASH_BYTES];
    char space[64];
    struct buf text = BUF_FIXED(space);
    struct str kept;
    hash_once(body, digest);
    encode_base64(&text, (struct str){ (const char *)digest, sizeof(digest) });
    return arena_keep(&d->arena, &text, &kept) == ST_OK ? kept : STR("");
}

/* ---- the decision ------------------------------------------------------------------------------- */

/* The key as written, up to its first word, and the probe's name. */
static bool name_key(struct doctor *d, const struct profile *p, struct decision *out)
{
    char space[KEY_MAX];
    struct buf key = BUF_FIXED(space);
    buf_str(&key, str_slice(p->key.text, 0, str_find(p->key.text, '{', 0)));
    buf_lit(&key, PROBE_NAME "-");
    buf_str(&key, str_slice(str_from(out->ids.uuid), 0, UUID_SHOWN));
    return arena_keep(&d->arena, &key, &out->key) == ST_OK;
}

static bool plan_by(struct doctor *d, const struct profile *p, enum method_wish method,
                    struct probe *out)
{
    struct grant_ids ids;
    struct fault fault;
    struct principal *who = principal_for(d, p);
    const struct str type = type_of(d, p->content_types.items[0]);
    out->body = body_for(d, p);
    out->other_type = str_equal(type, STR("application/x-" PROBE_NAME))
                          ? STR("application/octet-stream")
                          : STR("application/x-" PROBE_NAME);
    const struct wish wish = {
        .profile = p->name,
        .content_type = type,
        .has_length = true,
        .content_length = (int64_t)out->body.len,
        .has_filename = true,
        .filename = filename_for(d, p, type),
        .checksum_kind = p->checksum == CHECKSUM_REQUIRED ? CHECK_SHA256 : CHECK_NO,
        .checksum = checksum_of(d, out->body),
        .method = method,
    };
    const bool good = who && out->body.ptr &&
                      random_uuid7(&d->random, doctor_now_s() * 1000, ids.id) == ST_OK &&
                      random_uuid4(&d->random, ids.uuid) == ST_OK &&
                      decide(&d->config->rules, who, &wish, doctor_now_s(), &ids, &d->arena,
                             &out->decision, &fault) == ST_OK &&
                      name_key(d, p, &out->decision);
    principal_unref(who);
    return good;
}

static bool serves(struct doctor *d, const struct profile *p, enum method_wish method,
                   struct probe *out)
{
    return p->bucket == d->patient.bucket && p->content_types.n > 0 &&
           p->min_bytes <= PROBE_MOST_BYTES && plan_by(d, p, method, out);
}

bool doctor_plan(struct doctor *d, enum method_wish method, struct probe *out)
{
    const struct rules *r = &d->config->rules;
    if (r->default_profile && serves(d, r->default_profile, method, out))
        return true;
    for (size_t i = 0; i < r->n_profiles; i++)
        if (serves(d, &r->profiles[i], method, out))
            return true;
    return false;
}
