/*
 * sigv4 - AWS Signature Version 4: the signing key and the signature. Pure: no clock, no socket.
 *
 * Source: AWS "Signature Version 4 signing process" (deriving the signing key; string to sign) and
 * "Authenticating Requests: Browser-Based Uploads Using POST".
 */
#ifndef PRESIGND_SIGV4_H
#define PRESIGND_SIGV4_H

#include "presignd/buf.h"
#include "presignd/hash.h"
#include "presignd/secret.h"

/* What signs; borrowed views into one credential generation. */
struct sign_creds {
    struct str access_key_id;
    struct str secret_key;
    struct str session_token; /* "" without one */
};

/* The derived key of one credential, day, region; wipe with signing_key_release. */
struct signing_key {
    struct hmac_key key;
    char day[9]; /* YYYYMMDD */
    char region[32];
    char credential[192]; /* AKID/YYYYMMDD/REGION/SERVICE/aws4_request */
    size_t credential_len;
    size_t scope_at;     /* where the scope starts in credential */
    int64_t day_number;  /* days since 1970 */
    uint64_t generation; /* of the credentials; a cache compares it */
};

/*
 * ST_OK; ST_INVALID when access key id, secret or region is empty, too long or has odd bytes, or the
 * session token has bytes that no form field may carry. *k is not to be used then.
 */
MUST_CHECK enum status signing_key_derive(struct signing_key *k, const struct sign_creds *c,
                                          struct str region, int64_t unix_s);
/* The same for a service other than "s3": its name is [a-z0-9-], at most 16 bytes. */
MUST_CHECK enum status signing_key_derive_for(struct signing_key *k, const struct sign_creds *c,
                                              struct str service, struct str region,
                                              int64_t unix_s);
void signing_key_release(struct signing_key *k);

/* True when k was derived for this access key id and the day of now_s. */
bool signing_key_fits(const struct signing_key *k, const struct sign_creds *c, int64_t now_s);

/* AKID/YYYYMMDD/REGION/SERVICE/aws4_request, and the same without AKID/ (the credential scope). */
struct str signing_key_credential(const struct signing_key *k);
struct str signing_key_scope(const struct signing_key *k);

/* A few keys of one loop: (generation, day, region) -> key, derived on a miss, oldest replaced. */
enum { SIGNING_KEYS = 8 };
struct signing_keys {
    struct signing_key keys[SIGNING_KEYS];
    size_t next;
};
/*
 * The key stays valid until the next call that may derive one; start with a zeroed struct. Status of
 * signing_key_derive.
 */
MUST_CHECK enum status signing_keys_get(struct signing_keys *ks, const struct sign_creds *c,
                                        uint64_t generation, struct str region, int64_t unix_s,
                                        const struct signing_key **out_key);
void signing_keys_release(struct signing_keys *ks);

/* Lower-case hex of HMAC(key, text). */
void sigv4_sign(struct buf *out, const struct signing_key *k, struct str text);

#endif
