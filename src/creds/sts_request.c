/*
 * sts_request - asks STS: a form by POST, signed or not, and what its answer means.
 */
#include "presignd/sts.h"

#include "presignd/date.h"
#include "presignd/encode.h"
#include "presignd/header_sign.h"

enum {
    CONNECT_MS = 2000,
    TOTAL_MS = 5000,
    ANSWER_MAX = 65536,
    HOST_MAX = 512,
    REGION_MAX = 31,
    AUTH_MAX = 1024,
    TELLING_MIN = 8,
    SIGNATURE_PART = 40
};

#define FORM_TYPE "application/x-www-form-urlencoded; charset=utf-8"

/* ---- the place ---------------------------------------------------------------------------------- */

static enum status set_own(struct sts_place *p, struct str endpoint, struct buf *why)
{
    buf_reset(&p->text);
    buf_lit(why, "credentials.sts_endpoint: ");
    TRY(endpoint_origin(endpoint, &p->text, &p->at, why));
    const bool tls = str_equal(p->at.scheme, STR("https"));
    p->hosts = tls ? CALL_HOSTS_ANY : CALL_HOSTS_LOOPBACK;
    AUTO(buf) url = BUF_INIT(HOST_MAX);
    endpoint_base_url(&url, &p->at);
    TRY(buf_check(&url));
    AUTO(buf) unused = BUF_INIT(HOST_MAX);
    const enum status st = address_url_check(buf_view(&url), p->hosts, &unused);
    if (st == ST_INVALID)
        buf_str(why, tls ? STR("the endpoint is not a URL that can be asked")
                         : STR("http is for loopback only; use https"));
    TRY(st);
    buf_reset(why);
    return ST_OK;
}

static enum status set_all(struct sts_place *p, struct str endpoint, struct str region,
                           bool may_lack_region, struct buf *why)
{
    if (!region.len && !(endpoint.len && may_lack_region)) {
        buf_lit(why, "credentials.region: STS is asked in a region; set this or AWS_REGION");
        return ST_INVALID;
    }
    buf_lit(why, "credentials.region: ");
    if (region.len)
        TRY(endpoint_service(STR("sts"), region, &p->text, &p->at, why));
    buf_reset(why);
    buf_str(&p->region, region);
    TRY(buf_check(&p->region));
    p->hosts = CALL_HOSTS_ANY;
    return endpoint.len ? set_own(p, endpoint, why) : ST_OK;
}

enum status sts_place_set(struct sts_place *p, struct str endpoint, struct str region,
                          bool may_lack_region, struct buf *why)
{
    *p = (struct sts_place){ .text = BUF_INIT(HOST_MAX), .region = BUF_INIT(REGION_MAX) };
    const enum status st = set_all(p, endpoint, region, may_lack_region, why);
    if (st == ST_NO_MEMORY)
        buf_reset(why);
    if (st == ST_TOO_LARGE)
        buf_lit(why, "the endpoint or the region is too long");
    return st == ST_TOO_LARGE ? ST_INVALID : st;
}

void sts_place_release(struct sts_place *p)
{
    buf_release(&p->text);
    buf_release(&p->region);
}

/* ---- the request -------------------------------------------------------------------------------- */

void sts_param(struct buf *form, struct str name, struct str value)
{
    if (!value.len)
        return;
    if (form->len)
        buf_lit(form, "&");
    encode_uri(form, name);
    buf_lit(form, "=");
    encode_uri(form, value);
}

void sts_ask(const struct sts_place *p, struct str action, struct call *out)
{
    out->method = "POST";
    endpoint_base_url(&out->url, &p->at);
    call_header(out, "Accept", STR("text/xml"));
    call_header(out, "Content-Type", STR(FORM_TYPE));
    out->hosts = p->hosts;
    out->connect_ms = CONNECT_MS;
    out->total_ms = TOTAL_MS;
    out->max_bytes = ANSWER_MAX;
    sts_param(&out->body, STR("Action"), action);
    sts_param(&out->body, STR("Version"), STR("2011-06-15"));
}

static enum status add_signature(const struct sts_place *p, const struct sign_creds *c,
                                 const struct signing_key *k, int64_t now_s, struct call *out)
{
    const struct url_param headers[] = { { STR("content-type"), STR(FORM_TYPE) } };
    const struct header_ask ask = {
        .method = STR("POST"),
        .host = p->at.host,
        .path = p->at.path,
        .headers = headers,
        .n_headers = ARRAY_LEN(headers),
        .body = buf_view(&out->body),
    };
    AUTO(buf) text = BUF_INIT(AUTH_MAX);
    TRY(header_sign(&text, &ask, c, k, now_s));
    call_header(out, "Authorization", buf_view(&text));
    buf_reset(&text);
    date_amz(&text, now_s);
    call_header(out, "X-Amz-Date", buf_view(&text));
    if (c->session_token.len)
        call_header(out, "X-Amz-Security-Token", c->session_token);
    return buf_check(&out->headers);
}

enum status sts_sign(const struct sts_place *p, const struct creds *c, int64_t now_s,
                     struct call *out)
{
    TRY(buf_check(&out->body));
    const struct sign_creds with = creds_for_signing(c);
    struct signing_key k;
    TRY(signing_key_derive_for(&k, &with, STR("sts"), buf_view(&p->region), now_s));
    const enum status st = add_signature(p, &with, &k, now_s, out);
    signing_key_release(&k);
    return st;
}

/* ---- the answer --------------------------------------------------------------------------------- */

/* How much of a text's beginning is a secret's: it may have been cut, but TELLING_MIN bytes tell nothing. */
static size_t repeated(struct str text, struct str secret)
{
    size_t n = 0;
    while (n < text.len && n < secret.len && ascii_lower(text.ptr[n]) == ascii_lower(secret.ptr[n]))
        n++;
    return n < TELLING_MIN ? 0 : n;
}

/* The same of a signature, or of a hash that stands near one. */
static size_t hex_digits(struct str text)
{
    size_t n = 0;
    while (n < text.len && str_find(STR("0123456789abcdefABCDEF"), text.ptr[n], 0) < 22)
        n++;
    return n < SIGNATURE_PART ? 0 : n;
}

/* The text with *** for what is secret, as it is or percent-encoded (encoded holds these). */
static void put_hushed(struct buf *out, struct str text, const struct sts_asked *asked,
                       const struct buf *encoded)
{
    size_t at = 0;
    while (at < text.len) {
        const struct str rest = str_slice(text, at, text.len);
        size_t n = hex_digits(rest);
        for (size_t i = 0; i < STS_SECRETS; i++) {
            n = MAX_OF(n, repeated(rest, asked->secrets[i]));
            n = MAX_OF(n, repeated(rest, buf_view(&encoded[i])));
        }
        if (n > 0)
            buf_lit(out, "***");
        else
            buf_char(out, text.ptr[at]);
        at += MAX_OF(n, 1);
    }
}

static void put_fault(struct buf *why, const struct sts_fault *f, const struct sts_asked *asked,
                      const struct buf *encoded)
{
    if (f->code[0]) {
        buf_lit(why, " ");
        put_hushed(why, str_from(f->code), asked, encoded);
    }
    if (f->message[0]) {
        buf_lit(why, ": ");
        put_hushed(why, str_from(f->message), asked, encoded);
    }
    if (f->request_id[0]) {
        buf_lit(why, " (request id ");
        put_hushed(why, str_from(f->request_id), asked, encoded);
        buf_lit(why, ")");
    }
}

/* Who answers may repeat what was asked, and a sentence goes to the log. */
static void explain_fault(const struct sts_fault *f, const struct sts_asked *asked, struct buf *why)
{
    struct buf encoded[STS_SECRETS];
    bool all = true;
    for (size_t i = 0; i < STS_SECRETS; i++) {
        encoded[i] = BUF_INIT(3 * CALL_BODY_MAX);
        encode_uri(&encoded[i], asked->secrets[i]);
        all = all && buf_check(&encoded[i]) == ST_OK;
    }
    if (all)
        put_fault(why, f, asked, encoded);
    for (size_t i = 0; i < STS_SECRETS; i++)
        buf_wipe(&encoded[i]);
}

enum next sts_answer(const struct sts_asked *asked, const struct reply *r, const char *source,
                     int64_t now_s, struct creds **out, struct sts_fault *fault, struct buf *why)
{
    *fault = (struct sts_fault){ .code = "" };
    buf_lit(why, "STS at ");
    buf_str(why, asked->at->at.host);
    buf_lit(why, " ");
    if (r->kind != REPLY_HTTP || r->http != 200) {
        cred_reply_explain(why, r);
        if (r->kind == REPLY_HTTP)
            sts_fault_read(r->body, fault);
        explain_fault(fault, asked, why);
        return NEXT_FAIL;
    }
    const enum status st = sts_creds_read(r->body, source, now_s, out, why);
    if (st == ST_NO_MEMORY)
        buf_lit(why, "answered, and there was no memory to read it");
    if (st != ST_OK)
        return NEXT_FAIL;
    buf_reset(why);
    return NEXT_DONE;
}
