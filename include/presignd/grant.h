/*
 * grant - the steps that every way of asking shares: authenticate, decide, credentials, reserve.
 * A dialect only reads wishes into the call and writes packets out of it; it never decides anything.
 */
#ifndef PRESIGND_GRANT_H
#define PRESIGND_GRANT_H

#include "presignd/decide.h"
#include "presignd/worker.h"

enum { GRANT_RETRY_AFTER_S = 5 }; /* told where keys or credentials are awaited */

struct grant { /* one file */
    struct decision decision;
    int64_t expires_at_s, expires_in_s;
    enum expiry_limit limited_by;
};

/* What a dialect calls a member of ours, for "member" in a refusal. */
struct member_name {
    struct str ours, theirs;
};

struct grant_call {
    struct request r;      /* first: container_of */
    struct world *world;   /* whose keys and rules judge */
    struct world *signing; /* whose credentials sign: a later one where the request had to wait */
    struct principal *who;
    struct waiter waiter;
    int64_t patience_ms; /* until when this wait may last; 0: not waiting */
    bool asked_creds;
    /* read by the dialect */
    struct wish *wishes;
    size_t n;
    bool batch; /* faults name the index, the answer is a list */
    bool dry_run;
    const struct member_name *names; /* of the dialect, ended by empty ones; NULL: as ours */
    /* made by the steps */
    struct grant *grants;
    struct ledger_op op;
    bool reserving, reserved;
    bool granted; /* signed, logged, and in the answer */
};

struct grant_call *grant_call_of(struct request *r);

/* The steps, in their order. */
step_fn grant_authenticate; /* 401, 403 insufficient_scope, 503 keys_unavailable */
step_fn grant_decide;       /* 400, 403, 422 */
step_fn grant_credentials;  /* 503 credentials_unavailable, credentials_expiring; sets expiries */
step_fn grant_reserve;      /* 403, 429, 503 of the ledger; skipped by dry runs */

/* route->end and route->log of every dialect. */
void grant_end(struct request *r, bool answer_was_sent);
void grant_log(const struct request *r, struct jw *line);

/* Refuses with r.fault; in a batch the fault gets "index". */
enum step grant_refuse(struct grant_call *g, enum status st, size_t index);

/* 400 invalid_request naming a member. */
enum step grant_bad_member(struct grant_call *g, struct str member, struct str detail);

#endif
