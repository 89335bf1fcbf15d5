/*
 * url_packet - the presigned URL (query-string authentication) for any method, with signed headers
 * and query. Source: AWS "Authenticating Requests: Using Query Parameters".
 */
#ifndef PRESIGND_URL_PACKET_H
#define PRESIGND_URL_PACKET_H

#include "presignd/endpoint.h"
#include "presignd/signed_headers.h"
#include "presignd/sigv4.h"

enum { URL_BYTES_MAX = 8192, URL_HEADERS_MAX = 48, URL_QUERY_MAX = 32 };

struct url_ask {
    struct str method; /* "PUT", "HEAD", ... */
    struct endpoint place;
    struct str
        key; /* raw, may be empty (the bucket); encoded here once, as S3 wants (no double encoding) */
    const struct url_param *headers; /* signed besides host; any order */
    size_t n_headers;
    const struct url_param *query; /* further parameters, signed; any order */
    size_t n_query;
    int64_t expires_s; /* 1-604800 */
};

/* The canonical request (its payload hash is UNSIGNED-PAYLOAD), for vectors. */
MUST_CHECK enum status url_canonical_request(struct buf *out, const struct url_ask *ask,
                                             const struct sign_creds *c,
                                             const struct signing_key *k, int64_t now_s);

/* The string to sign over a canonical request, for vectors. ST_TOO_LARGE, ST_NO_MEMORY. */
MUST_CHECK enum status url_string_to_sign(struct buf *out, struct str canonical,
                                          const struct signing_key *k, int64_t now_s);

/*
 * Appends the whole URL: ask's query in its order, then the credential's with the session token, if
 * any, then the signature. `k` is the key of `c` for the day of now_s.
 * ST_INVALID: bad method, expiry, header name or value (printable ASCII only; no host, no name
 * twice), a query name of the signer's own, too many of either, another credential's or day's key.
 * ST_TOO_LARGE: key over 1,024 bytes, URL over URL_BYTES_MAX, headers too long. ST_NO_MEMORY.
 */
MUST_CHECK enum status url_packet_sign(struct buf *out, const struct url_ask *ask,
                                       const struct sign_creds *c, const struct signing_key *k,
                                       int64_t now_s);

#endif
