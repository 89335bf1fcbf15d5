/* IMDSv2: the conversation, its faults, and what is said about them. */
#include "cred_talk.h"

#include "oom.h"

#define BASE  "http://169.254.169.254"
#define ROLES "/latest/meta-data/iam/security-credentials/"
#define TOKEN "AQAEAH-token=="

static void begin(struct talk *t)
{
    AUTO(buf) why = BUF_INIT(512);
    talk_begin(t, cred_source_new(CRED_IMDS, &(struct cred_env){ 0 }, &why));
}

static void check_token_call(const char *name, const struct talk *t)
{
    CHECK_CALL(name, t, "PUT", BASE "/latest/api/token");
    CHECK(name, holds(&t->call.headers, "X-aws-ec2-metadata-token-ttl-seconds: 21600\n"));
    CHECK_EQ(name, t->call.hosts, CALL_HOSTS_METADATA);
    CHECK_EQ(name, t->call.connect_ms, 1000);
    CHECK_EQ(name, t->call.total_ms, 2000);
    CHECK_EQ(name, t->call.max_bytes, 65536);
}

static void test_conversation(void **state)
{
    (void)state;
    struct talk t;
    begin(&t);
    assert_int_equal(talk_start(&t), NEXT_CALL);
    check_token_call("first", &t);

    assert_int_equal(talk_http(&t, 200, TOKEN), NEXT_CALL);
    CHECK_CALL("role", &t, "GET", BASE ROLES);
    assert_true(holds(&t.call.headers, "X-aws-ec2-metadata-token: " TOKEN "\n"));

    assert_int_equal(talk_http(&t, 200, "upload-role"), NEXT_CALL);
    CHECK_CALL("document", &t, "GET", BASE ROLES "upload-role");
    assert_true(holds(&t.call.headers, "X-aws-ec2-metadata-token: " TOKEN "\n"));

    assert_int_equal(talk_http(&t, 200, GOOD_DOCUMENT), NEXT_DONE);
    CHECK_TEXT("access key", t.creds->access_key_id, "ASIAEXAMPLE");
    assert_int_equal(t.creds->expires_at_s, GOOD_END_S);
    assert_string_equal(t.creds->source, "imds");

    /* the token is good for six hours: the next attempt begins with the role */
    assert_int_equal(talk_start(&t), NEXT_CALL);
    CHECK_CALL("second", &t, "GET", BASE ROLES);
    const struct reply none = { .kind = REPLY_NONE };
    assert_int_equal(talk_at(&t, &none, NOW_S + 21530), NEXT_CALL);
    CHECK_CALL("just before its end", &t, "GET", BASE ROLES);
    assert_int_equal(talk_at(&t, &none, NOW_S + 21541), NEXT_CALL);
    check_token_call("after its end", &t);
    talk_end(&t);
}

/* How far a conversation goes before the reply in question. */
enum { AT_TOKEN, AT_ROLE, AT_DOCUMENT };

static void go_to(struct talk *t, int at)
{
    assert_int_equal(talk_start(t), NEXT_CALL);
    if (at >= AT_ROLE)
        assert_int_equal(talk_http(t, 200, TOKEN), NEXT_CALL);
    if (at >= AT_DOCUMENT)
        assert_int_equal(talk_http(t, 200, "upload-role"), NEXT_CALL);
}

/* clang-format off */
static const struct { const char *name; int at; struct reply reply; const char *says; } faults[] = {
    { "token timeout",      AT_TOKEN,    { .kind = REPLY_TIMEOUT, .why = STR_INIT("2000 ms") }, "hop limit" },
    { "token unreachable",  AT_TOKEN,    { .kind = REPLY_UNREACHABLE, .why = STR_INIT("refused") }, "Outside EC2" },
    { "token 400",          AT_TOKEN,    { .kind = REPLY_HTTP, .http = 400 }, "answered 400: it did not understand" },
    { "token 401",          AT_TOKEN,    { .kind = REPLY_HTTP, .http = 401 }, "answered 401" },
    { "token 403",          AT_TOKEN,    { .kind = REPLY_HTTP, .http = 403 }, "switched off or forbids" },
    { "token 404",          AT_TOKEN,    { .kind = REPLY_HTTP, .http = 404 }, "answered 404" },
    { "token 405",          AT_TOKEN,    { .kind = REPLY_HTTP, .http = 405 }, "answered 405" },
    { "token 503",          AT_TOKEN,    { .kind = REPLY_HTTP, .http = 503 }, "overloaded" },
    { "token redirect",     AT_TOKEN,    { .kind = REPLY_HTTP, .http = 301 }, "answered 301" },
    { "token empty",        AT_TOKEN,    { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("") }, "no token" },
    { "token with LF",      AT_TOKEN,    { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a\nX: y") }, "no token" },
    { "token HTML",         AT_TOKEN,    { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("<html> </html>") }, "no token" },
    { "token too large",    AT_TOKEN,    { .kind = REPLY_TOO_LARGE, .why = STR_INIT("large") }, "answered too much" },
    { "role timeout",       AT_ROLE,     { .kind = REPLY_TIMEOUT, .why = STR_INIT("2000 ms") }, "(name of the role) did not answer: 2000 ms" },
    { "no role",            AT_ROLE,     { .kind = REPLY_HTTP, .http = 404 }, "no role is attached" },
    { "role 403",           AT_ROLE,     { .kind = REPLY_HTTP, .http = 403 }, "switched off or forbids" },
    { "role 503",           AT_ROLE,     { .kind = REPLY_HTTP, .http = 503 }, "overloaded" },
    { "role empty",         AT_ROLE,     { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("") }, "no role name" },
    { "role blank line",    AT_ROLE,     { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("\nrole") }, "no role name" },
    { "role with slash",    AT_ROLE,     { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("../../user-data") }, "no role name" },
    { "role with query",    AT_ROLE,     { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a?b") }, "no role name" },
    { "role with percent",  AT_ROLE,     { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("%2e%2e") }, "no role name" },
    { "role HTML",          AT_ROLE,     { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("<html>") }, "no role name" },
    { "document timeout",   AT_DOCUMENT, { .kind = REPLY_TIMEOUT, .why = STR_INIT("2000 ms") }, "(credentials of the role) did not answer" },
    { "document 404",       AT_DOCUMENT, { .kind = REPLY_HTTP, .http = 404 }, "no role is attached" },
    { "document 503",       AT_DOCUMENT, { .kind = REPLY_HTTP, .http = 503 }, "overloaded" },
    { "document no JSON",   AT_DOCUMENT, { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("{") }, "no JSON" },
    { "document Code",      AT_DOCUMENT, { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("{\"Code\":\"Failed\"}") }, "Code \"Failed\"" },
};
/* clang-format on */

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(faults); i++) {
        struct talk t;
        begin(&t);
        go_to(&t, faults[i].at);
        CHECK_EQ(faults[i].name, talk(&t, &faults[i].reply), NEXT_FAIL);
        if (!holds(&t.why, faults[i].says) || !holds(&t.why, BASE) || holds(&t.why, TOKEN))
            fail_msg("%s: \"%.*s\"", faults[i].name, (int)t.why.len, t.why.ptr);
        /* and the next attempt works */
        enum next n = talk_start(&t);
        if (faults[i].at == AT_TOKEN) {
            check_token_call(faults[i].name, &t);
            n = talk_http(&t, 200, TOKEN);
        }
        CHECK_EQ(faults[i].name, n, NEXT_CALL);
        CHECK_EQ(faults[i].name, talk_http(&t, 200, "upload-role"), NEXT_CALL);
        CHECK_EQ(faults[i].name, talk_http(&t, 200, GOOD_DOCUMENT), NEXT_DONE);
        talk_end(&t);
    }
}

static void test_role_names(void **state)
{
    (void)state;
    static const struct {
        const char *body, *role;
    } rows[] = {
        { "role", "role" },
        { "role\n", "role" },
        { "role\r\n", "role" },
        { " role \nsecond\n", "role" },
        { "a_b+c=d,e.f@g-h1", "a_b+c=d,e.f@g-h1" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct talk t;
        begin(&t);
        go_to(&t, AT_ROLE);
        CHECK_EQ(rows[i].body, talk_http(&t, 200, rows[i].body), NEXT_CALL);
        char url[256] = BASE ROLES;
        strcat(url, rows[i].role);
        CHECK_CALL(rows[i].body, &t, "GET", url);
        talk_end(&t);
    }
}

/* A 401 means that the token ended: one new token in an attempt, not more. */
static void test_401(void **state)
{
    (void)state;
    for (int at = AT_ROLE; at <= AT_DOCUMENT; at++) {
        const char *name = at == AT_ROLE ? "role" : "document";
        struct talk t;
        begin(&t);
        go_to(&t, at);
        CHECK_EQ(name, talk_http(&t, 401, ""), NEXT_CALL);
        check_token_call(name, &t);
        CHECK_EQ(name, talk_http(&t, 200, "second=="), NEXT_CALL);
        CHECK_CALL(name, &t, "GET", BASE ROLES);
        CHECK(name, holds(&t.call.headers, "X-aws-ec2-metadata-token: second==\n"));
        CHECK_EQ(name, talk_http(&t, 200, "upload-role"), NEXT_CALL);
        CHECK_EQ(name, talk_http(&t, 200, GOOD_DOCUMENT), NEXT_DONE);

        /* the next attempt may do it again, but twice in one is a failure */
        CHECK_EQ(name, talk_start(&t), NEXT_CALL);
        CHECK_EQ(name, talk_http(&t, 401, ""), NEXT_CALL);
        check_token_call(name, &t);
        CHECK_EQ(name, talk_http(&t, 200, "third=="), NEXT_CALL);
        CHECK_EQ(name, talk_http(&t, 401, ""), NEXT_FAIL);
        CHECK(name, holds(&t.why, "refuses the session token"));
        CHECK_EQ(name, talk_start(&t), NEXT_CALL);
        check_token_call(name, &t); /* a refused token is not used again */

        /* nor is it when there is no other one */
        CHECK_EQ(name, talk_http(&t, 200, "fourth=="), NEXT_CALL);
        CHECK_EQ(name, talk_http(&t, 401, ""), NEXT_CALL);
        CHECK_EQ(name, talk_http(&t, 503, ""), NEXT_FAIL);
        CHECK_EQ(name, talk_start(&t), NEXT_CALL);
        check_token_call(name, &t);
        talk_end(&t);
    }
}

/* clang-format off */
static const struct { const char *name; struct str endpoint, mode; const char *base; const char *why; } places[] = {
    { "default",        STR_INIT(""), STR_INIT(""),                              "http://169.254.169.254", NULL },
    { "IPv4",           STR_INIT(""), STR_INIT("IPv4"),                          "http://169.254.169.254", NULL },
    { "IPv6",           STR_INIT(""), STR_INIT("IPv6"),                          "http://[fd00:ec2::254]", NULL },
    { "ipv6",           STR_INIT(""), STR_INIT("ipv6"),                          "http://[fd00:ec2::254]", NULL },
    { "endpoint",       STR_INIT("http://127.0.0.1:1338"), STR_INIT(""),         "http://127.0.0.1:1338",  NULL },
    { "slashes go",     STR_INIT("http://127.0.0.1:1338//"), STR_INIT(""),       "http://127.0.0.1:1338",  NULL },
    { "beats the mode", STR_INIT("http://127.0.0.1:1338"), STR_INIT("IPv6"),     "http://127.0.0.1:1338",  NULL },
    { "with a path",    STR_INIT("http://127.0.0.1/proxy/"), STR_INIT(""),       "http://127.0.0.1/proxy", NULL },
    { "a bad mode",     STR_INIT(""), STR_INIT("IPv5"),                          NULL, "_ENDPOINT_MODE" },
    { "no scheme",      STR_INIT("127.0.0.1:1338"), STR_INIT(""),                NULL, "SERVICE_ENDPOINT is" },
    { "file",           STR_INIT("file:///etc"), STR_INIT(""),                   NULL, "SERVICE_ENDPOINT is" },
    { "user",           STR_INIT("http://a@127.0.0.1"), STR_INIT(""),            NULL, "SERVICE_ENDPOINT is" },
    { "query",          STR_INIT("http://127.0.0.1/?a"), STR_INIT(""),           NULL, "has a query" },
    { "fragment",       STR_INIT("http://127.0.0.1/#a"), STR_INIT(""),           NULL, "has a query" },
    { "line break",     STR_INIT("http://127.0.0.1\r\n"), STR_INIT(""),          NULL, "holds a blank" },
};
/* clang-format on */

static void test_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(places); i++) {
        const struct cred_env env = { .imds_endpoint = places[i].endpoint,
                                      .imds_endpoint_mode = places[i].mode };
        AUTO(buf) why = BUF_INIT(512);
        struct cred_source *s = cred_source_new(CRED_IMDS, &env, &why);
        CHECK_EQ(places[i].name, s != NULL, places[i].base != NULL);
        if (!s) {
            CHECK(places[i].name, holds(&why, places[i].why));
            continue;
        }
        struct talk t;
        talk_begin(&t, s);
        CHECK_EQ(places[i].name, talk_start(&t), NEXT_CALL);
        char url[256];
        strcpy(url, places[i].base);
        strcat(url, "/latest/api/token");
        CHECK_CALL(places[i].name, &t, "PUT", url);
        talk_end(&t);
    }
}

/* Every allocation of a conversation refused once: it fails or it works, and it says why. */
static bool talks_or_not(void)
{
    static const struct reply steps[] = {
        { .kind = REPLY_NONE },
        { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT(TOKEN) },
        { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("upload-role") },
        { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT(GOOD_DOCUMENT) },
    };
    char space[1024];
    struct buf why = BUF_FIXED(space);
    struct cred_source *s = cred_source_new(CRED_IMDS, &(struct cred_env){ 0 }, &why);
    bool promised = s || oom_struck();
    struct creds *c = NULL;
    enum next n = NEXT_CALL;
    struct call call = CALL_INIT;
    for (size_t i = 0; s && promised && n == NEXT_CALL && i < ROWS(steps); i++) {
        call_reset(&call);
        n = s->kind->next(s, &steps[i], NOW_S, &call, &c, &why);
        if (n == NEXT_CALL && (buf_check(&call.url) != ST_OK || buf_check(&call.headers) != ST_OK))
            n = NEXT_FAIL;
    }
    if (s)
        promised = n == NEXT_DONE ? c && c->session_token.len == 11 : !c && oom_struck();
    creds_unref(c);
    call_release(&call);
    cred_source_free(s);
    return promised;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture_ours(talks_or_not);
}

TEST_MAIN(cmocka_unit_test(test_conversation), cmocka_unit_test(test_faults),
          cmocka_unit_test(test_role_names), cmocka_unit_test(test_401),
          cmocka_unit_test(test_places), cmocka_unit_test(test_no_memory))
