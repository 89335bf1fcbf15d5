/* The XML of STS: credentials, refusals, and everything that is neither. */
#include "cred_talk.h"

#include "oom.h"

#include "presignd/sts.h"

#define ANSWER(inner)                 "<R xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><S>" inner "</S></R>"
#define WITH(key, secret, token, end) ANSWER("<Credentials>" key secret token end "</Credentials>")
#define K                             "<AccessKeyId>ASIA</AccessKeyId>"
#define S                             "<SecretAccessKey>sec/+</SecretAccessKey>"
#define T                             "<SessionToken>tok==</SessionToken>"
#define E                             "<Expiration>2026-11-22T04:26:40Z</Expiration>"
#define GOOD                          WITH(K, S, T, E)
#define TEN(x)                        x x x x x x x x x x

/* clang-format off */
static const struct { const char *name; struct str text; const char *why; } cases[] = {
    { "good",                 STR_INIT(GOOD),                                          NULL },
    { "declared",             STR_INIT("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" GOOD "\n"), NULL },
    { "another order",        STR_INIT(WITH(E, T, S, K)),                              NULL },
    { "more beside",          STR_INIT(ANSWER("<A><Arn>x</Arn></A><Credentials>" K S T E "<New/></Credentials>")), NULL },
    { "prefixed",             STR_INIT("<s:R xmlns:s=\"u\"><s:S><s:Credentials>" K S T E "</s:Credentials></s:S></s:R>"), NULL },
    { "escaped",              STR_INIT(WITH(K, "<SecretAccessKey>sec/&#43;</SecretAccessKey>", T, E)), NULL },
    { "CDATA",                STR_INIT(WITH(K, S, "<SessionToken><![CDATA[tok==]]></SessionToken>", E)), NULL },
    { "milliseconds",         STR_INIT(WITH(K, S, T, "<Expiration>2026-11-22T04:26:40.123Z</Expiration>")), NULL },
    { "empty",                STR_INIT(""),                                            "no XML" },
    { "NULL",                 { NULL, 0 },                                             "no XML" },
    { "JSON",                 STR_INIT("{\"Error\":1}"),                               "no XML" },
    { "cut",                  STR_INIT("<R><S><Credentials><AccessKeyId>AS"),          "no XML" },
    { "cut after all",        STR_INIT("<R><S><Credentials>" K S T E),                 "no XML" },
    { "two documents",        STR_INIT(GOOD GOOD),                                     "no XML" },
    { "crossed",              STR_INIT("<R><S></R></S>"),                              "no XML" },
    { "NUL",                  STR_INIT("<R>\0</R>"),                                   "no XML" },
    { "NUL by number",        STR_INIT(WITH(K, S, "<SessionToken>a&#0;b</SessionToken>", E)), "no XML" },
    { "bad UTF-8",            STR_INIT("<R>\xff</R>"),                                 "no XML" },
    { "unknown entity",       STR_INIT("<R>&b;</R>"),                                  "no XML" },
    { "document type",        STR_INIT("<!DOCTYPE R>" GOOD),                           "document type" },
    { "entity",               STR_INIT("<!DOCTYPE R [<!ENTITY a \"x\">]><R>&a;</R>"),  "document type" },
    { "entity of entities",   STR_INIT("<!DOCTYPE R [<!ENTITY a \"" TEN("x") "\"><!ENTITY b \"" TEN("&a;") "\"><!ENTITY c \"" TEN("&b;") "\">]><R>&c;</R>"), "document type" },
    { "external",             STR_INIT("<!DOCTYPE R SYSTEM \"file:///etc/passwd\"><R/>"), "document type" },
    { "deep",                 STR_INIT("<a><a><a><a><a><a><a><a><a><a><a><a><a>"),     "nested too deeply" },
    { "long name",            STR_INIT("<a" TEN(TEN("aaa")) "/>"),                     "nested too deeply" },
    { "no credentials",       STR_INIT(ANSWER("")),                                    "no AccessKeyId" },
    { "empty key",            STR_INIT(WITH("<AccessKeyId/>", S, T, E)),               "no AccessKeyId" },
    { "no secret",            STR_INIT(WITH(K, "", T, E)),                             "no SecretAccessKey" },
    { "no token",             STR_INIT(WITH(K, S, "", E)),                             "no SessionToken" },
    { "no end",               STR_INIT(WITH(K, S, T, "")),                             "no Expiration" },
    { "other place",          STR_INIT("<Credentials>" K S T E "</Credentials>"),      "no AccessKeyId" },
    { "key twice",            STR_INIT(WITH(K K, S, T, E)),                            "says the same thing twice" },
    { "all twice",            STR_INIT(ANSWER("<Credentials>" K S T E "</Credentials><Credentials>" K S T E "</Credentials>")), "says the same thing twice" },
    { "element in a text",    STR_INIT(WITH("<AccessKeyId>AS<b/>IA</AccessKeyId>", S, T, E)), "elements where text belongs" },
    { "blank in the key",     STR_INIT(WITH("<AccessKeyId> ASIA</AccessKeyId>", S, T, E)), "an unusable AccessKeyId" },
    { "slash in the key",     STR_INIT(WITH("<AccessKeyId>AS/IA</AccessKeyId>", S, T, E)), "an unusable AccessKeyId" },
    { "line feed in token",   STR_INIT(WITH(K, S, "<SessionToken>a\nb</SessionToken>", E)), "an unusable SessionToken" },
    { "not ASCII",            STR_INIT(WITH(K, "<SecretAccessKey>s\xc3\xa4</SecretAccessKey>", T, E)), "an unusable SecretAccessKey" },
    { "end is no time",       STR_INIT(WITH(K, S, T, "<Expiration>tomorrow</Expiration>")), "no RFC 3339 time" },
    { "end without zone",     STR_INIT(WITH(K, S, T, "<Expiration>2026-11-22T04:26:40</Expiration>")), "no RFC 3339 time" },
    { "ended long ago",       STR_INIT(WITH(K, S, T, "<Expiration>2020-01-01T00:00:00Z</Expiration>")), "expired at arrival" },
    { "ends now",             STR_INIT(WITH(K, S, T, "<Expiration>2026-11-21T22:26:40Z</Expiration>")), "expired at arrival" },
};
/* clang-format on */

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        AUTO(buf) why = BUF_INIT(1024);
        struct creds *c = NULL;
        const enum status st = sts_creds_read(cases[i].text, "sts", NOW_S, &c, &why);
        CHECK_EQ(cases[i].name, st, cases[i].why ? ST_INVALID : ST_OK);
        CHECK_EQ(cases[i].name, c != NULL, !cases[i].why);
        if (cases[i].why && !holds(&why, cases[i].why))
            fail_msg("%s: \"%.*s\"", cases[i].name, (int)why.len, why.ptr);
        if (c) {
            CHECK(cases[i].name, str_equal(c->access_key_id, STR("ASIA")));
            CHECK(cases[i].name, str_equal(c->secret_key, STR("sec/+")));
            CHECK(cases[i].name, str_equal(c->session_token, STR("tok==")));
            CHECK_EQ(cases[i].name, c->expires_at_s, GOOD_END_S);
            CHECK_EQ(cases[i].name, why.len, 0);
        }
        creds_unref(c);
    }
}

/* clang-format off */
static const struct { const char *name, *text, *code, *message, *request_id; } faults[] = {
    { "AWS",        "<ErrorResponse xmlns=\"u\"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error><RequestId>r-1</RequestId></ErrorResponse>", "AccessDenied", "no", "r-1" },
    { "a store's",  "<Error><Code>NoSuchEntity</Code><RequestId>tx0</RequestId><HostId>h</HostId></Error>", "NoSuchEntity", "", "tx0" },
    { "controls",   "<Error><Code>a&#10;b</Code><Message>\xc3\xa4 \x7f</Message></Error>",      "a?b", "?? ?", "" },
    { "cut",        "<Error><Code>Throttling</Code><Mess",                                       "Throttling", "", "" },
    { "twice",      "<Error><Code>One</Code><Code>Two</Code></Error>",                           "One", "", "" },
    { "HTML",       "<html><body>busy<br></body></html>",                                        "", "", "" },
    { "document type", "<!DOCTYPE a><Error><Code>x</Code></Error>",                              "", "", "" },
    { "empty",      "",                                                                          "", "", "" },
    { "long",       "<Error><Code>" TEN("0123456789") "</Code></Error>",
                    "012345678901234567890123456789012345678901234567890123456789012", "", "" },
};
/* clang-format on */

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(faults); i++) {
        struct sts_fault f;
        sts_fault_read(str_from(faults[i].text), &f);
        CHECK(faults[i].name, str_equal(str_from(f.code), str_from(faults[i].code)));
        CHECK(faults[i].name, str_equal(str_from(f.message), str_from(faults[i].message)));
        CHECK(faults[i].name, str_equal(str_from(f.request_id), str_from(faults[i].request_id)));
    }
}

static void test_long_token(void **state)
{
    (void)state;
    AUTO(buf) text = BUF_INIT(65536);
    AUTO(buf) why = BUF_INIT(1024);
    for (size_t extra = 0; extra <= 1; extra++) {
        struct creds *c = NULL;
        buf_reset(&text);
        buf_lit(&text, "<R><S><Credentials>" K S E "<SessionToken>");
        for (size_t i = 0; i < CREDS_TEXT_MAX + extra; i++)
            buf_char(&text, 'x');
        buf_lit(&text, "</SessionToken></Credentials></S></R>");
        const enum status st = sts_creds_read(buf_view(&text), "sts", NOW_S, &c, &why);
        assert_int_equal(st, extra ? ST_INVALID : ST_OK);
        assert_true(!extra || holds(&why, "an unusable SessionToken"));
        creds_unref(c);
    }
}

static bool read_or_not(void)
{
    char space[256];
    struct buf why = BUF_FIXED(space);
    struct creds *c = NULL;
    const enum status st = sts_creds_read(STR(GOOD), "sts", NOW_S, &c, &why);
    const bool promised = (st == ST_OK && c) || (st == ST_NO_MEMORY && !c && oom_struck());
    creds_unref(c);
    return promised;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture_ours(read_or_not);
}

TEST_MAIN(cmocka_unit_test(test_cases), cmocka_unit_test(test_faults),
          cmocka_unit_test(test_long_token), cmocka_unit_test(test_no_memory))
