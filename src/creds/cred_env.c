/*
 * cred_env - AWS_ACCESS_KEY_ID and its companions, or texts given by --dev.
 *
 * Nothing is asked, and nothing better will ever come: a process does not see its environment
 * change. With a session token the end is known only through AWS_CREDENTIAL_EXPIRATION.
 */
#include <stdlib.h>

#include "presignd/cred_source.h"
#include "presignd/date.h"

struct env_source {
    struct cred_source base;
    const char *name;
    struct creds *given; /* NULL: the environment has none */
};

static enum next env_next(struct cred_source *s, const struct reply *last, int64_t now_s,
                          struct call *out_call, struct creds **out_creds, struct buf *why)
{
    (void)last;
    (void)out_call;
    const struct env_source *es = container_of(s, struct env_source, base);
    const struct creds *c = es->given;
    if (!c) {
        buf_lit(why, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set");
        return NEXT_ABSENT;
    }
    if (creds_left_s(c, now_s) <= 0) {
        buf_lit(why,
                "AWS_CREDENTIAL_EXPIRATION has passed: the environment's credentials ended at ");
        date_iso(why, c->expires_at_s);
        return NEXT_FAIL;
    }
    *out_creds = creds_new(c->access_key_id, c->secret_key, c->session_token, c->expires_at_s,
                           now_s, es->name);
    if (*out_creds)
        return NEXT_DONE;
    buf_lit(why, "no memory for credentials");
    return NEXT_FAIL;
}

static void env_free(struct cred_source *s)
{
    struct env_source *es = container_of(s, struct env_source, base);
    creds_unref(es->given);
    free(es);
}

static const struct cred_source_kind env_kind = { .name = "env",
                                                  .next = env_next,
                                                  .free = env_free };

struct named {
    const char *name;
    struct str value;
};

/* Half of a pair is a slip somebody wants to hear of, not a reason to look elsewhere. */
static bool check_texts(const struct cred_env *env, struct buf *why)
{
    const struct named texts[] = {
        { "AWS_ACCESS_KEY_ID", env->access_key_id },
        { "AWS_SECRET_ACCESS_KEY", env->secret_key },
        { "AWS_SESSION_TOKEN", env->session_token },
    };
    const bool any = texts[0].value.len || texts[1].value.len || texts[2].value.len;
    if (texts[0].value.len && !creds_key_id_ok(texts[0].value)) {
        buf_lit(why,
                "AWS_ACCESS_KEY_ID is too long or holds other than letters, digits, '.', '-', '_'");
        return false;
    }
    for (size_t i = 0; any && i < ARRAY_LEN(texts); i++) {
        const bool optional = i == 2;
        if (creds_text_ok(texts[i].value) || (optional && !texts[i].value.len))
            continue;
        buf_str(why, str_from(texts[i].name));
        if (texts[i].value.len)
            buf_lit(why, " is too long or holds a blank, a control or a byte that is not ASCII");
        else
            buf_lit(why, " is not set, but others of the AWS credential variables are");
        return false;
    }
    return true;
}

static bool read_expiration(struct str text, int64_t *out_s, struct buf *why)
{
    *out_s = CREDS_NEVER;
    if (!text.len || date_parse_rfc3339(text, out_s) == ST_OK)
        return true;
    buf_lit(why, "AWS_CREDENTIAL_EXPIRATION is no RFC 3339 time");
    return false;
}

struct cred_source *cred_env_new(const struct cred_env *env, const char *name, struct buf *why)
{
    int64_t expires_at_s;
    if (!check_texts(env, why) || !read_expiration(env->expiration, &expires_at_s, why))
        return NULL;

    struct env_source *es = calloc(1, sizeof(*es));
    if (!es)
        return NULL;
    es->base.kind = &env_kind;
    es->name = name;
    if (!env->access_key_id.len)
        return &es->base;
    es->given =
        creds_new(env->access_key_id, env->secret_key, env->session_token, expires_at_s, 0, name);
    if (es->given)
        return &es->base;
    free(es);
    return NULL;
}
