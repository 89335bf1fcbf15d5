#include "test.h"

#include "oom.h"

#include "presignd/token_cache.h"

#include <stdio.h>

enum { NOW = 1000, BIG = 1 << 20 };

static struct principal *who(int64_t expires_at_s)
{
    struct principal *p = principal_new();
    assert_non_null(p);
    p->expires_at_s = expires_at_s;
    return p;
}

/* Remembers a token of its own principal, whose exp tells which it is. */
static void put(struct token_cache *tc, uint64_t version, struct str token, int64_t exp)
{
    struct principal *p = who(exp);
    token_cache_put(tc, version, token, p);
    principal_unref(p);
}

/* The exp of what is found; 0 for a miss. */
static int64_t get(struct token_cache *tc, uint64_t version, struct str token, int64_t now_s)
{
    struct principal *p = token_cache_get(tc, version, token, now_s);
    const int64_t exp = p ? p->expires_at_s : 0;
    principal_unref(p);
    return exp;
}

static struct str numbered(char space[1024], int i, size_t len)
{
    memset(space, 'a', len);
    const int n = snprintf(space, len, "%d.", i);
    space[n] = 'a';
    return (struct str){ space, len };
}

static void test_whole_token_counts(void **state)
{
    (void)state;
    struct token_cache *tc = token_cache_new(100, BIG);
    char long_a[300], long_b[300];
    memset(long_a, 's', sizeof(long_a)); /* the same last 64 bytes: the same hash */
    memset(long_b, 's', sizeof(long_b));
    long_b[0] = 'x';
    put(tc, 1, (struct str){ long_a, 300 }, 2000);
    put(tc, 1, STR("a.b.c"), 3000);
    const struct {
        const char *name;
        struct str token;
        int64_t want;
    } cases[] = {
        { "long", { long_a, 300 }, 2000 },
        { "short", STR("a.b.c"), 3000 },
        { "another first byte", { long_b, 300 }, 0 },
        { "its tail", { long_a + 1, 299 }, 0 },
        { "its last 64 bytes", { long_a + 236, 64 }, 0 },
        { "cut", STR("a.b."), 0 },
        { "longer", STR("a.b.cc"), 0 },
        { "another case", STR("a.b.C"), 0 },
        { "empty", STR(""), 0 },
    };
    for (size_t i = 0; i < ROWS(cases); i++)
        CHECK_EQ(cases[i].name, get(tc, 1, cases[i].token, NOW), cases[i].want);
    put(tc, 1, (struct str){ long_b, 300 }, 4000);
    assert_int_equal(get(tc, 1, (struct str){ long_a, 300 }, NOW), 2000);
    assert_int_equal(get(tc, 1, (struct str){ long_b, 300 }, NOW), 4000);
    put(tc, 1, STR(""), 5000);
    assert_int_equal(get(tc, 1, STR(""), NOW), 0);
    token_cache_free(tc);
    token_cache_free(NULL);
}

static void test_dates_at_every_hit(void **state)
{
    (void)state;
    struct token_cache *tc = token_cache_new(100, BIG);
    struct principal *p = who(2000);
    p->not_before_s = 900;
    p->leeway_s = 30;
    token_cache_put(tc, 1, STR("t"), p);
    principal_unref(p);
    assert_int_equal(get(tc, 1, STR("t"), 2029), 2000);
    assert_int_equal(get(tc, 1, STR("t"), 2030), 0);
    assert_int_equal(get(tc, 1, STR("t"), NOW), 0); /* an expired one is forgotten */

    p = who(2000);
    p->not_before_s = 1500;
    token_cache_put(tc, 1, STR("early"), p);
    principal_unref(p);
    assert_int_equal(get(tc, 1, STR("early"), 1499), 0);
    token_cache_free(tc);
}

static void test_keys_change(void **state)
{
    (void)state;
    struct token_cache *tc = token_cache_new(100, BIG);
    put(tc, 1, STR("t"), 2000);
    assert_int_equal(get(tc, 1, STR("t"), NOW), 2000);
    assert_int_equal(get(tc, 2, STR("t"), NOW), 0);
    assert_int_equal(get(tc, 1, STR("t"), NOW), 0);
    put(tc, 1, STR("t"), 2000);
    put(tc, 2, STR("u"), 3000);
    assert_int_equal(get(tc, 2, STR("t"), NOW), 0);
    assert_int_equal(get(tc, 2, STR("u"), NOW), 3000);
    token_cache_free(tc);
}

static void test_least_recently_used_goes(void **state)
{
    (void)state;
    char space[1024];
    struct token_cache *tc = token_cache_new(3, BIG);
    for (int i = 1; i <= 3; i++)
        put(tc, 1, numbered(space, i, 20), 2000 + i);
    assert_int_equal(get(tc, 1, numbered(space, 1, 20), NOW), 2001);
    put(tc, 1, numbered(space, 4, 20), 2004);
    static const int64_t want[] = { 0, 2001, 0, 2003, 2004 };
    for (int i = 1; i <= 4; i++)
        assert_int_equal(get(tc, 1, numbered(space, i, 20), NOW), want[i]);
    for (int i = 5; i < 1000; i++)
        put(tc, 1, numbered(space, i, 20), 2000 + i);
    int found = 0;
    for (int i = 1; i < 1000; i++)
        found += get(tc, 1, numbered(space, i, 20), NOW) != 0;
    assert_int_equal(found, 3);
    token_cache_free(tc);
}

static void test_bytes_are_bounded(void **state)
{
    (void)state;
    char space[1024];
    struct token_cache *tc = token_cache_new(1000, 1000);
    for (int i = 0; i < 50; i++)
        put(tc, 1, numbered(space, i, 100), 2000 + i);
    int found = 0;
    for (int i = 0; i < 50; i++)
        found += get(tc, 1, numbered(space, i, 100), NOW) != 0;
    assert_int_equal(found, 10);
    put(tc, 1, numbered(space, 99, 1000), 3000); /* takes it all */
    assert_int_equal(get(tc, 1, numbered(space, 99, 1000), NOW), 3000);
    assert_int_equal(get(tc, 1, numbered(space, 49, 100), NOW), 0);
    put(tc, 1, numbered(space, 98, 1001), 3000); /* never fits, and throws nobody out */
    assert_int_equal(get(tc, 1, numbered(space, 98, 1001), NOW), 0);
    assert_int_equal(get(tc, 1, numbered(space, 99, 1000), NOW), 3000);
    token_cache_free(tc);

    tc = token_cache_new(0, BIG);
    put(tc, 1, STR("t"), 2000);
    assert_int_equal(get(tc, 1, STR("t"), NOW), 0);
    token_cache_free(tc);
}

/* The first one put stays: the cache never changes who a token is. */
static void test_put_twice(void **state)
{
    (void)state;
    struct token_cache *tc = token_cache_new(10, BIG);
    struct principal *p = who(2000);
    token_cache_put(tc, 1, STR("t"), p);
    token_cache_put(tc, 1, STR("t"), p);
    assert_int_equal(p->refs, 2);
    struct principal *hit = token_cache_get(tc, 1, STR("t"), NOW);
    assert_ptr_equal(hit, p);
    assert_int_equal(p->refs, 3);
    token_cache_free(tc);
    assert_int_equal(p->refs, 2);
    principal_unref(hit);
    principal_unref(p);
}

static bool remembers_or_not(void)
{
    struct token_cache *tc = token_cache_new(10, BIG);
    struct principal *p = principal_new();
    bool held = (tc && p) || oom_struck();
    if (tc && p) {
        p->expires_at_s = 2000;
        token_cache_put(tc, 1, STR("t"), p);
        struct principal *hit = token_cache_get(tc, 1, STR("t"), NOW);
        held = hit == p || (!hit && oom_struck());
        principal_unref(hit);
    }
    token_cache_free(tc);
    principal_unref(p);
    return held;
}

static void test_oom(void **state)
{
    (void)state;
    oom_torture(remembers_or_not);
}

TEST_MAIN(cmocka_unit_test(test_whole_token_counts), cmocka_unit_test(test_dates_at_every_hit),
          cmocka_unit_test(test_keys_change), cmocka_unit_test(test_least_recently_used_goes),
          cmocka_unit_test(test_bytes_are_bounded), cmocka_unit_test(test_put_twice),
          cmocka_unit_test(test_oom))
