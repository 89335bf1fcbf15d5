/*
 * random: the pool hands nothing out twice and keeps nothing it handed out; UUIDs have their form.
 */
#include "test.h"

#include "presignd/random.h"

static bool all_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static const struct {
    const char *name;
    size_t n;
} amounts[] = {
    { "one", 1 },
    { "an id", 16 },
    { "a pool", RANDOM_POOL },
    { "over a pool", 5000 },
    { "some pools", 20000 },
    { "none", 0 },
};

static void test_bytes(void **state)
{
    (void)state;
    static unsigned char out[20000 + 1];
    struct random_pool p = { .left = 0 };
    for (size_t i = 0; i < ROWS(amounts); i++) {
        const size_t n = amounts[i].n;
        memset(out, 0, sizeof(out));
        CHECK_EQ(amounts[i].name, random_bytes(&p, out, n), ST_OK);
        CHECK_EQ(amounts[i].name, out[n], 0);
        /* sixteen zeros in a row have a chance of 2^-128 */
        for (size_t at = 0; at + 16 <= n; at += 16)
            CHECK(amounts[i].name, !all_zero(out + at, 16));
        CHECK(amounts[i].name, all_zero(p.bytes + p.left, RANDOM_POOL - p.left));
    }
    random_pool_release(&p);
    CHECK("released", all_zero((unsigned char *)&p, sizeof(p)));
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

enum { IDS = 20000 };

static void test_nothing_twice(void **state)
{
    (void)state;
    static unsigned char ids[IDS][16];
    struct random_pool p = { .left = 0 };
    for (size_t i = 0; i < IDS; i++)
        CHECK_EQ("id", random_bytes(&p, ids[i], 16), ST_OK);
    qsort(ids, IDS, 16, compare_ids);
    for (size_t i = 1; i < IDS; i++)
        CHECK("all differ", memcmp(ids[i], ids[i - 1], 16) != 0);
    random_pool_release(&p);
}

static void check_form(const char *id, char version)
{
    CHECK_EQ(id, strlen(id), UUID_TEXT);
    CHECK(id, random_is_uuid(str_from(id)));
    CHECK_EQ(id, id[14], version);
    CHECK(id, strchr("89ab", id[19]));
    for (const char *c = id; *c; c++)
        CHECK(id, strchr("0123456789abcdef-", *c));
}

static void test_uuid4(void **state)
{
    (void)state;
    struct random_pool p = { .left = 0 };
    char id[UUID_TEXT + 1], before[UUID_TEXT + 1] = "";
    for (int i = 0; i < 2000; i++) {
        CHECK_EQ("uuid4", random_uuid4(&p, id), ST_OK);
        check_form(id, '4');
        CHECK(id, strcmp(id, before) != 0);
        memcpy(before, id, sizeof(id));
    }
    random_pool_release(&p);
}

static const struct {
    const char *name;
    int64_t ms;
    const char *want;
} moments[] = {
    { "epoch", 0, "00000000-0000-7" },
    { "one", 1, "00000000-0001-7" },
    { "RFC 9562's example", INT64_C(0x017F22E279B0), "017f22e2-79b0-7" },
    { "all bits", INT64_C(0xFFFFFFFFFFFF), "ffffffff-ffff-7" },
};

static void test_uuid7(void **state)
{
    (void)state;
    struct random_pool p = { .left = 0 };
    for (size_t i = 0; i < ROWS(moments); i++) {
        char id[UUID_TEXT + 1], other[UUID_TEXT + 1];
        CHECK_EQ(moments[i].name, random_uuid7(&p, moments[i].ms, id), ST_OK);
        CHECK_EQ(moments[i].name, random_uuid7(&p, moments[i].ms, other), ST_OK);
        check_form(id, '7');
        CHECK_BYTES(moments[i].name, id, 15, moments[i].want, 15);
        CHECK(moments[i].name, strcmp(id, other) != 0);
    }
    random_pool_release(&p);
}

static void test_below(void **state)
{
    (void)state;
    enum { DRAWS = 60000, SIDES = 6 };
    struct random_pool p = { .left = 0 };
    int seen[SIDES] = { 0 };
    for (int i = 0; i < DRAWS; i++) {
        const int64_t n = random_below(&p, SIDES);
        CHECK("in range", n >= 0 && n < SIDES);
        seen[n]++;
    }
    for (int i = 0; i < SIDES; i++) /* 10 standard deviations of about 91 */
        CHECK("even", seen[i] > DRAWS / SIDES - 910 && seen[i] < DRAWS / SIDES + 910);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ("one choice", random_below(&p, 1), 0);
        CHECK("the widest", random_below(&p, INT64_MAX) >= 0);
    }
    random_pool_release(&p);
}

static const struct {
    const char *name;
    struct str in;
    bool want;
} forms[] = {
    { "lower case", STR_INIT("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), true },
    { "upper case", STR_INIT("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), true },
    { "nil", STR_INIT("00000000-0000-0000-0000-000000000000"), true },
    { "empty", STR_INIT(""), false },
    { "short by one", STR_INIT("017f22e2-79b0-7cc3-98c4-dc0c0c07398"), false },
    { "long by one", STR_INIT("017f22e2-79b0-7cc3-98c4-dc0c0c07398f0"), false },
    { "newline behind", STR_INIT("017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n"), false },
    { "newline within", STR_INIT("017f22e2-79b0-7cc3-98c4-dc0c0c07398\n"), false },
    { "NUL within", STR_INIT("017f22e2-79b0-7cc3-98c4-dc0c0c0739\0f"), false },
    { "no dashes", STR_INIT("017f22e279b07cc398c4dc0c0c07398f"), false },
    { "dash elsewhere", STR_INIT("017f22e27-9b0-7cc3-98c4-dc0c0c07398f"), false },
    { "braces", STR_INIT("{017f22e2-79b0-7cc3-98c4-dc0c0c0739}"), false },
    { "no hex digit", STR_INIT("017f22e2-79b0-7cc3-98c4-dc0c0c07398g"), false },
    { "blank", STR_INIT("017f22e2-79b0-7cc3-98c4-dc0c0c0739 f"), false },
    { "sign", STR_INIT("+17f22e2-79b0-7cc3-98c4-dc0c0c07398f"), false },
    { "no ASCII", STR_INIT("017f22e2-79b0-7cc3-98c4-dc0c0c0739\xc3\xa4"), false },
};

static void test_is_uuid(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(forms); i++)
        CHECK_EQ(forms[i].name, random_is_uuid(forms[i].in), forms[i].want);
}

TEST_MAIN(cmocka_unit_test(test_bytes), cmocka_unit_test(test_nothing_twice),
          cmocka_unit_test(test_uuid4), cmocka_unit_test(test_uuid7), cmocka_unit_test(test_below),
          cmocka_unit_test(test_is_uuid))
