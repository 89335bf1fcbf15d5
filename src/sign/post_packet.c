/*
 * post_packet - form fields and the policy that pins them, made from one list.
 *
 * The list is the packet's own field array: key, what the profile shares, what the credential says,
 * the rest. The form shows it in that order; the policy walks over the same array, the shared
 * part first and what changes from packet to packet after it. So no field can lack its condition.
 * Two conditions have no field: bucket and content-length-range. Two fields have no condition:
 * policy and x-amz-signature.
 *
 * Source: AWS "POST Policy" and "Creating an HTML Form (Using AWS Signature Version 4)".
 */
#include "presignd/post_packet.h"

#include <stdlib.h>
#include <string.h>

#include "presignd/date.h"
#include "presignd/encode.h"
#include "presignd/json_write.h"

enum {
    KEY_BYTES_MAX = 1024,
    META_BYTES_MAX = 2048,
    OUR_FIELDS = 7, /* key, algorithm, credential, token, date, policy, signature */
    /* A part of the form without name and value: a boundary of 70 bytes (RFC 2046 section 5.1.1)
       with its dashes, the Content-Disposition line and the line ends. */
    PART_BYTES = 2 + 70 + 2 + 39 + 2 + 4,
    /* The file's own part, up to its bytes: file name and type as long as we let them be. */
    FILE_PART_BYTES = PART_BYTES + 14 + 255 + 16 + 255,
    AMZ_DATE_BYTES = 16,
    SIGNATURE_BYTES = 2 * HASH_BYTES,
    POLICY_BYTES_MAX = POST_FORM_BYTES_MAX / 4 * 3,
    INPUTS_MAX = POLICY_BYTES_MAX,
};

/* clang-format off */
static const struct str ours[] = {
    STR_INIT("key"),              STR_INIT("bucket"),           STR_INIT("file"),
    STR_INIT("policy"),           STR_INIT("x-amz-algorithm"),  STR_INIT("x-amz-credential"),
    STR_INIT("x-amz-date"),       STR_INIT("x-amz-signature"),  STR_INIT("x-amz-security-token"),
};
/* clang-format on */

/* ---- what may stand in a packet ----------------------------------------------------------------- */

bool post_value_ok(struct str value)
{
    size_t at = 0;
    while (at < value.len) {
        const unsigned char c = (unsigned char)value.ptr[at];
        if (c < 0x20 || c == 0x7f || c == '$' || c == '\\')
            return false;
        if (c < 0x80) {
            at++;
            continue;
        }
        const size_t n = str_utf8_at(value, at);
        if (n == 0 || str_hidden_at(value, at, n))
            return false;
        at += n;
    }
    return true;
}

static bool is_ours(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (name.len == ours[i].len && str_equal_nocase(name, ours[i]))
            return true;
    return false;
}

static bool name_ok(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '_')
            return false;
    return name.len > 0 && !is_ours(name);
}

static bool is_repeated(const struct post_ask *ask, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (str_equal_nocase(ask->fields[j].name, ask->fields[i].name))
            return true;
    return false;
}

static enum status check_fields(const struct post_ask *ask)
{
    size_t meta = 0;
    for (size_t i = 0; i < ask->n_fields; i++) {
        const struct post_field *f = &ask->fields[i];
        if (!name_ok(f->name) || !post_value_ok(f->value) || is_repeated(ask, i))
            return ST_INVALID;
        if (str_starts(f->name, STR("x-amz-meta-")))
            meta += f->name.len + f->value.len;
    }
    return meta <= META_BYTES_MAX ? ST_OK : ST_TOO_LARGE;
}

static enum status check_ask(const struct post_ask *ask)
{
    if (ask->n_fields > POST_FIELDS_MAX - OUR_FIELDS || ask->n_shared > ask->n_fields)
        return ST_INVALID;
    if (ask->min_bytes < 0 || ask->max_bytes < ask->min_bytes)
        return ST_INVALID;
    if (ask->bucket.len == 0 || !post_value_ok(ask->bucket))
        return ST_INVALID;
    if (ask->key.len == 0 || !post_value_ok(ask->key))
        return ST_INVALID;
    if (ask->key.len > KEY_BYTES_MAX)
        return ST_TOO_LARGE;
    return check_fields(ask);
}

/* ---- the one list ------------------------------------------------------------------------------- */

/* The fields that have a condition, in the form's order. */
struct list {
    struct post_field fields[POST_FIELDS_MAX];
    size_t n_fixed; /* the first field that changes from second to second: x-amz-date */
    size_t n;
};

static void add(struct list *l, struct str name, struct str value)
{
    l->fields[l->n++] = (struct post_field){ name, value };
}

static void list_fields(struct list *l, const struct post_ask *ask, const struct sign_creds *c,
                        const struct signing_key *k, struct str amz_date)
{
    add(l, STR("key"), ask->key);
    for (size_t i = 0; i < ask->n_shared; i++)
        l->fields[l->n++] = ask->fields[i];
    add(l, STR("x-amz-algorithm"), STR("AWS4-HMAC-SHA256"));
    add(l, STR("x-amz-credential"), signing_key_credential(k));
    if (c->session_token.len > 0)
        add(l, STR("x-amz-security-token"), c->session_token);
    l->n_fixed = l->n;
    add(l, STR("x-amz-date"), amz_date);
    for (size_t i = ask->n_shared; i < ask->n_fields; i++)
        l->fields[l->n++] = ask->fields[i];
}

/* ---- the policy --------------------------------------------------------------------------------- */

static void exact(struct jw *j, struct str name, struct str value)
{
    jw_open(j, '{');
    jw_pair(j, name, value);
    jw_close(j);
}

static void size_range(struct jw *j, const struct post_ask *ask)
{
    jw_open(j, '[');
    jw_item_str(j, STR("content-length-range"));
    jw_item_int(j, ask->min_bytes);
    jw_item_int(j, ask->max_bytes);
    jw_close(j);
}

static void exact_all(struct jw *j, const struct post_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++)
        exact(j, fields[i].name, fields[i].value);
}

/* What the packets of one profile, credential and day share. */
static void write_shared(struct jw *j, const struct post_ask *ask, const struct list *l)
{
    jw_open(j, '{');
    jw_open_key(j, "conditions", '[');
    exact(j, STR("bucket"), ask->bucket);
    exact_all(j, l->fields + 1, l->n_fixed - 1);
}

static void write_own(struct jw *j, const struct post_ask *ask, const struct list *l)
{
    exact_all(j, l->fields + l->n_fixed, 1);
    size_range(j, ask);
    exact_all(j, l->fields, 1);
    exact_all(j, l->fields + l->n_fixed + 1, l->n - l->n_fixed - 1);
    jw_close(j);
    char iso[sizeof("9999-12-31T23:59:59Z")];
    struct buf expiration = BUF_FIXED(iso);
    date_iso(&expiration, ask->expires_at_s);
    jw_str(j, "expiration", buf_view(&expiration));
    jw_close(j);
}

/* Everything the packet is made of, checked; amz_date lives in the caller's array. */
static enum status prepare(struct list *l, const struct post_ask *ask, const struct sign_creds *c,
                           const struct signing_key *k, int64_t now_s, struct buf *amz_date)
{
    if (!signing_key_fits(k, c, now_s) || ask->expires_at_s <= now_s)
        return ST_INVALID;
    TRY(check_ask(ask));
    date_amz(amz_date, now_s);
    TRY(buf_check(amz_date));
    l->n = 0;
    list_fields(l, ask, c, k, buf_view(amz_date));
    return ST_OK;
}

enum status post_policy(struct buf *out, const struct post_ask *ask, const struct sign_creds *c,
                        const struct signing_key *k, int64_t now_s)
{
    char date[AMZ_DATE_BYTES];
    struct buf amz_date = BUF_FIXED(date);
    struct list l;
    TRY(prepare(&l, ask, c, k, now_s, &amz_date));
    struct jw j = { .out = out };
    write_shared(&j, ask, &l);
    write_own(&j, ask, &l);
    return jw_end(&j);
}

enum status post_conditions(struct buf *out, const struct post_ask *ask)
{
    TRY(check_ask(ask));
    struct jw j = { .out = out };
    jw_open(&j, '[');
    exact(&j, STR("bucket"), ask->bucket);
    exact_all(&j, ask->fields, ask->n_shared);
    size_range(&j, ask);
    exact(&j, STR("key"), ask->key);
    exact_all(&j, ask->fields + ask->n_shared, ask->n_fields - ask->n_shared);
    jw_close(&j);
    return jw_end(&j);
}

/* ---- the shared part, kept ----------------------------------------------------------------------- */

/* A policy's beginning as base64, in whole groups, and the signature's state after it. */
struct shared {
    struct buf inputs; /* what it was made of; empty: nothing is kept */
    struct buf base64;
    char rest[2]; /* policy bytes after the last whole group */
    size_t n_rest;
    struct hmac hmac; /* secret: keyed */
    struct jw writer; /* where the policy goes on */
};

#define SHARED_INIT \
    ((struct shared){ .inputs = BUF_INIT(INPUTS_MAX), .base64 = BUF_INIT(POST_FORM_BYTES_MAX) })

static void shared_release(struct shared *s)
{
    buf_release(&s->inputs);
    buf_release(&s->base64);
    crypto_wipe(&s->hmac, sizeof(s->hmac));
}

struct post_kept {
    size_t n;
    struct shared slots[];
};

struct post_kept *post_kept_new(size_t slots)
{
    const size_t n = MIN_OF(MAX_OF(slots, 1), (size_t)POST_KEPT_MAX);
    struct post_kept *kept = malloc(sizeof(*kept) + n * sizeof(kept->slots[0]));
    if (!kept)
        return NULL;
    kept->n = n;
    for (size_t i = 0; i < n; i++)
        kept->slots[i] = SHARED_INIT;
    return kept;
}

void post_kept_free(struct post_kept *kept)
{
    for (size_t i = 0; kept && i < kept->n; i++)
        shared_release(&kept->slots[i]);
    free(kept);
}

static void push_input(struct buf *out, struct str s)
{
    buf_str(out, (struct str){ (const char *)&s.len, sizeof(s.len) });
    buf_str(out, s);
}

/* All that the shared part and its signature depend on, each with its length before it. */
static void list_inputs(struct buf *out, const struct post_ask *ask, const struct list *l,
                        const struct signing_key *k)
{
    buf_str(out, (struct str){ (const char *)&k->generation, sizeof(k->generation) });
    push_input(out, ask->bucket);
    for (size_t i = 1; i < l->n_fixed; i++) {
        push_input(out, l->fields[i].name);
        push_input(out, l->fields[i].value);
    }
}

static enum status make_shared(struct shared *s, const struct post_ask *ask, const struct list *l,
                               const struct signing_key *k)
{
    char json[POLICY_BYTES_MAX];
    struct buf policy = BUF_FIXED(json);
    s->writer = (struct jw){ .out = &policy };
    write_shared(&s->writer, ask, l);
    s->writer.out = NULL;
    TRY(buf_check(&policy));
    s->n_rest = policy.len % 3;
    const size_t whole = policy.len - s->n_rest;
    memcpy(s->rest, json + whole, s->n_rest);
    buf_reset(&s->base64);
    encode_base64(&s->base64, str_slice(buf_view(&policy), 0, whole));
    TRY(buf_check(&s->base64));
    hmac_start(&s->hmac, &k->key);
    hmac_add(&s->hmac, buf_view(&s->base64));
    return ST_OK;
}

/* The shared part of this ask in *s: still there, or made. */
static enum status have_shared(struct shared *s, const struct post_ask *ask, const struct list *l,
                               const struct signing_key *k)
{
    char text[INPUTS_MAX];
    struct buf inputs = BUF_FIXED(text);
    list_inputs(&inputs, ask, l, k);
    TRY(buf_check(&inputs));
    if (str_equal(buf_view(&inputs), buf_view(&s->inputs)))
        return ST_OK;
    buf_reset(&s->inputs);
    TRY(make_shared(s, ask, l, k));
    buf_str(&s->inputs, buf_view(&inputs));
    const enum status st = buf_check(&s->inputs);
    if (st != ST_OK)
        buf_reset(&s->inputs);
    return st;
}

/* ---- the packet --------------------------------------------------------------------------------- */

static enum status check_form_size(const struct list *l)
{
    size_t bytes = FILE_PART_BYTES;
    for (size_t i = 0; i < l->n; i++)
        bytes += PART_BYTES + l->fields[i].name.len + l->fields[i].value.len;
    return bytes < POST_FORM_BYTES_MAX ? ST_OK : ST_TOO_LARGE;
}

/* The policy from where the shared part ends, beginning with what filled no group there. */
static enum status write_rest(struct buf *policy, const struct shared *s,
                              const struct post_ask *ask, const struct list *l)
{
    buf_str(policy, (struct str){ s->rest, s->n_rest });
    struct jw j = s->writer;
    j.out = policy;
    write_own(&j, ask, l);
    return jw_end(&j);
}

/* text is date, base64 of the policy, signature, in this order. */
static enum status write_text(struct buf *text, struct str amz_date, const struct shared *s,
                              struct str rest, const struct signing_key *k)
{
    buf_reset(text);
    (void)buf_room(text, AMZ_DATE_BYTES + s->base64.len + (rest.len + 2) / 3 * 4 + SIGNATURE_BYTES);
    buf_str(text, amz_date);
    buf_str(text, buf_view(&s->base64));
    const size_t rest_at = text->len;
    encode_base64(text, rest);
    TRY(buf_check(text));

    unsigned char mac[HASH_BYTES];
    struct hmac hmac = s->hmac;
    hmac.key = &k->key;
    hmac_add(&hmac, str_slice(buf_view(text), rest_at, text->len));
    hmac_end(&hmac, mac);
    encode_hex(text, (struct str){ (const char *)mac, HASH_BYTES });
    return buf_check(text);
}

static enum status sign_after(struct post_packet *out, struct list *l, struct str amz_date,
                              const struct shared *s, const struct post_ask *ask,
                              const struct signing_key *k)
{
    char json[POLICY_BYTES_MAX];
    struct buf rest = BUF_FIXED(json);
    TRY(write_rest(&rest, s, ask, l));
    TRY(write_text(&out->text, amz_date, s, buf_view(&rest), k));

    const struct str text = buf_view(&out->text);
    const size_t signature_at = text.len - SIGNATURE_BYTES;
    l->fields[l->n_fixed].value = str_slice(text, 0, AMZ_DATE_BYTES);
    add(l, STR("policy"), str_slice(text, AMZ_DATE_BYTES, signature_at));
    add(l, STR("x-amz-signature"), str_slice(text, signature_at, text.len));
    TRY(check_form_size(l));
    memcpy(out->fields, l->fields, l->n * sizeof(l->fields[0]));
    out->n_fields = l->n;
    return ST_OK;
}

enum status post_packet_sign_kept(struct post_packet *out, const struct post_ask *ask,
                                  const struct sign_creds *c, const struct signing_key *k,
                                  int64_t now_s, struct post_kept *kept)
{
    char date[AMZ_DATE_BYTES];
    struct buf amz_date = BUF_FIXED(date);
    struct list l;
    TRY(prepare(&l, ask, c, k, now_s, &amz_date));
    struct shared *s = &kept->slots[ask->shared_slot % kept->n];
    TRY(have_shared(s, ask, &l, k));
    return sign_after(out, &l, buf_view(&amz_date), s, ask, k);
}

enum status post_packet_sign(struct post_packet *out, const struct post_ask *ask,
                             const struct sign_creds *c, const struct signing_key *k, int64_t now_s)
{
    char date[AMZ_DATE_BYTES];
    struct buf amz_date = BUF_FIXED(date);
    struct list l;
    TRY(prepare(&l, ask, c, k, now_s, &amz_date));
    AUTO(shared) s = SHARED_INIT;
    TRY(make_shared(&s, ask, &l, k));
    return sign_after(out, &l, buf_view(&amz_date), &s, ask, k);
}

void post_packet_release(struct post_packet *p)
{
    buf_release(&p->text);
    p->n_fields = 0;
}
