#include "test.h"

#include "token_kit.h"

#include "presignd/keyring.h"
#include "presignd/mint.h"

enum { NOW = 1800000000, EACH = 50 };

static const struct str audience = STR_INIT("presignd");

static char token_space[TOKEN_BYTES_MAX];
static char why_space[512];
static struct buf token, why;

static enum status mint(const struct mint_ask *ask)
{
    token = BUF_FIXED(token_space);
    why = BUF_FIXED(why_space);
    return mint_token(&token, ask, &why);
}

static const unsigned mintable[] = { JWA_HS256, JWA_HS384, JWA_HS512, JWA_RS256, JWA_RS384,
                                     JWA_RS512, JWA_ES256, JWA_ES384, JWA_ES512 };

static const char *private_key(unsigned alg)
{
    return alg & JWA_HS_ALL ? kit_secret : kit_private_pem(kit_key_for(alg));
}

static struct mint_ask ask_for(unsigned alg, const char *key)
{
    return (struct mint_ask){
        .alg = alg,
        .key = str_from(key),
        .kid = STR("k"),
        .issuer = STR("https://mint/"),
        .audience = STR("presignd"),
        .user = STR("ann"),
        .issued_at_s = NOW,
        .ttl_s = 600,
    };
}

/* A ring whose one issuer has that key. */
static struct keyring *ring_for(const struct issuer_config *ic)
{
    struct keyring *kr = keyring_new(1);
    assert_non_null(kr);
    kr->issuers[0].config = ic;
    kr->issuers[0].keys =
        ic->algorithms & JWA_HS_ALL
            ? keyset_from_secret(str_from(kit_secret), ic->algorithms, &why)
            : keyset_from_pem(str_from(kit_pem(kit_key_for(ic->algorithms))), ic->algorithms, &why);
    assert_non_null(kr->issuers[0].keys);
    return kr;
}

/* A small generator of our own, so that a failure comes again. */
static uint32_t seed = 20261121;

static uint32_t pick(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

static const char *random_text(void)
{
    static const char *const pieces[] = {
        "a", "Z", "0", "-", "_", ".", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        "@", "|", "'", "/"
    };
    char text[256] = "u";
    const uint32_t n = pick(40);
    for (uint32_t i = 0; i < n; i++)
        strcat(text, pieces[pick(ROWS(pieces))]);
    return kit_text("%s", text);
}

static const char *random_json(int depth)
{
    switch (pick(depth > 0 ? 7 : 5)) {
    case 0: return kit_text("%d", (int)pick(1 << 20) - (1 << 19));
    case 1: return kit_text("%d.%u", (int)pick(1000), (unsigned)pick(1000));
    case 2: return pick(2) ? "true" : "null";
    case 3: return kit_text("\"%s\"", random_text());
    case 4: return "\"\\u20ac \\\\ \\\" \\n\"";
    case 5: return kit_text("[%s,%s]", random_json(depth - 1), random_json(depth - 1));
    default: return kit_text("{\"a\":%s,\"b\":%s}", random_json(depth - 1), random_json(depth - 1));
    }
}

static void check_same_meaning(const char *name, const struct mint_ask *ask,
                               const struct issuer_config *ic)
{
    struct arena a = ARENA_INIT(65536);
    struct keyring *kr = ring_for(ic);
    struct principal *p = NULL;
    const char *reason = NULL;
    int need;
    const enum status st =
        keyring_judge(kr, buf_view(&token), NOW + (int64_t)pick(600), &a, &p, &need, &reason);
    if (st != ST_OK)
        fail_msg("%s: %s: %.*s", name, reason, STR_ARGS(buf_view(&token)));
    CHECK_STR(name, p->user, ask->user);
    CHECK_EQ(name, p->expires_at_s, NOW + ask->ttl_s);
    for (size_t i = 0; i < ask->n_claims; i++) {
        json_t *want =
            json_loadb(ask->claims[i].json.ptr, ask->claims[i].json.len, JSON_DECODE_ANY, NULL);
        json_t *got = json_object_get(p->claims, kit_text("%.*s", STR_ARGS(ask->claims[i].name)));
        CHECK(name, want && json_equal(want, got));
        json_decref(want);
    }
    principal_unref(p);
    keyring_unref(kr);
    arena_release(&a);
}

/* Two authors, one format: whatever libjwt writes, the verifier reads. */
static void test_all_that_libjwt_makes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(mintable) * EACH; i++) {
        const unsigned alg = mintable[i % ROWS(mintable)];
        const char *const user = random_text();
        const struct mint_claim claims[] = {
            { STR("plan"), str_from(random_json(0)) },
            { STR("x"), str_from(random_json(3)) },
            { STR("https://example.com/y"), str_from(random_json(2)) },
        };
        const struct issuer_config ic = {
            .issuer = STR("https://mint/"),
            .audiences = &audience,
            .n_audiences = 1,
            .algorithms = alg,
            .user_claim = pick(2) ? STR("sub") : STR("uid"),
            .plan_claim = STR("plan"),
            .tenant_claim = STR("org"),
            .leeway_s = 30,
            .max_lifetime_s = 86400,
        };
        struct mint_ask ask = ask_for(alg, private_key(alg));
        ask.kid = pick(2) ? STR("") : str_from(random_text());
        ask.user = str_from(user);
        ask.user_claim = ic.user_claim;
        ask.ttl_s = 600 + pick(80000);
        ask.claims = claims;
        ask.n_claims = pick(ROWS(claims) + 1);
        const char *name = kit_text("%zu %s", i, jwa_name(alg));
        CHECK_EQ(name, mint(&ask), ST_OK);
        check_same_meaning(name, &ask, &ic);
        if (i % 64 == 63)
            kit_free_texts();
    }
}

static void test_overriding(void **state)
{
    (void)state;
    const struct mint_claim claims[] = { { STR("aud"), STR("[\"presignd\",\"b\"]") },
                                         { STR("sub"), STR("\"bob\"") },
                                         { STR("scope"), STR("\"upload\"") } };
    struct mint_ask ask = ask_for(JWA_HS256, kit_secret);
    ask.claims = claims;
    ask.n_claims = ROWS(claims);
    assert_int_equal(mint(&ask), ST_OK);
    struct arena a = ARENA_INIT(65536);
    struct token t;
    const char *reason;
    assert_int_equal(token_parse(&t, buf_view(&token), &a, &reason), ST_OK);
    CHECK_TEXT("kid", t.kid, "k");
    assert_string_equal(json_string_value(json_object_get(t.claims, "sub")), "bob");
    assert_int_equal(json_array_size(json_object_get(t.claims, "aud")), 2);
    assert_int_equal(json_integer_value(json_object_get(t.claims, "iat")), NOW);
    assert_int_equal(json_integer_value(json_object_get(t.claims, "exp")), NOW + 600);
    token_release(&t);
    arena_release(&a);
}

static void test_refused(void **state)
{
    (void)state;
    const char *rsa = kit_private_pem(kit.rsa), *p384 = kit_private_pem(kit.p384);
    static const struct mint_claim no_json[] = { { STR_INIT("a"), STR_INIT("{") } };
    static const struct mint_claim bare[] = { { STR_INIT("a"), STR_INIT("photos") } };
    static const struct mint_claim empty[] = { { STR_INIT("a"), STR_INIT("") } };
    static const struct mint_claim twice[] = { { STR_INIT("a"), STR_INIT("{\"b\":1,\"b\":2}") } };
    const struct {
        const char *name;
        unsigned alg;
        const char *key;
        const struct mint_claim *claim;
        const char *user;
    } cases[] = {
        { "no algorithm", 0, rsa, NULL, "ann" },
        { "two algorithms", JWA_HS256 | JWA_HS384, kit_secret, NULL, "ann" },
        { "PS256", JWA_PS256, rsa, NULL, "ann" },
        { "EdDSA", JWA_EDDSA, kit_private_pem(kit.ed), NULL, "ann" },
        { "empty key", JWA_HS256, "", NULL, "ann" },
        { "short secret", JWA_HS256, "0123456789abcdef0123456789abcde", NULL, "ann" },
        { "secret short for HS512", JWA_HS512, "0123456789abcdef0123456789abcdef", NULL, "ann" },
        { "HS256 with a PEM", JWA_HS256, rsa, NULL, "ann" },
        { "RS256 with no PEM", JWA_RS256, kit_secret, NULL, "ann" },
        { "RS256 with a public key", JWA_RS256, kit_pem(kit.rsa), NULL, "ann" },
        { "RS256 with an EC key", JWA_RS256, p384, NULL, "ann" },
        { "ES256 with an RSA key", JWA_ES256, rsa, NULL, "ann" },
        { "claim is no JSON", JWA_HS256, kit_secret, no_json, "ann" },
        { "claim is a bare word", JWA_HS256, kit_secret, bare, "ann" },
        { "claim is empty", JWA_HS256, kit_secret, empty, "ann" },
        { "claim with a member twice", JWA_HS256, kit_secret, twice, "ann" },
        { "user is no UTF-8", JWA_HS256, kit_secret, NULL, "\xff" },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct mint_ask ask = ask_for(cases[i].alg, cases[i].key);
        ask.claims = cases[i].claim;
        ask.n_claims = cases[i].claim ? 1 : 0;
        ask.user = str_from(cases[i].user);
        CHECK_EQ(cases[i].name, mint(&ask), ST_INVALID);
        CHECK(cases[i].name, why.len > 0 && token.len == 0);
    }
    struct mint_ask ask = ask_for(JWA_HS256, kit_secret);
    char small[10];
    struct buf tight = BUF_FIXED(small);
    assert_int_equal(mint_token(&tight, &ask, &why), ST_TOO_LARGE);
}

KIT_MAIN(cmocka_unit_test(test_all_that_libjwt_makes), cmocka_unit_test(test_overriding),
         cmocka_unit_test(test_refused))
