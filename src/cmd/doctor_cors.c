/*
 * doctor_cors - what the bucket lets pages of each origin send and read (Fetch standard, "CORS
 * protocol"): asked as a browser asks, by preflights for the POST and the PUT that our packets need.
 */
#include "presignd/doctor.h"
#include "presignd/encode.h"

enum { HEADERS_MAX = 8192, ORIGINS_MAX = 50 };

struct preflight {
    struct str origin;
    const char *method;
    struct str headers; /* "content-type,x-amz-acl": lower case, sorted, as browsers list them */
};

#define RULE "the bucket's CORS rule (the README's \"The bucket's CORS rule\")"

/* ---- asking ------------------------------------------------------------------------------------- */

static bool lets_origin(const struct doctor_call *c, struct str origin)
{
    const struct str allowed = doctor_call_find(c, STR("Access-Control-Allow-Origin"));
    return str_equal(allowed, origin) || str_equal(allowed, STR("*"));
}

/* Fetch lets no "*" stand for Authorization, but no packet has that header. */
static bool lets_headers(const struct doctor_call *c, struct str headers)
{
    struct str one;
    while (str_cut(&headers, ',', &one))
        if (one.len && !doctor_call_lists(c, STR("Access-Control-Allow-Headers"), one))
            return false;
    return true;
}

static bool is_let(const struct doctor_call *c, const struct preflight *p)
{
    return c->reach == REACH_ANSWERED && c->http >= 200 && c->http < 300 &&
           lets_origin(c, p->origin) &&
           doctor_call_lists(c, STR("Access-Control-Allow-Methods"), str_from(p->method)) &&
           lets_headers(c, p->headers);
}

static void ask(struct doctor *d, const struct preflight *p, struct doctor_call *c)
{
    struct patient *b = &d->patient;
    const struct str exposed = STR("Access-Control-Expose-Headers");
    doctor_call_init(c, "OPTIONS");
    endpoint_base_url(&c->url, &b->browser);
    if (str_equal(str_from(p->method), STR("PUT")))
        encode_uri_path(&c->url, b->probe.decision.key);
    doctor_call_header(c, STR("Origin"), p->origin);
    doctor_call_header(c, STR("Access-Control-Request-Method"), str_from(p->method));
    if (p->headers.len)
        doctor_call_header(c, STR("Access-Control-Request-Headers"), p->headers);
    doctor_call_run(c);
    b->exposes_etag = b->exposes_etag || doctor_call_lists(c, exposed, STR("ETag"));
    b->exposes_location = b->exposes_location || doctor_call_lists(c, exposed, STR("Location"));
}

static bool passes(struct doctor *d, struct preflight p)
{
    struct doctor_call c;
    ask(d, &p, &c);
    const bool let = is_let(&c, &p);
    doctor_call_release(&c);
    return let;
}

/* ---- which member of the rule it is ------------------------------------------------------------- */

/* A store refuses as a whole: what is missing shows when less is asked. */
static void list_stopped(struct doctor *d, const struct preflight *p, struct buf *out)
{
    struct str rest = p->headers, one;
    while (str_cut(&rest, ',', &one))
        if (!passes(d, (struct preflight){ p->origin, p->method, one })) {
            buf_str(out, out->len ? STR(", ") : STR(""));
            buf_str(out, one);
        }
}

static void tell_headers(struct doctor *d, const struct preflight *p, enum verdict bad)
{
    AUTO(buf) stopped = BUF_INIT(HEADERS_MAX);
    list_stopped(d, p, &stopped);
    const struct str names = stopped.len ? buf_view(&stopped) : p->headers;
    SAY(d, bad, p->origin, STR("Pages may not send these headers with #: #."),
        STR("Put # under AllowedHeaders of " RULE "."), str_from(p->method), names, names);
}

static void tell_stopped(struct doctor *d, const struct preflight *p, const struct doctor_call *c,
                         enum verdict bad)
{
    const struct str method = str_from(p->method);
    const char *other = str_equal(method, STR("PUT")) ? "POST" : "PUT";
    if (c->reach != REACH_ANSWERED)
        SAY(d, bad, p->origin, STR("The store did not answer a browser's question for #: #."),
            STR("Try again; a firewall before the store may drop OPTIONS."), method, c->why);
    else if (p->headers.len && passes(d, (struct preflight){ p->origin, p->method, STR("") }))
        tell_headers(d, p, bad);
    else if (passes(d, (struct preflight){ p->origin, other, STR("") }))
        SAY(d, bad, p->origin, STR("Pages may #, but not #."),
            STR("Put # under AllowedMethods of " RULE "."), str_from(other), method, method);
    else
        SAY(d, bad, p->origin, STR("The bucket lets no page of this origin upload (the store: #)."),
            STR("Put it under AllowedOrigins, exactly as it stands here, and POST and PUT under "
                "AllowedMethods, of " RULE "."),
            doctor_number(d, c->http));
}

/* True when the browser would go on; else it was said why not. */
static bool look_at_method(struct doctor *d, const struct preflight *p, enum verdict bad)
{
    struct doctor_call c;
    ask(d, p, &c);
    const bool let = is_let(&c, p);
    if (!let)
        tell_stopped(d, p, &c, bad);
    doctor_call_release(&c);
    return let;
}

/* ---- each origin -------------------------------------------------------------------------------- */

/* What a page must set of a PUT packet's headers: all but what the browser sends by itself. */
static void list_headers(struct buf *out, const struct decision *d)
{
    const struct str *last = NULL;
    for (size_t n = 0; n < d->n_fields; n++) {
        const struct str *next = NULL; /* the least one after `last` */
        for (size_t i = 0; i < d->n_fields; i++) {
            const struct str *name = &d->fields[i].name;
            if (!str_equal(*name, STR("content-length")) &&
                (!last || str_compare(*last, *name) < 0) &&
                (!next || str_compare(*name, *next) < 0))
                next = name;
        }
        if (!next)
            return;
        if (last)
            buf_char(out, ',');
        buf_str(out, *next);
        last = next;
    }
}

static void look_at_origin(struct doctor *d, struct str origin, struct str put_headers)
{
    const bool posts = d->patient.bucket->post;
    d->patient.origin = origin;
    const struct preflight post = { origin, "POST", STR("") };
    const struct preflight put = { origin, "PUT", put_headers };
    if (posts && !look_at_method(d, &post, VERDICT_FAILED))
        return; /* one cause, one line */
    if (look_at_method(d, &put, posts ? VERDICT_WARNING : VERDICT_FAILED))
        SAY(d, VERDICT_OK, origin, STR("Pages may # PUT."), STR(""),
            posts ? STR("POST and") : STR(""));
}

/* A pattern is no origin that a page could have. */
static bool is_exact(struct str origin)
{
    return str_find(origin, '*', 0) == origin.len;
}

static void look_at_configured(struct doctor *d, struct str put_headers)
{
    const struct cors_config *cors = &d->config->server.cors;
    size_t tried = 0;
    for (size_t i = 0; i < cors->n_origins && tried < ORIGINS_MAX; i++) {
        if (is_exact(cors->origins[i])) {
            look_at_origin(d, cors->origins[i], put_headers);
            tried++;
        } else {
            SAY(d, VERDICT_NOTE, cors->origins[i], STR("It stands for many, and was not tried."),
                STR("Name one of them: --origin https://app.example.com."));
        }
    }
    if (cors->n_origins == 0)
        SAY(d, VERDICT_NOTE, STR(""), STR("No origins are configured (cors.origins)."),
            STR("If pages are to upload, name one: --origin https://app.example.com."));
}

void doctor_cors(struct doctor *d)
{
    AUTO(buf) headers = BUF_INIT(HEADERS_MAX);
    struct probe put;
    const enum plan_outcome plan = doctor_plan(d, METHOD_PUT, false, &put);
    if (plan != PLAN_MADE) {
        doctor_unplanned(d, plan);
        return;
    }
    d->patient.probe = put;
    list_headers(&headers, &put.decision);
    if (d->only_origin)
        look_at_origin(d, str_from(d->only_origin), buf_view(&headers));
    else
        look_at_configured(d, buf_view(&headers));
}

/* ---- what pages may read ------------------------------------------------------------------------ */

static bool is_aws(const struct bucket *b)
{
    return b->where.endpoint.len == 0;
}

void doctor_exposed(struct doctor *d)
{
    const struct patient *p = &d->patient;
    if (p->origin.len == 0)
        return;
    if (!p->exposes_etag)
        SAY(d, VERDICT_FAILED, STR(""), STR("Pages cannot read the ETag of what they uploaded."),
            STR("Put ETag under ExposeHeaders of " RULE "."));
    else if (!p->exposes_location && p->bucket->post && is_aws(p->bucket))
        SAY(d, VERDICT_WARNING, STR(""), STR("Pages can read ETag, but not Location."),
            STR("Put Location under ExposeHeaders of " RULE ", if pages want the object's URL."));
    else
        SAY(d, VERDICT_OK, STR(""), STR("Pages can read # of what they uploaded."), STR(""),
            p->exposes_location ? STR("ETag and Location") : STR("the ETag"));
}
