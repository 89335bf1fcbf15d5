/*
 * ledger_call - ask, wait, go on.
 */
#include "presignd/ledger_call.h"

static void answered(struct ledger_op *op)
{
    struct ledger_call *c = container_of(op, struct ledger_call, op);
    c->pending = false;
    request_wake(c->r);
}

static void ask(struct ledger_call *c, struct request *r)
{
    c->r = r;
    c->op.done = answered;
    c->op.now_us = r->wall_us;
    c->op.arena = &r->arena;
    c->pending = ledger_ask(worker_of(r)->ledger, &c->op) == LEDGER_PENDING;
}

enum step ledger_call_ask(struct ledger_call *c, struct request *r)
{
    if (!c->r)
        ask(c, r);
    if (c->pending) /* still, also when the server woke us because it stops */
        return request_wait(r, INT64_MAX); /* the ledger has a deadline of its own */
    if (c->op.status == ST_OK)
        return STEP_ON;
    r->fault = c->op.fault;
    return request_refuse(r, c->op.status);
}

void ledger_call_end(struct ledger_call *c)
{
    if (!c->pending)
        return;
    c->pending = false;
    ledger_cancel(worker_of(c->r)->ledger, &c->op);
}

enum step ledger_call_remembers(struct request *r)
{
    return worker_of(r)->ledger->kind->remembers ? STEP_ON : request_refuse(r, ST_NOT_FOUND);
}
