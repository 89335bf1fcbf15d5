#include "test.h"

#include "token_kit.h"

#include "presignd/token.h"

static struct arena arena = { .limit_bytes = 65536 };

static enum status parse(struct token *t, struct str text)
{
    const char *reason = NULL;
    arena_reset(&arena);
    const enum status st = token_parse(t, text, &arena, &reason);
    if (st != ST_OK)
        assert_non_null(reason);
    return st;
}

static const char *with_header(const char *header)
{
    return kit_text("%s.%s.QUJD", kit_b64_text(header), kit_b64_text("{\"iss\":\"i\"}"));
}

static void test_headers(void **state)
{
    (void)state;
    static const struct {
        const char *name, *header;
        unsigned alg;
        const char *kid;
    } cases[] = {
        { "plain", "{\"alg\":\"RS256\"}", JWA_RS256, NULL },
        { "typ JWT", "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", JWA_ES256, NULL },
        { "typ jwt", "{\"typ\":\"jwt\",\"alg\":\"EdDSA\"}", JWA_EDDSA, NULL },
        { "typ at+jwt", "{\"alg\":\"PS256\",\"typ\":\"at+jwt\"}", JWA_PS256, NULL },
        { "typ application/at+jwt", "{\"alg\":\"PS256\",\"typ\":\"application/at+JWT\"}", JWA_PS256,
          NULL },
        { "typ Application/JWT", "{\"alg\":\"HS512\",\"typ\":\"Application/JWT\"}", JWA_HS512,
          NULL },
        { "kid", "{\"alg\":\"RS256\",\"kid\":\"k-1\"}", JWA_RS256, "k-1" },
        { "kid with any text", "{\"alg\":\"RS256\",\"kid\":\"../\\u00e4 '\\\"\"}", JWA_RS256,
          "../\xc3\xa4 '\"" },
        { "other members", "{\"alg\":\"RS256\",\"x5t\":\"a\",\"jku\":\"http://evil\",\"jwk\":{}}",
          JWA_RS256, NULL },
        { "blanks", " { \"alg\" : \"RS256\" } ", JWA_RS256, NULL },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct token t;
        const struct str text = str_from(with_header(cases[i].header));
        CHECK_EQ(cases[i].name, parse(&t, text), ST_OK);
        CHECK_EQ(cases[i].name, t.alg, cases[i].alg);
        CHECK_EQ(cases[i].name, t.has_kid, cases[i].kid != NULL);
        CHECK_TEXT(cases[i].name, t.kid, cases[i].kid ? cases[i].kid : "");
        CHECK_TEXT(cases[i].name, t.signature, "ABC");
        CHECK_STR(cases[i].name, t.signed_text, str_slice(text, 0, text.len - 5));
        CHECK(cases[i].name, json_is_object(t.claims));
        token_release(&t);
        CHECK(cases[i].name, t.claims == NULL);
    }
}

static void test_refused_headers(void **state)
{
    (void)state;
    static const struct {
        const char *name, *header;
    } cases[] = {
        { "no alg", "{}" },
        { "alg none", "{\"alg\":\"none\"}" },
        { "alg NONE", "{\"alg\":\"NONE\"}" },
        { "alg nOnE", "{\"alg\":\"nOnE\"}" },
        { "alg empty", "{\"alg\":\"\"}" },
        { "alg lower case", "{\"alg\":\"rs256\"}" },
        { "alg with a blank", "{\"alg\":\"RS256 \"}" },
        { "alg with NUL", "{\"alg\":\"RS256\\u0000\"}" },
        { "alg a number", "{\"alg\":256}" },
        { "alg null", "{\"alg\":null}" },
        { "alg a list", "{\"alg\":[\"RS256\"]}" },
        { "alg unknown", "{\"alg\":\"ES256K\"}" },
        { "alg for encryption", "{\"alg\":\"RSA-OAEP\",\"enc\":\"A128GCM\"}" },
        { "alg twice", "{\"alg\":\"RS256\",\"alg\":\"none\"}" },
        { "alg twice by escape", "{\"alg\":\"RS256\",\"\\u0061lg\":\"none\"}" },
        { "crit", "{\"alg\":\"RS256\",\"crit\":[\"exp\"]}" },
        { "crit empty", "{\"alg\":\"RS256\",\"crit\":[]}" },
        { "crit null", "{\"alg\":\"RS256\",\"crit\":null}" },
        { "b64 false", "{\"alg\":\"RS256\",\"b64\":false,\"crit\":[\"b64\"]}" },
        { "b64 true", "{\"alg\":\"RS256\",\"b64\":true}" },
        { "zip", "{\"alg\":\"RS256\",\"zip\":\"DEF\"}" },
        { "cty", "{\"alg\":\"RS256\",\"cty\":\"JWT\"}" },
        { "typ other", "{\"alg\":\"RS256\",\"typ\":\"secevent+jwt\"}" },
        { "typ JWE", "{\"alg\":\"RS256\",\"typ\":\"JWE\"}" },
        { "typ empty", "{\"alg\":\"RS256\",\"typ\":\"\"}" },
        { "typ only the prefix", "{\"alg\":\"RS256\",\"typ\":\"application/\"}" },
        { "typ prefix twice", "{\"alg\":\"RS256\",\"typ\":\"application/application/jwt\"}" },
        { "typ a number", "{\"alg\":\"RS256\",\"typ\":1}" },
        { "typ null", "{\"alg\":\"RS256\",\"typ\":null}" },
        { "typ with a blank", "{\"alg\":\"RS256\",\"typ\":\"JWT \"}" },
        { "kid empty", "{\"alg\":\"RS256\",\"kid\":\"\"}" },
        { "kid a number", "{\"alg\":\"RS256\",\"kid\":1}" },
        { "kid null", "{\"alg\":\"RS256\",\"kid\":null}" },
        { "kid with NUL", "{\"alg\":\"RS256\",\"kid\":\"a\\u0000b\"}" },
        { "kid twice", "{\"alg\":\"RS256\",\"kid\":\"a\",\"kid\":\"b\"}" },
        { "a list", "[\"alg\",\"RS256\"]" },
        { "a text", "\"RS256\"" },
        { "null", "null" },
        { "cut", "{\"alg\":\"RS256\"" },
        { "text behind", "{\"alg\":\"RS256\"}{}" },
        { "single quotes", "{'alg':'RS256'}" },
        { "a comment", "{\"alg\":\"RS256\"/**/}" },
        { "a trailing comma", "{\"alg\":\"RS256\",}" },
        { "a byte order mark", "\xef\xbb\xbf{\"alg\":\"RS256\"}" },
        { "bad UTF-8", "{\"alg\":\"RS256\",\"kid\":\"\xff\"}" },
        { "overlong UTF-8", "{\"alg\":\"RS256\",\"kid\":\"\xc0\xaf\"}" },
        { "lone surrogate", "{\"alg\":\"RS256\",\"kid\":\"\\ud800\"}" },
        { "too deep", "{\"alg\":\"RS256\",\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}" },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct token t;
        CHECK_EQ(cases[i].name, parse(&t, str_from(with_header(cases[i].header))),
                 ST_INVALID_TOKEN);
    }
    char *kid = kit_keep(calloc(1, KID_MAX + 2));
    memset(kid, 'k', KID_MAX + 1);
    struct token t;
    assert_int_equal(
        parse(&t, str_from(with_header(kit_text("{\"alg\":\"RS256\",\"kid\":\"%s\"}", kid)))),
        ST_INVALID_TOKEN);
}

/* eyJhbGciOiJSUzI1NiJ9 is {"alg":"RS256"}, e30 is {}. */
#define HEAD "eyJhbGciOiJSUzI1NiJ9"

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str text;
        enum status want;
    } cases[] = {
        { "good", STR_INIT(HEAD ".e30.QUJD"), ST_OK },
        { "signature of one byte", STR_INIT(HEAD ".e30.QQ"), ST_OK },
        { "empty", STR_INIT(""), ST_INVALID_TOKEN },
        { "dots only", STR_INIT(".."), ST_INVALID_TOKEN },
        { "one part", STR_INIT(HEAD), ST_INVALID_TOKEN },
        { "two parts", STR_INIT(HEAD ".e30"), ST_INVALID_TOKEN },
        { "no signature", STR_INIT(HEAD ".e30."), ST_INVALID_TOKEN },
        { "no payload", STR_INIT(HEAD "..QUJD"), ST_INVALID_TOKEN },
        { "no header", STR_INIT(".e30.QUJD"), ST_INVALID_TOKEN },
        { "four parts", STR_INIT(HEAD ".e30.QUJD.QUJD"), ST_INVALID_TOKEN },
        { "five parts, as a JWE", STR_INIT(HEAD ".e30.QUJD.QUJD.QUJD"), ST_INVALID_TOKEN },
        { "a dot behind", STR_INIT(HEAD ".e30.QUJD."), ST_INVALID_TOKEN },
        { "a dot before", STR_INIT("." HEAD ".e30.QUJD"), ST_INVALID_TOKEN },
        { "padded signature", STR_INIT(HEAD ".e30.QQ=="), ST_INVALID_TOKEN },
        { "padded payload", STR_INIT(HEAD ".e30=.QUJD"), ST_INVALID_TOKEN },
        { "spare bits in the signature", STR_INIT(HEAD ".e30.QR"), ST_INVALID_TOKEN },
        { "spare bits in the payload", STR_INIT(HEAD ".e31.QUJD"), ST_INVALID_TOKEN },
        { "spare bits in the header", STR_INIT("eyJhbGciOiJSUzI1NiIgfR.e30.QUJD"),
          ST_INVALID_TOKEN },
        { "one char too many", STR_INIT(HEAD ".e30.QUJDQ"), ST_INVALID_TOKEN },
        { "plus", STR_INIT(HEAD ".e30.+UJD"), ST_INVALID_TOKEN },
        { "slash", STR_INIT(HEAD ".e30./UJD"), ST_INVALID_TOKEN },
        { "blank before", STR_INIT(" " HEAD ".e30.QUJD"), ST_INVALID_TOKEN },
        { "blank behind", STR_INIT(HEAD ".e30.QUJD "), ST_INVALID_TOKEN },
        { "blank inside", STR_INIT(HEAD ". e30.QUJD"), ST_INVALID_TOKEN },
        { "newline behind", STR_INIT(HEAD ".e30.QUJD\n"), ST_INVALID_TOKEN },
        { "newline inside", STR_INIT(HEAD ".e30.QU\nJD"), ST_INVALID_TOKEN },
        { "NUL behind", STR_INIT(HEAD ".e30.QUJD\0"), ST_INVALID_TOKEN },
        { "NUL inside", STR_INIT(HEAD ".e30.QU\0D"), ST_INVALID_TOKEN },
        { "high bytes", STR_INIT(HEAD ".e30.QU\xc3\xa4"), ST_INVALID_TOKEN },
        { "quotes", STR_INIT("\"" HEAD ".e30.QUJD\""), ST_INVALID_TOKEN },
        { "percent", STR_INIT(HEAD "%2ee30.QUJD"), ST_INVALID_TOKEN },
        { "bearer again", STR_INIT("Bearer " HEAD ".e30.QUJD"), ST_INVALID_TOKEN },
        { "a comma list", STR_INIT(HEAD ".e30.QUJD," HEAD ".e30.QUJD"), ST_INVALID_TOKEN },
        { "JSON serialisation", STR_INIT("{\"payload\":\"e30\"}"), ST_INVALID_TOKEN },
        { "payload no object", STR_INIT(HEAD ".W10.QUJD"), ST_INVALID_TOKEN },
        { "payload no JSON", STR_INIT(HEAD ".QUJD.QUJD"), ST_INVALID_TOKEN },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct token t;
        CHECK_EQ(cases[i].name, parse(&t, cases[i].text), cases[i].want);
        if (cases[i].want == ST_OK)
            token_release(&t);
    }
}

static void test_payloads(void **state)
{
    (void)state;
    static const struct {
        const char *name, *payload;
        enum status want;
    } cases[] = {
        { "empty object", "{}", ST_OK },
        { "sixteen levels", "{\"a\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}", ST_OK },
        { "largest integer", "{\"a\":9223372036854775807}", ST_OK },
        { "seventeen levels", "{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", ST_INVALID_TOKEN },
        { "larger than an integer", "{\"a\":9223372036854775808}", ST_INVALID_TOKEN },
        { "larger than a real", "{\"a\":1e400}", ST_INVALID_TOKEN },
        { "a hundred digits", "{\"a\":1000000000000000000000000000000000000000000000000000000000}",
          ST_INVALID_TOKEN },
        { "NaN", "{\"exp\":NaN}", ST_INVALID_TOKEN },
        { "Infinity", "{\"exp\":Infinity}", ST_INVALID_TOKEN },
        { "hexadecimal", "{\"exp\":0x10}", ST_INVALID_TOKEN },
        { "leading zero", "{\"exp\":01}", ST_INVALID_TOKEN },
        { "plus sign", "{\"exp\":+1}", ST_INVALID_TOKEN },
        { "sub twice", "{\"sub\":\"a\",\"sub\":\"admin\"}", ST_INVALID_TOKEN },
        { "sub twice by escape", "{\"sub\":\"a\",\"s\\u0075b\":\"admin\"}", ST_INVALID_TOKEN },
        { "twice, deeper", "{\"a\":{\"b\":1,\"b\":2}}", ST_INVALID_TOKEN },
        { "escaped NUL", "{\"sub\":\"a\\u0000b\"}", ST_INVALID_TOKEN },
        { "NUL in a name", "{\"sub\\u0000\":\"a\"}", ST_INVALID_TOKEN },
        { "raw newline", "{\"sub\":\"a\nb\"}", ST_INVALID_TOKEN },
        { "bad UTF-8", "{\"sub\":\"\xc3\x28\"}", ST_INVALID_TOKEN },
        { "surrogate in UTF-8", "{\"sub\":\"\xed\xa0\x80\"}", ST_INVALID_TOKEN },
        { "two objects", "{}{}", ST_INVALID_TOKEN },
        { "a list", "[1,2]", ST_INVALID_TOKEN },
        { "a number", "1", ST_INVALID_TOKEN },
        { "empty", " ", ST_INVALID_TOKEN },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct token t;
        const char *text = kit_text("%s.%s.QUJD", HEAD, kit_b64_text(cases[i].payload));
        CHECK_EQ(cases[i].name, parse(&t, str_from(text)), cases[i].want);
        if (cases[i].want == ST_OK)
            token_release(&t);
    }
    const char *nul = kit_text("%s.%s.QUJD", HEAD, kit_b64("{}\0", 3));
    struct token t;
    assert_int_equal(parse(&t, str_from(nul)), ST_INVALID_TOKEN);
}

static void test_length(void **state)
{
    (void)state;
    char *text = kit_keep(calloc(1, TOKEN_BYTES_MAX + 2));
    struct token t;
    memset(text, 'A', TOKEN_BYTES_MAX);
    memcpy(text, HEAD ".e30.", strlen(HEAD ".e30."));
    struct str view = { text, TOKEN_BYTES_MAX };
    while ((view.len - strlen(HEAD ".e30.")) % 4 == 1)
        view.len--;
    assert_int_equal(parse(&t, view), ST_OK);
    token_release(&t);
    memset(text + TOKEN_BYTES_MAX, 'A', 1);
    assert_int_equal(parse(&t, (struct str){ text, TOKEN_BYTES_MAX + 1 }), ST_INVALID_TOKEN);
    assert_int_equal(parse(&t, STR_NONE), ST_INVALID_TOKEN);
    arena_release(&arena);
}

TEST_MAIN(cmocka_unit_test(test_headers), cmocka_unit_test(test_refused_headers),
          cmocka_unit_test(test_forms), cmocka_unit_test(test_payloads),
          cmocka_unit_test(test_length))
