/*
 * ratelimit: the two fields of draft-ietf-httpapi-ratelimit-headers-11, for every kind of limit.
 */
#include "test.h"

#include "presignd/ratelimit.h"

#define NOW_S  INT64_C(1800000000) /* 2027-01-15T08:00:00Z */
#define NOW_US (NOW_S * 1000000)

enum { RATE, SLOW, DAILY, MONTHLY, STORED, OPEN, HUGE_ONE };

static const struct limit limits[] = {
    [RATE] = { STR_INIT("requests"), LIMIT_RATE, 60, 60, 20 },
    [SLOW] = { STR_INIT("slow"), LIMIT_RATE, 1, 3600, 2 },
    [DAILY] = { STR_INIT("daily"), LIMIT_COUNT, 1000, 86400, 0 },
    [MONTHLY] = { STR_INIT("monthly"), LIMIT_COUNT, 5, WINDOW_MONTH, 0 },
    [STORED] = { STR_INIT("stored"), LIMIT_BYTES, 1000, WINDOW_FOREVER, 0 },
    [OPEN] = { STR_INIT("open-uploads"), LIMIT_OPEN, 50, 0, 0 },
    [HUGE_ONE] = { STR_INIT("huge"), LIMIT_BYTES, INT64_C(9007199254740991), 60, 0 },
};

/* clang-format off */
static const struct { const char *name; size_t limit; const char *want; } policies[] = {
    { "rate",             RATE,     "\"requests\";q=60;w=60" },
    { "count",            DAILY,    "\"daily\";q=1000;w=86400" },
    { "month of 31 days", MONTHLY,  "\"monthly\";q=5;w=2678400" },
    { "for ever",         STORED,   "\"stored\";q=1000;qu=\"content-bytes\"" },
    { "open",             OPEN,     "\"open-uploads\";q=50;qu=\"concurrent-requests\"" },
    { "15 digits",        HUGE_ONE, "\"huge\";q=999999999999999;qu=\"content-bytes\";w=60" },
};

static const struct {
    const char *name; size_t limit; int64_t remaining, resets_at_s, later_us, retry_after_s; const char *want;
} lefts[] = {
    { "rate, one taken",         RATE,   19, NOW_S + 1,     0,      0, "\"requests\";r=19;t=1" },
    { "rate, none left",         RATE,    0, NOW_S + 20,    0,      0, "\"requests\";r=0;t=1" },
    { "rate, full",              RATE,   20, NOW_S,         0,      0, "\"requests\";r=20;t=1" },
    { "slow, one taken",         SLOW,    1, NOW_S + 3600,  0,      0, "\"slow\";r=1;t=3600" },
    { "slow, half an hour ago",  SLOW,    1, NOW_S + 1800,  0,      0, "\"slow\";r=1;t=1800" },
    { "slow, both taken",        SLOW,    0, NOW_S + 7200,  0,      0, "\"slow\";r=0;t=3600" },
    { "slow, almost the first",  SLOW,    0, NOW_S + 3601,  500000, 0, "\"slow\";r=0;t=1" },
    { "slow, told longer",       SLOW,    0, NOW_S + 9000,  0,      0, "\"slow\";r=0;t=3600" },
    { "refused",                 SLOW,    0, NOW_S + 7200,  0,     17, "\"slow\";r=0;t=17" },
    { "count",                   DAILY, 993, NOW_S + 57600, 0,      0, "\"daily\";r=993;t=57600" },
    { "count, within a second",  DAILY, 993, NOW_S + 57600, 999999, 0, "\"daily\";r=993;t=57600" },
    { "count, at its end",       DAILY,   1, NOW_S,         0,      0, "\"daily\";r=1;t=1" },
    { "for ever",                STORED,  7, 0,             0,      0, "\"stored\";r=7" },
    { "open, none",              OPEN,   50, 0,             0,      0, "\"open-uploads\";r=50" },
    { "open, until the first",   OPEN,   49, NOW_S + 900,   0,      0, "\"open-uploads\";r=49;t=900" },
    { "15 digits",               HUGE_ONE, INT64_C(9007199254740990), NOW_S + 9, 0, 0, "\"huge\";r=999999999999999;t=9" },
};
/* clang-format on */

static void test_policy(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(policies); i++) {
        char space[RATELIMIT_TEXT_MAX];
        struct buf out = BUF_FIXED(space);
        ratelimit_policy(&out, &limits[policies[i].limit], NOW_S);
        CHECK_TEXT(policies[i].name, buf_view(&out), policies[i].want);
    }
}

static void test_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(lefts); i++) {
        char space[RATELIMIT_TEXT_MAX];
        struct buf out = BUF_FIXED(space);
        const struct limit_state s = { .remaining = lefts[i].remaining,
                                       .resets_at_s = lefts[i].resets_at_s };
        ratelimit_left(&out, &limits[lefts[i].limit], &s, NOW_US + lefts[i].later_us,
                       lefts[i].retry_after_s);
        CHECK_TEXT(lefts[i].name, buf_view(&out), lefts[i].want);
    }
}

/* What a rate really does, taken step by step: t is never short of it, and at most a second over. */
static void test_left_of_a_rate(void **state)
{
    (void)state;
    const struct limit l = { STR("r"), LIMIT_RATE, 7, 60, 5 };
    const struct plan p = { .limits = &l, .n_limits = 1 };
    struct tally t = { .name = l.name, .kind = LIMIT_RATE };
    int64_t now_us = NOW_US;
    for (int i = 0; i < 500; i++) {
        const struct limits_ask ask = { .now_us = now_us, .files = 1 };
        struct limits_verdict v;
        tally_roll(&t, &l, now_us);
        if (limits_check(&p, &t, &ask, &v) == ST_OK)
            limits_take(&p, &t, &ask);
        const struct limit_state s = limits_state(&l, &t, now_us, 0);
        char space[RATELIMIT_TEXT_MAX];
        struct buf out = BUF_FIXED(space);
        ratelimit_left(&out, &l, &s, now_us, 0);
        int64_t in_s = 0;
        const struct str text = buf_view(&out);
        const size_t at = str_find(text, 't', 0);
        assert_true(str_to_int(str_slice(text, at + 2, text.len), INT64_MAX, &in_s));
        const struct limit_state then = limits_state(&l, &t, now_us + in_s * 1000000, 0);
        CHECK("one more then", then.remaining > s.remaining);
        const struct limit_state before = limits_state(&l, &t, now_us + (in_s - 2) * 1000000, 0);
        CHECK("not long before", in_s < 3 || before.remaining == s.remaining);
        now_us += 1 + i * 7919 % 9000 * 1000;
    }
}

static void test_tightest(void **state)
{
    (void)state;
    const struct plan p = { .limits = limits, .n_limits = 4 };
    /* clang-format off */
    static const struct { const char *name; int64_t left[4]; size_t want; } cases[] = {
        { "all full: the first",    { 20, 2, 1000, 5 }, RATE },
        { "a rate goes by burst",   { 19, 2, 900, 5 },  DAILY },
        { "share, not number",      { 20, 2, 700, 4 },  DAILY },
        { "nothing left",           { 20, 2, 700, 0 },  MONTHLY },
        { "two with nothing left",  { 20, 0, 700, 0 },  SLOW },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct limit_state s[4] = { { .used = 0 } };
        for (size_t k = 0; k < 4; k++)
            s[k].remaining = cases[i].left[k];
        CHECK_EQ(cases[i].name, ratelimit_tightest(&p, s), cases[i].want);
    }
    const struct limit none = { STR("none"), LIMIT_COUNT, 0, 60, 0 };
    const struct limit both[] = { limits[DAILY], none };
    const struct plan q = { .limits = both, .n_limits = 2 };
    const struct limit_state left[] = { { .remaining = 1 }, { .remaining = 0 } };
    CHECK_EQ("a limit of nothing", ratelimit_tightest(&q, left), 1);
}

TEST_MAIN(cmocka_unit_test(test_policy), cmocka_unit_test(test_left),
          cmocka_unit_test(test_left_of_a_rate), cmocka_unit_test(test_tightest))
