/*
 * sign_ask - what to sign, read from a JSON object: for the driver and for the vectors.
 *
 * For all: now, region, access_key_id, secret_key, session_token, bucket, key.
 *   "op": "post"  fields (list of pairs), n_shared, min_bytes, max_bytes, expires_at
 *   "op": "url"   endpoint, path_style, dualstack, fips, accelerate, method, headers and query (lists
 *                 of pairs), expires
 *   "op": "header" service, host, path, method, headers (list of pairs), body
 * Views point into the JSON document. A missing text is empty, a missing number 0.
 */
#ifndef PRESIGND_SIGN_ASK_H
#define PRESIGND_SIGN_ASK_H

#include <jansson.h>

#include "presignd/header_sign.h"
#include "presignd/post_packet.h"
#include "presignd/url_packet.h"

enum { SIGN_ASK_PAIRS = 64 };

struct sign_ask {
    bool is_post, is_header;
    struct str service;
    struct header_ask header;
    int64_t now_s;
    struct str region;
    struct sign_creds creds;
    struct post_ask post;
    struct endpoint_config where;
    struct url_ask url; /* its place comes from `where` */
    struct post_field fields[SIGN_ASK_PAIRS];
    struct url_param headers[SIGN_ASK_PAIRS], query[SIGN_ASK_PAIRS];
};

static inline struct str ask_text_of(const json_t *value)
{
    return (struct str){ json_string_value(value), json_string_length(value) };
}

static inline struct str ask_text(const json_t *in, const char *name)
{
    return ask_text_of(json_object_get(in, name));
}

static inline int64_t ask_number(const json_t *in, const char *name)
{
    return json_integer_value(json_object_get(in, name));
}

static inline bool ask_flag(const json_t *in, const char *name)
{
    return json_is_true(json_object_get(in, name));
}

/* One of the two texts of pair i. */
static inline struct str ask_half(const json_t *list, size_t i, size_t half)
{
    return ask_text_of(json_array_get(json_array_get(list, i), half));
}

static inline size_t ask_pairs(const json_t *in, const char *name, struct url_param *out)
{
    const json_t *list = json_object_get(in, name);
    const size_t n = json_array_size(list);
    assert(n <= SIGN_ASK_PAIRS);
    for (size_t i = 0; i < n; i++)
        out[i] = (struct url_param){ ask_half(list, i, 0), ask_half(list, i, 1) };
    return n;
}

static inline void sign_ask_post(struct sign_ask *a, const json_t *in)
{
    const json_t *list = json_object_get(in, "fields");
    const size_t n = json_array_size(list);
    assert(n <= SIGN_ASK_PAIRS);
    for (size_t i = 0; i < n; i++)
        a->fields[i] = (struct post_field){ ask_half(list, i, 0), ask_half(list, i, 1) };
    a->post = (struct post_ask){
        .bucket = ask_text(in, "bucket"),
        .key = ask_text(in, "key"),
        .fields = a->fields,
        .n_fields = n,
        .n_shared = (size_t)ask_number(in, "n_shared"),
        .min_bytes = ask_number(in, "min_bytes"),
        .max_bytes = ask_number(in, "max_bytes"),
        .expires_at_s = ask_number(in, "expires_at"),
    };
}

static inline void sign_ask_url(struct sign_ask *a, const json_t *in)
{
    a->where = (struct endpoint_config){
        .bucket = ask_text(in, "bucket"),
        .region = ask_text(in, "region"),
        .endpoint = ask_text(in, "endpoint"),
        .path_style = ask_flag(in, "path_style"),
        .dualstack = ask_flag(in, "dualstack"),
        .fips = ask_flag(in, "fips"),
        .accelerate = ask_flag(in, "accelerate"),
    };
    a->url = (struct url_ask){
        .method = ask_text(in, "method"),
        .key = ask_text(in, "key"),
        .headers = a->headers,
        .n_headers = ask_pairs(in, "headers", a->headers),
        .query = a->query,
        .n_query = ask_pairs(in, "query", a->query),
        .expires_s = ask_number(in, "expires"),
    };
}

/* *a must not move afterwards: it points into itself. */
static inline void sign_ask_read(struct sign_ask *a, const json_t *in)
{
    a->is_post = str_equal(ask_text(in, "op"), STR("post"));
    a->now_s = ask_number(in, "now");
    a->region = ask_text(in, "region");
    a->creds = (struct sign_creds){
        .access_key_id = ask_text(in, "access_key_id"),
        .secret_key = ask_text(in, "secret_key"),
        .session_token = ask_text(in, "session_token"),
    };
    sign_ask_post(a, in);
    sign_ask_url(a, in);
    a->is_header = str_equal(ask_text(in, "op"), STR("header"));
    a->service = a->is_header ? ask_text(in, "service") : STR("s3");
    a->header = (struct header_ask){ .method = a->url.method,
                                     .host = ask_text(in, "host"),
                                     .path = ask_text(in, "path"),
                                     .headers = a->headers,
                                     .n_headers = a->url.n_headers,
                                     .body = ask_text(in, "body") };
}

#endif
