/*
 * claims - a payload becomes a principal, or a reason for the log.
 *
 * Dates are cut to whole seconds at once: the clock of a request is, too, and a float never meets
 * an integer again. What the token's issuer decides about plan and tenant is taken as it is where it
 * is a text; anything else counts as absent (API.md: an unknown plan is the default plan).
 */
#include "presignd/claims.h"

#include <math.h>

enum { USER_MAX = 255 };

/* Largest date we take, 9999-12-31T23:59:59Z; sums with leeway and lifetime stay far from overflow. */
static const int64_t date_max = INT64_C(253402300799);

static bool refuse(const char **reason, const char *literal)
{
    *reason = literal;
    return false;
}

static struct str text_of(const json_t *v)
{
    return json_is_string(v) ? (struct str){ json_string_value(v), json_string_length(v) }
                             : STR_NONE;
}

/* RFC 7519 section 2, NumericDate: an integer, or a real that is cut. */
static bool date_of_claim(const json_t *v, int64_t *out_s)
{
    if (json_is_integer(v)) {
        *out_s = json_integer_value(v);
        return *out_s >= -date_max && *out_s <= date_max;
    }
    const double real = json_real_value(v); /* 0 for what is no real */
    if (!json_is_real(v) || !isfinite(real) || fabs(real) > (double)date_max)
        return false;
    *out_s = (int64_t)real;
    return true;
}

/* An absent claim leaves *out_s as it is. */
static bool optional_date(json_t *claims, const char *name, int64_t *out_s)
{
    const json_t *v = json_object_get(claims, name);
    return !v || date_of_claim(v, out_s);
}

static bool dates_ok(const struct issuer_config *ic, json_t *claims, int64_t now_s,
                     struct principal *p, const char **reason)
{
    int64_t exp = 0, nbf = 0, iat = now_s;
    if (!date_of_claim(json_object_get(claims, "exp"), &exp))
        return refuse(reason, "exp is missing or no date");
    if (!optional_date(claims, "nbf", &nbf) || !optional_date(claims, "iat", &iat))
        return refuse(reason, "nbf or iat is no date");
    if (now_s >= exp + ic->leeway_s)
        return refuse(reason, "expired");
    if (nbf > now_s + ic->leeway_s)
        return refuse(reason, "not yet valid (nbf)");
    if (iat > now_s + ic->leeway_s)
        return refuse(reason, "issued in the future (iat)");
    if (exp - iat > ic->max_lifetime_s + ic->leeway_s)
        return refuse(reason, "lives longer than max_lifetime_s");
    p->expires_at_s = exp;
    p->not_before_s = nbf;
    p->leeway_s = ic->leeway_s;
    return true;
}

static bool is_audience(const struct issuer_config *ic, const json_t *v)
{
    for (size_t i = 0; i < ic->n_audiences; i++) {
        if (json_is_string(v) && str_equal(text_of(v), ic->audiences[i]))
            return true;
    }
    return false;
}

/* RFC 7519 section 4.1.3: a text or an array of texts. */
static bool audience_ok(const struct issuer_config *ic, json_t *aud)
{
    if (!json_is_array(aud))
        return is_audience(ic, aud);
    bool ours = false;
    size_t i;
    json_t *one;
    json_array_foreach(aud, i, one)
    {
        if (!json_is_string(one))
            return false;
        ours = ours || is_audience(ic, one);
    }
    return ours;
}

/* C0, DEL and, in UTF-8, C1 (U+0080 to U+009F). jansson let only well-formed UTF-8 in. */
static bool has_controls(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c == 0x7f)
            return true;
        if (c == 0xc2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xa0)
            return true;
    }
    return false;
}

static bool plain_text(struct str s)
{
    return s.len > 0 && s.len <= USER_MAX && str_valid_utf8(s) && !has_controls(s);
}

/* Claim names come from the configuration, as views without a NUL. */
static json_t *claim(json_t *claims, struct str name)
{
    char cname[256];
    if (name.len == 0 || name.len >= sizeof(cname))
        return NULL;
    memcpy(cname, name.ptr, name.len);
    cname[name.len] = '\0';
    return json_object_get(claims, cname);
}

static struct str optional_text(json_t *claims, struct str name)
{
    const struct str s = text_of(claim(claims, name));
    return plain_text(s) ? s : STR("");
}

/* An array's element is one word: a blank inside must not make two of it. */
static void add_words(struct buf *out, json_t *v)
{
    size_t i;
    json_t *one;
    json_array_foreach(v, i, one)
    {
        const struct str word = text_of(one);
        if (word.len == 0 || str_find(word, ' ', 0) < word.len)
            continue;
        buf_str(out, word);
        buf_char(out, ' ');
    }
    const struct str words = text_of(v);
    if (words.len > 0) {
        buf_str(out, words);
        buf_char(out, ' ');
    }
}

static enum status keep_scope(struct principal *p)
{
    json_t *scope = json_object_get(p->claims, "scope");
    json_t *scp = json_object_get(p->claims, "scp");
    if (!scope && !scp)
        return ST_OK;
    if (json_is_string(scope) && !scp) {
        p->scope = text_of(scope);
        return ST_OK;
    }
    AUTO(buf) words = BUF_INIT(16384);
    add_words(&words, scope);
    add_words(&words, scp);
    return arena_keep(&p->text, &words, &p->scope);
}

static bool names_ok(const struct issuer_config *ic, struct principal *p, const char **reason)
{
    if (!str_equal(text_of(json_object_get(p->claims, "iss")), ic->issuer))
        return refuse(reason, "iss is another");
    if (!audience_ok(ic, json_object_get(p->claims, "aud")))
        return refuse(reason, "aud is not ours");
    p->user = text_of(claim(p->claims, ic->user_claim));
    if (!plain_text(p->user))
        return refuse(reason, "the user claim is no text of 1 to 255 bytes without controls");
    p->issuer = text_of(json_object_get(p->claims, "iss"));
    p->tenant = optional_text(p->claims, ic->tenant_claim);
    p->plan = optional_text(p->claims, ic->plan_claim);
    return true;
}

static enum status fill(const struct issuer_config *ic, int64_t now_s, struct principal *p,
                        const char **reason)
{
    if (!dates_ok(ic, p->claims, now_s, p, reason) || !names_ok(ic, p, reason))
        return ST_INVALID_TOKEN;
    principal_hash_user(p->issuer, p->user, p->user_hash);
    return keep_scope(p);
}

enum status claims_check(const struct issuer_config *ic, size_t issuer_index, json_t *claims,
                         int64_t now_s, struct principal **out, const char **reason)
{
    struct principal *p = principal_new();
    if (!p)
        return ST_NO_MEMORY;
    p->claims = json_incref(claims);
    p->issuer_index = issuer_index;
    const enum status st = fill(ic, now_s, p, reason);
    if (st != ST_OK) {
        principal_unref(p);
        return st;
    }
    *out = p;
    return ST_OK;
}

bool claims_expired(const struct issuer_config *ic, json_t *claims, int64_t now_s)
{
    int64_t exp;
    return date_of_claim(json_object_get(claims, "exp"), &exp) && now_s >= exp + ic->leeway_s;
}

bool claims_still_good(const struct principal *p, int64_t now_s)
{
    return now_s < p->expires_at_s + p->leeway_s && p->not_before_s <= now_s + p->leeway_s;
}
