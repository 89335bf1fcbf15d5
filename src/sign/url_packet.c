/*
 * url_packet - the presigned URL.
 *
 * Everything is percent-encoded once; the URL and the canonical request are written from the same
 * encoded texts, the URL's parameters in the caller's order with the credential's after them, the
 * canonical ones sorted. S3 wants no normalisation of the path: "a//../b" is a key like any other.
 *
 * Source: AWS "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
 */
#include "presignd/url_packet.h"

#include <stdlib.h>
#include <string.h>

#include "presignd/date.h"
#include "presignd/encode.h"

enum {
    KEY_BYTES_MAX = 1024,
    METHOD_BYTES_MAX = 16,
    EXPIRES_S_MAX = 604800,
    AUTH_PARAMS = 6,
    CANONICAL_BYTES_MAX = 2 * URL_BYTES_MAX,
    AMZ_DATE_BYTES = 16,
};

/* clang-format off */
static const struct str auth_names[] = {
    STR_INIT("X-Amz-Algorithm"),     STR_INIT("X-Amz-Credential"), STR_INIT("X-Amz-Date"),
    STR_INIT("X-Amz-Expires"),       STR_INIT("X-Amz-SignedHeaders"),
    STR_INIT("X-Amz-Security-Token"), STR_INIT("X-Amz-Signature"),
};
/* clang-format on */

struct parts {
    struct url_param headers[URL_HEADERS_MAX + 1]; /* with host; sorted, values as given */
    size_t n_headers;
    struct url_param query[URL_QUERY_MAX + AUTH_PARAMS]; /* encoded, in the URL's order */
    size_t n_query;
    char date[AMZ_DATE_BYTES];
    struct buf encoded;
    char text[URL_BYTES_MAX]; /* what `query` points to */
};

/* ---- checks ------------------------------------------------------------------------------------- */

static bool method_ok(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < 'A' || s.ptr[i] > 'Z')
            return false;
    return s.len > 0 && s.len <= METHOD_BYTES_MAX;
}

static bool is_auth_name(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(auth_names); i++)
        if (str_equal_nocase(name, auth_names[i]))
            return true;
    return false;
}

static enum status check_ask(const struct url_ask *ask)
{
    if (!method_ok(ask->method) || ask->expires_s < 1 || ask->expires_s > EXPIRES_S_MAX)
        return ST_INVALID;
    if (ask->n_headers > URL_HEADERS_MAX || ask->n_query > URL_QUERY_MAX)
        return ST_INVALID;
    for (size_t i = 0; i < ask->n_headers; i++)
        if (!signed_header_ok(&ask->headers[i]))
            return ST_INVALID;
    for (size_t i = 0; i < ask->n_query; i++)
        if (ask->query[i].name.len == 0 || is_auth_name(ask->query[i].name))
            return ST_INVALID;
    return ask->key.len <= KEY_BYTES_MAX ? ST_OK : ST_TOO_LARGE;
}

/* ---- the parts, encoded once -------------------------------------------------------------------- */

static int by_name_then_value(const void *a, const void *b)
{
    const struct url_param *x = a;
    const struct url_param *y = b;
    const int names = str_compare(x->name, y->name);
    return names != 0 ? names : str_compare(x->value, y->value);
}

/* Sorted, host among them; ST_INVALID when a name stands twice. */
static enum status gather_headers(struct parts *p, const struct url_ask *ask)
{
    p->headers[0] = (struct url_param){ STR("host"), ask->place.host };
    for (size_t i = 0; i < ask->n_headers; i++)
        p->headers[i + 1] = ask->headers[i];
    p->n_headers = ask->n_headers + 1;
    return signed_headers_sort(p->headers, p->n_headers);
}

/* The text encoded since `from`; it stays where it is, for p->encoded never moves. */
static struct str since(const struct parts *p, size_t from)
{
    return str_slice(buf_view(&p->encoded), from, p->encoded.len);
}

static void add_encoded(struct parts *p, struct str name, size_t value_from)
{
    p->query[p->n_query++] = (struct url_param){ name, since(p, value_from) };
}

static void add_param(struct parts *p, struct str name, struct str value)
{
    const size_t name_from = p->encoded.len;
    encode_uri(&p->encoded, name);
    const struct str encoded_name = since(p, name_from);
    const size_t value_from = p->encoded.len;
    encode_uri(&p->encoded, value);
    add_encoded(p, encoded_name, value_from);
}

static void add_signed_headers(struct parts *p)
{
    const size_t from = p->encoded.len;
    for (size_t i = 0; i < p->n_headers; i++) {
        if (i > 0)
            buf_lit(&p->encoded, "%3B");
        encode_uri(&p->encoded, p->headers[i].name);
    }
    add_encoded(p, STR("X-Amz-SignedHeaders"), from);
}

static void add_auth(struct parts *p, const struct url_ask *ask, const struct sign_creds *c,
                     const struct signing_key *k)
{
    add_param(p, STR("X-Amz-Algorithm"), STR("AWS4-HMAC-SHA256"));
    add_param(p, STR("X-Amz-Credential"), signing_key_credential(k));
    add_param(p, STR("X-Amz-Date"), (struct str){ p->date, AMZ_DATE_BYTES });
    const size_t from = p->encoded.len;
    buf_int(&p->encoded, ask->expires_s);
    add_encoded(p, STR("X-Amz-Expires"), from);
    add_signed_headers(p);
    if (c->session_token.len > 0)
        add_param(p, STR("X-Amz-Security-Token"), c->session_token);
}

static enum status gather(struct parts *p, const struct url_ask *ask, const struct sign_creds *c,
                          const struct signing_key *k, int64_t now_s)
{
    if (!signing_key_fits(k, c, now_s))
        return ST_INVALID;
    TRY(check_ask(ask));
    TRY(gather_headers(p, ask));
    struct buf date = BUF_FIXED(p->date);
    date_amz(&date, now_s);
    TRY(buf_check(&date));
    p->encoded = BUF_FIXED(p->text);
    p->n_query = 0;
    for (size_t i = 0; i < ask->n_query; i++)
        add_param(p, ask->query[i].name, ask->query[i].value);
    add_auth(p, ask, c, k);
    return buf_check(&p->encoded);
}

/* ---- the canonical request ---------------------------------------------------------------------- */

static void write_path(struct buf *out, const struct url_ask *ask)
{
    buf_str(out, ask->place.path);
    encode_uri_path(out, ask->key);
}

static void write_query(struct buf *out, const struct url_param *query, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_lit(out, "&");
        buf_str(out, query[i].name);
        buf_lit(out, "=");
        buf_str(out, query[i].value);
    }
}

static enum status write_canonical(struct buf *out, const struct url_ask *ask,
                                   const struct parts *p)
{
    struct url_param sorted[ARRAY_LEN(p->query)];
    memcpy(sorted, p->query, p->n_query * sizeof(sorted[0]));
    qsort(sorted, p->n_query, sizeof(sorted[0]), by_name_then_value);

    buf_str(out, ask->method);
    buf_lit(out, "\n");
    write_path(out, ask);
    buf_lit(out, "\n");
    write_query(out, sorted, p->n_query);
    buf_lit(out, "\n");
    signed_headers_write(out, p->headers, p->n_headers);
    buf_lit(out, "\nUNSIGNED-PAYLOAD");
    return buf_check(out);
}

enum status url_canonical_request(struct buf *out, const struct url_ask *ask,
                                  const struct sign_creds *c, const struct signing_key *k,
                                  int64_t now_s)
{
    struct parts p;
    TRY(gather(&p, ask, c, k, now_s));
    return write_canonical(out, ask, &p);
}

/* ---- signing ------------------------------------------------------------------------------------ */

enum status url_string_to_sign(struct buf *out, struct str canonical, const struct signing_key *k,
                               int64_t now_s)
{
    unsigned char digest[HASH_BYTES];
    hash_once(canonical, digest);
    buf_lit(out, "AWS4-HMAC-SHA256\n");
    date_amz(out, now_s);
    buf_lit(out, "\n");
    buf_str(out, signing_key_scope(k));
    buf_lit(out, "\n");
    encode_hex(out, (struct str){ (const char *)digest, HASH_BYTES });
    return buf_check(out);
}

static enum status write_url(struct buf *out, const struct url_ask *ask, const struct parts *p,
                             struct str to_sign, const struct signing_key *k)
{
    const size_t from = out->len;
    buf_str(out, ask->place.scheme);
    buf_lit(out, "://");
    buf_str(out, ask->place.host);
    write_path(out, ask);
    buf_lit(out, "?");
    write_query(out, p->query, p->n_query);
    buf_lit(out, "&X-Amz-Signature=");
    sigv4_sign(out, k, to_sign);
    TRY(buf_check(out));
    if (out->len - from <= URL_BYTES_MAX)
        return ST_OK;
    buf_truncate(out, from);
    return ST_TOO_LARGE;
}

enum status url_packet_sign(struct buf *out, const struct url_ask *ask, const struct sign_creds *c,
                            const struct signing_key *k, int64_t now_s)
{
    struct parts p;
    TRY(gather(&p, ask, c, k, now_s));
    char canonical_text[CANONICAL_BYTES_MAX];
    struct buf canonical = BUF_FIXED(canonical_text);
    TRY(write_canonical(&canonical, ask, &p));
    char to_sign_text[512];
    struct buf to_sign = BUF_FIXED(to_sign_text);
    TRY(url_string_to_sign(&to_sign, buf_view(&canonical), k, now_s));
    return write_url(out, ask, &p, buf_view(&to_sign), k);
}
