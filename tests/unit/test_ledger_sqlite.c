#include "test.h"

#include "ledger_suite.h"
#include "oom.h"
#include "sqlite_kit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "presignd/random.h"

#include "../../src/ledger/ledger_db.h"

static const struct limit limits[] = {
    { STR_INIT("requests"), LIMIT_RATE, 1000000, 60, 1000000 },
    { STR_INIT("files"), LIMIT_COUNT, 100, WINDOW_FOREVER, 0 },
    { STR_INIT("bytes_a_day"), LIMIT_BYTES, 1000000000, 86400, 0 },
    { STR_INIT("open"), LIMIT_OPEN, 100000, WINDOW_FOREVER, 0 },
};
static const struct plan plan = { STR_INIT("free"), limits, ROWS(limits), false };
static const struct plan unlimited = { STR_INIT("pro"), NULL, 0, false };

/* ---- what every engine answers ------------------------------------------------------------------- */

static struct kit suite_kit;

static struct ledger *suite_open_door(struct loop *l)
{
    AUTO(buf) why = BUF_INIT(1024);
    kit_folder(&suite_kit);
    const enum status st = kit_try(&suite_kit, LEDGER_DB_SERVE, &why);
    if (st != ST_OK)
        fail_msg("%s: %.*s", status_name(st), STR_ARGS(buf_view(&why)));
    return ledger_sqlite_new(suite_kit.db, l);
}

static void suite_close_door(struct ledger *door)
{
    ledger_db_stop(suite_kit.db);
    ledger_free(door);
}

static void suite_closed(void)
{
    ledger_db_free(suite_kit.db);
    kit_remove(&suite_kit);
}

static void test_suite(void **state)
{
    (void)state;
    static const struct suite_engine engine = {
        .name = "sqlite", .open = suite_open_door, .close = suite_close_door, .closed = suite_closed
    };
    ledger_suite_run(&engine);
}

/* ---- opening ------------------------------------------------------------------------------------- */

static void make_nothing(const char *path)
{
    (void)path;
}

static void make_empty(const char *path)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
}

static void make_garbage(const char *path)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (int i = 0; i < 20000; i++)
        assert_true(putc(i * 7919 % 251, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void make_folder(const char *path)
{
    assert_int_equal(mkdir(path, 0700), 0);
}

static void make_fifo(const char *path)
{
    assert_int_equal(mkfifo(path, 0600), 0);
}

static void make_device(const char *path)
{
    assert_int_equal(symlink("/dev/null", path), 0);
}

static void make_circle(const char *path)
{
    assert_int_equal(symlink(path, path), 0);
}

static void make_foreign(const char *path)
{
    kit_exec(path, "CREATE TABLE cats (name TEXT)");
}

static void make_foreign_number(const char *path)
{
    kit_exec(path, "PRAGMA application_id = 7");
}

static void make_ledger(const char *path)
{
    struct ledger_db *db;
    AUTO(buf) why = BUF_INIT(1024);
    assert_int_equal(ledger_db_open(&db, str_from(path), LEDGER_DB_SERVE, &why), ST_OK);
    ledger_db_free(db);
}

static void make_newer(const char *path)
{
    make_ledger(path);
    kit_exec(path, "PRAGMA user_version = 99");
}

static void make_older(const char *path)
{
    kit_exec(path, "PRAGMA application_id = 1886611300");
}

static void make_without_table(const char *path)
{
    make_ledger(path);
    kit_exec(path, "DROP TABLE idem");
}

static void make_cut(const char *path)
{
    char part[160];
    make_ledger(path);
    snprintf(part, sizeof(part), "%s.part", path);
    kit_copy(path, part, 5000);
    kit_copy(part, path, -1);
}

/* clang-format off */
static const struct {
    const char *name;
    void (*make)(const char *path);
    enum status serve, command;
    const char *word; /* in the sentence */
} open_rows[] = {
    { "nothing there",        make_nothing,        ST_OK,          ST_UNREACHABLE, "no such file"  },
    { "an empty file",        make_empty,          ST_OK,          ST_INVALID,     "older"         },
    { "a ledger",             make_ledger,         ST_OK,          ST_OK,          ""              },
    { "an unfinished ledger", make_older,          ST_OK,          ST_INVALID,     "older"         },
    { "garbage",              make_garbage,        ST_INVALID,     ST_INVALID,     "not a database" },
    { "a folder",             make_folder,         ST_UNREACHABLE, ST_UNREACHABLE, "a folder"      },
    { "a FIFO",               make_fifo,           ST_UNREACHABLE, ST_UNREACHABLE, "a FIFO"        },
    { "a device",             make_device,         ST_UNREACHABLE, ST_UNREACHABLE, "a device"      },
    { "a circle of links",    make_circle,         ST_UNREACHABLE, ST_UNREACHABLE, "symbolic"      },
    { "another's tables",     make_foreign,        ST_INVALID,     ST_INVALID,     "no ledger"     },
    { "another's number",     make_foreign_number, ST_INVALID,     ST_INVALID,     "no ledger"     },
    { "a newer schema",       make_newer,          ST_INVALID,     ST_INVALID,     "newer"         },
    { "a table missing",      make_without_table,  ST_INVALID,     ST_INVALID,     "no such table" },
    { "the end missing",      make_cut,            ST_INVALID,     ST_INVALID,     "malformed"     },
};
/* clang-format on */

static void check_open(const char *name, struct kit *k, enum ledger_db_mode mode, enum status want,
                       const char *word)
{
    AUTO(buf) why = BUF_INIT(1024);
    CHECK_EQ(name, kit_try(k, mode, &why), want);
    if (want == ST_OK) {
        ledger_db_free(k->db);
        k->db = NULL;
        return;
    }
    const char *sentence = buf_cstr(&why);
    assert_non_null(sentence);
    CHECK(name, strstr(sentence, k->path));
    if (!strstr(sentence, word))
        fail_msg("%s: \"%s\" does not say \"%s\"", name, sentence, word);
}

static void test_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(open_rows); i++) {
        struct kit k;
        kit_folder(&k);
        open_rows[i].make(k.path);
        check_open(open_rows[i].name, &k, LEDGER_DB_COMMAND, open_rows[i].command,
                   open_rows[i].word);
        check_open(open_rows[i].name, &k, LEDGER_DB_SERVE, open_rows[i].serve, open_rows[i].word);
        if (open_rows[i].make == make_folder)
            assert_int_equal(rmdir(k.path), 0);
        kit_teardown(&k);
    }
}

static void test_open_elsewhere(void **state)
{
    (void)state;
    struct kit k;
    kit_folder(&k);
    snprintf(k.path, sizeof(k.path), "%s/not/there/ledger.db", k.folder);
    check_open("no folder", &k, LEDGER_DB_SERVE, ST_UNREACHABLE, "lock file");
    kit_teardown(&k);
}

/* Names that mean something else to SQLite are names of files. */
static void test_odd_names(void **state)
{
    (void)state;
    static const char *const names[] = { ":memory:", "file:x?mode=memory", "" };
    char before[4096];
    struct kit k;
    kit_folder(&k);
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(k.folder), 0);
    for (size_t i = 0; i < 2; i++) {
        snprintf(k.path, sizeof(k.path), "%s", names[i]);
        check_open(names[i], &k, LEDGER_DB_SERVE, ST_OK, "");
        CHECK(names[i], kit_size(names[i]) > 0);
    }
    k.path[0] = '\0';
    AUTO(buf) why = BUF_INIT(1024);
    assert_int_not_equal(kit_try(&k, LEDGER_DB_SERVE, &why), ST_OK);
    assert_int_equal(chdir(before), 0);
    unlink("./.lock");
    char lock[160];
    kit_path(&k, ".lock", lock);
    unlink(lock);
    kit_remove(&k);
}

static void test_lock(void **state)
{
    (void)state;
    struct kit k, second;
    kit_setup(&k);
    second = k;
    check_open("a second server", &second, LEDGER_DB_SERVE, ST_INVALID, "another presignd");
    check_open("a command beside it", &second, LEDGER_DB_COMMAND, ST_OK, "");
    kit_close(&k);
    check_open("after it", &second, LEDGER_DB_SERVE, ST_OK, "");
    struct stat st;
    assert_int_equal(stat(k.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    kit_remove(&k);
}

/* What was asked is there after a restart. */
static void test_kept(void **state)
{
    (void)state;
    struct kit k;
    struct kit_ask a;
    kit_setup(&k);
    kit_reserve(&a, &plan, 1, 1, 3);
    assert_int_equal(kit_run(&k, &a), ST_OK);
    arena_release(&a.arena);
    kit_close(&k);

    kit_open_as(&k, LEDGER_DB_COMMAND);
    kit_question(&a, LEDGER_SHOW, 1);
    assert_int_equal(kit_run(&k, &a), ST_OK);
    assert_int_equal(a.op.n_tallies, ROWS(limits));
    CHECK_TEXT("second", a.op.tallies[1].name, "files");
    assert_int_equal(a.op.tallies[1].reserved, 3);
    assert_int_equal(a.op.tallies[2].reserved, 30);
    assert_int_equal(a.op.tallies[3].reserved, 3);
    arena_release(&a.arena);
    kit_teardown(&k);
}

/* ---- trouble ------------------------------------------------------------------------------------- */

static void check_unavailable(const char *name, struct kit_ask *a)
{
    CHECK_EQ(name, a->op.status, ST_LEDGER_UNAVAILABLE);
    CHECK(name, a->op.fault.log_reason.len > 0);
    CHECK(name, a->op.fault.retry_after_s > 0);
    arena_release(&a->arena);
}

/* Files may not grow any more, then they may. */
static void test_full_disk(void **state)
{
    (void)state;
    struct kit k;
    char wal[160];
    struct rlimit before, now;
    int granted = 0, id = 1;
    kit_setup(&k);
    assert_int_equal(kit_reserve_one(&k, &plan, 1, id++), ST_OK);
    granted++;
    kit_path(&k, "ledger.db-wal", wal);

    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    now = before;
    now.rlim_cur = (rlim_t)kit_size(wal) + 20000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    struct kit_ask a;
    for (int i = 0; i < 50; i++) {
        kit_reserve(&a, &plan, 1 + i % 3, id++, 1);
        if (kit_run(&k, &a) != ST_OK)
            break;
        arena_release(&a.arena);
        granted++;
    }
    struct str why;
    assert_false(ledger_ready(k.door, &why));
    assert_true(why.len > 0);
    check_unavailable("full", &a);
    kit_reserve(&a, &plan, 2, id++, 1);
    kit_run(&k, &a);
    check_unavailable("still full", &a);

    /* Nobody asks: the thread sees by itself that there is room again. */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(kit_until_ready(&k, true));
    assert_int_equal(kit_reserve_one(&k, &plan, 2, id++), ST_OK);
    granted++;
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM uploads"), granted);
    kit_teardown(&k);
}

static void test_file_gone(void **state)
{
    (void)state;
    struct kit k;
    char aside[160];
    enum status st = ST_OK;
    kit_setup(&k);
    kit_path(&k, "aside", aside);
    assert_int_equal(rename(k.path, aside), 0);
    const int64_t give_up_us = loop_clock_us() + 10000000;
    for (int id = 1; st != ST_LEDGER_UNAVAILABLE && loop_clock_us() < give_up_us; id++)
        st = kit_reserve_one(&k, &unlimited, 1, id);
    assert_int_equal(st, ST_LEDGER_UNAVAILABLE);

    /* Another file at its place is not it. */
    make_empty(k.path);
    assert_int_equal(kit_reserve_one(&k, &plan, 1, 1000000), ST_LEDGER_UNAVAILABLE);
    assert_int_equal(rename(aside, k.path), 0);
    assert_true(kit_until_ready(&k, true));
    assert_int_equal(kit_reserve_one(&k, &plan, 1, 1000000), ST_OK);
    kit_teardown(&k);
}

static void test_held_by_another(void **state)
{
    (void)state;
    struct kit k;
    struct kit_ask a;
    kit_setup(&k);
    sqlite3 *other = kit_sql(k.path);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    kit_reserve(&a, &plan, 1, 1, 1);
    kit_run(&k, &a);
    check_unavailable("held", &a);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_true(kit_until_ready(&k, true));
    assert_int_equal(kit_reserve_one(&k, &plan, 1, 1), ST_OK);
    sqlite3_close(other);
    kit_teardown(&k);
}

/* The thread hangs (a disk that does not answer): questions are answered at their deadline, and what
 * the hung RESERVE gets later is taken back. */
static void test_hang(void **state)
{
    (void)state;
    struct kit k;
    struct kit_ask a, view;
    struct str why;
    kit_setup(&k);
    pthread_mutex_lock(&k.db->work);
    kit_reserve(&a, &plan, 1, 1, 2);
    kit_question(&view, LEDGER_SHOW, 1);
    kit_start(&k, &a);
    kit_start(&k, &view);
    kit_wait(&k, &a);
    kit_wait(&k, &view);
    check_unavailable("reserve", &a);
    check_unavailable("show", &view);
    assert_false(ledger_ready(k.door, &why));
    CHECK_TEXT("why", why, "the ledger does not answer");
    pthread_mutex_unlock(&k.db->work);

    assert_true(kit_until_ready(&k, true));
    assert_int_equal(kit_reserve_one(&k, &plan, 1, 10), ST_OK);
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM uploads"), 1);
    kit_teardown(&k);
}

/* How often the journal has begun anew: bytes 12 to 15 of its header (fileformat2.html, 4.1). */
static unsigned begun_anew(const struct kit *k)
{
    unsigned char header[16] = { 0 };
    char wal[160];
    kit_path(k, "ledger.db-wal", wal);
    FILE *f = fopen(wal, "rb");
    assert_non_null(f);
    assert_int_equal(fread(header, sizeof(header), 1, f), 1);
    assert_int_equal(fclose(f), 0);
    return (unsigned)header[12] << 24 | (unsigned)header[13] << 16 | (unsigned)header[14] << 8 |
           header[15];
}

/* Reserves until the journal has begun anew so often; the ids that it took. */
static int reserve_until_begun(struct kit *k, int id, unsigned times)
{
    const unsigned before = begun_anew(k);
    const int last = id + 20 * LEDGER_COPY_FRAMES;
    for (; id < last && begun_anew(k) - before < times; id++)
        assert_int_equal(kit_reserve_one(k, &unlimited, id, id), ST_OK);
    assert_true(id < last);
    return id;
}

/* The journal is copied while it is written, and begins anew though nobody ever pauses. */
static void test_copied_meanwhile(void **state)
{
    (void)state;
    struct kit k;
    kit_setup(&k);
    assert_int_equal(kit_reserve_one(&k, &unlimited, 1, 1), ST_OK);
    const int end = reserve_until_begun(&k, 2, 2);
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM uploads"), end - 1);
    kit_close(&k);
    char wal[160];
    kit_path(&k, "ledger.db-wal", wal);
    assert_int_equal(kit_size(wal), -1); /* the last connection has taken it away */
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM uploads"), end - 1);
    kit_remove(&k);
}

/* A reader that stays: the journal grows beyond the next copy and nobody is refused. */
static void test_long_reader(void **state)
{
    (void)state;
    struct kit k;
    kit_setup(&k);
    sqlite3 *reader = kit_sql(k.path);
    assert_int_equal(kit_reserve_one(&k, &plan, 1, 1), ST_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM uploads", NULL, NULL, NULL),
                     SQLITE_OK);
    const unsigned before = begun_anew(&k);
    char wal[160];
    kit_path(&k, "ledger.db-wal", wal);
    int id = 100;
    for (; kit_size(wal) < 2 * LEDGER_COPY_FRAMES * 4096L; id++)
        assert_int_equal(kit_reserve_one(&k, &unlimited, id, id), ST_OK);
    assert_int_equal(begun_anew(&k), before);
    assert_int_equal(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(reader);
    /* Without it the journal is used again from its beginning. */
    id = reserve_until_begun(&k, id, 1);
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM uploads"), id - 99);
    kit_teardown(&k);
}

/* clang-format off */
static const struct { const char *name, *sql; } spoils[] = {
    { "no tally",        "UPDATE users SET tallies = 'cat' WHERE user LIKE '%1'" },
    { "below zero",      "UPDATE users SET tallies = 'files count 0 -5 0 0' WHERE user LIKE '%1'" },
    { "too large",       "UPDATE users SET tallies = 'files count 0 9223372036854775807 0 0' WHERE user LIKE '%1'" },
    { "a NUL",           "UPDATE users SET tallies = 'files count 0 0' || char(0) || ' 0 0' WHERE user LIKE '%1'" },
    { "open backwards",  "UPDATE users SET open = '20:1 10:1' WHERE user LIKE '%1'" },
    { "open below zero", "UPDATE users SET open = '20:-1' WHERE user LIKE '%1'" },
};
/* clang-format on */

/* One row that somebody spoilt: its user is refused, nobody else. */
static void test_spoilt_user(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(spoils); i++) {
        struct kit k;
        struct kit_ask bad, good;
        kit_setup(&k);
        CHECK_EQ(spoils[i].name, kit_reserve_one(&k, &plan, 1, 1), ST_OK);
        kit_exec(k.path, spoils[i].sql);
        kit_reserve(&bad, &plan, 1, 2, 1);
        kit_reserve(&good, &plan, 2, 3, 1);
        kit_start(&k, &bad);
        kit_start(&k, &good);
        kit_wait(&k, &bad);
        kit_wait(&k, &good);
        CHECK_EQ(spoils[i].name, good.op.status, ST_OK);
        check_unavailable(spoils[i].name, &bad);
        arena_release(&good.arena);
        struct str why;
        CHECK(spoils[i].name, ledger_ready(k.door, &why));
        kit_teardown(&k);
    }
}

/* clang-format off */
static const char *const upload_spoils[] = {
    "UPDATE uploads SET state = 'lost'",        "UPDATE uploads SET charge = ''",
    "UPDATE uploads SET reserve_bytes = -1",    "UPDATE uploads SET content_length = -2",
    "UPDATE uploads SET expires_s = -1",        "UPDATE uploads SET holders = -1",
    "UPDATE uploads SET size = 9223372036854775807",
    "UPDATE uploads SET due_s = -9223372036854775808",
};
/* clang-format on */

static void test_spoilt_upload(void **state)
{
    (void)state;
    static const enum ledger_verb verbs[] = { LEDGER_VIEW, LEDGER_CANCEL, LEDGER_COMPLETE,
                                              LEDGER_SETTLE };
    for (size_t i = 0; i < ROWS(upload_spoils); i++) {
        struct kit k;
        struct kit_ask a, reserved;
        kit_setup(&k);
        kit_reserve(&reserved, &plan, 1, 1, 1);
        CHECK_EQ(upload_spoils[i], kit_run(&k, &reserved), ST_OK);
        kit_exec(k.path, upload_spoils[i]);
        for (size_t v = 0; v < ROWS(verbs); v++) {
            kit_question(&a, verbs[v], 1);
            a.op.id = reserved.op.files[0].id;
            kit_run(&k, &a);
            check_unavailable(upload_spoils[i], &a);
        }
        kit_question(&a, LEDGER_DUE, 1);
        a.op.now_us += (KIT_LIFE_S + 3600) * INT64_C(1000000);
        a.op.max_uploads = 10;
        CHECK_EQ(upload_spoils[i], kit_run(&k, &a), ST_OK);
        CHECK_EQ(upload_spoils[i], a.op.n_uploads, 0);
        arena_release(&a.arena);
        arena_release(&reserved.arena);
        kit_teardown(&k);
    }
}

/* Charges that cannot be read: the upload stays as it is. */
static void test_spoilt_charges(void **state)
{
    (void)state;
    struct kit k;
    struct kit_ask a;
    kit_setup(&k);
    kit_reserve(&a, &plan, 1, 1, 1);
    assert_int_equal(kit_run(&k, &a), ST_OK);
    kit_exec(k.path, "UPDATE uploads SET charges = 'files rate 0'");
    struct kit_ask settle;
    kit_question(&settle, LEDGER_SETTLE, 1);
    settle.op.id = a.files[0].id;
    settle.op.seen.presence = OBJECT_MISSING;
    settle.op.now_us += (KIT_LIFE_S + 3600) * INT64_C(1000000);
    kit_run(&k, &settle);
    check_unavailable("settle", &settle);
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM uploads WHERE state = 'granted'"), 1);
    arena_release(&a.arena);
    kit_teardown(&k);
}

/* An id that is there already spoils its own request and no other of the transaction. */
static void test_same_id(void **state)
{
    (void)state;
    struct kit k;
    struct kit_ask a[4];
    static const int ids[] = { 1, 1, 2, 3 };
    kit_setup(&k);
    for (size_t i = 0; i < ROWS(a); i++) {
        kit_reserve(&a[i], &plan, 1, ids[i], 1);
        kit_start(&k, &a[i]);
    }
    int granted = 0;
    for (size_t i = 0; i < ROWS(a); i++) {
        kit_wait(&k, &a[i]);
        granted += a[i].op.status == ST_OK;
    }
    assert_int_equal(granted, 3);
    assert_int_equal(a[0].op.status, ST_OK);
    assert_int_equal(a[1].op.status, ST_LEDGER_UNAVAILABLE);
    for (size_t i = 0; i < ROWS(a); i++)
        arena_release(&a[i].arena);
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM uploads"), 3);
    struct kit_ask show;
    kit_question(&show, LEDGER_SHOW, 1);
    assert_int_equal(kit_run(&k, &show), ST_OK);
    assert_int_equal(show.op.tallies[1].reserved, 3);
    arena_release(&show.arena);
    kit_teardown(&k);
}

/* Pages overwritten: whatever can be opened never grants wrongly and never crashes. */
static void test_corrupt_pages(void **state)
{
    (void)state;
    static struct random_pool pool;
    for (int round = 0; round < 20; round++) {
        struct kit k;
        kit_setup(&k);
        for (int i = 0; i < 40; i++)
            assert_int_equal(kit_reserve_one(&k, &plan, i % 5, i + 1), ST_OK);
        kit_close(&k);
        const int fd = open(k.path, O_RDWR | O_CLOEXEC);
        unsigned char junk[512];
        assert_true(fd >= 0 && random_bytes(&pool, junk, sizeof(junk)) == ST_OK);
        const int64_t at = 100 + random_below(&pool, kit_size(k.path) - 700);
        assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
        close(fd);

        AUTO(buf) why = BUF_INIT(1024);
        const enum status st = kit_try(&k, LEDGER_DB_SERVE, &why);
        if (st == ST_OK) {
            ledger_db_free(k.db);
            k.db = NULL;
            kit_open(&k);
            for (int i = 0; i < 10; i++) {
                const enum status got = kit_reserve_one(&k, &plan, i % 5, 100 + i);
                assert_true(got == ST_OK || got == ST_LEDGER_UNAVAILABLE);
            }
        } else {
            if (st != ST_INVALID)
                fail_msg("%.*s", STR_ARGS(buf_view(&why)));
        }
        kit_teardown(&k);
    }
}

/* ---- power loss ---------------------------------------------------------------------------------- */

enum { HISTORY = 60 };

/* The journal cut anywhere: what opens is the history up to some moment. */
static void test_power_loss(void **state)
{
    (void)state;
    static struct random_pool pool;
    struct kit k, after;
    char wal[160], cut_wal[160];
    kit_setup(&k);
    for (int i = 1; i <= HISTORY; i++)
        assert_int_equal(kit_reserve_one(&k, &plan, 1, i), ST_OK);
    kit_path(&k, "ledger.db-wal", wal);
    const long whole = kit_size(wal);
    assert_true(whole > 100000);

    bool seen[HISTORY + 1] = { false };
    for (int round = 0; round < 60; round++) {
        kit_folder(&after);
        kit_path(&after, "ledger.db-wal", cut_wal);
        const long cut = round == 0 ? whole : (long)random_below(&pool, whole);
        kit_copy(k.path, after.path, -1);
        kit_copy(wal, cut_wal, cut);
        if (cut < 1000 && kit_size(after.path) == 0) {
            kit_remove(&after);
            continue;
        }
        kit_open(&after);
        const int64_t n = kit_number(after.path, "SELECT count(*) FROM uploads");
        const int64_t last = kit_number(after.path, "SELECT coalesce(max(rowid), 0) FROM uploads");
        const int64_t reserved = kit_number(
            after.path, "SELECT coalesce(sum(instr(tallies, char(10) || 'files count 0 0 ' || "
                        "(SELECT count(*) FROM uploads) || ' 0') > 0), 0) FROM users");
        assert_true(n <= HISTORY && last == n);
        assert_int_equal(reserved, n > 0);
        assert_true(round > 0 || n == HISTORY);
        seen[n] = true;
        assert_int_equal(kit_reserve_one(&after, &plan, 1, 1000), ST_OK);
        kit_teardown(&after);
    }
    size_t moments = 0;
    for (size_t i = 0; i <= HISTORY; i++)
        moments += seen[i];
    assert_true(moments > 10);
    kit_teardown(&k);
}

/* ---- the end, and what is given up --------------------------------------------------------------- */

static void test_stop(void **state)
{
    (void)state;
    struct kit k;
    struct kit_ask a[20], late;
    kit_setup(&k);
    for (size_t i = 0; i < ROWS(a); i++) {
        kit_reserve(&a[i], &plan, 1, (int)i + 1, 1);
        kit_start(&k, &a[i]);
        if (i == 9)
            loop_turn(k.loop, 0); /* half of them have crossed to the thread */
    }
    ledger_db_stop(k.db);
    ledger_db_stop(k.db);
    for (size_t i = 0; i < ROWS(a); i++) {
        kit_wait(&k, &a[i]);
        assert_int_equal(a[i].op.status, ST_OK);
    }
    kit_reserve(&late, &plan, 1, 100, 1);
    assert_int_equal(ledger_ask(k.door, &late.op), LEDGER_DONE);
    check_unavailable("late", &late);

    /* What was never handed out goes back even now; one of them when the door closes. */
    ledger_release(k.door, &a[0].op);
    loop_turn(k.loop, 0);
    ledger_release(k.door, &a[1].op);
    for (size_t i = 0; i < ROWS(a); i++)
        arena_release(&a[i].arena);
    kit_close(&k);
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM uploads"), ROWS(a) - 2);
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM users WHERE instr(tallies,"
                                        " char(10) || 'files count 0 0 18 0') > 0"),
                     1);
    kit_remove(&k);
    ledger_db_stop(NULL);
    ledger_db_free(NULL);
}

static void test_given_up(void **state)
{
    (void)state;
    struct kit k;
    struct kit_ask view, reserve, other;
    kit_setup(&k);
    kit_question(&view, LEDGER_SHOW, 1);
    kit_reserve(&reserve, &plan, 1, 1, 2);
    kit_reserve(&other, &plan, 1, 10, 1);
    kit_start(&k, &view);
    kit_start(&k, &reserve);
    kit_start(&k, &other);
    ledger_cancel(k.door, &view.op);
    ledger_release(k.door, &reserve.op);
    /* Their memory may go at once. */
    arena_release(&view.arena);
    arena_release(&reserve.arena);
    memset(&view.op, 0xff, sizeof(view.op));
    memset(&reserve.op, 0xff, sizeof(reserve.op));
    kit_wait(&k, &other);
    assert_int_equal(other.op.status, ST_OK);
    ledger_cancel(k.door, &other.op);
    assert_int_equal(view.done + reserve.done, 0);
    arena_release(&other.arena);
    kit_close(&k);
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM uploads"), 1);
    kit_remove(&k);
}

/* A door that closes with questions under way. */
static void test_door_closes(void **state)
{
    (void)state;
    struct kit k;
    struct kit_ask a;
    kit_setup(&k);
    kit_reserve(&a, &plan, 1, 1, 1);
    kit_start(&k, &a);
    ledger_db_stop(k.db);
    ledger_free(k.door);
    arena_release(&a.arena);
    loop_free(k.loop);
    assert_int_equal(a.done, 0);
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM uploads"), 0);
    ledger_db_free(k.db);
    kit_remove(&k);
}

/* An arena without room: a grant that cannot be told is no grant. */
static void test_answer_without_room(void **state)
{
    (void)state;
    struct kit k;
    struct kit_ask a;
    kit_setup(&k);
    kit_reserve(&a, &plan, 1, 1, 1);
    a.arena = ARENA_INIT(16);
    assert_int_equal(kit_run(&k, &a), ST_LEDGER_UNAVAILABLE);
    arena_release(&a.arena);
    kit_close(&k);
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM uploads"), 0);
    kit_remove(&k);
}

/* ---- exactly ------------------------------------------------------------------------------------- */

enum { RACE_LOOPS = 4, RACE_ASKS = 64 };

struct racer {
    struct loop *loop;
    struct ledger *door;
    struct kit_ask asks[RACE_ASKS];
    int granted, refused, left;
    int first_id;
};

static void race_done(struct ledger_op *op)
{
    struct kit_ask *a = container_of(op, struct kit_ask, op);
    a->done++;
}

static void *race(void *arg)
{
    struct racer *r = arg;
    for (int i = 0; i < RACE_ASKS; i++) {
        struct kit_ask *a = &r->asks[i];
        kit_reserve(a, &plan, 7, r->first_id + i * 2, 1 + (size_t)i % 2);
        a->op.done = race_done;
        if (ledger_ask(r->door, &a->op) == LEDGER_DONE)
            a->done++;
        if (i % 5 == 0)
            loop_turn(r->loop, 0);
    }
    const int64_t give_up_us = loop_clock_us() + KIT_DEADLINE_S * INT64_C(1000000);
    for (int i = 0; i < RACE_ASKS; i++) {
        struct kit_ask *a = &r->asks[i];
        while (!a->done && loop_clock_us() < give_up_us)
            loop_turn(r->loop, 10);
        if (a->op.status == ST_OK)
            r->granted += (int)a->op.n_files;
        else if (a->op.status == ST_QUOTA_NEVER)
            r->refused++;
        arena_release(&a->arena);
    }
    return NULL;
}

/* 256 requests on 4 loops for 384 files where 100 are allowed. */
static void test_race(void **state)
{
    (void)state;
    static struct racer racers[RACE_LOOPS];
    pthread_t threads[RACE_LOOPS];
    struct kit k;
    int granted = 0, refused = 0;
    kit_setup(&k);
    for (int i = 0; i < RACE_LOOPS; i++) {
        racers[i] = (struct racer){ .loop = loop_new(), .first_id = 1000 * (i + 1) };
        racers[i].door = ledger_sqlite_new(k.db, racers[i].loop);
        assert_non_null(racers[i].door);
    }
    for (int i = 0; i < RACE_LOOPS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    for (int i = 0; i < RACE_LOOPS; i++)
        pthread_join(threads[i], NULL);
    ledger_db_stop(k.db);
    for (int i = 0; i < RACE_LOOPS; i++) {
        granted += racers[i].granted;
        refused += racers[i].refused;
        ledger_free(racers[i].door);
        loop_free(racers[i].loop);
    }
    assert_int_equal(granted, 100);
    assert_true(refused > 0);
    assert_int_equal(kit_number(k.path, "SELECT count(*) FROM uploads"), 100);
    kit_teardown(&k);
}

/* ---- no memory ----------------------------------------------------------------------------------- */

static struct kit oom_kit;

/* Whatever allocation fails: a grant that was told is there, any other is not. */
static bool reserve_promises(void)
{
    static int id = 1;
    bool held = false;
    struct kit_ask a;
    kit_reserve(&a, &plan, 1, id++, 1);
    struct loop *loop = oom_kit.loop;
    struct ledger *door = ledger_sqlite_new(oom_kit.db, loop);
    if (door) {
        if (ledger_ask(door, &a.op) == LEDGER_DONE)
            a.done++;
        const int64_t give_up_us = loop_clock_us() + KIT_DEADLINE_S * INT64_C(1000000);
        while (!a.done && loop_clock_us() < give_up_us)
            loop_turn(loop, 100);
        held = a.done == 1 &&
               (a.op.status == ST_OK || (a.op.status == ST_LEDGER_UNAVAILABLE && oom_struck()));
        oom_pause();
        ledger_release(door, &a.op);
        /* A question behind the release: when it is answered, the release is done. */
        struct kit_ask last;
        kit_question(&last, LEDGER_SHOW, 1);
        if (ledger_ask(door, &last.op) == LEDGER_DONE)
            last.done++;
        while (!last.done && loop_clock_us() < give_up_us)
            loop_turn(loop, 100);
        held = held && last.done == 1 && last.op.status != ST_LEDGER_UNAVAILABLE;
        for (size_t i = 0; held && i < last.op.n_tallies; i++)
            held = last.op.tallies[i].reserved == 0;
        ledger_free(door);
        arena_release(&last.arena);
        oom_resume();
    }
    arena_release(&a.arena);
    return door ? held : oom_struck();
}

static bool open_promises(void)
{
    AUTO(buf) why = BUF_INIT(1024);
    struct ledger_db *db = NULL;
    const enum status st = ledger_db_open(&db, str_from(oom_kit.path), LEDGER_DB_COMMAND, &why);
    if (st == ST_OK)
        ledger_db_free(db);
    return st == ST_OK || oom_struck();
}

static void test_no_memory(void **state)
{
    (void)state;
    kit_setup(&oom_kit);
    assert_int_equal(kit_reserve_one(&oom_kit, &plan, 1, 1000000), ST_OK);
    kit_exec(oom_kit.path, "UPDATE users SET tallies = '', open = ''; DELETE FROM uploads");
    oom_torture(reserve_promises);
    oom_torture_ours(open_promises);
    kit_close(&oom_kit);
    assert_int_equal(kit_number(oom_kit.path, "SELECT count(*) FROM uploads"), 0);
    kit_remove(&oom_kit);
}

/* ---- copies -------------------------------------------------------------------------------------- */

static void test_backup(void **state)
{
    (void)state;
    struct kit k;
    char to[160];
    AUTO(buf) why = BUF_INIT(1024);
    kit_setup(&k);
    for (int i = 1; i <= 20; i++)
        assert_int_equal(kit_reserve_one(&k, &plan, i % 3, i), ST_OK);
    kit_path(&k, "copy.db", to);
    assert_int_equal(ledger_db_backup(str_from(k.path), str_from(to), &why), ST_OK);
    assert_int_equal(kit_reserve_one(&k, &plan, 1, 100), ST_OK);
    assert_int_equal(kit_number(to, "SELECT count(*) FROM uploads"), 20);
    struct stat st;
    assert_int_equal(stat(to, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    buf_reset(&why);
    assert_int_equal(ledger_db_backup(str_from(k.path), str_from(to), &why), ST_UNREACHABLE);
    CHECK("it names the file", strstr(buf_cstr(&why), to));
    buf_reset(&why);
    kit_path(&k, "not/there.db", to);
    assert_int_equal(ledger_db_backup(str_from(k.path), str_from(to), &why), ST_UNREACHABLE);
    buf_reset(&why);
    kit_path(&k, "none.db", to);
    assert_int_equal(ledger_db_backup(str_from(to), STR("x.db"), &why), ST_UNREACHABLE);
    CHECK("it names the ledger", strstr(buf_cstr(&why), to));
    kit_teardown(&k);
}

/* A copy that cannot be finished leaves nothing behind. */
static void test_backup_full(void **state)
{
    (void)state;
    struct kit k;
    char to[160];
    struct rlimit before, now;
    AUTO(buf) why = BUF_INIT(1024);
    kit_setup(&k);
    for (int i = 1; i <= 20; i++)
        assert_int_equal(kit_reserve_one(&k, &plan, i % 3, i), ST_OK);
    kit_path(&k, "copy.db", to);
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    now = before;
    now.rlim_cur = 10000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    const enum status st = ledger_db_backup(str_from(k.path), str_from(to), &why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(st, ST_UNREACHABLE);
    assert_int_equal(kit_size(to), -1);
    kit_teardown(&k);
}

static void test_export(void **state)
{
    (void)state;
    struct kit k;
    struct kit_ask a;
    char out[160], line[4096];
    AUTO(buf) why = BUF_INIT(1024);
    kit_setup(&k);
    kit_reserve(&a, &plan, 1, 1, 2);
    a.files[0].key = STR("up/\"cat\"\n.png");
    assert_int_equal(kit_run(&k, &a), ST_OK);
    arena_release(&a.arena);
    assert_int_equal(kit_reserve_one(&k, &plan, 2, 10), ST_OK);
    kit_exec(k.path, "UPDATE users SET tallies = 'odd' WHERE user LIKE '%2'");

    kit_path(&k, "lines", out);
    const int fd = open(out, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ledger_db_export(str_from(k.path), fd, &why), ST_OK);
    close(fd);
    static const char *const starts[] = {
        "{\"user\":\"00000000000000000000000000000001\",\"limits\":[{\"name\":\"requests\",",
        "{\"user\":\"00000000000000000000000000000002\",\"unreadable\":\"odd\"",
        "{\"upload\":{\"id\":\"019ab000-0000-7000-8000-000000000001\",",
        "{\"upload\":{\"id\":\"019ab000-0000-7000-8000-000000000002\",",
        "{\"upload\":{\"id\":\"019ab000-0000-7000-8000-00000000000a\",",
    };
    FILE *f = fopen(out, "r");
    assert_non_null(f);
    for (size_t i = 0; i < ROWS(starts); i++) {
        assert_non_null(fgets(line, sizeof(line), f));
        if (strncmp(line, starts[i], strlen(starts[i])) != 0)
            fail_msg("line %zu is %s", i, line);
        assert_true(strlen(line) > 2 && strcmp(line + strlen(line) - 2, "}\n") == 0);
    }
    assert_null(fgets(line, sizeof(line), f));
    assert_int_equal(fclose(f), 0);

    /* A reader that is not there. */
    buf_reset(&why);
    assert_int_equal(ledger_db_export(str_from(k.path), -1, &why), ST_UNREACHABLE);
    assert_true(why.len > 0);
    kit_teardown(&k);
}

TEST_MAIN(cmocka_unit_test(test_suite), cmocka_unit_test(test_open),
          cmocka_unit_test(test_open_elsewhere), cmocka_unit_test(test_odd_names),
          cmocka_unit_test(test_lock), cmocka_unit_test(test_kept),
          cmocka_unit_test(test_full_disk), cmocka_unit_test(test_file_gone),
          cmocka_unit_test(test_held_by_another), cmocka_unit_test(test_hang),
          cmocka_unit_test(test_copied_meanwhile), cmocka_unit_test(test_long_reader),
          cmocka_unit_test(test_no_memory), cmocka_unit_test(test_spoilt_user),
          cmocka_unit_test(test_spoilt_upload), cmocka_unit_test(test_spoilt_charges),
          cmocka_unit_test(test_same_id), cmocka_unit_test(test_corrupt_pages),
          cmocka_unit_test(test_power_loss), cmocka_unit_test(test_stop),
          cmocka_unit_test(test_given_up), cmocka_unit_test(test_door_closes),
          cmocka_unit_test(test_answer_without_room), cmocka_unit_test(test_race),
          cmocka_unit_test(test_backup), cmocka_unit_test(test_backup_full),
          cmocka_unit_test(test_export))
