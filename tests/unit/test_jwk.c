#include "test.h"

#include <openssl/err.h>
#include <openssl/rand.h>

#include "token_kit.h"

enum { ALL = (1 << JWA_KINDS) - 1, NOT_HS = ALL & ~JWA_HS_ALL };

static const char message[] = "header.payload";

static char why_space[1024];
static struct buf why;

static void fresh_why(void)
{
    why = BUF_FIXED(why_space);
}

static enum status from_text(struct jwk *k, const char *text, unsigned allowed)
{
    json_t *doc = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(doc);
    fresh_why();
    const enum status st = jwk_from_json(k, doc, allowed, &why);
    json_decref(doc);
    return st;
}

static void load(struct jwk *k, unsigned alg)
{
    fresh_why();
    const char *name = jwa_name(alg);
    if (alg & JWA_HS_ALL)
        CHECK_EQ(name, jwk_from_secret(k, str_from(kit_secret), alg, &why), ST_OK);
    else
        CHECK_EQ(name, from_text(k, kit_text("{%s}", kit_jwk_members(kit_key_for(alg))), alg),
                 ST_OK);
}

static bool verifies(const struct jwk *k, unsigned alg, const char *text, const struct kit_sig *sig)
{
    const struct str bytes = { (const char *)sig->bytes, sig->len };
    const enum status st = jwk_verify(k, alg, str_from(text), bytes);
    assert_true(st == ST_OK || st == ST_INVALID);
    return st == ST_OK;
}

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < JWA_KINDS; i++)
        CHECK_EQ(jwa_name(1U << i), jwa_from_name(str_from(jwa_name(1U << i))), 1 << i);
    static const char *const others[] = { "none",    "None",   "hs256",    "HS256 ",
                                          "HS25",    "HS2567", "",         "ES256K",
                                          "Ed25519", "RS1",    "RSA-OAEP", "dir" };
    for (size_t i = 0; i < ROWS(others); i++)
        CHECK_EQ(others[i], jwa_from_name(str_from(others[i])), 0);
    CHECK_EQ("NUL inside", jwa_from_name(STR("HS256\0")), 0);
    assert_string_equal(jwa_name(0), "none");
    assert_string_equal(jwa_name(3), "none");
}

static void check_slips(const struct jwk *k, unsigned alg, const struct kit_sig *good)
{
    const char *name = jwa_name(alg);
    struct kit_sig bad = *good;
    CHECK(name, !verifies(k, alg, "header.payloae", good));
    CHECK(name, !verifies(k, alg, "", good));
    for (size_t i = 0; i < good->len; i += good->len / 8) {
        bad.bytes[i] ^= 1;
        CHECK(name, !verifies(k, alg, message, &bad));
        bad.bytes[i] ^= 1;
    }
    bad.len = good->len - 1;
    CHECK(name, !verifies(k, alg, message, &bad));
    bad.len = good->len + 1;
    CHECK(name, !verifies(k, alg, message, &bad));
    bad.len = 0;
    CHECK(name, !verifies(k, alg, message, &bad));
}

static void test_every_algorithm(void **state)
{
    (void)state;
    for (size_t i = 0; i < JWA_KINDS; i++) {
        const unsigned alg = 1U << i;
        struct jwk k;
        load(&k, alg);
        CHECK_EQ(jwa_name(alg), k.algs, alg);
        const struct kit_sig good = kit_sign(alg, message);
        CHECK(jwa_name(alg), verifies(&k, alg, message, &good));
        check_slips(&k, alg, &good);
        for (size_t other = 0; other < JWA_KINDS; other++) {
            if (other != i)
                CHECK(jwa_name(1U << other), !verifies(&k, 1U << other, message, &good));
        }
        CHECK("two algorithms at once", !verifies(&k, ALL, message, &good));
        CHECK("no algorithm", !verifies(&k, 0, message, &good));
        jwk_release(&k);
    }
}

/* Keys that admit several algorithms still hold each signature to its own. */
static void test_no_mixing(void **state)
{
    (void)state;
    struct jwk rsa, secret;
    assert_int_equal(from_text(&rsa, kit_text("{%s}", kit_jwk_members(kit.rsa)), NOT_HS), ST_OK);
    assert_int_equal(rsa.algs,
                     JWA_RS256 | JWA_RS384 | JWA_RS512 | JWA_PS256 | JWA_PS384 | JWA_PS512);
    assert_int_equal(jwk_from_secret(&secret, str_from(kit_secret), ALL, &why), ST_OK);
    assert_int_equal(secret.algs, JWA_HS_ALL);
    for (size_t made = 0; made < JWA_KINDS; made++) {
        const struct kit_sig sig = kit_sign(1U << made, message);
        for (size_t asked = 0; asked < JWA_KINDS; asked++) {
            const unsigned alg = 1U << asked;
            CHECK_EQ(jwa_name(alg), verifies(&rsa, alg, message, &sig),
                     made == asked && (rsa.algs & alg) != 0);
            CHECK_EQ(jwa_name(alg), verifies(&secret, alg, message, &sig),
                     made == asked && (secret.algs & alg) != 0);
        }
    }
    jwk_release(&rsa);
    jwk_release(&secret);
}

static void test_pss_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int salt_len;
        bool mgf1_sha1;
        bool good;
    } cases[] = {
        { "as the RFC says", 0, false, true },
        { "longest salt", RSA_PSS_SALTLEN_MAX, false, false },
        { "salt of 8", 8, false, false },
        { "salt of 31", 31, false, false },
        { "MGF1 with SHA-1", 0, true, false },
    };
    struct jwk k;
    load(&k, JWA_PS256);
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct kit_how how = { .salt_len = cases[i].salt_len,
                                     .mgf1 = cases[i].mgf1_sha1 ? EVP_sha1() : NULL };
        const struct kit_sig sig = kit_sign_with(JWA_PS256, kit.rsa, message, &how);
        CHECK_EQ(cases[i].name, verifies(&k, JWA_PS256, message, &sig), cases[i].good);
    }
    jwk_release(&k);
}

/* The order of P-256; r and s live in [1, n-1]. */
static const unsigned char p256_order[32] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

static void test_ecdsa_forms(void **state)
{
    (void)state;
    static const struct kit_how as_der = { .der = true };
    struct jwk k;
    load(&k, JWA_ES256);
    const struct kit_sig good = kit_sign(JWA_ES256, message);

    struct kit_sig sig = kit_sign_with(JWA_ES256, kit.p256, message, &as_der);
    CHECK("DER", !verifies(&k, JWA_ES256, message, &sig));
    sig.len = 64;
    CHECK("DER cut to 64 bytes", !verifies(&k, JWA_ES256, message, &sig));

    struct {
        const char *name;
        int r, s;
    } rows[] = {
        /* 0 zero, 1 good, 2 the order, 3 all ones */
        { "both zero", 0, 0 },    { "r zero", 0, 1 },       { "s zero", 1, 0 },
        { "r is n", 2, 1 },       { "s is n", 1, 2 },       { "both are n", 2, 2 },
        { "r is 2^256-1", 3, 1 }, { "s is 2^256-1", 1, 3 },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        sig = good;
        const int kind[2] = { rows[i].r, rows[i].s };
        for (size_t half = 0; half < 2; half++) {
            unsigned char *to = sig.bytes + 32 * half;
            if (kind[half] == 2)
                memcpy(to, p256_order, 32);
            else if (kind[half] != 1)
                memset(to, kind[half] == 3 ? 0xff : 0, 32);
        }
        CHECK(rows[i].name, !verifies(&k, JWA_ES256, message, &sig));
    }
    jwk_release(&k);
}

/* Numbers with leading zero octets, which DER writes shorter, must survive: 600 signatures have
 * about five of them. */
static void test_ecdsa_short_numbers(void **state)
{
    (void)state;
    size_t shorter = 0;
    struct jwk k;
    load(&k, JWA_ES256);
    for (int i = 0; i < 600; i++) {
        const char *text = kit_text("header.%d", i);
        const struct kit_sig sig = kit_sign(JWA_ES256, text);
        shorter += sig.bytes[0] == 0 || sig.bytes[32] == 0;
        CHECK(text, verifies(&k, JWA_ES256, text, &sig));
    }
    assert_true(shorter > 0);
    jwk_release(&k);
}

enum base { R2K, P256, P384, P521, ED };

static EVP_PKEY *base_key(enum base b)
{
    EVP_PKEY *const keys[] = { kit.rsa, kit.p256, kit.p384, kit.p521, kit.ed };
    return keys[b];
}

static void test_json(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name;
        enum base base;
        const char *changes; /* members that replace the good ones */
        const char *gone;    /* a member taken away */
        unsigned allowed;
        unsigned want;       /* algorithms; 0: refused */
    } cases[] = {
        { "RSA without alg",       R2K,  "",                             NULL, JWA_RS256 | JWA_PS512, JWA_RS256 | JWA_PS512 },
        { "RSA with alg",          R2K,  "\"alg\":\"RS256\"",            NULL, NOT_HS,    JWA_RS256 },
        { "P-256",                 P256, "",                             NULL, NOT_HS,    JWA_ES256 },
        { "P-384",                 P384, "\"use\":\"sig\"",              NULL, NOT_HS,    JWA_ES384 },
        { "P-521",                 P521, "\"key_ops\":[\"verify\"]",     NULL, NOT_HS,    JWA_ES512 },
        { "Ed25519",               ED,   "\"alg\":\"EdDSA\"",            NULL, NOT_HS,    JWA_EDDSA },
        { "strange members",       P256, "\"x5c\":[\"a\"],\"zz\":{}",    NULL, NOT_HS,    JWA_ES256 },
        { "alg not configured",    R2K,  "\"alg\":\"RS384\"",            NULL, JWA_RS256, 0 },
        { "alg of another type",   R2K,  "\"alg\":\"ES256\"",            NULL, NOT_HS,    0 },
        { "alg of another curve",  P256, "\"alg\":\"ES384\"",            NULL, NOT_HS,    0 },
        { "alg HMAC",              R2K,  "\"alg\":\"HS256\"",            NULL, ALL,       0 },
        { "alg for encryption",    R2K,  "\"alg\":\"RSA-OAEP\"",         NULL, NOT_HS,    0 },
        { "alg none",              R2K,  "\"alg\":\"none\"",             NULL, NOT_HS,    0 },
        { "alg is a number",       R2K,  "\"alg\":256",                  NULL, NOT_HS,    0 },
        { "alg is null",           R2K,  "\"alg\":null",                 NULL, NOT_HS,    0 },
        { "type not configured",   R2K,  "",                             NULL, JWA_ES256, 0 },
        { "curve not configured",  P256, "",                             NULL, JWA_ES384, 0 },
        { "only HMAC configured",  R2K,  "",                             NULL, JWA_HS256, 0 },
        { "use enc",               R2K,  "\"use\":\"enc\"",              NULL, NOT_HS,    0 },
        { "use is a list",         R2K,  "\"use\":[\"sig\"]",            NULL, NOT_HS,    0 },
        { "key_ops sign",          R2K,  "\"key_ops\":[\"sign\"]",       NULL, NOT_HS,    0 },
        { "key_ops empty",         R2K,  "\"key_ops\":[]",               NULL, NOT_HS,    0 },
        { "key_ops a text",        R2K,  "\"key_ops\":\"verify\"",       NULL, NOT_HS,    0 },
        { "kid empty",             R2K,  "\"kid\":\"\"",                 NULL, NOT_HS,    0 },
        { "kid a number",          R2K,  "\"kid\":7",                    NULL, NOT_HS,    0 },
        { "private d",             R2K,  "\"d\":\"AQAB\"",               NULL, NOT_HS,    0 },
        { "private p",             R2K,  "\"p\":\"AQAB\"",               NULL, NOT_HS,    0 },
        { "private EC",            P256, "\"d\":\"AQAB\"",               NULL, NOT_HS,    0 },
        { "kty missing",           R2K,  "",                             "kty", NOT_HS,   0 },
        { "kty lower case",        R2K,  "\"kty\":\"rsa\"",              NULL, NOT_HS,    0 },
        { "kty oct",               R2K,  "\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"", NULL, ALL, 0 },
        { "kty EC over RSA",       R2K,  "\"kty\":\"EC\"",               NULL, NOT_HS,    0 },
        { "n missing",             R2K,  "",                             "n",  NOT_HS,    0 },
        { "e missing",             R2K,  "",                             "e",  NOT_HS,    0 },
        { "n empty",               R2K,  "\"n\":\"\"",                   NULL, NOT_HS,    0 },
        { "n short",               R2K,  "\"n\":\"AQAB\"",               NULL, NOT_HS,    0 },
        { "e one",                 R2K,  "\"e\":\"AQ\"",                 NULL, NOT_HS,    0 },
        { "e even",                R2K,  "\"e\":\"AQAA\"",               NULL, NOT_HS,    0 },
        { "e zero",                R2K,  "\"e\":\"AA\"",                 NULL, NOT_HS,    0 },
        { "e over 2^32",           R2K,  "\"e\":\"AQAAAAE\"",            NULL, NOT_HS,    0 },
        { "e padded",              R2K,  "\"e\":\"AQAB=\"",              NULL, NOT_HS,    0 },
        { "e a number",            R2K,  "\"e\":65537",                  NULL, NOT_HS,    0 },
        { "x missing",             P256, "",                             "x",  NOT_HS,    0 },
        { "y missing",             P256, "",                             "y",  NOT_HS,    0 },
        { "crv missing",           P256, "",                             "crv", NOT_HS,   0 },
        { "crv of another",        P256, "\"crv\":\"P-384\"",            NULL, NOT_HS,    0 },
        { "crv secp256k1",         P256, "\"crv\":\"secp256k1\"",        NULL, NOT_HS,    0 },
        { "x short",               P256, "\"x\":\"AQAB\"",               NULL, NOT_HS,    0 },
        { "off the curve",         P256, "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"", NULL, NOT_HS, 0 },
        { "point is zero",         P256, "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", NULL, NOT_HS, 0 },
        { "y over the prime",      P256, "\"y\":\"__________________________________________8\"", NULL, NOT_HS, 0 },
        { "Ed448",                 ED,   "\"crv\":\"Ed448\"",            NULL, NOT_HS,    0 },
        { "X25519",                ED,   "\"crv\":\"X25519\"",           NULL, NOT_HS,    0 },
        { "Ed25519 x short",       ED,   "\"x\":\"AQAB\"",               NULL, NOT_HS,    0 },
        { "Ed25519 alg ES256",     ED,   "\"alg\":\"ES256\"",            NULL, NOT_HS,    0 },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        json_t *jwk =
            json_loads(kit_text("{%s}", kit_jwk_members(base_key(cases[i].base))), 0, NULL);
        json_t *changes = json_loads(kit_text("{%s}", cases[i].changes), 0, NULL);
        CHECK(cases[i].name, jwk && changes);
        json_object_update(jwk, changes);
        if (cases[i].gone)
            json_object_del(jwk, cases[i].gone);
        struct jwk k;
        fresh_why();
        const enum status st = jwk_from_json(&k, jwk, cases[i].allowed, &why);
        CHECK_EQ(cases[i].name, st, cases[i].want ? ST_OK : ST_INVALID);
        CHECK_EQ(cases[i].name, k.algs, cases[i].want);
        CHECK(cases[i].name, cases[i].want ? why.len == 0 : why.len > 0);
        jwk_release(&k);
        json_decref(jwk);
        json_decref(changes);
    }
    struct jwk k;
    assert_int_equal(from_text(&k, "[]", NOT_HS), ST_INVALID);
    assert_int_equal(from_text(&k, "\"RSA\"", NOT_HS), ST_INVALID);
}

static void test_rsa_sizes(void **state)
{
    (void)state;
    static const struct {
        unsigned bits;
        enum status want;
    } cases[] = {
        { 1024, ST_INVALID },
        { 2040, ST_INVALID },
        { 2048, ST_OK },
        { 2056, ST_OK },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        EVP_PKEY *pkey = EVP_RSA_gen(cases[i].bits);
        const char *name = kit_text("RSA of %u bits", cases[i].bits);
        struct jwk k;
        CHECK_EQ(name, from_text(&k, kit_text("{%s}", kit_jwk_members(pkey)), NOT_HS),
                 cases[i].want);
        jwk_release(&k);
        CHECK_EQ(name, jwk_from_pem(&k, str_from(kit_pem(pkey)), NOT_HS, &why), cases[i].want);
        jwk_release(&k);
        EVP_PKEY_free(pkey);
    }
}

static void test_kid(void **state)
{
    (void)state;
    const char *members = kit_jwk_members(kit.p256);
    char *kid = kit_keep(calloc(1, KID_MAX + 2));
    memset(kid, 'k', KID_MAX);
    struct jwk k;
    assert_int_equal(from_text(&k, kit_text("{%s,\"kid\":\"%s\"}", members, kid), NOT_HS), ST_OK);
    CHECK_TEXT("longest kid", k.kid, kid);
    jwk_release(&k);
    kid[KID_MAX] = 'k';
    assert_int_equal(from_text(&k, kit_text("{%s,\"kid\":\"%s\"}", members, kid), NOT_HS),
                     ST_INVALID);
    assert_int_equal(from_text(&k, kit_text("{%s}", members), NOT_HS), ST_OK);
    assert_int_equal(k.kid.len, 0);
    jwk_release(&k);
}

static void test_pem(void **state)
{
    (void)state;
    EVP_PKEY *k1 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1");
    EVP_PKEY *dh = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    const struct {
        const char *name;
        const char *pem;
        unsigned allowed, want;
    } cases[] = {
        { "RSA", kit_pem(kit.rsa), JWA_RS256 | JWA_ES256, JWA_RS256 },
        { "EC", kit_pem(kit.p384), NOT_HS, JWA_ES384 },
        { "Ed25519", kit_pem(kit.ed), NOT_HS, JWA_EDDSA },
        { "text before", kit_text("a key:\n%s", kit_pem(kit.ed)), NOT_HS, JWA_EDDSA },
        { "type not configured", kit_pem(kit.rsa), JWA_ES256, 0 },
        { "HMAC over a public key", kit_pem(kit.rsa), JWA_HS256, 0 },
        { "private", kit_private_pem(kit.rsa), NOT_HS, 0 },
        { "private EC", kit_private_pem(kit.p256), NOT_HS, 0 },
        { "secp256k1", kit_pem(k1), NOT_HS, 0 },
        { "X25519", kit_pem(dh), NOT_HS, 0 },
        { "empty", "", NOT_HS, 0 },
        { "no PEM", "hello", NOT_HS, 0 },
        { "cut", kit_text("%.80s", kit_pem(kit.rsa)), NOT_HS, 0 },
        { "broken", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", NOT_HS, 0 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct jwk k;
        fresh_why();
        const enum status st = jwk_from_pem(&k, str_from(cases[i].pem), cases[i].allowed, &why);
        CHECK_EQ(cases[i].name, st, cases[i].want ? ST_OK : ST_INVALID);
        CHECK_EQ(cases[i].name, k.algs, cases[i].want);
        CHECK(cases[i].name, cases[i].want ? why.len == 0 : why.len > 0);
        jwk_release(&k);
    }
    EVP_PKEY_free(k1);
    EVP_PKEY_free(dh);
}

static void test_secrets(void **state)
{
    (void)state;
    const struct {
        const char *name;
        struct str secret;
        unsigned allowed, want;
    } cases[] = {
        { "64 bytes", { kit_secret, 64 }, JWA_HS_ALL, JWA_HS_ALL },
        { "63 bytes", { kit_secret, 63 }, JWA_HS_ALL, JWA_HS256 | JWA_HS384 },
        { "48 bytes", { kit_secret, 48 }, JWA_HS_ALL, JWA_HS256 | JWA_HS384 },
        { "47 bytes", { kit_secret, 47 }, JWA_HS_ALL, JWA_HS256 },
        { "32 bytes", { kit_secret, 32 }, JWA_HS256, JWA_HS256 },
        { "others are not meant", { kit_secret, 64 }, ALL, JWA_HS_ALL },
        { "31 bytes", { kit_secret, 31 }, JWA_HS_ALL, 0 },
        { "empty", { "", 0 }, JWA_HS_ALL, 0 },
        { "32 bytes for HS384", { kit_secret, 32 }, JWA_HS384, 0 },
        { "63 bytes for HS512", { kit_secret, 63 }, JWA_HS512, 0 },
        { "no HMAC configured", { kit_secret, 64 }, NOT_HS, 0 },
        { "a public key", str_from(kit_pem(kit.rsa)), JWA_HS_ALL, 0 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct jwk k;
        fresh_why();
        const enum status st = jwk_from_secret(&k, cases[i].secret, cases[i].allowed, &why);
        CHECK_EQ(cases[i].name, st, cases[i].want ? ST_OK : ST_INVALID);
        CHECK_EQ(cases[i].name, k.algs, cases[i].want);
        const bool whole = (cases[i].allowed & JWA_HS_ALL) == cases[i].want;
        CHECK(cases[i].name, (whole && cases[i].want) ? why.len == 0 : why.len > 0);
        jwk_release(&k);
    }
}

static void check_forged(const struct jwk *k, unsigned alg, const struct kit_sig *sig)
{
    /* as another library on the thread may leave it */
    ERR_raise(ERR_LIB_EVP, ERR_R_MALLOC_FAILURE);
    const struct str bytes = { (const char *)sig->bytes, sig->len };
    const enum status st = jwk_verify(k, alg, STR("header.payload"), bytes);
    if (st != ST_INVALID)
        fail_msg("%s, forged, %zu bytes from %02x: %s", jwa_name(alg), sig->len, sig->bytes[0],
                 status_name(st));
}

/* Whatever stands where the signature should be: it is a refusal, never a failure of ours. */
static void test_forged_is_no_failure(void **state)
{
    (void)state;
    for (size_t i = 0; i < JWA_KINDS; i++) {
        const unsigned alg = 1U << i;
        struct jwk k;
        load(&k, alg);
        const size_t right = kit_sign(alg, message).len;
        const size_t lengths[] = { 0,   1,   31,  32,  63,  64,  65,   96,
                                   131, 132, 133, 255, 256, 257, 1024, right };
        for (size_t l = 0; l < ROWS(lengths); l++) {
            struct kit_sig sig = { .len = lengths[l] };
            check_forged(&k, alg, &sig);
            memset(sig.bytes, 0xff, sizeof(sig.bytes));
            check_forged(&k, alg, &sig);
            for (int round = 0; round < 40; round++) {
                memset(sig.bytes, round, sizeof(sig.bytes));
                assert_int_equal(RAND_bytes(sig.bytes + round % 3, 600), 1);
                check_forged(&k, alg, &sig);
            }
        }
        jwk_release(&k);
    }
    ERR_clear_error();
}

KIT_MAIN(cmocka_unit_test(test_names), cmocka_unit_test(test_every_algorithm),
         cmocka_unit_test(test_no_mixing), cmocka_unit_test(test_pss_parameters),
         cmocka_unit_test(test_ecdsa_forms), cmocka_unit_test(test_ecdsa_short_numbers),
         cmocka_unit_test(test_json), cmocka_unit_test(test_rsa_sizes), cmocka_unit_test(test_kid),
         cmocka_unit_test(test_pem), cmocka_unit_test(test_secrets),
         cmocka_unit_test(test_forged_is_no_failure))
