/*
 * creds - the three texts stand in one block, one after the other, so that one wipe gets them all.
 */
#include "presignd/creds.h"

#include <stdlib.h>
#include <string.h>

#include "presignd/date.h"

enum { SHOWN_MAX = 128 };

static atomic_uint_fast64_t generations;

bool creds_text_ok(struct str text)
{
    return text.len > 0 && text.len <= CREDS_TEXT_MAX && str_printable_ascii(text) &&
           str_find(text, ' ', 0) == text.len;
}

bool creds_key_id_ok(struct str id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!ascii_alnum(id.ptr[i]) && id.ptr[i] != '-' && id.ptr[i] != '_' && id.ptr[i] != '.')
            return false;
    return creds_text_ok(id);
}

enum status creds_read_end(struct str text, int64_t now_s, int64_t *out_s, struct buf *why)
{
    if (date_parse_rfc3339(text, out_s) != ST_OK) {
        buf_lit(why, "answered with an Expiration that is no RFC 3339 time: \"");
        buf_str(why, str_slice(text, 0, SHOWN_MAX));
        buf_lit(why, "\"");
        return ST_INVALID;
    }
    if (*out_s > now_s)
        return ST_OK;
    buf_lit(why, "answered with credentials that were expired at arrival: they ended at ");
    date_iso(why, *out_s);
    buf_lit(why, ", and here it is ");
    date_iso(why, now_s);
    return ST_INVALID;
}

/* Copies `from` to *at, moves *at behind it, and gives the copy. */
static struct str put(char **at, struct str from)
{
    struct str copy = { *at, from.len };
    if (from.len)
        memcpy(*at, from.ptr, from.len);
    *at += from.len;
    return copy;
}

struct creds *creds_new(struct str access_key_id, struct str secret_key, struct str session_token,
                        int64_t expires_at_s, int64_t obtained_at_s, const char *source)
{
    if (!creds_key_id_ok(access_key_id) || !creds_text_ok(secret_key) ||
        (session_token.len && !creds_text_ok(session_token)))
        return NULL;

    struct creds *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->text.len = access_key_id.len + secret_key.len + session_token.len;
    c->text.ptr = malloc(c->text.len + 1);
    if (!c->text.ptr) {
        free(c);
        return NULL;
    }
    char *at = c->text.ptr;
    c->access_key_id = put(&at, access_key_id);
    c->secret_key = put(&at, secret_key);
    c->session_token = put(&at, session_token);
    *at = '\0';
    atomic_init(&c->refs, 1);
    c->expires_at_s = expires_at_s;
    c->obtained_at_s = obtained_at_s;
    c->generation = atomic_fetch_add(&generations, 1) + 1;
    c->source = source;
    return c;
}

struct creds *creds_ref(struct creds *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void creds_unref(struct creds *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    secret_release(&c->text);
    free(c);
}

bool creds_same(const struct creds *a, const struct creds *b)
{
    return a->expires_at_s == b->expires_at_s && strcmp(a->source, b->source) == 0 &&
           a->access_key_id.len == b->access_key_id.len && a->secret_key.len == b->secret_key.len &&
           crypto_equal(secret_view(&a->text), secret_view(&b->text));
}

struct sign_creds creds_for_signing(const struct creds *c)
{
    return (struct sign_creds){
        .access_key_id = c->access_key_id,
        .secret_key = c->secret_key,
        .session_token = c->session_token,
    };
}

int64_t creds_left_s(const struct creds *c, int64_t now_s)
{
    return c->expires_at_s == CREDS_NEVER ? CREDS_NEVER : c->expires_at_s - now_s;
}
