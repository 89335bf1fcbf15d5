#include "test.h"

#include "presignd/endpoint.h"

static const struct place_row {
    const char *name;
    struct endpoint_config in;
    const char *want; /* the base URL; NULL: refused */
} aws_rows[] = {
#define AWS(b, r) .bucket = STR_INIT(b), .region = STR_INIT(r)
    /* clang-format off */
    { "regional",          { AWS("my-bucket", "eu-west-1") },
      "https://my-bucket.s3.eu-west-1.amazonaws.com/" },
    { "us-east-1 too",     { AWS("my-bucket", "us-east-1") },
      "https://my-bucket.s3.us-east-1.amazonaws.com/" },
    { "dualstack",         { AWS("my-bucket", "eu-west-1"), .dualstack = true },
      "https://my-bucket.s3.dualstack.eu-west-1.amazonaws.com/" },
    { "fips",              { AWS("my-bucket", "us-west-2"), .fips = true },
      "https://my-bucket.s3-fips.us-west-2.amazonaws.com/" },
    { "fips dualstack",    { AWS("my-bucket", "us-west-2"), .fips = true, .dualstack = true },
      "https://my-bucket.s3-fips.dualstack.us-west-2.amazonaws.com/" },
    { "accelerate",        { AWS("my-bucket", "eu-west-1"), .accelerate = true },
      "https://my-bucket.s3-accelerate.amazonaws.com/" },
    { "accelerate dual",   { AWS("my-bucket", "eu-west-1"), .accelerate = true, .dualstack = true },
      "https://my-bucket.s3-accelerate.dualstack.amazonaws.com/" },
    { "china",             { AWS("my-bucket", "cn-north-1") },
      "https://my-bucket.s3.cn-north-1.amazonaws.com.cn/" },
    { "china dualstack",   { AWS("my-bucket", "cn-northwest-1"), .dualstack = true },
      "https://my-bucket.s3.dualstack.cn-northwest-1.amazonaws.com.cn/" },
    { "govcloud",          { AWS("my-bucket", "us-gov-west-1") },
      "https://my-bucket.s3.us-gov-west-1.amazonaws.com/" },
    { "govcloud fips",     { AWS("my-bucket", "us-gov-east-1"), .fips = true },
      "https://my-bucket.s3-fips.us-gov-east-1.amazonaws.com/" },
    { "iso",               { AWS("my-bucket", "us-iso-east-1") },
      "https://my-bucket.s3.us-iso-east-1.c2s.ic.gov/" },
    { "iso-b",             { AWS("my-bucket", "us-isob-east-1") },
      "https://my-bucket.s3.us-isob-east-1.sc2s.sgov.gov/" },
    { "path style",        { AWS("my-bucket", "eu-west-1"), .path_style = true },
      "https://s3.eu-west-1.amazonaws.com/my-bucket/" },
    { "dots, path style",  { AWS("my.bucket", "eu-west-1"), .path_style = true },
      "https://s3.eu-west-1.amazonaws.com/my.bucket/" },
    { "dots, kept host",   { AWS("my.bucket", "eu-west-1") },
      "https://my.bucket.s3.eu-west-1.amazonaws.com/" },
    { "dualstack path",    { AWS("my-bucket", "eu-west-1"), .dualstack = true, .path_style = true },
      "https://s3.dualstack.eu-west-1.amazonaws.com/my-bucket/" },

    { "no region",         { AWS("my-bucket", "") }, NULL },
    { "region in capitals", { AWS("my-bucket", "EU-WEST-1") }, NULL },
    { "region with dot",   { AWS("my-bucket", "eu.evil.example") }, NULL },
    { "region with slash", { AWS("my-bucket", "eu/") }, NULL },
    { "region too long",   { AWS("my-bucket", "abcdefghijklmnopqrstuvwxyz-012345") }, NULL },
    { "no bucket",         { AWS("", "eu-west-1") }, NULL },
    { "bucket in capitals", { AWS("My-Bucket", "eu-west-1") }, NULL },
    { "bucket with slash", { AWS("my/bucket", "eu-west-1") }, NULL },
    { "directory bucket",  { AWS("b--euw1-az1--x-s3", "eu-west-1") }, NULL },
    { "china fips",        { AWS("my-bucket", "cn-north-1"), .fips = true }, NULL },
    { "china accelerate",  { AWS("my-bucket", "cn-north-1"), .accelerate = true }, NULL },
    { "iso dualstack",     { AWS("my-bucket", "us-iso-east-1"), .dualstack = true }, NULL },
    { "accelerate fips",   { AWS("my-bucket", "us-east-1"), .accelerate = true, .fips = true }, NULL },
    { "accelerate dots",   { AWS("my.bucket", "us-east-1"), .accelerate = true }, NULL },
    { "accelerate path",   { AWS("my-bucket", "us-east-1"), .accelerate = true, .path_style = true },
      NULL },
    /* clang-format on */
};

static const struct custom_row {
    const char *name;
    struct str endpoint;
    bool path_style;
    const char *want; /* of bucket "b-1"; NULL: refused */
} custom_rows[] = {
    /* clang-format off */
    { "path style",          STR_INIT("https://minio.example.com"),      true,  "https://minio.example.com/b-1/" },
    { "host style",          STR_INIT("https://minio.example.com"),      false, "https://b-1.minio.example.com/" },
    { "trailing slash",      STR_INIT("https://minio.example.com/"),     true,  "https://minio.example.com/b-1/" },
    { "http and port",       STR_INIT("http://localhost:9000"),          true,  "http://localhost:9000/b-1/" },
    { "host style and port", STR_INIT("http://s3.local:9000"),           false, "http://b-1.s3.local:9000/" },
    { "default https port",  STR_INIT("https://s3.local:443"),           true,  "https://s3.local/b-1/" },
    { "default http port",   STR_INIT("http://s3.local:80/"),            true,  "http://s3.local/b-1/" },
    { "the other's default", STR_INIT("http://s3.local:443"),            true,  "http://s3.local:443/b-1/" },
    { "capitals",            STR_INIT("HTTPS://MinIO.Example.COM:8443"), true,  "https://minio.example.com:8443/b-1/" },
    { "IPv4",                STR_INIT("http://127.0.0.1:7480"),          true,  "http://127.0.0.1:7480/b-1/" },
    { "IPv6",                STR_INIT("http://[::1]:7480"),              true,  "http://[::1]:7480/b-1/" },
    { "IPv6 shortened",      STR_INIT("http://[FD00:0:0:0:0:0:0:01]"),   true,  "http://[fd00::1]/b-1/" },
    { "compose name",        STR_INIT("http://minio_1:9000"),            true,  "http://minio_1:9000/b-1/" },

    { "no scheme",           STR_INIT("minio.example.com"),              true,  NULL },
    { "other scheme",        STR_INIT("ftp://minio.example.com"),        true,  NULL },
    { "scheme only",         STR_INIT("https://"),                       true,  NULL },
    { "one slash",           STR_INIT("https:/minio"),                   true,  NULL },
    { "three slashes",       STR_INIT("https:///minio"),                 true,  NULL },
    { "two at the end",      STR_INIT("https://minio//"),                true,  NULL },
    { "path",                STR_INIT("https://minio/s3"),               true,  NULL },
    { "query",               STR_INIT("https://minio?x=1"),              true,  NULL },
    { "fragment",            STR_INIT("https://minio#x"),                true,  NULL },
    { "user",                STR_INIT("https://user:pw@minio"),          true,  NULL },
    { "backslash",           STR_INIT("https://minio\\evil"),            true,  NULL },
    { "percent",             STR_INIT("https://min%69o"),                true,  NULL },
    { "blank",               STR_INIT("https://mi nio"),                 true,  NULL },
    { "line end",            STR_INIT("https://minio\r\nX: y"),          true,  NULL },
    { "NUL",                 STR_INIT("https://minio\0.evil"),           true,  NULL },
    { "NUL after IPv4",      STR_INIT("https://1.2.3.4\0\0:80"),      true,  NULL },
    { "NUL in IPv6",         STR_INIT("https://[::1\0x]"),           true,  NULL },
    { "not ASCII",           STR_INIT("https://b\xc3\xbc" "cher.example"), true, NULL },
    { "port 0",              STR_INIT("https://minio:0"),                true,  NULL },
    { "port too large",      STR_INIT("https://minio:65536"),            true,  NULL },
    { "port with zeros",     STR_INIT("https://minio:0443"),             true,  NULL },
    { "no port",             STR_INIT("https://minio:"),                 true,  NULL },
    { "port in words",       STR_INIT("https://minio:http"),             true,  NULL },
    { "empty label",         STR_INIT("https://minio..example"),         true,  NULL },
    { "dot at the end",      STR_INIT("https://minio.example."),         true,  NULL },
    { "short IPv4",          STR_INIT("https://127.1"),                  true,  NULL },
    { "number",              STR_INIT("https://2130706433"),             true,  NULL },
    { "hex number",          STR_INIT("https://0x7f000001"),             true,  NULL },
    { "IPv4 out of range",   STR_INIT("https://1.2.3.256"),              true,  NULL },
    { "IPv6 open",           STR_INIT("https://[::1"),                   true,  NULL },
    { "IPv6 and more",       STR_INIT("https://[::1]evil"),              true,  NULL },
    { "IPv6 wrong",          STR_INIT("https://[::g]"),                  true,  NULL },
    { "IPv6 zone",           STR_INIT("https://[fe80::1%eth0]"),         true,  NULL },
    { "IPv6 mapped",         STR_INIT("https://[::ffff:127.0.0.1]"),     true,  NULL },
    { "IPv6 empty",          STR_INIT("https://[]"),                     true,  NULL },
    { "IPv4 host style",     STR_INIT("http://127.0.0.1:7480"),          false, NULL },
    { "IPv6 host style",     STR_INIT("http://[::1]:7480"),              false, NULL },
    /* clang-format on */
};

static const struct {
    const char *name;
    struct str in;
    bool want;
} bucket_rows[] = {
    /* clang-format off */
    { "shortest",        STR_INIT("abc"),            true  },
    { "digits, dashes",  STR_INIT("1-a--2"),         true  },
    { "dots",            STR_INIT("a.b.c"),          true  },
    { "63 bytes",        STR_INIT("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"), true },
    { "64 bytes",        STR_INIT("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg"), false },
    { "empty",           STR_INIT(""),               false },
    { "two bytes",       STR_INIT("ab"),             false },
    { "capitals",        STR_INIT("Abc"),            false },
    { "underscore",      STR_INIT("a_bc"),           false },
    { "dash first",      STR_INIT("-abc"),           false },
    { "dash last",       STR_INIT("abc-"),           false },
    { "dot first",       STR_INIT(".abc"),           false },
    { "dot last",        STR_INIT("abc."),           false },
    { "two dots",        STR_INIT("a..bc"),          false },
    { "IPv4",            STR_INIT("192.168.5.4"),    false },
    { "slash",           STR_INIT("a/b/c"),          false },
    { "NUL",             STR_INIT("ab\0c"),          false },
    { "line end",        STR_INIT("abc\n"),          false },
    { "not ASCII",       STR_INIT("b\xc3\xbc" "x"),  false },
    /* clang-format on */
};

static void check_place(const char *name, const struct endpoint_config *c, bool use_public,
                        const char *want)
{
    struct buf text = BUF_INIT(512);
    struct buf why = BUF_INIT(512);
    struct buf url = BUF_INIT(512);
    struct endpoint place = { .host = STR_INIT("untouched") };
    const enum status st = endpoint_resolve(c, use_public, &text, &place, &why);
    CHECK_EQ(name, st, want ? ST_OK : ST_INVALID);
    if (want) {
        endpoint_base_url(&url, &place);
        CHECK_TEXT(name, url, want);
        CHECK(name, why.len == 0);
    } else {
        CHECK(name, why.len > 0);
        CHECK_TEXT(name, place.host, "untouched");
    }
    buf_release(&text);
    buf_release(&why);
    buf_release(&url);
}

static void test_aws(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(aws_rows); i++)
        check_place(aws_rows[i].name, &aws_rows[i].in, false, aws_rows[i].want);
}

static void test_custom(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(custom_rows); i++) {
        const struct endpoint_config c = {
            .bucket = STR("b-1"),
            .endpoint = custom_rows[i].endpoint,
            .path_style = custom_rows[i].path_style,
        };
        check_place(custom_rows[i].name, &c, false, custom_rows[i].want);
    }
}

static void test_public(void **state)
{
    (void)state;
    struct endpoint_config c = {
        .bucket = STR("b-1"),
        .region = STR("eu-west-1"),
        .endpoint = STR("http://minio:9000"),
        .public_endpoint = STR("https://files.example.com"),
        .path_style = true,
    };
    check_place("ours", &c, false, "http://minio:9000/b-1/");
    check_place("the browser's", &c, true, "https://files.example.com/b-1/");
    c.public_endpoint = STR("");
    check_place("no public one", &c, true, "http://minio:9000/b-1/");
    c.dualstack = true;
    check_place("dualstack of our own", &c, false, NULL);
    c.endpoint = STR("");
    c.public_endpoint = STR("https://files.example.com");
    c.path_style = false;
    check_place("AWS for us", &c, false, "https://b-1.s3.dualstack.eu-west-1.amazonaws.com/");
    check_place("a name of ours for them", &c, true, "https://b-1.files.example.com/");
}

static void test_bucket_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(bucket_rows); i++)
        CHECK_EQ(bucket_rows[i].name, endpoint_bucket_name_ok(bucket_rows[i].in),
                 bucket_rows[i].want);
}

static void test_path_style_default(void **state)
{
    (void)state;
    CHECK("plain", !endpoint_wants_path_style(STR("my-bucket"), false));
    CHECK("dots", endpoint_wants_path_style(STR("my.bucket"), false));
    CHECK("custom", endpoint_wants_path_style(STR("my-bucket"), true));
}

static void test_limits(void **state)
{
    (void)state;
    char small[16];
    struct buf text = BUF_FIXED(small);
    struct buf why = BUF_INIT(512);
    struct endpoint place;
    const struct endpoint_config c = { AWS("my-bucket", "eu-west-1") };
    CHECK_EQ("small buffer", endpoint_resolve(&c, false, &text, &place, &why), ST_TOO_LARGE);
    buf_release(&why);
}

/* clang-format off */
static const struct { struct str region; const char *want; } partition_rows[] = {
    { STR_INIT("eu-central-1"),  "aws" },
    { STR_INIT("cn-north-1"),    "aws-cn" },
    { STR_INIT("us-gov-west-1"), "aws-us-gov" },
    { STR_INIT("us-isob-east-1"), "aws-iso-b" },
    { STR_INIT(""),              "aws" },
};
/* clang-format on */

static void test_partitions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(partition_rows); i++)
        CHECK_TEXT(partition_rows[i].want, endpoint_arn_partition(partition_rows[i].region),
                   partition_rows[i].want);
}

TEST_MAIN(cmocka_unit_test(test_aws), cmocka_unit_test(test_custom), cmocka_unit_test(test_public),
          cmocka_unit_test(test_bucket_names), cmocka_unit_test(test_path_style_default),
          cmocka_unit_test(test_limits), cmocka_unit_test(test_partitions))
