/*
 * The fleet's engine against a real redis-server: the suite of all engines, then what only this one
 * has: times to live, the server's clock, scripts that were forgotten, a server that hangs, restarts
 * or refuses, several replicas at once.
 */
#include "test.h"

#include "ledger_suite.h"
#include "redis_kit.h"

#include "../../src/ledger/redis_parts.h"

#include "presignd/log.h"

enum { PATIENCE_MS = 60000, TIMEOUT_MS = 10000, HANG_MS = 300, DOORS_MAX = 4 };

static struct redis_server server; /* of the test that runs; pid 0: none is installed */

#define NEED_SERVER(state) \
    do {                   \
        (void)(state);     \
        if (!server.pid)   \
            skip();        \
    } while (0)

/* ---- a rig: a loop, a fleet, its doors ------------------------------------------------------------ */

struct rig {
    struct ledger_redis_config config;
    struct loop *loop;
    struct ledger_fleet *fleet;
    struct ledger *doors[DOORS_MAX];
    size_t n_doors;
};

static struct ledger_redis_config test_config(void)
{
    return (struct ledger_redis_config){
        .server = { .host = STR("127.0.0.1"),
                    .port = (uint16_t)server.port,
                    .timeout_ms = TIMEOUT_MS },
        .prefix = STR("test:"),
        .replicas = 1,
    };
}

static bool door_up(struct ledger *l)
{
    struct str why;
    return ledger_ready(l, &why) && why.len == 0;
}

#define UNTIL(name, loop, cond)                                         \
    do {                                                                \
        const int64_t end_us_ = loop_clock_us() + PATIENCE_MS * 1000LL; \
        while (!(cond)) {                                               \
            if (loop_clock_us() > end_us_)                              \
                fail_msg("%s: never: %s", (name), #cond);               \
            loop_turn((loop), 5);                                       \
        }                                                               \
    } while (0)

/* On a server without any keys. */
static void rig_open(struct rig *r, size_t n_doors)
{
    AUTO(buf) why = BUF_INIT(256);
    redis_num(&server, "FLUSHALL");
    r->loop = loop_new();
    r->fleet = ledger_fleet_new(&r->config);
    assert_non_null(r->loop);
    assert_non_null(r->fleet);
    r->n_doors = n_doors;
    for (size_t i = 0; i < n_doors; i++) {
        assert_int_equal(ledger_redis_new(&r->doors[i], r->fleet, r->loop, &why), ST_OK);
        UNTIL("a door", r->loop, door_up(r->doors[i]));
    }
}

static void rig_start(struct rig *r, size_t n_doors)
{
    *r = (struct rig){ .config = test_config() };
    rig_open(r, n_doors);
}

static void rig_end(struct rig *r)
{
    for (size_t i = 0; i < r->n_doors; i++)
        ledger_free(r->doors[i]);
    loop_free(r->loop);
    ledger_fleet_free(r->fleet);
}

/* ---- the suite ------------------------------------------------------------------------------------ */

static struct ledger_fleet *suite_fleet;

static struct ledger *suite_open_door(struct loop *l)
{
    AUTO(buf) why = BUF_INIT(256);
    struct ledger *door;
    struct ledger_redis_config c = test_config();
    c.own_clock = true;
    redis_num(&server, "FLUSHALL");
    suite_fleet = ledger_fleet_new(&c);
    assert_non_null(suite_fleet);
    assert_int_equal(ledger_redis_new(&door, suite_fleet, l, &why), ST_OK);
    UNTIL("the suite's door", l, door_up(door));
    return door;
}

static void suite_closed(void)
{
    ledger_fleet_free(suite_fleet);
}

static void test_suite(void **state)
{
    NEED_SERVER(state);
    static const struct suite_engine engine = { .name = "redis",
                                                .open = suite_open_door,
                                                .closed = suite_closed };
    ledger_suite_run(&engine);
}

/* ---- questions ------------------------------------------------------------------------------------- */

static const struct limit rate = {
    .name = STR_INIT("requests"), .kind = LIMIT_RATE, .max = 60, .window_s = 60, .burst = 4
};
static const struct limit hourly = {
    .name = STR_INIT("hourly"), .kind = LIMIT_COUNT, .max = 100, .window_s = 3600
};
static const struct limit monthly = {
    .name = STR_INIT("monthly"), .kind = LIMIT_BYTES, .max = 100000, .window_s = WINDOW_MONTH
};
static const struct limit stored = { .name = STR_INIT("stored"),
                                     .kind = LIMIT_BYTES,
                                     .max = 100000 };
static const struct limit places = { .name = STR_INIT("open"), .kind = LIMIT_OPEN, .max = 100 };

static const struct plan
    rate_plan = { .name = STR_INIT("rate"), .limits = &rate, .n_limits = 1 },
    hourly_plan = { .name = STR_INIT("hourly"), .limits = &hourly, .n_limits = 1 },
    stored_plan = { .name = STR_INIT("stored"), .limits = &stored, .n_limits = 1 },
    places_plan = { .name = STR_INIT("places"), .limits = &places, .n_limits = 1 };
static const struct plan no_limits = { .name = STR_INIT("pro") };

static int64_t wall_s(void)
{
    return loop_clock_wall_us() / 1000000;
}

static void number(char out[16], const char *word, size_t i)
{
    snprintf(out, 16, "%.8s %zu", word, i % 10000);
}

/* One RESERVE with n files of 10 bytes under `label`. */
static struct ledger_op *make_reserve(struct suite_slot *slot, const char *label, const char *who,
                                      const struct plan *p, size_t n)
{
    struct ledger_op *op = suite_begin(slot, label, LEDGER_RESERVE, who, loop_clock_wall_us());
    op->plan = p;
    for (size_t i = 0; i < n; i++)
        suite_add_file(slot, n > 1, 10, 900);
    return op;
}

static enum status ask(struct rig *r, size_t door, struct suite_slot *slot)
{
    slot->done = ledger_ask(r->doors[door], &slot->op) == LEDGER_DONE;
    UNTIL(slot->label, r->loop, slot->done);
    return slot->op.status;
}

static enum status reserve(struct rig *r, struct suite_slot *slot, const char *label,
                           const struct plan *p)
{
    make_reserve(slot, label, "u", p, 1);
    return ask(r, 0, slot);
}

static struct suite_slot *slots_new(size_t n)
{
    struct suite_slot *s = calloc(n, sizeof(*s));
    assert_non_null(s);
    return s;
}

static void slots_free(struct suite_slot *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        arena_release(&s[i].arena);
    free(s);
}

static void user_key(const struct suite_slot *slot, char out[128])
{
    snprintf(out, 128, "test:{%s}", slot->user);
}

/* What a tally holds in reserve, as it stands on the server; -1: there is none. */
static int64_t reserved_of(const struct suite_slot *slot, const char *limit)
{
    char key[128];
    long long start = 0, used = 0, reserved = -1;
    user_key(slot, key);
    redisReply *reply = redisCommand(server.eye, "HGET %s %s", key, limit);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_STRING)
        assert_int_equal(sscanf(reply->str, "%*s %lld %lld %lld", &start, &used, &reserved), 3);
    freeReplyObject(reply);
    return reserved;
}

static int64_t upload_exists(const struct suite_slot *slot)
{
    char key[128];
    user_key(slot, key);
    return redis_num(&server, "EXISTS %s:u:%s", key, slot->ids[0]);
}

/* Everything sent before has been answered once this has been. */
static void settle_down(struct rig *r, size_t door)
{
    static struct suite_slot slot;
    struct ledger_op *op = suite_begin(&slot, "settle down", LEDGER_VIEW, "nobody", 0);
    op->id = STR("none");
    assert_int_equal(ask(r, door, &slot), ST_NOT_FOUND);
    suite_slot_release(&slot);
}

/* ---- keys ------------------------------------------------------------------------------------------ */

static void check_ttls(const char *name, int64_t n_keys, bool user_stays)
{
    redisReply *keys = redisCommand(server.eye, "KEYS *");
    assert_non_null(keys);
    CHECK_EQ(name, keys->elements, n_keys);
    for (size_t i = 0; i < keys->elements; i++) {
        const char *key = keys->element[i]->str;
        const bool user = key[strlen(key) - 1] == '}';
        const int64_t ttl_s = redis_num(&server, "TTL %s", key);
        if (user && user_stays)
            CHECK_EQ(key, ttl_s, -1);
        else if (ttl_s <= 0 || ttl_s > 41 * 86400)
            fail_msg("%s: %s lives %" PRId64 " s", name, key, ttl_s);
    }
    freeReplyObject(keys);
}

static void test_ttls(void **state)
{
    NEED_SERVER(state);
    const struct limit all[] = { rate, hourly, monthly, places };
    const struct limit both[] = { hourly, stored };
    const struct plan windows = { .limits = all, .n_limits = 4 };
    const struct plan for_ever = { .limits = both, .n_limits = 2 };
    const struct {
        const char *name;
        const struct plan *plan;
        const char *key;
        int64_t n_keys;
        bool stays;
    } rows[] = {
        { "nothing counted", &no_limits, NULL, 2, false },
        { "a rate", &rate_plan, NULL, 3, false },
        { "windows and places", &windows, "k", 5, false },
        { "without window", &for_ever, "k", 4, true },
        { "without window, windows before", &stored_plan, NULL, 3, true },
    };
    struct suite_slot *slot = slots_new(1);
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct rig r;
        rig_start(&r, 1);
        make_reserve(slot, "a", "u", rows[i].plan, 1);
        if (rows[i].key)
            slot->op.idempotency_key = str_from(rows[i].key);
        CHECK_EQ(rows[i].name, ask(&r, 0, slot), ST_OK);
        settle_down(&r, 0);
        check_ttls(rows[i].name, rows[i].n_keys, rows[i].stays);
        ledger_handed(r.doors[0], &slot->op);
        settle_down(&r, 0);
        check_ttls("handed out", rows[i].n_keys, rows[i].stays);
        rig_end(&r);
    }
    slots_free(slot, 1);
}

/* A limit without window keeps the user's key, whatever plan came before or comes after. */
static void test_user_key_stays(void **state)
{
    NEED_SERVER(state);
    struct rig r;
    struct suite_slot *slot = slots_new(1);
    char key[128];
    rig_start(&r, 1);
    assert_int_equal(reserve(&r, slot, "a", &hourly_plan), ST_OK);
    user_key(slot, key);
    const int64_t left_s = redis_num(&server, "TTL %s", key);
    assert_in_range(left_s, 1, 3601);
    assert_int_equal(reserve(&r, slot, "b", &rate_plan), ST_OK);
    assert_in_range(redis_num(&server, "TTL %s", key), left_s - 60, left_s);
    assert_int_equal(reserve(&r, slot, "c", &stored_plan), ST_OK);
    assert_int_equal(redis_num(&server, "TTL %s", key), -1);
    assert_int_equal(reserve(&r, slot, "d", &hourly_plan), ST_OK);
    assert_int_equal(redis_num(&server, "TTL %s", key), -1);
    rig_end(&r);
    slots_free(slot, 1);
}

/* ---- clock and scripts ----------------------------------------------------------------------------- */

static void test_server_clock(void **state)
{
    NEED_SERVER(state);
    struct rig r;
    struct suite_slot *slot = slots_new(1);
    rig_start(&r, 1);
    make_reserve(slot, "a", "u", &hourly_plan, 1);
    slot->op.now_us = 1000000; /* 1970 */
    assert_int_equal(ask(&r, 0, slot), ST_OK);
    assert_true(slot->op.states[0].resets_at_s > wall_s());
    char id[UUID_TEXT + 1];
    memcpy(id, slot->ids[0], sizeof(id));
    suite_begin(slot, "a view", LEDGER_VIEW, "u", 1000000)->id = str_from(id);
    assert_int_equal(ask(&r, 0, slot), ST_OK);
    assert_in_range(slot->op.uploads[0].created_s, wall_s() - 60, wall_s() + 1);
    assert_int_equal(slot->op.uploads[0].state, UPLOAD_GRANTED);
    rig_end(&r);
    slots_free(slot, 1);
}

static void test_scripts_forgotten(void **state)
{
    NEED_SERVER(state);
    struct rig r;
    struct suite_slot *slot = slots_new(1);
    char label[16];
    rig_start(&r, 1);
    for (size_t i = 0; i < 5; i++) {
        redis_num(&server, "SCRIPT FLUSH");
        number(label, "a", i);
        assert_int_equal(reserve(&r, slot, label, &stored_plan), ST_OK);
        redis_num(&server, "SCRIPT FLUSH");
        ledger_handed(r.doors[0], &slot->op);
    }
    assert_int_equal(reserved_of(slot, "stored"), 50);
    redis_num(&server, "SCRIPT FLUSH");
    ledger_release(r.doors[0], &slot->op);
    settle_down(&r, 0);
    assert_int_equal(reserved_of(slot, "stored"), 40);
    rig_end(&r);
    slots_free(slot, 1);
}

/* ---- handed out, given up --------------------------------------------------------------------------- */

static void test_only_handed_is_kept(void **state)
{
    NEED_SERVER(state);
    static const struct {
        const char *name;
        bool handed, release;
        int64_t used;
    } rows[] = {
        { "handed out", true, false, 10 },
        { "never handed out", false, false, 0 },
        { "a plan that releases", true, true, 0 },
    };
    struct suite_slot *slot = slots_new(1);
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct rig r = { .config = test_config() };
        struct plan p = stored_plan;
        char id[UUID_TEXT + 1];
        p.unsettled_release = rows[i].release;
        r.config.own_clock = true;
        rig_open(&r, 1);
        CHECK_EQ(rows[i].name, reserve(&r, slot, "a", &p), ST_OK);
        if (rows[i].handed)
            ledger_handed(r.doors[0], &slot->op);
        memcpy(id, slot->ids[0], sizeof(id));
        suite_begin(slot, "settled", LEDGER_SETTLE, "u", slot->op.now_us + INT64_C(3600000000));
        slot->op.id = str_from(id);
        CHECK_EQ(rows[i].name, ask(&r, 0, slot), ST_OK);
        suite_begin(slot, "left", LEDGER_PEEK, "u", slot->op.now_us)->plan = &stored_plan;
        CHECK_EQ(rows[i].name, ask(&r, 0, slot), ST_OK);
        CHECK_EQ(rows[i].name, slot->op.states[0].used, rows[i].used);
        CHECK_EQ(rows[i].name, slot->op.states[0].reserved, 0);
        rig_end(&r);
    }
    slots_free(slot, 1);
}

/* A release that overtakes its request: what comes late takes nothing. */
static void test_late_request(void **state)
{
    NEED_SERVER(state);
    static const char *const keys[] = { NULL, "k" };
    struct suite_slot *slot = slots_new(1);
    for (size_t i = 0; i < ROWS(keys); i++) {
        struct rig r;
        rig_start(&r, 1);
        for (int twice = 0; twice < 2; twice++) {
            make_reserve(slot, "late", "u", &stored_plan, 2);
            slot->op.idempotency_key = str_from(keys[i]);
            slot->op.status = ST_OK;
            ledger_release(r.doors[0], &slot->op);
        }
        assert_int_equal(ask(&r, 0, slot), ST_LEDGER_UNAVAILABLE);
        assert_int_equal(reserved_of(slot, "stored"), -1);
        assert_int_equal(redis_num(&server, "ZCARD test:due"), 0);
        make_reserve(slot, "next", "u", &stored_plan, 2);
        slot->op.idempotency_key = str_from(keys[i]);
        assert_int_equal(ask(&r, 0, slot), ST_OK);
        assert_int_equal(reserved_of(slot, "stored"), 20);
        rig_end(&r);
    }
    slots_free(slot, 1);
}

/* Two requests hold one grant: telling the server twice that one lets go lets only that one go. */
static void test_release_twice(void **state)
{
    NEED_SERVER(state);
    struct rig r;
    struct suite_slot *slots = slots_new(2);
    rig_start(&r, 1);
    for (size_t i = 0; i < 2; i++) {
        make_reserve(&slots[i], i ? "again" : "first", "u", &stored_plan, 2);
        slots[i].op.idempotency_key = STR("k");
        assert_int_equal(ask(&r, 0, &slots[i]), ST_OK);
    }
    assert_true(slots[1].op.replayed);
    for (int i = 0; i < 3; i++)
        ledger_release(r.doors[0], &slots[1].op);
    settle_down(&r, 0);
    assert_int_equal(reserved_of(slots, "stored"), 20);
    for (int i = 0; i < 3; i++)
        ledger_release(r.doors[0], &slots[0].op);
    settle_down(&r, 0);
    assert_int_equal(reserved_of(slots, "stored"), 0);
    assert_int_equal(redis_num(&server, "ZCARD test:due"), 0);
    rig_end(&r);
    slots_free(slots, 2);
}

/* ---- a server in trouble ---------------------------------------------------------------------------- */

static void server_stopped(bool stopped)
{
    assert_int_equal(kill(server.pid, stopped ? SIGSTOP : SIGCONT), 0);
}

static void test_hang(void **state)
{
    NEED_SERVER(state);
    struct rig r = { .config = test_config() };
    struct suite_slot *slots = slots_new(3);
    r.config.server.timeout_ms = HANG_MS;
    rig_open(&r, 1);
    assert_int_equal(reserve(&r, &slots[0], "before", &stored_plan), ST_OK);

    server_stopped(true);
    const int64_t begin_us = loop_clock_us();
    assert_int_equal(reserve(&r, &slots[1], "hanging", &stored_plan), ST_LEDGER_UNAVAILABLE);
    assert_true(loop_clock_us() - begin_us >= (HANG_MS - 1) * INT64_C(1000));
    assert_true(slots[1].op.fault.retry_after_s > 0);
    assert_true(slots[1].op.fault.log_reason.len > 0);
    make_reserve(&slots[2], "free", "u", &no_limits, 1);
    assert_int_equal(ledger_ask(r.doors[0], &slots[2].op), LEDGER_DONE);
    assert_int_equal(slots[2].op.status, ST_OK);
    make_reserve(&slots[2], "given up", "u", &stored_plan, 1);
    assert_int_equal(ledger_ask(r.doors[0], &slots[2].op), LEDGER_PENDING);
    ledger_release(r.doors[0], &slots[2].op);
    assert_null(slots[2].op.job);
    server_stopped(false);

    UNTIL("the hanging one is taken back", r.loop, upload_exists(&slots[1]) == 0);
    UNTIL("the one given up too", r.loop,
          upload_exists(&slots[2]) == 0 && reserved_of(slots, "stored") == 10);
    UNTIL("up again", r.loop, door_up(r.doors[0]));
    assert_int_equal(reserve(&r, &slots[1], "after", &stored_plan), ST_OK);
    assert_int_equal(reserved_of(slots, "stored"), 20);
    assert_false(slots[2].done);
    rig_end(&r);
    slots_free(slots, 3);
}

static void test_hang_for_long(void **state)
{
    NEED_SERVER(state);
    enum { REQUESTS = 40 };
    struct rig r = { .config = test_config() };
    struct suite_slot *slots = slots_new(REQUESTS);
    char label[16];
    r.config.server.timeout_ms = 50;
    rig_open(&r, 1);
    server_stopped(true);
    for (size_t i = 0; i < REQUESTS; i++) {
        number(label, "hang", i);
        CHECK_EQ(label, reserve(&r, &slots[i], label, &stored_plan), ST_LEDGER_UNAVAILABLE);
    }
    assert_false(door_up(r.doors[0]));
    server_stopped(false);
    UNTIL("up again", r.loop, door_up(r.doors[0]));
    UNTIL("all are taken back", r.loop, reserved_of(slots, "stored") <= 0);
    for (size_t i = 0; i < REQUESTS; i++)
        UNTIL(slots[i].label, r.loop,
              upload_exists(&slots[i]) == 0 ||
                  redis_num(&server, "STRLEN test:{%s}:u:%s", slots[i].user, slots[i].ids[0]) == 1);
    assert_int_equal(redis_num(&server, "ZCARD test:due"), 0);
    rig_end(&r);
    slots_free(slots, REQUESTS);
}

struct down_row {
    const char *name;
    enum ledger_on_rate on_rate;
    enum ledger_on_quota on_quota;
    bool ready;
    enum status quota;
    int rates; /* granted in a row of a burst of 4, 2 replicas; 10: all */
};

static void check_down(struct rig *r, struct suite_slot *slot, const struct down_row *row)
{
    struct str why;
    char label[16];
    int granted = 0;
    const struct limit both[] = { rate, stored };
    const struct plan mixed = { .limits = both, .n_limits = 2 };
    UNTIL(row->name, r->loop, !ledger_ready(r->doors[0], &why) || why.len > 0);
    CHECK_EQ(row->name, ledger_ready(r->doors[0], &why), row->ready);
    CHECK(row->name, why.len > 0);
    CHECK_EQ(row->name, reserve(r, slot, "quota", &stored_plan), row->quota);
    CHECK_EQ(row->name, slot->op.replayed, false);
    for (size_t i = 0; i < 10; i++) {
        number(label, "rate", i);
        granted += reserve(r, slot, label, &rate_plan) == ST_OK;
    }
    CHECK_EQ(row->name, granted, row->rates);
    make_reserve(slot, "mixed", "another", &mixed, 1);
    const enum status of_rate = row->on_rate == ON_RATE_DENY ? ST_LEDGER_UNAVAILABLE : ST_OK;
    CHECK_EQ(row->name, ask(r, 0, slot), row->quota == ST_OK ? of_rate : row->quota);
    make_reserve(slot, "free", "u", &no_limits, 1);
    CHECK_EQ(row->name, ledger_ask(r->doors[0], &slot->op), LEDGER_DONE);
    make_reserve(slot, "free, a key", "u", &no_limits, 1);
    slot->op.idempotency_key = STR("k");
    CHECK_EQ(row->name, ask(r, 0, slot), ST_OK);
    suite_begin(slot, "view", LEDGER_VIEW, "u", 0)->id = STR("x");
    CHECK_EQ(row->name, ask(r, 0, slot), ST_LEDGER_UNAVAILABLE);
    suite_begin(slot, "due", LEDGER_DUE, "", 0)->max_uploads = 10;
    CHECK_EQ(row->name, ask(r, 0, slot), ST_LEDGER_UNAVAILABLE);
}

static void test_down(void **state)
{
    NEED_SERVER(state);
    static const struct down_row rows[] = {
        { "local, deny", ON_RATE_LOCAL, ON_QUOTA_DENY, false, ST_LEDGER_UNAVAILABLE, 2 },
        { "local, allow", ON_RATE_LOCAL, ON_QUOTA_ALLOW, true, ST_OK, 2 },
        { "deny, allow", ON_RATE_DENY, ON_QUOTA_ALLOW, false, ST_OK, 0 },
        { "allow, allow", ON_RATE_ALLOW, ON_QUOTA_ALLOW, true, ST_OK, 10 },
    };
    struct suite_slot *slot = slots_new(1);
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct rig r = { .config = test_config() };
        r.config.on_rate = rows[i].on_rate;
        r.config.on_quota = rows[i].on_quota;
        r.config.replicas = 2;
        rig_open(&r, 1);
        UNTIL("connected", r.loop, reserve(&r, slot, "before", &stored_plan) == ST_OK);
        UNTIL("recorded", r.loop, upload_exists(slot) == 1);
        redis_kill(&server);
        check_down(&r, slot, &rows[i]);
        redis_start(&server, server.port, "");
        struct str why;
        UNTIL("back", r.loop, ledger_ready(r.doors[0], &why) && why.len == 0);
        CHECK_EQ(rows[i].name, reserve(&r, slot, "after", &stored_plan), ST_OK);
        CHECK_EQ(rows[i].name, reserved_of(slot, "stored"), 10);
        rig_end(&r);
    }
    slots_free(slot, 1);
}

/* Errors that a server answers instead of working, and what ends them. */
static void test_error_replies(void **state)
{
    NEED_SERVER(state);
    static const struct {
        const char *name, *begin, *end, *reason;
        bool reconnects;
    } rows[] = {
        { "full", "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM", false },
        { "a replica", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "read-only", true },
        { "not allowed", "ACL SETUSER default -zadd", "ACL SETUSER default +zadd", "script",
          false }, /* Redis 7.0: the user executing the script can't ...; 8: ACL failure in script */
        { "no script", "ACL SETUSER default -evalsha", "ACL SETUSER default +evalsha", "NOPERM",
          false },
    };
    struct suite_slot *slot = slots_new(1);
    log_setup(-1, LOG_LEVEL_ERROR);
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct rig r;
        struct str why;
        rig_start(&r, 1);
        CHECK_EQ(rows[i].name, reserve(&r, slot, "before", &stored_plan), ST_OK);
        redis_num(&server, rows[i].begin);
        CHECK_EQ(rows[i].name, reserve(&r, slot, "meanwhile", &stored_plan), ST_LEDGER_UNAVAILABLE);
        CHECK(rows[i].name, slot->op.fault.log_reason.len > 0);
        CHECK(rows[i].name, !ledger_ready(r.doors[0], &why));
        UNTIL(rows[i].name, r.loop,
              !ledger_ready(r.doors[0], &why) &&
                  memmem(why.ptr, why.len, rows[i].reason, strlen(rows[i].reason)));
        make_reserve(slot, "free", "u", &no_limits, 1);
        CHECK_EQ(rows[i].name, ledger_ask(r.doors[0], &slot->op), LEDGER_DONE);
        redis_num(&server, rows[i].end);
        UNTIL(rows[i].name, r.loop, ledger_ready(r.doors[0], &why) && why.len == 0);
        CHECK_EQ(rows[i].name, reserve(&r, slot, "after", &stored_plan), ST_OK);
        rig_end(&r);
    }
    slots_free(slot, 1);
}

/* Keys that somebody else wrote: never a grant, and only for the user they belong to. */
static void test_spoilt_keys(void **state)
{
    NEED_SERVER(state);
    struct rig r;
    struct suite_slot *slot = slots_new(1);
    char key[128];
    rig_start(&r, 1);
    make_reserve(slot, "a", "u", &stored_plan, 1);
    user_key(slot, key);
    redis_num(&server, "SET %s nonsense", key);
    assert_int_equal(ask(&r, 0, slot), ST_LEDGER_UNAVAILABLE);
    make_reserve(slot, "b", "another", &stored_plan, 1);
    assert_int_equal(ask(&r, 0, slot), ST_OK);
    make_reserve(slot, "c", "third", &stored_plan, 1);
    user_key(slot, key);
    redis_num(&server, "SET %s:i:k nonsense", key);
    slot->op.idempotency_key = STR("k");
    assert_int_equal(ask(&r, 0, slot), ST_LEDGER_UNAVAILABLE);
    UNTIL("the others go on", r.loop, door_up(r.doors[0]));
    rig_end(&r);
    slots_free(slot, 1);
}

/* ---- what somebody else wrote -------------------------------------------------------------------- */

enum { LONG_AGO_S = 2000 }; /* what was granted for 900 s then is dead now */

/* One file of `who` whose packet is dead, or would be if the clock were right. */
static void reserve_long_ago(struct rig *r, struct suite_slot *slot, const char *who)
{
    make_reserve(slot, who, who, &stored_plan, 0);
    slot->op.now_us -= LONG_AGO_S * INT64_C(1000000);
    suite_add_file(slot, false, 10, 900);
    CHECK_EQ(who, ask(r, 0, slot), ST_OK);
}

static struct ledger_op *make_due(struct suite_slot *slot, int64_t now_us)
{
    struct ledger_op *op = suite_begin(slot, "due", LEDGER_DUE, "", now_us);
    op->max_uploads = 10;
    return op;
}

struct spoilt_row {
    const char *name;
    const char *text;          /* the whole record; NULL: one member of a good one */
    const char *member, *json; /* "": without it */
};

static void spoil(const struct suite_slot *slot, const struct spoilt_row *row)
{
    static const char set_member[] =
        "local u = cjson.decode(string.sub(redis.call('GET', KEYS[1]), 2)) "
        "u[ARGV[1]] = cjson.decode('[' .. ARGV[2] .. ']')[1] "
        "redis.call('SET', KEYS[1], '+' .. cjson.encode(u)) return 1";
    char key[192];
    snprintf(key, sizeof(key), "test:{%s}:u:%s", slot->user, slot->ids[0]);
    if (row->text)
        redis_num(&server, "SET %s %s", key, row->text);
    else if (row->member)
        redis_num(&server, "EVAL %s 1 %s %s %s", set_member, key, row->member, row->json);
    else
        redis_num(&server, "DEL %s", key);
    if (!row->text && !row->member)
        redis_num(&server, "LPUSH %s element", key);
}

/* One record that cannot be read is not there; those of others are handed out as ever. */
static void check_spoilt_upload(struct suite_slot *slots, const struct spoilt_row *row)
{
    struct rig r;
    char id[UUID_TEXT + 1];
    rig_start(&r, 1);
    reserve_long_ago(&r, &slots[0], "spoilt");
    reserve_long_ago(&r, &slots[1], "sound");
    redis_num(&server, "ZADD test:due 1 %s:%s", slots[0].user, slots[0].ids[0]);
    memcpy(id, slots[0].ids[0], sizeof(id));
    spoil(&slots[0], row);
    make_due(&slots[2], loop_clock_wall_us());
    CHECK_EQ(row->name, ask(&r, 0, &slots[2]), ST_OK);
    CHECK_EQ(row->name, slots[2].op.n_uploads, 1);
    CHECK_EQ(row->name, slots[2].op.backlog, 1);
    CHECK(row->name, slots[2].op.n_uploads == 1 &&
                         str_equal(slots[2].op.uploads[0].id, str_from(slots[1].ids[0])));
    CHECK_EQ(row->name, redis_num(&server, "ZCARD test:due"), 1);
    suite_begin(&slots[0], "view", LEDGER_VIEW, "spoilt", loop_clock_wall_us());
    slots[0].op.id = str_from(id);
    CHECK_EQ(row->name, ask(&r, 0, &slots[0]), ST_NOT_FOUND);
    rig_end(&r);
}

static void test_spoilt_uploads(void **state)
{
    NEED_SERVER(state);
    static const struct spoilt_row rows[] = {
        { "half of a record", "+{garbage", NULL, NULL },
        { "no record", "+-", NULL, NULL },
        { "a list", "+[]", NULL, NULL },
        { "a text", "+\"text\"", NULL, NULL },
        { "null", "+null", NULL, NULL },
        { "an empty one", "+{}", NULL, NULL },
        { "another kind of key", NULL, NULL, NULL },
        { "no state", NULL, "state", "" },
        { "a state of its own", NULL, "state", "\"odd\"" },
        { "a charge of its own", NULL, "charge", "\"odd\"" },
        { "no end", NULL, "expires", "" },
        { "an end that is null", NULL, "expires", "null" },
        { "an end beyond all numbers", NULL, "expires", "\"99999999999999999999\"" },
        { "an end before time", NULL, "expires", "\"-1\"" },
        { "an end in hexadecimal", NULL, "expires", "\"0x10\"" },
        { "an end that is no text", NULL, "expires", "1e300" },
        { "bytes beyond all numbers", NULL, "bytes", "\"9007199254740992\"" },
        { "bytes that are words", NULL, "bytes", "\"ten\"" },
        { "negative bytes", NULL, "bytes", "\"-10\"" },
        { "a size below none", NULL, "size", "\"-2\"" },
        { "a list for a key", NULL, "key", "[]" },
        { "no holders", NULL, "holders", "" },
        { "holders that are a number", NULL, "holders", "7" },
        { "a holder that is a list", NULL, "holders", "[[]]" },
        { "more holders than there are", NULL, "holders",
          "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\",\"13\","
          "\"14\",\"15\",\"16\",\"17\"]" },
        { "half of a charge", NULL, "charges", "[\"stored\",\"bytes\"]" },
        { "a charge of no window", NULL, "charges", "[\"stored\",\"bytes\",\"x\"]" },
        { "charges with names", NULL, "charges", "{\"stored\":\"bytes\"}" },
    };
    struct suite_slot *slots = slots_new(3);
    for (size_t i = 0; i < ROWS(rows); i++)
        check_spoilt_upload(slots, &rows[i]);
    slots_free(slots, 3);
}

/* A server that will not show the records has said nothing about them: none leaves the set. */
static void test_due_without_right(void **state)
{
    NEED_SERVER(state);
    struct rig r;
    struct suite_slot *slots = slots_new(2);
    log_setup(-1, LOG_LEVEL_ERROR);
    rig_start(&r, 1);
    reserve_long_ago(&r, &slots[0], "u");
    redis_num(&server, "ACL SETUSER default -get");
    make_due(&slots[1], loop_clock_wall_us());
    assert_int_equal(ask(&r, 0, &slots[1]), ST_LEDGER_UNAVAILABLE);
    redis_num(&server, "ACL SETUSER default +get");
    assert_int_equal(redis_num(&server, "ZCARD test:due"), 1);
    make_due(&slots[1], loop_clock_wall_us());
    assert_int_equal(ask(&r, 0, &slots[1]), ST_OK);
    assert_int_equal(slots[1].op.n_uploads, 1);
    rig_end(&r);
    slots_free(slots, 2);
}

/* What is due too early by its place in the set comes again when its packet is dead. */
static void test_due_too_early(void **state)
{
    NEED_SERVER(state);
    struct rig r;
    struct suite_slot *slot = slots_new(1);
    char member[128];
    rig_start(&r, 1);
    assert_int_equal(reserve(&r, slot, "a", &stored_plan), ST_OK);
    snprintf(member, sizeof(member), "%s:%s", slot->user, slot->ids[0]);
    const int64_t end_s = slot->files[0].expires_at_s + UPLOAD_GRACE_S;
    redis_num(&server, "ZADD test:due 1 %s", member);
    make_due(slot, loop_clock_wall_us());
    assert_int_equal(ask(&r, 0, slot), ST_OK);
    assert_int_equal(slot->op.n_uploads, 0);
    assert_int_equal(slot->op.backlog, 0);
    assert_int_equal(
        redis_num(&server, "ZCOUNT test:due %lld %lld", (long long)end_s, (long long)end_s), 1);
    rig_end(&r);
    slots_free(slot, 1);
}

/* Tallies with numbers that no script of ours writes: cut to the most there can be. */
static void test_spoilt_tallies(void **state)
{
    NEED_SERVER(state);
    static const struct limit files = { .name = STR_INIT("files"),
                                        .kind = LIMIT_COUNT,
                                        .max = 100 };
    static const struct plan files_plan = { .name = STR_INIT("files"),
                                            .limits = &files,
                                            .n_limits = 1 };
    static const struct {
        const char *name;
        const struct plan *plan;
        const char *limit, *text;
        int64_t used, reserved;
        enum status then; /* of a reservation */
    } rows[] = {
        { "sound", &files_plan, "files", "count 0 7 5 0", 7, 5, ST_OK },
        { "used", &files_plan, "files", "count 0 99999999999999999999 0 0", LIMITS_NUMBER_MAX, 0,
          ST_QUOTA_EXCEEDED },
        { "used, 2^53", &files_plan, "files", "count 0 9007199254740992 0 0", LIMITS_NUMBER_MAX, 0,
          ST_QUOTA_EXCEEDED },
        { "reserved", &files_plan, "files", "count 0 0 99999999999999999999 0", 0,
          LIMITS_NUMBER_MAX, ST_QUOTA_EXCEEDED },
        { "both", &files_plan, "files", "count 0 99999999999999999999 99999999999999999999 0",
          LIMITS_NUMBER_MAX, LIMITS_NUMBER_MAX, ST_QUOTA_EXCEEDED },
        { "a window", &files_plan, "files", "count 99999999999999999999 9 9 9", 0, 0, ST_OK },
        { "a rate's debt", &rate_plan, "requests", "rate 0 0 0 99999999999999999999", 4, 0,
          ST_RATE_LIMITED },
        { "all of a rate", &rate_plan, "requests",
          "rate 99999999999999999999 99999999999999999999 99999999999999999999 0", 0, 0, ST_OK },
        { "an unknown kind", &files_plan, "files", "odd 0 7 7 7", 0, 0, ST_OK },
    };
    struct suite_slot *slot = slots_new(1);
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct rig r;
        char key[128];
        rig_start(&r, 1);
        suite_begin(slot, "peek", LEDGER_PEEK, "u", loop_clock_wall_us())->plan = rows[i].plan;
        user_key(slot, key);
        redis_num(&server, "HSET %s %s %s", key, rows[i].limit, rows[i].text);
        CHECK_EQ(rows[i].name, ask(&r, 0, slot), ST_OK);
        CHECK_EQ(rows[i].name, slot->op.states[0].used, rows[i].used);
        CHECK_EQ(rows[i].name, slot->op.states[0].reserved, rows[i].reserved);
        const enum status st = reserve(&r, slot, "a", rows[i].plan);
        const enum status never = rows[i].then == ST_QUOTA_EXCEEDED ? ST_QUOTA_NEVER : rows[i].then;
        CHECK_EQ(rows[i].name, st, never);
        suite_begin(slot, "show", LEDGER_SHOW, "u", loop_clock_wall_us());
        CHECK_EQ(rows[i].name, ask(&r, 0, slot), ST_OK);
        rig_end(&r);
    }
    slots_free(slot, 1);
}

/* Replies with one number out of bounds are none of our scripts', whatever the server is. */
static void test_reply_bounds(void **state)
{
    (void)state;
    enum { NUMBERS = 12, WORD = 7 };
    static const struct {
        const char *name;
        int64_t n;
        bool taken;
    } rows[] = {
        { "zero", 0, true },
        { "the most", LIMITS_NUMBER_MAX, true },
        { "one more", LIMITS_NUMBER_MAX + 1, false },
        { "the largest", INT64_MAX, false },
        { "negative", -1, false },
        { "the smallest", INT64_MIN, false },
    };
    struct suite_slot *slot = slots_new(1);
    for (size_t i = 0; i < ROWS(rows); i++)
        for (size_t at = 1; at < NUMBERS; at++) {
            struct resp_row reply[NUMBERS];
            for (size_t k = 0; k < NUMBERS; k++)
                reply[k] = (struct resp_row){ .is_int = true, .text = STR("") };
            reply[WORD].is_int = false;
            if (at == WORD)
                continue;
            reply[at].num = rows[i].n;
            suite_begin(slot, "peek", LEDGER_PEEK, "u", 0)->plan = &stored_plan;
            const struct resp_reply r = { .kind = RESP_OK, .rows = reply, .n_rows = NUMBERS };
            CHECK_EQ(rows[i].name, answer_read(&slot->op, &r), rows[i].taken);
        }
    slots_free(slot, 1);
}

/* ---- clocks that differ -------------------------------------------------------------------------- */

/* Dead is what is dead by both clocks: before that, nothing is settled or handed out. */
static void test_settled_by_both_clocks(void **state)
{
    NEED_SERVER(state);
    static const struct {
        const char *name;
        int64_t granted_s, asked_s; /* from now */
        bool dead;
    } rows[] = {
        { "dead by both", -LONG_AGO_S, 0, true },
        { "the server is ahead", -LONG_AGO_S, -LONG_AGO_S, false },
        { "the server is ahead, a second before the end", -LONG_AGO_S, -LONG_AGO_S + 959, false },
        { "the server is ahead, the end", -LONG_AGO_S, -LONG_AGO_S + 960, true },
        { "the server is behind", 0, LONG_AGO_S, false },
    };
    struct suite_slot *slot = slots_new(1);
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct rig r;
        char id[UUID_TEXT + 1];
        rig_start(&r, 1);
        make_reserve(slot, "a", "u", &stored_plan, 0);
        const int64_t now_us = slot->op.now_us;
        const int64_t asked_us = now_us + rows[i].asked_s * 1000000;
        slot->op.now_us += rows[i].granted_s * 1000000;
        suite_add_file(slot, false, 10, 900);
        CHECK_EQ(rows[i].name, ask(&r, 0, slot), ST_OK);
        memcpy(id, slot->ids[0], sizeof(id));
        make_due(slot, asked_us);
        CHECK_EQ(rows[i].name, ask(&r, 0, slot), ST_OK);
        CHECK_EQ(rows[i].name, slot->op.n_uploads, rows[i].dead);
        CHECK_EQ(rows[i].name, slot->op.backlog, rows[i].dead);
        suite_begin(slot, "settle", LEDGER_SETTLE, "u", asked_us)->id = str_from(id);
        slot->op.seen.presence = OBJECT_MISSING;
        CHECK_EQ(rows[i].name, ask(&r, 0, slot), ST_OK);
        CHECK_EQ(rows[i].name, reserved_of(slot, "stored"), rows[i].dead ? 0 : 10);
        CHECK_EQ(rows[i].name, redis_num(&server, "ZCARD test:due"), !rows[i].dead);
        rig_end(&r);
    }
    slots_free(slot, 1);
}

/* What stands in the log since the last look; "" nothing. */
static void read_log(int fd, char *out, size_t size)
{
    log_flush();
    const ssize_t n = read(fd, out, size - 1);
    out[n > 0 ? n : 0] = '\0';
}

static void test_clock_warning(void **state)
{
    NEED_SERVER(state);
    static const struct {
        const char *name;
        int64_t ours_s;   /* from now */
        const char *line; /* NULL: none */
        bool own_clock;
    } rows[] = {
        { "together", 0, NULL, false },          { "a little apart", -8, NULL, false },
        { "ahead", -75, "is ahead of", false },  { "still ahead", -3600, NULL, false },
        { "nearly together", -9, NULL, false },  { "together again", 0, "agree again", false },
        { "still together", 0, NULL, false },    { "behind", 75, "is behind", false },
        { "by our own clock", -75, NULL, true },
    };
    struct suite_slot *slot = slots_new(1);
    struct rig r;
    char text[2048];
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    rig_start(&r, 1);
    log_setup(fds[1], LOG_LEVEL_INFO);
    read_log(fds[0], text, sizeof(text));
    for (size_t i = 0; i < ROWS(rows); i++) {
        if (rows[i].own_clock) {
            rig_end(&r);
            r.config.own_clock = true;
            rig_open(&r, 1);
            read_log(fds[0], text, sizeof(text));
        }
        make_due(slot, loop_clock_wall_us() + rows[i].ours_s * 1000000);
        CHECK_EQ(rows[i].name, ask(&r, 0, slot), ST_OK);
        read_log(fds[0], text, sizeof(text));
        const char *line = strstr(text, "\"ledger_clock\"");
        CHECK_EQ(rows[i].name, line != NULL, rows[i].line != NULL);
        if (!line || !rows[i].line)
            continue;
        const char *seconds = strstr(text, "\"difference_s\":");
        assert_non_null(seconds);
        const long long n = atoll(seconds + strlen("\"difference_s\":"));
        const int64_t apart_s = rows[i].ours_s < 0 ? -rows[i].ours_s : rows[i].ours_s;
        CHECK(rows[i].name, strstr(text, rows[i].line));
        CHECK(rows[i].name, n >= apart_s - 2 && n <= apart_s + 2);
        CHECK(rows[i].name, !strstr(line + 1, "\"ledger_clock\""));
    }
    log_setup(-1, LOG_LEVEL_ERROR);
    rig_end(&r);
    close(fds[0]);
    close(fds[1]);
    slots_free(slot, 1);
}

/* ---- several at once ------------------------------------------------------------------------------- */

static size_t race(struct rig *r, struct suite_slot *slots, size_t n, const struct plan *p,
                   size_t files)
{
    char label[16];
    size_t granted = 0;
    for (size_t i = 0; i < n; i++) {
        number(label, "race", i);
        make_reserve(&slots[i], label, "u", p, files);
        slots[i].done = ledger_ask(r->doors[i % r->n_doors], &slots[i].op) == LEDGER_DONE;
    }
    for (size_t i = 0; i < n; i++) {
        UNTIL("a race", r->loop, slots[i].done);
        granted += slots[i].op.status == ST_OK;
        if (slots[i].op.status != ST_OK)
            CHECK_EQ("a race", slots[i].op.status, ST_QUOTA_EXCEEDED);
    }
    return granted;
}

static void test_races(void **state)
{
    NEED_SERVER(state);
    enum { REQUESTS = 256 };
    static const struct {
        const char *name;
        const struct plan *plan;
        size_t files, granted;
    } rows[] = {
        { "one by one", &hourly_plan, 1, 100 },
        { "batches of three", &hourly_plan, 3, 33 },
        { "batches that fill it", &hourly_plan, 25, 4 },
        { "places", &places_plan, 1, 100 },
        { "places of batches", &places_plan, 7, 14 },
    };
    struct suite_slot *slots = slots_new(REQUESTS);
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct rig r = { .config = test_config() };
        rig_open(&r, DOORS_MAX);
        CHECK_EQ(rows[i].name, race(&r, slots, REQUESTS, rows[i].plan, rows[i].files),
                 rows[i].granted);
        CHECK_EQ(rows[i].name, redis_num(&server, "ZCARD test:due"),
                 rows[i].granted * rows[i].files);
        rig_end(&r);
    }
    slots_free(slots, REQUESTS);
}

/* Many users on one connection, all at once. */
static void test_many_users(void **state)
{
    NEED_SERVER(state);
    enum { USERS = 1000 };
    struct rig r = { .config = test_config() };
    struct suite_slot *slots = slots_new(USERS);
    const struct limit all[] = { rate, hourly, monthly, places, stored };
    const struct plan p = { .limits = all, .n_limits = 5 };
    char who[16];
    rig_open(&r, 1);
    for (size_t i = 0; i < USERS; i++) {
        number(who, "user", i);
        make_reserve(&slots[i], who, who, &p, 1);
        slots[i].done = ledger_ask(r.doors[0], &slots[i].op) == LEDGER_DONE;
    }
    for (size_t i = 0; i < USERS; i++) {
        UNTIL(slots[i].label, r.loop, slots[i].done);
        CHECK_EQ(slots[i].label, slots[i].op.status, ST_OK);
        CHECK_EQ(slots[i].label, slots[i].op.states[0].remaining, 3);
        CHECK_EQ(slots[i].label, slots[i].op.states[4].reserved, 10);
    }
    rig_end(&r);
    slots_free(slots, USERS);
}

/* Freed in the middle: nothing is answered, nothing is lost sight of. */
static void test_freed_under_way(void **state)
{
    NEED_SERVER(state);
    struct rig r;
    struct suite_slot *slots = slots_new(8);
    rig_start(&r, 1);
    for (size_t i = 0; i < 8; i++) {
        make_reserve(&slots[i], "under way", "u", &stored_plan, 1);
        assert_int_equal(ledger_ask(r.doors[0], &slots[i].op), LEDGER_PENDING);
    }
    rig_end(&r);
    for (size_t i = 0; i < 8; i++) {
        assert_false(slots[i].done);
        assert_null(slots[i].op.job);
    }
    slots_free(slots, 8);
}

/* A cluster of one shard works; where slots are elsewhere the log names cluster mode. */
static void test_cluster_mode(void **state)
{
    NEED_SERVER(state);
    struct redis_server alone = { 0 };
    struct suite_slot *slot = slots_new(1);
    const struct redis_server kept = server;
    char nodes[] = "/tmp/presignd-nodes-XXXXXX";
    char options[128];
    const int fd = mkstemp(nodes);
    assert_true(fd >= 0);
    close(fd);
    snprintf(options, sizeof(options), "--cluster-enabled yes --cluster-config-file %s", nodes);
    redis_start(&alone, 0, options);
    redis_num(&alone, "CLUSTER ADDSLOTSRANGE 0 16383");
    server = alone;
    struct rig r = { .config = test_config() };
    rig_open(&r, 1);
    UNTIL("a cluster of one", r.loop, reserve(&r, slot, "a", &stored_plan) == ST_OK);
    suite_begin(slot, "due", LEDGER_DUE, "", 0)->max_uploads = 10;
    assert_int_equal(ask(&r, 0, slot), ST_OK);
    rig_end(&r);
    server = kept;
    redis_kill(&alone);
    unlink(nodes);
    slots_free(slot, 1);
}

static int start_server(void **state)
{
    (void)state;
    if (!redis_missing())
        redis_start(&server, 0, "");
    return 0;
}

static int end_server(void **state)
{
    (void)state;
    if (server.pid)
        redis_kill(&server);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start_server, end_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ttls),
        TEST(test_user_key_stays),
        TEST(test_server_clock),
        TEST(test_scripts_forgotten),
        TEST(test_only_handed_is_kept),
        TEST(test_late_request),
        TEST(test_release_twice),
        TEST(test_hang),
        TEST(test_hang_for_long),
        TEST(test_down),
        TEST(test_error_replies),
        TEST(test_spoilt_keys),
        TEST(test_spoilt_uploads),
        TEST(test_due_without_right),
        TEST(test_due_too_early),
        TEST(test_spoilt_tallies),
        TEST(test_reply_bounds),
        TEST(test_settled_by_both_clocks),
        TEST(test_clock_warning),
        TEST(test_races),
        TEST(test_many_users),
        TEST(test_freed_under_way),
        TEST(test_cluster_mode),
        TEST(test_suite),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
