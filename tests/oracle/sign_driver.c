/*
 * sign_driver - lets another program ask our signer: a JSON object a line in, one a line out.
 *
 * In, for all: now, region, access_key_id, secret_key, session_token, bucket, key.
 *   "op": "post"  fields (list of pairs), n_shared, min_bytes, max_bytes, expires_at
 *                 -> {"status", "fields": [[name, value], ...]}
 *   "op": "url"   endpoint, path_style, dualstack, fips, accelerate, method, headers and query (lists
 *                 of pairs), expires -> {"status", "url"}
 * The tests hold the answers against another implementation's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "presignd/json_write.h"
#include "presignd/post_packet.h"
#include "presignd/url_packet.h"

enum { PAIRS_MAX = 64, ANSWER_MAX = 1 << 20 };

struct pairs {
    struct str names[PAIRS_MAX], values[PAIRS_MAX];
    size_t n;
};

static struct str text_of(const json_t *value)
{
    return (struct str){ json_string_value(value), json_string_length(value) };
}

static struct str text(const json_t *in, const char *name)
{
    return text_of(json_object_get(in, name));
}

static int64_t number(const json_t *in, const char *name)
{
    return json_integer_value(json_object_get(in, name));
}

static bool flag(const json_t *in, const char *name)
{
    return json_is_true(json_object_get(in, name));
}

static struct pairs pairs(const json_t *in, const char *name)
{
    const json_t *list = json_object_get(in, name);
    struct pairs p = { .n = json_array_size(list) };
    assert(p.n <= PAIRS_MAX);
    for (size_t i = 0; i < p.n; i++) {
        const json_t *pair = json_array_get(list, i);
        p.names[i] = text_of(json_array_get(pair, 0));
        p.values[i] = text_of(json_array_get(pair, 1));
    }
    return p;
}

static struct sign_creds creds_of(const json_t *in)
{
    return (struct sign_creds){
        .access_key_id = text(in, "access_key_id"),
        .secret_key = text(in, "secret_key"),
        .session_token = text(in, "session_token"),
    };
}

static enum status sign_post(const json_t *in, const struct sign_creds *c,
                             const struct signing_key *k, struct post_packet *p)
{
    const struct pairs given = pairs(in, "fields");
    struct post_field fields[PAIRS_MAX];
    for (size_t i = 0; i < given.n; i++)
        fields[i] = (struct post_field){ given.names[i], given.values[i] };
    const struct post_ask ask = {
        .bucket = text(in, "bucket"),
        .key = text(in, "key"),
        .fields = fields,
        .n_fields = given.n,
        .n_shared = (size_t)number(in, "n_shared"),
        .min_bytes = number(in, "min_bytes"),
        .max_bytes = number(in, "max_bytes"),
        .expires_at_s = number(in, "expires_at"),
    };
    /* Once into an empty slot, once out of a full one: the second is what most clients get. */
    AUTO_PTR(post_kept) *kept = post_kept_new(1);
    if (!kept)
        return ST_NO_MEMORY;
    TRY(post_packet_sign_kept(p, &ask, c, k, number(in, "now"), kept));
    return post_packet_sign_kept(p, &ask, c, k, number(in, "now"), kept);
}

static size_t params(const json_t *in, const char *name, struct url_param out[PAIRS_MAX])
{
    const struct pairs given = pairs(in, name);
    for (size_t i = 0; i < given.n; i++)
        out[i] = (struct url_param){ given.names[i], given.values[i] };
    return given.n;
}

static enum status sign_url(const json_t *in, const struct sign_creds *c,
                            const struct signing_key *k, struct buf *place, struct buf *url)
{
    const struct endpoint_config where = {
        .bucket = text(in, "bucket"),
        .region = text(in, "region"),
        .endpoint = text(in, "endpoint"),
        .path_style = flag(in, "path_style"),
        .dualstack = flag(in, "dualstack"),
        .fips = flag(in, "fips"),
        .accelerate = flag(in, "accelerate"),
    };
    struct url_param headers[PAIRS_MAX];
    struct url_param query[PAIRS_MAX];
    struct url_ask ask = {
        .method = text(in, "method"),
        .key = text(in, "key"),
        .headers = headers,
        .n_headers = params(in, "headers", headers),
        .query = query,
        .n_query = params(in, "query", query),
        .expires_s = number(in, "expires"),
    };
    AUTO(buf) why = BUF_INIT(512);
    TRY(endpoint_resolve(&where, true, place, &ask.place, &why));
    return url_packet_sign(url, &ask, c, k, number(in, "now"));
}

static enum status answer_post(struct jw *j, const json_t *in, const struct sign_creds *c,
                               const struct signing_key *k)
{
    struct post_packet p = POST_PACKET_INIT;
    const enum status st = sign_post(in, c, k, &p);
    jw_open_key(j, "fields", '[');
    for (size_t i = 0; st == ST_OK && i < p.n_fields; i++) {
        jw_open(j, '[');
        jw_item_str(j, p.fields[i].name);
        jw_item_str(j, p.fields[i].value);
        jw_close(j);
    }
    jw_close(j);
    post_packet_release(&p);
    return st;
}

static enum status answer_url(struct jw *j, const json_t *in, const struct sign_creds *c,
                              const struct signing_key *k)
{
    AUTO(buf) place = BUF_INIT(1024);
    AUTO(buf) url = BUF_INIT(URL_BYTES_MAX);
    const enum status st = sign_url(in, c, k, &place, &url);
    jw_str(j, "url", buf_view(&url));
    return st;
}

static void answer(struct buf *out, const json_t *in)
{
    struct signing_key k = { .credential_len = 0 };
    const struct sign_creds c = creds_of(in);
    struct jw j = { .out = out };
    jw_open(&j, '{');
    enum status st = signing_key_derive(&k, &c, text(in, "region"), number(in, "now"));
    if (st == ST_OK && str_equal(text(in, "op"), STR("post")))
        st = answer_post(&j, in, &c, &k);
    else if (st == ST_OK)
        st = answer_url(&j, in, &c, &k);
    jw_str(&j, "status", str_from(status_name(st)));
    jw_close(&j);
    assert(jw_end(&j) == ST_OK);
    signing_key_release(&k);
}

int main(void)
{
    AUTO(buf) out = BUF_INIT(ANSWER_MAX);
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = 0;
    int rc = EXIT_SUCCESS;
    while (rc == EXIT_SUCCESS && (n = getline(&line, &cap, stdin)) > 0) {
        json_error_t error;
        json_t *in = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, &error);
        if (in) {
            buf_reset(&out);
            answer(&out, in);
            buf_lit(&out, "\n");
            (void)fwrite(out.ptr, 1, out.len, stdout);
        } else {
            (void)fprintf(stderr, "sign_driver: %s\n", error.text);
            rc = EXIT_FAILURE;
        }
        json_decref(in);
    }
    free(line);
    return rc;
}
