/*
 * GET, DELETE and complete of one upload: over HTTP, a scripted ledger behind them and a scripted
 * store on the loopback. Which fault wins, what is asked of whom, and what is called off.
 */
#include "test.h"

#include "script_ledger.h"

#include "head_store.h"
#include "oom.h"
#include "witness.h"
#include "presignd/upload_view.h"

#define ID      "01910000-0000-7000-8000-000000000001"
#define PATH    "/v1/uploads/" ID
#define CREATED INT64_C(1800000000)
#define OBJECT  "/a-bucket/u/x%20y.png"

/* ---- a stage ------------------------------------------------------------------------------------ */

struct stage {
    struct setting *s;
    struct keyring *kr;
    struct creds *creds;
    struct api *a;
    struct store_page page; /* what the store says of the one object */
    struct head_store store;
    struct script_ledger ledger;
    const char *token;
};

static const struct setting_profile rows[] = { { "a", "{}" } };

static struct upload an_upload(void)
{
    return (struct upload){
        .id = STR(ID),
        .state = UPLOAD_GRANTED,
        .profile = STR("a"),
        .bucket = STR("main"),
        .bucket_name = STR("a-bucket"),
        .key = STR("u/x y.png"),
        .content_type = STR("image/png"),
        .content_length = 10,
        .reserve_bytes = 10,
        .created_s = loop_clock_wall_us() / 1000000,
        .expires_s = loop_clock_wall_us() / 1000000 + 900,
        .size = -1,
        .etag = STR(""),
        .post = true,
        .exact = true,
        .charged = true,
    };
}

static struct stage *stage_new(bool with_creds)
{
    struct stage *g = calloc(1, sizeof(*g));
    assert_non_null(g);
    g->s = setting_new(rows, ROWS(rows));
    g->s->server.connections = 2 * LOOKS_AT_ONCE;
    g->kr = ring_of(&kit_issuer, secret_keys(kit_secret));
    g->creds = with_creds ? creds_named("FIRST", CREDS_NEVER) : NULL;
    g->a = api_new(g->s, g->kr, g->creds);
    g->page.path = OBJECT;
    store_start(&g->store, g->a->worker.loop, &g->page, 1);
    store_bucket(&g->s->buckets[0], &g->s->b.arena, "main", "a-bucket", g->store.port);
    script_use(&g->ledger, g->a);
    g->ledger.upload = an_upload();
    g->token = good_token();
    return g;
}

static void stage_end(struct stage *g)
{
    server_stop(&g->a->worker.server);
    CHECK("no look is left", !g->a->worker.looks);
    store_stop(&g->store);
    api_free(g->a);
    CHECK_EQ("settings", g->s->refs, 1);
    CHECK_EQ("keys", atomic_load(&g->kr->refs), 1);
    setting_unref(g->s);
    keyring_unref(g->kr);
    creds_unref(g->creds);
    free(g);
    kit_free_texts();
}

/* ---- which fault wins --------------------------------------------------------------------------- */

static void test_order(void **state)
{
    (void)state;
    struct stage *g = stage_new(true);
    /* clang-format off */
    static const struct {
        const char *name, *method, *target; bool token; int want; const char *code; int asked;
    } cases[] = {
        { "view",                  "GET",     PATH,                         true,  200, "", 1 },
        { "view, HEAD",            "HEAD",    PATH,                         true,  200, NULL, 1 },
        { "view, a query",         "GET",     PATH "?x=1",                  true,  200, "", 1 },
        { "delete",                "DELETE",  PATH,                         true,  204, NULL, 1 },
        { "view, no token",        "GET",     PATH,                         false, 401, "missing_token", 0 },
        { "delete, no token",      "DELETE",  PATH,                         false, 401, "missing_token", 0 },
        { "complete, no token",    "POST",    PATH "/complete",             false, 401, "missing_token", 0 },
        { "no token, no UUID",     "GET",     "/v1/uploads/x",              false, 401, "missing_token", 0 },
        { "view, no UUID",         "GET",     "/v1/uploads/x",              true,  404, "not_found", 0 },
        { "delete, no UUID",       "DELETE",  "/v1/uploads/1234",           true,  404, "not_found", 0 },
        { "complete, no UUID",     "POST",    "/v1/uploads/x/complete",     true,  404, "not_found", 0 },
        { "a byte short",          "GET",     "/v1/uploads/01910000-0000-7000-8000-00000000000", true, 404, "not_found", 0 },
        { "in braces",             "GET",     "/v1/uploads/%7B01910000-0000-7000-8000-000000000001%7D", true, 404, "not_found", 0 },
        { "a slash behind",        "GET",     PATH "/",                     true,  404, "not_found", 0 },
        { "no id",                 "GET",     "/v1/uploads/",               true,  404, "not_found", 0 },
        { "another word",          "POST",    PATH "/completed",            true,  404, "not_found", 0 },
        { "complete, a slash",     "POST",    PATH "/complete/",            true,  404, "not_found", 0 },
        { "view, POST",            "POST",    PATH,                         true,  405, "method_not_allowed", 0 },
        { "view, PUT",             "PUT",     PATH,                         false, 405, "method_not_allowed", 0 },
        { "complete, GET",         "GET",     PATH "/complete",             true,  405, "method_not_allowed", 0 },
        { "complete, DELETE",      "DELETE",  PATH "/complete",             true,  405, "method_not_allowed", 0 },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        memset(g->ledger.asked, 0, sizeof(g->ledger.asked));
        json_t *doc = NULL;
        CHECK_EQ(cases[i].name,
                 ask_bare(g->a, cases[i].method, cases[i].target, cases[i].token ? g->token : NULL,
                          &doc),
                 cases[i].want);
        if (cases[i].code)
            CHECK_TEXT(cases[i].name, str_from(text_at(doc, "code")), cases[i].code);
        CHECK_EQ(cases[i].name, g->ledger.asked[LEDGER_VIEW] + g->ledger.asked[LEDGER_CANCEL],
                 cases[i].asked);
        json_decref(doc);
    }
    CHECK_EQ("nobody asked the store", g->store.connections, 0);
    stage_end(g);
}

/* With a ledger that remembers nothing these paths do not exist, token or not. */
static void test_without_a_memory(void **state)
{
    (void)state;
    struct stage *g = stage_new(true);
    g->ledger.kind.remembers = false;
    static const struct {
        const char *method, *target;
    } cases[] = {
        { "GET", PATH },
        { "DELETE", PATH },
        { "POST", PATH "/complete" },
        { "GET", "/v1/uploads/x" },
        { "GET", "/v1/quota" },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        CHECK_EQ(cases[i].target, ask_bare(g->a, cases[i].method, cases[i].target, NULL, NULL),
                 404);
        CHECK_EQ(cases[i].target, ask_bare(g->a, cases[i].method, cases[i].target, g->token, NULL),
                 404);
    }
    for (size_t i = 0; i < SCRIPT_VERBS; i++)
        CHECK_EQ("asked", g->ledger.asked[i], 0);
    stage_end(g);
}

static void test_a_body_is_not_read(void **state)
{
    (void)state;
    struct stage *g = stage_new(true);
    static const struct {
        const char *name, *line, *rest;
        int want;
        bool stays; /* nothing is read behind chunks where the library is lenient about them */
    } cases[] = {
        { "delete", "DELETE " PATH, "Content-Length: 5\r\n\r\n{oops", 204, true },
        { "delete, a form", "DELETE " PATH,
          "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 204,
          false },
        { "complete, again", "POST " PATH "/complete",
          "Content-Type: text/html\r\nContent-Length: 3\r\n\r\n<p>", 200, true },
        { "complete, nothing", "POST " PATH "/complete", "Content-Length: 0\r\n\r\n", 200, true },
    };
    g->ledger.upload.state = UPLOAD_COMPLETED;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct client *c = client_new(&g->a->wire);
        client_text(c, kit_text("%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s",
                                cases[i].line, g->token, cases[i].rest));
        CHECK_EQ(cases[i].name, client_answer(c, cases[i].name), cases[i].want);
        client_next(c, false);
        if (cases[i].stays) {
            client_text(c, bare_text("GET", PATH, g->token));
            CHECK_EQ(cases[i].name, client_answer(c, cases[i].name), 200);
        }
        client_free(c);
    }
    stage_end(g);
}

/* ---- what the ledger says ----------------------------------------------------------------------- */

static void test_ledger_answers(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name, *method, *target; enum ledger_verb verb; enum status status; int want; const char *code;
    } cases[] = {
        { "view",                "GET",    PATH,             LEDGER_VIEW,     ST_OK,                 200, "" },
        { "view, another's",     "GET",    PATH,             LEDGER_VIEW,     ST_NOT_FOUND,          404, "not_found" },
        { "view, away",          "GET",    PATH,             LEDGER_VIEW,     ST_LEDGER_UNAVAILABLE, 503, "ledger_unavailable" },
        { "delete",              "DELETE", PATH,             LEDGER_CANCEL,   ST_OK,                 204, "" },
        { "delete, another's",   "DELETE", PATH,             LEDGER_CANCEL,   ST_NOT_FOUND,          404, "not_found" },
        { "delete, completed",   "DELETE", PATH,             LEDGER_CANCEL,   ST_UPLOAD_STATE,       409, "upload_state" },
        { "delete, away",        "DELETE", PATH,             LEDGER_CANCEL,   ST_LEDGER_UNAVAILABLE, 503, "ledger_unavailable" },
        { "complete, another's", "POST",   PATH "/complete", LEDGER_VIEW,     ST_NOT_FOUND,          404, "not_found" },
        { "complete, away",      "POST",   PATH "/complete", LEDGER_VIEW,     ST_LEDGER_UNAVAILABLE, 503, "ledger_unavailable" },
        { "complete, then away", "POST",   PATH "/complete", LEDGER_COMPLETE, ST_LEDGER_UNAVAILABLE, 503, "ledger_unavailable" },
        { "cancelled meanwhile", "POST",   PATH "/complete", LEDGER_COMPLETE, ST_UPLOAD_STATE,       409, "upload_state" },
    };
    /* clang-format on */
    for (int later = 0; later < 2; later++) {
        for (size_t i = 0; i < ROWS(cases); i++) {
            struct stage *g = stage_new(true);
            g->page.answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
            g->ledger.later = later;
            g->ledger.status[cases[i].verb] = cases[i].status;
            struct client *c = client_new(&g->a->wire);
            client_text(c, bare_text(cases[i].method, cases[i].target, g->token));
            const int64_t end_us = loop_clock_us() + WIRE_PATIENCE_MS * 1000LL;
            while (!answer_there(c, false) && loop_clock_us() < end_us) {
                if (g->ledger.pending)
                    script_answer(&g->ledger);
                loop_turn(g->a->worker.loop, 5);
            }
            CHECK_EQ(cases[i].name, client_answer(c, cases[i].name), cases[i].want);
            json_t *doc = answer_json(c);
            CHECK_TEXT(cases[i].name, str_from(text_at(doc, "code")), cases[i].code);
            if (cases[i].want == 409)
                CHECK_TEXT(cases[i].name, str_from(text_at(doc, "state")), "written");
            if (cases[i].want == 503)
                CHECK(cases[i].name, answer_has(c, "Retry-After: 7"));
            CHECK_TEXT(cases[i].name, str_from(g->ledger.id), ID);
            CHECK_EQ(cases[i].name, strlen(g->ledger.user_hash), 32);
            CHECK(cases[i].name, g->ledger.now_us > CREATED * 1000000 / 2);
            json_decref(doc);
            client_free(c);
            WIRE_UNTIL(&g->a->wire, cases[i].name, g->a->worker.server.in_flight == 0);
            CHECK_EQ(cases[i].name, g->ledger.cancelled, 0);
            CHECK_EQ(cases[i].name, g->ledger.released, 0);
            stage_end(g);
        }
    }
}

static void test_the_view(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name; struct upload u; const char *want; } cases[] = {
        { "granted", { .id = STR_INIT(ID), .state = UPLOAD_GRANTED, .profile = STR_INIT("a"), .bucket = STR_INIT("main"),
            .bucket_name = STR_INIT("a-bucket"), .key = STR_INIT("u/k"), .content_type = STR_INIT("image/png"), .content_length = 10,
            .reserve_bytes = 10, .created_s = CREATED, .expires_s = CREATED + 900, .size = -1, .etag = STR_INIT(""), .post = true },
          "{'id':'" ID "','state':'granted','profile':'a','method':'POST','bucket':'a-bucket','key':'u/k','content_type':'image/png',"
          "'content_length':10,'created_at':'2027-01-15T08:00:00Z','expires_at':'2027-01-15T08:15:00Z','size':null,'etag':null}" },
        { "completed, PUT", { .id = STR_INIT(ID), .state = UPLOAD_COMPLETED, .profile = STR_INIT("b"), .bucket = STR_INIT("main"),
            .bucket_name = STR_INIT("a-bucket"), .key = STR_INIT("u/\"k\""), .content_type = STR_INIT("a/b"), .content_length = -1,
            .reserve_bytes = 1000, .created_s = CREATED, .expires_s = CREATED + 1, .size = 0, .etag = STR_INIT("\"abc\"") },
          "{'id':'" ID "','state':'completed','profile':'b','method':'PUT','bucket':'a-bucket','key':'u/\\'k\\'','content_type':'a/b',"
          "'content_length':null,'created_at':'2027-01-15T08:00:00Z','expires_at':'2027-01-15T08:00:01Z','size':0,'etag':'\\'abc\\''}" },
        { "expired", { .id = STR_INIT(ID), .state = UPLOAD_EXPIRED, .profile = STR_INIT("a"), .bucket = STR_INIT("main"),
            .bucket_name = STR_INIT("x"), .key = STR_INIT("k"), .content_type = STR_INIT("a/b"), .content_length = 0,
            .created_s = CREATED, .expires_s = CREATED, .size = -1, .etag = STR_INIT("") },
          "{'id':'" ID "','state':'expired','profile':'a','method':'PUT','bucket':'x','key':'k','content_type':'a/b',"
          "'content_length':0,'created_at':'2027-01-15T08:00:00Z','expires_at':'2027-01-15T08:00:00Z','size':null,'etag':null}" },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new(false);
        g->ledger.upload = cases[i].u;
        struct client *c = client_new(&g->a->wire);
        client_text(c, bare_text("GET", PATH, g->token));
        CHECK_EQ(cases[i].name, client_answer(c, cases[i].name), 200);
        const struct str body = answer_body(c), want = str_from(quoted(cases[i].want));
        CHECK(cases[i].name, body.len >= want.len);
        CHECK_STR(cases[i].name, str_slice(body, 0, want.len), want);
        client_free(c);
        stage_end(g);
    }
}

/* ---- complete ----------------------------------------------------------------------------------- */

#define HEAD_OF(status, length) \
    "HTTP/1.1 " status "\r\nContent-Length: " length "\r\nETag: \"e1\"\r\n\r\n"

static void test_complete(void **state)
{
    (void)state;
    enum { PAST = -1000, GRACE = -30, ALIVE = 900 };
    /* clang-format off */
    static const struct {
        const char *name; enum upload_state before; bool charged; int64_t left_s, length, reserved;
        const char *says; int want; const char *code; int looks, completes; int64_t expected, actual, storage;
    } cases[] = {
        { "the right size",          UPLOAD_GRANTED,   true,  ALIVE, 10, 10,   HEAD_OF("200 OK", "10"), 200, "", 1, 1, -1, -1, -1 },
        { "expired, but there",      UPLOAD_EXPIRED,   true,  GRACE, 10, 10,   HEAD_OF("200 OK", "10"), 200, "", 1, 1, -1, -1, -1 },
        { "dead, but there",         UPLOAD_EXPIRED,   false, PAST,  10, 10,   HEAD_OF("200 OK", "10"), 200, "", 1, 1, -1, -1, -1 },
        { "no size granted",         UPLOAD_GRANTED,   true,  ALIVE, -1, 1000, HEAD_OF("200 OK", "7"), 200, "", 1, 1, -1, -1, -1 },
        { "no size, all of it",      UPLOAD_GRANTED,   true,  ALIVE, -1, 1000, HEAD_OF("200 OK", "1000"), 200, "", 1, 1, -1, -1, -1 },
        { "empty",                   UPLOAD_GRANTED,   true,  ALIVE, 0,  0,    HEAD_OF("200 OK", "0"), 200, "", 1, 1, -1, -1, -1 },
        { "again",                   UPLOAD_COMPLETED, true,  ALIVE, 10, 10,   NULL, 200, "", 0, 0, -1, -1, -1 },
        { "again, in the grace",     UPLOAD_COMPLETED, true,  GRACE, 10, 10,   NULL, 200, "", 0, 0, -1, -1, -1 },
        { "again, settled",          UPLOAD_COMPLETED, false, PAST,  10, 10,   NULL, 200, "", 0, 0, -1, -1, -1 },
        { "again, not settled",      UPLOAD_COMPLETED, true,  PAST,  10, 10,   HEAD_OF("200 OK", "10"), 200, "", 1, 1, -1, -1, -1 },
        { "a byte less",             UPLOAD_GRANTED,   true,  ALIVE, 10, 10,   HEAD_OF("200 OK", "9"), 409, "upload_state", 1, 0, 10, 9, -1 },
        { "a byte more",             UPLOAD_GRANTED,   true,  ALIVE, 10, 10,   HEAD_OF("200 OK", "11"), 409, "upload_state", 1, 0, 10, 11, -1 },
        { "no size, a byte more",    UPLOAD_GRANTED,   true,  ALIVE, -1, 1000, HEAD_OF("200 OK", "1001"), 409, "upload_state", 1, 0, 1000, 1001, -1 },
        { "missing",                 UPLOAD_GRANTED,   true,  ALIVE, 10, 10,   HEAD_OF("404 Not Found", "0"), 409, "upload_state", 1, 0, -1, -1, -1 },
        { "expired and missing",     UPLOAD_EXPIRED,   true,  GRACE, 10, 10,   HEAD_OF("404 Not Found", "0"), 409, "upload_state", 1, 0, -1, -1, -1 },
        { "cancelled",               UPLOAD_CANCELLED, true,  ALIVE, 10, 10,   NULL, 409, "upload_state", 0, 0, -1, -1, -1 },
        { "cancelled, dead",         UPLOAD_CANCELLED, false, PAST,  10, 10,   NULL, 409, "upload_state", 0, 0, -1, -1, -1 },
        { "no right to look",        UPLOAD_GRANTED,   true,  ALIVE, 10, 10,   HEAD_OF("403 Forbidden", "0"), 502, "storage_failed", 1, 0, -1, -1, 403 },
        { "the store is broken",     UPLOAD_GRANTED,   true,  ALIVE, 10, 10,   HEAD_OF("500 Oops", "0"), 502, "storage_failed", 1, 0, -1, -1, 500 },
        { "it points elsewhere",     UPLOAD_GRANTED,   true,  ALIVE, 10, 10,   "HTTP/1.1 301 Gone\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 502, "storage_failed", 1, 0, -1, -1, 301 },
        { "no HTTP",                 UPLOAD_GRANTED,   true,  ALIVE, 10, 10,   "220 smtp ready\r\n\r\n", 502, "storage_failed", 1, 0, -1, -1, -1 },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new(true);
        struct upload *u = &g->ledger.upload;
        const char *name = cases[i].name;
        u->state = cases[i].before;
        u->charged = cases[i].charged;
        u->expires_s = loop_clock_wall_us() / 1000000 + cases[i].left_s;
        u->content_length = cases[i].length;
        u->reserve_bytes = cases[i].reserved;
        g->page.answer = cases[i].says;
        json_t *doc;
        CHECK_EQ(name, ask_bare(g->a, "POST", PATH "/complete", g->token, &doc), cases[i].want);
        CHECK_TEXT(name, str_from(text_at(doc, "code")), cases[i].code);
        CHECK_EQ(name, g->store.requests, cases[i].looks);
        CHECK_EQ(name, g->ledger.asked[LEDGER_COMPLETE], cases[i].completes);
        CHECK_EQ(name, g->ledger.asked[LEDGER_VIEW], 1);
        if (cases[i].completes) {
            CHECK_TEXT(name, str_from(g->ledger.etag), "\"e1\"");
            CHECK_EQ(name, g->ledger.seen.presence, OBJECT_THERE);
            CHECK_EQ(name, g->ledger.seen.size, json_integer_value(json_object_get(doc, "size")));
            CHECK_TEXT(name, str_from(text_at(doc, "etag")), "\"e1\"");
        }
        if (cases[i].want == 200)
            CHECK_TEXT(name, str_from(text_at(doc, "state")), "completed");
        if (cases[i].want == 409)
            CHECK_STR(name, str_from(text_at(doc, "state")), upload_state_words[cases[i].before]);
        const struct {
            const char *member;
            int64_t want;
        } numbers[] = { { "expected_bytes", cases[i].expected },
                        { "actual_bytes", cases[i].actual },
                        { "storage_status", cases[i].storage } };
        for (size_t k = 0; k < ROWS(numbers); k++) {
            const json_t *n = json_object_get(doc, numbers[k].member);
            CHECK_EQ(name, n ? json_integer_value(n) : -1, numbers[k].want);
        }
        json_decref(doc);
        stage_end(g);
    }
}

/* The URL is one of our own signer, at the place that we call and no browser. */
static void test_how_the_store_is_asked(void **state)
{
    (void)state;
    struct stage *g = stage_new(true);
    g->page.answer = HEAD_OF("200 OK", "10");
    CHECK_EQ("asked", ask_bare(g->a, "POST", PATH "/complete", g->token, NULL), 200);
    const char *heard = g->store.asked;
    CHECK("asked", strncmp(heard, "HEAD " OBJECT "?", 5 + strlen(OBJECT) + 1) == 0);
    CHECK("asked", strstr(heard, "X-Amz-Credential=FIRST%2F") != NULL);
    CHECK("asked", strstr(heard, "X-Amz-Signature=") != NULL);
    CHECK("asked", strstr(heard, "Bearer") == NULL);
    stage_end(g);
}

/* The alias may stay while its bucket is another one: what lies there is none of ours. */
static void test_a_bucket_that_is_gone(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str alias, bucket;
    } cases[] = {
        { "no such alias", STR_INIT("gone"), STR_INIT("a-bucket") },
        { "another bucket", STR_INIT("main"), STR_INIT("b-bucket") },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new(true);
        g->ledger.upload.bucket = cases[i].alias;
        g->ledger.upload.bucket_name = cases[i].bucket;
        json_t *doc;
        CHECK_EQ(cases[i].name, ask_bare(g->a, "POST", PATH "/complete", g->token, &doc), 502);
        CHECK_TEXT(cases[i].name, str_from(text_at(doc, "code")), "storage_failed");
        CHECK_EQ(cases[i].name, g->store.requests, 0);
        json_decref(doc);
        stage_end(g);
    }
}

/* A store that never answers has two seconds. */
static void test_a_hanging_store(void **state)
{
    (void)state;
    struct stage *g = stage_new(true);
    json_t *doc;
    const int64_t began_us = loop_clock_us();
    const int64_t from_ms = witness_ms();
    CHECK_EQ("hangs", ask_bare(g->a, "POST", PATH "/complete", g->token, &doc), 502);
    CHECK("not early", loop_clock_us() - began_us >= (OBJECT_LOOK_MS - 50) * INT64_C(1000));
    CHECK("not late", witness_ms() - from_ms < OBJECT_LOOK_MS + 2000);
    CHECK_TEXT("hangs", str_from(text_at(doc, "code")), "storage_failed");
    CHECK("hangs", !json_object_get(doc, "storage_status"));
    CHECK_EQ("hangs", g->ledger.asked[LEDGER_COMPLETE], 0);
    json_decref(doc);
    stage_end(g);
}

/* The n-th upload's id; the ledger shows that one from now on. */
static const char *another_upload(struct stage *g, int n)
{
    const char *id = kit_text("01910000-0000-7000-8000-%012d", n);
    g->ledger.upload.id = str_from(id);
    return id;
}

static struct client *complete_another(struct stage *g, int n)
{
    const int before = g->store.requests;
    struct client *c = client_new(&g->a->wire);
    client_text(
        c, bare_text("POST", kit_text("/v1/uploads/%s/complete", another_upload(g, n)), g->token));
    WIRE_UNTIL(&g->a->wire, "looks or is answered",
               g->store.requests > before || answer_there(c, false));
    return c;
}

static void refused_at_once(struct stage *g, const char *name, int n)
{
    const int before = g->store.requests;
    struct client *c = complete_another(g, n);
    CHECK_EQ(name, client_answer(c, name), 503);
    CHECK(name, body_has(c, "\"overloaded\""));
    CHECK(name, str_equal(answer_header(c, "Retry-After"), STR("1")));
    CHECK_EQ(name, g->store.requests, before);
    client_free(c);
}

/* How the looks that fill all places end, and what their clients are told. */
static void test_looks_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *name, *says; /* NULL: nothing, ever */
        int want;
    } cases[] = {
        { "there", HEAD_OF("200 OK", "10"), 200 },
        { "missing", HEAD_OF("404 Not Found", "0"), 409 },
        { "the connection breaks", "", 502 },
        { "hangs", NULL, 502 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new(true);
        const char *name = cases[i].name;
        struct client *c[LOOKS_AT_ONCE];
        g->page.answer = cases[i].says;
        g->store.hold = true;
        for (int k = 0; k < LOOKS_AT_ONCE; k++)
            c[k] = complete_another(g, k);
        CHECK_EQ(name, g->store.requests, LOOKS_AT_ONCE);
        refused_at_once(g, name, LOOKS_AT_ONCE);
        CHECK_EQ(name, ask_bare(g->a, "GET", PATH, g->token, NULL), 200);
        store_let_go(&g->store);
        for (int k = 0; k < LOOKS_AT_ONCE; k++) {
            CHECK_EQ(name, client_answer(c[k], name), cases[i].want);
            client_free(c[k]);
        }
        CHECK(name, !g->a->worker.looks);
        g->page.answer = HEAD_OF("200 OK", "10");
        CHECK_EQ(name, ask_bare(g->a, "POST", PATH "/complete", g->token, NULL), 200);
        stage_end(g);
    }
}

/* Out of the middle, the front and the end of those that are looked at. */
static void test_one_look_for_each(void **state)
{
    (void)state;
    struct stage *g = stage_new(true);
    struct client *c[3];
    g->page.answer = HEAD_OF("200 OK", "10");
    g->store.hold = true;
    for (int k = 0; k < 3; k++)
        c[k] = complete_another(g, k);
    for (int k = 0; k < 3; k++)
        refused_at_once(g, "the same", k);
    CHECK_EQ("each once", g->store.requests, 3);
    static const int order[] = { 1, 2, 0 };
    for (int k = 0; k < 3; k++) {
        struct store_peer *p = &g->store.peers[order[k]];
        store_say(p, p->answer);
        p->answer = NULL;
        g->store.waiting--;
        CHECK_EQ("answered", client_answer(c[order[k]], "answered"), 200);
        client_free(c[order[k]]);
        g->ledger.upload.state = UPLOAD_GRANTED;
        for (int left = k + 1; left < 3; left++)
            refused_at_once(g, "still the same", order[left]);
    }
    CHECK("all ended", !g->a->worker.looks);
    stage_end(g);
}

static void test_credentials(void **state)
{
    (void)state;
    for (int come = 0; come < 2; come++) {
        struct stage *g = stage_new(false);
        struct worker *w = &g->a->worker;
        g->page.answer = HEAD_OF("200 OK", "10");
        struct client *c = client_new(&g->a->wire);
        client_text(c, bare_text("POST", PATH "/complete", g->token));
        WIRE_UNTIL(&g->a->wire, "waits", w->creds_waiters);
        struct creds *then = come ? creds_named("SECOND", CREDS_NEVER) : NULL;
        worker_use_creds(w, then);
        WIRE_UNTIL(&g->a->wire, "answer", answer_there(c, false));
        CHECK_EQ("come", client_answer(c, "come"), come ? 200 : 503);
        if (!come)
            CHECK("none",
                  body_has(c, "\"credentials_unavailable\"") && answer_has_name(c, "Retry-After"));
        client_free(c);
        worker_use_creds(w, NULL);
        creds_unref(then);
        stage_end(g);
    }
}

/* ---- called off --------------------------------------------------------------------------------- */

/* The server stops while one of them waits: what it waited for is called off, not left dangling. */
static void test_stop_while_waiting(void **state)
{
    (void)state;
    static const struct {
        const char *name, *method, *target;
        bool for_the_store;
    } cases[] = {
        { "view", "GET", PATH, false },
        { "cancel", "DELETE", PATH, false },
        { "complete", "POST", PATH "/complete", false },
        { "the store", "POST", PATH "/complete", true },
        { "quota", "GET", "/v1/quota", false },
    };
    static const struct limit limit = { .name = STR_INIT("n"), .kind = LIMIT_COUNT, .max = 1 };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new(true);
        g->s->plan.limits = &limit;
        g->s->plan.n_limits = 1;
        g->ledger.later = !cases[i].for_the_store;
        struct client *c = client_new(&g->a->wire);
        client_text(c, bare_text(cases[i].method, cases[i].target, g->token));
        if (cases[i].for_the_store)
            WIRE_UNTIL(&g->a->wire, cases[i].name, g->store.requests);
        else
            WIRE_UNTIL(&g->a->wire, cases[i].name, g->ledger.pending);
        server_stop(&g->a->worker.server);
        CHECK_EQ(cases[i].name, g->a->worker.server.in_flight, 0);
        CHECK_EQ(cases[i].name, g->ledger.cancelled, !cases[i].for_the_store);
        CHECK(cases[i].name, !g->ledger.pending);
        client_free(c);
        stage_end(g);
    }
}

/* Who goes away while the ledger thinks has ended its request when the answer comes. */
static void test_client_goes(void **state)
{
    (void)state;
    struct stage *g = stage_new(true);
    g->ledger.later = true;
    struct client *c = client_new(&g->a->wire);
    client_text(c, bare_text("DELETE", PATH, g->token));
    WIRE_UNTIL(&g->a->wire, "asked", g->ledger.pending);
    const struct linger reset = { .l_onoff = 1 };
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    client_free(c);
    script_answer(&g->ledger);
    WIRE_UNTIL(&g->a->wire, "over", g->a->worker.server.in_flight == 0);
    CHECK_EQ("cancelled", g->ledger.cancelled, 0);
    stage_end(g);
}

/* ---- preflight ---------------------------------------------------------------------------------- */

static void test_preflight(void **state)
{
    (void)state;
    struct stage *g = stage_new(true);
    static const struct str origins[] = { STR_INIT("https://app.example") };
    g->s->server.cors = (struct cors_config){ .origins = origins, .n_origins = 1 };
    static const struct {
        const char *target, *methods;
    } cases[] = {
        { PATH, "GET, HEAD, DELETE" },
        { PATH "/complete", "POST" },
        { "/v1/quota", "GET, HEAD" },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct client *c = client_new(&g->a->wire);
        client_text(c, kit_text("OPTIONS %s HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example\r\n"
                                "Access-Control-Request-Method: DELETE\r\n\r\n",
                                cases[i].target));
        CHECK_EQ(cases[i].target, client_answer(c, cases[i].target), 204);
        CHECK_TEXT(cases[i].target, answer_header(c, "Access-Control-Allow-Methods"),
                   cases[i].methods);
        client_free(c);
    }
    stage_end(g);
}

/* ---- memory that fails --------------------------------------------------------------------------- */

enum { HURRY_MS = 5000 };

static struct {
    const char *method, *target;
    int want;
    char said[256];
} scene;

static bool broken(const char *what, int status)
{
    snprintf(scene.said, sizeof(scene.said), "%s (status %d)", what, status);
    return false;
}

/* Turns with memory failing; looks without. */
static bool turn_until_answered(struct stage *g, struct client *c)
{
    const int64_t end_us = loop_clock_us() + HURRY_MS * INT64_C(1000);
    bool there = false;
    while (!there && loop_clock_us() < end_us) {
        oom_resume();
        loop_turn(g->a->worker.loop, 1);
        oom_pause();
        there = answer_there(c, false);
    }
    return there;
}

static bool judge_answer(const struct client *c)
{
    const int status = answer_bytes(c, false) > 0 ? atoi(c->in + strlen("HTTP/1.1 ")) : 0;
    if (status == 0)
        return oom_struck() ? true : broken("no answer", 0);
    if (status != scene.want && (status < 500 || !oom_struck()))
        return broken("another answer", status);
    json_t *doc = answer_json(c);
    const bool whole = status == 204 || doc;
    json_decref(doc);
    return whole ? true : broken("half an answer", status);
}

static bool ask_with_failing_memory(void)
{
    oom_pause();
    struct stage *g = stage_new(true);
    g->page.answer = HEAD_OF("200 OK", "10");
    struct client *c = client_new(&g->a->wire);
    client_text(c, bare_text(scene.method, scene.target, g->token));
    bool held = turn_until_answered(g, c) ? judge_answer(c) : broken("hangs", 0);
    client_free(c);
    const int after = ask_bare(g->a, "POST", PATH "/complete", g->token, NULL);
    if (held && after != 200)
        held = broken("not a good answer afterwards", after);
    if (held && g->ledger.cancelled)
        held = broken("something was left dangling", g->ledger.cancelled);
    stage_end(g);
    oom_resume();
    return held;
}

static void test_without_memory(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target;
        int want;
        enum oom_scope scope; /* libcurl 7.88 divides by zero where a table of its own is missing */
    } cases[] = {
        { "GET", PATH, 200, OOM_ALL },
        { "DELETE", PATH, 204, OOM_ALL },
        { "POST", PATH "/complete", 200, OOM_OURS },
    };
    static const char *const words[] = { [OOM_ONCE] = "alone", [OOM_FROM] = "and all after it" };
    for (size_t i = 0; i < ROWS(cases); i++) {
        scene.method = cases[i].method;
        scene.target = cases[i].target;
        scene.want = cases[i].want;
        for (enum oom_mode mode = OOM_ONCE; mode <= OOM_FROM; mode++) {
            const struct oom_result got = oom_probe(cases[i].scope, mode, ask_with_failing_memory);
            if (got.failed_at)
                fail_msg("%s %s: allocation %zu fails %s: %s", scene.method, scene.target,
                         got.failed_at, words[mode], scene.said);
            CHECK(scene.method, got.runs > 5);
        }
    }
}

static int start(void **state)
{
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_setup(null, LOG_LEVEL_INFO);
    if (fetch_global_start() != ST_OK)
        return -1;
    return kit_start(state);
}

static int end(void **state)
{
    const int status = kit_end(state);
    fetch_global_end();
    return status;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_without_a_memory),
        cmocka_unit_test(test_a_body_is_not_read),
        cmocka_unit_test(test_ledger_answers),
        cmocka_unit_test(test_the_view),
        cmocka_unit_test(test_complete),
        cmocka_unit_test(test_how_the_store_is_asked),
        cmocka_unit_test(test_a_bucket_that_is_gone),
        cmocka_unit_test(test_a_hanging_store),
        cmocka_unit_test(test_looks_at_once),
        cmocka_unit_test(test_one_look_for_each),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_stop_while_waiting),
        cmocka_unit_test(test_client_goes),
        cmocka_unit_test(test_preflight),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, start, end);
}
