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
};

/* clang-format off */
static const struct str ours[] = {
    STR_INIT("key"),              STR_INIT("bucket"),           STR_INIT("file"),
    STR_INIT("policy"),           STR_INIT("x-amz-algorithm"),  STR_INIT("x-amz-credential"),
    STR_INIT("x-amz-date"),       STR_INIT("x-amz-signature"),  STR_INIT("x-amz-security-token"),
};
/* clang-format on */

/* ---- what may stand in a packet ----------------------------------------------------------------- */

/* C1 controls, U+061C, U+200E, U+200F, U+202A-202E, U+2066-2069, by their UTF-8 bytes. */
static bool control_or_bidi(const unsigned char *u, size_t n)
{
    if (n == 2)
        return (u[0] == 0xc2 && u[1] < 0xa0) || (u[0] == 0xd8 && u[1] == 0x9c);
    if (n != 3 || u[0] != 0xe2)
        return false;
    if (u[1] == 0x80)
        return u[2] == 0x8e || u[2] == 0x8f || (u[2] >= 0xaa && u[2] <= 0xae);
    return u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9;
}

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
        if (n == 0 || control_or_bidi((const unsigned char *)value.ptr + at, n))
            return false;
        at += n;
    }
    return true;
}

static bool is_ours(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (str_equal_nocase(name, ours[i]))
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

static enum status write_policy(struct buf *out, const struct post_ask *ask, const struct list *l)
{
    struct jw j = { .out = out };
    jw_open(&j, '{');
    jw_open_key(&j, "conditions", '[');
    exact(&j, STR("bucket"), ask->bucket);
    exact_all(&j, l->fields + 1, l->n_fixed - 1);
    exact_all(&j, l->fields + l->n_fixed, 1);
    size_range(&j, ask);
    exact_all(&j, l->fields, 1);
    exact_all(&j, l->fields + l->n_fixed + 1, l->n - l->n_fixed - 1);
    jw_close(&j);
    char iso[sizeof("9999-12-31T23:59:59Z")];
    struct buf expiration = BUF_FIXED(iso);
    date_iso(&expiration, ask->expires_at_s);
    TRY(buf_check(&expiration));
    jw_str(&j, "expiration", buf_view(&expiration));
    jw_close(&j);
    return jw_end(&j);
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
    return write_policy(out, ask, &l);
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

/* ---- the packet --------------------------------------------------------------------------------- */

static enum status check_form_size(const struct post_packet *p)
{
    size_t bytes = FILE_PART_BYTES;
    for (size_t i = 0; i < p->n_fields; i++)
        bytes += PART_BYTES + p->fields[i].name.len + p->fields[i].value.len;
    return bytes < POST_FORM_BYTES_MAX ? ST_OK : ST_TOO_LARGE;
}

/* text is date, base64 of the policy, signature, in this order. */
static enum status write_text(struct buf *text, struct str amz_date, struct str policy,
                              const struct signing_key *k)
{
    const size_t base64_bytes = (policy.len + 2) / 3 * 4;
    buf_reset(text);
    (void)buf_room(text, AMZ_DATE_BYTES + base64_bytes + SIGNATURE_BYTES);
    buf_str(text, amz_date);
    encode_base64(text, policy);
    TRY(buf_check(text));
    sigv4_sign(text, k, str_slice(buf_view(text), AMZ_DATE_BYTES, text->len));
    return buf_check(text);
}

enum status post_packet_sign(struct post_packet *out, const struct post_ask *ask,
                             const struct sign_creds *c, const struct signing_key *k, int64_t now_s)
{
    char date[AMZ_DATE_BYTES];
    struct buf amz_date = BUF_FIXED(date);
    struct list l;
    TRY(prepare(&l, ask, c, k, now_s, &amz_date));
    char json[POLICY_BYTES_MAX];
    struct buf policy = BUF_FIXED(json);
    TRY(write_policy(&policy, ask, &l));
    TRY(write_text(&out->text, buf_view(&amz_date), buf_view(&policy), k));

    const struct str text = buf_view(&out->text);
    const size_t signature_at = text.len - SIGNATURE_BYTES;
    l.fields[l.n_fixed].value = str_slice(text, 0, AMZ_DATE_BYTES);
    add(&l, STR("policy"), str_slice(text, AMZ_DATE_BYTES, signature_at));
    add(&l, STR("x-amz-signature"), str_slice(text, signature_at, text.len));
    memcpy(out->fields, l.fields, l.n * sizeof(l.fields[0]));
    out->n_fields = l.n;
    return check_form_size(out);
}

void post_packet_release(struct post_packet *p)
{
    buf_release(&p->text);
    p->n_fields = 0;
}
