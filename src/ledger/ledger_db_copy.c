/*
 * ledger_db_copy - the ledger for other eyes: as JSON lines, and as a copy. Both read one moment of
 * it, while a server goes on writing.
 */
#include "ledger_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "presignd/json_write.h"

enum { LINE_BYTES = 1 << 20, WRITE_BYTES = 65536 };

/* ---- lines -------------------------------------------------------------------------------------- */

/* A column of `uploads` and the member it becomes. */
struct export_column {
    const char *name;
    enum { AS_TEXT, AS_NUMBER, AS_FLAG, OR_NULL } form;
};

/* clang-format off */
static const struct export_column columns[] = {
    { "id",                AS_TEXT   }, { "user",           AS_TEXT   }, { "state",         AS_TEXT   },
    { "profile",           AS_TEXT   }, { "bucket",         AS_TEXT   }, { "bucket_name",   AS_TEXT   },
    { "key",               AS_TEXT   }, { "content_type",   AS_TEXT   },
    { "content_length",    OR_NULL   }, { "reserve_bytes",  AS_NUMBER }, { "created_s",     AS_NUMBER },
    { "expires_s",         AS_NUMBER }, { "size",           OR_NULL   }, { "etag",          AS_TEXT   },
    { "post",              AS_FLAG   }, { "exact",          AS_FLAG   },
    { "unsettled_release", AS_FLAG   }, { "charge",         AS_TEXT   }, { "charges",       AS_TEXT   },
    { "used_bytes",        AS_NUMBER }, { "due_s",          AS_NUMBER }, { "ended",         AS_FLAG   },
};
/* clang-format on */

static struct str column(sqlite3_stmt *s, int at)
{
    const void *bytes = sqlite3_column_blob(s, at);
    const int n = sqlite3_column_bytes(s, at);
    return bytes && n > 0 ? (struct str){ bytes, (size_t)n } : STR("");
}

static void write_upload(struct jw *j, sqlite3_stmt *s)
{
    jw_open_key(j, "upload", '{');
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        const char *name = columns[i].name;
        const int64_t number = sqlite3_column_int64(s, (int)i);
        switch (columns[i].form) {
        case AS_TEXT: jw_str(j, name, column(s, (int)i)); break;
        case AS_NUMBER: jw_int(j, name, number); break;
        case AS_FLAG: jw_bool(j, name, number != 0); break;
        case OR_NULL:
            if (number < 0)
                jw_null(j, name);
            else
                jw_int(j, name, number);
            break;
        }
    }
    jw_close(j);
}

static void write_tally(struct jw *j, const struct tally *t)
{
    jw_open(j, '{');
    jw_str(j, "name", t->name);
    jw_str(j, "kind", limit_kind_words[t->kind]);
    jw_int(j, "start_s", t->start_s);
    jw_int(j, "used", t->used);
    jw_int(j, "reserved", t->reserved);
    if (t->kind == LIMIT_RATE)
        jw_int(j, "tat_us", t->tat_us);
    jw_close(j);
}

/* A row that cannot be understood is shown as it stands. */
static void write_user(struct jw *j, sqlite3_stmt *s)
{
    struct tally tallies[TALLIES_MAX];
    size_t n = 0;
    jw_str(j, "user", column(s, 0));
    const struct str text = column(s, 1);
    if (tallies_read(text, tallies, TALLIES_MAX, &n) != ST_OK) {
        jw_str(j, "unreadable", text);
        return;
    }
    jw_open_key(j, "limits", '[');
    for (size_t i = 0; i < n; i++)
        write_tally(j, &tallies[i]);
    jw_close(j);
    jw_int(j, "seen_s", sqlite3_column_int64(s, 2));
}

/* ---- export ------------------------------------------------------------------------------------- */

static bool write_out(int fd, struct buf *b)
{
    struct str rest = buf_view(b);
    while (rest.len > 0) {
        const ssize_t n = write(fd, rest.ptr, rest.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        rest = str_slice(rest, (size_t)n, rest.len);
    }
    buf_reset(b);
    return true;
}

struct exporting {
    struct ledger_db *db;
    struct str path;
    int fd;
    struct buf *why;
    struct buf out;
};

static enum status write_rows(struct exporting *e, const char *sql,
                              void (*write_row)(struct jw *j, sqlite3_stmt *s))
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(e->db->sql, sql, -1, &s, NULL);
    enum status st = ST_OK;
    while (rc == SQLITE_OK && st == ST_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct jw j = { .out = &e->out };
        rc = SQLITE_OK;
        jw_open(&j, '{');
        write_row(&j, s);
        jw_close(&j);
        st = jw_end(&j);
        buf_lit(&e->out, "\n");
        if (st == ST_OK && e->out.len >= WRITE_BYTES && !write_out(e->fd, &e->out))
            st = ST_UNREACHABLE;
    }
    if (st == ST_OK && rc != SQLITE_DONE) {
        ledger_db_why(e->why, e->path, STR("it cannot be read"),
                      str_from(sqlite3_errmsg(e->db->sql)));
        st = (rc & 0xff) == SQLITE_CORRUPT ? ST_INVALID : ST_UNREACHABLE;
    } else if (st != ST_OK) {
        ledger_db_why(e->why, e->path, STR("the lines cannot be written"), STR(""));
    }
    sqlite3_finalize(s);
    return st;
}

static enum status write_all(struct exporting *e)
{
    AUTO(buf) uploads = BUF_INIT(4096);
    buf_lit(&uploads, "SELECT ");
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        if (i > 0)
            buf_lit(&uploads, ", ");
        buf_str(&uploads, str_from(columns[i].name));
    }
    buf_lit(&uploads, " FROM uploads ORDER BY rowid");
    const char *sql = buf_cstr(&uploads);
    if (!sql)
        return ST_NO_MEMORY;
    TRY(write_rows(e, "SELECT user, tallies, seen_s FROM users ORDER BY rowid", write_user));
    TRY(write_rows(e, sql, write_upload));
    if (write_out(e->fd, &e->out))
        return ST_OK;
    ledger_db_why(e->why, e->path, STR("the lines cannot be written"), STR(""));
    return ST_UNREACHABLE;
}

enum status ledger_db_export(struct str path, int fd, struct buf *why)
{
    struct ledger_db *db;
    TRY(ledger_db_connect(&db, path, LEDGER_DB_COMMAND, why));
    struct exporting e = { db, path, fd, why, BUF_INIT(LINE_BYTES) };
    /* One moment for both tables. */
    enum status st = ST_OK;
    if (sqlite3_exec(db->sql, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
        ledger_db_why(why, path, STR("it cannot be read"), str_from(sqlite3_errmsg(db->sql)));
        st = ST_UNREACHABLE;
    }
    if (st == ST_OK)
        st = write_all(&e);
    buf_release(&e.out);
    ledger_db_disconnect(db);
    return st;
}

/* ---- backup ------------------------------------------------------------------------------------- */

/* The file must be ours to make: nothing is overwritten. */
static enum status make_target(const char *to, struct buf *why)
{
    const int fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        return ST_OK;
    }
    ledger_db_why(why, str_from(to), STR("this file cannot be made"),
                  str_from(strerrordesc_np(errno)));
    return ST_UNREACHABLE;
}

/* All pages in one step: a read transaction of the source, which a writer does not disturb. */
static enum status copy_pages(sqlite3 *from, sqlite3 *to, const char *name, struct buf *why)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    if (b) {
        sqlite3_backup_step(b, -1);
        sqlite3_backup_finish(b);
    }
    const int rc = sqlite3_errcode(to) & 0xff;
    if (b && rc == SQLITE_OK)
        return ST_OK;
    ledger_db_why(why, str_from(name), STR("the copy cannot be made"),
                  str_from(sqlite3_errmsg(to)));
    return rc == SQLITE_CORRUPT ? ST_INVALID : ST_UNREACHABLE;
}

static enum status copy_into(sqlite3 *from, const char *to, struct buf *why)
{
    sqlite3 *copy = NULL;
    enum status st = ST_UNREACHABLE;
    if (sqlite3_open_v2(to, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
        st = copy_pages(from, copy, to, why);
    else
        ledger_db_why(why, str_from(to), STR("it cannot be opened"), STR(""));
    sqlite3_close_v2(copy);
    return st;
}

static void remove_target(const char *to)
{
    static const struct str tails[] = { STR_INIT(""), STR_INIT("-journal"), STR_INIT("-wal"),
                                        STR_INIT("-shm") };
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        AUTO(buf) name = BUF_INIT(8192);
        buf_str(&name, str_from(to));
        buf_str(&name, tails[i]);
        const char *c = buf_cstr(&name);
        if (c)
            unlink(c);
    }
}

enum status ledger_db_backup(struct str path, struct str to, struct buf *why)
{
    struct ledger_db *db;
    TRY(ledger_db_connect(&db, path, LEDGER_DB_COMMAND, why));
    char *target = ledger_db_plain_path(to);
    enum status st = target ? make_target(target, why) : ST_NO_MEMORY;
    if (st == ST_OK) {
        st = copy_into(db->sql, target, why);
        if (st != ST_OK)
            remove_target(target);
    }
    free(target);
    ledger_db_disconnect(db);
    return st;
}
