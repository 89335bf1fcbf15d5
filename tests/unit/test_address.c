/* Which addresses a call may go to, and which URLs are refused before anything is asked. */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "presignd/address.h"

enum { ANY = 1, METADATA = 2, CONTAINER = 4, LOOPBACK = 8, ALL = 15 };

static const enum call_hosts rules[] = { CALL_HOSTS_ANY, CALL_HOSTS_METADATA, CALL_HOSTS_CONTAINER,
                                         CALL_HOSTS_LOOPBACK };

/* clang-format off */
static const struct { const char *text; unsigned allowed; } addresses[] = {
    { "127.0.0.1",                ALL },
    { "127.255.255.254",          ALL },
    { "::1",                      ALL },
    { "::ffff:127.0.0.1",         ALL },
    { "169.254.170.2",            ANY | METADATA | CONTAINER },
    { "169.254.170.23",           ANY | METADATA | CONTAINER },
    { "fd00:ec2::23",             ANY | METADATA | CONTAINER },
    { "::ffff:169.254.170.2",     ANY | METADATA | CONTAINER },
    { "169.254.170.3",            ANY | METADATA },
    { "169.254.169.254",          ANY | METADATA },
    { "::ffff:169.254.169.254",   ANY | METADATA },
    { "fd00:ec2::254",            ANY | METADATA },
    { "fd00:ec2::24",             ANY | METADATA },
    { "fd00:ec2:0:1::23",         ANY | METADATA },
    { "128.0.0.1",                ANY | METADATA },
    { "126.255.255.255",          ANY | METADATA },
    { "0.0.0.0",                  ANY | METADATA },
    { "10.0.0.1",                 ANY | METADATA },
    { "203.0.113.9",              ANY | METADATA },
    { "2.170.254.169",            ANY | METADATA },
    { "::",                       ANY | METADATA },
    { "::2",                      ANY | METADATA },
    { "::127.0.0.1",              ANY | METADATA },
    { "64:ff9b::7f00:1",          ANY | METADATA },
    { "2001:db8::1",              ANY | METADATA },
};
/* clang-format on */

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage s = { 0 };
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        memcpy(&s, &in, sizeof(in));
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        memcpy(&s, &in6, sizeof(in6));
    else
        fail_msg("%s: no address", text);
    return s;
}

static void test_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(addresses); i++) {
        const struct sockaddr_storage s = address_of(addresses[i].text);
        for (size_t r = 0; r < ROWS(rules); r++)
            CHECK_EQ(addresses[i].text, address_allowed((const struct sockaddr *)&s, rules[r]),
                     (addresses[i].allowed >> r) & 1);
    }
}

static void test_other_families(void **state)
{
    (void)state;
    const struct sockaddr local = { .sa_family = AF_UNIX };
    CHECK("a unix socket is no loopback", !address_allowed(&local, CALL_HOSTS_LOOPBACK));
    CHECK("nor a container's endpoint", !address_allowed(&local, CALL_HOSTS_CONTAINER));
}

/* clang-format off */
static const struct { const char *name; struct str url; unsigned allowed; } urls[] = {
    { "plain",               STR_INIT("http://127.0.0.1:8080/x"),            ALL },
    { "a name",              STR_INIT("http://credentials.local/x"),         ALL },
    { "https name",          STR_INIT("https://example.com"),                ALL },
    { "scheme in capitals",  STR_INIT("HTTP://localhost/"),                  ALL },
    { "IPv6",                STR_INIT("http://[::1]:1/"),                    ALL },
    { "ECS",                 STR_INIT("http://169.254.170.2/v2/x"),          ANY | METADATA | CONTAINER },
    { "EKS IPv6",            STR_INIT("http://[fd00:ec2::23]/v1"),           ANY | METADATA | CONTAINER },
    { "IMDS",                STR_INIT("http://169.254.169.254/"),            ANY | METADATA },
    { "mapped IMDS",         STR_INIT("http://[::ffff:169.254.169.254]/"),   ANY | METADATA },
    { "public address",      STR_INIT("http://203.0.113.9/"),                ANY | METADATA },
    { "as one number",       STR_INIT("http://3405803785/"),                 ANY | METADATA },
    { "in hexadecimal",      STR_INIT("http://0xcb007109/"),                 ANY | METADATA },
    { "in octal",            STR_INIT("http://0313.0.0161.011/"),            ANY | METADATA },
    { "loopback, one number", STR_INIT("http://2130706433/"),                ALL },
    { "public IPv6",         STR_INIT("http://[2001:db8::1]/"),              ANY | METADATA },
    { "empty",               STR_INIT(""),                                   0 },
    { "no scheme",           STR_INIT("127.0.0.1/x"),                        0 },
    { "no scheme, slashes",  STR_INIT("//127.0.0.1/x"),                      0 },
    { "only a path",         STR_INIT("/v2/credentials"),                    0 },
    { "file",                STR_INIT("file:///etc/passwd"),                 0 },
    { "ftp",                 STR_INIT("ftp://127.0.0.1/"),                   0 },
    { "gopher",              STR_INIT("gopher://127.0.0.1/"),                0 },
    { "no host",             STR_INIT("http://"),                            0 },
    { "only a port",         STR_INIT("http://:80/"),                        0 },
    { "user",                STR_INIT("http://127.0.0.1@203.0.113.9/"),      0 },
    { "user and password",   STR_INIT("http://a:b@127.0.0.1/"),              0 },
    { "blank",               STR_INIT("http://127.0.0.1/a b"),               0 },
    { "line break",          STR_INIT("http://127.0.0.1/\r\nX: y"),          0 },
    { "NUL",                 STR_INIT("http://127.0.0.1\0.example.com/"),    0 },
    { "not ASCII",           STR_INIT("http://ex\xc3\xa4mple.com/"),         0 },
    { "bad port",            STR_INIT("http://127.0.0.1:99999/"),            0 },
    { "open bracket",        STR_INIT("http://[::1/"),                       0 },
    { "bad IPv6",            STR_INIT("http://[::g]/"),                      0 },
};
/* clang-format on */

static void test_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(urls); i++)
        for (size_t r = 0; r < ROWS(rules); r++) {
            AUTO(buf) why = BUF_INIT(512);
            const bool allowed = (urls[i].allowed >> r) & 1;
            CHECK_EQ(urls[i].name, address_url_check(urls[i].url, rules[r], &why),
                     allowed ? ST_OK : ST_INVALID);
            CHECK(urls[i].name, allowed == (why.len == 0));
        }
}

static void test_long_url(void **state)
{
    (void)state;
    char text[20000] = "http://127.0.0.1/";
    memset(text + 17, 'a', sizeof(text) - 17);
    AUTO(buf) why = BUF_INIT(512);
    CHECK("over the limit",
          address_url_check((struct str){ text, sizeof(text) }, CALL_HOSTS_ANY, &why) != ST_OK);
}

TEST_MAIN(cmocka_unit_test(test_addresses), cmocka_unit_test(test_other_families),
          cmocka_unit_test(test_urls), cmocka_unit_test(test_long_url))
