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

enum { KEY_MAX = 1024, TYPE_MAX = 256, TOKEN_LIFE_S = 3600, UUID_SHOWN = 13 };

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

static const struct str sentence =
    STR_INIT("presignd doctor put this here to try an upload. It may be deleted.\n");

/* The sentence, or as much of it as the profile takes, or more of it until the profile is content. */
static int64_t bytes_for(const struct profile *p)
{
    return MIN_OF(MAX_OF((int64_t)sentence.len, p->min_bytes), p->max_bytes);
}

/* One text for all bodies. */
static struct str body_of(struct doctor *d, int64_t bytes)
{
    char *text = d->filling.ptr ? NULL : arena_alloc(&d->arena, DOCTOR_PROBE_MAX);
    for (size_t i = 0; text && i < DOCTOR_PROBE_MAX; i++)
        text[i] = sentence.ptr[i % sentence.len];
    if (text)
        d->filling = (struct str){ text, DOCTOR_PROBE_MAX };
    return str_slice(d->filling, 0, (size_t)bytes);
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

/* What the configuration says a word of the key may be; "" where only a token knows. */
static struct str known_value(const struct doctor *d, const struct profile *p, struct str word)
{
    const struct str mark = STR("claim:");
    const struct plan *plan = d->config->rules.default_plan;
    if (str_equal(word, STR("profile")))
        return p->name;
    if (str_equal(word, STR("plan")))
        return p->allow_plans.n ? p->allow_plans.items[0] : plan ? plan->name : STR("");
    for (size_t i = 0; str_starts(word, mark) && i < p->n_allow_claims; i++)
        if (str_equal(p->allow_claims[i].name, str_slice(word, mark.len, word.len)) &&
            p->allow_claims[i].values.n > 0)
            return p->allow_claims[i].values.items[0];
    return STR("");
}

/* Words by which people are told apart, and roles may be cut: not those of the single object. */
static bool parts_people(struct str word)
{
    return str_starts(word, STR("claim:")) || str_equal(word, STR("tenant")) ||
           str_equal(word, STR("plan"));
}

/* The key as written, up to its first word that nobody can know, and the probe's name. */
static bool name_key(struct doctor *d, const struct profile *p, struct probe *out)
{
    char space[KEY_MAX];
    struct buf key = BUF_FIXED(space);
    struct str rest = p->key.text, value;
    out->guessed = false;
    do {
        const size_t open = str_find(rest, '{', 0), end = str_find(rest, '}', open);
        const struct str word = str_slice(rest, open + 1, end);
        value = known_value(d, p, word);
        buf_str(&key, str_slice(rest, 0, open));
        buf_str(&key, value);
        out->guessed = value.len == 0 && parts_people(word);
        rest = str_slice(rest, end + 1, rest.len);
    } while (value.len);
    buf_lit(&key, PROBE_NAME "-");
    buf_str(&key, str_slice(str_from(out->decision.ids.uuid), 0, UUID_SHOWN));
    return arena_keep(&d->arena, &key, &out->decision.key) == ST_OK;
}

static bool plan_by(struct doctor *d, const struct profile *p, enum method_wish method,
                    bool with_body, struct probe *out)
{
    struct grant_ids ids;
    struct fault fault;
    struct principal *who = principal_for(d, p);
    const struct str type = type_of(d, p->content_types.items[0]);
    const int64_t bytes = bytes_for(p);
    out->body = with_body ? body_of(d, bytes) : STR("");
    out->other_type = str_equal(type, STR("application/x-" PROBE_NAME))
                          ? STR("application/octet-stream")
                          : STR("application/x-" PROBE_NAME);
    const struct wish wish = {
        .profile = p->name,
        .content_type = type,
        .has_length = true,
        .content_length = bytes,
        .has_filename = true,
        .filename = filename_for(d, p, type),
        .checksum_kind = p->checksum == CHECKSUM_REQUIRED ? CHECK_SHA256 : CHECK_NO,
        .checksum = checksum_of(d, out->body),
        .method = method,
    };
    const bool good = who && (!with_body || (int64_t)out->body.len == bytes) &&
                      random_uuid7(&d->random, doctor_now_s() * 1000, ids.id) == ST_OK &&
                      random_uuid4(&d->random, ids.uuid) == ST_OK &&
                      decide(&d->config->rules, who, &wish, doctor_now_s(), &ids, &d->arena,
                             &out->decision, &fault) == ST_OK &&
                      name_key(d, p, out);
    principal_unref(who);
    return good;
}

static enum plan_outcome try_profile(struct doctor *d, const struct profile *p,
                                     enum method_wish method, bool with_body, struct probe *out)
{
    if (p->bucket != d->patient.bucket)
        return PLAN_NO_PROFILE;
    if (with_body && p->min_bytes > DOCTOR_PROBE_MAX)
        return PLAN_TOO_LARGE;
    return p->content_types.n > 0 && plan_by(d, p, method, with_body, out) ? PLAN_MADE
                                                                           : PLAN_REFUSED;
}

enum plan_outcome doctor_plan(struct doctor *d, enum method_wish method, bool with_body,
                              struct probe *out)
{
    const struct rules *r = &d->config->rules;
    enum plan_outcome best = PLAN_NO_PROFILE;
    if (r->default_profile)
        best = try_profile(d, r->default_profile, method, with_body, out);
    for (size_t i = 0; best != PLAN_MADE && i < r->n_profiles; i++) {
        const enum plan_outcome one = try_profile(d, &r->profiles[i], method, with_body, out);
        best = MAX_OF(best, one);
    }
    return best;
}

void doctor_unplanned(struct doctor *d, enum plan_outcome why)
{
    if (why == PLAN_NO_PROFILE)
        SAY(d, VERDICT_SKIPPED, STR(""), STR("Not tried: no profile uploads to this bucket."),
            STR(""));
    else if (why == PLAN_TOO_LARGE)
        SAY(d, VERDICT_WARNING, STR(""),
            STR("Not tried: the bucket's profiles take only files that are larger than a probe may "
                "be (1 MiB)."),
            STR("Try an upload by hand; or give the bucket a profile with a smaller min_bytes."));
    else
        SAY(d, VERDICT_WARNING, STR(""),
            STR("Not tried: no profile of this bucket takes a probe of its own first type."),
            STR("Look at the profile's content_types, extensions, key and metadata; \"presignd "
                "check\" says how they are read."));
    d->lost |= 1u << d->part;
}
