/*
 * inherited: descriptors of every kind at numbers of the test's own, with what was said about them.
 */
#include "test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "presignd/inherited.h"

enum { FIRST = 200, PLACES = 3, OWN_PID = 42 };

enum kind { CLOSED, LISTENS, LISTENS_SIX, SILENT, DATAGRAMS, LOCAL, A_FILE, THE_FIRST };

static void bind_free(int fd, int family)
{
    const struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    const struct sockaddr_in four = { .sin_family = AF_INET,
                                      .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const sa_family_t local = AF_UNIX; /* alone: the kernel finds a name */
    const struct sockaddr *at = (const struct sockaddr *)&four;
    socklen_t len = sizeof(four);
    if (family == AF_INET6) {
        at = (const struct sockaddr *)&six;
        len = sizeof(six);
    } else if (family == AF_UNIX) {
        at = (const struct sockaddr *)&local;
        len = sizeof(local);
    }
    assert_int_equal(bind(fd, at, len), 0);
}

static int make(enum kind kind)
{
    if (kind == THE_FIRST)
        return dup(FIRST);
    if (kind == A_FILE)
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    const int family = kind == LISTENS_SIX ? AF_INET6 : kind == LOCAL ? AF_UNIX : AF_INET;
    const int fd = socket(family, kind == DATAGRAMS ? SOCK_DGRAM : SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (kind == SILENT || kind == DATAGRAMS)
        return fd;
    bind_free(fd, family);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void place(int at, enum kind kind)
{
    close(at);
    if (kind == CLOSED)
        return;
    const int fd = make(kind);
    assert_int_equal(dup2(fd, at), at);
    close(fd);
}

/* clang-format off */
static const struct {
    const char *name;
    struct str pid, fds, names;
    enum kind kinds[PLACES];
    enum status want;
    int public_fd, admin_fd;
} cases[] = {
    { "nothing said",      STR_INIT(""),   STR_INIT(""),  STR_INIT(""),             { LISTENS },              ST_OK, -1, -1 },
    { "one",               STR_INIT("42"), STR_INIT("1"), STR_INIT("public"),       { LISTENS },              ST_OK, FIRST, -1 },
    { "one of IPv6",       STR_INIT("42"), STR_INIT("1"), STR_INIT("public"),       { LISTENS_SIX },          ST_OK, FIRST, -1 },
    { "one without name",  STR_INIT("42"), STR_INIT("1"), STR_INIT(""),             { LISTENS },              ST_OK, FIRST, -1 },
    { "admin alone",       STR_INIT("42"), STR_INIT("1"), STR_INIT("admin"),        { LISTENS },              ST_OK, -1, FIRST },
    { "both",              STR_INIT("42"), STR_INIT("2"), STR_INIT("admin:public"), { LISTENS, LISTENS },     ST_OK, FIRST + 1, FIRST },
    { "none",              STR_INIT("42"), STR_INIT("0"), STR_INIT(""),             { LISTENS },              ST_OK, -1, -1 },
    { "another process",   STR_INIT("43"), STR_INIT("1"), STR_INIT("public"),       { LISTENS },              ST_OK, -1, -1 },
    { "no process",        STR_INIT(""),   STR_INIT("1"), STR_INIT("public"),       { LISTENS },              ST_OK, -1, -1 },
    { "process of words",  STR_INIT("me"), STR_INIT("1"), STR_INIT("public"),       { LISTENS },              ST_INVALID, -1, -1 },
    { "count of words",    STR_INIT("42"), STR_INIT("x"), STR_INIT("public"),       { LISTENS },              ST_INVALID, -1, -1 },
    { "negative count",    STR_INIT("42"), STR_INIT("-1"), STR_INIT("public"),      { LISTENS },              ST_INVALID, -1, -1 },
    { "count beyond all",  STR_INIT("42"), STR_INIT("2147483647"), STR_INIT("public"), { LISTENS },           ST_INVALID, -1, -1 },
    { "two without names", STR_INIT("42"), STR_INIT("2"), STR_INIT(""),             { LISTENS, LISTENS },     ST_INVALID, -1, -1 },
    { "one name of two",   STR_INIT("42"), STR_INIT("2"), STR_INIT("public"),       { LISTENS, LISTENS },     ST_INVALID, -1, -1 },
    { "empty name",        STR_INIT("42"), STR_INIT("2"), STR_INIT("public:"),      { LISTENS, LISTENS },     ST_INVALID, -1, -1 },
    { "the unit's name",   STR_INIT("42"), STR_INIT("1"), STR_INIT("presignd.socket"), { LISTENS },           ST_INVALID, -1, -1 },
    { "twice the same",    STR_INIT("42"), STR_INIT("2"), STR_INIT("public:public"), { LISTENS, LISTENS },    ST_INVALID, -1, -1 },
    { "both the same",     STR_INIT("42"), STR_INIT("2"), STR_INIT("public:admin"), { LISTENS, THE_FIRST },   ST_INVALID, -1, -1 },
    { "three",             STR_INIT("42"), STR_INIT("3"), STR_INIT("public:admin:more"), { LISTENS, LISTENS, LISTENS }, ST_INVALID, -1, -1 },
    { "not open",          STR_INIT("42"), STR_INIT("1"), STR_INIT("public"),       { CLOSED },               ST_INVALID, -1, -1 },
    { "second not open",   STR_INIT("42"), STR_INIT("2"), STR_INIT("public:admin"), { LISTENS, CLOSED },      ST_INVALID, -1, -1 },
    { "a file",            STR_INIT("42"), STR_INIT("1"), STR_INIT("public"),       { A_FILE },               ST_INVALID, -1, -1 },
    { "does not listen",   STR_INIT("42"), STR_INIT("1"), STR_INIT("public"),       { SILENT },               ST_INVALID, -1, -1 },
    { "datagrams",         STR_INIT("42"), STR_INIT("1"), STR_INIT("public"),       { DATAGRAMS },            ST_INVALID, -1, -1 },
    { "local",             STR_INIT("42"), STR_INIT("1"), STR_INIT("public"),       { LOCAL },                ST_INVALID, -1, -1 },
};
/* clang-format on */

static void test_take(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        char space[512];
        struct buf why = BUF_FIXED(space);
        struct inherited in;
        for (int k = 0; k < PLACES; k++)
            place(FIRST + k, cases[i].kinds[k]);
        const struct inherited_ask ask = { .pid = cases[i].pid,
                                           .fds = cases[i].fds,
                                           .names = cases[i].names,
                                           .own_pid = OWN_PID,
                                           .first_fd = FIRST };
        CHECK_EQ(cases[i].name, inherited_take(&in, &ask, &why), cases[i].want);
        CHECK_EQ(cases[i].name, in.public_fd, cases[i].public_fd);
        CHECK_EQ(cases[i].name, in.admin_fd, cases[i].admin_fd);
        CHECK_EQ(cases[i].name, why.len > 0, cases[i].want != ST_OK);
        for (int k = 0; k < PLACES; k++)
            CHECK_EQ(cases[i].name, fcntl(FIRST + k, F_GETFD) >= 0, cases[i].kinds[k] != CLOSED);
        inherited_close(&in);
        CHECK_EQ(cases[i].name, in.public_fd, -1);
    }
    for (int k = 0; k < PLACES; k++)
        close(FIRST + k);
}

static void test_prepared(void **state)
{
    (void)state;
    char space[256];
    struct buf why = BUF_FIXED(space);
    struct inherited in;
    place(FIRST, LISTENS);
    CHECK("it would block", !(fcntl(FIRST, F_GETFL) & O_NONBLOCK));
    const struct inherited_ask ask = { STR("42"), STR("1"), STR("public"), OWN_PID, FIRST };
    assert_int_equal(inherited_take(&in, &ask, &why), ST_OK);
    CHECK("never blocks", fcntl(FIRST, F_GETFL) & O_NONBLOCK);
    CHECK_EQ("closes on exec", fcntl(FIRST, F_GETFD), FD_CLOEXEC);
    int on = 0;
    socklen_t len = sizeof(on);
    assert_int_equal(getsockopt(FIRST, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    CHECK("sends at once", on);

    const int other = inherited_share(in.public_fd);
    CHECK("another number", other >= INHERITED_FIRST_FD && other != FIRST);
    CHECK_EQ("closes on exec too", fcntl(other, F_GETFD), FD_CLOEXEC);
    inherited_close(&in);
    char text[64];
    struct buf at = BUF_FIXED(text);
    uint16_t port = 0;
    CHECK("the socket lives on", inherited_address(other, &at, &port));
    close(other);
    CHECK_EQ("nothing to share", inherited_share(FIRST), -1);
}

static void test_address(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name; enum kind kind; struct str starts; bool want; } rows[] = {
        { "IPv4",   LISTENS,     STR_INIT("127.0.0.1:"), true  },
        { "IPv6",   LISTENS_SIX, STR_INIT("[::1]:"),     true  },
        { "local",  LOCAL,       STR_INIT(""),           false },
        { "a file", A_FILE,      STR_INIT(""),           false },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        char space[64];
        struct buf text = BUF_FIXED(space);
        uint16_t port = 0;
        const int fd = make(rows[i].kind);
        CHECK_EQ(rows[i].name, inherited_address(fd, &text, &port), rows[i].want);
        CHECK_EQ(rows[i].name, port > 0, rows[i].want);
        CHECK(rows[i].name, str_starts(buf_view(&text), rows[i].starts));
        int64_t written = 0;
        const struct str digits = str_slice(buf_view(&text), rows[i].starts.len, text.len);
        CHECK(rows[i].name, !rows[i].want || str_to_int(digits, UINT16_MAX, &written));
        CHECK_EQ(rows[i].name, written, port);
        close(fd);
    }
}

TEST_MAIN(cmocka_unit_test(test_take), cmocka_unit_test(test_prepared),
          cmocka_unit_test(test_address))
