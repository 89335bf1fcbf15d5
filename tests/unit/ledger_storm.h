/*
 * ledger_storm.h - what no single row can say: odd texts come back as they went in, many questions at
 * once, questions whose owner is gone, and long random histories against the model.
 */
#ifndef PRESIGND_LEDGER_STORM_H
#define PRESIGND_LEDGER_STORM_H

#include "ledger_scenarios.h"

/* ---- texts ----------------------------------------------------------------------------------------- */

#define SUITE_X64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SUITE_X512 SUITE_X64 SUITE_X64 SUITE_X64 SUITE_X64 SUITE_X64 SUITE_X64 SUITE_X64 SUITE_X64

static const struct {
    const char *name;
    struct str text;
} suite_texts_rows[] = {
    { "one byte", STR_INIT("x") },
    { "blanks at both ends", STR_INIT("  two  blanks  ") },
    { "quotes", STR_INIT("it's \"quoted\" `so`") },
    { "SQL", STR_INIT("'); DROP TABLE uploads; --") },
    { "JSON", STR_INIT("{\"a\":[1,null,\"\\u0000\"]}\\") },
    { "patterns", STR_INIT("%d%s %% [[:alpha:]] $1 ${x} * ? .*") },
    { "line ends", STR_INIT("one\ntwo\r\nthree\ttab") },
    { "separators", STR_INIT("a:b|c;d,e/f=g&h {tag} +-") },
    { "digits", STR_INIT("00012345678901234567890") },
    { "looks like a number", STR_INIT("1e3") },
    { "Umlaute", STR_INIT("Stra\xc3\x9f"
                          "enb\xc3\xa4ume \xe2\x82\xac") },
    { "beyond the BMP", STR_INIT("\xf0\x9f\x98\x80\xf0\x9f\x9a\x80") },
    { "combining", STR_INIT("e\xcc\x81") },
    { "no UTF-8", STR_INIT("a\xff\xfe\x80z") },
    { "1,023 bytes",
      STR_INIT(SUITE_X512 SUITE_X64 SUITE_X64 SUITE_X64 SUITE_X64 SUITE_X64 SUITE_X64 SUITE_X64
               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde") },
};

/* Each text in the places where texts of the outside stand; in two rows of one batch. */
static inline void suite_texts_one(struct suite *s, struct suite_slot *slot, struct str text)
{
    struct ledger_op *op = suite_begin(slot, "t", LEDGER_RESERVE, "u", SUITE_T0_S * 1000000);
    struct suite_plan_room room;
    op->plan = suite_plan(&room, P_STORED);
    op->idempotency_key = STR("k");
    op->request_hash = STR(SUITE_X64);
    for (int i = 0; i < 2; i++) {
        suite_add_file(slot, true, 10 + i, SUITE_LIFE_S);
        slot->files[i].key = text;
        slot->files[i].content_type = text.len < 256 ? text : STR("image/png");
        slot->files[i].post = i == 0;
        slot->files[i].exact = i == 1;
        slot->files[i].content_length = i == 0 ? -1 : 11;
    }
    suite_ask(s, slot);
    suite_status(s, "the grant", op->status, ST_OK);
    suite_ask(s, slot);
    suite_status(s, "its replay", op->status, ST_OK);
    suite_eq(s, "replayed", op->replayed, true);
    if (op->replayed)
        suite_str(s, "the replay's key", op->replay[1].key, text);
}

static inline void suite_texts_view(struct suite *s, struct suite_slot *scratch, size_t i,
                                    const struct ledger_file *f)
{
    struct ledger_op *op = suite_begin(scratch, "", LEDGER_VIEW, "u", SUITE_T0_S * 1000000);
    op->id = f->id;
    suite_ask(s, scratch);
    suite_status(s, "the view", op->status, ST_OK);
    if (s->bad || op->n_uploads != 1)
        return;
    const struct upload *u = &op->uploads[0];
    suite_str(s, "id", u->id, f->id);
    suite_str(s, "key", u->key, f->key);
    suite_str(s, "content_type", u->content_type, f->content_type);
    suite_str(s, "profile", u->profile, f->profile);
    suite_str(s, "bucket", u->bucket, f->bucket);
    suite_str(s, "bucket_name", u->bucket_name, f->bucket_name);
    suite_eq(s, "content_length", u->content_length, f->content_length);
    suite_eq(s, "reserve_bytes", u->reserve_bytes, f->reserve_bytes);
    suite_eq(s, "created_s", u->created_s, SUITE_T0_S);
    suite_eq(s, "expires_s", u->expires_s, f->expires_at_s);
    suite_eq(s, "post", u->post, i == 0);
    suite_eq(s, "exact", u->exact, i == 1);
    suite_eq(s, "unsettled_release", u->unsettled_release, false);
}

static inline void suite_texts_etag(struct suite *s, struct suite_slot *scratch, struct str id,
                                    struct str etag)
{
    struct ledger_op *op = suite_begin(scratch, "", LEDGER_COMPLETE, "u", SUITE_T0_S * 1000000);
    op->id = id;
    op->seen = (struct object_seen){ OBJECT_THERE, .size = 11, .etag = etag, .why = STR("") };
    suite_ask(s, scratch);
    suite_status(s, "complete", op->status, ST_OK);
    op = suite_begin(scratch, "", LEDGER_VIEW, "u", SUITE_T0_S * 1000000);
    op->id = id;
    suite_ask(s, scratch);
    if (!s->bad && op->n_uploads == 1)
        suite_str(s, "etag", op->uploads[0].etag, etag);
}

static inline void suite_texts(struct suite *s)
{
    for (size_t i = 0; i < ROWS(suite_texts_rows); i++) {
        char name[64];
        snprintf(name, sizeof(name), "texts: %s", suite_texts_rows[i].name);
        suite_open(s, name);
        struct suite_slot *slot = &s->slots[0], *scratch = &s->slots[1];
        const struct str text = suite_texts_rows[i].text;
        suite_texts_one(s, slot, text);
        for (size_t k = 0; k < 2 && !s->bad; k++)
            suite_texts_view(s, scratch, k, &slot->files[k]);
        if (!s->bad && text.len <= UPLOAD_ETAG_MAX)
            suite_texts_etag(s, scratch, slot->files[1].id, text);
        suite_close(s);
    }
}

/* ---- many at once ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int64_t files;
    int64_t granted; /* of SUITE_CROWD questions */
} suite_crowd_rows[] = {
    { "250 places, one each", 1, 250 },
    { "250 places, batches of 7", 7, 35 },
    { "250 places, batches of 100", 100, 2 },
};
enum { SUITE_CROWD = 300 };

static inline void suite_crowd_left(struct suite *s, int64_t want)
{
    struct suite_slot *scratch = calloc(1, sizeof(*scratch));
    assert_non_null(scratch);
    struct suite_plan_room room;
    struct ledger_op *op = suite_begin(scratch, "", LEDGER_PEEK, "u", SUITE_T0_S * 1000000);
    op->plan = suite_plan(&room, P_MANY);
    suite_ask(s, scratch);
    suite_status(s, "a look", op->status, ST_OK);
    suite_eq(s, "reserved", op->states ? op->states[0].reserved : -1, want);
    suite_slot_release(scratch);
    free(scratch);
}

/* All are asked before one answer is awaited: exactly as many are granted as there are places. */
static inline void suite_crowd(struct suite *s, struct suite_slot *crowd, int64_t files,
                               int64_t want)
{
    struct suite_plan_room room;
    const struct plan *plan = suite_plan(&room, P_MANY);
    int64_t granted = 0;
    for (size_t i = 0; i < SUITE_CROWD; i++) {
        char label[16];
        snprintf(label, sizeof(label), "c%zu-", i);
        suite_begin(&crowd[i], label, LEDGER_RESERVE, "u", SUITE_T0_S * 1000000);
        crowd[i].op.plan = plan;
        for (int64_t k = 0; k < files; k++)
            suite_add_file(&crowd[i], true, SUITE_BYTES, SUITE_LIFE_S);
    }
    for (size_t i = 0; i < SUITE_CROWD; i++)
        crowd[i].done = ledger_ask(s->ledger, &crowd[i].op) == LEDGER_DONE;
    for (size_t i = 0; i < SUITE_CROWD; i++) {
        suite_wait(s, &crowd[i].done);
        granted += crowd[i].op.status == ST_OK;
        if (crowd[i].op.status != ST_OK)
            suite_status(s, "a refusal", crowd[i].op.status, ST_QUOTA_EXCEEDED);
    }
    suite_eq(s, "granted", granted, want);
    suite_crowd_left(s, want * files);
    for (size_t i = 0; i < SUITE_CROWD; i++)
        ledger_release(s->ledger, &crowd[i].op);
    suite_crowd_left(s, 0);
}

static inline void suite_crowds(struct suite *s)
{
    for (size_t i = 0; i < ROWS(suite_crowd_rows); i++) {
        suite_open(s, suite_crowd_rows[i].name);
        struct suite_slot *crowd = calloc(SUITE_CROWD, sizeof(*crowd));
        assert_non_null(crowd);
        suite_crowd(s, crowd, suite_crowd_rows[i].files, suite_crowd_rows[i].granted);
        suite_close(s);
        for (size_t k = 0; k < SUITE_CROWD; k++)
            arena_release(&crowd[k].arena);
        free(crowd);
    }
}

/* ---- given up -------------------------------------------------------------------------------------- */

static inline void suite_must_not_be_done(struct ledger_op *op)
{
    (void)op;
    fail_msg("done was called of a question that was given up");
}

/* Questions whose owner is gone before the answer: the op and its memory are gone, too. */
static inline void suite_given_up(struct suite *s)
{
    suite_open(s, "questions given up");
    struct suite_plan_room room;
    const struct plan *plan = suite_plan(&room, P_MANY);
    for (size_t i = 0; i < 60; i++) {
        struct suite_slot *slot = calloc(1, sizeof(*slot));
        assert_non_null(slot);
        char label[16];
        snprintf(label, sizeof(label), "g%zu-", i);
        const bool look = i % 3 == 0;
        struct ledger_op *op = suite_begin(slot, label, look ? LEDGER_VIEW : LEDGER_RESERVE, "u",
                                           SUITE_T0_S * 1000000);
        op->done = suite_must_not_be_done;
        if (!look) {
            op->plan = plan;
            for (size_t k = 0; k < (i % 2 ? 3 : 1 + i % 5); k++)
                suite_add_file(slot, true, SUITE_BYTES, SUITE_LIFE_S);
            op->idempotency_key = i % 2 ? STR("k") : STR("");
            op->request_hash = STR("h");
        } else {
            suite_id(slot->id, "nobody", 0, false);
            op->id = str_from(slot->id);
        }
        const bool pending = ledger_ask(s->ledger, op) == LEDGER_PENDING;
        if (!look)
            ledger_release(s->ledger, op);
        else if (pending)
            ledger_cancel(s->ledger, op);
        arena_release(&slot->arena);
        memset(slot, 0xa5, sizeof(*slot));
        free(slot);
    }
    suite_crowd_left(s, 0);
    suite_close(s);
}

/* ---- random histories against the model ------------------------------------------------------------ */

enum { SUITE_KNOWN = 400, SUITE_UNHANDED = 4, SUITE_LAST_S = 80000 };

struct suite_round {
    struct suite *s;
    struct ledger *model;
    struct suite_slot *ours, *theirs; /* the same question to the model and to the engine */
    struct suite_slot *unhanded[2];   /* grants on their way: [0] the model's, [1] the engine's */
    size_t n_unhanded, made;
    char known[SUITE_KNOWN][UUID_TEXT + 1]; /* of both users, handed out */
    size_t n_known;
    enum suite_plan plans[2];
    uint64_t seed;
    int64_t now_us;
};

static const char *const suite_users[2] = { "u", "v" };

static inline int64_t suite_below(struct suite_round *r, int64_t n)
{
    r->seed = r->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((r->seed >> 20) % (uint64_t)n);
}

static inline bool suite_chance(struct suite_round *r, int64_t percent)
{
    return suite_below(r, 100) < percent;
}

static inline void suite_same_fault(struct suite *s, const struct fault *got,
                                    const struct fault *want)
{
    suite_eq(s, "retry_after_s", got->retry_after_s, want->retry_after_s);
    for (size_t i = 0; i < want->n_members; i++) {
        const struct fault_member *m = &want->members[i];
        if (m->kind == FAULT_INT)
            suite_eq(s, m->name, suite_member_int(got, m->name), m->num);
        else
            suite_str(s, m->name, suite_member(got, m->name), m->str);
    }
}

static inline void suite_same_states(struct suite *s, const struct ledger_op *got,
                                     const struct ledger_op *want)
{
    if (!want->plan || !got->states || want->status == ST_UPLOAD_STATE ||
        want->status == ST_IDEMPOTENCY_CONFLICT)
        return;
    for (size_t i = 0; i < want->plan->n_limits; i++) {
        suite_eq(s, "a state's used", got->states[i].used, want->states[i].used);
        suite_eq(s, "a state's reserved", got->states[i].reserved, want->states[i].reserved);
        suite_eq(s, "a state's remaining", got->states[i].remaining, want->states[i].remaining);
        suite_eq(s, "a state's reset", got->states[i].resets_at_s, want->states[i].resets_at_s);
    }
}

static inline void suite_same_upload(struct suite *s, const struct upload *got,
                                     const struct upload *want)
{
    suite_str(s, "id", got->id, want->id);
    suite_str(s, "user", got->user_hash, want->user_hash);
    suite_str(s, "key", got->key, want->key);
    suite_eq(s, "reserve_bytes", got->reserve_bytes, want->reserve_bytes);
    suite_eq(s, "created_s", got->created_s, want->created_s);
    suite_eq(s, "expires_s", got->expires_s, want->expires_s);
    suite_eq(s, "charged", got->charged, want->charged);
}

static inline const struct upload *suite_upload_in(const struct ledger_op *op, struct str id)
{
    for (size_t i = 0; i < op->n_uploads; i++)
        if (str_equal(op->uploads[i].id, id))
            return &op->uploads[i];
    return NULL;
}

static inline void suite_same_uploads(struct suite *s, const struct ledger_op *got,
                                      const struct ledger_op *want)
{
    suite_eq(s, "uploads", (int64_t)got->n_uploads, (int64_t)want->n_uploads);
    for (size_t i = 0; i < want->n_uploads && !s->bad; i++) {
        const struct upload *u = suite_upload_in(got, want->uploads[i].id);
        if (!u) {
            suite_fail(s, "another upload is due");
            return;
        }
        suite_same_upload(s, u, &want->uploads[i]);
        if (want->verb == LEDGER_VIEW)
            suite_str(s, "state", upload_state_words[u->state],
                      upload_state_words[want->uploads[i].state]);
        if (want->uploads[i].state != UPLOAD_CANCELLED)
            suite_eq(s, "size", u->size, want->uploads[i].size);
    }
}

/* The stored form of a window that is over is the engine's affair: rolled, they must be the same. */
static inline void suite_same_tallies(struct suite *s, const struct plan *plan,
                                      const struct ledger_op *got, const struct ledger_op *want)
{
    for (size_t i = 0; want->status == ST_OK && i < plan->n_limits; i++) {
        const struct limit *l = &plan->limits[i];
        struct tally a = { .name = l->name }, b = a;
        for (size_t k = 0; k < got->n_tallies; k++)
            if (str_equal(got->tallies[k].name, l->name))
                a = got->tallies[k];
        for (size_t k = 0; k < want->n_tallies; k++)
            if (str_equal(want->tallies[k].name, l->name))
                b = want->tallies[k];
        tally_roll(&a, l, want->now_us);
        tally_roll(&b, l, want->now_us);
        if (l->kind == LIMIT_OPEN)
            continue;
        suite_eq(s, "a tally's start", a.start_s, b.start_s);
        suite_eq(s, "a tally's used", a.used, b.used);
        suite_eq(s, "a tally's reserved", a.reserved, b.reserved);
        suite_eq(s, "a tally's tat", MAX_OF(a.tat_us, want->now_us),
                 MAX_OF(b.tat_us, want->now_us));
    }
}

static inline void suite_same_replay(struct suite *s, const struct ledger_op *got,
                                     const struct ledger_op *want)
{
    suite_eq(s, "replayed", got->replayed, want->replayed);
    for (size_t i = 0; want->replayed && got->replayed && i < want->n_files; i++) {
        suite_str(s, "replay id", str_from(got->replay[i].id), str_from(want->replay[i].id));
        suite_str(s, "replay uuid", str_from(got->replay[i].uuid), str_from(want->replay[i].uuid));
        suite_str(s, "replay key", got->replay[i].key, want->replay[i].key);
        suite_eq(s, "replay created", got->replay[i].created_us, want->replay[i].created_us);
    }
}

static inline void suite_ask_both(struct suite_round *r)
{
    struct suite *s = r->s;
    struct ledger_op *want = &r->ours->op, *got = &r->theirs->op;
    ledger_ask(r->model, want);
    suite_ask(s, r->theirs);
    suite_status(s, "the answer", got->status, want->status);
    if (s->bad)
        return;
    if (want->status != ST_OK)
        suite_same_fault(s, &got->fault, &want->fault);
    suite_same_states(s, got, want);
    if (want->verb == LEDGER_RESERVE && want->status == ST_OK)
        suite_same_replay(s, got, want);
    if (want->verb == LEDGER_VIEW || want->verb == LEDGER_DUE)
        suite_same_uploads(s, got, want);
}

/* Begins the same question twice. */
static inline void suite_begin_both(struct suite_round *r, enum ledger_verb verb, size_t user,
                                    const char *label)
{
    suite_begin(r->ours, label, verb, suite_users[user], r->now_us);
    suite_begin(r->theirs, label, verb, suite_users[user], r->now_us);
}

static inline void suite_hand_over(struct suite_round *r, bool handed)
{
    if (r->n_unhanded == 0)
        return;
    r->n_unhanded--;
    struct suite_slot *mine = &r->unhanded[0][r->n_unhanded];
    struct suite_slot *other = &r->unhanded[1][r->n_unhanded];
    for (size_t i = 0; handed && i < mine->op.n_files && r->n_known < SUITE_KNOWN; i++)
        memcpy(r->known[r->n_known++],
               mine->op.replayed ? mine->op.replay[i].id : mine->files[i].id.ptr, UUID_TEXT + 1);
    if (handed) {
        ledger_handed(r->model, &mine->op);
        ledger_handed(r->s->ledger, &other->op);
    } else {
        ledger_release(r->model, &mine->op);
        ledger_release(r->s->ledger, &other->op);
    }
}

static inline void suite_random_files(struct suite_round *r, struct suite_slot *slot, size_t user,
                                      uint64_t seed)
{
    static struct suite_plan_room rooms[2];
    static const char *const keys[] = { "k1", "k2", "K2" };
    const uint64_t kept = r->seed;
    r->seed = seed;
    slot->op.plan = suite_plan(&rooms[user], r->plans[user]);
    const int64_t n = suite_chance(r, 70) ? 1 : 1 + suite_below(r, 4);
    const int64_t bytes = suite_below(r, 25), life_s = 60 + suite_below(r, 900);
    for (int64_t i = 0; i < n; i++)
        suite_add_file(slot, true, bytes, life_s);
    r->seed = kept;
    if (slot->op.verb == LEDGER_RESERVE && seed % 3 == 0) {
        slot->op.idempotency_key = str_from(keys[seed / 3 % 3]);
        slot->op.request_hash = STR("h");
    }
}

/* A repeated request is the same in all but its ids, so its seed comes from its key. */
static inline void suite_random_grant(struct suite_round *r, enum ledger_verb verb)
{
    char label[16];
    const size_t user = (size_t)suite_below(r, 2);
    if (r->n_unhanded == SUITE_UNHANDED)
        suite_hand_over(r, true);
    struct suite_slot *const kept[2] = { r->ours, r->theirs };
    if (verb == LEDGER_RESERVE) {
        r->ours = &r->unhanded[0][r->n_unhanded];
        r->theirs = &r->unhanded[1][r->n_unhanded];
    }
    snprintf(label, sizeof(label), "r%zu-", r->made++);
    suite_begin_both(r, verb, user, label);
    const uint64_t seed = suite_chance(r, 40) ? (uint64_t)(3 * suite_below(r, 3))
                                              : (uint64_t)(3 * suite_below(r, 1 << 20) + 1);
    suite_random_files(r, r->ours, user, seed);
    suite_random_files(r, r->theirs, user, seed);
    if (seed % 3 == 0 && suite_chance(r, 5))
        r->ours->op.request_hash = r->theirs->op.request_hash = STR("other");
    suite_ask_both(r);
    const bool granted = verb == LEDGER_RESERVE && r->ours->op.status == ST_OK;
    r->ours = kept[0];
    r->theirs = kept[1];
    r->n_unhanded += granted;
}

static inline void suite_random_seen(struct suite_round *r, enum ledger_verb verb)
{
    struct object_seen seen = { .etag = STR("\"e\""), .why = STR(""), .size = suite_below(r, 30) };
    seen.presence =
        verb == LEDGER_COMPLETE ? OBJECT_THERE : (enum object_presence)suite_below(r, 3);
    r->ours->op.seen = r->theirs->op.seen = seen;
}

static inline void suite_random_upload(struct suite_round *r, enum ledger_verb verb)
{
    if (r->n_known == 0)
        return;
    char *id = r->known[suite_below(r, (int64_t)r->n_known)];
    suite_begin_both(r, verb, (size_t)suite_below(r, 2), "");
    r->ours->op.id = r->theirs->op.id = str_from(id);
    suite_random_seen(r, verb);
    suite_ask_both(r);
}

/* What the sweeper does, though it may find no time for all of it. */
static inline void suite_random_sweep(struct suite_round *r)
{
    struct suite *s = r->s;
    suite_begin_both(r, LEDGER_DUE, 0, "");
    r->ours->op.max_uploads = r->theirs->op.max_uploads = 200;
    suite_ask_both(r);
    struct ledger_op *due = &r->ours->op;
    const size_t n = due->n_uploads;
    char ids[200][UUID_TEXT + 1];
    size_t users[200];
    for (size_t i = 0; i < n; i++) {
        memcpy(ids[i], due->uploads[i].id.ptr, UUID_TEXT);
        ids[i][UUID_TEXT] = '\0';
        char first[33];
        snprintf(first, sizeof(first), "%016" PRIx64, suite_mix(suite_users[0], 7));
        users[i] = !str_starts(due->uploads[i].user_hash, str_from(first));
    }
    for (size_t i = 0; i < n && !s->bad; i++) {
        if (suite_chance(r, 20))
            continue;
        suite_begin_both(r, LEDGER_SETTLE, users[i], "");
        r->ours->op.id = r->theirs->op.id = str_from(ids[i]);
        suite_random_seen(r, LEDGER_SETTLE);
        suite_ask_both(r);
    }
}

static inline void suite_random_operator(struct suite_round *r)
{
    static const enum ledger_verb verbs[] = { LEDGER_ADJUST, LEDGER_ADJUST, LEDGER_SET,
                                              LEDGER_GIVE_BACK, LEDGER_RESET };
    static const char *const names[] = { "stored", "files", "a_month", "nothing" };
    const size_t user = (size_t)suite_below(r, 2);
    suite_begin_both(r, verbs[suite_below(r, ROWS(verbs))], user, "");
    r->ours->op.limit_name = str_from(names[suite_below(r, ROWS(names))]);
    r->ours->op.amount = suite_below(r, 60);
    if (r->ours->op.verb == LEDGER_ADJUST)
        r->ours->op.amount -= 40;
    r->theirs->op.limit_name = r->ours->op.limit_name;
    r->theirs->op.amount = r->ours->op.amount;
    suite_ask_both(r);
}

/* What is left, and what is stored, of both users. */
static inline void suite_random_compare(struct suite_round *r)
{
    struct suite_plan_room room;
    for (size_t user = 0; user < 2 && !r->s->bad; user++) {
        const struct plan *plan = suite_plan(&room, r->plans[user]);
        suite_begin_both(r, LEDGER_PEEK, user, "");
        r->ours->op.plan = r->theirs->op.plan = plan;
        suite_ask_both(r);
        suite_begin_both(r, LEDGER_SHOW, user, "");
        suite_ask_both(r);
        if (!r->s->bad)
            suite_same_tallies(r->s, plan, &r->theirs->op, &r->ours->op);
    }
    model_recount(r->s->scenario, model_of(r->model));
}

static inline void suite_random_time(struct suite_round *r)
{
    static const int64_t paces_us[] = { 1, 400000, 1000000, 30000000, 400000000, 1500000000 };
    const bool late = r->now_us / 1000000 > SUITE_T0_S + SUITE_LAST_S;
    const int64_t step_us = suite_below(r, paces_us[suite_below(r, late ? 3 : ROWS(paces_us))]);
    while (step_us > 10000000 && r->n_unhanded > 0)
        suite_hand_over(r, true);
    r->now_us += step_us;
}

static inline void suite_random_step(struct suite_round *r)
{
    const int64_t dice = suite_below(r, 100);
    suite_random_time(r);
    if (dice < 40)
        suite_random_grant(r, LEDGER_RESERVE);
    else if (dice < 45)
        suite_random_grant(r, LEDGER_PEEK);
    else if (dice < 53)
        suite_hand_over(r, suite_chance(r, 50));
    else if (dice < 61)
        suite_random_upload(r, LEDGER_CANCEL);
    else if (dice < 69)
        suite_random_upload(r, LEDGER_COMPLETE);
    else if (dice < 76)
        suite_random_upload(r, LEDGER_SETTLE);
    else if (dice < 84)
        suite_random_upload(r, LEDGER_VIEW);
    else if (dice < 94)
        suite_random_sweep(r);
    else
        suite_random_operator(r);
}

static inline void suite_random_begin(struct suite_round *r, uint64_t seed)
{
    static const enum suite_plan plans[] = { P_EVERY, P_STORED,   P_HOUR,
                                             P_OPEN,  P_HOUR_DAY, P_RATE_STORED,
                                             P_GIVE,  P_DAY,      P_OPEN_STORED };
    r->model = model_new();
    r->seed = seed;
    r->now_us = SUITE_T0_S * 1000000;
    for (size_t i = 0; i < 2; i++) {
        r->plans[i] = i == 0 && seed % 3 == 1 ? P_EVERY : plans[suite_below(r, ROWS(plans))];
        r->unhanded[i] = calloc(SUITE_UNHANDED, sizeof(*r->unhanded[i]));
        assert_non_null(r->unhanded[i]);
    }
}

static inline void suite_random_end(struct suite_round *r)
{
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < SUITE_UNHANDED; k++)
            arena_release(&r->unhanded[i][k].arena);
        free(r->unhanded[i]);
    }
    ledger_free(r->model);
    free(r);
}

static inline void suite_random_round(struct suite *s, uint64_t seed)
{
    char name[64];
    snprintf(name, sizeof(name), "random history of seed %" PRIu64, seed);
    suite_open(s, name);
    struct suite_round *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->s = s;
    r->ours = &s->slots[0];
    r->theirs = &s->slots[1];
    suite_random_begin(r, seed);
    for (s->step = 1; s->step <= SUITE_ROUND_STEPS && !s->bad; s->step++) {
        suite_random_step(r);
        if (!s->bad)
            suite_random_compare(r);
    }
    suite_close(s);
    suite_random_end(r);
}

#endif
