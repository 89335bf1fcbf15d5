#include "test.h"

#include "presignd/cors.h"

/* clang-format off */
#define LABEL "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd."
static const struct { const char *name; struct str in; bool want; } patterns[] = {
    { "https",               STR_INIT("https://app.example.com"),        true  },
    { "http with port",      STR_INIT("http://localhost:3000"),          true  },
    { "wildcard",            STR_INIT("https://*.example.com"),          true  },
    { "wildcard with port",  STR_INIT("https://*.example.com:8443"),     true  },
    { "any",                 STR_INIT("*"),                              true  },
    { "IPv4",                STR_INIT("http://127.0.0.1:8080"),          true  },
    { "IPv6",                STR_INIT("http://[::1]:8080"),              true  },
    { "https on port 80",    STR_INIT("https://a:80"),                   true  },
    { "empty",               STR_INIT(""),                               false },
    { "null",                STR_INIT("null"),                           false },
    { "no scheme",           STR_INIT("app.example.com"),                false },
    { "other scheme",        STR_INIT("ftp://app.example.com"),          false },
    { "scheme only",         STR_INIT("https://"),                       false },
    { "slash at the end",    STR_INIT("https://app.example.com/"),       false },
    { "path",                STR_INIT("https://app.example.com/a"),      false },
    { "query",               STR_INIT("https://app.example.com?a"),      false },
    { "user",                STR_INIT("https://u@app.example.com"),      false },
    { "upper case",          STR_INIT("https://App.example.com"),        false },
    { "upper-case scheme",   STR_INIT("HTTPS://app.example.com"),        false },
    { "default port",        STR_INIT("https://app.example.com:443"),    false },
    { "default port http",   STR_INIT("http://app.example.com:80"),      false },
    { "port too large",      STR_INIT("https://a:65536"),                false },
    { "port with zero",      STR_INIT("https://a:08443"),                false },
    { "port zero",           STR_INIT("https://a:0"),                    false },
    { "port empty",          STR_INIT("https://a:"),                     false },
    { "empty label",         STR_INIT("https://a..b"),                   false },
    { "dot at the end",      STR_INIT("https://a."),                     false },
    { "star inside",         STR_INIT("https://a.*.com"),                false },
    { "star in a label",     STR_INIT("https://a*.example.com"),         false },
    { "two stars",           STR_INIT("https://*.*.com"),                false },
    { "star alone",          STR_INIT("https://*"),                      false },
    { "star for all",        STR_INIT("https://*."),                     false },
    { "star for scheme",     STR_INIT("*://example.com"),                false },
    { "blank",               STR_INIT("https://a b"),                    false },
    { "newline",             STR_INIT("https://a\nb"),                   false },
    { "UTF-8",               STR_INIT("https://m\xc3\xbcnchen.example"), false },
    { "longer than names are", STR_INIT("https://" LABEL LABEL LABEL LABEL "example.com"), false },
};

static const struct str origins[] = {
    STR_INIT("https://app.example.com"), STR_INIT("https://*.preview.example.com"),
    STR_INIT("https://*.p.example.com:8443"), STR_INIT("http://localhost:3000"),
};

static const struct { const char *name; struct str in; bool want; } allowed[] = {
    { "exact",                 STR_INIT("https://app.example.com"),                  true  },
    { "port",                  STR_INIT("http://localhost:3000"),                    true  },
    { "one label",             STR_INIT("https://a.preview.example.com"),            true  },
    { "two labels",            STR_INIT("https://a.b.preview.example.com"),          true  },
    { "wildcard with port",    STR_INIT("https://a.p.example.com:8443"),             true  },
    { "none sent",             STR_INIT(""),                                         false },
    { "null",                  STR_INIT("null"),                                     false },
    { "other scheme",          STR_INIT("http://app.example.com"),                   false },
    { "other port",            STR_INIT("https://app.example.com:8443"),             false },
    { "port missing",          STR_INIT("http://localhost"),                         false },
    { "port as prefix",        STR_INIT("http://localhost:30000"),                   false },
    { "subdomain of exact",    STR_INIT("https://x.app.example.com"),                false },
    { "suffix",                STR_INIT("https://app.example.com.evil.net"),         false },
    { "prefix",                STR_INIT("https://app.example.co"),                   false },
    { "wildcard, no label",    STR_INIT("https://preview.example.com"),              false },
    { "wildcard, empty label", STR_INIT("https://.preview.example.com"),             false },
    { "wildcard, glued",       STR_INIT("https://evilpreview.example.com"),          false },
    { "wildcard, port",        STR_INIT("https://a.preview.example.com:444"),        false },
    { "wildcard, port left",   STR_INIT("https://a.p.example.com"),                  false },
    { "wildcard, slash",       STR_INIT("https://evil.net/.preview.example.com"),    false },
    { "wildcard, user",        STR_INIT("https://evil.net@a.preview.example.com"),   false },
    { "wildcard, colon",       STR_INIT("https://evil.net:1.preview.example.com"),   false },
    { "wildcard, hash",        STR_INIT("https://evil.net#.preview.example.com"),    false },
    { "wildcard, two dots",    STR_INIT("https://a..preview.example.com"),           false },
    { "wildcard, scheme",      STR_INIT("http://a.preview.example.com"),             false },
    { "the pattern itself",    STR_INIT("https://*.preview.example.com"),            true  },
    { "upper case",            STR_INIT("https://APP.example.com"),                  false },
    { "slash",                 STR_INIT("https://app.example.com/"),                 false },
    { "two origins",           STR_INIT("https://app.example.com https://evil.net"), false },
    { "star",                  STR_INIT("*"),                                        false },
    { "longer than names are", STR_INIT("https://" LABEL LABEL LABEL LABEL ".preview.example.com"), false },
};
/* clang-format on */

static void test_patterns(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(patterns); i++)
        CHECK_EQ(patterns[i].name, cors_origin_pattern_ok(patterns[i].in), patterns[i].want);
}

static void test_allows(void **state)
{
    (void)state;
    const struct cors_config c = { .origins = origins, .n_origins = ROWS(origins) };
    for (size_t i = 0; i < ROWS(allowed); i++) {
        CHECK_EQ(allowed[i].name, cors_allows(&c, allowed[i].in), allowed[i].want);
        if (allowed[i].want)
            CHECK_STR(allowed[i].name, cors_allow_origin(&c, allowed[i].in), allowed[i].in);
    }
}

static void test_any(void **state)
{
    (void)state;
    static const struct str any[] = { STR_INIT("*") };
    struct cors_config c = { .origins = any, .n_origins = 1 };
    assert_true(cors_allows(&c, STR("https://a.example")));
    CHECK_TEXT("star", cors_allow_origin(&c, STR("https://a.example")), "*");
    assert_false(cors_allows(&c, STR("null")));
    assert_false(cors_allows(&c, STR("")));
    c.credentials = true;
    assert_false(cors_allows(&c, STR("https://a.example")));
    c.n_origins = 0;
    assert_false(cors_allows(&c, STR("https://a.example")));
}

TEST_MAIN(cmocka_unit_test(test_patterns), cmocka_unit_test(test_allows),
          cmocka_unit_test(test_any))
