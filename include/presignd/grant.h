/*
 * grant - the steps that every way of asking shares: authenticate, Idempotency-Key, decide,
 * credentials, reserve.
 * A dialect only reads wishes into the call and writes packets out of it; it never decides anything.
 */
#ifndef PRESIGND_GRANT_H
#define PRESIGND_GRANT_H

#include "presignd/decide.h"
#include "presignd/hash.h"
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
    struct str idempotency_key;      /* "" without one */
    char request_hash[2 * HASH_BYTES];
    /* made by the steps */
    struct grant *grants;
    struct ledger_op op; /* RESERVE; PEEK for a dry run */
    int64_t asked_us;    /* when, on the loop's clock */
    bool asking;         /* the ledger has not answered yet */
    bool reserved;
    bool granted; /* signed, logged, and in the answer */
};

struct grant_call *grant_call_of(struct request *r);

/* The steps, in their order. */
step_fn grant_authenticate; /* 401, 403 insufficient_scope, 503 keys_unavailable */
step_fn grant_idempotency;  /* 400; after the body was read */
step_fn grant_decide;       /* 400, 403, 422 */
step_fn grant_credentials;  /* 503 credentials_unavailable, credentials_expiring; sets expiries */
step_fn grant_reserve;      /* 403, 409, 429, 503 of the ledger; dry runs only look */

/* Fills request_hash: what was asked, and what was decided but for ids and times. */
void grant_hash_request(struct grant_call *g);

/* Decides file i with these ids, as it was or would have been at now_s. STEP_ON or the refusal. */
enum step grant_decide_file(struct grant_call *g, size_t i, const struct grant_ids *ids,
                            int64_t now_s);

/*
 * A repeated request: the grants become what op.replay says, with the ids and the time of the first
 * (dates in keys), but with the life of this one. STEP_ON; 409 idempotency_conflict where the rules
 * have changed so that another key would come out; or the refusal that the rules give.
 */
enum step grant_replay(struct grant_call *g);

/* route->end and route->log of every dialect. */
void grant_end(struct request *r, bool answer_was_sent);
void grant_log(const struct request *r, struct jw *line);

/* Refuses with r.fault; in a batch the fault gets "index". */
enum step grant_refuse(struct grant_call *g, enum status st, size_t index);

/* 400 invalid_request naming a member. */
enum step grant_bad_member(struct grant_call *g, struct str member, struct str detail);

#endif
