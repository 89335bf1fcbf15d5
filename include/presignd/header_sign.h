/*
 * header_sign - Signature Version 4 in the Authorization header, for requests that we send
 * ourselves to other services than S3. Pure.
 *
 * Source: AWS "Create a signed AWS API request" (canonical request, signed headers, payload hash).
 */
#ifndef PRESIGND_HEADER_SIGN_H
#define PRESIGND_HEADER_SIGN_H

#include "presignd/sigv4.h"
#include "presignd/url_packet.h"

enum { HEADER_SIGN_MAX = 16 };

struct header_ask {
    struct str method; /* "POST", ... */
    struct str host;   /* as in the Host header */
    struct str path;   /* as in the request line: encoded already, "/" at least; no query */
    const struct url_param *headers; /* signed besides host, x-amz-date, x-amz-security-token */
    size_t n_headers;
    struct str body;
};

/* The canonical request, for vectors and the oracle; statuses of header_sign. */
MUST_CHECK enum status header_canonical_request(struct buf *out, const struct header_ask *ask,
                                                const struct sign_creds *c, int64_t now_s);

/*
 * Appends the value of Authorization. The request must carry the headers of the ask with the same
 * values, X-Amz-Date (date_amz of now_s) and, where there is one, X-Amz-Security-Token.
 * `k`: signing_key_derive_for() of `c` and the day of now_s. ST_INVALID: another day's or
 * credential's key, an empty path, a bad or repeated header, one that the signer adds, too many.
 * ST_TOO_LARGE, ST_NO_MEMORY.
 */
MUST_CHECK enum status header_sign(struct buf *out, const struct header_ask *ask,
                                   const struct sign_creds *c, const struct signing_key *k,
                                   int64_t now_s);

#endif
