/*
 * cred_store - keeps one set of credentials fresh. Lives on one loop; others get snapshots.
 *
 * Refresh is in the background and single-flight: advisory at min(60 min, half of the lifetime)
 * before the end; full-jitter back-off after failures; the last good generation is kept to its true
 * expiry and never beyond. An answer that is the same or ends no later than what is held counts as
 * "not yet": asked again after a quarter of what remains, at most 5 min, every 30 s in the last
 * 6 min, each +- 10 %. A source with a reread_s is asked that often besides; the same texts with the
 * same end are the same generation.
 */
#ifndef PRESIGND_CRED_STORE_H
#define PRESIGND_CRED_STORE_H

#include "presignd/cred_source.h"
#include "presignd/loop.h"
#include "presignd/random.h"

struct cred_store;

/* Called on the store's loop at the end of every attempt, at once for a want that cannot lead to a
 * fetch now (back-off), and when what is held ends. Where nothing need be asked (env) that is inside
 * cred_store_start and cred_store_replace. `now_held` may be NULL; borrowed for the call. */
struct cred_listener {
    void (*attempted)(struct cred_listener *l, struct creds *now_held, bool fresh, struct str why);
};

/* Takes the source. NULL without memory. Starts with cred_store_start (first attempt at once). */
struct cred_store *cred_store_new(struct loop *l, struct fetcher *f, struct cred_source *s,
                                  struct cred_listener *listener);
void cred_store_start(struct cred_store *cs);
void cred_store_free(struct cred_store *cs);

/* At reload: another source from now on; what is held stays until the other one delivers. Takes. */
void cred_store_replace(struct cred_store *cs, struct cred_source *s);

/*
 * From any thread: somebody cannot go on without (better) credentials. Joins a running attempt,
 * starts one unless back-off forbids; the listener hears of it in each case.
 */
void cred_store_want(struct cred_store *cs);

/* The schedule, pure, for tests: when to try next, seconds from now, before jitter.
 * left_s: life left (CREDS_NEVER for none needed); life_s: whole life; failures: in a row;
 * not_yet: the last answer brought nothing better. */
int64_t cred_store_delay_s(int64_t left_s, int64_t life_s, int failures, bool not_yet);

#endif
