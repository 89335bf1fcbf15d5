/*
 * POST /ledger/adjust: on the admin listener only; which user is meant, which numbers are taken.
 */
#include "test.h"

#include "script_ledger.h"

static const struct setting_profile rows[] = { { "a", "{}" } };

#define HASH "0123456789abcdef0123456789abcdef"

struct stage {
    struct setting *s;
    struct keyring *kr;
    struct script_ledger ledger;
    struct api *a;
    struct wire admin;
};

static struct stage *stage_new(size_t issuers)
{
    struct stage *g = calloc(1, sizeof(*g));
    assert_non_null(g);
    g->s = setting_new(rows, ROWS(rows));
    g->kr = issuers ? keyring_new(issuers) : NULL;
    for (size_t i = 0; i < issuers; i++)
        g->kr->issuers[i] = (struct key_state){ .config = &kit_issuer, .can_refetch = true };
    g->a = api_new(g->s, g->kr, NULL);
    script_use(&g->ledger, g->a);
    g->ledger.tally = (struct tally){ .name = STR("bytes"),
                                      .kind = LIMIT_BYTES,
                                      .start_s = INT64_C(1799971200),
                                      .used = 58,
                                      .reserved = 7 };

    char space[256];
    struct buf why = BUF_FIXED(space);
    int fd;
    g->a->worker.admin = (struct server){
        .loop = g->a->worker.loop,
        .config = &g->s->server,
        .routes = api_routes,
        .n_routes = api_routes_n,
        .metrics = &g->a->worker.metrics,
        .random = &g->a->worker.random,
        .admin = true,
    };
    g->admin.loop = g->a->worker.loop;
    assert_int_equal(server_listen(STR("127.0.0.1:0"), false, &fd, &g->admin.port, &why), ST_OK);
    assert_int_equal(server_start(&g->a->worker.admin, fd), ST_OK);
    return g;
}

static void stage_end(struct stage *g)
{
    server_stop(&g->a->worker.admin);
    api_free(g->a);
    setting_unref(g->s);
    if (g->kr)
        keyring_unref(g->kr);
    free(g);
    kit_free_texts();
}

static int adjust(struct stage *g, const char *name, const char *type, const char *body,
                  json_t **out)
{
    struct client *c = client_new(&g->admin);
    const char *text = quoted(body);
    client_text(c, kit_text("POST /ledger/adjust HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n"
                            "Content-Length: %zu\r\n\r\n%s",
                            type, strlen(text), text));
    const int status = client_answer(c, name);
    *out = answer_json(c);
    client_free(c);
    return status;
}

#define JSON "application/json"

static void test_refused(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name; size_t issuers; const char *type, *body; int want; const char *code, *member;
    } cases[] = {
        { "another type",   1, "text/plain", "{'user':'u','limit_name':'l','delta':1}", 415, "unsupported_media_type", "" },
        { "no JSON",        1, JSON, "x",                                               400, "invalid_request", "" },
        { "a list",         1, JSON, "[]",                                              400, "invalid_request", "" },
        { "no user",        1, JSON, "{'limit_name':'l','delta':1}",                    400, "invalid_request", "user" },
        { "user, empty",    1, JSON, "{'user':'','limit_name':'l','delta':1}",          400, "invalid_request", "user" },
        { "user, a number", 1, JSON, "{'user':1,'limit_name':'l','delta':1}",           400, "invalid_request", "user" },
        { "user, null",     1, JSON, "{'user':null,'limit_name':'l','delta':1}",        400, "invalid_request", "user" },
        { "no limit",       1, JSON, "{'user':'u','delta':1}",                          400, "invalid_request", "limit_name" },
        { "limit, empty",   1, JSON, "{'user':'u','limit_name':'','delta':1}",          400, "invalid_request", "limit_name" },
        { "limit, 65",      1, JSON, "{'user':'u','limit_name':'llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllL','delta':1}", 400, "invalid_request", "limit_name" },
        { "no delta",       1, JSON, "{'user':'u','limit_name':'l'}",                   400, "invalid_request", "delta" },
        { "delta, a text",  1, JSON, "{'user':'u','limit_name':'l','delta':'1'}",       400, "invalid_request", "delta" },
        { "a fraction",     1, JSON, "{'user':'u','limit_name':'l','delta':1.0}",       400, "invalid_request", "delta" },
        { "an exponent",    1, JSON, "{'user':'u','limit_name':'l','delta':1e3}",       400, "invalid_request", "delta" },
        { "2^53",           1, JSON, "{'user':'u','limit_name':'l','delta':9007199254740992}",  400, "invalid_request", "delta" },
        { "-2^53",          1, JSON, "{'user':'u','limit_name':'l','delta':-9007199254740992}", 400, "invalid_request", "delta" },
        { "twice",          1, JSON, "{'user':'u','limit_name':'l','delta':1,'delta':2}", 400, "invalid_request", "delta" },
        { "unknown",        1, JSON, "{'user':'u','limit_name':'l','delta':1,'set':2}", 400, "invalid_request", "set" },
        { "two issuers",    2, JSON, "{'user':'u','limit_name':'l','delta':1}",         400, "invalid_request", "user" },
        { "31 digits",      2, JSON, "{'user':'0123456789abcdef0123456789abcde','limit_name':'l','delta':1}", 400, "invalid_request", "user" },
        { "capitals",       2, JSON, "{'user':'0123456789ABCDEF0123456789ABCDEF','limit_name':'l','delta':1}", 400, "invalid_request", "user" },
        { "no keys",        0, JSON, "{'user':'u','limit_name':'l','delta':1}",         503, "keys_unavailable", "" },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new(cases[i].issuers);
        json_t *doc;
        CHECK_EQ(cases[i].name, adjust(g, cases[i].name, cases[i].type, cases[i].body, &doc),
                 cases[i].want);
        CHECK_TEXT(cases[i].name, str_from(text_at(doc, "code")), cases[i].code);
        if (strcmp(cases[i].name, "twice") != 0)
            CHECK_TEXT(cases[i].name, str_from(text_at(doc, "member")), cases[i].member);
        CHECK_EQ(cases[i].name, g->ledger.asked[LEDGER_ADJUST], 0);
        json_decref(doc);
        stage_end(g);
    }
}

static void test_adjusted(void **state)
{
    (void)state;
    char of_claim[33];
    principal_hash_user(STR(KIT_ISSUER), STR("someone"), of_claim);
    const struct {
        const char *name;
        size_t issuers;
        const char *user, *delta, *hash;
        int64_t amount;
    } cases[] = {
        { "by hash", 1, HASH, "-5", HASH, -5 },
        { "by hash, two issuers", 2, HASH, "7", HASH, 7 },
        { "by hash, no keys", 0, HASH, "0", HASH, 0 },
        { "by claim", 1, "someone", "-9007199254740991", of_claim, -INT64_C(9007199254740991) },
        { "the most", 1, "someone", "9007199254740991", of_claim, INT64_C(9007199254740991) },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new(cases[i].issuers);
        json_t *doc;
        const char *body = kit_text("{'user':'%s','limit_name':'bytes','delta':%s}", cases[i].user,
                                    cases[i].delta);
        CHECK_EQ(cases[i].name, adjust(g, cases[i].name, JSON "; charset=utf-8", body, &doc), 200);
        CHECK_EQ(cases[i].name, g->ledger.asked[LEDGER_ADJUST], 1);
        CHECK_EQ(cases[i].name, g->ledger.amount, cases[i].amount);
        CHECK_TEXT(cases[i].name, str_from(g->ledger.user_hash), cases[i].hash);
        CHECK_TEXT(cases[i].name, str_from(text_at(doc, "user_hash")), cases[i].hash);
        CHECK_TEXT(cases[i].name, str_from(text_at(doc, "limit_name")), "bytes");
        CHECK_TEXT(cases[i].name, str_from(text_at(doc, "window_start")), "2027-01-15T00:00:00Z");
        CHECK_EQ(cases[i].name, json_integer_value(json_object_get(doc, "used")), 58);
        CHECK_EQ(cases[i].name, json_integer_value(json_object_get(doc, "reserved")), 7);
        json_decref(doc);
        stage_end(g);
    }
}

static void test_ledger_answers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool remembers;
        enum ledger_verb verb;
        enum status status;
        const char *limit;
        int want;
    } cases[] = {
        { "unknown", true, LEDGER_ADJUST, ST_NOT_FOUND, "bytes", 404 },
        { "away", true, LEDGER_ADJUST, ST_LEDGER_UNAVAILABLE, "bytes", 503 },
        { "then away", true, LEDGER_SHOW, ST_LEDGER_UNAVAILABLE, "bytes", 503 },
        { "gone meanwhile", true, LEDGER_SHOW, ST_OK, "files", 404 },
        { "remembers nothing", false, LEDGER_SHOW, ST_OK, "bytes", 404 },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new(1);
        g->ledger.kind.remembers = cases[i].remembers;
        g->ledger.status[cases[i].verb] = cases[i].status;
        json_t *doc;
        const char *body =
            kit_text("{'user':'" HASH "','limit_name':'%s','delta':1}", cases[i].limit);
        CHECK_EQ(cases[i].name, adjust(g, cases[i].name, JSON, body, &doc), cases[i].want);
        json_decref(doc);
        stage_end(g);
    }
}

/* It takes no token, so it is on the admin listener only, and no page of a browser's gets there. */
static void test_where_it_is(void **state)
{
    (void)state;
    struct stage *g = stage_new(1);
    const char *body = "{'user':'u','limit_name':'bytes','delta':1}";
    CHECK_EQ("public", ask_json(g->a, "/ledger/adjust", good_token(), body, NULL), 404);
    struct client *c = client_new(&g->admin);
    client_text(c, "OPTIONS /ledger/adjust HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example\r\n"
                   "Access-Control-Request-Method: POST\r\n\r\n");
    CHECK_EQ("preflight", client_answer(c, "preflight"), 405);
    CHECK("preflight", !answer_has_name(c, "Access-Control-Allow-Origin"));
    client_free(c);
    c = client_new(&g->admin);
    client_text(c, "GET /ledger/adjust HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK_EQ("GET", client_answer(c, "GET"), 405);
    client_free(c);
    CHECK_EQ("asked", g->ledger.asked[LEDGER_ADJUST], 0);
    stage_end(g);
}

static void test_stop_while_waiting(void **state)
{
    (void)state;
    struct stage *g = stage_new(1);
    g->ledger.later = true;
    struct client *c = client_new(&g->admin);
    const char *body = quoted("{'user':'" HASH "','limit_name':'l','delta':1}");
    client_text(c, kit_text("POST /ledger/adjust HTTP/1.1\r\nHost: x\r\nContent-Type: " JSON
                            "\r\nContent-Length: %zu\r\n\r\n%s",
                            strlen(body), body));
    WIRE_UNTIL(&g->admin, "asked", g->ledger.pending);
    server_stop(&g->a->worker.admin);
    CHECK_EQ("cancelled", g->ledger.cancelled, 1);
    client_free(c);
    stage_end(g);
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
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_adjusted),
        cmocka_unit_test(test_ledger_answers),
        cmocka_unit_test(test_where_it_is),
        cmocka_unit_test(test_stop_while_waiting),
    };
    return cmocka_run_group_tests(tests, start, kit_end);
}
