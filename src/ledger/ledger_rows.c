/*
 * ledger_rows - statements prepared once, parameters bound in place, rows taken apart strictly.
 *
 * Texts are bound without a copy: they live until the step is over. What a row says is believed only
 * within bounds: the file can be edited by anybody who can write it.
 */
#include "ledger_db.h"

enum {
    ROWS_PURGED = 200, /* of each table, in one turn of the sweeper */
    BACKLOG_MAX = 100000,
};

/* clang-format off */
static const char *const texts[STMT_COUNT] = {
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_USER_GET] = "SELECT rowid, tallies, open FROM users WHERE user = ?1",
    [STMT_USER_ADD] = "INSERT INTO users (user, tallies, open, seen_s) VALUES (?1, ?2, ?3, ?4)",
    [STMT_USER_PUT] = "UPDATE users SET tallies = ?2, open = ?3, seen_s = ?4 WHERE rowid = ?1",
#define UPLOAD_COLUMNS \
    "id, user, state, profile, bucket, bucket_name, key, content_type, content_length, " \
    "reserve_bytes, created_s, expires_s, size, etag, post, exact, unsettled_release, opens, " \
    "charge, charges, used_bytes, holders, due_s"
    [STMT_UPLOAD_GET] = "SELECT rowid, " UPLOAD_COLUMNS " FROM uploads WHERE id = ?1",
    [STMT_UPLOAD_ADD] = "INSERT INTO uploads (" UPLOAD_COLUMNS ", ended) VALUES (?1, ?2, ?3, ?4, "
        "?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, 0)",
    [STMT_UPLOAD_PUT] = "UPDATE uploads SET state = ?2, expires_s = ?3, size = ?4, etag = ?5, "
        "opens = ?6, charge = ?7, charges = ?8, used_bytes = ?9, holders = ?10, due_s = ?11, "
        "ended = ?12 WHERE rowid = ?1",
    [STMT_UPLOAD_DROP] = "DELETE FROM uploads WHERE rowid = ?1",
    [STMT_IDEM_GET] = "SELECT rowid, created_us, request_hash, ids FROM idem "
        "WHERE user = ?1 AND key = ?2",
    [STMT_IDEM_ADD] = "INSERT INTO idem (user, key, request_hash, created_us, ids) "
        "VALUES (?1, ?2, ?3, ?4, ?5)",
    [STMT_IDEM_DROP] = "DELETE FROM idem WHERE rowid = ?1",
    [STMT_DUE] = "SELECT rowid, " UPLOAD_COLUMNS " FROM uploads WHERE ended = 0 AND due_s <= ?1 "
        "ORDER BY due_s LIMIT ?2",
    [STMT_LEASE] = "UPDATE uploads SET due_s = ?2 WHERE rowid = ?1",
    [STMT_BACKLOG] = "SELECT count(*) FROM (SELECT 1 FROM uploads WHERE ended = 0 AND due_s <= ?1 "
        "LIMIT ?2)",
    [STMT_PURGE_UPLOADS] = "DELETE FROM uploads WHERE rowid IN (SELECT rowid FROM uploads "
        "WHERE ended = 1 AND due_s <= ?1 ORDER BY due_s LIMIT ?2)",
    /* Rows are numbered in the order of their times, so the oldest need no index. */
    [STMT_PURGE_IDEM] = "DELETE FROM idem WHERE rowid IN (SELECT rowid FROM "
        "(SELECT rowid, created_us FROM idem ORDER BY rowid LIMIT ?2) WHERE created_us <= ?1)",
    [STMT_PROBE] = "INSERT INTO meta (name, value) VALUES ('probed_s', ?1) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
};
/* clang-format on */

static const struct str charge_words[] = {
    [ROW_CHARGE_NONE] = STR_INIT("none"),
    [ROW_CHARGE_RESERVED] = STR_INIT("reserved"),
    [ROW_CHARGE_USED] = STR_INIT("used"),
};

/* ---- statements --------------------------------------------------------------------------------- */

enum status ledger_rows_prepare(struct ledger_db *db)
{
    for (int i = 0; i < STMT_COUNT; i++) {
        const int rc = sqlite3_prepare_v3(db->sql, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                          &db->stmts[i], NULL);
        if (rc == SQLITE_NOMEM)
            return ST_NO_MEMORY;
        if (rc != SQLITE_OK)
            return ST_INVALID;
    }
    return ST_OK;
}

void ledger_rows_finish(struct ledger_db *db)
{
    for (int i = 0; i < STMT_COUNT; i++) {
        sqlite3_finalize(db->stmts[i]);
        db->stmts[i] = NULL;
    }
}

static enum status broken(struct ledger_db *db, struct str what)
{
    db->failed = true;
    db->rc = sqlite3_extended_errcode(db->sql);
    ledger_db_say(db, what, db->rc);
    return ST_LEDGER_UNAVAILABLE;
}

static enum status unreadable(struct ledger_db *db, struct str table, struct str whose)
{
    struct buf b = BUF_FIXED(db->reason);
    buf_str(&b, table);
    buf_lit(&b, ": the row of ");
    buf_str(&b, str_slice(whose, 0, ID_TEXT_MAX));
    buf_lit(&b, " cannot be understood");
    if (!buf_cstr(&b))
        db->reason[0] = '\0';
    return ST_INVALID;
}

static void bind_str(sqlite3_stmt *s, int at, struct str v)
{
    sqlite3_bind_text(s, at, v.ptr ? v.ptr : "", (int)v.len, SQLITE_STATIC);
}

/* Runs a statement that gives no rows, and makes it ready for the next time. */
static enum status finish(struct ledger_db *db, sqlite3_stmt *s, struct str what)
{
    const int rc = sqlite3_step(s);
    const enum status st = rc == SQLITE_DONE || rc == SQLITE_ROW ? ST_OK : broken(db, what);
    sqlite3_reset(s);
    return st;
}

enum status ledger_run(struct ledger_db *db, enum ledger_statement which)
{
    return finish(db, db->stmts[which], STR("a transaction cannot be made"));
}

/* ST_OK: a row is there, to be reset by the caller. */
static enum status find(struct ledger_db *db, sqlite3_stmt *s)
{
    const int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        return ST_OK;
    const enum status st =
        rc == SQLITE_DONE ? ST_NOT_FOUND : broken(db, STR("a row cannot be read"));
    sqlite3_reset(s);
    return st;
}

static struct str column(sqlite3_stmt *s, int at)
{
    const void *bytes = sqlite3_column_blob(s, at);
    const int n = sqlite3_column_bytes(s, at);
    return bytes && n > 0 ? (struct str){ bytes, (size_t)n } : STR("");
}

static bool keep(sqlite3_stmt *s, int at, struct arena *a, struct str *out)
{
    *out = arena_copy(a, column(s, at));
    return out->ptr;
}

/* ---- users -------------------------------------------------------------------------------------- */

struct tally *user_tally(struct user_row *u, struct str name)
{
    for (size_t i = 0; i < u->n_tallies; i++)
        if (str_equal(u->tallies[i].name, name))
            return &u->tallies[i];
    return NULL;
}

/* Open tallies say how many are open. */
static void count_open(struct user_row *u)
{
    const int64_t open = open_ends_sum(u->ends, u->n_ends);
    for (size_t i = 0; i < u->n_tallies; i++)
        if (u->tallies[i].kind == LIMIT_OPEN)
            u->tallies[i].reserved = open;
}

static enum status take_user(struct ledger_db *db, sqlite3_stmt *s, struct user_row *out)
{
    struct str tallies;
    out->rowid = sqlite3_column_int64(s, 0);
    if (!keep(s, 1, &db->scratch, &tallies))
        return ST_NO_MEMORY;
    if (tallies_read(tallies, out->tallies, TALLIES_MAX, &out->n_tallies) != ST_OK ||
        open_ends_read(column(s, 2), out->ends, OPEN_ENDS_MAX, &out->n_ends) != ST_OK)
        return unreadable(db, STR("users"), out->user);
    open_ends_expire(out->ends, &out->n_ends, out->now_s);
    count_open(out);
    return ST_OK;
}

enum status user_get(struct ledger_db *db, struct str user, int64_t now_s, struct user_row *out)
{
    out->rowid = 0;
    out->user = user;
    out->now_s = now_s;
    out->n_tallies = out->n_ends = 0;
    sqlite3_stmt *s = db->stmts[STMT_USER_GET];
    bind_str(s, 1, user);
    enum status st = find(db, s);
    if (st == ST_NOT_FOUND)
        return ST_OK;
    TRY(st);
    st = take_user(db, s, out);
    sqlite3_reset(s);
    return st;
}

enum status user_put(struct ledger_db *db, struct user_row *u)
{
    count_open(u);
    buf_reset(&db->tallies_text);
    buf_reset(&db->ends_text);
    tallies_write(&db->tallies_text, u->tallies, u->n_tallies);
    open_ends_write(&db->ends_text, u->ends, u->n_ends);
    if (buf_check(&db->tallies_text) != ST_OK || buf_check(&db->ends_text) != ST_OK) {
        /* Part of the job may be written already. */
        db->failed = true;
        db->rc = SQLITE_NOMEM;
        ledger_db_say(db, STR("a user's row cannot be made"), SQLITE_NOMEM);
        return ST_NO_MEMORY;
    }
    sqlite3_stmt *s = db->stmts[u->rowid ? STMT_USER_PUT : STMT_USER_ADD];
    if (u->rowid)
        sqlite3_bind_int64(s, 1, u->rowid);
    else
        bind_str(s, 1, u->user);
    bind_str(s, 2, buf_view(&db->tallies_text));
    bind_str(s, 3, buf_view(&db->ends_text));
    sqlite3_bind_int64(s, 4, u->now_s);
    return finish(db, s, STR("a user's row cannot be written"));
}

/* ---- uploads ------------------------------------------------------------------------------------ */

bool upload_ended(const struct upload_row *r)
{
    return r->u.state != UPLOAD_GRANTED && r->charge != ROW_CHARGE_RESERVED;
}

static bool word_of(struct str word, const struct str *words, size_t n, int *out)
{
    for (size_t i = 0; i < n; i++)
        if (str_equal(word, words[i])) {
            *out = (int)i;
            return true;
        }
    return false;
}

static bool number(sqlite3_stmt *s, int at, int64_t min, int64_t *out)
{
    *out = sqlite3_column_int64(s, at);
    return *out >= min && *out <= LIMITS_NUMBER_MAX;
}

/* The columns stand in the order of UPLOAD_COLUMNS, after the row's number. */
static enum status take_upload(sqlite3_stmt *s, struct arena *a, struct upload_row *r)
{
    struct upload *u = &r->u;
    int state, charge;
    if (!keep(s, 1, a, &u->id) || !keep(s, 2, a, &u->user_hash) || !keep(s, 4, a, &u->profile) ||
        !keep(s, 5, a, &u->bucket) || !keep(s, 6, a, &u->bucket_name) || !keep(s, 7, a, &u->key) ||
        !keep(s, 8, a, &u->content_type) || !keep(s, 14, a, &u->etag) ||
        !keep(s, 20, a, &r->charges))
        return ST_NO_MEMORY;
    if (!word_of(column(s, 3), upload_state_words, ARRAY_LEN(upload_state_words), &state) ||
        !word_of(column(s, 19), charge_words, ARRAY_LEN(charge_words), &charge) ||
        !number(s, 9, -1, &u->content_length) || !number(s, 10, 0, &u->reserve_bytes) ||
        !number(s, 11, 0, &u->created_s) || !number(s, 12, 0, &u->expires_s) ||
        !number(s, 13, -1, &u->size) || !number(s, 21, 0, &r->used_bytes) ||
        !number(s, 22, 0, &r->holders) || !number(s, 23, 0, &r->due_s))
        return ST_INVALID;
    r->rowid = sqlite3_column_int64(s, 0);
    u->state = (enum upload_state)state;
    u->post = sqlite3_column_int64(s, 15) != 0;
    u->exact = sqlite3_column_int64(s, 16) != 0;
    u->unsettled_release = sqlite3_column_int64(s, 17) != 0;
    r->opens = sqlite3_column_int64(s, 18) != 0;
    r->charge = (enum row_charge)charge;
    u->charged = r->charge == ROW_CHARGE_RESERVED;
    return ST_OK;
}

enum status upload_get(struct ledger_db *db, struct str user, struct str id, struct arena *a,
                       struct upload_row *out)
{
    sqlite3_stmt *s = db->stmts[STMT_UPLOAD_GET];
    bind_str(s, 1, id);
    TRY(find(db, s));
    enum status st = str_equal(column(s, 2), user) ? take_upload(s, a, out) : ST_NOT_FOUND;
    if (st == ST_INVALID)
        st = unreadable(db, STR("uploads"), id);
    sqlite3_reset(s);
    return st;
}

enum status upload_add(struct ledger_db *db, const struct upload_row *r)
{
    const struct upload *u = &r->u;
    const struct str strs[] = {
        u->id,      u->user_hash,    upload_state_words[u->state],
        u->profile, u->bucket,       u->bucket_name,
        u->key,     u->content_type,
    };
    const int64_t numbers[] = { u->content_length, u->reserve_bytes, u->created_s, u->expires_s,
                                u->size };
    const int64_t flags[] = { u->post, u->exact, u->unsettled_release, r->opens };
    sqlite3_stmt *s = db->stmts[STMT_UPLOAD_ADD];
    int at = 1;
    for (size_t i = 0; i < ARRAY_LEN(strs); i++)
        bind_str(s, at++, strs[i]);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        sqlite3_bind_int64(s, at++, numbers[i]);
    bind_str(s, at++, u->etag);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        sqlite3_bind_int64(s, at++, flags[i]);
    bind_str(s, at++, charge_words[r->charge]);
    bind_str(s, at++, r->charges);
    sqlite3_bind_int64(s, at++, r->used_bytes);
    sqlite3_bind_int64(s, at++, r->holders);
    sqlite3_bind_int64(s, at, r->due_s);
    return finish(db, s, STR("an upload cannot be written"));
}

enum status upload_put(struct ledger_db *db, const struct upload_row *r)
{
    sqlite3_stmt *s = db->stmts[STMT_UPLOAD_PUT];
    sqlite3_bind_int64(s, 1, r->rowid);
    bind_str(s, 2, upload_state_words[r->u.state]);
    sqlite3_bind_int64(s, 3, r->u.expires_s);
    sqlite3_bind_int64(s, 4, r->u.size);
    bind_str(s, 5, r->u.etag);
    sqlite3_bind_int64(s, 6, r->opens);
    bind_str(s, 7, charge_words[r->charge]);
    bind_str(s, 8, r->charges);
    sqlite3_bind_int64(s, 9, r->used_bytes);
    sqlite3_bind_int64(s, 10, r->holders);
    sqlite3_bind_int64(s, 11, r->due_s);
    sqlite3_bind_int64(s, 12, upload_ended(r));
    return finish(db, s, STR("an upload cannot be written"));
}

enum status upload_drop(struct ledger_db *db, const struct upload_row *r)
{
    sqlite3_stmt *s = db->stmts[STMT_UPLOAD_DROP];
    sqlite3_bind_int64(s, 1, r->rowid);
    return finish(db, s, STR("an upload cannot be removed"));
}

/* ---- Idempotency-Keys --------------------------------------------------------------------------- */

enum status idem_get(struct ledger_db *db, struct str user, struct str key, struct idem_row *out)
{
    sqlite3_stmt *s = db->stmts[STMT_IDEM_GET];
    bind_str(s, 1, user);
    bind_str(s, 2, key);
    TRY(find(db, s));
    out->rowid = sqlite3_column_int64(s, 0);
    enum status st = number(s, 1, 0, &out->created_us) ? ST_OK : unreadable(db, STR("idem"), user);
    if (st == ST_OK &&
        (!keep(s, 2, &db->scratch, &out->request_hash) || !keep(s, 3, &db->scratch, &out->ids)))
        st = ST_NO_MEMORY;
    sqlite3_reset(s);
    return st;
}

enum status idem_add(struct ledger_db *db, struct str user, struct str key,
                     const struct idem_row *r)
{
    sqlite3_stmt *s = db->stmts[STMT_IDEM_ADD];
    bind_str(s, 1, user);
    bind_str(s, 2, key);
    bind_str(s, 3, r->request_hash);
    sqlite3_bind_int64(s, 4, r->created_us);
    bind_str(s, 5, r->ids);
    return finish(db, s, STR("an Idempotency-Key cannot be written"));
}

enum status idem_drop(struct ledger_db *db, int64_t rowid)
{
    sqlite3_stmt *s = db->stmts[STMT_IDEM_DROP];
    sqlite3_bind_int64(s, 1, rowid);
    return finish(db, s, STR("an Idempotency-Key cannot be removed"));
}

/* ---- what is due -------------------------------------------------------------------------------- */

static enum status lease(struct ledger_db *db, int64_t rowid, int64_t due_s)
{
    sqlite3_stmt *s = db->stmts[STMT_LEASE];
    sqlite3_bind_int64(s, 1, rowid);
    sqlite3_bind_int64(s, 2, due_s);
    return finish(db, s, STR("an upload cannot be leased"));
}

enum status uploads_due(struct ledger_db *db, int64_t now_s, int64_t lease_s, struct arena *a,
                        struct upload_row *out, size_t max, size_t *out_n)
{
    /* The rows' times are moved when the walk along them is over. */
    int64_t *rowids = arena_array(&db->scratch, max, sizeof(*rowids));
    if (!rowids)
        return ST_NO_MEMORY;
    sqlite3_stmt *s = db->stmts[STMT_DUE];
    sqlite3_bind_int64(s, 1, now_s);
    sqlite3_bind_int64(s, 2, (int64_t)max);
    size_t seen = 0, n = 0;
    enum status st = ST_OK;
    while (st == ST_OK && seen < max && (st = find(db, s)) == ST_OK) {
        rowids[seen++] = sqlite3_column_int64(s, 0);
        st = take_upload(s, a, &out[n]);
        if (st == ST_OK)
            n++;
        else if (st == ST_INVALID)
            st = ST_OK;
    }
    sqlite3_reset(s);
    if (st != ST_OK && st != ST_NOT_FOUND)
        return st;
    for (size_t i = 0; i < seen; i++)
        TRY(lease(db, rowids[i], now_s + lease_s));
    *out_n = n;
    return ST_OK;
}

enum status uploads_backlog(struct ledger_db *db, int64_t now_s, int64_t *out)
{
    sqlite3_stmt *s = db->stmts[STMT_BACKLOG];
    sqlite3_bind_int64(s, 1, now_s);
    sqlite3_bind_int64(s, 2, BACKLOG_MAX);
    TRY(find(db, s));
    *out = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return ST_OK;
}

static enum status purge(struct ledger_db *db, enum ledger_statement which, int64_t until)
{
    sqlite3_stmt *s = db->stmts[which];
    sqlite3_bind_int64(s, 1, until);
    sqlite3_bind_int64(s, 2, ROWS_PURGED);
    return finish(db, s, STR("what is over cannot be removed"));
}

enum status rows_purge(struct ledger_db *db, int64_t now_us)
{
    TRY(purge(db, STMT_PURGE_UPLOADS, now_us / 1000000 - UPLOAD_KEPT_S));
    return purge(db, STMT_PURGE_IDEM, now_us - UPLOAD_IDEM_S * INT64_C(1000000));
}

enum status rows_probe(struct ledger_db *db, int64_t now_s)
{
    sqlite3_stmt *s = db->stmts[STMT_PROBE];
    sqlite3_bind_int64(s, 1, now_s);
    return finish(db, s, STR("nothing can be written"));
}
