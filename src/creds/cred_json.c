/*
 * cred_json - the answer of IMDS and of container endpoints:
 *
 *     {"Code":"Success","AccessKeyId":...,"SecretAccessKey":...,"Token":...,"Expiration":...}
 *
 * IMDS can answer 200 with another Code (AWS: "Retrieve security credentials from instance
 * metadata"); container endpoints send no Code. Whatever else stands in it is skipped: AWS adds
 * members. The secret strings are wiped before the document is freed.
 */

#include "presignd/cred_source.h"
#include "presignd/json_guard.h"

enum { SHOWN_MAX = 128 };

static struct str text_of(const json_t *doc, const char *member)
{
    const json_t *v = json_object_get(doc, member);
    if (!json_is_string(v))
        return STR_NONE;
    return (struct str){ json_string_value(v), json_string_length(v) };
}

/* Text of the other side, for the log: bounded, and printable whatever it was. */
static void show(struct buf *why, struct str text)
{
    text = str_slice(text, 0, SHOWN_MAX);
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        buf_char(why, c >= ' ' && c < 0x7f ? c : '?');
    }
}

static void wipe_member(const json_t *doc, const char *member)
{
    const struct str text = text_of(doc, member);
    /* jansson hands its own bytes out as const; they are ours as long as the document is. */
    if (text.len)
        crypto_wipe((void *)(uintptr_t)text.ptr, text.len);
}

static enum status refuse_code(const json_t *doc, struct str code, struct buf *why)
{
    buf_lit(why, "answered with Code \"");
    show(why, code);
    buf_lit(why, "\"");
    const struct str message = text_of(doc, "Message");
    if (message.len) {
        buf_lit(why, ": ");
        show(why, message);
    }
    return ST_INVALID;
}

static enum status check_texts(const json_t *doc, struct buf *why)
{
    static const char *const members[] = { "AccessKeyId", "SecretAccessKey", "Token",
                                           "Expiration" };
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const struct str text = text_of(doc, members[i]);
        if (i == 0 ? creds_key_id_ok(text) : creds_text_ok(text))
            continue;
        buf_lit(why, "answered with ");
        buf_str(why, text.len ? STR("an unusable ") : STR("no "));
        buf_str(why, str_from(members[i]));
        return ST_INVALID;
    }
    return ST_OK;
}

static enum status read_doc(const json_t *doc, const char *source, int64_t now_s,
                            struct creds **out, struct buf *why)
{
    if (!json_is_object(doc)) {
        buf_lit(why, "answered with JSON that is no object");
        return ST_INVALID;
    }
    const json_t *code = json_object_get(doc, "Code");
    if (code && !str_equal_nocase(text_of(doc, "Code"), STR("Success")))
        return refuse_code(doc, text_of(doc, "Code"), why);
    TRY(check_texts(doc, why));
    int64_t expires_at_s;
    TRY(creds_read_end(text_of(doc, "Expiration"), now_s, &expires_at_s, why));
    *out = creds_new(text_of(doc, "AccessKeyId"), text_of(doc, "SecretAccessKey"),
                     text_of(doc, "Token"), expires_at_s, now_s, source);
    return *out ? ST_OK : ST_NO_MEMORY;
}

enum status cred_json_read(struct str text, const char *source, int64_t now_s, struct creds **out,
                           struct buf *why)
{
    json_error_t error;
    json_t *doc = NULL;
    const enum status parsed = json_guard_load(text, JSON_REJECT_DUPLICATES, &doc, &error);
    if (parsed == ST_NO_MEMORY)
        return ST_NO_MEMORY;
    if (parsed != ST_OK) {
        /* The error's text quotes the input, which may hold a secret: only the place is told. */
        buf_lit(why, "answered with something that is no JSON (at byte ");
        buf_int(why, error.position);
        buf_lit(why, ")");
        return ST_INVALID;
    }
    const enum status st = read_doc(doc, source, now_s, out, why);
    wipe_member(doc, "SecretAccessKey");
    wipe_member(doc, "Token");
    json_decref(doc);
    return st;
}
