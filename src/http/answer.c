/*
 * answer - a settled answer becomes a response object of the library.
 *
 * Making such an object, three allocations for each header, costs as much as all else that we do
 * for a request outside the kernel. But apart from its id (and what the route adds) one answer has
 * the header of the one before, if the body is as long; and the bytes of the body are ours, not the
 * object's. So an exchange keeps the object of its last answer, writes the next body over the last
 * one, and changes only the few headers that belong to one answer. To make lengths meet, JSON is
 * filled up with blanks and a newline, which mean nothing there (RFC 8259 section 2).
 */
#include "exchange.h"

#include <string.h>

enum { FILL_TO = 128 };

static bool add(struct MHD_Response *resp, const char *name, const char *value)
{
    return MHD_add_response_header(resp, name, value) == MHD_YES;
}

/* Values are copied for the NUL that the library wants; one that is too long is left out. */
static bool add_str(struct MHD_Response *resp, const char *name, struct str value)
{
    char text[REQUEST_HEADER_MAX];
    if (value.len == 0 || value.len >= sizeof(text))
        return true;
    memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    return add(resp, name, text);
}

/* ---- what answers share ------------------------------------------------------------------------- */

static struct answer_shape shape_of(const struct exchange *x)
{
    const struct request *r = x->r;
    const struct cors_config *c = &r->server->config->cors;
    struct answer_shape shape = {
        .body = answer_body_of(r), .type = r->out_type, .cache = r->out_cache, .cors = x->cors
    };
    const struct str origin = r->headers.values[HEADER_ORIGIN];
    if (x->cors && cors_allows(c, origin)) {
        shape.origin = cors_allow_origin(c, origin);
        shape.credentials = c->credentials;
        shape.expose = r->method != HTTP_OPTIONS;
    }
    return shape;
}

static bool shapes_equal(const struct answer_shape *a, const struct answer_shape *b)
{
    return a->body.ptr == b->body.ptr && a->body.len == b->body.len && a->type == b->type &&
           a->cache == b->cache && a->cors == b->cors && a->credentials == b->credentials &&
           a->expose == b->expose && str_equal(a->origin, b->origin);
}

static bool add_cors(struct MHD_Response *resp, const struct answer_shape *s)
{
    if (!add(resp, "Vary", "Origin"))
        return false;
    if (s->origin.len == 0)
        return true;
    return add_str(resp, "Access-Control-Allow-Origin", s->origin) &&
           (!s->credentials || add(resp, "Access-Control-Allow-Credentials", "true")) &&
           (!s->expose || add(resp, "Access-Control-Expose-Headers",
                              "X-Request-Id, X-Correlation-Id, Retry-After, RateLimit, "
                              "RateLimit-Policy, Location"));
}

static bool add_shared(struct MHD_Response *resp, const struct answer_shape *s)
{
    return (s->body.len == 0 || add(resp, "Content-Type", s->type)) &&
           add(resp, "Cache-Control", s->cache) && add(resp, "X-Content-Type-Options", "nosniff") &&
           (!s->cors || add_cors(resp, s));
}

static struct MHD_Response *response_new(const struct answer_shape *s)
{
    /* "persistent": not copied, and not written to by the library; what is ours to change is changed
       only when no answer is under way */
    struct MHD_Response *resp = MHD_create_response_from_buffer(
        s->body.len, (void *)(uintptr_t)s->body.ptr, MHD_RESPMEM_PERSISTENT);
    if (resp && !add_shared(resp, s)) {
        MHD_destroy_response(resp);
        return NULL;
    }
    return resp;
}

/* ---- what belongs to one answer ----------------------------------------------------------------- */

static bool add_own(struct answer_kept *k, const char *name, struct str value)
{
    if (value.len == 0)
        return true;
    /* the one to remove could not be told from the one to keep */
    k->single_use |= MHD_get_response_header(k->response, name) != NULL;
    k->names[k->n_names++] = name;
    return add_str(k->response, name, value);
}

static bool add_owns(struct answer_kept *k, const struct request *r)
{
    bool good = add_own(k, "X-Request-Id", str_from(r->id)) &&
                add_own(k, "X-Correlation-Id", r->correlation);
    for (size_t i = 0; i < r->n_headers_out; i++)
        good = good && add_own(k, r->headers_out[i].name, r->headers_out[i].value);
    return good;
}

static void remove_owns(struct answer_kept *k)
{
    while (k->n_names > 0) {
        const char *name = k->names[--k->n_names];
        const char *value = MHD_get_response_header(k->response, name);
        if (value)
            MHD_del_response_header(k->response, name, value);
    }
}

/* ---- keeping ------------------------------------------------------------------------------------ */

void answer_forget(struct exchange *x)
{
    if (x->kept.response)
        MHD_destroy_response(x->kept.response);
    x->kept.response = NULL;
    x->kept.n_names = 0;
    x->kept.single_use = false;
}

static bool kept_for(struct exchange *x, const struct answer_shape *s)
{
    struct answer_kept *k = &x->kept;
    if (k->response && shapes_equal(&k->shape, s)) {
        remove_owns(k);
        return true;
    }
    answer_forget(x);
    if (s->origin.len > sizeof(k->origin))
        return false;
    k->response = response_new(s);
    k->shape = *s;
    if (s->origin.len > 0)
        memcpy(k->origin, s->origin.ptr, s->origin.len);
    k->shape.origin.ptr = k->origin;
    return k->response != NULL;
}

/* At least a newline, so that a terminal goes on where it should. */
static void fill_up(struct buf *out, const char *type)
{
    static const char blanks[] =
        "                                                                "
        "                                                               \n";
    static_assert(sizeof(blanks) == FILL_TO + 1, "as many as can be wanted");
    const size_t n = FILL_TO - out->len % FILL_TO;
    if (out->len > 0 && n <= out->limit - out->len && str_ends(str_from(type), STR("json")))
        buf_str(out, (struct str){ blanks + FILL_TO - n, n });
}

static bool add_close(struct answer_kept *k)
{
    k->single_use = true;
    return add(k->response, "Connection", "close");
}

enum MHD_Result answer_queue(struct exchange *x)
{
    struct request *r = x->r;
    const bool last = x->close || r->server->draining;
    if (buf_check(&r->out) != ST_OK)
        return MHD_NO; /* half a problem is no answer */
    fill_up(&r->out, r->out_type);
    const struct answer_shape shape = shape_of(x);
    if (!kept_for(x, &shape) || !add_owns(&x->kept, r) || (last && !add_close(&x->kept))) {
        answer_forget(x);
        return MHD_NO;
    }
    const enum MHD_Result done = MHD_queue_response(r->conn, (unsigned)x->http, x->kept.response);
    if (x->kept.single_use)
        answer_forget(x); /* the library holds it as long as it needs it */
    x->queued = r->handed = done == MHD_YES;
    peer_enter(x->peer, PEER_ANSWER);
    return done;
}
