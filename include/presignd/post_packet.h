/*
 * post_packet - the presigned POST: form fields and the policy that pins each of them.
 *
 * Fields and conditions come from one table, so that no field lacks its condition (AWS "Creating a
 * POST Policy": every field except x-amz-signature, file, policy and x-ignore-* needs one).
 * The policy is compact JSON with raw UTF-8; what the packets of one profile share stands first.
 */
#ifndef PRESIGND_POST_PACKET_H
#define PRESIGND_POST_PACKET_H

#include "presignd/sigv4.h"

enum { POST_FIELDS_MAX = 48, POST_FORM_BYTES_MAX = 20480, POST_KEPT_MAX = 4096 };

struct post_field {
    struct str name; /* as AWS prints it: "key", "Content-Type", "x-amz-meta-album" */
    struct str value;
};

struct post_ask {
    struct str bucket;
    struct str key;
    const struct post_field *fields; /* the others, in their order; not policy or x-amz-* auth */
    size_t n_fields;
    size_t n_shared; /* the first n_shared fields are the same in every packet of the profile */
    int64_t min_bytes, max_bytes; /* content-length-range, inclusive */
    int64_t expires_at_s;         /* unix; whole seconds */
    size_t shared_slot;           /* for a struct post_kept: the profile's number */
};

struct post_packet {
    struct post_field fields[POST_FIELDS_MAX]; /* key first; policy, x-amz-signature last */
    size_t n_fields;
    struct buf text; /* what the views point to, where not the ask's or the key's */
};

#define POST_PACKET_INIT ((struct post_packet){ .text = BUF_INIT(65536) })
void post_packet_release(struct post_packet *p);

/* Only the policy text (compact JSON), without signing: for tests, dry runs and oracles. */
MUST_CHECK enum status post_policy(struct buf *out, const struct post_ask *ask,
                                   const struct sign_creds *c, const struct signing_key *k,
                                   int64_t now_s);

/* Only the conditions, as a JSON array, without the credential's own: for dry_run. */
MUST_CHECK enum status post_conditions(struct buf *out, const struct post_ask *ask);

/*
 * Signs. `k` is the key of `c` for the day of now_s. ST_TOO_LARGE: key over 1,024 bytes, user
 * metadata (names and values) over 2 KB, or the form over POST_FORM_BYTES_MAX. ST_INVALID: a value
 * that no field may carry (control, bidi, '$', '\\', bad UTF-8), a field name that is odd, repeated
 * or the signer's own, too many fields, an empty key or range, an expiry not after now_s, another
 * credential's or day's key. ST_NO_MEMORY. *out is usable again after any of them.
 */
MUST_CHECK enum status post_packet_sign(struct post_packet *out, const struct post_ask *ask,
                                        const struct sign_creds *c, const struct signing_key *k,
                                        int64_t now_s);

/*
 * What the packets of a profile share, kept from one packet to the next: base64 and signature state
 * of the policy's beginning. One per loop; ask->shared_slot says which slot, which is made anew
 * whenever bucket, shared fields, credential, day, region, session token or k->generation differ.
 */
struct post_kept;
struct post_kept *post_kept_new(size_t slots); /* 1 to POST_KEPT_MAX are made; NULL: no memory */
void post_kept_free(struct post_kept *kept);
DEFINE_AUTO_PTR(post_kept)

/* post_packet_sign with the shared part out of `kept`. The same bytes, the same statuses. */
MUST_CHECK enum status post_packet_sign_kept(struct post_packet *out, const struct post_ask *ask,
                                             const struct sign_creds *c,
                                             const struct signing_key *k, int64_t now_s,
                                             struct post_kept *kept);

/* True when a value may stand in a field: UTF-8 without control, bidi, '$', '\\'. */
bool post_value_ok(struct str value);

#endif
