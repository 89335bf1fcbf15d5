/*
 * token_cache - verified tokens of one loop, keyed by the whole token. Bounded; the least recently
 * used goes. At every hit exp and nbf are looked at again; it empties when the keyring's version
 * changes, so that a withdrawn key takes its tokens along.
 */
#ifndef PRESIGND_TOKEN_CACHE_H
#define PRESIGND_TOKEN_CACHE_H

#include "presignd/keyring.h"

struct token_cache;

/* Room for that many tokens (and at most `max_bytes` of token text). NULL without memory. */
struct token_cache *token_cache_new(size_t max_tokens, size_t max_bytes);
void token_cache_free(struct token_cache *tc);

/* A new reference, or NULL on a miss. */
struct principal *token_cache_get(struct token_cache *tc, uint64_t keyring_version,
                                  struct str token, int64_t now_s);

/* Remembers (takes a reference of its own); silently does not when there is no room or memory. */
void token_cache_put(struct token_cache *tc, uint64_t keyring_version, struct str token,
                     struct principal *p);

#endif
