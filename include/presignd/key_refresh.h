/*
 * key_refresh - one issuer's way to fresh keys, without any I/O: says what to ask next and reads the
 * answer (RFC 7517, OpenID Connect Discovery 1.0 section 4). key_source does the asking. So tests and
 * fuzzers need no socket, and time is an argument.
 */
#ifndef PRESIGND_KEY_REFRESH_H
#define PRESIGND_KEY_REFRESH_H

#include "presignd/claims.h"
#include "presignd/fetch.h"
#include "presignd/hash.h"
#include "presignd/keyset.h"

enum {
    KEY_REFRESH_DEFAULT_S = 600, /* without Cache-Control: max-age */
    KEY_REFRESH_LEAST_S = 60,
    KEY_REFRESH_MOST_S = 3600,
    KEY_BACK_OFF_MOST_S = 60,
    KEY_LAST_GOOD_S = 86400,
    KEY_CALL_MS = 5000,
};

enum key_next {
    KEY_CALL,    /* out_call is what to ask */
    KEY_CHANGED, /* done: r->keys is another set; why may tell of keys that were skipped */
    KEY_SAME,    /* done: the keys are the same */
    KEY_FAILED,  /* why says what; r->keys is as before */
    KEY_LOST,    /* failed, and the last good keys went with it: they were over 24 h old */
};

struct key_refresh {
    const struct issuer_config *config;
    struct keyset *keys;              /* last good ones; NULL: none */
    int64_t fetched_at_s;             /* when keys were last seen to be right; 0 never */
    int64_t max_age_s;                /* of the last answer; -1 it said nothing */
    int failures;                     /* in a row */
    bool at_discovery;                /* what was asked last */
    unsigned char digest[HASH_BYTES]; /* of the document the keys came from */
};

void key_refresh_release(struct key_refresh *r);

/* https, or http to a loopback address or "localhost"; no user name, no fragment. */
bool key_url_ok(struct str url);

/* last->kind is REPLY_NONE at the start of an attempt. A failing reply never leads to KEY_CALL. */
enum key_next key_refresh_next(struct key_refresh *r, const struct reply *last, int64_t now_s,
                               struct call *out_call, struct buf *why);

/* How long to wait after an attempt, +- 10 %: `jitter` is uniform in [0, 200]. */
int64_t key_refresh_delay_ms(const struct key_refresh *r, int64_t jitter);

#endif
