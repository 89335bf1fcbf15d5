/*
 * limits - the arithmetic of plans: may this be taken, and what is left? Pure: time is an argument,
 * what was counted is an argument. The Redis scripts do the same sums; one suite holds both to it.
 *
 * rate   GCRA (ITU-T I.371's virtual scheduling): at most `burst` at one instant, then one per
 *        window_s / max. In whole microseconds, rounded up, so never faster than promised.
 * count  files, bytes: bytes; in UTC windows [floor(t / window_s) * window_s, + window_s), in
 *        calendar months (UTC), or for ever. What is taken belongs to the window it was made in.
 * open   files granted and neither completed, cancelled nor expired.
 */
#ifndef PRESIGND_LIMITS_H
#define PRESIGND_LIMITS_H

#include "presignd/arena.h"
#include "presignd/fault.h"
#include "presignd/profile.h"

enum { LIMITS_HAIR_S = 10 /* how far clocks of two requests may cross at a window's edge */ };

/* 2^53 - 1: nothing counted or configured is more. */
#define LIMITS_NUMBER_MAX INT64_C(9007199254740991)

/* What one limit has counted for one user. A tally of another kind than the limit counts as empty. */
struct tally {
    struct str name; /* the limit's */
    enum limit_kind kind;
    int64_t start_s;  /* the window's beginning; 0: no window */
    int64_t used;     /* settled files or bytes */
    int64_t reserved; /* promised, not settled yet; open: files that are open */
    int64_t tat_us;   /* rate: when all that was taken has been paid off */
};

/* What a request wants of a user's limits. */
struct limits_ask {
    int64_t now_us;
    int64_t files, bytes; /* count and open take files, bytes takes bytes */
    int64_t open_ends_s;  /* earliest end of an open upload of this user; 0 unknown */
    bool rate_only;       /* a repeated request: what it reserved before is there already */
    /* Open takes so many more, also with rate_only: files of a repeated request whose reservation is
     * held, while their open place was lost when they expired. */
    int64_t reopened;
};

/* Which limit said no, and until when. */
struct limits_verdict {
    enum status status; /* ST_OK, ST_QUOTA_NEVER, ST_QUOTA_EXCEEDED, ST_RATE_LIMITED */
    size_t index;       /* in plan->limits */
    int64_t used;       /* used + reserved */
    int64_t requested;
    int64_t wait_us;     /* until it could be had, if nothing else is taken; 0 for 403 */
    int64_t resets_at_s; /* 0: never */
};

/* What is left of one limit, as /v1/quota and RateLimit show it. */
struct limit_state {
    int64_t used, reserved, remaining; /* rate: remaining now, used = burst - remaining */
    int64_t resets_at_s; /* rounded up; 0: never. rate: when the burst is full again */
};

/* The window that now_s lies in; 0 where the limit has none. The end: 0 where it never renews. */
int64_t limit_window_start(const struct limit *l, int64_t now_s);
int64_t limit_window_end(const struct limit *l, int64_t start_s);

/* GCRA's step: window / max in microseconds, rounded up. A burst's worth, burst * step, is cut to
 * 2^52 us; a rate with max 0 admits nothing (403). */
int64_t limit_step_us(const struct limit *l);

/*
 * Brings a tally to `now`: another kind or another window empties it (one that begins within
 * LIMITS_HAIR_S stays: clocks of two requests may cross by a hair); a tat_us further ahead than a
 * full burst (the limit was changed, the clock was set back) is cut to one.
 */
void tally_roll(struct tally *t, const struct limit *l, int64_t now_us);

/*
 * All or nothing; the tallies (one per limit of the plan, rolled already) are not changed. Several
 * noes: 403 first, then the longest wait, then the order of the configuration. Returns out->status.
 */
enum status limits_check(const struct plan *p, const struct tally *tallies,
                         const struct limits_ask *ask, struct limits_verdict *out);

/* Takes what limits_check allowed: rate moves on, the others reserve. */
void limits_take(const struct plan *p, struct tally *tallies, const struct limits_ask *ask);

/* A reservation of `amount` made in the window start_s ends: `used` of it is used (0: all given
 * back; negative takes back what was settled before). A tally whose window is another one is left
 * alone. Never below zero, never above LIMITS_NUMBER_MAX. */
void tally_settle(struct tally *t, int64_t start_s, int64_t amount, int64_t used);

struct limit_state limits_state(const struct limit *l, const struct tally *rolled, int64_t now_us,
                                int64_t open_ends_s);

/* The refusal as API.md has it ("Codes": rate_limited, quota_exceeded): sentence, members,
 * Retry-After. Texts go to the arena. Returns the verdict's status, or ST_NO_MEMORY. */
MUST_CHECK enum status limits_fault(const struct plan *p, const struct limits_verdict *v,
                                    int64_t now_us, struct arena *a, struct fault *f);

#endif
