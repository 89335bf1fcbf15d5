/*
 * content_type - media types (RFC 9110 section 8.3.1): reading, matching, extensions.
 */
#ifndef PRESIGND_CONTENT_TYPE_H
#define PRESIGND_CONTENT_TYPE_H

#include "presignd/arena.h"

enum { CONTENT_TYPE_MAX = 255 };

struct content_type {
    struct str whole;   /* trimmed, as it will be signed */
    struct str essence; /* lower-cased type/subtype */
};

/* Empty text is application/octet-stream. ST_INVALID_REQUEST: a comma, control, '$', '*', non-ASCII,
 * over 255 bytes, or not type/subtype *( ; name=value ). ST_NO_MEMORY. */
MUST_CHECK enum status content_type_parse(struct str text, struct arena *a,
                                          struct content_type *out);

/* `pattern` is "type/subtype" or "type/ *" (lower case). Types that run in a browser match only when
 * named exactly (CONFIG.md, content_types). */
bool content_type_matches(const struct content_type *ct, struct str pattern);

/* True for a pattern the configuration may hold. */
bool content_type_pattern_ok(struct str pattern);

/* The usual extension of a type without the dot ("png"); "" when there is none. */
struct str content_type_extension(struct str essence);

#endif
