/* floor: api
 *
 * What the grant path asks a ledger, what it makes of the answers, and what the ledger gets again:
 * reservations, repeated requests, what clients are told of their limits.
 */
#include "test.h"

#include "oom.h"

#include "api_kit.h"
#include "check_packet.h"

#include "presignd/encode.h"

enum { HURRY_MS = 5000, FILES = 3 };

/* clang-format off */
static const struct setting_profile rows[] = { /* sorted; the first is the default */
    { "a",     "{}" },
    { "bound", "{'token_bound': true}" },
    { "dated", "{'key': '{yyyy}/{mm}/{dd}/{hh}/{epoch_ms}/{uuid7}/{uuid}'}" },
    { "put",   "{'bucket': 'noform'}" },
    { "range", "{'size': 'range'}" },
};

static const struct limit limits[] = {
    { STR_INIT("requests"), LIMIT_RATE,  60,  60,    20 },
    { STR_INIT("daily"),    LIMIT_COUNT, 100, 86400, 0 },
};
/* clang-format on */

/* ---- a ledger whose answers the test writes ------------------------------------------------------ */

struct fake_ledger {
    struct ledger ledger; /* first */
    struct ledger_kind kind;
    bool later;               /* answers wait for answer_pending() */
    enum status status;       /* ST_OK unless the test says otherwise */
    struct limit_state *told; /* states */
    const struct ledger_replay *replay;
    /* seen */
    struct ledger_op *pending;
    int asked, peeked, taken, released, handed, cancelled;
    struct ledger_op op; /* the last one; its texts are copied below */
    struct ledger_file files[FILES];
    char key[80], hash[80], user_hash[40];
};

static struct fake_ledger *fake_of(struct ledger *l)
{
    return container_of(l, struct fake_ledger, ledger);
}

static void fake_fill(struct fake_ledger *f, struct ledger_op *op)
{
    op->status = f->status;
    if (f->told)
        op->states = arena_array(op->arena, op->plan->n_limits, sizeof(*op->states));
    for (size_t i = 0; op->states && i < op->plan->n_limits; i++)
        op->states[i] = f->told[i];
    if (f->status == ST_OK && f->replay) {
        op->replayed = true;
        op->replay = arena_array(op->arena, op->n_files, sizeof(*op->replay));
        for (size_t i = 0; op->replay && i < op->n_files; i++)
            op->replay[i] = f->replay[i];
        if (!op->replay)
            op->status = ST_LEDGER_UNAVAILABLE;
    }
    f->taken += op->status == ST_OK && op->verb == LEDGER_RESERVE;
    if (op->status == ST_OK)
        return;
    fault_set(&op->fault, op->status, STR("Enough."));
    op->fault.log_reason = STR("as written");
    op->fault.retry_after_s = 17;
    if (op->status != ST_LEDGER_UNAVAILABLE)
        fault_str(&op->fault, "limit_name", STR("daily"));
}

static void keep(char *room, size_t size, struct str text)
{
    assert_true(text.len < size);
    memcpy(room, text.len ? text.ptr : "", text.len);
    room[text.len] = '\0';
}

static enum ledger_progress fake_ask(struct ledger *l, struct ledger_op *op)
{
    struct fake_ledger *f = fake_of(l);
    *(op->verb == LEDGER_PEEK ? &f->peeked : &f->asked) += 1;
    f->op = *op;
    keep(f->key, sizeof(f->key), op->idempotency_key);
    keep(f->hash, sizeof(f->hash), op->request_hash);
    keep(f->user_hash, sizeof(f->user_hash), op->user_hash);
    assert_true(op->n_files <= FILES);
    memcpy(f->files, op->files, op->n_files * sizeof(*op->files));
    if (f->later) {
        f->pending = op;
        return LEDGER_PENDING;
    }
    fake_fill(f, op);
    return LEDGER_DONE;
}

static void answer_pending(struct fake_ledger *f)
{
    struct ledger_op *op = f->pending;
    f->pending = NULL;
    fake_fill(f, op);
    op->done(op);
}

static void forget(struct fake_ledger *f, const struct ledger_op *op)
{
    if (f->pending == op)
        f->pending = NULL;
}

static void fake_release(struct ledger *l, struct ledger_op *op)
{
    assert_int_equal(op->verb, LEDGER_RESERVE);
    fake_of(l)->released++;
    forget(fake_of(l), op);
}

static void fake_cancel(struct ledger *l, struct ledger_op *op)
{
    assert_int_not_equal(op->verb, LEDGER_RESERVE);
    fake_of(l)->cancelled++;
    forget(fake_of(l), op);
}

static void fake_handed(struct ledger *l, const struct ledger_op *op)
{
    assert_int_equal(op->status, ST_OK);
    fake_of(l)->handed++;
}

static bool fake_ready(struct ledger *l, struct str *why)
{
    (void)l;
    *why = STR("");
    return true;
}

static void fake_free(struct ledger *l)
{
    (void)l; /* part of the test's own struct */
}

static void use_fake(struct fake_ledger *f, struct api *a)
{
    f->kind = (struct ledger_kind){
        .name = "fake",
        .remembers = true,
        .ask = fake_ask,
        .release = fake_release,
        .handed = fake_handed,
        .cancel = fake_cancel,
        .ready = fake_ready,
        .free = fake_free,
    };
    f->ledger.kind = &f->kind;
    worker_use_ledger(&a->worker, &f->ledger);
}

/* ---- the stage ---------------------------------------------------------------------------------- */

struct stage {
    struct setting *s;
    struct keyring *kr;
    struct creds *creds;
    struct api *a;
    struct fake_ledger f;
};

static struct setting *limited_setting(void)
{
    struct setting *s = setting_new(rows, ROWS(rows));
    s->plan.limits = limits;
    s->plan.n_limits = ROWS(limits);
    return s;
}

static struct stage *stage_new(void)
{
    struct stage *g = calloc(1, sizeof(*g));
    assert_non_null(g);
    g->s = limited_setting();
    g->kr = ring_of(&kit_issuer, secret_keys(kit_secret));
    g->creds = creds_named("FIRST", CREDS_NEVER);
    g->a = api_new(g->s, g->kr, g->creds);
    use_fake(&g->f, g->a);
    return g;
}

static void stage_end(struct stage *g)
{
    api_free(g->a);
    assert_int_equal(g->s->refs, 1);
    setting_unref(g->s);
    keyring_unref(g->kr);
    creds_unref(g->creds);
    free(g);
    kit_free_texts();
}

static void until_over(struct stage *g, const char *name)
{
    WIRE_UNTIL(&g->a->wire, name, g->a->worker.server.in_flight == 0);
}

static int64_t now_s(void)
{
    return loop_clock_wall_us() / 1000000;
}

#define TWO   "{'files':[" GOOD_BODY "," GOOD_BODY "]}"
#define THREE "{'files':[" GOOD_BODY "," GOOD_BODY "," GOOD_BODY "]}"

/* ---- reservations ------------------------------------------------------------------------------- */

static void test_reservations(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name; bool later; enum status status; const char *target, *body;
        int want, asked, peeked, handed;
    } cases[] = {
        { "at once",          false, ST_OK, "/v1/uploads", GOOD_BODY, 201, 1, 0, 1 },
        { "later",            true,  ST_OK, "/v1/uploads", GOOD_BODY, 201, 1, 0, 1 },
        { "batch",            true,  ST_OK, "/v1/uploads", TWO, 201, 1, 0, 1 },
        { "PUT",              false, ST_OK, "/v1/uploads", "{'profile':'put','content_type':'image/png','content_length':10}", 201, 1, 0, 1 },
        { "presign",          true,  ST_OK, "/presign", GOOD_BODY, 200, 1, 0, 1 },
        { "presign, camel",   true,  ST_OK, "/presign", "{'fileName':'x','contentType':'image/png','fileSize':10}", 200, 1, 0, 1 },
        { "upload",           false, ST_OK, "/upload", "{'filename':'x','filetype':'image/png','filesize':10}", 200, 1, 0, 1 },
        { "dry run",          false, ST_OK, "/v1/uploads?dry_run=1", GOOD_BODY, 200, 0, 1, 0 },
        { "dry run, later",   true,  ST_OK, "/v1/uploads?dry_run=1", TWO, 200, 0, 1, 0 },
        { "dry, refused",     true,  ST_QUOTA_EXCEEDED, "/v1/uploads?dry_run=true", GOOD_BODY, 429, 0, 1, 0 },
        { "dry, away",        false, ST_LEDGER_UNAVAILABLE, "/v1/uploads?dry_run=1", GOOD_BODY, 503, 0, 1, 0 },
        { "refused at once",  false, ST_QUOTA_EXCEEDED, "/v1/uploads", GOOD_BODY, 429, 1, 0, 0 },
        { "refused later",    true,  ST_RATE_LIMITED, "/v1/uploads", GOOD_BODY, 429, 1, 0, 0 },
        { "refused for ever", true,  ST_QUOTA_NEVER, "/v1/uploads", TWO, 403, 1, 0, 0 },
        { "refused, dialect", false, ST_QUOTA_EXCEEDED, "/upload", "{'filename':'x','filetype':'image/png','filesize':10}", 429, 1, 0, 0 },
        { "ledger away",      true,  ST_LEDGER_UNAVAILABLE, "/v1/uploads", GOOD_BODY, 503, 1, 0, 0 },
        { "refused before",   false, ST_OK, "/v1/uploads", "{'content_type':'text/html','content_length':10}", 422, 0, 0, 0 },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new();
        g->f.later = cases[i].later;
        g->f.status = cases[i].status;
        struct client *c = client_new(&g->a->wire);
        client_post(c, cases[i].target, good_token(), cases[i].body);
        if (cases[i].later) {
            WIRE_UNTIL(&g->a->wire, cases[i].name, g->f.pending);
            answer_pending(&g->f);
        }
        CHECK_EQ(cases[i].name, client_answer(c, cases[i].name), cases[i].want);
        CHECK_EQ(cases[i].name, body_has(c, "\"limit_name\":\"daily\""),
                 cases[i].want == 429 || cases[i].want == 403);
        CHECK_EQ(cases[i].name, body_has(c, "\"index\""), 0);
        CHECK_EQ(cases[i].name, answer_has(c, "Retry-After: 17"),
                 cases[i].want == 429 || cases[i].want == 503 || cases[i].want == 403);
        client_free(c);
        until_over(g, cases[i].name);
        CHECK_EQ(cases[i].name, g->f.asked, cases[i].asked);
        CHECK_EQ(cases[i].name, g->f.peeked, cases[i].peeked);
        CHECK_EQ(cases[i].name, g->f.handed, cases[i].handed);
        CHECK_EQ(cases[i].name, g->f.released, 0);
        CHECK_EQ(cases[i].name, g->f.cancelled, 0);
        stage_end(g);
    }
}

/* A plan without limits needs no ledger to say what is left of them. */
static void test_nothing_to_peek_at(void **state)
{
    (void)state;
    struct stage *g = stage_new();
    g->s->plan.n_limits = 0;
    g->f.status = ST_LEDGER_UNAVAILABLE;
    json_t *doc;
    CHECK_EQ("dry", ask_json(g->a, "/v1/uploads?dry_run=1", good_token(), GOOD_BODY, &doc), 200);
    CHECK_EQ("quota", json_array_size(json_object_get(doc, "quota")), 0);
    CHECK_EQ("asked", g->f.peeked + g->f.asked, 0);
    json_decref(doc);
    stage_end(g);
}

static void test_the_question(void **state)
{
    (void)state;
    struct stage *g = stage_new();
    json_t *doc;
    const int64_t before_us = loop_clock_wall_us();
    CHECK_EQ("range",
             ask_json(g->a, "/v1/uploads", good_token(),
                      "{'profile':'range','content_type':'image/png'}", &doc),
             201);
    const struct ledger_file *file = &g->f.files[0];
    CHECK_EQ("range", file->content_length, -1);
    CHECK_EQ("range", file->reserve_bytes, 1000);
    CHECK("range", file->post && !file->exact);
    json_decref(doc);
    CHECK_EQ("good", ask_json(g->a, "/v1/uploads", good_token(), GOOD_BODY, &doc), 201);
    CHECK_EQ("good", file->content_length, 10);
    CHECK_EQ("good", file->reserve_bytes, 10);
    CHECK("good", file->post && file->exact);
    CHECK_EQ("good", g->f.op.n_files, 1);
    CHECK("plan", g->f.op.plan == &g->s->plan);
    CHECK("clock", g->f.op.now_us >= before_us - 1000000 && g->f.op.now_us <= loop_clock_wall_us());
    CHECK_EQ("expiry", file->expires_at_s, g->f.op.now_us / 1000000 + 900);
    CHECK_EQ("no key", strlen(g->f.key) + strlen(g->f.hash), 0);
    char hash[33];
    principal_hash_user(STR(KIT_ISSUER), STR("u-1"), hash);
    CHECK("user", strcmp(hash, g->f.user_hash) == 0);
    json_decref(doc);
    CHECK_EQ("put",
             ask_json(g->a, "/presign", good_token(),
                      "{'fileName':'x','contentType':'image/png','fileSize':7}", NULL),
             200);
    CHECK("put", !file->post && !file->exact && file->content_length == 7);
    CHECK_EQ("batch", ask_json(g->a, "/v1/uploads", good_token(), THREE, NULL), 201);
    CHECK_EQ("batch", g->f.op.n_files, 3);
    stage_end(g);
}

/* ---- what the ledger gets again ----------------------------------------------------------------- */

/* What was reserved for a packet that then could not be made is given back. */
static void test_release_after_a_failed_signature(void **state)
{
    (void)state;
    static const char *const targets[] = { "/v1/uploads", "/presign" };
    for (size_t i = 0; i < ROWS(targets); i++) {
        struct stage *g = stage_new();
        /* An access key id that no credential scope has room for. */
        char akid[300];
        memset(akid, 'A', sizeof(akid) - 1);
        akid[sizeof(akid) - 1] = '\0';
        struct creds *odd = creds_named(akid, CREDS_NEVER);
        worker_use_creds(&g->a->worker, odd);
        CHECK_EQ(targets[i], ask_json(g->a, targets[i], good_token(), GOOD_BODY, NULL), 503);
        until_over(g, targets[i]);
        CHECK_EQ(targets[i], g->f.asked, 1);
        CHECK_EQ(targets[i], g->f.released, 1);
        CHECK_EQ(targets[i], g->f.handed, 0);
        worker_use_creds(&g->a->worker, NULL);
        creds_unref(odd);
        stage_end(g);
    }
}

/* A packet may have been read by who breaks the connection: its reservation stays. */
static void test_broken_connections(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool reset, before; /* the ledger's answer */
    } cases[] = {
        { "closed while the ledger thinks", false, true },
        { "reset while the ledger thinks", true, true },
        { "reset with the answer unread", true, false },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new();
        g->f.later = true;
        struct client *c = client_new(&g->a->wire);
        client_post(c, "/v1/uploads", good_token(), GOOD_BODY);
        WIRE_UNTIL(&g->a->wire, cases[i].name, g->f.pending);
        const struct linger at_once = { .l_onoff = 1 };
        if (cases[i].reset)
            assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)),
                             0);
        if (cases[i].before)
            client_free(c);
        answer_pending(&g->f);
        until_over(g, cases[i].name);
        if (!cases[i].before)
            client_free(c);
        CHECK_EQ(cases[i].name, g->f.handed, 1);
        CHECK_EQ(cases[i].name, g->f.released, 0);
        stage_end(g);
    }
}

/* The server stops while the ledger thinks: the operation is called off, not left dangling. */
static void test_stop_while_asking(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        int released, cancelled;
    } cases[] = { { "/v1/uploads", 1, 0 }, { "/v1/uploads?dry_run=1", 0, 1 } };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new();
        g->f.later = true;
        struct client *c = client_new(&g->a->wire);
        client_post(c, cases[i].target, good_token(), GOOD_BODY);
        WIRE_UNTIL(&g->a->wire, cases[i].target, g->f.pending);
        server_stop(&g->a->worker.server);
        CHECK_EQ(cases[i].target, g->a->worker.server.in_flight, 0);
        CHECK(cases[i].target, !g->f.pending);
        CHECK_EQ(cases[i].target, g->f.released, cases[i].released);
        CHECK_EQ(cases[i].target, g->f.cancelled, cases[i].cancelled);
        client_free(c);
        stage_end(g);
    }
}

/* ---- what clients are told ---------------------------------------------------------------------- */

static void test_ratelimit_headers(void **state)
{
    (void)state;
    static struct limit_state rate_tight[] = { { .remaining = 1 }, { .remaining = 99 } };
    static struct limit_state count_tight[] = { { .remaining = 19 }, { .remaining = 7 } };
    /* clang-format off */
    const struct {
        const char *name; struct limit_state *told; enum status status; const char *target, *body;
        int want; const char *policy, *left;
    } cases[] = {
        { "rate",    rate_tight,  ST_OK, "/v1/uploads", GOOD_BODY, 201, "\"requests\";q=60;w=60", "\"requests\";r=1" },
        { "count",   count_tight, ST_OK, "/v1/uploads", TWO, 201, "\"daily\";q=100;w=86400", "\"daily\";r=7" },
        { "dialect", count_tight, ST_OK, "/presign", GOOD_BODY, 200, "\"daily\";q=100;w=86400", "\"daily\";r=7" },
        { "refused: whose limit it was", rate_tight, ST_QUOTA_EXCEEDED, "/v1/uploads", GOOD_BODY, 429, "\"daily\";q=100;w=86400", "\"daily\";r=99;t=17" },
        { "refused, dialect", rate_tight, ST_QUOTA_EXCEEDED, "/presign", GOOD_BODY, 429, "\"daily\";q=100;w=86400", "\"daily\";r=99;t=17" },
        { "for ever",    rate_tight, ST_QUOTA_NEVER, "/v1/uploads", GOOD_BODY, 403, NULL, NULL },
        { "ledger away", rate_tight, ST_LEDGER_UNAVAILABLE, "/v1/uploads", GOOD_BODY, 503, NULL, NULL },
        { "dry run",     rate_tight, ST_OK, "/v1/uploads?dry_run=1", GOOD_BODY, 200, NULL, NULL },
        { "too early",   rate_tight, ST_OK, "/v1/uploads", "{}", 400, NULL, NULL },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new();
        g->f.told = cases[i].told;
        g->f.status = cases[i].status;
        struct client *c = client_new(&g->a->wire);
        client_post(c, cases[i].target, good_token(), cases[i].body);
        CHECK_EQ(cases[i].name, client_answer(c, cases[i].name), cases[i].want);
        CHECK_EQ(cases[i].name, answer_has_name(c, "RateLimit"), cases[i].left != NULL);
        CHECK_EQ(cases[i].name, answer_has_name(c, "RateLimit-Policy"), cases[i].left != NULL);
        if (cases[i].left)
            CHECK(cases[i].name, answer_has(c, kit_text("RateLimit-Policy: %s", cases[i].policy)) &&
                                     answer_has(c, kit_text("RateLimit: %s", cases[i].left)));
        client_free(c);
        stage_end(g);
    }
}

/* One connection, the headers of each answer are its own. */
static void test_headers_of_the_next_answer(void **state)
{
    (void)state;
    static struct limit_state told[ROWS(limits)];
    struct stage *g = stage_new();
    g->f.told = told;
    struct client *c = client_new(&g->a->wire);
    for (int i = 0; i < 20; i++) {
        told[0].remaining = 19 - i / 4;
        told[1].remaining = i < 10 ? 100 : 8 - i % 2;
        client_post(c, "/v1/uploads", good_token(), GOOD_BODY);
        CHECK_EQ("next", client_answer(c, "next"), 201);
        const char *name = i < 10 ? "requests" : "daily";
        const int left = (int)(i < 10 ? told[0] : told[1]).remaining;
        CHECK("left", answer_has(c, kit_text("RateLimit: \"%s\";r=%d", name, left)));
        CHECK("one", strcasestr(strcasestr(c->in, "\r\nRateLimit:") + 1, "\r\nRateLimit:") == NULL);
        CHECK("one", strcasestr(strcasestr(c->in, "\r\nLocation:") + 1, "\r\nLocation:") == NULL);
        json_t *doc = answer_json(c);
        CHECK("own id", answer_has(c, kit_text("Location: /v1/uploads/%s", text_at(doc, "id"))));
        json_decref(doc);
        client_next(c, false);
    }
    client_free(c);
    stage_end(g);
}

static void test_dry_run_quota(void **state)
{
    (void)state;
    static struct limit_state told[] = { { .used = 1, .remaining = 19 },
                                         { .reserved = 4, .remaining = 96 } };
    struct stage *g = stage_new();
    g->f.told = told;
    json_t *doc;
    CHECK_EQ("dry", ask_json(g->a, "/v1/uploads?dry_run=1", good_token(), TWO, &doc), 200);
    const json_t *files = json_object_get(doc, "files");
    for (size_t i = 0; i < 2; i++) {
        const json_t *quota = json_object_get(json_array_get(files, i), "quota");
        CHECK_EQ("quota", json_array_size(quota), 2);
        const json_t *daily = json_array_get(quota, 1);
        CHECK("quota", strcmp(text_at(daily, "name"), "daily") == 0);
        CHECK_EQ("quota", json_integer_value(json_object_get(daily, "reserved")), 4);
        CHECK_EQ("quota", json_integer_value(json_object_get(daily, "remaining")), 96);
    }
    json_decref(doc);
    stage_end(g);
}

/* ---- Idempotency-Key ---------------------------------------------------------------------------- */

#define KEY_64 "0123456789abcdefABCDEF._-0123456789abcdefABCDEF._-0123456789abcd"

static const char *keyed_text(const char *target, const char *lines, const char *body)
{
    const char *text = quoted(body);
    return kit_text("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s"
                    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                    target, good_token(), lines, strlen(text), text);
}

static int ask_keyed(struct stage *g, const char *target, const char *lines, const char *body,
                     json_t **out)
{
    struct client *c = client_new(&g->a->wire);
    client_text(c, keyed_text(target, lines, body));
    const int status = client_answer(c, target);
    if (out)
        *out = answer_json(c);
    client_free(c);
    until_over(g, target);
    return status;
}

static void test_idempotency_key(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *lines; int want; const char *key; } cases[] = {
        { "none",            "", 201, "" },
        { "bare",            "Idempotency-Key: a.B_9-z\r\n", 201, "a.B_9-z" },
        { "quoted",          "Idempotency-Key: \"a.B_9-z\"\r\n", 201, "a.B_9-z" },
        { "any case, blanks", "idempotency-key:  \"k\" \t\r\n", 201, "k" },
        { "64",              "Idempotency-Key: " KEY_64 "\r\n", 201, KEY_64 },
        { "64, quoted",      "Idempotency-Key: \"" KEY_64 "\"\r\n", 201, KEY_64 },
        { "65",              "Idempotency-Key: " KEY_64 "e\r\n", 400, NULL },
        { "empty",           "Idempotency-Key:\r\n", 400, NULL },
        { "empty, quoted",   "Idempotency-Key: \"\"\r\n", 400, NULL },
        { "one quote",       "Idempotency-Key: \"\r\n", 400, NULL },
        { "quote before",    "Idempotency-Key: \"a\r\n", 400, NULL },
        { "quote behind",    "Idempotency-Key: a\"\r\n", 400, NULL },
        { "quotes twice",    "Idempotency-Key: \"\"a\"\"\r\n", 400, NULL },
        { "quote inside",    "Idempotency-Key: a\"b\r\n", 400, NULL },
        { "blank inside",    "Idempotency-Key: a b\r\n", 400, NULL },
        { "blank in quotes", "Idempotency-Key: \" a\"\r\n", 400, NULL },
        { "a list",          "Idempotency-Key: a,b\r\n", 400, NULL },
        { "a parameter",     "Idempotency-Key: \"a\";b=1\r\n", 400, NULL },
        { "slash",           "Idempotency-Key: a/b\r\n", 400, NULL },
        { "not ASCII",       "Idempotency-Key: \xc3\xa4\r\n", 400, NULL },
        { "twice",           "Idempotency-Key: a\r\nIdempotency-Key: b\r\n", 400, NULL },
        { "twice the same",  "Idempotency-Key: a\r\nIdempotency-Key: a\r\n", 400, NULL },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new();
        json_t *doc;
        CHECK_EQ(cases[i].name, ask_keyed(g, "/v1/uploads", cases[i].lines, GOOD_BODY, &doc),
                 cases[i].want);
        if (cases[i].key) {
            CHECK("key", strcmp(g->f.key, cases[i].key) == 0);
            CHECK_EQ(cases[i].name, strlen(g->f.hash), cases[i].key[0] ? 64 : 0);
        } else {
            CHECK_TEXT(cases[i].name, str_from(text_at(doc, "code")), "invalid_request");
            CHECK_TEXT(cases[i].name, str_from(text_at(doc, "member")), "Idempotency-Key");
            CHECK_EQ(cases[i].name, g->f.asked, 0);
        }
        json_decref(doc);
        stage_end(g);
    }
}

/* A dry run promises nothing, so it repeats nothing; neither does a ledger that forgets. */
static void test_idempotency_key_ignored(void **state)
{
    (void)state;
    static const char bad[] = "Idempotency-Key: not a key\r\n";
    struct stage *g = stage_new();
    CHECK_EQ("dry run", ask_keyed(g, "/v1/uploads?dry_run=1", bad, GOOD_BODY, NULL), 200);
    CHECK_EQ("dry run", strlen(g->f.key), 0);
    g->f.kind.remembers = false;
    CHECK_EQ("forgets", ask_keyed(g, "/v1/uploads", bad, GOOD_BODY, NULL), 201);
    CHECK_EQ("forgets", strlen(g->f.key), 0);
    stage_end(g);
}

/* The hash stands for what was asked, byte by byte, and for where. */
#define DECIDED "\na a-bucket 10 POST"

static void test_request_hash(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *target, *body, *hashed; } cases[] = {
        { "plain",        "/v1/uploads",     GOOD_BODY,     "/v1/uploads\n\n" GOOD_BODY DECIDED },
        { "a blank more", "/v1/uploads",     GOOD_BODY " ", "/v1/uploads\n\n" GOOD_BODY " " DECIDED },
        { "a query",      "/v1/uploads?a=1", GOOD_BODY,     "/v1/uploads\na=1\n" GOOD_BODY DECIDED },
        { "a dialect",    "/presign",        GOOD_BODY,     "/presign\n\n" GOOD_BODY DECIDED },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new();
        ask_keyed(g, cases[i].target, "Idempotency-Key: k\r\n", cases[i].body, NULL);
        unsigned char sum[HASH_BYTES];
        char space[2 * HASH_BYTES];
        struct buf hex = BUF_FIXED(space);
        hash_once(str_from(quoted(cases[i].hashed)), sum);
        encode_hex(&hex, (struct str){ (const char *)sum, sizeof(sum) });
        CHECK_TEXT(cases[i].name, buf_view(&hex), g->f.hash);
        stage_end(g);
    }
}

/* ---- a repeated request ------------------------------------------------------------------------- */

#define ID_1          "01900000-0000-7000-8000-000000000001"
#define UUID_1        "11111111-1111-4111-8111-111111111111"
#define ID_2          "01900000-0000-7000-8000-000000000002"
#define UUID_2        "22222222-2222-4222-8222-222222222222"
#define FIRST_TIME_US INT64_C(1700000000999999) /* 2023-11-14T22:13:20Z */
#define FIRST_DATE    "2023/11/14/22/1700000000000"

static const struct ledger_replay dated[] = {
    { ID_1, UUID_1, STR_INIT(FIRST_DATE "/" ID_1 "/" UUID_1), FIRST_TIME_US },
    { ID_2, UUID_2, STR_INIT(FIRST_DATE "/" ID_2 "/" UUID_2), FIRST_TIME_US },
};

#define DATED "'profile':'dated'"

static void check_replayed(const char *name, const json_t *upload, const struct ledger_replay *was)
{
    int64_t ends_s = 0;
    CHECK_TEXT(name, str_from(text_at(upload, "id")), was->id);
    CHECK_TEXT(name, was->key, text_at(upload, "key"));
    CHECK_EQ(name, date_parse_rfc3339(str_from(text_at(upload, "expires_at")), &ends_s), ST_OK);
    CHECK(name, ends_s >= now_s() + 890 && ends_s <= now_s() + 900);
    CHECK_EQ(name, json_integer_value(json_object_get(upload, "expires_in")), 900);
    CHECK(name, check_upload(upload));
}

static void test_replay(void **state)
{
    (void)state;
    static const char line[] = "Idempotency-Key: k\r\n";
    struct stage *g = stage_new();
    g->f.replay = dated;
    json_t *doc;
    CHECK_EQ("one",
             ask_keyed(g, "/v1/uploads", line,
                       "{" DATED ",'content_type':'image/png','content_length':10}", &doc),
             201);
    check_replayed("one", doc, &dated[0]);
    json_decref(doc);
    CHECK_EQ("batch",
             ask_keyed(g, "/v1/uploads", line, "{" DATED ",'files':[" GOOD_BODY "," GOOD_BODY "]}",
                       &doc),
             201);
    for (size_t i = 0; i < 2; i++)
        check_replayed("batch", json_array_get(json_object_get(doc, "uploads"), i), &dated[i]);
    json_decref(doc);
    CHECK_EQ("dialect",
             ask_keyed(g, "/presign", line,
                       "{" DATED ",'content_type':'image/png','content_length':10}", &doc),
             200);
    CHECK_TEXT("dialect", str_from(text_at(doc, "id")), ID_1);
    json_decref(doc);
    CHECK_EQ("handed", g->f.handed, 3);
    CHECK_EQ("released", g->f.released, 0);
    const struct metrics *m = &g->a->worker.metrics;
    CHECK_EQ("counted", metric_read(&m->reservations_replayed), 3);
    CHECK_EQ("counted", metric_read(&m->reservations_taken), 0);
    stage_end(g);
}

/* The life is that of now, also where the token bounds it. */
static void test_replay_lives_from_now(void **state)
{
    (void)state;
    char hash[33];
    principal_hash_user(STR(KIT_ISSUER), STR("u-1"), hash);
    const struct ledger_replay was[] = {
        { ID_1, UUID_1, str_from(kit_text("%s/" UUID_1, hash)), FIRST_TIME_US },
    };
    struct stage *g = stage_new();
    g->f.replay = was;
    const int64_t ends_s = now_s() + 200;
    const char *t = kit_token(JWA_HS256, "{\"alg\":\"HS256\"}", payload_for(200, ""));
    json_t *doc;
    CHECK_EQ("bound",
             ask_json(g->a, "/v1/uploads", t,
                      "{'profile':'bound','content_type':'image/png','content_length':10}", &doc),
             201);
    CHECK_TEXT("bound", str_from(text_at(doc, "expires_limited_by")), "token");
    const int64_t in_s = json_integer_value(json_object_get(doc, "expires_in"));
    CHECK("bound", in_s <= 200 && now_s() + in_s <= ends_s + 2);
    json_decref(doc);
    stage_end(g);
}

/* Rules that would give another key today, or no packet at all: nothing is signed, the hold ends. */
static void test_replay_refused(void **state)
{
    (void)state;
    static const struct ledger_replay elsewhere[] = {
        { ID_1, UUID_1, STR_INIT("elsewhere/" UUID_1), FIRST_TIME_US },
        { ID_2, UUID_2, STR_INIT("elsewhere/" UUID_2), FIRST_TIME_US },
    };
    const struct ledger_replay second[] = { dated[0], elsewhere[1] };
    static const char line[] = "Idempotency-Key: k\r\n";
    struct stage *g = stage_new();
    json_t *doc;
    g->f.replay = elsewhere;
    CHECK_EQ("one",
             ask_keyed(g, "/v1/uploads", line,
                       "{" DATED ",'content_type':'image/png','content_length':10}", &doc),
             409);
    CHECK_TEXT("one", str_from(text_at(doc, "code")), "idempotency_conflict");
    json_decref(doc);
    g->f.replay = second;
    CHECK_EQ("batch",
             ask_keyed(g, "/v1/uploads", line, "{" DATED ",'files':[" GOOD_BODY "," GOOD_BODY "]}",
                       NULL),
             409);
    CHECK_EQ("released", g->f.released, 2);
    CHECK_EQ("handed", g->f.handed, 0);
    stage_end(g);
}

/* ---- metrics ------------------------------------------------------------------------------------ */

static void test_counted(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name, *target; enum status status; uint64_t taken, refused, away, named, timed;
    } cases[] = {
        { "taken",       "/v1/uploads", ST_OK, 1, 0, 0, 0, 1 },
        { "refused",     "/v1/uploads", ST_QUOTA_EXCEEDED, 0, 1, 0, 1, 1 },
        { "for ever",    "/presign",    ST_QUOTA_NEVER, 0, 1, 0, 1, 1 },
        { "unavailable", "/v1/uploads", ST_LEDGER_UNAVAILABLE, 0, 0, 1, 0, 1 },
        { "dry run",     "/v1/uploads?dry_run=1", ST_QUOTA_EXCEEDED, 0, 0, 0, 0, 1 },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct stage *g = stage_new();
        g->f.status = cases[i].status;
        ask_json(g->a, cases[i].target, good_token(), GOOD_BODY, NULL);
        const struct metrics *m = &g->a->worker.metrics;
        uint64_t timed = 0;
        for (size_t k = 0; k <= METRIC_BUCKETS; k++)
            timed += metric_read(&m->ledger_latency.bucket[k]);
        CHECK_EQ(cases[i].name, metric_read(&m->reservations_taken), cases[i].taken);
        CHECK_EQ(cases[i].name, metric_read(&m->reservations_refused), cases[i].refused);
        CHECK_EQ(cases[i].name, metric_read(&m->reservations_unavailable), cases[i].away);
        CHECK_EQ(cases[i].name, metric_names_n(&m->limit_refusals), cases[i].named);
        if (cases[i].named)
            CHECK(cases[i].name, strcmp(m->limit_refusals.rows[0].name, "daily") == 0);
        CHECK_EQ(cases[i].name, timed, cases[i].timed);
        stage_end(g);
    }
}

/* ---- memory that fails -------------------------------------------------------------------------- */

static struct {
    const char *request;
    const struct ledger_replay *replay;
    struct setting *s;
    struct keyring *kr;
    struct creds *creds;
    char said[128];
} scene;

static bool broken(const char *what, int number)
{
    snprintf(scene.said, sizeof(scene.said), "%s (%d)", what, number);
    return false;
}

static void turn_until_over(struct api *a, struct client *c)
{
    const int64_t end_us = loop_clock_us() + HURRY_MS * INT64_C(1000);
    oom_resume();
    do {
        loop_turn(a->worker.loop, 1);
        oom_pause();
        client_receive(c);
        oom_resume();
    } while (loop_clock_us() < end_us && !c->closed && answer_bytes(c, false) == 0);
    loop_turn(a->worker.loop, 0); /* the end of the request */
    loop_turn(a->worker.loop, 0);
    oom_pause();
}

/* Whoever saw a packet has it charged, and what was charged without one is given back. */
static bool balances(const struct fake_ledger *f, const struct client *c)
{
    const int status = answer_bytes(c, false) > 0 ? atoi(c->in + strlen("HTTP/1.1 ")) : 0;
    if (status != 201 && (status >= 200 && status < 500))
        return broken("another answer", status);
    if (status == 201 && f->handed != 1)
        return broken("a packet without its reservation", f->handed);
    if (status >= 500 && f->handed != 0)
        return broken("no packet, but handed", f->handed);
    return f->handed + f->released == f->taken ||
           broken("as many ends as beginnings?", f->released);
}

static bool ask_with_failing_memory(void)
{
    static struct limit_state told[ROWS(limits)];
    oom_pause();
    struct fake_ledger f = { .told = told, .replay = scene.replay };
    struct api *a = api_new(scene.s, scene.kr, scene.creds);
    use_fake(&f, a);
    struct client *c = client_new(&a->wire);
    client_text(c, scene.request);
    turn_until_over(a, c);
    api_free(a);
    bool held = balances(&f, c);
    if (scene.s->refs != 1)
        held = broken("references are left", scene.s->refs);
    client_free(c);
    oom_resume();
    return held;
}

static void test_without_memory(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *lines, *body; const struct ledger_replay *replay; } cases[] = {
        { "one",      "", GOOD_BODY, NULL },
        { "batch",    "", TWO, NULL },
        { "replayed", "Idempotency-Key: k\r\n", "{" DATED ",'files':[" GOOD_BODY "," GOOD_BODY "]}", dated },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        scene.s = limited_setting();
        scene.kr = ring_of(&kit_issuer, secret_keys(kit_secret));
        scene.creds = creds_named("FIRST", CREDS_NEVER);
        scene.request = keyed_text("/v1/uploads", cases[i].lines, cases[i].body);
        scene.replay = cases[i].replay;
        for (enum oom_mode mode = OOM_ONCE; mode <= OOM_FROM; mode++) {
            const struct oom_result got = oom_probe(OOM_ALL, mode, ask_with_failing_memory);
            if (got.failed_at)
                fail_msg("%s: allocation %zu fails: %s", cases[i].name, got.failed_at, scene.said);
            CHECK(cases[i].name, got.runs > 10);
        }
        setting_unref(scene.s);
        keyring_unref(scene.kr);
        creds_unref(scene.creds);
        kit_free_texts();
    }
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
        cmocka_unit_test(test_reservations),
        cmocka_unit_test(test_nothing_to_peek_at),
        cmocka_unit_test(test_the_question),
        cmocka_unit_test(test_release_after_a_failed_signature),
        cmocka_unit_test(test_broken_connections),
        cmocka_unit_test(test_stop_while_asking),
        cmocka_unit_test(test_ratelimit_headers),
        cmocka_unit_test(test_headers_of_the_next_answer),
        cmocka_unit_test(test_dry_run_quota),
        cmocka_unit_test(test_idempotency_key),
        cmocka_unit_test(test_idempotency_key_ignored),
        cmocka_unit_test(test_request_hash),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_replay_lives_from_now),
        cmocka_unit_test(test_replay_refused),
        cmocka_unit_test(test_counted),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, start, kit_end);
}
