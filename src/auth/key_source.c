/*
 * key_source - drives one key_refresh per URL issuer, and reads the keys that lie in files.
 *
 * Each published keyring is a new one that shares the key sets with the one before; it keeps the
 * loaded ring alive, and with it the configuration. The version grows only when keys changed, so a
 * refresh that brings nothing leaves the token caches alone.
 *
 * Other threads only set a bit and post; the post holds a reference, so a source may be freed while
 * one is on its way.
 */
#include "presignd/key_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "presignd/key_refresh.h"
#include "presignd/log.h"

enum { WHY_MAX = 2048, JITTER = 201, HEALTH_NEW = -1, HEALTH_BAD, HEALTH_GOOD };

struct work { /* of a URL issuer */
    struct key_source *source;
    size_t index;
    struct key_refresh refresh;
    struct fetch fetch;
    struct timer timer;
    bool running;
    bool last_failed;
    int logged_health;
    int64_t refetch_after_s;
    uint64_t ended_serial; /* of the ring that told of its last end */
};

struct key_source {
    atomic_int refs;
    atomic_bool posted;
    atomic_uint_least64_t wanted;                    /* a bit per issuer */
    atomic_uint_least64_t seen[KEYRING_ISSUERS_MAX]; /* the newest ring that a want was based on */
    struct post post;
    bool closed;
    struct loop *loop;
    struct fetcher *fetcher;
    struct key_listener *listener;
    struct random_pool random;
    struct keyring *base; /* as loaded: configs, static keys */
    struct keyring *ring; /* as published */
    bool changed;         /* keys changed and no ring says so yet */
    struct work *works;   /* one per issuer; idle for those without URL */
};

static bool has_url(const struct issuer_config *ic)
{
    return ic->jwks_url.len > 0 || ic->discovery;
}

/* ---- reading files, before any loop ------------------------------------------------------------- */

bool key_source_url_ok(struct str url)
{
    return key_url_ok(url);
}

static bool complain(struct buf *why, struct str sentence)
{
    buf_str(why, sentence);
    return false;
}

static const char *c_path(struct buf *space, struct str path)
{
    buf_str(space, path);
    return buf_cstr(space);
}

static bool read_all(FILE *f, struct buf *out)
{
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0 && buf_check(out) == ST_OK)
        buf_str(out, (struct str){ piece, n });
    return !ferror(f);
}

static bool read_file(struct str path, struct buf *out, struct buf *why)
{
    AUTO(buf) space = BUF_INIT(PATH_MAX);
    const char *name = c_path(&space, path);
    FILE *f = name ? fopen(name, "rbe") : NULL;
    const bool ok = f && read_all(f, out);
    const int error = errno;
    if (f)
        (void)fclose(f);
    if (ok && buf_check(out) == ST_OK)
        return true;
    buf_str(why, path);
    buf_str(why, ok ? STR(": too large") : STR(": "));
    if (!ok)
        buf_str(why, str_from(strerrordesc_np(error)));
    return false;
}

static struct keyset *load_text(const struct issuer_config *ic, struct buf *why)
{
    const bool jwks = ic->jwks_file.len > 0;
    AUTO(buf) text = BUF_INIT(KEYSET_BYTES_MAX);
    if (!read_file(jwks ? ic->jwks_file : ic->public_key_file, &text, why))
        return NULL;
    return jwks ? keyset_from_jwks(buf_view(&text), ic->algorithms, why)
                : keyset_from_pem(buf_view(&text), ic->algorithms, why);
}

static struct keyset *load_secret(const struct issuer_config *ic, struct buf *why)
{
    AUTO(secret) secret = SECRET_INIT;
    AUTO(buf) space = BUF_INIT(PATH_MAX);
    const char *name = c_path(&space, ic->secret_file);
    const enum status st = name ? secret_read_file(&secret, name) : ST_INVALID;
    if (st == ST_OK)
        return keyset_from_secret(secret_view(&secret), ic->algorithms, why);
    buf_str(why, ic->secret_file);
    buf_str(why, st == ST_TOO_LARGE   ? STR(": over 4096 bytes")
                 : st == ST_INVALID   ? STR(": empty")
                 : st == ST_NO_MEMORY ? STR(": no memory")
                                      : STR(": not readable: "));
    if (st == ST_UNREACHABLE)
        buf_str(why, str_from(strerrordesc_np(errno)));
    return NULL;
}

static bool algorithms_ok(const struct issuer_config *ic, struct buf *why)
{
    const bool secret = ic->secret_file.len > 0;
    const unsigned hs = ic->algorithms & JWA_HS_ALL;
    if (ic->algorithms == 0 || (hs && hs != ic->algorithms))
        return complain(why, STR("algorithms: at least one, and HS* never with others"));
    if (secret != (hs != 0))
        return complain(why, STR("HS* and secret_file belong together"));
    return true;
}

static bool config_ok(const struct issuer_config *ic, struct buf *why)
{
    const int places = (ic->jwks_url.len > 0) + ic->discovery + (ic->jwks_file.len > 0) +
                       (ic->public_key_file.len > 0) + (ic->secret_file.len > 0);
    if (ic->issuer.len == 0)
        return complain(why, STR("issuer is empty"));
    if (places != 1)
        return complain(why, STR("needs exactly one of jwks_url, discovery, jwks_file, "
                                 "public_key_file, secret_file"));
    if (ic->n_audiences == 0)
        return complain(why, STR("audience is missing"));
    if (has_url(ic) && !key_url_ok(ic->discovery ? ic->issuer : ic->jwks_url))
        return complain(why, STR("keys are asked for over https, or http to loopback, only"));
    return algorithms_ok(ic, why);
}

static bool load_one(struct key_state *s, const struct issuer_config *ic, struct buf *why)
{
    s->config = ic;
    s->can_refetch = has_url(ic);
    if (!config_ok(ic, why))
        return false;
    if (!s->can_refetch)
        s->keys = ic->secret_file.len > 0 ? load_secret(ic, why) : load_text(ic, why);
    return s->can_refetch || s->keys;
}

static bool named_before(const struct issuer_config *issuers, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (str_equal(issuers[j].issuer, issuers[i].issuer))
            return true;
    }
    return false;
}

/* Notes on keys end in a separator; those of an issuer are a line. */
static void end_notes(struct buf *why)
{
    if (str_ends(buf_view(why), STR("; ")))
        buf_truncate(why, why->len - 2);
    buf_lit(why, "\n");
}

static bool load_all(struct keyring *kr, const struct issuer_config *issuers, struct buf *why)
{
    for (size_t i = 0; i < kr->n; i++) {
        const size_t before = why->len;
        buf_lit(why, "issuer ");
        buf_str(why, issuers[i].issuer);
        buf_lit(why, ": ");
        const size_t named = why->len;
        if (named_before(issuers, i))
            return complain(why, STR("is there twice"));
        if (!load_one(&kr->issuers[i], &issuers[i], why))
            return false;
        if (why->len == named)
            buf_truncate(why, before);
        else
            end_notes(why);
    }
    return true;
}

struct keyring *key_source_load(const struct issuer_config *issuers, size_t n, void *owner,
                                void (*owner_unref)(void *owner), struct buf *why)
{
    struct keyring *kr = keyring_new(n);
    if (!kr) {
        if (owner_unref)
            owner_unref(owner);
        buf_str(why, n > KEYRING_ISSUERS_MAX ? STR("more than 64 issuers") : STR("no memory"));
        return NULL;
    }
    kr->version = 1;
    kr->owner = owner;
    kr->owner_unref = owner_unref;
    if (!load_all(kr, issuers, why)) {
        keyring_unref(kr);
        return NULL;
    }
    return kr;
}

/* ---- publishing --------------------------------------------------------------------------------- */

static void unref_base(void *base)
{
    keyring_unref(base);
}

/* The base ring with what the works know. */
static struct keyring *build(struct keyring *base, const struct work *works, uint64_t version,
                             uint64_t serial)
{
    struct keyring *kr = keyring_new(base->n);
    if (!kr)
        return NULL;
    kr->version = version;
    kr->serial = serial;
    kr->owner = keyring_ref(base);
    kr->owner_unref = unref_base;
    for (size_t i = 0; i < kr->n; i++) {
        struct keyset *keys = base->issuers[i].keys;
        kr->issuers[i] = base->issuers[i];
        if (kr->issuers[i].can_refetch) {
            keys = works[i].refresh.keys;
            kr->issuers[i].last_fetch_failed = works[i].last_failed;
            kr->issuers[i].fetched_at_s = works[i].refresh.fetched_at_s;
            kr->issuers[i].refetch_after_s = works[i].refetch_after_s;
        }
        kr->issuers[i].keys = keys ? keyset_ref(keys) : NULL;
    }
    return kr;
}

/* Without memory the listener hears the ring as it is; the next attempt publishes. */
static void publish(struct key_source *ks)
{
    const struct keyring *was = ks->ring;
    struct keyring *kr = build(ks->base, ks->works, was->version + ks->changed, was->serial + 1);
    if (kr) {
        keyring_unref(ks->ring);
        ks->ring = kr;
        ks->changed = false;
    }
    ks->listener->changed(ks->listener, ks->ring);
}

/* ---- attempts ----------------------------------------------------------------------------------- */

static int64_t wall_s(void)
{
    return loop_clock_wall_us() / 1000000;
}

static void say(const struct work *w, enum log_level level, struct str what, struct str more)
{
    AUTO(buf) text = BUF_INIT(2 * WHY_MAX);
    buf_lit(&text, "issuer ");
    buf_str(&text, w->refresh.config->issuer);
    buf_lit(&text, ": ");
    buf_str(&text, what);
    buf_str(&text, more);
    log_say(level, "keys", buf_view(&text), loop_clock_wall_us());
}

static void say_change(const struct work *w, struct str skipped)
{
    AUTO(buf) what = BUF_INIT(256);
    buf_int(&what, (int64_t)w->refresh.keys->n);
    buf_lit(&what, " usable keys; ");
    say(w, skipped.len > 0 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, buf_view(&what), skipped);
}

/* Each change of state once: good, failing, out of keys; and each change of keys. */
static void report(struct work *w, enum key_next end, struct str why)
{
    const int health = end == KEY_CHANGED || end == KEY_SAME ? HEALTH_GOOD : HEALTH_BAD;
    if (end == KEY_CHANGED)
        say_change(w, why);
    else if (end == KEY_LOST)
        say(w, LOG_LEVEL_ERROR, STR("no keys any more, the last are over 24 h old: "), why);
    else if (health == HEALTH_BAD && w->logged_health != HEALTH_BAD)
        say(w, LOG_LEVEL_WARN,
            w->refresh.keys ? STR("keys cannot be refreshed, the last good ones stay: ")
                            : STR("no keys yet: "),
            why);
    else if (health == HEALTH_GOOD && w->logged_health == HEALTH_BAD)
        say(w, LOG_LEVEL_INFO, STR("keys can be refreshed again"), STR_NONE);
    w->logged_health = health;
}

static void arm(struct work *w)
{
    struct key_source *ks = w->source;
    const int64_t delay = key_refresh_delay_ms(&w->refresh, random_below(&ks->random, JITTER));
    if (loop_timer_at(ks->loop, &w->timer, loop_now_ms(ks->loop) + delay) != ST_OK)
        say(w, LOG_LEVEL_ERROR, STR("no timer for the next refresh; an unknown kid will cause it"),
            STR_NONE);
}

static void finish(struct work *w, enum key_next end, struct str why)
{
    w->running = false;
    w->last_failed = end == KEY_FAILED || end == KEY_LOST;
    w->source->changed |= end == KEY_CHANGED || end == KEY_LOST;
    report(w, end, why);
    arm(w);
    publish(w->source);
    w->ended_serial = w->source->ring->serial;
}

static void drive(struct work *w, const struct reply *last)
{
    AUTO(call) call = CALL_INIT;
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    enum key_next next = key_refresh_next(&w->refresh, last, wall_s(), &call, &why);
    if (next == KEY_CALL) {
        if (fetch_start(w->source->fetcher, &w->fetch, &call) == ST_OK)
            return;
        const struct reply refused = { .kind = REPLY_UNREACHABLE, .why = STR("cannot be asked") };
        next = key_refresh_next(&w->refresh, &refused, wall_s(), &call, &why);
    }
    finish(w, next, buf_view(&why));
}

static void begin(struct work *w)
{
    assert(w->source);
    loop_timer_stop(w->source->loop, &w->timer);
    w->running = true;
    drive(w, &(struct reply){ .kind = REPLY_NONE });
}

static void on_reply(struct fetch *f, const struct reply *r)
{
    drive(container_of(f, struct work, fetch), r);
}

static void on_timer(struct timer *t)
{
    begin(container_of(t, struct work, timer));
}

/* ---- wants -------------------------------------------------------------------------------------- */

/* True when the listener will hear of an attempt's end. */
static bool serve_want(struct key_source *ks, size_t i, uint64_t seen)
{
    const int64_t now_s = wall_s();
    if (i >= ks->ring->n || !ks->ring->issuers[i].can_refetch)
        return false;
    struct work *w = &ks->works[i];
    if (w->running)
        return true;
    if (seen < w->ended_serial || !keyring_may_refetch(&ks->ring->issuers[i], now_s))
        return false;
    w->refetch_after_s = now_s + KEYRING_COOL_DOWN_S;
    begin(w);
    return true;
}

static void serve_wants(struct key_source *ks, uint64_t wanted)
{
    bool as_it_is = false;
    for (size_t i = 0; i < KEYRING_ISSUERS_MAX; i++) {
        if (wanted >> i & 1)
            as_it_is |= !serve_want(ks, i, atomic_exchange(&ks->seen[i], 0));
    }
    if (as_it_is)
        ks->listener->changed(ks->listener, ks->ring);
}

static void source_unref(struct key_source *ks)
{
    if (atomic_fetch_sub_explicit(&ks->refs, 1, memory_order_acq_rel) == 1)
        free(ks);
}

static void on_post(struct post *p, struct loop *l)
{
    (void)l;
    struct key_source *ks = container_of(p, struct key_source, post);
    atomic_store(&ks->posted, false);
    const uint64_t wanted = atomic_exchange(&ks->wanted, 0);
    if (!ks->closed && ks->ring)
        serve_wants(ks, wanted);
    source_unref(ks);
}

static void raise_to(atomic_uint_least64_t *cell, uint64_t value)
{
    uint_least64_t was = atomic_load(cell);
    while (was < value && !atomic_compare_exchange_weak(cell, &was, value))
        ;
}

void key_source_want(struct key_source *ks, size_t issuer_index, const struct keyring *seen)
{
    assert(issuer_index < KEYRING_ISSUERS_MAX);
    raise_to(&ks->seen[issuer_index], seen->serial);
    atomic_fetch_or(&ks->wanted, UINT64_C(1) << issuer_index);
    if (atomic_exchange(&ks->posted, true))
        return;
    atomic_fetch_add_explicit(&ks->refs, 1, memory_order_relaxed);
    loop_post(ks->loop, &ks->post);
}

/* ---- life --------------------------------------------------------------------------------------- */

struct key_source *key_source_new(struct loop *l, struct fetcher *f, struct key_listener *listener)
{
    struct key_source *ks = calloc(1, sizeof(*ks));
    if (!ks)
        return NULL;
    atomic_init(&ks->refs, 1);
    ks->post.run = on_post;
    ks->loop = l;
    ks->fetcher = f;
    ks->listener = listener;
    return ks;
}

static void works_free(struct loop *l, struct work *works, size_t n)
{
    for (size_t i = 0; works && i < n; i++) {
        fetch_cancel(&works[i].fetch);
        loop_timer_stop(l, &works[i].timer);
        key_refresh_release(&works[i].refresh);
    }
    free(works);
}

void key_source_free(struct key_source *ks)
{
    if (!ks)
        return;
    ks->closed = true;
    works_free(ks->loop, ks->works, ks->base ? ks->base->n : 0);
    ks->works = NULL;
    keyring_unref(ks->ring);
    keyring_unref(ks->base);
    ks->ring = ks->base = NULL;
    random_pool_release(&ks->random);
    source_unref(ks);
}

static bool same_keys(const struct issuer_config *a, const struct issuer_config *b)
{
    return str_equal(a->issuer, b->issuer) && str_equal(a->jwks_url, b->jwks_url) &&
           a->discovery == b->discovery && a->algorithms == b->algorithms;
}

/* Keys that an unchanged issuer already has go on serving while they are asked for again. */
static void inherit(struct work *w, const struct key_source *ks)
{
    for (size_t i = 0; ks->base && i < ks->base->n; i++) {
        const struct work *old = &ks->works[i];
        if (!ks->base->issuers[i].can_refetch ||
            !same_keys(ks->base->issuers[i].config, w->refresh.config))
            continue;
        const struct issuer_config *config = w->refresh.config;
        w->refresh = old->refresh;
        w->refresh.config = config;
        if (w->refresh.keys)
            keyset_ref(w->refresh.keys);
        w->last_failed = old->last_failed;
        w->logged_health = old->logged_health;
        w->refetch_after_s = old->refetch_after_s;
    }
}

static struct work *works_new(struct key_source *ks, const struct keyring *kr)
{
    struct work *works = calloc(kr->n + 1, sizeof(*works));
    for (size_t i = 0; works && i < kr->n; i++) {
        works[i] = (struct work){
            .source = ks,
            .index = i,
            .refresh = { .config = kr->issuers[i].config, .max_age_s = -1 },
            .fetch = { .done = on_reply },
            .timer = { .due = on_timer },
            .logged_health = HEALTH_NEW,
        };
        if (kr->issuers[i].can_refetch)
            inherit(&works[i], ks);
    }
    return works;
}

enum status key_source_use(struct key_source *ks, struct keyring *kr)
{
    struct work *works = works_new(ks, kr);
    const uint64_t version = ks->ring ? MAX_OF(kr->version, ks->ring->version) : kr->version;
    const uint64_t serial = (ks->ring ? MAX_OF(kr->serial, ks->ring->serial) : kr->serial) + 1;
    struct keyring *ring = works ? build(kr, works, version + 1, serial) : NULL;
    if (!ring) {
        works_free(ks->loop, works, kr->n);
        return ST_NO_MEMORY;
    }
    works_free(ks->loop, ks->works, ks->base ? ks->base->n : 0);
    keyring_unref(ks->ring);
    keyring_unref(ks->base);
    ks->works = works;
    ks->ring = ring;
    ks->base = keyring_ref(kr);
    ks->changed = false;
    ks->listener->changed(ks->listener, ks->ring);
    for (size_t i = 0; i < kr->n; i++) {
        works[i].ended_serial = serial; /* wants by rings before are of another configuration */
        if (kr->issuers[i].can_refetch)
            begin(&works[i]);
    }
    return ST_OK;
}
