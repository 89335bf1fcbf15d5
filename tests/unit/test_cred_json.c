/* The document of IMDS and container endpoints. */
#include "cred_talk.h"

#include "oom.h"

#define WITH(access, secret, token, end)                                          \
    "{\"AccessKeyId\":" access ",\"SecretAccessKey\":" secret ",\"Token\":" token \
    ",\"Expiration\":" end "}"
#define A "\"ASIA\""
#define S "\"sec\""
#define T "\"tok\""
#define E "\"2026-11-22T04:26:40Z\""

/* clang-format off */
static const struct { const char *name; struct str text; const char *why; } cases[] = {
    { "IMDS",                 STR_INIT(GOOD_DOCUMENT),                                   NULL },
    { "container",            STR_INIT(WITH(A, S, T, E)),                                NULL },
    { "code in other case",   STR_INIT("{\"Code\":\"success\",\"AccessKeyId\":" A ",\"SecretAccessKey\":" S ",\"Token\":" T ",\"Expiration\":" E "}"), NULL },
    { "offset",               STR_INIT(WITH(A, S, T, "\"2026-11-22T05:26:40+01:00\"")),  NULL },
    { "fraction",             STR_INIT(WITH(A, S, T, "\"2026-11-22T04:26:40.5Z\"")),     NULL },
    { "blanks around",        STR_INIT(" \n" WITH(A, S, T, E) "\r\n"),                   NULL },
    { "empty",                STR_INIT(""),                                              "no JSON" },
    { "NULL",                 { NULL, 0 },                                               "no JSON" },
    { "HTML",                 STR_INIT("<html>404</html>"),                              "no JSON" },
    { "cut",                  STR_INIT("{\"AccessKeyId\":\"ASIA\",\"Secret"),            "no JSON" },
    { "two documents",        STR_INIT(WITH(A, S, T, E) "{}"),                           "no JSON" },
    { "repeated member",      STR_INIT("{\"Token\":\"a\",\"Token\":\"b\"}"),             "no JSON" },
    { "NUL in a text",        STR_INIT(WITH("\"AS\\u0000IA\"", S, T, E)),                "no JSON" },
    { "bad UTF-8",            STR_INIT(WITH("\"\xff\"", S, T, E)),                       "no JSON" },
    { "array",                STR_INIT("[1]"),                                           "no object" },
    { "code failed",          STR_INIT("{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"EC2 cannot assume the role\"}"), "EC2 cannot assume the role" },
    { "code failed, whole",   STR_INIT("{\"Code\":\"Failed\",\"AccessKeyId\":" A ",\"SecretAccessKey\":" S ",\"Token\":" T ",\"Expiration\":" E "}"), "Code \"Failed\"" },
    { "code is a number",     STR_INIT("{\"Code\":200,\"AccessKeyId\":" A ",\"SecretAccessKey\":" S ",\"Token\":" T ",\"Expiration\":" E "}"), "Code \"\"" },
    { "code is null",         STR_INIT("{\"Code\":null,\"AccessKeyId\":" A ",\"SecretAccessKey\":" S ",\"Token\":" T ",\"Expiration\":" E "}"), "Code \"\"" },
    { "message with controls", STR_INIT("{\"Code\":\"x\",\"Message\":\"a\\u001b[31mb\"}"), "a?[31mb" },
    { "empty object",         STR_INIT("{}"),                                            "no AccessKeyId" },
    { "no access key",        STR_INIT(WITH("\"\"", S, T, E)),                           "no AccessKeyId" },
    { "access key null",      STR_INIT(WITH("null", S, T, E)),                           "no AccessKeyId" },
    { "no secret",            STR_INIT(WITH(A, "\"\"", T, E)),                           "no SecretAccessKey" },
    { "no token",             STR_INIT(WITH(A, S, "\"\"", E)),                           "no Token" },
    { "token is a number",    STR_INIT(WITH(A, S, "7", E)),                              "no Token" },
    { "no end",               STR_INIT(WITH(A, S, T, "\"\"")),                           "no Expiration" },
    { "blank in access key",  STR_INIT(WITH("\"AS IA\"", S, T, E)),                      "an unusable AccessKeyId" },
    { "line feed in token",   STR_INIT(WITH(A, S, "\"a\\nb\"", E)),                      "an unusable Token" },
    { "not ASCII",            STR_INIT(WITH(A, "\"s\xc3\xa4\"", T, E)),                  "an unusable SecretAccessKey" },
    { "end is no time",       STR_INIT(WITH(A, S, T, "\"tomorrow\"")),                   "no RFC 3339 time" },
    { "end is unix time",     STR_INIT(WITH(A, S, T, "\"1795321600\"")),                 "no RFC 3339 time" },
    { "end without zone",     STR_INIT(WITH(A, S, T, "\"2026-11-22T04:26:40\"")),        "no RFC 3339 time" },
    { "ended long ago",       STR_INIT(WITH(A, S, T, "\"2020-01-01T00:00:00Z\"")),       "expired at arrival" },
    { "ends now",             STR_INIT(WITH(A, S, T, "\"2026-11-21T22:26:40Z\"")),       "expired at arrival" },
};
/* clang-format on */

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        AUTO(buf) why = BUF_INIT(1024);
        struct creds *c = NULL;
        const enum status st = cred_json_read(cases[i].text, "imds", NOW_S, &c, &why);
        CHECK_EQ(cases[i].name, st, cases[i].why ? ST_INVALID : ST_OK);
        CHECK_EQ(cases[i].name, c != NULL, st == ST_OK);
        if (cases[i].why && !holds(&why, cases[i].why))
            fail_msg("%s: \"%.*s\" does not say \"%s\"", cases[i].name, (int)why.len, why.ptr,
                     cases[i].why);
        CHECK(cases[i].name, !holds(&why, "sec\"") && !holds(&why, "tok"));
        if (c)
            CHECK_EQ(cases[i].name, c->expires_at_s, GOOD_END_S);
        creds_unref(c);
    }
}

static void test_texts(void **state)
{
    (void)state;
    AUTO(buf) why = BUF_INIT(256);
    struct creds *c = NULL;
    assert_int_equal(cred_json_read(STR(GOOD_DOCUMENT), "imds", NOW_S, &c, &why), ST_OK);
    CHECK_TEXT("access key", c->access_key_id, "ASIAEXAMPLE");
    CHECK_TEXT("secret", c->secret_key, "the/secret+key");
    CHECK_TEXT("token", c->session_token, "the-token==");
    assert_int_equal(c->obtained_at_s, NOW_S);
    assert_string_equal(c->source, "imds");
    creds_unref(c);
}

static void test_long_message_is_cut(void **state)
{
    (void)state;
    AUTO(buf) text = BUF_INIT(100000);
    buf_lit(&text, "{\"Code\":\"");
    for (int i = 0; i < 50000; i++)
        buf_char(&text, 'c');
    buf_lit(&text, "\"}");
    AUTO(buf) why = BUF_INIT(1024);
    struct creds *c = NULL;
    assert_int_equal(cred_json_read(buf_view(&text), "imds", NOW_S, &c, &why), ST_INVALID);
    assert_int_equal(buf_check(&why), ST_OK);
    assert_true(why.len < 200);
}

static bool read_whole_or_not(void)
{
    char space[256];
    struct buf why = BUF_FIXED(space);
    struct creds *c = NULL;
    const enum status st = cred_json_read(STR(GOOD_DOCUMENT), "imds", NOW_S, &c, &why);
    const bool promised = st == ST_OK ? c && c->session_token.len == 11 : !c && oom_struck();
    creds_unref(c);
    return promised;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture(read_whole_or_not);
}

TEST_MAIN(cmocka_unit_test(test_cases), cmocka_unit_test(test_texts),
          cmocka_unit_test(test_long_message_is_cut), cmocka_unit_test(test_no_memory))
