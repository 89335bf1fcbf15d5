/*
 * ledger_reserve - RESERVE, PEEK and the release of what was never handed out.
 *
 * Limits are asked once for all files. A repeated request (same Idempotency-Key, same hash) takes
 * of the limits only what is gone meanwhile: uploads that were settled are reserved anew, places of
 * the `open` limit that ended are taken anew, `rate` counts every request.
 */
#include "ledger_job.h"

/* What one RESERVE works with. */
struct reserving {
    struct ledger_job *job;
    struct user_row *user;
    int64_t now_s;
    bool write; /* RESERVE; false: PEEK */
    bool has_open;
    struct tally tallies[LEDGER_LIMITS_MAX];
    struct charge charges[CHARGES_MAX];
    size_t n_charges;
    struct str charges_text;
    /* Of an Idempotency-Key that is known: */
    struct idem_row idem; /* rowid 0: none */
    struct id_pair *pairs;
    struct upload_row *rows;
};

/* ---- the plan's tallies ------------------------------------------------------------------------- */

static void load_tallies(struct reserving *w)
{
    const struct plan *p = &w->job->plan;
    for (size_t i = 0; i < p->n_limits; i++) {
        const struct limit *l = &p->limits[i];
        const struct tally *stored = user_tally(w->user, l->name);
        struct tally *t = &w->tallies[i];
        *t = stored ? *stored : (struct tally){ .name = l->name, .kind = l->kind };
        tally_roll(t, l, w->job->now_us);
        if (l->kind == LIMIT_OPEN) {
            t->reserved = open_ends_sum(w->user->ends, w->user->n_ends);
            w->has_open = true;
        }
        if (l->kind == LIMIT_COUNT || l->kind == LIMIT_BYTES)
            w->charges[w->n_charges++] = (struct charge){ l->name, l->kind, t->start_s };
    }
}

static bool in_plan(const struct plan *p, struct str name)
{
    for (size_t i = 0; i < p->n_limits; i++)
        if (str_equal(p->limits[i].name, name))
            return true;
    return false;
}

/* The tally of a limit that the plan has not gives way; there are more tallies than limits. */
static void make_room(struct user_row *u, const struct plan *p)
{
    size_t at = 0;
    while (at + 1 < u->n_tallies && in_plan(p, u->tallies[at].name))
        at++;
    memmove(u->tallies + at, u->tallies + at + 1, (--u->n_tallies - at) * sizeof(*u->tallies));
}

static void store_tallies(struct reserving *w)
{
    struct user_row *u = w->user;
    const struct plan *p = &w->job->plan;
    for (size_t i = 0; i < p->n_limits; i++) {
        struct tally *t = user_tally(u, p->limits[i].name);
        if (!t && u->n_tallies == TALLIES_MAX)
            make_room(u, p);
        if (!t)
            t = &u->tallies[u->n_tallies++];
        *t = w->tallies[i];
    }
}

static int64_t first_end(const struct user_row *u)
{
    return u->n_ends ? u->ends[0].end_s : 0;
}

static void show_states(struct reserving *w)
{
    struct ledger_job *j = w->job;
    for (size_t i = 0; i < j->plan.n_limits; i++)
        j->states[i] =
            limits_state(&j->plan.limits[i], &w->tallies[i], j->now_us, first_end(w->user));
    j->has_states = true;
}

static enum status write_charges(struct ledger_db *db, struct reserving *w)
{
    buf_reset(&db->tallies_text);
    charges_write(&db->tallies_text, w->charges, w->n_charges);
    return arena_keep(&db->scratch, &db->tallies_text, &w->charges_text);
}

/* ---- a first request ---------------------------------------------------------------------------- */

static struct upload_row fresh_upload(const struct reserving *w, const struct ledger_file *f)
{
    const struct ledger_job *j = w->job;
    return (struct upload_row){
        .u = { .id = f->id,
               .user_hash = j->user,
               .state = UPLOAD_GRANTED,
               .profile = f->profile,
               .bucket = f->bucket,
               .bucket_name = f->bucket_name,
               .key = f->key,
               .content_type = f->content_type,
               .content_length = f->content_length,
               .reserve_bytes = f->reserve_bytes,
               .created_s = w->now_s,
               .expires_s = f->expires_at_s,
               .size = -1,
               .etag = STR(""),
               .post = f->post,
               .exact = f->exact,
               .unsettled_release = j->plan.unsettled_release },
        .opens = w->has_open,
        .charge = w->n_charges > 0 ? ROW_CHARGE_RESERVED : ROW_CHARGE_NONE,
        .charges = w->charges_text,
        .holders = 1,
        .due_s = f->expires_at_s + UPLOAD_GRACE_S,
    };
}

/* Made before anything is written. */
static enum status key_text(struct ledger_db *db, const struct reserving *w, struct str *out)
{
    const struct ledger_job *j = w->job;
    AUTO(buf) text = BUF_INIT((ID_TEXT_MAX + 1) * 2 * IDS_MAX);
    *out = STR("");
    if (j->idem_key.len == 0)
        return ST_OK;
    for (size_t i = 0; i < j->n_files; i++) {
        const struct id_pair pair = { j->files[i].id, j->files[i].uuid };
        if (i > 0)
            buf_char(&text, '\n');
        ids_write(&text, &pair, 1);
    }
    return arena_keep(&db->scratch, &text, out);
}

static enum status write_key(struct ledger_db *db, const struct reserving *w, struct str ids)
{
    const struct ledger_job *j = w->job;
    if (j->idem_key.len == 0)
        return ST_OK;
    if (w->idem.rowid)
        TRY(idem_drop(db, w->idem.rowid));
    const struct idem_row row = { .created_us = j->now_us,
                                  .request_hash = j->request_hash,
                                  .ids = ids };
    return idem_add(db, j->user, j->idem_key, &row);
}

static enum status write_fresh(struct ledger_db *db, struct reserving *w)
{
    const struct ledger_job *j = w->job;
    struct str ids;
    TRY(write_charges(db, w));
    TRY(key_text(db, w, &ids));
    store_tallies(w);
    if (j->plan.n_limits > 0)
        TRY(user_put(db, w->user));
    for (size_t i = 0; i < j->n_files; i++) {
        const struct upload_row row = fresh_upload(w, &j->files[i]);
        TRY(upload_add(db, &row));
    }
    return write_key(db, w, ids);
}

static enum status reserve_fresh(struct ledger_db *db, struct reserving *w)
{
    struct ledger_job *j = w->job;
    struct limits_ask ask = { .now_us = j->now_us,
                              .files = (int64_t)j->n_files,
                              .open_ends_s = first_end(w->user) };
    for (size_t i = 0; i < j->n_files; i++)
        ask.bytes += MIN_OF(j->files[i].reserve_bytes, LIMITS_NUMBER_MAX - ask.bytes);

    const bool only_looks = !w->write && j->n_files == 0;
    const enum status st =
        only_looks ? ST_OK : limits_check(&j->plan, w->tallies, &ask, &j->verdict);
    if (st != ST_OK || !w->write) {
        show_states(w);
        return st;
    }
    limits_take(&j->plan, w->tallies, &ask);
    for (size_t i = 0; i < j->n_files && w->has_open; i++)
        open_ends_add(w->user->ends, &w->user->n_ends, j->files[i].expires_at_s, 1);
    show_states(w);
    return write_fresh(db, w);
}

/* ---- a repeated request ------------------------------------------------------------------------- */

static enum status load_rows(struct ledger_db *db, struct reserving *w, size_t n)
{
    struct ledger_job *j = w->job;
    for (size_t i = 0; i < n; i++) {
        TRY(upload_get(db, j->user, w->pairs[i].id, &db->scratch, &w->rows[i]));
        if (w->rows[i].u.state != UPLOAD_COMPLETED && w->rows[i].u.state != UPLOAD_CANCELLED)
            continue;
        j->state = w->rows[i].u.state;
        return ST_UPLOAD_STATE;
    }
    return ST_OK;
}

/* ST_NOT_FOUND: the key is as good as new. */
static enum status find_repeated(struct ledger_db *db, struct reserving *w)
{
    struct ledger_job *j = w->job;
    struct idem_row idem;
    size_t n;
    if (j->idem_key.len == 0)
        return ST_NOT_FOUND;
    TRY(idem_get(db, j->user, j->idem_key, &idem));
    w->idem = idem;
    if (idem.created_us + UPLOAD_IDEM_S * INT64_C(1000000) <= j->now_us)
        return ST_NOT_FOUND;
    if (!str_equal(idem.request_hash, j->request_hash))
        return ST_IDEMPOTENCY_CONFLICT;
    w->pairs = arena_array(&db->scratch, IDS_MAX, sizeof(*w->pairs));
    w->rows = arena_array(&db->scratch, j->n_files, sizeof(*w->rows));
    if (!w->pairs || !w->rows)
        return ST_NO_MEMORY;
    TRY(ids_read(idem.ids, w->pairs, IDS_MAX, &n));
    return n == j->n_files ? load_rows(db, w, n) : ST_NOT_FOUND;
}

static bool place_lost(const struct reserving *w, const struct upload_row *r)
{
    return r->opens && r->u.expires_s <= w->now_s;
}

/* What is gone is asked of all limits, lost places of `open` of these alone. */
static enum status check_repeated(struct reserving *w, struct limits_ask *ask)
{
    struct ledger_job *j = w->job;
    for (size_t i = 0; i < j->n_files; i++) {
        const struct upload_row *r = &w->rows[i];
        const bool gone = r->u.state == UPLOAD_EXPIRED;
        ask->files += gone;
        ask->bytes += gone ? MIN_OF(r->u.reserve_bytes, LIMITS_NUMBER_MAX - ask->bytes) : 0;
        ask->reopened += !gone && place_lost(w, r);
    }
    ask->rate_only = ask->files == 0;
    return limits_check(&j->plan, w->tallies, ask, &j->verdict);
}

/* The same upload again, with the life of the packet that is signed now. */
static void renew(struct reserving *w, struct upload_row *r, int64_t expires_s)
{
    struct user_row *u = w->user;
    const bool gone = r->u.state == UPLOAD_EXPIRED;
    const int64_t until_s = MAX_OF(r->u.expires_s, expires_s);
    if (gone) {
        r->opens = w->has_open;
        r->charge = w->n_charges > 0 ? ROW_CHARGE_RESERVED : ROW_CHARGE_NONE;
        r->charges = w->charges_text;
        r->used_bytes = 0;
        r->u.state = UPLOAD_GRANTED;
    } else if (r->opens && !place_lost(w, r)) {
        open_ends_add(u->ends, &u->n_ends, r->u.expires_s, -1);
    }
    if (r->opens && until_s > w->now_s)
        open_ends_add(u->ends, &u->n_ends, until_s, 1);
    r->u.expires_s = until_s;
    r->due_s = until_s + UPLOAD_GRACE_S;
    r->holders++;
}

static enum status show_replay(struct reserving *w)
{
    struct ledger_job *j = w->job;
    j->replay = arena_array(&j->answer, j->n_files, sizeof(*j->replay));
    if (!j->replay)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < j->n_files; i++) {
        const struct id_pair *pair = &w->pairs[i];
        struct ledger_replay *to = &j->replay[i];
        if (pair->id.len >= sizeof(to->id) || pair->uuid.len >= sizeof(to->uuid))
            return ST_INVALID;
        memcpy(to->id, pair->id.ptr, pair->id.len);
        memcpy(to->uuid, pair->uuid.ptr, pair->uuid.len);
        to->created_us = w->idem.created_us;
        to->key = arena_copy(&j->answer, w->rows[i].u.key);
        if (!to->key.ptr)
            return ST_NO_MEMORY;
    }
    return ST_OK;
}

static enum status write_repeated(struct ledger_db *db, struct reserving *w)
{
    const struct ledger_job *j = w->job;
    TRY(write_charges(db, w));
    for (size_t i = 0; i < j->n_files; i++)
        renew(w, &w->rows[i], j->files[i].expires_at_s);
    store_tallies(w);
    if (j->plan.n_limits > 0 || w->user->rowid)
        TRY(user_put(db, w->user));
    for (size_t i = 0; i < j->n_files; i++)
        TRY(upload_put(db, &w->rows[i]));
    return ST_OK;
}

static enum status reserve_again(struct ledger_db *db, struct reserving *w)
{
    struct ledger_job *j = w->job;
    struct limits_ask ask = { .now_us = j->now_us, .open_ends_s = first_end(w->user) };
    const enum status st = check_repeated(w, &ask);
    if (st != ST_OK) {
        show_states(w);
        return st;
    }
    TRY(show_replay(w));
    j->replayed = true;
    if (w->write) {
        limits_take(&j->plan, w->tallies, &ask);
        TRY(write_repeated(db, w));
    }
    for (size_t i = 0; i < j->plan.n_limits; i++)
        if (j->plan.limits[i].kind == LIMIT_OPEN)
            w->tallies[i].reserved = open_ends_sum(w->user->ends, w->user->n_ends);
    show_states(w);
    return ST_OK;
}

/* ---- the verbs ---------------------------------------------------------------------------------- */

enum status ledger_do_reserve(struct ledger_db *db, struct ledger_job *j)
{
    struct reserving w = { .job = j,
                           .user = &db->user,
                           .now_s = ledger_seconds(j->now_us),
                           .write = j->verb == LEDGER_RESERVE };
    TRY(user_get(db, j->user, w.now_s, w.user));
    load_tallies(&w);
    const enum status st = find_repeated(db, &w);
    if (st == ST_OK)
        return reserve_again(db, &w);
    return st == ST_NOT_FOUND ? reserve_fresh(db, &w) : st;
}

/* A release that follows its RESERVE stands behind it in the queue: that is answered by now. */
static struct str granted_id(const struct ledger_job *j, size_t i)
{
    return j->of && j->of->replayed ? str_from(j->of->replay[i].id) : j->files[i].id;
}

static enum status drop_key(struct ledger_db *db, const struct ledger_job *j)
{
    struct idem_row idem;
    struct id_pair pairs[IDS_MAX];
    size_t n;
    if (j->idem_key.len == 0)
        return ST_OK;
    const enum status st = idem_get(db, j->user, j->idem_key, &idem);
    if (st != ST_OK)
        return st == ST_NOT_FOUND ? ST_OK : st;
    /* The key may belong to a later request already. */
    if (ids_read(idem.ids, pairs, IDS_MAX, &n) != ST_OK || n == 0 ||
        !str_equal(pairs[0].id, granted_id(j, 0)))
        return ST_OK;
    return idem_drop(db, idem.rowid);
}

/* One holder less; the last one takes the upload with it. */
static enum status release_rows(struct ledger_db *db, struct ledger_job *j, struct upload_row *rows,
                                size_t n)
{
    bool dropped = false;
    for (size_t i = 0; i < n; i++) {
        if (--rows[i].holders > 0) {
            TRY(upload_put(db, &rows[i]));
            continue;
        }
        TRY(upload_drop(db, &rows[i]));
        dropped = true;
    }
    return dropped ? drop_key(db, j) : ST_OK;
}

enum status ledger_do_release(struct ledger_db *db, struct ledger_job *j)
{
    if (j->of && j->of->status != ST_OK)
        return ST_OK;
    struct upload_row *rows = arena_array(&db->scratch, j->n_files, sizeof(*rows));
    if (!rows)
        return ST_NO_MEMORY;
    TRY(user_get(db, j->user, ledger_seconds(j->now_us), &db->user));
    size_t n = 0;
    for (size_t i = 0; i < j->n_files; i++) {
        const enum status st = upload_get(db, j->user, granted_id(j, i), &db->scratch, &rows[n]);
        if (st != ST_OK && st != ST_NOT_FOUND)
            return st;
        n += st == ST_OK;
    }
    for (size_t i = 0; i < n; i++) {
        if (rows[i].holders > 1)
            continue;
        upload_close(&db->user, &rows[i]);
        TRY(upload_settle(&db->user, &rows[i], 0, 0));
    }
    if (n > 0 && db->user.rowid)
        TRY(user_put(db, &db->user));
    return release_rows(db, j, rows, n);
}
