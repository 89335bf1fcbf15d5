/*
 * ledger_thread - the queue and the thread that works it off: one transaction for all that waits.
 *
 * A transaction that fails is taken back and answered with "unavailable". Where a single question
 * may be the cause (a row that is spoilt, an id that is there already) its jobs are tried again one
 * by one, so that it harms nobody else. While there is trouble the thread looks by itself whether it
 * is over: a server that is not ready is asked nothing.
 *
 * When it is time to copy the journal into the file is looked at after the answers have left.
 */
#include "ledger_job.h"

#include <signal.h>
#include <time.h>

#include "presignd/log.h"

enum {
    BATCH_MAX = 1024,
    LOOK_AGAIN_US = 1000000, /* while there is trouble */
};

typedef enum status job_fn(struct ledger_db *db, struct ledger_job *j);

static job_fn *const verbs[] = {
    [LEDGER_RESERVE] = ledger_do_reserve,   [LEDGER_PEEK] = ledger_do_reserve,
    [LEDGER_VIEW] = ledger_do_view,         [LEDGER_CANCEL] = ledger_do_cancel,
    [LEDGER_COMPLETE] = ledger_do_complete, [LEDGER_DUE] = ledger_do_due,
    [LEDGER_SETTLE] = ledger_do_settle,     [LEDGER_SHOW] = ledger_do_show,
    [LEDGER_ADJUST] = ledger_do_adjust,     [LEDGER_SET] = ledger_do_adjust,
    [LEDGER_RESET] = ledger_do_reset,       [LEDGER_GIVE_BACK] = ledger_do_give_back,
    [JOB_RELEASE] = ledger_do_release,
};

/* ---- trouble ------------------------------------------------------------------------------------ */

static void set_trouble(struct ledger_db *db, const char *why)
{
    pthread_mutex_lock(&db->mutex);
    struct buf b = BUF_FIXED(db->why);
    buf_str(&b, str_slice(str_from(why), 0, LEDGER_WHY_MAX - 1));
    if (!buf_cstr(&b))
        db->why[0] = '\0';
    pthread_mutex_unlock(&db->mutex);
    atomic_store_explicit(&db->troubled, why[0] != '\0', memory_order_release);
}

static void end_trouble(struct ledger_db *db)
{
    if (!atomic_load_explicit(&db->troubled, memory_order_relaxed))
        return;
    set_trouble(db, "");
    log_say(LOG_LEVEL_INFO, "ledger", STR("the ledger is written again"), loop_clock_wall_us());
    log_flush();
}

static void begin_trouble(struct ledger_db *db)
{
    const bool known = atomic_load_explicit(&db->troubled, memory_order_relaxed);
    set_trouble(db, db->reason[0] ? db->reason : "the ledger cannot be written");
    if (!known)
        log_say(LOG_LEVEL_ERROR, "ledger", str_from(db->why), loop_clock_wall_us());
}

/* ---- transactions ------------------------------------------------------------------------------- */

static void set_reason(struct ledger_db *db, struct ledger_job *j)
{
    struct buf b = BUF_FIXED(j->reason);
    buf_str(&b, db->reason[0] ? str_from(db->reason) : STR("a row cannot be understood"));
    if (!buf_cstr(&b))
        j->reason[0] = '\0';
}

static void unavailable(struct ledger_db *db, struct ledger_job *j)
{
    j->status = ST_LEDGER_UNAVAILABLE;
    j->has_states = j->replayed = false;
    set_reason(db, j);
}

static void work_off(struct ledger_db *db, struct ledger_job *j)
{
    arena_reset(&db->scratch);
    if (j->verb != JOB_RELEASE)
        arena_reset(&j->answer);
    j->has_states = j->replayed = false;
    j->n_uploads = j->n_tallies = 0;
    db->reason[0] = '\0';
    j->status = verbs[j->verb](db, j);
    if (j->status == ST_NO_MEMORY && !db->failed)
        ledger_db_say(db, STR("no memory"), SQLITE_NOMEM);
    if (j->status == ST_INVALID || j->status == ST_NO_MEMORY)
        unavailable(db, j);
}

/* [first, end) in one transaction; false: nothing of it happened. */
static bool try_all(struct ledger_db *db, struct ledger_job *first, const struct ledger_job *end)
{
    db->failed = false;
    db->reason[0] = '\0';
    if (!ledger_db_in_place(db)) {
        db->failed = true;
        db->rc = SQLITE_IOERR;
        return false;
    }
    if (ledger_run(db, STMT_BEGIN) != ST_OK)
        return false;
    for (struct ledger_job *j = first; j != end && !db->failed; j = j->next)
        work_off(db, j);
    if (!db->failed && ledger_run(db, STMT_COMMIT) == ST_OK)
        return true;
    /* Some errors have ended the transaction already. */
    if (!sqlite3_get_autocommit(db->sql))
        sqlite3_step(db->stmts[STMT_ROLLBACK]);
    sqlite3_reset(db->stmts[STMT_ROLLBACK]);
    return false;
}

/* Would the others succeed without one of them? */
static bool one_may_be_guilty(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
    case SQLITE_CORRUPT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_NOMEM: return true;
    default: return false;
    }
}

static void settle_trouble(struct ledger_db *db, bool worked)
{
    if (worked)
        end_trouble(db);
    else if ((db->rc & 0xff) != SQLITE_CONSTRAINT)
        begin_trouble(db);
}

static void run_alone(struct ledger_db *db, struct ledger_job *j)
{
    const bool worked = try_all(db, j, j->next);
    settle_trouble(db, worked);
    if (!worked)
        unavailable(db, j);
}

static void run_batch(struct ledger_db *db, struct ledger_job *first)
{
    const bool worked = try_all(db, first, NULL);
    if (!worked && first->next && one_may_be_guilty(db->rc)) {
        for (struct ledger_job *j = first; j; j = j->next)
            run_alone(db, j);
        return;
    }
    settle_trouble(db, worked);
    for (struct ledger_job *j = first; j && !worked; j = j->next)
        unavailable(db, j);
}

static void probe(struct ledger_db *db)
{
    db->failed = false;
    db->reason[0] = '\0';
    bool worked = ledger_db_in_place(db) && ledger_run(db, STMT_BEGIN) == ST_OK;
    if (worked) {
        worked = rows_probe(db, loop_clock_wall_us() / 1000000) == ST_OK &&
                 ledger_run(db, STMT_COMMIT) == ST_OK;
        if (!sqlite3_get_autocommit(db->sql))
            sqlite3_step(db->stmts[STMT_ROLLBACK]);
        sqlite3_reset(db->stmts[STMT_ROLLBACK]);
    }
    if (worked)
        end_trouble(db);
    else
        begin_trouble(db);
}

/* ---- answers ------------------------------------------------------------------------------------ */

/* One post per door, with a chain of its jobs. */
static void send_home(struct ledger_job *first)
{
    struct ledger_door *doors = NULL;
    for (struct ledger_job *j = first, *next; j; j = next) {
        struct ledger_door *d = j->door;
        next = j->next;
        j->next = NULL;
        if (!d->home) {
            d->home = j;
            d->next_home = doors;
            doors = d;
        } else {
            d->home_last->next = j;
        }
        d->home_last = j;
    }
    for (struct ledger_door *d = doors, *next; d; d = next) {
        /* Once posted, the door is its loop's alone. */
        struct ledger_job *head = d->home;
        next = d->next_home;
        d->home = NULL;
        head->post.run = ledger_door_home;
        loop_post(d->loop, &head->post);
    }
}

static void work(struct ledger_db *db, struct ledger_job *first)
{
    pthread_mutex_lock(&db->work);
    run_batch(db, first);
    send_home(first);
    ledger_copier_look(&db->copier, db->sql, db->wal_frames);
    pthread_mutex_unlock(&db->work);
}

/* ---- the queue ---------------------------------------------------------------------------------- */

static void push(struct ledger_db *db, struct ledger_job *first, struct ledger_job *last, size_t n)
{
    if (db->last)
        db->last->next = first;
    else
        db->first = first;
    db->last = last;
    db->queued += n;
}

/* The first BATCH_MAX; NULL: none. */
static struct ledger_job *pop(struct ledger_db *db)
{
    struct ledger_job *first = db->first, *j = first;
    if (!first)
        return NULL;
    size_t n = 1;
    for (; n < BATCH_MAX && j->next; n++)
        j = j->next;
    db->first = j->next;
    if (!db->first)
        db->last = NULL;
    j->next = NULL;
    db->queued -= n;
    return first;
}

void ledger_thread_take(struct ledger_db *db, struct ledger_job *first, struct ledger_job *last,
                        size_t n)
{
    pthread_mutex_lock(&db->mutex);
    const bool over = db->stop, sleeps = !db->first;
    if (!over)
        push(db, first, last, n);
    pthread_mutex_unlock(&db->mutex);
    /* Woken while the mutex is held, the thread would only run into it. */
    if (over)
        work(db, first);
    else if (sleeps)
        pthread_cond_signal(&db->asked);
}

/* With the mutex. Sleeps until something is asked; with trouble at most a second. */
static void wait_for_work(struct ledger_db *db)
{
    if (!atomic_load_explicit(&db->troubled, memory_order_relaxed)) {
        pthread_cond_wait(&db->asked, &db->mutex);
        return;
    }
    const int64_t until_us = loop_clock_us() + LOOK_AGAIN_US;
    const struct timespec until = { .tv_sec = until_us / 1000000,
                                    .tv_nsec = until_us % 1000000 * 1000 };
    const int timed_out = pthread_cond_timedwait(&db->asked, &db->mutex, &until);
    if (!timed_out || db->first || db->stop)
        return;
    pthread_mutex_unlock(&db->mutex);
    pthread_mutex_lock(&db->work);
    probe(db);
    pthread_mutex_unlock(&db->work);
    pthread_mutex_lock(&db->mutex);
}

static void *run(void *arg)
{
    struct ledger_db *db = arg;
    pthread_mutex_lock(&db->mutex);
    for (;;) {
        struct ledger_job *first = pop(db);
        if (first) {
            pthread_mutex_unlock(&db->mutex);
            work(db, first);
            pthread_mutex_lock(&db->mutex);
        } else if (db->stop) {
            break;
        } else {
            wait_for_work(db);
        }
    }
    pthread_mutex_unlock(&db->mutex);
    return NULL;
}

/* Signals are for those who wait for them. */
enum status ledger_thread_start(struct ledger_db *db)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    db->started = pthread_create(&db->thread, NULL, run, db) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!db->started)
        return ST_NO_MEMORY;
    pthread_setname_np(db->thread, "ledger");
    return ST_OK;
}

void ledger_thread_stop(struct ledger_db *db)
{
    if (!db->started)
        return;
    pthread_mutex_lock(&db->mutex);
    db->stop = true;
    pthread_cond_signal(&db->asked);
    pthread_mutex_unlock(&db->mutex);
    pthread_join(db->thread, NULL);
    db->started = false;
    atomic_store_explicit(&db->stopped, true, memory_order_release);
}
