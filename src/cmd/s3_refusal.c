/*
 * s3_refusal - expat reads the XML; nothing is kept but the texts of known members of <Error>.
 *
 * The answer comes from a stranger: its size, depth and texts are bounded, and a document type,
 * with which entities could be declared, ends the reading.
 */
#include "presignd/s3_refusal.h"

#include <expat.h>

#include "presignd/date.h"

enum { DEPTH_MAX = 16, TEXT_MAX = 65536, HEADS_MAX = 8 };

/* ---- the members -------------------------------------------------------------------------------- */

#define MEMBER(element, member)                                \
    {                                                          \
        STR_INIT(element), offsetof(struct s3_refusal, member) \
    }
/* clang-format off */
static const struct {
    struct str element;
    size_t offset;
} members[] = {
    MEMBER("Code",             code),
    MEMBER("Message",          message),
    MEMBER("RequestId",        request_id),
    MEMBER("BucketName",       bucket),
    MEMBER("Bucket",           bucket),
    MEMBER("AWSAccessKeyId",   access_key_id),
    MEMBER("Region",           region),
    MEMBER("Endpoint",         endpoint),
    MEMBER("HeadersNotSigned", unsigned_headers),
    MEMBER("CanonicalRequest", canonical_request),
    MEMBER("ProposedSize",     proposed_size),
    MEMBER("MaxSizeAllowed",   max_size),
    MEMBER("MinSizeAllowed",   min_size),
    MEMBER("ServerTime",       server_time),
};
/* clang-format on */

static struct str *member_of(struct s3_refusal *r, const char *element)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (str_equal(members[i].element, str_from(element)))
            return (struct str *)(void *)((char *)r + members[i].offset);
    return NULL;
}

/* ---- XML ---------------------------------------------------------------------------------------- */

struct reading {
    XML_Parser parser;
    struct s3_refusal *out;
    struct arena *arena;
    struct buf text; /* of the member that is open */
    struct str *open;
    int depth, error_depth; /* of <Error>; 0: not in it */
    enum status st;
    const char *why;
};

static void give_up(struct reading *r, enum status st, const char *why)
{
    if (r->st == ST_OK) {
        r->st = st;
        r->why = why;
    }
    XML_StopParser(r->parser, XML_FALSE);
}

static void on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *r = data;
    (void)attributes;
    if (++r->depth > DEPTH_MAX) {
        give_up(r, ST_INVALID, "its XML is nested too deeply");
        return;
    }
    if (r->error_depth == 0 && r->depth <= 2 && str_equal(str_from(name), STR("Error"))) {
        r->error_depth = r->depth;
        r->out->has_xml = true;
    } else if (r->error_depth > 0 && r->depth == r->error_depth + 1) {
        r->open = member_of(r->out, name);
        buf_reset(&r->text);
    }
}

static void on_end(void *data, const XML_Char *name)
{
    struct reading *r = data;
    (void)name;
    if (r->depth == r->error_depth)
        r->error_depth = -1; /* a second one is not read */
    if (r->open && r->depth == r->error_depth + 1 && r->open->len == 0) {
        const enum status st = arena_keep(r->arena, &r->text, r->open);
        if (st != ST_OK)
            give_up(r, st, "one of its texts is too long");
    }
    r->depth--;
    r->open = NULL;
}

static void on_text(void *data, const XML_Char *bytes, int n)
{
    struct reading *r = data;
    if (r->open)
        buf_str(&r->text, (struct str){ bytes, (size_t)n });
}

static void on_doctype(void *data, const XML_Char *name, const XML_Char *system,
                       const XML_Char *public, int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    give_up(data, ST_INVALID, "it has a document type, which no store sends");
}

static enum status parse(struct reading *r, struct str xml)
{
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    const enum XML_Status parsed = XML_Parse(r->parser, xml.ptr, (int)xml.len, XML_TRUE);
    if (r->st != ST_OK)
        return r->st;
    if (parsed == XML_STATUS_OK)
        return ST_OK;
    if (XML_GetErrorCode(r->parser) == XML_ERROR_NO_MEMORY)
        return ST_NO_MEMORY;
    r->why = "it is no XML";
    return ST_INVALID;
}

static enum status read_xml(struct s3_refusal *out, struct str xml, struct arena *a,
                            const char **out_why)
{
    struct reading r = { .out = out, .arena = a, .text = BUF_INIT(TEXT_MAX), .st = ST_OK };
    r.parser = XML_ParserCreate("UTF-8");
    if (!r.parser)
        return ST_NO_MEMORY;
    const enum status st = parse(&r, xml);
    XML_ParserFree(r.parser);
    buf_release(&r.text);
    *out_why = r.why;
    return st;
}

/* ---- the head ----------------------------------------------------------------------------------- */

static void take_header(struct s3_refusal *out, struct str line)
{
    const size_t colon = str_find(line, ':', 0);
    const struct str name = str_slice(line, 0, colon);
    const struct str value = str_trim(str_slice(line, colon + 1, line.len));
    int64_t at_s = 0;
    if (str_equal_nocase(name, STR("date")) && date_parse_http(value, &at_s) == ST_OK)
        out->at_s = at_s;
    if (str_equal_nocase(name, STR("x-amz-bucket-region")))
        out->region = value;
    if (str_equal_nocase(name, STR("x-amz-request-id")))
        out->request_id = value;
}

/* "HTTP/1.1 403 Forbidden": the three digits. */
static int status_of(struct str line)
{
    int64_t http = 0;
    struct str word;
    str_cut(&line, ' ', &word);
    if (!str_cut(&line, ' ', &word) || word.len != 3 || !str_to_int(word, 999, &http))
        return 0;
    return (int)http;
}

/* Takes one head with its empty line off the front; false: there is none. */
static bool take_head(struct s3_refusal *out, struct str *text)
{
    struct str line;
    if (!str_starts(*text, STR("HTTP/")) || !str_cut(text, '\n', &line))
        return false;
    out->http = status_of(str_ends(line, STR("\r")) ? str_slice(line, 0, line.len - 1) : line);
    while (str_cut(text, '\n', &line)) {
        if (str_ends(line, STR("\r")))
            line.len--;
        if (line.len == 0)
            break;
        take_header(out, line);
    }
    return true;
}

static struct str skip_blank(struct str s)
{
    while (s.len > 0 && memchr(" \t\r\n", s.ptr[0], 4))
        s = str_slice(s, 1, s.len);
    return s;
}

/* What else tells the store's clock, and where the bucket is. */
static void take_hints(struct s3_refusal *out)
{
    int64_t at_s = 0;
    if (out->server_time.len && date_parse_rfc3339(out->server_time, &at_s) == ST_OK)
        out->at_s = at_s;
}

enum status s3_refusal_read(struct s3_refusal *out, struct str text, struct arena *a,
                            struct buf *why)
{
    *out = (struct s3_refusal){ .http = 0 };
    if (text.len > S3_REFUSAL_BYTES_MAX)
        return ST_TOO_LARGE;
    text = skip_blank(text);
    bool head = false;
    for (int i = 0; i < HEADS_MAX && take_head(out, &text); i++)
        head = true; /* of a proxy, "100 Continue", the answer */
    text = skip_blank(text);
    if (text.len == 0 && head)
        return ST_OK;
    const char *what = "it is empty";
    const enum status st = text.len ? read_xml(out, text, a, &what) : ST_INVALID;
    take_hints(out);
    if (st == ST_INVALID && !(head && !out->has_xml))
        buf_str(why, str_from(what));
    /* a page of a proxy behind a head: the status says what there is to say */
    return st == ST_INVALID && head && !out->has_xml ? ST_OK : st;
}
