/*
 * ledger - decides atomically whether a user may have a grant, remembers it, settles it.
 *
 * One asynchronous interface; engines fill the table of functions. The engine `none` grants all and
 * remembers nothing: it is refused by the configuration wherever a plan has limits.
 *
 * A ledger belongs to one loop. An operation is embedded in its owner and asks one thing (verb);
 * `done` is called once, from the loop, never from inside the call that started it. An engine that
 * can answer at once fills the answer and returns LEDGER_DONE instead, and `done` is not called.
 * Every engine has its own deadline: done comes. Texts of the question must live until then (or
 * until the cancel); texts of the answer are in op->arena.
 */
#ifndef PRESIGND_LEDGER_H
#define PRESIGND_LEDGER_H

#include "presignd/limits.h"
#include "presignd/loop.h"
#include "presignd/random.h"
#include "presignd/upload.h"

enum ledger_progress { LEDGER_DONE, LEDGER_PENDING };

enum ledger_verb {
    LEDGER_RESERVE,  /* files under the plan: all limits of all files together, or nothing */
    LEDGER_PEEK,     /* the same answer, nothing is taken; without files: what is left (states) */
    LEDGER_VIEW,     /* uploads[0] of (user, id); ST_NOT_FOUND */
    LEDGER_CANCEL,   /* cancelled, its open place free; ST_UPLOAD_STATE when completed */
    LEDGER_COMPLETE, /* `seen` was there: completed, its open place free; settled when the packet is
                         dead. ST_UPLOAD_STATE when cancelled; completed already: fine */
    LEDGER_DUE,      /* up to max_uploads whose packet is dead and that are still charged or
                         granted; leased for LEDGER_LEASE_S: nobody else gets them meanwhile.
                         `backlog` says how many there are. Forgets what ended long ago, bounded. */
    LEDGER_SETTLE,   /* of (user, id), dead: THERE: used with seen.size, and a granted one is
                         completed; MISSING: given back; UNKNOWN: as unsettled_release says; a
                         granted one that is not there is expired */
    LEDGER_SHOW,     /* operators: the user's tallies, as stored; ST_NOT_FOUND */
    LEDGER_ADJUST,   /* limit_name: used += amount, never below zero; ST_NOT_FOUND */
    LEDGER_SET,      /* limit_name: used = amount */
    LEDGER_RESET,    /* all tallies of the user: used = 0, rate forgiven; reservations stay */
    LEDGER_GIVE_BACK, /* used -= amount on every bytes limit that never renews */
};

enum { LEDGER_LEASE_S = 60, LEDGER_LIMITS_MAX = 16 /* of one plan */ };

struct ledger_file { /* one grant of a reservation */
    struct str id;   /* the upload's id (UUID v7) */
    struct str uuid; /* its {uuid}; a repeated request gets both again */
    struct str profile, bucket /* alias */, bucket_name, key, content_type;
    int64_t content_length; /* -1 unknown */
    int64_t reserve_bytes;
    int64_t expires_at_s;
    bool post, exact;
};

/* What an earlier request with the same Idempotency-Key was granted. */
struct ledger_replay {
    char id[UUID_TEXT + 1], uuid[UUID_TEXT + 1];
    struct str key;
    int64_t created_us;
};

struct ledger_op {
    void (*done)(struct ledger_op *op);
    enum ledger_verb verb;
    /* asked */
    struct str user_hash;    /* the pair (issuer, user) */
    const struct plan *plan; /* RESERVE, PEEK; NULL: no plans */
    int64_t now_us;          /* wall clock of the request, microseconds */
    struct arena *arena;     /* for texts of the answer; the owner's, untouched until done */
    const struct ledger_file *files;
    size_t n_files;
    struct str idempotency_key, request_hash; /* "" without one */
    struct str id;                            /* of one upload */
    struct object_seen seen;
    struct str limit_name;
    int64_t amount;
    size_t max_uploads;
    /* answered */
    enum status status;           /* ST_LEDGER_UNAVAILABLE when the engine cannot say */
    struct fault fault;           /* filled when status is not ST_OK */
    bool replayed;                /* RESERVE: replay[n_files] says what was granted before */
    struct ledger_replay *replay; /* in the arena, like the lists below */
    struct limit_state
        *states; /* RESERVE, PEEK: plan->n_limits, also with a refusal; may be NULL */
    struct upload *uploads;
    size_t n_uploads;
    struct tally *tallies;
    size_t n_tallies;
    int64_t backlog;
    void *job; /* the engine's, while pending */
};

struct ledger;
struct ledger_kind {
    const char *name;
    bool remembers; /* false: /v1/quota and /v1/uploads/{id} are 404 */
    enum ledger_progress (*ask)(struct ledger *l, struct ledger_op *op);
    void (*release)(struct ledger *l, struct ledger_op *op);
    void (*handed)(struct ledger *l, const struct ledger_op *op);
    void (*cancel)(struct ledger *l, struct ledger_op *op);
    bool (*ready)(struct ledger *l, struct str *why);
    void (*free)(struct ledger *l);
};
struct ledger {
    const struct ledger_kind *kind;
};

enum ledger_progress ledger_ask(struct ledger *l, struct ledger_op *op);

/* The packets of a RESERVE were never handed out: what it took is given back (but `rate`, which
 * counts requests), unless a repeated request holds the same grant. Of one still under way whatever
 * it gets; done is not called and the op not touched any more. */
void ledger_release(struct ledger *l, struct ledger_op *op);

/* The packets of a RESERVE are on their way to the client: only such may become `keep`. */
void ledger_handed(struct ledger *l, const struct ledger_op *op);

/* Forgets an op under way that is no RESERVE: done is not called. What it does is done or not. */
void ledger_cancel(struct ledger *l, struct ledger_op *op);

/* Whether grants of plans with limits can be had; the reason in any case, "" for none. */
bool ledger_ready(struct ledger *l, struct str *why);
/* Before loop_free; threads of the engine were joined already. */
void ledger_free(struct ledger *l);

/* For engines: every member of an answer as before one. */
void ledger_op_forget(struct ledger_op *op);

/* The engine for "backend": "none". NULL without memory. */
struct ledger *ledger_none_new(void);

#endif
