/*
 * token - the strict gate before any verification: a compact JWS (RFC 7515 section 3.1) taken apart.
 *
 * Length at most 8 KiB, exactly two dots, canonical base64url, a header object without repeated
 * members, `alg` of ours, `typ` absent / JWT / at+jwt, and none of crit, b64, zip, cty. Nothing of
 * the payload may be believed before jwk_verify said yes, except `iss` to choose the issuer.
 */
#ifndef PRESIGND_TOKEN_H
#define PRESIGND_TOKEN_H

#include <jansson.h>

#include "presignd/arena.h"
#include "presignd/jwk.h"

enum { TOKEN_BYTES_MAX = 8192 };

struct token {
    unsigned alg; /* one bit of enum jwa */
    struct str kid;
    bool has_kid;
    struct str signed_text; /* header.payload, a view of the given text */
    struct str signature;   /* decoded, in the arena */
    json_t *claims;         /* an object; owned: token_release */
};

/* ST_OK, ST_INVALID_TOKEN (*reason: a literal for the log), ST_NO_MEMORY. */
MUST_CHECK enum status token_parse(struct token *out, struct str text, struct arena *a,
                                   const char **reason);
void token_release(struct token *t);

#endif
