/*
 * What the answers of each way of asking hold: packets that a store would take, in the words of the
 * dialect, and refusals in the same words.
 */
#include "test.h"

#include "api_kit.h"
#include "check_packet.h"

#define MD5_HEX    "D41d8cd98f00b204e9800998ecf8427e"
#define MD5_BASE64 "1B2M2Y8AsgTpgAmY7PhCfg=="

/* clang-format off */
static const struct setting_profile rows[] = { /* sorted; the first is the default */
    { "a",     "{'fields': {'success_action_status': '201', 'acl': 'private'}, 'max_bytes': 5368709120}" },
    { "any",   "{'size': 'any', 'bucket': 'noform', 'max_bytes': 77}" },
    { "big",   "{'metadata': {'allow': ['a', 'b']}}" },
    { "brief", "{'expires_s': 30, 'max_expires_s': 30}" },
    { "form",  "{'bucket': 'noform'}" },
    { "range", "{'size': 'range', 'min_bytes': 3, 'max_bytes': 9}" },
    { "sum",   "{'checksum': 'none'}" },
};
/* clang-format on */

static struct setting *setting;
static struct keyring *ring;
static struct creds *creds;
static struct api *api;
static const char *token;

static int set_up(void **state)
{
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_setup(null, LOG_LEVEL_INFO);
    if (kit_start(state) != 0)
        return -1;
    setting = setting_new(rows, ROWS(rows));
    ring = ring_of(&kit_issuer, secret_keys(kit_secret));
    creds = creds_named("AKID", CREDS_NEVER);
    api = api_new(setting, ring, creds);
    token = good_token();
    return 0;
}

static int tear_down(void **state)
{
    api_free(api);
    setting_unref(setting);
    keyring_unref(ring);
    creds_unref(creds);
    return kit_end(state);
}

static json_t *ask(const char *name, const char *target, const char *body, int want)
{
    json_t *doc = NULL;
    const int got = ask_json(api, target, token, body, &doc);
    if (got != want || !doc)
        fail_msg("%s: status %d, not %d: %s", name, got, want, text_at(doc, "detail"));
    return doc;
}

static void check_names(const char *name, const json_t *doc, const char *want)
{
    char got[512] = "";
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)doc, key, value)
    {
        const size_t at = strlen(got);
        snprintf(got + at, sizeof(got) - at, "%s%s", at ? " " : "", key);
    }
    CHECK_TEXT(name, str_from(got), want);
}

/* ---- the members of an answer ------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *name, *target, *body;
    int http;
    const char *members, *packet; /* where the packet is: "" here, else in that member */
} answers[] = {
    { "POST", "/v1/uploads", GOOD_BODY, 201,
      "id method url fields bucket key expires_at expires_in expires_limited_by metadata", "" },
    { "PUT", "/v1/uploads", "{'profile':'form','content_type':'image/png','content_length':10}", 201,
      "id method url headers bucket key expires_at expires_in expires_limited_by metadata", "" },
    { "snake", "/presign", "{'content_type':'image/png','content_length':10}", 200,
      "id metadata presigned_post expires_at", "presigned_post" },
    { "camel", "/presign", "{'contentType':'image/png','fileName':'x','fileSize':10}", 200,
      "id uploadUrl key headers expires_at", "uploadUrl" },
    { "upload", "/upload", "{'filetype':'image/png','filename':'x','filesize':10}", 200,
      "id presignedUrl key headers expires_at", "presignedUrl" },
};
/* clang-format on */

static bool packet_good(const json_t *doc, const char *where)
{
    if (strcmp(where, "") == 0)
        return check_upload(doc);
    const json_t *inner = json_object_get(doc, where);
    return json_is_object(inner) ? check_post(json_object_get(inner, "fields"))
                                 : check_put(text_at(doc, where), json_object_get(doc, "headers"));
}

static void test_members(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(answers); i++) {
        json_t *doc = ask(answers[i].name, answers[i].target, answers[i].body, answers[i].http);
        check_names(answers[i].name, doc, answers[i].members);
        CHECK(answers[i].name, packet_good(doc, answers[i].packet));
        CHECK(answers[i].name, random_is_uuid(str_from(text_at(doc, "id"))));
        json_decref(doc);
    }
}

static void test_one_clock(void **state)
{
    (void)state;
    json_t *doc = ask("clock", "/v1/uploads", GOOD_BODY, 201);
    json_t *policy = check_policy(json_object_get(doc, "fields"));
    int64_t end_s = 0, policy_end_s = 0;
    assert_int_equal(date_parse_rfc3339(str_from(text_at(doc, "expires_at")), &end_s), ST_OK);
    assert_int_equal(date_parse_rfc3339(str_from(text_at(policy, "expiration")), &policy_end_s),
                     ST_OK);
    assert_int_equal(end_s, policy_end_s);
    struct buf amz = BUF_INIT(64);
    date_amz(&amz, end_s - json_integer_value(json_object_get(doc, "expires_in")));
    CHECK_STR("x-amz-date", buf_view(&amz),
              str_from(text_at(json_object_get(doc, "fields"), "x-amz-date")));
    buf_release(&amz);
    json_decref(policy);
    json_decref(doc);
}

static void test_field_order(void **state)
{
    (void)state;
    static const char *const ends[] = { "policy", "x-amz-signature" };
    json_t *doc = ask("order", "/v1/uploads", GOOD_BODY, 201), *value;
    const char *name;
    size_t at = 0;
    const size_t n = json_object_size(json_object_get(doc, "fields"));
    json_object_foreach(json_object_get(doc, "fields"), name, value)
    {
        CHECK_EQ(name, strcmp(name, "key") == 0, at == 0);
        for (size_t k = 0; k < ROWS(ends); k++)
            CHECK_EQ(name, strcmp(name, ends[k]) == 0, at == n - ROWS(ends) + k);
        at++;
    }
    json_decref(doc);
}

static void test_unknown_size(void **state)
{
    (void)state;
    json_t *doc =
        ask("range", "/v1/uploads", "{'profile':'range','content_type':'image/png'}", 201);
    CHECK("null",
          json_is_null(json_object_get(json_object_get(doc, "metadata"), "content_length")));
    json_t *policy = check_policy(json_object_get(doc, "fields"));
    json_t *range = json_pack("[s,i,i]", "content-length-range", 3, 9), *row;
    bool found = false;
    size_t i;
    json_array_foreach(json_object_get(policy, "conditions"), i, row) found |=
        json_equal(row, range) == 1;
    CHECK("range", found);
    json_decref(range);
    json_decref(policy);
    json_decref(doc);
    doc = ask("any", "/v1/uploads", "{'profile':'any','content_type':'image/png'}", 201);
    check_names("any", json_object_get(doc, "headers"), "content-type");
    CHECK("any", check_upload(doc));
    json_decref(doc);
}

/* ---- the dialects' own rules -------------------------------------------------------------------- */

static void test_dialect_refusals(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name, *target, *body;
        int http;
        const char *code, *member;
    } cases[] = {
        { "mixed",             "/presign", "{'content_type':'image/png','fileName':'x','contentType':'image/png'}", 400, "invalid_request", "contentType" },
        { "mixed by size",     "/presign", "{'content_type':'image/png','fileSize':1}", 400, "invalid_request", "fileSize" },
        { "two sizes",         "/presign", "{'content_type':'image/png','size':1,'content_length':1}", 400, "invalid_request", "size" },
        { "two names",         "/presign", "{'content_type':'image/png','size':1,'name':'x','filename':'x'}", 400, "invalid_request", "filename" },
        { "two other names",   "/presign", "{'content_type':'image/png','size':1,'name':'x','original_name':'x'}", 400, "invalid_request", "filename" },
        { "nothing",           "/presign", "{}", 400, "invalid_request", "content_type" },
        { "camel, no name",    "/presign", "{'contentType':'image/png'}", 400, "invalid_request", "fileName" },
        { "camel, no type",    "/presign", "{'fileName':'x'}", 400, "invalid_request", "contentType" },
        { "camel, no size",    "/presign", "{'fileName':'x','contentType':'image/png'}", 400, "invalid_request", "fileSize" },
        { "camel, bad type",   "/presign", "{'fileName':'x','fileSize':1,'contentType':'png'}", 400, "invalid_request", "contentType" },
        { "snake, no size",    "/presign", "{'content_type':'image/png'}", 400, "invalid_request", "content_length" },
        { "unknown",           "/presign", "{'content_type':'image/png','size':1,'expires_in':1}", 400, "invalid_request", "expires_in" },
        { "fraction",          "/presign", "{'content_type':'image/png','size':1.0}", 400, "invalid_request", "size" },
        { "no form here",      "/presign", "{'profile':'form','content_type':'image/png','size':1}", 403, "profile_not_allowed", NULL },
        { "upload, no name",   "/upload",  "{'filesize':1,'filetype':'image/png'}", 400, "invalid_request", "filename" },
        { "upload, no type",   "/upload",  "{'filesize':1,'filename':'x'}", 400, "invalid_request", "filetype" },
        { "upload, no size",   "/upload",  "{'filetype':'image/png','filename':'x'}", 400, "invalid_request", "filesize" },
        { "upload, bad type",  "/upload",  "{'filetype':'a,b','filename':'x','filesize':1}", 400, "invalid_request", "filetype" },
        { "upload, too large", "/upload",  "{'filetype':'image/png','filename':'x','filesize':5368709121}", 422, "file_too_large", NULL },
        { "short hex",         "/upload",  "{'filetype':'image/png','filename':'x','filesize':1,'filemd5':'d41d8cd98f00b204e9800998ecf8427'}", 422, "checksum_invalid", NULL },
        { "no hex",            "/upload",  "{'filetype':'image/png','filename':'x','filesize':1,'filemd5':'g41d8cd98f00b204e9800998ecf8427e'}", 422, "checksum_invalid", NULL },
        { "empty digest",      "/upload",  "{'filetype':'image/png','filename':'x','filesize':1,'filemd5':''}", 422, "checksum_invalid", NULL },
        { "no digest wanted",  "/upload",  "{'profile':'sum','filetype':'image/png','filename':'x','filesize':1,'filemd5':'" MD5_HEX "'}", 422, "checksum_invalid", NULL },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        json_t *doc = ask(cases[i].name, cases[i].target, cases[i].body, cases[i].http);
        CHECK_TEXT(cases[i].name, str_from(text_at(doc, "code")), cases[i].code);
        if (cases[i].member)
            CHECK_TEXT(cases[i].name, str_from(text_at(doc, "member")), cases[i].member);
        json_decref(doc);
    }
}

static void test_md5_spellings(void **state)
{
    (void)state;
    static const char *const digests[] = { MD5_HEX, MD5_BASE64 };
    for (size_t i = 0; i < ROWS(digests); i++) {
        json_t *doc = ask(digests[i], "/upload",
                          kit_text("{'filetype':'image/png','filename':'x','filesize':0,"
                                   "'profile':'any','filemd5':'%s'}",
                                   digests[i]),
                          422); /* at least one byte */
        json_decref(doc);
        doc = ask(digests[i], "/upload",
                  kit_text("{'filetype':'image/png','filename':'x','filesize':1,'filemd5':'%s'}",
                           digests[i]),
                  200);
        CHECK_TEXT(digests[i], str_from(text_at(json_object_get(doc, "headers"), "content-md5")),
                   MD5_BASE64);
        CHECK(digests[i], check_put(text_at(doc, "presignedUrl"), json_object_get(doc, "headers")));
        json_decref(doc);
    }
}

static void test_upload_expiry(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *network; int64_t bytes, want_s; } cases[] = {
        { "at least a minute",  "ethernet", 1,           60 },
        { "just a minute",      "2g",       12500 * 60,  60 },
        { "a byte more",        "2g",       750001,      61 },
        { "rounded up",         "slow-2g",  6250 * 99 + 1, 100 },
        { "3g",                 "3g",       125000 * 90, 90 },
        { "4g",                 "4g",       1250000 * 90, 90 },
        { "wifi",               "wifi",     3750000 * 90, 90 },
        { "ethernet",           "ethernet", 6250000 * 90, 90 },
        { "unknown: as 3g",     "5g",       125000 * 90, 90 },
        { "none: as 3g",        NULL,       125000 * 90, 90 },
        { "just the most",      "3g",       125000 * 300, 300 },
        { "more than the most", "3g",       125000 * 301, 300 },
        { "five gibibytes",     "slow-2g",  INT64_C(5368709120), 300 },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        const char *network =
            cases[i].network ? kit_text(",'clientnetwork':'%s'", cases[i].network) : "";
        json_t *doc =
            ask(cases[i].name, "/upload",
                kit_text("{'filetype':'image/png','filename':'x','filesize':%" PRId64 "%s}",
                         cases[i].bytes, network),
                200);
        char expires[512];
        check_param(text_at(doc, "presignedUrl"), "X-Amz-Expires=", expires);
        CHECK_TEXT(cases[i].name, str_from(expires), kit_text("%" PRId64, cases[i].want_s));
        json_decref(doc);
    }
    json_t *doc =
        ask("the profile's", "/upload",
            "{'profile':'brief','filetype':'image/png','filename':'x','filesize':1}", 200);
    char expires[512];
    CHECK_TEXT("the profile's",
               str_from(check_param(text_at(doc, "presignedUrl"), "X-Amz-Expires=", expires)),
               "30");
    json_decref(doc);
}

/* ---- dry runs ----------------------------------------------------------------------------------- */

static void test_dry_run(void **state)
{
    (void)state;
    static const struct {
        const char *name, *body;
    } cases[] = {
        { "POST", GOOD_BODY },
        { "PUT", "{'profile':'form','content_type':'image/png','content_length':10}" },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        json_t *doc = ask(cases[i].name, "/v1/uploads?dry_run=1", cases[i].body, 200);
        check_names(cases[i].name, doc,
                    "allowed profile method key_template expires_in expires_limited_by conditions "
                    "quota");
        char *text = json_dumps(doc, 0);
        CHECK(cases[i].name,
              !strstr(text, "ignature") && !strstr(text, "AKID") && !strstr(text, "policy"));
        free(text);
        json_decref(doc);
    }
    json_t *doc = ask("batch", "/v1/uploads?x=1&dry_run=true",
                      "{'files':[" GOOD_BODY "," GOOD_BODY "]}", 200);
    CHECK_EQ("batch", json_array_size(json_object_get(doc, "files")), 2);
    json_decref(doc);
    static const char *const granted[] = { "?dry_run=0", "?dry_run", "?dry_run=", "?Dry_run=1" };
    for (size_t i = 0; i < ROWS(granted); i++)
        json_decref(ask(granted[i], kit_text("/v1/uploads%s", granted[i]), GOOD_BODY, 201));
}

/* Who asks first for what could never be signed hears the same. */
static void test_dry_run_refuses_alike(void **state)
{
    (void)state;
    char *value = kit_text("%0700d", 7);
    const char *file = kit_text("{'content_type':'image/png','content_length':10,"
                                "'metadata':{'a':'%s%s','b':'%s'}}",
                                value, value, value);
    const char *single = kit_text("{'profile':'big',%s", file + 1);
    const char *batch = kit_text("{'profile':'big','files':[" GOOD_BODY ",%s]}", file);
    const struct {
        const char *name, *target, *body;
        int64_t index;
    } cases[] = {
        { "grant", "/v1/uploads", single, -1 },
        { "dry run", "/v1/uploads?dry_run=1", single, -1 },
        { "batch", "/v1/uploads", batch, 1 },
        { "dry batch", "/v1/uploads?dry_run=1", batch, 1 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        json_t *doc = NULL;
        const int got = ask_json(api, cases[i].target, token, cases[i].body, &doc);
        const json_t *index = json_object_get(doc, "index");
        CHECK(cases[i].name, got == 403 || got == 422);
        CHECK_EQ(cases[i].name, index ? json_integer_value(index) : -1, cases[i].index);
        json_decref(doc);
    }
}

/* A session token for which no form has room: only the signing can tell. */
static void test_form_too_large(void **state)
{
    (void)state;
    char session[8001];
    memset(session, 's', sizeof(session) - 1);
    session[sizeof(session) - 1] = '\0';
    struct creds *large =
        creds_new(STR("AKID"), STR("AKID"), str_from(session), CREDS_NEVER, 0, "env");
    assert_non_null(large);
    worker_use_creds(&api->worker, large);
    static const struct {
        const char *name, *target, *body;
        int64_t index;
    } cases[] = {
        { "grant", "/v1/uploads", GOOD_BODY, -1 },
        { "dry run", "/v1/uploads?dry_run=1", GOOD_BODY, -1 },
        { "batch", "/v1/uploads", "{'files':[" GOOD_BODY "]}", 0 },
        { "dry batch", "/v1/uploads?dry_run=1", "{'files':[" GOOD_BODY "]}", 0 },
        { "dialect", "/presign", GOOD_BODY, -1 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        json_t *doc = ask(cases[i].name, cases[i].target, cases[i].body, 403);
        const json_t *index = json_object_get(doc, "index");
        CHECK_TEXT(cases[i].name, str_from(text_at(doc, "code")), "profile_not_allowed");
        CHECK_EQ(cases[i].name, index ? json_integer_value(index) : -1, cases[i].index);
        json_decref(doc);
    }
    worker_use_creds(&api->worker, creds);
    creds_unref(large);
    json_decref(ask("afterwards", "/v1/uploads", GOOD_BODY, 201));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_one_clock),
        cmocka_unit_test(test_field_order),
        cmocka_unit_test(test_unknown_size),
        cmocka_unit_test(test_dialect_refusals),
        cmocka_unit_test(test_md5_spellings),
        cmocka_unit_test(test_upload_expiry),
        cmocka_unit_test(test_dry_run),
        cmocka_unit_test(test_dry_run_refuses_alike),
        cmocka_unit_test(test_form_too_large),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
