/*
 * ledger_call - one question of a request to its ledger: asked and awaited by a step, called off
 * when the request ends before the answer. Not for RESERVE, which is released and not called off.
 */
#ifndef PRESIGND_LEDGER_CALL_H
#define PRESIGND_LEDGER_CALL_H

#include "presignd/worker.h"

struct ledger_call {
    struct ledger_op op; /* verb and what it asks are the owner's; the rest is set here */
    struct request *r;   /* NULL: not asked yet */
    bool pending;
};

/* For a step to return: asks once and waits as often as it takes. STEP_ON: op.status is ST_OK; all
 * else is refused with the ledger's own fault. */
enum step ledger_call_ask(struct ledger_call *c, struct request *r);

/* At the request's end; fine when nothing was asked. */
void ledger_call_end(struct ledger_call *c);

/* The first step of routes that only a ledger that remembers can serve: 404 where it does not. */
step_fn ledger_call_remembers;

#endif
