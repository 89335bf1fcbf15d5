/*
 * cred_store - keeps one set of credentials fresh, for everybody.
 *
 * An attempt is a conversation between the source, which knows what to ask, and fetch, which asks.
 * There is one attempt at a time; whoever wants credentials meanwhile hears of its end. A failed
 * attempt takes nothing away: what is held serves until its true end, and only that end makes the
 * store publish nothing.
 *
 * Lives on one loop. cred_store_want() is the one door for other threads: its post lies outside of
 * the store, because it may still be under way when the store is freed.
 */
#include "presignd/cred_store.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "presignd/log.h"

enum {
    ADVISORY_MAX_S = 3600,
    NOT_YET_MAX_S = 300,
    LAST_MINUTES_S = 360,
    LAST_MINUTES_EVERY_S = 30,
    BACKOFF_MAX_S = 30,
    BACKOFF_LEAST_MS = 50,
    WANT_EVERY_MS = 1000,
    LOOK_EVERY_S = 60, /* wall clocks jump: the end is looked at at least this often */
    SKEW_WARN_S = 60,
    CALLS_MAX = 16, /* of one attempt; sources need at most five */
    WHY_MAX = 1024,
};

struct want_door {
    struct post post;
    atomic_bool posted;
    struct cred_store *store; /* the loop's thread only; NULL: gone */
};

struct cred_store {
    struct loop *loop;
    struct fetcher *fetcher;
    struct cred_source *source;
    struct cred_listener *listener;
    struct want_door *door;
    struct random_pool random;

    struct creds *held;
    bool foreign; /* held came from a source that was replaced */

    bool started;
    bool attempting;
    int calls;
    struct fetch fetch;
    struct call call;
    struct timer next; /* of the next attempt */
    struct timer look; /* at the end of what is held */
    int64_t attempt_ended_ms;

    int failures; /* in a row */
    bool skewed;
    struct buf why; /* of the last attempt */
    char why_space[WHY_MAX];
};

/* the schedule */

static int64_t backoff_s(int64_t left_s, int failures)
{
    int64_t most_s = BACKOFF_MAX_S;
    if (left_s > LAST_MINUTES_S)
        most_s = MAX_OF(most_s, MIN_OF(left_s / 4, NOT_YET_MAX_S));
    const int64_t doubled_s = failures > 30 ? INT32_MAX : INT64_C(1) << (failures - 1);
    return MIN_OF(doubled_s, most_s);
}

static int64_t advisory_lead_s(int64_t life_s)
{
    return MIN_OF(ADVISORY_MAX_S, life_s / 2);
}

int64_t cred_store_delay_s(int64_t left_s, int64_t life_s, int failures, bool not_yet)
{
    if (failures > 0)
        return backoff_s(left_s, failures);
    if (left_s == CREDS_NEVER)
        return CREDS_NEVER;
    if (not_yet && left_s <= LAST_MINUTES_S)
        return LAST_MINUTES_EVERY_S;
    if (not_yet)
        return MIN_OF(left_s / 4, NOT_YET_MAX_S);
    return MAX_OF(left_s - advisory_lead_s(life_s), 1);
}

static int64_t now_s(const struct cred_store *cs)
{
    return loop_wall_us(cs->loop) / 1000000;
}

static int64_t left_s(const struct cred_store *cs)
{
    return cs->held ? creds_left_s(cs->held, now_s(cs)) : 0;
}

static int64_t life_s(const struct creds *c)
{
    return c && c->expires_at_s != CREDS_NEVER ? c->expires_at_s - c->obtained_at_s : 0;
}

/* Uniform within [ms - spread, ms + spread]. */
static int64_t around(struct cred_store *cs, int64_t ms, int64_t spread_ms)
{
    return ms - spread_ms + random_below(&cs->random, 2 * spread_ms + 1);
}

static int64_t with_jitter_ms(struct cred_store *cs, int64_t delay_s, bool not_yet)
{
    const int64_t ms = delay_s * 1000;
    if (cs->failures > 0)
        return MAX_OF(random_below(&cs->random, ms + 1), BACKOFF_LEAST_MS);
    if (not_yet)
        return around(cs, ms, ms / 10);
    /* A tenth of the lead: a tenth of a wait of many hours could miss the end. */
    const int64_t lead_tenth_ms = advisory_lead_s(life_s(cs->held)) * 100;
    return MAX_OF(around(cs, ms, MIN_OF(lead_tenth_ms, ms / 10)), BACKOFF_LEAST_MS);
}

/* An entry that cannot be made in the timer heap is made again when somebody wants credentials. */
static void set_timer(struct cred_store *cs, struct timer *t, int64_t delay_ms)
{
    const enum status st = loop_timer_at(cs->loop, t, loop_now_ms(cs->loop) + delay_ms);
    if (st != ST_OK)
        log_say(LOG_LEVEL_ERROR, "credentials_timer", STR("no memory for a timer"),
                loop_wall_us(cs->loop));
}

static void schedule(struct cred_store *cs, bool not_yet)
{
    loop_timer_stop(cs->loop, &cs->next);
    int64_t delay_s = cred_store_delay_s(left_s(cs), life_s(cs->held), cs->failures, not_yet);
    if (cs->source->reread_s)
        delay_s = MIN_OF(delay_s, cs->source->reread_s);
    if (delay_s != CREDS_NEVER)
        set_timer(cs, &cs->next, with_jitter_ms(cs, delay_s, not_yet));
}

/* what is told */

static void say(const struct cred_store *cs, enum log_level level, const char *event,
                struct str message)
{
    log_say(level, event, message, loop_wall_us(cs->loop));
}

static void publish(struct cred_store *cs, bool fresh)
{
    cs->listener->attempted(cs->listener, cs->held, fresh, buf_view(&cs->why));
}

static void say_good(const struct cred_store *cs, bool first)
{
    AUTO(buf) text = BUF_INIT(256);
    buf_lit(&text, "credentials from ");
    buf_str(&text, str_from(cs->held->source));
    if (cs->held->expires_at_s == CREDS_NEVER) {
        buf_lit(&text, " that do not end");
    } else {
        buf_lit(&text, " for another ");
        buf_int(&text, left_s(cs));
        buf_lit(&text, " s");
    }
    if (cs->held->expires_at_s == CREDS_NEVER && cs->held->session_token.len)
        say(cs, LOG_LEVEL_WARN, "credentials_end_unknown",
            STR("there is a session token but no expiration (AWS_CREDENTIAL_EXPIRATION, or in the "
                "file): when the token ends, packets fail and nothing here can know it"));
    if (first)
        say(cs, LOG_LEVEL_INFO, "credentials_available", buf_view(&text));
    else
        say(cs, LOG_LEVEL_INFO, "credentials_recovered", buf_view(&text));
}

static void check_clock(struct cred_store *cs, const struct reply *r)
{
    if (r->kind != REPLY_HTTP || r->date_s < 0)
        return;
    const int64_t ahead_s = r->date_s - now_s(cs);
    const bool skewed = ahead_s > SKEW_WARN_S || ahead_s < -SKEW_WARN_S;
    if (skewed && !cs->skewed) {
        AUTO(buf) text = BUF_INIT(256);
        buf_lit(&text, "the clock of the credential endpoint is ");
        buf_int(&text, ahead_s < 0 ? -ahead_s : ahead_s);
        buf_str(&text, ahead_s < 0 ? STR(" s behind ours") : STR(" s ahead of ours"));
        buf_lit(&text, ": packets may be refused or end early; check the time service");
        say(cs, LOG_LEVEL_WARN, "credentials_clock_skew", buf_view(&text));
    }
    cs->skewed = skewed;
}

/* the end of what is held */

static void attempt_start(struct cred_store *cs);

static void watch_end(struct cred_store *cs)
{
    loop_timer_stop(cs->loop, &cs->look);
    if (!cs->held || cs->held->expires_at_s == CREDS_NEVER)
        return;
    const int64_t left_ms = cs->held->expires_at_s * 1000 - loop_wall_us(cs->loop) / 1000;
    set_timer(cs, &cs->look, MIN_OF(MAX_OF(left_ms, 1), LOOK_EVERY_S * 1000));
}

static void expire(struct cred_store *cs)
{
    creds_unref(cs->held);
    cs->held = NULL;
    if (buf_view(&cs->why).len == 0)
        buf_lit(&cs->why, "the source gave none that last longer");
    AUTO(buf) text = BUF_INIT(WHY_MAX + 128);
    buf_lit(&text, "the credentials ended and there are no others: ");
    buf_str(&text, buf_view(&cs->why));
    say(cs, LOG_LEVEL_ERROR, "credentials_expired", buf_view(&text));
    publish(cs, false);
    /* In back-off the next attempt has its time already. */
    if (!cs->attempting && cs->failures == 0)
        attempt_start(cs);
}

static void look_due(struct timer *t)
{
    struct cred_store *cs = container_of(t, struct cred_store, look);
    if (left_s(cs) <= 0)
        expire(cs);
    else
        watch_end(cs);
}

/* an attempt */

static void attempt_ended(struct cred_store *cs, bool fresh, bool not_yet)
{
    cs->attempting = false;
    cs->attempt_ended_ms = loop_now_ms(cs->loop);
    call_reset(&cs->call);
    schedule(cs, not_yet);
    watch_end(cs);
    publish(cs, fresh);
}

static void attempt_failed(struct cred_store *cs)
{
    cs->failures++;
    if (cs->failures == 1 && cs->held)
        say(cs, LOG_LEVEL_WARN, "credentials_refresh_failing", buf_view(&cs->why));
    else if (cs->failures == 1)
        say(cs, LOG_LEVEL_ERROR, "credentials_unavailable", buf_view(&cs->why));
    attempt_ended(cs, false, false);
}

/*
 * Static credentials never end, so nothing ends later than they do. A source that is read again has
 * the last word; what it says twice stays the generation it was, over a reload too.
 */
static bool is_better(const struct cred_store *cs, const struct creds *c)
{
    if (cs->source->reread_s)
        return !cs->held || left_s(cs) <= 0 || !creds_same(cs->held, c);
    return !cs->held || cs->foreign || left_s(cs) <= 0 || c->expires_at_s > cs->held->expires_at_s;
}

/* Takes c. */
static void attempt_succeeded(struct cred_store *cs, struct creds *c)
{
    const bool recovered = cs->failures > 0;
    const bool first = !cs->held && !recovered;
    const bool better = is_better(cs, c);
    const bool changed = better && cs->held && !recovered && cs->source->reread_s;
    cs->failures = 0;
    cs->foreign = false;
    if (better) {
        creds_unref(cs->held);
        cs->held = c;
    } else {
        creds_unref(c);
        buf_lit(&cs->why, "the source gave none that last longer than those held");
    }
    if (changed)
        say(cs, LOG_LEVEL_INFO, "credentials_changed", STR("other credentials were read"));
    if (first || recovered)
        say_good(cs, first);
    attempt_ended(cs, better, !better);
}

static void attempt_go_on(struct cred_store *cs, const struct reply *last)
{
    struct creds *c = NULL;
    call_reset(&cs->call);
    buf_reset(&cs->why);
    enum next n = cs->source->kind->next(cs->source, last, now_s(cs), &cs->call, &c, &cs->why);
    if (n == NEXT_CALL && ++cs->calls > CALLS_MAX) {
        buf_lit(&cs->why, "the credential source asks without end");
        n = NEXT_FAIL;
    }
    if (n == NEXT_CALL && fetch_start(cs->fetcher, &cs->fetch, &cs->call) != ST_OK) {
        buf_lit(&cs->why, "the credential source's request could not be made");
        n = NEXT_FAIL;
    }
    if (n == NEXT_DONE)
        attempt_succeeded(cs, c);
    else if (n != NEXT_CALL)
        attempt_failed(cs);
}

static void answered(struct fetch *f, const struct reply *r)
{
    struct cred_store *cs = container_of(f, struct cred_store, fetch);
    check_clock(cs, r);
    attempt_go_on(cs, r);
}

static void attempt_start(struct cred_store *cs)
{
    static const struct reply none = { .kind = REPLY_NONE };
    loop_timer_stop(cs->loop, &cs->next);
    cs->attempting = true;
    cs->calls = 0;
    attempt_go_on(cs, &none);
}

static void next_due(struct timer *t)
{
    attempt_start(container_of(t, struct cred_store, next));
}

/* wants */

/* Whether asking now could bring something and is not forbidden. */
static bool may_attempt(const struct cred_store *cs)
{
    if (cs->failures > 0)
        return !cs->next.slot; /* unless the timer of the back-off could not be set */
    if (!cs->held)
        return true;
    return cs->held->expires_at_s != CREDS_NEVER &&
           loop_now_ms(cs->loop) - cs->attempt_ended_ms >= WANT_EVERY_MS;
}

static void wanted(struct cred_store *cs)
{
    if (!cs->started || cs->attempting)
        return;
    if (may_attempt(cs))
        attempt_start(cs);
    else
        publish(cs, false);
}

static void door_opened(struct post *p, struct loop *l)
{
    (void)l;
    struct want_door *d = container_of(p, struct want_door, post);
    struct cred_store *cs = d->store;
    if (!cs) {
        free(d);
        return;
    }
    /* Before looking: who wants from here on posts again. */
    atomic_store(&d->posted, false);
    wanted(cs);
}

void cred_store_want(struct cred_store *cs)
{
    if (!atomic_exchange(&cs->door->posted, true))
        loop_post(cs->loop, &cs->door->post);
}

/* life */

struct cred_store *cred_store_new(struct loop *l, struct fetcher *f, struct cred_source *s,
                                  struct cred_listener *listener)
{
    struct cred_store *cs = calloc(1, sizeof(*cs));
    struct want_door *door = calloc(1, sizeof(*door));
    if (!cs || !door) {
        free(cs);
        free(door);
        cred_source_free(s);
        return NULL;
    }
    door->post.run = door_opened;
    door->store = cs;
    atomic_init(&door->posted, false);
    cs->loop = l;
    cs->fetcher = f;
    cs->source = s;
    cs->listener = listener;
    cs->door = door;
    cs->fetch.done = answered;
    cs->call = CALL_INIT;
    cs->next.due = next_due;
    cs->look.due = look_due;
    cs->why = BUF_FIXED(cs->why_space);
    return cs;
}

void cred_store_start(struct cred_store *cs)
{
    cs->started = true;
    attempt_start(cs);
}

void cred_store_replace(struct cred_store *cs, struct cred_source *s)
{
    fetch_cancel(&cs->fetch);
    cred_source_free(cs->source);
    cs->source = s;
    cs->foreign = cs->held;
    cs->failures = 0;
    if (cs->started)
        attempt_start(cs);
}

void cred_store_free(struct cred_store *cs)
{
    if (!cs)
        return;
    fetch_cancel(&cs->fetch);
    loop_timer_stop(cs->loop, &cs->next);
    loop_timer_stop(cs->loop, &cs->look);
    cs->door->store = NULL;
    if (!atomic_load(&cs->door->posted))
        free(cs->door); /* else the post that is under way does it */
    cred_source_free(cs->source);
    creds_unref(cs->held);
    call_release(&cs->call);
    random_pool_release(&cs->random);
    free(cs);
}
