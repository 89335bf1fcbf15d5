/*
 * endpoint - where a bucket lives: scheme, host and path, for S3 and for compatible stores.
 *
 * Pure. Rules: API.md section 3 and the AWS page "Amazon S3 endpoints and quotas" (regional,
 * dualstack, FIPS, accelerate, aws-cn, aws-us-gov), "Virtual hosting of buckets".
 */
#ifndef PRESIGND_ENDPOINT_H
#define PRESIGND_ENDPOINT_H

#include "presignd/buf.h"

struct endpoint_config {
    struct str bucket;
    struct str region;
    struct str endpoint;        /* "" = AWS; else scheme://host[:port] of a compatible store */
    struct str public_endpoint; /* "" = same as endpoint */
    bool path_style;
    bool dualstack, fips, accelerate;
};

/* A place that URLs are made of. Texts live in the arena or buffer they were made with. */
struct endpoint {
    struct str scheme; /* "https" or "http" */
    struct str host;   /* as in the Host header, with a port that is not the scheme's own */
    struct str path;   /* "/" or "/BUCKET/": before the key; ends with a slash */
};

/*
 * The place for clients (use_public) or for our own calls. path_style is obeyed as it stands. `text`
 * receives what the views point to and must outlive them; a later push may move it. ST_INVALID: *why says in a sentence what cannot be (bucket name, region,
 * accelerate with dots, fips with accelerate, an endpoint with a path, query or user, ...).
 */
MUST_CHECK enum status endpoint_resolve(const struct endpoint_config *c, bool use_public,
                                        struct buf *text, struct endpoint *out, struct buf *why);

/*
 * What path_style is where the configuration leaves it open: true for a custom endpoint (endpoint
 * or public_endpoint set) and for a name with dots, which no wildcard certificate covers.
 */
bool endpoint_wants_path_style(struct str bucket, bool custom);

/* True for names S3 takes: 3-63 of [a-z0-9.-], letter or digit at both ends, no "..", no IPv4. */
bool endpoint_bucket_name_ok(struct str name);

/*
 * scheme://host[:port] taken apart, path "/"; and AWS's place of a service, https://SERVICE.REGION and
 * the partition's suffix. `text` and `why` as above; ST_INVALID likewise.
 */
MUST_CHECK enum status endpoint_origin(struct str url, struct buf *text, struct endpoint *out,
                                       struct buf *why);
MUST_CHECK enum status endpoint_service(struct str service, struct str region, struct buf *text,
                                        struct endpoint *out, struct buf *why);

/* "aws", "aws-cn", ...: what stands behind "arn:" for that region. */
struct str endpoint_arn_partition(struct str region);

/* scheme://host/path of an endpoint, to stand before an encoded key. */
void endpoint_base_url(struct buf *out, const struct endpoint *e);

#endif
