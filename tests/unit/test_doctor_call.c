/* Header lines of an answer, as browsers read them; and calls that cannot be made. */
#include "test.h"

#include "presignd/doctor_call.h"

#define HEAD                                          \
    "HTTP/1.1 200 OK\r\n"                             \
    "Access-Control-Allow-Methods: POST , PUT\r\n"    \
    "access-control-expose-headers: x-amz-id\r\n"     \
    "Access-Control-Expose-Headers:etag,Location\r\n" \
    "Access-Control-Allow-Headers: *\r\n"             \
    "Empty:\r\n"                                      \
    "no colon\r\n"                                    \
    "\r\n"

static void set_answer(struct doctor_call *c)
{
    doctor_call_init(c, "GET");
    buf_lit(&c->answer, HEAD);
    c->head_len = c->answer.len;
    buf_lit(&c->answer, "X-Of-Body: yes\r\n");
}

static const struct {
    const char *header, *want;
} found[] = {
    { "access-control-allow-methods", "POST , PUT" },
    { "ACCESS-CONTROL-EXPOSE-HEADERS", "x-amz-id" }, /* the first */
    { "Empty", "" },
    { "no colon", "" },
    { "Access-Control", "" },
    { "X-Of-Body", "" },
    { "", "" },
};

static void test_find(void **state)
{
    (void)state;
    struct doctor_call c;
    set_answer(&c);
    for (size_t i = 0; i < ROWS(found); i++)
        CHECK_TEXT(found[i].header, doctor_call_find(&c, str_from(found[i].header)), found[i].want);
    CHECK_TEXT("body", doctor_call_body(&c), "X-Of-Body: yes\r\n");
    doctor_call_release(&c);
}

static const struct {
    const char *header, *word;
    bool want;
} listed[] = {
    { "Access-Control-Allow-Methods", "PUT", true },
    { "Access-Control-Allow-Methods", "POST", true },
    { "Access-Control-Allow-Methods", "PU", false },
    { "Access-Control-Allow-Methods", "POST , PUT", false },
    { "Access-Control-Allow-Methods", "DELETE", false },
    { "Access-Control-Expose-Headers", "ETag", true }, /* of the second line, in another case */
    { "Access-Control-Expose-Headers", "Location", true },
    { "Access-Control-Allow-Headers", "anything", true },
    { "X-Missing", "anything", false },
    { "X-Of-Body", "yes", false },
    { "Empty", "anything", false },
};

static void test_lists(void **state)
{
    (void)state;
    struct doctor_call c;
    set_answer(&c);
    for (size_t i = 0; i < ROWS(listed); i++)
        CHECK_EQ(listed[i].word,
                 doctor_call_lists(&c, str_from(listed[i].header), str_from(listed[i].word)),
                 listed[i].want);
    doctor_call_release(&c);
}

static const struct {
    const char *name, *url, *header;
    enum reach want;
} calls[] = {
    { "no URL", "", "x", REACH_BUILT },
    { "a header that breaks the line", "http://127.0.0.1/", "x\r\nY: z", REACH_BUILT },
    { "another scheme", "file:///etc/hostname", "x", REACH_ANSWER },
    { "a user in it", "http://user@127.0.0.1/", "x", REACH_ANSWER },
    { "no such name", "http://nobody.invalid/", "x", REACH_NAME },
};

static void test_unreachable(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(calls); i++) {
        struct doctor_call c;
        doctor_call_init(&c, "GET");
        buf_str(&c.url, str_from(calls[i].url));
        doctor_call_header(&c, STR("X"), str_from(calls[i].header));
        doctor_call_run(&c);
        CHECK_EQ(calls[i].name, c.reach, calls[i].want);
        CHECK(calls[i].name, c.why.len > 0 && c.http == 0 && c.date_s == -1);
        doctor_call_release(&c);
    }
}

TEST_MAIN(cmocka_unit_test(test_find), cmocka_unit_test(test_lists),
          cmocka_unit_test(test_unreachable))
