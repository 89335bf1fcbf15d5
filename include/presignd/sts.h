/*
 * sts - what AssumeRole and AssumeRoleWithWebIdentity have in common: the place that is asked, the
 * form, the signature, the XML that comes back. Pure but for libcurl's reading of a URL.
 *
 * Source: AWS Security Token Service API Reference, version 2011-06-15. Always the regional
 * endpoint: the global one is a detour through one region.
 */
#ifndef PRESIGND_STS_H
#define PRESIGND_STS_H

#include "presignd/cred_source.h"
#include "presignd/endpoint.h"

/* Where STS is. Owns its texts; start with zeroes, end with sts_place_release. */
struct sts_place {
    struct buf text;   /* what `at` points to */
    struct buf region; /* may be empty where nothing is signed */
    struct endpoint at;
    enum call_hosts hosts;
};

/*
 * endpoint: scheme://host[:port], http for loopback only; "" = AWS's of the region. ST_INVALID with
 * why: an endpoint or a region that cannot be, or no region where it is needed (always, but for an
 * unsigned request to an endpoint of one's own: may_lack_region). ST_NO_MEMORY, *why empty.
 */
MUST_CHECK enum status sts_place_set(struct sts_place *p, struct str endpoint, struct str region,
                                     bool may_lack_region, struct buf *why);
void sts_place_release(struct sts_place *p);

/* Starts a POST: URL, limits, Action and Version. */
void sts_ask(const struct sts_place *p, struct str action, struct call *out);

/* One more parameter of a form, percent-encoded; without a value it is left out. */
void sts_param(struct buf *form, struct str name, struct str value);

/*
 * Signs the finished form. ST_OK; ST_INVALID: these credentials or this region cannot sign;
 * ST_TOO_LARGE: the form does not fit a call; ST_NO_MEMORY.
 */
MUST_CHECK enum status sts_sign(const struct sts_place *p, const struct creds *c, int64_t now_s,
                                struct call *out);

/* Texts of a refusal, cut to fit and printable; "" where the answer has none. */
struct sts_fault {
    char code[64], message[256], request_id[64];
};

enum { STS_SECRETS = 2 };

/* What a reply answers. Borrows. */
struct sts_asked {
    const struct sts_place *at;
    struct str secrets[STS_SECRETS]; /* of the request: no sentence repeats them; "" = none */
};

/*
 * Makes credentials of a reply: NEXT_DONE, or NEXT_FAIL with why ("STS at HOST answered 403
 * AccessDenied: ... (request id ...)") and the refusal in *fault, as it came: it may repeat what the
 * request said. In why there is *** for its secrets and its signature.
 */
enum next sts_answer(const struct sts_asked *asked, const struct reply *r, const char *source,
                     int64_t now_s, struct creds **out, struct sts_fault *fault, struct buf *why);

/*
 * The two kinds of document. sts_creds_read: ST_OK with a new generation; ST_INVALID with why ("is
 * no XML ...", a field missing or twice, expired at arrival); ST_NO_MEMORY. A document type
 * declaration is refused before anything in it is read. sts_fault_read finds what it can.
 */
MUST_CHECK enum status sts_creds_read(struct str text, const char *source, int64_t now_s,
                                      struct creds **out, struct buf *why);
void sts_fault_read(struct str text, struct sts_fault *out);

#endif
