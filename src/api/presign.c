/*
 * presign - the contracts of the two published patterns (API.md section 4): POST /presign in both
 * spellings, POST /upload. Each reads its own words into one wish and writes its own answer.
 */
#include "presignd/api.h"
#include "presignd/encode.h"
#include "presignd/json_read.h"
#include "presignd/packet_json.h"

enum { BODY_DEPTH_MAX = 16, PUT_EXPIRES_MAX_S = 300, PUT_EXPIRES_MIN_S = 60, MD5_HEX = 32 };

/* A text or number that may or may not have been sent. */
struct text {
    struct str value;
    bool given;
};
struct number {
    int64_t value;
    bool given;
};

#define TEXT(body, member, spelling)                                                \
    {                                                                               \
        .name = (spelling), .type = JR_STR, .offset = offsetof(body, member.value), \
        .given_offset = offsetof(body, member.given)                                \
    }
#define NUMBER(body, member, spelling)                                              \
    {                                                                               \
        .name = (spelling), .type = JR_INT, .offset = offsetof(body, member.value), \
        .max = INT64_MAX, .given_offset = offsetof(body, member.given)              \
    }

/* ---- reading, shared ---------------------------------------------------------------------------- */

/* STEP_ON, or the refusal. */
static enum step read_body(struct grant_call *g, const struct jr_table *t, void *out)
{
    struct jr_error err = { .member = STR("") };
    json_t *doc = NULL;
    enum status st = jr_parse(g->r.body, BODY_DEPTH_MAX, &g->r.arena, &doc, &err);
    if (st == ST_OK)
        st = jr_fill(doc, t, STR(""), &g->r.arena, out, &err);
    json_decref(doc);
    if (st == ST_OK)
        return STEP_ON;
    if (st == ST_INVALID_REQUEST)
        return grant_bad_member(g, err.member, err.detail);
    return request_refuse(&g->r, ST_OVERLOADED);
}

static struct wish *only_wish(struct grant_call *g)
{
    g->wishes = ARENA_NEW(&g->r.arena, struct wish);
    g->n = 1;
    return g->wishes;
}

static void take_length(struct wish *w, const struct number *length)
{
    w->has_length = length->given;
    w->content_length = length->value;
}

static void take_filename(struct wish *w, const struct text *name)
{
    w->has_filename = name->given;
    w->filename = name->value;
}

/* ---- POST /presign ------------------------------------------------------------------------------ */

struct presign_body {
    struct text profile;
    struct text content_type, filename, name, original_name;
    struct number content_length, size;
    struct text camel_type, camel_name;
    struct number camel_size;
};

/* clang-format off */
static const struct jr_field presign_fields[] = {
    TEXT(struct presign_body, profile, "profile"),
    TEXT(struct presign_body, content_type, "content_type"),
    NUMBER(struct presign_body, content_length, "content_length"),
    NUMBER(struct presign_body, size, "size"),
    TEXT(struct presign_body, filename, "filename"),
    TEXT(struct presign_body, name, "name"),
    TEXT(struct presign_body, original_name, "original_name"),
    TEXT(struct presign_body, camel_type, "contentType"),
    TEXT(struct presign_body, camel_name, "fileName"),
    NUMBER(struct presign_body, camel_size, "fileSize"),
};
static const struct jr_table presign_table = {
    presign_fields, ARRAY_LEN(presign_fields), sizeof(struct presign_body), NULL
};

static const struct member_name camel_names[] = {
    { STR_INIT("content_type"),   STR_INIT("contentType") },
    { STR_INIT("content_length"), STR_INIT("fileSize") },
    { STR_INIT("filename"),       STR_INIT("fileName") },
    { STR_INIT(""),               STR_INIT("") },
};
/* clang-format on */

static bool is_camel(const struct presign_body *b)
{
    return b->camel_type.given || b->camel_name.given || b->camel_size.given;
}

static bool is_snake(const struct presign_body *b)
{
    return b->content_type.given || b->content_length.given || b->size.given || b->filename.given ||
           b->name.given || b->original_name.given;
}

static enum step read_camel(struct grant_call *g, const struct presign_body *b)
{
    if (!b->camel_name.given)
        return grant_bad_member(g, STR("fileName"), STR("fileName is missing."));
    if (!b->camel_type.given)
        return grant_bad_member(g, STR("contentType"), STR("contentType is missing."));
    struct wish *w = only_wish(g);
    if (!w)
        return request_refuse(&g->r, ST_OVERLOADED);
    g->names = camel_names;
    w->profile = b->profile.value;
    w->content_type = b->camel_type.value;
    take_length(w, &b->camel_size);
    take_filename(w, &b->camel_name);
    w->method = METHOD_PUT;
    w->has_expires = true;
    w->expires_in = PUT_EXPIRES_MAX_S;
    return STEP_ON;
}

static enum step read_snake(struct grant_call *g, const struct presign_body *b)
{
    if (!b->content_type.given)
        return grant_bad_member(g, STR("content_type"), STR("content_type is missing."));
    if (b->content_length.given && b->size.given)
        return grant_bad_member(g, STR("size"), STR("content_length and size name one thing."));
    const struct text *names[] = { &b->filename, &b->name, &b->original_name };
    const struct text *name = names[0];
    for (size_t i = 1; i < ARRAY_LEN(names); i++) {
        if (name->given && names[i]->given)
            return grant_bad_member(g, STR("filename"),
                                    STR("filename, name and original_name name one thing."));
        if (names[i]->given)
            name = names[i];
    }
    struct wish *w = only_wish(g);
    if (!w)
        return request_refuse(&g->r, ST_OVERLOADED);
    w->profile = b->profile.value;
    w->content_type = b->content_type.value;
    take_length(w, b->size.given ? &b->size : &b->content_length);
    take_filename(w, name);
    w->method = METHOD_POST;
    return STEP_ON;
}

static struct str first_camel(const struct presign_body *b)
{
    if (b->camel_type.given)
        return STR("contentType");
    return b->camel_name.given ? STR("fileName") : STR("fileSize");
}

static enum step read_presign(struct request *r)
{
    struct grant_call *g = grant_call_of(r);
    struct presign_body b = { .profile.given = false };
    const enum step s = read_body(g, &presign_table, &b);
    if (s != STEP_ON)
        return s;
    if (is_camel(&b) && is_snake(&b))
        return grant_bad_member(g, first_camel(&b),
                                STR("The two spellings of this call must not be mixed."));
    return is_camel(&b) ? read_camel(g, &b) : read_snake(g, &b);
}

/* ---- POST /upload ------------------------------------------------------------------------------- */

struct upload_body {
    struct text profile, filename, filetype, filemd5, clientnetwork;
    struct number filesize;
};

/* clang-format off */
static const struct jr_field upload_fields[] = {
    TEXT(struct upload_body, profile, "profile"),
    TEXT(struct upload_body, filename, "filename"),
    TEXT(struct upload_body, filetype, "filetype"),
    TEXT(struct upload_body, filemd5, "filemd5"),
    TEXT(struct upload_body, clientnetwork, "clientnetwork"),
    NUMBER(struct upload_body, filesize, "filesize"),
};
static const struct jr_table upload_table = {
    upload_fields, ARRAY_LEN(upload_fields), sizeof(struct upload_body), NULL
};

static const struct member_name upload_names[] = {
    { STR_INIT("content_type"),   STR_INIT("filetype") },
    { STR_INIT("content_length"), STR_INIT("filesize") },
    { STR_INIT(""),               STR_INIT("") },
};

static const struct { struct str name; int64_t bits_per_s; } networks[] = {
    { STR_INIT("slow-2g"),     50 * 1000 },
    { STR_INIT("2g"),         100 * 1000 },
    { STR_INIT("3g"),        1000 * 1000 },
    { STR_INIT("4g"),       10000 * 1000 },
    { STR_INIT("wifi"),     30000 * 1000 },
    { STR_INIT("ethernet"), 50000 * 1000 },
};
/* clang-format on */

static int64_t network_speed(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(networks); i++)
        if (str_equal(networks[i].name, name))
            return networks[i].bits_per_s;
    return 1000 * 1000;
}

/* As long as the upload should take on that network, within the two bounds. */
static int64_t upload_expires_s(const struct upload_body *b)
{
    const int64_t bytes_per_s = network_speed(b->clientnetwork.value) / 8;
    if (!b->filesize.given || b->filesize.value / bytes_per_s >= PUT_EXPIRES_MAX_S)
        return PUT_EXPIRES_MAX_S;
    const int64_t needed_s = (b->filesize.value + bytes_per_s - 1) / bytes_per_s;
    return MAX_OF(needed_s, PUT_EXPIRES_MIN_S);
}

/* Hex becomes base64. What is neither stays as it was sent: decide refuses it when its turn comes. */
static enum status take_md5(struct grant_call *g, struct wish *w, struct str text)
{
    w->checksum_kind = CHECK_MD5;
    w->checksum = text;
    AUTO(buf) bytes = BUF_INIT(MD5_HEX / 2);
    const enum status st = text.len == MD5_HEX ? decode_hex(&bytes, text) : ST_INVALID;
    if (st == ST_INVALID)
        return ST_OK;
    TRY(st);
    AUTO(buf) base64 = BUF_INIT(MD5_HEX);
    encode_base64(&base64, buf_view(&bytes));
    return arena_keep(&g->r.arena, &base64, &w->checksum);
}

static enum step read_upload(struct request *r)
{
    struct grant_call *g = grant_call_of(r);
    struct upload_body b = { .profile.given = false };
    const enum step s = read_body(g, &upload_table, &b);
    if (s != STEP_ON)
        return s;
    if (!b.filename.given)
        return grant_bad_member(g, STR("filename"), STR("filename is missing."));
    if (!b.filetype.given)
        return grant_bad_member(g, STR("filetype"), STR("filetype is missing."));
    struct wish *w = only_wish(g);
    if (!w)
        return request_refuse(r, ST_OVERLOADED);
    g->names = upload_names;
    w->profile = b.profile.value;
    w->content_type = b.filetype.value;
    take_length(w, &b.filesize);
    take_filename(w, &b.filename);
    w->method = METHOD_PUT;
    w->has_expires = true;
    w->expires_in = upload_expires_s(&b);
    if (b.filemd5.given && take_md5(g, w, b.filemd5.value) != ST_OK)
        return request_refuse(r, ST_OVERLOADED);
    return STEP_ON;
}

/* ---- writing ------------------------------------------------------------------------------------ */

static void write_post(struct jw *j, struct grant_call *g)
{
    packet_write_metadata(j, &g->grants[0].decision);
    jw_open_key(j, "presigned_post", '{');
    packet_write(j, g, 0);
    jw_close(j);
}

static void write_put(struct jw *j, struct grant_call *g, const char *url_name)
{
    jw_str(j, url_name, buf_view(&worker_of(&g->r)->url));
    jw_str(j, "key", g->grants[0].decision.key);
    packet_write_headers(j, g, 0);
}

static enum status write_answer(struct jw *j, struct grant_call *g)
{
    TRY(packet_sign(g, 0));
    const struct grant *it = &g->grants[0];
    jw_open(j, '{');
    jw_str(j, "id", str_from(it->decision.ids.id));
    if (it->decision.post)
        write_post(j, g);
    else
        write_put(j, g, g->names == upload_names ? "presignedUrl" : "uploadUrl");
    packet_write_expires_at(j, it->expires_at_s);
    jw_close(j);
    return jw_end(j);
}

static enum step write_dialect(struct request *r)
{
    struct grant_call *g = grant_call_of(r);
    struct jw j = { .out = &r->out };
    const enum status st = write_answer(&j, g);
    if (st != ST_OK) {
        buf_reset(&r->out);
        return request_refuse(r, st == ST_PROFILE_NOT_ALLOWED ? st : ST_OVERLOADED);
    }
    packet_granted(g);
    return request_answer(r, 200);
}

step_fn *const presign_steps[] = {
    grant_authenticate, request_wants_json, request_read_body, read_presign,  grant_idempotency,
    grant_decide,       grant_credentials,  grant_reserve,     write_dialect, NULL,
};

step_fn *const upload_steps[] = {
    grant_authenticate, request_wants_json, request_read_body, read_upload,   grant_idempotency,
    grant_decide,       grant_credentials,  grant_reserve,     write_dialect, NULL,
};
