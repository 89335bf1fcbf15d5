/*
 * token - a compact JWS taken apart, before anything in it is believed.
 *
 * Only the forms that an issuer's library writes get through: what a lenient decoder would forgive
 * (padding, blanks, spare bits, members twice) lets two programs read one token differently.
 */
#include "presignd/token.h"

#include "presignd/encode.h"
#include "presignd/json_read.h"

enum { JSON_DEPTH_MAX = 16, DECODED_MAX = TOKEN_BYTES_MAX / 4 * 3 };

static enum status refuse(const char **reason, const char *literal)
{
    *reason = literal;
    return ST_INVALID_TOKEN;
}

struct parts {
    struct str header, payload, signature;
};

/* Lengths only: the decoders hold every byte to the alphabet. */
static bool split(struct str text, struct parts *out)
{
    const size_t first = str_find(text, '.', 0);
    const size_t second = str_find(text, '.', first + 1);
    if (second >= text.len || str_find(text, '.', second + 1) < text.len)
        return false;
    out->header = str_slice(text, 0, first);
    out->payload = str_slice(text, first + 1, second);
    out->signature = str_slice(text, second + 1, text.len);
    return out->header.len > 0 && out->payload.len > 0 && out->signature.len > 0;
}

/* ST_INVALID_TOKEN without a reason: the caller knows which part it is. */
static enum status read_object(struct str part, struct arena *a, json_t **out)
{
    char bytes[DECODED_MAX];
    struct buf b = BUF_FIXED(bytes);
    struct jr_error err;
    json_t *doc = NULL;
    if (decode_base64url(&b, part) != ST_OK)
        return ST_INVALID_TOKEN;
    const enum status st = jr_parse(buf_view(&b), JSON_DEPTH_MAX, a, &doc, &err);
    if (st != ST_OK)
        return st == ST_NO_MEMORY ? st : ST_INVALID_TOKEN;
    if (!json_is_object(doc)) {
        json_decref(doc);
        return ST_INVALID_TOKEN;
    }
    *out = doc;
    return ST_OK;
}

static enum status read_signature(struct str part, struct arena *a, struct str *out)
{
    char bytes[DECODED_MAX];
    struct buf b = BUF_FIXED(bytes);
    return decode_base64url(&b, part) == ST_OK ? arena_keep(a, &b, out) : ST_INVALID_TOKEN;
}

static struct str text_of(json_t *v)
{
    return json_is_string(v) ? (struct str){ json_string_value(v), json_string_length(v) }
                             : STR_NONE;
}

/* RFC 7519 section 5.1, RFC 9068 section 2.1; RFC 7515 section 4.1.9 lets "application/" go. */
static bool typ_ok(json_t *typ)
{
    static const struct str prefix = STR_INIT("application/");
    struct str s = text_of(typ);
    if (!typ)
        return true;
    if (str_equal_nocase(str_slice(s, 0, prefix.len), prefix))
        s = str_slice(s, prefix.len, s.len);
    return str_equal_nocase(s, STR("JWT")) || str_equal_nocase(s, STR("at+jwt"));
}

/* Extensions that change what the bytes mean (RFC 7515 section 4.1.11, RFC 7797, RFC 7516). */
static bool has_extension(json_t *header)
{
    static const char *const names[] = { "crit", "b64", "zip", "cty" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (json_object_get(header, names[i]))
            return true;
    }
    return false;
}

static enum status read_kid(struct token *t, json_t *kid, struct arena *a, const char **reason)
{
    if (!kid)
        return ST_OK;
    const struct str text = text_of(kid);
    if (text.len == 0 || text.len > KID_MAX)
        return refuse(reason, "kid is no text of 1 to 255 bytes");
    t->kid = arena_copy(a, text);
    t->has_kid = true;
    return t->kid.ptr ? ST_OK : ST_NO_MEMORY;
}

static enum status read_header(struct token *t, json_t *header, struct arena *a,
                               const char **reason)
{
    if (has_extension(header))
        return refuse(reason, "header has crit, b64, zip or cty");
    if (!typ_ok(json_object_get(header, "typ")))
        return refuse(reason, "typ is neither JWT nor at+jwt");
    t->alg = jwa_from_name(text_of(json_object_get(header, "alg")));
    if (t->alg == 0)
        return refuse(reason, "alg is none of ours");
    return read_kid(t, json_object_get(header, "kid"), a, reason);
}

static enum status parse_header(struct token *t, struct str part, struct arena *a,
                                const char **reason)
{
    json_t *header = NULL;
    *reason = "header is no strict JSON object in base64url";
    TRY(read_object(part, a, &header));
    const enum status st = read_header(t, header, a, reason);
    json_decref(header);
    return st;
}

static enum status parse_parts(struct token *t, const struct parts *p, struct arena *a,
                               const char **reason)
{
    TRY(parse_header(t, p->header, a, reason));
    *reason = "signature is no canonical base64url";
    TRY(read_signature(p->signature, a, &t->signature));
    *reason = "payload is no strict JSON object in base64url";
    return read_object(p->payload, a, &t->claims);
}

enum status token_parse(struct token *out, struct str text, struct arena *a, const char **reason)
{
    struct token t = { 0 };
    struct parts p;
    if (text.len > TOKEN_BYTES_MAX)
        return refuse(reason, "token is over 8 KiB");
    if (!split(text, &p))
        return refuse(reason, "token is not three parts between two dots");

    const char *fault = NULL;
    const enum status st = parse_parts(&t, &p, a, &fault);
    if (st != ST_OK) {
        *reason = fault;
        return st;
    }
    t.signed_text = str_slice(text, 0, p.header.len + 1 + p.payload.len);
    *out = t;
    return ST_OK;
}

void token_release(struct token *t)
{
    json_decref(t->claims);
    *t = (struct token){ 0 };
}
