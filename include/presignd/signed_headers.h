/*
 * signed_headers - the headers of a canonical request: sorted, folded, named. Pure.
 *
 * Source: AWS "Create a signed AWS API request" (CanonicalHeaders, SignedHeaders).
 */
#ifndef PRESIGND_SIGNED_HEADERS_H
#define PRESIGND_SIGNED_HEADERS_H

#include "presignd/buf.h"

struct url_param {
    struct str name;  /* headers: lower case */
    struct str value; /* headers: trimmed, inner blanks folded by the signer as SigV4 says */
};

/* A name of [a-z0-9-] and a value of printable ASCII. */
bool signed_header_ok(const struct url_param *h);

/* Sorts by name. ST_INVALID when one stands twice. */
MUST_CHECK enum status signed_headers_sort(struct url_param *list, size_t n);

/* "name:value" lines, an empty line, and the names with ";" between them. */
void signed_headers_write(struct buf *out, const struct url_param *list, size_t n);

/* The names alone. */
void signed_headers_names(struct buf *out, const struct url_param *list, size_t n);

#endif
