/*
 * hash - SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104) with states that can be kept and copied.
 *
 * A kept HMAC state costs one compression less per use than a fresh key, and a copied state lets
 * texts with a common prefix share its hashing. Built on OpenSSL's SHA256 block functions.
 */
#ifndef PRESIGND_HASH_H
#define PRESIGND_HASH_H

#include <openssl/sha.h>

#include "presignd/str.h"

enum { HASH_BYTES = 32 };

struct hash {
    SHA256_CTX ctx;
};

struct hmac_key { /* the two keyed states; secret: wipe with hmac_key_release */
    SHA256_CTX inner, outer;
};

struct hmac {
    SHA256_CTX ctx;
    const struct hmac_key *key;
};

void hash_start(struct hash *h);
void hash_add(struct hash *h, struct str bytes);
void hash_end(struct hash *h, unsigned char out[HASH_BYTES]);
void hash_once(struct str bytes, unsigned char out[HASH_BYTES]);

/* Any key length (RFC 2104: longer than 64 bytes is hashed first). */
void hmac_key_set(struct hmac_key *k, struct str key);
void hmac_key_release(struct hmac_key *k);

/* The key must outlive the computation. A struct hmac may be copied to keep a prefix. */
void hmac_start(struct hmac *m, const struct hmac_key *k);
void hmac_add(struct hmac *m, struct str bytes);
void hmac_end(struct hmac *m, unsigned char out[HASH_BYTES]);
void hmac_once(const struct hmac_key *k, struct str bytes, unsigned char out[HASH_BYTES]);

#endif
