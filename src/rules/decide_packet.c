/*
 * decide_packet - what a decision asks the signer for; whoever serves and whoever probes sign alike.
 */
#include "presignd/decide.h"

struct post_ask decide_post_ask(const struct decision *d, int64_t expires_at_s)
{
    return (struct post_ask){
        .bucket = d->bucket->where.bucket,
        .key = d->key,
        .fields = d->fields,
        .n_fields = d->n_fields,
        .n_shared = d->n_shared,
        .min_bytes = d->min_bytes,
        .max_bytes = d->max_bytes,
        .expires_at_s = expires_at_s,
    };
}

enum status decide_sign_put(struct buf *out, const struct decision *d, struct endpoint place,
                            int64_t expires_s, const struct sign_creds *c,
                            const struct signing_key *k, int64_t now_s)
{
    struct url_param headers[URL_HEADERS_MAX];
    if (d->n_fields > ARRAY_LEN(headers))
        return ST_TOO_LARGE;
    for (size_t i = 0; i < d->n_fields; i++)
        headers[i] = (struct url_param){ d->fields[i].name, d->fields[i].value };
    const struct url_ask ask = {
        .method = STR("PUT"),
        .place = place,
        .key = d->key,
        .headers = headers,
        .n_headers = d->n_fields,
        .expires_s = expires_s,
    };
    return url_packet_sign(out, &ask, c, k, now_s);
}
