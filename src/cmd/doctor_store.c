/*
 * doctor_store - the way to a bucket: name, connection, TLS, clock, the bucket itself and its region,
 * and whether the store believes our signature.
 */
#include "presignd/doctor.h"
#include "presignd/explain.h"
#include "presignd/url_packet.h"

enum {
    URL_LIFE_S = 60,
    WHY_MAX = 1024,
    SHOWN_MAX = 300, /* bytes of a store's text */
    SKEW_WARN_S = 60,
    SKEW_MOST_S = 900, /* RequestTimeTooSkewed */
};

/* ---- what others said --------------------------------------------------------------------------- */

/* Without what is secret of ours and of the packet (NULL, "": none), and short. */
static enum status read_refusal(struct doctor *d, struct s3_refusal *out,
                                const struct doctor_call *c, const struct packet_view *view,
                                struct str packet)
{
    struct known_secrets secrets = { .n = 0 };
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    /* its texts are views: into a copy that stays */
    const struct str answer = arena_copy(&d->arena, buf_view(&c->answer));
    if (!answer.ptr)
        return ST_NO_MEMORY;
    TRY(s3_refusal_read(out, answer, &d->arena, &why));
    known_secrets_add(&secrets, d->creds->session_token, &d->arena);
    known_secrets_add(&secrets, d->creds->secret_key, &d->arena);
    explain_secrets(&secrets, view, packet, NULL, &d->arena);
    return s3_refusal_blank(out, &secrets, SHOWN_MAX, &d->arena);
}

static void tell_findings(struct doctor *d, struct str about, const struct explain *e)
{
    const struct str dash = e->refusal->message.len ? STR(" - ") : STR("");
    for (size_t i = 0; i < MIN_OF(e->n, (size_t)3); i++)
        SAY(d, VERDICT_FAILED, about, STR("# (the store: # ###)"), STR("#"), e->findings[i].says,
            doctor_number(d, e->refusal->http), e->refusal->code, dash, e->refusal->message,
            e->findings[i].todo);
}

static void tell_no_answer(struct doctor *d, struct str about, const struct doctor_call *c)
{
    SAY(d, VERDICT_FAILED, about, STR("The store did not answer: #."),
        STR("Try again; if it stays so, look at the network between here and the store."), c->why);
}

void doctor_refused(struct doctor *d, struct str about, const struct doctor_call *c,
                    struct str packet)
{
    static struct packet_view view;
    struct s3_refusal refusal;
    AUTO(buf) why = BUF_INIT(WHY_MAX);
    if (c->reach != REACH_ANSWERED) {
        tell_no_answer(d, about, c);
        return;
    }
    struct explain e = {
        .refusal = &refusal, .sent_bytes = -1, .now_s = doctor_now_s(), .arena = &d->arena
    };
    if (packet.len && packet_view_read(&view, packet, &d->arena, &why) == ST_OK)
        e.packet = &view;
    if (read_refusal(d, &refusal, c, e.packet, packet) == ST_OK && explain_judge(&e) == ST_OK)
        tell_findings(d, about, &e);
    else
        SAY(d, VERDICT_FAILED, about, STR("The store answered # and nothing that can be read."),
            STR("Is this the address of a store (endpoint, public_endpoint), or of a proxy?"),
            doctor_number(d, c->http));
}

struct str doctor_arn(struct doctor *d)
{
    AUTO(buf) arn = BUF_INIT(WHY_MAX);
    const struct endpoint_config *e = &d->patient.bucket->where;
    struct str kept;
    buf_lit(&arn, "arn:");
    buf_str(&arn, e->endpoint.len ? STR("aws") : endpoint_arn_partition(e->region));
    buf_lit(&arn, ":s3:::");
    buf_str(&arn, e->bucket);
    return arena_keep(&d->arena, &arn, &kept) == ST_OK ? kept : e->bucket;
}

/* ---- calls -------------------------------------------------------------------------------------- */

bool doctor_sign(struct doctor *d, struct buf *url, const char *method, struct str key,
                 struct str sub_resource)
{
    const struct bucket *b = d->patient.bucket;
    const struct url_param query = { sub_resource, STR("") };
    const struct url_ask ask = { .method = str_from(method),
                                 .place = b->own_place,
                                 .key = key,
                                 .query = &query,
                                 .n_query = sub_resource.len ? 1 : 0,
                                 .expires_s = URL_LIFE_S };
    const struct sign_creds c = creds_for_signing(d->creds);
    const struct signing_key *k;
    const int64_t now_s = doctor_now_s();
    enum status st =
        signing_keys_get(&d->signing, &c, d->creds->generation, b->where.region, now_s, &k);
    if (st == ST_OK)
        st = url_packet_sign(url, &ask, &c, k, now_s);
    if (st != ST_OK)
        SAY(d, VERDICT_FAILED, STR(""), STR("These credentials cannot sign."),
            STR("Look at them for blanks and cut ends: id, secret and region are short words "
                "without blanks."));
    return st == ST_OK;
}

/* ---- the endpoint ------------------------------------------------------------------------------- */

static void tell_reach(struct doctor *d, enum verdict v, const struct endpoint *e,
                       const struct doctor_call *c)
{
    static const struct {
        struct str says, todo;
    } steps[] = {
        [REACH_NAME] = { STR_INIT("DNS: the name # leads nowhere: #."),
                         STR_INIT(
                             "Check endpoint, bucket and region for slips, and the name server "
                             "of this machine.") },
        [REACH_CONNECT] = { STR_INIT("TCP: nobody answers at #: #."),
                            STR_INIT(
                                "Check host and port of the endpoint, that the store runs, and "
                                "firewalls, security groups and routes (or the VPC endpoint) "
                                "between here and there.") },
        [REACH_TLS] = { STR_INIT("TLS: no handshake with #: #."),
                        STR_INIT("Is it a TLS port? For plain http write http:// before the "
                                 "endpoint; TLS 1.2 is the least that is taken.") },
        [REACH_TRUST] = { STR_INIT("TLS: the certificate of # is not trusted: #."),
                          STR_INIT(
                              "Let it be for this name and in time, and put its authority into "
                              "the system's (update-ca-certificates); there is no switch to "
                              "go without.") },
        [REACH_ANSWER] = { STR_INIT("HTTP: # was reached and gave no answer: #."),
                           STR_INIT("Is it a store, or something that waits for other words? Look "
                                    "at proxies between (https_proxy is honoured).") },
        [REACH_BUILT] = { STR_INIT("# could not be asked: #."), STR_INIT("Try again.") },
    };
    doctor_say(d, v, STR(""),
               (const struct str[]){ steps[c->reach].says, steps[c->reach].todo, e->host, c->why });
}

static bool is_loopback(const struct endpoint *e)
{
    return str_starts(e->host, STR("127.")) || str_starts(e->host, STR("[::1]")) ||
           str_starts(e->host, STR("localhost"));
}

static void tell_reached(struct doctor *d, const struct endpoint *e, const struct doctor_call *c)
{
    const bool tls = str_equal(e->scheme, STR("https"));
    if (tls || is_loopback(e))
        SAY(d, VERDICT_OK, STR(""), STR("# answers from # (#)."), STR(""), e->host,
            str_from(c->address), tls ? STR("DNS, TCP, TLS") : STR("DNS, TCP; no TLS"));
    else
        SAY(d, VERDICT_WARNING, STR(""), STR("# answers, without TLS."),
            STR("Use https: a packet is a permission, and anybody on the way can read it."),
            e->host);
}

/* HEAD of the bucket, unsigned: even a refusal shows that the store is there. */
static bool knock(struct doctor *d, const struct endpoint *e, enum verdict bad)
{
    struct patient *p = &d->patient;
    struct doctor_call c;
    doctor_call_init(&c, "HEAD");
    endpoint_base_url(&c.url, e);
    doctor_call_run(&c);
    const bool there = c.reach == REACH_ANSWERED;
    if (there && p->http == 0) {
        p->http = c.http;
        p->region = arena_copy(
            &d->arena, str_slice(doctor_call_find(&c, STR("x-amz-bucket-region")), 0, SHOWN_MAX));
        p->has_date = c.date_s >= 0;
        p->ahead_s = c.wall_s - c.date_s;
    }
    if (there)
        tell_reached(d, e, &c);
    else
        tell_reach(d, bad, e, &c);
    doctor_call_release(&c);
    return there;
}

static bool same_place(const struct endpoint *a, const struct endpoint *b)
{
    return str_equal(a->scheme, b->scheme) && str_equal(a->host, b->host) &&
           str_equal(a->path, b->path);
}

void doctor_endpoint(struct doctor *d)
{
    struct patient *p = &d->patient;
    const struct endpoint *own = &p->bucket->own_place, *public = &p->bucket->public_place;
    p->browser = *own;
    if (!knock(d, own, VERDICT_FAILED) || same_place(own, public))
        return;
    if (knock(d, public, VERDICT_WARNING))
        p->browser = *public;
}

/* ---- the clock ---------------------------------------------------------------------------------- */

static int64_t shortest_life_s(const struct doctor *d)
{
    const struct rules *r = &d->config->rules;
    int64_t s = EXPIRES_MAX_S;
    for (size_t i = 0; i < r->n_profiles; i++)
        if (r->profiles[i].bucket == d->patient.bucket)
            s = MIN_OF(s, r->profiles[i].expires_s);
    return s;
}

void doctor_clock(struct doctor *d)
{
    const int64_t ahead_s = d->patient.ahead_s;
    const int64_t off_s = ahead_s < 0 ? -ahead_s : ahead_s;
    const struct str off = doctor_span(d, off_s);
    const struct str side = ahead_s < 0 ? STR("behind") : STR("ahead of");
    if (!d->patient.has_date)
        SAY(d, VERDICT_NOTE, STR(""), STR("The store does not tell its time."), STR(""));
    else if (off_s > SKEW_MOST_S)
        SAY(d, VERDICT_FAILED, STR(""),
            STR("Ours is # # the store's; it refuses what is off by more than 15 minutes."),
            STR("Set the clock of this machine by NTP (chrony, systemd-timesyncd)."), off, side);
    else if (-ahead_s >= shortest_life_s(d))
        SAY(d, VERDICT_FAILED, STR(""),
            STR("Ours is # behind the store's, and packets that live # end before they are made."),
            STR("Set the clock of this machine by NTP (chrony, systemd-timesyncd)."), off,
            doctor_span(d, shortest_life_s(d)));
    else if (off_s > SKEW_WARN_S)
        SAY(d, VERDICT_WARNING, STR(""),
            STR("Ours is # # the store's: packets end # than they say."),
            STR("Set the clock of this machine by NTP (chrony, systemd-timesyncd); beyond 15 "
                "minutes the store refuses everything."),
            off, side, ahead_s < 0 ? STR("sooner") : STR("later"));
    else
        SAY(d, VERDICT_OK, STR(""), STR("Ours and the store's differ by #."), STR(""), off);
}

/* ---- the bucket --------------------------------------------------------------------------------- */

static void tell_no_bucket(struct doctor *d)
{
    SAY(d, VERDICT_FAILED, STR(""), STR("The store has no bucket \"#\"."),
        STR("Check buckets.#.bucket, endpoint and path_style, or make the bucket."),
        d->patient.bucket->where.bucket, d->patient.bucket->name);
}

static void tell_region(struct doctor *d, struct str region)
{
    const struct bucket *b = d->patient.bucket;
    SAY(d, VERDICT_FAILED, STR(""), STR("The bucket is in #, and the configuration says #."),
        STR("Set buckets.#.region to \"#\"."), region, b->where.region, b->name, region);
}

void doctor_bucket(struct doctor *d)
{
    const struct patient *p = &d->patient;
    const struct str region = p->bucket->where.region;
    if (p->http == 404)
        tell_no_bucket(d);
    else if (p->region.len && !str_equal(p->region, region))
        tell_region(d, p->region);
    else if (p->http == 301 || p->http == 307)
        SAY(d, VERDICT_FAILED, STR(""), STR("The store says that \"#\" is elsewhere (#)."),
            STR("Check buckets.#.region and endpoint."), p->bucket->where.bucket,
            doctor_number(d, p->http), p->bucket->name);
    else if (p->http >= 500)
        SAY(d, VERDICT_FAILED, STR(""), STR("The store answers # to everybody."),
            STR("Look at the store, or what stands before it: it is not ready."),
            doctor_number(d, p->http));
    else if (p->region.len)
        SAY(d, VERDICT_OK, STR(""), STR("\"#\" is there, in #."), STR(""), p->bucket->where.bucket,
            p->region);
    else
        SAY(d, VERDICT_OK, STR(""), STR("\"#\" is there; the store does not say in which region."),
            STR(""), p->bucket->where.bucket);
}

/* ---- the signature ------------------------------------------------------------------------------ */

/* clang-format off */
static const struct {
    struct str code, says, todo;
} signature_faults[] = {
    { STR_INIT("SignatureDoesNotMatch"),
      STR_INIT("The store knows the access key id, but our signature is wrong: the secret key is not the one of this id."),
      STR_INIT("Give both anew, as they were issued; look for a cut end or a blank. If they are right, a proxy before the store changes the Host.") },
    { STR_INIT("InvalidAccessKeyId"),
      STR_INIT("The store does not know this access key id."),
      STR_INIT("Is it of this store and this account, and active? Temporary credentials need their session token (AWS_SESSION_TOKEN) too.") },
    { STR_INIT("ExpiredToken"),
      STR_INIT("The temporary credentials have ended."),
      STR_INIT("Get new ones; with AWS_CREDENTIAL_EXPIRATION presignd knows their end, and from imds, container, web_identity or assume_role it renews them by itself.") },
    { STR_INIT("InvalidToken"),
      STR_INIT("The session token is not the one of this access key id."),
      STR_INIT("Give all three anew, as they were issued together, or drop a left-over AWS_SESSION_TOKEN.") },
    { STR_INIT("RequestTimeTooSkewed"),
      STR_INIT("Our clock and the store's differ too much."),
      STR_INIT("Set the clock of this machine by NTP (chrony, systemd-timesyncd).") },
};
/* clang-format on */

static bool tell_known_fault(struct doctor *d, struct str code)
{
    for (size_t i = 0; i < ARRAY_LEN(signature_faults); i++)
        if (str_equal(code, signature_faults[i].code)) {
            SAY(d, VERDICT_FAILED, STR(""), signature_faults[i].says, signature_faults[i].todo);
            return true;
        }
    return false;
}

static void judge_signature(struct doctor *d, const struct doctor_call *c)
{
    struct s3_refusal r;
    if (c->reach != REACH_ANSWERED || read_refusal(d, &r, c, NULL, STR("")) != ST_OK)
        doctor_refused(d, STR(""), c, STR(""));
    else if (c->http == 200)
        SAY(d, VERDICT_OK, STR(""), STR("The store takes our signature."), STR(""));
    else if (str_equal(r.code, STR("AccessDenied")))
        SAY(d, VERDICT_OK, STR(""),
            STR("The store knows our key (it may not read the bucket's location, and need not)."),
            STR(""));
    else if (str_equal(r.code, STR("NoSuchBucket")))
        tell_no_bucket(d);
    else if (r.region.len && !str_equal(r.region, d->patient.bucket->where.region))
        tell_region(d, r.region);
    else if (!tell_known_fault(d, r.code))
        doctor_refused(d, STR(""), c, STR(""));
}

void doctor_signature(struct doctor *d)
{
    struct doctor_call c;
    doctor_call_init(&c, "GET");
    if (doctor_sign(d, &c.url, c.method, STR(""), STR("location"))) {
        doctor_call_run(&c);
        judge_signature(d, &c);
    }
    doctor_call_release(&c);
}
