/*
 * ledgers - from the configuration to one door per worker.
 *
 * The order of the end: servers stop (what they asked is released), the engine's thread answers what
 * is left and is joined, the sweeper goes, each worker frees its door before its loop, and the file
 * or the fleet goes last.
 */
#include "presignd/ledgers.h"

/* ---- life --------------------------------------------------------------------------------------- */

enum status ledgers_open(struct ledgers *ls, struct config *c, struct fleet *f, struct buf *why)
{
    ls->config = config_ref(c);
    (void)f;
    (void)why;
    return ST_OK;
}

bool ledgers_carry(const struct ledgers *ls, const struct rules *r, struct buf *why)
{
    if (ls->config->ledger.backend != LEDGER_NONE)
        return true;
    for (size_t i = 0; i < r->n_plans; i++)
        if (r->plans[i].n_limits > 0) {
            buf_lit(why, "plans.");
            buf_str(why, r->plans[i].name);
            buf_lit(why, ".limits: the server runs without a ledger, and another one needs a"
                         " restart");
            return false;
        }
    return true;
}

void ledgers_stop(struct ledgers *ls)
{
    (void)ls;
}

void ledgers_release(struct ledgers *ls)
{
    secret_release(&ls->password);
    config_unref(TAKE(ls->config));
}
