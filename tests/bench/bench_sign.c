/*
 * bench_sign - what one signed packet costs, beside the plain SHA-256 of the text it signs.
 *
 * The least of many short rounds: what the code needs, not what the machine was doing besides.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "presignd/post_packet.h"
#include "presignd/url_packet.h"

enum { ROUNDS = 200, A_ROUND = 500, TOKEN_BYTES = 1000, NS_PER_S = 1000000000 };

static const int64_t now_s = 1795293000; /* 2026-11-21T20:30:00Z */
static char token[TOKEN_BYTES];

struct scene {
    struct sign_creds creds;
    struct signing_key key;
    struct post_ask post;
    struct url_ask url;
    struct post_packet packet;
    struct post_kept *kept;
    struct buf text;
    struct str hashed;
};

typedef enum status work_fn(struct scene *s);

static enum status whole_packet(struct scene *s)
{
    return post_packet_sign(&s->packet, &s->post, &s->creds, &s->key, now_s);
}

static enum status kept_packet(struct scene *s)
{
    return post_packet_sign_kept(&s->packet, &s->post, &s->creds, &s->key, now_s, s->kept);
}

static enum status put_url(struct scene *s)
{
    buf_reset(&s->text);
    return url_packet_sign(&s->text, &s->url, &s->creds, &s->key, now_s);
}

static enum status derived_key(struct scene *s)
{
    return signing_key_derive(&s->key, &s->creds, STR("eu-west-1"), now_s);
}

static enum status plain_hash(struct scene *s)
{
    unsigned char digest[HASH_BYTES];
    hash_once(s->hashed, digest);
    return ST_OK;
}

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* allowed: a benchmark is its own clock */
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t least_ns(struct scene *s, work_fn *work)
{
    int64_t least = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t start = now_ns();
        for (int i = 0; i < A_ROUND; i++)
            if (work(s) != ST_OK)
                abort();
        least = MIN_OF(least, now_ns() - start);
    }
    return least / A_ROUND;
}

static void report(const char *creds, struct scene *s)
{
    const int64_t hash = least_ns(s, plain_hash);
    const struct {
        const char *name;
        work_fn *work;
    } rows[] = {
        { "SHA-256 of the policy", plain_hash }, { "POST packet, shared part kept", kept_packet },
        { "POST packet", whole_packet },         { "PUT URL", put_url },
        { "signing key", derived_key },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const int64_t ns = least_ns(s, rows[i].work);
        printf("%-16s %-31s %6lld ns  %5.2f x\n", creds, rows[i].name, (long long)ns,
               (double)ns / (double)MAX_OF(hash, 1));
    }
}

static const struct post_field fields[] = {
    { STR_INIT("success_action_status"), STR_INIT("201") },
    { STR_INIT("Cache-Control"), STR_INIT("private, max-age=31536000") },
    { STR_INIT("Content-Type"), STR_INIT("image/png") },
    { STR_INIT("x-amz-meta-uploaded-by"), STR_INIT("user-1234") },
};

static const struct url_param headers[] = {
    { STR_INIT("content-type"), STR_INIT("image/png") },
    { STR_INIT("content-length"), STR_INIT("10485") },
};

static void run(const char *name, struct str session_token)
{
    struct scene s = {
        .creds = { STR("AKIAIOSFODNN7EXAMPLE"), STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                   session_token },
        .packet = POST_PACKET_INIT,
        .kept = post_kept_new(1),
        .text = BUF_INIT(URL_BYTES_MAX),
    };
    s.post = (struct post_ask){
        .bucket = STR("my-upload-bucket"),
        .key = STR("user-1234/0192f0c4-7b1e-7c3a-9f00-0123456789ab"),
        .fields = fields,
        .n_fields = ARRAY_LEN(fields),
        .n_shared = 2,
        .min_bytes = 10485,
        .max_bytes = 10485,
        .expires_at_s = now_s + 900,
    };
    s.url = (struct url_ask){
        .method = STR("PUT"),
        .place = { STR("https"), STR("my-upload-bucket.s3.eu-west-1.amazonaws.com"), STR("/") },
        .key = s.post.key,
        .headers = headers,
        .n_headers = ARRAY_LEN(headers),
        .expires_s = 900,
    };
    if (!s.kept || derived_key(&s) != ST_OK || whole_packet(&s) != ST_OK)
        abort();
    AUTO(buf) policy = BUF_INIT(POST_FORM_BYTES_MAX);
    buf_str(&policy, s.packet.fields[s.packet.n_fields - 2].value);
    s.hashed = buf_view(&policy);
    report(name, &s);
    buf_release(&s.text);
    post_kept_free(s.kept);
    post_packet_release(&s.packet);
    signing_key_release(&s.key);
}

int main(void)
{
    memset(token, 'T', sizeof(token));
    run("static keys", STR(""));
    run("temporary keys", (struct str){ token, sizeof(token) });
    return 0;
}
