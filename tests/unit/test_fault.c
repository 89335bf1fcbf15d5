#include "test.h"

#include "presignd/fault.h"

static void test_set(void **state)
{
    (void)state;
    struct fault f;
    memset(&f, 0xff, sizeof(f));
    assert_int_equal(fault_set(&f, ST_FILE_TOO_LARGE, STR("too large")), ST_FILE_TOO_LARGE);
    assert_int_equal(f.status, ST_FILE_TOO_LARGE);
    CHECK_TEXT("detail", f.detail, "too large");
    assert_int_equal(f.n_members, 0);
    assert_int_equal(f.retry_after_s, 0);
    assert_int_equal(f.log_reason.len, 0);
}

static void test_members(void **state)
{
    (void)state;
    static const struct str types[] = { STR_INIT("image/png"), STR_INIT("image/jpeg") };
    struct fault f = { 0 };
    fault_set(&f, ST_CONTENT_TYPE_NOT_ALLOWED, STR_NONE);
    fault_str(&f, "member", STR("content_type"));
    fault_int(&f, "max_bytes", INT64_MAX);
    fault_list(&f, "allowed", types, ROWS(types));

    assert_int_equal(f.n_members, 3);
    assert_int_equal(f.members[0].kind, FAULT_STR);
    assert_string_equal(f.members[0].name, "member");
    CHECK_TEXT("text", f.members[0].str, "content_type");
    assert_int_equal(f.members[1].kind, FAULT_INT);
    assert_true(f.members[1].num == INT64_MAX);
    assert_int_equal(f.members[2].kind, FAULT_LIST);
    assert_int_equal(f.members[2].num, 2);
    assert_ptr_equal(f.members[2].list, types);
}

static void test_set_again_forgets(void **state)
{
    (void)state;
    struct fault f = { 0 };
    fault_set(&f, ST_RATE_LIMITED, STR("slow down"));
    f.retry_after_s = 7;
    f.log_reason = STR("why");
    fault_int(&f, "limit", 1);
    fault_set(&f, ST_NOT_FOUND, STR_NONE);
    assert_int_equal(f.status, ST_NOT_FOUND);
    assert_int_equal(f.n_members, 0);
    assert_int_equal(f.retry_after_s, 0);
    assert_int_equal(f.detail.len, 0);
    assert_int_equal(f.log_reason.len, 0);
}

static void test_holds_what_its_array_holds(void **state)
{
    (void)state;
    struct fault f = { 0 };
    fault_set(&f, ST_INVALID_REQUEST, STR_NONE);
    for (int i = 0; i < (int)ROWS(f.members); i++)
        fault_int(&f, "n", i);
    for (int i = 0; i < (int)ROWS(f.members); i++)
        assert_int_equal(f.members[i].num, i);
}

TEST_MAIN(cmocka_unit_test(test_set), cmocka_unit_test(test_members),
          cmocka_unit_test(test_set_again_forgets),
          cmocka_unit_test(test_holds_what_its_array_holds))
