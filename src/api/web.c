/*
 * web - answers with embedded files: the bytes as they are, without a copy.
 *
 * The policy allows what the page is made of and no more: scripts and styles of its own origin, calls
 * to the buckets. It is built of texts that the configuration's check let pass; what is written is
 * judged here once more, because a ";" or "," in it would start another directive or policy.
 */
#include "presignd/web.h"

#include "presignd/api.h"
#include "presignd/encode.h"
#include "presignd/hash.h"

enum { ETAG_HASH_BYTES = 16, ETAG_BYTES = 2 * ETAG_HASH_BYTES + 2 };

static_assert(WEB_POLICY_MAX < (int)REQUEST_HEADER_MAX, "the policy is never left out");

/* ---- the policy --------------------------------------------------------------------------------- */

/* What connect-src names: an origin, or with an empty host all of a scheme. */
struct allowed {
    struct str scheme, host;
};

/* host-part and port-part of the header's grammar; browsers take no IPv6 address for a host. */
static bool host_ok(struct str host)
{
    for (size_t i = 0; i < host.len; i++) {
        const char c = host.ptr[i];
        if (!ascii_alnum(c) && c != '-' && c != '.' && c != ':')
            return false;
    }
    return host.len > 0;
}

static struct allowed allowed_of(const struct bucket *b, bool by_host)
{
    const struct endpoint *e = &b->public_place;
    return (struct allowed){ e->scheme, by_host && host_ok(e->host) ? e->host : STR("") };
}

static bool named_before(const struct bucket *buckets, size_t i, bool by_host)
{
    const struct allowed one = allowed_of(&buckets[i], by_host);
    for (size_t k = 0; k < i; k++) {
        const struct allowed other = allowed_of(&buckets[k], by_host);
        if (str_equal(one.scheme, other.scheme) && str_equal(one.host, other.host))
            return true;
    }
    return false;
}

static void put_source(struct buf *out, struct allowed s)
{
    buf_lit(out, " ");
    buf_str(out, s.scheme);
    buf_lit(out, ":");
    if (s.host.len == 0)
        return;
    buf_lit(out, "//");
    buf_str(out, s.host);
}

static void put_policy(struct buf *out, const struct bucket *buckets, size_t n, bool by_host)
{
    buf_lit(out, "default-src 'none'; script-src 'self'; style-src 'self'; "
                 "img-src 'self' blob:; connect-src 'self'");
    for (size_t i = 0; i < n; i++)
        if (!named_before(buckets, i, by_host))
            put_source(out, allowed_of(&buckets[i], by_host));
    buf_lit(out, "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                 "require-trusted-types-for 'script'");
}

void web_policy(struct buf *out, const struct bucket *buckets, size_t n)
{
    char space[WEB_POLICY_MAX];
    struct buf text = BUF_FIXED(space);
    put_policy(&text, buckets, n, true);
    if (buf_check(&text) != ST_OK) {
        buf_reset(&text);
        put_policy(&text, buckets, n, false);
    }
    assert(buf_check(&text) == ST_OK); /* two schemes always have room */
    buf_str(out, buf_view(&text));
}

/* ---- entity tags -------------------------------------------------------------------------------- */

static struct str etag_of(struct arena *a, struct str policy, struct str bytes)
{
    char space[ETAG_BYTES];
    struct buf text = BUF_FIXED(space);
    unsigned char sum[HASH_BYTES];
    struct hash h;
    hash_start(&h);
    hash_add(&h, policy);
    hash_add(&h, STR("\n"));
    hash_add(&h, bytes);
    hash_end(&h, sum);
    buf_lit(&text, "\"");
    encode_hex(&text, (struct str){ (const char *)sum, ETAG_HASH_BYTES });
    buf_lit(&text, "\"");
    return arena_copy(a, buf_view(&text));
}

static struct str skip_blanks(struct str s)
{
    size_t i = 0;
    while (i < s.len && (s.ptr[i] == ' ' || s.ptr[i] == '\t'))
        i++;
    return str_slice(s, i, s.len);
}

/* Takes one tag off the front, with its quotes and without "W/"; between the quotes may be commas. */
static bool cut_tag(struct str *rest, struct str *out_tag)
{
    struct str s = skip_blanks(*rest);
    while (str_starts(s, STR(",")))
        s = skip_blanks(str_slice(s, 1, s.len));
    if (str_starts(s, STR("W/")))
        s = str_slice(s, 2, s.len);
    if (!str_starts(s, STR("\"")))
        return false;
    const size_t end = str_find(s, '"', 1);
    if (end == s.len)
        return false;
    *out_tag = str_slice(s, 0, end + 1);
    *rest = skip_blanks(str_slice(s, end + 1, s.len));
    return rest->len == 0 || rest->ptr[0] == ',';
}

bool web_tag_listed(struct str if_none_match, struct str etag)
{
    struct str rest = str_trim(if_none_match), tag;
    if (str_equal(rest, STR("*")))
        return true;
    while (cut_tag(&rest, &tag))
        if (str_equal(tag, etag))
            return true;
    return false;
}

/* ---- what a configuration serves ---------------------------------------------------------------- */

enum status web_make(struct arena *a, const struct web_source *sources, size_t n,
                     const struct rules *r, const struct web **out)
{
    char space[WEB_POLICY_MAX];
    struct buf policy = BUF_FIXED(space);
    struct web *w = ARENA_NEW(a, struct web);
    struct web_file *files = arena_array(a, n, sizeof(*files));
    if (!w || !files)
        return ST_NO_MEMORY;
    web_policy(&policy, r->buckets, r->n_buckets);
    TRY(arena_keep(a, &policy, &w->policy));
    for (size_t i = 0; i < n; i++) {
        files[i].source = &sources[i];
        files[i].etag = etag_of(a, w->policy, *sources[i].bytes);
        if (!files[i].etag.ptr)
            return ST_NO_MEMORY;
    }
    w->files = files;
    w->n = n;
    *out = w;
    return ST_OK;
}

/* ---- the step ----------------------------------------------------------------------------------- */

static const struct web_file *file_at(const struct web *w, struct str path)
{
    for (size_t i = 0; w && i < w->n; i++)
        if (str_equal(w->files[i].source->path, path))
            return &w->files[i];
    return NULL;
}

static enum step answer_file(struct request *r)
{
    const struct web *w = worker_of(r)->world->settings.web;
    const struct web_file *f = file_at(w, r->path);
    if (!f)
        return request_refuse(r, ST_NOT_FOUND);
    /* the answer waits for the request's end, and a reload may drop this configuration meanwhile */
    const struct str etag = arena_copy(&r->arena, f->etag);
    const struct str policy = arena_copy(&r->arena, w->policy);
    if (!etag.ptr || !policy.ptr)
        return request_refuse(r, ST_OVERLOADED);
    r->out_cache = "no-cache";
    r->out_type = f->source->type;
    r->out_static = *f->source->bytes;
    request_header(r, "ETag", etag);
    /* the library sends the length of what it leaves out, as with HEAD */
    if (web_tag_listed(r->headers.values[HEADER_IF_NONE_MATCH], etag))
        return request_answer(r, 304);
    request_header(r, "Content-Security-Policy", policy);
    request_header(r, "Referrer-Policy", STR("no-referrer"));
    request_header(r, "Cross-Origin-Opener-Policy", STR("same-origin"));
    return request_answer(r, 200);
}

step_fn *const web_steps[] = { answer_file, NULL };
