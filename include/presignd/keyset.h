/*
 * keyset - the keys of one issuer, immutable and counted.
 */
#ifndef PRESIGND_KEYSET_H
#define PRESIGND_KEYSET_H

#include <stdatomic.h>

#include "presignd/jwk.h"

enum { KEYSET_KEYS_MAX = 100, KEYSET_BYTES_MAX = 1 << 20 };

struct keyset {
    atomic_int refs;
    bool any_kid; /* of a PEM or a secret: the only key, whatever kid the token names */
    size_t n;
    struct jwk keys[];
};

/*
 * From a JWK Set (RFC 7517 section 5). Unusable keys are skipped, twin kids drop each other;
 * *why tells of what was skipped. NULL: none usable, over the limits, or no JWK set (why says).
 */
struct keyset *keyset_from_jwks(struct str json, unsigned allowed, struct buf *why);
/* One key, which has no kid: it serves tokens with any kid and with none. */
struct keyset *keyset_from_pem(struct str pem, unsigned allowed, struct buf *why);
struct keyset *keyset_from_secret(struct str secret, unsigned allowed, struct buf *why);
struct keyset *keyset_ref(struct keyset *ks);
void keyset_unref(struct keyset *ks);

/*
 * The key for (kid, alg). Without kid exactly one key must fit the algorithm.
 * NULL: none; *out_unknown_kid is true when no key has that kid (a refetch might help).
 */
const struct jwk *keyset_find(const struct keyset *ks, struct str kid, bool has_kid, unsigned alg,
                              bool *out_unknown_kid);

#endif
