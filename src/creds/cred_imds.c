/*
 * cred_imds - the EC2 instance metadata service, version 2 only: a version 1 request is what a
 * fooled proxy can be made to send, so there is no falling back to it.
 *
 *     PUT  /latest/api/token                                   -> session token
 *     GET  /latest/meta-data/iam/security-credentials/         -> name of the role
 *     GET  /latest/meta-data/iam/security-credentials/<role>   -> the document of cred_json
 *
 * Sources: AWS "Use the Instance Metadata Service to access instance metadata", "Retrieve security
 * credentials from instance metadata". A 401 means that the token ended: one more is asked for.
 */
#include <stdlib.h>

#include "presignd/cred_source.h"

enum {
    TOKEN_LIFE_S = 21600, /* the longest there is */
    TOKEN_SPARE_S = 60,
    TOKEN_MAX = 2048,
    ROLE_MAX = 128, /* IAM allows 64 */
    ENDPOINT_MAX = 1024,
    CONNECT_MS = 1000,
    TOTAL_MS = 2000,
    REPLY_MAX = 65536,
};

enum asked { ASKED_TOKEN, ASKED_ROLE, ASKED_DOCUMENT };

struct imds_source {
    struct cred_source base;
    struct buf endpoint; /* without a slash at the end */
    struct buf token;
    int64_t token_until_s;
    struct buf role;
    enum asked asked; /* what `last` answers */
    bool renewed;     /* a 401 was answered with a fresh token in this attempt */
};

#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"
#define TOKEN_PATH "/latest/api/token"

static void ask(struct imds_source *is, enum asked what, struct call *out)
{
    is->asked = what;
    out->method = "GET";
    out->hosts = CALL_HOSTS_METADATA;
    out->connect_ms = CONNECT_MS;
    out->total_ms = TOTAL_MS;
    out->max_bytes = REPLY_MAX;
    buf_str(&out->url, buf_view(&is->endpoint));
}

static enum next ask_token(struct imds_source *is, struct call *out)
{
    ask(is, ASKED_TOKEN, out);
    out->method = "PUT";
    buf_lit(&out->url, TOKEN_PATH);
    AUTO(buf) life = BUF_INIT(16);
    buf_int(&life, TOKEN_LIFE_S);
    call_header(out, "X-aws-ec2-metadata-token-ttl-seconds", buf_view(&life));
    return NEXT_CALL;
}

static enum next ask_role(struct imds_source *is, struct call *out)
{
    ask(is, ASKED_ROLE, out);
    buf_lit(&out->url, ROLES_PATH);
    call_header(out, "X-aws-ec2-metadata-token", buf_view(&is->token));
    return NEXT_CALL;
}

static enum next ask_document(struct imds_source *is, struct call *out)
{
    ask(is, ASKED_DOCUMENT, out);
    buf_lit(&out->url, ROLES_PATH);
    buf_str(&out->url, buf_view(&is->role));
    call_header(out, "X-aws-ec2-metadata-token", buf_view(&is->token));
    return NEXT_CALL;
}

static void forget_token(struct imds_source *is)
{
    buf_wipe(&is->token);
    is->token_until_s = 0;
}

static void about(const struct imds_source *is, struct buf *why)
{
    static const struct str what[] = {
        [ASKED_TOKEN] = STR_INIT(" (session token, PUT " TOKEN_PATH ") "),
        [ASKED_ROLE] = STR_INIT(" (name of the role) "),
        [ASKED_DOCUMENT] = STR_INIT(" (credentials of the role) "),
    };
    buf_lit(why, "the instance metadata service at ");
    buf_str(why, buf_view(&is->endpoint));
    buf_str(why, what[is->asked]);
}

/* What a person can do about it. */
static void advise(const struct imds_source *is, const struct reply *r, struct buf *why)
{
    if (r->kind == REPLY_TIMEOUT && is->asked == ASKED_TOKEN) {
        buf_lit(why,
                ". From inside a container the answer is lost at a hop limit of 1: set the "
                "instance's http-put-response-hop-limit to 2, use host networking, or give the "
                "task or pod a role of its own. Outside EC2 set credentials.provider");
        return;
    }
    if (r->kind == REPLY_UNREACHABLE && is->asked == ASKED_TOKEN)
        buf_lit(why, ". Outside EC2 set credentials.provider and the variables that it needs");
    if (r->kind != REPLY_HTTP)
        return;
    if (r->http == 400)
        buf_lit(why, ": it did not understand the request");
    if (r->http == 401)
        buf_lit(why, ": it refuses the session token that it has just given");
    if (r->http == 403)
        buf_lit(why, ": it is switched off or forbids this host (the instance's metadata options)");
    if (r->http == 404 && is->asked != ASKED_TOKEN)
        buf_lit(why, ": no role is attached to the instance");
    if (r->http == 503 || r->http == 429)
        buf_lit(why, ": it is overloaded or limits requests");
}

static enum next no_memory(struct buf *why)
{
    buf_lit(why, "no memory for the metadata service's answer");
    return NEXT_FAIL;
}

static enum next use_token(struct imds_source *is, const struct reply *last, int64_t now_s,
                           struct call *out, struct buf *why)
{
    if (!creds_text_ok(last->body) || last->body.len > TOKEN_MAX) {
        about(is, why);
        buf_lit(why, "answered with something that is no token");
        return NEXT_FAIL;
    }
    buf_wipe(&is->token);
    buf_str(&is->token, last->body);
    if (buf_check(&is->token) != ST_OK)
        return no_memory(why);
    is->token_until_s = now_s + TOKEN_LIFE_S - TOKEN_SPARE_S;
    return ask_role(is, out);
}

/* IAM's own alphabet for role names; it needs no encoding in a path. */
static bool role_ok(struct str role)
{
    for (size_t i = 0; i < role.len; i++)
        if (!ascii_alnum(role.ptr[i]) && str_find(STR("_+=,.@-"), role.ptr[i], 0) == 7)
            return false;
    return role.len > 0 && role.len <= ROLE_MAX;
}

static enum next use_role(struct imds_source *is, const struct reply *last, struct call *out,
                          struct buf *why)
{
    struct str role = str_slice(last->body, 0, str_find(last->body, '\n', 0));
    if (str_ends(role, STR("\r")))
        role.len--;
    role = str_trim(role);
    if (!role_ok(role)) {
        about(is, why);
        buf_lit(why, "answered with something that is no role name");
        return NEXT_FAIL;
    }
    buf_reset(&is->role);
    buf_str(&is->role, role);
    if (buf_check(&is->role) != ST_OK)
        return no_memory(why);
    return ask_document(is, out);
}

static enum next use_document(const struct imds_source *is, const struct reply *last, int64_t now_s,
                              struct creds **out, struct buf *why)
{
    about(is, why);
    if (cred_json_read(last->body, "imds", now_s, out, why) != ST_OK)
        return NEXT_FAIL;
    buf_reset(why);
    return NEXT_DONE;
}

static enum next fail(struct imds_source *is, const struct reply *last, struct buf *why)
{
    about(is, why);
    cred_reply_explain(why, last);
    advise(is, last, why);
    if (last->kind == REPLY_HTTP && last->http == 401)
        forget_token(is);
    return NEXT_FAIL;
}

static enum next imds_next(struct cred_source *s, const struct reply *last, int64_t now_s,
                           struct call *out_call, struct creds **out_creds, struct buf *why)
{
    struct imds_source *is = container_of(s, struct imds_source, base);
    if (last->kind == REPLY_NONE) {
        is->renewed = false;
        return now_s < is->token_until_s ? ask_role(is, out_call) : ask_token(is, out_call);
    }
    if (last->kind == REPLY_HTTP && last->http == 401 && is->asked != ASKED_TOKEN && !is->renewed) {
        is->renewed = true;
        forget_token(is);
        return ask_token(is, out_call);
    }
    if (last->kind != REPLY_HTTP || last->http != 200)
        return fail(is, last, why);
    switch (is->asked) {
    case ASKED_TOKEN: return use_token(is, last, now_s, out_call, why);
    case ASKED_ROLE: return use_role(is, last, out_call, why);
    case ASKED_DOCUMENT: return use_document(is, last, now_s, out_creds, why);
    }
    return NEXT_FAIL;
}

static void imds_free(struct cred_source *s)
{
    struct imds_source *is = container_of(s, struct imds_source, base);
    buf_release(&is->endpoint);
    buf_wipe(&is->token);
    buf_release(&is->role);
    free(is);
}

static const struct cred_source_kind imds_kind = {
    .name = "imds",
    .next = imds_next,
    .free = imds_free,
};

static enum status default_endpoint(struct buf *out, struct str mode, struct buf *why)
{
    if (!mode.len || str_equal_nocase(mode, STR("IPv4"))) {
        buf_lit(out, "http://169.254.169.254");
    } else if (str_equal_nocase(mode, STR("IPv6"))) {
        buf_lit(out, "http://[fd00:ec2::254]");
    } else {
        buf_lit(why, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is neither IPv4 nor IPv6");
        return ST_INVALID;
    }
    return ST_OK;
}

static enum status choose_endpoint(struct buf *out, const struct cred_env *env, struct buf *why)
{
    struct str given = env->imds_endpoint;
    if (!given.len)
        return default_endpoint(out, env->imds_endpoint_mode, why);
    while (str_ends(given, STR("/")))
        given.len--;
    buf_lit(why, "AWS_EC2_METADATA_SERVICE_ENDPOINT ");
    if (given.len > ENDPOINT_MAX || str_find(given, '?', 0) < given.len ||
        str_find(given, '#', 0) < given.len) {
        buf_lit(why, "is too long or has a query");
        return ST_INVALID;
    }
    TRY(address_url_check(given, CALL_HOSTS_METADATA, why));
    buf_reset(why);
    buf_str(out, given);
    return ST_OK;
}

struct cred_source *cred_imds_new(const struct cred_env *env, struct buf *why)
{
    struct imds_source *is = calloc(1, sizeof(*is));
    if (!is)
        return NULL;
    is->base.kind = &imds_kind;
    is->endpoint = BUF_INIT(ENDPOINT_MAX);
    is->token = BUF_INIT(TOKEN_MAX);
    is->role = BUF_INIT(ROLE_MAX);
    enum status st = choose_endpoint(&is->endpoint, env, why);
    if (st == ST_OK)
        st = buf_check(&is->endpoint);
    if (st == ST_OK)
        return &is->base;
    if (st == ST_NO_MEMORY)
        buf_reset(why);
    imds_free(&is->base);
    return NULL;
}
