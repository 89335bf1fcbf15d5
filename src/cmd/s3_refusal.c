/*
 * s3_refusal - nothing is kept but the texts of known members of <Error>. The answer comes from a
 * stranger: its size, depth and texts are bounded.
 */
#include "presignd/s3_refusal.h"

#include "presignd/date.h"
#include "presignd/encode.h"
#include "presignd/xml_read.h"

enum {
    DEPTH_MAX = 16,
    TEXT_MAX = 65536,
    HEADS_MAX = 8,
    BLANKED_MAX = 4 * TEXT_MAX, /* "(not shown)" is longer than what it may stand for */
    CUT_LEAST = 16              /* so much of a secret's beginning is known again */
};

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

static struct str *member_of(struct s3_refusal *r, struct str element)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (str_equal(members[i].element, element))
            return (struct str *)(void *)((char *)r + members[i].offset);
    return NULL;
}

/* ---- XML ---------------------------------------------------------------------------------------- */

struct reading {
    struct xml_reader xml;
    struct s3_refusal *out;
    struct arena *arena;
    struct buf text; /* of the member that is open */
    struct str *open;
    int error_depth; /* of <Error>; 0: not seen yet, -1: a second one is not read */
    enum status st;  /* why it was stopped */
};

static struct reading *reading_of(struct xml_reader *x)
{
    return container_of(x, struct reading, xml);
}

static void on_start(struct xml_reader *x, struct str name)
{
    struct reading *r = reading_of(x);
    if (r->error_depth == 0 && x->depth <= 2 && str_equal(name, STR("Error"))) {
        r->error_depth = x->depth;
        r->out->has_xml = true;
    } else if (r->error_depth > 0 && x->depth == r->error_depth + 1) {
        r->open = member_of(r->out, name);
        buf_reset(&r->text);
    }
}

static void on_end(struct xml_reader *x)
{
    struct reading *r = reading_of(x);
    if (x->depth == r->error_depth)
        r->error_depth = -1;
    if (r->open && x->depth == r->error_depth + 1 && r->open->len == 0) {
        r->st = arena_keep(r->arena, &r->text, r->open);
        if (r->st != ST_OK)
            xml_stop(x);
    }
    r->open = NULL;
}

static void on_text(struct xml_reader *x, struct str bytes)
{
    struct reading *r = reading_of(x);
    if (r->open)
        buf_str(&r->text, bytes);
}

static enum status read_xml(struct s3_refusal *out, struct str xml, struct arena *a,
                            const char **out_why)
{
    struct reading r = { .xml = { .start = on_start, .text = on_text, .end = on_end },
                         .out = out,
                         .arena = a,
                         .text = BUF_INIT(TEXT_MAX) };
    const enum xml_outcome outcome = xml_read(&r.xml, xml, DEPTH_MAX);
    buf_release(&r.text);
    switch (outcome) {
    case XML_OUTCOME_READ: return ST_OK;
    case XML_OUTCOME_NO_MEMORY: return ST_NO_MEMORY;
    case XML_OUTCOME_STOPPED: *out_why = "one of its texts is too long"; return r.st;
    case XML_OUTCOME_TOO_DEEP: *out_why = "its XML is nested too deeply"; break;
    case XML_OUTCOME_DOCTYPE: *out_why = "it has a document type, which no store sends"; break;
    case XML_OUTCOME_BROKEN: *out_why = "it is no XML"; break;
    }
    return ST_INVALID;
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

/* ---- what is not to be shown -------------------------------------------------------------------- */

static void add_once(struct known_secrets *k, struct str secret)
{
    for (size_t i = 0; i < k->n; i++)
        if (str_equal(k->list[i], secret))
            return;
    if (k->n < KNOWN_SECRETS_MAX)
        k->list[k->n++] = secret;
    else if (k->st == ST_OK)
        k->st = ST_TOO_LARGE;
}

void known_secrets_add(struct known_secrets *k, struct str secret, struct arena *a)
{
    AUTO(buf) text = BUF_INIT(3 * S3_REFUSAL_BYTES_MAX);
    struct str encoded;
    if (secret.len < KNOWN_SECRET_LEAST)
        return;
    add_once(k, secret);
    encode_uri(&text, secret);
    const enum status st = arena_keep(a, &text, &encoded);
    if (st == ST_OK)
        add_once(k, encoded);
    else if (k->st == ST_OK)
        k->st = st;
}

static size_t same_bytes(struct str a, struct str b)
{
    size_t n = 0;
    while (n < a.len && n < b.len && a.ptr[n] == b.ptr[n])
        n++;
    return n;
}

/* Base64, and what percent-encoding of either case makes of it. */
static bool may_go_on(char c)
{
    return ascii_alnum(c) || memchr("+/=%_.~-", c, 8);
}

/* Bytes of a secret at the front, with the rest of its word, which may be written otherwise. */
static size_t secret_bytes(struct str text, const struct known_secrets *k)
{
    size_t most = 0;
    for (size_t i = 0; i < k->n; i++) {
        const size_t same = same_bytes(text, k->list[i]);
        if (same >= MIN_OF(k->list[i].len, (size_t)CUT_LEAST))
            most = MAX_OF(most, same);
    }
    while (most > 0 && most < text.len && may_go_on(text.ptr[most]))
        most++;
    return most;
}

static enum status blank(struct str *text, const struct known_secrets *k, size_t text_max,
                         struct arena *a)
{
    AUTO(buf) out = BUF_INIT(BLANKED_MAX);
    for (size_t i = 0, n; i < text->len; i += n) {
        const size_t hidden = secret_bytes(str_slice(*text, i, text->len), k);
        n = hidden ? hidden : MAX_OF(str_utf8_at(*text, i), (size_t)1);
        if (out.len + n > text_max && !hidden) {
            buf_lit(&out, "…");
            break;
        }
        buf_str(&out, hidden ? STR("(not shown)") : str_slice(*text, i, i + n));
    }
    return arena_keep(a, &out, text);
}

enum status s3_refusal_blank(struct s3_refusal *r, const struct known_secrets *k, size_t text_max,
                             struct arena *a)
{
    if (k->st != ST_OK)
        return k->st;
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        struct str *text = (struct str *)(void *)((char *)r + members[i].offset);
        /* these two are compared line by line */
        const bool whole = text == &r->canonical_request || text == &r->unsigned_headers;
        TRY(blank(text, k, whole ? SIZE_MAX : text_max, a));
    }
    return ST_OK;
}
