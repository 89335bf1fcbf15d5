/*
 * ledger_db - the inside of the embedded engine: the connection and what it does in one transaction.
 * Only sources of this floor include it.
 *
 *     ledger_db.c         file, lock, schema
 *     ledger_rows.c       statements and rows                        (ledger_rows.h)
 *     ledger_reserve.c  \
 *     ledger_uploads.c   } what a job does inside the transaction    (ledger_job.h)
 *     ledger_operator.c /
 *     ledger_thread.c     the queue, the thread, one transaction for all that waits
 *     ledger_copier.c     the journal's way into the file
 *     ledger_sqlite.c     the loops' doors: a question becomes a job, an answer comes home
 *     ledger_db_copy.c    export and backup
 *
 * A verb reads all it needs, decides, and only then writes: what it refuses has changed nothing, so
 * the transaction goes on with the next job. A write that fails sets db->failed, and the whole
 * transaction is taken back.
 */
#ifndef PRESIGND_LEDGER_DB_H
#define PRESIGND_LEDGER_DB_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include <sqlite3.h>

#include "presignd/ledger_sqlite.h"
#include "ledger_rows.h"

enum {
    LEDGER_WHY_MAX = 256,
    LEDGER_BUSY_MS = 2000, /* as long as another process may hold the file */
    LEDGER_SCRATCH_BYTES = 1 << 20,
    LEDGER_COPY_FRAMES = 4000, /* 16 MiB of journal are copied into the file at once */
};

struct ledger_job;

struct ledger_copier {
    sqlite3 *sql;
    pthread_t thread;
    bool started;
    int copied; /* the journal's length when all of it was copied last; the serving thread's */

    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t asked;
    enum { COPIER_RESTS, COPIER_WORKS, COPIER_IS_DONE } state;
    bool stop;
};

struct ledger_db {
    sqlite3 *sql;
    sqlite3_stmt *stmts[STMT_COUNT];
    int lock_fd; /* -1: a command */
    char *path;
    dev_t dev; /* of the file that was opened */
    ino_t ino;
    int64_t looked_us; /* when the path was last compared with them */
    int wal_frames;    /* the journal's length */
    struct ledger_copier copier;

    /* Of the work in hand. */
    bool failed; /* the transaction cannot be committed */
    int rc;      /* SQLite's code of that */
    char reason[LEDGER_WHY_MAX];
    struct arena scratch; /* of one job */
    struct buf tallies_text, ends_text;
    struct user_row user;

    pthread_mutex_t work; /* who uses all of the above: the thread; after its end any loop */
    pthread_t thread;
    bool started;
    atomic_bool troubled, stopped;

    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t asked;
    struct ledger_job *first, *last;
    size_t queued;
    bool stop;
    char why[LEDGER_WHY_MAX]; /* the trouble; "" when there is none */
};

/* Notes what failed ("a row cannot be written") for answers and readiness, with SQLite's words for
 * rc unless that is SQLITE_OK. */
void ledger_db_say(struct ledger_db *db, struct str what, int rc);

/* Opens and prepares, starts no thread; statuses as ledger_db_open. */
MUST_CHECK enum status ledger_db_connect(struct ledger_db **out, struct str path,
                                         enum ledger_db_mode mode, struct buf *why);
void ledger_db_disconnect(struct ledger_db *db);

/* Is the file still the one at its path? Looks once a second; notes why not. */
bool ledger_db_in_place(struct ledger_db *db);

/* A path that SQLite takes for nothing but a path; NULL without memory. The caller frees it. */
char *ledger_db_plain_path(struct str path);

/* "path: what: SQLite's words" */
void ledger_db_why(struct buf *why, struct str path, struct str what, struct str words);

/* Pragmas, and whether the file is a ledger of ours: schema number and application id. */
MUST_CHECK enum status ledger_db_check_schema(sqlite3 *sql, struct str path, int64_t *out_version,
                                              struct buf *why);

/* ---- ledger_copier.c ---------------------------------------------------------------------------- */

/* ST_UNREACHABLE, ST_NO_MEMORY: nothing was started. */
MUST_CHECK enum status ledger_copier_start(struct ledger_copier *c, const char *path);
/* Before the serving connection is closed: the last one takes the journal away. Fine twice. */
void ledger_copier_stop(struct ledger_copier *c);
/* By the serving thread, between two transactions: is it time to copy? */
void ledger_copier_look(struct ledger_copier *c, sqlite3 *serving, int frames);

#endif
