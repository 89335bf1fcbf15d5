/*
 * grant - decide, credentials, reserve: the steps between reading a wish and signing it.
 *
 * What fails after `reserve` gives back what it took: that packet was never handed out. But once the
 * library has an answer with a packet the reservation stays, whatever becomes of the connection: a
 * client could read the packet and then break it.
 */
#include "presignd/grant.h"

#include "presignd/ratelimit.h"

enum { CREDS_PATIENCE_MS = 5000 };

struct grant_call *grant_call_of(struct request *r)
{
    return container_of(r, struct grant_call, r);
}

enum step grant_refuse(struct grant_call *g, enum status st, size_t index)
{
    if (g->batch)
        fault_int(&g->r.fault, "index", (int64_t)index);
    return request_refuse(&g->r, st);
}

enum step grant_bad_member(struct grant_call *g, struct str member, struct str detail)
{
    fault_set(&g->r.fault, ST_INVALID_REQUEST, detail);
    fault_str(&g->r.fault, "member", member);
    return request_refuse(&g->r, ST_INVALID_REQUEST);
}

/* ---- decide ------------------------------------------------------------------------------------- */

static enum status draw_ids(struct worker *w, int64_t wall_us, struct grant_ids *ids)
{
    TRY(random_uuid7(&w->random, wall_us / 1000, ids->id));
    return random_uuid4(&w->random, ids->uuid);
}

/* "content_length is missing." as the client would say it. */
static void rename_detail(struct fault *f, const struct member_name *n, struct arena *a)
{
    AUTO(buf) text = BUF_INIT(1024);
    if (!str_starts(f->detail, n->ours))
        return;
    buf_str(&text, n->theirs);
    buf_str(&text, str_slice(f->detail, n->ours.len, f->detail.len));
    if (arena_keep(a, &text, &f->detail) != ST_OK)
        f->detail = STR("");
}

/* A refusal names the member as the client wrote it. */
static void rename_member(struct fault *f, const struct member_name *names, struct arena *a)
{
    for (size_t i = 0; i < f->n_members; i++) {
        struct fault_member *m = &f->members[i];
        if (!str_equal(str_from(m->name), STR("member")))
            continue;
        for (const struct member_name *n = names; n && n->ours.len; n++) {
            if (!str_equal(m->str, n->ours))
                continue;
            m->str = n->theirs;
            rename_detail(f, n, a);
        }
    }
}

enum step grant_decide_file(struct grant_call *g, size_t i, const struct grant_ids *ids,
                            int64_t now_s)
{
    struct request *r = &g->r;
    const enum status st = decide(g->world->settings.rules, g->who, &g->wishes[i], now_s, ids,
                                  &r->arena, &g->grants[i].decision, &r->fault);
    if (st == ST_OK)
        return STEP_ON;
    if (st == ST_NO_MEMORY || st == ST_INTERNAL)
        return request_refuse(r, ST_OVERLOADED);
    rename_member(&r->fault, g->names, &r->arena);
    return grant_refuse(g, st, i);
}

enum step grant_decide(struct request *r)
{
    struct grant_call *g = grant_call_of(r);
    g->grants = arena_array(&r->arena, g->n, sizeof(*g->grants));
    if (!g->grants)
        return request_refuse(r, ST_OVERLOADED);
    for (size_t i = 0; i < g->n; i++) {
        struct grant_ids ids;
        if (draw_ids(worker_of(r), r->wall_us, &ids) != ST_OK)
            return request_refuse(r, ST_OVERLOADED);
        const enum step s = grant_decide_file(g, i, &ids, r->now_s);
        if (s != STEP_ON)
            return s;
    }
    return STEP_ON;
}

/* ---- credentials -------------------------------------------------------------------------------- */

/* Sets every grant's expiry; ST_CREDENTIALS_* when these credentials will not do. */
static enum status set_expiries(struct grant_call *g)
{
    const struct creds *c = g->signing->creds;
    if (!c || creds_left_s(c, g->r.now_s) <= 0)
        return ST_CREDENTIALS_UNAVAILABLE;
    const int64_t least_s = g->world->settings.creds_min_ttl_s;
    for (size_t i = 0; i < g->n; i++) {
        struct grant *it = &g->grants[i];
        bool starved = false;
        it->expires_at_s = decide_expiry(&it->decision, g->r.now_s, c->expires_at_s, least_s,
                                         &it->limited_by, &starved);
        it->expires_in_s = it->expires_at_s - g->r.now_s;
        if (starved || it->expires_in_s < 1)
            return ST_CREDENTIALS_EXPIRING;
    }
    return ST_OK;
}

static enum step wait_for_creds(struct grant_call *g, struct worker *w)
{
    g->asked_creds = true;
    waiter_join(&w->creds_waiters, &g->waiter, &g->r);
    cred_store_want(w->fleet->cred_store);
    return request_wait(&g->r, loop_now_ms(w->loop) + CREDS_PATIENCE_MS);
}

static enum step refuse_creds(struct grant_call *g, enum status st)
{
    fault_set(&g->r.fault, st,
              st == ST_CREDENTIALS_EXPIRING
                  ? STR("The signing credentials end too soon for this packet.")
                  : STR("There are no signing credentials at the moment."));
    g->r.fault.retry_after_s = GRANT_RETRY_AFTER_S;
    return request_refuse(&g->r, st);
}

enum step grant_credentials(struct request *r)
{
    struct grant_call *g = grant_call_of(r);
    struct worker *w = worker_of(r);
    waiter_leave(&g->waiter);
    world_unref(g->signing);
    g->signing = world_ref(w->world);

    const enum status st = set_expiries(g);
    if (st == ST_OK)
        return STEP_ON;
    return g->asked_creds ? refuse_creds(g, st) : wait_for_creds(g, w);
}

/* ---- reserve ------------------------------------------------------------------------------------ */

static struct str refusing_limit(const struct fault *f)
{
    for (size_t i = 0; i < f->n_members; i++)
        if (str_equal(str_from(f->members[i].name), STR("limit_name")))
            return f->members[i].str;
    return STR("");
}

/* What a dry run learns is nothing that happened. */
static void count_answer(const struct grant_call *g)
{
    struct worker *w = worker_of(&g->r);
    struct metrics *m = &w->metrics;
    const struct ledger_op *op = &g->op;
    if (!w->ledger->kind->remembers)
        return;
    metric_observe(&m->ledger_latency, loop_clock_us() - g->asked_us);
    if (op->verb != LEDGER_RESERVE)
        return;
    const struct str limit = refusing_limit(&op->fault);
    if (op->status == ST_OK)
        metric_add(op->replayed ? &m->reservations_replayed : &m->reservations_taken, 1);
    else if (op->status == ST_LEDGER_UNAVAILABLE)
        metric_add(&m->reservations_unavailable, 1);
    else
        metric_add(&m->reservations_refused, 1);
    if (op->status != ST_OK && limit.len > 0)
        metric_add_named(&m->limit_refusals, limit);
}

static void take_answer(struct grant_call *g)
{
    g->asking = false;
    g->reserved = g->op.verb == LEDGER_RESERVE && g->op.status == ST_OK;
    count_answer(g);
}

static void ledger_answered(struct ledger_op *op)
{
    struct grant_call *g = container_of(op, struct grant_call, op);
    take_answer(g);
    request_wake(&g->r);
}

static struct ledger_file file_of(const struct grant *it)
{
    const struct decision *d = &it->decision;
    return (struct ledger_file){
        .id = { d->ids.id, UUID_TEXT },
        .uuid = { d->ids.uuid, UUID_TEXT },
        .profile = d->profile->name,
        .bucket = d->bucket->name,
        .bucket_name = d->bucket->where.bucket,
        .key = d->key,
        .content_type = d->type.whole,
        .content_length = d->has_length ? d->content_length : -1,
        .reserve_bytes = d->reserve_bytes,
        .expires_at_s = it->expires_at_s,
        .post = d->post,
        .exact = d->has_length && d->post,
    };
}

static enum status write_question(struct grant_call *g)
{
    struct arena *a = &g->r.arena;
    struct ledger_file *files = arena_array(a, g->n, sizeof(*files));
    if (!files)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < g->n; i++)
        files[i] = file_of(&g->grants[i]);
    if (g->idempotency_key.len)
        grant_hash_request(g);
    g->op = (struct ledger_op){
        .done = ledger_answered,
        .verb = g->dry_run ? LEDGER_PEEK : LEDGER_RESERVE,
        .user_hash = str_from(g->who->user_hash),
        .plan = g->grants[0].decision.plan,
        .files = files,
        .n_files = g->n,
        .now_us = g->r.wall_us,
        .arena = a,
        .idempotency_key = g->idempotency_key,
        .request_hash = { g->request_hash, g->idempotency_key.len ? sizeof(g->request_hash) : 0 },
    };
    return ST_OK;
}

static void ask_ledger(struct grant_call *g)
{
    g->asked_us = loop_clock_us();
    g->asking = true;
    if (ledger_ask(worker_of(&g->r)->ledger, &g->op) == LEDGER_DONE)
        take_answer(g);
}

static enum step go_by_answer(struct grant_call *g)
{
    if (g->op.status == ST_OK)
        return g->op.replayed ? grant_replay(g) : STEP_ON;
    g->r.fault = g->op.fault;
    if (status_http(g->op.status) == 429)
        ratelimit_add(&g->r, g->op.plan, g->op.states, refusing_limit(&g->op.fault));
    return request_refuse(&g->r, g->op.status);
}

/* Whom nothing limits a ledger has nothing to tell. */
static bool needs_no_ledger(const struct grant_call *g)
{
    const struct plan *plan = g->grants[0].decision.plan;
    return g->dry_run && (!plan || plan->n_limits == 0);
}

enum step grant_reserve(struct request *r)
{
    struct grant_call *g = grant_call_of(r);
    if (needs_no_ledger(g))
        return STEP_ON;
    if (!g->op.done) {
        if (write_question(g) != ST_OK)
            return request_refuse(r, ST_OVERLOADED);
        ask_ledger(g);
    }
    if (g->asking) /* still, also when the server woke us because it stops */
        return request_wait(r, INT64_MAX); /* the ledger has a deadline of its own */
    return go_by_answer(g);
}

/* ---- the end ------------------------------------------------------------------------------------ */

/* Who never got a packet gets the reservation back. */
static void close_op(struct grant_call *g)
{
    struct worker *w = worker_of(&g->r);
    if (g->asking && g->op.verb != LEDGER_RESERVE) {
        ledger_cancel(w->ledger, &g->op);
    } else if (g->reserved && g->granted && g->r.handed) {
        ledger_handed(w->ledger, &g->op);
    } else if (g->asking || g->reserved) {
        ledger_release(w->ledger, &g->op);
        metric_add(&w->metrics.reservations_released, 1);
    }
}

void grant_end(struct request *r, bool answer_was_sent)
{
    (void)answer_was_sent; /* see above */
    struct grant_call *g = grant_call_of(r);
    waiter_leave(&g->waiter);
    close_op(g);
    principal_unref(g->who);
    world_unref(g->signing);
    world_unref(g->world);
}

void grant_log(const struct request *r, struct jw *line)
{
    /* r is the first member: container_of would drop the const */
    const struct grant_call *g = (const struct grant_call *)(const void *)r;
    if (!g->who)
        return;
    jw_str(line, "user", g->who->user);
    jw_str(line, "user_hash", str_from(g->who->user_hash));
}
