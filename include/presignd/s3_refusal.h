/*
 * s3_refusal - reads what a store answered to an upload: S3's XML error, with or without the lines
 * that `curl -i` prints before it.
 *
 * Source: AWS "Error responses" (Amazon S3 API reference): <Error> with Code, Message and members
 * that depend on the code. Only the members named here are kept; those that may hold a secret (the
 * session token of ExpiredToken, the string to sign) are never even read, but for the header lines
 * of CanonicalRequest, which say what the store saw.
 */
#ifndef PRESIGND_S3_REFUSAL_H
#define PRESIGND_S3_REFUSAL_H

#include "presignd/arena.h"

enum { S3_REFUSAL_BYTES_MAX = 256 * 1024 };

struct s3_refusal {
    int http;     /* 0: not told */
    bool has_xml; /* an <Error> was read */
    struct str code, message, request_id, bucket;
    struct str access_key_id;      /* AWSAccessKeyId */
    struct str region, endpoint;   /* where the bucket is, said by body or header */
    struct str unsigned_headers;   /* HeadersNotSigned */
    struct str canonical_request;  /* CanonicalRequest */
    struct str proposed_size;      /* ProposedSize, decimal */
    struct str max_size, min_size; /* MaxSizeAllowed, MinSizeAllowed */
    struct str server_time;        /* ServerTime */
    int64_t at_s;                  /* the store's clock; 0: not told */
};

/*
 * ST_OK: *out is filled, its texts are in the arena or in `text`. ST_INVALID: neither XML nor the
 * head of an HTTP answer; or a DTD, which no store sends; `why` has a sentence. ST_TOO_LARGE (over
 * S3_REFUSAL_BYTES_MAX), ST_NO_MEMORY.
 */
MUST_CHECK enum status s3_refusal_read(struct s3_refusal *out, struct str text, struct arena *a,
                                       struct buf *why);

/* ---- what is not to be shown -------------------------------------------------------------------- */

enum { KNOWN_SECRETS_MAX = 64, KNOWN_SECRET_LEAST = 8 };
struct known_secrets {
    struct str list[KNOWN_SECRETS_MAX];
    size_t n;
    enum status st; /* of the first that could not be added */
};

/* Also as it stands in a URL. Not one below KNOWN_SECRET_LEAST bytes, which would hit any word. The
 * text is borrowed. */
void known_secrets_add(struct known_secrets *k, struct str secret, struct arena *a);

/*
 * Blanks the secrets out of every text of the refusal, also where they were cut, and shortens to
 * text_max bytes what is shown whole (SIZE_MAX: not at all). ST_OK; k->st; ST_NO_MEMORY: the texts
 * are then not to be shown.
 */
MUST_CHECK enum status s3_refusal_blank(struct s3_refusal *r, const struct known_secrets *k,
                                        size_t text_max, struct arena *a);

#endif
