/*
 * script_ledger.h - a ledger whose answers the test writes, at once or when it says so, and what
 * the routes asked it. What becomes of uploads is for the engines' own suite; here it is about who
 * may ask, in which order faults win, and what is called off.
 */
#ifndef PRESIGND_SCRIPT_LEDGER_H
#define PRESIGND_SCRIPT_LEDGER_H

#include "api_kit.h"

enum { SCRIPT_VERBS = LEDGER_GIVE_BACK + 1 };

struct script_ledger {
    struct ledger ledger; /* first */
    struct ledger_kind kind;
    bool later;                       /* answers wait for script_answer() */
    enum status status[SCRIPT_VERBS]; /* ST_OK unless the test says otherwise */
    struct upload upload;
    struct limit_state *states;
    struct tally tally;
    /* seen */
    struct ledger_op *pending;
    int asked[SCRIPT_VERBS], cancelled, released;
    char user_hash[33], id[UUID_TEXT + 1], limit_name[80], etag[160];
    int64_t amount, now_us;
    struct object_seen seen;
};

static inline void script_keep(char *room, size_t size, struct str text)
{
    assert_true(text.len < size);
    memcpy(room, text.len ? text.ptr : "", text.len);
    room[text.len] = '\0';
}

static inline struct script_ledger *script_of(struct ledger *l)
{
    return container_of(l, struct script_ledger, ledger);
}

static inline void script_fill(struct script_ledger *s, struct ledger_op *op)
{
    op->status = s->status[op->verb];
    if (op->status != ST_OK) {
        fault_set(&op->fault, op->status, STR("So it is written."));
        if (op->status == ST_UPLOAD_STATE)
            fault_str(&op->fault, "state", STR("written"));
        if (op->status == ST_LEDGER_UNAVAILABLE)
            op->fault.retry_after_s = 7;
        return;
    }
    op->uploads = &s->upload;
    op->n_uploads = op->verb == LEDGER_VIEW;
    op->states = op->verb == LEDGER_PEEK ? s->states : NULL;
    op->tallies = &s->tally;
    op->n_tallies = op->verb == LEDGER_SHOW;
}

static inline enum ledger_progress script_ask(struct ledger *l, struct ledger_op *op)
{
    struct script_ledger *s = script_of(l);
    s->asked[op->verb]++;
    s->now_us = op->now_us;
    s->seen = op->seen;
    if (op->verb == LEDGER_ADJUST)
        s->amount = op->amount;
    script_keep(s->user_hash, sizeof(s->user_hash), op->user_hash);
    script_keep(s->id, sizeof(s->id), op->id);
    script_keep(s->limit_name, sizeof(s->limit_name), op->limit_name);
    script_keep(s->etag, sizeof(s->etag), op->seen.etag);
    if (s->later) {
        s->pending = op;
        return LEDGER_PENDING;
    }
    script_fill(s, op);
    return LEDGER_DONE;
}

/* What waits is answered. */
static inline void script_answer(struct script_ledger *s)
{
    struct ledger_op *op = s->pending;
    s->pending = NULL;
    script_fill(s, op);
    op->done(op);
}

static inline void script_forget(struct ledger *l, struct ledger_op *op)
{
    struct script_ledger *s = script_of(l);
    s->cancelled++;
    if (s->pending == op)
        s->pending = NULL;
}

static inline void script_release(struct ledger *l, struct ledger_op *op)
{
    (void)op;
    script_of(l)->released++;
}

static inline void script_handed(struct ledger *l, const struct ledger_op *op)
{
    (void)l, (void)op;
}

static inline bool script_ready(struct ledger *l, struct str *why)
{
    (void)l;
    *why = STR("");
    return true;
}

static inline void script_let_be(struct ledger *l)
{
    (void)l; /* part of the test's own struct */
}

/* From now on this is the worker's ledger; it must outlive the worker. */
static inline void script_use(struct script_ledger *s, struct api *a)
{
    s->kind = (struct ledger_kind){
        .name = "script",
        .remembers = true,
        .ask = script_ask,
        .release = script_release,
        .handed = script_handed,
        .cancel = script_forget,
        .ready = script_ready,
        .free = script_let_be,
    };
    s->ledger.kind = &s->kind;
    worker_use_ledger(&a->worker, &s->ledger);
}

/* ---- requests ----------------------------------------------------------------------------------- */

static inline const char *bare_text(const char *method, const char *target, const char *token)
{
    return kit_text("%s %s HTTP/1.1\r\nHost: x\r\n%s%s%s\r\n", method, target,
                    token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "");
}

/* One request without a body on its own connection: its status; *out (may be NULL) the body. */
static inline int ask_bare(struct api *a, const char *method, const char *target, const char *token,
                           json_t **out)
{
    struct client *c = client_new(&a->wire);
    client_text(c, bare_text(method, target, token));
    const int status = client_answer_kind(c, target, strcmp(method, "HEAD") == 0);
    if (out)
        *out = answer_json(c);
    client_free(c);
    return status;
}

#endif
