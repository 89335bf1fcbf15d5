/*
 * idempotency - a request sent again with the same Idempotency-Key gets the grant of the first one
 * (draft-ietf-httpapi-idempotency-key-header: the key, the fingerprint of the request, 409).
 *
 * The ledger remembers, per user and key, the hash of what was asked (and decided, but for ids and
 * times) and the ids that were granted.
 * Nothing of the packet is kept: a repeated request is decided and signed again.
 */
#include <string.h>

#include "presignd/encode.h"
#include "presignd/grant.h"

enum { SECOND_US = 1000000, DECISION_TEXT = 4096 };

/* ---- the header --------------------------------------------------------------------------------- */

/* The draft has a quoted string there (RFC 9651 section 3.3.3), most clients send it bare. */
static struct str unquoted(struct str value)
{
    if (value.len >= 2 && str_starts(value, STR("\"")) && str_ends(value, STR("\"")))
        return str_slice(value, 1, value.len - 1);
    return value;
}

static bool key_ok(struct str key)
{
    if (key.len == 0 || key.len > IDEMPOTENCY_KEY_MAX)
        return false;
    for (size_t i = 0; i < key.len; i++) {
        const char c = key.ptr[i];
        if (!ascii_alnum(c) && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* What the ledger holds for a file: rules that changed meanwhile make another request of it. */
static void hash_file(struct hash *h, const struct decision *d)
{
    AUTO(buf) text = BUF_INIT(DECISION_TEXT);
    buf_lit(&text, "\n");
    buf_str(&text, d->profile->name);
    buf_lit(&text, " ");
    buf_str(&text, d->bucket->where.bucket);
    buf_lit(&text, " ");
    buf_int(&text, d->reserve_bytes);
    buf_str(&text, d->post ? STR(" POST") : STR(" PUT"));
    hash_add(h, buf_view(&text));
}

void grant_hash_request(struct grant_call *g)
{
    unsigned char sum[HASH_BYTES];
    struct buf hex = BUF_FIXED(g->request_hash);
    struct hash h;
    hash_start(&h);
    hash_add(&h, g->r.path);
    hash_add(&h, STR("\n"));
    hash_add(&h, g->r.query);
    hash_add(&h, STR("\n"));
    hash_add(&h, g->r.body);
    for (size_t i = 0; i < g->n; i++)
        hash_file(&h, &g->grants[i].decision);
    hash_end(&h, sum);
    encode_hex(&hex, (struct str){ (const char *)sum, sizeof(sum) });
}

enum step grant_idempotency(struct request *r)
{
    struct grant_call *g = grant_call_of(r);
    const unsigned char seen = r->headers.seen[HEADER_IDEMPOTENCY_KEY];
    if (seen == 0 || g->dry_run || !worker_of(r)->ledger->kind->remembers)
        return STEP_ON;
    const struct str key = unquoted(r->headers.values[HEADER_IDEMPOTENCY_KEY]);
    if (seen > 1)
        return grant_bad_member(g, STR("Idempotency-Key"),
                                STR("Idempotency-Key must be sent once."));
    if (!key_ok(key))
        return grant_bad_member(g, STR("Idempotency-Key"),
                                STR("Idempotency-Key must be 1 to 64 of A-Z a-z 0-9 . _ -"));
    g->idempotency_key = key;
    return STEP_ON;
}

/* ---- the same grant again ----------------------------------------------------------------------- */

static enum step another_key(struct grant_call *g)
{
    fault_set(&g->r.fault, ST_IDEMPOTENCY_CONFLICT,
              STR("The rules have changed since the first request with this Idempotency-Key."));
    return request_refuse(&g->r, ST_IDEMPOTENCY_CONFLICT);
}

enum step grant_replay(struct grant_call *g)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct ledger_replay *was = &g->op.replay[i];
        struct decision *d = &g->grants[i].decision;
        const int64_t life_s = d->life_s;
        const enum expiry_limit limited_by = d->limited_by;
        struct grant_ids ids;
        memcpy(ids.id, was->id, sizeof(ids.id));
        memcpy(ids.uuid, was->uuid, sizeof(ids.uuid));
        const enum step s = grant_decide_file(g, i, &ids, was->created_us / SECOND_US);
        if (s != STEP_ON)
            return s;
        if (!str_equal(d->key, was->key))
            return another_key(g);
        d->life_s = life_s;
        d->limited_by = limited_by;
    }
    return STEP_ON;
}
