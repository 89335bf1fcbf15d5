/*
 * decide - may this principal upload this file, under which key, with which fields and conditions,
 * for how long? Pure: the time and the random ids are arguments.
 */
#ifndef PRESIGND_DECIDE_H
#define PRESIGND_DECIDE_H

#include "presignd/content_type.h"
#include "presignd/fault.h"
#include "presignd/post_packet.h"
#include "presignd/profile.h"
#include "presignd/url_packet.h"

enum method_wish { METHOD_AUTO, METHOD_POST, METHOD_PUT };
enum checksum_kind { CHECK_NO, CHECK_MD5, CHECK_SHA1, CHECK_SHA256, CHECK_CRC32, CHECK_CRC32C };

/* What a client asks for, whatever dialect it spoke. Texts are in the request's arena. */
struct wish {
    struct str profile;      /* "" = the default */
    struct str content_type; /* raw */
    bool has_length;
    int64_t content_length;
    bool has_filename;
    struct str filename; /* raw */
    enum checksum_kind checksum_kind;
    struct str checksum; /* base64 as sent */
    struct jr_pairs metadata;
    enum method_wish method;
    bool has_expires;
    int64_t expires_in;
};

/* The random part of a grant, drawn by the caller. */
struct grant_ids {
    char id[37];   /* UUID v7: the upload's id and {uuid7} */
    char uuid[37]; /* UUID v4: {uuid} */
};

enum expiry_limit {
    LIMITED_BY_REQUEST,
    LIMITED_BY_PROFILE,
    LIMITED_BY_TOKEN,
    LIMITED_BY_CREDENTIALS
};
extern const struct str expiry_limit_words[4];

struct decision {
    const struct profile *profile;
    const struct bucket *bucket;
    const struct plan *plan; /* NULL without plans */
    bool post;               /* POST packet, else PUT */
    struct grant_ids ids;
    struct str key;
    struct content_type type;
    bool has_length;
    int64_t content_length;
    int64_t min_bytes, max_bytes; /* what is signed */
    int64_t reserve_bytes;        /* what a ledger must hold back */
    bool length_signed;           /* PUT with a size, also where `size: any` lets it be left out */
    /* POST: form fields (shared ones first); PUT: headers, lower case, as the client must send them */
    struct post_field fields[POST_FIELDS_MAX];
    size_t n_fields, n_shared;
    int64_t life_s; /* by request, profile and token; credentials come later */
    enum expiry_limit limited_by;
};

/*
 * Judges one file. A missing size that the profile cannot do without is a fault of shape, but only
 * a profile can tell: it comes right after the 403s. `now_s` is the request's one reading of the
 * clock (API.md section 1, "clock").
 * ST_OK and *out filled, or the status with `f` filled, in the order of faults of API.md.
 */
MUST_CHECK enum status decide(const struct rules *r, const struct principal *who,
                              const struct wish *w, int64_t now_s, const struct grant_ids *ids,
                              struct arena *a, struct decision *out, struct fault *f);

/*
 * The last limit: credentials that end at creds_expire_s (true expiry). Returns when the packet ends
 * and sets *limited_by; *starved is true when the credentials are the limit and less is left than
 * the smaller of min_ttl_s and the life otherwise granted (API.md section 2, Expiry).
 */
int64_t decide_expiry(const struct decision *d, int64_t now_s, int64_t creds_expire_s,
                      int64_t min_ttl_s, enum expiry_limit *limited_by, bool *starved);

/* What the policy of a POST is made of; its texts are the decision's. */
struct post_ask decide_post_ask(const struct decision *d, int64_t expires_at_s);

/* Appends the signed URL of a PUT at `place`. Statuses are url_packet_sign's. */
MUST_CHECK enum status decide_sign_put(struct buf *out, const struct decision *d,
                                       struct endpoint place, int64_t expires_s,
                                       const struct sign_creds *c, const struct signing_key *k,
                                       int64_t now_s);

#endif
