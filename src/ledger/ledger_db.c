/*
 * ledger_db - the file of the embedded ledger: lock, opening, schema.
 *
 * The lock is flock() on a file of its own: SQLite's locks are of another kind (fcntl), and they
 * are lost when any descriptor of the database is closed, so nothing here opens the database by
 * itself once SQLite has.
 */
#include "ledger_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PATH_BYTES_MAX = 4096,
    APPLICATION_ID = 0x70736764, /* "psgd" */
    SCHEMA = 1,
    LOOK_EVERY_US = 1000000,
    TEXT_BYTES = 16384,
};

/* clang-format off */
/* What takes a file from the version before (an empty file is version 0) to the next. */
static const char *const migrations[SCHEMA] = {
    [0] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) STRICT;"
    "CREATE TABLE users (user TEXT NOT NULL PRIMARY KEY, tallies TEXT NOT NULL,"
    " open TEXT NOT NULL, seen_s INTEGER NOT NULL) STRICT;"
    "CREATE TABLE uploads (id TEXT NOT NULL PRIMARY KEY, user TEXT NOT NULL,"
    " state TEXT NOT NULL, profile TEXT NOT NULL, bucket TEXT NOT NULL, bucket_name TEXT NOT NULL,"
    " key TEXT NOT NULL, content_type TEXT NOT NULL, content_length INTEGER NOT NULL,"
    " reserve_bytes INTEGER NOT NULL, created_s INTEGER NOT NULL, expires_s INTEGER NOT NULL,"
    " size INTEGER NOT NULL, etag TEXT NOT NULL, post INTEGER NOT NULL, exact INTEGER NOT NULL,"
    " unsettled_release INTEGER NOT NULL, opens INTEGER NOT NULL, charge TEXT NOT NULL,"
    " charges TEXT NOT NULL, used_bytes INTEGER NOT NULL, holders INTEGER NOT NULL,"
    " due_s INTEGER NOT NULL, ended INTEGER NOT NULL) STRICT;"
    "CREATE INDEX uploads_due ON uploads (ended, due_s);"
    "CREATE TABLE idem (user TEXT NOT NULL, key TEXT NOT NULL,"
    " request_hash TEXT NOT NULL, created_us INTEGER NOT NULL, ids TEXT NOT NULL,"
    " PRIMARY KEY (user, key)) STRICT;",
};
/* clang-format on */

/* ---- words -------------------------------------------------------------------------------------- */

void ledger_db_why(struct buf *why, struct str path, struct str what, struct str words)
{
    buf_str(why, path);
    buf_lit(why, ": ");
    buf_str(why, what);
    if (words.len > 0) {
        buf_lit(why, ": ");
        buf_str(why, words);
    }
}

void ledger_db_say(struct ledger_db *db, struct str what, int rc)
{
    struct buf b = BUF_FIXED(db->reason);
    buf_str(&b, what);
    if (rc != SQLITE_OK) {
        buf_lit(&b, ": ");
        buf_str(&b, str_slice(str_from(sqlite3_errstr(rc)), 0, LEDGER_WHY_MAX / 2));
        buf_lit(&b, " (SQLite ");
        buf_int(&b, rc);
        buf_lit(&b, ")");
    }
    if (!buf_cstr(&b))
        db->reason[0] = '\0';
}

char *ledger_db_plain_path(struct str path)
{
    /* ":memory:", "file:..." and "" mean something else to SQLite. */
    const bool absolute = path.len > 0 && path.ptr[0] == '/';
    AUTO(buf) text = BUF_INIT(PATH_BYTES_MAX);
    if (!absolute)
        buf_lit(&text, "./");
    buf_str(&text, path);
    const char *c = buf_cstr(&text);
    return c ? strdup(c) : NULL;
}

/* ---- the lock ----------------------------------------------------------------------------------- */

static enum status take_lock(struct ledger_db *db, struct str path, struct buf *why)
{
    AUTO(buf) name = BUF_INIT(PATH_BYTES_MAX);
    buf_str(&name, str_from(db->path));
    buf_lit(&name, ".lock");
    const char *c = buf_cstr(&name);
    if (!c)
        return ST_NO_MEMORY;
    db->lock_fd = open(c, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (db->lock_fd < 0) {
        ledger_db_why(why, path, STR("its lock file cannot be made"),
                      str_from(strerrordesc_np(errno)));
        return ST_UNREACHABLE;
    }
    if (flock(db->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return ST_OK;
    if (errno == EWOULDBLOCK) {
        ledger_db_why(why, path, STR("another presignd serves from this ledger"), STR(""));
        return ST_INVALID;
    }
    ledger_db_why(why, path, STR("its lock file cannot be locked"),
                  str_from(strerrordesc_np(errno)));
    return ST_UNREACHABLE;
}

/* ---- schema ------------------------------------------------------------------------------------- */

static bool ask_number(sqlite3 *sql, const char *text, int64_t *out)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(sql, text, -1, &s, NULL) != SQLITE_OK)
        return false;
    const bool there = sqlite3_step(s) == SQLITE_ROW;
    if (there)
        *out = sqlite3_column_int64(s, 0);
    /* Keeps the words of a failed step. */
    sqlite3_finalize(s);
    return there;
}

static enum status refuse(sqlite3 *sql, struct str path, struct str what, struct buf *why)
{
    const int rc = sqlite3_errcode(sql) & 0xff;
    ledger_db_why(why, path, what, str_from(sqlite3_errmsg(sql)));
    if (rc == SQLITE_NOMEM)
        return ST_NO_MEMORY;
    return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB ? ST_INVALID : ST_UNREACHABLE;
}

enum status ledger_db_check_schema(sqlite3 *sql, struct str path, int64_t *out_version,
                                   struct buf *why)
{
    int64_t tables, application, version;
    if (!ask_number(sql, "SELECT count(*) FROM sqlite_schema", &tables) ||
        !ask_number(sql, "PRAGMA application_id", &application) ||
        !ask_number(sql, "PRAGMA user_version", &version))
        return refuse(sql, path, STR("it cannot be read"), why);
    if (version < 0 ||
        (application != APPLICATION_ID && (application != 0 || version != 0 || tables != 0))) {
        ledger_db_why(why, path, STR("this is a database, but no ledger of presignd"), STR(""));
        return ST_INVALID;
    }
    if (version > SCHEMA) {
        ledger_db_why(why, path, STR("a newer presignd made this ledger; this one cannot read it"),
                      STR(""));
        return ST_INVALID;
    }
    *out_version = version;
    return ST_OK;
}

/* All steps in one transaction: a file is of one version or another. */
static enum status migrate(sqlite3 *sql, struct str path, int64_t from, struct buf *why)
{
    AUTO(buf) text = BUF_INIT(TEXT_BYTES);
    buf_lit(&text, "BEGIN IMMEDIATE;");
    for (int64_t v = from; v < SCHEMA; v++)
        buf_str(&text, str_from(migrations[v]));
    buf_lit(&text, "PRAGMA application_id = ");
    buf_int(&text, APPLICATION_ID);
    buf_lit(&text, ";PRAGMA user_version = ");
    buf_int(&text, SCHEMA);
    buf_lit(&text, ";COMMIT");
    const char *c = buf_cstr(&text);
    if (!c)
        return ST_NO_MEMORY;
    if (sqlite3_exec(sql, c, NULL, NULL, NULL) == SQLITE_OK)
        return ST_OK;
    const enum status st = refuse(sql, path, STR("its tables cannot be made"), why);
    sqlite3_exec(sql, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

/* Before anything is written: not even the journal of somebody else's database is changed. */
static enum status judge_schema(struct ledger_db *db, struct str path, enum ledger_db_mode mode,
                                int64_t *out_version, struct buf *why)
{
    TRY(ledger_db_check_schema(db->sql, path, out_version, why));
    if (*out_version == SCHEMA || mode == LEDGER_DB_SERVE)
        return ST_OK;
    ledger_db_why(why, path, STR("this ledger is older than this presignd; serve once to renew it"),
                  STR(""));
    return ST_INVALID;
}

/* ---- opening ------------------------------------------------------------------------------------ */

/* A ledger knows users and keys: nobody but its owner reads it. */
static enum status make_file(struct ledger_db *db, struct str path, struct buf *why)
{
    const int fd = open(db->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        return ST_OK;
    }
    if (errno == EEXIST)
        return ST_OK;
    ledger_db_why(why, path, STR("it cannot be made"), str_from(strerrordesc_np(errno)));
    return ST_UNREACHABLE;
}

static struct str what_it_is(mode_t mode)
{
    if (S_ISDIR(mode))
        return STR("it is a folder, not a file");
    if (S_ISFIFO(mode))
        return STR("it is a FIFO, not a file");
    return STR("it is a device or a socket, not a file");
}

static enum status note_place(struct ledger_db *db, struct str path, struct buf *why)
{
    struct stat st;
    if (stat(db->path, &st) != 0) {
        if (errno == ENOENT)
            ledger_db_why(why, path, STR("there is no such file"), STR(""));
        else
            ledger_db_why(why, path, STR("it cannot be looked at"),
                          str_from(strerrordesc_np(errno)));
        return ST_UNREACHABLE;
    }
    if (!S_ISREG(st.st_mode)) {
        ledger_db_why(why, path, what_it_is(st.st_mode), STR(""));
        return ST_UNREACHABLE;
    }
    db->dev = st.st_dev;
    db->ino = st.st_ino;
    return ST_OK;
}

bool ledger_db_in_place(struct ledger_db *db)
{
    const int64_t now_us = loop_clock_us();
    if (now_us < db->looked_us)
        return true;
    struct stat st;
    if (stat(db->path, &st) || st.st_dev != db->dev || st.st_ino != db->ino) {
        ledger_db_say(db, STR("the ledger's file was removed or replaced while it is in use"),
                      SQLITE_OK);
        return false;
    }
    db->looked_us = now_us + LOOK_EVERY_US;
    return true;
}

static int count_frames(void *context, sqlite3 *sql, const char *name, int frames)
{
    (void)sql;
    (void)name;
    ((struct ledger_db *)context)->wal_frames = frames;
    return SQLITE_OK;
}

static enum status open_file(struct ledger_db *db, struct str path, struct buf *why)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    if (sqlite3_open_v2(db->path, &db->sql, flags, NULL) != SQLITE_OK)
        return db->sql ? refuse(db->sql, path, STR("it cannot be opened"), why) : ST_NO_MEMORY;
    sqlite3_extended_result_codes(db->sql, 1);
    sqlite3_busy_timeout(db->sql, LEDGER_BUSY_MS);
    return ST_OK;
}

static enum status set_up(struct ledger_db *db, struct str path, int64_t version, struct buf *why)
{
    static const char pragmas[] = "PRAGMA journal_mode = WAL;"
                                  "PRAGMA synchronous = NORMAL;"
                                  "PRAGMA cache_size = -16384;"
                                  "PRAGMA journal_size_limit = 67108864;"
                                  "PRAGMA temp_store = MEMORY;"
                                  "PRAGMA trusted_schema = OFF;";
    if (sqlite3_exec(db->sql, pragmas, NULL, NULL, NULL) != SQLITE_OK)
        return refuse(db->sql, path, STR("it cannot be opened"), why);
    /* Checkpoints wait until the answers are on their way. */
    sqlite3_wal_hook(db->sql, count_frames, db);
    return version == SCHEMA ? ST_OK : migrate(db->sql, path, version, why);
}

static enum status open_all(struct ledger_db *db, struct str path, enum ledger_db_mode mode,
                            struct buf *why)
{
    if (mode == LEDGER_DB_SERVE) {
        TRY(take_lock(db, path, why));
        TRY(make_file(db, path, why));
    }
    TRY(note_place(db, path, why));
    int64_t version;
    TRY(open_file(db, path, why));
    TRY(judge_schema(db, path, mode, &version, why));
    TRY(set_up(db, path, version, why));
    const enum status st = ledger_rows_prepare(db);
    if (st == ST_INVALID)
        ledger_db_why(why, path, STR("its tables are not those of a ledger"),
                      str_from(sqlite3_errmsg(db->sql)));
    return st;
}

/* Nobody reads SQLite's count of its memory, and counting takes a lock at each allocation. */
static void set_up_library(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static void make_locks(struct ledger_db *db)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&db->work, NULL);
    pthread_mutex_init(&db->mutex, NULL);
    pthread_cond_init(&db->asked, &attr);
    pthread_condattr_destroy(&attr);
}

enum status ledger_db_connect(struct ledger_db **out, struct str path, enum ledger_db_mode mode,
                              struct buf *why)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up_library);
    struct ledger_db *db = calloc(1, sizeof(*db));
    if (!db)
        return ST_NO_MEMORY;
    db->lock_fd = -1;
    db->scratch = ARENA_INIT(LEDGER_SCRATCH_BYTES);
    db->tallies_text = BUF_INIT(TEXT_BYTES);
    db->ends_text = BUF_INIT(TEXT_BYTES);
    make_locks(db);
    db->path = ledger_db_plain_path(path);
    const enum status st = db->path ? open_all(db, path, mode, why) : ST_NO_MEMORY;
    if (st != ST_OK) {
        ledger_db_disconnect(db);
        return st;
    }
    *out = db;
    return ST_OK;
}

void ledger_db_disconnect(struct ledger_db *db)
{
    ledger_rows_finish(db);
    ledger_copier_stop(&db->copier);
    sqlite3_close_v2(db->sql);
    if (db->lock_fd >= 0)
        close(db->lock_fd);
    arena_release(&db->scratch);
    buf_release(&db->tallies_text);
    buf_release(&db->ends_text);
    pthread_cond_destroy(&db->asked);
    pthread_mutex_destroy(&db->work);
    pthread_mutex_destroy(&db->mutex);
    free(db->path);
    free(db);
}
