/*
 * ledger_redis_answer - replies of the scripts as answers of the ledger; each script's head says what
 * stands where. What does not look like that is no answer: nothing is granted on it.
 */
#include "redis_parts.h"

#include "presignd/log.h"
#include "presignd/tally_text.h"

enum { RETRY_AFTER_S = 1 };

/* Two bounds, so that clocks about as far apart as the one do not fill the log. */
enum { CLOCKS_APART_S = 10, CLOCKS_NEAR_S = 8 };

/* base.lua */
enum outcome {
    OUTCOME_OK,
    OUTCOME_NOT_FOUND,
    OUTCOME_STATE,
    OUTCOME_CONFLICT,
    OUTCOME_REFUSED,
    OUTCOME_GIVEN_UP
};
enum { FLAG_POST = 1, FLAG_EXACT = 2, FLAG_RELEASE = 4, FLAG_CHARGED = 8 };
enum { UPLOAD_ROWS = 15, TALLY_ROWS = 6, REPLAY_ROWS = 3 };

/* Reads rows one after the other; what is missing or of another kind makes it bad. */
struct rows {
    const struct resp_row *row;
    size_t left;
    bool bad;
    struct arena *arena; /* texts are copied to it */
    bool no_memory;
};

static const struct resp_row *next(struct rows *r)
{
    static const struct resp_row none;
    if (r->left == 0) {
        r->bad = true;
        return &none;
    }
    r->left--;
    return r->row++;
}

/* Our scripts answer numbers within the bounds of limits.h, so nothing here can overflow. */
static int64_t next_from(struct rows *r, int64_t least)
{
    const struct resp_row *row = next(r);
    const bool fits = row->is_int && row->num >= least && row->num <= LIMITS_NUMBER_MAX;
    r->bad |= !fits;
    return fits ? row->num : 0;
}

static int64_t next_int(struct rows *r)
{
    return next_from(r, 0);
}

/* -1: there is none */
static int64_t next_size(struct rows *r)
{
    return next_from(r, -1);
}

static struct str next_str(struct rows *r)
{
    const struct resp_row *row = next(r);
    r->bad |= row->is_int || row->null;
    if (r->bad)
        return STR("");
    const struct str copy = arena_copy(r->arena, row->text);
    r->no_memory |= !copy.ptr;
    return copy.ptr ? copy : STR("");
}

/* The place of a word in a table. */
static size_t next_word(struct rows *r, const struct str *words, size_t n)
{
    const struct str word = next_str(r);
    for (size_t i = 0; i < n; i++)
        if (str_equal(word, words[i]))
            return i;
    r->bad = true;
    return 0;
}

static void *make(struct rows *r, size_t n, size_t size)
{
    void *p = arena_array(r->arena, n, size);
    r->no_memory |= !p;
    return p;
}

static void set_status(struct ledger_op *op, enum status st, struct str detail)
{
    op->status = fault_set(&op->fault, st, detail);
}

void answer_unavailable(struct ledger_op *op, struct str reason)
{
    set_status(op, ST_LEDGER_UNAVAILABLE, STR("The ledger cannot be asked at the moment."));
    op->fault.retry_after_s = RETRY_AFTER_S;
    op->fault.log_reason = arena_copy(op->arena, reason);
    if (!op->fault.log_reason.ptr)
        op->fault.log_reason = STR("");
}

static void not_found(struct ledger_op *op)
{
    set_status(op, ST_NOT_FOUND, STR(""));
}

static void wrong_state(struct ledger_op *op, struct str state)
{
    set_status(op, ST_UPLOAD_STATE,
               str_equal(state, upload_state_words[UPLOAD_COMPLETED])
                   ? STR("The upload is completed.")
                   : STR("The upload was cancelled."));
    fault_str(&op->fault, "state", state);
}

/* ---- reserve and peek --------------------------------------------------------------------------- */

struct reserved {
    struct limits_ask ask;
    struct str word;
    struct tally tallies[LEDGER_LIMITS_MAX];
};

static void read_reserved(struct rows *r, const struct plan *p, struct reserved *out)
{
    out->ask.now_us = next_int(r);
    out->ask.files = next_int(r);
    out->ask.bytes = next_int(r);
    out->ask.reopened = next_int(r);
    out->ask.rate_only = next_int(r) != 0;
    out->ask.open_ends_s = next_int(r);
    out->word = next_str(r);
    for (size_t i = 0; p && i < p->n_limits; i++) {
        struct tally *t = &out->tallies[i];
        t->name = p->limits[i].name;
        t->kind = p->limits[i].kind;
        t->start_s = next_int(r);
        t->used = next_int(r);
        t->reserved = next_int(r);
        t->tat_us = next_int(r);
    }
}

static void make_states(struct rows *r, struct ledger_op *op, const struct reserved *got)
{
    if (!plan_has_limits(op->plan))
        return;
    op->states = make(r, op->plan->n_limits, sizeof(*op->states));
    for (size_t i = 0; op->states && i < op->plan->n_limits; i++)
        op->states[i] = limits_state(&op->plan->limits[i], &got->tallies[i], got->ask.now_us,
                                     got->ask.open_ends_s);
}

static void read_replay(struct rows *r, struct ledger_op *op)
{
    const int64_t created_us = next_int(r);
    op->replayed = true;
    op->replay = make(r, op->n_files, sizeof(*op->replay));
    for (size_t i = 0; op->replay && i < op->n_files; i++) {
        struct ledger_replay *re = &op->replay[i];
        const struct str id = next_str(r), uuid = next_str(r);
        r->bad |= id.len > UUID_TEXT || uuid.len > UUID_TEXT;
        memcpy(re->id, id.ptr, MIN_OF(id.len, (size_t)UUID_TEXT));
        memcpy(re->uuid, uuid.ptr, MIN_OF(uuid.len, (size_t)UUID_TEXT));
        re->key = next_str(r);
        re->created_us = created_us;
    }
}

/* The script refused; which limit and why is limits.c's word on the same numbers. */
static void refuse(struct rows *r, struct ledger_op *op, const struct reserved *got)
{
    struct limits_verdict v;
    if (!op->plan || limits_check(op->plan, got->tallies, &got->ask, &v) == ST_OK) {
        r->bad = true;
        return;
    }
    op->status = limits_fault(op->plan, &v, got->ask.now_us, op->arena, &op->fault);
    r->no_memory |= op->status == ST_NO_MEMORY;
}

static void read_reserve(struct rows *r, struct ledger_op *op, enum outcome outcome)
{
    struct reserved got = { 0 };
    read_reserved(r, op->plan, &got);
    if (r->bad || r->no_memory)
        return;
    switch (outcome) {
    case OUTCOME_OK:
        if (r->left > 0)
            read_replay(r, op);
        make_states(r, op, &got);
        return;
    case OUTCOME_REFUSED:
        make_states(r, op, &got);
        refuse(r, op, &got);
        return;
    case OUTCOME_STATE: wrong_state(op, got.word); return;
    case OUTCOME_CONFLICT:
        set_status(op, ST_IDEMPOTENCY_CONFLICT,
                   STR("This Idempotency-Key was sent with another request."));
        return;
    default: r->bad = true;
    }
}

/* ---- uploads ------------------------------------------------------------------------------------ */

static void read_upload(struct rows *r, struct upload *u, int64_t now_s)
{
    u->id = next_str(r);
    u->user_hash = next_str(r);
    u->state = (enum upload_state)next_word(r, upload_state_words, ARRAY_LEN(upload_state_words));
    u->profile = next_str(r);
    u->bucket = next_str(r);
    u->bucket_name = next_str(r);
    u->key = next_str(r);
    u->content_type = next_str(r);
    u->etag = next_str(r);
    u->content_length = next_size(r);
    u->reserve_bytes = next_int(r);
    u->created_s = next_int(r);
    u->expires_s = next_int(r);
    u->size = next_size(r);
    const int64_t flags = next_int(r);
    u->post = flags & FLAG_POST;
    u->exact = flags & FLAG_EXACT;
    u->unsettled_release = flags & FLAG_RELEASE;
    u->charged = flags & FLAG_CHARGED;
    if (u->state == UPLOAD_GRANTED && now_s >= u->expires_s)
        u->state = UPLOAD_EXPIRED;
}

static void read_uploads(struct rows *r, struct ledger_op *op, int64_t now_s)
{
    op->n_uploads = r->left / UPLOAD_ROWS;
    op->uploads = make(r, op->n_uploads, sizeof(*op->uploads));
    for (size_t i = 0; op->uploads && i < op->n_uploads; i++)
        read_upload(r, &op->uploads[i], now_s);
    r->bad |= r->left > 0;
}

static void read_one(struct rows *r, struct ledger_op *op, enum outcome outcome)
{
    const int64_t now_s = next_int(r);
    const struct str state = next_str(r);
    if (outcome == OUTCOME_NOT_FOUND)
        not_found(op);
    else if (outcome == OUTCOME_STATE)
        wrong_state(op, state);
    read_uploads(r, op, now_s);
    r->bad |= outcome == OUTCOME_OK && op->n_uploads != 1;
}

static void read_due(struct rows *r, struct ledger_op *op, enum outcome outcome)
{
    const int64_t now_s = next_int(r);
    op->backlog = next_int(r);
    r->bad |= outcome != OUTCOME_OK;
    read_uploads(r, op, now_s);
}

/* ---- tallies ------------------------------------------------------------------------------------ */

static void read_tallies(struct rows *r, struct ledger_op *op, enum outcome outcome)
{
    if (outcome == OUTCOME_NOT_FOUND)
        not_found(op);
    op->n_tallies = r->left / TALLY_ROWS;
    op->tallies = make(r, op->n_tallies, sizeof(*op->tallies));
    for (size_t i = 0; op->tallies && i < op->n_tallies; i++) {
        struct tally *t = &op->tallies[i];
        t->name = next_str(r);
        t->kind = (enum limit_kind)next_word(r, limit_kind_words, ARRAY_LEN(limit_kind_words));
        t->start_s = next_int(r);
        t->used = next_int(r);
        t->reserved = next_int(r);
        t->tat_us = next_int(r);
    }
    r->bad |= r->left > 0;
}

/* ---- all ---------------------------------------------------------------------------------------- */

static void read_answer(struct rows *r, struct ledger_op *op)
{
    const enum outcome outcome = (enum outcome)next_int(r);
    switch (op->verb) {
    case LEDGER_RESERVE:
    case LEDGER_PEEK: read_reserve(r, op, outcome); return;
    case LEDGER_VIEW:
    case LEDGER_CANCEL:
    case LEDGER_COMPLETE:
    case LEDGER_SETTLE: read_one(r, op, outcome); return;
    case LEDGER_DUE: read_due(r, op, outcome); return;
    default: read_tallies(r, op, outcome);
    }
}

bool answer_read(struct ledger_op *op, const struct resp_reply *reply)
{
    struct rows r = { .row = reply->rows, .left = reply->n_rows, .arena = op->arena };
    op->status = ST_OK;
    read_answer(&r, op);
    if (r.no_memory)
        set_status(op, ST_NO_MEMORY, STR(""));
    return !r.bad;
}

/* ---- clocks ------------------------------------------------------------------------------------- */

static void say_clock(int64_t ahead_s, bool apart, int64_t wall_us)
{
    const char *const message =
        !apart ? "the clocks of Redis and of this host agree again"
        : ahead_s > 0
            ? "the clock of Redis is ahead of this host's, and limits go by it: check the "
              "time service (NTP) of both"
            : "the clock of Redis is behind this host's, and limits go by it: check the "
              "time service (NTP) of both";
    struct log_line l;
    log_begin(&l, apart ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "ledger_clock", wall_us);
    jw_str(&l.j, "message", str_from(message));
    jw_int(&l.j, "difference_s", ahead_s < 0 ? -ahead_s : ahead_s);
    log_end(&l);
}

void answer_note_clock(bool *apart, const struct ledger_op *op, const struct resp_reply *r,
                       int64_t wall_us)
{
    if (op->verb != LEDGER_DUE || op->status != ST_OK)
        return;
    const int64_t ahead_s = r->rows[1].num - op->now_us / 1000000;
    const int64_t most_s = *apart ? CLOCKS_NEAR_S : CLOCKS_APART_S;
    const bool now_apart = ahead_s > most_s || ahead_s < -most_s;
    if (now_apart != *apart)
        say_clock(ahead_s, now_apart, wall_us);
    *apart = now_apart;
}

/* ---- without the server -------------------------------------------------------------------------- */

static void answer_by_share(struct ledger_op *op, const struct ledger_fleet *f)
{
    struct rows r = { .arena = op->arena };
    struct limits_verdict v;
    if (!plan_has_quotas(op->plan))
        op->states = make(&r, op->plan->n_limits, sizeof(*op->states));
    op->status = rate_share_ask(f->share, op->user_hash, op->plan, op->now_us,
                                op->verb == LEDGER_RESERVE, &v, op->states);
    if (op->status != ST_OK && op->n_files > 0)
        op->status = limits_fault(op->plan, &v, op->now_us, op->arena, &op->fault);
    else
        op->status = ST_OK;
}

void answer_without_server(struct ledger_op *op, const struct ledger_fleet *f, struct str reason)
{
    const bool grants = op->verb == LEDGER_RESERVE || (op->verb == LEDGER_PEEK && op->n_files > 0);
    const bool numbers = op->verb == LEDGER_PEEK && !grants && !plan_has_quotas(op->plan);
    op->status = ST_OK;
    if ((!grants && !numbers) ||
        (plan_has_quotas(op->plan) && f->config.on_quota == ON_QUOTA_DENY)) {
        answer_unavailable(op, reason);
        return;
    }
    if (!plan_has_rates(op->plan) || f->config.on_rate == ON_RATE_ALLOW)
        return;
    if (f->config.on_rate == ON_RATE_LOCAL)
        answer_by_share(op, f);
    else
        answer_unavailable(op, reason);
}
