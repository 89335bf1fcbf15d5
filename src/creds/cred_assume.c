/*
 * cred_assume - AssumeRole on top of another source: longer sessions than a metadata service
 * promises, and fewer rights where a session policy is given.
 *
 * The inner source is asked by its own rule: again when its credentials are about as old as the
 * store would let them be, each time where they have no end or may be changed behind our back.
 * While they live, a failure of theirs does not stop the role from being assumed.
 */
#include <stdlib.h>
#include <string.h>

#include "presignd/sts.h"

enum { LAST_S = 60 };

struct assume_source {
    struct cred_source base;
    struct cred_source *inner;
    struct creds *held; /* the inner ones; NULL: none yet */
    bool asking_sts;    /* what `last` answers */
    struct sts_place place;
    struct buf form; /* the parameters, encoded: they do not change */
};

static enum next ask_sts(struct assume_source *as, int64_t now_s, struct call *out, struct buf *why)
{
    as->asking_sts = true;
    call_reset(out);
    sts_ask(&as->place, STR("AssumeRole"), out);
    buf_lit(&out->body, "&");
    buf_str(&out->body, buf_view(&as->form));
    const enum status st = sts_sign(&as->place, as->held, now_s, out);
    if (st == ST_OK)
        return NEXT_CALL;
    buf_lit(why, "the request to assume the role could not be ");
    buf_str(why, st == ST_NO_MEMORY ? STR("made: no memory")
                                    : STR("signed: the credentials or the region are unusable"));
    return NEXT_FAIL;
}

/* Whether what is held may sign without asking the inner source again. */
static bool inner_is_fresh(const struct assume_source *as, int64_t now_s)
{
    const struct creds *c = as->held;
    if (!c || c->expires_at_s == CREDS_NEVER || as->inner->reread_s)
        return false;
    const int64_t left_s = creds_left_s(c, now_s);
    return left_s > LAST_S && left_s * 2 > c->expires_at_s - c->obtained_at_s;
}

static void keep_inner(struct assume_source *as, struct creds *c)
{
    creds_unref(as->held);
    as->held = c;
}

static enum next ask_inner(struct assume_source *as, const struct reply *last, int64_t now_s,
                           struct call *out, struct buf *why)
{
    struct creds *c = NULL;
    const enum next n = as->inner->kind->next(as->inner, last, now_s, out, &c, why);
    if (n == NEXT_CALL)
        return n;
    if (n == NEXT_DONE)
        keep_inner(as, c);
    else if (!as->held || creds_left_s(as->held, now_s) <= 0)
        return NEXT_FAIL;
    buf_reset(why);
    return ask_sts(as, now_s, out, why);
}

/* Refusals that say the signer is at fault: the inner source may have better ones by now. */
static bool blames_signer(const struct sts_fault *f)
{
    static const char *const codes[] = { "ExpiredToken", "ExpiredTokenException",
                                         "InvalidClientTokenId", "InvalidAccessKeyId" };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (strcmp(f->code, codes[i]) == 0)
            return true;
    return false;
}

static enum next assume_next(struct cred_source *s, const struct reply *last, int64_t now_s,
                             struct call *out_call, struct creds **out_creds, struct buf *why)
{
    struct assume_source *as = container_of(s, struct assume_source, base);
    if (last->kind == REPLY_NONE) {
        as->asking_sts = false;
        if (inner_is_fresh(as, now_s))
            return ask_sts(as, now_s, out_call, why);
    }
    if (!as->asking_sts)
        return ask_inner(as, last, now_s, out_call, why);
    struct sts_fault fault;
    const struct sts_asked asked = { &as->place,
                                     { as->held->session_token, as->held->secret_key } };
    const enum next n = sts_answer(&asked, last, "assume_role", now_s, out_creds, &fault, why);
    if (n == NEXT_FAIL && blames_signer(&fault))
        keep_inner(as, NULL);
    return n;
}

static void assume_free(struct cred_source *s)
{
    struct assume_source *as = container_of(s, struct assume_source, base);
    cred_source_free(as->inner);
    creds_unref(as->held);
    sts_place_release(&as->place);
    buf_release(&as->form);
    free(as);
}

static const struct cred_source_kind assume_kind = {
    .name = "assume_role",
    .next = assume_next,
    .free = assume_free,
};

/* What stands in the form after Action and Version. */
static enum status write_form(struct buf *out, const struct cred_role *role)
{
    char digits[24];
    struct buf duration = BUF_FIXED(digits);
    buf_int(&duration, role->duration_s);
    sts_param(out, STR("RoleArn"), role->role_arn);
    sts_param(out, STR("RoleSessionName"), role->session_name);
    sts_param(out, STR("DurationSeconds"), buf_view(&duration));
    sts_param(out, STR("ExternalId"), role->external_id);
    sts_param(out, STR("Policy"), role->policy);
    return buf_check(out);
}

struct cred_source *cred_assume_new(struct cred_source *inner, const struct cred_env *env,
                                    struct buf *why)
{
    struct assume_source *as = inner ? calloc(1, sizeof(*as)) : NULL;
    if (!as) {
        cred_source_free(inner);
        return NULL;
    }
    as->base.kind = &assume_kind;
    as->inner = inner;
    as->form = BUF_INIT(CALL_BODY_MAX - 256);
    enum status st = sts_place_set(&as->place, env->sts_endpoint, env->region, false, why);
    if (st == ST_OK)
        st = write_form(&as->form, &env->role);
    if (st == ST_OK)
        return &as->base;
    if (st == ST_TOO_LARGE)
        buf_lit(why, "credentials.assume_role is too long for one request");
    assume_free(&as->base);
    return NULL;
}
