/*
 * cred_source - picks the constructor, and words what sources have in common.
 */
#include "presignd/cred_source.h"

enum { FILE_MS = 2000 };

static struct cred_source *provider_new(enum cred_provider p, const struct cred_env *env,
                                        struct buf *why)
{
    switch (p) {
    case CRED_AUTO: return cred_auto_new(env, why);
    case CRED_ENV: return cred_env_new(env, "env", why);
    case CRED_FILE: return cred_file_new(env, why);
    case CRED_WEB_IDENTITY: return cred_web_identity_new(env, why);
    case CRED_CONTAINER: return cred_container_new(env, why);
    case CRED_IMDS: return cred_imds_new(env, why);
    case CRED_STATIC: return cred_env_new(env, "static", why);
    }
    return NULL;
}

struct cred_source *cred_source_new(enum cred_provider p, const struct cred_env *env,
                                    struct buf *why)
{
    struct cred_source *s = provider_new(p, env, why);
    return env->role.role_arn.len && p != CRED_STATIC ? cred_assume_new(s, env, why) : s;
}

void cred_source_free(struct cred_source *s)
{
    if (s)
        s->kind->free(s);
}

void cred_reply_explain(struct buf *why, const struct reply *r)
{
    switch (r->kind) {
    case REPLY_NONE: buf_lit(why, "was not asked"); return;
    case REPLY_HTTP:
        buf_lit(why, "answered ");
        buf_int(why, r->http);
        return;
    case REPLY_TIMEOUT: buf_lit(why, "did not answer: "); break;
    case REPLY_UNREACHABLE: buf_lit(why, "cannot be reached: "); break;
    case REPLY_FORBIDDEN: buf_lit(why, "may not be asked: "); break;
    case REPLY_TOO_LARGE: buf_lit(why, "answered too much: "); break;
    }
    buf_str(why, r->why);
}

enum next cred_ask_file(struct call *out, struct str path, size_t max_bytes)
{
    out->method = "FILE";
    buf_str(&out->url, path);
    out->total_ms = FILE_MS;
    out->max_bytes = max_bytes;
    return NEXT_CALL;
}

void cred_file_explain(struct buf *why, const struct reply *r)
{
    buf_lit(why, "cannot be read: ");
    buf_str(why, r->kind == REPLY_HTTP ? STR("there is no such file") : r->why);
}
