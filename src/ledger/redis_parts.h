/*
 * redis_parts - what the parts of the fleet engine share: the process's half (ledger_fleet), one
 * loop's half (door), what is under way (job), and what is owed to the server (owed).
 */
#ifndef PRESIGND_REDIS_PARTS_H
#define PRESIGND_REDIS_PARTS_H

#include <stdatomic.h>

#include "presignd/ledger_redis.h"
#include "presignd/rate_share.h"

enum fleet_script {
    SCRIPT_RESERVE,
    SCRIPT_HANDED,
    SCRIPT_RELEASE,
    SCRIPT_UPLOAD,
    SCRIPT_DUE,
    SCRIPT_TALLIES,
    SCRIPT_PROBE,
    SCRIPT_COUNT,
};

struct ledger_fleet {
    struct ledger_redis_config config;
    struct resp_script scripts[SCRIPT_COUNT];
    struct buf texts[SCRIPT_COUNT]; /* what the scripts view */
    struct buf due_key;
    struct rate_share *share;
    atomic_int doors, doors_up; /* a process is ready when all of its loops are connected */
};

/* Makes the texts from the files beside this one. ST_NO_MEMORY. */
MUST_CHECK enum status fleet_scripts_make(struct ledger_fleet *f);

/* ---- questions (ledger_redis_ask.c) ------------------------------------------------------------- */

enum { KEY_MAX = 1024, FILES_MAX = 100, ARGS_MAX = 1400, DIGITS_MAX = 32 * 512 };

/* KEYS[1] and ARGV of a script; views into itself and into the question. */
struct args {
    struct str list[ARGS_MAX];
    size_t n;
    enum fleet_script script;
    struct buf key;                /* KEYS[1] */
    struct buf digits;             /* fixed: what stands in it does not move */
    char digits_space[DIGITS_MAX]; /* decimal texts */
};

/* What a RESERVE would leave behind: with it the server is told to take it back. */
struct owed {
    struct owed *next;
    int64_t now_us;
    struct str user_hash, token, idempotency_key;
    size_t n_ids;
    struct str ids[];
};
struct owed *owed_new(const struct ledger_op *op); /* a copy; NULL without memory */

/* Each makes a whole question; ST_TOO_LARGE, ST_NO_MEMORY. */
MUST_CHECK enum status args_of_op(struct args *a, const struct ledger_fleet *f,
                                  const struct ledger_op *op);
MUST_CHECK enum status args_of_release(struct args *a, const struct ledger_fleet *f,
                                       const struct owed *o);
MUST_CHECK enum status args_of_handed(struct args *a, const struct ledger_fleet *f,
                                      const struct ledger_op *op);

/* A write that changes nothing but a key of its own. */
MUST_CHECK enum status args_of_probe(struct args *a, const struct ledger_fleet *f);

/* ---- answers (ledger_redis_answer.c) ------------------------------------------------------------ */

/* Fills the op's answer from a RESP_OK reply. False: the reply is none of our scripts'. */
MUST_CHECK bool answer_read(struct ledger_op *op, const struct resp_reply *r);

/* After answer_read took r: a line in the log where the server's clock and op->now_us begin or cease to be
 * far apart; *apart is the state between calls. Only DUE tells: it is asked in the second it names,
 * while other questions carry the time their request began, which a slow client draws out. */
void answer_note_clock(bool *apart, const struct ledger_op *op, const struct resp_reply *r,
                       int64_t wall_us);

/* ST_LEDGER_UNAVAILABLE with the reason for the log (copied). */
void answer_unavailable(struct ledger_op *op, struct str reason);

/* Grants and refusals without the server. */
void answer_without_server(struct ledger_op *op, const struct ledger_fleet *f, struct str reason);

static inline bool plan_has_limits(const struct plan *p)
{
    return p && p->n_limits > 0;
}
static inline bool plan_counts(const struct plan *p, bool rate)
{
    for (size_t i = 0; p && i < p->n_limits; i++)
        if ((p->limits[i].kind == LIMIT_RATE) == rate)
            return true;
    return false;
}
static inline bool plan_has_rates(const struct plan *p)
{
    return plan_counts(p, true);
}
static inline bool plan_has_quotas(const struct plan *p)
{
    return plan_counts(p, false);
}

#endif
