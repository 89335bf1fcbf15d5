#include "test.h"

#include "oom.h"
#include "presignd/buf.h"

static void test_grows_to_its_limit(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_INIT(1000);
    for (int i = 0; i < 1000; i++)
        buf_char(&b, (char)('a' + i % 26));
    assert_int_equal(buf_check(&b), ST_OK);
    assert_int_equal(b.len, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(b.ptr[i], 'a' + i % 26);

    buf_char(&b, 'x');
    assert_int_equal(buf_check(&b), ST_TOO_LARGE);
    assert_int_equal(b.len, 1000);
}

/* Nothing is written in part, and nothing after the failure. */
static void test_failure_sticks(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_INIT(8);
    buf_lit(&b, "12345");
    buf_lit(&b, "6789");
    assert_int_equal(buf_check(&b), ST_TOO_LARGE);
    buf_lit(&b, "6");
    buf_int(&b, 7);
    buf_char(&b, '8');
    CHECK_TEXT("later pushes do nothing", b, "12345");
    assert_null(buf_room(&b, 1));
    assert_null(buf_cstr(&b));
    assert_int_equal(buf_check(&b), ST_TOO_LARGE);

    buf_reset(&b);
    assert_int_equal(buf_check(&b), ST_OK);
    buf_lit(&b, "12345678");
    CHECK_TEXT("usable after a reset", b, "12345678");
    assert_int_equal(buf_check(&b), ST_OK);
}

static void test_fixed(void **state)
{
    (void)state;
    char space[4];
    struct buf b = BUF_FIXED(space);
    buf_lit(&b, "abc");
    assert_ptr_equal(b.ptr, space);
    assert_string_equal(buf_cstr(&b), "abc");
    buf_char(&b, 'd');
    assert_int_equal(buf_check(&b), ST_OK);
    buf_char(&b, 'e');
    assert_int_equal(buf_check(&b), ST_TOO_LARGE);
    CHECK_BYTES("what fitted", space, sizeof(space), "abcd", 4);
    buf_release(&b);
    buf_lit(&b, "xy");
    assert_ptr_equal(b.ptr, space);
    CHECK_TEXT("usable after a release", b, "xy");
}

static void test_limit_zero(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_INIT(0);
    buf_lit(&b, "");
    assert_int_equal(buf_check(&b), ST_OK);
    assert_null(buf_cstr(&b));
    buf_char(&b, 'a');
    assert_int_equal(buf_check(&b), ST_TOO_LARGE);
    CHECK_TEXT("empty", buf_view(&b), "");
}

static void test_sizes_that_overflow(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_INIT(SIZE_MAX);
    buf_lit(&b, "abc");
    assert_null(buf_room(&b, SIZE_MAX));
    assert_int_equal(buf_check(&b), ST_TOO_LARGE);
    CHECK_TEXT("unharmed", b, "abc");
}

static void test_int(void **state)
{
    (void)state;
    static const struct {
        const char *want;
        int64_t v;
    } cases[] = {
        { "0", 0 },
        { "9", 9 },
        { "10", 10 },
        { "-1", -1 },
        { "5368709120", INT64_C(5368709120) },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        AUTO(buf) b = BUF_INIT(32);
        buf_int(&b, cases[i].v);
        CHECK_TEXT(cases[i].want, b, cases[i].want);
    }
}

static void test_int_padded(void **state)
{
    (void)state;
    static const struct {
        const char *want;
        int64_t v;
        int width;
    } cases[] = {
        { "007", 7, 3 },   { "000", 0, 3 },
        { "123", 123, 3 }, { "1234", 1234, 3 },
        { "0", 0, 0 },     { "0000000000000000000000001", 1, 25 },
        { "5", 5, -1 },    { "09223372036854775807", INT64_MAX, 20 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        AUTO(buf) b = BUF_INIT(32);
        buf_int_padded(&b, cases[i].v, cases[i].width);
        CHECK_TEXT(cases[i].want, b, cases[i].want);
    }
}

static void test_room_advance_truncate(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_INIT(600);
    buf_lit(&b, "ab");
    char *to = buf_room(&b, 500);
    assert_non_null(to);
    memset(to, 'c', 3);
    CHECK_TEXT("room is not length", b, "ab");
    buf_advance(&b, 3);
    CHECK_TEXT("advanced", b, "abccc");
    buf_truncate(&b, 1);
    CHECK_TEXT("cut back", b, "a");
    assert_non_null(buf_room(&b, 599));
    assert_null(buf_room(&b, 600));
}

static void test_cstr(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_INIT(4);
    assert_string_equal(buf_cstr(&b), "");
    buf_lit(&b, "abc");
    assert_string_equal(buf_cstr(&b), "abc");
    CHECK_EQ("the NUL does not count", b.len, 3);
    buf_char(&b, 'd');
    assert_null(buf_cstr(&b));
    assert_int_equal(buf_check(&b), ST_OK);
    CHECK_TEXT("unharmed", b, "abcd");
}

static void test_empty_views(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_INIT(10);
    assert_int_equal(buf_view(&b).len, 0);
    buf_str(&b, STR_NONE);
    assert_int_equal(buf_check(&b), ST_OK);
    buf_str(&b, STR("a\0b"));
    CHECK_BYTES("NUL is a byte", b.ptr, b.len, "a\0b", 3);
}

static void test_wipe(void **state)
{
    (void)state;
    char space[16];
    struct buf b = BUF_FIXED(space);
    buf_lit(&b, "secret secret");
    buf_truncate(&b, 2); /* what stands behind the length is wiped as well */
    buf_wipe(&b);
    for (size_t i = 0; i < sizeof(space); i++)
        assert_int_equal(space[i], 0);
    assert_int_equal(b.len, 0);

    struct buf none = BUF_INIT(4);
    buf_wipe(&none);
    buf_release(&none);
    assert_null(none.ptr);
}

static bool builds_or_says_no_memory(void)
{
    AUTO(buf) b = BUF_INIT(5000);
    for (int i = 0; i < 500; i++)
        buf_lit(&b, "0123456789");
    if (buf_check(&b) == ST_OK)
        return !oom_struck() && b.len == 5000;
    return buf_check(&b) == ST_NO_MEMORY && oom_struck() && b.len % 10 == 0;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture(builds_or_says_no_memory);
}

TEST_MAIN(cmocka_unit_test(test_grows_to_its_limit), cmocka_unit_test(test_failure_sticks),
          cmocka_unit_test(test_fixed), cmocka_unit_test(test_limit_zero),
          cmocka_unit_test(test_sizes_that_overflow), cmocka_unit_test(test_int),
          cmocka_unit_test(test_int_padded), cmocka_unit_test(test_room_advance_truncate),
          cmocka_unit_test(test_cstr), cmocka_unit_test(test_empty_views),
          cmocka_unit_test(test_wipe), cmocka_unit_test(test_no_memory))
