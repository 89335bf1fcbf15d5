/*
 * keyring - the keys of all issuers at one moment: immutable, counted, posted to every loop; and the
 * judgement of a token by it.
 */
#ifndef PRESIGND_KEYRING_H
#define PRESIGND_KEYRING_H

#include "presignd/claims.h"
#include "presignd/keyset.h"
#include "presignd/token.h"

struct key_state {
    const struct issuer_config *config;
    struct keyset *keys; /* NULL: never had any, or older than 24 h without success */
    bool can_refetch;    /* jwks_url or discovery */
    bool last_fetch_failed;
    int64_t fetched_at_s;    /* of `keys`; 0 never */
    int64_t refetch_after_s; /* unix; before it an unknown kid causes no fetch */
};

struct keyring {
    atomic_int refs;
    uint64_t version; /* grows with every change of keys; the token cache empties on it */
    uint64_t serial;  /* grows with every ring that is published: which is the newer one */
    void *owner;      /* what the issuer_configs live in, kept by owner_unref; may be NULL */
    void (*owner_unref)(void *owner);
    size_t n;
    struct key_state issuers[];
};
struct keyring *keyring_new(size_t n); /* one reference, issuers zeroed; NULL without memory */
struct keyring *keyring_ref(struct keyring *kr);
void keyring_unref(struct keyring *kr);

enum { KEYRING_NO_NEED = -1, KEYRING_COOL_DOWN_S = 30, KEYRING_ISSUERS_MAX = 64 };

/* True when an unknown kid of that issuer may cause a fetch now. */
bool keyring_may_refetch(const struct key_state *s, int64_t now_s);

/*
 * Judges a token. ST_OK: *out is a principal with one reference. ST_INVALID_TOKEN: *reason is a
 * literal for the log. ST_KEYS_UNAVAILABLE: the keys of that issuer could not be had.
 * *out_need is KEYRING_NO_NEED, or the index of an issuer whose refetch might change the answer
 * (unknown kid, or no keys yet): ask key_source_want() for it, wait for the next keyring, judge once
 * more; the status of that second judgement stands, whatever it needs. Signature before claims;
 * only an exp long past is looked at before. ST_NO_MEMORY.
 */
MUST_CHECK enum status keyring_judge(const struct keyring *kr, struct str token, int64_t now_s,
                                     struct arena *scratch, struct principal **out, int *out_need,
                                     const char **reason);

#endif
