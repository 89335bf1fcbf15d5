/*
 * ledgers - opens the engine that the configuration names: one door for each worker, and the sweeper
 * on the first worker's loop. Needs a restart to change; a reload leaves it as it is.
 */
#ifndef PRESIGND_LEDGERS_H
#define PRESIGND_LEDGERS_H

#include "presignd/config.h"
#include "presignd/ledger_sqlite.h"
#include "presignd/worker.h"

struct ledgers {
    struct config *config; /* its texts are borrowed by the engine */
    struct ledger_db *db;
    struct ledger_fleet *fleet;
    struct secret password;
    struct worker *first;
    struct sweep_host host;
    struct sweeper *sweeper;
    struct sweep_counts counts;
};

/*
 * Before any loop runs. Gives each worker its door (worker_use_ledger), the fleet its counts.
 * A reference to the configuration is taken. ST_UNREACHABLE, ST_INVALID with a sentence in why;
 * ST_NO_MEMORY. After a failure too: ledgers_stop, ledgers_release.
 */
MUST_CHECK enum status ledgers_open(struct ledgers *ls, struct config *c, struct fleet *f,
                                    struct buf *why);

/* True when these rules hold with the ledger that is open: limits need one that remembers. The
 * reason goes to why. */
bool ledgers_carry(const struct ledgers *ls, const struct rules *r, struct buf *why);

/* Servers have stopped, loops do not run: everything asked is answered, the engine's thread is
 * joined, the sweeper is gone. Then the workers are released, then the rest. */
void ledgers_stop(struct ledgers *ls);
void ledgers_release(struct ledgers *ls);

#endif
