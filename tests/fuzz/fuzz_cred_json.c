/*
 * fuzz_cred_json - the document of a metadata or container endpoint, alone and as the last answer
 * of a conversation with IMDS; the same bytes also stand for its token and its role.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "presignd/cred_source.h"

#define NOW_S 1795300000

static void read_document(struct str text)
{
    AUTO(buf) why = BUF_INIT(1024);
    struct creds *c = NULL;
    const enum status st = cred_json_read(text, "imds", NOW_S, &c, &why);
    assert((st == ST_OK) == (c != NULL));
    assert((st == ST_OK) == (why.len == 0));
    for (size_t i = 0; i < why.len; i++)
        assert(why.ptr[i] >= ' ' && why.ptr[i] < 0x7f); /* it goes to the log */
    if (c) {
        assert(c->expires_at_s > NOW_S);
        assert(creds_text_ok(c->access_key_id) && creds_text_ok(c->secret_key) &&
               creds_text_ok(c->session_token));
    }
    creds_unref(c);
}

/* `hostile` is the answer in place `at`; the others are good. */
static void converse(struct str hostile, size_t at)
{
    const struct reply answers[] = {
        { .kind = REPLY_NONE },
        { .kind = REPLY_HTTP, .http = 200, .body = at == 1 ? hostile : STR("token==") },
        { .kind = REPLY_HTTP, .http = 200, .body = at == 2 ? hostile : STR("role") },
        { .kind = REPLY_HTTP, .http = 200, .body = hostile },
    };
    AUTO(buf) why = BUF_INIT(1024);
    struct cred_source *s = cred_source_new(CRED_IMDS, &(struct cred_env){ 0 }, &why);
    assert(s);
    struct call call = CALL_INIT;
    struct creds *c = NULL;
    enum next n = NEXT_CALL;
    for (size_t i = 0; n == NEXT_CALL && i < ARRAY_LEN(answers); i++) {
        call_reset(&call);
        n = s->kind->next(s, &answers[i], NOW_S, &call, &c, &why);
        if (n != NEXT_CALL)
            continue;
        AUTO(buf) fault = BUF_INIT(256);
        assert(address_url_check(buf_view(&call.url), call.hosts, &fault) == ST_OK);
        assert(str_starts(buf_view(&call.url), STR("http://169.254.169.254/latest/")));
        assert(buf_check(&call.headers) == ST_OK);
    }
    assert(n == NEXT_DONE || n == NEXT_FAIL);
    creds_unref(c);
    call_release(&call);
    cred_source_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = { (const char *)data, size };
    read_document(text);
    for (size_t at = 1; at <= 3; at++)
        converse(text, at);
    return 0;
}
