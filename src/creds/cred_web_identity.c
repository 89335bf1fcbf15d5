/*
 * cred_web_identity - AssumeRoleWithWebIdentity: a token that somebody else signed (a Kubernetes
 * service account's, IRSA) for a role's credentials. Nothing signs the request but the token.
 *
 * Sources: AWS STS API "AssumeRoleWithWebIdentity"; SDKs and Tools Reference Guide "Assume role
 * provider". The token file is read anew for every request: the kubelet replaces it well before the
 * token ends. A token just replaced, or an issuer that STS could not reach, is worth another try
 * at once; everything else waits for the store's back-off.
 */
#include <stdlib.h>
#include <string.h>

#include "presignd/sts.h"

enum { TOKEN_BYTES_MAX = 12000, TRIES = 3, TEXT_MAX = 8192 };

struct web_source {
    struct cred_source base;
    struct buf file; /* empty: not configured */
    struct buf form; /* the parameters that do not change, encoded */
    struct sts_place place;
    struct buf token;  /* of the request under way */
    bool reading_file; /* what `last` answers */
    int tries;         /* of this attempt */
};

static enum next ask_file(struct web_source *ws, struct call *out)
{
    ws->reading_file = true;
    ws->tries++;
    return cred_ask_file(out, buf_view(&ws->file), TOKEN_BYTES_MAX);
}

static bool ends_in_break(struct str s)
{
    return str_ends(s, STR("\n")) || str_ends(s, STR("\r"));
}

static enum next refuse_file(const struct web_source *ws, struct str reason, struct buf *why)
{
    buf_lit(why, "AWS_WEB_IDENTITY_TOKEN_FILE: ");
    buf_str(why, buf_view(&ws->file));
    buf_str(why, reason);
    return NEXT_FAIL;
}

static enum next use_file(struct web_source *ws, const struct reply *last, struct call *out,
                          struct buf *why)
{
    if (last->kind != REPLY_HTTP || last->http != 200) {
        (void)refuse_file(ws, STR(" "), why);
        cred_file_explain(why, last);
        return NEXT_FAIL;
    }
    struct str token = last->body;
    while (ends_in_break(token))
        token.len--;
    if (!token.len || !str_printable_ascii(token) || str_find(token, ' ', 0) < token.len)
        return refuse_file(ws, STR(" holds no token: it is empty, or has a blank or a line break"),
                           why);
    ws->reading_file = false;
    sts_ask(&ws->place, STR("AssumeRoleWithWebIdentity"), out);
    buf_lit(&out->body, "&");
    buf_str(&out->body, buf_view(&ws->form));
    sts_param(&out->body, STR("WebIdentityToken"), token);
    buf_str(&ws->token, token);
    if (buf_check(&out->body) == ST_OK && buf_check(&ws->token) == ST_OK)
        return NEXT_CALL;
    return refuse_file(ws, STR(": no request could be made of it, for its size or want of memory"),
                       why);
}

static bool worth_another_try(const struct sts_fault *f)
{
    return strcmp(f->code, "IDPCommunicationError") == 0 ||
           strcmp(f->code, "InvalidIdentityToken") == 0;
}

static enum next web_next(struct cred_source *s, const struct reply *last, int64_t now_s,
                          struct call *out_call, struct creds **out_creds, struct buf *why)
{
    struct web_source *ws = container_of(s, struct web_source, base);
    if (!ws->file.len) {
        buf_lit(why, "AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE are not set");
        return NEXT_ABSENT;
    }
    if (last->kind == REPLY_NONE) {
        ws->tries = 0;
        buf_wipe(&ws->token);
        return ask_file(ws, out_call);
    }
    if (ws->reading_file)
        return use_file(ws, last, out_call, why);
    struct sts_fault fault;
    const struct sts_asked asked = { &ws->place, { buf_view(&ws->token), STR("") } };
    const enum next n = sts_answer(&asked, last, "web_identity", now_s, out_creds, &fault, why);
    buf_wipe(&ws->token);
    if (n != NEXT_FAIL || !worth_another_try(&fault) || ws->tries >= TRIES)
        return n;
    buf_reset(why);
    return ask_file(ws, out_call);
}

static void web_free(struct cred_source *s)
{
    struct web_source *ws = container_of(s, struct web_source, base);
    buf_wipe(&ws->token);
    buf_release(&ws->file);
    buf_release(&ws->form);
    sts_place_release(&ws->place);
    free(ws);
}

static const struct cred_source_kind web_kind = {
    .name = "web_identity",
    .next = web_next,
    .free = web_free,
};

static enum status configure(struct web_source *ws, const struct cred_env *env, struct buf *why)
{
    const struct str session = env->role_session_name;
    if (!env->role_arn.len && !env->web_identity_token_file.len)
        return ST_OK;
    if (!env->role_arn.len || !env->web_identity_token_file.len) {
        buf_str(why, env->role_arn.len ? STR("AWS_WEB_IDENTITY_TOKEN_FILE") : STR("AWS_ROLE_ARN"));
        buf_lit(why, " is not set, but the other of the two that web identity needs is");
        return ST_INVALID;
    }
    if (!str_printable_ascii(env->role_arn) || !str_printable_ascii(session)) {
        buf_lit(why, "AWS_ROLE_ARN or AWS_ROLE_SESSION_NAME holds a control or a byte that is not "
                     "ASCII");
        return ST_INVALID;
    }
    TRY(sts_place_set(&ws->place, env->sts_endpoint, env->region, true, why));
    sts_param(&ws->form, STR("RoleArn"), env->role_arn);
    sts_param(&ws->form, STR("RoleSessionName"), session.len ? session : STR("presignd"));
    buf_str(&ws->file, env->web_identity_token_file);
    TRY(buf_check(&ws->form));
    return buf_check(&ws->file);
}

struct cred_source *cred_web_identity_new(const struct cred_env *env, struct buf *why)
{
    struct web_source *ws = calloc(1, sizeof(*ws));
    if (!ws)
        return NULL;
    ws->base.kind = &web_kind;
    ws->file = BUF_INIT(CALL_URL_MAX / 2);
    ws->form = BUF_INIT(TEXT_MAX);
    ws->token = BUF_INIT(TOKEN_BYTES_MAX);
    const enum status st = configure(ws, env, why);
    if (st == ST_OK)
        return &ws->base;
    if (st == ST_TOO_LARGE)
        buf_lit(why,
                "AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME or AWS_WEB_IDENTITY_TOKEN_FILE is too long");
    web_free(&ws->base);
    return NULL;
}
