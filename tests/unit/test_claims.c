#include "test.h"

#include "presignd/claims.h"

#include <stdio.h>

enum { NOW = 1000000 };

static const struct str audiences[] = { STR_INIT("presignd"), STR_INIT("https://files/") };

static const struct issuer_config config = {
    .issuer = STR_INIT("https://login/"),
    .audiences = audiences,
    .n_audiences = 2,
    .algorithms = JWA_RS256,
    .user_claim = STR_INIT("sub"),
    .plan_claim = STR_INIT("plan"),
    .tenant_claim = STR_INIT("org"),
    .leeway_s = 30,
    .max_lifetime_s = 3600,
};

/* The good payload with members of `changes` put over it, and `gone` taken away. */
static json_t *payload(const char *changes, const char *gone)
{
    json_t *p = json_pack("{s:s,s:s,s:s,s:I,s:I}", "iss", "https://login/", "aud", "presignd",
                          "sub", "ann", "iat", (json_int_t)NOW - 10, "exp", (json_int_t)NOW + 600);
    json_t *more = json_loads(changes ? changes : "{}", 0, NULL);
    assert_true(p && more);
    json_object_update(p, more);
    json_decref(more);
    if (gone)
        json_object_del(p, gone);
    return p;
}

static enum status check(json_t *claims, struct principal **out, const char **reason)
{
    *out = NULL;
    *reason = NULL;
    return claims_check(&config, 3, claims, NOW, out, reason);
}

static void test_accepted(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name, *changes, *gone;
        int64_t exp, nbf;
    } cases[] = {
        { "plain",                     NULL,                                     NULL,  NOW + 600, 0 },
        { "without iat",               NULL,                                     "iat", NOW + 600, 0 },
        { "exp real",                  "{\"exp\":1000600.75}",                   NULL,  NOW + 600, 0 },
        { "exp with exponent",         "{\"exp\":1.0006e6}",                     NULL,  NOW + 600, 0 },
        { "exp past, within leeway",   "{\"exp\":999971}",                       NULL,  NOW - 29,  0 },
        { "exp at the longest life",   "{\"iat\":1000000,\"exp\":1003630}",      NULL,  NOW + 3630, 0 },
        { "longest life without iat",  "{\"exp\":1003630}",                      "iat", NOW + 3630, 0 },
        { "iat ahead within leeway",   "{\"iat\":1000030}",                      NULL,  NOW + 600, 0 },
        { "iat real",                  "{\"iat\":999990.5}",                     NULL,  NOW + 600, 0 },
        { "nbf past",                  "{\"nbf\":999000}",                       NULL,  NOW + 600, 999000 },
        { "nbf ahead within leeway",   "{\"nbf\":1000030}",                      NULL,  NOW + 600, 1000030 },
        { "nbf real",                  "{\"nbf\":999999.9}",                     NULL,  NOW + 600, 999999 },
        { "nbf long ago",              "{\"nbf\":-5}",                           NULL,  NOW + 600, -5 },
        { "other audience",            "{\"aud\":\"https://files/\"}",           NULL,  NOW + 600, 0 },
        { "list of audiences",         "{\"aud\":[\"x\",\"presignd\",\"y\"]}",   NULL,  NOW + 600, 0 },
        { "plan a number",             "{\"plan\":7,\"org\":null}",              NULL,  NOW + 600, 0 },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct principal *p;
        const char *reason;
        json_t *claims = payload(cases[i].changes, cases[i].gone);
        CHECK_EQ(cases[i].name, check(claims, &p, &reason), ST_OK);
        CHECK_EQ(cases[i].name, p->expires_at_s, cases[i].exp);
        CHECK_EQ(cases[i].name, p->not_before_s, cases[i].nbf);
        CHECK_EQ(cases[i].name, p->issuer_index, 3);
        CHECK_EQ(cases[i].name, p->leeway_s, 30);
        CHECK_TEXT(cases[i].name, p->issuer, "https://login/");
        CHECK_TEXT(cases[i].name, p->user, "ann");
        CHECK_TEXT(cases[i].name, p->plan, "");
        CHECK_TEXT(cases[i].name, p->tenant, "");
        CHECK_EQ(cases[i].name, strlen(p->user_hash), 32);
        CHECK(cases[i].name, claims_still_good(p, NOW));
        CHECK(cases[i].name, !claims_expired(&config, claims, NOW));
        json_decref(claims);
        CHECK(cases[i].name, json_is_object(p->claims));
        principal_unref(p);
    }
}

static void test_refused(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *changes, *gone; } cases[] = {
        { "no exp",                   NULL, "exp" },
        { "exp a text",               "{\"exp\":\"1000600\"}", NULL },
        { "exp null",                 "{\"exp\":null}", NULL },
        { "exp true",                 "{\"exp\":true}", NULL },
        { "exp a list",               "{\"exp\":[1000600]}", NULL },
        { "exp zero",                 "{\"exp\":0}", NULL },
        { "exp negative",             "{\"exp\":-1000600}", NULL },
        { "exp now less leeway",      "{\"exp\":999970}", NULL },
        { "exp real, just over",      "{\"exp\":999970.9}", NULL },
        { "exp long past",            "{\"exp\":1}", NULL },
        { "life one second too long", "{\"iat\":1000000,\"exp\":1003631}", NULL },
        { "life too long, no iat",    "{\"exp\":1003631}", "iat" },
        { "life by an early iat",     "{\"iat\":996000,\"exp\":1000600}", NULL },
        { "iat zero",                 "{\"iat\":0}", NULL },
        { "iat negative",             "{\"iat\":-9223372036854775807}", NULL },
        { "exp largest integer",      "{\"exp\":9223372036854775807}", NULL },
        { "exp smallest integer",     "{\"exp\":-9223372036854775808}", NULL },
        { "exp 1e300",                "{\"exp\":1e300}", NULL },
        { "exp -1e300",               "{\"exp\":-1e300}", NULL },
        { "exp year 10000",           "{\"exp\":253402300800}", NULL },
        { "exp in milliseconds",      "{\"exp\":1000600000}", NULL },
        { "iat ahead",                "{\"iat\":1000031}", NULL },
        { "iat real ahead",           "{\"iat\":1000031.5}", NULL },
        { "iat a text",               "{\"iat\":\"999990\"}", NULL },
        { "iat null",                 "{\"iat\":null}", NULL },
        { "nbf ahead",                "{\"nbf\":1000031}", NULL },
        { "nbf a text",               "{\"nbf\":\"1\"}", NULL },
        { "nbf largest",              "{\"nbf\":9223372036854775807}", NULL },
        { "nbf 1e300",                "{\"nbf\":1e300}", NULL },
        { "no iss",                   NULL, "iss" },
        { "iss without slash",        "{\"iss\":\"https://login\"}", NULL },
        { "iss in another case",      "{\"iss\":\"https://LOGIN/\"}", NULL },
        { "iss with a tail",          "{\"iss\":\"https://login/x\"}", NULL },
        { "iss a list",               "{\"iss\":[\"https://login/\"]}", NULL },
        { "no aud",                   NULL, "aud" },
        { "aud empty",                "{\"aud\":\"\"}", NULL },
        { "aud of another",           "{\"aud\":\"other\"}", NULL },
        { "aud with a tail",          "{\"aud\":\"presignd2\"}", NULL },
        { "aud a prefix",             "{\"aud\":\"presign\"}", NULL },
        { "aud words",                "{\"aud\":\"presignd other\"}", NULL },
        { "aud in another case",      "{\"aud\":\"Presignd\"}", NULL },
        { "aud an empty list",        "{\"aud\":[]}", NULL },
        { "aud list of others",       "{\"aud\":[\"a\",\"b\"]}", NULL },
        { "aud list with a number",   "{\"aud\":[\"presignd\",1]}", NULL },
        { "aud list in a list",       "{\"aud\":[[\"presignd\"]]}", NULL },
        { "aud an object",            "{\"aud\":{\"presignd\":true}}", NULL },
        { "aud true",                 "{\"aud\":true}", NULL },
        { "no user",                  NULL, "sub" },
        { "user empty",               "{\"sub\":\"\"}", NULL },
        { "user a number",            "{\"sub\":42}", NULL },
        { "user null",                "{\"sub\":null}", NULL },
        { "user a list",              "{\"sub\":[\"ann\"]}", NULL },
        { "user with newline",        "{\"sub\":\"a\\nb\"}", NULL },
        { "user with tab",            "{\"sub\":\"a\\tb\"}", NULL },
        { "user with DEL",            "{\"sub\":\"a\\u007f\"}", NULL },
        { "user with C1",             "{\"sub\":\"a\\u0085b\"}", NULL },
        { "user ends in C1",          "{\"sub\":\"a\\u009f\"}", NULL },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct principal *p;
        const char *reason;
        json_t *claims = payload(cases[i].changes, cases[i].gone);
        CHECK_EQ(cases[i].name, check(claims, &p, &reason), ST_INVALID_TOKEN);
        CHECK(cases[i].name, reason && !p);
        json_decref(claims);
    }
}

static void test_user_length(void **state)
{
    (void)state;
    char user[257];
    for (size_t n = 255; n <= 256; n++) {
        struct principal *p;
        const char *reason;
        memset(user, 'u', n);
        user[n] = '\0';
        json_t *claims = payload(NULL, NULL);
        json_object_set_new(claims, "sub", json_string(user));
        assert_int_equal(check(claims, &p, &reason), n == 255 ? ST_OK : ST_INVALID_TOKEN);
        principal_unref(p);
        json_decref(claims);
    }
}

static void test_texts(void **state)
{
    (void)state;
    struct issuer_config other = config;
    other.user_claim = STR("https://example.com/user");
    other.plan_claim = STR("tier");
    json_t *claims = payload("{\"https://example.com/user\":\"b\xc3\xb6"
                             "b\",\"tier\":\"pro\","
                             "\"org\":\"acme\",\"plan\":\"free\"}",
                             "sub");
    struct principal *p = NULL;
    const char *reason = NULL;
    assert_int_equal(claims_check(&other, 0, claims, NOW, &p, &reason), ST_OK);
    json_decref(claims);
    CHECK_TEXT("user", p->user,
               "b\xc3\xb6"
               "b");
    CHECK_TEXT("plan", p->plan, "pro");
    CHECK_TEXT("tenant", p->tenant, "acme");
    struct principal *again = principal_ref(p);
    principal_unref(p);
    CHECK_TEXT("still", again->user,
               "b\xc3\xb6"
               "b");
    principal_unref(again);
    principal_unref(NULL);

    static const char *const odd[] = { "{\"org\":\"\"}", "{\"org\":\"a\\nb\"}", "{\"org\":5}",
                                       "{\"org\":[\"a\"]}", "{\"org\":{}}" };
    for (size_t i = 0; i < ROWS(odd); i++) {
        claims = payload(odd[i], NULL);
        CHECK_EQ(odd[i], check(claims, &p, &reason), ST_OK);
        CHECK_TEXT(odd[i], p->tenant, "");
        principal_unref(p);
        json_decref(claims);
    }
}

static void test_scope(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *changes; bool upload; } cases[] = {
        { "only word",          "{\"scope\":\"upload\"}",                       true  },
        { "first",              "{\"scope\":\"upload read\"}",                  true  },
        { "last",               "{\"scope\":\"read upload\"}",                  true  },
        { "two blanks",         "{\"scope\":\"read  upload\"}",                 true  },
        { "scp text",           "{\"scp\":\"read upload\"}",                    true  },
        { "scp list",           "{\"scp\":[\"read\",\"upload\"]}",              true  },
        { "scope list",         "{\"scope\":[\"upload\"]}",                     true  },
        { "both",               "{\"scope\":\"read\",\"scp\":[\"upload\"]}",    true  },
        { "a list with others", "{\"scp\":[1,null,\"upload\",{}]}",             true  },
        { "none",               "{}",                                           false },
        { "empty",              "{\"scope\":\"\"}",                             false },
        { "part of a word",     "{\"scope\":\"uploads reupload upload:x\"}",    false },
        { "another case",       "{\"scope\":\"Upload\"}",                       false },
        { "comma list",         "{\"scope\":\"read,upload\"}",                  false },
        { "tab between",        "{\"scope\":\"read\\tupload\"}",                false },
        { "newline between",    "{\"scope\":\"read\\nupload\"}",                false },
        { "one element, two words", "{\"scp\":[\"read upload\"]}",              false },
        { "list in a list",     "{\"scp\":[[\"upload\"]]}",                     false },
        { "object",             "{\"scope\":{\"upload\":true}}",                false },
        { "true",               "{\"scope\":true}",                             false },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct principal *p;
        const char *reason;
        json_t *claims = payload(cases[i].changes, NULL);
        CHECK_EQ(cases[i].name, check(claims, &p, &reason), ST_OK);
        CHECK_EQ(cases[i].name, principal_has_scope(p, STR("upload")), cases[i].upload);
        CHECK(cases[i].name, !principal_has_scope(p, STR("")));
        principal_unref(p);
        json_decref(claims);
    }
}

static void test_still_good(void **state)
{
    (void)state;
    struct principal p = { .expires_at_s = NOW, .not_before_s = NOW - 100, .leeway_s = 30 };
    static const struct {
        int64_t now;
        bool good;
    } cases[] = {
        { NOW - 131, false }, { NOW - 130, true }, { NOW, true },
        { NOW + 29, true },   { NOW + 30, false }, { NOW + 1000, false },
    };
    for (size_t i = 0; i < ROWS(cases); i++)
        CHECK_EQ("still good", claims_still_good(&p, cases[i].now), cases[i].good);
}

static void test_expired(void **state)
{
    (void)state;
    json_t *claims = payload(NULL, NULL);
    assert_false(claims_expired(&config, claims, NOW + 629));
    assert_true(claims_expired(&config, claims, NOW + 630));
    json_object_del(claims, "exp");
    assert_false(claims_expired(&config, claims, NOW + 630));
    json_decref(claims);
}

/* printf 'https://login/\nann' | sha256sum */
static void test_user_hash(void **state)
{
    (void)state;
    char a[33], b[33];
    principal_hash_user(STR("https://login/"), STR("ann"), a);
    assert_string_equal(a, "69c7540c3e4829a516851876cb2ef50d");
    principal_hash_user(STR("https://login2/"), STR("ann"), b);
    assert_string_not_equal(a, b);
    principal_hash_user(STR("https://login/"), STR("anna"), b);
    assert_string_not_equal(a, b);
}

TEST_MAIN(cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused),
          cmocka_unit_test(test_user_length), cmocka_unit_test(test_texts),
          cmocka_unit_test(test_scope), cmocka_unit_test(test_still_good),
          cmocka_unit_test(test_expired), cmocka_unit_test(test_user_hash))
