/*
 * quota - GET /v1/quota: what is left of the caller's limits (API.md section 2). Nothing is taken.
 * A plan without limits needs no ledger to say so.
 */
#include "presignd/quota.h"

#include "presignd/api.h"
#include "presignd/limit_json.h"

static struct quota_call *quota_call_of(struct request *r)
{
    return container_of(grant_call_of(r), struct quota_call, g);
}

static enum step peek(struct request *r)
{
    struct quota_call *q = quota_call_of(r);
    struct ledger_op *op = &q->peek.op;
    const struct plan *plan = rules_plan(q->g.world->settings.rules, q->g.who->plan);
    if (!plan || plan->n_limits == 0)
        return STEP_ON;
    op->verb = LEDGER_PEEK;
    op->user_hash = str_from(q->g.who->user_hash);
    op->plan = plan;
    return ledger_call_ask(&q->peek, r);
}

/* Where no plans are configured the token's own word is shown. */
static enum step write_quota(struct request *r)
{
    struct quota_call *q = quota_call_of(r);
    const struct principal *who = q->g.who;
    const struct plan *plan = rules_plan(q->g.world->settings.rules, who->plan);
    const struct str name = plan ? plan->name : who->plan;
    struct jw j = { .out = &r->out };
    jw_open(&j, '{');
    jw_str(&j, "user", who->user);
    if (name.len > 0)
        jw_str(&j, "plan", name);
    else
        jw_null(&j, "plan");
    jw_open_key(&j, "limits", '[');
    limit_json_write(&j, plan, q->peek.op.states);
    jw_close(&j);
    jw_close(&j);
    return jw_end(&j) == ST_OK ? request_answer(r, 200) : request_refuse(r, ST_OVERLOADED);
}

void quota_end(struct request *r, bool answer_was_sent)
{
    ledger_call_end(&quota_call_of(r)->peek);
    grant_end(r, answer_was_sent);
}

step_fn *const quota_steps[] = {
    ledger_call_remembers, grant_authenticate, peek, write_quota, NULL,
};
