/*
 * token_cache - a chained hash table threaded by a least-recently-used list.
 *
 * The hash is SipHash-2-4 under a random key over the last 64 bytes only: they are the signature,
 * which whoever holds valid tokens cannot choose. Equality is that of all bytes. Its memcmp gives
 * nothing away: who reaches it already has the signature of the stored token.
 */
#include "presignd/token_cache.h"

#include <stdlib.h>

#include <openssl/rand.h>

enum { HASHED_BYTES = 64 };

struct entry {
    struct entry *chain; /* next in its bucket */
    struct entry *newer, *older;
    struct principal *who;
    uint64_t hash;
    size_t len;
    char bytes[];
};

struct token_cache {
    uint64_t version;
    uint64_t seed[2];
    size_t max_tokens, max_bytes;
    size_t tokens, bytes;
    struct entry *newest, *oldest;
    size_t mask;
    struct entry *buckets[];
};

/* ---- SipHash-2-4 (Aumasson, Bernstein 2012) ----------------------------------------------------- */

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

static uint64_t sip_hash(const uint64_t seed[2], struct str s)
{
    uint64_t v[4] = { seed[0] ^ UINT64_C(0x736f6d6570736575),
                      seed[1] ^ UINT64_C(0x646f72616e646f6d),
                      seed[0] ^ UINT64_C(0x6c7967656e657261),
                      seed[1] ^ UINT64_C(0x7465646279746573) };
    uint64_t last = (uint64_t)s.len << 56;
    size_t at = 0;
    for (; s.len - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t word; /* byte order is ours: the hash never leaves the process */
        memcpy(&word, s.ptr + at, sizeof(word));
        sip_word(v, word);
    }
    for (int shift = 0; at < s.len; at++, shift += 8)
        last |= (uint64_t)(unsigned char)s.ptr[at] << shift;
    sip_word(v, last);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t hash_of(const struct token_cache *tc, struct str token)
{
    return sip_hash(tc->seed,
                    str_slice(token, token.len - MIN_OF(token.len, HASHED_BYTES), token.len));
}

/* ---- the table ---------------------------------------------------------------------------------- */

static size_t buckets_for(size_t tokens)
{
    size_t n = 16;
    while (n < tokens && n <= SIZE_MAX / 4 / sizeof(struct entry *))
        n *= 2;
    return n;
}

struct token_cache *token_cache_new(size_t max_tokens, size_t max_bytes)
{
    const size_t n = buckets_for(max_tokens);
    struct token_cache *tc = calloc(1, sizeof(*tc) + n * sizeof(tc->buckets[0]));
    if (!tc)
        return NULL;
    tc->max_tokens = max_tokens;
    tc->max_bytes = max_bytes;
    tc->mask = n - 1;
    if (RAND_bytes((unsigned char *)tc->seed, (int)sizeof(tc->seed)) != 1) {
        free(tc);
        return NULL;
    }
    return tc;
}

static struct entry **bucket(struct token_cache *tc, uint64_t hash)
{
    return &tc->buckets[hash & tc->mask];
}

static void list_add(struct token_cache *tc, struct entry *e)
{
    e->newer = NULL;
    e->older = tc->newest;
    if (tc->newest)
        tc->newest->newer = e;
    else
        tc->oldest = e;
    tc->newest = e;
}

static void list_remove(struct token_cache *tc, struct entry *e)
{
    if (e->newer)
        e->newer->older = e->older;
    else
        tc->newest = e->older;
    if (e->older)
        e->older->newer = e->newer;
    else
        tc->oldest = e->newer;
}

static void drop(struct token_cache *tc, struct entry *e)
{
    struct entry **link = bucket(tc, e->hash);
    while (*link != e)
        link = &(*link)->chain;
    *link = e->chain;
    list_remove(tc, e);
    tc->tokens--;
    tc->bytes -= e->len;
    principal_unref(e->who);
    crypto_wipe(e->bytes, e->len);
    free(e);
}

static void drop_all(struct token_cache *tc)
{
    while (tc->oldest)
        drop(tc, tc->oldest);
}

void token_cache_free(struct token_cache *tc)
{
    if (!tc)
        return;
    drop_all(tc);
    free(tc);
}

static void follow(struct token_cache *tc, uint64_t version)
{
    if (tc->version == version)
        return;
    drop_all(tc);
    tc->version = version;
}

static struct entry *find(struct token_cache *tc, uint64_t hash, struct str token)
{
    struct entry *e = *bucket(tc, hash);
    while (e && (e->hash != hash || !str_equal((struct str){ e->bytes, e->len }, token)))
        e = e->chain;
    return e;
}

struct principal *token_cache_get(struct token_cache *tc, uint64_t keyring_version,
                                  struct str token, int64_t now_s)
{
    follow(tc, keyring_version);
    struct entry *e = find(tc, hash_of(tc, token), token);
    if (!e)
        return NULL;
    if (!claims_still_good(e->who, now_s)) {
        drop(tc, e);
        return NULL;
    }
    if (e != tc->newest) {
        list_remove(tc, e);
        list_add(tc, e);
    }
    return principal_ref(e->who);
}

static void add(struct token_cache *tc, uint64_t hash, struct str token, struct principal *p)
{
    struct entry *e = malloc(sizeof(*e) + token.len);
    if (!e)
        return;
    *e = (struct entry){ .hash = hash, .len = token.len, .who = principal_ref(p) };
    memcpy(e->bytes, token.ptr, token.len);
    e->chain = *bucket(tc, hash);
    *bucket(tc, hash) = e;
    list_add(tc, e);
    tc->tokens++;
    tc->bytes += token.len;
}

void token_cache_put(struct token_cache *tc, uint64_t keyring_version, struct str token,
                     struct principal *p)
{
    follow(tc, keyring_version);
    const uint64_t hash = hash_of(tc, token);
    if (token.len == 0 || token.len > tc->max_bytes || tc->max_tokens == 0 || find(tc, hash, token))
        return;
    while (tc->tokens >= tc->max_tokens || tc->bytes > tc->max_bytes - token.len)
        drop(tc, tc->oldest);
    add(tc, hash, token, p);
}
