/*
 * sweeper - settles what clients left behind: when a packet is dead, one HEAD decides what its
 * reservation becomes (API.md section 2). On one loop of a process; several processes share the work
 * through the ledger's leases.
 *
 * Bounded: SWEEP_BATCH uploads a turn, SWEEP_AT_ONCE under way, SWEEP_HEADS_PER_S HEADs in any second.
 * A turn comes every SWEEP_EVERY_MS, and SWEEP_AGAIN_MS after a full one was worked off. An upload
 * that holds nothing, or was completed with the one size that its packet can bring, needs no HEAD.
 */
#ifndef PRESIGND_SWEEPER_H
#define PRESIGND_SWEEPER_H

#include "presignd/ledger.h"
#include "presignd/metrics.h"
#include "presignd/object_look.h"

enum {
    SWEEP_BATCH = 100,
    SWEEP_AT_ONCE = 16,
    SWEEP_HEADS_PER_S = 100,
    SWEEP_EVERY_MS = 1000,
    SWEEP_AGAIN_MS = 20,
};

/* What the sweeper needs of the world at this moment; valid during the call only. */
struct sweep_world {
    const struct rules *rules;
    const struct creds *creds; /* NULL: none now; what would need a HEAD waits */
    struct signing_keys *signing;
};

struct sweep_host {
    void (*world)(struct sweep_host *h, struct sweep_world *out);
};

/* For the metrics; written by the sweeper's loop. */
struct sweep_counts {
    metric_cell there, missing, unknown; /* settled so: unknown also where nobody could be asked */
    metric_cell unasked;                 /* settled, and no HEAD was needed */
    metric_cell failed;                  /* the ledger did not take it: comes again */
    metric_cell heads;
    metric_cell backlog; /* uploads that wait to be settled, as of the last turn */
};

struct sweeper;

/* Starts its timer. Texts and parts are borrowed. NULL without memory. */
struct sweeper *sweeper_new(struct loop *l, struct ledger *ledger, struct fetcher *fr,
                            struct sweep_host *h, struct sweep_counts *counts);
void sweeper_free(struct sweeper *s); /* cancels what is under way; NULL is fine */

/* The bucket that an upload went to: the same alias with the same real name; NULL otherwise. */
const struct bucket *upload_bucket(const struct rules *r, const struct upload *u);

#endif
