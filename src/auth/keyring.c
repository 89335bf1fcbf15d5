/*
 * keyring - all issuers' keys, and the judgement of a token by them.
 *
 * The order is gate, issuer, algorithm, key, signature, claims. Every refusal is one status; what
 * differs is only the reason, which is for the log. Keys that cannot be had are never the client's
 * fault: ST_KEYS_UNAVAILABLE.
 */
#include "presignd/keyring.h"

#include <stdlib.h>

struct keyring *keyring_new(size_t n)
{
    if (n > KEYRING_ISSUERS_MAX)
        return NULL;
    struct keyring *kr = calloc(1, sizeof(*kr) + n * sizeof(kr->issuers[0]));
    if (!kr)
        return NULL;
    atomic_init(&kr->refs, 1);
    kr->n = n;
    return kr;
}

struct keyring *keyring_ref(struct keyring *kr)
{
    atomic_fetch_add_explicit(&kr->refs, 1, memory_order_relaxed);
    return kr;
}

void keyring_unref(struct keyring *kr)
{
    if (!kr || atomic_fetch_sub_explicit(&kr->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < kr->n; i++)
        keyset_unref(kr->issuers[i].keys);
    if (kr->owner_unref)
        kr->owner_unref(kr->owner);
    free(kr);
}

/* A request keeps its reading of the clock while it waits, so it may be somewhat behind a cool-down
 * that began meanwhile; only one that ends far from now is due to a clock that was set back. */
bool keyring_may_refetch(const struct key_state *s, int64_t now_s)
{
    const int64_t left_s = s->refetch_after_s - now_s;
    return s->can_refetch && (left_s <= 0 || left_s > 2 * KEYRING_COOL_DOWN_S);
}

static enum status refuse(const char **reason, const char *literal)
{
    *reason = literal;
    return ST_INVALID_TOKEN;
}

static enum status unavailable(const char **reason, const char *literal)
{
    *reason = literal;
    return ST_KEYS_UNAVAILABLE;
}

static bool find_issuer(const struct keyring *kr, const struct token *t, size_t *out_index)
{
    json_t *iss = json_object_get(t->claims, "iss");
    const struct str name = { json_string_value(iss), json_string_length(iss) };
    for (size_t i = 0; json_is_string(iss) && i < kr->n; i++) {
        if (str_equal(name, kr->issuers[i].config->issuer)) {
            *out_index = i;
            return true;
        }
    }
    return false;
}

/* *out_lacking: the key (or any key) is not there, and a fetch might bring it. */
static enum status find_key(const struct key_state *s, const struct token *t,
                            const struct jwk **out, bool *out_lacking, const char **reason)
{
    *out_lacking = !s->keys;
    if (!s->keys)
        return unavailable(reason, "no keys of this issuer");
    *out = keyset_find(s->keys, t->kid, t->has_kid, t->alg, out_lacking);
    if (*out)
        return ST_OK;
    if (!*out_lacking)
        return refuse(reason, "no key, or not exactly one, fits kid and alg");
    if (s->can_refetch && s->last_fetch_failed)
        return unavailable(reason, "unknown kid, and the keys could not be fetched");
    return refuse(reason, "unknown kid");
}

static enum status judge(const struct keyring *kr, const struct token *t, int64_t now_s,
                         struct principal **out, int *out_need, const char **reason)
{
    size_t i = 0;
    if (!find_issuer(kr, t, &i))
        return refuse(reason, "unknown issuer");
    const struct key_state *s = &kr->issuers[i];
    if ((s->config->algorithms & t->alg) == 0)
        return refuse(reason, "alg is not allowed for this issuer");
    if (claims_expired(s->config, t->claims, now_s))
        return refuse(reason, "expired");

    const struct jwk *key = NULL;
    bool lacking = false;
    const enum status st = find_key(s, t, &key, &lacking, reason);
    if (lacking && keyring_may_refetch(s, now_s))
        *out_need = (int)i;
    if (st != ST_OK)
        return st;
    const enum status verified = jwk_verify(key, t->alg, t->signed_text, t->signature);
    if (verified == ST_NO_MEMORY)
        return verified;
    if (verified != ST_OK)
        return refuse(reason, "signature does not verify");
    return claims_check(s->config, i, t->claims, now_s, out, reason);
}

enum status keyring_judge(const struct keyring *kr, struct str token, int64_t now_s,
                          struct arena *scratch, struct principal **out, int *out_need,
                          const char **reason)
{
    struct token t;
    *out_need = KEYRING_NO_NEED;
    TRY(token_parse(&t, token, scratch, reason));
    const enum status st = judge(kr, &t, now_s, out, out_need, reason);
    token_release(&t);
    return st;
}
