/*
 * fuzz_sts - an answer of STS, as credentials and as a refusal, and as the last word of a
 * conversation in which a role is assumed.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "presignd/sts.h"

#define NOW_S 1795300000

static void check_why(const struct buf *why)
{
    for (size_t i = 0; i < why->len; i++)
        assert(why->ptr[i] >= ' ' && why->ptr[i] < 0x7f); /* it goes to the log */
}

static void check_creds(const struct creds *c)
{
    assert(c->expires_at_s > NOW_S && creds_key_id_ok(c->access_key_id));
    assert(creds_text_ok(c->secret_key) && creds_text_ok(c->session_token));
}

static void read_document(struct str text)
{
    AUTO(buf) why = BUF_INIT(1024);
    struct creds *c = NULL;
    const enum status st = sts_creds_read(text, "sts", NOW_S, &c, &why);
    assert((st == ST_OK) == (c != NULL));
    assert((st == ST_OK) == (why.len == 0));
    check_why(&why);
    if (c)
        check_creds(c);
    creds_unref(c);
}

static void read_refusal(struct str text)
{
    struct sts_fault f;
    sts_fault_read(text, &f);
    assert(strnlen(f.code, sizeof(f.code)) < sizeof(f.code));
    assert(strnlen(f.message, sizeof(f.message)) < sizeof(f.message));
    assert(strnlen(f.request_id, sizeof(f.request_id)) < sizeof(f.request_id));
}

static void converse(struct str text, int http)
{
    const struct cred_env env = { .access_key_id = STR("AKIA"),
                                  .secret_key = STR("secret"),
                                  .region = STR("eu-west-1"),
                                  .role = { .role_arn = STR("arn:aws:iam::1:role/x"),
                                            .session_name = STR("fuzz"),
                                            .duration_s = 900 } };
    const struct reply answers[] = { { .kind = REPLY_NONE },
                                     { .kind = REPLY_HTTP, .http = http, .body = text } };
    AUTO(buf) why = BUF_INIT(1024);
    struct cred_source *s = cred_source_new(CRED_ENV, &env, &why);
    assert(s);
    struct call call = CALL_INIT;
    struct creds *c = NULL;
    enum next n = s->kind->next(s, &answers[0], NOW_S, &call, &c, &why);
    assert(n == NEXT_CALL);
    n = s->kind->next(s, &answers[1], NOW_S, &call, &c, &why);
    assert(n == (c ? NEXT_DONE : NEXT_FAIL));
    assert(!c || http == 200);
    check_why(&why);
    creds_unref(c);
    call_release(&call);
    cred_source_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = { (const char *)data, size };
    read_document(text);
    read_refusal(text);
    converse(text, 200);
    converse(text, 403);
    return 0;
}
