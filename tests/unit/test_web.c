/*
 * The page's policy, entity tags, and files over HTTP; and each of them without memory.
 */
#include "test.h"

#include "oom.h"

#include "api_kit.h"

#include "presignd/web.h"

/* ---- the policy --------------------------------------------------------------------------------- */

#define BEFORE                                                  \
    "default-src 'none'; script-src 'self'; style-src 'self'; " \
    "img-src 'self' blob:; connect-src 'self'"
#define AFTER                                                       \
    "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" \
    "; require-trusted-types-for 'script'"

/* clang-format off */
static const struct {
    const char *name;
    struct endpoint_config where[3]; /* up to the first without a bucket */
    bool as_it_stands;               /* path_style is said */
    const char *want;
} policies[] = {
    { "no bucket",        { { .bucket = { 0 } } }, false, "" },
    { "AWS",              { { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("eu-west-1") } }, false,
      " https://a-bucket.s3.eu-west-1.amazonaws.com" },
    { "path style",       { { .bucket = STR_INIT("a.b.c"), .region = STR_INIT("eu-west-1") } }, false,
      " https://s3.eu-west-1.amazonaws.com" },
    { "accelerate",       { { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("eu-west-1"), .accelerate = true } }, false,
      " https://a-bucket.s3-accelerate.amazonaws.com" },
    { "dualstack, FIPS",  { { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("us-gov-west-1"), .dualstack = true, .fips = true } }, false,
      " https://a-bucket.s3-fips.dualstack.us-gov-west-1.amazonaws.com" },
    { "China",            { { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("cn-north-1") } }, false,
      " https://a-bucket.s3.cn-north-1.amazonaws.com.cn" },
    { "a port",           { { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("r"), .endpoint = STR_INIT("http://127.0.0.1:7480") } }, false,
      " http://127.0.0.1:7480" },
    { "the scheme's port", { { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("r"), .endpoint = STR_INIT("HTTPS://Files.Test:443/") } }, false,
      " https://files.test" },
    { "not in its path",  { { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("r"), .endpoint = STR_INIT("https://files.test:8443") } }, true,
      " https://a-bucket.files.test:8443" },
    { "public only",      { { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("r"), .endpoint = STR_INIT("http://minio:9000"), .public_endpoint = STR_INIT("https://files.test") } }, false,
      " https://files.test" },
    { "IPv6",             { { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("r"), .endpoint = STR_INIT("http://[::1]:9000") } }, false,
      " http:" },
    { "an underscore",    { { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("r"), .endpoint = STR_INIT("https://my_minio") } }, false,
      " https:" },
    { "once",             { { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("r"), .endpoint = STR_INIT("https://files.test") },
                            { .bucket = STR_INIT("b-bucket"), .region = STR_INIT("r"), .public_endpoint = STR_INIT("https://files.test:443") } }, false,
      " https://files.test" },
    { "one host, two schemes", { { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("r"), .endpoint = STR_INIT("https://files.test") },
                            { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("r"), .endpoint = STR_INIT("http://files.test") } }, false,
      " https://files.test http://files.test" },
    { "in their order",   { { .bucket = STR_INIT("b-bucket"), .region = STR_INIT("eu-west-1") },
                            { .bucket = STR_INIT("a-bucket"), .region = STR_INIT("r"), .endpoint = STR_INIT("http://[::1]") },
                            { .bucket = STR_INIT("c-bucket"), .region = STR_INIT("r"), .endpoint = STR_INIT("http://[2001:db8::2]:1") } }, false,
      " https://b-bucket.s3.eu-west-1.amazonaws.com http:" },
};
/* clang-format on */

static void check_policy(const char *name, const struct bucket *buckets, size_t n, const char *want)
{
    char space[WEB_POLICY_MAX], whole[WEB_POLICY_MAX + 1];
    struct buf out = BUF_FIXED(space);
    web_policy(&out, buckets, n);
    CHECK_EQ(name, buf_check(&out), ST_OK);
    snprintf(whole, sizeof(whole), BEFORE "%s" AFTER, want);
    CHECK_TEXT(name, out, whole);
}

static void test_policies(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(policies); i++) {
        struct arena a = ARENA_INIT(65536);
        AUTO(buf) why = BUF_INIT(1024);
        struct bucket buckets[3];
        size_t n = 0;
        for (; n < 3 && policies[i].where[n].bucket.len; n++) {
            buckets[n] = (struct bucket){ .where = policies[i].where[n],
                                          .path_style_given = policies[i].as_it_stands };
            CHECK_EQ(policies[i].name, bucket_prepare(&buckets[n], &a, &why), ST_OK);
        }
        check_policy(policies[i].name, buckets, n, policies[i].want);
        arena_release(&a);
    }
}

/* The configuration's check lets none of these pass. */
static void test_hosts_that_end_a_source(void **state)
{
    (void)state;
    static const char *const hosts[] = {
        "",  "a b", "a;script-src *", "a,default-src *", "a'",  "a\"",  "a\r\nX: y", "a/b", "a\tb",
        "*", "a*b", "*.test",         "[::1]",           "a@b", "a%20", "\xc3\xa4",
    };
    for (size_t i = 0; i < ROWS(hosts); i++) {
        const struct bucket b = { .public_place = { STR("https"), str_from(hosts[i]), STR("/") } };
        check_policy(hosts[i], &b, 1, " https:");
    }
}

static struct bucket numbered(char *space, size_t bytes, size_t i)
{
    snprintf(space, bytes, "a-bucket-of-a-customer-%03zu.s3.eu-central-1.amazonaws.com", i);
    return (struct bucket){ .public_place = { STR("https"), str_from(space), STR("/") } };
}

/* As many as there is room for by name; with one more, all that a scheme has. */
static void test_room(void **state)
{
    (void)state;
    static char hosts[60][64];
    struct bucket buckets[60];
    size_t named = 0, longest = 0;
    for (size_t n = 0; n < ROWS(buckets); n++) {
        buckets[n] = numbered(hosts[n], sizeof(hosts[n]), n);
        char space[WEB_POLICY_MAX];
        struct buf out = BUF_FIXED(space);
        web_policy(&out, buckets, n + 1);
        assert_int_equal(buf_check(&out), ST_OK);
        if (!memmem(out.ptr, out.len, hosts[n], strlen(hosts[n])))
            continue;
        assert_int_equal(named, n);
        named = n + 1;
        longest = out.len;
    }
    assert_in_range(named, 15, ROWS(buckets) - 1);
    const size_t one_more = strlen(" https://") + strlen(hosts[0]);
    assert_in_range(longest, WEB_POLICY_MAX - one_more + 1, WEB_POLICY_MAX);
    check_policy("all of a scheme", buckets, ROWS(buckets), " https:");
    buckets[40].public_place.scheme = STR("http");
    check_policy("of two", buckets, ROWS(buckets), " https: http:");
}

/* ---- If-None-Match ------------------------------------------------------------------------------ */

#define TAG "\"0123456789abcdef\""

/* clang-format off */
static const struct { const char *name, *in; bool want; } lists[] = {
    { "the same",            TAG, true },
    { "weak",                "W/" TAG, true },
    { "anything",            "*", true },
    { "anything, blanks",    " \t* ", true },
    { "the second",          "\"x\", " TAG, true },
    { "the last, weak",      "\"x\",\"y\" ,\tW/" TAG " ", true },
    { "empty elements",      ", ,," TAG ",", true },
    { "an empty tag",        "\"\", " TAG, true },
    { "a comma in a tag",    "\"a,b\", " TAG, true },
    { "bytes beyond ASCII",  "\"\xc3\xa4\", " TAG, true },
    { "before a fault",      TAG ", nonsense", true },
    { "nothing",             "", false },
    { "blanks",              "  ", false },
    { "another",             "\"0123456789abcdee\"", false },
    { "its beginning",       "\"0123456789abcde\"", false },
    { "more than it",        "\"0123456789abcdef0\"", false },
    { "capitals",            "\"0123456789ABCDEF\"", false },
    { "no quotes",           "0123456789abcdef", false },
    { "one quote",           "\"0123456789abcdef", false },
    { "the other quote",     "0123456789abcdef\"", false },
    { "single quotes",       "'0123456789abcdef'", false },
    { "a small w",           "w/" TAG, false },
    { "W alone",             "W" TAG, false },
    { "weak with a blank",   "W/ " TAG, false },
    { "weak twice",          "W/W/" TAG, false },
    { "weak alone",          "W/", false },
    { "inside another",      "\"x, \"0123456789abcdef\"", false },
    { "within a tag",        "\"x," "0123456789abcdef" ",y\"", false },
    { "no comma between",    "\"x\" " TAG, false },
    { "joined to another",   "\"x\"" TAG, false },
    { "joined behind",       TAG "x", false },
    { "after a fault",       "nonsense, " TAG, false },
    { "the star in a list",  "*, \"x\"", false },
    { "the star last",       "\"x\", *", false },
    { "two stars",           "**", false },
    { "a quoted star",       "\"*\"", false },
    { "commas only",         ",,,,", false },
    { "quotes only",         "\"\"\"\"", false },
};
/* clang-format on */

static void test_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(lists); i++)
        CHECK_EQ(lists[i].name, web_tag_listed(str_from(lists[i].in), STR(TAG)), lists[i].want);
    assert_false(web_tag_listed(STR_NONE, STR(TAG)));
    assert_false(web_tag_listed(STR("\"a\0b\""), STR("\"a\"")));
}

/* Whatever stands behind the view is not read. */
static void test_lists_end_with_their_view(void **state)
{
    (void)state;
    static const char text[] = "W/" TAG ", " TAG;
    for (size_t n = 0; n < sizeof(text); n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, text, n);
        const bool want = n >= 2 + sizeof(TAG) - 1;
        CHECK_EQ(text, web_tag_listed((struct str){ copy, n }, STR(TAG)), want);
        free(copy);
    }
}

/* ---- entity tags -------------------------------------------------------------------------------- */

static const struct str page = STR_INIT("<!doctype html>\n<title>a</title>\n");
static const struct str script = STR_INIT("export {};\n");
static const struct str changed = STR_INIT("export { };\n");

static const struct web_source files[] = {
    { STR_INIT("/"), "text/html; charset=utf-8", &page },
    { STR_INIT("/presignd.js"), "text/javascript; charset=utf-8", &script },
};
static const struct web_source files_changed[] = {
    { STR_INIT("/"), "text/html; charset=utf-8", &page },
    { STR_INIT("/presignd.js"), "text/javascript; charset=utf-8", &changed },
};

static const struct web *made(struct arena *a, const struct web_source *sources,
                              const struct rules *r)
{
    const struct web *w = NULL;
    assert_int_equal(web_make(a, sources, ROWS(files), r, &w), ST_OK);
    return w;
}

static void test_tags(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT(65536);
    const struct bucket b = { .public_place = { STR("https"), STR("a.test"), STR("/") } };
    const struct rules none = { .n_buckets = 0 }, one = { .buckets = &b, .n_buckets = 1 };
    const struct web *w = made(&a, files, &none), *again = made(&a, files, &none);
    const struct web *other = made(&a, files_changed, &none), *policy = made(&a, files, &one);
    assert_int_equal(w->n, ROWS(files));
    for (size_t i = 0; i < w->n; i++) {
        assert_ptr_equal(w->files[i].source, &files[i]);
        assert_int_equal(w->files[i].etag.len, 34);
        CHECK_STR("the same", again->files[i].etag, w->files[i].etag);
        CHECK("another policy", !str_equal(policy->files[i].etag, w->files[i].etag));
    }
    CHECK("two files", !str_equal(w->files[0].etag, w->files[1].etag));
    CHECK_STR("the one that stayed", other->files[0].etag, w->files[0].etag);
    CHECK("the one that changed", !str_equal(other->files[1].etag, w->files[1].etag));
    assert_true(str_ends(policy->policy, STR("; require-trusted-types-for 'script'")));
    arena_release(&a);
}

/* ---- over HTTP ---------------------------------------------------------------------------------- */

static const struct setting_profile rows[] = { { "a", "{}" } };

static struct api *started(struct setting *s)
{
    struct keyring *kr = ring_of(&kit_issuer, NULL);
    struct api *a = api_new(s, kr, NULL);
    keyring_unref(kr);
    return a;
}

static void use(struct api *a, struct setting *s, const struct web_source *sources)
{
    struct api_settings settings = settings_of(s);
    settings.web = sources ? made(&s->b.arena, sources, &s->rules) : NULL;
    worker_use_settings(&a->worker, &settings);
}

/* A 304 has a length and no body, as an answer to HEAD has. */
static int ask_bare(struct client *c, const char *method, const char *path, const char *headers)
{
    client_text(c, kit_text("%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, path, headers));
    return client_answer_kind(c, path, true);
}

static int ask(struct client *c, const char *method, const char *path, const char *headers)
{
    client_text(c, kit_text("%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, path, headers));
    return client_answer(c, path);
}

static const char *tag_header(const struct client *c, const char *before)
{
    return kit_text("If-None-Match: %s%.*s\r\n", before, STR_ARGS(answer_header(c, "ETag")));
}

#define POLICY \
    "Content-Security-Policy: " BEFORE " https://a-bucket.s3.eu-west-1.amazonaws.com" AFTER

static void test_files(void **state)
{
    (void)state;
    struct setting *s = setting_new(rows, ROWS(rows));
    struct api *a = started(s);
    use(a, s, files);
    struct client *c = client_new(&a->wire);

    assert_int_equal(ask(c, "GET", "/", ""), 200);
    CHECK_STR("page", answer_body(c), page);
    CHECK("type", answer_has(c, "Content-Type: text/html; charset=utf-8"));
    CHECK("cache", answer_has(c, "Cache-Control: no-cache"));
    CHECK("policy", answer_has(c, POLICY));
    CHECK("referrer", answer_has(c, "Referrer-Policy: no-referrer"));
    CHECK("opener", answer_has(c, "Cross-Origin-Opener-Policy: same-origin"));
    CHECK("nosniff", answer_has(c, "X-Content-Type-Options: nosniff"));
    const char *same = tag_header(c, "");
    client_next(c, false);

    assert_int_equal(ask_bare(c, "GET", "/", same), 304);
    CHECK("304", answer_has(c, "Cache-Control: no-cache") && answer_has(c, "Vary: Origin"));
    CHECK_STR("304 has the tag", answer_header(c, "ETag"),
              str_slice(str_from(same), strlen("If-None-Match: "), strlen(same) - 2));
    CHECK("304 is no empty file", !answer_has(c, "Content-Length: 0"));
    client_next(c, true);

    assert_int_equal(ask(c, "GET", "/presignd.js", same), 200);
    CHECK_STR("script", answer_body(c), script);
    CHECK("its type", answer_has(c, "Content-Type: text/javascript; charset=utf-8"));
    same = tag_header(c, "\"a,b\", W/");
    client_next(c, false);
    assert_int_equal(ask_bare(c, "HEAD", "/presignd.js", ""), 200);
    CHECK("HEAD", answer_has(c, "Content-Length: 11") && answer_has(c, POLICY));
    client_next(c, true);
    assert_int_equal(ask_bare(c, "HEAD", "/presignd.js", same), 304);
    client_next(c, true);

    /* what comes after on the same connection has its own body, type and Cache-Control */
    assert_int_equal(ask(c, "GET", "/nope", ""), 404);
    CHECK("a problem", answer_has(c, "Cache-Control: no-store") && body_has(c, "not_found") &&
                           !answer_has_name(c, "ETag") &&
                           !answer_has_name(c, "Content-Security-Policy"));
    client_next(c, false);
    assert_int_equal(ask(c, "POST", "/v1/uploads", "Content-Length: 0\r\n"), 401);
    CHECK("a refusal", answer_has_name(c, "WWW-Authenticate") && !answer_has_name(c, "ETag"));
    client_next(c, false);
    assert_int_equal(ask(c, "POST", "/", "Content-Length: 0\r\n"), 405);
    CHECK("Allow", answer_has(c, "Allow: GET, HEAD"));
    client_next(c, false);
    assert_int_equal(ask(c, "GET", "/", ""), 200);
    CHECK_STR("page again", answer_body(c), page);

    client_free(c);
    api_free(a);
    setting_unref(s);
    kit_free_texts();
}

/* A route without its file, as while the page is being switched off. */
static void test_route_without_file(void **state)
{
    (void)state;
    struct setting *s = setting_new(rows, ROWS(rows));
    struct api *a = started(s);
    use(a, s, files);
    struct client *c = client_new(&a->wire);
    assert_int_equal(ask(c, "GET", "/page.js", ""), 404);
    CHECK("refused as any", answer_has(c, "Cache-Control: no-store") && body_has(c, "not_found"));
    client_free(c);
    api_free(a);
    setting_unref(s);
    kit_free_texts();
}

/* Each time the settings before are freed, with what was served of them. */
static void test_on_and_off(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const struct web_source *sources;
        int want, post;
    } steps[] = {
        { "off", NULL, 404, 404 },
        { "on", files, 200, 405 },
        { "other", files_changed, 200, 405 },
        { "off again", NULL, 404, 404 },
        { "on again", files, 200, 405 },
    };
    struct setting *s = setting_new(rows, ROWS(rows));
    struct api *a = started(s);
    struct client *c = client_new(&a->wire);
    for (size_t i = 0; i < ROWS(steps); i++) {
        struct setting *next = setting_new(rows, ROWS(rows));
        use(a, next, steps[i].sources);
        setting_unref(s);
        s = next;
        CHECK_EQ(steps[i].name, ask(c, "GET", "/presignd.js", ""), steps[i].want);
        if (steps[i].sources)
            CHECK_STR(steps[i].name, answer_body(c), *steps[i].sources[1].bytes);
        client_next(c, false);
        CHECK_EQ(steps[i].name, ask(c, "POST", "/presignd.js", "Content-Length: 0\r\n"),
                 steps[i].post);
        client_next(c, false);
    }
    client_free(c);
    api_free(a);
    setting_unref(s);
    kit_free_texts();
}

/* ---- without memory ----------------------------------------------------------------------------- */

static bool makes_or_says(void)
{
    struct arena a = ARENA_INIT(65536);
    const struct rules none = { .n_buckets = 0 };
    const struct web *w = NULL;
    const enum status st = web_make(&a, files, ROWS(files), &none, &w);
    const bool kept = st == ST_OK ? w && w->files[1].etag.len == 34 : st == ST_NO_MEMORY && !w;
    arena_release(&a);
    return kept && (st == ST_OK || oom_struck());
}

static const char *request;

/* The answer's status; 0: the connection ended without one; -1: neither came. */
static int outcome(struct api *a, const char *text, bool failing)
{
    struct client *c = client_new(&a->wire);
    client_text(c, text);
    if (failing)
        oom_resume();
    for (int i = 0; i < 1500 && !answer_there(c, true); i++)
        loop_turn(a->wire.loop, 2);
    if (failing)
        oom_pause();
    const bool there = answer_there(c, true);
    const int got = answer_bytes(c, true) > 0 ? atoi(c->in + strlen("HTTP/1.1 ")) : 0;
    /* the page never comes without its policy */
    const bool whole = got != 200 || (answer_has(c, POLICY) && answer_has_name(c, "ETag"));
    client_free(c);
    return there && whole ? got : -1;
}

static bool answers_or_ends(void)
{
    oom_pause();
    struct setting *s = setting_new(rows, ROWS(rows));
    struct api *a = started(s);
    use(a, s, files);
    const int got = outcome(a, request, true);
    const bool struck = oom_struck();
    const bool kept = got == 200 || (struck && (got == 0 || got >= 500));
    const bool goes_on = outcome(a, request, false) == 200;
    api_free(a);
    setting_unref(s);
    oom_resume();
    return kept && goes_on;
}

static void test_every_allocation(void **state)
{
    (void)state;
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_setup(null, LOG_LEVEL_INFO);
    oom_torture(makes_or_says);
    request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    oom_torture(answers_or_ends);
    log_setup(STDERR_FILENO, LOG_LEVEL_INFO);
    close(null);
    kit_free_texts();
}

TEST_MAIN(cmocka_unit_test(test_policies), cmocka_unit_test(test_hosts_that_end_a_source),
          cmocka_unit_test(test_room), cmocka_unit_test(test_lists),
          cmocka_unit_test(test_lists_end_with_their_view), cmocka_unit_test(test_tags),
          cmocka_unit_test(test_files), cmocka_unit_test(test_route_without_file),
          cmocka_unit_test(test_on_and_off), cmocka_unit_test(test_every_allocation))
