/*
 * ledger_copier - copies the journal into the file (a checkpoint) beside the thread that serves.
 *
 * Nearly all of a checkpoint is waiting for the disk, and nobody should wait with it. So a thread
 * with a connection of its own copies what is there, while the serving one goes on writing behind
 * it. But a journal only begins anew when all of it was copied and nobody writes: for that the
 * serving thread itself copies the little that came meanwhile. On a disk that cannot keep up, that
 * is also what makes it wait, so that the journal has an end.
 *
 * What fails here is tried again further on: until then all is in the journal.
 */
#include "ledger_db.h"

#include <signal.h>

static void copy_now(sqlite3 *sql)
{
    /* PASSIVE waits for nobody and lets nobody wait. */
    sqlite3_wal_checkpoint_v2(sql, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void *run(void *arg)
{
    struct ledger_copier *c = arg;
    pthread_mutex_lock(&c->mutex);
    while (!c->stop) {
        if (c->state != COPIER_WORKS) {
            pthread_cond_wait(&c->asked, &c->mutex);
            continue;
        }
        pthread_mutex_unlock(&c->mutex);
        copy_now(c->sql);
        pthread_mutex_lock(&c->mutex);
        c->state = COPIER_IS_DONE;
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

/* Asks the thread to begin, or tells that it has come to an end; true: the rest is to be copied. */
static bool ask(struct ledger_copier *c, bool wanted)
{
    pthread_mutex_lock(&c->mutex);
    const bool done = c->state == COPIER_IS_DONE;
    if (done) {
        c->state = COPIER_RESTS;
    } else if (wanted && c->state == COPIER_RESTS) {
        c->state = COPIER_WORKS;
        pthread_cond_signal(&c->asked);
    }
    pthread_mutex_unlock(&c->mutex);
    return done;
}

void ledger_copier_look(struct ledger_copier *c, sqlite3 *serving, int frames)
{
    if (!c->started)
        return;
    if (frames < c->copied)
        c->copied = 0; /* it has begun anew */
    if (!ask(c, frames - c->copied >= LEDGER_COPY_FRAMES))
        return;
    copy_now(serving);
    c->copied = frames; /* a reader may keep it from beginning anew: again further on */
}

/* The first look at the file is what tells SQLite that there is a journal. */
static enum status open_connection(struct ledger_copier *c, const char *path)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    const int rc = sqlite3_open_v2(path, &c->sql, flags, NULL);
    if (rc != SQLITE_OK)
        return rc == SQLITE_NOMEM ? ST_NO_MEMORY : ST_UNREACHABLE;
    sqlite3_busy_timeout(c->sql, LEDGER_BUSY_MS);
    static const char text[] = "PRAGMA synchronous = NORMAL; SELECT count(*) FROM sqlite_schema";
    switch (sqlite3_exec(c->sql, text, NULL, NULL, NULL) & 0xff) {
    case SQLITE_OK: return ST_OK;
    case SQLITE_NOMEM: return ST_NO_MEMORY;
    default: return ST_UNREACHABLE;
    }
}

/* Signals are for those who wait for them. */
static bool start_thread(struct ledger_copier *c)
{
    sigset_t all, before;
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->asked, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    c->started = pthread_create(&c->thread, NULL, run, c) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (c->started) {
        pthread_setname_np(c->thread, "ledger-copy");
        return true;
    }
    pthread_cond_destroy(&c->asked);
    pthread_mutex_destroy(&c->mutex);
    return false;
}

enum status ledger_copier_start(struct ledger_copier *c, const char *path)
{
    enum status st = open_connection(c, path);
    if (st == ST_OK && !start_thread(c))
        st = ST_NO_MEMORY;
    if (st != ST_OK)
        ledger_copier_stop(c);
    return st;
}

static void stop_thread(struct ledger_copier *c)
{
    pthread_mutex_lock(&c->mutex);
    c->stop = true;
    pthread_cond_signal(&c->asked);
    pthread_mutex_unlock(&c->mutex);
    pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->asked);
    pthread_mutex_destroy(&c->mutex);
    c->started = false;
}

void ledger_copier_stop(struct ledger_copier *c)
{
    if (c->started)
        stop_thread(c);
    sqlite3_close_v2(c->sql);
    c->sql = NULL;
}
