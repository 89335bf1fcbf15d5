/*
 * What a key host answers: a key set, a discovery document, or (behind a first '-') a PEM. Keys that
 * come out are bound to algorithms of their own type, never to HMAC, and believe no junk.
 */
#include <stdlib.h>
#include <string.h>

#include "presignd/key_refresh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ALL = (1 << JWA_KINDS) - 1, WHY_MAX = 65536, INPUT_MAX = 65536 };
enum {
    RSA_SET = JWA_RS256 | JWA_RS384 | JWA_RS512 | JWA_PS256 | JWA_PS384 | JWA_PS512,
};

static void must(bool promise)
{
    if (!promise)
        abort();
}

static bool one_type(unsigned algs)
{
    return algs != 0 && ((algs & ~(unsigned)RSA_SET) == 0 || (algs & (algs - 1)) == 0) &&
           (algs & JWA_HS_ALL) == 0;
}

static void check_keys(struct keyset *ks)
{
    bool unknown;
    must(ks->n > 0 && ks->n <= KEYSET_KEYS_MAX);
    for (size_t i = 0; i < ks->n; i++) {
        const struct jwk *k = &ks->keys[i];
        must(k->pkey && k->secret.len == 0 && one_type(k->algs) && k->kid.len <= KID_MAX);
        if (k->kid.len > 0)
            must(keyset_find(ks, k->kid, true, k->algs & -k->algs, &unknown) == k);
    }
    for (size_t bit = 0; bit < JWA_KINDS; bit++)
        must(jwk_verify(&ks->keys[0], 1U << bit, STR("text"), STR("junk")) != ST_OK);
}

static void check_discovery(struct str in)
{
    const struct issuer_config config = { .issuer = STR("https://i/"), .discovery = true };
    struct key_refresh r = { .config = &config };
    AUTO(call) call = CALL_INIT;
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    must(key_refresh_next(&r, &(struct reply){ .kind = REPLY_NONE }, 0, &call, &why) == KEY_CALL);
    const struct reply reply = { .kind = REPLY_HTTP, .http = 200, .body = in };
    const enum key_next next = key_refresh_next(&r, &reply, 0, &call, &why);
    must(next == KEY_CALL || (next == KEY_FAILED && why.len > 0));
    must(next != KEY_CALL || key_url_ok(buf_view(&call.url)));
    key_refresh_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str in = { (const char *)data, size };
    if (size > INPUT_MAX)
        return 0;
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    const bool pem = size > 0 && data[0] == '-';
    struct keyset *ks = pem ? keyset_from_pem(in, ALL, &why) : keyset_from_jwks(in, ALL, &why);
    if (ks)
        check_keys(ks);
    else
        must(why.len > 0 || why.st != ST_OK);
    keyset_unref(ks);
    if (!pem)
        check_discovery(in);
    return 0;
}
