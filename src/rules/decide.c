/*
 * decide - a wish goes through a list of judges; the first who refuses has the last word.
 *
 * The order of the list is the order of faults that clients rely on (API.md section 1). A judge
 * fills in its part of the decision as it goes, so that whoever comes after finds it there.
 * Nothing here allocates outside the request's arena, and texts that need no change are views.
 */
#include "presignd/decide.h"

#include <string.h>

#include "presignd/encode.h"
#include "presignd/filename.h"

enum {
    KEY_BYTES_MAX = 1024,
    DECIDED_FIELDS_MAX = POST_FIELDS_MAX - 7, /* what signing adds to a form */
    CREDENTIALS_MARGIN_S = 60,
    DIGITS_MAX = 20,
    SENTENCE_MAX = 512,
    NAMED_MAX = 64, /* bytes of a client's word that the log repeats */
};

#define META_PREFIX "x-amz-meta-"

const struct str expiry_limit_words[4] = {
    [LIMITED_BY_REQUEST] = STR_INIT("request"),
    [LIMITED_BY_PROFILE] = STR_INIT("profile"),
    [LIMITED_BY_TOKEN] = STR_INIT("token"),
    [LIMITED_BY_CREDENTIALS] = STR_INIT("credentials"),
};

struct judging {
    const struct rules *r;
    const struct principal *who;
    const struct wish *w;
    int64_t now_s;
    struct arena *a;
    struct decision *d;
    struct fault *f;
    struct template_values values;
    struct str filename; /* cleaned; "" when none was sent */
    size_t metadata_bytes;
};

typedef enum status judge_fn(struct judging *j);

/* ---- sentences ---- */

static enum status refuse(struct judging *j, enum status st, struct str detail)
{
    return fault_set(j->f, st, detail);
}

/* What stands in the buffer, kept; the plainer sentence where that cannot be. */
static struct str sentence(struct judging *j, const struct buf *b, struct str plainer)
{
    struct str kept;
    return arena_keep(j->a, b, &kept) == ST_OK ? kept : plainer;
}

static enum status refuse_member(struct judging *j, const char *member, struct str detail)
{
    (void)fault_set(j->f, ST_INVALID_REQUEST, detail);
    fault_str(j->f, "member", str_from(member));
    return ST_INVALID_REQUEST;
}

/* An unknown and a forbidden profile look alike to the client; the log knows. */
static enum status refuse_profile(struct judging *j, struct str reason, struct str about)
{
    char text[SENTENCE_MAX];
    struct buf b = BUF_FIXED(text);
    (void)fault_set(j->f, ST_PROFILE_NOT_ALLOWED,
                    STR("This profile does not exist, or you may not use it."));
    buf_str(&b, reason);
    buf_str(&b, str_slice(about, 0, NAMED_MAX));
    j->f->log_reason = sentence(j, &b, reason);
    return ST_PROFILE_NOT_ALLOWED;
}

static enum status no_memory(struct judging *j)
{
    return fault_set(j->f, ST_NO_MEMORY, STR(""));
}

/* ---- what is asked: shape, profile, method ---- */

static enum status judge_shape(struct judging *j)
{
    enum status st = content_type_parse(j->w->content_type, j->a, &j->d->type);
    if (st == ST_NO_MEMORY)
        return no_memory(j);
    if (st != ST_OK)
        return refuse_member(j, "content_type",
                             STR("content_type is no media type like image/png: type/subtype with "
                                 "parameters, ASCII, at most 255 bytes, without comma, '$', '*'."));
    if (j->w->has_length && j->w->content_length < 0)
        return refuse_member(j, "content_length", STR("content_length is less than 0."));
    return ST_OK;
}

static enum status find_profile(struct judging *j)
{
    bool named = j->w->profile.len > 0;
    const struct profile *p = named ? rules_profile(j->r, j->w->profile) : j->r->default_profile;
    if (!p)
        return refuse_profile(j, STR("no such profile: "), j->w->profile);
    j->d->profile = p;
    j->d->bucket = p->bucket;
    j->d->plan = rules_plan(j->r, j->who->plan);
    j->values = (struct template_values){
        .who = j->who,
        .plan = j->d->plan ? j->d->plan->name : j->who->plan,
        .profile = p->name,
        .uuid = { j->d->ids.uuid, 36 },
        .uuid7 = { j->d->ids.id, 36 },
        .filename = STR("file"),
        .now_ms = j->now_s * 1000,
    };
    return ST_OK;
}

static bool among(const struct jr_strs *list, struct str word)
{
    for (size_t i = 0; i < list->n; i++) {
        if (str_equal(list->items[i], word))
            return true;
    }
    return false;
}

/* A claim is a text, an integer, true or false, compared as it is written in JSON. */
static bool claim_is_among(const json_t *claim, const struct jr_strs *list)
{
    char digits[DIGITS_MAX];
    struct buf number = BUF_FIXED(digits);
    switch (json_typeof(claim)) {
    case JSON_STRING:
        return among(list, (struct str){ json_string_value(claim), json_string_length(claim) });
    case JSON_INTEGER: buf_int(&number, json_integer_value(claim)); break;
    case JSON_TRUE: return among(list, STR("true"));
    case JSON_FALSE: return among(list, STR("false"));
    default: return false;
    }
    return among(list, buf_view(&number));
}

/* A list holds when one of its elements does. */
static bool claim_holds(const struct principal *who, const struct profile_claim *want)
{
    const json_t *claim = json_object_get(who->claims, want->name.ptr);
    if (!json_is_array(claim))
        return claim && claim_is_among(claim, &want->values);
    for (size_t i = 0; i < json_array_size(claim); i++) {
        if (claim_is_among(json_array_get(claim, i), &want->values))
            return true;
    }
    return false;
}

static enum status judge_allow(struct judging *j)
{
    const struct profile *p = j->d->profile;
    if (p->allow_plans_given && !among(&p->allow_plans, j->values.plan))
        return refuse_profile(j, STR("allow.plans does not hold the plan "), j->values.plan);
    if (p->allow_scope.len > 0 && !principal_has_scope(j->who, p->allow_scope))
        return refuse_profile(j, STR("the token lacks allow.scope "), p->allow_scope);
    for (size_t i = 0; i < p->n_allow_claims; i++) {
        if (!claim_holds(j->who, &p->allow_claims[i]))
            return refuse_profile(j, STR("allow.claims refuses the token's claim "),
                                  p->allow_claims[i].name);
    }
    return ST_OK;
}

static enum status choose_method(struct judging *j)
{
    bool can_post = j->d->bucket->post;
    if (j->w->method == METHOD_POST && !can_post) {
        (void)refuse_profile(j, STR("a POST was asked of a bucket with \"post\": false: "),
                             j->d->bucket->name);
        j->f->detail = STR("The store of this profile takes no POST; ask for method PUT or auto.");
        return ST_PROFILE_NOT_ALLOWED;
    }
    j->d->post = j->w->method == METHOD_AUTO ? can_post : j->w->method == METHOD_POST;
    return ST_OK;
}

static enum status judge_words(struct judging *j)
{
    const struct profile *p = j->d->profile;
    struct str word;
    for (size_t i = 0; i < p->n_words; i++) {
        if (!template_fits(p->words[i], &j->values, &word))
            return refuse_profile(j,
                                  STR("the token gives no value of [A-Za-z0-9._-]{1,128} for a "
                                      "word of the profile; {user_hash} always has one: "),
                                  word);
    }
    return ST_OK;
}

static enum status judge_length_given(struct judging *j)
{
    enum size_rule rule = j->d->profile->size;
    if (j->w->has_length || (rule == SIZE_RANGE && j->d->post) || (rule == SIZE_ANY && !j->d->post))
        return ST_OK;
    if (rule == SIZE_ANY)
        return refuse_member(j, "content_length",
                             STR("content_length is missing; only a PUT may leave it out here."));
    if (rule == SIZE_RANGE)
        return refuse_member(j, "content_length",
                             STR("content_length is missing; only a POST may leave it out here."));
    return refuse_member(j, "content_length", STR("content_length is missing."));
}

/* ---- expiry, type, size ---- */

static enum status judge_expiry(struct judging *j)
{
    const struct profile *p = j->d->profile;
    const struct wish *w = j->w;
    if (w->has_expires && (w->expires_in < 1 || w->expires_in > EXPIRES_MAX_S))
        return refuse(j, ST_EXPIRY_NOT_ALLOWED,
                      STR("expires_in must be from 1 to 604800 seconds."));
    bool wished = w->has_expires && w->expires_in <= p->max_expires_s;
    j->d->limited_by = wished ? LIMITED_BY_REQUEST : LIMITED_BY_PROFILE;
    j->d->life_s = wished ? w->expires_in : w->has_expires ? p->max_expires_s : p->expires_s;

    int64_t token_left_s = j->who->expires_at_s - j->now_s;
    if (p->token_bound && token_left_s < j->d->life_s) {
        if (token_left_s < 1) /* accepted within the issuer's leeway */
            return refuse(j, ST_EXPIRY_NOT_ALLOWED,
                          STR("Your token has ended, and an upload may not outlive it."));
        j->d->life_s = token_left_s;
        j->d->limited_by = LIMITED_BY_TOKEN;
    }
    return ST_OK;
}

static enum status judge_type(struct judging *j)
{
    const struct jr_strs *types = &j->d->profile->content_types;
    for (size_t i = 0; i < types->n; i++) {
        if (content_type_matches(&j->d->type, types->items[i]))
            return ST_OK;
    }
    (void)refuse(j, ST_CONTENT_TYPE_NOT_ALLOWED,
                 STR("Files of this type may not be uploaded here."));
    fault_list(j->f, "allowed", types->items, types->n);
    return ST_CONTENT_TYPE_NOT_ALLOWED;
}

static enum status refuse_size(struct judging *j, enum status st, const char *member, int64_t limit,
                               struct str bound)
{
    char text[SENTENCE_MAX];
    struct buf b = BUF_FIXED(text);
    buf_lit(&b, "The file has ");
    buf_int(&b, j->w->content_length);
    buf_lit(&b, " bytes; here it may have at ");
    buf_str(&b, bound);
    buf_char(&b, ' ');
    buf_int(&b, limit);
    buf_char(&b, '.');
    (void)refuse(j, st, sentence(j, &b, STR("The file is too large or too small.")));
    fault_int(j->f, member, limit);
    return st;
}

static enum status judge_size(struct judging *j)
{
    const struct profile *p = j->d->profile;
    struct decision *d = j->d;
    d->has_length = j->w->has_length;
    d->content_length = d->has_length ? j->w->content_length : -1;
    if (d->has_length && d->content_length > p->max_bytes)
        return refuse_size(j, ST_FILE_TOO_LARGE, "max_bytes", p->max_bytes, STR("most"));
    if (d->has_length && d->content_length < p->min_bytes)
        return refuse_size(j, ST_FILE_TOO_SMALL, "min_bytes", p->min_bytes, STR("least"));
    d->min_bytes = d->has_length ? d->content_length : p->min_bytes;
    d->max_bytes = d->has_length ? d->content_length : p->max_bytes;
    d->reserve_bytes = d->max_bytes;
    d->length_signed = !d->post && d->has_length;
    return ST_OK;
}

/* ---- file name, key, extension ---- */

static enum status judge_filename(struct judging *j)
{
    if (j->w->has_filename) {
        enum status st = filename_clean(j->w->filename, j->a, &j->filename);
        if (st == ST_NO_MEMORY)
            return no_memory(j);
        if (st != ST_OK || !post_value_ok(j->filename))
            return refuse(j, ST_FILENAME_INVALID,
                          STR("Nothing of the file name can be used; please rename the file."));
        j->values.filename = j->filename;
        j->values.ext = filename_extension(j->filename, j->a);
    }
    if (j->values.ext.len == 0)
        j->values.ext = content_type_extension(j->d->type.essence);
    if (j->values.ext.len == 0)
        j->values.ext = STR("bin");
    return ST_OK;
}

/* The expansion, in the arena; at most `limit` bytes. */
static enum status expand(struct judging *j, const struct template *t, size_t limit,
                          struct str *out)
{
    size_t room = MIN_OF(t->max_bytes, limit);
    char *ptr = arena_alloc(j->a, room);
    struct buf b = { .ptr = ptr, .cap = room, .limit = room, .fixed = true };
    struct str word;
    if (!ptr)
        return ST_NO_MEMORY;
    TRY(template_expand(t, &j->values, &b, &word));
    *out = buf_view(&b);
    return ST_OK;
}

static enum status refuse_long_key(struct judging *j)
{
    struct template_values shorter = j->values;
    char text[KEY_BYTES_MAX];
    struct buf b = BUF_FIXED(text);
    struct str word;
    shorter.filename = STR("f");
    if (j->d->profile->key.has_filename && j->w->has_filename &&
        template_expand(&j->d->profile->key, &shorter, &b, &word) == ST_OK)
        return refuse(j, ST_FILENAME_INVALID, STR("The file name is too long here."));
    return refuse_profile(j, STR("the key is longer than 1024 bytes: "), j->d->profile->key.text);
}

static enum status make_key(struct judging *j)
{
    enum status st = expand(j, &j->d->profile->key, KEY_BYTES_MAX, &j->d->key);
    if (st == ST_TOO_LARGE)
        return refuse_long_key(j);
    return st == ST_OK ? ST_OK : no_memory(j); /* its words fit: judge_words */
}

static enum status refuse_extension(struct judging *j, const struct profile_extensions *row)
{
    char text[SENTENCE_MAX];
    struct buf b = BUF_FIXED(text);
    buf_lit(&b, "A file of type ");
    buf_str(&b, row->content_type);
    buf_lit(&b, " must have one of these extensions: ");
    for (size_t i = 0; i < row->extensions.n; i++) {
        if (i > 0)
            buf_lit(&b, ", ");
        buf_str(&b, row->extensions.items[i]);
    }
    buf_char(&b, '.');
    return refuse(j, ST_EXTENSION_MISMATCH,
                  sentence(j, &b, STR("The extension does not fit the content type.")));
}

static enum status judge_extension(struct judging *j)
{
    const struct profile *p = j->d->profile;
    if (!j->w->has_filename)
        return ST_OK;
    struct str ext = filename_extension(j->filename, j->a);
    for (size_t i = 0; i < p->n_extensions; i++) {
        if (str_equal(p->extensions[i].content_type, j->d->type.essence) &&
            !among(&p->extensions[i].extensions, ext))
            return refuse_extension(j, &p->extensions[i]);
    }
    return ST_OK;
}

/* ---- fields ---- */

static bool add_field(struct judging *j, struct str name, struct str value)
{
    if (j->d->n_fields == DECIDED_FIELDS_MAX)
        return false;
    j->d->fields[j->d->n_fields++] = (struct post_field){ name, value };
    return true;
}

/* What every packet of the profile carries, then type and length. */
static enum status add_shared(struct judging *j)
{
    const struct profile_side *side =
        j->d->post ? &j->d->profile->post_side : &j->d->profile->put_side;
    if (side->n_shared > 0)
        memcpy(j->d->fields, side->shared, side->n_shared * sizeof(*side->shared));
    j->d->n_fields = j->d->n_shared = side->n_shared;
    j->metadata_bytes = side->metadata_bytes;
    add_field(j, j->d->post ? STR("Content-Type") : STR("content-type"), j->d->type.whole);
    if (!j->d->length_signed)
        return ST_OK;
    char *digits = arena_alloc(j->a, DIGITS_MAX);
    if (!digits)
        return no_memory(j);
    struct buf b = { .ptr = digits, .cap = DIGITS_MAX, .limit = DIGITS_MAX, .fixed = true };
    buf_int(&b, j->d->content_length);
    add_field(j, STR("content-length"), buf_view(&b));
    return ST_OK;
}

/* ---- checksum ---- */

struct checksum_rule_row {
    size_t bytes;
    struct str word;   /* the value of x-amz-checksum-algorithm */
    struct str field;  /* of a form */
    struct str header; /* of a PUT */
};

/* clang-format off */
static const struct checksum_rule_row checksums[] = {
    [CHECK_MD5]    = { 16, STR_INIT(""),       STR_INIT("Content-MD5"),           STR_INIT("content-md5") },
    [CHECK_SHA1]   = { 20, STR_INIT("SHA1"),   STR_INIT("x-amz-checksum-sha1"),   STR_INIT("x-amz-checksum-sha1") },
    [CHECK_SHA256] = { 32, STR_INIT("SHA256"), STR_INIT("x-amz-checksum-sha256"), STR_INIT("x-amz-checksum-sha256") },
    [CHECK_CRC32]  = {  4, STR_INIT("CRC32"),  STR_INIT("x-amz-checksum-crc32"),  STR_INIT("x-amz-checksum-crc32") },
    [CHECK_CRC32C] = {  4, STR_INIT("CRC32C"), STR_INIT("x-amz-checksum-crc32c"), STR_INIT("x-amz-checksum-crc32c") },
};
/* clang-format on */

static enum status judge_checksum(struct judging *j)
{
    enum checksum_rule rule = j->d->profile->checksum;
    if (j->w->checksum_kind == CHECK_NO) {
        if (rule == CHECKSUM_REQUIRED)
            return refuse(j, ST_CHECKSUM_REQUIRED, STR("A checksum of the file is needed here."));
        return ST_OK;
    }
    if (rule == CHECKSUM_NONE)
        return refuse(j, ST_CHECKSUM_INVALID, STR("This profile takes no checksums."));

    const struct checksum_rule_row *row = &checksums[j->w->checksum_kind];
    char bytes[HASH_BYTES];
    struct buf decoded = BUF_FIXED(bytes);
    if (decode_base64(&decoded, j->w->checksum) != ST_OK || decoded.len != row->bytes)
        return refuse(j, ST_CHECKSUM_INVALID,
                      STR("The checksum is not the base64 of as many bytes as its algorithm has."));
    if (j->d->post && row->word.len > 0)
        add_field(j, STR("x-amz-checksum-algorithm"), row->word);
    add_field(j, j->d->post ? row->field : row->header, j->w->checksum);
    return ST_OK;
}

/* ---- texts with words, metadata ---- */

static enum status refuse_metadata(struct judging *j, struct str detail)
{
    return refuse(j, ST_METADATA_NOT_ALLOWED, detail);
}

static enum status refuse_metadata_name(struct judging *j, struct str name)
{
    char text[SENTENCE_MAX];
    struct buf b = BUF_FIXED(text);
    struct str plainer = STR("A name among the metadata is not allowed here.");
    buf_lit(&b, "The metadata may not hold \"");
    buf_str(&b, name);
    buf_lit(&b, "\" here.");
    return refuse_metadata(j, profile_metadata_name_ok(name) ? sentence(j, &b, plainer) : plainer);
}

static enum status percent_encoded(struct judging *j, struct str text, struct str *out)
{
    size_t room = 3 * text.len;
    char *ptr = arena_alloc(j->a, room);
    if (!ptr)
        return ST_NO_MEMORY;
    struct buf b = { .ptr = ptr, .cap = room, .limit = room, .fixed = true };
    encode_uri(&b, text);
    *out = buf_view(&b);
    return buf_check(&b);
}

static enum status attachment(struct judging *j, struct str *out)
{
    enum { ATTACHMENT_MAX = 64 + 4 * FILENAME_MAX_BYTES };
    *out = STR("attachment");
    if (!j->w->has_filename)
        return ST_OK;
    char *ptr = arena_alloc(j->a, ATTACHMENT_MAX);
    if (!ptr)
        return ST_NO_MEMORY;
    struct buf b = { .ptr = ptr, .cap = ATTACHMENT_MAX, .limit = ATTACHMENT_MAX, .fixed = true };
    filename_disposition(&b, j->filename);
    *out = buf_view(&b);
    return buf_check(&b);
}

static enum status text_value(struct judging *j, const struct profile_text *t, struct str *out)
{
    if (t->form == TEXT_ATTACHMENT)
        return attachment(j, out);
    TRY(expand(j, &t->value, SIZE_MAX, out));
    if (t->form != TEXT_METADATA)
        return ST_OK;
    TRY(percent_encoded(j, *out, out));
    j->metadata_bytes += t->name.len + out->len;
    return ST_OK;
}

static enum status add_texts(struct judging *j)
{
    const struct profile_side *side =
        j->d->post ? &j->d->profile->post_side : &j->d->profile->put_side;
    for (size_t i = 0; i < side->n_varying; i++) {
        struct str value;
        if (text_value(j, &side->varying[i], &value) != ST_OK)
            return no_memory(j);
        add_field(j, side->varying[i].name, value);
    }
    return ST_OK;
}

static enum status add_metadatum(struct judging *j, struct str name, struct str value)
{
    struct str encoded;
    size_t prefix = sizeof(META_PREFIX) - 1;
    char *field = arena_alloc(j->a, prefix + name.len);
    if (!field || percent_encoded(j, value, &encoded) != ST_OK)
        return no_memory(j);
    memcpy(field, META_PREFIX, prefix);
    memcpy(field + prefix, name.ptr, name.len);
    j->metadata_bytes += prefix + name.len + encoded.len;
    if (!add_field(j, (struct str){ field, prefix + name.len }, encoded))
        return refuse_metadata(j, STR("There are too many metadata."));
    return ST_OK;
}

static enum status judge_metadata(struct judging *j)
{
    const struct profile *p = j->d->profile;
    for (size_t i = 0; i < j->w->metadata.n; i++) {
        const struct jr_pair *sent = &j->w->metadata.items[i];
        if (!among(&p->metadata_allow, sent->name) || among(&p->metadata_set, sent->name))
            return refuse_metadata_name(j, sent->name);
        TRY(add_metadatum(j, sent->name, sent->value));
    }
    if (j->metadata_bytes > PROFILE_METADATA_BYTES_MAX)
        return refuse_metadata(j, STR("The metadata are longer than the 2048 bytes that S3 takes, "
                                      "names included."));
    return ST_OK;
}

/* ---- the list ---- */

static judge_fn *const judges[] = {
    judge_shape,        /* 400 */
    find_profile,       /* 403 */
    judge_allow,        /* 403 */
    choose_method,      /* 403 */
    judge_words,        /* 403 */
    judge_length_given, /* 400, which only the profile can tell */
    judge_expiry,       /* 422 from here on */
    judge_type,         judge_size,     judge_filename, make_key,       judge_extension,
    add_shared,         judge_checksum, add_texts,      judge_metadata,
};

enum status decide(const struct rules *r, const struct principal *who, const struct wish *w,
                   int64_t now_s, const struct grant_ids *ids, struct arena *a,
                   struct decision *out, struct fault *f)
{
    struct judging j = { .r = r, .who = who, .w = w, .now_s = now_s, .a = a, .d = out, .f = f };
    *out = (struct decision){ .ids = *ids };
    for (size_t i = 0; i < ARRAY_LEN(judges); i++)
        TRY(judges[i](&j));
    return ST_OK;
}

int64_t decide_expiry(const struct decision *d, int64_t now_s, int64_t creds_expire_s,
                      int64_t min_ttl_s, enum expiry_limit *limited_by, bool *starved)
{
    int64_t granted_s = now_s + d->life_s;
    int64_t creds_end_s = creds_expire_s - CREDENTIALS_MARGIN_S;
    bool limited = creds_end_s < granted_s;
    *limited_by = limited ? LIMITED_BY_CREDENTIALS : d->limited_by;
    *starved = limited && creds_end_s - now_s < MIN_OF(min_ttl_s, d->life_s);
    return limited ? creds_end_s : granted_s;
}
