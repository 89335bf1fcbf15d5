/*
 * GET /v1/quota: whose limits are asked for, and what is told without a ledger.
 */
#include "test.h"

#include "script_ledger.h"

static const struct setting_profile rows[] = { { "a", "{}" } };

static const struct limit limits[] = {
    { .name = STR_INIT("requests"), .kind = LIMIT_RATE, .max = 60, .window_s = 60, .burst = 20 },
    { .name = STR_INIT("bytes"), .kind = LIMIT_BYTES, .max = 1000, .window_s = WINDOW_FOREVER },
};
static struct limit_state states[] = {
    { .used = 1, .remaining = 19, .resets_at_s = INT64_C(1800000000) },
    { .used = 400, .reserved = 100, .remaining = 500 },
};

struct stage {
    struct setting *s;
    struct keyring *kr;
    struct plan plans[2];
    struct script_ledger ledger;
    struct api *a;
};

/* "free" has limits, "pro" has none; free is the default. */
static struct stage *stage_new(bool with_plans)
{
    struct stage *g = calloc(1, sizeof(*g));
    assert_non_null(g);
    g->s = setting_new(rows, ROWS(rows));
    g->plans[0] = (struct plan){ .name = STR("free"), .limits = limits, .n_limits = ROWS(limits) };
    g->plans[1] = (struct plan){ .name = STR("pro") };
    g->s->rules.plans = g->plans;
    g->s->rules.n_plans = with_plans ? 2 : 0;
    g->s->rules.default_plan = with_plans ? g->plans : NULL;
    g->kr = ring_of(&kit_issuer, secret_keys(kit_secret));
    g->a = api_new(g->s, g->kr, NULL);
    g->ledger.states = states;
    script_use(&g->ledger, g->a);
    return g;
}

static void stage_end(struct stage *g)
{
    api_free(g->a);
    setting_unref(g->s);
    keyring_unref(g->kr);
    free(g);
    kit_free_texts();
}

static const char *token_of(const char *plan)
{
    const char *more = *plan ? kit_text(",\"plan\":\"%s\"", plan) : "";
    return kit_token(JWA_HS256, "{\"alg\":\"HS256\"}", payload_for(600, more));
}

#define LIMITED                                                                          \
    "[{'name':'requests','kind':'rate','limit':60,'used':1,'reserved':0,'remaining':19," \
    "'window_s':60,'resets_at':'2027-01-15T08:00:00Z'},{'name':'bytes','kind':'bytes',"  \
    "'limit':1000,'used':400,'reserved':100,'remaining':500,'window_s':null,'resets_at':null}]"

static void test_quota(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name; bool plans; const char *plan; enum status status; int want; const char *body; int asked;
    } cases[] = {
        { "the default",      true,  "",     ST_OK,                 200, "{'user':'u-1','plan':'free','limits':" LIMITED "}", 1 },
        { "by its name",      true,  "free", ST_OK,                 200, "{'user':'u-1','plan':'free','limits':" LIMITED "}", 1 },
        { "an unknown one",   true,  "gold", ST_OK,                 200, "{'user':'u-1','plan':'free','limits':" LIMITED "}", 1 },
        { "without limits",   true,  "pro",  ST_OK,                 200, "{'user':'u-1','plan':'pro','limits':[]}", 0 },
        { "ledger away",      true,  "free", ST_LEDGER_UNAVAILABLE, 503, NULL, 1 },
        { "away, no limits",  true,  "pro",  ST_LEDGER_UNAVAILABLE, 200, "{'user':'u-1','plan':'pro','limits':[]}", 0 },
        { "no plans",         false, "",     ST_OK,                 200, "{'user':'u-1','plan':null,'limits':[]}", 0 },
        { "no plans, a word", false, "gold", ST_OK,                 200, "{'user':'u-1','plan':'gold','limits':[]}", 0 },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new(cases[i].plans);
        g->ledger.status[LEDGER_PEEK] = cases[i].status;
        struct client *c = client_new(&g->a->wire);
        client_text(c, bare_text("GET", "/v1/quota", token_of(cases[i].plan)));
        CHECK_EQ(cases[i].name, client_answer(c, cases[i].name), cases[i].want);
        if (cases[i].body) {
            const struct str body = answer_body(c), want = str_from(quoted(cases[i].body));
            CHECK_STR(cases[i].name, str_trim(str_slice(body, 0, want.len)), want);
        }
        CHECK_EQ(cases[i].name, g->ledger.asked[LEDGER_PEEK], cases[i].asked);
        CHECK_EQ(cases[i].name, g->ledger.asked[LEDGER_RESERVE], 0);
        if (cases[i].asked) {
            char hash[33];
            principal_hash_user(STR(KIT_ISSUER), STR("u-1"), hash);
            CHECK_TEXT(cases[i].name, str_from(g->ledger.user_hash), hash);
        }
        client_free(c);
        stage_end(g);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *method, *target;
        bool token;
        int want;
    } cases[] = {
        { "no token", "GET", "/v1/quota", false, 401 },
        { "HEAD", "HEAD", "/v1/quota", true, 200 },
        { "POST", "POST", "/v1/quota", true, 405 },
        { "DELETE", "DELETE", "/v1/quota", false, 405 },
        { "a slash behind", "GET", "/v1/quota/", true, 404 },
        { "another case", "GET", "/v1/Quota", true, 404 },
    };
    struct stage *g = stage_new(true);
    for (size_t i = 0; i < ROWS(cases); i++)
        CHECK_EQ(cases[i].name,
                 ask_bare(g->a, cases[i].method, cases[i].target,
                          cases[i].token ? token_of("free") : NULL, NULL),
                 cases[i].want);
    CHECK_EQ("asked", g->ledger.asked[LEDGER_PEEK], 1);
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
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, start, kit_end);
}
