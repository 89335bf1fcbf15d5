/*
 * key_refresh - attempts to fetch keys, as a small machine.
 *
 * An attempt is one call (jwks_url), or two (the discovery document, then the jwks_uri it names); the
 * address is discovered anew each time, so a provider that moves its keys is followed. Whatever goes
 * wrong, the last good keys stay: an outage of the provider must not lock its users out.
 */
#include "presignd/key_refresh.h"

#include <jansson.h>

#include "presignd/json_read.h"

enum { URL_MAX = 2048, JSON_DEPTH_MAX = 16, ERRORS_MAX = 65536 };

void key_refresh_release(struct key_refresh *r)
{
    keyset_unref(r->keys);
    r->keys = NULL;
}

/* ---- addresses ---------------------------------------------------------------------------------- */

/* The authority's host, an IPv6 address with its brackets. */
static struct str host_of(struct str after_scheme)
{
    size_t end = 0;
    if (after_scheme.len > 0 && after_scheme.ptr[0] == '[')
        return str_slice(after_scheme, 0, str_find(after_scheme, ']', 0) + 1);
    while (end < after_scheme.len && !strchr("/?:", after_scheme.ptr[end]))
        end++;
    return str_slice(after_scheme, 0, end);
}

/* Digits and dots, or brackets: which addresses pass is the business of address_url_check. */
static bool is_address(struct str host)
{
    if (host.len > 0 && host.ptr[0] == '[')
        return true;
    for (size_t i = 0; i < host.len; i++) {
        if (!ascii_digit(host.ptr[i]) && host.ptr[i] != '.')
            return false;
    }
    return host.len > 0;
}

static struct str cut_scheme(struct str url, struct str scheme)
{
    const struct str front = str_slice(url, 0, scheme.len);
    return str_equal_nocase(front, scheme) ? str_slice(url, scheme.len, url.len) : STR_NONE;
}

bool key_url_ok(struct str url)
{
    char space[256];
    struct buf why = BUF_FIXED(space);
    if (url.len > URL_MAX || !str_printable_ascii(url) || str_find(url, '#', 0) < url.len)
        return false;
    const struct str after_tls = cut_scheme(url, STR("https://"));
    if (after_tls.len > 0)
        return host_of(after_tls).len > 0 && address_url_check(url, CALL_HOSTS_ANY, &why) == ST_OK;
    const struct str host = host_of(cut_scheme(url, STR("http://")));
    return (is_address(host) || str_equal_nocase(host, STR("localhost"))) &&
           address_url_check(url, CALL_HOSTS_LOOPBACK, &why) == ST_OK;
}

/* ---- asking ------------------------------------------------------------------------------------- */

static void fill_call(struct call *c, struct str url)
{
    call_reset(c);
    c->method = "GET";
    buf_str(&c->url, url);
    call_header(c, "Accept", STR("application/json"));
    const bool tls = cut_scheme(url, STR("https://")).len > 0;
    c->hosts = tls ? CALL_HOSTS_ANY : CALL_HOSTS_LOOPBACK;
    c->connect_ms = KEY_CALL_MS;
    c->total_ms = KEY_CALL_MS;
    c->max_bytes = KEYSET_BYTES_MAX;
}

/* OpenID Connect Discovery 1.0 section 4: one terminating '/' of the issuer goes. */
static enum key_next ask_discovery(struct key_refresh *r, struct call *c)
{
    struct str issuer = r->config->issuer;
    if (str_ends(issuer, STR("/")))
        issuer = str_slice(issuer, 0, issuer.len - 1);
    r->at_discovery = true;
    fill_call(c, issuer);
    buf_lit(&c->url, "/.well-known/openid-configuration");
    return KEY_CALL;
}

static enum key_next ask_keys(struct key_refresh *r, struct str url, struct call *c)
{
    r->at_discovery = false;
    fill_call(c, url);
    return KEY_CALL;
}

/* ---- reading ------------------------------------------------------------------------------------ */

static enum key_next failed(struct key_refresh *r, int64_t now_s)
{
    r->failures++;
    if (!r->keys || now_s - r->fetched_at_s <= KEY_LAST_GOOD_S)
        return KEY_FAILED;
    keyset_unref(r->keys);
    r->keys = NULL;
    return KEY_LOST;
}

static struct str text_of(json_t *v)
{
    return json_is_string(v) ? (struct str){ json_string_value(v), json_string_length(v) }
                             : STR_NONE;
}

/* Section 4.3: the issuer in the document is the one that was asked for, byte for byte. */
static bool read_discovery(struct key_refresh *r, json_t *doc, struct call *c, struct buf *why)
{
    const struct str url = text_of(json_object_get(doc, "jwks_uri"));
    if (!str_equal(text_of(json_object_get(doc, "issuer")), r->config->issuer)) {
        buf_lit(why, "the discovery document names another issuer");
        return false;
    }
    if (!key_url_ok(url)) {
        buf_lit(why, "the discovery document's jwks_uri is missing, or neither https nor loopback");
        return false;
    }
    return ask_keys(r, url, c) == KEY_CALL;
}

static enum key_next after_discovery(struct key_refresh *r, struct str body, int64_t now_s,
                                     struct call *c, struct buf *why)
{
    AUTO(arena) errors = ARENA_INIT(ERRORS_MAX);
    struct jr_error err = { .detail = STR("no memory") };
    json_t *doc = NULL;
    if (jr_parse(body, JSON_DEPTH_MAX, &errors, &doc, &err) != ST_OK) {
        buf_lit(why, "the discovery document is no JSON: ");
        buf_str(why, err.detail);
        return failed(r, now_s);
    }
    const bool ok = read_discovery(r, doc, c, why);
    json_decref(doc);
    return ok ? KEY_CALL : failed(r, now_s);
}

static enum key_next after_keys(struct key_refresh *r, const struct reply *last, int64_t now_s,
                                struct buf *why)
{
    unsigned char digest[HASH_BYTES];
    hash_once(last->body, digest);
    const struct str seen = { (const char *)digest, sizeof(digest) };
    const struct str before = { (const char *)r->digest, sizeof(r->digest) };
    const bool same = r->keys && str_equal(seen, before);
    struct keyset *fresh =
        same ? keyset_ref(r->keys) : keyset_from_jwks(last->body, r->config->algorithms, why);
    if (!fresh)
        return failed(r, now_s);
    keyset_unref(r->keys);
    r->keys = fresh;
    memcpy(r->digest, digest, sizeof(digest));
    r->fetched_at_s = now_s;
    r->max_age_s = last->max_age_s;
    r->failures = 0;
    return same ? KEY_SAME : KEY_CHANGED;
}

static bool answered(const struct key_refresh *r, const struct reply *last, struct buf *why)
{
    if (last->kind == REPLY_HTTP && last->http == 200)
        return true;
    buf_str(why, r->at_discovery ? STR("the discovery document: ") : STR("the key set: "));
    if (last->kind == REPLY_HTTP) {
        buf_lit(why, "answered with status ");
        buf_int(why, last->http);
    } else {
        buf_str(why, last->why);
    }
    return false;
}

enum key_next key_refresh_next(struct key_refresh *r, const struct reply *last, int64_t now_s,
                               struct call *out_call, struct buf *why)
{
    if (last->kind == REPLY_NONE)
        return r->config->discovery ? ask_discovery(r, out_call)
                                    : ask_keys(r, r->config->jwks_url, out_call);
    if (!answered(r, last, why))
        return failed(r, now_s);
    return r->at_discovery ? after_discovery(r, last->body, now_s, out_call, why)
                           : after_keys(r, last, now_s, why);
}

int64_t key_refresh_delay_ms(const struct key_refresh *r, int64_t jitter)
{
    int64_t s = r->max_age_s < 0 ? KEY_REFRESH_DEFAULT_S : r->max_age_s;
    s = MIN_OF(MAX_OF(s, KEY_REFRESH_LEAST_S), KEY_REFRESH_MOST_S);
    if (r->failures > 0)
        s = MIN_OF(INT64_C(1) << MIN_OF(r->failures - 1, 10), KEY_BACK_OFF_MOST_S);
    return s * (900 + jitter);
}
