/*
 * doctor_here - what can be looked at without a bucket: the configuration, descriptors, credentials,
 * the issuers' keys.
 *
 * Credentials and keys are asked for by the very sources that the server uses, on a loop that turns
 * until the answer is there.
 */
#include "presignd/doctor.h"

#include <sys/resource.h>
#include <unistd.h>

#include "presignd/cred_source.h"
#include "presignd/key_refresh.h"
#include "presignd/key_source.h"

enum {
    WHY_MAX = 65536,
    CALLS_MAX = 16,
    WAIT_MS = 30000,
    TURN_MS = 200,
    OTHER_DESCRIPTORS = 64, /* as serve counts them */
    TAIL = 4,
};

/* ---- configuration ------------------------------------------------------------------------------ */

static void tell_lines(struct doctor *d, enum verdict v, struct str lines, struct str todo)
{
    struct str line;
    while (str_cut(&lines, '\n', &line))
        if (line.len)
            SAY(d, v, STR(""), STR("#"), todo, line);
}

static struct str counted(struct doctor *d, size_t n, struct str one, struct str many)
{
    char space[64];
    struct buf text = BUF_FIXED(space);
    struct str kept;
    buf_int(&text, (int64_t)n);
    buf_str(&text, n == 1 ? one : many);
    return arena_keep(&d->arena, &text, &kept) == ST_OK ? kept : one;
}

void doctor_config(struct doctor *d)
{
    const struct config_ask ask = { .path = d->config_path, .environment = environ };
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    if (config_load(&ask, &d->config, &why) != ST_OK) {
        d->config = NULL;
        tell_lines(
            d, VERDICT_FAILED,
            why.len ? buf_view(&why) : STR("There is no memory for the configuration."),
            STR("Mend it, or name another file with --config; \"presignd check\" says whether "
                "it is good."));
        return;
    }
    const struct config *c = d->config;
    SAY(d, VERDICT_OK, STR(""), STR("It is good: #, #, #."), STR(""),
        counted(d, c->rules.n_buckets, STR(" bucket"), STR(" buckets")),
        counted(d, c->rules.n_profiles, STR(" profile"), STR(" profiles")),
        counted(d, c->n_issuers, STR(" issuer"), STR(" issuers")));
    tell_lines(d, VERDICT_WARNING, c->warnings, STR("Change it, or leave it if it is meant so."));
}

/* ---- descriptors -------------------------------------------------------------------------------- */

void doctor_descriptors(struct doctor *d)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
        return;
    const rlim_t wanted =
        (rlim_t)d->config->server.connections * (rlim_t)d->config->threads + OTHER_DESCRIPTORS;
    const struct str most =
        lim.rlim_max == RLIM_INFINITY ? STR("any number") : doctor_number(d, (int64_t)lim.rlim_max);
    if (lim.rlim_max >= wanted)
        SAY(d, VERDICT_OK, STR(""), STR("# may be open at once; # are wanted at most."), STR(""),
            most, doctor_number(d, (int64_t)wanted));
    else
        SAY(d, VERDICT_WARNING, STR(""),
            STR("Only # may be open at once, and limits.connections asks for #."),
            STR("Raise the limit of the process (LimitNOFILE= of the unit, --ulimit nofile= of the"
                " container), or lower limits.connections."),
            most, doctor_number(d, (int64_t)wanted));
}

/* ---- asking ------------------------------------------------------------------------------------- */

/* One answer, copied: the reply of a fetch is gone after its callback. */
struct awaited {
    struct fetch fetch;
    struct reply reply;
    struct buf body, why;
    bool there;
};

static void on_reply(struct fetch *f, const struct reply *r)
{
    struct awaited *a = container_of(f, struct awaited, fetch);
    a->reply = *r;
    buf_wipe(&a->body);
    buf_reset(&a->why);
    buf_str(&a->body, r->body);
    buf_str(&a->why, r->why);
    a->reply.body = buf_view(&a->body);
    a->reply.why = buf_view(&a->why);
    a->reply.etag = STR("");
    a->there = true;
}

static void awaited_release(struct awaited *a)
{
    fetch_cancel(&a->fetch);
    buf_wipe(&a->body);
    buf_release(&a->why);
}

#define AWAITED_INIT                                       \
    ((struct awaited){ .fetch = { .done = on_reply },      \
                       .reply = { .kind = REPLY_NONE },    \
                       .body = BUF_INIT(KEYSET_BYTES_MAX), \
                       .why = BUF_INIT(WHY_MAX) })

/* False: it could not be asked. Each call has a deadline of its own; this is the last resort. */
static bool await(struct doctor *d, struct awaited *a, const struct call *c)
{
    const int64_t until_us = loop_clock_us() + WAIT_MS * INT64_C(1000);
    a->there = false;
    if (fetch_start(d->fetcher, &a->fetch, c) != ST_OK)
        return false;
    while (!a->there && loop_clock_us() < until_us)
        loop_turn(d->loop, TURN_MS);
    fetch_cancel(&a->fetch);
    return a->there;
}

/* ---- credentials -------------------------------------------------------------------------------- */

static struct str credentials_todo(const struct config *c)
{
    static const struct str todos[] = {
        [CRED_AUTO] =
            STR_INIT("Set credentials.provider to the one that is meant: it then says exactly what "
                     "it misses. On EC2 attach a role, and in a container there set "
                     "http-put-response-hop-limit to 2."),
        [CRED_ENV] = STR_INIT("Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for temporary "
                              "credentials AWS_SESSION_TOKEN and AWS_CREDENTIAL_EXPIRATION too, "
                              "where presignd runs."),
        [CRED_FILE] = STR_INIT("Check the file, its profile, and that presignd may read it "
                               "(credentials.file, credentials.profile)."),
        [CRED_WEB_IDENTITY] =
            STR_INIT("Check the token file, the role's trust policy (issuer, subject, audience) "
                     "and the way to STS."),
        [CRED_CONTAINER] = STR_INIT("Check that the task or pod has a role, and that the endpoint "
                                    "of AWS_CONTAINER_CREDENTIALS_*_URI answers from here."),
        [CRED_IMDS] =
            STR_INIT("Attach a role to the instance; in a container its hop limit must be 2: aws "
                     "ec2 modify-instance-metadata-options --instance-id ID "
                     "--http-put-response-hop-limit 2."),
        [CRED_STATIC] = STR_INIT("Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."),
    };
    return c->env.role.role_arn.len
               ? STR("Check the credentials that assume the role (sts:AssumeRole on it), the role's"
                     " trust policy and external id, and the way to STS.")
               : todos[c->provider];
}

static enum next ask_source(struct doctor *d, struct cred_source *s, struct buf *why)
{
    struct awaited a = AWAITED_INIT;
    struct call call = CALL_INIT;
    enum next n = NEXT_FAIL;
    for (int i = 0; i < CALLS_MAX; i++) {
        call_reset(&call);
        buf_reset(why);
        n = s->kind->next(s, &a.reply, doctor_now_s(), &call, &d->creds, why);
        if (n != NEXT_CALL)
            break;
        if (!await(d, &a, &call)) {
            buf_lit(why, "the credential source's request could not be made");
            n = NEXT_FAIL;
            break;
        }
    }
    call_release(&call);
    awaited_release(&a);
    return n;
}

/* The access key id is no secret, but nobody needs more of it to know it again. */
static struct str tail_of(const struct creds *c)
{
    const struct str id = c->access_key_id;
    return str_slice(id, id.len > 2 * TAIL ? id.len - TAIL : id.len, id.len);
}

static void tell_creds(struct doctor *d)
{
    const struct creds *c = d->creds;
    const struct str source = str_from(c->source);
    const int64_t left_s = creds_left_s(c, doctor_now_s());
    if (c->expires_at_s == CREDS_NEVER && c->session_token.len)
        SAY(d, VERDICT_WARNING, STR(""),
            STR("From #, access key id ...#: temporary, and nothing says when they end."),
            STR("Set AWS_CREDENTIAL_EXPIRATION (or \"expiration\" in the file): else packets will "
                "outlive them, and fail."),
            source, tail_of(c));
    else if (c->expires_at_s == CREDS_NEVER)
        SAY(d, VERDICT_OK, STR(""), STR("From #, access key id ...#; they do not end."), STR(""),
            source, tail_of(c));
    else if (left_s < d->config->creds_min_ttl_s)
        SAY(d, VERDICT_WARNING, STR(""), STR("From #, access key id ...#; only # are left."),
            STR("Give out credentials that live longer, or shorter packets "
                "(credentials.min_ttl_s is # s)."),
            source, tail_of(c), doctor_span(d, left_s),
            doctor_number(d, d->config->creds_min_ttl_s));
    else
        SAY(d, VERDICT_OK, STR(""), STR("From #, access key id ...#; # are left."), STR(""), source,
            tail_of(c), doctor_span(d, left_s));
}

void doctor_credentials(struct doctor *d)
{
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    struct cred_source *s = cred_source_new(d->config->provider, &d->config->env, &why);
    const enum next n = s ? ask_source(d, s, &why) : NEXT_FAIL;
    cred_source_free(s);
    if (n == NEXT_DONE && creds_left_s(d->creds, doctor_now_s()) > 0) {
        tell_creds(d);
        return;
    }
    creds_unref(TAKE(d->creds));
    SAY(d, VERDICT_FAILED, STR(""), STR("There are none: #."), credentials_todo(d->config),
        why.len          ? buf_view(&why)
        : n == NEXT_DONE ? STR("those there were have ended")
                         : STR("no memory"));
}

/* ---- keys --------------------------------------------------------------------------------------- */

static enum key_next fetch_keys(struct doctor *d, struct key_refresh *r, struct buf *why)
{
    struct awaited a = AWAITED_INIT;
    struct call call = CALL_INIT;
    enum key_next n = KEY_FAILED;
    for (int i = 0; i < CALLS_MAX; i++) {
        call_reset(&call);
        buf_reset(why);
        n = key_refresh_next(r, &a.reply, doctor_now_s(), &call, why);
        if (n != KEY_CALL)
            break;
        if (!await(d, &a, &call)) {
            buf_lit(why, "it could not be asked");
            n = KEY_FAILED;
            break;
        }
    }
    call_release(&call);
    awaited_release(&a);
    return n;
}

static void tell_keys(struct doctor *d, const struct issuer_config *ic, const struct keyset *ks,
                      const struct buf *why)
{
    const struct str n = counted(d, ks->n, STR(" usable key"), STR(" usable keys"));
    if (why->len == 0)
        SAY(d, VERDICT_OK, ic->issuer, STR("#."), STR(""), n);
    else
        SAY(d, VERDICT_WARNING, ic->issuer, STR("#, and others were skipped: #."),
            STR("Nothing, if no token is signed with those; else list their algorithm under the "
                "issuer's algorithms, or publish them in a form that presignd reads."),
            n, buf_view(why));
}

static void look_at_url(struct doctor *d, const struct issuer_config *ic)
{
    struct key_refresh r = { .config = ic, .max_age_s = -1 };
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    const enum key_next n = fetch_keys(d, &r, &why);
    if (n == KEY_CHANGED || n == KEY_SAME)
        tell_keys(d, ic, r.keys, &why);
    else
        SAY(d, VERDICT_FAILED, ic->issuer, STR("No keys from #: #."),
            STR("Check the address, and that it can be reached from here and answers with a JWK "
                "set: without keys every token of this issuer is refused."),
            ic->discovery ? STR("discovery") : ic->jwks_url, buf_view(&why));
    key_refresh_release(&r);
}

static struct str key_file_of(const struct issuer_config *ic)
{
    return ic->secret_file.len ? ic->secret_file
           : ic->jwks_file.len ? ic->jwks_file
                               : ic->public_key_file;
}

static void look_at_issuer(struct doctor *d, const struct issuer_config *ic)
{
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    struct keyring *ring = key_source_load(ic, 1, NULL, NULL, &why);
    if (!ring)
        SAY(d, VERDICT_FAILED, ic->issuer, STR("#."),
            STR("Mend #, or let the user that presignd runs as read it."), buf_view(&why),
            key_file_of(ic));
    else if (ring->issuers[0].can_refetch)
        look_at_url(d, ic);
    else
        tell_keys(d, ic, ring->issuers[0].keys, &why);
    keyring_unref(ring);
}

void doctor_keys(struct doctor *d)
{
    for (size_t i = 0; i < d->config->n_issuers; i++)
        look_at_issuer(d, &d->config->issuers[i]);
}
