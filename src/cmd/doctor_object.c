/*
 * doctor_object - the probe once it is stored: may presignd look at it, may strangers, and can it be
 * removed again?
 */
#include "presignd/doctor.h"
#include "presignd/encode.h"
#include "presignd/s3_refusal.h"

/* A signed call to the store about the bucket ("" key) or an object; released by the caller. */
static bool ask(struct doctor *d, struct doctor_call *c, const char *method, struct str key,
                struct str sub_resource)
{
    doctor_call_init(c, method);
    const bool signed_ = doctor_sign(d, &c->url, method, key, sub_resource);
    if (signed_)
        doctor_call_run(c);
    return signed_;
}

static struct str answer_of(struct doctor *d, const struct doctor_call *c)
{
    return c->reach == REACH_ANSWERED ? doctor_number(d, c->http) : c->why;
}

/* ---- HEAD --------------------------------------------------------------------------------------- */

#define WITHOUT_LEDGER "Nothing: without a ledger presignd never looks."

/* Only a ledger asks for it: `complete` proves an object, the sweeper settles what nobody completed. */
static void tell_no_head(struct doctor *d, struct str says, struct str answer, struct str todo,
                         struct str resource)
{
    const bool needed = d->config->ledger.backend != LEDGER_NONE;
    doctor_say(d, needed ? VERDICT_WARNING : VERDICT_NOTE, STR(""),
               (const struct str[]){ says, needed ? todo : STR(WITHOUT_LEDGER), answer, resource });
}

static void look_at_missing(struct doctor *d)
{
    struct doctor_call c;
    AUTO(buf) key = BUF_INIT(2048);
    buf_str(&key, d->patient.probe.decision.key);
    buf_lit(&key, "-that-is-not-there");
    if (ask(d, &c, "HEAD", buf_view(&key), STR(""))) {
        if (c.http == 404)
            SAY(d, VERDICT_OK, STR(""), STR("presignd sees what is there, and what is not."),
                STR(""));
        else
            tell_no_head(d,
                         STR("presignd sees what is there, but not what is missing (the store: "
                             "#)."),
                         answer_of(d, &c),
                         STR("To have uploads that never came given back to their users, allow "
                             "s3:ListBucket on #; else they go by plans.*.unsettled."),
                         doctor_arn(d));
    }
    doctor_call_release(&c);
}

void doctor_head(struct doctor *d)
{
    struct doctor_call c;
    bool seen = false;
    if (ask(d, &c, "HEAD", d->patient.probe.decision.key, STR(""))) {
        seen = c.http == 200;
        if (c.http == 404)
            SAY(d, VERDICT_FAILED, STR(""),
                STR("The store said that it has the probe, and has it not."),
                STR("Is endpoint the same store as public_endpoint? Else mend it, or use "
                    "another."));
        else if (!seen)
            tell_no_head(d,
                         STR("presignd may not look at objects (HEAD: #): \"complete\" will "
                             "answer 502."),
                         answer_of(d, &c),
                         STR("If clients call complete, allow s3:GetObject, and s3:ListBucket to "
                             "see what is missing, on # and what is in it."),
                         doctor_arn(d));
    }
    doctor_call_release(&c);
    if (seen)
        look_at_missing(d);
}

/* ---- strangers ---------------------------------------------------------------------------------- */

static void ask_as_stranger(struct doctor *d, struct doctor_call *c, struct str key,
                            struct str query)
{
    doctor_call_init(c, "GET");
    endpoint_base_url(&c->url, &d->patient.browser);
    encode_uri_path(&c->url, key);
    buf_str(&c->url, query);
    doctor_call_run(c);
}

static bool is_refused(const struct doctor_call *c)
{
    return c->reach == REACH_ANSWERED && (c->http == 401 || c->http == 403 || c->http == 404);
}

/* Neither yes nor no. */
static void tell_odd(struct doctor *d, const struct doctor_call *c)
{
    SAY(d, VERDICT_WARNING, STR(""), STR("A stranger got no clear refusal: #."),
        STR("Try again; look at the store, and at what stands before it."), answer_of(d, c));
}

#define CLOSE                                                                               \
    "Switch on the bucket's public access block (all four), and take public grants out of " \
    "its policy and ACL: aws s3api put-public-access-block."

void doctor_public_list(struct doctor *d)
{
    struct doctor_call c;
    ask_as_stranger(d, &c, STR(""), STR("?list-type=2&max-keys=1"));
    if (is_refused(&c))
        SAY(d, VERDICT_OK, STR(""), STR("Strangers cannot list the bucket."), STR(""));
    else if (c.http == 200)
        SAY(d, VERDICT_FAILED, STR(""), STR("Anybody can list the bucket."), STR(CLOSE));
    else
        tell_odd(d, &c);
    doctor_call_release(&c);
}

/* The operator's own wish, in the profile's fields. */
static bool is_meant(const struct decision *of)
{
    for (size_t i = 0; i < of->n_fields; i++)
        if ((str_equal(of->fields[i].name, STR("acl")) ||
             str_equal(of->fields[i].name, STR("x-amz-acl"))) &&
            str_starts(of->fields[i].value, STR("public")))
            return true;
    return false;
}

void doctor_public_read(struct doctor *d)
{
    struct doctor_call c;
    const struct decision *of = &d->patient.probe.decision;
    ask_as_stranger(d, &c, of->key, STR(""));
    if (is_refused(&c))
        SAY(d, VERDICT_OK, STR(""), STR("Strangers cannot read what was uploaded."), STR(""));
    else if (c.http == 200 && is_meant(of))
        SAY(d, VERDICT_WARNING, STR(""),
            STR("Anybody can read what is uploaded: profile \"#\" "
                "sets a public acl."),
            STR("Take \"acl\" out of the profile's fields, if that is not meant."),
            of->profile->name);
    else if (c.http == 200)
        SAY(d, VERDICT_FAILED, STR(""), STR("Anybody can read what was uploaded."), STR(CLOSE));
    else
        tell_odd(d, &c);
    doctor_call_release(&c);
}

/* ---- the block ---------------------------------------------------------------------------------- */

static const struct str switches[] = {
    STR_INIT("BlockPublicAcls"),
    STR_INIT("IgnorePublicAcls"),
    STR_INIT("BlockPublicPolicy"),
    STR_INIT("RestrictPublicBuckets"),
};

static bool is_on(struct str xml, struct str name)
{
    char space[80];
    struct buf element = BUF_FIXED(space);
    buf_lit(&element, "<");
    buf_str(&element, name);
    buf_lit(&element, ">");
    const size_t at = str_find_text(xml, buf_view(&element));
    const struct str value = str_slice(xml, at + element.len, xml.len);
    return at < xml.len && (str_starts(value, STR("true")) || str_starts(value, STR("TRUE")));
}

static void judge_block(struct doctor *d, struct str xml, enum verdict bad)
{
    AUTO(buf) off = BUF_INIT(256);
    for (size_t i = 0; i < ARRAY_LEN(switches); i++)
        if (!is_on(xml, switches[i])) {
            buf_str(&off, off.len ? STR(", ") : STR(""));
            buf_str(&off, switches[i]);
        }
    if (off.len == 0)
        SAY(d, VERDICT_OK, STR(""), STR("The public access block is on, all four."), STR(""));
    else
        SAY(d, bad, STR(""), STR("The public access block is off for #."),
            STR("Switch on all four: aws s3api put-public-access-block."), buf_view(&off));
}

static bool has_code(struct doctor *d, const struct doctor_call *c, struct str code)
{
    AUTO(buf) why = BUF_INIT(1024);
    struct s3_refusal r;
    return s3_refusal_read(&r, buf_view(&c->answer), &d->arena, &why) == ST_OK &&
           str_equal(r.code, code);
}

void doctor_public_block(struct doctor *d)
{
    struct doctor_call c;
    /* other stores are closed without it */
    const bool aws = d->patient.bucket->where.endpoint.len == 0;
    const enum verdict bad = aws ? VERDICT_WARNING : VERDICT_NOTE;
    if (ask(d, &c, "GET", STR(""), STR("publicAccessBlock"))) {
        if (c.http == 200)
            judge_block(d, doctor_call_body(&c), bad);
        else if (has_code(d, &c, STR("NoSuchPublicAccessBlockConfiguration")))
            SAY(d, bad, STR(""),
                STR("The bucket has no public access block; the account may have one."),
                STR("Switch on all four: aws s3api put-public-access-block."));
        else if (c.http == 403)
            SAY(d, VERDICT_NOTE, STR(""),
                STR("These credentials may not read the public access block, and need not."),
                STR("Look at it as an administrator: aws s3api get-public-access-block."));
        else
            SAY(d, VERDICT_NOTE, STR(""), STR("The store tells of no public access block (#)."),
                STR(""), answer_of(d, &c));
    }
    doctor_call_release(&c);
}

/* ---- the end of the probe ----------------------------------------------------------------------- */

static void tell_removed(struct doctor *d, const struct doctor_call *c, struct str key)
{
    const struct patient *p = &d->patient;
    if (p->unanswered)
        SAY(d, VERDICT_NOTE, STR(""),
            STR("The probe was removed, but an upload was not answered, and may still come."),
            STR("Look later whether it is there, and remove it: #."), key);
    else if (doctor_call_find(c, STR("x-amz-version-id")).len)
        SAY(d, VERDICT_NOTE, STR(""), STR("The probe was removed; the bucket keeps its versions."),
            STR("Let a lifecycle rule remove what is not current: #."), key);
    else if (p->stored)
        SAY(d, VERDICT_OK, STR(""), STR("The probe was removed."), STR(""));
    else
        SAY(d, VERDICT_OK, STR(""), STR("Nothing is left of the probe."), STR(""));
}

static void tell_left(struct doctor *d, const struct doctor_call *c, struct str key)
{
    const bool denied = c->http == 401 || c->http == 403;
    const struct str why = denied ? STR("these credentials may not delete, and need not")
                                  : STR("it could not be deleted");
    if (d->patient.stored)
        SAY(d, VERDICT_NOTE, STR(""), STR("The probe stays: # (the store: #)."),
            STR("Remove it as somebody who may: #."), why, answer_of(d, c), key);
    else
        SAY(d, VERDICT_NOTE, STR(""),
            STR("If the store kept the probe, it stays: # (the store: #)."),
            STR("Look whether it is there, and remove it as somebody who may: #."), why,
            answer_of(d, c), key);
}

void doctor_clean_up(struct doctor *d)
{
    struct doctor_call c;
    const struct str key = d->patient.probe.decision.key;
    /* where it cannot be signed, that is said, and the key too */
    const bool asked = ask(d, &c, "DELETE", key, STR(""));
    if (asked && (c.http == 200 || c.http == 204 || c.http == 404))
        tell_removed(d, &c, key);
    else
        tell_left(d, &c, key);
    doctor_call_release(&c);
}
