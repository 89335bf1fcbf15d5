#include "test.h"

#include "oom.h"

#include "presignd/url_packet.h"

/* 2013-05-24T00:00:00Z */
static const int64_t now_s = 1369353600;

static const struct sign_creds creds = {
    .access_key_id = STR_INIT("AKIAIOSFODNN7EXAMPLE"),
    .secret_key = STR_INIT("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
};

static struct url_ask an_ask(void)
{
    return (struct url_ask){
        .method = STR("GET"),
        .place = { STR("https"), STR("examplebucket.s3.amazonaws.com"), STR("/") },
        .key = STR("test.txt"),
        .expires_s = 86400,
    };
}

static struct signing_key a_key(void)
{
    struct signing_key k;
    CHECK_EQ("derive", signing_key_derive(&k, &creds, STR("us-east-1"), now_s), ST_OK);
    return k;
}

/* AWS "Authenticating Requests: Using Query Parameters": the published URL's signature. */
static void test_published(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    const struct url_ask ask = an_ask();
    struct buf out = BUF_INIT(URL_BYTES_MAX);
    CHECK_EQ("sign", url_packet_sign(&out, &ask, &creds, &k, now_s), ST_OK);
    CHECK_TEXT("url", out,
               "https://examplebucket.s3.amazonaws.com/test.txt"
               "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
               "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
               "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
               "&X-Amz-Signature="
               "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    buf_release(&out);
    signing_key_release(&k);
}

static void test_canonical(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    struct sign_creds c = creds;
    c.session_token = STR("t/+=");
    const struct url_param headers[] = {
        { STR("x-amz-meta-b"), STR("  two   words ") },
        { STR("content-type"), STR("text/plain; charset=utf-8") },
        { STR("x-amz-meta-a"), STR("") },
    };
    const struct url_param query[] = {
        { STR("versionId"), STR("a b+c") },
        { STR("a-b"), STR("2") },
        { STR("a"), STR("\xc3\xa4") },
        { STR("a"), STR("0") },
    };
    struct url_ask ask = an_ask();
    ask.method = STR("PUT");
    ask.place.path = STR("/bucket/");
    ask.key = STR("//a/../b c+d~\xe2\x82\xac");
    ask.headers = headers;
    ask.n_headers = ROWS(headers);
    ask.query = query;
    ask.n_query = ROWS(query);
    struct buf out = BUF_INIT(URL_BYTES_MAX);
    CHECK_EQ("canonical", url_canonical_request(&out, &ask, &c, &k, now_s), ST_OK);
    CHECK_TEXT("canonical", out,
               "PUT\n/bucket///a/../b%20c%2Bd~%E2%82%AC\n"
               "X-Amz-Algorithm=AWS4-HMAC-SHA256"
               "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
               "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-Security-Token=t%2F%2B%3D"
               "&X-Amz-SignedHeaders=content-type%3Bhost%3Bx-amz-meta-a%3Bx-amz-meta-b"
               "&a=%C3%A4&a=0&a-b=2&versionId=a%20b%2Bc\n"
               "content-type:text/plain; charset=utf-8\n"
               "host:examplebucket.s3.amazonaws.com\n"
               "x-amz-meta-a:\nx-amz-meta-b:two words\n\n"
               "content-type;host;x-amz-meta-a;x-amz-meta-b\n"
               "UNSIGNED-PAYLOAD");
    buf_release(&out);
    signing_key_release(&k);
}

/* The URL of a packet comes after what stood in the buffer. */
static void test_appends(void **state)
{
    (void)state;
    struct signing_key k = a_key();
    struct url_ask ask = an_ask();
    struct buf out = BUF_INIT(2 * URL_BYTES_MAX);
    buf_lit(&out, "before ");
    CHECK_EQ("sign", url_packet_sign(&out, &ask, &creds, &k, now_s), ST_OK);
    CHECK("kept", str_starts(buf_view(&out), STR("before https://examplebucket.")));
    const size_t len = out.len;
    ask.method = STR("get");
    CHECK_EQ("refused", url_packet_sign(&out, &ask, &creds, &k, now_s), ST_INVALID);
    CHECK_EQ("nothing added", out.len, len);
    buf_release(&out);
    signing_key_release(&k);
}

static const struct {
    const char *name;
    struct url_param header;
    enum status want;
} header_rows[] = {
    /* clang-format off */
    { "plain",           { STR_INIT("content-md5"), STR_INIT("x==") },     ST_OK },
    { "empty value",     { STR_INIT("x-amz-meta-a"), STR_INIT("") },       ST_OK },
    { "blanks only",     { STR_INIT("x-amz-meta-a"), STR_INIT("   ") },    ST_OK },
    { "capital",         { STR_INIT("Content-md5"), STR_INIT("x") },       ST_INVALID },
    { "no name",         { STR_INIT(""), STR_INIT("x") },                  ST_INVALID },
    { "blank in name",   { STR_INIT("a b"), STR_INIT("x") },               ST_INVALID },
    { "colon in name",   { STR_INIT("a:"), STR_INIT("x") },                ST_INVALID },
    { "line in name",    { STR_INIT("a\nb"), STR_INIT("x") },              ST_INVALID },
    { "host",            { STR_INIT("host"), STR_INIT("evil.example") },   ST_INVALID },
    { "twice",           { STR_INIT("content-type"), STR_INIT("x") },      ST_INVALID },
    { "line in value",   { STR_INIT("a"), STR_INIT("x\r\ny: z") },         ST_INVALID },
    { "tab in value",    { STR_INIT("a"), STR_INIT("x\ty") },              ST_INVALID },
    { "NUL in value",    { STR_INIT("a"), STR_INIT("x\0y") },              ST_INVALID },
    { "value not ASCII", { STR_INIT("a"), STR_INIT("\xc3\xa4") },          ST_INVALID },
    /* clang-format on */
};

static const struct {
    const char *name;
    struct url_param param;
    enum status want;
} query_rows[] = {
    /* clang-format off */
    { "plain",         { STR_INIT("versionId"), STR_INIT("1") },             ST_OK },
    { "any bytes",     { STR_INIT("a=&b"), STR_INIT("\r\n\0\xff#?") },       ST_OK },
    { "empty value",   { STR_INIT("uploads"), STR_INIT("") },                ST_OK },
    { "other x-amz",   { STR_INIT("x-amz-tagging"), STR_INIT("") },          ST_OK },
    { "no name",       { STR_INIT(""), STR_INIT("x") },                      ST_INVALID },
    { "signature",     { STR_INIT("X-Amz-Signature"), STR_INIT("x") },       ST_INVALID },
    { "expires",       { STR_INIT("x-amz-expires"), STR_INIT("1") },         ST_INVALID },
    { "token",         { STR_INIT("X-Amz-Security-Token"), STR_INIT("x") },  ST_INVALID },
    { "headers",       { STR_INIT("X-Amz-SignedHeaders"), STR_INIT("x") },   ST_INVALID },
    { "credential",    { STR_INIT("X-Amz-Credential"), STR_INIT("x") },      ST_INVALID },
    { "date",          { STR_INIT("X-Amz-Date"), STR_INIT("x") },            ST_INVALID },
    { "algorithm",     { STR_INIT("X-Amz-Algorithm"), STR_INIT("x") },       ST_INVALID },
    /* clang-format on */
};

static void check_status(const char *name, const struct url_ask *ask, const struct sign_creds *c,
                         int64_t at_s, enum status want)
{
    struct signing_key k = a_key();
    struct buf out = BUF_INIT(2 * URL_BYTES_MAX);
    CHECK_EQ(name, url_packet_sign(&out, ask, c, &k, at_s), want);
    CHECK_EQ(name, out.len > 0, want == ST_OK);
    buf_reset(&out);
    CHECK_EQ(name, url_canonical_request(&out, ask, c, &k, at_s), want);
    buf_release(&out);
    signing_key_release(&k);
}

static void test_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(header_rows); i++) {
        const struct url_param two[] = {
            { STR("content-type"), STR("image/png") },
            header_rows[i].header,
        };
        struct url_ask ask = an_ask();
        ask.headers = two;
        ask.n_headers = 2;
        check_status(header_rows[i].name, &ask, &creds, now_s, header_rows[i].want);
    }
}

static void test_query(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(query_rows); i++) {
        struct url_ask ask = an_ask();
        ask.query = &query_rows[i].param;
        ask.n_query = 1;
        check_status(query_rows[i].name, &ask, &creds, now_s, query_rows[i].want);
    }
}

static const struct {
    const char *name;
    struct str method;
    int64_t expires_s;
    enum status want;
} ask_rows[] = {
    /* clang-format off */
    { "one second",   STR_INIT("PUT"),               1,      ST_OK },
    { "seven days",   STR_INIT("HEAD"),              604800, ST_OK },
    { "no time",      STR_INIT("PUT"),               0,      ST_INVALID },
    { "negative",     STR_INIT("PUT"),               -1,     ST_INVALID },
    { "longer",       STR_INIT("PUT"),               604801, ST_INVALID },
    { "no method",    STR_INIT(""),                  60,     ST_INVALID },
    { "lower case",   STR_INIT("put"),               60,     ST_INVALID },
    { "blank",        STR_INIT("PUT "),              60,     ST_INVALID },
    { "line end",     STR_INIT("PUT\n"),             60,     ST_INVALID },
    { "long method",  STR_INIT("AAAAAAAAAAAAAAAAA"), 60,     ST_INVALID },
    /* clang-format on */
};

static void test_ask(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(ask_rows); i++) {
        struct url_ask ask = an_ask();
        ask.method = ask_rows[i].method;
        ask.expires_s = ask_rows[i].expires_s;
        check_status(ask_rows[i].name, &ask, &creds, now_s, ask_rows[i].want);
    }
    struct url_ask ask = an_ask();
    struct sign_creds other = creds;
    other.access_key_id = STR("AKIAIOSFODNN7EXAMPLF");
    check_status("another's key", &ask, &other, now_s, ST_INVALID);
    check_status("key of another day", &ask, &creds, now_s + 86400, ST_INVALID);
    ask.key = STR("");
    check_status("the bucket itself", &ask, &creds, now_s, ST_OK);
}

static void test_limits(void **state)
{
    (void)state;
    static char text[URL_BYTES_MAX];
    memset(text, 'a', sizeof(text));
    struct url_ask ask = an_ask();
    ask.key = (struct str){ text, 1024 };
    check_status("longest key", &ask, &creds, now_s, ST_OK);
    ask.key.len = 1025;
    check_status("key too long", &ask, &creds, now_s, ST_TOO_LARGE);

    static struct url_param many[URL_HEADERS_MAX + 1];
    static char names[URL_HEADERS_MAX + 1][4];
    for (size_t i = 0; i < ROWS(many); i++) {
        names[i][0] = (char)('a' + i / 10);
        names[i][1] = (char)('0' + i % 10);
        many[i] = (struct url_param){ { names[i], 2 }, STR("v") };
    }
    ask = an_ask();
    ask.headers = many;
    ask.n_headers = URL_HEADERS_MAX;
    check_status("most headers", &ask, &creds, now_s, ST_OK);
    ask.n_headers++;
    check_status("too many headers", &ask, &creds, now_s, ST_INVALID);
    ask = an_ask();
    ask.query = many;
    ask.n_query = URL_QUERY_MAX;
    check_status("most parameters", &ask, &creds, now_s, ST_OK);
    ask.n_query++;
    check_status("too many parameters", &ask, &creds, now_s, ST_INVALID);
}

static void test_too_large(void **state)
{
    (void)state;
    static char text[2 * URL_BYTES_MAX];
    memset(text, 'a', sizeof(text));
    struct signing_key k = a_key();
    struct url_ask ask = an_ask();
    struct url_param one = { STR("q"), { text, URL_BYTES_MAX } };
    ask.query = &one;
    ask.n_query = 1;
    struct buf out = BUF_INIT(2 * URL_BYTES_MAX);
    CHECK_EQ("query", url_packet_sign(&out, &ask, &creds, &k, now_s), ST_TOO_LARGE);
    /* Room for the encoded query, none for host, key and signature beside it. */
    one.value.len = URL_BYTES_MAX - 300;
    CHECK_EQ("whole URL", url_packet_sign(&out, &ask, &creds, &k, now_s), ST_TOO_LARGE);
    CHECK_EQ("cut back", out.len, 0);
    ask.n_query = 0;
    one.name = STR("x-amz-meta-a");
    one.value.len = 2 * URL_BYTES_MAX;
    ask.headers = &one;
    ask.n_headers = 1;
    CHECK_EQ("headers", url_packet_sign(&out, &ask, &creds, &k, now_s), ST_TOO_LARGE);
    struct buf small = BUF_INIT(100);
    ask.n_headers = 0;
    CHECK_EQ("small buffer", url_packet_sign(&small, &ask, &creds, &k, now_s), ST_TOO_LARGE);
    buf_release(&small);
    buf_release(&out);
    signing_key_release(&k);
}

static bool signs_or_has_no_memory(void)
{
    struct signing_key k;
    const struct url_ask ask = an_ask();
    struct buf out = BUF_INIT(URL_BYTES_MAX);
    enum status st = signing_key_derive(&k, &creds, STR("us-east-1"), now_s);
    if (st == ST_OK)
        st = url_packet_sign(&out, &ask, &creds, &k, now_s);
    const bool complete = str_ends(buf_view(&out), STR("f604d404"));
    buf_release(&out);
    signing_key_release(&k);
    return st == ST_OK ? complete : st == ST_NO_MEMORY && oom_struck() && !complete;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture(signs_or_has_no_memory);
}

TEST_MAIN(cmocka_unit_test(test_published), cmocka_unit_test(test_canonical),
          cmocka_unit_test(test_appends), cmocka_unit_test(test_headers),
          cmocka_unit_test(test_query), cmocka_unit_test(test_ask), cmocka_unit_test(test_limits),
          cmocka_unit_test(test_too_large), cmocka_unit_test(test_no_memory))
