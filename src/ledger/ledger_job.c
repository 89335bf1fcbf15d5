/*
 * ledger_job - a question of a loop as one block that outlives the request, and its answer as texts
 * of the request's arena.
 */
#include "ledger_job.h"

#include <stdlib.h>

enum { ANSWER_BYTES = 4 << 20 };

/* ---- a question becomes a job ------------------------------------------------------------------- */

struct packer {
    char *at;
};

static struct str pack(struct packer *p, struct str s)
{
    if (s.len > 0)
        memcpy(p->at, s.ptr, s.len);
    const struct str packed = { p->at, s.len };
    p->at += s.len;
    return packed;
}

static size_t file_bytes(const struct ledger_file *f)
{
    return f->id.len + f->uuid.len + f->profile.len + f->bucket.len + f->bucket_name.len +
           f->key.len + f->content_type.len;
}

static size_t text_bytes(const struct ledger_op *op, const struct plan *p)
{
    size_t n = op->user_hash.len + op->id.len + op->limit_name.len + op->idempotency_key.len +
               op->request_hash.len + op->seen.etag.len;
    for (size_t i = 0; i < p->n_limits; i++)
        n += p->limits[i].name.len;
    for (size_t i = 0; i < op->n_files; i++)
        n += file_bytes(&op->files[i]);
    return n;
}

static void pack_plan(struct packer *p, struct limit *to, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_limits; i++) {
        to[i] = plan->limits[i];
        to[i].name = pack(p, plan->limits[i].name);
    }
}

static void pack_files(struct packer *p, struct ledger_file *to, const struct ledger_op *op)
{
    for (size_t i = 0; i < op->n_files; i++) {
        const struct ledger_file *f = &op->files[i];
        to[i] = *f;
        to[i].id = pack(p, f->id);
        to[i].uuid = pack(p, f->uuid);
        to[i].profile = pack(p, f->profile);
        to[i].bucket = pack(p, f->bucket);
        to[i].bucket_name = pack(p, f->bucket_name);
        to[i].key = pack(p, f->key);
        to[i].content_type = pack(p, f->content_type);
    }
}

/* One block: the job, its limits, its files, their texts. */
struct ledger_job *ledger_job_new(struct ledger_door *d, struct ledger_op *op)
{
    static const struct plan none = { .n_limits = 0 };
    const struct plan *plan = op->plan ? op->plan : &none;
    assert(plan->n_limits <= LEDGER_LIMITS_MAX && op->n_files <= IDS_MAX);
    const size_t limits = plan->n_limits * sizeof(struct limit);
    const size_t files = op->n_files * sizeof(struct ledger_file);
    struct ledger_job *j = malloc(sizeof(*j) + limits + files + text_bytes(op, plan));
    if (!j)
        return NULL;
    struct limit *limits_at = (struct limit *)(void *)(j + 1);
    struct ledger_file *files_at = (struct ledger_file *)(void *)(limits_at + plan->n_limits);
    struct packer p = { (char *)(files_at + op->n_files) };
    *j = (struct ledger_job){ .door = d, .op = op, .verb = (int)op->verb };
    j->user = pack(&p, op->user_hash);
    j->id = pack(&p, op->id);
    j->limit_name = pack(&p, op->limit_name);
    j->idem_key = pack(&p, op->idempotency_key);
    j->request_hash = pack(&p, op->request_hash);
    j->seen = op->seen;
    j->seen.etag = pack(&p, op->seen.etag);
    j->now_us = op->now_us;
    j->amount = op->amount;
    j->max_uploads = op->max_uploads;
    j->plan = *plan;
    j->plan.limits = limits_at;
    pack_plan(&p, limits_at, plan);
    j->files = files_at;
    j->n_files = op->n_files;
    pack_files(&p, files_at, op);
    j->answer = ARENA_INIT(ANSWER_BYTES);
    return j;
}

struct ledger_job *ledger_job_follow(struct ledger_job *reserve)
{
    struct ledger_job *j = malloc(sizeof(*j));
    if (!j)
        return NULL;
    *j = (struct ledger_job){ .door = reserve->door, .verb = JOB_RELEASE, .of = reserve };
    j->user = reserve->user;
    j->idem_key = reserve->idem_key;
    j->now_us = reserve->now_us;
    j->files = reserve->files;
    j->n_files = reserve->n_files;
    j->answer = ARENA_INIT(ANSWER_BYTES);
    reserve->followed = true;
    return j;
}

void ledger_job_free(struct ledger_job *j)
{
    if (!j)
        return;
    ledger_job_free(j->of);
    arena_release(&j->answer);
    free(j);
}

/* ---- the answer --------------------------------------------------------------------------------- */

enum status ledger_op_unavailable(struct ledger_op *op, struct str reason)
{
    op->status = fault_set(&op->fault, ST_LEDGER_UNAVAILABLE,
                           STR("The ledger cannot be asked at the moment."));
    op->fault.retry_after_s = 1;
    op->fault.log_reason = reason;
    op->replayed = false;
    op->states = NULL;
    op->n_uploads = op->n_tallies = 0;
    return op->status;
}

static enum status tell_refusal(struct ledger_op *op, const struct ledger_job *j)
{
    switch (j->status) {
    case ST_OK: return ST_OK;
    case ST_QUOTA_NEVER:
    case ST_QUOTA_EXCEEDED:
    case ST_RATE_LIMITED:
        /* names in the fault outlive the job */
        return limits_fault(op->plan, &j->verdict, op->now_us, op->arena, &op->fault);
    case ST_UPLOAD_STATE:
        fault_set(&op->fault, ST_UPLOAD_STATE,
                  j->state == UPLOAD_CANCELLED ? STR("This upload was cancelled.")
                                               : STR("This upload is completed."));
        fault_str(&op->fault, "state", upload_state_words[j->state]);
        return ST_UPLOAD_STATE;
    case ST_IDEMPOTENCY_CONFLICT:
        return fault_set(&op->fault, ST_IDEMPOTENCY_CONFLICT,
                         STR("This Idempotency-Key was used with another request."));
    case ST_LEDGER_UNAVAILABLE: {
        const struct str reason = arena_copy(op->arena, str_from(j->reason));
        return ledger_op_unavailable(op, reason.ptr ? reason : STR("no memory"));
    }
    default: return fault_set(&op->fault, j->status, STR(""));
    }
}

static bool tell_texts(struct arena *a, struct str *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        *texts[i] = arena_copy(a, *texts[i]);
        if (!texts[i]->ptr)
            return false;
    }
    return true;
}

static bool tell_uploads(struct ledger_op *op, const struct ledger_job *j)
{
    op->uploads = arena_array(op->arena, j->n_uploads, sizeof(*op->uploads));
    if (!op->uploads)
        return false;
    for (size_t i = 0; i < j->n_uploads; i++) {
        struct upload *u = &op->uploads[i];
        *u = j->uploads[i];
        struct str *const texts[] = { &u->id,          &u->user_hash, &u->profile,      &u->bucket,
                                      &u->bucket_name, &u->key,       &u->content_type, &u->etag };
        if (!tell_texts(op->arena, texts, ARRAY_LEN(texts)))
            return false;
    }
    op->n_uploads = j->n_uploads;
    return true;
}

static bool tell_tallies(struct ledger_op *op, const struct ledger_job *j)
{
    op->tallies = arena_array(op->arena, j->n_tallies, sizeof(*op->tallies));
    if (!op->tallies)
        return false;
    for (size_t i = 0; i < j->n_tallies; i++) {
        op->tallies[i] = j->tallies[i];
        struct str *const name[] = { &op->tallies[i].name };
        if (!tell_texts(op->arena, name, 1))
            return false;
    }
    op->n_tallies = j->n_tallies;
    return true;
}

static bool tell_replay(struct ledger_op *op, const struct ledger_job *j)
{
    op->replay = arena_array(op->arena, j->n_files, sizeof(*op->replay));
    if (!op->replay)
        return false;
    for (size_t i = 0; i < j->n_files; i++) {
        op->replay[i] = j->replay[i];
        struct str *const key[] = { &op->replay[i].key };
        if (!tell_texts(op->arena, key, 1))
            return false;
    }
    op->replayed = true;
    return true;
}

static bool tell_states(struct ledger_op *op, const struct ledger_job *j)
{
    op->states = arena_array(op->arena, j->plan.n_limits, sizeof(*op->states));
    if (!op->states)
        return false;
    memcpy(op->states, j->states, j->plan.n_limits * sizeof(*op->states));
    return true;
}

bool ledger_job_tell(struct ledger_op *op, const struct ledger_job *j)
{
    ledger_op_forget(op);
    op->status = tell_refusal(op, j);
    op->backlog = j->backlog;
    if (op->status == j->status && (!j->has_states || tell_states(op, j)) &&
        (!j->replayed || tell_replay(op, j)) && (j->n_uploads == 0 || tell_uploads(op, j)) &&
        (j->n_tallies == 0 || tell_tallies(op, j)))
        return true;
    ledger_op_unavailable(op, STR("no memory for the answer"));
    return false;
}
