/*
 * limits: tables for the edges, then thousands of random histories against a slow model that keeps
 * every event and counts all of them again for each question. Its calendar is the C library's; its
 * rate is the promise itself: no stretch of time holds more than burst + elapsed / step requests.
 */
#include "test.h"

#include <stdio.h>
#include <time.h>

#include "presignd/limits.h"

#define S_US  INT64_C(1000000)
#define T0_S  INT64_C(1795000000) /* 2026-11-18T11:06:40Z */
#define T0    (T0_S * S_US)
#define NEVER 0

static const struct limit rate_60 = {
    .name = STR_INIT("requests"), .kind = LIMIT_RATE, .max = 60, .window_s = 60, .burst = 3
};
static const struct limit hourly = {
    .name = STR_INIT("files_an_hour"), .kind = LIMIT_COUNT, .max = 5, .window_s = 3600
};
static const struct limit stored = {
    .name = STR_INIT("stored"), .kind = LIMIT_BYTES, .max = 1000, .window_s = WINDOW_FOREVER
};
static const struct limit opened = { .name = STR_INIT("open"), .kind = LIMIT_OPEN, .max = 2 };

static struct plan plan_of(const struct limit *limits, size_t n)
{
    return (struct plan){ .name = STR("p"), .limits = limits, .n_limits = n };
}

/* ---- windows -------------------------------------------------------------------------------------- */

static int64_t utc(int year, int month, int day, int hour, int minute, int second)
{
    struct tm tm = { .tm_year = year - 1900,
                     .tm_mon = month - 1,
                     .tm_mday = day,
                     .tm_hour = hour,
                     .tm_min = minute,
                     .tm_sec = second };
    return (int64_t)timegm(&tm);
}

static void test_months(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int now[6], start[2], end[2]; /* year, month */
    } cases[] = {
        { "its first second", { 2026, 11, 1, 0, 0, 0 }, { 2026, 11 }, { 2026, 12 } },
        { "the last of October", { 2026, 10, 31, 23, 59, 59 }, { 2026, 10 }, { 2026, 11 } },
        { "the year's end", { 2026, 12, 31, 23, 59, 59 }, { 2026, 12 }, { 2027, 1 } },
        { "the year's beginning", { 2027, 1, 1, 0, 0, 0 }, { 2027, 1 }, { 2027, 2 } },
        { "28 February", { 2027, 2, 28, 23, 59, 59 }, { 2027, 2 }, { 2027, 3 } },
        { "28 February of a leap year", { 2028, 2, 28, 23, 59, 59 }, { 2028, 2 }, { 2028, 3 } },
        { "29 February", { 2028, 2, 29, 12, 0, 0 }, { 2028, 2 }, { 2028, 3 } },
        { "1 March of a leap year", { 2028, 3, 1, 0, 0, 0 }, { 2028, 3 }, { 2028, 4 } },
        { "2100 has no leap day", { 2100, 3, 1, 0, 0, 0 }, { 2100, 3 }, { 2100, 4 } },
        { "2000 had one", { 2000, 2, 29, 0, 0, 0 }, { 2000, 2 }, { 2000, 3 } },
        { "the beginning", { 1970, 1, 1, 0, 0, 0 }, { 1970, 1 }, { 1970, 2 } },
    };
    const struct limit monthly = { .kind = LIMIT_BYTES, .max = 1, .window_s = WINDOW_MONTH };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const int *t = cases[i].now;
        const int64_t now_s = utc(t[0], t[1], t[2], t[3], t[4], t[5]);
        const int64_t start_s = limit_window_start(&monthly, now_s);
        CHECK_EQ(cases[i].name, start_s, utc(cases[i].start[0], cases[i].start[1], 1, 0, 0, 0));
        CHECK_EQ(cases[i].name, limit_window_end(&monthly, start_s),
                 utc(cases[i].end[0], cases[i].end[1], 1, 0, 0, 0));
    }
}

static void test_windows(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum limit_kind kind;
        int64_t window_s, now_s, start_s, end_s;
    } cases[] = {
        { "a day", LIMIT_COUNT, 86400, 1794960000 + 86399, 1794960000, 1794960000 + 86400 },
        { "a day's first second", LIMIT_COUNT, 86400, 1794960000, 1794960000, 1795046400 },
        { "seven seconds", LIMIT_BYTES, 7, 1795000000, 1794999997, 1795000004 },
        { "one second", LIMIT_BYTES, 1, 1795000000, 1795000000, 1795000001 },
        { "longer than time", LIMIT_BYTES, INT64_C(1) << 40, 1795000000, 0, INT64_C(1) << 40 },
        { "for ever", LIMIT_BYTES, WINDOW_FOREVER, 1795000000, 0, 0 },
        { "a rate has none", LIMIT_RATE, 60, 1795000000, 0, 0 },
        { "open has none", LIMIT_OPEN, 0, 1795000000, 0, 0 },
        { "before time", LIMIT_COUNT, 60, -5, 0, 60 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct limit l = { .kind = cases[i].kind, .max = 1, .window_s = cases[i].window_s };
        CHECK_EQ(cases[i].name, limit_window_start(&l, cases[i].now_s), cases[i].start_s);
        CHECK_EQ(cases[i].name, limit_window_end(&l, cases[i].start_s), cases[i].end_s);
    }
}

static void test_steps(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t max, window_s, want;
    } cases[] = {
        { "one a second", 60, 60, 1000000 },
        { "rounded up", 7, 1, 142858 },
        { "a third", 3, 1, 333334 },
        { "faster than the clock", 5000000, 1, 1 },
        { "one a day", 1, 86400, INT64_C(86400000000) },
        { "as large as numbers get", LIMITS_NUMBER_MAX, LIMITS_NUMBER_MAX, 1 },
        { "slower than all", 1, LIMITS_NUMBER_MAX, INT64_C(4503599627000000) },
        { "none at all", 0, 60, INT64_C(1) << 52 },
        { "no window", 5, 0, INT64_C(1) << 52 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct limit l = {
            .kind = LIMIT_RATE, .max = cases[i].max, .window_s = cases[i].window_s, .burst = 1
        };
        CHECK_EQ(cases[i].name, limit_step_us(&l), cases[i].want);
    }
}

/* ---- one question ---------------------------------------------------------------------------------- */

static enum status ask_plan(const struct plan *p, struct tally *t, struct limits_ask ask,
                            struct limits_verdict *v)
{
    for (size_t i = 0; i < p->n_limits; i++)
        tally_roll(&t[i], &p->limits[i], ask.now_us);
    const enum status st = limits_check(p, t, &ask, v);
    if (st == ST_OK)
        limits_take(p, t, &ask);
    return st;
}

/* How many requests pass at one instant. */
static int64_t burst_at(const struct limit *l, struct tally *t, int64_t now_us)
{
    const struct plan p = plan_of(l, 1);
    struct limits_verdict v;
    int64_t passed = 0;
    while (passed < 1000 &&
           ask_plan(&p, t, (struct limits_ask){ .now_us = now_us, .files = 1 }, &v) == ST_OK)
        passed++;
    return passed;
}

static void test_burst(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t max, window_s, burst, later_us, want;
    } cases[] = {
        { "at once", 60, 60, 3, 0, 0 },
        { "a microsecond early", 60, 60, 3, 999999, 0 },
        { "one step", 60, 60, 3, 1000000, 1 },
        { "two steps but one", 60, 60, 3, 1999999, 1 },
        { "two steps", 60, 60, 3, 2000000, 2 },
        { "all steps", 60, 60, 3, 3000000, 3 },
        { "no more than the burst", 60, 60, 3, 3600000000, 3 },
        { "no burst", 1, 10, 1, 9999999, 0 },
        { "no burst, in time", 1, 10, 1, 10000000, 1 },
        { "a third, early", 3, 1, 1, 333333, 0 },
        { "a third", 3, 1, 1, 333334, 1 },
        { "burst above max", 1, 10, 5, 10000000, 1 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct limit l = { .name = STR("r"),
                                 .kind = LIMIT_RATE,
                                 .max = cases[i].max,
                                 .window_s = cases[i].window_s,
                                 .burst = cases[i].burst };
        struct tally t = { 0 };
        CHECK_EQ(cases[i].name, burst_at(&l, &t, T0), cases[i].burst);
        CHECK_EQ(cases[i].name, burst_at(&l, &t, T0 + cases[i].later_us), cases[i].want);
    }
}

/* A second's requests in a minute's stream: the promise over a long time is max per window. */
static void test_long_run(void **state)
{
    (void)state;
    struct tally t = { 0 };
    int64_t passed = 0;
    for (int64_t at_us = 0; at_us < 600 * S_US; at_us += 50000)
        passed += burst_at(&rate_60, &t, T0 + at_us);
    CHECK_EQ("ten minutes", passed, 3 + 599);
}

static void test_clock_back(void **state)
{
    (void)state;
    struct tally t = { 0 };
    CHECK_EQ("burst", burst_at(&rate_60, &t, T0), 3);
    CHECK_EQ("a hair back", burst_at(&rate_60, &t, T0 - 1), 0);
    CHECK_EQ("and on", burst_at(&rate_60, &t, T0 + S_US), 1);

    /* The clock is a year behind: at most one full burst must be waited for, not a year. */
    const int64_t back = T0 - 366 * 86400 * S_US;
    CHECK_EQ("a year back", burst_at(&rate_60, &t, back), 0);
    CHECK_EQ("a step later", burst_at(&rate_60, &t, back + S_US), 1);
    CHECK_EQ("a burst later", burst_at(&rate_60, &t, back + 10 * S_US), 3);
}

static void test_roll(void **state)
{
    (void)state;
    enum { H = 3600 };
    static const int64_t base = T0_S / H * H;
    static const struct {
        const char *name;
        enum limit_kind kind;
        int64_t window_s, start_s, now_off_s; /* start 1: base; now from base */
        enum limit_kind tally_kind;
        bool stays;
    } cases[] = {
        { "its window", LIMIT_COUNT, H, 1, 0, LIMIT_COUNT, true },
        { "its window's last second", LIMIT_COUNT, H, 1, H - 1, LIMIT_COUNT, true },
        { "the next window", LIMIT_COUNT, H, 1, H, LIMIT_COUNT, false },
        { "years later", LIMIT_COUNT, H, 1, 10000 * H, LIMIT_COUNT, false },
        { "a hair before it", LIMIT_COUNT, H, 1, -1, LIMIT_COUNT, true },
        { "ten seconds before it", LIMIT_COUNT, H, 1, -LIMITS_HAIR_S, LIMIT_COUNT, true },
        { "eleven seconds before it", LIMIT_COUNT, H, 1, -LIMITS_HAIR_S - 1, LIMIT_COUNT, false },
        { "a year before it", LIMIT_COUNT, H, 1, -366 * 86400, LIMIT_COUNT, false },
        { "the same window of two", LIMIT_COUNT, 2 * H, 1, 0, LIMIT_COUNT, (T0_S / H) % 2 == 0 },
        { "of another kind", LIMIT_BYTES, H, 1, 0, LIMIT_COUNT, false },
        { "for ever", LIMIT_BYTES, 0, 0, 10000 * H, LIMIT_BYTES, true },
        { "for ever, a year back", LIMIT_BYTES, 0, 0, -366 * 86400, LIMIT_BYTES, true },
        { "had a window", LIMIT_BYTES, 0, 1, 0, LIMIT_BYTES, false },
        { "had a window, by a hair", LIMIT_BYTES, 0, 1, -1, LIMIT_BYTES, false },
        { "had none", LIMIT_BYTES, H, 0, 0, LIMIT_BYTES, false },
        { "open", LIMIT_OPEN, 0, 0, 10000 * H, LIMIT_OPEN, true },
        { "open that was a count", LIMIT_OPEN, 0, 0, 0, LIMIT_COUNT, false },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct limit l = {
            .name = STR("l"), .kind = cases[i].kind, .max = 99, .window_s = cases[i].window_s
        };
        struct tally t = { .name = STR("l"),
                           .kind = cases[i].tally_kind,
                           .start_s = cases[i].start_s ? base : 0,
                           .used = 7,
                           .reserved = 8 };
        const int64_t start_s = t.start_s, now_s = base + cases[i].now_off_s;
        tally_roll(&t, &l, now_s * S_US + 999999);
        CHECK_EQ(cases[i].name, t.kind, l.kind);
        CHECK_EQ(cases[i].name, t.used, cases[i].stays ? 7 : 0);
        CHECK_EQ(cases[i].name, t.reserved, cases[i].stays ? 8 : 0);
        CHECK_EQ(cases[i].name, t.start_s,
                 cases[i].stays ? start_s : limit_window_start(&l, now_s));
        CHECK_TEXT(cases[i].name, t.name, "l");
    }
}

/* ---- refusals -------------------------------------------------------------------------------------- */

struct held {
    int64_t used, reserved, tat_after_us;
};

static void test_amounts(void **state)
{
    (void)state;
    static const int64_t M = LIMITS_NUMBER_MAX;
    static const struct {
        const char *name;
        enum limit_kind kind;
        int64_t max, window_s;
        struct held held;
        int64_t files, bytes;
        enum status want;
    } cases[] = {
        { "the last one", LIMIT_COUNT, 5, 60, { 2, 2, 0 }, 1, 9, ST_OK },
        { "one too many", LIMIT_COUNT, 5, 60, { 2, 3, 0 }, 1, 9, ST_QUOTA_EXCEEDED },
        { "a batch that fits", LIMIT_COUNT, 5, 60, { 2, 0, 0 }, 3, 9, ST_OK },
        { "a batch over the edge", LIMIT_COUNT, 5, 60, { 2, 0, 0 }, 4, 9, ST_QUOTA_EXCEEDED },
        { "a batch as large as all", LIMIT_COUNT, 5, 60, { 0, 0, 0 }, 5, 9, ST_OK },
        { "a batch above all", LIMIT_COUNT, 5, 60, { 0, 0, 0 }, 6, 9, ST_QUOTA_NEVER },
        { "above all, for ever", LIMIT_COUNT, 5, 0, { 0, 0, 0 }, 6, 9, ST_QUOTA_NEVER },
        { "full for ever", LIMIT_COUNT, 5, 0, { 5, 0, 0 }, 1, 9, ST_QUOTA_NEVER },
        { "full, monthly", LIMIT_COUNT, 5, WINDOW_MONTH, { 5, 0, 0 }, 1, 9, ST_QUOTA_EXCEEDED },
        { "no files at all", LIMIT_COUNT, 0, 60, { 0, 0, 0 }, 1, 9, ST_QUOTA_NEVER },
        { "bytes to the brim", LIMIT_BYTES, 100, 60, { 40, 40, 0 }, 2, 20, ST_OK },
        { "bytes over the brim", LIMIT_BYTES, 100, 60, { 40, 40, 0 }, 2, 21, ST_QUOTA_EXCEEDED },
        { "an empty file when full", LIMIT_BYTES, 100, 60, { 60, 40, 0 }, 1, 0, ST_OK },
        { "an empty file when overfull",
          LIMIT_BYTES,
          100,
          60,
          { 60, 41, 0 },
          1,
          0,
          ST_QUOTA_EXCEEDED },
        { "bytes above all", LIMIT_BYTES, 100, 60, { 0, 0, 0 }, 1, 101, ST_QUOTA_NEVER },
        { "all there is", LIMIT_BYTES, M, 0, { 0, 0, 0 }, 1, M, ST_OK },
        { "one more than there is", LIMIT_BYTES, M, 0, { 1, 0, 0 }, 1, M, ST_QUOTA_NEVER },
        { "the last byte", LIMIT_BYTES, M, 60, { M - 1, 0, 0 }, 1, 1, ST_OK },
        { "past the last byte", LIMIT_BYTES, M, 60, { M - 1, 1, 0 }, 1, 1, ST_QUOTA_EXCEEDED },
        { "held as much as can be", LIMIT_BYTES, M, 60, { M, M, 0 }, 1, M, ST_QUOTA_EXCEEDED },
        { "an open place", LIMIT_OPEN, 2, 0, { 0, 1, 0 }, 1, 9, ST_OK },
        { "no open place", LIMIT_OPEN, 2, 0, { 0, 2, 0 }, 1, 9, ST_QUOTA_EXCEEDED },
        { "more than places", LIMIT_OPEN, 2, 0, { 0, 0, 0 }, 3, 9, ST_QUOTA_NEVER },
        { "a rate of none", LIMIT_RATE, 0, 60, { 0, 0, 0 }, 1, 9, ST_QUOTA_NEVER },
        { "a batch is one request", LIMIT_RATE, 1, 60, { 0, 0, 0 }, 100, 9, ST_OK },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct limit l = { .name = STR("l"),
                                 .kind = cases[i].kind,
                                 .max = cases[i].max,
                                 .window_s = cases[i].window_s,
                                 .burst = 1 };
        const struct plan p = plan_of(&l, 1);
        struct tally t = { .kind = l.kind,
                           .start_s = limit_window_start(&l, T0_S),
                           .used = cases[i].held.used,
                           .reserved = cases[i].held.reserved };
        const struct tally before = t;
        struct limits_verdict v = { .status = ST_INTERNAL };
        const struct limits_ask ask = { .now_us = T0,
                                        .files = cases[i].files,
                                        .bytes = cases[i].bytes };
        CHECK_EQ(cases[i].name, ask_plan(&p, &t, ask, &v), cases[i].want);
        CHECK_EQ(cases[i].name, v.status, cases[i].want);
        if (cases[i].want != ST_OK) {
            CHECK_EQ(cases[i].name, t.used, before.used);
            CHECK_EQ(cases[i].name, t.reserved, before.reserved);
            CHECK_EQ(cases[i].name, t.tat_us, before.tat_us);
            CHECK_EQ(cases[i].name, v.used, before.used + before.reserved);
            CHECK_EQ(cases[i].name, v.wait_us > 0 || v.resets_at_s == 0, true);
        }
    }
}

static void test_waits(void **state)
{
    (void)state;
    static const int64_t hour_end = (T0_S / 3600 + 1) * 3600;
    static const struct {
        const char *name;
        const struct limit *limit;
        struct held held;
        int64_t open_ends_s, now_off_us, wait_us, resets_at_s;
    } cases[] = {
        { "hourly", &hourly, { 5, 0, 0 }, 0, 0, (hour_end - T0_S) * S_US, hour_end },
        { "hourly, its last moment",
          &hourly,
          { 5, 0, 0 },
          0,
          (hour_end - T0_S) * S_US - 1,
          1,
          hour_end },
        { "for ever", &stored, { 1000, 0, 0 }, 0, 0, 0, NEVER },
        { "open", &opened, { 0, 2, 0 }, T0_S + 90, 250000, 90 * S_US - 250000, T0_S + 90 },
        { "open, end unknown", &opened, { 0, 2, 0 }, 0, 0, 0, NEVER },
        { "open, end over", &opened, { 0, 2, 0 }, T0_S - 9, 0, 0, T0_S - 9 },
        { "rate, full debt", &rate_60, { 0, 0, 3 * S_US }, 0, 0, S_US, T0_S + 1 },
        { "rate, a fraction", &rate_60, { 0, 0, 2 * S_US + 1 }, 0, 0, 1, T0_S + 1 },
        { "rate, half way", &rate_60, { 0, 0, 3 * S_US }, 0, 400000, 600000, T0_S + 1 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct plan p = plan_of(cases[i].limit, 1);
        const struct tally t = { .kind = cases[i].limit->kind,
                                 .start_s = limit_window_start(cases[i].limit, T0_S),
                                 .used = cases[i].held.used,
                                 .reserved = cases[i].held.reserved,
                                 .tat_us = T0 + cases[i].held.tat_after_us };
        const struct limits_ask ask = { .now_us = T0 + cases[i].now_off_us,
                                        .files = 1,
                                        .bytes = 1,
                                        .open_ends_s = cases[i].open_ends_s };
        struct limits_verdict v;
        CHECK(cases[i].name, limits_check(&p, &t, &ask, &v) != ST_OK);
        CHECK_EQ(cases[i].name, v.wait_us, cases[i].wait_us);
        CHECK_EQ(cases[i].name, v.resets_at_s, cases[i].resets_at_s);
        CHECK_EQ(cases[i].name, v.requested, 1);
    }
}

static void test_far_end(void **state)
{
    (void)state;
    const struct limit l = {
        .name = STR("l"), .kind = LIMIT_COUNT, .max = 1, .window_s = LIMITS_NUMBER_MAX
    };
    const struct plan p = plan_of(&l, 1);
    const struct tally t = { .kind = LIMIT_COUNT, .used = 1 };
    struct limits_verdict v;
    CHECK_EQ("full", limits_check(&p, &t, &(struct limits_ask){ .now_us = T0, .files = 1 }, &v),
             ST_QUOTA_EXCEEDED);
    CHECK("a wait there is", v.wait_us > 0);

    const struct limit slow = { .name = STR("l"),
                                .kind = LIMIT_RATE,
                                .max = 1,
                                .window_s = LIMITS_NUMBER_MAX,
                                .burst = LIMITS_NUMBER_MAX };
    struct tally r = { 0 };
    CHECK_EQ("the burst's worth is cut", burst_at(&slow, &r, T0), 1);
    CHECK("exact for doubles", r.tat_us > T0 && r.tat_us <= LIMITS_NUMBER_MAX);
}

/* Which of several noes is told. `held` per limit of the row; fullness makes the no. */
static void test_order(void **state)
{
    (void)state;
    enum { ROW_LIMITS = 3 };
    static const struct limit rate = {
        .name = STR_INIT("r"), .kind = LIMIT_RATE, .max = 60, .window_s = 60, .burst = 1
    };
    static const struct limit minute = {
        .name = STR_INIT("m"), .kind = LIMIT_COUNT, .max = 4, .window_s = 60
    };
    static const struct limit minute_bytes = {
        .name = STR_INIT("mb"), .kind = LIMIT_BYTES, .max = 40, .window_s = 60
    };
    static const struct limit day = {
        .name = STR_INIT("d"), .kind = LIMIT_COUNT, .max = 4, .window_s = 86400
    };
    static const struct limit ever = {
        .name = STR_INIT("e"), .kind = LIMIT_COUNT, .max = 4, .window_s = WINDOW_FOREVER
    };
    static const struct limit ever_bytes = {
        .name = STR_INIT("eb"), .kind = LIMIT_BYTES, .max = 40, .window_s = WINDOW_FOREVER
    };
    static const struct {
        const char *name;
        const struct limit *limits[ROW_LIMITS];
        bool full[ROW_LIMITS];
        int64_t files, bytes;
        enum status want;
        size_t index;
    } cases[] = {
        { "none", { &rate, &minute, &day }, { 0, 0, 0 }, 1, 1, ST_OK, 0 },
        { "only the last", { &rate, &minute, &day }, { 0, 0, 1 }, 1, 1, ST_QUOTA_EXCEEDED, 2 },
        { "only the rate", { &day, &rate, &minute }, { 0, 1, 0 }, 1, 1, ST_RATE_LIMITED, 1 },
        { "the longest wait", { &rate, &minute, &day }, { 1, 1, 1 }, 1, 1, ST_QUOTA_EXCEEDED, 2 },
        { "the longest, first", { &day, &minute, &rate }, { 1, 1, 1 }, 1, 1, ST_QUOTA_EXCEEDED, 0 },
        { "a tie: the first",
          { &minute, &minute_bytes, &rate },
          { 1, 1, 1 },
          1,
          1,
          ST_QUOTA_EXCEEDED,
          0 },
        { "a tie, turned",
          { &minute_bytes, &minute, &rate },
          { 1, 1, 1 },
          1,
          1,
          ST_QUOTA_EXCEEDED,
          0 },
        { "a tie after a shorter",
          { &rate, &minute, &minute_bytes },
          { 1, 1, 1 },
          1,
          1,
          ST_QUOTA_EXCEEDED,
          1 },
        { "403 before 429", { &rate, &day, &ever }, { 1, 1, 1 }, 1, 1, ST_QUOTA_NEVER, 2 },
        { "the first 403", { &day, &ever_bytes, &ever }, { 1, 1, 1 }, 1, 1, ST_QUOTA_NEVER, 1 },
        { "above max before 429",
          { &rate, &day, &minute_bytes },
          { 1, 1, 0 },
          1,
          41,
          ST_QUOTA_NEVER,
          2 },
        { "above max, though it renews",
          { &minute, &rate, &day },
          { 0, 0, 0 },
          5,
          1,
          ST_QUOTA_NEVER,
          0 },
        { "batch: one of all says no",
          { &minute, &ever_bytes, &rate },
          { 0, 0, 0 },
          3,
          41,
          ST_QUOTA_NEVER,
          1 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct limit limits[ROW_LIMITS];
        struct tally tallies[ROW_LIMITS], before[ROW_LIMITS];
        for (size_t k = 0; k < ROW_LIMITS; k++) {
            limits[k] = *cases[i].limits[k];
            tallies[k] = (struct tally){ .kind = limits[k].kind,
                                         .start_s = limit_window_start(&limits[k], T0_S),
                                         .used = cases[i].full[k] ? limits[k].max : 0,
                                         .tat_us = cases[i].full[k] ? T0 + S_US : 0 };
            before[k] = tallies[k];
        }
        const struct plan p = plan_of(limits, ROW_LIMITS);
        const struct limits_ask ask = { .now_us = T0,
                                        .files = cases[i].files,
                                        .bytes = cases[i].bytes };
        struct limits_verdict v = { .status = ST_INTERNAL };
        CHECK_EQ(cases[i].name, ask_plan(&p, tallies, ask, &v), cases[i].want);
        CHECK_EQ(cases[i].name, v.index, cases[i].index);
        for (size_t k = 0; k < ROW_LIMITS && cases[i].want != ST_OK; k++) {
            CHECK_EQ(cases[i].name, tallies[k].reserved, before[k].reserved);
            CHECK_EQ(cases[i].name, tallies[k].tat_us, before[k].tat_us);
        }
    }
}

static void test_rate_only(void **state)
{
    (void)state;
    const struct limit limits[] = { stored, hourly, opened, rate_60 };
    const struct plan p = plan_of(limits, ROWS(limits));
    struct tally t[ROWS(limits)] = {
        { .kind = LIMIT_BYTES, .used = 1000 },
        { .kind = LIMIT_COUNT, .start_s = limit_window_start(&hourly, T0_S), .reserved = 5 },
        { .kind = LIMIT_OPEN, .reserved = 2 },
        { .kind = LIMIT_RATE },
    };
    const struct limits_ask ask = {
        .now_us = T0, .files = 100, .bytes = 1 << 20, .rate_only = true
    };
    struct limits_verdict v;
    for (int i = 0; i < 3; i++)
        CHECK_EQ("the full ones are not asked", ask_plan(&p, t, ask, &v), ST_OK);
    CHECK_EQ("the rate is", ask_plan(&p, t, ask, &v), ST_RATE_LIMITED);
    CHECK_EQ("by its place", v.index, 3);
    CHECK_EQ("nothing reserved", t[0].reserved + t[1].reserved + t[2].reserved, 7);

    struct limits_ask again = { .now_us = T0 + 60 * S_US, .rate_only = true, .reopened = 1 };
    CHECK_EQ("a lost place is taken anew", ask_plan(&p, t, again, &v), ST_QUOTA_EXCEEDED);
    CHECK_EQ("where it is lacking", v.index, 2);
    CHECK_EQ("one", v.requested, 1);
    t[2].reserved = 1;
    CHECK_EQ("with room", ask_plan(&p, t, again, &v), ST_OK);
    CHECK_EQ("it is taken", t[2].reserved, 2);
    CHECK_EQ("and nothing else", t[0].reserved + t[1].reserved, 5);
    again = (struct limits_ask){ .now_us = T0 + 60 * S_US, .files = 1, .reopened = 2 };
    t[0] = t[1] = t[2] = (struct tally){ 0 };
    CHECK_EQ("beside new ones: more than all", ask_plan(&p, t, again, &v), ST_QUOTA_NEVER);
    CHECK_EQ("both count", v.requested, 3);
}

static void test_settle(void **state)
{
    (void)state;
    static const int64_t M = LIMITS_NUMBER_MAX;
    static const struct {
        const char *name;
        int64_t used, reserved, start_s, amount, now_used, want_used, want_reserved;
    } cases[] = {
        { "all used", 10, 50, 7, 20, 20, 30, 30 },
        { "part used", 10, 50, 7, 20, 5, 15, 30 },
        { "given back", 10, 50, 7, 20, 0, 10, 30 },
        { "more than reserved", 10, 50, 7, 20, 25, 35, 30 },
        { "another window", 10, 50, 8, 20, 20, 10, 50 },
        { "no window's", 10, 50, 0, 20, 20, 10, 50 },
        { "never below zero", 10, 5, 7, 20, 0, 10, 0 },
        { "taken back", 10, 5, 7, 0, -4, 6, 5 },
        { "not below zero either", 10, 5, 7, 0, -14, 0, 5 },
        { "never above all", M, 5, 7, 5, M, M, 0 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct tally t = {
            .kind = LIMIT_BYTES, .start_s = 7, .used = cases[i].used, .reserved = cases[i].reserved
        };
        tally_settle(&t, cases[i].start_s, cases[i].amount, cases[i].now_used);
        CHECK_EQ(cases[i].name, t.used, cases[i].want_used);
        CHECK_EQ(cases[i].name, t.reserved, cases[i].want_reserved);
    }
}

/* ---- what people see ------------------------------------------------------------------------------ */

static void test_state(void **state)
{
    (void)state;
    static const int64_t hour_end = (T0_S / 3600 + 1) * 3600;
    static const struct {
        const char *name;
        const struct limit *limit;
        struct held held;
        int64_t now_off_us, open_ends_s;
        struct limit_state want;
    } cases[] = {
        { "count", &hourly, { 1, 2, 0 }, 0, 0, { 1, 2, 2, hour_end } },
        { "overfull", &hourly, { 9, 2, 0 }, 0, 0, { 9, 2, 0, hour_end } },
        { "for ever", &stored, { 10, 20, 0 }, 0, 0, { 10, 20, 970, NEVER } },
        { "open", &opened, { 0, 1, 0 }, 0, T0_S + 9, { 0, 1, 1, T0_S + 9 } },
        { "none open", &opened, { 0, 0, 0 }, 0, T0_S + 9, { 0, 0, 2, NEVER } },
        { "rate, rested", &rate_60, { 0, 0, -S_US }, 0, 0, { 0, 0, 3, T0_S } },
        { "rate, rested, rounded up", &rate_60, { 0, 0, -S_US }, 1, 0, { 0, 0, 3, T0_S + 1 } },
        { "rate, one taken", &rate_60, { 0, 0, S_US }, 0, 0, { 1, 0, 2, T0_S + 1 } },
        { "rate, part paid off", &rate_60, { 0, 0, S_US }, 1, 0, { 1, 0, 2, T0_S + 1 } },
        { "rate, all taken", &rate_60, { 0, 0, 3 * S_US }, 0, 0, { 3, 0, 0, T0_S + 3 } },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct tally t = { .kind = cases[i].limit->kind,
                                 .start_s = limit_window_start(cases[i].limit, T0_S),
                                 .used = cases[i].held.used,
                                 .reserved = cases[i].held.reserved,
                                 .tat_us = T0 + cases[i].held.tat_after_us };
        const struct limit_state got =
            limits_state(cases[i].limit, &t, T0 + cases[i].now_off_us, cases[i].open_ends_s);
        CHECK_EQ(cases[i].name, got.used, cases[i].want.used);
        CHECK_EQ(cases[i].name, got.reserved, cases[i].want.reserved);
        CHECK_EQ(cases[i].name, got.remaining, cases[i].want.remaining);
        CHECK_EQ(cases[i].name, got.resets_at_s, cases[i].want.resets_at_s);
    }
}

static void member_text(const struct fault_member *m, struct buf *out)
{
    buf_str(out, str_from(m->name));
    buf_lit(out, "=");
    if (m->kind == FAULT_INT)
        buf_int(out, m->num);
    else
        buf_str(out, m->str);
    buf_lit(out, " ");
}

static void test_fault(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const struct limit *limit;
        struct limits_verdict v;
        int64_t retry_s;
        const char *detail, *members;
    } cases[] = {
        { "rate",
          &rate_60,
          { .status = ST_RATE_LIMITED, .requested = 1, .wait_us = 1, .resets_at_s = T0_S + 1 },
          1,
          "The limit \"requests\" allows 60 requests in 60 seconds.",
          "limit_name=requests limit=60 window_s=60 " },
        { "rounded up",
          &rate_60,
          { .status = ST_RATE_LIMITED, .requested = 1, .wait_us = 2 * S_US + 1 },
          3,
          "The limit \"requests\" allows 60 requests in 60 seconds.",
          "limit_name=requests limit=60 window_s=60 " },
        { "a window",
          &hourly,
          { .status = ST_QUOTA_EXCEEDED,
            .used = 4,
            .requested = 2,
            .wait_us = 3200 * S_US,
            .resets_at_s = T0_S + 3200 },
          3200,
          "The limit \"files_an_hour\" has no room: 4 of 5 are taken, 2 more were asked for.",
          "limit_name=files_an_hour limit=5 used=4 requested=2 resets_at=2026-11-18T12:00:00Z " },
        { "for ever",
          &stored,
          { .status = ST_QUOTA_NEVER, .used = 990, .requested = 11 },
          0,
          "The limit \"stored\" has no room: 990 of 1000 are taken, 11 more were asked for.",
          "limit_name=stored limit=1000 used=990 requested=11 " },
        { "above all",
          &hourly,
          { .status = ST_QUOTA_NEVER, .used = 0, .requested = 6 },
          0,
          "The limit \"files_an_hour\" never allows more than 5 at once.",
          "limit_name=files_an_hour limit=5 used=0 requested=6 " },
        { "open, end unknown",
          &opened,
          { .status = ST_QUOTA_EXCEEDED, .used = 2, .requested = 1 },
          1,
          "The limit \"open\" has no room: 2 of 2 are taken, 1 more were asked for.",
          "limit_name=open limit=2 used=2 requested=1 resets_at=2026-11-18T11:06:41Z " },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct limit limits[] = { { .name = STR("other") }, *cases[i].limit };
        const struct plan p = plan_of(limits, 2);
        struct limits_verdict v = cases[i].v;
        v.index = 1;
        AUTO(arena) a = ARENA_INIT(4096);
        AUTO(buf) members = BUF_INIT(1024);
        struct fault f = { .status = ST_INTERNAL, .n_members = 5 };
        CHECK_EQ(cases[i].name, limits_fault(&p, &v, T0, &a, &f), v.status);
        CHECK_EQ(cases[i].name, f.status, v.status);
        CHECK_EQ(cases[i].name, f.retry_after_s, cases[i].retry_s);
        CHECK_TEXT(cases[i].name, f.detail, cases[i].detail);
        for (size_t k = 0; k < f.n_members; k++)
            member_text(&f.members[k], &members);
        CHECK_TEXT(cases[i].name, members, cases[i].members);
        CHECK(cases[i].name,
              f.members[0].str.ptr != p.limits[1].name.ptr); /* the plan may vanish */

        AUTO(arena) none = ARENA_INIT(0);
        CHECK_EQ(cases[i].name, limits_fault(&p, &v, T0, &none, &f), ST_NO_MEMORY);
    }
}

/* ---- against a slow model ------------------------------------------------------------------------- */

enum { EVENTS_MAX = 400, HISTORIES = 3000, TURNS = 60, LIMITS_MOST = 6 };

struct event { /* one grant */
    int64_t at_us, files, bytes;
    int64_t open_until_s; /* 0: its place is free */
    bool settled;
    int64_t used_files, used_bytes; /* once settled */
};

struct history {
    struct limit limits[LIMITS_MOST];
    struct plan plan;
    struct tally tallies[LIMITS_MOST];
    struct event events[EVENTS_MAX];
    size_t n_events;
    int64_t now_us;
    uint64_t seed;
    char name[64];
};

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 20;
}

static int64_t below(struct history *h, int64_t n)
{
    return (int64_t)(draw(&h->seed) % (uint64_t)n);
}

/* The window as a label: what differs is another window. */
static int64_t window_label(const struct limit *l, int64_t at_us)
{
    const time_t s = (time_t)(at_us / S_US);
    struct tm tm;
    assert_non_null(gmtime_r(&s, &tm));
    if (l->window_s == WINDOW_FOREVER)
        return 0;
    return l->window_s == WINDOW_MONTH ? tm.tm_year * 12 + tm.tm_mon : s / l->window_s;
}

static int64_t window_over_s(const struct limit *l, int64_t now_us)
{
    const time_t s = (time_t)(now_us / S_US);
    struct tm tm;
    assert_non_null(gmtime_r(&s, &tm));
    if (l->window_s != WINDOW_MONTH)
        return (s / l->window_s + 1) * l->window_s;
    return utc(tm.tm_year + 1900, tm.tm_mon + 2, 1, 0, 0, 0); /* timegm carries month 13 */
}

struct counted {
    int64_t used, reserved;
};

static struct counted model_amount(const struct history *h, const struct limit *l)
{
    struct counted c = { 0, 0 };
    const bool bytes = l->kind == LIMIT_BYTES;
    for (size_t i = 0; i < h->n_events; i++) {
        const struct event *e = &h->events[i];
        if (l->kind == LIMIT_OPEN) {
            c.reserved += e->open_until_s > 0 ? e->files : 0;
        } else if (window_label(l, e->at_us) == window_label(l, h->now_us)) {
            c.used += e->settled ? (bytes ? e->used_bytes : e->used_files) : 0;
            c.reserved += e->settled ? 0 : (bytes ? e->bytes : e->files);
        }
    }
    return c;
}

static int64_t model_open_ends_s(const struct history *h)
{
    int64_t ends_s = 0;
    for (size_t i = 0; i < h->n_events; i++) {
        const int64_t s = h->events[i].open_until_s;
        if (s > 0 && (ends_s == 0 || s < ends_s))
            ends_s = s;
    }
    return ends_s;
}

/* The longest that any stretch up to now makes one more request wait. */
static int64_t model_rate_wait_us(const struct history *h, const struct limit *l)
{
    const int64_t step_us = (l->window_s * S_US + l->max - 1) / l->max;
    int64_t wait_us = 0, requests = 1;
    for (size_t i = h->n_events; i-- > 0;) {
        requests++;
        const int64_t fits_us = h->events[i].at_us + (requests - l->burst) * step_us;
        wait_us = fits_us - h->now_us > wait_us ? fits_us - h->now_us : wait_us;
    }
    return wait_us;
}

static struct limits_verdict model_judge(const struct history *h, const struct limit *l,
                                         int64_t files, int64_t bytes)
{
    struct limits_verdict v = { .status = ST_OK, .requested = 1 };
    if (l->kind == LIMIT_RATE) {
        v.wait_us = model_rate_wait_us(h, l);
        v.resets_at_s = (h->now_us + v.wait_us + S_US - 1) / S_US;
        v.status = v.wait_us > 0 ? ST_RATE_LIMITED : ST_OK;
        return v;
    }
    const struct counted c = model_amount(h, l);
    v.requested = l->kind == LIMIT_BYTES ? bytes : files;
    v.used = c.used + c.reserved;
    if (v.used + v.requested <= l->max)
        return v;
    if (v.requested > l->max || (l->kind != LIMIT_OPEN && l->window_s == WINDOW_FOREVER)) {
        v.status = ST_QUOTA_NEVER;
        return v;
    }
    v.status = ST_QUOTA_EXCEEDED;
    v.resets_at_s = l->kind == LIMIT_OPEN ? model_open_ends_s(h) : window_over_s(l, h->now_us);
    v.wait_us = v.resets_at_s * S_US - h->now_us;
    return v;
}

static struct limits_verdict model_check(const struct history *h, int64_t files, int64_t bytes)
{
    struct limits_verdict all[LIMITS_MOST], out = { .status = ST_OK };
    for (size_t i = 0; i < h->plan.n_limits; i++) {
        all[i] = model_judge(h, &h->limits[i], files, bytes);
        all[i].index = i;
        if (all[i].status == ST_QUOTA_NEVER)
            return all[i];
    }
    for (size_t i = 0; i < h->plan.n_limits; i++)
        if (all[i].status != ST_OK && (out.status == ST_OK || all[i].wait_us > out.wait_us))
            out = all[i];
    return out;
}

static void random_plan(struct history *h)
{
    static const int64_t windows[] = { 1, 7, 60, 3600, 86400, WINDOW_MONTH, WINDOW_FOREVER };
    h->plan = (struct plan){ .limits = h->limits, .n_limits = (size_t)below(h, LIMITS_MOST) + 1 };
    for (size_t i = 0; i < h->plan.n_limits; i++) {
        struct limit *l = &h->limits[i];
        *l = (struct limit){ .name = STR("l"), .kind = (enum limit_kind)below(h, 4) };
        l->max = 1 + below(h, l->kind == LIMIT_BYTES ? 3000 : 30);
        if (l->kind == LIMIT_RATE) {
            l->window_s = 1 + below(h, 100);
            l->burst = 1 + below(h, l->max);
        } else if (l->kind != LIMIT_OPEN) {
            l->window_s = windows[below(h, ROWS(windows))];
        }
    }
}

static void check_states(struct history *h)
{
    for (size_t i = 0; i < h->plan.n_limits; i++) {
        const struct limit *l = &h->limits[i];
        const struct limit_state s =
            limits_state(l, &h->tallies[i], h->now_us, model_open_ends_s(h));
        if (l->kind == LIMIT_RATE) {
            CHECK_EQ(h->name, s.remaining > 0, model_rate_wait_us(h, l) == 0);
            CHECK_EQ(h->name, s.used + s.remaining, l->burst);
            continue;
        }
        const struct counted c = model_amount(h, l);
        CHECK_EQ(h->name, s.used, c.used);
        CHECK_EQ(h->name, s.reserved, c.reserved);
        CHECK_EQ(h->name, s.remaining, MAX_OF(l->max - c.used - c.reserved, 0));
    }
}

static void roll_all(struct history *h)
{
    for (size_t i = 0; i < h->plan.n_limits; i++)
        tally_roll(&h->tallies[i], &h->limits[i], h->now_us);
}

static void ask_both(struct history *h)
{
    const struct limits_ask ask = { .now_us = h->now_us,
                                    .files = 1 + (below(h, 4) == 0 ? below(h, 10) : 0),
                                    .bytes = below(h, 400),
                                    .open_ends_s = model_open_ends_s(h) };
    const struct limits_verdict want = model_check(h, ask.files, ask.bytes);
    struct limits_verdict got = { .status = ST_INTERNAL };
    CHECK_EQ(h->name, limits_check(&h->plan, h->tallies, &ask, &got), want.status);
    if (want.status != ST_OK) {
        CHECK_EQ(h->name, got.index, want.index);
        CHECK_EQ(h->name, got.used, want.used);
        CHECK_EQ(h->name, got.requested, want.requested);
        CHECK_EQ(h->name, got.wait_us, want.wait_us);
        CHECK_EQ(h->name, got.resets_at_s, want.resets_at_s);
        return;
    }
    limits_take(&h->plan, h->tallies, &ask);
    assert_true(h->n_events < EVENTS_MAX);
    h->events[h->n_events++] =
        (struct event){ .at_us = h->now_us,
                        .files = ask.files,
                        .bytes = ask.bytes,
                        .open_until_s = h->now_us / S_US + 1 + below(h, 90) };
}

/* An open place ends: in the tally at once, as an engine does it. */
static void close_event(struct history *h, struct event *e)
{
    if (e->open_until_s == 0)
        return;
    e->open_until_s = 0;
    for (size_t i = 0; i < h->plan.n_limits; i++)
        if (h->limits[i].kind == LIMIT_OPEN)
            tally_settle(&h->tallies[i], 0, e->files, 0);
}

static void settle_event(struct history *h, struct event *e)
{
    if (e->settled)
        return;
    e->settled = true;
    e->used_files = below(h, e->files + 1);
    e->used_bytes = below(h, e->bytes + 100);
    for (size_t i = 0; i < h->plan.n_limits; i++) {
        const struct limit *l = &h->limits[i];
        const int64_t start_s = limit_window_start(l, e->at_us / S_US);
        if (l->kind == LIMIT_COUNT)
            tally_settle(&h->tallies[i], start_s, e->files, e->used_files);
        if (l->kind == LIMIT_BYTES)
            tally_settle(&h->tallies[i], start_s, e->bytes, e->used_bytes);
    }
}

static void pass_time(struct history *h)
{
    static const int64_t paces_us[] = { 1, 1000, S_US, 30 * S_US, 4000 * S_US, 20 * 86400 * S_US };
    h->now_us += below(h, paces_us[below(h, ROWS(paces_us))]);
    for (size_t i = 0; i < h->n_events; i++)
        if (h->events[i].open_until_s <= h->now_us / S_US)
            close_event(h, &h->events[i]);
}

static void one_history(uint64_t seed)
{
    static struct history h;
    h = (struct history){ .seed = seed, .now_us = T0 };
    random_plan(&h);
    for (int turn = 0; turn < TURNS; turn++) {
        snprintf(h.name, sizeof(h.name), "seed %" PRIu64 ", turn %d", seed, turn);
        if (below(&h, 3) > 0)
            pass_time(&h);
        roll_all(&h);
        ask_both(&h);
        if (h.n_events > 0 && below(&h, 3) == 0)
            settle_event(&h, &h.events[below(&h, (int64_t)h.n_events)]);
        if (h.n_events > 0 && below(&h, 4) == 0)
            close_event(&h, &h.events[below(&h, (int64_t)h.n_events)]);
        check_states(&h);
    }
}

static void test_histories(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++)
        one_history(seed);
}

TEST_MAIN(cmocka_unit_test(test_months), cmocka_unit_test(test_windows),
          cmocka_unit_test(test_steps), cmocka_unit_test(test_burst),
          cmocka_unit_test(test_long_run), cmocka_unit_test(test_clock_back),
          cmocka_unit_test(test_roll), cmocka_unit_test(test_amounts), cmocka_unit_test(test_waits),
          cmocka_unit_test(test_far_end), cmocka_unit_test(test_order),
          cmocka_unit_test(test_rate_only), cmocka_unit_test(test_settle),
          cmocka_unit_test(test_state), cmocka_unit_test(test_fault),
          cmocka_unit_test(test_histories))
