#include "test.h"

#include "oom.h"
#include "token_kit.h"

#include "presignd/keyset.h"

enum { NOT_HS = ((1 << JWA_KINDS) - 1) & ~JWA_HS_ALL };

static char why_space[65536];
static struct buf why;

static struct keyset *load(const char *json, unsigned allowed)
{
    why = BUF_FIXED(why_space);
    return keyset_from_jwks(str_from(json), allowed, &why);
}

static const char *key(EVP_PKEY *pkey, const char *more)
{
    return kit_text("{%s%s}", kit_jwk_members(pkey), more);
}

static bool why_tells(const char *word)
{
    return memmem(why.ptr, why.len, word, strlen(word)) != NULL;
}

static void test_usable(void **state)
{
    (void)state;
    const char *a = key(kit.rsa, ",\"kid\":\"a\"");
    const char *b = key(kit.p256, ",\"kid\":\"b\"");
    const char *enc = key(kit.rsa_other, ",\"kid\":\"c\",\"use\":\"enc\"");
    const char *twin = key(kit.p384, ",\"kid\":\"a\"");
    const char *nameless = key(kit.ed, "");
    const struct {
        const char *name, *json;
        size_t want;
        const char *tells;
    } cases[] = {
        { "one", kit_text("{\"keys\":[%s]}", a), 1, NULL },
        { "two", kit_text("{\"keys\":[%s,%s]}", a, b), 2, NULL },
        { "members around", kit_text("{\"x\":1,\"keys\":[%s],\"y\":[]}", a), 1, NULL },
        { "an encryption key aside", kit_text("{\"keys\":[%s,%s]}", enc, b), 1, "use" },
        { "a number aside", kit_text("{\"keys\":[7,%s]}", b), 1, "object" },
        { "an empty object aside", kit_text("{\"keys\":[{},%s]}", b), 1, "kty" },
        { "twins leave the third", kit_text("{\"keys\":[%s,%s,%s]}", a, b, twin), 1, "same kid" },
        { "three of a kind", kit_text("{\"keys\":[%s,%s,%s,%s]}", a, twin, a, b), 1, "same kid" },
        { "without kid there are no twins", kit_text("{\"keys\":[%s,%s]}", nameless, nameless), 2,
          NULL },
        { "nothing", kit_text("{\"keys\":[]}"), 0, "no usable" },
        { "only unusable", kit_text("{\"keys\":[%s]}", enc), 0, "no usable" },
        { "only twins", kit_text("{\"keys\":[%s,%s]}", a, twin), 0, "no usable" },
        { "no keys member", "{}", 0, "no array" },
        { "keys an object", kit_text("{\"keys\":%s}", a), 0, "no array" },
        { "a bare key", a, 0, "no array" },
        { "a list", kit_text("[%s]", a), 0, "no array" },
        { "empty", "", 0, "JSON" },
        { "HTML", "<html>", 0, "JSON" },
        { "cut", "{\"keys\":[", 0, "JSON" },
        { "text behind", kit_text("{\"keys\":[%s]}x", a), 0, "JSON" },
        { "keys twice", kit_text("{\"keys\":[%s],\"keys\":[%s]}", a, b), 0, "twice" },
        { "kid twice",
          kit_text("{\"keys\":[{\"kid\":\"z\",%s,\"kid\":\"y\"}]}", kit_jwk_members(kit.rsa)), 0,
          "twice" },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct keyset *ks = load(cases[i].json, NOT_HS);
        CHECK_EQ(cases[i].name, ks ? ks->n : 0, cases[i].want);
        CHECK(cases[i].name, cases[i].tells ? why_tells(cases[i].tells) : why.len == 0);
        keyset_unref(ks);
    }
    assert_null(load(kit_text("{\"keys\":[%s]}", a), JWA_ES256));
    assert_null(load(kit_text("{\"keys\":[%s]}", a), JWA_HS256));
}

static const char *repeated(size_t n)
{
    char *json = kit_keep(calloc(1, n * 8192 + 64));
    char *at = stpcpy(json, "{\"keys\":[");
    for (size_t i = 0; i < n; i++)
        at = stpcpy(at,
                    kit_text("%s%s", i ? "," : "", key(kit.p256, kit_text(",\"kid\":\"%zu\"", i))));
    stpcpy(at, "]}");
    return json;
}

static void test_limits(void **state)
{
    (void)state;
    struct keyset *ks = load(repeated(KEYSET_KEYS_MAX), NOT_HS);
    assert_non_null(ks);
    assert_int_equal(ks->n, KEYSET_KEYS_MAX);
    keyset_unref(ks);
    assert_null(load(repeated(KEYSET_KEYS_MAX + 1), NOT_HS));
    assert_true(why_tells("more than 100"));

    const char *one = kit_text("{\"keys\":[%s]}", key(kit.p256, ""));
    char *big = kit_keep(malloc(KEYSET_BYTES_MAX + 2));
    memset(big, ' ', KEYSET_BYTES_MAX + 1);
    memcpy(big, one, strlen(one));
    big[KEYSET_BYTES_MAX] = '\0';
    ks = load(big, NOT_HS);
    assert_non_null(ks);
    keyset_unref(ks);
    big[KEYSET_BYTES_MAX] = ' ';
    big[KEYSET_BYTES_MAX + 1] = '\0';
    assert_null(load(big, NOT_HS));
    assert_true(why_tells("1 MiB"));

    char *deep = kit_keep(malloc(200001));
    memset(deep, '[', 200000);
    deep[200000] = '\0';
    assert_null(load(deep, NOT_HS));
}

static void test_find(void **state)
{
    (void)state;
    struct keyset *ks = load(kit_text("{\"keys\":[%s,%s,%s]}", key(kit.rsa, ",\"kid\":\"r\""),
                                      key(kit.p256, ",\"kid\":\"e\""), key(kit.ed, "")),
                             NOT_HS);
    assert_non_null(ks);
    static const struct {
        const char *name;
        struct str kid;
        bool has_kid;
        unsigned alg;
        int want; /* index, -1 none */
        bool unknown;
    } cases[] = {
        { "RSA by kid", STR_INIT("r"), true, JWA_RS256, 0, false },
        { "the same, another algorithm", STR_INIT("r"), true, JWA_PS512, 0, false },
        { "EC by kid", STR_INIT("e"), true, JWA_ES256, 1, false },
        { "no kid, one fits", STR_INIT(""), false, JWA_ES256, 1, false },
        { "no kid, the nameless fits", STR_INIT(""), false, JWA_EDDSA, 2, false },
        { "kid of another type", STR_INIT("r"), true, JWA_ES256, -1, false },
        { "kid of another curve", STR_INIT("e"), true, JWA_ES384, -1, false },
        { "no kid, none fits", STR_INIT(""), false, JWA_ES384, -1, false },
        { "unknown kid", STR_INIT("x"), true, JWA_RS256, -1, true },
        { "kid in another case", STR_INIT("R"), true, JWA_RS256, -1, true },
        { "kid with a tail", STR_INIT("r\0"), true, JWA_RS256, -1, true },
        { "empty kid is not the nameless", STR_INIT(""), true, JWA_EDDSA, -1, true },
        { "HMAC", STR_INIT("r"), true, JWA_HS256, -1, false },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        bool unknown = !cases[i].unknown;
        const struct jwk *k =
            keyset_find(ks, cases[i].kid, cases[i].has_kid, cases[i].alg, &unknown);
        CHECK_EQ(cases[i].name, k ? k - ks->keys : -1, cases[i].want);
        CHECK_EQ(cases[i].name, unknown, cases[i].unknown);
    }
    keyset_unref(ks);
}

static void test_two_fit(void **state)
{
    (void)state;
    bool unknown = true;
    struct keyset *ks = load(kit_text("{\"keys\":[%s,%s]}", key(kit.rsa, ",\"kid\":\"1\""),
                                      key(kit.rsa_other, ",\"kid\":\"2\",\"alg\":\"RS256\"")),
                             NOT_HS);
    assert_non_null(ks);
    assert_null(keyset_find(ks, STR_NONE, false, JWA_RS256, &unknown));
    assert_false(unknown);
    assert_ptr_equal(keyset_find(ks, STR_NONE, false, JWA_PS256, &unknown), &ks->keys[0]);
    keyset_unref(ks);
}

/* Keys move when twins before them go; their kids must move along. */
static void test_kid_after_move(void **state)
{
    (void)state;
    bool unknown;
    struct keyset *ks =
        load(kit_text("{\"keys\":[%s,%s,%s]}", key(kit.rsa, ",\"kid\":\"t\""),
                      key(kit.rsa_other, ",\"kid\":\"t\""), key(kit.p256, ",\"kid\":\"stays\"")),
             NOT_HS);
    assert_non_null(ks);
    assert_int_equal(ks->n, 1);
    assert_ptr_equal(ks->keys[0].kid.ptr, ks->keys[0].kid_text);
    assert_non_null(keyset_find(ks, STR("stays"), true, JWA_ES256, &unknown));
    assert_null(keyset_find(ks, STR("t"), true, JWA_RS256, &unknown));
    assert_true(unknown);
    keyset_unref(ks);
}

static void test_single_keys(void **state)
{
    (void)state;
    bool unknown;
    why = BUF_FIXED(why_space);
    struct keyset *pem = keyset_from_pem(str_from(kit_pem(kit.rsa)), NOT_HS, &why);
    struct keyset *secret = keyset_from_secret(str_from(kit_secret), JWA_HS256, &why);
    assert_true(pem && secret);
    assert_non_null(keyset_find(pem, STR("any"), true, JWA_RS256, &unknown));
    assert_non_null(keyset_find(pem, STR_NONE, false, JWA_RS256, &unknown));
    assert_null(keyset_find(pem, STR("any"), true, JWA_ES256, &unknown));
    assert_false(unknown);
    assert_non_null(keyset_find(secret, STR("any"), true, JWA_HS256, &unknown));
    assert_null(keyset_find(secret, STR("any"), true, JWA_HS384, &unknown));
    struct keyset *again = keyset_ref(pem);
    keyset_unref(pem);
    assert_int_equal(again->n, 1);
    keyset_unref(again);
    keyset_unref(secret);
    keyset_unref(NULL);
    assert_null(keyset_from_pem(STR("x"), NOT_HS, &why));
    assert_null(keyset_from_secret(STR("short"), JWA_HS256, &why));
}

static const char *oom_json;

/* All of the keys or none: one that is left out for want of memory would be a withdrawn one. */
static bool whole_or_nothing(void)
{
    struct keyset *ks = load(oom_json, NOT_HS);
    const bool held = ks ? ks->n == 4 : oom_struck();
    keyset_unref(ks);
    return held;
}

static void test_oom(void **state)
{
    (void)state;
    oom_json = kit_text("{\"keys\":[%s,%s,%s,%s]}", key(kit.rsa, ",\"kid\":\"r\""),
                        key(kit.p256, ",\"kid\":\"e\""), key(kit.p521, ""), key(kit.ed, ""));
    oom_torture(whole_or_nothing);
}

KIT_MAIN(cmocka_unit_test(test_usable), cmocka_unit_test(test_limits), cmocka_unit_test(test_find),
         cmocka_unit_test(test_two_fit), cmocka_unit_test(test_kid_after_move),
         cmocka_unit_test(test_single_keys), cmocka_unit_test(test_oom))
