/*
 * principal - who is asking, after the token was believed. Counted, owned by one loop's thread.
 *
 * A user is the pair (issuer, user claim); `user_hash` stands for it wherever one word is needed.
 */
#ifndef PRESIGND_PRINCIPAL_H
#define PRESIGND_PRINCIPAL_H

#include <jansson.h>

#include "presignd/arena.h"

struct principal {
    int refs;
    struct str issuer;
    struct str user;
    char user_hash[33];   /* first 32 hex digits of SHA-256(issuer LF user) */
    struct str tenant;    /* "" when the token has none */
    struct str plan;      /* as in the token; "" when none; the rules resolve it */
    struct str scope;     /* words separated by blanks, from scope or scp (arrays joined) */
    int64_t expires_at_s; /* the token's exp, cut to whole seconds */
    int64_t not_before_s; /* nbf; 0 when none */
    int64_t leeway_s;     /* of the issuer */
    size_t issuer_index;  /* in the keyring */
    json_t *claims;       /* the whole payload, for {claim:NAME} and allow.claims */
    struct arena text;
};

struct principal *principal_new(void);
struct principal *principal_ref(struct principal *p);
void principal_unref(struct principal *p);

/* True when `word` is one of the blank-separated words of the scope. */
bool principal_has_scope(const struct principal *p, struct str word);

/* Writes user_hash. */
void principal_hash_user(struct str issuer, struct str user, char out[33]);

#endif
