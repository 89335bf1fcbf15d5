/*
 * jwk - one verification key, bound at load to exact algorithms. Sources: RFC 7517 (JWK), RFC 7518
 * (RSA, EC, oct), RFC 8037 (OKP Ed25519), PEM, raw HMAC secrets.
 *
 * A key that must not be used is never made: RSA under 2048 or over 8192 bits, even or tiny exponent,
 * a point off the curve, private members, use other than sig, key_ops without verify.
 */
#ifndef PRESIGND_JWK_H
#define PRESIGND_JWK_H

#include <jansson.h>
#include <openssl/evp.h>

#include "presignd/buf.h"
#include "presignd/secret.h"

/* clang-format off */
enum jwa { /* bits of a set; words in jwa_name */
    JWA_HS256 = 1 << 0, JWA_HS384 = 1 << 1, JWA_HS512 = 1 << 2,
    JWA_RS256 = 1 << 3, JWA_RS384 = 1 << 4, JWA_RS512 = 1 << 5,
    JWA_PS256 = 1 << 6, JWA_PS384 = 1 << 7, JWA_PS512 = 1 << 8,
    JWA_ES256 = 1 << 9, JWA_ES384 = 1 << 10, JWA_ES512 = 1 << 11,
    JWA_EDDSA = 1 << 12,
};
/* clang-format on */
enum { JWA_HS_ALL = 7, JWA_KINDS = 13, KID_MAX = 255 };

/* 0 for a name that is none of them (exact case). */
unsigned jwa_from_name(struct str name);
const char *jwa_name(unsigned one_alg);

struct jwk {        /* stays where it was made: kid points into it */
    struct str kid; /* "" without; points into kid_text */
    char kid_text[KID_MAX + 1];
    unsigned algs;        /* what it may verify; never 0 */
    EVP_PKEY *pkey;       /* public key; NULL for HMAC */
    struct secret secret; /* HMAC */
};
void jwk_release(struct jwk *k);

/* `allowed` is the issuer's algorithm set. ST_OK; ST_INVALID with why; ST_NO_MEMORY. */
MUST_CHECK enum status jwk_from_json(struct jwk *out, json_t *jwk, unsigned allowed,
                                     struct buf *why);
MUST_CHECK enum status jwk_from_pem(struct jwk *out, struct str pem, unsigned allowed,
                                    struct buf *why);
/* At least 32 bytes and at least the hash's length for each algorithm kept. */
MUST_CHECK enum status jwk_from_secret(struct jwk *out, struct str secret, unsigned allowed,
                                       struct buf *why);

/* Signature over text: ST_OK only if good. `alg` is one bit of k->algs. ECDSA signatures are R||S of
 * exact length, neither zero (RFC 7518 section 3.4). ST_INVALID; ST_NO_MEMORY: it was not judged. */
MUST_CHECK enum status jwk_verify(const struct jwk *k, unsigned alg, struct str text,
                                  struct str signature);

#endif
