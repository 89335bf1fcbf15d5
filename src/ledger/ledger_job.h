/*
 * ledger_job - one question to the embedded ledger on its way to the thread and back, and the doors
 * where it goes out and comes home.
 */
#ifndef PRESIGND_LEDGER_JOB_H
#define PRESIGND_LEDGER_JOB_H

#include "ledger_db.h"

enum {
    LEDGER_DUE_MAX = 1000,              /* uploads of one DUE */
    JOB_RELEASE = LEDGER_GIVE_BACK + 1, /* a verb beside those of ledger.h */
};

/* One block; the texts of the question lie behind it. */
struct ledger_job {
    struct post post; /* of the first of a chain that goes home */
    struct ledger_job *next;
    struct ledger_job *older, *newer; /* of one door while it is out; the loop's */
    struct ledger_door *door;
    struct ledger_op *op; /* the loop's; NULL: nobody waits any more */
    int64_t asked_ms;
    struct ledger_job *of; /* JOB_RELEASE: the RESERVE it follows, freed with it; may be NULL */
    bool followed;         /* a JOB_RELEASE comes behind this RESERVE */

    int verb; /* enum ledger_verb or JOB_RELEASE */
    struct str user, id, limit_name, idem_key, request_hash;
    int64_t now_us, amount;
    size_t max_uploads;
    struct plan plan; /* without limits also where the question had none */
    struct ledger_file *files;
    size_t n_files;
    struct object_seen seen;

    enum status status;
    struct limits_verdict verdict; /* of ST_QUOTA_*, ST_RATE_LIMITED */
    enum upload_state state;       /* of ST_UPLOAD_STATE */
    bool has_states, replayed;
    int64_t backlog;
    struct upload *uploads; /* the lists lie in `answer` */
    size_t n_uploads;
    struct tally *tallies;
    size_t n_tallies;
    struct ledger_replay *replay;
    struct arena answer;
    struct limit_state states[LEDGER_LIMITS_MAX];
    char reason[LEDGER_WHY_MAX]; /* of ST_LEDGER_UNAVAILABLE: a C string */
};

struct ledger_door {
    struct ledger ledger;
    struct ledger_db *db;
    struct loop *loop;
    struct post flush; /* hands over what one turn has asked */
    bool flushing;
    bool freed;                                /* lives until all that is out has come home */
    struct ledger_job *waiting, *waiting_last; /* asked in this turn */
    size_t n_waiting;
    struct ledger_job *oldest, *newest; /* out, with deadlines */
    size_t n_out;
    struct timer deadline;
    bool late;                /* the last that was heard: nothing in time */
    char why[LEDGER_WHY_MAX]; /* what ready() said last */

    /* The thread's, while it sorts answers by door. */
    struct ledger_job *home, *home_last;
    struct ledger_door *next_home;
};

static inline int64_t ledger_seconds(int64_t now_us)
{
    return now_us / 1000000;
}

/* ---- ledger_job.c ------------------------------------------------------------------------------- */

/* Copies the question; NULL without memory. */
struct ledger_job *ledger_job_new(struct ledger_door *d, struct ledger_op *op);
void ledger_job_free(struct ledger_job *j); /* NULL is fine */
/* Takes back what a RESERVE, still under way, gets; NULL without memory. */
struct ledger_job *ledger_job_follow(struct ledger_job *reserve);

/* Copies the answer. False: it has no room in the op's arena, and the op says "unavailable". */
bool ledger_job_tell(struct ledger_op *op, const struct ledger_job *j);
enum status ledger_op_unavailable(struct ledger_op *op, struct str reason);

/* ---- ledger_reserve.c, ledger_uploads.c, ledger_operator.c: one job each -------------------------
 * ST_OK and every refusal: answered, nothing or all of it is written. As ledger_rows.h otherwise. */

enum status ledger_do_reserve(struct ledger_db *db, struct ledger_job *j); /* and PEEK */
enum status ledger_do_release(struct ledger_db *db, struct ledger_job *j);
enum status ledger_do_view(struct ledger_db *db, struct ledger_job *j);
enum status ledger_do_cancel(struct ledger_db *db, struct ledger_job *j);
enum status ledger_do_complete(struct ledger_db *db, struct ledger_job *j);
enum status ledger_do_due(struct ledger_db *db, struct ledger_job *j);
enum status ledger_do_settle(struct ledger_db *db, struct ledger_job *j);
enum status ledger_do_show(struct ledger_db *db, struct ledger_job *j);
enum status ledger_do_adjust(struct ledger_db *db, struct ledger_job *j); /* and SET */
enum status ledger_do_reset(struct ledger_db *db, struct ledger_job *j);
enum status ledger_do_give_back(struct ledger_db *db, struct ledger_job *j);

/* Ends a reservation in the user's tallies: so many files and bytes of it count as used. */
MUST_CHECK enum status upload_settle(struct user_row *user, struct upload_row *r, int64_t files,
                                     int64_t bytes);
/* Its open place is free, if it has one. */
void upload_close(struct user_row *user, struct upload_row *r);

/* ---- ledger_thread.c ---------------------------------------------------------------------------- */

MUST_CHECK enum status ledger_thread_start(struct ledger_db *db);
/* What was taken is worked off first. Fine twice. */
void ledger_thread_stop(struct ledger_db *db);

/* Takes a chain of n jobs; their answers go home by loop_post. After the stop the caller works them
 * off itself. */
void ledger_thread_take(struct ledger_db *db, struct ledger_job *first, struct ledger_job *last,
                        size_t n);

/* ---- ledger_sqlite.c ---------------------------------------------------------------------------- */

/* What the post of a chain's first job runs. */
void ledger_door_home(struct post *p, struct loop *l);

#endif
