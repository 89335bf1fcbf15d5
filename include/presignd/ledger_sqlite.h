/*
 * ledger_sqlite - the embedded engine: one SQLite file, one thread that owns the only serving
 * connection, one transaction per wake (WAL, synchronous=NORMAL: never torn, and at most the last
 * moments before a power failure are lost, none at a kill -9).
 *
 * Loops post questions and get answers by loop_post(). A lock file beside the database refuses a
 * second server; commands open the same file beside a running server.
 */
#ifndef PRESIGND_LEDGER_SQLITE_H
#define PRESIGND_LEDGER_SQLITE_H

#include "presignd/buf.h"
#include "presignd/ledger.h"

struct ledger_db;

enum ledger_db_mode {
    LEDGER_DB_SERVE, /* takes the lock file, makes what is missing, migrates */
    LEDGER_DB_COMMAND, /* beside a server or without one: the file must exist; no lock, no migration */
};

/*
 * Opens the file and starts the thread. ST_INVALID: no ledger of ours, a newer schema, corrupt, or
 * locked by another server; ST_UNREACHABLE: cannot be opened or made; with a sentence in why that
 * names the path. ST_NO_MEMORY.
 */
MUST_CHECK enum status ledger_db_open(struct ledger_db **out, struct str path,
                                      enum ledger_db_mode mode, struct buf *why);

/* Everything asked until now is answered, then the thread is joined; the loops still run or wait.
 * Later questions are ST_LEDGER_UNAVAILABLE. Fine on NULL and twice. */
void ledger_db_stop(struct ledger_db *db);

/* After ledger_db_stop and after all its ledgers were freed. Closes, drops the lock. NULL is fine. */
void ledger_db_free(struct ledger_db *db);

/* One loop's door. NULL without memory. */
struct ledger *ledger_sqlite_new(struct ledger_db *db, struct loop *l);

/* Commands. Each blocks. ST_UNREACHABLE, ST_INVALID with why. */

/* Every user and every upload as JSON lines to fd: {"user":...,"limits":[...]}, {"upload":...}. */
MUST_CHECK enum status ledger_db_export(struct str path, int fd, struct buf *why);

/* A consistent copy into a new file `to` (SQLite's backup interface), also while a server runs. An
 * existing file is refused; what was half written is removed. */
MUST_CHECK enum status ledger_db_backup(struct str path, struct str to, struct buf *why);

#endif
