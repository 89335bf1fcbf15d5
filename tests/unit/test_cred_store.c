/*
 * The store on a loop whose time is pretended, with a source that follows a script. Where the script
 * asks something first, it asks for a file that is not there: that answer comes from another thread,
 * and the clocks wait for it.
 */
#include "test.h"

#include "pretend_clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "presignd/cred_store.h"
#include "presignd/log.h"

enum { LIMIT_MS = 86400000, THREADS = 4, WANTS = 250 };

/* the schedule */

/* clang-format off */
static const struct { const char *name; int64_t left_s, life_s; int failures; bool not_yet; int64_t want; } delays[] = {
    { "never ends",            CREDS_NEVER,     0, 0, false, CREDS_NEVER },
    { "six hours",                   21600, 21600, 0, false, 18000 },
    { "two hours",                    7200,  7200, 0, false,  3600 },
    { "one hour",                     3600,  3600, 0, false,  1800 },
    { "15 minutes",                    900,   900, 0, false,   450 },
    { "ten seconds",                    10,    10, 0, false,     5 },
    { "one second",                      1,     1, 0, false,     1 },
    { "not yet, an hour",             3600, 21600, 0, true,    300 },
    { "not yet, 20 minutes",          1200, 21600, 0, true,    300 },
    { "not yet, 10 minutes",           600, 21600, 0, true,    150 },
    { "not yet, just over 6 min",      361, 21600, 0, true,     90 },
    { "not yet, 6 minutes",            360, 21600, 0, true,     30 },
    { "not yet, 1 minute",              60, 21600, 0, true,     30 },
    { "not yet, over",                   0, 21600, 0, true,     30 },
    { "first failure, nothing",          0,     0, 1, false,     1 },
    { "second",                          0,     0, 2, false,     2 },
    { "third",                           0,     0, 3, false,     4 },
    { "fifth",                           0,     0, 5, false,    16 },
    { "sixth",                           0,     0, 6, false,    30 },
    { "hundredth",                       0,     0, 100, false,  30 },
    { "first failure, an hour left",  3600, 21600, 1, false,     1 },
    { "tenth, an hour left",          3600, 21600, 10, false,  300 },
    { "tenth, 10 minutes left",        600, 21600, 10, false,  150 },
    { "tenth, 6 minutes left",         360, 21600, 10, false,   30 },
    { "tenth, 10 seconds left",         10, 21600, 10, false,   30 },
    { "hundredth, static held", CREDS_NEVER,    0, 100, false, 300 },
    { "failure beats not yet",         100, 21600, 1, true,      1 },
};
/* clang-format on */

static void test_delays(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(delays); i++)
        CHECK_EQ(delays[i].name,
                 cred_store_delay_s(delays[i].left_s, delays[i].life_s, delays[i].failures,
                                    delays[i].not_yet),
                 delays[i].want);
}

/* the scripted source */

struct scripted {
    struct cred_source base;
    struct {
        int calls;         /* questions before the outcome */
        int64_t life_s;    /* 0: fails; CREDS_NEVER */
        int64_t ends_at_s; /* instead of a life */
        const char *key;   /* NULL: ASIA */
    } script[8];
    int at;       /* attempts begun */
    int asked;    /* of this attempt */
    bool awaited; /* the answer to what was asked is on another thread */
    int *freed;
};

static void await(struct scripted *x, bool awaited)
{
    pretend_awaited += awaited - x->awaited;
    x->awaited = awaited;
}

static enum next scripted_next(struct cred_source *s, const struct reply *last, int64_t now_s,
                               struct call *out_call, struct creds **out_creds, struct buf *why)
{
    struct scripted *x = container_of(s, struct scripted, base);
    await(x, false);
    if (last->kind == REPLY_NONE) {
        x->at++;
        x->asked = 0;
    } else {
        assert_int_equal(last->http, 404);
    }
    const size_t row =
        (size_t)x->at - 1 < ROWS(x->script) ? (size_t)x->at - 1 : ROWS(x->script) - 1;
    if (x->asked < x->script[row].calls) {
        x->asked++;
        await(x, true);
        out_call->method = "FILE";
        buf_lit(&out_call->url, "/there/is/none");
        return NEXT_CALL;
    }
    int64_t life_s = x->script[row].life_s;
    if (x->script[row].ends_at_s)
        life_s = x->script[row].ends_at_s - now_s;
    if (life_s == 0) {
        buf_lit(why, "the script says no");
        return NEXT_FAIL;
    }
    const char *key = x->script[row].key;
    *out_creds = creds_new(str_from(key ? key : "ASIA"), STR("s"), STR(""),
                           life_s == CREDS_NEVER ? CREDS_NEVER : now_s + life_s, now_s, "script");
    return *out_creds ? NEXT_DONE : NEXT_FAIL;
}

static void scripted_free(struct cred_source *s)
{
    struct scripted *x = container_of(s, struct scripted, base);
    await(x, false);
    if (x->freed)
        ++*x->freed;
    free(x);
}

static const struct cred_source_kind scripted_kind = { "script", scripted_next, scripted_free };

static struct scripted *scripted_new(void)
{
    struct scripted *x = calloc(1, sizeof(*x));
    assert_non_null(x);
    x->base.kind = &scripted_kind;
    return x;
}

/* the stage */

struct stage {
    struct loop *loop;
    struct fetcher *fetcher;
    struct scripted *source;
    struct cred_store *store;
    struct cred_listener listener;
    int heard, heard_fresh, heard_nothing;
    bool holds; /* as of the last time */
    uint64_t generation;
    int64_t expires_at_s;
    char why[256];
    int log_fd;
};

static void heard(struct cred_listener *l, struct creds *now_held, bool fresh, struct str why)
{
    struct stage *st = container_of(l, struct stage, listener);
    st->heard++;
    st->heard_fresh += fresh;
    st->heard_nothing += !now_held;
    st->holds = now_held;
    st->generation = now_held ? now_held->generation : 0;
    st->expires_at_s = now_held ? now_held->expires_at_s : 0;
    assert_true(why.len < sizeof(st->why));
    memcpy(st->why, why.len ? why.ptr : "", why.len);
    st->why[why.len] = '\0';
}

static void begin(struct stage *st)
{
    memset(st, 0, sizeof(*st));
    st->log_fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(st->log_fd >= 0);
    log_setup(st->log_fd, LOG_LEVEL_DEBUG);
    st->loop = loop_new();
    st->fetcher = fetcher_new(st->loop);
    st->source = scripted_new();
    st->listener.attempted = heard;
    st->store = cred_store_new(st->loop, st->fetcher, &st->source->base, &st->listener);
    assert_non_null(st->store);
}

static void end(struct stage *st)
{
    cred_store_free(st->store);
    fetcher_free(st->fetcher);
    loop_free(st->loop);
    log_flush();
    log_setup(STDERR_FILENO, LOG_LEVEL_DEBUG);
    close(st->log_fd);
}

/* How often an event was logged. */
static int logged(const struct stage *st, const char *event)
{
    char text[16384];
    log_flush();
    const ssize_t n = pread(st->log_fd, text, sizeof(text) - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    char wanted[128] = "\"event\":\"";
    strcat(strcat(wanted, event), "\"");
    int times = 0;
    for (const char *at = strstr(text, wanted); at; at = strstr(at + 1, wanted))
        times++;
    return times;
}

#define TURN_UNTIL(st, condition)                                     \
    do {                                                              \
        const int64_t until_ms_ = loop_now_ms((st)->loop) + LIMIT_MS; \
        while (!(condition) && loop_now_ms((st)->loop) < until_ms_)   \
            loop_turn((st)->loop, 1000);                              \
        if (!(condition))                                             \
            fail_msg("never: %s", #condition);                        \
    } while (0)

static void turn_for(struct stage *st, int64_t ms)
{
    const int64_t until_ms = loop_clock_us() / 1000 + ms;
    for (int64_t left_ms = ms; left_ms > 0; left_ms = until_ms - loop_clock_us() / 1000)
        loop_turn(st->loop, left_ms);
}

/* starting */

static void test_static_is_fetched_once(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->script[0].life_s = CREDS_NEVER;
    cred_store_start(st.store);
    assert_int_equal(st.heard, 1); /* nothing to wait for: heard from inside the start */
    assert_true(st.holds);
    cred_store_want(st.store);
    TURN_UNTIL(&st, st.heard == 2);
    turn_for(&st, 1200);
    cred_store_want(st.store);
    TURN_UNTIL(&st, st.heard == 3);
    assert_int_equal(st.source->at, 1);
    assert_int_equal(st.heard_fresh, 1);
    assert_true(st.holds);
    assert_int_equal(logged(&st, "credentials_available"), 1);
    end(&st);
}

static void *want_often(void *arg)
{
    for (int i = 0; i < WANTS; i++)
        cred_store_want(arg);
    return NULL;
}

static void test_a_thousand_wants_are_one_fetch(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->script[0].calls = 3;
    st.source->script[0].life_s = 3600;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, want_often, st.store), 0);
    cred_store_start(st.store);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    TURN_UNTIL(&st, st.heard > 0);
    assert_int_equal(st.source->at, 1);
    assert_int_equal(st.source->asked, 3);
    assert_int_equal(st.heard_fresh, 1);
    assert_true(st.holds);
    end(&st);
}

static void test_wants_before_the_start_wait(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->script[0].life_s = 3600;
    cred_store_want(st.store);
    loop_turn(st.loop, 0);
    loop_turn(st.loop, 0);
    assert_int_equal(st.heard, 0);
    assert_int_equal(st.source->at, 0);
    cred_store_start(st.store);
    assert_int_equal(st.heard, 1);
    end(&st);
}

/* failing */

static void test_failing_and_recovering(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->script[0].calls = 1;
    st.source->script[2].life_s = 3600; /* the third attempt succeeds */
    cred_store_start(st.store);
    TURN_UNTIL(&st, st.heard == 1);
    assert_false(st.holds);
    assert_string_equal(st.why, "the script says no");
    cred_store_want(st.store); /* in back-off: told at once, nothing is asked */
    TURN_UNTIL(&st, st.heard == 2);
    assert_int_equal(st.source->at, 1);
    assert_string_equal(st.why, "the script says no");
    TURN_UNTIL(&st, st.holds); /* by itself, within 1 s + 2 s */
    assert_int_equal(st.source->at, 3);
    assert_int_equal(st.heard_fresh, 1);
    assert_int_equal(logged(&st, "credentials_unavailable"), 1);
    assert_int_equal(logged(&st, "credentials_recovered"), 1);
    assert_int_equal(logged(&st, "credentials_available"), 0);
    end(&st);
}

/* Each wait is drawn anew: never shorter than the least, nor longer than the doubled second. */
static void test_back_off_is_drawn_within_its_bounds(void **state)
{
    (void)state;
    enum { STORES = 200, ATTEMPTS = 8, LEAST_MS = 50, MOST_MS = 30000 };
    int64_t longest_ms = 0;
    for (int i = 0; i < STORES; i++) {
        struct stage st;
        begin(&st);
        cred_store_start(st.store);
        for (int attempt = 1; attempt < ATTEMPTS; attempt++) {
            const int64_t from_ms = loop_now_ms(st.loop);
            TURN_UNTIL(&st, st.source->at > attempt);
            const int64_t waited_ms = loop_now_ms(st.loop) - from_ms;
            const int64_t most_ms = MIN_OF(INT64_C(1000) << (attempt - 1), MOST_MS);
            assert_int_equal(st.source->at, attempt + 1);
            assert_in_range(waited_ms, LEAST_MS, most_ms);
            longest_ms = MAX_OF(longest_ms, waited_ms);
        }
        end(&st);
    }
    assert_true(longest_ms > MOST_MS / 2);
}

static void test_failed_refresh_keeps_what_is_held(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->script[0].life_s = 100;
    st.source->script[1].calls = 2;
    cred_store_start(st.store);
    const uint64_t first = st.generation;
    turn_for(&st, 1050);
    cred_store_want(st.store);
    TURN_UNTIL(&st, st.heard == 2);
    assert_int_equal(st.source->at, 2);
    assert_true(st.generation == first);
    assert_string_equal(st.why, "the script says no");
    assert_int_equal(logged(&st, "credentials_refresh_failing"), 1);
    TURN_UNTIL(&st, st.source->at == 4); /* tried again without being asked */
    assert_true(st.generation == first);
    assert_int_equal(logged(&st, "credentials_refresh_failing"), 1);
    end(&st);
}

/* the end */

static void test_true_end(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->script[0].life_s = 600;
    cred_store_start(st.store);
    assert_true(st.holds);
    const int64_t ends_at_s = st.expires_at_s;
    TURN_UNTIL(&st, st.heard_nothing > 0);
    const int64_t late_ms = loop_clock_wall_us() / 1000 - ends_at_s * 1000;
    assert_in_range(late_ms, 0, 1);
    assert_true(st.source->at > 1); /* refreshes were tried before */
    assert_int_equal(logged(&st, "credentials_refresh_failing"), 1);
    assert_int_equal(logged(&st, "credentials_expired"), 1);
    for (size_t i = 1; i < ROWS(st.source->script); i++)
        st.source->script[i].life_s = 3600;
    TURN_UNTIL(&st, st.holds); /* by itself */
    assert_int_equal(logged(&st, "credentials_recovered"), 1);
    end(&st);
}

/* With a source that only repeats itself the end is reached without a failure. */
static void test_end_without_failure(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->script[0].life_s = 20;
    st.source->script[1].life_s = 1; /* not yet: the next try would be in 30 s */
    st.source->script[2].life_s = 3600;
    cred_store_start(st.store);
    TURN_UNTIL(&st, st.source->at == 3);
    assert_int_equal(st.heard_nothing, 1);
    assert_true(st.holds);
    assert_int_equal(logged(&st, "credentials_expired"), 1);
    end(&st);
}

/* refreshing */

static void test_advisory_refresh(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->script[0].life_s = 6 * 3600;
    st.source->script[1].calls = 1;
    st.source->script[1].life_s = 12 * 3600;
    cred_store_start(st.store);
    const uint64_t first = st.generation;
    const int64_t from_us = loop_clock_us();
    TURN_UNTIL(&st, st.generation != first);
    const int64_t took_s = (loop_clock_us() - from_us) / 1000000;
    assert_in_range(took_s, 5 * 3600 - 360, 5 * 3600 + 360); /* an hour before, a tenth of it off */
    assert_int_equal(st.heard_fresh, 2);
    assert_int_equal(st.heard_nothing, 0);
    end(&st);
}

/* clang-format off */
static const struct { const char *name; int64_t second_life_s; bool taken; } answers[] = {
    { "longer",  200, true  },
    { "shorter",  50, false },
    { "the same", -1, false }, /* -1: ends when the first one ends */
};
/* clang-format on */

static void test_not_yet(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(answers); i++) {
        struct stage st;
        begin(&st);
        st.source->script[0].life_s = 100;
        cred_store_start(st.store);
        const uint64_t first = st.generation;
        const int64_t ends_at_s = st.expires_at_s;
        turn_for(&st, 1050);
        st.source->script[1].life_s = answers[i].second_life_s;
        if (answers[i].second_life_s < 0)
            st.source->script[1].ends_at_s = ends_at_s;
        cred_store_want(st.store);
        TURN_UNTIL(&st, st.heard == 2);
        CHECK_EQ(answers[i].name, st.source->at, 2);
        CHECK_EQ(answers[i].name, st.generation != first, answers[i].taken);
        CHECK_EQ(answers[i].name, st.heard_fresh, answers[i].taken ? 2 : 1);
        CHECK(answers[i].name, st.holds);
        end(&st);
    }
}

static void test_forced_refresh_once_a_second(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    for (size_t i = 0; i < ROWS(st.source->script); i++)
        st.source->script[i].life_s = 100;
    cred_store_start(st.store);
    for (int i = 0; i < 50; i++) {
        cred_store_want(st.store);
        loop_turn(st.loop, 0);
    }
    assert_int_equal(st.source->at, 1);
    assert_true(st.heard > 1); /* each was told at once */
    turn_for(&st, 1050);
    cred_store_want(st.store);
    TURN_UNTIL(&st, st.source->at == 2);
    end(&st);
}

/* A source that is read again: twice the same is one generation, and the last word counts. */
static void test_reread(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->base.reread_s = 1;
    for (size_t i = 0; i < ROWS(st.source->script); i++) {
        st.source->script[i].life_s =
            i == 3 ? 1000 : CREDS_NEVER; /* ends, and counts all the same */
        st.source->script[i].key = i < 2 ? "FIRST" : "SECOND";
        st.source->script[i].calls = i == 1;
    }
    cred_store_start(st.store);
    const uint64_t first = st.generation;
    assert_int_equal(st.heard, 1);
    cred_store_want(st.store); /* static ones are not asked for before their time */
    TURN_UNTIL(&st, st.heard == 2);
    assert_int_equal(st.source->at, 1);
    TURN_UNTIL(&st, st.source->at == 2 && st.heard == 3);
    assert_true(st.generation == first);
    TURN_UNTIL(&st, st.source->at == 3);
    const uint64_t second = st.generation;
    assert_true(second != first);
    assert_true(st.expires_at_s == CREDS_NEVER);
    TURN_UNTIL(&st, st.source->at == 4);
    assert_true(st.generation != second);
    assert_true(st.expires_at_s != CREDS_NEVER);
    TURN_UNTIL(&st, st.source->at == 6);
    assert_int_equal(st.heard_fresh, 4);
    assert_int_equal(st.heard_nothing, 0);
    assert_int_equal(logged(&st, "credentials_changed"), 3);
    end(&st);
}

/* A file that is gone takes nothing away, and is looked for again. */
static void test_reread_fails(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->base.reread_s = 1;
    st.source->script[0].life_s = st.source->script[2].life_s = CREDS_NEVER;
    cred_store_start(st.store);
    const uint64_t first = st.generation;
    TURN_UNTIL(&st, st.source->at == 3);
    assert_true(st.generation == first);
    assert_int_equal(st.heard_nothing, 0);
    assert_int_equal(logged(&st, "credentials_refresh_failing"), 1);
    assert_int_equal(logged(&st, "credentials_recovered"), 1);
    end(&st);
}

/* Over a reload, too: the same texts are the same generation. */
static void test_replace_by_the_same(void **state)
{
    (void)state;
    for (int same = 0; same <= 1; same++) {
        struct stage st;
        begin(&st);
        st.source->script[0].life_s = CREDS_NEVER;
        cred_store_start(st.store);
        const uint64_t first = st.generation;
        struct scripted *other = scripted_new();
        other->base.reread_s = 300;
        other->script[0].life_s = CREDS_NEVER;
        other->script[0].key = same ? "ASIA" : "OTHER";
        cred_store_replace(st.store, &other->base);
        assert_int_equal(st.heard, 2);
        assert_int_equal(st.generation == first, same);
        end(&st);
    }
}

/* changes of source and ends */

static void test_replace(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    int freed = 0;
    st.source->freed = &freed;
    st.source->script[0].life_s = 1000;
    cred_store_start(st.store);
    const uint64_t first = st.generation;

    struct scripted *other = scripted_new();
    other->script[0].calls = 1;
    other->script[1].life_s = 100;
    cred_store_replace(st.store, &other->base);
    assert_int_equal(freed, 1);
    TURN_UNTIL(&st, other->at == 1 && st.heard == 2);
    assert_true(st.generation == first); /* the other one failed: what is held stays */
    TURN_UNTIL(&st, st.generation != first);
    assert_int_equal(other->at, 2); /* shorter-lived, but from another source */
    assert_true(st.holds);
    end(&st);
}

static void test_replace_while_asking(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->script[0].calls = 1;
    st.source->script[0].life_s = CREDS_NEVER;
    cred_store_start(st.store);
    struct scripted *other = scripted_new();
    other->script[0].calls = 1;
    other->script[0].life_s = 100;
    cred_store_replace(st.store, &other->base);
    TURN_UNTIL(&st, st.heard == 1);
    assert_true(st.expires_at_s != CREDS_NEVER);
    turn_for(&st, 50);
    assert_int_equal(st.heard, 1);
    end(&st);
}

static void test_free_in_the_middle(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->script[0].calls = 1;
    cred_store_start(st.store);
    cred_store_want(st.store); /* its post is under way when the store goes */
    end(&st);
    assert_int_equal(st.heard, 0);
    cred_store_free(NULL);
}

static void test_endless_source(void **state)
{
    (void)state;
    struct stage st;
    begin(&st);
    st.source->script[0].calls = 1000;
    cred_store_start(st.store);
    TURN_UNTIL(&st, st.heard == 1);
    assert_false(st.holds);
    assert_true(st.source->asked < 20);
    end(&st);
}

static int start(void **state)
{
    (void)state;
    return fetch_global_start() == ST_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    fetch_global_end();
    return 0;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_delays),
    cmocka_unit_test(test_static_is_fetched_once),
    cmocka_unit_test(test_a_thousand_wants_are_one_fetch),
    cmocka_unit_test(test_wants_before_the_start_wait),
    cmocka_unit_test(test_failing_and_recovering),
    cmocka_unit_test(test_back_off_is_drawn_within_its_bounds),
    cmocka_unit_test(test_failed_refresh_keeps_what_is_held),
    cmocka_unit_test(test_true_end),
    cmocka_unit_test(test_end_without_failure),
    cmocka_unit_test(test_advisory_refresh),
    cmocka_unit_test(test_not_yet),
    cmocka_unit_test(test_forced_refresh_once_a_second),
    cmocka_unit_test(test_reread),
    cmocka_unit_test(test_reread_fails),
    cmocka_unit_test(test_replace_by_the_same),
    cmocka_unit_test(test_replace),
    cmocka_unit_test(test_replace_while_asking),
    cmocka_unit_test(test_free_in_the_middle),
    cmocka_unit_test(test_endless_source),
};

int main(void)
{
    return cmocka_run_group_tests(tests, start, stop);
}
