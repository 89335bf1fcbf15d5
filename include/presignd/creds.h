/*
 * creds - one generation of AWS credentials: immutable, counted, shared between loops.
 */
#ifndef PRESIGND_CREDS_H
#define PRESIGND_CREDS_H

#include <stdatomic.h>

#include "presignd/secret.h"
#include "presignd/sigv4.h"

#define CREDS_NEVER INT64_MAX

struct creds {
    atomic_int refs;
    struct str access_key_id; /* these three point into `text` */
    struct str secret_key;
    struct str session_token; /* "" for long-lived keys */
    struct secret text;
    int64_t expires_at_s; /* the TRUE end, as the source promised; CREDS_NEVER */
    int64_t obtained_at_s;
    uint64_t generation; /* of this process; 1, 2, ... */
    const char *source;  /* "env", "imds", ... a literal */
};

enum { CREDS_TEXT_MAX = 8192 }; /* AWS promises no maximum for session tokens; 4096 is typical */

/* What a key or token may be: not empty, up to CREDS_TEXT_MAX, printable ASCII without blanks. */
bool creds_text_ok(struct str text);

/* The same for an access key id, which stands between slashes in a scope: [A-Za-z0-9._-] only. */
bool creds_key_id_ok(struct str id);

/*
 * The Expiration of an answer. ST_OK; ST_INVALID with why ("answered with ..."): no RFC 3339 time, or
 * not after now. The text is a creds_text_ok().
 */
MUST_CHECK enum status creds_read_end(struct str text, int64_t now_s, int64_t *out_s,
                                      struct buf *why);

/* One reference; texts are copied. NULL without memory or when a text is not ok (the
 * session token may be empty). */
struct creds *creds_new(struct str access_key_id, struct str secret_key, struct str session_token,
                        int64_t expires_at_s, int64_t obtained_at_s, const char *source);
struct creds *creds_ref(struct creds *c);
void creds_unref(struct creds *c); /* NULL is fine; the last one wipes */

/* The same texts, end and source; in time that does not depend on where they differ. */
bool creds_same(const struct creds *a, const struct creds *b);

struct sign_creds creds_for_signing(const struct creds *c);

/* Seconds of life left; a large number for CREDS_NEVER; negative when dead. */
int64_t creds_left_s(const struct creds *c, int64_t now_s);

#endif
