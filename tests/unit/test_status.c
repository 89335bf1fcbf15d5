#include "test.h"

#include "presignd/status.h"

/* Typed from API.md section 1, not from the table. */
/* clang-format off */
static const struct {
    enum status st;
    int http;
    const char *code;
    const char *name;
} cases[] = {
    { ST_OK,                       200, "ok",                       "ST_OK" },
    { ST_INVALID_REQUEST,          400, "invalid_request",          "ST_INVALID_REQUEST" },
    { ST_MALFORMED_HTTP,           400, "malformed_http",           "ST_MALFORMED_HTTP" },
    { ST_MISSING_TOKEN,            401, "missing_token",            "ST_MISSING_TOKEN" },
    { ST_INVALID_TOKEN,            401, "invalid_token",            "ST_INVALID_TOKEN" },
    { ST_PROFILE_NOT_ALLOWED,      403, "profile_not_allowed",      "ST_PROFILE_NOT_ALLOWED" },
    { ST_ORIGIN_NOT_ALLOWED,       403, "origin_not_allowed",       "ST_ORIGIN_NOT_ALLOWED" },
    { ST_QUOTA_NEVER,              403, "quota_exceeded",           "ST_QUOTA_NEVER" },
    { ST_UPLOAD_STATE,             409, "upload_state",             "ST_UPLOAD_STATE" },
    { ST_LENGTH_REQUIRED,          411, "length_required",          "ST_LENGTH_REQUIRED" },
    { ST_FILE_TOO_LARGE,           422, "file_too_large",           "ST_FILE_TOO_LARGE" },
    { ST_TOO_MANY_FILES,           422, "too_many_files",           "ST_TOO_MANY_FILES" },
    { ST_QUOTA_EXCEEDED,           429, "quota_exceeded",           "ST_QUOTA_EXCEEDED" },
    { ST_HEADERS_TOO_LARGE,        431, "headers_too_large",        "ST_HEADERS_TOO_LARGE" },
    { ST_STORAGE_FAILED,           502, "storage_failed",           "ST_STORAGE_FAILED" },
    { ST_CREDENTIALS_EXPIRING,     503, "credentials_expiring",     "ST_CREDENTIALS_EXPIRING" },
    { ST_TOO_LARGE,                500, "internal_error",           "ST_TOO_LARGE" },
    { ST_NO_MEMORY,                500, "internal_error",           "ST_NO_MEMORY" },
    { ST_INVALID,                  500, "internal_error",           "ST_INVALID" },
    { ST_UNREACHABLE,              500, "internal_error",           "ST_UNREACHABLE" },
    { ST_INTERNAL,                 500, "internal_error",           "ST_INTERNAL" },
};
/* clang-format on */

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        CHECK_EQ(cases[i].name, status_http(cases[i].st), cases[i].http);
        CHECK_TEXT(cases[i].name, status_code(cases[i].st), cases[i].code);
        CHECK(cases[i].name, strcmp(status_name(cases[i].st), cases[i].name) == 0);
    }
}

static bool code_byte(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z');
}

/* A code goes into an URL, a metric's label and a log line as it is. */
static void test_codes_are_plain_words(void **state)
{
    (void)state;
    for (int s = 0; s < STATUS_COUNT; s++) {
        struct str code = status_code((enum status)s);
        CHECK(status_name((enum status)s), code.len > 0);
        for (size_t i = 0; i < code.len; i++)
            CHECK(status_name((enum status)s), code_byte(code.ptr[i]));
    }
}

static void test_titles_and_http(void **state)
{
    (void)state;
    for (int s = 0; s < STATUS_COUNT; s++) {
        const char *name = status_name((enum status)s);
        CHECK(name, strncmp(name, "ST_", 3) == 0);
        CHECK(name, status_title((enum status)s).len > 0);
        CHECK(name, s == ST_OK || status_http((enum status)s) >= 400);
        CHECK(name, status_http((enum status)s) <= 503);
    }
}

TEST_MAIN(cmocka_unit_test(test_rows), cmocka_unit_test(test_codes_are_plain_words),
          cmocka_unit_test(test_titles_and_http))
