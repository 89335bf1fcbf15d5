/*
 * claims - the strict reading of a verified payload (RFC 7519 section 4.1, RFC 9068) under the rules
 * of one issuer, into a principal. Pure: the time is an argument.
 */
#ifndef PRESIGND_CLAIMS_H
#define PRESIGND_CLAIMS_H

#include "presignd/jwk.h"
#include "presignd/principal.h"

/* One issuer, as configured (CONFIG.md, auth.issuers). Texts live as long as the configuration. */
struct issuer_config {
    struct str issuer;
    const struct str *audiences;
    size_t n_audiences;
    unsigned algorithms;
    struct str jwks_url, jwks_file, public_key_file, secret_file; /* exactly one, or discovery */
    bool discovery;
    struct str user_claim, plan_claim, tenant_claim; /* default sub, plan, org */
    struct str scope;                                /* "" = none required */
    int64_t leeway_s;                                /* 30 */
    int64_t max_lifetime_s;                          /* 86400 */
};

/*
 * now_s in whole seconds. Numbers as integers or reals (RFC 7519 NumericDate), finite.
 * ST_OK; ST_INVALID_TOKEN (*reason: a literal for the log); ST_NO_MEMORY. Scope is not judged here.
 * `*out` is a new principal with one reference that owns a reference to `claims`.
 */
MUST_CHECK enum status claims_check(const struct issuer_config *ic, size_t issuer_index,
                                    json_t *claims, int64_t now_s, struct principal **out,
                                    const char **reason);

/* True when exp alone condemns it: such a token is worth neither a signature nor a fetch. */
bool claims_expired(const struct issuer_config *ic, json_t *claims, int64_t now_s);

/* exp, nbf again, at a cache hit. */
bool claims_still_good(const struct principal *p, int64_t now_s);

#endif
