/* floor: creds
 *
 * fuzz_ini - a credentials file: its lines as the reader gives them, and a profile's keys.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "presignd/cred_source.h"
#include "presignd/ini.h"

#define NOW_S 1795300000

/* Each view lies in the text, and the reader comes to an end. */
static void read_lines(struct str text)
{
    const uintptr_t from = (uintptr_t)text.ptr;
    const uintptr_t to = from + text.len;
    struct ini r;
    ini_begin(&r, text);
    size_t line_before = 0;
    enum ini_line line;
    while ((line = ini_next(&r)) == INI_SECTION || line == INI_PAIR) {
        assert(r.line > line_before && r.line <= text.len + 1);
        line_before = r.line;
        assert(r.section.len > 0 && (uintptr_t)r.section.ptr >= from);
        assert((uintptr_t)r.section.ptr + r.section.len <= to);
        if (line != INI_PAIR)
            continue;
        assert(r.key.len > 0 && (uintptr_t)r.key.ptr >= from);
        assert((uintptr_t)r.value.ptr + r.value.len <= to);
        assert(str_find(r.key, '\n', 0) == r.key.len && str_find(r.key, '=', 0) == r.key.len);
        assert(str_find(r.value, '\n', 0) == r.value.len);
    }
}

static void read_profile(struct str text)
{
    const struct cred_env env = { .file = STR("/f") };
    const struct reply answers[] = { { .kind = REPLY_NONE },
                                     { .kind = REPLY_HTTP, .http = 200, .body = text } };
    AUTO(buf) why = BUF_INIT(1024);
    struct cred_source *s = cred_source_new(CRED_FILE, &env, &why);
    assert(s);
    struct call call = CALL_INIT;
    struct creds *c = NULL;
    enum next n = s->kind->next(s, &answers[0], NOW_S, &call, &c, &why);
    assert(n == NEXT_CALL);
    n = s->kind->next(s, &answers[1], NOW_S, &call, &c, &why);
    assert(n == (c ? NEXT_DONE : NEXT_FAIL));
    assert((c != NULL) == (why.len == 0));
    for (size_t i = 0; i < why.len; i++)
        assert(why.ptr[i] >= ' ' && why.ptr[i] < 0x7f); /* it goes to the log */
    if (c) {
        assert(creds_key_id_ok(c->access_key_id) && creds_text_ok(c->secret_key));
        assert(c->expires_at_s > NOW_S);
    }
    creds_unref(c);
    call_release(&call);
    cred_source_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = { (const char *)data, size };
    read_lines(text);
    read_profile(text);
    return 0;
}
