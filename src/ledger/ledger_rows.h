/*
 * ledger_rows - the rows of the embedded ledger and the prepared statements that move them. All are
 * called by the owner of the connection, inside a transaction.
 *
 * Statuses: ST_LEDGER_UNAVAILABLE: SQLite could not (db->failed is set); ST_INVALID: a row is there
 * and cannot be understood (db->reason says which); ST_NO_MEMORY.
 */
#ifndef PRESIGND_LEDGER_ROWS_H
#define PRESIGND_LEDGER_ROWS_H

#include "presignd/tally_text.h"
#include "presignd/upload.h"

struct ledger_db;

enum ledger_statement {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_USER_GET,
    STMT_USER_ADD,
    STMT_USER_PUT,
    STMT_UPLOAD_GET,
    STMT_UPLOAD_ADD,
    STMT_UPLOAD_PUT,
    STMT_UPLOAD_DROP,
    STMT_IDEM_GET,
    STMT_IDEM_ADD,
    STMT_IDEM_DROP,
    STMT_DUE,
    STMT_LEASE,
    STMT_BACKLOG,
    STMT_PURGE_UPLOADS,
    STMT_PURGE_IDEM,
    STMT_PROBE,
    STMT_COUNT
};

/* A user's row, taken apart; names lie in the scratch arena. */
struct user_row {
    int64_t rowid; /* 0: not in the table yet */
    struct str user;
    int64_t now_s; /* what ended by then is not in `ends` any more */
    struct tally tallies[TALLIES_MAX];
    size_t n_tallies;
    struct open_end ends[OPEN_ENDS_MAX]; /* open uploads */
    size_t n_ends;
};

enum row_charge { ROW_CHARGE_NONE, ROW_CHARGE_RESERVED, ROW_CHARGE_USED };

struct upload_row {
    struct upload u; /* state as stored */
    int64_t rowid;
    bool opens; /* has an open place until it ends or expires */
    enum row_charge charge;
    struct str charges; /* tally_text.h; stays when all was given back */
    int64_t used_bytes; /* ROW_CHARGE_USED: what counts */
    int64_t holders;    /* answers that may hold its packet */
    int64_t due_s;      /* when it wants to be looked at */
};

struct idem_row {
    int64_t rowid, created_us;
    struct str request_hash, ids;
};

MUST_CHECK enum status ledger_rows_prepare(struct ledger_db *db);
void ledger_rows_finish(struct ledger_db *db);

/* A statement without rows and parameters. */
MUST_CHECK enum status ledger_run(struct ledger_db *db, enum ledger_statement which);

/* A user without a row is ST_OK and empty. */
MUST_CHECK enum status user_get(struct ledger_db *db, struct str user, int64_t now_s,
                                struct user_row *out);
MUST_CHECK enum status user_put(struct ledger_db *db, struct user_row *u);
struct tally *user_tally(struct user_row *u, struct str name); /* NULL: none */

/* ST_NOT_FOUND also for another user's. Texts in `a`. */
MUST_CHECK enum status upload_get(struct ledger_db *db, struct str user, struct str id,
                                  struct arena *a, struct upload_row *out);
MUST_CHECK enum status upload_add(struct ledger_db *db, const struct upload_row *r);
/* Writes what may change: state, times, size, charge, holders. */
MUST_CHECK enum status upload_put(struct ledger_db *db, const struct upload_row *r);
MUST_CHECK enum status upload_drop(struct ledger_db *db, const struct upload_row *r);
/* Nothing of it is left to be settled. */
bool upload_ended(const struct upload_row *r);

/* ST_NOT_FOUND; texts in the scratch arena. */
MUST_CHECK enum status idem_get(struct ledger_db *db, struct str user, struct str key,
                                struct idem_row *out);
MUST_CHECK enum status idem_add(struct ledger_db *db, struct str user, struct str key,
                                const struct idem_row *r);
MUST_CHECK enum status idem_drop(struct ledger_db *db, int64_t rowid);

/* Rows not ended whose time has come, at most max; a row that cannot be read is left out, and its
 * time put off by `lease_s` like that of the others. */
MUST_CHECK enum status uploads_due(struct ledger_db *db, int64_t now_s, int64_t lease_s,
                                   struct arena *a, struct upload_row *out, size_t max,
                                   size_t *out_n);
/* How many there are; counted up to a bound. */
MUST_CHECK enum status uploads_backlog(struct ledger_db *db, int64_t now_s, int64_t *out);
/* Forgets what ended long ago and old Idempotency-Keys, a bounded number. */
MUST_CHECK enum status rows_purge(struct ledger_db *db, int64_t now_us);
/* Writes something: can the file be written at all? */
MUST_CHECK enum status rows_probe(struct ledger_db *db, int64_t now_s);

#endif
