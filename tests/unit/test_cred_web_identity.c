/* AssumeRoleWithWebIdentity: the token's file, the form, what is tried again. */
#include "cred_talk.h"

#include "oom.h"

#define ANSWER                                                                                \
    "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">" \
    "<AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>system:serviceaccount:a:b" \
    "</SubjectFromWebIdentityToken><Audience>sts.amazonaws.com</Audience><Credentials>"       \
    "<SessionToken>web-token</SessionToken><SecretAccessKey>web/secret</SecretAccessKey>"     \
    "<Expiration>2026-11-22T04:26:40Z</Expiration><AccessKeyId>ASIAWEB</AccessKeyId></"       \
    "Credentials>"                                                                            \
    "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
#define REFUSAL(code) "<ErrorResponse><Error><Code>" code "</Code></Error></ErrorResponse>"
#define WEB                                                                                    \
    .role_arn = STR_INIT("arn:aws:iam::1:role/x"), .web_identity_token_file = STR_INIT("/var/" \
                                                                                       "token")
#define STS_URL "https://sts.eu-west-1.amazonaws.com/"

static const struct cred_env irsa = { WEB, .region = STR_INIT("eu-west-1") };

static void begin(struct talk *t)
{
    AUTO(buf) why = BUF_INIT(512);
    talk_begin(t, cred_source_new(CRED_WEB_IDENTITY, &irsa, &why));
}

/* clang-format off */
static const struct { const char *name; struct cred_env env; const char *why; } refused[] = {
    { "no role",       { .web_identity_token_file = STR_INIT("/t"), .region = STR_INIT("a") }, "AWS_ROLE_ARN is not set" },
    { "no file",       { .role_arn = STR_INIT("arn"), .region = STR_INIT("a") },       "AWS_WEB_IDENTITY_TOKEN_FILE is not set" },
    { "no region",     { WEB },                                                        "credentials.region" },
    { "bad region",    { WEB, .region = STR_INIT("a b") },                             "credentials.region" },
    { "http",          { WEB, .sts_endpoint = STR_INIT("http://sts.example.com.") },   "sts_endpoint" },
    { "http, address", { WEB, .sts_endpoint = STR_INIT("http://203.0.113.1") },        "http is for loopback" },
    { "control",       { .role_arn = STR_INIT("a\n"), .web_identity_token_file = STR_INIT("/t"), .region = STR_INIT("a") }, "holds a control" },
    { "session",       { WEB, .role_session_name = STR_INIT("\x7f"), .region = STR_INIT("a") }, "holds a control" },
};
/* clang-format on */

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(refused); i++) {
        AUTO(buf) why = BUF_INIT(512);
        CHECK(refused[i].name, !cred_source_new(CRED_WEB_IDENTITY, &refused[i].env, &why));
        if (!holds(&why, refused[i].why))
            fail_msg("%s: \"%.*s\"", refused[i].name, (int)why.len, why.ptr);
    }
}

static void test_absent(void **state)
{
    (void)state;
    AUTO(buf) why = BUF_INIT(512);
    struct talk t;
    talk_begin(&t, cred_source_new(CRED_WEB_IDENTITY, &(struct cred_env){ 0 }, &why));
    assert_int_equal(talk_start(&t), NEXT_ABSENT);
    talk_end(&t);
}

/* clang-format off */
static const struct { const char *name; struct reply reply; const char *token; const char *says; } files[] = {
    { "plain",         { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a.b.c") },       "a.b.c", NULL },
    { "newline",       { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a.b.c\n") },     "a.b.c", NULL },
    { "CR LF",         { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a.b-_c\r\n") },  "a.b-_c", NULL },
    { "odd",           { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a&b=c+/") },     "a%26b%3Dc%2B%2F", NULL },
    { "empty",         { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("") },            NULL, "holds no token" },
    { "only newlines", { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("\n\r\n") },      NULL, "holds no token" },
    { "blank",         { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a b") },         NULL, "holds no token" },
    { "two lines",     { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a\nb") },        NULL, "holds no token" },
    { "NUL",           { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a\0b") },        NULL, "holds no token" },
    { "not ASCII",     { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a\xc3\xa4") },   NULL, "holds no token" },
    { "missing",       { .kind = REPLY_HTTP, .http = 404, .body = STR_INIT("") },            NULL, "no such file" },
    { "unreadable",    { .kind = REPLY_UNREACHABLE, .why = STR_INIT("Permission denied") },  NULL, "Permission denied" },
    { "too large",     { .kind = REPLY_TOO_LARGE, .why = STR_INIT("larger") },               NULL, "larger" },
};
/* clang-format on */

static void test_token_file(void **state)
{
    (void)state;
    struct talk t;
    begin(&t);
    for (size_t i = 0; i < ROWS(files); i++) {
        CHECK_EQ(files[i].name, talk_start(&t), NEXT_CALL); /* read anew each time */
        CHECK_CALL(files[i].name, &t, "FILE", "/var/token");
        CHECK_EQ(files[i].name, talk(&t, &files[i].reply), files[i].token ? NEXT_CALL : NEXT_FAIL);
        if (!files[i].token) {
            if (!holds(&t.why, files[i].says))
                fail_msg("%s: \"%.*s\"", files[i].name, (int)t.why.len, t.why.ptr);
            continue;
        }
        AUTO(buf) want = BUF_INIT(512);
        buf_lit(&want, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn="
                       "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx&RoleSessionName=presignd"
                       "&WebIdentityToken=");
        buf_str(&want, str_from(files[i].token));
        CHECK_CALL(files[i].name, &t, "POST", STS_URL);
        CHECK_STR(files[i].name, t.call.body, want);
        CHECK(files[i].name, !holds(&t.call.headers, "Authorization"));
        CHECK_EQ(files[i].name, talk_http(&t, 200, ANSWER), NEXT_DONE);
        assert_string_equal(t.creds->source, "web_identity");
        assert_int_equal(t.creds->expires_at_s, GOOD_END_S);
    }
    talk_end(&t);
}

/* clang-format off */
static const struct { const char *name; struct reply reply; bool again; const char *says; } failures[] = {
    { "issuer away", { .kind = REPLY_HTTP, .http = 400, .body = STR_INIT(REFUSAL("IDPCommunicationError")) }, true, "IDPCommunicationError" },
    { "stale token", { .kind = REPLY_HTTP, .http = 400, .body = STR_INIT(REFUSAL("InvalidIdentityToken")) }, true, "InvalidIdentityToken" },
    { "ended token", { .kind = REPLY_HTTP, .http = 400, .body = STR_INIT(REFUSAL("ExpiredTokenException")) }, false, "ExpiredTokenException" },
    { "no trust",    { .kind = REPLY_HTTP, .http = 403, .body = STR_INIT(REFUSAL("AccessDenied")) }, false, "403 AccessDenied" },
    { "rejected",    { .kind = REPLY_HTTP, .http = 403, .body = STR_INIT(REFUSAL("IDPRejectedClaim")) }, false, "IDPRejectedClaim" },
    { "busy",        { .kind = REPLY_HTTP, .http = 503, .body = STR_INIT("") },          false, "answered 503" },
    { "no XML",      { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("ok") },        false, "no XML" },
    { "timeout",     { .kind = REPLY_TIMEOUT, .why = STR_INIT("5 s") },                  false, "did not answer" },
    { "unreachable", { .kind = REPLY_UNREACHABLE, .why = STR_INIT("refused") },          false, "cannot be reached" },
};
/* clang-format on */

static void test_failures(void **state)
{
    (void)state;
    const struct reply token = { .kind = REPLY_HTTP, .http = 200, .body = STR("a.b.c") };
    struct talk t;
    begin(&t);
    for (size_t i = 0; i < ROWS(failures); i++) {
        const int tries = failures[i].again ? 3 : 1;
        CHECK_EQ(failures[i].name, talk_start(&t), NEXT_CALL);
        for (int n = 1; n <= tries; n++) {
            CHECK_CALL(failures[i].name, &t, "FILE", "/var/token");
            CHECK_EQ(failures[i].name, talk(&t, &token), NEXT_CALL);
            CHECK_EQ(failures[i].name, talk(&t, &failures[i].reply),
                     n < tries ? NEXT_CALL : NEXT_FAIL);
        }
        if (!holds(&t.why, failures[i].says))
            fail_msg("%s: \"%.*s\"", failures[i].name, (int)t.why.len, t.why.ptr);
    }
    talk_end(&t);
}

/* Also of the second try's token, and not before it was sent. */
static void test_a_token_that_comes_back(void **state)
{
    (void)state;
    struct talk t;
    begin(&t);
    assert_int_equal(talk_start(&t), NEXT_CALL);
    assert_int_equal(talk_http(&t, 200, "eyJmaXJzdA.b.c"), NEXT_CALL);
    assert_int_equal(talk_http(&t, 400, REFUSAL("InvalidIdentityToken")), NEXT_CALL);
    assert_int_equal(talk_http(&t, 200, "eyJzZWNvbmQ.b.c+"), NEXT_CALL);
    assert_int_equal(talk_http(&t, 403,
                               "<Error><Code>x</Code><Message>WebIdentityToken=eyJzZWNvbmQ.b.c%2B: "
                               "eyJzZWNvbmQ.b.c+</Message></Error>"),
                     NEXT_FAIL);
    if (!holds(&t.why, " 403 x: WebIdentityToken=***: ***"))
        fail_msg("\"%.*s\"", (int)t.why.len, t.why.ptr);
    talk_end(&t);
}

static bool made_or_not(void)
{
    char space[256];
    struct buf why = BUF_FIXED(space);
    struct cred_source *s = cred_source_new(CRED_WEB_IDENTITY, &irsa, &why);
    const bool promised = s || (oom_struck() && why.len == 0);
    cred_source_free(s);
    return promised;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture_ours(made_or_not);
}

TEST_MAIN(cmocka_unit_test(test_refused), cmocka_unit_test(test_absent),
          cmocka_unit_test(test_token_file), cmocka_unit_test(test_failures),
          cmocka_unit_test(test_a_token_that_comes_back), cmocka_unit_test(test_no_memory))
