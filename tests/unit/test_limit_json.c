/*
 * limit_json: one object per limit, in order, with null where nothing is known.
 */
#include "test.h"

#include "presignd/limit_json.h"

static const struct limit limits[] = {
    { .name = STR_INIT("requests"), .kind = LIMIT_RATE, .max = 60, .window_s = 60, .burst = 20 },
    { .name = STR_INIT("daily"), .kind = LIMIT_COUNT, .max = 1000, .window_s = 86400 },
    { .name = STR_INIT("monthly"), .kind = LIMIT_BYTES, .max = 7, .window_s = WINDOW_MONTH },
    { .name = STR_INIT("stored"), .kind = LIMIT_BYTES, .max = 107374182400 },
    { .name = STR_INIT("open_uploads"), .kind = LIMIT_OPEN, .max = 50 },
};
static const struct plan plan = { .limits = limits, .n_limits = ROWS(limits) };

static const struct limit_state states[] = {
    { .used = 1, .remaining = 19, .resets_at_s = 1800000001 },
    { .used = 5, .reserved = 2, .remaining = 993, .resets_at_s = 1800057600 },
    { .used = 9, .remaining = 0, .resets_at_s = 1801440000 },
    { .used = 3, .reserved = 107374182397 },
    { .reserved = 4, .remaining = 46, .resets_at_s = 1800000300 },
};

#define OBJECT(name, kind, limit, used, reserved, remaining, window, resets)          \
    "{\"name\":\"" name "\",\"kind\":\"" kind "\",\"limit\":" limit ",\"used\":" used \
    ",\"reserved\":" reserved ",\"remaining\":" remaining ",\"window_s\":" window     \
    ",\"resets_at\":" resets "}"

static const char *written(const struct plan *p, const struct limit_state *s)
{
    static char space[4096];
    struct buf out = BUF_FIXED(space);
    struct jw j = { .out = &out };
    jw_open(&j, '[');
    limit_json_write(&j, p, s);
    jw_close(&j);
    assert_int_equal(jw_end(&j), ST_OK);
    return buf_cstr(&out);
}

static void test_all_kinds(void **state)
{
    (void)state;
    assert_string_equal(
        written(&plan, states),
        "[" OBJECT("requests", "rate", "60", "1", "0", "19", "60", "\"2027-01-15T08:00:01Z\"") "," OBJECT(
            "daily", "count", "1000", "5", "2", "993", "86400",
            "\"2027-01-16T00:00:00Z\"") "," OBJECT("monthly", "bytes", "7", "9", "0", "0", "null",
                                                   "\"2027-02-01T00:00:00Z\"") "," OBJECT("stored",
                                                                                          "bytes",
                                                                                          "10737418"
                                                                                          "2400",
                                                                                          "3",
                                                                                          "10737418"
                                                                                          "2397",
                                                                                          "0",
                                                                                          "null",
                                                                                          "null") "," OBJECT("open_uploads",
                                                                                                             "open",
                                                                                                             "50",
                                                                                                             "0",
                                                                                                             "4",
                                                                                                             "46",
                                                                                                             "null",
                                                                                                             "\"2027-01-15T08:05:00Z\"") "]");
}

static void test_nothing_to_tell(void **state)
{
    (void)state;
    static const struct plan empty = { .n_limits = 0 };
    assert_string_equal(written(NULL, NULL), "[]");
    assert_string_equal(written(&empty, states), "[]");
    assert_string_equal(written(&plan, NULL), "[]");
}

TEST_MAIN(cmocka_unit_test(test_all_kinds), cmocka_unit_test(test_nothing_to_tell))
