/*
 * doctor_upload - a real packet, used: once as it is, then in each way that the store must refuse.
 *
 * Signed by the code that serves. Everything goes to one key, so that whatever is taken is one object
 * to remove. The form holds token and signature: it is wiped, and no line shows it.
 */
#include "presignd/doctor.h"
#include "presignd/encode.h"
#include "presignd/json_write.h"
#include "presignd/s3_refusal.h"

#define BOUNDARY "presignd-doctor-boundary-5f0c7a"

enum { PACKET_MAX = 128 * 1024, POLICY_MAX = 64 * 1024, REFUSALS = 5, SLOWEST_BYTES_PER_MS = 100 };

/* One way not to do it. */
struct misuse {
    struct str what; /* "one byte more than allowed" */
    struct str risk; /* what it means if it is taken */
    bool larger, other_type, other_policy, unsigned_, tokenless;
};

/* A signed packet. */
struct packet {
    struct post_packet post;
    struct buf url, json; /* json: as presignd would answer, for explain */
};

#define PACKET_INIT   \
    ((struct packet){ \
        .post = POST_PACKET_INIT, .url = BUF_INIT(PACKET_MAX), .json = BUF_INIT(PACKET_MAX) })

static void packet_release(struct packet *p)
{
    buf_wipe(&p->post.text);
    post_packet_release(&p->post);
    buf_wipe(&p->url);
    buf_wipe(&p->json);
}

/* ---- signing ------------------------------------------------------------------------------------ */

static int64_t ends_at_s(const struct doctor *d, int64_t now_s)
{
    enum expiry_limit limited_by;
    bool starved;
    return decide_expiry(&d->patient.probe.decision, now_s, d->creds->expires_at_s,
                         d->config->creds_min_ttl_s, &limited_by, &starved);
}

static enum status sign_post(const struct doctor *d, struct packet *p, const struct sign_creds *c,
                             const struct signing_key *k, int64_t now_s)
{
    const struct post_ask ask = decide_post_ask(&d->patient.probe.decision, ends_at_s(d, now_s));
    endpoint_base_url(&p->url, &d->patient.browser);
    return post_packet_sign(&p->post, &ask, c, k, now_s);
}

static enum status sign_put(const struct doctor *d, struct packet *p, const struct sign_creds *c,
                            const struct signing_key *k, int64_t now_s)
{
    return decide_sign_put(&p->url, &d->patient.probe.decision, d->patient.browser,
                           MAX_OF(ends_at_s(d, now_s) - now_s, INT64_C(1)), c, k, now_s);
}

static enum status write_json(const struct doctor *d, struct packet *p)
{
    const struct decision *of = &d->patient.probe.decision;
    struct jw j = { .out = &p->json };
    jw_open(&j, '{');
    jw_str(&j, "url", buf_view(&p->url));
    jw_open_key(&j, of->post ? "fields" : "headers", '{');
    for (size_t i = 0; i < (of->post ? p->post.n_fields : of->n_fields); i++) {
        const struct post_field *f = of->post ? &p->post.fields[i] : &of->fields[i];
        jw_pair(&j, f->name, f->value);
    }
    jw_close(&j);
    jw_close(&j);
    return jw_end(&j);
}

static enum status sign(struct doctor *d, struct packet *p)
{
    const struct sign_creds c = creds_for_signing(d->creds);
    const struct decision *of = &d->patient.probe.decision;
    const struct signing_key *k;
    const int64_t now_s = doctor_now_s();
    TRY(signing_keys_get(&d->signing, &c, d->creds->generation, of->bucket->where.region, now_s,
                         &k));
    TRY(of->post ? sign_post(d, p, &c, k, now_s) : sign_put(d, p, &c, k, now_s));
    return write_json(d, p);
}

/* ---- the form ----------------------------------------------------------------------------------- */

/* Another text that means the same: only a signature tells. */
static void put_other_policy(struct buf *out, struct str policy)
{
    AUTO(buf) text = BUF_INIT(POLICY_MAX);
    AUTO(buf) other = BUF_INIT(POLICY_MAX);
    if (decode_base64(&text, policy) != ST_OK) {
        out->st = ST_INVALID;
        return;
    }
    const struct str all = buf_view(&text);
    buf_str(&other, str_slice(all, 0, 1));
    buf_lit(&other, " ");
    buf_str(&other, str_slice(all, 1, all.len));
    encode_base64(out, buf_view(&other));
}

static bool is_left_out(const struct misuse *m, struct str field)
{
    const bool of_signer = str_equal(field, STR("policy")) ||
                           str_equal_nocase(field, STR("x-amz-signature")) ||
                           str_equal_nocase(field, STR("x-amz-credential")) ||
                           str_equal_nocase(field, STR("x-amz-algorithm")) ||
                           str_equal_nocase(field, STR("x-amz-date"));
    const bool is_token = str_equal_nocase(field, STR("x-amz-security-token"));
    return (m->unsigned_ && (of_signer || is_token)) || (m->tokenless && is_token);
}

static void put_field(struct buf *out, const struct doctor *d, const struct misuse *m,
                      const struct post_field *f)
{
    if (is_left_out(m, f->name))
        return;
    buf_lit(out, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"");
    buf_str(out, f->name);
    buf_lit(out, "\"\r\n\r\n");
    if (m->other_type && str_equal(f->name, STR("Content-Type")))
        buf_str(out, d->patient.probe.other_type);
    else if (m->other_policy && str_equal(f->name, STR("policy")))
        put_other_policy(out, f->value);
    else
        buf_str(out, f->value);
    buf_lit(out, "\r\n");
}

static void put_file(struct buf *out, const struct doctor *d, const struct misuse *m)
{
    buf_str(out, d->patient.probe.body);
    if (m->larger)
        buf_lit(out, "\n");
}

static void fill_form(struct doctor_call *c, const struct doctor *d, const struct packet *p,
                      const struct misuse *m)
{
    buf_str(&c->url, buf_view(&p->url));
    doctor_call_header(c, STR("Content-Type"), STR("multipart/form-data; boundary=" BOUNDARY));
    for (size_t i = 0; i < p->post.n_fields; i++)
        put_field(&c->body, d, m, &p->post.fields[i]);
    buf_lit(&c->body, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"file\"; "
                      "filename=\"probe\"\r\nContent-Type: application/octet-stream\r\n\r\n");
    put_file(&c->body, d, m);
    buf_lit(&c->body, "\r\n--" BOUNDARY "--\r\n");
}

static void fill_put(struct doctor_call *c, const struct doctor *d, const struct packet *p,
                     const struct misuse *m)
{
    const struct decision *of = &d->patient.probe.decision;
    const struct str url = buf_view(&p->url);
    buf_str(&c->url, m->unsigned_ ? str_slice(url, 0, str_find(url, '?', 0)) : url);
    if (m->other_policy && c->url.len > 0) /* the signature stands last */
        c->url.ptr[c->url.len - 1] = c->url.ptr[c->url.len - 1] == '0' ? '1' : '0';
    for (size_t i = 0; i < of->n_fields; i++) {
        const struct post_field *f = &of->fields[i];
        if (m->other_type && str_equal(f->name, STR("content-type")))
            doctor_call_header(c, f->name, d->patient.probe.other_type);
        else if (!str_equal(f->name, STR("content-length")))
            doctor_call_header(c, f->name, f->value);
    }
    put_file(&c->body, d, m);
}

static bool is_taken(const struct doctor_call *c)
{
    return c->reach == REACH_ANSWERED && c->http >= 200 && c->http < 300;
}

static void post_or_put(struct doctor *d, struct doctor_call *c, const struct packet *p,
                        const struct misuse *m)
{
    const bool post = d->patient.probe.decision.post;
    doctor_call_init(c, post ? "POST" : "PUT");
    if (d->patient.origin.len)
        doctor_call_header(c, STR("Origin"), d->patient.origin);
    if (post)
        fill_form(c, d, p, m);
    else
        fill_put(c, d, p, m);
    c->total_ms += (int64_t)c->body.len / SLOWEST_BYTES_PER_MS;
    d->patient.sent = true;
    doctor_call_run(c);
    d->patient.stored = d->patient.stored || is_taken(c);
    d->patient.unanswered = d->patient.unanswered || c->reach == REACH_ANSWER;
}

/* ---- as it should be ---------------------------------------------------------------------------- */

static void note_exposed(struct doctor *d, const struct doctor_call *c)
{
    struct patient *p = &d->patient;
    const struct str exposed = STR("Access-Control-Expose-Headers");
    p->exposes_etag = p->exposes_etag || doctor_call_lists(c, exposed, STR("ETag"));
    p->exposes_location = p->exposes_location || doctor_call_lists(c, exposed, STR("Location"));
}

static bool holds(struct str text, struct str part)
{
    return str_find_text(text, part) < text.len;
}

/* A plain "no" to whom the store knows (the signature was tried before) is a matter of rights. AWS
 * says which right and why; other words about policies and conditions are the form's. */
static bool is_denied(struct doctor *d, const struct doctor_call *c)
{
    AUTO(buf) why = BUF_INIT(1024);
    struct s3_refusal r;
    return c->reach == REACH_ANSWERED && c->http == 403 &&
           s3_refusal_read(&r, buf_view(&c->answer), &d->arena, &why) == ST_OK &&
           str_equal(r.code, STR("AccessDenied")) &&
           (holds(r.message, STR("not authorized to perform"))
                ? !holds(r.message, STR("explicit deny"))
                : !holds(r.message, STR("ondition")) && !holds(r.message, STR("olicy")));
}

/* The role may have rights for the values that tokens have, and for no other. */
static void tell_guessed(struct doctor *d)
{
    const struct decision *of = &d->patient.probe.decision;
    SAY(d, VERDICT_WARNING, STR(""),
        STR("Not tried: these credentials may not put # into the bucket, and which prefixes the "
            "keys "
            "of profile \"#\" have, only tokens know."),
        STR("If these rights end at such prefixes, list a value under the profile's allow.claims "
            "(or allow.plans), and the probe goes there; else give s3:PutObject on #/*."),
        of->key, of->profile->name, doctor_arn(d));
    d->lost |= 1u << d->part;
}

static void judge_upload(struct doctor *d, const struct doctor_call *c, const struct packet *p)
{
    const struct decision *of = &d->patient.probe.decision;
    const struct str method = of->post ? STR("POST") : STR("PUT");
    note_exposed(d, c);
    if (is_taken(c))
        SAY(d, VERDICT_OK, STR(""), STR("A # by profile \"#\" was stored (# bytes): #"), STR(""),
            method, of->profile->name, doctor_number(d, (int64_t)d->patient.probe.body.len),
            of->key);
    else if (is_denied(d, c) && d->patient.probe.guessed)
        tell_guessed(d);
    else if (is_denied(d, c))
        SAY(d, VERDICT_FAILED, STR(""),
            STR("These credentials may not put # into the bucket (the store: 403 AccessDenied)."),
            STR("Give their user or role s3:PutObject on #/#*, s3:PutObjectTagging and"
                " s3:PutObjectAcl where the profile sets these, kms:GenerateDataKey where a KMS key"
                " encrypts; and look for a Deny in the bucket's policy."),
            of->key, doctor_arn(d),
            str_slice(of->profile->key.text, 0, str_find(of->profile->key.text, '{', 0)));
    else
        doctor_refused(d, STR(""), c, buf_view(&p->json));
}

static void tell_unsigned(struct doctor *d)
{
    SAY(d, VERDICT_FAILED, STR(""), STR("No packet can be signed for the probe."),
        STR("Look at the profile's fields and metadata: together they are too large for a form."));
}

void doctor_upload(struct doctor *d)
{
    static const struct misuse none = { .larger = false };
    AUTO(packet) p = PACKET_INIT;
    struct doctor_call c;
    const enum plan_outcome plan = doctor_plan(d, METHOD_AUTO, true, &d->patient.probe);
    if (plan != PLAN_MADE) {
        doctor_unplanned(d, plan);
        return;
    }
    if (sign(d, &p) != ST_OK) {
        tell_unsigned(d);
        return;
    }
    post_or_put(d, &c, &p, &none);
    judge_upload(d, &c, &p);
    doctor_call_release(&c);
}

/* ---- as it should not be ------------------------------------------------------------------------ */

/* True when it was refused, as it should be. */
static bool try_misuse(struct doctor *d, const struct packet *p, const struct misuse *m)
{
    struct doctor_call c;
    post_or_put(d, &c, p, m);
    const bool answered = c.reach == REACH_ANSWERED && c.http < 500;
    const bool taken = is_taken(&c);
    if (taken)
        SAY(d, VERDICT_FAILED, m->what, STR("The store took it. #"),
            STR("Do not use this store with presignd, or mend it: a packet is safe only where the "
                "store checks what is signed."),
            m->risk);
    else if (!answered)
        SAY(d, VERDICT_WARNING, m->what, STR("The store gave no clear refusal (#)."),
            STR("Try again; look at the store."), c.http ? doctor_number(d, c.http) : c.why);
    doctor_call_release(&c);
    return answered && !taken;
}

void doctor_refusals(struct doctor *d)
{
    const struct misuse misuses[REFUSALS] = {
        { .what = STR("one byte more than signed"),
          .risk = STR("Sizes and quotas mean nothing there."),
          .larger = true },
        { .what = STR("another content type"),
          .risk = STR("Anything may be uploaded there as any type."),
          .other_type = true },
        { .what = STR("changed after signing"),
          .risk = STR("It checks no signature."),
          .other_policy = true },
        { .what = STR("not signed"),
          .risk = STR("Anybody may write to the bucket."),
          .unsigned_ = true },
        { .what = STR("without its session token"),
          .risk = STR("It checks no token."),
          .tokenless = true },
    };
    AUTO(packet) p = PACKET_INIT;
    const size_t n = d->creds->session_token.len ? REFUSALS : REFUSALS - 1;
    size_t refused = 0;
    if (sign(d, &p) != ST_OK) {
        tell_unsigned(d);
        return;
    }
    for (size_t i = 0; i < n; i++)
        refused += try_misuse(d, &p, &misuses[i]);
    if (refused == n)
        SAY(d, VERDICT_OK, STR(""),
            STR("The store refused what the packet does not allow: a byte more, another type, a "
                "change, no signature#."),
            STR(""), n == REFUSALS ? STR(", no session token") : STR(""));
}
