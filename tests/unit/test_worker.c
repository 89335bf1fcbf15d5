/*
 * Worlds and those who wait for the next one; the last test counts references, ASan the bytes.
 */
#include "test.h"

#include "api_kit.h"

enum { SETTLE_TURNS = 20 };

static const struct setting_profile one[] = { { "only", "{}" } };
static const struct setting_profile other[] = { { "other", "{'expires_s': 77}" } };

static int64_t now_s(void)
{
    return loop_clock_wall_us() / 1000000;
}

/* Waits for a condition on the worker's loop. */
#define UNTIL(a, name, cond) WIRE_UNTIL(&(a)->wire, name, cond)

/* ---- lists of those who wait -------------------------------------------------------------------- */

static void test_waiters(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name; int leave[3]; } cases[] = {
        { "first to last", { 0, 1, 2 } }, { "last to first", { 2, 1, 0 } },
        { "middle first",  { 1, 0, 2 } }, { "ends first",    { 0, 2, 1 } },
        { "twice the same", { 1, 1, 1 } },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct waiter *list = NULL;
        struct request r[3];
        struct waiter w[3] = { { .request = NULL } };
        for (int k = 0; k < 3; k++)
            waiter_join(&list, &w[k], &r[k]);
        bool gone_[3] = { false };
        for (int k = 0; k < 3; k++) {
            waiter_leave(&w[cases[i].leave[k]]);
            gone_[cases[i].leave[k]] = true;
            bool found[3] = { false };
            for (struct waiter *at = list; at; at = at->next) {
                CHECK(cases[i].name, *at->link == at);
                found[at - w] = true;
            }
            for (int m = 0; m < 3; m++)
                CHECK_EQ(cases[i].name, found[m], !gone_[m]);
        }
    }
}

static void test_joining_again_moves(void **state)
{
    (void)state;
    struct waiter *a = NULL, *b = NULL;
    struct request r;
    struct waiter w = { .request = NULL };
    waiter_leave(&w);
    waiter_join(&a, &w, &r);
    waiter_join(&b, &w, &r);
    assert_null(a);
    assert_ptr_equal(b, &w);
    waiter_leave(&w);
    assert_null(b);
    assert_null(w.request);
}

/* ---- worlds ------------------------------------------------------------------------------------- */

static void test_empty_world(void **state)
{
    (void)state;
    struct fleet f = { .n_workers = 0 };
    struct worker *w = calloc(1, sizeof(*w));
    assert_int_equal(worker_init(w, &f), ST_OK);
    assert_non_null(w->world);
    assert_null(w->world->keyring);
    assert_null(w->world->creds);
    assert_null(w->world->settings.rules);
    world_unref(NULL);
    worker_release(w);
    worker_release(w);
    free(w);
}

static void test_a_new_part_leaves_the_old_world_whole(void **state)
{
    (void)state;
    int freed = 0;
    struct setting *s = setting_new(one, ROWS(one)), *t = setting_new(other, ROWS(other));
    s->freed = t->freed = &freed;
    struct keyring *kr = ring_of(&kit_issuer, secret_keys(kit_secret));
    struct creds *c = creds_named("FIRST", CREDS_NEVER), *d = creds_named("SECOND", CREDS_NEVER);
    struct api *a = api_build(s, kr, c);
    struct world *was = world_ref(a->worker.world);

    const struct api_settings next = settings_of(t);
    worker_use_settings(&a->worker, &next);
    worker_use_creds(&a->worker, d);
    assert_ptr_equal(was->settings.rules, &s->rules);
    assert_ptr_equal(was->creds, c);
    assert_ptr_equal(was->keyring, kr);
    assert_ptr_equal(a->worker.world->settings.rules, &t->rules);
    assert_ptr_equal(a->worker.world->creds, d);
    assert_ptr_equal(a->worker.world->keyring, kr);

    setting_unref(s);
    assert_int_equal(freed, 0);
    world_unref(was);
    assert_int_equal(freed, 1);
    assert_int_equal(atomic_load(&c->refs), 1);
    assert_int_equal(atomic_load(&d->refs), 2);

    worker_use_creds(&a->worker, NULL);
    assert_null(a->worker.world->creds);
    setting_unref(t);
    api_free(a);
    assert_int_equal(freed, 2);
    assert_int_equal(atomic_load(&kr->refs), 1);
    assert_int_equal(atomic_load(&d->refs), 1);
    keyring_unref(kr);
    creds_unref(c);
    creds_unref(d);
}

static void test_posts_arrive_in_their_order(void **state)
{
    (void)state;
    struct setting *s = setting_new(one, ROWS(one)), *t = setting_new(other, ROWS(other));
    struct keyring *kr = ring_of(&kit_issuer, secret_keys(kit_secret));
    struct creds *c = creds_named("FIRST", CREDS_NEVER), *d = creds_named("SECOND", CREDS_NEVER);
    struct api *a = api_build(s, NULL, NULL);
    const struct api_settings next = settings_of(t);
    assert_int_equal(worker_post_settings(&a->worker, &next), ST_OK);
    assert_int_equal(worker_post_keyring(&a->worker, kr), ST_OK);
    assert_int_equal(worker_post_creds(&a->worker, c), ST_OK);
    assert_int_equal(worker_post_creds(&a->worker, NULL), ST_OK);
    assert_int_equal(worker_post_creds(&a->worker, d), ST_OK);
    setting_unref(t); /* what is under way holds its own */
    assert_null(a->worker.world->keyring);
    loop_turn(a->worker.loop, 0);
    assert_ptr_equal(a->worker.world->settings.rules, &t->rules);
    assert_ptr_equal(a->worker.world->keyring, kr);
    assert_ptr_equal(a->worker.world->creds, d);
    assert_int_equal(atomic_load(&c->refs), 1);

    /* What was posted and never run goes with the loop. */
    assert_int_equal(worker_post_creds(&a->worker, c), ST_OK);
    assert_int_equal(worker_post_keyring(&a->worker, kr), ST_OK);
    const struct api_settings again = settings_of(s);
    assert_int_equal(worker_post_settings(&a->worker, &again), ST_OK);
    api_free(a);
    assert_int_equal(atomic_load(&c->refs), 1);
    assert_int_equal(atomic_load(&d->refs), 1);
    assert_int_equal(atomic_load(&kr->refs), 1);
    assert_int_equal(s->refs, 1);
    setting_unref(s);
    keyring_unref(kr);
    creds_unref(c);
    creds_unref(d);
}

/* ---- requests that wait ------------------------------------------------------------------------- */

struct stage {
    struct setting *s;
    struct keyring *kr;
    struct api *a;
};

static struct stage stage_new(struct creds *c)
{
    struct stage g = { .s = setting_new(one, ROWS(one)),
                       .kr = ring_of(&kit_issuer, secret_keys(kit_secret)) };
    g.a = api_new(g.s, g.kr, c);
    return g;
}

static void stage_end(struct stage *g)
{
    struct worker *w = &g->a->worker;
    assert_null(w->creds_waiters);
    assert_null(w->key_waiters);
    api_free(g->a);
    assert_int_equal(g->s->refs, 1);
    assert_int_equal(atomic_load(&g->kr->refs), 1);
    setting_unref(g->s);
    keyring_unref(g->kr);
}

static size_t waiting(struct waiter *list)
{
    size_t n = 0;
    for (; list; list = list->next)
        n++;
    return n;
}

static void check_akid(const char *name, const struct client *c, const char *akid)
{
    json_t *doc = answer_json(c);
    const char *credential = text_at(json_object_get(doc, "fields"), "x-amz-credential");
    if (strncmp(credential, akid, strlen(akid)) != 0 || credential[strlen(akid)] != '/')
        fail_msg("%s: signed by %s, not %s", name, credential, akid);
    json_decref(doc);
}

static void test_all_wake_on_credentials(void **state)
{
    (void)state;
    enum { CLIENTS = 7 };
    struct stage g = stage_new(NULL);
    struct client *c[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = client_new(&g.a->wire);
        client_post(c[i], "/v1/uploads", good_token(), GOOD_BODY);
    }
    UNTIL(g.a, "all wait", waiting(g.a->worker.creds_waiters) == CLIENTS);
    struct creds *first = creds_named("FIRST", CREDS_NEVER);
    worker_use_creds(&g.a->worker, first);
    creds_unref(first);
    assert_null(g.a->worker.creds_waiters);
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_EQ("woken", client_answer(c[i], "woken"), 201);
        check_akid("woken", c[i], "FIRST");
        client_free(c[i]);
    }
    stage_end(&g);
}

static void test_nothing_came_of_it(void **state)
{
    (void)state;
    struct stage g = stage_new(NULL);
    struct client *c = client_new(&g.a->wire);
    client_post(c, "/v1/uploads", good_token(), GOOD_BODY);
    UNTIL(g.a, "waits", g.a->worker.creds_waiters);
    worker_use_creds(&g.a->worker, NULL); /* the attempt ended without any */
    CHECK_EQ("refused", client_answer(c, "refused"), 503);
    CHECK("code", body_has(c, "credentials_unavailable"));
    CHECK("retry", answer_has(c, "Retry-After: 5"));
    client_free(c);
    stage_end(&g);
}

static void test_wakes_on_keys(void **state)
{
    (void)state;
    struct stage g = stage_new(NULL);
    struct creds *creds = creds_named("FIRST", CREDS_NEVER);
    worker_use_creds(&g.a->worker, creds);
    struct keyring *none = ring_of(&kit_issuer, NULL);
    worker_use_keyring(&g.a->worker, none);
    struct client *good = client_new(&g.a->wire), *bad = client_new(&g.a->wire);
    client_post(good, "/v1/uploads", good_token(), GOOD_BODY);
    client_post(bad, "/v1/uploads", kit_text("%sx", good_token()), GOOD_BODY);
    UNTIL(g.a, "both wait", waiting(g.a->worker.key_waiters) == 2);

    /* An attempt that brought nothing: they are judged again, and wait for the next. */
    worker_use_keyring(&g.a->worker, none);
    UNTIL(g.a, "wait again", waiting(g.a->worker.key_waiters) == 2);
    struct keyring *kr = ring_of(&kit_issuer, secret_keys(kit_secret));
    worker_use_keyring(&g.a->worker, kr);
    CHECK_EQ("good", client_answer(good, "good"), 201);
    CHECK_EQ("bad", client_answer(bad, "bad"), 401);
    client_free(good);
    client_free(bad);
    keyring_unref(none);
    keyring_unref(kr);
    creds_unref(creds);
    stage_end(&g);
}

/* Nobody answers: both kinds of waiting end by themselves. */
static void test_patience_ends(void **state)
{
    (void)state;
    struct stage g = stage_new(NULL);
    struct client *creds = client_new(&g.a->wire), *keys = client_new(&g.a->wire);
    client_post(creds, "/v1/uploads", good_token(), GOOD_BODY);
    UNTIL(g.a, "waits", g.a->worker.creds_waiters);
    struct keyring *none = ring_of(&kit_issuer, NULL);
    worker_use_keyring(&g.a->worker, none);
    client_post(keys, "/v1/uploads", good_token(), GOOD_BODY);
    UNTIL(g.a, "waits", g.a->worker.key_waiters);
    CHECK_EQ("keys", client_answer(keys, "keys"), 503);
    CHECK("keys", body_has(keys, "keys_unavailable") && answer_has_name(keys, "Retry-After"));
    CHECK_EQ("creds", client_answer(creds, "creds"), 503);
    CHECK("creds", body_has(creds, "credentials_unavailable"));
    CHECK("creds", answer_has_name(creds, "Retry-After"));
    client_free(creds);
    client_free(keys);
    keyring_unref(none);
    stage_end(&g);
}

static void test_client_goes_while_it_waits(void **state)
{
    (void)state;
    struct stage g = stage_new(NULL);
    struct worker *w = &g.a->worker;
    struct client *c = client_new(&g.a->wire);
    client_post(c, "/v1/uploads", good_token(), GOOD_BODY);
    UNTIL(g.a, "waits", w->creds_waiters);
    client_free(c);
    for (int i = 0; i < SETTLE_TURNS; i++)
        loop_turn(w->loop, 1);
    struct creds *creds = creds_named("FIRST", CREDS_NEVER);
    worker_use_creds(w, creds);
    assert_null(w->creds_waiters);
    UNTIL(g.a, "over", w->server.in_flight == 0 && w->server.open_connections == 0);
    assert_int_equal(w->world->refs, 1); /* the request has let go of its worlds */
    creds_unref(creds);
    stage_end(&g);
}

static void test_stop_while_they_wait(void **state)
{
    (void)state;
    struct stage g = stage_new(NULL);
    struct client *c = client_new(&g.a->wire);
    client_post(c, "/v1/uploads", good_token(), GOOD_BODY);
    UNTIL(g.a, "waits", g.a->worker.creds_waiters);
    server_stop(&g.a->worker.server);
    assert_int_equal(g.a->worker.server.in_flight, 0);
    client_free(c);
    stage_end(&g);
}

/* Rules of the world it began with, credentials of the one that came. */
static void test_reload_under_a_waiting_request(void **state)
{
    (void)state;
    int freed = 0;
    struct stage g = stage_new(NULL);
    struct worker *w = &g.a->worker;
    struct setting *t = setting_new(other, ROWS(other));
    g.s->freed = &freed;
    struct client *c = client_new(&g.a->wire);
    client_post(c, "/v1/uploads", good_token(), GOOD_BODY);
    UNTIL(g.a, "waits", w->creds_waiters);

    const struct api_settings next = settings_of(t);
    worker_use_settings(w, &next);
    setting_unref(g.s);
    assert_int_equal(freed, 0);
    struct creds *creds = creds_named("FIRST", CREDS_NEVER);
    worker_use_creds(w, creds);
    CHECK_EQ("as begun", client_answer(c, "as begun"), 201);
    json_t *doc = answer_json(c);
    CHECK_EQ("as begun", json_integer_value(json_object_get(doc, "expires_in")), 900);
    json_decref(doc);
    client_free(c);
    UNTIL(g.a, "the old settings go", freed == 1);

    CHECK_EQ("after", ask_json(g.a, "/v1/uploads", good_token(), GOOD_BODY, &doc), 201);
    CHECK_EQ("after", json_integer_value(json_object_get(doc, "expires_in")), 77);
    json_decref(doc);
    g.s = t;
    creds_unref(creds);
    stage_end(&g);
}

/* ---- generations -------------------------------------------------------------------------------- */

static void test_the_later_generation_signs(void **state)
{
    (void)state;
    struct creds *ending = creds_named("ENDING", now_s() + 90); /* 30 s of packet are left */
    struct stage g = stage_new(ending);
    struct worker *w = &g.a->worker;
    struct client *c = client_new(&g.a->wire);
    client_post(c, "/v1/uploads", good_token(),
                "{'files':[" GOOD_BODY "," GOOD_BODY "," GOOD_BODY "]}");
    UNTIL(g.a, "waits for others", w->creds_waiters);
    struct creds *fresh = creds_named("FRESH", now_s() + 3600);
    worker_use_creds(w, fresh);
    /* Another generation arrives before the woken request has run. */
    struct creds *last = creds_named("LAST", now_s() + 3600);
    worker_use_creds(w, last);
    CHECK_EQ("batch", client_answer(c, "batch"), 201);
    json_t *doc = answer_json(c), *upload;
    size_t i;
    CHECK_EQ("batch", json_array_size(json_object_get(doc, "uploads")), 3);
    json_array_foreach(json_object_get(doc, "uploads"), i, upload)
    {
        const char *credential = text_at(json_object_get(upload, "fields"), "x-amz-credential");
        if (strncmp(credential, "LAST/", 5) != 0)
            fail_msg("upload %zu is signed by %s", i, credential);
    }
    json_decref(doc);
    client_free(c);
    creds_unref(ending);
    creds_unref(fresh);
    creds_unref(last);
    stage_end(&g);
}

static int start(void **state)
{
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_setup(null, LOG_LEVEL_INFO);
    return kit_start(state);
}

/* ---- ledger and fetcher ------------------------------------------------------------------------- */

static int ledgers_freed;

static void count_free(struct ledger *l)
{
    ledgers_freed++;
    free(l);
}

static struct ledger *counted_ledger(void)
{
    static const struct ledger_kind counted = { .name = "counted", .free = count_free };
    struct ledger *l = malloc(sizeof(*l));
    assert_non_null(l);
    *l = (struct ledger){ .kind = &counted };
    return l;
}

/* One that is replaced is freed; the last one goes with the worker. */
static void test_ledger(void **state)
{
    (void)state;
    struct fleet f = { .n_workers = 0 };
    struct worker *w = calloc(1, sizeof(*w));
    assert_int_equal(worker_init(w, &f), ST_OK);
    assert_string_equal(w->ledger->kind->name, "none");
    ledgers_freed = 0;
    struct ledger *first = counted_ledger(), *second = counted_ledger();
    worker_use_ledger(w, first);
    assert_ptr_equal(w->ledger, first);
    assert_int_equal(ledgers_freed, 0);
    worker_use_ledger(w, second);
    assert_ptr_equal(w->ledger, second);
    assert_int_equal(ledgers_freed, 1);
    worker_release(w);
    assert_int_equal(ledgers_freed, 2);
    free(w);
}

static void test_fetcher(void **state)
{
    (void)state;
    struct fleet f = { .n_workers = 0 };
    struct worker *w = calloc(1, sizeof(*w));
    assert_int_equal(fetch_global_start(), ST_OK);
    assert_int_equal(worker_init(w, &f), ST_OK);
    assert_null(w->fetcher);
    struct fetcher *fr = worker_fetcher(w);
    assert_non_null(fr);
    assert_ptr_equal(worker_fetcher(w), fr);
    worker_release(w);
    assert_null(w->fetcher);
    fetch_global_end();
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waiters),
        cmocka_unit_test(test_joining_again_moves),
        cmocka_unit_test(test_empty_world),
        cmocka_unit_test(test_a_new_part_leaves_the_old_world_whole),
        cmocka_unit_test(test_posts_arrive_in_their_order),
        cmocka_unit_test(test_all_wake_on_credentials),
        cmocka_unit_test(test_nothing_came_of_it),
        cmocka_unit_test(test_wakes_on_keys),
        cmocka_unit_test(test_patience_ends),
        cmocka_unit_test(test_client_goes_while_it_waits),
        cmocka_unit_test(test_stop_while_they_wait),
        cmocka_unit_test(test_reload_under_a_waiting_request),
        cmocka_unit_test(test_the_later_generation_signs),
        cmocka_unit_test(test_ledger),
        cmocka_unit_test(test_fetcher),
    };
    return cmocka_run_group_tests(tests, start, kit_end);
}
