/*
 * rate_share - a hash table of places of four entries each, and GCRA from limits.c.
 */
#include "presignd/rate_share.h"

#include <pthread.h>
#include <stdlib.h>

#include "presignd/ledger.h"

enum { WAYS = 4, PLACES = RATE_SHARE_ENTRIES / WAYS };

struct share_entry {
    uint64_t who; /* of user and limit; 0: free */
    int64_t tat_us;
};

struct rate_share {
    pthread_mutex_t lock;
    int64_t replicas;
    struct share_entry entries[RATE_SHARE_ENTRIES];
};

/* Untouched pages of it cost nothing: it is used in bad times only. */
struct rate_share *rate_share_new(int64_t replicas)
{
    struct rate_share *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    if (pthread_mutex_init(&s->lock, NULL) != 0) {
        free(s);
        return NULL;
    }
    s->replicas = MAX_OF(replicas, 1);
    return s;
}

void rate_share_free(struct rate_share *s)
{
    if (!s)
        return;
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* FNV-1a. Users are hashes already, so nobody chooses where they fall. */
static uint64_t mix(uint64_t h, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t who_of(struct str user_hash, struct str limit)
{
    uint64_t h = mix(UINT64_C(0xcbf29ce484222325), user_hash);
    h = mix(h, STR("/"));
    h = mix(h, limit);
    return h ? h : 1;
}

/* The entry of `who`, or the one that matters least. */
static struct share_entry *entry_of(struct rate_share *s, uint64_t who)
{
    struct share_entry *place = &s->entries[(who >> 32) % PLACES * WAYS];
    struct share_entry *least = place;
    for (size_t i = 0; i < WAYS; i++) {
        if (place[i].who == who)
            return &place[i];
        if (place[i].tat_us < least->tat_us)
            least = &place[i];
    }
    return least;
}

static struct limit share_of(const struct rate_share *s, const struct limit *l)
{
    struct limit share = *l;
    if (l->window_s > 0 && l->window_s <= INT64_MAX / s->replicas)
        share.window_s = l->window_s * s->replicas;
    share.burst = MAX_OF(l->burst / s->replicas, 1);
    return share;
}

/* The plan's rate limits as shares; the others keep their place and never refuse. */
static void shares_of(const struct rate_share *s, const struct plan *p, struct limit *out)
{
    for (size_t i = 0; i < p->n_limits; i++)
        out[i] = p->limits[i].kind == LIMIT_RATE ? share_of(s, &p->limits[i]) : p->limits[i];
}

static void load(struct rate_share *s, struct str user_hash, const struct plan *shares,
                 int64_t now_us, struct tally *tallies)
{
    for (size_t i = 0; i < shares->n_limits; i++) {
        const struct limit *l = &shares->limits[i];
        const uint64_t who = who_of(user_hash, l->name);
        const struct share_entry *e = entry_of(s, who);
        tallies[i] = (struct tally){ .name = l->name, .kind = l->kind };
        if (l->kind == LIMIT_RATE && e->who == who)
            tallies[i].tat_us = e->tat_us;
        tally_roll(&tallies[i], l, now_us);
    }
}

static void store(struct rate_share *s, struct str user_hash, const struct plan *shares,
                  const struct tally *tallies)
{
    for (size_t i = 0; i < shares->n_limits; i++) {
        if (shares->limits[i].kind != LIMIT_RATE)
            continue;
        const uint64_t who = who_of(user_hash, shares->limits[i].name);
        *entry_of(s, who) = (struct share_entry){ who, tallies[i].tat_us };
    }
}

enum status rate_share_ask(struct rate_share *s, struct str user_hash, const struct plan *p,
                           int64_t now_us, bool take, struct limits_verdict *out,
                           struct limit_state *states)
{
    struct limit limits[LEDGER_LIMITS_MAX];
    struct tally tallies[LEDGER_LIMITS_MAX];
    const struct plan shares = { .name = p->name, .limits = limits, .n_limits = p->n_limits };
    const struct limits_ask ask = { .now_us = now_us, .rate_only = true };
    assert(p->n_limits <= LEDGER_LIMITS_MAX);
    shares_of(s, p, limits);

    pthread_mutex_lock(&s->lock);
    load(s, user_hash, &shares, now_us, tallies);
    const enum status st = limits_check(&shares, tallies, &ask, out);
    if (st == ST_OK && take) {
        limits_take(&shares, tallies, &ask);
        store(s, user_hash, &shares, tallies);
    }
    pthread_mutex_unlock(&s->lock);

    for (size_t i = 0; states && i < p->n_limits; i++)
        states[i] = limits_state(&limits[i], &tallies[i], now_us, 0);
    return st;
}
