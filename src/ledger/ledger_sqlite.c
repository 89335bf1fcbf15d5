/*
 * ledger_sqlite - the doors of the loops to the one thread that owns the file.
 *
 * A question is copied into a job (the request may vanish while it is out) and waits in the door
 * until the loop's turn is over: what one turn asks crosses to the thread at once and becomes one
 * transaction. Answers come home the same way, a chain per door.
 *
 * A job whose op is gone is an orphan. A RESERVE that was orphaned is released: nobody has its
 * packets.
 */
#include "ledger_job.h"

#include <stdlib.h>

enum {
    OUT_MAX = 16384,    /* of one door */
    DEADLINE_MS = 5000, /* more than LEDGER_BUSY_MS */
};

/* ---- what is out -------------------------------------------------------------------------------- */

/* In the list stands who still has somebody waiting for it. */
static void link_job(struct ledger_door *d, struct ledger_job *j)
{
    j->older = d->newest;
    *(d->newest ? &d->newest->newer : &d->oldest) = j;
    d->newest = j;
}

static struct ledger_op *orphan(struct ledger_door *d, struct ledger_job *j)
{
    struct ledger_op *op = j->op;
    if (!op)
        return NULL;
    *(j->older ? &j->older->newer : &d->oldest) = j->newer;
    *(j->newer ? &j->newer->older : &d->newest) = j->older;
    j->older = j->newer = NULL;
    j->op = NULL;
    op->job = NULL;
    return op;
}

static void hand_over(struct ledger_door *d)
{
    struct ledger_job *first = d->waiting, *last = d->waiting_last;
    const size_t n = d->n_waiting;
    d->waiting = d->waiting_last = NULL;
    d->n_waiting = 0;
    if (first)
        ledger_thread_take(d->db, first, last, n);
}

static void free_when_empty(struct ledger_door *d)
{
    if (d->freed && d->n_out == 0 && !d->flushing)
        free(d);
}

static void flush(struct post *p, struct loop *l)
{
    (void)l;
    struct ledger_door *d = container_of(p, struct ledger_door, flush);
    d->flushing = false;
    hand_over(d);
    free_when_empty(d);
}

/* The jobs of one turn cross together: the post runs when all of the turn's work was asked. */
static void send(struct ledger_door *d, struct ledger_job *j)
{
    j->next = NULL;
    *(d->waiting_last ? &d->waiting_last->next : &d->waiting) = j;
    d->waiting_last = j;
    d->n_waiting++;
    d->n_out++;
    if (d->freed) {
        hand_over(d);
    } else if (!d->flushing) {
        d->flushing = true;
        d->flush.run = flush;
        loop_post(d->loop, &d->flush);
    }
}

/* ---- coming home -------------------------------------------------------------------------------- */

/* The job of a grant that nobody got becomes the one that takes it back. */
static void take_back(struct ledger_door *d, struct ledger_job *j)
{
    for (size_t i = 0; i < j->n_files && j->replayed; i++)
        j->files[i].id = str_from(j->replay[i].id);
    j->verb = JOB_RELEASE;
    send(d, j);
}

static void come_home(struct ledger_door *d, struct ledger_job *j)
{
    const bool granted = j->verb == LEDGER_RESERVE && j->status == ST_OK;
    struct ledger_op *op = orphan(d, j);
    d->n_out--;
    d->late = false;
    const bool told = op && ledger_job_tell(op, j);
    if (granted && !told && !j->followed)
        take_back(d, j);
    else if (!j->followed)
        ledger_job_free(j);
    if (op)
        op->done(op);
}

void ledger_door_home(struct post *p, struct loop *l)
{
    (void)l;
    struct ledger_job *j = container_of(p, struct ledger_job, post);
    struct ledger_door *d = j->door;
    while (j) {
        struct ledger_job *next = j->next;
        come_home(d, j);
        j = next;
    }
    free_when_empty(d);
}

/* ---- the kind ----------------------------------------------------------------------------------- */

static struct ledger_door *door_of(struct ledger *l)
{
    return container_of(l, struct ledger_door, ledger);
}

/* Nobody waits for a RESERVE any more: what it gets is taken back right behind it. Without memory
 * for that, when it comes home. */
static struct ledger_op *abandon(struct ledger_door *d, struct ledger_job *j)
{
    struct ledger_op *op = orphan(d, j);
    struct ledger_job *release = j->verb == LEDGER_RESERVE ? ledger_job_follow(j) : NULL;
    if (release)
        send(d, release);
    return op;
}

static void too_late(struct timer *t)
{
    struct ledger_door *d = container_of(t, struct ledger_door, deadline);
    const int64_t now_ms = loop_now_ms(d->loop);
    while (d->oldest && d->oldest->asked_ms + DEADLINE_MS <= now_ms) {
        struct ledger_op *op = abandon(d, d->oldest);
        assert(op);
        d->late = true;
        ledger_op_unavailable(op, STR("the ledger did not answer in time"));
        op->done(op);
    }
    if (d->oldest && !t->slot &&
        loop_timer_at(d->loop, t, d->oldest->asked_ms + DEADLINE_MS) != ST_OK)
        d->late = true; /* the next question sets it */
}

static enum ledger_progress door_ask(struct ledger *l, struct ledger_op *op)
{
    struct ledger_door *d = door_of(l);
    ledger_op_forget(op);
    const int64_t now_ms = loop_now_ms(d->loop);
    const bool stopped = atomic_load_explicit(&d->db->stopped, memory_order_acquire);
    if (stopped || d->n_out >= OUT_MAX) {
        ledger_op_unavailable(op,
                              stopped ? STR("the server ends") : STR("too much is asked at once"));
        return LEDGER_DONE;
    }
    struct ledger_job *j = ledger_job_new(d, op);
    if (!j || (!d->deadline.slot &&
               loop_timer_at(d->loop, &d->deadline, now_ms + DEADLINE_MS) != ST_OK)) {
        ledger_job_free(j);
        ledger_op_unavailable(op, STR("no memory"));
        return LEDGER_DONE;
    }
    j->asked_ms = now_ms;
    op->job = j;
    link_job(d, j);
    send(d, j);
    return LEDGER_PENDING;
}

/* What a finished RESERVE took goes back; its texts are those of the op still. */
static void door_release(struct ledger *l, struct ledger_op *op)
{
    struct ledger_door *d = door_of(l);
    if (op->job) {
        abandon(d, op->job);
        return;
    }
    if (op->status != ST_OK || op->n_files == 0)
        return;
    struct ledger_op as_asked = *op;
    as_asked.plan = NULL;
    struct ledger_job *j = ledger_job_new(d, &as_asked);
    if (!j)
        return; /* it stays reserved until the packet is dead */
    j->op = NULL;
    j->verb = JOB_RELEASE;
    if (op->replayed)
        for (size_t i = 0; i < j->n_files; i++) {
            const struct str id = arena_copy(&j->answer, str_from(op->replay[i].id));
            j->files[i].id = id.ptr ? id : STR("");
        }
    send(d, j);
}

static void door_handed(struct ledger *l, const struct ledger_op *op)
{
    (void)l;
    (void)op;
}

static void door_cancel(struct ledger *l, struct ledger_op *op)
{
    if (op->job)
        orphan(door_of(l), op->job);
}

static bool door_ready(struct ledger *l, struct str *why)
{
    struct ledger_door *d = door_of(l);
    struct ledger_db *db = d->db;
    *why = d->late ? STR("the ledger does not answer") : STR("");
    if (!atomic_load_explicit(&db->troubled, memory_order_acquire))
        return !d->late;
    pthread_mutex_lock(&db->mutex);
    memcpy(d->why, db->why, sizeof(d->why));
    pthread_mutex_unlock(&db->mutex);
    *why = str_from(d->why);
    return false;
}

static void door_free(struct ledger *l)
{
    struct ledger_door *d = door_of(l);
    loop_timer_stop(d->loop, &d->deadline);
    while (d->oldest)
        orphan(d, d->oldest);
    d->freed = true;
    hand_over(d);
    free_when_empty(d);
}

static const struct ledger_kind sqlite_kind = {
    .name = "sqlite",
    .remembers = true,
    .ask = door_ask,
    .release = door_release,
    .handed = door_handed,
    .cancel = door_cancel,
    .ready = door_ready,
    .free = door_free,
};

struct ledger *ledger_sqlite_new(struct ledger_db *db, struct loop *l)
{
    struct ledger_door *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->ledger.kind = &sqlite_kind;
    d->db = db;
    d->loop = l;
    d->deadline.due = too_late;
    return &d->ledger;
}

/* ---- the database ------------------------------------------------------------------------------- */

enum status ledger_db_open(struct ledger_db **out, struct str path, enum ledger_db_mode mode,
                           struct buf *why)
{
    struct ledger_db *db;
    TRY(ledger_db_connect(&db, path, mode, why));
    enum status st = ledger_copier_start(&db->copier, db->path);
    if (st == ST_UNREACHABLE)
        ledger_db_why(why, path, STR("it cannot be opened a second time"), STR(""));
    if (st == ST_OK)
        st = ledger_thread_start(db);
    if (st != ST_OK) {
        ledger_db_disconnect(db);
        return st;
    }
    *out = db;
    return ST_OK;
}

void ledger_db_stop(struct ledger_db *db)
{
    if (db)
        ledger_thread_stop(db);
}

void ledger_db_free(struct ledger_db *db)
{
    if (!db)
        return;
    ledger_thread_stop(db);
    ledger_db_disconnect(db);
}
