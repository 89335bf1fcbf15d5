/*
 * template - texts with {words}, compiled once: object keys, field values, metadata.
 *
 * Words: CONFIG.md, profiles.*.key. Pure: everything a word may stand for is in template_values.
 */
#ifndef PRESIGND_TEMPLATE_H
#define PRESIGND_TEMPLATE_H

#include "presignd/arena.h"
#include "presignd/principal.h"

struct template_part;
struct template
{
    struct template_part *parts; /* in the configuration's arena */
    size_t n_parts;
    bool constant; /* no word at all: the value is `text` for every request */
    bool has_uuid; /* holds {uuid} or {uuid7} */
    bool has_user, has_user_hash;
    bool has_filename;
    size_t max_bytes; /* no expansion is longer */
    struct str text;  /* as written */
};

struct template_values {
    const struct principal *who;
    struct str plan; /* resolved; the token's own where no plans are configured */
    struct str profile;
    struct str uuid, uuid7;
    struct str filename; /* cleaned; "file" when none was sent */
    struct str ext;
    int64_t now_ms;
};

enum template_use { TEMPLATE_KEY, TEMPLATE_VALUE };

/* ST_OK; ST_INVALID with why: an unknown word, an open brace, '$', '\', a control, a key that starts
 * with '/', has "//", ".", ".." segments or lacks {uuid}/{uuid7}; ST_NO_MEMORY. */
MUST_CHECK enum status template_compile(struct template *out, struct str text,
                                        enum template_use use, struct arena *a, struct buf *why);

/* True when every word that comes from the token has a fit value: [A-Za-z0-9._-]{1,128} and neither
 * "." nor ".." (a {claim:NAME} may be an integer). Else *out_word names the word, as written. */
bool template_fits(const struct template *t, const struct template_values *v, struct str *out_word);

/* ST_OK; ST_PROFILE_NOT_ALLOWED: a word without a fit value (template_fits). out's failure too. */
MUST_CHECK enum status template_expand(const struct template *t, const struct template_values *v,
                                       struct buf *out, struct str *out_word);

#endif
