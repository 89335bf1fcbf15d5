/*
 * uploads - POST /v1/uploads (API.md section 2): one file or a batch, signed or as a dry run.
 */
#include "presignd/api.h"
#include "presignd/json_read.h"
#include "presignd/limit_json.h"
#include "presignd/packet_json.h"

enum { FILES_MAX = 100, BODY_DEPTH_MAX = 16 };

/* ---- read --------------------------------------------------------------------------------------- */

struct checksum_body {
    int algorithm;
    struct str value;
};

struct file_body {
    struct wish wish;
    struct checksum_body *checksum;
    int method;
};

struct batch_body {
    struct str profile;
    int method;
    bool has_expires;
    int64_t expires_in;
    struct jr_list files;
};

static const char *const method_words[] = { "auto", "POST", "PUT", NULL };
static const char *const checksum_words[] = { "md5", "sha1", "sha256", "crc32", "crc32c", NULL };

#define WISH(member) offsetof(struct file_body, wish.member)

/* clang-format off */
static const struct jr_field checksum_fields[] = {
    { .name = "algorithm", .type = JR_ENUM, .offset = offsetof(struct checksum_body, algorithm),
      .flags = JR_REQUIRED, .words = checksum_words },
    { .name = "value",     .type = JR_STR,  .offset = offsetof(struct checksum_body, value),
      .flags = JR_REQUIRED },
};
static const struct jr_table checksum_table = {
    checksum_fields, ARRAY_LEN(checksum_fields), sizeof(struct checksum_body), NULL
};

/* What describes a file, and what a batch says once for all of them. */
#define FILE_FIELDS                                                                                 \
    { .name = "content_type",   .type = JR_STR, .offset = WISH(content_type),                       \
      .flags = JR_REQUIRED },                                                                       \
    { .name = "content_length", .type = JR_INT, .offset = WISH(content_length),                     \
      .max = INT64_MAX, .given_offset = WISH(has_length) },                                         \
    { .name = "filename",       .type = JR_STR, .offset = WISH(filename),                           \
      .given_offset = WISH(has_filename) },                                                         \
    { .name = "checksum",       .type = JR_OPT_OBJECT, .offset = offsetof(struct file_body, checksum), \
      .sub = &checksum_table },                                                                     \
    { .name = "metadata",       .type = JR_PAIRS, .offset = WISH(metadata) }

static const struct jr_field single_fields[] = {
    FILE_FIELDS,
    { .name = "profile",    .type = JR_STR,  .offset = WISH(profile) },
    { .name = "method",     .type = JR_ENUM, .offset = offsetof(struct file_body, method),
      .words = method_words },
    { .name = "expires_in", .type = JR_INT,  .offset = WISH(expires_in),
      .given_offset = WISH(has_expires) },
};
static const struct jr_table single_table = {
    single_fields, ARRAY_LEN(single_fields), sizeof(struct file_body), NULL
};

static const struct jr_field file_fields[] = { FILE_FIELDS };
static const struct jr_table file_table = {
    file_fields, ARRAY_LEN(file_fields), sizeof(struct file_body), NULL
};

static const struct jr_field batch_fields[] = {
    { .name = "profile",    .type = JR_STR,  .offset = offsetof(struct batch_body, profile) },
    { .name = "method",     .type = JR_ENUM, .offset = offsetof(struct batch_body, method),
      .words = method_words },
    { .name = "expires_in", .type = JR_INT,  .offset = offsetof(struct batch_body, expires_in),
      .given_offset = offsetof(struct batch_body, has_expires) },
    { .name = "files",      .type = JR_LIST, .offset = offsetof(struct batch_body, files),
      .flags = JR_REQUIRED | JR_NOT_EMPTY, .sub = &file_table },
};
static const struct jr_table batch_table = {
    batch_fields, ARRAY_LEN(batch_fields), sizeof(struct batch_body), NULL
};
/* clang-format on */

static void take_checksum(struct file_body *f)
{
    if (!f->checksum)
        return;
    f->wish.checksum_kind = (enum checksum_kind)(CHECK_MD5 + f->checksum->algorithm);
    f->wish.checksum = f->checksum->value;
}

static enum status read_single(struct grant_call *g, json_t *doc, struct jr_error *err)
{
    struct file_body *f = ARENA_NEW(&g->r.arena, struct file_body);
    if (!f)
        return ST_NO_MEMORY;
    TRY(jr_fill(doc, &single_table, STR(""), &g->r.arena, f, err));
    take_checksum(f);
    f->wish.method = (enum method_wish)f->method;
    g->wishes = &f->wish;
    g->n = 1;
    return ST_OK;
}

static enum status read_batch(struct grant_call *g, json_t *doc, struct jr_error *err)
{
    struct batch_body b = { .profile = STR("") };
    TRY(jr_fill(doc, &batch_table, STR(""), &g->r.arena, &b, err));
    if (b.files.n > FILES_MAX) {
        fault_set(&g->r.fault, ST_TOO_MANY_FILES, STR("A batch has at most 100 files."));
        return ST_TOO_MANY_FILES;
    }
    g->wishes = arena_array(&g->r.arena, b.files.n, sizeof(*g->wishes));
    if (!g->wishes)
        return ST_NO_MEMORY;
    struct file_body *files = b.files.items;
    for (size_t i = 0; i < b.files.n; i++) {
        take_checksum(&files[i]);
        g->wishes[i] = files[i].wish;
        g->wishes[i].profile = b.profile;
        g->wishes[i].method = (enum method_wish)b.method;
        g->wishes[i].has_expires = b.has_expires;
        g->wishes[i].expires_in = b.expires_in;
    }
    g->n = b.files.n;
    g->batch = true;
    return ST_OK;
}

static bool asks_dry_run(const struct request *r)
{
    const struct str v = request_query(r, STR("dry_run"));
    return str_equal(v, STR("1")) || str_equal(v, STR("true"));
}

/* null counts as absent, also for the member that makes a batch of a body. */
static enum status read_either(struct grant_call *g, json_t *doc, struct jr_error *err)
{
    json_t *files = json_object_get(doc, "files");
    if (files && !json_is_null(files))
        return read_batch(g, doc, err);
    json_object_del(doc, "files");
    return read_single(g, doc, err);
}

/* "files[7].content_type" is a fault of the file 7: the answer has its index. */
static enum step bad_shape(struct grant_call *g, const struct jr_error *err)
{
    static const struct str list = STR_INIT("files[");
    int64_t index;
    fault_set(&g->r.fault, ST_INVALID_REQUEST, err->detail);
    fault_str(&g->r.fault, "member", err->member);
    const size_t end = str_find(err->member, ']', 0);
    if (str_starts(err->member, list) &&
        str_to_int(str_slice(err->member, list.len, end), INT32_MAX, &index))
        fault_int(&g->r.fault, "index", index);
    return request_refuse(&g->r, ST_INVALID_REQUEST);
}

static enum step read_uploads(struct request *r)
{
    struct grant_call *g = grant_call_of(r);
    struct jr_error err = { .member = STR("") };
    json_t *doc = NULL;
    enum status st = jr_parse(r->body, BODY_DEPTH_MAX, &r->arena, &doc, &err);
    if (st == ST_OK)
        st = read_either(g, doc, &err);
    json_decref(doc);
    g->dry_run = asks_dry_run(r);
    if (st == ST_OK)
        return STEP_ON;
    if (st == ST_INVALID_REQUEST)
        return bad_shape(g, &err);
    return request_refuse(r, st == ST_NO_MEMORY ? ST_OVERLOADED : st);
}

/* ---- write -------------------------------------------------------------------------------------- */

static void write_upload(struct jw *j, struct grant_call *g, size_t i)
{
    const struct grant *it = &g->grants[i];
    const struct decision *d = &it->decision;
    jw_str(j, "id", str_from(d->ids.id));
    jw_str(j, "method", d->post ? STR("POST") : STR("PUT"));
    packet_write(j, g, i);
    jw_str(j, "bucket", d->bucket->where.bucket);
    jw_str(j, "key", d->key);
    packet_write_expires_at(j, it->expires_at_s);
    jw_int(j, "expires_in", it->expires_in_s);
    jw_str(j, "expires_limited_by", expiry_limit_words[it->limited_by]);
    packet_write_metadata(j, d);
}

static enum status write_all(struct jw *j, struct grant_call *g, size_t *out_index)
{
    jw_open(j, '{');
    if (g->batch)
        jw_open_key(j, "uploads", '[');
    for (size_t i = 0; i < g->n; i++) {
        *out_index = i;
        TRY(packet_sign(g, i));
        if (g->batch)
            jw_open(j, '{');
        write_upload(j, g, i);
        if (g->batch)
            jw_close(j);
    }
    if (g->batch)
        jw_close(j);
    jw_close(j);
    return jw_end(j);
}

static enum status add_location(struct grant_call *g)
{
    AUTO(buf) text = BUF_INIT(128);
    buf_lit(&text, "/v1/uploads/");
    buf_str(&text, str_from(g->grants[0].decision.ids.id));
    struct str kept;
    TRY(arena_keep(&g->r.arena, &text, &kept));
    request_header(&g->r, "Location", kept);
    return ST_OK;
}

static enum step refuse_packet(struct grant_call *g, enum status st, size_t index)
{
    buf_reset(&g->r.out);
    return st == ST_PROFILE_NOT_ALLOWED ? grant_refuse(g, st, index)
                                        : request_refuse(&g->r, ST_OVERLOADED);
}

static enum step write_uploads(struct request *r)
{
    struct grant_call *g = grant_call_of(r);
    if (g->dry_run)
        return STEP_ON;
    struct jw j = { .out = &r->out };
    size_t at = 0;
    enum status st = write_all(&j, g, &at);
    if (st == ST_OK && !g->batch)
        st = add_location(g);
    if (st != ST_OK)
        return refuse_packet(g, st, at);
    packet_granted(g);
    return request_answer(r, 201);
}

/* ---- dry run ------------------------------------------------------------------------------------ */

static enum status write_conditions(struct jw *j, const struct grant_call *g,
                                    const struct grant *it)
{
    const struct decision *d = &it->decision;
    if (!d->post) {
        jw_open_key(j, "conditions", '[');
        for (size_t i = 0; i < d->n_fields; i++) {
            jw_open(j, '{');
            jw_pair(j, d->fields[i].name, d->fields[i].value);
            jw_close(j);
        }
        jw_close(j);
        return ST_OK;
    }
    const struct post_ask ask = packet_post_ask(g, it);
    AUTO(buf) text = BUF_INIT(POST_FORM_BYTES_MAX);
    TRY(post_conditions(&text, &ask));
    jw_raw(j, "conditions", buf_view(&text));
    return ST_OK;
}

/* Signed and thrown away: a packet that cannot be made is refused here too. */
static enum status write_dry(struct jw *j, struct grant_call *g, size_t i)
{
    const struct grant *it = &g->grants[i];
    const struct decision *d = &it->decision;
    TRY(packet_sign(g, i));
    jw_open(j, '{');
    jw_bool(j, "allowed", true);
    jw_str(j, "profile", d->profile->name);
    jw_str(j, "method", d->post ? STR("POST") : STR("PUT"));
    jw_str(j, "key_template", d->profile->key.text);
    jw_int(j, "expires_in", it->expires_in_s);
    jw_str(j, "expires_limited_by", expiry_limit_words[it->limited_by]);
    TRY(write_conditions(j, g, it));
    jw_open_key(j, "quota", '[');
    limit_json_write(j, g->op.plan, g->op.states);
    jw_close(j);
    jw_close(j);
    return ST_OK;
}

static enum status write_dry_all(struct jw *j, struct grant_call *g, size_t *out_index)
{
    if (g->batch) {
        jw_open(j, '{');
        jw_open_key(j, "files", '[');
    }
    for (size_t i = 0; i < g->n; i++) {
        *out_index = i;
        TRY(write_dry(j, g, i));
    }
    if (g->batch) {
        jw_close(j);
        jw_close(j);
    }
    return jw_end(j);
}

static enum step write_dry_run(struct request *r)
{
    struct grant_call *g = grant_call_of(r);
    struct jw j = { .out = &r->out };
    size_t at = 0;
    const enum status st = write_dry_all(&j, g, &at);
    return st == ST_OK ? request_answer(r, 200) : refuse_packet(g, st, at);
}

step_fn *const uploads_steps[] = {
    grant_authenticate,
    request_wants_json,
    request_read_body,
    read_uploads,
    grant_idempotency,
    grant_decide,
    grant_credentials,
    grant_reserve,
    write_uploads,
    write_dry_run,
    NULL,
};
