#include "test.h"

#include "presignd/problem.h"

#define HEAD_OF(code, title, status, detail)                                \
    "{\"type\":\"https://presignd.dev/errors/" code "\",\"title\":\"" title \
    "\",\"status\":" status ",\"detail\":\"" detail "\",\"code\":\"" code   \
    "\",\"request_id\":\"r1\",\"message\":\"" detail "\""

static void check(const char *name, const struct fault *f, const char *want)
{
    char space[2048];
    struct buf out = BUF_FIXED(space);
    problem_write(&out, f, STR("r1"));
    CHECK_EQ(name, buf_check(&out), ST_OK);
    CHECK_TEXT(name, buf_view(&out), want);
}

static void test_plain(void **state)
{
    (void)state;
    struct fault f;
    fault_set(&f, ST_NOT_FOUND, STR_NONE);
    check("title for detail", &f, HEAD_OF("not_found", "Not found", "404", "Not found") "}");
    fault_set(&f, ST_QUOTA_NEVER, STR("Used \"up\"\n."));
    check("escapes", &f,
          HEAD_OF("quota_exceeded", "Quota exceeded", "403", "Used \\\"up\\\"\\n.") "}");
    fault_set(&f, ST_NO_MEMORY, STR_NONE);
    check("never shown as it is", &f,
          HEAD_OF("internal_error", "Internal error", "500", "Internal error") "}");
}

static void test_members(void **state)
{
    (void)state;
    static const struct str types[] = { STR_INIT("image/*"), STR_INIT("a\"b") };
    struct fault f;
    fault_set(&f, ST_CONTENT_TYPE_NOT_ALLOWED, STR("No."));
    f.log_reason = STR("secret");
    fault_list(&f, "allowed", types, 2);
    fault_list(&f, "none", NULL, 0);
    fault_int(&f, "max_bytes", INT64_MAX);
    fault_str(&f, "member", STR("files[0].size"));
    f.members[f.n_members++] = (struct fault_member){ .name = "resets_at", .kind = FAULT_NULL };
    check("members", &f,
          HEAD_OF("content_type_not_allowed", "Content type not allowed", "422",
                  "No.") ",\"allowed\":[\"image/"
                         "*\",\"a\\\"b\"],\"none\":[],\"max_bytes\":9223372036854775807"
                         ",\"member\":\"files[0].size\",\"resets_at\":null}");
}

/* A buffer that is too small says so; nothing is cut silently. */
static void test_too_small(void **state)
{
    (void)state;
    char space[64];
    struct buf out = BUF_FIXED(space);
    struct fault f;
    fault_set(&f, ST_NOT_FOUND, STR_NONE);
    problem_write(&out, &f, STR("r1"));
    assert_int_equal(buf_check(&out), ST_TOO_LARGE);
}

TEST_MAIN(cmocka_unit_test(test_plain), cmocka_unit_test(test_members),
          cmocka_unit_test(test_too_small))
