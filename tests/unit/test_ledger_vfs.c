#include "test.h"

#include <signal.h>
#include <sys/resource.h>

#include "sqlite_kit.h"

#include "../../src/ledger/ledger_db.h"

enum { ROWS_EACH = 100 }; /* of about a page */

static sqlite3 *open_with(const struct kit *k, const char *vfs)
{
    sqlite3 *sql = NULL;
    assert_int_equal(
        sqlite3_open_v2(k->path, &sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs), SQLITE_OK);
    return sql;
}

static int run(sqlite3 *sql, const char *text)
{
    return sqlite3_exec(sql, text, NULL, NULL, NULL);
}

static sqlite3 *setup(struct kit *k)
{
    kit_folder(k);
    sqlite3 *sql = open_with(k, LEDGER_VFS);
    assert_int_equal(run(sql, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                              "PRAGMA cache_spill = OFF; PRAGMA wal_autocheckpoint = 0;"
                              "CREATE TABLE t (text TEXT)"),
                     SQLITE_OK);
    return sql;
}

static int add_rows(sqlite3 *sql)
{
    return run(sql, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
                    "INSERT INTO t SELECT hex(randomblob(1900)) FROM n");
}

/* As another program sees it, which knows nothing of ours. */
static void check_rows(const struct kit *k, int want)
{
    sqlite3 *other = open_with(k, NULL);
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_prepare_v2(other,
                                        "SELECT count(*), (SELECT integrity_check FROM "
                                        "pragma_integrity_check) FROM t",
                                        -1, &s, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(s, 0), want);
    assert_string_equal((const char *)sqlite3_column_text(s, 1), "ok");
    sqlite3_finalize(s);
    sqlite3_close(other);
}

/* Of this thread, so far. */
static long writes(void)
{
    char line[64];
    long n = -1;
    FILE *f = fopen("/proc/thread-self/io", "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        if (strncmp(line, "syscw: ", 7) == 0)
            n = strtol(line + 7, NULL, 10);
    fclose(f);
    assert_true(n >= 0);
    return n;
}

/* 400 KB in pages of 4 KB: 200 calls without it. */
static void test_few_calls(void **state)
{
    (void)state;
    struct kit k;
    sqlite3 *sql = setup(&k);
    const long before = writes();
    assert_int_equal(add_rows(sql), SQLITE_OK);
    assert_true(writes() - before < 10);
    check_rows(&k, ROWS_EACH);
    sqlite3_close(sql);
    check_rows(&k, ROWS_EACH);
    kit_remove(&k);
}

/* Two that write by turns, one of them without ours: each finds what the other has written. */
static void test_turns(void **state)
{
    (void)state;
    struct kit k;
    sqlite3 *sql = setup(&k), *other = open_with(&k, NULL);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(add_rows(sql), SQLITE_OK);
        check_rows(&k, (2 * i - 1) * ROWS_EACH);
        assert_int_equal(add_rows(other), SQLITE_OK);
        check_rows(&k, 2 * i * ROWS_EACH);
        assert_int_equal(run(sql, "BEGIN"), SQLITE_OK);
        assert_int_equal(add_rows(sql), SQLITE_OK);
        assert_int_equal(run(sql, "ROLLBACK"), SQLITE_OK);
        assert_int_equal(run(i % 2 ? sql : other, "PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
    }
    sqlite3_close(other);
    sqlite3_close(sql);
    check_rows(&k, 10 * ROWS_EACH);
    kit_remove(&k);
}

/* The disk is full somewhere in the frames of a transaction: it fails, and nothing of it stays. */
static void test_full(void **state)
{
    (void)state;
    static const long room[] = { 0, 10, 24, 4119, 4120, 50000, 131072, 200000, 300000 };
    struct kit k;
    char wal[160];
    sqlite3 *sql = setup(&k);
    struct rlimit before;
    kit_path(&k, "ledger.db-wal", wal);
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (int i = 0; i < (int)ROWS(room); i++) {
        assert_int_equal(run(sql, "PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES ('x');"
                                  "DELETE FROM t WHERE text = 'x'"),
                         SQLITE_OK);
        struct rlimit now = before;
        now.rlim_cur = (rlim_t)(kit_size(wal) + room[i]);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
        assert_int_not_equal(add_rows(sql), SQLITE_OK);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        check_rows(&k, i * ROWS_EACH);
        assert_int_equal(add_rows(sql), SQLITE_OK);
        check_rows(&k, (i + 1) * ROWS_EACH);
    }
    sqlite3_close(sql);
    check_rows(&k, (int)ROWS(room) * ROWS_EACH);
    kit_remove(&k);
}

int main(void)
{
    ledger_vfs_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_calls),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
