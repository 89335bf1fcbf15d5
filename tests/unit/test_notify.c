/*
 * notify against a socket of the test's own: what arrives there, and what must not.
 */
#include "test.h"

#include "manager.h"

enum { SENDS_MAX = 100000 };

static void open_ok(struct notify *n, const struct manager *m)
{
    char space[256];
    struct buf why = BUF_FIXED(space);
    assert_int_equal(notify_open(n, str_from(m->name), &why), ST_OK);
}

/* ---- names -------------------------------------------------------------------------------------- */

static char long_path[128], long_abstract[128];

static void test_names(void **state)
{
    (void)state;
    memset(long_path, 'a', sizeof(long_path));
    memset(long_abstract, 'a', sizeof(long_abstract));
    long_path[0] = '/';
    long_abstract[0] = '@';
    const struct {
        const char *name;
        struct str in;
        enum status want;
        bool open;
    } cases[] = {
        { "no manager", STR(""), ST_OK, false },
        { "path", STR("/run/systemd/notify"), ST_OK, true },
        { "abstract", STR("@manager"), ST_OK, true },
        { "longest path", { long_path, 107 }, ST_OK, true },
        { "longest abstract", { long_abstract, 108 }, ST_OK, true },
        { "path too long", { long_path, 108 }, ST_INVALID, false },
        { "abstract too long", { long_abstract, 109 }, ST_INVALID, false },
        { "root alone", STR("/"), ST_INVALID, false },
        { "@ alone", STR("@"), ST_INVALID, false },
        { "relative", STR("run/notify"), ST_INVALID, false },
        { "blank before", STR(" /run/notify"), ST_INVALID, false },
        { "another family", STR("vsock:2:1234"), ST_INVALID, false },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        char space[512];
        struct buf why = BUF_FIXED(space);
        struct notify n;
        CHECK_EQ(cases[i].name, notify_open(&n, cases[i].in, &why), cases[i].want);
        CHECK_EQ(cases[i].name, n.fd >= 0, cases[i].open);
        CHECK_EQ(cases[i].name, why.len > 0, cases[i].want != ST_OK);
        notify_close(&n);
        CHECK_EQ(cases[i].name, n.fd, -1);
    }
}

/* ---- news --------------------------------------------------------------------------------------- */

static void test_news(void **state)
{
    (void)state;
    struct manager m;
    struct notify n;
    manager_open(&m);
    open_ok(&n, &m);
    notify_ready(&n, STR("answers on [::1]:80"));
    CHECK_TEXT("ready", manager_hears(&m), "READY=1\nSTATUS=answers on [::1]:80");
    notify_reloading(&n, 9223372036854775807, STR("reads"));
    CHECK_TEXT("reloading", manager_hears(&m),
               "RELOADING=1\nMONOTONIC_USEC=9223372036854775807\nSTATUS=reads");
    notify_stopping(&n, STR(""));
    CHECK_TEXT("stopping", manager_hears(&m), "STOPPING=1\nSTATUS=");
    notify_alive(&n);
    CHECK_TEXT("alive", manager_hears(&m), "WATCHDOG=1");
    CHECK("nothing is kept", !notify_again(&n));
    CHECK_TEXT("nothing more", manager_hears(&m), "");
    notify_close(&n);
    close(m.fd);
}

/* A configuration's fault is among the words: it must not speak to the manager itself. */
static void test_words_are_one_line(void **state)
{
    (void)state;
    struct manager m;
    struct notify n;
    manager_open(&m);
    open_ok(&n, &m);
    notify_ready(&n, STR("a\nSTOPPING=1\rb\tc\x7f\0d \xc3\xa9"));
    CHECK_TEXT("one line", manager_hears(&m), "READY=1\nSTATUS=a STOPPING=1 b c  d \xc3\xa9");

    char words[2 * NOTIFY_MAX];
    for (size_t i = 0; i < sizeof(words); i++)
        words[i] = i % 2 ? '\xa9' : '\xc3';
    for (size_t from = 0; from < 2; from++) {
        words[0] = from ? 'x' : '\xc3';
        words[1] = from ? 'y' : '\xa9';
        notify_ready(&n, (struct str){ words + from, sizeof(words) - from });
        const struct str got = manager_hears(&m);
        CHECK("fits", got.len <= NOTIFY_MAX && got.len >= NOTIFY_MAX - 1);
        CHECK("cut between characters", str_valid_utf8(got));
    }
    notify_close(&n);
    close(m.fd);
}

/* A manager that reads late misses signs of life, and no news. */
static void test_full_socket(void **state)
{
    (void)state;
    struct manager m;
    struct notify n;
    manager_open(&m);
    open_ok(&n, &m);
    int sent = 0;
    do
        notify_ready(&n, STR("start"));
    while (!notify_again(&n) && ++sent < SENDS_MAX);
    CHECK("it is full", sent < SENDS_MAX);
    notify_alive(&n);
    notify_stopping(&n, STR("the last"));
    CHECK("kept", notify_again(&n));

    int heard = 0;
    struct str text;
    while ((text = manager_hears(&m)).len > 0) {
        CHECK_TEXT("none of what was kept", text, "READY=1\nSTATUS=start");
        heard++;
    }
    CHECK_EQ("as many as were taken", heard, sent);
    CHECK("taken now", !notify_again(&n));
    CHECK_TEXT("the last", manager_hears(&m), "STOPPING=1\nSTATUS=the last");
    CHECK("once", !notify_again(&n));
    CHECK_TEXT("nothing more", manager_hears(&m), "");
    notify_close(&n);
    close(m.fd);
}

static void test_nobody_there(void **state)
{
    (void)state;
    struct manager m;
    struct notify n;
    manager_open(&m);
    open_ok(&n, &m);
    close(m.fd);
    notify_ready(&n, STR("to a manager that is gone"));
    CHECK("not kept", !notify_again(&n));
    notify_alive(&n);
    notify_close(&n);
    notify_close(&n);

    struct notify none;
    char space[64];
    struct buf why = BUF_FIXED(space);
    assert_int_equal(notify_open(&none, STR(""), &why), ST_OK);
    notify_ready(&none, STR("to nobody"));
    notify_alive(&none);
    CHECK("not kept without a manager", !notify_again(&none));
    notify_close(&none);
}

/* ---- the watchdog's numbers --------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *name;
    struct str usec, pid;
    enum status want;
    int64_t want_ms;
} intervals[] = {
    { "none",              STR_INIT(""),          STR_INIT(""),   ST_OK,      0     },
    { "half of 30 s",      STR_INIT("30000000"),  STR_INIT("42"), ST_OK,      15000 },
    { "no process named",  STR_INIT("1000000"),   STR_INIT(""),   ST_OK,      500   },
    { "another process",   STR_INIT("1000000"),   STR_INIT("43"), ST_OK,      0     },
    { "a process alone",   STR_INIT(""),          STR_INIT("42"), ST_OK,      0     },
    { "very short",        STR_INIT("1"),         STR_INIT("42"), ST_OK,      1     },
    { "zero",              STR_INIT("0"),         STR_INIT("42"), ST_INVALID, 0     },
    { "negative",          STR_INIT("-1"),        STR_INIT("42"), ST_INVALID, 0     },
    { "words",             STR_INIT("30s"),       STR_INIT("42"), ST_INVALID, 0     },
    { "beyond 64 bits",    STR_INIT("99999999999999999999"), STR_INIT("42"), ST_INVALID, 0 },
    { "process of words",  STR_INIT("1000000"),   STR_INIT("me"), ST_INVALID, 0     },
    { "negative process",  STR_INIT("1000000"),   STR_INIT("-42"), ST_INVALID, 0    },
};
/* clang-format on */

static void test_intervals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(intervals); i++) {
        char space[256];
        struct buf why = BUF_FIXED(space);
        int64_t ms = -1;
        CHECK_EQ(intervals[i].name,
                 notify_interval(intervals[i].usec, intervals[i].pid, 42, &ms, &why),
                 intervals[i].want);
        CHECK_EQ(intervals[i].name, ms, intervals[i].want_ms);
        CHECK_EQ(intervals[i].name, why.len > 0, intervals[i].want != ST_OK);
    }
}

TEST_MAIN(cmocka_unit_test(test_names), cmocka_unit_test(test_news),
          cmocka_unit_test(test_words_are_one_line), cmocka_unit_test(test_full_socket),
          cmocka_unit_test(test_nobody_there), cmocka_unit_test(test_intervals))
