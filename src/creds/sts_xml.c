/*
 * sts_xml - the documents of STS, read by expat:
 *
 *     <AssumeRoleResponse> <AssumeRoleResult> <Credentials> <AccessKeyId> ...
 *     <ErrorResponse> <Error> <Code> ... </Error> <RequestId>
 *
 * expat copies what it is given, so its memory is wiped as it is freed. A document type declaration
 * ends the parse: entities are how small XML becomes large. What is not looked for is skipped, as
 * AWS adds elements; what is looked for may stand there once.
 */
#include <stdlib.h>
#include <string.h>

#include <expat.h>

#include "presignd/date.h"
#include "presignd/sts.h"

enum { PATH_MAX_BYTES = 256, DEPTH_MAX = 12, FIELDS_MAX = 4, SHOWN_MAX = 64 };

/* ---- memory that wipes itself ------------------------------------------------------------------- */

struct block {
    size_t n;
    max_align_t bytes[];
};

static void *wiping_malloc(size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    struct block *b = malloc(sizeof(*b) + n);
    if (!b)
        return NULL;
    b->n = n;
    /* cppcheck-suppress memleak ; wiping_free finds the block by its bytes */
    return b->bytes;
}

static void wiping_free(void *p)
{
    if (!p)
        return;
    struct block *b = container_of(p, struct block, bytes);
    crypto_wipe(p, b->n);
    free(b);
}

static void *wiping_realloc(void *p, size_t n)
{
    void *other = wiping_malloc(n);
    if (!other || !p)
        return other;
    const struct block *b = container_of(p, struct block, bytes);
    memcpy(other, p, MIN_OF(n, b->n));
    wiping_free(p);
    return other;
}

static const XML_Memory_Handling_Suite wiping = { wiping_malloc, wiping_realloc, wiping_free };

/* ---- a walk through a document ------------------------------------------------------------------ */

struct field {
    const char *path; /* what the path of names ends with */
    int depth;        /* at which it must stand; 0: anywhere */
    struct buf *out;
};

struct walk {
    XML_Parser parser;
    const struct field *fields;
    size_t n;
    bool seen[FIELDS_MAX];
    const struct field *in; /* whose text comes */
    struct buf path;
    char path_space[PATH_MAX_BYTES];
    int depth;
    const char *refused; /* a sentence that goes on after "answered with" */
};

static void refuse(struct walk *w, const char *sentence)
{
    if (!w->refused)
        w->refused = sentence;
    (void)XML_StopParser(w->parser, XML_FALSE);
}

static void find_field(struct walk *w)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct field *f = &w->fields[i];
        if (!str_ends(buf_view(&w->path), str_from(f->path)) || (f->depth && f->depth != w->depth))
            continue;
        if (w->seen[i])
            refuse(w, "XML that says the same thing twice");
        w->seen[i] = true;
        w->in = f;
    }
}

static void XMLCALL on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    struct walk *w = data;
    const struct str whole = str_from(name);
    const size_t colon = str_find(whole, ':', 0);
    if (w->in)
        refuse(w, "XML that has elements where text belongs");
    buf_char(&w->path, '/');
    buf_str(&w->path, colon < whole.len ? str_slice(whole, colon + 1, whole.len) : whole);
    w->depth++;
    if (w->path.st != ST_OK || w->depth > DEPTH_MAX)
        refuse(w, "XML that is nested too deeply");
    if (!w->refused)
        find_field(w);
}

static void XMLCALL on_end(void *data, const XML_Char *name)
{
    (void)name;
    struct walk *w = data;
    size_t at = w->path.len;
    while (at > 0 && w->path.ptr[at - 1] != '/')
        at--;
    buf_truncate(&w->path, at > 0 ? at - 1 : 0);
    w->depth--;
    w->in = NULL;
}

static void XMLCALL on_text(void *data, const XML_Char *text, int len)
{
    struct walk *w = data;
    if (w->in)
        buf_str(w->in->out, (struct str){ text, (size_t)len });
}

static void XMLCALL on_doctype(void *data, const XML_Char *name, const XML_Char *sysid,
                               const XML_Char *pubid, int has_internal_subset)
{
    (void)name;
    (void)sysid;
    (void)pubid;
    (void)has_internal_subset;
    refuse(data, "XML with a document type declaration");
}

/* ST_OK; ST_INVALID with why; ST_NO_MEMORY. */
static enum status walk_through(struct str text, const struct field *fields, size_t n,
                                struct buf *why)
{
    struct walk w = { .fields = fields, .n = n };
    w.path = BUF_FIXED(w.path_space);
    w.parser = text.len <= INT32_MAX ? XML_ParserCreate_MM("UTF-8", &wiping, NULL) : NULL;
    if (!w.parser)
        return ST_NO_MEMORY;
    XML_SetUserData(w.parser, &w);
    XML_SetElementHandler(w.parser, on_start, on_end);
    XML_SetCharacterDataHandler(w.parser, on_text);
    XML_SetStartDoctypeDeclHandler(w.parser, on_doctype);
    const bool read =
        XML_Parse(w.parser, text.len ? text.ptr : "", (int)text.len, XML_TRUE) == XML_STATUS_OK;
    const enum XML_Error error = XML_GetErrorCode(w.parser);
    const int64_t line = (int64_t)XML_GetCurrentLineNumber(w.parser);
    XML_ParserFree(w.parser);
    if (w.refused) {
        buf_lit(why, "answered with ");
        buf_str(why, str_from(w.refused));
        return ST_INVALID;
    }
    if (read)
        return ST_OK;
    if (error == XML_ERROR_NO_MEMORY)
        return ST_NO_MEMORY;
    buf_lit(why, "answered with something that is no XML (line ");
    buf_int(why, line);
    buf_lit(why, ")");
    return ST_INVALID;
}

/* ---- credentials -------------------------------------------------------------------------------- */

enum part { KEY_ID, SECRET_KEY, TOKEN, EXPIRATION, PARTS };

struct texts {
    struct buf each[PARTS];
    char space[PARTS][CREDS_TEXT_MAX];
};

static enum status check_texts(const struct texts *t, struct buf *why)
{
    static const char *const names[PARTS] = { "AccessKeyId", "SecretAccessKey", "SessionToken",
                                              "Expiration" };
    for (size_t i = 0; i < PARTS; i++) {
        const struct str text = buf_view(&t->each[i]);
        const bool ok = i == KEY_ID ? creds_key_id_ok(text) : creds_text_ok(text);
        if (ok && t->each[i].st == ST_OK)
            continue;
        buf_lit(why, "answered with ");
        buf_str(why, text.len || t->each[i].st != ST_OK ? STR("an unusable ") : STR("no "));
        buf_str(why, str_from(names[i]));
        return ST_INVALID;
    }
    return ST_OK;
}

static enum status read_expiry(struct str text, int64_t now_s, int64_t *out_s, struct buf *why)
{
    if (date_parse_rfc3339(text, out_s) != ST_OK) {
        buf_lit(why, "answered with an Expiration that is no RFC 3339 time: \"");
        buf_str(why, str_slice(text, 0, SHOWN_MAX));
        buf_lit(why, "\"");
        return ST_INVALID;
    }
    if (*out_s > now_s)
        return ST_OK;
    buf_lit(why, "answered with credentials that were expired at arrival: they ended at ");
    date_iso(why, *out_s);
    buf_lit(why, ", and here it is ");
    date_iso(why, now_s);
    return ST_INVALID;
}

static enum status read_into(struct texts *t, struct str text, const char *source, int64_t now_s,
                             struct creds **out, struct buf *why)
{
    static const char *const paths[PARTS] = { "/Credentials/AccessKeyId",
                                              "/Credentials/SecretAccessKey",
                                              "/Credentials/SessionToken",
                                              "/Credentials/Expiration" };
    struct field fields[PARTS];
    for (size_t i = 0; i < PARTS; i++) {
        t->each[i] = BUF_FIXED(t->space[i]);
        fields[i] = (struct field){ paths[i], 4, &t->each[i] };
    }
    TRY(walk_through(text, fields, PARTS, why));
    TRY(check_texts(t, why));
    int64_t expires_at_s;
    TRY(read_expiry(buf_view(&t->each[EXPIRATION]), now_s, &expires_at_s, why));
    *out = creds_new(buf_view(&t->each[KEY_ID]), buf_view(&t->each[SECRET_KEY]),
                     buf_view(&t->each[TOKEN]), expires_at_s, now_s, source);
    return *out ? ST_OK : ST_NO_MEMORY;
}

enum status sts_creds_read(struct str text, const char *source, int64_t now_s, struct creds **out,
                           struct buf *why)
{
    struct texts *t = malloc(sizeof(*t));
    if (!t)
        return ST_NO_MEMORY;
    const enum status st = read_into(t, text, source, now_s, out, why);
    crypto_wipe(t, sizeof(*t));
    free(t);
    return st;
}

/* ---- refusals ----------------------------------------------------------------------------------- */

/* Printable and ended by a NUL, whatever it was. */
static void keep(char *to, size_t cap, struct buf *from)
{
    const size_t n = MIN_OF(from->len, cap - 1);
    for (size_t i = 0; i < n; i++)
        to[i] = from->ptr[i] >= ' ' && from->ptr[i] < 0x7f ? from->ptr[i] : '?';
    to[n] = '\0';
}

void sts_fault_read(struct str text, struct sts_fault *out)
{
    AUTO(buf) code = BUF_INIT(CREDS_TEXT_MAX);
    AUTO(buf) message = BUF_INIT(CREDS_TEXT_MAX);
    AUTO(buf) request_id = BUF_INIT(CREDS_TEXT_MAX);
    AUTO(buf) why = BUF_INIT(CREDS_TEXT_MAX);
    const struct field fields[] = {
        { "/Error/Code", 0, &code },
        { "/Error/Message", 0, &message },
        { "/RequestId", 0, &request_id },
    };
    const enum status st = walk_through(text, fields, ARRAY_LEN(fields), &why);
    (void)st; /* a page of a proxy in between has none of these; the HTTP status is told anyway */
    keep(out->code, sizeof(out->code), &code);
    keep(out->message, sizeof(out->message), &message);
    keep(out->request_id, sizeof(out->request_id), &request_id);
}
