/*
 * upload_view - what became of a grant: GET and DELETE of /v1/uploads/{id}, POST .../complete
 * (API.md section 2).
 *
 * None of them gives anything back: a packet cannot be revoked, so what it reserved stays until it
 * is dead, and the ledger sees to that. `complete` believes the store, never the client.
 */
#include "presignd/upload_view.h"

#include <string.h>

#include "presignd/api.h"
#include "presignd/date.h"
#include "presignd/sweeper.h"

enum { LOOK_AGAIN_S = 1 };

static struct upload_call *upload_call_of(struct request *r)
{
    return container_of(grant_call_of(r), struct upload_call, g);
}

/* ---- find --------------------------------------------------------------------------------------- */

/* STEP_ON with u->found; an id of somebody else's looks like one that never was. */
static enum step find_upload(struct request *r)
{
    struct upload_call *u = upload_call_of(r);
    if (!random_is_uuid(r->path_id))
        return request_refuse(r, ST_NOT_FOUND);
    u->view.op.verb = LEDGER_VIEW;
    u->view.op.user_hash = str_from(u->g.who->user_hash);
    u->view.op.id = r->path_id;
    const enum step next = ledger_call_ask(&u->view, r);
    if (next == STEP_ON)
        u->found = u->view.op.uploads[0];
    return next;
}

/* ---- write -------------------------------------------------------------------------------------- */

static void write_date(struct jw *j, const char *name, int64_t unix_s)
{
    char space[32];
    struct buf text = BUF_FIXED(space);
    date_iso(&text, unix_s);
    jw_str(j, name, buf_view(&text));
}

static void write_bytes(struct jw *j, const char *name, int64_t bytes)
{
    if (bytes < 0)
        jw_null(j, name);
    else
        jw_int(j, name, bytes);
}

static enum step write_view(struct request *r)
{
    const struct upload *f = &upload_call_of(r)->found;
    struct jw j = { .out = &r->out };
    jw_open(&j, '{');
    jw_str(&j, "id", f->id);
    jw_str(&j, "state", upload_state_words[f->state]);
    jw_str(&j, "profile", f->profile);
    jw_str(&j, "method", f->post ? STR("POST") : STR("PUT"));
    jw_str(&j, "bucket", f->bucket_name);
    jw_str(&j, "key", f->key);
    jw_str(&j, "content_type", f->content_type);
    write_bytes(&j, "content_length", f->content_length);
    write_date(&j, "created_at", f->created_s);
    write_date(&j, "expires_at", f->expires_s);
    write_bytes(&j, "size", f->size);
    if (f->etag.len > 0)
        jw_str(&j, "etag", f->etag);
    else
        jw_null(&j, "etag");
    jw_close(&j);
    return jw_end(&j) == ST_OK ? request_answer(r, 200) : request_refuse(r, ST_OVERLOADED);
}

/* ---- DELETE ------------------------------------------------------------------------------------- */

static enum step cancel_upload(struct request *r)
{
    struct upload_call *u = upload_call_of(r);
    if (!random_is_uuid(r->path_id))
        return request_refuse(r, ST_NOT_FOUND);
    u->change.op.verb = LEDGER_CANCEL;
    u->change.op.user_hash = str_from(u->g.who->user_hash);
    u->change.op.id = r->path_id;
    return ledger_call_ask(&u->change, r);
}

static enum step write_nothing(struct request *r)
{
    return request_answer(r, 204);
}

/* ---- complete ----------------------------------------------------------------------------------- */

static enum step refuse_state(struct request *r, struct str detail)
{
    fault_set(&r->fault, ST_UPLOAD_STATE, detail);
    fault_str(&r->fault, "state", upload_state_words[upload_call_of(r)->found.state]);
    return request_refuse(r, ST_UPLOAD_STATE);
}

/*
 * What was completed stays so, whatever the store says today. Only where the packet is dead and its
 * charge still awaits the sweeper is the store asked again: what lies there now is what counts.
 */
static enum step judge_state(struct request *r)
{
    const struct upload *f = &upload_call_of(r)->found;
    const bool dead = r->now_s >= f->expires_s + UPLOAD_GRACE_S;
    if (f->state == UPLOAD_CANCELLED)
        return refuse_state(r, STR("The upload was cancelled."));
    if (f->state == UPLOAD_COMPLETED && !(dead && f->charged))
        return write_view(r);
    return STEP_ON;
}

static void look_begins(struct upload_call *u, struct worker *w)
{
    u->next_look = w->looks;
    u->look_link = &w->looks;
    if (u->next_look)
        u->next_look->look_link = &u->next_look;
    w->looks = u;
}

static void look_ends(struct upload_call *u)
{
    *u->look_link = u->next_look;
    if (u->next_look)
        u->next_look->look_link = u->look_link;
    u->next_look = NULL;
    u->look_link = NULL;
}

static bool may_look(const struct upload_call *u, const struct worker *w)
{
    int n = 0;
    for (const struct upload_call *other = w->looks; other; other = other->next_look) {
        if (str_equal(other->found.id, u->found.id))
            return false;
        n++;
    }
    return n < LOOKS_AT_ONCE;
}

static enum step refuse_look(struct request *r)
{
    fault_set(&r->fault, ST_OVERLOADED,
              STR("This upload, or too many others, are being completed at the moment."));
    r->fault.retry_after_s = LOOK_AGAIN_S;
    return request_refuse(r, ST_OVERLOADED);
}

static void object_seen(struct object_look *k, const struct object_seen *seen)
{
    struct upload_call *u = container_of(k, struct upload_call, look);
    const bool kept = seen->etag.len <= sizeof(u->etag);
    look_ends(u);
    u->seen = *seen;
    u->seen.etag = kept ? (struct str){ u->etag, seen->etag.len } : STR("");
    if (kept && seen->etag.len > 0)
        memcpy(u->etag, seen->etag.ptr, seen->etag.len);
    u->seen.why = arena_copy(&u->g.r.arena, seen->why);
    request_wake(&u->g.r);
}

static enum step refuse_store(struct request *r, struct str detail, struct str reason)
{
    fault_set(&r->fault, ST_STORAGE_FAILED, detail);
    r->fault.log_reason = reason;
    return request_refuse(r, ST_STORAGE_FAILED);
}

/* STEP_WAIT: object_seen comes later. */
static enum step start_looking(struct upload_call *u)
{
    static const struct str cannot = STR_INIT("The store cannot be asked.");
    struct worker *w = worker_of(&u->g.r);
    struct fetcher *fr = worker_fetcher(w);
    const struct object_ask ask = {
        .bucket = upload_bucket(u->g.world->settings.rules, &u->found),
        .key = u->found.key,
        .creds = u->g.signing->creds,
        .signing = &w->signing,
        .now_s = u->g.r.now_s,
    };
    if (!ask.bucket)
        return refuse_store(&u->g.r, cannot,
                            STR("the upload's bucket is not in the configuration any more"));
    u->look.done = object_seen;
    const enum status st = fr ? object_look_start(&u->look, fr, &ask) : ST_NO_MEMORY;
    if (st == ST_OK) {
        look_begins(u, w);
        return STEP_WAIT;
    }
    return st == ST_NO_MEMORY ? request_refuse(&u->g.r, ST_OVERLOADED)
                              : refuse_store(&u->g.r, cannot, str_from(status_name(st)));
}

static enum step look_at_object(struct request *r)
{
    struct upload_call *u = upload_call_of(r);
    if (!u->asked_store) {
        if (!may_look(u, worker_of(r)))
            return refuse_look(r);
        u->asked_store = true;
        const enum step started = start_looking(u);
        if (started != STEP_WAIT)
            return started;
    }
    return u->look_link ? request_wait(r, INT64_MAX) : STEP_ON; /* the look has a deadline */
}

static enum step refuse_answer(struct request *r, const struct object_seen *seen)
{
    fault_set(&r->fault, ST_STORAGE_FAILED,
              seen->http == 0 ? STR("The store did not answer.")
                              : STR("The store did not say whether the object is there."));
    r->fault.log_reason = seen->why;
    if (seen->http == 403)
        r->fault.log_reason = STR("HEAD was refused: the credentials need s3:GetObject, and "
                                  "s3:ListBucket to be told of a missing object");
    if (seen->http != 0)
        fault_int(&r->fault, "storage_status", seen->http);
    return request_refuse(r, ST_STORAGE_FAILED);
}

static enum step refuse_size(struct request *r, int64_t expected, int64_t actual)
{
    fault_set(&r->fault, ST_UPLOAD_STATE, STR("The object has another size than was granted."));
    fault_str(&r->fault, "state", upload_state_words[upload_call_of(r)->found.state]);
    fault_int(&r->fault, "expected_bytes", expected);
    fault_int(&r->fault, "actual_bytes", actual);
    return request_refuse(r, ST_UPLOAD_STATE);
}

/* Where no size was granted, all up to what was reserved is right. */
static enum step judge_object(struct request *r)
{
    const struct upload_call *u = upload_call_of(r);
    const struct upload *f = &u->found;
    if (u->seen.presence == OBJECT_UNKNOWN)
        return refuse_answer(r, &u->seen);
    if (u->seen.presence == OBJECT_MISSING)
        return refuse_state(r, STR("There is no object under the upload's key."));
    if (f->content_length >= 0 && u->seen.size != f->content_length)
        return refuse_size(r, f->content_length, u->seen.size);
    if (u->seen.size > f->reserve_bytes)
        return refuse_size(r, f->reserve_bytes, u->seen.size);
    return STEP_ON;
}

static enum step complete_upload(struct request *r)
{
    struct upload_call *u = upload_call_of(r);
    u->change.op.verb = LEDGER_COMPLETE;
    u->change.op.user_hash = str_from(u->g.who->user_hash);
    u->change.op.id = r->path_id;
    u->change.op.seen = u->seen;
    const enum step next = ledger_call_ask(&u->change, r);
    if (next == STEP_ON) {
        u->found.state = UPLOAD_COMPLETED;
        u->found.size = u->seen.size;
        u->found.etag = u->seen.etag;
    }
    return next;
}

/* ---- the routes --------------------------------------------------------------------------------- */

void upload_view_end(struct request *r, bool answer_was_sent)
{
    struct upload_call *u = upload_call_of(r);
    ledger_call_end(&u->view);
    ledger_call_end(&u->change);
    if (u->look_link) {
        object_look_cancel(&u->look);
        look_ends(u);
    }
    grant_end(r, answer_was_sent);
}

void upload_view_log(const struct request *r, struct jw *line)
{
    /* r is the first member of the first: container_of would drop the const */
    const struct upload_call *u = (const struct upload_call *)(const void *)r;
    grant_log(r, line);
    if (random_is_uuid(r->path_id))
        jw_str(line, "upload_id", r->path_id);
    if (u->seen.presence == OBJECT_THERE)
        jw_int(line, "size", u->seen.size);
}

step_fn *const upload_view_steps[] = {
    ledger_call_remembers, grant_authenticate, find_upload, write_view, NULL,
};
step_fn *const upload_cancel_steps[] = {
    ledger_call_remembers, grant_authenticate, cancel_upload, write_nothing, NULL,
};
step_fn *const upload_complete_steps[] = {
    ledger_call_remembers, grant_authenticate, find_upload,     judge_state, grant_credentials,
    look_at_object,        judge_object,       complete_upload, write_view,  NULL,
};
