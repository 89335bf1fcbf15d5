/*
 * header_sign - see the header. libcurl sends values as they stand; the other side folds them as we do.
 */
#include "presignd/header_sign.h"

#include "presignd/date.h"
#include "presignd/encode.h"

enum { OWN_HEADERS = 3, CANONICAL_MAX = 32768, TO_SIGN_MAX = 512, AMZ_DATE_BYTES = 16 };

struct parts {
    struct url_param headers[HEADER_SIGN_MAX + OWN_HEADERS]; /* sorted */
    size_t n;
    char date[AMZ_DATE_BYTES];
};

static void add(struct parts *p, struct str name, struct str value)
{
    p->headers[p->n++] = (struct url_param){ name, value };
}

static enum status gather(struct parts *p, const struct header_ask *ask, const struct sign_creds *c,
                          int64_t now_s)
{
    if (ask->n_headers > HEADER_SIGN_MAX || !str_starts(ask->path, STR("/")) || !ask->method.len)
        return ST_INVALID;
    struct buf date = BUF_FIXED(p->date);
    date_amz(&date, now_s);
    TRY(buf_check(&date));
    p->n = 0;
    for (size_t i = 0; i < ask->n_headers; i++)
        add(p, ask->headers[i].name, ask->headers[i].value);
    add(p, STR("host"), ask->host);
    add(p, STR("x-amz-date"), buf_view(&date));
    if (c->session_token.len)
        add(p, STR("x-amz-security-token"), c->session_token);
    for (size_t i = 0; i < p->n; i++)
        if (!signed_header_ok(&p->headers[i]))
            return ST_INVALID;
    return signed_headers_sort(p->headers, p->n);
}

static void write_hash(struct buf *out, struct str text)
{
    unsigned char digest[HASH_BYTES];
    hash_once(text, digest);
    encode_hex(out, (struct str){ (const char *)digest, HASH_BYTES });
}

static enum status write_canonical(struct buf *out, const struct header_ask *ask,
                                   const struct parts *p)
{
    buf_str(out, ask->method);
    buf_lit(out, "\n");
    buf_str(out, ask->path);
    buf_lit(out, "\n\n"); /* the query: none */
    signed_headers_write(out, p->headers, p->n);
    buf_lit(out, "\n");
    write_hash(out, ask->body);
    return buf_check(out);
}

enum status header_canonical_request(struct buf *out, const struct header_ask *ask,
                                     const struct sign_creds *c, int64_t now_s)
{
    struct parts p;
    TRY(gather(&p, ask, c, now_s));
    return write_canonical(out, ask, &p);
}

enum status header_sign(struct buf *out, const struct header_ask *ask, const struct sign_creds *c,
                        const struct signing_key *k, int64_t now_s)
{
    if (!signing_key_fits(k, c, now_s))
        return ST_INVALID;
    struct parts p;
    TRY(gather(&p, ask, c, now_s));
    AUTO(buf) canonical = BUF_INIT(CANONICAL_MAX);
    TRY(write_canonical(&canonical, ask, &p));
    char to_sign_text[TO_SIGN_MAX];
    struct buf to_sign = BUF_FIXED(to_sign_text);
    TRY(url_string_to_sign(&to_sign, buf_view(&canonical), k, now_s));

    buf_lit(out, "AWS4-HMAC-SHA256 Credential=");
    buf_str(out, signing_key_credential(k));
    buf_lit(out, ", SignedHeaders=");
    signed_headers_names(out, p.headers, p.n);
    buf_lit(out, ", Signature=");
    sigv4_sign(out, k, buf_view(&to_sign));
    return buf_check(out);
}
