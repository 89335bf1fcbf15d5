/*
 * ledger - passes each call on to the engine that was configured.
 */
#include "presignd/ledger.h"

enum ledger_progress ledger_reserve(struct ledger *l, struct ledger_op *op)
{
    return l->kind->reserve(l, op);
}

void ledger_release(struct ledger *l, const struct ledger_op *op)
{
    l->kind->release(l, op);
}

bool ledger_ready(struct ledger *l, struct str *why)
{
    return l->kind->ready(l, why);
}

void ledger_free(struct ledger *l)
{
    if (l)
        l->kind->free(l);
}
