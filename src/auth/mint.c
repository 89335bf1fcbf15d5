/*
 * mint - tokens by libjwt, through the calls that its 1.10 (Debian 12) and 1.17 (Debian 13) share.
 *
 * The payload is built whole and handed over as JSON, so that a claim may be of any type and a
 * later one takes the place of an earlier. libjwt would sign with any secret; the lengths that our
 * own verifier wants are asked for here too.
 */
#include "presignd/mint.h"

#include <jansson.h>
#include <jwt.h>
#include <stdlib.h>

#include "presignd/json_guard.h"

/* clang-format off */
static const struct {
    unsigned alg;
    jwt_alg_t lib;
} algs[] = {
    { JWA_HS256, JWT_ALG_HS256 }, { JWA_HS384, JWT_ALG_HS384 }, { JWA_HS512, JWT_ALG_HS512 },
    { JWA_RS256, JWT_ALG_RS256 }, { JWA_RS384, JWT_ALG_RS384 }, { JWA_RS512, JWT_ALG_RS512 },
    { JWA_ES256, JWT_ALG_ES256 }, { JWA_ES384, JWT_ALG_ES384 }, { JWA_ES512, JWT_ALG_ES512 },
};
/* clang-format on */

static enum status refuse(struct buf *why, struct str sentence)
{
    buf_str(why, sentence);
    return ST_INVALID;
}

static bool lib_alg(unsigned alg, jwt_alg_t *out)
{
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        if (algs[i].alg == alg) {
            *out = algs[i].lib;
            return true;
        }
    }
    return false;
}

/* Takes value. */
static bool put(json_t *payload, struct str name, json_t *value)
{
    char key[256];
    if (!value || name.len >= sizeof(key)) {
        json_decref(value);
        return false;
    }
    memcpy(key, name.ptr ? name.ptr : "", name.len);
    key[name.len] = '\0';
    return json_object_set_new(payload, key, value) == 0;
}

static bool put_text(json_t *payload, struct str name, struct str text)
{
    return put(payload, name, json_stringn(text.ptr ? text.ptr : "", text.len));
}

static bool put_basics(json_t *payload, const struct mint_ask *ask)
{
    const struct str user_claim = ask->user_claim.len > 0 ? ask->user_claim : STR("sub");
    return put_text(payload, STR("iss"), ask->issuer) &&
           put_text(payload, STR("aud"), ask->audience) &&
           put_text(payload, user_claim, ask->user) &&
           put(payload, STR("iat"), json_integer(ask->issued_at_s)) &&
           put(payload, STR("exp"), json_integer(ask->issued_at_s + ask->ttl_s));
}

static bool put_claims(json_t *payload, const struct mint_ask *ask, struct buf *why)
{
    for (size_t i = 0; i < ask->n_claims; i++) {
        const struct mint_claim *c = &ask->claims[i];
        json_error_t error;
        json_t *value = NULL;
        if (json_guard_load(c->json, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &value, &error) ==
            ST_NO_MEMORY)
            return false;
        if (put(payload, c->name, value))
            continue;
        buf_lit(why, "claim ");
        buf_str(why, c->name);
        buf_lit(why, ": its value is no JSON");
        return false;
    }
    return true;
}

/* The payload as JSON text, for free(); NULL with why. */
static char *payload_text(const struct mint_ask *ask, struct buf *why)
{
    char *text = NULL;
    json_t *payload = json_object();
    if (!payload || !put_basics(payload, ask))
        buf_lit(why, "issuer, audience or user is no UTF-8");
    else if (put_claims(payload, ask, why))
        text = json_dumps(payload, JSON_COMPACT);
    json_decref(payload);
    return text;
}

static enum status check_key(const struct mint_ask *ask, struct buf *why)
{
    if (ask->key.len == 0)
        return refuse(why, STR("the key is empty"));
    if ((ask->alg & JWA_HS_ALL) == 0)
        return ST_OK;
    struct jwk k;
    const enum status st = jwk_from_secret(&k, ask->key, ask->alg, why);
    if (st == ST_OK)
        jwk_release(&k);
    return st;
}

static enum status add_kid(jwt_t *jwt, struct str kid, struct buf *why)
{
    char text[KID_MAX + 1] = "";
    if (kid.len == 0)
        return ST_OK;
    if (kid.len > KID_MAX)
        return refuse(why, STR("kid is over 255 bytes"));
    memcpy(text, kid.ptr, kid.len);
    return jwt_add_header(jwt, "kid", text) == 0 ? ST_OK
                                                 : refuse(why, STR("kid cannot be a header"));
}

static enum status encode(struct buf *out, jwt_t *jwt, const struct mint_ask *ask, jwt_alg_t alg,
                          struct buf *why)
{
    if (jwt_set_alg(jwt, alg, (const unsigned char *)ask->key.ptr, (int)ask->key.len) != 0)
        return refuse(why, STR("libjwt does not take this key"));
    char *token = jwt_encode_str(jwt);
    if (!token)
        return refuse(why, STR("libjwt cannot sign: is the key of the algorithm's type?"));
    buf_str(out, str_from(token));
    free(token); /* libjwt 1.10 has no function for it; ours is the allocator it uses */
    return buf_check(out);
}

enum status mint_token(struct buf *out, const struct mint_ask *ask, struct buf *why)
{
    jwt_alg_t alg;
    jwt_t *jwt = NULL;
    if (!lib_alg(ask->alg, &alg))
        return refuse(why, STR("libjwt signs HS*, RS* and ES* only"));
    TRY(check_key(ask, why));
    char *payload = payload_text(ask, why);
    if (!payload)
        return ST_INVALID;

    enum status st = ST_NO_MEMORY;
    if (jwt_new(&jwt) == 0)
        st = jwt_add_grants_json(jwt, payload) == 0 ? add_kid(jwt, ask->kid, why) : ST_INVALID;
    if (st == ST_OK)
        st = encode(out, jwt, ask, alg, why);
    jwt_free(jwt);
    free(payload);
    return st;
}
