/*
 * ledger_redis - questions of a loop as scripts of Redis.
 *
 * A RESERVE whose answer did not come in time may have happened, or may yet happen: nobody got its
 * packets, so it is owed to the server to take it back. What is owed waits in a bounded list and is
 * sent again until the server has heard it (release.lua may be told twice, and before the request
 * itself). Where the list is full nothing is lost for ever: what was never handed out is given back
 * when it is due.
 */
#include "redis_parts.h"

#include <stdlib.h>

#include "presignd/log.h"

enum {
    OWED_MAX = 4096,
    OWED_EVERY_MS = 200,
    OWED_AT_ONCE = 64, /* of one such moment */
    TROUBLE_MAX = 256,
};

struct door {
    struct ledger ledger;
    struct ledger_fleet *fleet;
    struct loop *loop;
    struct resp_link *link;
    struct resp_listener listener;
    bool counted_up;  /* in fleet->doors_up */
    struct job *jobs; /* under way */
    struct owed *owed, **owed_end;
    size_t n_owed;
    struct timer owed_timer;
    bool prepared;      /* the server has the scripts, or will not have them from us */
    unsigned missing;   /* scripts it has to be given first, a bit each */
    struct job *probe;  /* asks whether a server that refused to work works again */
    bool clocks_apart;  /* the server's and ours */
    struct buf trouble; /* why it refuses; "" it does not */
    char trouble_space[TROUBLE_MAX];
    struct args args;
};

/* One command under way. */
struct job {
    struct resp_command command;
    struct door *door;
    struct job *next, **link;
    void (*answered)(struct job *j, const struct resp_reply *r); /* takes the job */
    struct ledger_op *op;                                        /* NULL: nobody waits */
    struct owed *owed; /* RESERVE: what it may leave behind; a release: what it says */
};

/* ---- jobs --------------------------------------------------------------------------------------- */

static void job_free(struct job *j)
{
    if (!j)
        return;
    if (j->link) {
        *j->link = j->next;
        if (j->next)
            j->next->link = j->link;
    }
    if (j->op)
        j->op->job = NULL;
    free(j->owed);
    free(j);
}

static void on_reply(struct resp_command *c, const struct resp_reply *r)
{
    struct job *j = container_of(c, struct job, command);
    j->answered(j, r);
}

static struct job *job_new(struct door *d,
                           void (*answered)(struct job *j, const struct resp_reply *r))
{
    struct job *j = malloc(sizeof(*j));
    if (!j)
        return NULL;
    *j = (struct job){ .command.done = on_reply, .door = d, .answered = answered };
    j->next = d->jobs;
    j->link = &d->jobs;
    if (j->next)
        j->next->link = &j->next;
    d->jobs = j;
    return j;
}

/* Sends what stands in d->args. NULL without memory. */
static struct job *send(struct door *d, void (*answered)(struct job *j, const struct resp_reply *r))
{
    struct job *j = job_new(d, answered);
    if (j)
        resp_link_send(d->link, &j->command, &d->fleet->scripts[d->args.script], 1, d->args.list,
                       d->args.n);
    return j;
}

/* ---- trouble ------------------------------------------------------------------------------------- */

static void say(const struct door *d, enum log_level level, const char *event, struct str message)
{
    log_say(level, event, message, loop_wall_us(d->loop));
}

static bool names(struct str text, struct str word)
{
    return str_find_text(text, word) < text.len;
}

/* Errors of a server that does not work at the moment; a script that says them did nothing. Servers
 * before 7 wrap them: "ERR Error running script ... -READONLY ...". */
static bool refuses_to_work(struct str error)
{
    static const struct str words[] = {
        STR_INIT("LOADING"),    STR_INIT("READONLY"),    STR_INIT("MOVED"),
        STR_INIT("ASK "),       STR_INIT("CLUSTERDOWN"), STR_INIT("CROSSSLOT"),
        STR_INIT("MASTERDOWN"), STR_INIT("TRYAGAIN"),    STR_INIT("NOAUTH"),
        STR_INIT("OOM "),       STR_INIT("MISCONF"),     STR_INIT("BUSY"),
        STR_INIT("NOREPLICAS"), STR_INIT("NOSCRIPT"),
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (names(error, words[i]))
            return true;
    return false;
}

/* A user of the server who may not do all that the scripts do: they may have done a part. */
static bool forbids(struct str error)
{
    return names(error, STR("can't run this command")) || names(error, STR("can't access")) ||
           names(error, STR("ACL failure")) || names(error, STR("NOPERM"));
}

static void trouble_begins(struct door *d, struct str error)
{
    const bool known = d->trouble.len > 0;
    buf_reset(&d->trouble);
    if (names(error, STR("MOVED")) || names(error, STR("CROSSSLOT")))
        buf_lit(&d->trouble, "the server is in cluster mode with several shards: ");
    buf_str(&d->trouble, str_slice(error, 0, TROUBLE_MAX / 2));
    if (!known)
        say(d, LOG_LEVEL_ERROR, "ledger_refuses", buf_view(&d->trouble));
}

static void trouble_ends(struct door *d)
{
    if (d->trouble.len == 0)
        return;
    buf_reset(&d->trouble);
    say(d, LOG_LEVEL_INFO, "ledger_works_again", STR("the server answers"));
}

/* Other errors (a key that somebody spoilt) are the trouble of one user. */
static void note_error(struct door *d, const struct resp_reply *r)
{
    if (r->kind == RESP_ERROR && (refuses_to_work(r->text) || forbids(r->text)))
        trouble_begins(d, r->text);
}

/* ---- owed --------------------------------------------------------------------------------------- */

static void owed_later(struct door *d)
{
    if (d->owed_timer.slot == 0 &&
        loop_timer_at(d->loop, &d->owed_timer, loop_now_ms(d->loop) + OWED_EVERY_MS) != ST_OK)
        say(d, LOG_LEVEL_ERROR, "ledger_timer", STR("no memory for a timer"));
}

static void owe(struct door *d, struct owed *o)
{
    if (!o)
        return;
    if (d->n_owed == OWED_MAX) {
        free(o);
        return;
    }
    o->next = NULL;
    *d->owed_end = o;
    d->owed_end = &o->next;
    d->n_owed++;
    owed_later(d);
}

static void release_answered(struct job *j, const struct resp_reply *r)
{
    struct door *d = j->door;
    note_error(d, r);
    const bool final = r->kind == RESP_OK ||
                       (r->kind == RESP_ERROR && !refuses_to_work(r->text) && !forbids(r->text));
    if (!final)
        owe(d, TAKE(j->owed));
    job_free(j);
}

/* Takes o. */
static void send_release(struct door *d, struct owed *o)
{
    struct job *j =
        args_of_release(&d->args, d->fleet, o) == ST_OK ? send(d, release_answered) : NULL;
    if (j)
        j->owed = o;
    else
        free(o);
}

static void pay(struct door *d)
{
    struct str why;
    for (int i = 0; i < OWED_AT_ONCE && d->owed && resp_link_up(d->link, &why); i++) {
        struct owed *o = d->owed;
        d->owed = o->next;
        d->n_owed--;
        if (!d->owed)
            d->owed_end = &d->owed;
        send_release(d, o);
    }
    if (d->owed)
        owed_later(d);
}

static void owed_due(struct timer *t)
{
    pay(container_of(t, struct door, owed_timer));
}

/* ---- answers ------------------------------------------------------------------------------------- */

/* The server may have done it, or may yet do it. */
static bool in_doubt(const struct resp_reply *r)
{
    switch (r->kind) {
    case RESP_TIMEOUT:
    case RESP_LOST:
    case RESP_GARBAGE: return true;
    case RESP_ERROR: return !refuses_to_work(r->text);
    default: return false;
    }
}

/* True when what the reply stands for must be taken back. */
static bool answer(struct door *d, struct ledger_op *op, const struct resp_reply *r)
{
    note_error(d, r);
    if (r->kind == RESP_OK) {
        if (answer_read(op, r)) {
            if (op->verb == LEDGER_RESERVE && op->status == ST_OK)
                trouble_ends(d);
            if (!d->fleet->config.own_clock)
                answer_note_clock(&d->clocks_apart, op, r, loop_wall_us(d->loop));
            return op->status == ST_NO_MEMORY;
        }
        answer_unavailable(op, STR("a reply that is none of our scripts'"));
        return true;
    }
    if (in_doubt(r) && plan_has_limits(op->plan)) {
        answer_unavailable(op, r->text);
        return true;
    }
    answer_without_server(op, d->fleet, r->text);
    return false;
}

static void op_answered(struct job *j, const struct resp_reply *r)
{
    struct ledger_op *op = TAKE(j->op);
    op->job = NULL;
    if (answer(j->door, op, r))
        owe(j->door, TAKE(j->owed));
    job_free(j);
    op->done(op);
}

/* Nobody waits: the record of a grant without limits, the mark of one that was handed out. */
static void note_answered(struct job *j, const struct resp_reply *r)
{
    note_error(j->door, r);
    job_free(j);
}

/* ---- the interface ------------------------------------------------------------------------------- */

static struct door *door_of(struct ledger *l)
{
    return container_of(l, struct door, ledger);
}

/* A plan without limits grants at once: the record follows by itself. */
static bool granted_at_once(struct door *d, struct ledger_op *op)
{
    if (plan_has_limits(op->plan) || op->idempotency_key.len > 0)
        return false;
    if (op->verb == LEDGER_PEEK)
        return true;
    if (op->verb != LEDGER_RESERVE)
        return false;
    if (args_of_op(&d->args, d->fleet, op) == ST_OK)
        (void)send(d, note_answered);
    return true;
}

static enum ledger_progress door_ask(struct ledger *l, struct ledger_op *op)
{
    struct door *d = door_of(l);
    ledger_op_forget(op);
    if (granted_at_once(d, op))
        return LEDGER_DONE;
    struct owed *o = op->verb == LEDGER_RESERVE ? owed_new(op) : NULL;
    struct job *j = NULL;
    if ((o || op->verb != LEDGER_RESERVE) && args_of_op(&d->args, d->fleet, op) == ST_OK)
        j = send(d, op_answered);
    if (!j) {
        free(o);
        answer_unavailable(op, STR("no memory for the question, or more than it can hold"));
        return LEDGER_DONE;
    }
    j->op = op;
    j->owed = o;
    op->job = j;
    return LEDGER_PENDING;
}

/* The release follows the request on the same connection; should the request come later all the
 * same (NOSCRIPT), it finds that it was given up. */
static void door_release(struct ledger *l, struct ledger_op *op)
{
    struct door *d = door_of(l);
    struct job *j = op->job;
    struct owed *o = NULL;
    if (j) {
        o = TAKE(j->owed);
        resp_link_forget(d->link, &j->command);
        job_free(j);
    } else if (op->status == ST_OK && op->n_files > 0) {
        o = owed_new(op);
    }
    if (o)
        send_release(d, o);
}

/* Only a reservation that the plan would keep must be told from one that nobody got. */
static bool may_be_kept(const struct plan *p)
{
    for (size_t i = 0; p && !p->unsettled_release && i < p->n_limits; i++)
        if (p->limits[i].kind == LIMIT_COUNT || p->limits[i].kind == LIMIT_BYTES)
            return true;
    return false;
}

static void door_handed(struct ledger *l, const struct ledger_op *op)
{
    struct door *d = door_of(l);
    if (op->status == ST_OK && may_be_kept(op->plan) &&
        args_of_handed(&d->args, d->fleet, op) == ST_OK)
        (void)send(d, note_answered);
}

static void door_cancel(struct ledger *l, struct ledger_op *op)
{
    struct job *j = op->job;
    if (!j)
        return;
    resp_link_forget(door_of(l)->link, &j->command);
    job_free(j);
}

static void probe_answered(struct job *j, const struct resp_reply *r)
{
    struct door *d = j->door;
    d->probe = NULL;
    if (r->kind == RESP_OK)
        trouble_ends(d);
    note_answered(j, r);
}

/* Requests may stay away because of what ready says, so it looks for itself. */
static void probe(struct door *d)
{
    if (!d->probe && args_of_probe(&d->args, d->fleet) == ST_OK)
        d->probe = send(d, probe_answered);
}

static bool door_ready(struct ledger *l, struct str *why)
{
    struct door *d = door_of(l);
    const struct ledger_redis_config *c = &d->fleet->config;
    bool works = resp_link_up(d->link, why);
    if (works && d->trouble.len > 0) {
        *why = buf_view(&d->trouble);
        works = false;
        probe(d);
    }
    if (works && !d->prepared) {
        *why = STR("the scripts are being loaded");
        works = false;
    }
    if (works && atomic_load(&d->fleet->doors_up) < atomic_load(&d->fleet->doors)) {
        *why = STR("not every loop is connected yet");
        works = false;
    }
    return works || (c->on_quota != ON_QUOTA_DENY && c->on_rate != ON_RATE_DENY);
}

static void count_up(struct door *d, bool up)
{
    if (up != d->counted_up)
        atomic_fetch_add(&d->fleet->doors_up, up ? 1 : -1);
    d->counted_up = up;
}

static void door_free(struct ledger *l)
{
    struct door *d = door_of(l);
    loop_timer_stop(d->loop, &d->owed_timer);
    resp_link_free(d->link);
    count_up(d, false);
    atomic_fetch_sub(&d->fleet->doors, 1);
    while (d->jobs)
        job_free(d->jobs);
    while (d->owed) {
        struct owed *o = d->owed;
        d->owed = o->next;
        free(o);
    }
    buf_release(&d->args.key);
    free(d);
}

static const struct ledger_kind kind = {
    .name = "redis",
    .remembers = true,
    .ask = door_ask,
    .release = door_release,
    .handed = door_handed,
    .cancel = door_cancel,
    .ready = door_ready,
    .free = door_free,
};

/* ---- scripts ------------------------------------------------------------------------------------ */

/*
 * Scripts that are there already are answered in the order they are asked in: a script that the link
 * has to send again is overtaken. So what is missing is loaded before the door says it is ready; one
 * after the other, lest a slow moment looks like many failures. Where that is not allowed, the link
 * sends the texts.
 */
static void load_next(struct door *d);

static void loaded(struct job *j, const struct resp_reply *r)
{
    struct door *d = j->door;
    job_free(j);
    if (r->kind == RESP_OK)
        d->missing &= d->missing - 1;
    else
        d->missing = 0;
    load_next(d);
}

static void load_next(struct door *d)
{
    struct job *j = d->missing ? job_new(d, loaded) : NULL;
    if (!j) {
        d->prepared = true;
        probe(d);
        pay(d);
        return;
    }
    size_t i = 0;
    while (!(d->missing & (1u << i)))
        i++;
    const struct str words[] = { STR("SCRIPT"), STR("LOAD"), d->fleet->scripts[i].text };
    resp_link_send(d->link, &j->command, NULL, 0, words, ARRAY_LEN(words));
}

static void scripts_looked_up(struct job *j, const struct resp_reply *r)
{
    struct door *d = j->door;
    d->missing = 0;
    for (size_t i = 0; r->kind == RESP_OK && i < MIN_OF(r->n_rows, (size_t)SCRIPT_COUNT); i++)
        if (r->rows[i].num == 0)
            d->missing |= 1u << i;
    job_free(j);
    load_next(d);
}

static void look_scripts_up(struct door *d)
{
    struct str words[2 + SCRIPT_COUNT] = { STR("SCRIPT"), STR("EXISTS") };
    struct job *j = job_new(d, scripts_looked_up);
    for (size_t i = 0; i < SCRIPT_COUNT; i++)
        words[2 + i] = str_from(d->fleet->scripts[i].sha1);
    if (j)
        resp_link_send(d->link, &j->command, NULL, 0, words, ARRAY_LEN(words));
    else
        load_next(d);
}

/* The link logs what becomes of it. */
static void link_changed(struct resp_listener *h, bool up, struct str why)
{
    struct door *d = container_of(h, struct door, listener);
    (void)why;
    d->prepared = false;
    d->missing = 0;
    count_up(d, up);
    if (!up)
        return;
    look_scripts_up(d);
}

enum status ledger_redis_new(struct ledger **out, struct ledger_fleet *f, struct loop *l,
                             struct buf *why)
{
    struct door *d = calloc(1, sizeof(*d));
    if (!d)
        return ST_NO_MEMORY;
    d->ledger.kind = &kind;
    d->fleet = f;
    d->loop = l;
    d->listener.changed = link_changed;
    d->owed_end = &d->owed;
    d->owed_timer.due = owed_due;
    d->trouble = BUF_FIXED(d->trouble_space);
    const enum status st = resp_link_new(&d->link, l, &f->config.server, &d->listener, why);
    if (st != ST_OK) {
        free(d);
        return st;
    }
    atomic_fetch_add(&f->doors, 1);
    *out = &d->ledger;
    return ST_OK;
}

/* ---- what the loops share ------------------------------------------------------------------------ */

struct ledger_fleet *ledger_fleet_new(const struct ledger_redis_config *c)
{
    struct ledger_fleet *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->config = *c;
    f->due_key = BUF_INIT(KEY_MAX);
    buf_str(&f->due_key, c->prefix);
    buf_lit(&f->due_key, "due");
    f->share = rate_share_new(c->replicas);
    if (!f->share || buf_check(&f->due_key) != ST_OK || fleet_scripts_make(f) != ST_OK) {
        ledger_fleet_free(f);
        return NULL;
    }
    return f;
}

void ledger_fleet_free(struct ledger_fleet *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < SCRIPT_COUNT; i++)
        buf_release(&f->texts[i]);
    buf_release(&f->due_key);
    rate_share_free(f->share);
    free(f);
}
