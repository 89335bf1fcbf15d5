/*
 * cred_container - the endpoint that ECS, EKS Pod Identity or Greengrass puts beside a container.
 *
 * Sources: AWS "Container credential provider" (SDKs and Tools Reference Guide).
 * The relative URI wins over the full one. The token file is read anew for every request (EKS
 * rotates it) and beats the token variable. Over plain http only loopback and the three addresses
 * of ECS and EKS are talked to; that is judged here for literals and at the connection for names.
 */
#include <stdlib.h>

#include "presignd/cred_source.h"

enum { CALL_CONNECT_MS = 1000, CALL_TOTAL_MS = 2000, DOCUMENT_MAX = 65536, TOKEN_FILE_MAX = 16000 };

struct container_source {
    struct cred_source base;
    struct buf url; /* empty: not configured */
    struct buf token_file;
    struct buf token; /* of AWS_CONTAINER_AUTHORIZATION_TOKEN */
    enum call_hosts hosts;
    bool reading_file; /* what `last` answers */
};

static void about_url(struct buf *why, const struct container_source *cs)
{
    buf_lit(why, "the container's credential endpoint ");
    buf_str(why, buf_view(&cs->url));
    buf_lit(why, " ");
}

static enum next ask_file(struct container_source *cs, struct call *out)
{
    cs->reading_file = true;
    return cred_ask_file(out, buf_view(&cs->token_file), TOKEN_FILE_MAX);
}

static enum next ask_document(struct container_source *cs, struct str token, struct call *out)
{
    cs->reading_file = false;
    out->method = "GET";
    buf_str(&out->url, buf_view(&cs->url));
    call_header(out, "Accept", STR("application/json"));
    if (token.len)
        call_header(out, "Authorization", token);
    out->hosts = cs->hosts;
    out->connect_ms = CALL_CONNECT_MS;
    out->total_ms = CALL_TOTAL_MS;
    out->max_bytes = DOCUMENT_MAX;
    return NEXT_CALL;
}

static struct str without_newline(struct str s)
{
    if (str_ends(s, STR("\r\n")))
        return str_slice(s, 0, s.len - 2);
    return str_ends(s, STR("\n")) ? str_slice(s, 0, s.len - 1) : s;
}

/* A line break would let the token's writer add headers of his own. */
static bool token_ok(struct str token)
{
    return token.len > 0 && str_printable_ascii(token);
}

static enum next use_token_file(struct container_source *cs, const struct reply *last,
                                struct call *out, struct buf *why)
{
    buf_lit(why, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: ");
    buf_str(why, buf_view(&cs->token_file));
    if (last->kind != REPLY_HTTP || last->http != 200) {
        buf_lit(why, " ");
        cred_file_explain(why, last);
        return NEXT_FAIL;
    }
    const struct str token = without_newline(last->body);
    if (!token_ok(token)) {
        buf_lit(why, " is empty or holds a line break, a control or a byte that is not ASCII");
        return NEXT_FAIL;
    }
    buf_reset(why);
    return ask_document(cs, token, out);
}

static enum next read_document(const struct container_source *cs, const struct reply *last,
                               int64_t now_s, struct creds **out, struct buf *why)
{
    about_url(why, cs);
    if (last->kind != REPLY_HTTP || last->http != 200) {
        cred_reply_explain(why, last);
        if (last->kind == REPLY_HTTP && (last->http == 401 || last->http == 403))
            buf_lit(why, ": the authorization token was not accepted");
        return NEXT_FAIL;
    }
    if (cred_json_read(last->body, "container", now_s, out, why) != ST_OK)
        return NEXT_FAIL;
    buf_reset(why);
    return NEXT_DONE;
}

static enum next container_next(struct cred_source *s, const struct reply *last, int64_t now_s,
                                struct call *out_call, struct creds **out_creds, struct buf *why)
{
    struct container_source *cs = container_of(s, struct container_source, base);
    if (!cs->url.len) {
        buf_lit(why, "neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor "
                     "AWS_CONTAINER_CREDENTIALS_FULL_URI is set");
        return NEXT_ABSENT;
    }
    if (last->kind == REPLY_NONE)
        return cs->token_file.len ? ask_file(cs, out_call)
                                  : ask_document(cs, buf_view(&cs->token), out_call);
    if (cs->reading_file)
        return use_token_file(cs, last, out_call, why);
    return read_document(cs, last, now_s, out_creds, why);
}

static void container_free(struct cred_source *s)
{
    struct container_source *cs = container_of(s, struct container_source, base);
    buf_release(&cs->url);
    buf_release(&cs->token_file);
    buf_wipe(&cs->token);
    free(cs);
}

static const struct cred_source_kind container_kind = {
    .name = "container",
    .next = container_next,
    .free = container_free,
};

static bool check_relative(const struct cred_env *env, struct buf *why)
{
    if (str_starts(env->relative_uri, STR("/")))
        return true;
    buf_lit(why, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not start with \"/\"");
    return false;
}

/* https may go anywhere: the certificate vouches for the host. */
static enum status choose_url(struct container_source *cs, const struct cred_env *env,
                              struct buf *why)
{
    if (env->relative_uri.len) {
        if (!check_relative(env, why))
            return ST_INVALID;
        buf_str(&cs->url, env->ecs_endpoint.len ? env->ecs_endpoint : STR("http://169.254.170.2"));
        buf_str(&cs->url, env->relative_uri);
        buf_lit(why, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI ");
    } else {
        buf_str(&cs->url, env->full_uri);
        buf_lit(why, "AWS_CONTAINER_CREDENTIALS_FULL_URI ");
    }
    TRY(buf_check(&cs->url));
    const struct str scheme = str_slice(buf_view(&cs->url), 0, sizeof("https:") - 1);
    cs->hosts =
        str_equal_nocase(scheme, STR("https:")) ? CALL_HOSTS_METADATA : CALL_HOSTS_CONTAINER;
    TRY(address_url_check(buf_view(&cs->url), cs->hosts, why));
    buf_reset(why);
    return ST_OK;
}

static enum status configure(struct container_source *cs, const struct cred_env *env,
                             struct buf *why)
{
    if (!env->relative_uri.len && !env->full_uri.len)
        return ST_OK;
    TRY(choose_url(cs, env, why));
    if (!env->auth_token_file.len && env->auth_token.len && !token_ok(env->auth_token)) {
        buf_lit(why, "AWS_CONTAINER_AUTHORIZATION_TOKEN holds a line break, a control or a byte "
                     "that is not ASCII");
        return ST_INVALID;
    }
    buf_str(&cs->token_file, env->auth_token_file);
    buf_str(&cs->token, env->auth_token);
    TRY(buf_check(&cs->token_file));
    return buf_check(&cs->token);
}

struct cred_source *cred_container_new(const struct cred_env *env, struct buf *why)
{
    struct container_source *cs = calloc(1, sizeof(*cs));
    if (!cs)
        return NULL;
    cs->base.kind = &container_kind;
    cs->url = BUF_INIT(CALL_URL_MAX / 2);
    cs->token_file = BUF_INIT(CALL_URL_MAX / 2);
    cs->token = BUF_INIT(CALL_HEADERS_MAX / 2);
    const enum status st = configure(cs, env, why);
    if (st == ST_OK)
        return &cs->base;
    if (st == ST_NO_MEMORY)
        buf_reset(why);
    if (st == ST_TOO_LARGE)
        buf_lit(why, "one of the AWS_CONTAINER_ variables is too long");
    container_free(&cs->base);
    return NULL;
}
