#include "test.h"

#include <pthread.h>
#include <stdio.h>

#include "presignd/rate_share.h"

#define NOW_US INT64_C(1795334400000000)
#define USER   STR("0123456789abcdef0123456789abcdef")

static const struct limit sixty = {
    .name = STR_INIT("requests"), .kind = LIMIT_RATE, .max = 60, .window_s = 60, .burst = 12
};
static const struct limit stored = { .name = STR_INIT("stored"), .kind = LIMIT_BYTES, .max = 1 };

static struct rate_share *new_share(int64_t replicas)
{
    struct rate_share *s = rate_share_new(replicas);
    assert_non_null(s);
    return s;
}

/* How many in a row are granted at one moment. */
static int burst_at(struct rate_share *s, struct str user, const struct plan *p, int64_t now_us)
{
    struct limits_verdict v;
    int n = 0;
    while (n < 1000 && rate_share_ask(s, user, p, now_us, true, &v, NULL) == ST_OK)
        n++;
    return n;
}

static void test_shares(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct limit limit;
        int64_t replicas;
        int burst;
        int64_t step_us; /* then one in so long */
    } rows[] = {
        { "alone", { STR_INIT("r"), LIMIT_RATE, 60, 60, 12 }, 1, 12, 1000000 },
        { "a third", { STR_INIT("r"), LIMIT_RATE, 60, 60, 12 }, 3, 4, 3000000 },
        { "a burst that does not divide",
          { STR_INIT("r"), LIMIT_RATE, 60, 60, 12 },
          5,
          2,
          5000000 },
        { "more replicas than burst", { STR_INIT("r"), LIMIT_RATE, 60, 60, 2 }, 10, 1, 10000000 },
        { "more replicas than max", { STR_INIT("r"), LIMIT_RATE, 2, 60, 1 }, 6, 1, 180000000 },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct rate_share *s = new_share(rows[i].replicas);
        const struct plan p = { .limits = &rows[i].limit, .n_limits = 1 };
        const int64_t step_us = rows[i].step_us;
        CHECK_EQ(rows[i].name, burst_at(s, USER, &p, NOW_US), rows[i].burst);
        CHECK_EQ(rows[i].name, burst_at(s, USER, &p, NOW_US + step_us - 1), 0);
        CHECK_EQ(rows[i].name, burst_at(s, USER, &p, NOW_US + step_us), 1);
        CHECK_EQ(rows[i].name, burst_at(s, STR("another"), &p, NOW_US), rows[i].burst);
        rate_share_free(s);
    }
}

static void test_all_or_nothing(void **state)
{
    (void)state;
    const struct limit two[] = {
        sixty,
        { STR_INIT("slow"), LIMIT_RATE, 1, 3600, 1 },
        stored,
    };
    const struct plan both = { .limits = two, .n_limits = 3 };
    const struct plan first = { .limits = two, .n_limits = 1 };
    struct rate_share *s = new_share(1);
    struct limits_verdict v;
    struct limit_state states[3];

    assert_int_equal(rate_share_ask(s, USER, &both, NOW_US, false, &v, states), ST_OK);
    CHECK_EQ("a look takes nothing", states[0].remaining, 12);
    assert_int_equal(rate_share_ask(s, USER, &both, NOW_US, true, &v, states), ST_OK);
    CHECK_EQ("one is taken", states[0].remaining, 11);
    CHECK_EQ("of both", states[1].remaining, 0);
    assert_int_equal(rate_share_ask(s, USER, &both, NOW_US, true, &v, states), ST_RATE_LIMITED);
    CHECK_EQ("the slow one says no", v.index, 1);
    CHECK_EQ("for an hour", v.wait_us, INT64_C(3600000000));
    CHECK_EQ("and nothing is taken", burst_at(s, USER, &first, NOW_US), 11);
    rate_share_free(s);
    rate_share_free(NULL);
}

/* More users than the table holds: who asks in a row keeps being counted. */
static void test_full(void **state)
{
    (void)state;
    struct rate_share *s = new_share(1);
    const struct plan p = { .limits = &sixty, .n_limits = 1 };
    struct limits_verdict v;
    char name[16];
    for (int i = 0; i < 3 * RATE_SHARE_ENTRIES; i++) {
        const struct str user = { name, (size_t)snprintf(name, sizeof(name), "user %d", i) };
        CHECK_EQ(name, rate_share_ask(s, user, &p, NOW_US, true, &v, NULL), ST_OK);
    }
    CHECK_EQ("a burst in a full table", burst_at(s, USER, &p, NOW_US), 12);
    rate_share_free(s);
}

enum { THREADS = 4 };

struct racer {
    pthread_t thread;
    struct rate_share *share;
    int granted;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    const struct plan p = { .limits = &sixty, .n_limits = 1 };
    r->granted = burst_at(r->share, USER, &p, NOW_US);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct rate_share *s = new_share(1);
    struct racer racers[THREADS];
    int granted = 0;
    for (int i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){ .share = s };
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
        granted += racers[i].granted;
    }
    CHECK_EQ("all threads together", granted, 12);
    rate_share_free(s);
}

TEST_MAIN(cmocka_unit_test(test_shares), cmocka_unit_test(test_all_or_nothing),
          cmocka_unit_test(test_full), cmocka_unit_test(test_threads))
