/*
 * profile_texts - fields, tags and metadata of a profile become the two lists that packets carry.
 *
 * The table below is the whole of what an operator may add; a name that S3 gives another meaning
 * is refused with the reason. {filename} may hold any character, so it stands in no field: only
 * metadata, which are percent-encoded, and the attachment form, which quotes, may hold it.
 */
#include "presignd/profile_texts.h"

#include "presignd/encode.h"

enum {
    TEXT_BYTES_MAX = 2048,
    METADATA_NAME_MAX = 64,
    MEMBER_BYTES_MAX = 4096,
    TAGS_MAX = 10, /* AWS "Categorizing your storage using tags" */
    TAG_KEY_MAX = 128,
    TAG_VALUE_MAX = 256,
};

#define META_PREFIX "x-amz-meta-"

/* One side while it is filled. */
struct side {
    struct post_field *shared;
    size_t n_shared;
    struct profile_text *varying;
    size_t n_varying;
    size_t metadata_bytes;
};

struct prep {
    struct arena *a;
    struct str *member;
    struct buf *why;
    struct side post, put;
};

static enum status wrong(struct prep *p, struct str member, struct str sentence)
{
    *p->member = member;
    buf_str(p->why, sentence);
    return ST_INVALID;
}

struct str profile_member(struct arena *a, struct str parent, struct str name)
{
    AUTO(buf) path = BUF_INIT(MEMBER_BYTES_MAX);
    struct str kept;
    buf_str(&path, parent);
    buf_char(&path, '.');
    buf_str(&path, name);
    return arena_keep(a, &path, &kept) == ST_OK ? kept : parent;
}

static struct str below(struct prep *p, struct str parent, struct str name)
{
    return profile_member(p->a, parent, name);
}

static enum status wrong_below(struct prep *p, struct str parent, struct str name,
                               struct str sentence)
{
    return wrong(p, below(p, parent, name), sentence);
}

/* ---- fields ---- */

static const char *const statuses[] = { "200", "201", "204", NULL };
static const char *const acls[] = { "private",
                                    "public-read",
                                    "public-read-write",
                                    "aws-exec-read",
                                    "authenticated-read",
                                    "bucket-owner-read",
                                    "bucket-owner-full-control",
                                    NULL };
static const char *const encryptions[] = { "AES256", "aws:kms", "aws:kms:dsse", NULL };
static const char *const switches[] = { "true", "false", NULL };

struct field_rule {
    struct str name;           /* here and in a form */
    struct str header;         /* on PUT; "" = left out */
    const char *const *values; /* the only ones; NULL: any text */
};

/* clang-format off */
static const struct field_rule field_rules[] = {
    { STR_INIT("success_action_status"),        STR_INIT(""),                             statuses },
    { STR_INIT("Cache-Control"),                STR_INIT("cache-control"),                NULL },
    { STR_INIT("Content-Disposition"),          STR_INIT("content-disposition"),          NULL },
    { STR_INIT("Content-Encoding"),             STR_INIT("content-encoding"),             NULL },
    { STR_INIT("acl"),                          STR_INIT("x-amz-acl"),                    acls },
    { STR_INIT("tagging"),                      STR_INIT("x-amz-tagging"),                NULL },
    { STR_INIT("x-amz-storage-class"),          STR_INIT("x-amz-storage-class"),          NULL },
    { STR_INIT("x-amz-server-side-encryption"), STR_INIT("x-amz-server-side-encryption"), encryptions },
    { STR_INIT("x-amz-server-side-encryption-aws-kms-key-id"),
      STR_INIT("x-amz-server-side-encryption-aws-kms-key-id"),                            NULL },
    { STR_INIT("x-amz-server-side-encryption-bucket-key-enabled"),
      STR_INIT("x-amz-server-side-encryption-bucket-key-enabled"),                        switches },
};

static const struct { struct str start, reason; } refused_fields[] = {
    { STR_INIT("success_action_redirect"),
      STR_INIT("is refused: a redirect would hide the store's answer from the page that uploads") },
    { STR_INIT("redirect"),
      STR_INIT("is refused: a redirect would hide the store's answer from the page that uploads") },
    { STR_INIT("x-amz-meta-"),    STR_INIT("belongs into metadata.set, without x-amz-meta-") },
    { STR_INIT("x-amz-checksum"), STR_INIT("is made from the request's checksum") },
    { STR_INIT("Content-MD5"),    STR_INIT("is made from the request's checksum") },
    { STR_INIT("Content-Type"),   STR_INIT("is made from the request's content_type") },
    { STR_INIT("key"),            STR_INIT("is made from the profile's key") },
    { STR_INIT("bucket"),         STR_INIT("is made from the profile's bucket") },
};
/* clang-format on */

static const struct field_rule *field_rule(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(field_rules); i++) {
        if (str_equal(name, field_rules[i].name))
            return &field_rules[i];
    }
    return NULL;
}

static enum status refuse_field(struct prep *p, struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(refused_fields); i++) {
        if (str_starts(name, refused_fields[i].start))
            return wrong_below(p, STR("fields"), name, refused_fields[i].reason);
    }
    return wrong_below(p, STR("fields"), name,
                       STR("is no field that a profile may set (spelt as in the documentation)"));
}

static bool one_of(struct str value, const char *const *values)
{
    for (; *values; values++) {
        if (str_equal(value, str_from(*values)))
            return true;
    }
    return false;
}

/* A finished text goes to the shared fields, one with words to the varying ones. */
static enum status add_text(struct prep *p, struct side *s, struct str name, struct str text,
                            enum text_form form)
{
    struct template value;
    TRY(template_compile(&value, text, TEMPLATE_VALUE, p->a, p->why));
    if (!value.constant || form == TEXT_ATTACHMENT) {
        s->varying[s->n_varying++] = (struct profile_text){ name, value, form };
        return ST_OK;
    }
    struct str kept = value.text;
    if (form == TEXT_METADATA) {
        AUTO(buf) encoded = BUF_INIT(3 * TEXT_BYTES_MAX);
        encode_uri(&encoded, text);
        TRY(arena_keep(p->a, &encoded, &kept));
        s->metadata_bytes += name.len + kept.len;
    }
    s->shared[s->n_shared++] = (struct post_field){ name, kept };
    return ST_OK;
}

/* Both forms of one field; `text` is the form's and `header_text` the header's value. */
static enum status add_field(struct prep *p, const struct field_rule *rule, struct str text,
                             struct str header_text)
{
    bool attachment =
        str_equal(rule->name, STR("Content-Disposition")) && str_equal(text, STR("attachment"));
    enum text_form form = attachment ? TEXT_ATTACHMENT : TEXT_PLAIN;
    TRY(add_text(p, &p->post, rule->name, text, form));
    if (rule->header.len == 0)
        return ST_OK;
    return add_text(p, &p->put, rule->header, header_text, form);
}

static enum status check_text(struct prep *p, struct str parent, struct str name, struct str text,
                              struct template *parsed)
{
    if (text.len > TEXT_BYTES_MAX)
        return wrong_below(p, parent, name, STR("is longer than 2048 bytes"));
    *p->member = below(p, parent, name);
    return template_compile(parsed, text, TEMPLATE_VALUE, p->a, p->why);
}

static enum status check_field_text(struct prep *p, const struct field_rule *rule, struct str text)
{
    struct template parsed;
    TRY(check_text(p, STR("fields"), rule->name, text, &parsed));
    if (rule->values && !one_of(text, rule->values))
        return wrong_below(p, STR("fields"), rule->name, STR("is not a value that S3 knows"));
    if (text.len == 0 || str_trim(text).len != text.len || !str_printable_ascii(text))
        return wrong_below(p, STR("fields"), rule->name,
                           STR("must be ASCII text without blanks at its ends"));
    if (parsed.has_filename)
        return wrong_below(p, STR("fields"), rule->name,
                           STR("cannot hold {filename}: it may hold anything; for "
                               "Content-Disposition write just \"attachment\""));
    return ST_OK;
}

/* ---- tagging ---- */

static void xml_text(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '&': buf_lit(out, "&amp;"); break;
        case '<': buf_lit(out, "&lt;"); break;
        case '>': buf_lit(out, "&gt;"); break;
        case '"': buf_lit(out, "&quot;"); break;
        default: buf_char(out, text.ptr[i]); break;
        }
    }
}

/* Escapes what stands around the words; a word's value needs none (template.c). */
static void around_words(struct buf *out, struct str text, void (*escape)(struct buf *, struct str))
{
    while (text.len > 0) {
        size_t open = str_find(text, '{', 0);
        escape(out, str_slice(text, 0, open));
        if (open == text.len)
            return;
        size_t end = str_find(text, '}', open) + 1;
        buf_str(out, str_slice(text, open, end));
        text = str_slice(text, end, text.len);
    }
}

static enum status check_tag(struct prep *p, struct str key, struct str value)
{
    struct str parent = STR("fields.tagging");
    struct template parsed;
    TRY(check_text(p, parent, key, value, &parsed));
    if (key.len == 0 || key.len > TAG_KEY_MAX || value.len > TAG_VALUE_MAX ||
        str_starts(key, STR("aws:")) || !post_value_ok(key))
        return wrong_below(p, parent, key,
                           STR("is no tag: names have 1 to 128 bytes and do not start with aws:, "
                               "values have at most 256"));
    if (str_find(key, '{', 0) < key.len || str_find(key, '}', 0) < key.len)
        return wrong_below(p, parent, key, STR("has braces: words stand in values only"));
    if (parsed.has_filename)
        return wrong_below(p, parent, key, STR("cannot hold {filename}: it may hold anything"));
    return ST_OK;
}

static void write_tag(struct buf *xml, struct buf *query, struct str key, struct str value)
{
    buf_lit(xml, "<Tag><Key>");
    xml_text(xml, key);
    buf_lit(xml, "</Key><Value>");
    around_words(xml, value, xml_text);
    buf_lit(xml, "</Value></Tag>");
    if (query->len > 0)
        buf_char(query, '&');
    encode_uri(query, key);
    buf_char(query, '=');
    around_words(query, value, encode_uri);
}

static enum status take_tagging(struct prep *p, const struct field_rule *rule, json_t *tags)
{
    if (!json_is_object(tags) || json_object_size(tags) == 0 || json_object_size(tags) > TAGS_MAX)
        return wrong(p, STR("fields.tagging"), STR("must be an object of 1 to 10 texts"));
    AUTO(buf) xml = BUF_INIT(16384);
    AUTO(buf) query = BUF_INIT(16384);
    buf_lit(&xml, "<Tagging><TagSet>");
    const char *name;
    json_t *text;
    json_object_foreach(tags, name, text)
    {
        struct str key = str_from(name);
        if (!json_is_string(text))
            return wrong_below(p, STR("fields.tagging"), key, STR("must be a text"));
        struct str value = { json_string_value(text), json_string_length(text) };
        TRY(check_tag(p, key, value));
        write_tag(&xml, &query, key, value);
    }
    buf_lit(&xml, "</TagSet></Tagging>");
    TRY(buf_check(&xml));
    TRY(buf_check(&query));
    return add_field(p, rule, buf_view(&xml), buf_view(&query));
}

static enum status take_fields(struct prep *p, json_t *fields)
{
    if (fields && !json_is_object(fields))
        return wrong(p, STR("fields"), STR("must be an object"));
    const char *name;
    json_t *text;
    json_object_foreach(fields, name, text)
    {
        const struct field_rule *rule = field_rule(str_from(name));
        if (!rule)
            return refuse_field(p, str_from(name));
        if (str_equal(rule->name, STR("tagging"))) {
            TRY(take_tagging(p, rule, text));
            continue;
        }
        if (!json_is_string(text))
            return wrong_below(p, STR("fields"), rule->name, STR("must be a text"));
        struct str value = { json_string_value(text), json_string_length(text) };
        TRY(check_field_text(p, rule, value));
        TRY(add_field(p, rule, value, value));
    }
    return ST_OK;
}

/* ---- metadata ---- */

bool profile_metadata_name_ok(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !ascii_digit(c) && c != '-')
            return false;
    }
    return name.len > 0 && name.len <= METADATA_NAME_MAX;
}

static enum status take_metadatum(struct prep *p, struct str name, struct str text)
{
    struct template parsed;
    if (!profile_metadata_name_ok(name))
        return wrong_below(p, STR("metadata.set"), name,
                           STR("is no name: 1 to 64 of a-z, 0-9 and -"));
    TRY(check_text(p, STR("metadata.set"), name, text, &parsed));
    AUTO(buf) field = BUF_INIT(128);
    struct str kept;
    buf_lit(&field, META_PREFIX);
    buf_str(&field, name);
    TRY(arena_keep(p->a, &field, &kept));
    TRY(add_text(p, &p->post, kept, text, TEXT_METADATA));
    return add_text(p, &p->put, kept, text, TEXT_METADATA);
}

static enum status take_metadata(struct prep *p, const struct jr_pairs *set)
{
    for (size_t i = 0; i < set->n; i++)
        TRY(take_metadatum(p, set->items[i].name, set->items[i].value));
    if (p->post.metadata_bytes > PROFILE_METADATA_BYTES_MAX)
        return wrong(p, STR("metadata.set"), STR("is longer than S3 takes: 2048 bytes together"));
    return ST_OK;
}

/* ---- together ---- */

static enum status side_start(struct side *s, size_t n, struct arena *a)
{
    s->shared = arena_array(a, n, sizeof(*s->shared));
    s->varying = arena_array(a, n, sizeof(*s->varying));
    return s->shared && s->varying ? ST_OK : ST_NO_MEMORY;
}

static struct profile_side side_end(const struct side *s)
{
    return (struct profile_side){ .shared = s->shared,
                                  .n_shared = s->n_shared,
                                  .varying = s->varying,
                                  .n_varying = s->n_varying,
                                  .metadata_bytes = s->metadata_bytes };
}

enum status profile_texts_prepare(json_t *fields, const struct jr_pairs *set, struct arena *a,
                                  struct profile_side *out_post, struct profile_side *out_put,
                                  struct str *member, struct buf *why)
{
    struct prep p = { .a = a, .member = member, .why = why };
    size_t n = json_object_size(fields) + set->n;
    if (n > PROFILE_ADDED_MAX)
        return wrong(&p, STR("fields"), STR("and metadata.set have more than 36 members together"));
    TRY(side_start(&p.post, n, a));
    TRY(side_start(&p.put, n, a));
    TRY(take_fields(&p, fields));
    TRY(take_metadata(&p, set));
    *out_post = side_end(&p.post);
    *out_put = side_end(&p.put);
    return ST_OK;
}
