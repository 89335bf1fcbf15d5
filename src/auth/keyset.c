/*
 * keyset - one issuer's keys.
 *
 * A set is small (a handful, at most 100) and looked through from the front. What is wrong with one
 * key costs that key only: providers publish kinds that are none of our business next to ours.
 */
#include "presignd/keyset.h"

#include <stdlib.h>

#include "presignd/json_read.h"

enum { JSON_DEPTH_MAX = 16, ERRORS_MAX = 65536 };

static struct keyset *keyset_new(size_t room)
{
    struct keyset *ks = calloc(1, sizeof(*ks) + room * sizeof(ks->keys[0]));
    if (ks)
        atomic_init(&ks->refs, 1);
    return ks;
}

struct keyset *keyset_ref(struct keyset *ks)
{
    atomic_fetch_add_explicit(&ks->refs, 1, memory_order_relaxed);
    return ks;
}

void keyset_unref(struct keyset *ks)
{
    if (!ks || atomic_fetch_sub_explicit(&ks->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < ks->n; i++)
        jwk_release(&ks->keys[i]);
    free(ks);
}

/* The kid points into its own struct, so it is set anew at each move. */
static void move_key(struct jwk *to, struct jwk *from)
{
    if (to == from)
        return;
    *to = *from;
    to->kid = (struct str){ to->kid_text, from->kid.len };
    crypto_wipe(from, sizeof(*from));
}

static void note(struct buf *why, size_t index, struct str kid, struct str sentence)
{
    buf_lit(why, "key ");
    buf_int(why, (int64_t)index);
    if (kid.len > 0) {
        buf_lit(why, " (kid ");
        buf_str(why, kid);
        buf_lit(why, ")");
    }
    buf_lit(why, " skipped: ");
    buf_str(why, sentence);
    buf_lit(why, "; ");
}

static bool has_twin(const struct keyset *ks, size_t at)
{
    const struct str kid = ks->keys[at].kid;
    for (size_t i = 0; kid.len > 0 && i < ks->n; i++) {
        if (i != at && str_equal(kid, ks->keys[i].kid))
            return true;
    }
    return false;
}

static void drop_twins(struct keyset *ks, struct buf *why)
{
    bool twin[KEYSET_KEYS_MAX] = { false };
    for (size_t i = 0; i < ks->n; i++)
        twin[i] = has_twin(ks, i);

    size_t kept = 0;
    for (size_t i = 0; i < ks->n; i++) {
        if (twin[i]) {
            note(why, i, ks->keys[i].kid, STR("another key has the same kid"));
            jwk_release(&ks->keys[i]);
        } else {
            move_key(&ks->keys[kept++], &ks->keys[i]);
        }
    }
    ks->n = kept;
}

static enum status fill(struct keyset *ks, json_t *keys, unsigned allowed, struct buf *why)
{
    size_t i;
    json_t *one;
    json_array_foreach(keys, i, one)
    {
        char space[256];
        struct buf reason = BUF_FIXED(space);
        struct jwk *k = &ks->keys[ks->n];
        const enum status st = jwk_from_json(k, one, allowed, &reason);
        if (st == ST_NO_MEMORY)
            return st;
        if (st == ST_OK)
            ks->n++;
        else
            note(why, i, k->kid, buf_view(&reason));
    }
    drop_twins(ks, why);
    return ST_OK;
}

static struct keyset *from_document(json_t *doc, unsigned allowed, struct buf *why)
{
    json_t *keys = json_object_get(doc, "keys");
    if (!json_is_array(keys)) {
        buf_lit(why, "it is no JWK set: no array \"keys\"");
        return NULL;
    }
    if (json_array_size(keys) > KEYSET_KEYS_MAX) {
        buf_lit(why, "the JWK set has more than 100 keys");
        return NULL;
    }
    struct keyset *ks = keyset_new(json_array_size(keys));
    if (!ks || fill(ks, keys, allowed, why) != ST_OK) {
        buf_lit(why, "no memory for the JWK set");
        keyset_unref(ks);
        return NULL;
    }
    if (ks->n == 0) {
        buf_lit(why, "the JWK set has no usable key");
        keyset_unref(ks);
        return NULL;
    }
    return ks;
}

struct keyset *keyset_from_jwks(struct str json, unsigned allowed, struct buf *why)
{
    if (json.len > KEYSET_BYTES_MAX) {
        buf_lit(why, "the JWK set is over 1 MiB");
        return NULL;
    }
    AUTO(arena) errors = ARENA_INIT(ERRORS_MAX);
    struct jr_error err = { .detail = STR("no memory") };
    json_t *doc = NULL;
    if (jr_parse(json, JSON_DEPTH_MAX, &errors, &doc, &err) != ST_OK) {
        buf_lit(why, "it is no JSON of ours: ");
        buf_str(why, err.detail);
        return NULL;
    }
    struct keyset *ks = from_document(doc, allowed, why);
    json_decref(doc);
    return ks;
}

typedef enum status jwk_reader(struct jwk *out, struct str text, unsigned allowed, struct buf *why);

/* The only key of its issuer has no kid and answers to any. */
static struct keyset *of_one(jwk_reader *read, struct str text, unsigned allowed, struct buf *why)
{
    struct keyset *ks = keyset_new(1);
    if (!ks) {
        buf_lit(why, "no memory");
        return NULL;
    }
    if (read(&ks->keys[0], text, allowed, why) != ST_OK) {
        keyset_unref(ks);
        return NULL;
    }
    ks->n = 1;
    ks->any_kid = true;
    return ks;
}

struct keyset *keyset_from_pem(struct str pem, unsigned allowed, struct buf *why)
{
    return of_one(jwk_from_pem, pem, allowed, why);
}

struct keyset *keyset_from_secret(struct str secret, unsigned allowed, struct buf *why)
{
    return of_one(jwk_from_secret, secret, allowed, why);
}

/* RFC 7515 section 6 leaves it open; API.md section 1: exactly one key must fit. */
static const struct jwk *only_fitting(const struct keyset *ks, unsigned alg)
{
    const struct jwk *found = NULL;
    for (size_t i = 0; i < ks->n; i++) {
        if ((ks->keys[i].algs & alg) == 0)
            continue;
        if (found)
            return NULL;
        found = &ks->keys[i];
    }
    return found;
}

const struct jwk *keyset_find(const struct keyset *ks, struct str kid, bool has_kid, unsigned alg,
                              bool *out_unknown_kid)
{
    *out_unknown_kid = false;
    if (!has_kid || ks->any_kid)
        return only_fitting(ks, alg);
    for (size_t i = 0; kid.len > 0 && i < ks->n; i++) {
        const struct jwk *k = &ks->keys[i];
        if (str_equal(kid, k->kid))
            return (k->algs & alg) ? k : NULL;
    }
    *out_unknown_kid = true;
    return NULL;
}
