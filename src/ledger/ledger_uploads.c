/*
 * ledger_uploads - what becomes of uploads: seen, cancelled, completed, settled.
 *
 * What a packet reserved stays until the packet is dead, whatever the client says. An upload knows
 * its charges (limit and window), so that it settles exactly what it took, and only where that
 * window is still being counted.
 */
#include "ledger_job.h"

/* ---- charges ------------------------------------------------------------------------------------ */

static enum status read_charges(const struct upload_row *r, struct charge *out, size_t *out_n)
{
    return charges_read(r->charges, out, CHARGES_MAX, out_n);
}

enum status upload_settle(struct user_row *user, struct upload_row *r, int64_t files, int64_t bytes)
{
    struct charge charges[CHARGES_MAX];
    size_t n;
    if (r->charge != ROW_CHARGE_RESERVED)
        return ST_OK;
    TRY(read_charges(r, charges, &n));
    for (size_t i = 0; i < n; i++) {
        struct tally *t = user_tally(user, charges[i].name);
        if (!t || t->kind != charges[i].kind)
            continue;
        const bool counts_files = t->kind == LIMIT_COUNT;
        tally_settle(t, charges[i].start_s, counts_files ? 1 : r->u.reserve_bytes,
                     counts_files ? files : bytes);
    }
    r->charge = files > 0 ? ROW_CHARGE_USED : ROW_CHARGE_NONE;
    r->used_bytes = files > 0 ? bytes : 0;
    return ST_OK;
}

/* What was settled turns out to be otherwise: an object of so many bytes is there. */
static enum status correct(struct user_row *user, struct upload_row *r, int64_t bytes)
{
    struct charge charges[CHARGES_MAX];
    size_t n;
    TRY(read_charges(r, charges, &n));
    const bool counted = r->charge == ROW_CHARGE_USED;
    for (size_t i = 0; i < n; i++) {
        struct tally *t = user_tally(user, charges[i].name);
        if (!t || t->kind != charges[i].kind)
            continue;
        const int64_t before = !counted ? 0 : t->kind == LIMIT_COUNT ? 1 : r->used_bytes;
        const int64_t now = t->kind == LIMIT_COUNT ? 1 : bytes;
        tally_settle(t, charges[i].start_s, 0, now - before);
    }
    if (n > 0) {
        r->charge = ROW_CHARGE_USED;
        r->used_bytes = bytes;
    }
    return ST_OK;
}

void upload_close(struct user_row *user, struct upload_row *r)
{
    if (r->opens && r->u.state == UPLOAD_GRANTED && r->u.expires_s > user->now_s)
        open_ends_add(user->ends, &user->n_ends, r->u.expires_s, -1);
    r->opens = false;
}

static bool dead(const struct upload_row *r, int64_t now_s)
{
    return now_s >= r->u.expires_s + UPLOAD_GRACE_S;
}

/* The object's size and mark, as far as they are kept. */
static void note_object(struct upload_row *r, const struct object_seen *seen)
{
    r->u.size = MIN_OF(MAX_OF(seen->size, 0), LIMITS_NUMBER_MAX);
    r->u.etag = seen->etag.len <= UPLOAD_ETAG_MAX ? seen->etag : STR("");
}

static enum status refuse_state(struct ledger_job *j, enum upload_state state)
{
    j->state = state;
    return ST_UPLOAD_STATE;
}

/* ---- one upload --------------------------------------------------------------------------------- */

static enum status load(struct ledger_db *db, const struct ledger_job *j, struct upload_row *out)
{
    TRY(upload_get(db, j->user, j->id, &db->scratch, out));
    return user_get(db, j->user, ledger_seconds(j->now_us), &db->user);
}

static enum status store(struct ledger_db *db, const struct upload_row *r)
{
    if (db->user.rowid)
        TRY(user_put(db, &db->user));
    return upload_put(db, r);
}

static bool copy_texts(struct arena *a, struct upload *u)
{
    struct str *texts[] = { &u->id,          &u->user_hash, &u->profile,      &u->bucket,
                            &u->bucket_name, &u->key,       &u->content_type, &u->etag };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        *texts[i] = arena_copy(a, *texts[i]);
        if (!texts[i]->ptr)
            return false;
    }
    return true;
}

/* As everybody sees it: a granted one whose time is over is expired, settled or not. */
static struct upload shown(const struct upload_row *r, int64_t now_s)
{
    struct upload u = r->u;
    if (u.state == UPLOAD_GRANTED && now_s >= u.expires_s)
        u.state = UPLOAD_EXPIRED;
    return u;
}

enum status ledger_do_view(struct ledger_db *db, struct ledger_job *j)
{
    struct upload_row row;
    TRY(upload_get(db, j->user, j->id, &db->scratch, &row));
    j->uploads = ARENA_NEW(&j->answer, struct upload);
    if (!j->uploads || !copy_texts(&j->answer, &row.u))
        return ST_NO_MEMORY;
    *j->uploads = shown(&row, ledger_seconds(j->now_us));
    j->n_uploads = 1;
    return ST_OK;
}

enum status ledger_do_cancel(struct ledger_db *db, struct ledger_job *j)
{
    struct upload_row row;
    TRY(load(db, j, &row));
    if (row.u.state == UPLOAD_COMPLETED)
        return refuse_state(j, UPLOAD_COMPLETED);
    if (row.u.state == UPLOAD_CANCELLED)
        return ST_OK;
    upload_close(&db->user, &row);
    row.u.state = UPLOAD_CANCELLED;
    return store(db, &row);
}

enum status ledger_do_complete(struct ledger_db *db, struct ledger_job *j)
{
    struct upload_row row;
    TRY(load(db, j, &row));
    const bool over = dead(&row, ledger_seconds(j->now_us)) || row.u.state == UPLOAD_EXPIRED;
    if (row.u.state == UPLOAD_CANCELLED)
        return refuse_state(j, UPLOAD_CANCELLED);
    if (row.u.state == UPLOAD_COMPLETED && !over)
        return ST_OK;
    upload_close(&db->user, &row);
    if (row.u.state != UPLOAD_COMPLETED || row.u.size != j->seen.size)
        note_object(&row, &j->seen);
    row.u.state = UPLOAD_COMPLETED;
    if (over)
        TRY(row.charge == ROW_CHARGE_RESERVED ? upload_settle(&db->user, &row, 1, row.u.size)
                                              : correct(&db->user, &row, row.u.size));
    return store(db, &row);
}

/* ---- what is due -------------------------------------------------------------------------------- */

enum status ledger_do_due(struct ledger_db *db, struct ledger_job *j)
{
    const int64_t now_s = ledger_seconds(j->now_us);
    const size_t max = MIN_OF(j->max_uploads, LEDGER_DUE_MAX);
    size_t n = 0;
    struct upload_row *rows = arena_array(&db->scratch, max, sizeof(*rows));
    j->uploads = arena_array(&j->answer, max, sizeof(*j->uploads));
    if (!rows || !j->uploads)
        return ST_NO_MEMORY;
    TRY(uploads_backlog(db, now_s, &j->backlog));
    TRY(uploads_due(db, now_s, LEDGER_LEASE_S, &j->answer, rows, max, &n));
    for (size_t i = 0; i < n; i++)
        j->uploads[i] = shown(&rows[i], now_s);
    j->n_uploads = n;
    return rows_purge(db, j->now_us);
}

static enum status settle_there(struct user_row *user, struct upload_row *r,
                                const struct object_seen *seen)
{
    if (r->u.state == UPLOAD_GRANTED)
        r->u.state = UPLOAD_COMPLETED;
    if (r->u.state == UPLOAD_COMPLETED && r->u.size != seen->size)
        note_object(r, seen);
    return upload_settle(user, r, 1, MIN_OF(MAX_OF(seen->size, 0), LIMITS_NUMBER_MAX));
}

static enum status settle_without(struct user_row *user, struct upload_row *r, bool keeps)
{
    if (r->u.state == UPLOAD_GRANTED)
        r->u.state = UPLOAD_EXPIRED;
    return upload_settle(user, r, keeps, keeps ? r->u.reserve_bytes : 0);
}

enum status ledger_do_settle(struct ledger_db *db, struct ledger_job *j)
{
    struct upload_row row;
    TRY(load(db, j, &row));
    if (!dead(&row, ledger_seconds(j->now_us)) || upload_ended(&row))
        return ST_OK;
    upload_close(&db->user, &row);
    if (j->seen.presence == OBJECT_THERE)
        TRY(settle_there(&db->user, &row, &j->seen));
    else
        TRY(settle_without(&db->user, &row,
                           j->seen.presence == OBJECT_UNKNOWN && !row.u.unsettled_release));
    return store(db, &row);
}
