/*
 * random - unguessable bytes and UUIDs, from a pool of the owner (one per loop).
 *
 * The pool is filled by RAND_bytes (4 KiB at a time); bytes handed out are wiped from it. UUIDs are
 * RFC 9562: version 4 (random) and 7 (milliseconds + random). Text by libuuid.
 */
#ifndef PRESIGND_RANDOM_H
#define PRESIGND_RANDOM_H

#include "presignd/status.h"

enum { UUID_TEXT = 36, RANDOM_POOL = 4096 };

struct random_pool {
    unsigned char bytes[RANDOM_POOL];
    size_t left;
};

void random_pool_release(struct random_pool *p);

/* ST_OK or ST_INTERNAL when the system has no randomness (never seen; a grant must fail then). */
MUST_CHECK enum status random_bytes(struct random_pool *p, void *out, size_t n);
MUST_CHECK enum status random_uuid4(struct random_pool *p, char out[UUID_TEXT + 1]);
MUST_CHECK enum status random_uuid7(struct random_pool *p, int64_t wall_ms,
                                    char out[UUID_TEXT + 1]);

/* Uniform in [0, below); below > 0. For jitter; falls back to 0 without randomness. */
int64_t random_below(struct random_pool *p, int64_t below);

/* True for the canonical lower- or upper-case text form of any UUID. */
bool random_is_uuid(struct str s);

#endif
