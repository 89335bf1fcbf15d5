#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "presignd/access_log.h"

/* clang-format off */
static const struct { const char *name; struct str in; enum status want; int bits; } cidrs[] = {
    { "IPv4 net",            STR_INIT("10.0.0.0/8"),         ST_OK,      104 },
    { "IPv4 alone",          STR_INIT("192.0.2.1"),          ST_OK,      128 },
    { "IPv4 all",            STR_INIT("0.0.0.0/0"),          ST_OK,      96  },
    { "IPv4 /32",            STR_INIT("192.0.2.1/32"),       ST_OK,      128 },
    { "IPv4 /25",            STR_INIT("192.0.2.128/25"),     ST_OK,      121 },
    { "IPv6 net",            STR_INIT("2001:db8::/32"),      ST_OK,      32  },
    { "IPv6 alone",          STR_INIT("::1"),                ST_OK,      128 },
    { "IPv6 all",            STR_INIT("::/0"),               ST_OK,      0   },
    { "empty",               STR_INIT(""),                   ST_INVALID, 0   },
    { "slash only",          STR_INIT("/8"),                 ST_INVALID, 0   },
    { "no length",           STR_INIT("10.0.0.0/"),          ST_INVALID, 0   },
    { "length too large",    STR_INIT("10.0.0.0/33"),        ST_INVALID, 0   },
    { "IPv6 length",         STR_INIT("::/129"),             ST_INVALID, 0   },
    { "length not decimal",  STR_INIT("10.0.0.0/0x8"),       ST_INVALID, 0   },
    { "length signed",       STR_INIT("10.0.0.0/+8"),        ST_INVALID, 0   },
    { "length huge",         STR_INIT("10.0.0.0/00000000000000000008"), ST_INVALID, 0 },
    { "host bits",           STR_INIT("10.0.0.1/8"),         ST_INVALID, 0   },
    { "last host bit",       STR_INIT("192.0.2.1/31"),       ST_INVALID, 0   },
    { "IPv6 host bits",      STR_INIT("2001:db8::1/32"),     ST_INVALID, 0   },
    { "three numbers",       STR_INIT("10.0.0/8"),           ST_INVALID, 0   },
    { "octal",               STR_INIT("010.0.0.0/8"),        ST_INVALID, 0   },
    { "256",                 STR_INIT("10.0.0.256"),         ST_INVALID, 0   },
    { "blank",               STR_INIT(" 10.0.0.0/8"),        ST_INVALID, 0   },
    { "NUL",                 STR_INIT("10.0.0.0\0/8"),       ST_INVALID, 0   },
    { "name",                STR_INIT("localhost"),          ST_INVALID, 0   },
    { "zone",                STR_INIT("fe80::1%eth0"),       ST_INVALID, 0   },
    { "two slashes",         STR_INIT("10.0.0.0/8/8"),       ST_INVALID, 0   },
    { "too long",            STR_INIT("1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb"), ST_INVALID, 0 },
};

static const struct { const char *name, *peer; struct str forwarded; const char *want; } clients[] = {
    { "nobody trusted",       "192.0.2.9",       STR_INIT("203.0.113.7"),                 "192.0.2.9"   },
    { "no header",            "10.0.0.1",        STR_INIT(""),                            "10.0.0.1"    },
    { "one",                  "10.0.0.1",        STR_INIT("203.0.113.7"),                 "203.0.113.7" },
    { "forged in front",      "10.0.0.1",        STR_INIT("1.1.1.1, 203.0.113.7"),        "203.0.113.7" },
    { "through two",          "10.0.0.1",        STR_INIT("1.1.1.1, 203.0.113.7,10.2.3.4"), "203.0.113.7" },
    { "all trusted",          "10.0.0.1",        STR_INIT("10.1.1.1, 10.2.3.4"),          "10.1.1.1"    },
    { "port",                 "10.0.0.1",        STR_INIT("203.0.113.7:4711"),            "203.0.113.7" },
    { "IPv6",                 "10.0.0.1",        STR_INIT("2001:DB8::7"),                 "2001:db8::7" },
    { "IPv6 in brackets",     "10.0.0.1",        STR_INIT("[2001:db8::7]"),               "2001:db8::7" },
    { "IPv6 with port",       "10.0.0.1",        STR_INIT("[2001:db8::7]:4711"),          "2001:db8::7" },
    { "mapped",               "::ffff:10.0.0.1", STR_INIT("203.0.113.7"),                 "203.0.113.7" },
    { "mapped entry",         "10.0.0.1",        STR_INIT("::ffff:203.0.113.7"),          "203.0.113.7" },
    { "trusted IPv6",         "2001:db8::1",     STR_INIT("203.0.113.7"),                 "203.0.113.7" },
    { "stranger IPv6",        "2001:db9::1",     STR_INIT("203.0.113.7"),                 "2001:db9::1" },
    { "blanks and tabs",      "10.0.0.1",        STR_INIT(" \t203.0.113.7\t "),           "203.0.113.7" },
    { "garbage at the right", "10.0.0.1",        STR_INIT("203.0.113.7, x"),              "10.0.0.1"    },
    { "garbage in between",   "10.0.0.1",        STR_INIT("203.0.113.7, x, 10.9.9.9"),    "10.9.9.9"    },
    { "empty entry",          "10.0.0.1",        STR_INIT("203.0.113.7,"),                "10.0.0.1"    },
    { "unknown",              "10.0.0.1",        STR_INIT("unknown"),                     "10.0.0.1"    },
    { "script",               "10.0.0.1",        STR_INIT("<script>alert(1)</script>"),   "10.0.0.1"    },
    { "bad port",             "10.0.0.1",        STR_INIT("203.0.113.7:x"),               "10.0.0.1"    },
    { "empty port",           "10.0.0.1",        STR_INIT("203.0.113.7:"),                "10.0.0.1"    },
    { "port too large",       "10.0.0.1",        STR_INIT("203.0.113.7:65536"),           "10.0.0.1"    },
    { "bracket open",         "10.0.0.1",        STR_INIT("[2001:db8::7"),                "10.0.0.1"    },
    { "bracket and more",     "10.0.0.1",        STR_INIT("[2001:db8::7]x"),              "10.0.0.1"    },
};
/* clang-format on */

static void test_cidr(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cidrs); i++) {
        struct cidr c = { .bits = -1 };
        CHECK_EQ(cidrs[i].name, cidr_parse(cidrs[i].in, &c), cidrs[i].want);
        CHECK_EQ(cidrs[i].name, c.bits, cidrs[i].want == ST_OK ? cidrs[i].bits : -1);
    }
}

static void peer_address(const char *text, struct sockaddr_storage *out)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        memcpy(out, &in, sizeof(in));
        return;
    }
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    memcpy(out, &in6, sizeof(in6));
}

static void test_client(void **state)
{
    (void)state;
    struct cidr trusted[2];
    assert_int_equal(cidr_parse(STR("10.0.0.0/8"), &trusted[0]), ST_OK);
    assert_int_equal(cidr_parse(STR("2001:db8::/33"), &trusted[1]), ST_OK);
    for (size_t i = 0; i < ROWS(clients); i++) {
        struct sockaddr_storage peer;
        char space[CLIENT_TEXT];
        struct buf out = BUF_FIXED(space);
        peer_address(clients[i].peer, &peer);
        access_client(&out, (const struct sockaddr *)&peer, trusted, 2, clients[i].forwarded);
        CHECK_TEXT(clients[i].name, buf_view(&out), clients[i].want);
    }
    char space[CLIENT_TEXT];
    struct buf out = BUF_FIXED(space);
    const struct sockaddr local = { .sa_family = AF_UNIX };
    access_client(&out, &local, trusted, 2, STR("203.0.113.7"));
    access_client(&out, NULL, trusted, 2, STR("203.0.113.7"));
    CHECK_TEXT("no address", buf_view(&out), "--");
}

/* ---- the line ----------------------------------------------------------------------------------- */

static void more(const struct request *r, struct jw *line)
{
    (void)r;
    jw_str(line, "user", STR("u"));
}

/* What one call writes, as text with its newline; `out` has room for a line. */
static size_t written(const struct request *r, int http, char *out, size_t room)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    log_setup(fds[1], LOG_LEVEL_INFO);
    access_log_write(r, STR("192.0.2.1"), http, 1234, 77);
    log_flush();
    close(fds[1]);
    const ssize_t n = read(fds[0], out, room - 1);
    assert_true(n > 0);
    out[n] = '\0';
    close(fds[0]);
    log_setup(STDERR_FILENO, LOG_LEVEL_INFO);
    return (size_t)n;
}

static void test_line(void **state)
{
    (void)state;
    static const struct route route = { .label = "upload", .log = more };
    struct request r = {
        .route = &route,
        .method = HTTP_POST,
        .path = STR("/v1/uploads"),
        .id = "id-1",
        .correlation = STR("c-1"),
        .wall_us = 1000000,
    };
    r.fault.status = ST_INVALID_TOKEN;
    r.fault.log_reason = STR("signature");
    char line[4096];
    written(&r, 401, line, sizeof(line));
    assert_string_equal(line,
                        "{\"time\":\"1970-01-01T00:00:01.000Z\",\"level\":\"info\",\"event\":"
                        "\"request\",\"request_id\":\"id-1\",\"correlation_id\":\"c-1\",\"client\":"
                        "\"192.0.2.1\",\"method\":\"POST\",\"path\":\"/v1/uploads\",\"route\":"
                        "\"upload\",\"status\":401,\"code\":\"invalid_token\",\"reason\":"
                        "\"signature\",\"bytes\":77,\"duration_ms\":1.234,\"user\":\"u\"}\n");
}

static void test_line_hostile(void **state)
{
    (void)state;
    static char path[3000];
    memset(path, 'p', sizeof(path));
    memcpy(path, "/a\"\n\x1b[2J", 8);
    struct request r = { .path = { path, sizeof(path) }, .id = "id-2" };
    char line[4096];
    const size_t n = written(&r, 404, line, sizeof(line));
    assert_true(n < 700);
    assert_ptr_equal(strchr(line, '\n'), line + n - 1);
    assert_null(strchr(line, '\x1b'));
    assert_non_null(strstr(line, "\"method\":\"OTHER\",\"path\":\"/a\\\"\\n\\u001b[2Jppp"));
    assert_null(strstr(line, "\"route\""));
    assert_null(strstr(line, "\"code\""));
}

TEST_MAIN(cmocka_unit_test(test_cidr), cmocka_unit_test(test_client), cmocka_unit_test(test_line),
          cmocka_unit_test(test_line_hostile))
