/*
 * authenticate - the first step: who is asking? The token comes from the Authorization header (RFC
 * 6750 section 2.1) or, where configured, from a cookie (RFC 6265); the header beats the cookie.
 *
 * A token whose keys might be had by asking again waits for that one fetch, which all who wait share.
 */
#include "presignd/grant.h"

enum { KEYS_PATIENCE_MS = 4000 };

/* ST_OK with the token, ST_MISSING_TOKEN, or ST_INVALID_TOKEN for a cookie sent twice. */
static enum status token_from_header(struct str value, struct str *out)
{
    static const struct str scheme = STR_INIT("Bearer");
    const size_t blank = str_find(value, ' ', 0);
    if (!str_equal_nocase(str_slice(value, 0, blank), scheme))
        return ST_MISSING_TOKEN;
    *out = str_slice(value, blank + 1, value.len);
    return ST_OK;
}

static enum status token_from_cookie(struct str line, struct str name, struct str *out)
{
    struct str pair;
    bool found = false;
    while (str_cut(&line, ';', &pair)) {
        pair = str_trim(pair);
        const size_t eq = str_find(pair, '=', 0);
        if (!str_equal(str_slice(pair, 0, eq), name))
            continue;
        if (found)
            return ST_INVALID_TOKEN;
        found = true;
        *out = str_slice(pair, eq + 1, pair.len);
    }
    return found ? ST_OK : ST_MISSING_TOKEN;
}

static enum status find_token(const struct grant_call *g, struct str *out)
{
    const struct headers *h = &g->r.headers;
    if (h->seen[HEADER_AUTHORIZATION])
        return token_from_header(h->values[HEADER_AUTHORIZATION], out);
    const struct str cookie = g->world->settings.cookie;
    if (cookie.len == 0 || !h->seen[HEADER_COOKIE])
        return ST_MISSING_TOKEN;
    if (h->seen[HEADER_COOKIE] > 1)
        return ST_INVALID_TOKEN;
    return token_from_cookie(h->values[HEADER_COOKIE], cookie, out);
}

/* One and the same body for every cause; the cause is for the log. */
static enum step invalid_token(struct grant_call *g, const char *reason)
{
    fault_set(&g->r.fault, ST_INVALID_TOKEN, STR_NONE);
    g->r.fault.log_reason = str_from(reason);
    return request_refuse(&g->r, ST_INVALID_TOKEN);
}

static enum step missing_token(struct grant_call *g)
{
    fault_set(&g->r.fault, ST_MISSING_TOKEN, STR("Send a token: Authorization: Bearer <JWT>."));
    return request_refuse(&g->r, ST_MISSING_TOKEN);
}

static enum step no_keys(struct grant_call *g)
{
    fault_set(&g->r.fault, ST_KEYS_UNAVAILABLE,
              STR("The keys of the token's issuer cannot be had at the moment."));
    g->r.fault.retry_after_s = GRANT_RETRY_AFTER_S;
    return request_refuse(&g->r, ST_KEYS_UNAVAILABLE);
}

static enum step check_scope(struct grant_call *g)
{
    const struct keyring *kr = g->world->keyring;
    const struct str wanted = kr->issuers[g->who->issuer_index].config->scope;
    if (wanted.len == 0 || principal_has_scope(g->who, wanted))
        return STEP_ON;
    fault_set(&g->r.fault, ST_INSUFFICIENT_SCOPE, STR("The token lacks the scope for uploads."));
    fault_str(&g->r.fault, "required", wanted);
    return request_refuse(&g->r, ST_INSUFFICIENT_SCOPE);
}

/* The world may have moved on while the request waited: take the one of now. */
static void take_world(struct grant_call *g, struct worker *w)
{
    world_unref(g->world);
    g->world = world_ref(w->world);
}

static enum step wait_for_keys(struct grant_call *g, struct worker *w, size_t issuer)
{
    if (g->patience_ms == 0)
        g->patience_ms = loop_now_ms(w->loop) + KEYS_PATIENCE_MS;
    waiter_join(&w->key_waiters, &g->waiter, &g->r);
    key_source_want(w->fleet->key_source, issuer, g->world->keyring);
    return request_wait(&g->r, g->patience_ms);
}

static enum step judge(struct grant_call *g, struct worker *w, struct str token)
{
    const char *reason = "";
    int need = KEYRING_NO_NEED;
    const struct keyring *kr = g->world->keyring;
    const enum status st =
        keyring_judge(kr, token, g->r.now_s, &g->r.arena, &g->who, &need, &reason);
    if (st == ST_OK) {
        token_cache_put(w->tokens, kr->version, token, g->who);
        return check_scope(g);
    }
    if (need != KEYRING_NO_NEED && !g->r.timed_out)
        return wait_for_keys(g, w, (size_t)need);
    if (st == ST_KEYS_UNAVAILABLE || need != KEYRING_NO_NEED)
        return no_keys(g);
    if (st == ST_INVALID_TOKEN)
        return invalid_token(g, reason);
    return request_refuse(&g->r, ST_OVERLOADED);
}

enum step grant_authenticate(struct request *r)
{
    struct grant_call *g = grant_call_of(r);
    struct worker *w = worker_of(r);
    waiter_leave(&g->waiter);
    take_world(g, w);
    if (!g->world->keyring || !g->world->settings.rules)
        return no_keys(g);

    struct str token;
    const enum status st = find_token(g, &token);
    if (st == ST_MISSING_TOKEN)
        return missing_token(g);
    if (st != ST_OK)
        return invalid_token(g, "cookie sent twice");

    g->who = token_cache_get(w->tokens, g->world->keyring->version, token, r->now_s);
    if (g->who) {
        metric_add(&w->metrics.token_cache_hits, 1);
        return check_scope(g);
    }
    if (g->patience_ms == 0)
        metric_add(&w->metrics.token_cache_misses, 1);
    return judge(g, w, token);
}
