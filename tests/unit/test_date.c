/*
 * date: the C library's calendar is the judge over random seconds; readers against tables.
 */
#include "test.h"

#include <time.h>

#include "presignd/date.h"

static const int64_t LAST_S = INT64_C(253402300799);

static void check_against_libc(int64_t s)
{
    struct tm want;
    const time_t t = (time_t)s;
    assert_non_null(gmtime_r(&t, &want));
    const struct date d = date_of(s);
    CHECK_EQ("year", d.year, want.tm_year + 1900);
    CHECK_EQ("month", d.month, want.tm_mon + 1);
    CHECK_EQ("day", d.day, want.tm_mday);
    CHECK_EQ("hour", d.hour, want.tm_hour);
    CHECK_EQ("minute", d.minute, want.tm_min);
    CHECK_EQ("second", d.second, want.tm_sec);
    CHECK_EQ("weekday", d.weekday, want.tm_wday);
    CHECK_EQ("and back", date_unix(&d), s);
    CHECK_EQ("and back by libc", timegm(&want), s);

    char text[64];
    AUTO(buf) b = BUF_INIT(64);
    date_iso(&b, s);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &want);
    CHECK_TEXT("iso", b, text);
    int64_t back = -1;
    CHECK_EQ(text, date_parse_rfc3339(buf_view(&b), &back), ST_OK);
    CHECK_EQ(text, back, s);

    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &want);
    back = -1;
    CHECK_EQ(text, date_parse_http(str_from(text), &back), ST_OK);
    CHECK_EQ(text, back, s);
}

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 20;
}

static void test_against_libc(void **state)
{
    (void)state;
    uint64_t seed = 4;
    for (int i = 0; i < 100000; i++)
        check_against_libc((int64_t)(draw(&seed) % (uint64_t)(LAST_S + 1)));
    for (int64_t day = 0; day < 366 * 140; day++) { /* each day over a century's end */
        check_against_libc(day * 86400);
        check_against_libc(day * 86400 + 86399);
    }
    check_against_libc(LAST_S);
}

/* clang-format off */
typedef void writer(struct buf *out, int64_t at);
static const struct {
    const char *name;
    writer *write;
    int64_t at;
    const char *want;
} written[] = {
    { "iso: epoch",            date_iso,    0,                       "1970-01-01T00:00:00Z" },
    { "iso: AWS's example",    date_iso,    1451347200,              "2015-12-29T00:00:00Z" },
    { "iso: leap day",         date_iso,    1709251199,              "2024-02-29T23:59:59Z" },
    { "iso: last",             date_iso,    INT64_C(253402300799),   "9999-12-31T23:59:59Z" },
    { "iso: beyond",           date_iso,    INT64_C(253402300800),   "9999-12-31T23:59:59Z" },
    { "iso: far beyond",       date_iso,    INT64_MAX,               "9999-12-31T23:59:59Z" },
    { "iso: before",           date_iso,    -1,                      "1970-01-01T00:00:00Z" },
    { "iso: far before",       date_iso,    INT64_MIN,               "1970-01-01T00:00:00Z" },
    { "ms: epoch",             date_iso_ms, 0,                       "1970-01-01T00:00:00.000Z" },
    { "ms: all digits",        date_iso_ms, 1709251199987,           "2024-02-29T23:59:59.987Z" },
    { "ms: zeros in front",    date_iso_ms, 1709251199007,           "2024-02-29T23:59:59.007Z" },
    { "ms: last",              date_iso_ms, INT64_C(253402300799999), "9999-12-31T23:59:59.999Z" },
    { "ms: beyond",            date_iso_ms, INT64_MAX,               "9999-12-31T23:59:59.999Z" },
    { "ms: before",            date_iso_ms, -1,                      "1970-01-01T00:00:00.000Z" },
    { "amz",                   date_amz,    1795293900,              "20261121T204500Z" },
    { "amz: every field",      date_amz,    1440938160,              "20150830T123600Z" },
    { "amz: last",             date_amz,    INT64_MAX,               "99991231T235959Z" },
    { "day",                   date_day,    1795293900,              "20261121" },
    { "day: its last second",  date_day,    1795305599,              "20261121" },
    { "day: the next",         date_day,    1795305600,              "20261122" },
};

static const struct {
    const char *name;
    struct str in;
    int64_t want; /* -1: refused */
} rfc3339[] = {
    { "Z",                     STR_INIT("2026-11-21T20:45:00Z"),            1795293900 },
    { "lower case",            STR_INIT("2026-11-21t20:45:00z"),            1795293900 },
    { "fraction is cut",       STR_INIT("2026-11-21T20:45:00.999999999Z"),  1795293900 },
    { "offset east",           STR_INIT("2026-11-21T21:45:00+01:00"),       1795293900 },
    { "offset west",           STR_INIT("2026-11-21T12:15:00-08:30"),       1795293900 },
    { "fraction and offset",   STR_INIT("2026-11-21T21:45:00.5+01:00"),     1795293900 },
    { "unknown offset",        STR_INIT("2026-11-21T20:45:00-00:00"),       1795293900 },
    { "epoch",                 STR_INIT("1970-01-01T00:00:00Z"),            0 },
    { "an offset brings it in", STR_INIT("1969-12-31T23:30:00-00:30"),      0 },
    { "last",                  STR_INIT("9999-12-31T23:59:59Z"),            INT64_C(253402300799) },
    { "leap day",              STR_INIT("2024-02-29T00:00:00Z"),            1709164800 },
    { "400 years",             STR_INIT("2000-02-29T00:00:00Z"),            951782400 },
    { "empty",                 STR_INIT(""),                                -1 },
    { "no zone",               STR_INIT("2026-11-21T20:45:00"),             -1 },
    { "fraction, no zone",     STR_INIT("2026-11-21T20:45:00.5"),           -1 },
    { "empty fraction",        STR_INIT("2026-11-21T20:45:00.Z"),           -1 },
    { "comma",                 STR_INIT("2026-11-21T20:45:00,5Z"),          -1 },
    { "two fractions",         STR_INIT("2026-11-21T20:45:00.5.5Z"),        -1 },
    { "a blank for T",         STR_INIT("2026-11-21 20:45:00Z"),            -1 },
    { "blank in front",        STR_INIT(" 2026-11-21T20:45:00Z"),           -1 },
    { "blank behind",          STR_INIT("2026-11-21T20:45:00Z "),           -1 },
    { "NUL behind",            STR_INIT("2026-11-21T20:45:00Z\0"),          -1 },
    { "more behind",           STR_INIT("2026-11-21T20:45:00ZZ"),           -1 },
    { "before the epoch",      STR_INIT("1969-12-31T23:59:59Z"),            -1 },
    { "offset before it",      STR_INIT("1970-01-01T00:00:00+00:01"),       -1 },
    { "offset beyond",         STR_INIT("9999-12-31T23:59:59-00:01"),       -1 },
    { "year 0",                STR_INIT("0000-01-01T00:00:00Z"),            -1 },
    { "five digits of a year", STR_INIT("12026-11-21T20:45:00Z"),           -1 },
    { "month 0",               STR_INIT("2026-00-21T20:45:00Z"),            -1 },
    { "month 13",              STR_INIT("2026-13-21T20:45:00Z"),            -1 },
    { "day 0",                 STR_INIT("2026-11-00T20:45:00Z"),            -1 },
    { "day 31 of 30",          STR_INIT("2026-11-31T20:45:00Z"),            -1 },
    { "day 32",                STR_INIT("2026-12-32T20:45:00Z"),            -1 },
    { "no leap year",          STR_INIT("2026-02-29T20:45:00Z"),            -1 },
    { "no leap century",       STR_INIT("2100-02-29T20:45:00Z"),            -1 },
    { "hour 24",               STR_INIT("2026-11-21T24:00:00Z"),            -1 },
    { "minute 60",             STR_INIT("2026-11-21T20:60:00Z"),            -1 },
    { "leap second",           STR_INIT("2016-12-31T23:59:60Z"),            -1 },
    { "no seconds",            STR_INIT("2026-11-21T20:45Z"),               -1 },
    { "date only",             STR_INIT("2026-11-21"),                      -1 },
    { "basic form",            STR_INIT("20261121T204500Z"),                -1 },
    { "a sign in a field",     STR_INIT("2026-11-21T20:45:+1Z"),            -1 },
    { "blank in a field",      STR_INIT("2026-11-21T20:45: 1Z"),            -1 },
    { "wrong separator",       STR_INIT("2026/11/21T20:45:00Z"),            -1 },
    { "wrong colon",           STR_INIT("2026-11-21T20.45.00Z"),            -1 },
    { "offset hour 24",        STR_INIT("2026-11-21T20:45:00+24:00"),       -1 },
    { "offset minute 60",      STR_INIT("2026-11-21T20:45:00+01:60"),       -1 },
    { "offset without colon",  STR_INIT("2026-11-21T20:45:00+0100"),        -1 },
    { "offset of hours",       STR_INIT("2026-11-21T20:45:00+01"),          -1 },
    { "offset without sign",   STR_INIT("2026-11-21T20:45:00 01:00"),       -1 },
    { "Z and an offset",       STR_INIT("2026-11-21T20:45:00Z+01:00"),      -1 },
};

static const struct {
    const char *name;
    struct str in;
    int64_t want; /* -1: refused */
} http[] = {
    { "RFC 9110's example",   STR_INIT("Sun, 06 Nov 1994 08:49:37 GMT"),   784111777 },
    { "epoch",                STR_INIT("Thu, 01 Jan 1970 00:00:00 GMT"),   0 },
    { "leap day",             STR_INIT("Thu, 29 Feb 2024 00:00:00 GMT"),   1709164800 },
    { "empty",                STR_INIT(""),                                -1 },
    { "another weekday",      STR_INIT("Mon, 06 Nov 1994 08:49:37 GMT"),   -1 },
    { "no weekday",           STR_INIT("Xyz, 06 Nov 1994 08:49:37 GMT"),   -1 },
    { "weekday in lower case", STR_INIT("sun, 06 Nov 1994 08:49:37 GMT"),  -1 },
    { "month in lower case",  STR_INIT("Sun, 06 nov 1994 08:49:37 GMT"),   -1 },
    { "no month",             STR_INIT("Sun, 06 Abc 1994 08:49:37 GMT"),   -1 },
    { "month across words",   STR_INIT("Sun, 06 anF 1994 08:49:37 GMT"),   -1 },
    { "one digit of a day",   STR_INIT("Sun, 6 Nov 1994 08:49:37 GMT"),    -1 },
    { "blank for a digit",    STR_INIT("Sun,  6 Nov 1994 08:49:37 GMT"),   -1 },
    { "UTC",                  STR_INIT("Sun, 06 Nov 1994 08:49:37 UTC"),   -1 },
    { "offset",               STR_INIT("Sun, 06 Nov 1994 08:49:37 +0000"), -1 },
    { "RFC 850",              STR_INIT("Sunday, 06-Nov-94 08:49:37 GMT"),  -1 },
    { "asctime",              STR_INIT("Sun Nov  6 08:49:37 1994"),        -1 },
    { "day 31 of 30",         STR_INIT("Thu, 31 Nov 1994 08:49:37 GMT"),   -1 },
    { "day 0",                STR_INIT("Mon, 00 Nov 1994 08:49:37 GMT"),   -1 },
    { "hour 24",              STR_INIT("Sun, 06 Nov 1994 24:49:37 GMT"),   -1 },
    { "minute 60",            STR_INIT("Sun, 06 Nov 1994 08:60:37 GMT"),   -1 },
    { "second 60",            STR_INIT("Sun, 06 Nov 1994 08:49:60 GMT"),   -1 },
    { "before the epoch",     STR_INIT("Wed, 31 Dec 1969 23:59:59 GMT"),   -1 },
    { "more behind",          STR_INIT("Sun, 06 Nov 1994 08:49:37 GMT "),  -1 },
    { "NUL within",           STR_INIT("Sun, 06 Nov 1994 08:49:37\0GMT"),  -1 },
};
/* clang-format on */

static void test_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(written); i++) {
        AUTO(buf) b = BUF_INIT(64);
        written[i].write(&b, written[i].at);
        CHECK_TEXT(written[i].name, b, written[i].want);
    }
}

static void test_rfc3339(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(rfc3339); i++) {
        int64_t got = -1;
        CHECK_EQ(rfc3339[i].name, date_parse_rfc3339(rfc3339[i].in, &got),
                 rfc3339[i].want < 0 ? ST_INVALID : ST_OK);
        CHECK_EQ(rfc3339[i].name, got, rfc3339[i].want);
    }
}

static void test_http(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(http); i++) {
        int64_t got = -1;
        CHECK_EQ(http[i].name, date_parse_http(http[i].in, &got),
                 http[i].want < 0 ? ST_INVALID : ST_OK);
        CHECK_EQ(http[i].name, got, http[i].want);
    }
}

/* Every beginning of a good text is refused: nothing is read past the end. */
static void test_beginnings(void **state)
{
    (void)state;
    const struct str whole = STR("2026-11-21T20:45:00.25+01:00");
    const struct str date = STR("Sun, 06 Nov 1994 08:49:37 GMT");
    int64_t got;
    for (size_t n = 0; n < whole.len; n++) {
        char *exact = malloc(n + 1);
        assert_non_null(exact);
        memcpy(exact, whole.ptr, n);
        CHECK_EQ("rfc3339", date_parse_rfc3339((struct str){ exact, n }, &got), ST_INVALID);
        memcpy(exact, date.ptr, n);
        CHECK_EQ("http", date_parse_http((struct str){ exact, n }, &got), ST_INVALID);
        free(exact);
    }
}

static void test_spans(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { int64_t seconds; const char *text; } rows[] = {
        { 0, "0 s" }, { -3, "-3 s" }, { 119, "119 s" }, { 120, "2 min" }, { 7199, "119 min" },
        { 7200, "2 h" }, { 172799, "47 h" }, { 172800, "2 days" }, { 864000, "10 days" },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        AUTO(buf) out = BUF_INIT(64);
        date_span(&out, rows[i].seconds);
        CHECK_TEXT(rows[i].text, out, rows[i].text);
    }
}

TEST_MAIN(cmocka_unit_test(test_against_libc), cmocka_unit_test(test_written),
          cmocka_unit_test(test_spans), cmocka_unit_test(test_rfc3339), cmocka_unit_test(test_http),
          cmocka_unit_test(test_beginnings))
