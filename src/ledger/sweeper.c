/*
 * sweeper - settles what is due, a few at a time.
 *
 * A turn asks the ledger for one batch and works it off: each upload takes a slot, is looked at where
 * that is needed, and is settled. The next batch is asked for when nothing of the one before is left.
 * Whatever cannot be done now (no credentials, no ledger, no memory) is dropped: the lease ends, and
 * the ledger hands it out again. Settling twice does nothing, so nothing here needs to be certain.
 */
#include "presignd/sweeper.h"

#include <stdlib.h>

#include "presignd/log.h"

enum {
    PATIENCE_MS = (LEDGER_LEASE_S - 15) * 1000, /* for one batch: then its leases are nearly over */
    BATCH_BYTES_MAX = 2 << 20,                  /* SWEEP_BATCH uploads with keys of 1 KiB */
    SLOT_BYTES_MAX = 16384,
    NOTES_MAX = 64,
    BUCKET_NAME_MAX = 64,
};

/* How it stands with looking into one bucket. */
enum look_state { LOOK_FINE, LOOK_GONE, LOOK_FORBIDDEN, LOOK_FAILED };

struct look_note {
    char bucket[BUCKET_NAME_MAX + 1]; /* the alias */
    enum look_state state;
};

struct slot {
    struct sweeper *owner; /* NULL: free */
    const struct upload *upload;
    struct object_look look;
    struct ledger_op op;
    bool settling;
    bool asked; /* the store was */
    struct arena arena;
    char etag[UPLOAD_ETAG_MAX];
};

struct sweeper {
    struct loop *loop;
    struct ledger *ledger;
    struct fetcher *fetcher;
    struct sweep_host *host;
    struct sweep_counts *counts;
    struct timer turn, pace;
    struct ledger_op due;
    bool asking;
    struct arena arena;                      /* of the batch */
    const struct upload *batch[SWEEP_BATCH]; /* what is left of it */
    size_t n_batch;
    bool more; /* it was full: there may be another */
    int64_t batch_until_ms;
    struct slot slots[SWEEP_AT_ONCE];
    int64_t heads_at_ms[SWEEP_HEADS_PER_S]; /* a ring of the last ones */
    size_t next_head;
    bool ledger_failed, creds_missed;
    struct look_note notes[NOTES_MAX];
    size_t n_notes;
};

/* ---- the log: each change of state once ---------------------------------------------------------- */

static const struct {
    const char *event;
    struct str message;
} look_words[] = {
    [LOOK_FINE] = { "sweep_store_back", STR_INIT("the store says again what became of uploads") },
    [LOOK_GONE] = { "sweep_bucket_gone",
                    STR_INIT("uploads went to a bucket that is not configured any more: they are"
                             " settled as their plan's \"unsettled\" says") },
    [LOOK_FORBIDDEN] = { "sweep_forbidden",
                         STR_INIT("the store refuses to say what became of uploads; these"
                                  " credentials need s3:GetObject on the objects and"
                                  " s3:ListBucket on the bucket. Until then uploads are settled as"
                                  " their plan's \"unsettled\" says") },
    [LOOK_FAILED] = { "sweep_store_failed",
                      STR_INIT("the store does not say what became of uploads: they are settled as"
                               " their plan's \"unsettled\" says") },
};

/* NULL when there are more buckets than notes: those are not told apart, and nothing is said. */
static struct look_note *note_of(struct sweeper *s, struct str bucket)
{
    for (size_t i = 0; i < s->n_notes; i++)
        if (str_equal(str_from(s->notes[i].bucket), bucket))
            return &s->notes[i];
    if (s->n_notes == NOTES_MAX || bucket.len > BUCKET_NAME_MAX)
        return NULL;
    struct look_note *n = &s->notes[s->n_notes++];
    struct buf name = BUF_FIXED(n->bucket);
    buf_str(&name, bucket);
    buf_char(&name, '\0');
    n->state = LOOK_FINE;
    return n;
}

static void look_became(struct sweeper *s, struct str bucket, enum look_state state,
                        const struct object_seen *seen)
{
    struct look_note *n = note_of(s, bucket);
    if (!n || n->state == state)
        return;
    n->state = state;
    struct log_line l;
    log_begin(&l, state == LOOK_FINE ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, look_words[state].event,
              loop_wall_us(s->loop));
    jw_str(&l.j, "message", look_words[state].message);
    jw_str(&l.j, "bucket", bucket);
    if (seen->http)
        jw_int(&l.j, "storage_status", seen->http);
    if (seen->why.len)
        jw_str(&l.j, "reason", seen->why);
    log_end(&l);
}

static void ledger_became(struct sweeper *s, bool failed, struct str why)
{
    if (s->ledger_failed == failed)
        return;
    s->ledger_failed = failed;
    struct log_line l;
    log_begin(&l, failed ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
              failed ? "sweep_ledger_failed" : "sweep_ledger_back", loop_wall_us(s->loop));
    jw_str(&l.j, "message",
           failed ? STR("the ledger cannot be asked: uploads are settled later")
                  : STR("the ledger answers again"));
    if (why.len)
        jw_str(&l.j, "reason", why);
    log_end(&l);
}

static void creds_became(struct sweeper *s, bool missed)
{
    if (s->creds_missed == missed)
        return;
    s->creds_missed = missed;
    log_say(missed ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
            missed ? "sweep_no_credentials" : "sweep_credentials_back",
            missed ? STR("there are no credentials to look with: uploads are settled later")
                   : STR("there are credentials to look with again"),
            loop_wall_us(s->loop));
}

/* ---- settling ----------------------------------------------------------------------------------- */

static void pump(struct sweeper *s);

static void slot_free(struct slot *sl)
{
    arena_reset(&sl->arena);
    sl->owner = NULL;
    sl->settling = false;
}

static void count(struct sweep_counts *c, const struct slot *sl)
{
    metric_cell *const cells[] = {
        [OBJECT_UNKNOWN] = &c->unknown,
        [OBJECT_MISSING] = &c->missing,
        [OBJECT_THERE] = &c->there,
    };
    metric_add(sl->asked ? cells[sl->op.seen.presence] : &c->unasked, 1);
}

static void settled(struct slot *sl)
{
    struct sweeper *s = sl->owner;
    const enum status st = sl->op.status;
    if (st == ST_OK)
        count(s->counts, sl);
    else if (st != ST_NOT_FOUND) /* an operator may have taken it away */
        metric_add(&s->counts->failed, 1);
    if (st == ST_OK || st == ST_NOT_FOUND)
        ledger_became(s, false, STR(""));
    else
        ledger_became(s, true, sl->op.fault.log_reason);
    slot_free(sl);
}

static void settle_done(struct ledger_op *op)
{
    struct slot *sl = container_of(op, struct slot, op);
    struct sweeper *s = sl->owner;
    settled(sl);
    pump(s);
}

/* The etag's bytes are kept: what was seen is gone before the ledger has answered. */
static struct str keep_etag(struct slot *sl, struct str etag)
{
    struct buf kept = BUF_FIXED(sl->etag);
    buf_str(&kept, etag);
    return buf_view(&kept);
}

static void settle(struct slot *sl, const struct object_seen *seen)
{
    struct sweeper *s = sl->owner;
    sl->op = (struct ledger_op){
        .done = settle_done,
        .verb = LEDGER_SETTLE,
        .user_hash = sl->upload->user_hash,
        .id = sl->upload->id,
        .seen = *seen,
        .now_us = loop_wall_us(s->loop),
        .arena = &sl->arena,
    };
    sl->op.seen.etag = keep_etag(sl, seen->etag);
    sl->op.seen.why = STR("");
    sl->settling = true;
    if (ledger_ask(s->ledger, &sl->op) == LEDGER_DONE)
        settled(sl);
}

/* ---- looking ------------------------------------------------------------------------------------ */

const struct bucket *upload_bucket(const struct rules *r, const struct upload *u)
{
    for (size_t i = 0; r && i < r->n_buckets; i++)
        if (str_equal(r->buckets[i].name, u->bucket) &&
            str_equal(r->buckets[i].where.bucket, u->bucket_name))
            return &r->buckets[i];
    return NULL;
}

static bool needs_look(const struct upload *u)
{
    return u->charged && !(u->state == UPLOAD_COMPLETED && u->exact);
}

/* What is known without asking: of one that holds nothing it makes no difference. */
static struct object_seen seen_before(const struct upload *u)
{
    const bool there = u->state == UPLOAD_COMPLETED;
    return (struct object_seen){
        .presence = there ? OBJECT_THERE : OBJECT_UNKNOWN,
        .size = u->size,
        .etag = u->etag,
        .why = STR(""),
    };
}

static enum look_state state_of(const struct object_seen *seen)
{
    if (seen->presence != OBJECT_UNKNOWN)
        return LOOK_FINE;
    return seen->http == 403 ? LOOK_FORBIDDEN : LOOK_FAILED;
}

static void looked(struct object_look *k, const struct object_seen *seen)
{
    struct slot *sl = container_of(k, struct slot, look);
    struct sweeper *s = sl->owner;
    look_became(s, sl->upload->bucket, state_of(seen), seen);
    settle(sl, seen);
    pump(s);
}

static void never_seen(struct slot *sl, enum look_state why, struct str reason)
{
    const struct object_seen nothing = { .size = -1, .etag = STR(""), .why = reason };
    look_became(sl->owner, sl->upload->bucket, why, &nothing);
    sl->asked = true;
    settle(sl, &nothing);
}

/* ST_OK also where there was nothing to look at: settled with what is known. */
static enum status look(struct slot *sl, const struct sweep_world *w)
{
    struct sweeper *s = sl->owner;
    const struct bucket *bucket = upload_bucket(w->rules, sl->upload);
    if (!bucket) {
        never_seen(sl, LOOK_GONE, STR(""));
        return ST_OK;
    }
    const struct object_ask ask = {
        .bucket = bucket,
        .key = sl->upload->key,
        .creds = w->creds,
        .signing = w->signing,
        .now_s = loop_wall_us(s->loop) / 1000000,
    };
    const enum status st = object_look_start(&sl->look, s->fetcher, &ask);
    if (st == ST_OK) {
        sl->asked = true;
        metric_add(&s->counts->heads, 1);
        s->heads_at_ms[s->next_head] = loop_now_ms(s->loop);
        s->next_head = (s->next_head + 1) % SWEEP_HEADS_PER_S;
    } else if (st != ST_NO_MEMORY) {
        never_seen(sl, LOOK_FAILED, STR("no request can be made for such a key"));
        return ST_OK;
    }
    return st;
}

/* ---- the batch ---------------------------------------------------------------------------------- */

static struct slot *free_slot(struct sweeper *s)
{
    for (size_t i = 0; i < SWEEP_AT_ONCE; i++)
        if (!s->slots[i].owner)
            return &s->slots[i];
    return NULL;
}

/* When the next HEAD may go: the one a hundred before it is a second old. */
static int64_t next_head_ms(const struct sweeper *s)
{
    return s->heads_at_ms[s->next_head] + 1000;
}

/* Tells whether it can be worked on now; the pace's timer calls again where that is all it lacks. */
static bool may_look(struct sweeper *s, const struct sweep_world *w, const struct upload *u)
{
    if (!upload_bucket(w->rules, u))
        return true;
    if (!w->creds)
        return false;
    if (loop_now_ms(s->loop) >= next_head_ms(s))
        return true;
    const enum status st = loop_timer_at(s->loop, &s->pace, next_head_ms(s));
    (void)st; /* without it the next turn goes on */
    return false;
}

/* False: it stays in the batch. */
static bool work_on(struct sweeper *s, struct slot *sl, const struct sweep_world *w,
                    const struct upload *u)
{
    const bool looks = needs_look(u);
    if (looks && !may_look(s, w, u))
        return false;
    sl->owner = s;
    sl->upload = u;
    sl->asked = false;
    if (!looks) {
        const struct object_seen seen = seen_before(u);
        settle(sl, &seen);
    } else if (look(sl, w) != ST_OK) {
        slot_free(sl);
        return false;
    }
    return true;
}

static bool at_work(const struct sweeper *s)
{
    bool busy = s->asking || s->n_batch > 0;
    for (size_t i = 0; i < SWEEP_AT_ONCE; i++)
        busy = busy || s->slots[i].owner;
    return busy;
}

static void next_turn(struct sweeper *s, int64_t after_ms)
{
    const enum status st = loop_timer_at(s->loop, &s->turn, loop_now_ms(s->loop) + after_ms);
    (void)st; /* moving always succeeds, and the place of one that has just fired is free */
}

static void pump(struct sweeper *s)
{
    struct sweep_world w;
    s->host->world(s->host, &w);
    size_t kept = 0;
    bool waits_for_creds = false;
    for (size_t i = 0; i < s->n_batch; i++) {
        const struct upload *u = s->batch[i];
        struct slot *sl = free_slot(s);
        if (!sl || !work_on(s, sl, &w, u)) {
            waits_for_creds = waits_for_creds || (sl && !w.creds);
            s->batch[kept++] = u;
        }
    }
    s->n_batch = kept;
    if (waits_for_creds || w.creds)
        creds_became(s, waits_for_creds);
    if (s->more && !at_work(s)) {
        s->more = false;
        next_turn(s, SWEEP_AGAIN_MS);
    }
}

/* ---- turns -------------------------------------------------------------------------------------- */

static void take_batch(struct sweeper *s)
{
    s->asking = false;
    if (s->due.status != ST_OK) {
        ledger_became(s, true, s->due.fault.log_reason);
        return;
    }
    ledger_became(s, false, STR(""));
    atomic_store_explicit(&s->counts->backlog, (uint64_t)MAX_OF(s->due.backlog, 0),
                          memory_order_relaxed);
    s->n_batch = MIN_OF(s->due.n_uploads, (size_t)SWEEP_BATCH);
    for (size_t i = 0; i < s->n_batch; i++)
        s->batch[i] = &s->due.uploads[i];
    s->more = s->n_batch == SWEEP_BATCH;
    s->batch_until_ms = loop_now_ms(s->loop) + PATIENCE_MS;
    pump(s);
}

static void due_done(struct ledger_op *op)
{
    take_batch(container_of(op, struct sweeper, due));
}

static void ask_batch(struct sweeper *s)
{
    arena_reset(&s->arena);
    s->due = (struct ledger_op){
        .done = due_done,
        .verb = LEDGER_DUE,
        .max_uploads = SWEEP_BATCH,
        .now_us = loop_wall_us(s->loop),
        .arena = &s->arena,
    };
    s->asking = true;
    if (ledger_ask(s->ledger, &s->due) == LEDGER_DONE)
        take_batch(s);
}

static void turn_due(struct timer *t)
{
    struct sweeper *s = container_of(t, struct sweeper, turn);
    next_turn(s, SWEEP_EVERY_MS);
    if (s->n_batch > 0 && loop_now_ms(s->loop) >= s->batch_until_ms) {
        s->n_batch = 0;
        s->more = false;
    }
    if (at_work(s))
        pump(s);
    else
        ask_batch(s);
}

static void pace_due(struct timer *t)
{
    pump(container_of(t, struct sweeper, pace));
}

/* ---- life --------------------------------------------------------------------------------------- */

struct sweeper *sweeper_new(struct loop *l, struct ledger *ledger, struct fetcher *fr,
                            struct sweep_host *h, struct sweep_counts *counts)
{
    struct sweeper *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct sweeper){
        .loop = l,
        .ledger = ledger,
        .fetcher = fr,
        .host = h,
        .counts = counts,
        .turn.due = turn_due,
        .pace.due = pace_due,
        .arena = ARENA_INIT(BATCH_BYTES_MAX),
    };
    for (size_t i = 0; i < SWEEP_HEADS_PER_S; i++)
        s->heads_at_ms[i] = INT64_MIN / 2;
    for (size_t i = 0; i < SWEEP_AT_ONCE; i++) {
        s->slots[i].arena = ARENA_INIT(SLOT_BYTES_MAX);
        s->slots[i].look.done = looked;
    }
    if (loop_timer_at(l, &s->turn, loop_now_ms(l) + SWEEP_EVERY_MS) == ST_OK)
        return s;
    sweeper_free(s);
    return NULL;
}

void sweeper_free(struct sweeper *s)
{
    if (!s)
        return;
    loop_timer_stop(s->loop, &s->turn);
    loop_timer_stop(s->loop, &s->pace);
    if (s->asking)
        ledger_cancel(s->ledger, &s->due);
    for (size_t i = 0; i < SWEEP_AT_ONCE; i++) {
        object_look_cancel(&s->slots[i].look);
        if (s->slots[i].settling)
            ledger_cancel(s->ledger, &s->slots[i].op);
        arena_release(&s->slots[i].arena);
    }
    arena_release(&s->arena);
    free(s);
}
