/* AssumeRole on top of a source: what is sent, when the inner source is asked again, refusals. */
#include "cred_talk.h"

#include "oom.h"

#define ROLE                                                 \
    .role = { .role_arn = STR_INIT("arn:aws:iam::1:role/x"), \
              .session_name = STR_INIT("me"),                \
              .duration_s = 3600 }
#define KEYS .access_key_id = STR_INIT("AKIA"), .secret_key = STR_INIT("s")
#define ANSWER                                                                               \
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>" \
    "<SecretAccessKey>role/secret</SecretAccessKey><SessionToken>role-token</SessionToken>"  \
    "<Expiration>2026-11-22T04:26:40Z</Expiration></Credentials></AssumeRoleResult>"         \
    "</AssumeRoleResponse>"
#define REFUSAL(code) "<ErrorResponse><Error><Code>" code "</Code></Error></ErrorResponse>"

/* clang-format off */
static const struct {
    const char *name; struct cred_env env; const char *url; enum call_hosts hosts; const char *why;
} starts[] = {
    { "regional",          { KEYS, ROLE, .region = STR_INIT("eu-west-1") },       "https://sts.eu-west-1.amazonaws.com/", CALL_HOSTS_ANY, NULL },
    { "China",             { KEYS, ROLE, .region = STR_INIT("cn-north-1") },      "https://sts.cn-north-1.amazonaws.com.cn/", CALL_HOSTS_ANY, NULL },
    { "sovereign",         { KEYS, ROLE, .region = STR_INIT("eusc-de-east-1") },  "https://sts.eusc-de-east-1.amazonaws.eu/", CALL_HOSTS_ANY, NULL },
    { "of one's own",      { KEYS, ROLE, .region = STR_INIT("eu-west-1"), .sts_endpoint = STR_INIT("https://Sts.Example.com:443/") }, "https://sts.example.com/", CALL_HOSTS_ANY, NULL },
    { "loopback",          { KEYS, ROLE, .region = STR_INIT("us-east-1"), .sts_endpoint = STR_INIT("http://127.0.0.1:8000") }, "http://127.0.0.1:8000/", CALL_HOSTS_LOOPBACK, NULL },
    { "a name over http",  { KEYS, ROLE, .region = STR_INIT("us-east-1"), .sts_endpoint = STR_INIT("http://localhost:8000") }, "http://localhost:8000/", CALL_HOSTS_LOOPBACK, NULL },
    { "no region",         { KEYS, ROLE },                                                    NULL, 0, "credentials.region" },
    { "no region, own",    { KEYS, ROLE, .sts_endpoint = STR_INIT("https://sts.test") },      NULL, 0, "credentials.region" },
    { "bad region",        { KEYS, ROLE, .region = STR_INIT("eu/west") },                     NULL, 0, "credentials.region" },
    { "region with a dot", { KEYS, ROLE, .region = STR_INIT("evil.test/") },                  NULL, 0, "credentials.region" },
    { "long region",       { KEYS, ROLE, .region = STR_INIT("abcdefghijklmnopqrstuvwxyzabcdef") }, NULL, 0, "credentials.region" },
    { "http to anywhere",  { KEYS, ROLE, .region = STR_INIT("a"), .sts_endpoint = STR_INIT("http://203.0.113.9") }, NULL, 0, "http is for loopback" },
    { "metadata address",  { KEYS, ROLE, .region = STR_INIT("a"), .sts_endpoint = STR_INIT("http://169.254.169.254") }, NULL, 0, "http is for loopback" },
    { "path",              { KEYS, ROLE, .region = STR_INIT("a"), .sts_endpoint = STR_INIT("https://sts.test/x") }, NULL, 0, "sts_endpoint" },
    { "user",              { KEYS, ROLE, .region = STR_INIT("a"), .sts_endpoint = STR_INIT("https://u@sts.test") }, NULL, 0, "sts_endpoint" },
    { "ftp",               { KEYS, ROLE, .region = STR_INIT("a"), .sts_endpoint = STR_INIT("ftp://sts.test") }, NULL, 0, "sts_endpoint" },
    { "the inner one",     { .access_key_id = STR_INIT("AKIA"), ROLE, .region = STR_INIT("a") }, NULL, 0, "AWS_SECRET_ACCESS_KEY" },
};
/* clang-format on */

static void test_starts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(starts); i++) {
        AUTO(buf) why = BUF_INIT(512);
        struct cred_source *s = cred_source_new(CRED_ENV, &starts[i].env, &why);
        CHECK_EQ(starts[i].name, s != NULL, starts[i].url != NULL);
        if (!s) {
            if (!holds(&why, starts[i].why))
                fail_msg("%s: \"%.*s\"", starts[i].name, (int)why.len, why.ptr);
            continue;
        }
        struct talk t;
        talk_begin(&t, s);
        CHECK_EQ(starts[i].name, talk_start(&t), NEXT_CALL);
        CHECK_CALL(starts[i].name, &t, "POST", starts[i].url);
        CHECK_EQ(starts[i].name, t.call.hosts, starts[i].hosts);
        CHECK_EQ(starts[i].name, talk_http(&t, 200, ANSWER), NEXT_DONE);
        assert_string_equal(t.creds->source, "assume_role");
        assert_int_equal(t.creds->expires_at_s, GOOD_END_S);
        talk_end(&t);
    }
}

static const struct cred_role role = { .role_arn = STR_INIT("arn:aws:iam::1:role/a+b"),
                                       .session_name = STR_INIT("edge-1"),
                                       .external_id = STR_INIT("a:b"),
                                       .policy = STR_INIT("{\"a b\":[]}"),
                                       .duration_s = 900 };

static struct cred_source *make(enum cred_provider p, struct cred_env env)
{
    env.role = role;
    env.region = STR("eu-west-1");
    AUTO(buf) why = BUF_INIT(512);
    return cred_source_new(p, &env, &why);
}

static struct cred_source *on_env(void)
{
    return make(CRED_ENV, (struct cred_env){ KEYS });
}

static void test_form(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, on_env());
    assert_int_equal(talk_start(&t), NEXT_CALL);
    CHECK_TEXT("form", t.call.body,
               "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%2Bb"
               "&RoleSessionName=edge-1&DurationSeconds=900&ExternalId=a%3Ab"
               "&Policy=%7B%22a%20b%22%3A%5B%5D%7D");
    assert_true(holds(&t.call.headers, "X-Amz-Date: 20261121T222640Z\n"));
    assert_true(holds(&t.call.headers, "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20261121/"
                                       "eu-west-1/sts/aws4_request, SignedHeaders=content-type;"
                                       "host;x-amz-date, Signature="));
    assert_false(holds(&t.call.headers, "X-Amz-Security-Token"));
    talk_end(&t);
}

/* clang-format off */
static const struct { const char *name; struct reply reply; const char *says; } failures[] = {
    { "refused",     { .kind = REPLY_HTTP, .http = 403, .body = STR_INIT(REFUSAL("AccessDenied")) }, "STS at sts.eu-west-1.amazonaws.com answered 403 AccessDenied" },
    { "unreadable",  { .kind = REPLY_HTTP, .http = 500, .body = STR_INIT("oops") },        "answered 500" },
    { "redirect",    { .kind = REPLY_HTTP, .http = 301, .body = STR_INIT("") },            "answered 301" },
    { "created",     { .kind = REPLY_HTTP, .http = 201, .body = STR_INIT(ANSWER) },        "answered 201" },
    { "no XML",      { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("{}") },          "no XML" },
    { "timeout",     { .kind = REPLY_TIMEOUT, .why = STR_INIT("5 s") },                    "did not answer: 5 s" },
    { "unreachable", { .kind = REPLY_UNREACHABLE, .why = STR_INIT("refused") },            "cannot be reached" },
    { "forbidden",   { .kind = REPLY_FORBIDDEN, .why = STR_INIT("not allowed") },          "may not be asked" },
    { "too large",   { .kind = REPLY_TOO_LARGE, .why = STR_INIT("64 KiB") },               "answered too much" },
};
/* clang-format on */

static void test_failures(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, on_env());
    for (size_t i = 0; i < ROWS(failures); i++) {
        CHECK_EQ(failures[i].name, talk_start(&t), NEXT_CALL);
        CHECK_EQ(failures[i].name, talk(&t, &failures[i].reply), NEXT_FAIL);
        if (!holds(&t.why, failures[i].says))
            fail_msg("%s: \"%.*s\"", failures[i].name, (int)t.why.len, t.why.ptr);
    }
    assert_int_equal(talk_start(&t), NEXT_CALL);
    assert_int_equal(talk_http(&t, 200, ANSWER), NEXT_DONE);
    talk_end(&t);
}

#define SIGNED "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF"

/* The token of the inner credentials is "a-token/of+them==". */
/* clang-format off */
static const struct { const char *name, *code, *message, *says; } echoes[] = {
    { "nothing of it",    "AccessDenied", "not authorized to perform: sts:AssumeRole on arn:aws:iam::1:role/a",
                          "answered 403 AccessDenied: not authorized to perform: sts:AssumeRole on arn:aws:iam::1:role/a (request id 7)" },
    { "session token",    "x", "tok=a-token/of+them== was it", ": tok=*** was it (request id 7)" },
    { "percent-encoded",  "x", "tok=a-token%2Fof%2Bthem%3D%3D&amp;b", ": tok=***&b (" },
    { "small per cents",  "x", "tok=a-token%2fof%2bthem%3d%3d.",      ": tok=***. (" },
    { "cut",              "x", "tok=a-token/of+t",          ": tok=*** (" },
    { "goes on",          "x", "a-token/of+themselves",     ": ***selves (" },
    { "twice",            "x", "a-token/of+them==a-token/of+them==,", ": ******, (" },
    { "little of it",     "x", "an a-token",                ": an a-token (" },
    { "the secret key",   "x", "with inner/secret",         ": with *** (" },
    { "signature",        "x", "auth=AWS4-HMAC-SHA256 Signature=" SIGNED ";", ": auth=AWS4-HMAC-SHA256 Signature=***; (" },
    { "in the code",      "a-token/of+them==", "m",         "answered 403 ***: m (" },
};
/* clang-format on */

static void test_secrets_that_come_back(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, make(CRED_ENV, (struct cred_env){ .access_key_id = STR("AKIA"),
                                                     .secret_key = STR("inner/secret"),
                                                     .session_token = STR("a-token/of+them==") }));
    for (size_t i = 0; i < ROWS(echoes); i++) {
        AUTO(buf) body = BUF_INIT(4096);
        buf_lit(&body, "<ErrorResponse><Error><Code>");
        buf_str(&body, str_from(echoes[i].code));
        buf_lit(&body, "</Code><Message>");
        buf_str(&body, str_from(echoes[i].message));
        buf_lit(&body, "</Message></Error><RequestId>7</RequestId></ErrorResponse>");
        CHECK_EQ(echoes[i].name, talk_start(&t), NEXT_CALL);
        CHECK_EQ(echoes[i].name, talk_http(&t, 403, buf_cstr(&body)), NEXT_FAIL);
        if (!holds(&t.why, echoes[i].says))
            fail_msg("%s: \"%.*s\"", echoes[i].name, (int)t.why.len, t.why.ptr);
    }
    talk_end(&t);
}

/* What is kept of a message is its first 255 bytes: here the token's beginning. */
static void test_a_secret_longer_than_what_is_kept(void **state)
{
    (void)state;
    char bytes[600];
    memset(bytes, 'T', sizeof(bytes));
    const struct str token = { bytes, sizeof(bytes) };
    AUTO(buf) body = BUF_INIT(1024);
    buf_lit(&body, "<Error><Message>tok=");
    buf_str(&body, token);
    buf_lit(&body, "</Message></Error>");
    struct talk t;
    talk_begin(&t, make(CRED_ENV, (struct cred_env){ KEYS, .session_token = token }));
    assert_int_equal(talk_start(&t), NEXT_CALL);
    assert_int_equal(talk_http(&t, 403, buf_cstr(&body)), NEXT_FAIL);
    assert_true(holds(&t.why, "answered 403: tok=***"));
    assert_false(holds(&t.why, "TT"));
    talk_end(&t);
}

static void test_absent_inside(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, make(CRED_ENV, (struct cred_env){ .imds_disabled = true }));
    assert_int_equal(talk_start(&t), NEXT_FAIL);
    assert_true(holds(&t.why, "AWS_ACCESS_KEY_ID"));
    talk_end(&t);
}

#define INNER_URL "http://169.254.170.2/c"
#define STS_URL   "https://sts.eu-west-1.amazonaws.com/"

static enum next start_at(struct talk *t, int64_t now_s)
{
    return talk_at(t, &(struct reply){ .kind = REPLY_NONE }, now_s);
}

/* The inner credentials last six hours from NOW_S. */
static void begin_on_container(struct talk *t)
{
    talk_begin(t, make(CRED_CONTAINER, (struct cred_env){ .relative_uri = STR("/c") }));
    assert_int_equal(talk_start(t), NEXT_CALL);
    CHECK_CALL("inner first", t, "GET", INNER_URL);
    assert_int_equal(talk_http(t, 200, GOOD_DOCUMENT), NEXT_CALL);
    CHECK_CALL("then STS", t, "POST", STS_URL);
    assert_true(holds(&t->call.headers, "X-Amz-Security-Token: the-token==\n"));
    assert_true(holds(&t->call.headers, "x-amz-security-token, Signature="));
    assert_int_equal(talk_http(t, 200, ANSWER), NEXT_DONE);
    CHECK_STR("key", t->creds->access_key_id, STR("ASIAROLE"));
}

static void test_inner_is_asked_by_its_own_rule(void **state)
{
    (void)state;
    struct talk t;
    begin_on_container(&t);
    assert_int_equal(start_at(&t, NOW_S + 3600), NEXT_CALL);
    CHECK_CALL("young", &t, "POST", STS_URL);
    assert_int_equal(start_at(&t, NOW_S + 3 * 3600), NEXT_CALL);
    CHECK_CALL("half of its life", &t, "GET", INNER_URL);
    talk_end(&t);
}

static void test_inner_outage(void **state)
{
    (void)state;
    const struct reply busy = { .kind = REPLY_HTTP, .http = 503, .body = STR("") };
    struct talk t;
    begin_on_container(&t);
    assert_int_equal(start_at(&t, GOOD_END_S - 60), NEXT_CALL);
    assert_int_equal(talk_at(&t, &busy, GOOD_END_S - 60), NEXT_CALL);
    CHECK_CALL("the held ones sign on", &t, "POST", STS_URL);
    assert_int_equal(start_at(&t, GOOD_END_S), NEXT_CALL);
    assert_int_equal(talk_at(&t, &busy, GOOD_END_S), NEXT_FAIL);
    assert_true(holds(&t.why, "169.254.170.2"));
    talk_end(&t);
}

/* clang-format off */
static const struct { const char *name, *answer; bool again; } blames[] = {
    { "expired",        REFUSAL("ExpiredToken"),          true },
    { "expired, newer", REFUSAL("ExpiredTokenException"), true },
    { "unknown key",    REFUSAL("InvalidClientTokenId"),  true },
    { "no trust",       REFUSAL("AccessDenied"),          false },
    { "throttled",      REFUSAL("Throttling"),            false },
    { "no code",        "",                               false },
};
/* clang-format on */

static void test_whose_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(blames); i++) {
        struct talk t;
        begin_on_container(&t);
        CHECK_EQ(blames[i].name, talk_start(&t), NEXT_CALL);
        CHECK_EQ(blames[i].name, talk_http(&t, 403, blames[i].answer), NEXT_FAIL);
        CHECK_EQ(blames[i].name, talk_start(&t), NEXT_CALL);
        CHECK_CALL(blames[i].name, &t, blames[i].again ? "GET" : "POST",
                   blames[i].again ? INNER_URL : STS_URL);
        talk_end(&t);
    }
}

static void test_dummies_assume_nothing(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, make(CRED_STATIC, (struct cred_env){ KEYS }));
    assert_int_equal(talk_start(&t), NEXT_DONE);
    assert_string_equal(t.creds->source, "static");
    talk_end(&t);
}

static bool assumed_or_not(void)
{
    char space[256];
    struct buf why = BUF_FIXED(space);
    const struct cred_env env = { KEYS, .role = role, .region = STR("eu-west-1") };
    struct cred_source *s = cred_source_new(CRED_ENV, &env, &why);
    if (!s)
        return oom_struck() && why.len == 0;
    const struct reply replies[] = { { .kind = REPLY_NONE },
                                     { .kind = REPLY_HTTP, .http = 200, .body = STR(ANSWER) } };
    struct call call = CALL_INIT;
    struct creds *c = NULL;
    enum next n = s->kind->next(s, &replies[0], NOW_S, &call, &c, &why);
    if (n == NEXT_CALL)
        n = s->kind->next(s, &replies[1], NOW_S, &call, &c, &why);
    const bool promised = c ? n == NEXT_DONE : n == NEXT_FAIL && oom_struck() && why.len > 0;
    creds_unref(c);
    call_release(&call);
    cred_source_free(s);
    return promised;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture_ours(assumed_or_not);
}

TEST_MAIN(cmocka_unit_test(test_starts), cmocka_unit_test(test_form),
          cmocka_unit_test(test_failures), cmocka_unit_test(test_secrets_that_come_back),
          cmocka_unit_test(test_a_secret_longer_than_what_is_kept),
          cmocka_unit_test(test_absent_inside),
          cmocka_unit_test(test_inner_is_asked_by_its_own_rule),
          cmocka_unit_test(test_inner_outage), cmocka_unit_test(test_whose_fault),
          cmocka_unit_test(test_dummies_assume_nothing), cmocka_unit_test(test_no_memory))
