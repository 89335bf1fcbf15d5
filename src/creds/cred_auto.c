/*
 * cred_auto - the first source that is configured here: env, web identity, container, IMDS.
 *
 * Only absence leads on to the next one. A source that is configured and fails is a fault to be
 * told: going on would sign with other rights than somebody meant.
 */
#include <stdlib.h>

#include "presignd/cred_source.h"

enum { SOURCES_MAX = 4 };

struct auto_source {
    struct cred_source base;
    struct cred_source *sources[SOURCES_MAX];
    size_t n;
    size_t at; /* whose reply comes next */
};

static enum next auto_next(struct cred_source *s, const struct reply *last, int64_t now_s,
                           struct call *out_call, struct creds **out_creds, struct buf *why)
{
    struct auto_source *as = container_of(s, struct auto_source, base);
    if (last->kind == REPLY_NONE)
        as->at = 0;
    for (; as->at < as->n; as->at++) {
        struct cred_source *each = as->sources[as->at];
        const enum next n = each->kind->next(each, last, now_s, out_call, out_creds, why);
        if (n != NEXT_ABSENT)
            return n;
        buf_reset(why); /* absence is told before anything is asked: the next one starts as well */
    }
    buf_lit(why, "no credentials are configured: neither AWS_ACCESS_KEY_ID nor a container's "
                 "endpoint is set, and AWS_EC2_METADATA_DISABLED is true");
    return NEXT_ABSENT;
}

static void auto_free(struct cred_source *s)
{
    struct auto_source *as = container_of(s, struct auto_source, base);
    for (size_t i = 0; i < as->n; i++)
        cred_source_free(as->sources[i]);
    free(as);
}

static const struct cred_source_kind auto_kind = {
    .name = "auto",
    .next = auto_next,
    .free = auto_free,
};

/* Takes the source; NULL is a failure of its constructor. */
static bool add(struct auto_source *as, struct cred_source *s)
{
    if (!s)
        return false;
    as->sources[as->n++] = s;
    return true;
}

static bool add_all(struct auto_source *as, const struct cred_env *env, struct buf *why)
{
    if (!add(as, cred_env_new(env, "env", why)))
        return false;
    /* A role without a token file is another tool's; a file without a role is a slip. */
    if (!env->access_key_id.len && env->web_identity_token_file.len &&
        !add(as, cred_web_identity_new(env, why)))
        return false;
    return add(as, cred_container_new(env, why)) &&
           (env->imds_disabled || add(as, cred_imds_new(env, why)));
}

struct cred_source *cred_auto_new(const struct cred_env *env, struct buf *why)
{
    struct auto_source *as = calloc(1, sizeof(*as));
    if (!as)
        return NULL;
    as->base.kind = &auto_kind;
    if (add_all(as, env, why))
        return &as->base;
    auto_free(&as->base);
    return NULL;
}
