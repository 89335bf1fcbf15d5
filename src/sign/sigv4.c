/*
 * sigv4 - the signing key, and what it signs.
 *
 * A signing key is good for one credential, day and region, so it is derived once and kept; a
 * signature is then one HMAC. Everything between the secret and the key is wiped.
 */
#include "presignd/sigv4.h"

#include <string.h>

#include "presignd/date.h"
#include "presignd/encode.h"

static const int64_t LAST_S = 253402300799; /* 9999-12-31T23:59:59Z */

enum { ACCESS_KEY_BYTES_MAX = 128, SECRET_BYTES_MAX = 256, SERVICE_BYTES_MAX = 16, DAY_S = 86400 };

/* Nothing that would need an escape in a policy, a header or between the slashes of the scope. */
static bool access_key_ok(struct str s)
{
    if (s.len == 0 || s.len > ACCESS_KEY_BYTES_MAX || !str_printable_ascii(s))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (memchr(" /\"\\$,", s.ptr[i], 6))
            return false;
    return true;
}

static bool region_ok(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_alnum(s.ptr[i]) && s.ptr[i] != '-' && s.ptr[i] != '_')
            return false;
    return s.len > 0 && s.len < sizeof(((struct signing_key *)0)->region);
}

static bool service_ok(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(s.ptr[i] >= 'a' && s.ptr[i] <= 'z') && !ascii_digit(s.ptr[i]) && s.ptr[i] != '-')
            return false;
    return s.len > 0 && s.len <= SERVICE_BYTES_MAX;
}

static bool token_ok(struct str s)
{
    if (!str_printable_ascii(s))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (memchr(" \"\\$", s.ptr[i], 4))
            return false;
    return true;
}

static struct str mac_view(const unsigned char mac[HASH_BYTES])
{
    return (struct str){ (const char *)mac, HASH_BYTES };
}

/* mac becomes HMAC(key, text); the keyed states are wiped. */
static void chain(struct str key, struct str text, unsigned char mac[HASH_BYTES])
{
    struct hmac_key state;
    hmac_key_set(&state, key);
    hmac_once(&state, text, mac);
    hmac_key_release(&state);
}

static void derive(struct hmac_key *out, struct str secret, struct str day, struct str region,
                   struct str service)
{
    char first[4 + SECRET_BYTES_MAX] = "AWS4";
    unsigned char mac[HASH_BYTES];
    memcpy(first + 4, secret.ptr, secret.len);
    chain((struct str){ first, 4 + secret.len }, day, mac);
    chain(mac_view(mac), region, mac);
    chain(mac_view(mac), service, mac);
    chain(mac_view(mac), STR("aws4_request"), mac);
    hmac_key_set(out, mac_view(mac));
    crypto_wipe(first, sizeof(first));
    crypto_wipe(mac, sizeof(mac));
}

enum status signing_key_derive_for(struct signing_key *k, const struct sign_creds *c,
                                   struct str service, struct str region, int64_t unix_s)
{
    if (!access_key_ok(c->access_key_id) || !region_ok(region) || !token_ok(c->session_token) ||
        !service_ok(service))
        return ST_INVALID;
    if (c->secret_key.len == 0 || c->secret_key.len > SECRET_BYTES_MAX || unix_s < 0 ||
        unix_s > LAST_S)
        return ST_INVALID;

    *k = (struct signing_key){ .day_number = unix_s / DAY_S };
    struct buf day = BUF_FIXED(k->day);
    date_day(&day, unix_s);
    memcpy(k->region, region.ptr, region.len);
    struct buf credential = BUF_FIXED(k->credential);
    buf_str(&credential, c->access_key_id);
    buf_lit(&credential, "/");
    k->scope_at = credential.len;
    buf_str(&credential, buf_view(&day));
    buf_lit(&credential, "/");
    buf_str(&credential, region);
    buf_lit(&credential, "/");
    buf_str(&credential, service);
    buf_lit(&credential, "/aws4_request");
    TRY(buf_check(&credential));
    k->credential_len = credential.len;
    derive(&k->key, c->secret_key, buf_view(&day), region, service);
    return ST_OK;
}

enum status signing_key_derive(struct signing_key *k, const struct sign_creds *c, struct str region,
                               int64_t unix_s)
{
    return signing_key_derive_for(k, c, STR("s3"), region, unix_s);
}

void signing_key_release(struct signing_key *k)
{
    hmac_key_release(&k->key);
    *k = (struct signing_key){ 0 };
}

struct str signing_key_credential(const struct signing_key *k)
{
    return (struct str){ k->credential, k->credential_len };
}

struct str signing_key_scope(const struct signing_key *k)
{
    return str_slice(signing_key_credential(k), k->scope_at, k->credential_len);
}

bool signing_key_fits(const struct signing_key *k, const struct sign_creds *c, int64_t now_s)
{
    if (k->credential_len == 0 || now_s < 0)
        return false;
    const struct str access_key_id = { k->credential, k->scope_at - 1 };
    return k->day_number == now_s / DAY_S && str_equal(access_key_id, c->access_key_id);
}

enum status signing_keys_get(struct signing_keys *ks, const struct sign_creds *c,
                             uint64_t generation, struct str region, int64_t unix_s,
                             const struct signing_key **out_key)
{
    for (size_t i = 0; i < SIGNING_KEYS; i++) {
        const struct signing_key *k = &ks->keys[i];
        if (k->generation == generation && signing_key_fits(k, c, unix_s) &&
            str_equal(str_from(k->region), region)) {
            *out_key = k;
            return ST_OK;
        }
    }
    struct signing_key *k = &ks->keys[ks->next];
    signing_key_release(k);
    const enum status st = signing_key_derive(k, c, region, unix_s);
    if (st != ST_OK) {
        signing_key_release(k);
        return st;
    }
    k->generation = generation;
    ks->next = (ks->next + 1) % SIGNING_KEYS;
    *out_key = k;
    return ST_OK;
}

void signing_keys_release(struct signing_keys *ks)
{
    for (size_t i = 0; i < SIGNING_KEYS; i++)
        signing_key_release(&ks->keys[i]);
    ks->next = 0;
}

void sigv4_sign(struct buf *out, const struct signing_key *k, struct str text)
{
    unsigned char mac[HASH_BYTES];
    hmac_once(&k->key, text, mac);
    encode_hex(out, mac_view(mac));
}
