/*
 * rate_share - the rate limits of one process while the fleet's ledger cannot be asked: of each limit
 * the share of one replica, max / replicas (the same number in a window so much longer) with a burst
 * of burst / replicas, at least 1.
 *
 * A table of fixed size behind a lock; where it is full the one who paid off the most is forgotten.
 */
#ifndef PRESIGND_RATE_SHARE_H
#define PRESIGND_RATE_SHARE_H

#include "presignd/limits.h"

enum { RATE_SHARE_ENTRIES = 65536 };

struct rate_share;

struct rate_share *rate_share_new(int64_t replicas); /* replicas >= 1; NULL without memory */
void rate_share_free(struct rate_share *s);          /* NULL is fine */

/*
 * One request against all rate limits of the plan; its other limits are not looked at. All or
 * nothing, nothing at all where `take` is false. From any thread. ST_OK or out->status as
 * limits_check has it. states (NULL, or one per limit of the plan): the share's numbers after it.
 */
MUST_CHECK enum status rate_share_ask(struct rate_share *s, struct str user_hash,
                                      const struct plan *p, int64_t now_us, bool take,
                                      struct limits_verdict *out, struct limit_state *states);

#endif
