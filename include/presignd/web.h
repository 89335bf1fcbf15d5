/*
 * web - the upload page and the client module, as browsers get them.
 *
 * Who has the bytes hands them in; this floor knows headers only: the page's Content-Security-Policy
 * (W3C CSP Level 3) names the buckets that it may send files to, and the entity tag (RFC 9110 section
 * 8.8.3) covers bytes and policy, so that no cache keeps a page with the policy of yesterday.
 */
#ifndef PRESIGND_WEB_H
#define PRESIGND_WEB_H

#include "presignd/profile.h"
#include "presignd/request.h"

enum { WEB_POLICY_MAX = 1536 };

/* One file; all of it lives as long as the program. */
struct web_source {
    struct str path;         /* of its address: "/page.js" */
    const char *type;        /* Content-Type */
    const struct str *bytes; /* what is embedded is a constant of another file */
};

struct web_file {
    const struct web_source *source;
    struct str etag; /* with its quotes */
};

/* What one configuration serves. */
struct web {
    const struct web_file *files;
    size_t n;
    struct str policy;
};

/* In the arena, but for the sources: they are borrowed. ST_OK or ST_NO_MEMORY. */
MUST_CHECK enum status web_make(struct arena *a, const struct web_source *sources, size_t n,
                                const struct rules *r, const struct web **out);

/*
 * Appends the value of Content-Security-Policy, at most WEB_POLICY_MAX bytes: the page may call its
 * own origin and those of these buckets (prepared), as browsers call them. An origin that the grammar
 * of the header does not know (IPv6, "_" in a name), or more of them than there is room for, become
 * "https:" and "http:" as needed.
 */
void web_policy(struct buf *out, const struct bucket *buckets, size_t n);

/* Is the tag named in this value of If-None-Match (RFC 9110 section 13.1.2: weak comparison; "*" is
 * every tag)? What stands after a fault of syntax does not count. */
bool web_tag_listed(struct str if_none_match, struct str etag);

#endif
