/*
 * key_source - keeps the issuers' keys fresh (RFC 8414 / OpenID Connect Discovery 1.0, RFC 7517).
 *
 * Lives on one loop. Static keys (file, PEM, secret) are read by key_source_load before or off the
 * loop; jwks_url and discovery are fetched in the background: clamp(Cache-Control max-age, 60 s, 1 h),
 * default 10 min, +- 10 %; on failure 1 to 60 s back-off; last good kept 24 h; one refetch per 30 s
 * on an unknown kid; 1 MiB, 100 keys, 5 s; https unless loopback; no redirects.
 */
#ifndef PRESIGND_KEY_SOURCE_H
#define PRESIGND_KEY_SOURCE_H

#include "presignd/fetch.h"
#include "presignd/keyring.h"
#include "presignd/random.h"

/*
 * Reads what lies in files and checks the rest; touches files, so never on a loop. Returns a keyring
 * with static keys filled in and URL issuers empty; *why may then tell of keys that were skipped. Or
 * NULL: *why names the issuer and the fault. At most KEYRING_ISSUERS_MAX issuers, each named once.
 * owner/owner_unref: keeps the configs alive; one reference is taken over, with NULL let go.
 */
struct keyring *key_source_load(const struct issuer_config *issuers, size_t n, void *owner,
                                void (*owner_unref)(void *owner), struct buf *why);

/* True when a URL may be asked for keys: https, or http to a loopback address or "localhost". */
bool key_source_url_ok(struct str url);

struct key_source;

/* Hears every new keyring and the end of every fetch attempt (the same ring, or a newer one);
 * `kr` is borrowed for the call. On the source's loop. */
struct key_listener {
    void (*changed)(struct key_listener *l, struct keyring *kr);
};

struct key_source *key_source_new(struct loop *l, struct fetcher *f, struct key_listener *listener);
void key_source_free(struct key_source *ks);

/* On its loop: start with, or change to (reload), this ring; keys of unchanged URL issuers are kept
 * from the ring before. Takes a reference of its own. Fetching starts at once. */
MUST_CHECK enum status key_source_use(struct key_source *ks, struct keyring *kr);

/* From any thread: by the ring `seen`, an unknown kid (or no keys) of that issuer was met. Single
 * flight. Within the cool-down, or when an attempt has ended that `seen` does not know of, the
 * listener is called at once with the ring as it is. */
void key_source_want(struct key_source *ks, size_t issuer_index, const struct keyring *seen);

#endif
