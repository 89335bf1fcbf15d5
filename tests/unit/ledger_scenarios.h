/*
 * ledger_scenarios.h - the rules of the ledger as rows: at what time, which question, what must come.
 */
#ifndef PRESIGND_LEDGER_SCENARIOS_H
#define PRESIGND_LEDGER_SCENARIOS_H

#include "ledger_kit.h"

/* ---- plans ----------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct limit
    suite_requests = { .name = STR_INIT("requests"), .kind = LIMIT_RATE,  .max = 60,   .window_s = 60, .burst = 2 },
    suite_hourly   = { .name = STR_INIT("files"),    .kind = LIMIT_COUNT, .max = 3,    .window_s = 3600 },
    suite_daily    = { .name = STR_INIT("files"),    .kind = LIMIT_COUNT, .max = 3,    .window_s = 86400 },
    suite_a_day    = { .name = STR_INIT("a_day"),    .kind = LIMIT_COUNT, .max = 3,    .window_s = 86400 },
    suite_a_month  = { .name = STR_INIT("a_month"),  .kind = LIMIT_BYTES, .max = 100,  .window_s = WINDOW_MONTH },
    suite_open_two = { .name = STR_INIT("open"),     .kind = LIMIT_OPEN,  .max = 2 },
    suite_stored   = { .name = STR_INIT("stored"),   .kind = LIMIT_BYTES, .max = 100,  .window_s = WINDOW_FOREVER },
    suite_less     = { .name = STR_INIT("stored"),   .kind = LIMIT_BYTES, .max = 50,   .window_s = WINDOW_FOREVER },
    suite_renamed  = { .name = STR_INIT("kept"),     .kind = LIMIT_BYTES, .max = 100,  .window_s = WINDOW_FOREVER },
    suite_by_count = { .name = STR_INIT("stored"),   .kind = LIMIT_COUNT, .max = 5,    .window_s = WINDOW_FOREVER },
    suite_huge     = { .name = STR_INIT("stored"),   .kind = LIMIT_BYTES, .max = SUITE_HUGE, .window_s = WINDOW_FOREVER },
    suite_many     = { .name = STR_INIT("many"),     .kind = LIMIT_COUNT, .max = 250,  .window_s = 3600 },
    suite_long     = { .name = STR_INIT("l012345678901234567890123456789012345678901234567890123456789-_z"),
                       .kind = LIMIT_BYTES, .max = 100, .window_s = WINDOW_FOREVER };
/* clang-format on */

enum suite_plan {
    P_STORED,
    P_RATE,
    P_HOUR,
    P_DAY,
    P_MONTH,
    P_OPEN,
    P_OPEN_STORED,
    P_RATE_STORED,
    P_HOUR_DAY,
    P_EVERY,
    P_GIVE,
    P_LESS,
    P_RENAMED,
    P_BY_COUNT,
    P_HUGE,
    P_MANY,
    P_LONG,
    P_FREE,
    P_NONE,
    P_PLANS
};
static const struct {
    const struct limit *limits[5];
    bool release;
} suite_plan_rows[P_PLANS] = {
    [P_STORED] = { { &suite_stored }, false },
    [P_RATE] = { { &suite_requests }, false },
    [P_HOUR] = { { &suite_hourly }, false },
    [P_DAY] = { { &suite_daily }, false },
    [P_MONTH] = { { &suite_a_month }, false },
    [P_OPEN] = { { &suite_open_two }, false },
    [P_OPEN_STORED] = { { &suite_open_two, &suite_stored }, false },
    [P_RATE_STORED] = { { &suite_requests, &suite_stored }, false },
    [P_HOUR_DAY] = { { &suite_hourly, &suite_a_day }, false },
    [P_EVERY] = { { &suite_requests, &suite_hourly, &suite_a_month, &suite_open_two,
                    &suite_stored },
                  false },
    [P_GIVE] = { { &suite_stored }, true },
    [P_LESS] = { { &suite_less }, false },
    [P_RENAMED] = { { &suite_renamed }, false },
    [P_BY_COUNT] = { { &suite_by_count }, false },
    [P_HUGE] = { { &suite_huge }, false },
    [P_MANY] = { { &suite_many }, false },
    [P_LONG] = { { &suite_long }, false },
    [P_FREE] = { { NULL }, false },
};

struct suite_plan_room {
    struct plan plan;
    struct limit limits[5];
};

/* NULL for P_NONE: no plans are configured. */
static inline const struct plan *suite_plan(struct suite_plan_room *room, enum suite_plan which)
{
    if (which == P_NONE)
        return NULL;
    room->plan = (struct plan){ .name = STR("plan"),
                                .limits = room->limits,
                                .unsettled_release = suite_plan_rows[which].release };
    while (room->plan.n_limits < 5 && suite_plan_rows[which].limits[room->plan.n_limits]) {
        room->limits[room->plan.n_limits] = *suite_plan_rows[which].limits[room->plan.n_limits];
        room->plan.n_limits++;
    }
    return &room->plan;
}

/* ---- steps ----------------------------------------------------------------------------------------- */

enum suite_act {
    RESERVE, /* plan, files, bytes (of each), life_s, key, hash; of: it is the replay of that one */
    PEEK,    /* the same, nothing is taken */
    HANDED,  /* the packets of a RESERVE went to the client */
    RELEASE, /* they did not */
    VIEW,    /* state, charged, size, expires_s (at_s of the end; 0: not looked at) */
    CANCEL,
    COMPLETE, /* size */
    SETTLE,   /* seen, size */
    DUE,      /* max (0: 50); files: how many come, backlog (0: not looked at) */
    LIMIT,    /* limit: used, reserved, of a rate left; resets_s (0: not looked at) */
    SHOW,     /* limit: used, reserved as stored */
    ADJUST,   /* limit, amount */
    SET,
    RESET,
    GIVE_BACK,
};

struct suite_step {
    int64_t at_s;
    enum suite_act act;
    const char *what; /* the label of what is asked for or looked at */
    enum suite_plan plan;
    const char *who;              /* NULL: "u" */
    int64_t files, bytes, life_s; /* 0: one, SUITE_BYTES, SUITE_LIFE_S; bytes -1: none */
    const char *key, *hash;       /* hash NULL: "h" */
    const char *of;
    const char *limit; /* also: the one that refuses */
    int64_t amount, max, size, left, backlog, resets_s, expires_s;
    enum object_presence seen;
    enum status want;
    int64_t used, reserved, requested, retry_s; /* of refusals: 0 is not looked at */
    const char *state;
    bool charged;
};

struct suite_scenario {
    const char *name;
    struct suite_step steps[20];
};

static inline void suite_check_refusal(struct suite *s, const struct suite_step *t,
                                       const struct ledger_op *op)
{
    const struct fault *f = &op->fault;
    if (t->limit)
        suite_str(s, "limit_name", suite_member(f, "limit_name"), str_from(t->limit));
    if (t->requested) {
        suite_eq(s, "used", suite_member_int(f, "used"), t->used);
        suite_eq(s, "requested", suite_member_int(f, "requested"), t->requested);
    }
    if (t->retry_s)
        suite_eq(s, "retry_after_s", f->retry_after_s, t->retry_s);
    if (t->want == ST_QUOTA_NEVER)
        suite_eq(s, "retry_after_s of what never renews", f->retry_after_s, 0);
    if (t->state)
        suite_str(s, "the fault's state", suite_member(f, "state"), str_from(t->state));
}

static inline void suite_check_replay(struct suite *s, const struct suite_step *t,
                                      const struct ledger_op *op)
{
    suite_eq(s, "replayed", op->replayed, t->of != NULL);
    if (!t->of || !op->replayed)
        return;
    const struct suite_slot *first = suite_slot_of(s, t->of);
    if (!op->replay) {
        suite_fail(s, "replayed without a replay");
        return;
    }
    for (size_t i = 0; i < op->n_files; i++) {
        suite_str(s, "replay id", str_from(op->replay[i].id), first->files[i].id);
        suite_str(s, "replay uuid", str_from(op->replay[i].uuid), first->files[i].uuid);
        suite_str(s, "replay key", op->replay[i].key, first->files[i].key);
        suite_eq(s, "replay created_us", op->replay[i].created_us, first->op.now_us);
    }
}

static inline void suite_files(struct suite *s, const struct suite_step *t, struct suite_slot *slot)
{
    static struct suite_plan_room room[P_PLANS];
    const int64_t n = t->files ? t->files : 1;
    struct ledger_op *op = &slot->op;
    op->plan = suite_plan(&room[t->plan < P_NONE ? t->plan : 0], t->plan);
    if (t->act == LIMIT)
        return;
    for (int64_t i = 0; i < n; i++)
        suite_add_file(slot, n > 1,
                       t->bytes < 0 ? 0
                       : t->bytes   ? t->bytes
                                    : SUITE_BYTES,
                       t->life_s ? t->life_s : SUITE_LIFE_S);
    if (t->key) {
        op->idempotency_key = str_from(t->key);
        op->request_hash = t->hash ? str_from(t->hash) : STR("h");
    }
    (void)s;
}

/* RESERVE and PEEK. */
static inline void suite_do_grant(struct suite *s, const struct suite_step *t,
                                  struct suite_slot *slot)
{
    struct ledger_op *op = &slot->op;
    suite_files(s, t, slot);
    suite_ask(s, slot);
    suite_status(s, "the answer", op->status, t->want);
    if (op->status != ST_OK)
        suite_check_refusal(s, t, op);
    else
        suite_check_replay(s, t, op);
    if (op->plan && op->plan->n_limits > 0 && !op->states && op->status != ST_UPLOAD_STATE &&
        op->status != ST_IDEMPOTENCY_CONFLICT)
        suite_fail(s, "no states");
}

static inline void suite_do_limit(struct suite *s, const struct suite_step *t,
                                  struct suite_slot *slot)
{
    struct ledger_op *op = &slot->op;
    suite_files(s, t, slot);
    suite_ask(s, slot);
    suite_status(s, "the answer", op->status, ST_OK);
    for (size_t i = 0; !s->bad && i < op->plan->n_limits; i++) {
        const struct limit *l = &op->plan->limits[i];
        if (!str_equal(l->name, str_from(t->limit)))
            continue;
        const bool rate = l->kind == LIMIT_RATE;
        const int64_t left = MAX_OF(l->max - t->used - t->reserved, 0);
        suite_eq(s, "used", op->states[i].used, rate ? l->burst - t->left : t->used);
        suite_eq(s, "reserved", op->states[i].reserved, t->reserved);
        suite_eq(s, "remaining", op->states[i].remaining, rate ? t->left : left);
        if (t->resets_s)
            suite_eq(s, "resets_at", op->states[i].resets_at_s, SUITE_T0_S + t->resets_s);
        return;
    }
    suite_fail(s, "no such limit");
}

static inline void suite_check_view(struct suite *s, const struct suite_step *t,
                                    const struct ledger_op *op)
{
    if (op->n_uploads != 1) {
        suite_eq(s, "n_uploads", (int64_t)op->n_uploads, 1);
        return;
    }
    const struct upload *u = &op->uploads[0];
    suite_str(s, "id", u->id, op->id);
    suite_str(s, "user", u->user_hash, op->user_hash);
    suite_str(s, "state", upload_state_words[u->state], str_from(t->state));
    suite_eq(s, "charged", u->charged, t->charged);
    suite_eq(s, "size", u->size, t->size ? t->size : -1);
    suite_eq(s, "an etag", u->etag.len > 0, t->size != 0);
    if (t->expires_s)
        suite_eq(s, "expires_s", u->expires_s, SUITE_T0_S + t->expires_s);
}

static inline void suite_do_upload(struct suite *s, const struct suite_step *t,
                                   struct suite_slot *slot)
{
    struct ledger_op *op = &slot->op;
    suite_find_id(s, t->what, slot->id);
    op->id = str_from(slot->id);
    op->seen.presence = t->act == COMPLETE ? OBJECT_THERE : t->seen;
    if (op->seen.presence == OBJECT_THERE) {
        op->seen.size = t->size;
        op->seen.etag = STR("\"an-etag\"");
    }
    suite_ask(s, slot);
    suite_status(s, "the answer", op->status, t->want);
    if (op->status != ST_OK)
        suite_check_refusal(s, t, op);
    else if (t->act == VIEW)
        suite_check_view(s, t, op);
}

static inline void suite_do_due(struct suite *s, const struct suite_step *t,
                                struct suite_slot *slot)
{
    struct ledger_op *op = &slot->op;
    op->user_hash = STR("");
    op->max_uploads = t->max ? (size_t)t->max : 50;
    suite_ask(s, slot);
    suite_status(s, "the answer", op->status, ST_OK);
    suite_eq(s, "uploads that are due", (int64_t)op->n_uploads, t->files);
    if (t->backlog)
        suite_eq(s, "backlog", op->backlog, t->backlog);
}

static inline void suite_do_operator(struct suite *s, const struct suite_step *t,
                                     struct suite_slot *slot)
{
    struct ledger_op *op = &slot->op;
    op->limit_name = t->limit ? str_from(t->limit) : STR("");
    op->amount = t->amount;
    suite_ask(s, slot);
    suite_status(s, "the answer", op->status, t->want);
    if (t->act != SHOW || t->want != ST_OK || s->bad)
        return;
    for (size_t i = 0; i < op->n_tallies; i++) {
        if (!str_equal(op->tallies[i].name, op->limit_name))
            continue;
        suite_eq(s, "used", op->tallies[i].used, t->used);
        suite_eq(s, "reserved", op->tallies[i].reserved, t->reserved);
        return;
    }
    suite_fail(s, "no such tally");
}

static inline void suite_do(struct suite *s, const struct suite_step *t, struct suite_slot *scratch)
{
    static const enum ledger_verb verbs[] = {
        [RESERVE] = LEDGER_RESERVE,     [PEEK] = LEDGER_PEEK,     [LIMIT] = LEDGER_PEEK,
        [VIEW] = LEDGER_VIEW,           [CANCEL] = LEDGER_CANCEL, [COMPLETE] = LEDGER_COMPLETE,
        [SETTLE] = LEDGER_SETTLE,       [DUE] = LEDGER_DUE,       [SHOW] = LEDGER_SHOW,
        [ADJUST] = LEDGER_ADJUST,       [SET] = LEDGER_SET,       [RESET] = LEDGER_RESET,
        [GIVE_BACK] = LEDGER_GIVE_BACK,
    };
    if (t->act == HANDED) {
        ledger_handed(s->ledger, &suite_slot_of(s, t->what)->op);
        return;
    }
    if (t->act == RELEASE) {
        ledger_release(s->ledger, &suite_slot_of(s, t->what)->op);
        return;
    }
    struct suite_slot *slot = t->act == RESERVE ? &s->slots[s->n_slots++] : scratch;
    assert_true(s->n_slots <= SUITE_SLOTS);
    suite_begin(slot, t->what ? t->what : "", verbs[t->act], t->who ? t->who : "u",
                (SUITE_T0_S + t->at_s) * 1000000);
    if (t->act == RESERVE || t->act == PEEK)
        suite_do_grant(s, t, slot);
    else if (t->act == LIMIT)
        suite_do_limit(s, t, slot);
    else if (t->act == DUE)
        suite_do_due(s, t, slot);
    else if (t->act >= SHOW)
        suite_do_operator(s, t, slot);
    else
        suite_do_upload(s, t, slot);
}

static inline void suite_scenario(struct suite *s, const struct suite_scenario *sc)
{
    static struct suite_slot scratch;
    suite_open(s, sc->name);
    for (size_t i = 0; i < ROWS(sc->steps) && !s->bad; i++) {
        const struct suite_step *t = &sc->steps[i];
        if (!t->what && !t->limit && t->act == RESERVE)
            break; /* the row's end */
        s->step = i + 1;
        suite_do(s, t, &scratch);
    }
    suite_slot_release(&scratch);
    suite_close(s);
}

#include "ledger_rules.h"

#endif
