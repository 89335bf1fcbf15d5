/*
 * Any JSON object as a payload: what becomes a principal keeps the promises of principal.h, and is
 * still good at that moment.
 */
#include <stdlib.h>
#include <string.h>

#include "presignd/claims.h"
#include "presignd/json_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1800000000, ARENA_MAX = 65536 };

static const struct str audiences[] = { STR_INIT("a"), STR_INIT("b") };
static const struct issuer_config config = {
    .issuer = STR_INIT("i"),
    .audiences = audiences,
    .n_audiences = 2,
    .algorithms = JWA_HS256,
    .user_claim = STR_INIT("sub"),
    .plan_claim = STR_INIT("plan"),
    .tenant_claim = STR_INIT("org"),
    .leeway_s = 30,
    .max_lifetime_s = 86400,
};

static void must(bool promise)
{
    if (!promise)
        abort();
}

static void check_text(struct str s, size_t least)
{
    must(s.len >= least && s.len <= 255 && str_valid_utf8(s));
    for (size_t i = 0; i < s.len; i++)
        must((unsigned char)s.ptr[i] >= 0x20 && s.ptr[i] != 0x7f);
}

static void check_principal(const struct principal *p)
{
    check_text(p->user, 1);
    check_text(p->tenant, 0);
    check_text(p->plan, 0);
    must(str_equal(p->issuer, config.issuer) && p->refs == 1 && p->issuer_index == 7);
    must(strspn(p->user_hash, "0123456789abcdef") == 32 && p->user_hash[32] == '\0');
    must(p->expires_at_s + 30 > NOW && p->expires_at_s <= NOW + 86400 + 60);
    must(p->not_before_s <= NOW + 30);
    must(claims_still_good(p, NOW) && !claims_expired(&config, p->claims, NOW));
    must(!principal_has_scope(p, STR("")) && !principal_has_scope(p, STR("a b")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) a = ARENA_INIT(ARENA_MAX);
    struct jr_error err;
    json_t *doc = NULL;
    if (size > ARENA_MAX / 4 ||
        jr_parse((struct str){ (const char *)data, size }, 16, &a, &doc, &err) != ST_OK)
        return 0;
    struct principal *p = NULL;
    const char *reason = NULL;
    const enum status st = claims_check(&config, 7, doc, NOW, &p, &reason);
    must((st == ST_OK) == (p != NULL) && (st == ST_OK || (st == ST_INVALID_TOKEN && reason)));
    json_decref(doc);
    if (p)
        check_principal(p);
    principal_unref(p);
    return 0;
}
