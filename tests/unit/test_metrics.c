/*
 * metrics: where an observation lands, and that counters add up for a reader in another thread.
 */
#include "test.h"

#include <pthread.h>

#include "presignd/metrics.h"

static const struct {
    const char *name;
    int64_t micros;
    size_t bucket;
    uint64_t sum;
} rows[] = {
    { "zero", 0, 0, 0 },
    { "negative counts as none", -5, 0, 0 },
    { "the bound itself belongs below", 50, 0, 50 },
    { "one over the bound", 51, 1, 51 },
    { "a millisecond", 1000, 4, 1000 },
    { "the last bound", 5000000, 13, 5000000 },
    { "beyond all bounds", 5000001, 14, 5000001 },
    { "as large as it goes", INT64_MAX, 14, INT64_MAX },
};

static void test_observe(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct metric_histogram h = { 0 };
        metric_observe(&h, rows[i].micros);
        for (size_t b = 0; b <= METRIC_BUCKETS; b++)
            CHECK_EQ(rows[i].name, metric_read(&h.bucket[b]), b == rows[i].bucket);
        CHECK_EQ(rows[i].name, metric_read(&h.sum_us), rows[i].sum);
    }
}

static void test_bounds_ascend(void **state)
{
    (void)state;
    CHECK("first", metric_bounds_us[0] > 0);
    for (size_t i = 1; i < METRIC_BUCKETS; i++)
        CHECK("ascending", metric_bounds_us[i] > metric_bounds_us[i - 1]);
}

static uint64_t named(const struct metric_names *m, const char *name)
{
    for (size_t i = 0; i < metric_names_n(m); i++)
        if (strcmp(m->rows[i].name, name) == 0)
            return metric_read(&m->rows[i].count);
    return 0;
}

static void test_names(void **state)
{
    (void)state;
    static struct metric_names m;
    char longest[METRIC_NAME_MAX + 2];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    metric_add_named(&m, str_from(longest));
    CHECK_EQ("too long", metric_names_n(&m), 0);
    CHECK_EQ("too long", metric_read(&m.others), 1);
    longest[METRIC_NAME_MAX] = '\0';
    metric_add_named(&m, str_from(longest));
    metric_add_named(&m, str_from(longest));
    CHECK_EQ("just as long as may be", named(&m, longest), 2);
    metric_add_named(&m, STR("xx"));
    CHECK_EQ("the beginning of another", named(&m, "xx"), 1);
    for (int i = 2; i < METRIC_NAMES; i++) {
        const char name[] = { 'n', (char)('A' + i), '\0' };
        metric_add_named(&m, str_from(name));
    }
    CHECK_EQ("full", metric_names_n(&m), METRIC_NAMES);
    metric_add_named(&m, STR("late"));
    CHECK_EQ("one too many", metric_names_n(&m), METRIC_NAMES);
    CHECK_EQ("one too many", metric_read(&m.others), 2);
    metric_add_named(&m, STR("xx"));
    CHECK_EQ("known when full", named(&m, "xx"), 2);
}

enum { ADDS = 100000 };

static void *add_many(void *arg)
{
    metric_cell *c = arg;
    for (int i = 0; i < ADDS; i++)
        metric_add(c, 1);
    return NULL;
}

static void test_reader_sees_it_grow(void **state)
{
    (void)state;
    metric_cell cell = 0;
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, add_many, &cell), 0);
    uint64_t before = 0;
    for (int i = 0; i < 1000; i++) {
        const uint64_t now = metric_read(&cell);
        CHECK("never smaller", now >= before);
        before = now;
    }
    assert_int_equal(pthread_join(t, NULL), 0);
    CHECK_EQ("all of them", metric_read(&cell), ADDS);
}

TEST_MAIN(cmocka_unit_test(test_observe), cmocka_unit_test(test_bounds_ascend),
          cmocka_unit_test(test_names), cmocka_unit_test(test_reader_sees_it_grow))
