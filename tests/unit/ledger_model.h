/*
 * ledger_model.h - a ledger that is slow and obvious: lists that are searched from the front, every
 * question answered at once. The judge of what engines answer to random questions, and an engine of
 * its own, so that the suite is run against something that needs neither file nor server.
 */
#ifndef PRESIGND_LEDGER_MODEL_H
#define PRESIGND_LEDGER_MODEL_H

#include "test.h"

#include "presignd/ledger.h"

enum { MODEL_UPLOADS = 4096, MODEL_USERS = 16, MODEL_TALLIES = 32, MODEL_FILES = 100 };

enum model_charge { CHARGE_NONE, CHARGE_RESERVED, CHARGE_USED, CHARGE_GIVEN_BACK };

struct model_upload {
    bool there; /* false: forgotten, or never handed out */
    struct upload u;
    struct str uuid, idempotency_key;
    struct tally charges[LEDGER_LIMITS_MAX]; /* name, kind, start_s */
    size_t n_charges;
    enum model_charge charge;
    int64_t used_files, used_bytes; /* while charge is USED */
    bool place;                     /* the plan has a limit `open`, and it was not given up */
    bool handed;
    int64_t due_s;
    int64_t holders;
};

struct model_record { /* of an Idempotency-Key */
    bool there;
    struct str user, key, hash;
    int64_t created_us;
    size_t uploads[MODEL_FILES];
    size_t n;
};

struct model_user {
    struct str hash;
    struct tally tallies[MODEL_TALLIES];
    size_t n;
};

struct model {
    struct ledger ledger;
    struct arena texts;
    struct model_upload uploads[MODEL_UPLOADS];
    size_t n_uploads;
    struct model_record records[MODEL_UPLOADS];
    size_t n_records;
    struct model_user users[MODEL_USERS];
    size_t n_users;
};

static inline struct model *model_of(struct ledger *l)
{
    return container_of(l, struct model, ledger);
}

static inline struct str model_keep(struct model *m, struct str s)
{
    const struct str kept = arena_copy(&m->texts, s);
    assert_non_null(kept.ptr);
    return kept;
}

/* ---- users and their tallies --------------------------------------------------------------------- */

static inline struct model_user *model_user(struct model *m, struct str hash)
{
    for (size_t i = 0; i < m->n_users; i++)
        if (str_equal(m->users[i].hash, hash))
            return &m->users[i];
    return NULL;
}

static inline struct tally *model_tally(struct model_user *user, struct str name)
{
    for (size_t i = 0; user && i < user->n; i++)
        if (str_equal(user->tallies[i].name, name))
            return &user->tallies[i];
    return NULL;
}

static inline bool model_is_open(const struct model_upload *x, int64_t now_s)
{
    return x->there && x->place && x->u.state == UPLOAD_GRANTED && now_s < x->u.expires_s;
}

static inline int64_t model_open(const struct model *m, struct str user, int64_t now_s,
                                 int64_t *out_ends_s)
{
    int64_t n = 0;
    *out_ends_s = 0;
    for (size_t i = 0; i < m->n_uploads; i++) {
        const struct model_upload *x = &m->uploads[i];
        if (!str_equal(x->u.user_hash, user) || !model_is_open(x, now_s))
            continue;
        n++;
        if (*out_ends_s == 0 || x->u.expires_s < *out_ends_s)
            *out_ends_s = x->u.expires_s;
    }
    return n;
}

/* The tallies of a plan as they are at this moment; nothing is stored. Returns the earliest end. */
static inline int64_t model_roll(struct model *m, const struct ledger_op *op, struct tally *out)
{
    int64_t ends_s;
    const int64_t n_open = model_open(m, op->user_hash, op->now_us / 1000000, &ends_s);
    for (size_t i = 0; op->plan && i < op->plan->n_limits; i++) {
        const struct limit *l = &op->plan->limits[i];
        const struct tally *t = model_tally(model_user(m, op->user_hash), l->name);
        out[i] = t ? *t : (struct tally){ .name = l->name };
        tally_roll(&out[i], l, op->now_us);
        if (l->kind == LIMIT_OPEN)
            out[i].reserved = n_open;
    }
    return ends_s;
}

static inline void model_store(struct model *m, const struct ledger_op *op, const struct tally *t)
{
    if (!op->plan || op->plan->n_limits == 0)
        return;
    struct model_user *user = model_user(m, op->user_hash);
    if (!user) {
        assert_true(m->n_users < MODEL_USERS);
        user = &m->users[m->n_users++];
        user->hash = model_keep(m, op->user_hash);
    }
    for (size_t i = 0; i < op->plan->n_limits; i++) {
        struct tally *to = model_tally(user, t[i].name);
        if (!to) {
            assert_true(user->n < MODEL_TALLIES);
            to = &user->tallies[user->n++];
            to->name = model_keep(m, t[i].name);
        }
        const struct str name = to->name;
        *to = t[i];
        to->name = name;
    }
}

/* ---- uploads -------------------------------------------------------------------------------------- */

static inline struct model_upload *model_upload(struct model *m, struct str user, struct str id)
{
    for (size_t i = 0; i < m->n_uploads; i++) {
        struct model_upload *x = &m->uploads[i];
        if (x->there && str_equal(x->u.id, id) && str_equal(x->u.user_hash, user))
            return x;
    }
    return NULL;
}

static inline bool model_dead(const struct model_upload *x, int64_t now_s)
{
    return now_s >= x->u.expires_s + UPLOAD_GRACE_S;
}

/* From here on `files` and `bytes` of it are used, whatever was held or used of it before. */
static inline void model_settle(struct model *m, struct model_upload *x, int64_t files,
                                int64_t bytes)
{
    const bool held = x->charge == CHARGE_RESERVED, was_used = x->charge == CHARGE_USED;
    struct model_user *user = model_user(m, x->u.user_hash);
    for (size_t i = 0; i < x->n_charges; i++) {
        struct tally *t = model_tally(user, x->charges[i].name);
        if (!t || t->kind != x->charges[i].kind)
            continue;
        const bool counts_bytes = t->kind == LIMIT_BYTES;
        const int64_t amount = counts_bytes ? x->u.reserve_bytes : 1;
        const int64_t before = counts_bytes ? x->used_bytes : x->used_files;
        tally_settle(t, x->charges[i].start_s, held ? amount : 0,
                     (counts_bytes ? bytes : files) - (was_used ? before : 0));
    }
    if (x->n_charges == 0)
        return;
    x->charge = files > 0 ? CHARGE_USED : CHARGE_GIVEN_BACK;
    x->used_files = files;
    x->used_bytes = bytes;
}

static inline void model_charge(struct model_upload *x, const struct plan *plan,
                                const struct tally *tallies)
{
    x->n_charges = 0;
    x->place = false;
    for (size_t i = 0; plan && i < plan->n_limits; i++) {
        const enum limit_kind kind = plan->limits[i].kind;
        x->place = x->place || kind == LIMIT_OPEN;
        if (kind == LIMIT_COUNT || kind == LIMIT_BYTES)
            x->charges[x->n_charges++] = tallies[i];
    }
    x->charge = x->n_charges > 0 ? CHARGE_RESERVED : CHARGE_NONE;
}

static inline void model_add(struct model *m, const struct ledger_op *op,
                             const struct ledger_file *f, const struct tally *tallies)
{
    assert_true(m->n_uploads < MODEL_UPLOADS);
    struct model_upload *x = &m->uploads[m->n_uploads++];
    *x = (struct model_upload){
        .there = true,
        .u = { .id = model_keep(m, f->id),
               .user_hash = model_keep(m, op->user_hash),
               .profile = model_keep(m, f->profile),
               .bucket = model_keep(m, f->bucket),
               .bucket_name = model_keep(m, f->bucket_name),
               .key = model_keep(m, f->key),
               .content_type = model_keep(m, f->content_type),
               .content_length = f->content_length,
               .reserve_bytes = f->reserve_bytes,
               .created_s = op->now_us / 1000000,
               .expires_s = f->expires_at_s,
               .size = -1,
               .etag = STR(""),
               .post = f->post,
               .exact = f->exact,
               .unsettled_release = op->plan && op->plan->unsettled_release },
        .uuid = model_keep(m, f->uuid),
        .idempotency_key = model_keep(m, op->idempotency_key),
        .due_s = f->expires_at_s + UPLOAD_GRACE_S,
        .holders = 1,
    };
    model_charge(x, op->plan, tallies);
    for (size_t i = 0; i < x->n_charges; i++)
        x->charges[i].name = model_keep(m, x->charges[i].name);
}

/* ---- RESERVE and PEEK ------------------------------------------------------------------------------ */

static inline struct model_record *model_record(struct model *m, const struct ledger_op *op)
{
    if (op->idempotency_key.len == 0)
        return NULL;
    for (size_t i = 0; i < m->n_records; i++) {
        struct model_record *r = &m->records[i];
        if (r->there && str_equal(r->user, op->user_hash) && str_equal(r->key, op->idempotency_key))
            return r;
    }
    return NULL;
}

static inline bool model_record_lives(const struct model *m, const struct model_record *r,
                                      int64_t now_us)
{
    for (size_t i = 0; i < r->n; i++)
        if (!m->uploads[r->uploads[i]].there)
            return false;
    return now_us / 1000000 < r->created_us / 1000000 + UPLOAD_IDEM_S;
}

static inline enum status model_refuse_state(struct ledger_op *op, enum upload_state state)
{
    fault_set(&op->fault, ST_UPLOAD_STATE, STR(""));
    fault_str(&op->fault, "state", upload_state_words[state]);
    return ST_UPLOAD_STATE;
}

/* What a repeated request takes: of uploads that hold nothing any more all, of others a lost place. */
static inline enum status model_ask_again(struct model *m, struct ledger_op *op,
                                          const struct model_record *r, struct limits_ask *ask)
{
    const int64_t now_s = op->now_us / 1000000;
    if (!str_equal(r->hash, op->request_hash))
        return fault_set(&op->fault, ST_IDEMPOTENCY_CONFLICT, STR(""));
    ask->files = ask->bytes = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct model_upload *x = &m->uploads[r->uploads[i]];
        if (x->u.state == UPLOAD_COMPLETED || x->u.state == UPLOAD_CANCELLED)
            return model_refuse_state(op, x->u.state);
        if (x->u.state == UPLOAD_EXPIRED) {
            ask->files++;
            ask->bytes += op->files[i].reserve_bytes;
        } else if (x->place && !model_is_open(x, now_s)) {
            ask->reopened++;
        }
    }
    ask->rate_only = ask->files == 0;
    return ST_OK;
}

static inline void model_replay(struct model *m, struct ledger_op *op, const struct model_record *r,
                                const struct tally *tallies)
{
    op->replayed = true;
    op->replay = arena_array(op->arena, r->n, sizeof(*op->replay));
    assert_non_null(op->replay);
    for (size_t i = 0; i < r->n; i++) {
        struct model_upload *x = &m->uploads[r->uploads[i]];
        if (x->u.state == UPLOAD_EXPIRED)
            model_charge(x, op->plan, tallies);
        x->u.state = UPLOAD_GRANTED;
        x->u.expires_s = MAX_OF(x->u.expires_s, op->files[i].expires_at_s);
        x->due_s = x->u.expires_s + UPLOAD_GRACE_S;
        x->holders++;
        memcpy(op->replay[i].id, x->u.id.ptr, x->u.id.len);
        memcpy(op->replay[i].uuid, x->uuid.ptr, x->uuid.len);
        op->replay[i].key = x->u.key;
        op->replay[i].created_us = r->created_us;
    }
}

static inline void model_grant(struct model *m, struct ledger_op *op, const struct tally *tallies)
{
    struct model_record *old = model_record(m, op), *r = NULL;
    if (old)
        old->there = false;
    if (op->idempotency_key.len > 0) {
        assert_true(m->n_records < MODEL_UPLOADS);
        r = &m->records[m->n_records++];
        *r = (struct model_record){ .there = true,
                                    .user = model_keep(m, op->user_hash),
                                    .key = model_keep(m, op->idempotency_key),
                                    .hash = model_keep(m, op->request_hash),
                                    .created_us = op->now_us };
    }
    for (size_t i = 0; i < op->n_files; i++) {
        if (r)
            r->uploads[r->n++] = m->n_uploads;
        model_add(m, op, &op->files[i], tallies);
    }
}

static inline void model_states(struct model *m, struct ledger_op *op, const struct tally *t)
{
    int64_t ends_s;
    model_open(m, op->user_hash, op->now_us / 1000000, &ends_s);
    if (!op->plan)
        return;
    op->states = arena_array(op->arena, op->plan->n_limits, sizeof(*op->states));
    for (size_t i = 0; i < op->plan->n_limits; i++)
        op->states[i] = limits_state(&op->plan->limits[i], &t[i], op->now_us, ends_s);
}

static inline enum status model_reserve(struct model *m, struct ledger_op *op)
{
    struct tally tallies[LEDGER_LIMITS_MAX] = { 0 };
    struct limits_ask ask = { .now_us = op->now_us,
                              .files = (int64_t)op->n_files,
                              .open_ends_s = model_roll(m, op, tallies) };
    for (size_t i = 0; i < op->n_files; i++)
        ask.bytes += op->files[i].reserve_bytes;
    struct model_record *r = model_record(m, op);
    if (r && !model_record_lives(m, r, op->now_us))
        r = NULL;
    enum status st = r ? model_ask_again(m, op, r, &ask) : ST_OK;
    if (st == ST_OK && op->plan && op->n_files > 0) {
        struct limits_verdict v;
        st = limits_check(op->plan, tallies, &ask, &v);
        if (st != ST_OK)
            st = limits_fault(op->plan, &v, op->now_us, op->arena, &op->fault);
    }
    if (st == ST_OK && op->verb == LEDGER_RESERVE) {
        if (op->plan)
            limits_take(op->plan, tallies, &ask);
        model_store(m, op, tallies);
        if (r)
            model_replay(m, op, r, tallies);
        else
            model_grant(m, op, tallies);
    }
    model_states(m, op, tallies);
    return st;
}

static inline void model_let_go(struct model *m, struct model_upload *x)
{
    if (!x || --x->holders > 0)
        return;
    model_settle(m, x, 0, 0);
    x->there = false;
    for (size_t i = 0; i < m->n_records; i++)
        for (size_t k = 0; k < m->records[i].n; k++)
            if (&m->uploads[m->records[i].uploads[k]] == x)
                m->records[i].there = false;
}

static inline struct str model_op_id(const struct ledger_op *op, size_t i)
{
    return op->replayed ? str_from(op->replay[i].id) : op->files[i].id;
}

static inline void model_release(struct ledger *l, struct ledger_op *op)
{
    for (size_t i = 0; op->status == ST_OK && i < op->n_files; i++)
        model_let_go(model_of(l), model_upload(model_of(l), op->user_hash, model_op_id(op, i)));
}

static inline void model_handed(struct ledger *l, const struct ledger_op *op)
{
    for (size_t i = 0; i < op->n_files; i++) {
        struct model_upload *x = model_upload(model_of(l), op->user_hash, model_op_id(op, i));
        if (x)
            x->handed = true;
    }
}

/* ---- one upload ------------------------------------------------------------------------------------ */

static inline struct upload model_shown(const struct model_upload *x, int64_t now_s)
{
    struct upload u = x->u;
    u.charged = x->charge == CHARGE_RESERVED;
    if (u.state == UPLOAD_GRANTED && now_s >= u.expires_s)
        u.state = UPLOAD_EXPIRED;
    return u;
}

static inline enum status model_view(struct ledger_op *op, struct model_upload *x, int64_t now_s)
{
    op->uploads = ARENA_NEW(op->arena, struct upload);
    assert_non_null(op->uploads);
    op->uploads[0] = model_shown(x, now_s);
    op->n_uploads = 1;
    return ST_OK;
}

static inline enum status model_cancel(struct ledger_op *op, struct model_upload *x)
{
    if (x->u.state == UPLOAD_COMPLETED)
        return model_refuse_state(op, x->u.state);
    x->u.state = UPLOAD_CANCELLED;
    return ST_OK;
}

static inline enum status model_complete(struct model *m, struct ledger_op *op,
                                         struct model_upload *x, int64_t now_s)
{
    const bool dead = model_dead(x, now_s);
    if (x->u.state == UPLOAD_CANCELLED)
        return model_refuse_state(op, x->u.state);
    if (x->u.state != UPLOAD_COMPLETED || (dead && x->u.size != op->seen.size)) {
        x->u.state = UPLOAD_COMPLETED;
        x->u.size = op->seen.size;
        x->u.etag = model_keep(m, op->seen.etag);
    }
    if (dead)
        model_settle(m, x, 1, op->seen.size);
    return ST_OK;
}

static inline enum status model_settle_op(struct model *m, struct ledger_op *op,
                                          struct model_upload *x, int64_t now_s)
{
    if (!model_dead(x, now_s) || (x->charge != CHARGE_RESERVED && x->u.state != UPLOAD_GRANTED))
        return ST_OK;
    if (op->seen.presence == OBJECT_THERE) {
        model_settle(m, x, 1, op->seen.size);
        if (x->u.state != UPLOAD_CANCELLED) {
            x->u.state = UPLOAD_COMPLETED;
            x->u.size = op->seen.size;
            x->u.etag = model_keep(m, op->seen.etag);
        }
    } else if (op->seen.presence == OBJECT_UNKNOWN && !x->u.unsettled_release) {
        model_settle(m, x, 1, x->u.reserve_bytes);
    } else {
        model_settle(m, x, 0, 0);
    }
    if (x->u.state == UPLOAD_GRANTED)
        x->u.state = UPLOAD_EXPIRED;
    return ST_OK;
}

static inline enum status model_one(struct model *m, struct ledger_op *op)
{
    const int64_t now_s = op->now_us / 1000000;
    struct model_upload *x = model_upload(m, op->user_hash, op->id);
    if (!x)
        return ST_NOT_FOUND;
    if (op->verb == LEDGER_VIEW)
        return model_view(op, x, now_s);
    if (op->verb == LEDGER_CANCEL)
        return model_cancel(op, x);
    if (op->verb == LEDGER_COMPLETE)
        return model_complete(m, op, x, now_s);
    return model_settle_op(m, op, x, now_s);
}

static inline enum status model_due(struct model *m, struct ledger_op *op)
{
    const int64_t now_s = op->now_us / 1000000;
    op->uploads = arena_array(op->arena, op->max_uploads, sizeof(*op->uploads));
    assert_non_null(op->uploads);
    for (size_t i = 0; i < m->n_uploads; i++) {
        struct model_upload *x = &m->uploads[i];
        const bool open_end = x->charge == CHARGE_RESERVED || x->u.state == UPLOAD_GRANTED;
        if (x->there && !open_end && now_s >= x->u.expires_s + UPLOAD_GRACE_S + UPLOAD_KEPT_S)
            x->there = false;
        if (!x->there || !open_end || !model_dead(x, now_s) || now_s < x->due_s)
            continue;
        op->backlog++;
        if (op->n_uploads == op->max_uploads)
            continue;
        op->uploads[op->n_uploads++] = model_shown(x, now_s);
        x->due_s = now_s + LEDGER_LEASE_S;
    }
    return ST_OK;
}

/* ---- operators ------------------------------------------------------------------------------------- */

static inline void model_set_used(struct tally *t, int64_t used)
{
    t->used = used < 0 ? 0 : MIN_OF(used, LIMITS_NUMBER_MAX);
}

static inline enum status model_operator(struct model *m, struct ledger_op *op)
{
    struct model_user *user = model_user(m, op->user_hash);
    if (!user)
        return ST_NOT_FOUND;
    struct tally *named = model_tally(user, op->limit_name);
    if (op->verb == LEDGER_ADJUST || op->verb == LEDGER_SET) {
        if (!named)
            return ST_NOT_FOUND;
        model_set_used(named, (op->verb == LEDGER_ADJUST ? named->used : 0) + op->amount);
    }
    for (size_t i = 0; op->verb == LEDGER_RESET && i < user->n; i++)
        user->tallies[i].used = user->tallies[i].tat_us = 0;
    for (size_t i = 0; op->verb == LEDGER_GIVE_BACK && i < user->n; i++)
        if (user->tallies[i].kind == LIMIT_BYTES && user->tallies[i].start_s == 0)
            model_set_used(&user->tallies[i], user->tallies[i].used - op->amount);
    if (op->verb == LEDGER_SHOW) {
        op->tallies = arena_array(op->arena, user->n, sizeof(*op->tallies));
        assert_non_null(op->tallies);
        memcpy(op->tallies, user->tallies, user->n * sizeof(*op->tallies));
        op->n_tallies = user->n;
    }
    return ST_OK;
}

static inline enum ledger_progress model_ask(struct ledger *l, struct ledger_op *op)
{
    struct model *m = model_of(l);
    op->fault = (struct fault){ .status = ST_OK };
    if (op->verb == LEDGER_RESERVE || op->verb == LEDGER_PEEK)
        op->status = model_reserve(m, op);
    else if (op->verb == LEDGER_DUE)
        op->status = model_due(m, op);
    else if (op->verb >= LEDGER_SHOW)
        op->status = model_operator(m, op);
    else
        op->status = model_one(m, op);
    op->fault.status = op->status;
    return LEDGER_DONE;
}

/* What every tally holds in reserve must be what its uploads hold: counted again from the uploads. */
static inline void model_recount(const char *name, const struct model *m)
{
    for (size_t i = 0; i < m->n_users; i++) {
        for (size_t k = 0; k < m->users[i].n; k++) {
            const struct tally *t = &m->users[i].tallies[k];
            int64_t reserved = 0;
            for (size_t n = 0; n < m->n_uploads; n++) {
                const struct model_upload *x = &m->uploads[n];
                for (size_t c = 0; x->there && c < x->n_charges; c++)
                    if (x->charge == CHARGE_RESERVED && x->charges[c].start_s == t->start_s &&
                        str_equal(x->charges[c].name, t->name) &&
                        str_equal(x->u.user_hash, m->users[i].hash))
                        reserved += t->kind == LIMIT_BYTES ? x->u.reserve_bytes : 1;
            }
            if (t->kind == LIMIT_COUNT || t->kind == LIMIT_BYTES)
                CHECK_EQ(name, t->reserved, reserved);
        }
    }
}

/* ---- as an engine ----------------------------------------------------------------------------------- */

static inline bool model_ready(struct ledger *l, struct str *why)
{
    (void)l;
    *why = STR("");
    return true;
}

static inline void model_forget(struct ledger *l, struct ledger_op *op)
{
    (void)l;
    (void)op;
}

static inline void model_free(struct ledger *l)
{
    arena_release(&model_of(l)->texts);
    free(model_of(l));
}

static const struct ledger_kind model_kind = {
    .name = "model",
    .remembers = true,
    .ask = model_ask,
    .release = model_release,
    .handed = model_handed,
    .cancel = model_forget,
    .ready = model_ready,
    .free = model_free,
};

static inline struct ledger *model_new(void)
{
    struct model *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    m->ledger.kind = &model_kind;
    m->texts = ARENA_INIT((size_t)64 << 20);
    return &m->ledger;
}

#endif
