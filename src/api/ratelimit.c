/*
 * ratelimit - what is left, in two headers.
 */
#include "presignd/ratelimit.h"

enum { SECOND_US = 1000000 };

static const int64_t FIELD_INT_MAX = INT64_C(999999999999999); /* RFC 9651 section 3.3.1 */

/* ---- which limit -------------------------------------------------------------------------------- */

static double share_left(const struct limit *l, const struct limit_state *s)
{
    const int64_t most = l->kind == LIMIT_RATE ? l->burst : l->max;
    return most > 0 ? (double)s->remaining / (double)most : 0.0;
}

size_t ratelimit_tightest(const struct plan *p, const struct limit_state *states)
{
    size_t found = 0;
    for (size_t i = 1; i < p->n_limits; i++)
        if (share_left(&p->limits[i], &states[i]) < share_left(&p->limits[found], &states[found]))
            found = i;
    return found;
}

/* ---- the fields --------------------------------------------------------------------------------- */

static void put_name(struct buf *out, const struct limit *l)
{
    buf_lit(out, "\"");
    buf_str(out, l->name); /* [a-z0-9_-]: nothing to escape */
    buf_lit(out, "\"");
}

static void put_int(struct buf *out, struct str parameter, int64_t value)
{
    buf_str(out, parameter);
    buf_int(out, MIN_OF(MAX_OF(value, 0), FIELD_INT_MAX));
}

static int64_t window_s(const struct limit *l, int64_t now_s)
{
    if (l->kind == LIMIT_OPEN)
        return 0;
    if (l->window_s != WINDOW_MONTH)
        return l->window_s;
    const int64_t start_s = limit_window_start(l, now_s);
    return limit_window_end(l, start_s) - start_s;
}

void ratelimit_policy(struct buf *out, const struct limit *l, int64_t now_s)
{
    const int64_t window = window_s(l, now_s);
    put_name(out, l);
    put_int(out, STR(";q="), l->max);
    if (l->kind == LIMIT_BYTES)
        buf_lit(out, ";qu=\"content-bytes\"");
    if (l->kind == LIMIT_OPEN)
        buf_lit(out, ";qu=\"concurrent-requests\"");
    if (window > 0)
        put_int(out, STR(";w="), window);
}

/* A rate gives one more at a time: until the next of them, never told shorter than it is. */
static int64_t next_one_us(const struct limit *l, const struct limit_state *s, int64_t now_us)
{
    const int64_t step_us = limit_step_us(l);
    const int64_t debt_us = s->resets_at_s * SECOND_US - now_us;
    const double free_us = ((double)l->burst - (double)s->remaining - 1.0) * (double)step_us;
    const double wait_us = (double)debt_us - free_us;
    return wait_us < (double)step_us ? MAX_OF((int64_t)wait_us, 1) : step_us;
}

/* 0: never, or nobody knows when. */
static int64_t renewed_in_s(const struct limit *l, const struct limit_state *s, int64_t now_us)
{
    if (s->resets_at_s <= 0)
        return 0;
    const int64_t wait_us =
        l->kind == LIMIT_RATE ? next_one_us(l, s, now_us) : s->resets_at_s * SECOND_US - now_us;
    return MAX_OF((wait_us + SECOND_US - 1) / SECOND_US, 1);
}

void ratelimit_left(struct buf *out, const struct limit *l, const struct limit_state *state,
                    int64_t now_us, int64_t retry_after_s)
{
    const int64_t in_s = retry_after_s > 0 ? retry_after_s : renewed_in_s(l, state, now_us);
    put_name(out, l);
    put_int(out, STR(";r="), state->remaining);
    if (in_s > 0)
        put_int(out, STR(";t="), in_s);
}

/* ---- the answer --------------------------------------------------------------------------------- */

static void add_field(struct request *r, const char *name, const struct buf *text)
{
    struct str kept;
    if (arena_keep(&r->arena, text, &kept) == ST_OK)
        request_header(r, name, kept);
}

/* p->n_limits: none has this name. */
static size_t named(const struct plan *p, struct str name)
{
    size_t i = 0;
    while (i < p->n_limits && !str_equal(p->limits[i].name, name))
        i++;
    return i;
}

void ratelimit_add(struct request *r, const struct plan *p, const struct limit_state *states,
                   struct str limit_name)
{
    if (!p || p->n_limits == 0 || !states)
        return;
    const size_t i = limit_name.len > 0 ? named(p, limit_name) : ratelimit_tightest(p, states);
    if (i == p->n_limits)
        return;
    char space[RATELIMIT_TEXT_MAX];
    struct buf text = BUF_FIXED(space);
    ratelimit_policy(&text, &p->limits[i], r->now_s);
    add_field(r, "RateLimit-Policy", &text);
    buf_reset(&text);
    ratelimit_left(&text, &p->limits[i], &states[i], r->wall_us, r->fault.retry_after_s);
    add_field(r, "RateLimit", &text);
}
