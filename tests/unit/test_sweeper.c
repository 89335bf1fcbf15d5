/*
 * The sweeper over the SQLite engine and a store on the same loop. Uploads are granted in the past,
 * so that their packets are dead; the ledger's door can fail and can move the clock on.
 */
#include "test.h"

#include "head_store.h"
#include "witness.h"

#include <dirent.h>

#include "presignd/ledger_sqlite.h"
#include "presignd/log.h"
#include "presignd/sweeper.h"

enum { VERBS = LEDGER_GIVE_BACK + 1, UPLOADS_MAX = 256, BYTES = 10, SEEN = 7 };

/* ---- the door: passes on, fails, and moves the clock ---------------------------------------------- */

struct door {
    struct ledger ledger;
    struct ledger *inner;
    int64_t skew_us;
    int asked[VERBS], failing[VERBS]; /* failing: how many of the next ones */
    size_t max_uploads;
};

static struct door *door_of(struct ledger *l)
{
    return container_of(l, struct door, ledger);
}

static enum ledger_progress door_ask(struct ledger *l, struct ledger_op *op)
{
    struct door *d = door_of(l);
    d->asked[op->verb]++;
    if (op->verb == LEDGER_DUE)
        d->max_uploads = op->max_uploads;
    op->now_us += d->skew_us;
    if (d->failing[op->verb] == 0)
        return ledger_ask(d->inner, op);
    d->failing[op->verb]--;
    op->status = fault_set(&op->fault, ST_LEDGER_UNAVAILABLE, STR("not now"));
    op->fault.log_reason = STR("the test says so");
    return LEDGER_DONE;
}

static void door_cancel(struct ledger *l, struct ledger_op *op)
{
    ledger_cancel(door_of(l)->inner, op);
}

static const struct ledger_kind door_kind = {
    .name = "door",
    .remembers = true,
    .ask = door_ask,
    .cancel = door_cancel,
};

/* ---- the scene ------------------------------------------------------------------------------------ */

static const struct limit limits[] = {
    { .name = STR_INIT("files"), .kind = LIMIT_COUNT, .max = 1000000 },
    { .name = STR_INIT("bytes"), .kind = LIMIT_BYTES, .max = 1000000 },
};
static const struct plan keep = { .name = STR_INIT("keep"),
                                  .limits = limits,
                                  .n_limits = ROWS(limits) };
static const struct plan release_ = { .name = STR_INIT("release"),
                                      .limits = limits,
                                      .n_limits = ROWS(limits),
                                      .unsettled_release = true };
static const struct plan unlimited = { .name = STR_INIT("unlimited") };

#define THERE "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: \"seven\"\r\n\r\n"

static const struct store_page pages[] = {
    { "/box/there", THERE },
    { "/box/forbidden", "HTTP/1.1 403 Forbidden\r\n\r\n" },
    { "/vault/there", THERE },
    { "/vault/forbidden", "HTTP/1.1 403 Forbidden\r\n\r\n" },
    { "/box/broken", "HTTP/1.1 500 Oops\r\n\r\n" },
};

struct scene {
    struct loop *loop;
    struct fetcher *fetcher;
    struct head_store store;
    struct arena arena;
    struct bucket buckets[2];
    struct rules rules;
    struct creds *creds;
    bool no_creds;
    struct signing_keys signing;
    struct sweep_host host;
    struct sweep_counts counts;
    char folder[64], path[96];
    struct ledger_db *db;
    struct door door;
    struct sweeper *sweeper;
    int64_t now_s;
    int uploads;
    FILE *log;
};

static void world(struct sweep_host *h, struct sweep_world *out)
{
    struct scene *c = container_of(h, struct scene, host);
    *out = (struct sweep_world){
        .rules = &c->rules,
        .creds = c->no_creds ? NULL : c->creds,
        .signing = &c->signing,
    };
}

static void open_ledger(struct scene *c)
{
    memcpy(c->folder, "/tmp/presignd-sweep-XXXXXX", sizeof("/tmp/presignd-sweep-XXXXXX"));
    assert_non_null(mkdtemp(c->folder));
    snprintf(c->path, sizeof(c->path), "%s/ledger.db", c->folder);
    struct buf why = BUF_INIT(1024);
    if (ledger_db_open(&c->db, str_from(c->path), LEDGER_DB_SERVE, &why) != ST_OK)
        fail_msg("%.*s", STR_ARGS(buf_view(&why)));
    buf_release(&why);
    c->door =
        (struct door){ .ledger.kind = &door_kind, .inner = ledger_sqlite_new(c->db, c->loop) };
    assert_non_null(c->door.inner);
}

static struct scene *begin(void)
{
    struct scene *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    assert_int_equal(fetch_global_start(), ST_OK);
    c->log = tmpfile();
    assert_non_null(c->log);
    log_setup(fileno(c->log), LOG_LEVEL_INFO);
    c->arena = ARENA_INIT(1 << 16);
    c->loop = loop_new();
    assert_non_null(c->loop);
    c->fetcher = fetcher_new(c->loop);
    assert_non_null(c->fetcher);
    store_start(&c->store, c->loop, pages, ROWS(pages));
    store_bucket(&c->buckets[0], &c->arena, "main", "box", c->store.port);
    store_bucket(&c->buckets[1], &c->arena, "other", "vault", c->store.port);
    c->rules = (struct rules){ .buckets = c->buckets, .n_buckets = 2 };
    c->creds = creds_new(STR("AKIDEXAMPLE"), STR("secret"), STR(""), CREDS_NEVER, 0, "test");
    assert_non_null(c->creds);
    c->host.world = world;
    c->now_s = loop_clock_wall_us() / 1000000;
    open_ledger(c);
    return c;
}

static void start(struct scene *c)
{
    c->sweeper = sweeper_new(c->loop, &c->door.ledger, c->fetcher, &c->host, &c->counts);
    assert_non_null(c->sweeper);
}

static void remove_folder(const char *path)
{
    struct dirent **files = NULL;
    const int n = scandir(path, &files, NULL, NULL);
    const int folder = open(path, O_DIRECTORY | O_CLOEXEC);
    assert_true(n > 0 && folder >= 0);
    for (int i = 0; i < n; i++) {
        unlinkat(folder, files[i]->d_name, 0);
        free(files[i]);
    }
    free(files);
    close(folder);
    assert_int_equal(rmdir(path), 0);
}

static void end(struct scene *c)
{
    ledger_db_stop(c->db);
    sweeper_free(c->sweeper);
    ledger_free(c->door.inner);
    fetcher_free(c->fetcher);
    store_stop(&c->store);
    loop_free(c->loop);
    ledger_db_free(c->db);
    fetch_global_end();
    creds_unref(c->creds);
    signing_keys_release(&c->signing);
    arena_release(&c->arena);
    remove_folder(c->folder);
    log_setup(STDERR_FILENO, LOG_LEVEL_ERROR);
    fclose(c->log);
    free(c);
}

/* ---- asking the ledger ---------------------------------------------------------------------------- */

struct asking {
    struct ledger_op op;
    bool done;
};

static void asked(struct ledger_op *op)
{
    container_of(op, struct asking, op)->done = true;
}

static void ask(struct scene *c, struct asking *a, const char *name, enum status want)
{
    a->op.done = asked;
    a->op.arena = &c->arena;
    if (ledger_ask(c->door.inner, &a->op) == LEDGER_PENDING)
        STORE_UNTIL(c->loop, name, a->done);
    CHECK_EQ(name, a->op.status, want);
}

struct wish {
    const char *name; /* of the user too */
    const char *key, *alias, *bucket_name;
    const struct plan *plan;
    bool range, put;
    int64_t ended_s; /* ago; 0: long */
};

/* The upload's id. */
static struct str grant(struct scene *c, const struct wish *w)
{
    char id[UUID_TEXT + 1];
    snprintf(id, sizeof(id), "00000000-0000-7000-8000-%012d", ++c->uploads);
    const struct ledger_file file = {
        .id = arena_copy(&c->arena, str_from(id)),
        .uuid = STR("00000000-0000-4000-8000-000000000000"),
        .profile = STR("default"),
        .bucket = str_from(w->alias ? w->alias : "main"),
        .bucket_name = str_from(w->bucket_name ? w->bucket_name : "box"),
        .key = str_from(w->key),
        .content_type = STR("text/plain"),
        .content_length = w->range ? -1 : BYTES,
        .reserve_bytes = BYTES,
        .expires_at_s = c->now_s - (w->ended_s ? w->ended_s : 500),
        .post = !w->put,
        .exact = !w->range && !w->put,
    };
    struct asking a = { .op = { .verb = LEDGER_RESERVE,
                                .user_hash = str_from(w->name),
                                .plan = w->plan ? w->plan : &keep,
                                .files = &file,
                                .n_files = 1,
                                .now_us = (c->now_s - 1000) * 1000000 } };
    ask(c, &a, w->name, ST_OK);
    return file.id;
}

static void grants(struct scene *c, int n, const struct wish *w)
{
    for (int i = 0; i < n; i++)
        grant(c, w);
}

static void tell(struct scene *c, const char *user, struct str id, enum ledger_verb verb,
                 int64_t size)
{
    struct asking a = {
        .op = { .verb = verb,
                .user_hash = str_from(user),
                .id = id,
                .seen = { .presence = OBJECT_THERE, .size = size, .etag = STR("\"first\"") },
                .now_us = (c->now_s - 900) * 1000000 }
    };
    ask(c, &a, user, ST_OK);
}

static struct upload view(struct scene *c, const char *user, struct str id)
{
    struct asking a = { .op = { .verb = LEDGER_VIEW,
                                .user_hash = str_from(user),
                                .id = id,
                                .now_us = c->now_s * 1000000 } };
    ask(c, &a, user, ST_OK);
    return a.op.uploads[0];
}

/* What the bytes limit holds. */
static struct limit_state held(struct scene *c, const char *user)
{
    struct asking a = { .op = { .verb = LEDGER_PEEK,
                                .user_hash = str_from(user),
                                .plan = &keep,
                                .now_us = c->now_s * 1000000 } };
    ask(c, &a, user, ST_OK);
    return a.op.states[1];
}

static uint64_t done_with(const struct scene *c)
{
    const struct sweep_counts *n = &c->counts;
    return metric_read(&n->there) + metric_read(&n->missing) + metric_read(&n->unknown) +
           metric_read(&n->unasked);
}

/* ---- what becomes of each ------------------------------------------------------------------------- */

enum before { NOTHING, CANCELLED, COMPLETED };

/* clang-format off */
static const struct {
    struct wish wish;
    enum before before;
    enum upload_state state;
    int64_t used, reserved, size;
    bool head;
} fates[] = {
    { { "there", "there", .plan = &keep },               NOTHING,   UPLOAD_COMPLETED, SEEN,  0, SEEN, true },
    { { "missing", "nowhere", .plan = &keep },           NOTHING,   UPLOAD_EXPIRED,   0,     0, -1, true },
    { { "forbidden, keep", "forbidden", .plan = &keep }, NOTHING,   UPLOAD_EXPIRED,   BYTES, 0, -1, true },
    { { "forbidden, release", "forbidden", .plan = &release_ }, NOTHING, UPLOAD_EXPIRED, 0,  0, -1, true },
    { { "broken, keep", "broken", .plan = &keep },       NOTHING,   UPLOAD_EXPIRED,   BYTES, 0, -1, true },
    { { "cancelled, there", "there", .plan = &keep },    CANCELLED, UPLOAD_CANCELLED, SEEN,  0, -1, true },
    { { "cancelled, missing", "nowhere", .plan = &keep }, CANCELLED, UPLOAD_CANCELLED, 0,    0, -1, true },
    { { "completed small, larger now", "there", .plan = &keep, .range = true }, COMPLETED, UPLOAD_COMPLETED, SEEN, 0, SEEN, true },
    { { "completed exact", "forbidden", .plan = &keep }, COMPLETED, UPLOAD_COMPLETED, BYTES, 0, BYTES, false },
    { { "completed by PUT, another now", "there", .plan = &keep, .put = true }, COMPLETED, UPLOAD_COMPLETED, SEEN, 0, SEEN, true },
    { { "completed by PUT, gone", "nowhere", .plan = &keep, .put = true }, COMPLETED, UPLOAD_COMPLETED, 0, 0, BYTES, true },
    { { "no limits", "there", .plan = &unlimited },      NOTHING,   UPLOAD_EXPIRED,   0,     0, -1, false },
    { { "no limits, cancelled", "there", .plan = &unlimited }, CANCELLED, UPLOAD_CANCELLED, 0, 0, -1, false },
    { { "bucket gone", "there", .alias = "old", .plan = &keep }, NOTHING, UPLOAD_EXPIRED, BYTES, 0, -1, false },
    { { "bucket gone, release", "there", .alias = "old", .plan = &release_ }, NOTHING, UPLOAD_EXPIRED, 0, 0, -1, false },
    { { "another bucket behind the name", "there", .bucket_name = "vault", .plan = &keep }, NOTHING, UPLOAD_EXPIRED, BYTES, 0, -1, false },
    { { "the other bucket", "there", .alias = "other", .bucket_name = "vault", .plan = &keep }, NOTHING, UPLOAD_COMPLETED, SEEN, 0, SEEN, true },
    { { "not dead yet", "there", .plan = &keep, .ended_s = 1 }, NOTHING, UPLOAD_EXPIRED, 0, BYTES, -1, false },
    { { "alive", "there", .plan = &keep, .ended_s = -500 }, NOTHING, UPLOAD_GRANTED, 0, BYTES, -1, false },
    { { "alive, completed", "there", .plan = &keep, .range = true, .ended_s = -500 }, COMPLETED, UPLOAD_COMPLETED, 0, BYTES, 3, false },
};
/* clang-format on */

static bool stays(size_t row)
{
    return fates[row].reserved > 0;
}

static void test_fates(void **state)
{
    (void)state;
    struct scene *c = begin();
    struct str ids[ROWS(fates)];
    int heads = 0;
    uint64_t ended = 0;
    for (size_t i = 0; i < ROWS(fates); i++) {
        const struct wish *w = &fates[i].wish;
        ids[i] = grant(c, w);
        if (fates[i].before == CANCELLED)
            tell(c, w->name, ids[i], LEDGER_CANCEL, 0);
        if (fates[i].before == COMPLETED)
            tell(c, w->name, ids[i], LEDGER_COMPLETE, w->range ? 3 : BYTES);
        heads += fates[i].head;
        /* one that holds nothing and is not granted any more is not even handed out */
        ended += !stays(i) && !(fates[i].before == CANCELLED && w->plan == &unlimited);
    }
    start(c);
    STORE_UNTIL(c->loop, "all settled", done_with(c) >= ended);
    for (size_t i = 0; i < ROWS(fates); i++) {
        const char *name = fates[i].wish.name;
        const struct upload u = view(c, name, ids[i]);
        CHECK_EQ(name, u.state, fates[i].state);
        CHECK_EQ(name, u.size, fates[i].size);
        CHECK_EQ(name, u.charged, stays(i));
        const struct limit_state bytes = held(c, name);
        CHECK_EQ(name, bytes.used, fates[i].used);
        CHECK_EQ(name, bytes.reserved, fates[i].reserved);
    }
    CHECK_EQ("settled", done_with(c), ended);
    CHECK_EQ("requests", c->store.requests, heads);
    CHECK_EQ("heads", metric_read(&c->counts.heads), heads);
    CHECK_EQ("failed", metric_read(&c->counts.failed), 0);
    CHECK_EQ("there", metric_read(&c->counts.there), 5);
    CHECK_EQ("missing", metric_read(&c->counts.missing), 3);
    CHECK_EQ("unknown", metric_read(&c->counts.unknown), 6);
    CHECK_EQ("unasked", metric_read(&c->counts.unasked), 2);
    end(c);
}

/* ---- bounds --------------------------------------------------------------------------------------- */

/* False where the machine stood still until the first requests had waited too long. */
static bool at_once_in_time(void)
{
    struct scene *c = begin();
    enum { N = 3 * SWEEP_AT_ONCE };
    grants(c, N, &(struct wish){ .name = "many", .key = "there" });
    c->store.hold = true;
    start(c);
    const int64_t from_ms = loop_now_ms(c->loop);
    STORE_UNTIL(c->loop, "some", c->store.waiting == SWEEP_AT_ONCE);
    for (int turns = 0; turns < 50; turns++)
        loop_turn(c->loop, 1);
    if (loop_now_ms(c->loop) - from_ms >= OBJECT_LOOK_MS) {
        end(c);
        return false;
    }
    CHECK_EQ("requests", c->store.requests, SWEEP_AT_ONCE);
    CHECK_EQ("heads", metric_read(&c->counts.heads), SWEEP_AT_ONCE);
    store_let_go(&c->store);
    STORE_UNTIL(c->loop, "all", done_with(c) == N);
    CHECK_EQ("used", held(c, "many").used, N * SEEN);
    CHECK_EQ("one batch", c->door.asked[LEDGER_DUE], 1);
    CHECK_EQ("of", c->door.max_uploads, SWEEP_BATCH);
    end(c);
    return true;
}

static void test_at_once(void **state)
{
    (void)state;
    enum { TRIES = 5 };
    int tries = 1;
    while (!at_once_in_time())
        CHECK("in time once", ++tries <= TRIES);
}

/* By the loop's own clock: the same that the sweeper goes by. */
static void test_heads_a_second(void **state)
{
    (void)state;
    struct scene *c = begin();
    enum { N = SWEEP_HEADS_PER_S + 30 };
    int64_t at_ms[N] = { 0 };
    uint64_t seen = 0;
    grants(c, N, &(struct wish){ .name = "many", .key = "there" });
    start(c);
    const int64_t end_us = loop_clock_us() + STORE_PATIENCE_MS * 1000;
    while (done_with(c) < N && loop_clock_us() < end_us) {
        loop_turn(c->loop, 20);
        for (; seen < metric_read(&c->counts.heads); seen++)
            at_ms[seen] = loop_now_ms(c->loop);
    }
    CHECK_EQ("heads", seen, N);
    for (int i = SWEEP_HEADS_PER_S; i < N; i++)
        CHECK("a second between", at_ms[i] - at_ms[i - SWEEP_HEADS_PER_S] >= 1000);
    CHECK_EQ("used", held(c, "many").used, N * SEEN);
    end(c);
}

static void test_more_than_a_batch(void **state)
{
    (void)state;
    struct scene *c = begin();
    enum { N = 2 * SWEEP_BATCH + 1 };
    grants(c, N, &(struct wish){ .name = "many", .key = "there", .plan = &unlimited });
    start(c);
    STORE_UNTIL(c->loop, "first", c->door.asked[LEDGER_DUE] == 1);
    const int64_t from_ms = witness_ms();
    STORE_UNTIL(c->loop, "all", done_with(c) == N);
    CHECK_EQ("batches", c->door.asked[LEDGER_DUE], 3);
    CHECK("no whole turns between", witness_ms() - from_ms < 2 * SWEEP_EVERY_MS);
    CHECK_EQ("requests", c->store.requests, 0);
    STORE_UNTIL(c->loop, "backlog", metric_read(&c->counts.backlog) == 0);
    end(c);
}

/* ---- what is missing for a while ------------------------------------------------------------------- */

static int lines(struct scene *c, const char *event, const char *part)
{
    static char text[65536];
    log_flush();
    rewind(c->log);
    const size_t n = fread(text, 1, sizeof(text) - 1, c->log);
    text[n] = '\0';
    int found = 0;
    char *rest = text;
    for (const char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
        found += strstr(line, event) && strstr(line, part);
    return found;
}

static void test_no_credentials(void **state)
{
    (void)state;
    struct scene *c = begin();
    grants(c, 3, &(struct wish){ .name = "waits", .key = "there" });
    grants(c, 2, &(struct wish){ .name = "needs none", .key = "there", .plan = &unlimited });
    c->no_creds = true;
    start(c);
    STORE_UNTIL(c->loop, "those without", done_with(c) == 2);
    const int64_t from_ms = loop_now_ms(c->loop);
    STORE_UNTIL(c->loop, "two turns", loop_now_ms(c->loop) > from_ms + 2 * SWEEP_EVERY_MS);
    CHECK_EQ("settled", done_with(c), 2);
    CHECK_EQ("requests", c->store.requests, 0);
    CHECK_EQ("batches", c->door.asked[LEDGER_DUE], 1);
    CHECK_EQ("reserved", held(c, "waits").reserved, 3 * BYTES);
    c->no_creds = false;
    STORE_UNTIL(c->loop, "all", done_with(c) == 5);
    CHECK_EQ("used", held(c, "waits").used, 3 * SEEN);
    CHECK_EQ("said", lines(c, "\"sweep_no_credentials\"", ""), 1);
    CHECK_EQ("said back", lines(c, "\"sweep_credentials_back\"", ""), 1);
    end(c);
}

static void test_ledger_trouble(void **state)
{
    (void)state;
    struct scene *c = begin();
    grants(c, 5, &(struct wish){ .name = "late", .key = "there" });
    c->door.failing[LEDGER_DUE] = 2;
    c->door.failing[LEDGER_SETTLE] = 2;
    start(c);
    STORE_UNTIL(c->loop, "some", done_with(c) == 3);
    CHECK_EQ("failed", metric_read(&c->counts.failed), 2);
    CHECK_EQ("reserved", held(c, "late").reserved, 2 * BYTES);
    CHECK_EQ("asked", c->door.asked[LEDGER_DUE], 3);
    CHECK_EQ("said", lines(c, "\"sweep_ledger_failed\"", "the test says so"), 2);
    CHECK_EQ("said back", lines(c, "\"sweep_ledger_back\"", ""), 2);
    c->door.skew_us = (LEDGER_LEASE_S + 1) * INT64_C(1000000);
    STORE_UNTIL(c->loop, "all", done_with(c) == 5);
    CHECK_EQ("used", held(c, "late").used, 5 * SEEN);
    end(c);
}

/* One line for each change, per bucket. */
static void test_log(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *key, *alias, *bucket;
        int forbidden, forbidden_other, gone, back, failed; /* lines so far */
    } rows[] = {
        { "there",     "main",  "box",   0, 0, 0, 0, 0 },
        { "forbidden", "main",  "box",   1, 0, 0, 0, 0 },
        { "forbidden", "main",  "box",   1, 0, 0, 0, 0 },
        { "forbidden", "other", "vault", 1, 1, 0, 0, 0 },
        { "there",     "main",  "box",   1, 1, 0, 1, 0 },
        { "forbidden", "other", "vault", 1, 1, 0, 1, 0 },
        { "there",     "old",   "gone",  1, 1, 1, 1, 0 },
        { "there",     "old",   "gone",  1, 1, 1, 1, 0 },
        { "broken",    "main",  "box",   1, 1, 1, 1, 1 },
        { "forbidden", "main",  "box",   2, 1, 1, 1, 1 },
        { "nowhere",   "main",  "box",   2, 1, 1, 2, 1 },
    };
    /* clang-format on */
    struct scene *c = begin();
    start(c);
    for (size_t i = 0; i < ROWS(rows); i++) {
        char name[32];
        snprintf(name, sizeof(name), "row %zu", i);
        grant(c, &(struct wish){ .name = name,
                                 .key = rows[i].key,
                                 .alias = rows[i].alias,
                                 .bucket_name = rows[i].bucket });
        STORE_UNTIL(c->loop, name, done_with(c) == i + 1);
        CHECK_EQ(name, lines(c, "\"sweep_forbidden\"", "\"bucket\":\"main\""), rows[i].forbidden);
        CHECK_EQ(name, lines(c, "\"sweep_forbidden\"", "\"bucket\":\"other\""),
                 rows[i].forbidden_other);
        CHECK_EQ(name, lines(c, "\"sweep_bucket_gone\"", "\"bucket\":\"old\""), rows[i].gone);
        CHECK_EQ(name, lines(c, "\"sweep_store_back\"", "\"bucket\":\"main\""), rows[i].back);
        CHECK_EQ(name, lines(c, "\"sweep_store_failed\"", "500"), rows[i].failed);
        CHECK_EQ(name, lines(c, "\"sweep_forbidden\"", "s3:GetObject"),
                 lines(c, "\"sweep_forbidden\"", "s3:ListBucket"));
        CHECK_EQ(name, lines(c, "\"sweep_forbidden\"", "s3:GetObject"),
                 rows[i].forbidden + rows[i].forbidden_other);
        CHECK_EQ(name, lines(c, "sweep_", ""),
                 rows[i].forbidden + rows[i].forbidden_other + rows[i].gone + rows[i].back +
                     rows[i].failed);
    }
    end(c);
}

/* ---- stopping in the middle ----------------------------------------------------------------------- */

static void test_stop(void **state)
{
    (void)state;
    static const char *const moments[] = { "batch asked for", "store asked", "ledger told",
                                           "before anything" };
    for (size_t i = 0; i < ROWS(moments); i++) {
        struct scene *c = begin();
        enum { N = SWEEP_AT_ONCE + 4 };
        grants(c, N, &(struct wish){ .name = "many", .key = "there" });
        c->store.hold = true;
        start(c);
        if (i < 3)
            STORE_UNTIL(c->loop, moments[i], c->door.asked[LEDGER_DUE] == 1);
        if (i == 1 || i == 2)
            STORE_UNTIL(c->loop, moments[i], c->store.waiting == SWEEP_AT_ONCE);
        if (i == 2) {
            store_let_go(&c->store);
            STORE_UNTIL(c->loop, moments[i], c->door.asked[LEDGER_SETTLE] > 0);
        }
        sweeper_free(TAKE(c->sweeper));
        store_let_go(&c->store);

        /* another one, when the leases are over, settles what is left, and nothing twice */
        c->door.skew_us = (LEDGER_LEASE_S + 1) * INT64_C(1000000);
        start(c);
        STORE_UNTIL(c->loop, moments[i], held(c, "many").used == N * SEEN);
        CHECK_EQ(moments[i], held(c, "many").reserved, 0);
        CHECK_EQ(moments[i], metric_read(&c->counts.failed), 0);
        end(c);
    }
}

/* The engine's thread is gone before the sweeper is, as at the end of the program. */
static void test_engine_first(void **state)
{
    (void)state;
    struct scene *c = begin();
    grants(c, SWEEP_AT_ONCE, &(struct wish){ .name = "many", .key = "there" });
    c->store.hold = true;
    start(c);
    STORE_UNTIL(c->loop, "asked", c->store.waiting == SWEEP_AT_ONCE);
    store_let_go(&c->store);
    STORE_UNTIL(c->loop, "told", c->door.asked[LEDGER_SETTLE] > 0);
    ledger_db_stop(c->db);
    STORE_UNTIL(c->loop, "answered",
                done_with(c) + metric_read(&c->counts.failed) == SWEEP_AT_ONCE);
    end(c);
}

static void test_upload_bucket(void **state)
{
    (void)state;
    struct bucket buckets[2] = {
        { .name = STR("main"), .where.bucket = STR("box") },
        { .name = STR("other"), .where.bucket = STR("vault") },
    };
    const struct rules rules = { .buckets = buckets, .n_buckets = 2 };
    /* clang-format off */
    const struct { const char *name; struct str alias, real; const struct bucket *want; } rows[] = {
        { "first",         STR("main"),  STR("box"),   &buckets[0] },
        { "second",        STR("other"), STR("vault"), &buckets[1] },
        { "mixed",         STR("main"),  STR("vault"), NULL },
        { "unknown alias", STR("old"),   STR("box"),   NULL },
        { "unknown name",  STR("main"),  STR("boxes"), NULL },
        { "empty",         STR(""),      STR(""),      NULL },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        const struct upload u = { .bucket = rows[i].alias, .bucket_name = rows[i].real };
        CHECK(rows[i].name, upload_bucket(&rules, &u) == rows[i].want);
        CHECK(rows[i].name, upload_bucket(NULL, &u) == NULL);
    }
}

TEST_MAIN(cmocka_unit_test(test_upload_bucket), cmocka_unit_test(test_fates),
          cmocka_unit_test(test_at_once), cmocka_unit_test(test_heads_a_second),
          cmocka_unit_test(test_more_than_a_batch), cmocka_unit_test(test_no_credentials),
          cmocka_unit_test(test_ledger_trouble), cmocka_unit_test(test_log),
          cmocka_unit_test(test_stop), cmocka_unit_test(test_engine_first))
