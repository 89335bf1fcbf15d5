/*
 * The steps that every way of asking shares, over HTTP: who asks, with which credentials and until
 * when - and all of it with every allocation failing once. The ledger's part: test_grant_ledger.c.
 */
#include "test.h"

#include "oom.h"

#include "api_kit.h"
#include "check_packet.h"

#define NOW INT64_C(1800000000)

enum { HURRY_MS = 5000 };

/* clang-format off */
static const struct setting_profile rows[] = { /* sorted; the first is the default */
    { "a",      "{'fields': {'success_action_status': '201'}, 'metadata': {'allow': ['album'], 'set': {'by': '{user}'}}}" },
    { "bound",  "{'token_bound': true}" },
    { "long",   "{'max_expires_s': 7200}" },
    { "named",  "{'key': '{user_hash}/{uuid7}/{filename}', 'fields': {'Content-Disposition': 'attachment'}}" },
    { "put",    "{'bucket': 'noform'}" },
    { "range",  "{'size': 'range'}" },
};
/* clang-format on */

static int64_t now_s(void)
{
    return loop_clock_wall_us() / 1000000;
}

struct stage {
    struct setting *s;
    struct keyring *kr;
    struct creds *creds;
    struct api *a;
};

/* Credentials that end in `left_s`; 0: none. */
static struct stage stage_new(int64_t left_s)
{
    struct stage g = { .s = setting_new(rows, ROWS(rows)),
                       .kr = ring_of(&kit_issuer, secret_keys(kit_secret)) };
    g.creds =
        left_s ? creds_named("FIRST", left_s == CREDS_NEVER ? left_s : now_s() + left_s) : NULL;
    g.a = api_new(g.s, g.kr, g.creds);
    return g;
}

static void stage_end(struct stage *g)
{
    api_free(g->a);
    assert_int_equal(g->s->refs, 1);
    assert_int_equal(atomic_load(&g->kr->refs), 1);
    setting_unref(g->s);
    keyring_unref(g->kr);
    creds_unref(g->creds);
    kit_free_texts();
}

/* ---- who asks ----------------------------------------------------------------------------------- */

static void test_authorization(void **state)
{
    (void)state;
    struct stage g = stage_new(CREDS_NEVER);
    g.s->cookie = g.s->server.cookie_name = STR("session");
    g.s->server.cookie_auth = true;
    g.s->server.cors.origins = NULL;
    const struct api_settings settings = settings_of(g.s);
    worker_use_settings(&g.a->worker, &settings);
    const char *t = good_token();
    /* With a cookie and no header the Origin is asked for first: 403. */
    const struct {
        const char *name, *lines;
        int want;
        const char *code;
    } cases[] = {
        { "bearer", kit_text("Authorization: Bearer %s\r\n", t), 201, "" },
        { "any case", kit_text("authorization: bEARER %s\r\n", t), 201, "" },
        { "nothing", "", 401, "missing_token" },
        { "another scheme", "Authorization: Basic YTpi\r\n", 401, "missing_token" },
        { "no scheme", kit_text("Authorization: %s\r\n", t), 401, "missing_token" },
        { "a longer scheme", kit_text("Authorization: Bearers %s\r\n", t), 401, "missing_token" },
        { "empty", "Authorization:\r\n", 401, "missing_token" },
        { "no token", "Authorization: Bearer\r\n", 401, "invalid_token" },
        { "no token, blank", "Authorization: Bearer \r\n", 401, "invalid_token" },
        { "two blanks", kit_text("Authorization: Bearer  %s\r\n", t), 401, "invalid_token" },
        { "a tab", kit_text("Authorization: Bearer\t%s\r\n", t), 401, "missing_token" },
        { "two words", kit_text("Authorization: Bearer %s x\r\n", t), 401, "invalid_token" },
        { "cut", kit_text("Authorization: Bearer %.*s\r\n", (int)strlen(t) - 1, t), 401,
          "invalid_token" },
        { "cookie without origin", kit_text("Cookie: session=%s\r\n", t), 403,
          "origin_not_allowed" },
        { "another cookie", kit_text("Cookie: sessio=%s\r\n", t), 401, "missing_token" },
        { "the header beats the cookie",
          kit_text("Authorization: Basic x\r\nCookie: session=%s\r\n", t), 401, "missing_token" },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct client *c = client_new(&g.a->wire);
        const char *body = quoted(GOOD_BODY);
        client_text(c, kit_text("POST /v1/uploads HTTP/1.1\r\nHost: x\r\n%s"
                                "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                cases[i].lines, strlen(body), body));
        CHECK_EQ(cases[i].name, client_answer(c, cases[i].name), cases[i].want);
        json_t *doc = answer_json(c);
        CHECK_TEXT(cases[i].name, str_from(text_at(doc, "code")), cases[i].code);
        json_decref(doc);
        client_free(c);
    }
    stage_end(&g);
}

static void test_cookie(void **state)
{
    (void)state;
    struct stage g = stage_new(CREDS_NEVER);
    const struct str origins[] = { STR_INIT("https://app.example") };
    g.s->cookie = g.s->server.cookie_name = STR("session");
    g.s->server.cookie_auth = true;
    g.s->server.cors = (struct cors_config){ .origins = origins, .n_origins = 1 };
    const struct api_settings settings = settings_of(g.s);
    worker_use_settings(&g.a->worker, &settings);
    const char *t = good_token();
    const struct {
        const char *name, *lines;
        int want;
    } cases[] = {
        { "alone", kit_text("Cookie: session=%s\r\n", t), 201 },
        { "among others", kit_text("Cookie: a=b; session=%s; c\r\n", t), 201 },
        { "twice", kit_text("Cookie: session=%s; session=%s\r\n", t, t), 401 },
        { "no value, then one", kit_text("Cookie: session; session=%s\r\n", t), 401 },
        { "empty", "Cookie: session=\r\n", 401 },
        { "two lines", kit_text("Cookie: a=b\r\nCookie: session=%s\r\n", t), 401 },
        { "quoted", kit_text("Cookie: session=\"%s\"\r\n", t), 401 },
        { "a bad header beside it",
          kit_text("Authorization: Bearer x\r\nCookie: session=%s\r\n", t), 401 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct client *c = client_new(&g.a->wire);
        const char *body = quoted(GOOD_BODY);
        client_text(c, kit_text("POST /v1/uploads HTTP/1.1\r\nHost: x\r\n"
                                "Origin: https://app.example\r\n%s"
                                "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                cases[i].lines, strlen(body), body));
        CHECK_EQ(cases[i].name, client_answer(c, cases[i].name), cases[i].want);
        client_free(c);
    }
    stage_end(&g);
}

static void test_scope(void **state)
{
    (void)state;
    struct stage g = stage_new(CREDS_NEVER);
    struct issuer_config scoped = kit_issuer;
    scoped.scope = STR("upload");
    struct keyring *kr = ring_of(&scoped, secret_keys(kit_secret));
    worker_use_keyring(&g.a->worker, kr);
    static const struct {
        const char *name, *claims;
        int want;
    } cases[] = {
        { "has it", ",\"scope\":\"read upload\"", 201 },
        { "none", "", 403 },
        { "part of a word", ",\"scope\":\"uploads\"", 403 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const char *t =
            kit_token(JWA_HS256, "{\"alg\":\"HS256\"}", payload_for(600, cases[i].claims));
        json_t *doc;
        /* the second time the token comes out of the cache */
        for (int k = 0; k < 2; k++) {
            CHECK_EQ(cases[i].name, ask_json(g.a, "/v1/uploads", t, GOOD_BODY, &doc),
                     cases[i].want);
            if (cases[i].want == 403)
                CHECK_TEXT(cases[i].name, str_from(text_at(doc, "required")), "upload");
            json_decref(doc);
        }
    }
    worker_use_keyring(&g.a->worker, g.kr);
    keyring_unref(kr);
    stage_end(&g);
}

/* A token that was good a moment ago is worth nothing when its key is withdrawn. */
static void test_withdrawn_key(void **state)
{
    (void)state;
    struct stage g = stage_new(CREDS_NEVER);
    const char *t = good_token();
    CHECK_EQ("before", ask_json(g.a, "/v1/uploads", t, GOOD_BODY, NULL), 201);
    CHECK_EQ("cached", ask_json(g.a, "/v1/uploads", t, GOOD_BODY, NULL), 201);
    struct keyring *kr =
        ring_of(&kit_issuer, secret_keys("another secret that is long enough for HS256"));
    worker_use_keyring(&g.a->worker, kr);
    CHECK_EQ("after", ask_json(g.a, "/v1/uploads", t, GOOD_BODY, NULL), 401);
    worker_use_keyring(&g.a->worker, g.kr);
    keyring_unref(kr);
    stage_end(&g);
}

/* ---- expiry, with the time given ---------------------------------------------------------------- */

static void test_expiry(void **state)
{
    (void)state;
    struct stage g = stage_new(0);
    /* clang-format off */
    static const struct {
        const char *name;
        int64_t life_s; enum expiry_limit by;
        int64_t left_s; /* of the credentials */
        int64_t want_s; enum expiry_limit want_by;
    } cases[] = {
        { "without an end",          900, LIMITED_BY_PROFILE, CREDS_NEVER, 900, LIMITED_BY_PROFILE },
        { "far away",                900, LIMITED_BY_PROFILE, 3600,  900, LIMITED_BY_PROFILE },
        { "a tie is the request's",  300, LIMITED_BY_REQUEST, 360,   300, LIMITED_BY_REQUEST },
        { "a tie is the token's",    300, LIMITED_BY_TOKEN,   360,   300, LIMITED_BY_TOKEN },
        { "a second less",           300, LIMITED_BY_REQUEST, 359,   299, LIMITED_BY_CREDENTIALS },
        { "just min_ttl_s",          900, LIMITED_BY_PROFILE, 120,    60, LIMITED_BY_CREDENTIALS },
        { "short wish at the end",    20, LIMITED_BY_REQUEST,  80,    20, LIMITED_BY_REQUEST },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        const int64_t left_s = cases[i].left_s;
        struct creds *c = creds_named("X", left_s == CREDS_NEVER ? left_s : NOW + left_s);
        worker_use_creds(&g.a->worker, c);
        struct grant grants[2] = { { .limited_by = 0 } };
        for (int k = 0; k < 2; k++) {
            grants[k].decision.life_s = cases[i].life_s;
            grants[k].decision.limited_by = cases[i].by;
        }
        struct grant_call call = { .r = { .server = &g.a->worker.server, .now_s = NOW },
                                   .world = world_ref(g.a->worker.world),
                                   .grants = grants,
                                   .n = 2 };
        CHECK_EQ(cases[i].name, grant_credentials(&call.r), STEP_ON);
        for (int k = 0; k < 2; k++) {
            CHECK_EQ(cases[i].name, grants[k].expires_in_s, cases[i].want_s);
            CHECK_EQ(cases[i].name, grants[k].expires_at_s, NOW + cases[i].want_s);
            CHECK_EQ(cases[i].name, grants[k].limited_by, cases[i].want_by);
        }
        grant_end(&call.r, false);
        creds_unref(c);
    }
    worker_use_creds(&g.a->worker, NULL);
    stage_end(&g);
}

/* Credentials that end too soon: others are waited for once, and what comes decides. */
static void test_one_wait(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name;
        int64_t left_s, then_s; /* 0: none */
        int want; const char *code;
    } cases[] = {
        { "others come",         100, 3600, 201, "" },
        { "the same come",       100, 100,  503, "credentials_expiring" },
        { "worse come",          100, 61,   503, "credentials_expiring" },
        { "none come",           100, 0,    503, "credentials_unavailable" },
        { "dead, others come",  -100, 3600, 201, "" },
        { "dead, none come",    -100, 0,    503, "credentials_unavailable" },
        { "none, some come",       0, 3600, 201, "" },
        { "none, dead ones come",  0, -1,   503, "credentials_unavailable" },
        { "none at all",           0, 0,    503, "credentials_unavailable" },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage g = stage_new(cases[i].left_s);
        struct worker *w = &g.a->worker;
        struct client *c = client_new(&g.a->wire);
        client_post(c, "/v1/uploads", good_token(), GOOD_BODY);
        WIRE_UNTIL(&g.a->wire, cases[i].name, w->creds_waiters);
        struct creds *then =
            cases[i].then_s ? creds_named("THEN", now_s() + cases[i].then_s) : NULL;
        worker_use_creds(w, then);
        CHECK_EQ(cases[i].name, client_answer(c, cases[i].name), cases[i].want);
        json_t *doc = answer_json(c);
        CHECK_TEXT(cases[i].name, str_from(text_at(doc, "code")), cases[i].code);
        CHECK_EQ(cases[i].name, answer_has_name(c, "Retry-After"), cases[i].want == 503);
        json_decref(doc);
        client_free(c);
        worker_use_creds(w, NULL);
        creds_unref(then);
        stage_end(&g);
    }
}

/* The limit is told, and no packet outlives what signed it. */
static void test_limited_by(void **state)
{
    (void)state;
    const int64_t end_s = now_s() + 500;
    struct stage g = stage_new(0);
    struct creds *c = creds_named("ENDS", end_s);
    worker_use_creds(&g.a->worker, c);
    const char *t = kit_token(JWA_HS256, "{\"alg\":\"HS256\"}", payload_for(200, ""));
    /* clang-format off */
    static const struct { const char *name, *body, *by; } cases[] = {
        { "credentials", GOOD_BODY, "credentials" },
        { "request", "{'content_type':'image/png','content_length':10,'expires_in':100}", "request" },
        { "long wish", "{'content_type':'image/png','content_length':10,'expires_in':7000,'profile':'long'}", "credentials" },
        { "token", "{'content_type':'image/png','content_length':10,'profile':'bound'}", "token" },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        json_t *doc;
        int64_t ends_s = 0;
        CHECK_EQ(cases[i].name, ask_json(g.a, "/v1/uploads", t, cases[i].body, &doc), 201);
        CHECK_TEXT(cases[i].name, str_from(text_at(doc, "expires_limited_by")), cases[i].by);
        CHECK_EQ(cases[i].name, date_parse_rfc3339(str_from(text_at(doc, "expires_at")), &ends_s),
                 ST_OK);
        CHECK(cases[i].name, ends_s <= end_s - 60);
        if (strcmp(cases[i].by, "credentials") == 0)
            CHECK_EQ(cases[i].name, ends_s, end_s - 60);
        CHECK(cases[i].name, check_upload(doc));
        json_decref(doc);
    }
    worker_use_creds(&g.a->worker, NULL);
    creds_unref(c);
    stage_end(&g);
}

/* The store is asked, and asked once for all who wait. */
static void test_the_source_is_asked(void **state)
{
    (void)state;
    enum { CLIENTS = 5, PAUSE_MS = 1100 }; /* a store asks at most once a second */
    struct stage g = stage_new(0);
    struct script *sc = &g.a->script;
    sc->answer = NEXT_DONE;
    sc->akid = "FIRST";
    sc->expires_at_s = now_s() + 100;
    cred_store_start(g.a->fleet.cred_store);
    const int64_t ready_us = loop_clock_us() + PAUSE_MS * INT64_C(1000);
    while (loop_clock_us() < ready_us)
        loop_turn(g.a->worker.loop, PAUSE_MS);
    CHECK_EQ("before", sc->asked, 1);
    sc->akid = "SECOND";
    sc->expires_at_s = now_s() + 3600;
    struct client *c[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = client_new(&g.a->wire);
        client_post(c[i], "/v1/uploads", good_token(), GOOD_BODY);
    }
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_EQ("asked", client_answer(c[i], "asked"), 201);
        CHECK("asked", body_has(c[i], "SECOND/"));
        client_free(c[i]);
    }
    CHECK_EQ("once for all", sc->asked, 2);
    stage_end(&g);
}

/* ---- refusals of a batch, and dry runs ---------------------------------------------------------- */

static void test_index(void **state)
{
    (void)state;
    struct stage g = stage_new(CREDS_NEVER);
    /* clang-format off */
    static const struct { const char *name, *body; int want; int64_t index; const char *member; } cases[] = {
        { "type",     "{'files':[" GOOD_BODY ",{'content_type':'text/html','content_length':10}]}", 422, 1, NULL },
        { "size",     "{'files':[{'content_type':'image/png','content_length':100000}," GOOD_BODY "]}", 422, 0, NULL },
        { "no size",  "{'files':[" GOOD_BODY "," GOOD_BODY ",{'content_type':'image/png'}]}", 400, 2, "content_length" },
        { "no type",  "{'files':[" GOOD_BODY ",{'content_length':10}]}", 400, 1, "files[1].content_type" },
        { "unknown",  "{'files':[{'content_type':'image/png','content_length':1,'profile':'a'}]}", 400, 0, "files[0].profile" },
        { "no file",  "{'files':[]}", 400, -1, "files" },
        { "no list",  "{'files':{}}", 400, -1, "files" },
        { "wish inside", "{'files':[" GOOD_BODY "],'content_type':'image/png'}", 400, -1, "content_type" },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        for (int dry = 0; dry < 2; dry++) {
            json_t *doc;
            CHECK_EQ(cases[i].name,
                     ask_json(g.a, dry ? "/v1/uploads?dry_run=true" : "/v1/uploads", good_token(),
                              cases[i].body, &doc),
                     cases[i].want);
            const json_t *index = json_object_get(doc, "index");
            CHECK_EQ(cases[i].name, index ? json_integer_value(index) : -1, cases[i].index);
            if (cases[i].member)
                CHECK_TEXT(cases[i].name, str_from(text_at(doc, "member")), cases[i].member);
            json_decref(doc);
        }
    }
    stage_end(&g);
}

static void test_null_files_is_one_file(void **state)
{
    (void)state;
    struct stage g = stage_new(CREDS_NEVER);
    json_t *doc;
    CHECK_EQ("null",
             ask_json(g.a, "/v1/uploads", good_token(),
                      "{'files':null,'content_type':'image/png','content_length':10}", &doc),
             201);
    CHECK("null", check_upload(doc));
    json_decref(doc);
    stage_end(&g);
}

/* ---- memory that fails -------------------------------------------------------------------------- */

/* A dry run's answer, a dialect's, an upload, or a batch of them: is it what a client can use? */
static bool grants(const json_t *doc)
{
    const json_t *list = json_object_get(doc, "uploads"),
                 *post = json_object_get(doc, "presigned_post");
    size_t i;
    json_t *row;
    if (post)
        return check_post(json_object_get(post, "fields"));
    if (json_object_get(doc, "uploadUrl"))
        return check_put(check_text(doc, "uploadUrl"), json_object_get(doc, "headers"));
    if (json_object_get(doc, "presignedUrl"))
        return check_put(check_text(doc, "presignedUrl"), json_object_get(doc, "headers"));
    if (json_is_true(json_object_get(doc, "allowed")))
        return json_array_size(json_object_get(doc, "conditions")) > 0;
    if (!list)
        return check_upload(doc);
    json_array_foreach(list, i, row)
    {
        if (!check_upload(row))
            return false;
    }
    return json_array_size(list) == 3;
}

static struct {
    const char *request, *good; /* as sent */
    int want;
    struct setting *s;
    struct keyring *kr;
    struct creds *creds;
    bool late; /* the credentials come while it waits */
    bool warm; /* not the first request of its server */
    char said[256];
} scene;

static bool broken(const char *what, int status)
{
    snprintf(scene.said, sizeof(scene.said), "%s (status %d)", what, status);
    return false;
}

/* Turns with memory failing; looks without. False: neither answer nor end in time. */
static bool turn_until_answered(struct api *a, struct client *c)
{
    const int64_t end_us = loop_clock_us() + HURRY_MS * INT64_C(1000);
    bool there = false;
    while (!there && loop_clock_us() < end_us) {
        oom_resume();
        if (scene.late && a->worker.creds_waiters)
            worker_use_creds(&a->worker, scene.creds);
        loop_turn(a->worker.loop, 1);
        oom_pause();
        there = answer_there(c, false);
    }
    oom_resume();
    loop_turn(a->worker.loop, 0); /* the end of the request, and its log */
    loop_turn(a->worker.loop, 0);
    oom_pause();
    return there;
}

static bool judge(const struct client *c)
{
    const int status = answer_bytes(c, false) > 0 ? atoi(c->in + strlen("HTTP/1.1 ")) : 0;
    if (status == 0)
        return oom_struck() ? true : broken("no answer", 0);
    if (status != scene.want && (status < 500 || !oom_struck()))
        return broken("another answer", status);
    if (status == 503 && !answer_has_name(c, "Retry-After"))
        return broken("no Retry-After", status);
    json_t *doc = answer_json(c);
    bool held = doc && answer_has_name(c, "X-Request-Id");
    if (status < 300)
        held = held && grants(doc);
    else
        held = held && json_integer_value(json_object_get(doc, "status")) == status &&
               json_string_length(json_object_get(doc, "request_id")) == UUID_TEXT;
    json_decref(doc);
    return held ? true : broken("a malformed answer", status);
}

/* The same server, with memory again. */
static bool recovers(struct api *a)
{
    struct client *c = client_new(&a->wire);
    if (!a->worker.world->creds)
        worker_use_creds(&a->worker, scene.creds);
    client_text(c, scene.good);
    const int status = client_answer(c, "afterwards");
    json_t *doc = answer_json(c);
    const bool held = status == 201 && check_upload(doc);
    json_decref(doc);
    client_free(c);
    return held ? true : broken("not a good answer afterwards", status);
}

static bool ask_with_failing_memory(void)
{
    oom_pause();
    struct api *a = api_new(scene.s, scene.kr, scene.late ? NULL : scene.creds);
    const bool warmed = !scene.warm || recovers(a);
    struct client *c = client_new(&a->wire);
    client_text(c, scene.request);
    bool held = warmed && turn_until_answered(a, c) ? judge(c) : broken("hangs", 0);
    client_free(c);
    held = held && recovers(a);
    api_free(a);
    if (scene.s->refs != 1)
        held = broken("references to the settings are left", scene.s->refs);
    if (atomic_load(&scene.kr->refs) != 1)
        held = broken("references to the keys are left", atomic_load(&scene.kr->refs));
    if (atomic_load(&scene.creds->refs) != 1)
        held = broken("references to the credentials are left", atomic_load(&scene.creds->refs));
    oom_resume();
    return held;
}

static void torture(const char *name, oom_scenario *scenario)
{
    static const char *const words[] = { [OOM_ONCE] = "alone", [OOM_FROM] = "and all after it" };
    for (enum oom_mode mode = OOM_ONCE; mode <= OOM_FROM; mode++) {
        const struct oom_result got = oom_probe(OOM_ALL, mode, scenario);
        if (got.failed_at)
            fail_msg("%s: allocation %zu fails %s: %s", name, got.failed_at, words[mode],
                     scene.said);
        CHECK(name, got.runs > 10);
    }
}

#define THREE "{'files':[" GOOD_BODY "," GOOD_BODY "," GOOD_BODY "]}"

/* clang-format off */
static const struct {
    const char *name, *target, *body;
    int want;
} asks[] = {
    { "single",         "/v1/uploads",           GOOD_BODY, 201 },
    { "all members",    "/v1/uploads",           "{'profile':'a','content_type':'image/png','content_length':10,'filename':'\xc3\xa4.png',"
                                                 "'checksum':{'algorithm':'sha256','value':'47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='},"
                                                 "'metadata':{'album':'4 2'},'method':'POST','expires_in':300}", 201 },
    { "file name",      "/v1/uploads",           "{'profile':'named','content_type':'image/png','content_length':10,'filename':'a/\xc3\xa4\xe2\x80\xaex y.png'}", 201 },
    { "no size",        "/v1/uploads",           "{'profile':'range','content_type':'image/png'}", 201 },
    { "batch",          "/v1/uploads",           THREE, 201 },
    { "PUT",            "/v1/uploads",           "{'profile':'put','content_type':'image/png','content_length':10}", 201 },
    { "PUT by wish",    "/v1/uploads",           "{'method':'PUT','content_type':'image/png','content_length':10,'metadata':{'album':'x'}}", 201 },
    { "dry run",        "/v1/uploads?dry_run=1", GOOD_BODY, 200 },
    { "presign",        "/presign",              "{'content_type':'image/png','size':10,'name':'x.png'}", 200 },
    { "presign, camel", "/presign",              "{'contentType':'image/png','fileSize':10,'fileName':'x.png'}", 200 },
    { "upload",         "/upload",               "{'filename':'x','filesize':10,'filetype':'image/png','filemd5':'d41d8cd98f00b204e9800998ecf8427e'}", 200 },
    { "bad JSON",       "/v1/uploads",           "{'content_type':'image/png','content_length':10,,}", 400 },
    { "twice",          "/v1/uploads",           "{'content_type':'image/png','content_type':'image/png'}", 400 },
    { "bad type",       "/v1/uploads",           "{'content_type':'text/html','content_length':10}", 422 },
    { "bad profile",    "/v1/uploads",           "{'profile':'nope','content_type':'image/png','content_length':10}", 403 },
};
/* clang-format on */

static void scene_for(const struct stage *g)
{
    scene.s = g->s;
    scene.kr = g->kr;
    scene.creds = g->creds;
    scene.late = scene.warm = false;
    scene.said[0] = '\0';
}

/* A stage without a server: each run has its own. */
static struct stage backstage(const struct issuer_config *ic, struct keyset *keys)
{
    return (struct stage){ .s = setting_new(rows, ROWS(rows)),
                           .kr = ring_of(ic, keys),
                           .creds = creds_named("FIRST", now_s() + 7200) };
}

static void backstage_end(struct stage *g)
{
    setting_unref(g->s);
    keyring_unref(g->kr);
    creds_unref(g->creds);
    kit_free_texts();
}

static void torture_asks(bool warm)
{
    for (size_t i = 0; i < ROWS(asks); i++) {
        struct stage g = backstage(&kit_issuer, secret_keys(kit_secret));
        scene_for(&g);
        const char *t = good_token();
        scene.request = post_text(asks[i].target, t, quoted(asks[i].body));
        scene.good = post_text("/v1/uploads", t, quoted(GOOD_BODY));
        scene.want = asks[i].want;
        scene.warm = warm;
        torture(asks[i].name, ask_with_failing_memory);
        backstage_end(&g);
    }
}

static void test_first_ask_without_memory(void **state)
{
    (void)state;
    torture_asks(false);
}

/* Its memory is what the request before left: token, kept policy, response object. */
static void test_next_ask_without_memory(void **state)
{
    (void)state;
    torture_asks(true);
}

/* Credentials that arrive without memory for the world that has them. */
static void test_waiting_without_memory(void **state)
{
    (void)state;
    struct stage g = backstage(&kit_issuer, secret_keys(kit_secret));
    scene_for(&g);
    scene.late = true;
    scene.request = scene.good = post_text("/v1/uploads", good_token(), quoted(GOOD_BODY));
    scene.want = 201;
    torture("credentials come late", ask_with_failing_memory);
    backstage_end(&g);
}

/* ---- no token is accepted because memory failed ------------------------------------------------- */

static struct issuer_config es256_issuer(void)
{
    struct issuer_config ic = kit_issuer;
    ic.algorithms = JWA_ES256 | JWA_RS256 | JWA_EDDSA;
    return ic;
}

static struct keyset *public_keys(const char *members)
{
    struct buf why = BUF_INIT(4096);
    const char *jwks = kit_text("{\"keys\":[%s]}", members);
    struct keyset *ks = keyset_from_jwks(str_from(jwks), JWA_ES256 | JWA_RS256 | JWA_EDDSA, &why);
    assert_non_null(ks);
    buf_release(&why);
    return ks;
}

/* The header and payload of one token with the signature of another. */
static const char *with_signature_of(const char *token, const char *other)
{
    const char *dot = strrchr(token, '.');
    return kit_text("%.*s%s", (int)(dot - token), token, strrchr(other, '.'));
}

static void torture_token(const char *name, const struct issuer_config *ic, struct keyset *keys,
                          const char *token, const char *good, int want)
{
    struct stage g = backstage(ic, keys);
    scene_for(&g);
    scene.request = post_text("/v1/uploads", token, quoted(GOOD_BODY));
    scene.good = post_text("/v1/uploads", good, quoted(GOOD_BODY));
    scene.want = want;
    torture(name, ask_with_failing_memory);
    setting_unref(g.s);
    keyring_unref(g.kr);
    creds_unref(g.creds);
}

static void test_hmac_tokens_without_memory(void **state)
{
    (void)state;
    const char *good = good_token();
    const char *admin =
        kit_token(JWA_HS256, "{\"alg\":\"HS256\"}", payload_for(3600, ",\"plan\":\"admin\""));
    const struct {
        const char *name, *token;
    } cases[] = {
        { "another's signature", with_signature_of(admin, good) },
        { "alg none",
          kit_text("%s.", kit_signed_text("{\"alg\":\"none\"}", payload_for(600, ""))) },
        { "expired", kit_token(JWA_HS256, "{\"alg\":\"HS256\"}", payload_for(-100, "")) },
        { "another audience",
          kit_token(JWA_HS256, "{\"alg\":\"HS256\"}",
                    kit_text("{\"iss\":\"" KIT_ISSUER
                             "\",\"aud\":\"x\",\"sub\":\"u\",\"exp\":%" PRId64 "}",
                             now_s() + 600)) },
        { "lives too long",
          kit_token(JWA_HS256, "{\"alg\":\"HS256\"}", payload_for(10000000, "")) },
        { "crit",
          kit_token(JWA_HS256, "{\"alg\":\"HS256\",\"crit\":[\"b64\"]}", payload_for(600, "")) },
        { "no token", "x" },
    };
    for (size_t i = 0; i < ROWS(cases); i++)
        torture_token(cases[i].name, &kit_issuer, secret_keys(kit_secret), cases[i].token, good,
                      401);
    kit_free_texts();
}

static void test_public_key_tokens_without_memory(void **state)
{
    (void)state;
    static const struct {
        const char *name, *header;
        unsigned alg;
    } cases[] = {
        { "ES256", "{\"alg\":\"ES256\"}", JWA_ES256 },
        { "RS256", "{\"alg\":\"RS256\"}", JWA_RS256 },
        { "EdDSA", "{\"alg\":\"EdDSA\"}", JWA_EDDSA },
    };
    const struct issuer_config ic = es256_issuer();
    for (size_t i = 0; i < ROWS(cases); i++) {
        const char *good = kit_token(cases[i].alg, cases[i].header, payload_for(3600, ""));
        const char *more =
            kit_token(cases[i].alg, cases[i].header, payload_for(3600, ",\"plan\":\"admin\""));
        const char *members = kit_text("{%s}", kit_jwk_members(kit_key_for(cases[i].alg)));
        torture_token(cases[i].name, &ic, public_keys(members), good, good, 201);
        torture_token(kit_text("%s, forged", cases[i].name), &ic, public_keys(members),
                      with_signature_of(more, good), good, 401);
    }
    kit_free_texts();
}

/* ---- starting and changing without memory ------------------------------------------------------- */

static bool start_with_failing_memory(void)
{
    struct api *a = api_build(scene.s, scene.kr, scene.creds);
    bool held = a || oom_struck();
    if (a && api_listen(a, scene.s)) {
        oom_pause();
        /* what did not reach the world is told again, as at the next attempt */
        const struct api_settings settings = settings_of(scene.s);
        worker_use_settings(&a->worker, &settings);
        worker_use_keyring(&a->worker, scene.kr);
        worker_use_creds(&a->worker, scene.creds);
        held = held && recovers(a);
        oom_resume();
    }
    if (a)
        api_free(a);
    return held && scene.s->refs == 1 && atomic_load(&scene.kr->refs) == 1 &&
           atomic_load(&scene.creds->refs) == 1;
}

static bool post_with_failing_memory(void)
{
    oom_pause();
    struct api *a = api_new(scene.s, NULL, NULL);
    oom_resume();
    const struct api_settings settings = settings_of(scene.s);
    const bool all = worker_post_settings(&a->worker, &settings) == ST_OK &&
                     worker_post_keyring(&a->worker, scene.kr) == ST_OK &&
                     worker_post_creds(&a->worker, scene.creds) == ST_OK;
    loop_turn(a->worker.loop, 0);
    oom_pause();
    const bool there =
        a->worker.world->creds == scene.creds && a->worker.world->keyring == scene.kr;
    api_free(a);
    oom_resume();
    return (there || oom_struck()) && (all || oom_struck()) && scene.s->refs == 1 &&
           atomic_load(&scene.kr->refs) == 1 && atomic_load(&scene.creds->refs) == 1;
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_start_without_memory(void **state)
{
    (void)state;
    struct stage g = backstage(&kit_issuer, secret_keys(kit_secret));
    scene_for(&g);
    scene.good = post_text("/v1/uploads", good_token(), quoted(GOOD_BODY));
    const int before = open_descriptors();
    torture("start", start_with_failing_memory);
    CHECK_EQ("descriptors", open_descriptors(), before);
    backstage_end(&g);
}

static void test_change_without_memory(void **state)
{
    (void)state;
    struct stage g = backstage(&kit_issuer, secret_keys(kit_secret));
    scene_for(&g);
    const struct oom_result once = oom_probe(OOM_ALL, OOM_ONCE, post_with_failing_memory);
    CHECK_EQ("alone", once.failed_at, 0);
    CHECK("alone", once.runs >= 6);
    CHECK_EQ("from", oom_probe(OOM_ALL, OOM_FROM, post_with_failing_memory).failed_at, 0);
    backstage_end(&g);
}

static int start(void **state)
{
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_setup(null, LOG_LEVEL_INFO);
    return kit_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authorization),
        cmocka_unit_test(test_cookie),
        cmocka_unit_test(test_scope),
        cmocka_unit_test(test_withdrawn_key),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_one_wait),
        cmocka_unit_test(test_limited_by),
        cmocka_unit_test(test_the_source_is_asked),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_null_files_is_one_file),
        cmocka_unit_test(test_first_ask_without_memory),
        cmocka_unit_test(test_next_ask_without_memory),
        cmocka_unit_test(test_waiting_without_memory),
        cmocka_unit_test(test_hmac_tokens_without_memory),
        cmocka_unit_test(test_public_key_tokens_without_memory),
        cmocka_unit_test(test_start_without_memory),
        cmocka_unit_test(test_change_without_memory),
    };
    return cmocka_run_group_tests(tests, start, kit_end);
}
