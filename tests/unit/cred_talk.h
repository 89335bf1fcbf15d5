/* cred_talk - holds a conversation with a credential source: canned replies in, calls out. */
#ifndef PRESIGND_TEST_CRED_TALK_H
#define PRESIGND_TEST_CRED_TALK_H

#include "test.h"

#include "presignd/cred_source.h"

#define NOW_S 1795300000 /* 2026-11-21T22:26:40Z */

struct talk {
    struct cred_source *source;
    struct call call;
    struct creds *creds;
    struct buf why;
    char why_space[2048];
};

static inline void talk_begin(struct talk *t, struct cred_source *s)
{
    assert_non_null(s);
    memset(t, 0, sizeof(*t));
    t->source = s;
    t->call = CALL_INIT;
    t->why = BUF_FIXED(t->why_space);
}

static inline void talk_end(struct talk *t)
{
    creds_unref(t->creds);
    call_release(&t->call);
    cred_source_free(t->source);
}

static inline enum next talk_at(struct talk *t, const struct reply *r, int64_t now_s)
{
    call_reset(&t->call);
    buf_reset(&t->why);
    creds_unref(t->creds);
    t->creds = NULL;
    const enum next n = t->source->kind->next(t->source, r, now_s, &t->call, &t->creds, &t->why);
    assert_true((n == NEXT_DONE) == (t->creds != NULL));
    assert_true((n == NEXT_FAIL || n == NEXT_ABSENT) == (t->why.len > 0));
    if (n == NEXT_CALL) {
        assert_int_equal(buf_check(&t->call.url), ST_OK);
        assert_int_equal(buf_check(&t->call.headers), ST_OK);
    }
    return n;
}

static inline enum next talk(struct talk *t, const struct reply *r)
{
    return talk_at(t, r, NOW_S);
}

static inline enum next talk_start(struct talk *t)
{
    return talk(t, &(struct reply){ .kind = REPLY_NONE });
}

static inline enum next talk_http(struct talk *t, int http, const char *body)
{
    return talk(t, &(struct reply){ .kind = REPLY_HTTP, .http = http, .body = str_from(body) });
}

static inline enum next talk_kind(struct talk *t, enum reply_kind kind)
{
    return talk(t, &(struct reply){ .kind = kind, .why = STR("the reason") });
}

static inline bool holds(const struct buf *b, const char *part)
{
    return b->len && memmem(b->ptr, b->len, part, strlen(part));
}

#define CHECK_CALL(name, t, want_method, want_url)            \
    do {                                                      \
        assert_string_equal((t)->call.method, (want_method)); \
        CHECK_TEXT((name), (t)->call.url, (want_url));        \
    } while (0)

#define GOOD_DOCUMENT                                                   \
    "{\"Code\":\"Success\",\"LastUpdated\":\"2026-11-21T20:00:00Z\","   \
    "\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"ASIAEXAMPLE\","            \
    "\"SecretAccessKey\":\"the/secret+key\",\"Token\":\"the-token==\"," \
    "\"Expiration\":\"2026-11-22T04:26:40Z\"}"
#define GOOD_END_S (NOW_S + 6 * 3600)

#endif
