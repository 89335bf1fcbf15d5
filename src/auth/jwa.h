/*
 * jwa - what jwk.c (which key may verify what) and jwk_verify.c (does it?) know of an algorithm of
 * RFC 7518 and RFC 8037. Nobody else includes it.
 */
#ifndef PRESIGND_AUTH_JWA_H
#define PRESIGND_AUTH_JWA_H

#include <openssl/evp.h>

#include "presignd/jwk.h"

enum { COORDINATE_MAX = 66 };

enum family { HMAC_SHA2, RSA_PKCS1, RSA_PSS, ECDSA, ED25519 };

struct alg {
    const char *name;
    enum family family;
    const EVP_MD *(*digest)(void);
    size_t bytes;      /* HMAC: of the hash; ECDSA: of a coordinate */
    const char *curve; /* ECDSA: as RFC 7518 names it */
    const char *group; /* ECDSA: as OpenSSL names it */
};

/* The row of one enum jwa; NULL for none or several. */
const struct alg *jwa_of(unsigned one_alg);

#endif
