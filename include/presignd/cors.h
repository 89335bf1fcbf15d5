/*
 * cors - cross-origin rules (Fetch standard, "CORS protocol") exactly as API.md section 1 has them.
 */
#ifndef PRESIGND_CORS_H
#define PRESIGND_CORS_H

#include "presignd/buf.h"

/* The longest origin there is: scheme, a name (RFC 1035 section 2.3.4), port. */
enum { CORS_ORIGIN_MAX = 8 + 253 + 6 };

struct cors_config {
    const struct str *origins; /* exact, "*" under a scheme ("*.example.com"), or "*" */
    size_t n_origins;
    bool credentials;
    int64_t max_age_s;
};

/* For the configuration: true when cors_allows can ever let something in by this entry. */
bool cors_origin_pattern_ok(struct str pattern);

/* Is the Origin header's value on the list? "null" and what is over CORS_ORIGIN_MAX never. */
bool cors_allows(const struct cors_config *c, struct str origin);

/* The value of Access-Control-Allow-Origin for an allowed origin: itself, or "*". */
struct str cors_allow_origin(const struct cors_config *c, struct str origin);

#endif
