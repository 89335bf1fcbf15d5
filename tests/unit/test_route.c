#include "test.h"

#include "presignd/route.h"

static enum step never(struct request *r)
{
    (void)r;
    return STEP_STOP;
}

static step_fn *const steps[] = { never, NULL };

/* clang-format off */
static const struct route routes[] = {
    { HTTP_POST,            STR_INIT("/v1/uploads"),               steps, 0, 0,           "uploads",  NULL, NULL },
    { HTTP_GET,             STR_INIT("/v1/uploads/{id}"),          steps, 0, 0,           "upload",   NULL, NULL },
    { HTTP_DELETE,          STR_INIT("/v1/uploads/{id}"),          steps, 0, 0,           "upload",   NULL, NULL },
    { HTTP_POST,            STR_INIT("/v1/uploads/{id}/complete"), steps, 0, 0,           "complete", NULL, NULL },
    { HTTP_GET,             STR_INIT("/v1/uploads/plain"),         steps, 0, 0,           "plain",    NULL, NULL },
    { HTTP_GET,             STR_INIT("/livez"),                    steps, 0, ROUTE_PROBE, "livez",    NULL, NULL },
    { HTTP_GET,             STR_INIT("/metrics"),                  steps, 0, ROUTE_ADMIN, "metrics",  NULL, NULL },
};

enum { GET = HTTP_GET | HTTP_HEAD };
enum { NONE = ROWS(routes) };

static const struct {
    const char *name;
    struct str path;
    unsigned method;
    bool admin;
    size_t want;
    unsigned allowed;
    struct str id;
} cases[] = {
    { "plain",               STR_INIT("/v1/uploads"),             HTTP_POST,   false, 0,    HTTP_POST,          STR_INIT("") },
    { "id",                  STR_INIT("/v1/uploads/7"),           HTTP_GET,    false, 1,    GET | HTTP_DELETE,  STR_INIT("7") },
    { "HEAD where GET is",   STR_INIT("/v1/uploads/7"),           HTTP_HEAD,   false, 1,    GET | HTTP_DELETE,  STR_INIT("7") },
    { "second row",          STR_INIT("/v1/uploads/7"),           HTTP_DELETE, false, 2,    GET | HTTP_DELETE,  STR_INIT("7") },
    { "id in the middle",    STR_INIT("/v1/uploads/7/complete"),  HTTP_POST,   false, 3,    HTTP_POST,          STR_INIT("7") },
    { "plain beats id",      STR_INIT("/v1/uploads/plain"),       HTTP_GET,    false, 4,    GET,                STR_INIT("") },
    { "plain hides id",      STR_INIT("/v1/uploads/plain"),       HTTP_DELETE, false, NONE, GET,                STR_INIT("") },
    { "probe",               STR_INIT("/livez"),                  HTTP_GET,    false, 5,    GET,                STR_INIT("") },
    { "probe for admins",    STR_INIT("/livez"),                  HTTP_GET,    true,  5,    GET,                STR_INIT("") },
    { "admin",               STR_INIT("/metrics"),                HTTP_GET,    true,  6,    GET,                STR_INIT("") },
    { "admin in public",     STR_INIT("/metrics"),                HTTP_GET,    false, NONE, 0,                  STR_INIT("") },
    { "public for admins",   STR_INIT("/v1/uploads"),             HTTP_POST,   true,  NONE, 0,                  STR_INIT("") },
    { "wrong method",        STR_INIT("/v1/uploads"),             HTTP_GET,    false, NONE, HTTP_POST,          STR_INIT("") },
    { "unknown method",      STR_INIT("/v1/uploads"),             0,           false, NONE, HTTP_POST,          STR_INIT("") },
    { "no such path",        STR_INIT("/v2/uploads"),             HTTP_POST,   false, NONE, 0,                  STR_INIT("") },
    { "other case",          STR_INIT("/V1/uploads"),             HTTP_POST,   false, NONE, 0,                  STR_INIT("") },
    { "slash at the end",    STR_INIT("/v1/uploads/"),            HTTP_POST,   false, NONE, 0,                  STR_INIT("") },
    { "slash after id",      STR_INIT("/v1/uploads/7/"),          HTTP_GET,    false, NONE, 0,                  STR_INIT("") },
    { "two slashes",         STR_INIT("//v1/uploads"),            HTTP_POST,   false, NONE, 0,                  STR_INIT("") },
    { "dots",                STR_INIT("/v1/../v1/uploads"),       HTTP_POST,   false, NONE, 0,                  STR_INIT("") },
    { "escaped letter",      STR_INIT("/v1/%75ploads"),           HTTP_POST,   false, NONE, 0,                  STR_INIT("") },
    { "id of two segments",  STR_INIT("/v1/uploads/7/8"),         HTTP_GET,    false, NONE, 0,                  STR_INIT("") },
    { "empty id inside",     STR_INIT("/v1/uploads//complete"),   HTTP_POST,   false, NONE, 0,                  STR_INIT("") },
    { "half of the end",     STR_INIT("/v1/uploads/7/complet"),   HTTP_POST,   false, NONE, 0,                  STR_INIT("") },
    { "more than the end",   STR_INIT("/v1/uploads/7/completed"), HTTP_POST,   false, NONE, 0,                  STR_INIT("") },
    { "prefix",              STR_INIT("/v1/upload"),              HTTP_POST,   false, NONE, 0,                  STR_INIT("") },
    { "the template itself", STR_INIT("/v1/uploads/{id}"),        HTTP_POST,   false, NONE, GET | HTTP_DELETE,  STR_INIT("") },
    { "empty",               STR_INIT(""),                        HTTP_GET,    false, NONE, 0,                  STR_INIT("") },
};

static const struct { const char *name; unsigned want; } method_names[] = {
    { "GET", HTTP_GET }, { "HEAD", HTTP_HEAD }, { "POST", HTTP_POST }, { "DELETE", HTTP_DELETE },
    { "OPTIONS", HTTP_OPTIONS }, { "PUT", 0 }, { "get", 0 }, { "GETX", 0 }, { "GE", 0 }, { "", 0 },
    { "CONNECT", 0 }, { "TRACE", 0 }, { "POST ", 0 },
};

static const struct { const char *name; unsigned methods; const char *want; } lists[] = {
    { "one",     HTTP_POST,                           "POST"              },
    { "GET",     HTTP_GET,                            "GET, HEAD"         },
    { "several", HTTP_DELETE | HTTP_GET | HTTP_HEAD,  "GET, HEAD, DELETE" },
    { "none",    0,                                   ""                  },
};
/* clang-format on */

static void test_find(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        const char *name = cases[i].name;
        const struct route_match m =
            route_find(routes, ROWS(routes), cases[i].admin, cases[i].path, cases[i].method);
        CHECK_EQ(name, m.number, cases[i].want);
        CHECK(name, m.route == (cases[i].want == NONE ? NULL : &routes[cases[i].want]));
        CHECK_EQ(name, m.allowed, cases[i].allowed);
        CHECK_STR(name, m.path_id, cases[i].id);
    }
}

static void test_flags_of_path(void **state)
{
    (void)state;
    const struct route_match m = route_find(routes, ROWS(routes), false, STR("/livez"), HTTP_POST);
    assert_null(m.route);
    assert_int_equal(m.flags, ROUTE_PROBE);
}

static void test_methods(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(method_names); i++)
        CHECK_EQ(method_names[i].name, route_method(method_names[i].name), method_names[i].want);
    CHECK_TEXT("POST", route_method_name(HTTP_POST), "POST");
    CHECK_TEXT("unknown", route_method_name(0), "OTHER");
    for (size_t i = 0; i < ROWS(lists); i++) {
        char space[64];
        struct buf out = BUF_FIXED(space);
        route_methods(&out, lists[i].methods);
        CHECK_TEXT(lists[i].name, buf_view(&out), lists[i].want);
    }
}

TEST_MAIN(cmocka_unit_test(test_find), cmocka_unit_test(test_flags_of_path),
          cmocka_unit_test(test_methods))
