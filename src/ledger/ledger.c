/*
 * ledger - passes each call on to the engine that was configured.
 */
#include "presignd/ledger.h"

enum ledger_progress ledger_ask(struct ledger *l, struct ledger_op *op)
{
    return l->kind->ask(l, op);
}

void ledger_release(struct ledger *l, struct ledger_op *op)
{
    l->kind->release(l, op);
}

void ledger_handed(struct ledger *l, const struct ledger_op *op)
{
    l->kind->handed(l, op);
}

void ledger_cancel(struct ledger *l, struct ledger_op *op)
{
    l->kind->cancel(l, op);
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

void ledger_op_forget(struct ledger_op *op)
{
    op->status = ST_OK;
    op->fault = (struct fault){ .status = ST_OK };
    op->replayed = false;
    op->replay = NULL;
    op->states = NULL;
    op->uploads = NULL;
    op->tallies = NULL;
    op->n_uploads = op->n_tallies = 0;
    op->backlog = 0;
    op->job = NULL;
}
