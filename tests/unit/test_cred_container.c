/* The container endpoints: which URLs are asked, with which token, and what is made of answers. */
#include "cred_talk.h"

#include "oom.h"

static struct cred_source *make(const struct cred_env *env, struct buf *why)
{
    return cred_source_new(CRED_CONTAINER, env, why);
}

/* clang-format off */
static const struct {
    const char *name; struct str relative, full, token; const char *url; enum call_hosts hosts; const char *why;
} starts[] = {
    { "ECS",              STR_INIT("/v2/credentials/x?id=1"), STR_INIT(""), STR_INIT(""), "http://169.254.170.2/v2/credentials/x?id=1", CALL_HOSTS_CONTAINER, NULL },
    { "relative wins",    STR_INIT("/r"), STR_INIT("https://example.com/f"), STR_INIT(""), "http://169.254.170.2/r", CALL_HOSTS_CONTAINER, NULL },
    { "EKS",              STR_INIT(""), STR_INIT("http://169.254.170.23/v1/credentials"), STR_INIT("t"), "http://169.254.170.23/v1/credentials", CALL_HOSTS_CONTAINER, NULL },
    { "EKS IPv6",         STR_INIT(""), STR_INIT("http://[fd00:ec2::23]/v1/credentials"), STR_INIT("t"), "http://[fd00:ec2::23]/v1/credentials", CALL_HOSTS_CONTAINER, NULL },
    { "loopback",         STR_INIT(""), STR_INIT("http://127.0.0.1:8080/c"), STR_INIT(""), "http://127.0.0.1:8080/c", CALL_HOSTS_CONTAINER, NULL },
    { "a name",           STR_INIT(""), STR_INIT("http://localhost/c"), STR_INIT(""), "http://localhost/c", CALL_HOSTS_CONTAINER, NULL },
    { "https anywhere",   STR_INIT(""), STR_INIT("https://creds.example.com/c"), STR_INIT(""), "https://creds.example.com/c", CALL_HOSTS_METADATA, NULL },
    { "https address",    STR_INIT(""), STR_INIT("HTTPS://203.0.113.9/c"), STR_INIT(""), "HTTPS://203.0.113.9/c", CALL_HOSTS_METADATA, NULL },
    { "no slash",         STR_INIT("v2/credentials"), STR_INIT(""), STR_INIT(""), NULL, 0, "RELATIVE_URI does not start" },
    { "at sign trick",    STR_INIT("@203.0.113.9/"), STR_INIT(""), STR_INIT(""), NULL, 0, "RELATIVE_URI does not start" },
    { "blank in path",    STR_INIT("/a b"), STR_INIT(""), STR_INIT(""), NULL, 0, "RELATIVE_URI holds a blank" },
    { "public address",   STR_INIT(""), STR_INIT("http://203.0.113.9/c"), STR_INIT(""), NULL, 0, "FULL_URI points to an address" },
    { "IMDS address",     STR_INIT(""), STR_INIT("http://169.254.169.254/latest"), STR_INIT(""), NULL, 0, "FULL_URI points to an address" },
    { "in hexadecimal",   STR_INIT(""), STR_INIT("http://0xa9fea9fe/latest"), STR_INIT(""), NULL, 0, "FULL_URI points to an address" },
    { "mapped",           STR_INIT(""), STR_INIT("http://[::ffff:203.0.113.9]/"), STR_INIT(""), NULL, 0, "FULL_URI points to an address" },
    { "user trick",       STR_INIT(""), STR_INIT("http://127.0.0.1@203.0.113.9/"), STR_INIT(""), NULL, 0, "FULL_URI is not a URL" },
    { "file",             STR_INIT(""), STR_INIT("file:///etc/passwd"), STR_INIT(""), NULL, 0, "FULL_URI is not a URL" },
    { "ftp",              STR_INIT(""), STR_INIT("ftp://127.0.0.1/"), STR_INIT(""), NULL, 0, "FULL_URI is neither http" },
    { "no URL",           STR_INIT(""), STR_INIT("credentials"), STR_INIT(""), NULL, 0, "FULL_URI is not a URL" },
    { "CR LF in token",   STR_INIT("/c"), STR_INIT(""), STR_INIT("t\r\nX: y"), NULL, 0, "AUTHORIZATION_TOKEN holds" },
    { "LF in token",      STR_INIT("/c"), STR_INIT(""), STR_INIT("t\n"), NULL, 0, "AUTHORIZATION_TOKEN holds" },
    { "CR in token",      STR_INIT("/c"), STR_INIT(""), STR_INIT("\rt"), NULL, 0, "AUTHORIZATION_TOKEN holds" },
};
/* clang-format on */

static void test_starts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(starts); i++) {
        const struct cred_env env = { .relative_uri = starts[i].relative,
                                      .full_uri = starts[i].full,
                                      .auth_token = starts[i].token };
        AUTO(buf) why = BUF_INIT(512);
        struct cred_source *s = make(&env, &why);
        CHECK_EQ(starts[i].name, s != NULL, starts[i].url != NULL);
        if (!s) {
            if (!holds(&why, starts[i].why))
                fail_msg("%s: \"%.*s\"", starts[i].name, (int)why.len, why.ptr);
            continue;
        }
        struct talk t;
        talk_begin(&t, s);
        CHECK_EQ(starts[i].name, talk_start(&t), NEXT_CALL);
        CHECK_CALL(starts[i].name, &t, "GET", starts[i].url);
        CHECK_EQ(starts[i].name, t.call.hosts, starts[i].hosts);
        CHECK_EQ(starts[i].name, holds(&t.call.headers, "Authorization: t\n"),
                 starts[i].token.len > 0);
        talk_end(&t);
    }
}

static void test_absent(void **state)
{
    (void)state;
    AUTO(buf) why = BUF_INIT(512);
    struct talk t;
    talk_begin(&t, make(&(struct cred_env){ .auth_token = STR("t") }, &why));
    assert_int_equal(talk_start(&t), NEXT_ABSENT);
    talk_end(&t);
}

/* clang-format off */
static const struct { const char *name; struct reply reply; enum next next; const char *says; } answers[] = {
    { "good",          { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT(GOOD_DOCUMENT) }, NEXT_DONE, NULL },
    { "not 200",       { .kind = REPLY_HTTP, .http = 201, .body = STR_INIT(GOOD_DOCUMENT) }, NEXT_FAIL, "answered 201" },
    { "redirect",      { .kind = REPLY_HTTP, .http = 302, .body = STR_INIT("") },            NEXT_FAIL, "answered 302" },
    { "401",           { .kind = REPLY_HTTP, .http = 401, .body = STR_INIT("") },            NEXT_FAIL, "token was not accepted" },
    { "403",           { .kind = REPLY_HTTP, .http = 403, .body = STR_INIT("") },            NEXT_FAIL, "token was not accepted" },
    { "503",           { .kind = REPLY_HTTP, .http = 503, .body = STR_INIT("") },            NEXT_FAIL, "answered 503" },
    { "no JSON",       { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("ok") },          NEXT_FAIL, "no JSON" },
    { "timeout",       { .kind = REPLY_TIMEOUT, .why = STR_INIT("2 s") },                    NEXT_FAIL, "did not answer: 2 s" },
    { "unreachable",   { .kind = REPLY_UNREACHABLE, .why = STR_INIT("refused") },            NEXT_FAIL, "cannot be reached: refused" },
    { "forbidden",     { .kind = REPLY_FORBIDDEN, .why = STR_INIT("not allowed") },          NEXT_FAIL, "may not be asked" },
    { "too large",     { .kind = REPLY_TOO_LARGE, .why = STR_INIT("64 KiB") },               NEXT_FAIL, "answered too much" },
};
/* clang-format on */

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(answers); i++) {
        AUTO(buf) why = BUF_INIT(512);
        struct talk t;
        talk_begin(&t, make(&(struct cred_env){ .relative_uri = STR("/c") }, &why));
        CHECK_EQ(answers[i].name, talk_start(&t), NEXT_CALL);
        CHECK_EQ(answers[i].name, talk(&t, &answers[i].reply), answers[i].next);
        if (answers[i].says && !holds(&t.why, answers[i].says))
            fail_msg("%s: \"%.*s\"", answers[i].name, (int)t.why.len, t.why.ptr);
        if (t.creds)
            assert_string_equal(t.creds->source, "container");
        /* the next attempt begins anew */
        CHECK_EQ(answers[i].name, talk_start(&t), NEXT_CALL);
        talk_end(&t);
    }
}

/* clang-format off */
static const struct { const char *name; struct reply reply; const char *header; const char *says; } files[] = {
    { "plain",        { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("abc") },       "Authorization: abc\n", NULL },
    { "newline",      { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("abc\n") },     "Authorization: abc\n", NULL },
    { "CR LF",        { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a b\r\n") },   "Authorization: a b\n", NULL },
    { "empty",        { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("") },          NULL, "is empty" },
    { "only newline", { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("\n") },        NULL, "is empty" },
    { "two lines",    { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a\nX: y\n") }, NULL, "line break" },
    { "inner CR",     { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a\rb") },      NULL, "line break" },
    { "NUL",          { .kind = REPLY_HTTP, .http = 200, .body = STR_INIT("a\0b") },      NULL, "control" },
    { "missing",      { .kind = REPLY_HTTP, .http = 404, .body = STR_INIT("") },          NULL, "no such file" },
    { "unreadable",   { .kind = REPLY_UNREACHABLE, .why = STR_INIT("Permission denied") }, NULL, "Permission denied" },
    { "too large",    { .kind = REPLY_TOO_LARGE, .why = STR_INIT("larger") },             NULL, "larger" },
    { "slow",         { .kind = REPLY_TIMEOUT, .why = STR_INIT("no answer") },            NULL, "no answer" },
};
/* clang-format on */

static void test_token_file(void **state)
{
    (void)state;
    const struct cred_env env = { .full_uri = STR("http://169.254.170.23/v1/credentials"),
                                  .auth_token = STR("ignored\r\n"),
                                  .auth_token_file = STR("/var/run/token") };
    AUTO(buf) why = BUF_INIT(512);
    struct talk t;
    talk_begin(&t, make(&env, &why));
    for (size_t i = 0; i < ROWS(files); i++) {
        CHECK_EQ(files[i].name, talk_start(&t), NEXT_CALL); /* read anew each time */
        CHECK_CALL(files[i].name, &t, "FILE", "/var/run/token");
        const enum next n = talk(&t, &files[i].reply);
        CHECK_EQ(files[i].name, n, files[i].header ? NEXT_CALL : NEXT_FAIL);
        if (n == NEXT_CALL) {
            CHECK_CALL(files[i].name, &t, "GET", "http://169.254.170.23/v1/credentials");
            CHECK(files[i].name, holds(&t.call.headers, files[i].header));
            CHECK(files[i].name, !holds(&t.call.headers, "ignored"));
            CHECK_EQ(files[i].name, talk_http(&t, 200, GOOD_DOCUMENT), NEXT_DONE);
        } else if (!holds(&t.why, files[i].says)) {
            fail_msg("%s: \"%.*s\"", files[i].name, (int)t.why.len, t.why.ptr);
        }
    }
    talk_end(&t);
}

static void test_other_endpoint(void **state)
{
    (void)state;
    const struct cred_env env = { .relative_uri = STR("/c"),
                                  .ecs_endpoint = STR("http://127.0.0.1:4567") };
    AUTO(buf) why = BUF_INIT(512);
    struct talk t;
    talk_begin(&t, make(&env, &why));
    assert_int_equal(talk_start(&t), NEXT_CALL);
    CHECK_CALL("stand-in", &t, "GET", "http://127.0.0.1:4567/c");
    talk_end(&t);
}

static bool made_or_not(void)
{
    const struct cred_env env = { .relative_uri = STR("/c"), .auth_token = STR("t") };
    char space[128];
    struct buf why = BUF_FIXED(space);
    struct cred_source *s = make(&env, &why);
    const bool promised = s || (oom_struck() && why.len == 0);
    cred_source_free(s);
    return promised;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture_ours(made_or_not);
}

TEST_MAIN(cmocka_unit_test(test_starts), cmocka_unit_test(test_absent),
          cmocka_unit_test(test_answers), cmocka_unit_test(test_token_file),
          cmocka_unit_test(test_other_endpoint), cmocka_unit_test(test_no_memory))
