/* The order of sources, and that only absence leads from one to the next. */
#include "cred_talk.h"

#include "oom.h"

#define KEYS .access_key_id = STR_INIT("AKIA"), .secret_key = STR_INIT("s")

/* clang-format off */
static const struct {
    const char *name; struct cred_env env; enum next next; const char *says; /* URL, source or reason */
} cases[] = {
    { "env first",        { KEYS, .relative_uri = STR_INIT("/c") },                    NEXT_DONE, "env" },
    { "env, IMDS off",    { KEYS, .imds_disabled = true },                             NEXT_DONE, "env" },
    { "env beats web identity", { KEYS, .web_identity_token_file = STR_INIT("/t") },   NEXT_DONE, "env" },
    { "web identity",     { .web_identity_token_file = STR_INIT("/t"), .role_arn = STR_INIT("arn:r"), .region = STR_INIT("eu-west-1") }, NEXT_CALL, "/t" },
    { "web identity first", { .web_identity_token_file = STR_INIT("/t"), .role_arn = STR_INIT("arn:r"), .region = STR_INIT("eu-west-1"), .relative_uri = STR_INIT("/c") }, NEXT_CALL, "/t" },
    { "container",        { .relative_uri = STR_INIT("/c") },                          NEXT_CALL, "http://169.254.170.2/c" },
    { "container, IMDS off", { .relative_uri = STR_INIT("/c"), .imds_disabled = true }, NEXT_CALL, "http://169.254.170.2/c" },
    { "IMDS",             { .role_arn = STR_INIT("unused") },                          NEXT_CALL, "http://169.254.169.254/latest/api/token" },
    { "IMDS elsewhere",   { .imds_endpoint = STR_INIT("http://127.0.0.1:1/") },        NEXT_CALL, "http://127.0.0.1:1/latest/api/token" },
    { "nothing",          { .imds_disabled = true },                                   NEXT_ABSENT, "no credentials are configured" },
    { "env ended",        { KEYS, .expiration = STR_INIT("2020-01-01T00:00:00Z"), .relative_uri = STR_INIT("/c") },
                                                                                       NEXT_FAIL, "has passed" },
};

static const struct { const char *name; struct cred_env env; const char *why; } refused[] = {
    { "half an env",      { .access_key_id = STR_INIT("AKIA") },                       "AWS_SECRET_ACCESS_KEY" },
    { "half, container",  { .secret_key = STR_INIT("s"), .relative_uri = STR_INIT("/c") }, "AWS_ACCESS_KEY_ID" },
    { "web identity",     { .web_identity_token_file = STR_INIT("/t") },               "AWS_ROLE_ARN is not set" },
    { "web identity, no region", { .web_identity_token_file = STR_INIT("/t"), .role_arn = STR_INIT("arn:r") }, "credentials.region" },
    { "web identity, container", { .web_identity_token_file = STR_INIT("/t"), .relative_uri = STR_INIT("/c") }, "AWS_ROLE_ARN is not set" },
    { "bad full URI",     { .full_uri = STR_INIT("http://203.0.113.9/") },             "FULL_URI points" },
    { "bad full URI beside keys", { KEYS, .full_uri = STR_INIT("http://203.0.113.9/") }, "FULL_URI points" },
    { "bad endpoint",     { .imds_endpoint = STR_INIT("169.254.169.254") },            "AWS_EC2_METADATA_SERVICE_ENDPOINT" },
};
/* clang-format on */

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        AUTO(buf) why = BUF_INIT(512);
        struct talk t;
        talk_begin(&t, cred_source_new(CRED_AUTO, &cases[i].env, &why));
        for (int attempt = 0; attempt < 2; attempt++) {
            CHECK_EQ(cases[i].name, talk_start(&t), cases[i].next);
            if (cases[i].next == NEXT_DONE)
                assert_string_equal(t.creds->source, cases[i].says);
            else if (cases[i].next == NEXT_CALL)
                CHECK_TEXT(cases[i].name, t.call.url, cases[i].says);
            else
                CHECK(cases[i].name, holds(&t.why, cases[i].says));
        }
        talk_end(&t);
    }
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(refused); i++) {
        AUTO(buf) why = BUF_INIT(512);
        CHECK(refused[i].name, !cred_source_new(CRED_AUTO, &refused[i].env, &why));
        if (!holds(&why, refused[i].why))
            fail_msg("%s: \"%.*s\"", refused[i].name, (int)why.len, why.ptr);
    }
}

/* A source that is configured and fails is not passed over. */
static void test_failure_stays(void **state)
{
    (void)state;
    AUTO(buf) why = BUF_INIT(512);
    struct talk t;
    const struct cred_env env = { .relative_uri = STR("/c") };
    talk_begin(&t, cred_source_new(CRED_AUTO, &env, &why));
    assert_int_equal(talk_start(&t), NEXT_CALL);
    assert_int_equal(talk_http(&t, 503, ""), NEXT_FAIL);
    assert_true(holds(&t.why, "answered 503"));
    assert_int_equal(talk_start(&t), NEXT_CALL);
    CHECK_CALL("again", &t, "GET", "http://169.254.170.2/c");
    assert_int_equal(talk_http(&t, 200, GOOD_DOCUMENT), NEXT_DONE);
    assert_string_equal(t.creds->source, "container");
    talk_end(&t);
}

static void test_conversation_stays_with_its_source(void **state)
{
    (void)state;
    AUTO(buf) why = BUF_INIT(512);
    struct talk t;
    talk_begin(&t, cred_source_new(CRED_AUTO, &(struct cred_env){ 0 }, &why));
    assert_int_equal(talk_start(&t), NEXT_CALL);
    assert_int_equal(talk_http(&t, 200, "token=="), NEXT_CALL);
    assert_int_equal(talk_http(&t, 200, "role"), NEXT_CALL);
    assert_int_equal(talk_http(&t, 200, GOOD_DOCUMENT), NEXT_DONE);
    assert_string_equal(t.creds->source, "imds");
    talk_end(&t);
}

static bool made_or_not(void)
{
    char space[128];
    struct buf why = BUF_FIXED(space);
    const struct cred_env env = { KEYS, .relative_uri = STR_INIT("/c") };
    struct cred_source *s = cred_source_new(CRED_AUTO, &env, &why);
    const bool promised = s || (oom_struck() && why.len == 0);
    cred_source_free(s);
    return promised;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture_ours(made_or_not);
}

TEST_MAIN(cmocka_unit_test(test_cases), cmocka_unit_test(test_refused),
          cmocka_unit_test(test_failure_stays),
          cmocka_unit_test(test_conversation_stays_with_its_source),
          cmocka_unit_test(test_no_memory))
