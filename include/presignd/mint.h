/*
 * mint - makes tokens with libjwt, for `presignd token`, --dev and tests. Never on the request path.
 */
#ifndef PRESIGND_MINT_H
#define PRESIGND_MINT_H

#include "presignd/buf.h"
#include "presignd/jwk.h"
#include "presignd/secret.h"

struct mint_claim {
    struct str name;
    struct str json; /* the value as JSON text: "\"photos\"", "42", "[...]" */
};

struct mint_ask {
    unsigned alg;   /* one bit; HS*, RS*, ES* (what libjwt of Debian 12 can) */
    struct str key; /* HMAC secret, or PEM private key */
    struct str kid; /* "" = none */
    struct str issuer, audience, user_claim, user;
    int64_t issued_at_s, ttl_s;
    const struct mint_claim *claims; /* further or overriding ones */
    size_t n_claims;
};

/* Appends the token. ST_INVALID with why (bad key, bad claim JSON, algorithm libjwt lacks). */
MUST_CHECK enum status mint_token(struct buf *out, const struct mint_ask *ask, struct buf *why);

#endif
