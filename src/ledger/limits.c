/*
 * limits - the sums of plans, without clock or store.
 *
 * Every amount that is kept lies in [0, LIMITS_NUMBER_MAX], where doubles are exact too (Redis counts
 * in Lua), so sums of a few of them cannot overflow.
 */
#include "presignd/limits.h"

#include "presignd/date.h"

enum { SECOND_US = 1000000 };

/* The longest time a burst may stand for, 142 years: with it the sums of times stay exact as well. */
static const int64_t SPAN_MAX_US = INT64_C(1) << 52;
static const int64_t LATEST_S = INT64_C(253402300799); /* 9999-12-31T23:59:59Z */

static int64_t in_bounds(int64_t n)
{
    return n < 0 ? 0 : MIN_OF(n, LIMITS_NUMBER_MAX);
}

static int64_t seconds_up(int64_t us)
{
    return us / SECOND_US + (us % SECOND_US > 0);
}

/* Has it windows? What a rate and what is open do not end with one. */
static bool renews(const struct limit *l)
{
    return (l->kind == LIMIT_COUNT || l->kind == LIMIT_BYTES) && l->window_s != WINDOW_FOREVER;
}

int64_t limit_window_start(const struct limit *l, int64_t now_s)
{
    if (!renews(l) || now_s < 0)
        return 0;
    if (l->window_s != WINDOW_MONTH)
        return now_s - now_s % l->window_s;
    struct date d = date_of(now_s);
    d.day = 1;
    d.hour = d.minute = d.second = 0;
    return date_unix(&d);
}

int64_t limit_window_end(const struct limit *l, int64_t start_s)
{
    if (!renews(l))
        return 0;
    if (l->window_s != WINDOW_MONTH)
        return start_s + l->window_s;
    struct date d = date_of(start_s);
    d.year += d.month == 12;
    d.month = d.month == 12 ? 1 : d.month + 1;
    d.day = 1;
    d.hour = d.minute = d.second = 0;
    return date_unix(&d);
}

/* ---- rate ---------------------------------------------------------------------------------------- */

int64_t limit_step_us(const struct limit *l)
{
    const int64_t window_s = MIN_OF(l->window_s, SPAN_MAX_US / SECOND_US);
    if (l->max <= 0 || window_s <= 0)
        return SPAN_MAX_US;
    const int64_t window_us = window_s * SECOND_US;
    return window_us / l->max + (window_us % l->max > 0);
}

/* What a full burst is worth in time. */
static int64_t span_us(const struct limit *l)
{
    const int64_t step_us = limit_step_us(l);
    return l->burst > SPAN_MAX_US / step_us ? SPAN_MAX_US : l->burst * step_us;
}

/* How long until one more request fits; 0 or less: it does at once. */
static int64_t rate_wait_us(const struct limit *l, const struct tally *t, int64_t now_us)
{
    const int64_t from_us = MAX_OF(t->tat_us, now_us);
    return from_us + limit_step_us(l) - now_us - span_us(l);
}

/* ---- tallies ------------------------------------------------------------------------------------- */

/* A window that begins in a moment was begun by a request whose clock was a hair ahead. */
static bool same_window(const struct limit *l, const struct tally *t, int64_t now_s)
{
    if (t->start_s == limit_window_start(l, now_s))
        return true;
    return renews(l) && t->start_s > now_s && t->start_s - now_s <= LIMITS_HAIR_S;
}

void tally_roll(struct tally *t, const struct limit *l, int64_t now_us)
{
    const int64_t now_s = now_us / SECOND_US;
    if (t->kind != l->kind || !same_window(l, t, now_s))
        *t = (struct tally){
            .name = l->name,
            .kind = l->kind,
            .start_s = limit_window_start(l, now_s),
        };
    if (l->kind == LIMIT_RATE)
        t->tat_us = MIN_OF(t->tat_us, now_us + span_us(l));
}

void tally_settle(struct tally *t, int64_t start_s, int64_t amount, int64_t used)
{
    if (t->start_s != start_s)
        return;
    t->reserved = in_bounds(t->reserved - amount);
    t->used = in_bounds(t->used + used);
}

/* ---- may it be taken ------------------------------------------------------------------------------ */

static int64_t wanted(const struct limit *l, const struct limits_ask *ask)
{
    if (l->kind == LIMIT_RATE)
        return 1;
    if (l->kind == LIMIT_BYTES)
        return ask->rate_only ? 0 : ask->bytes;
    const int64_t files = ask->rate_only ? 0 : ask->files;
    return l->kind == LIMIT_OPEN ? files + ask->reopened : files;
}

static struct limits_verdict judge_rate(const struct limit *l, const struct tally *t,
                                        const struct limits_ask *ask)
{
    const int64_t wait_us = rate_wait_us(l, t, ask->now_us);
    if (wait_us <= 0)
        return (struct limits_verdict){ .status = ST_OK };
    return (struct limits_verdict){
        .status = ST_RATE_LIMITED,
        .wait_us = wait_us,
        .resets_at_s = seconds_up(ask->now_us + wait_us),
    };
}

/* When there may be room again; 0: that is not known. */
static int64_t room_at_s(const struct limit *l, const struct tally *t, const struct limits_ask *ask)
{
    const int64_t at_s = l->kind == LIMIT_OPEN ? ask->open_ends_s : limit_window_end(l, t->start_s);
    return MIN_OF(at_s, LATEST_S);
}

static struct limits_verdict judge_amount(const struct limit *l, const struct tally *t,
                                          const struct limits_ask *ask)
{
    if (t->used + t->reserved <= l->max - wanted(l, ask))
        return (struct limits_verdict){ .status = ST_OK };
    if (l->kind != LIMIT_OPEN && !renews(l))
        return (struct limits_verdict){ .status = ST_QUOTA_NEVER };
    const int64_t at_s = room_at_s(l, t, ask);
    return (struct limits_verdict){
        .status = ST_QUOTA_EXCEEDED,
        .wait_us = MAX_OF(at_s * SECOND_US - ask->now_us, 0),
        .resets_at_s = at_s,
    };
}

static struct limits_verdict judge(const struct limit *l, const struct tally *t,
                                   const struct limits_ask *ask)
{
    struct limits_verdict v = { .status = ST_QUOTA_NEVER };
    if (ask->rate_only && l->kind != LIMIT_RATE && wanted(l, ask) == 0)
        v.status = ST_OK;
    else if (wanted(l, ask) <= l->max)
        v = l->kind == LIMIT_RATE ? judge_rate(l, t, ask) : judge_amount(l, t, ask);
    v.requested = wanted(l, ask);
    v.used = t->used + t->reserved;
    return v;
}

/* Of two noes: the one for ever, then the one with the longer wait. */
static bool graver(const struct limits_verdict *a, const struct limits_verdict *b)
{
    if (a->status == ST_OK || b->status == ST_OK)
        return a->status != ST_OK;
    if (a->status == ST_QUOTA_NEVER || b->status == ST_QUOTA_NEVER)
        return b->status != ST_QUOTA_NEVER;
    return a->wait_us > b->wait_us;
}

enum status limits_check(const struct plan *p, const struct tally *tallies,
                         const struct limits_ask *ask, struct limits_verdict *out)
{
    struct limits_verdict worst = { .status = ST_OK };
    for (size_t i = 0; i < p->n_limits; i++) {
        struct limits_verdict v = judge(&p->limits[i], &tallies[i], ask);
        v.index = i;
        if (graver(&v, &worst))
            worst = v;
    }
    *out = worst;
    return worst.status;
}

void limits_take(const struct plan *p, struct tally *tallies, const struct limits_ask *ask)
{
    for (size_t i = 0; i < p->n_limits; i++) {
        const struct limit *l = &p->limits[i];
        struct tally *t = &tallies[i];
        if (l->kind == LIMIT_RATE)
            t->tat_us = MAX_OF(t->tat_us, ask->now_us) + limit_step_us(l);
        else
            t->reserved = in_bounds(t->reserved + wanted(l, ask));
    }
}

/* ---- what people see ------------------------------------------------------------------------------ */

struct limit_state limits_state(const struct limit *l, const struct tally *rolled, int64_t now_us,
                                int64_t open_ends_s)
{
    if (l->kind == LIMIT_RATE) {
        const int64_t debt_us = MAX_OF(rolled->tat_us, now_us) - now_us;
        const int64_t left = (span_us(l) - debt_us) / limit_step_us(l);
        const int64_t remaining = l->max <= 0 ? 0 : MAX_OF(left, 0);
        return (struct limit_state){
            .used = MAX_OF(l->burst - remaining, 0),
            .remaining = remaining,
            .resets_at_s = seconds_up(now_us + debt_us),
        };
    }
    const bool open = l->kind == LIMIT_OPEN;
    return (struct limit_state){
        .used = rolled->used,
        .reserved = rolled->reserved,
        .remaining = MAX_OF(l->max - rolled->used - rolled->reserved, 0),
        .resets_at_s =
            open ? (rolled->reserved > 0 ? open_ends_s : 0) : limit_window_end(l, rolled->start_s),
    };
}

static void name_limit(struct buf *b, const struct limit *l)
{
    buf_lit(b, "The limit \"");
    buf_str(b, l->name);
    buf_lit(b, "\" ");
}

static void explain(struct buf *b, const struct limit *l, const struct limits_verdict *v)
{
    name_limit(b, l);
    if (v->status == ST_RATE_LIMITED) {
        buf_lit(b, "allows ");
        buf_int(b, l->max);
        buf_lit(b, " requests in ");
        buf_int(b, l->window_s);
        buf_lit(b, " seconds.");
    } else if (v->requested > l->max) {
        buf_lit(b, "never allows more than ");
        buf_int(b, l->max);
        buf_lit(b, " at once.");
    } else {
        buf_lit(b, "has no room: ");
        buf_int(b, v->used);
        buf_lit(b, " of ");
        buf_int(b, l->max);
        buf_lit(b, " are taken, ");
        buf_int(b, v->requested);
        buf_lit(b, " more were asked for.");
    }
}

static void list_amounts(struct fault *f, const struct limits_verdict *v)
{
    fault_int(f, "used", v->used);
    fault_int(f, "requested", v->requested);
}

enum status limits_fault(const struct plan *p, const struct limits_verdict *v, int64_t now_us,
                         struct arena *a, struct fault *f)
{
    const struct limit *l = &p->limits[v->index];
    AUTO(buf) text = BUF_INIT(512);
    struct str detail, when;
    explain(&text, l, v);
    TRY(arena_keep(a, &text, &detail));

    const int64_t retry_s = MAX_OF(seconds_up(v->wait_us), 1);
    buf_reset(&text);
    date_iso(&text, v->resets_at_s > 0 ? v->resets_at_s : seconds_up(now_us) + retry_s);
    TRY(arena_keep(a, &text, &when));

    const struct str name = arena_copy(a, l->name);
    if (!name.ptr)
        return ST_NO_MEMORY;

    fault_set(f, v->status, detail);
    fault_str(f, "limit_name", name);
    fault_int(f, "limit", l->max);
    if (v->status == ST_RATE_LIMITED)
        fault_int(f, "window_s", l->window_s);
    else
        list_amounts(f, v);
    if (v->status == ST_QUOTA_EXCEEDED)
        fault_str(f, "resets_at", when);
    if (v->status != ST_QUOTA_NEVER)
        f->retry_after_s = retry_s;
    return v->status;
}
