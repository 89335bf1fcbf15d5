/*
 * ledger_none - the engine for `"backend": "none"`: grants all and remembers nothing.
 *
 * The configuration admits it only where no plan has limits, so a plan with limits that arrives
 * here is our own mistake.
 */
#include "presignd/ledger.h"

#include <stdlib.h>

static enum ledger_progress none_ask(struct ledger *l, struct ledger_op *op)
{
    (void)l;
    assert(!op->plan || op->plan->n_limits == 0);
    const bool granted = op->verb == LEDGER_RESERVE || op->verb == LEDGER_PEEK;
    op->status = granted ? ST_OK : ST_NOT_FOUND;
    return LEDGER_DONE;
}

static void none_release(struct ledger *l, struct ledger_op *op)
{
    (void)l;
    (void)op;
}

static void none_handed(struct ledger *l, const struct ledger_op *op)
{
    (void)l;
    (void)op;
}

static bool none_ready(struct ledger *l, struct str *why)
{
    (void)l;
    *why = STR("");
    return true;
}

static void none_free(struct ledger *l)
{
    free(l);
}

static const struct ledger_kind none = {
    .name = "none",
    .remembers = false,
    .ask = none_ask,
    .release = none_release,
    .handed = none_handed,
    .cancel = none_release,
    .ready = none_ready,
    .free = none_free,
};

struct ledger *ledger_none_new(void)
{
    struct ledger *l = malloc(sizeof(*l));
    if (l)
        *l = (struct ledger){ .kind = &none };
    return l;
}
