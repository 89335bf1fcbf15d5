/*
 * sts_xml - the documents of STS:
 *
 *     <AssumeRoleResponse> <AssumeRoleResult> <Credentials> <AccessKeyId> ...
 *     <ErrorResponse> <Error> <Code> ... </Error> <RequestId>
 *
 * What is not looked for is skipped, as AWS adds elements; what is looked for may stand there once.
 */
#include <stdlib.h>
#include <string.h>

#include "presignd/sts.h"
#include "presignd/xml_read.h"

enum { PATH_MAX_BYTES = 256, DEPTH_MAX = 12, FIELDS_MAX = 4 };

static const char too_deep[] = "XML that is nested too deeply";

/* ---- a walk through a document ------------------------------------------------------------------ */

struct field {
    const char *path; /* what the path of names ends with */
    int depth;        /* at which it must stand; 0: anywhere */
    struct buf *out;
};

struct walk {
    struct xml_reader xml;
    const struct field *fields;
    size_t n;
    bool seen[FIELDS_MAX];
    const struct field *in; /* whose text comes */
    struct buf path;
    char path_space[PATH_MAX_BYTES];
    const char *refused; /* a sentence that goes on after "answered with" */
};

static struct walk *walk_of(struct xml_reader *r)
{
    return container_of(r, struct walk, xml);
}

static void refuse(struct walk *w, const char *sentence)
{
    w->refused = sentence;
    xml_stop(&w->xml);
}

static void find_field(struct walk *w)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct field *f = &w->fields[i];
        if (!str_ends(buf_view(&w->path), str_from(f->path)) ||
            (f->depth && f->depth != w->xml.depth))
            continue;
        if (w->seen[i])
            refuse(w, "XML that says the same thing twice");
        w->seen[i] = true;
        w->in = f;
    }
}

static void on_start(struct xml_reader *r, struct str name)
{
    struct walk *w = walk_of(r);
    const size_t colon = str_find(name, ':', 0);
    buf_char(&w->path, '/');
    buf_str(&w->path, colon < name.len ? str_slice(name, colon + 1, name.len) : name);
    if (w->in)
        refuse(w, "XML that has elements where text belongs");
    else if (w->path.st != ST_OK)
        refuse(w, too_deep);
    else
        find_field(w);
}

static void on_end(struct xml_reader *r)
{
    struct walk *w = walk_of(r);
    size_t at = w->path.len;
    while (at > 0 && w->path.ptr[at - 1] != '/')
        at--;
    buf_truncate(&w->path, at > 0 ? at - 1 : 0);
    w->in = NULL;
}

static void on_text(struct xml_reader *r, struct str bytes)
{
    const struct walk *w = walk_of(r);
    if (w->in)
        buf_str(w->in->out, bytes);
}

static const char *sentence_of(enum xml_outcome outcome, const struct walk *w)
{
    switch (outcome) {
    case XML_OUTCOME_DOCTYPE: return "XML with a document type declaration";
    case XML_OUTCOME_TOO_DEEP: return too_deep;
    case XML_OUTCOME_STOPPED: return w->refused;
    default: return "something that is no XML (line ";
    }
}

/* ST_OK; ST_INVALID with why; ST_NO_MEMORY. */
static enum status walk_through(struct str text, const struct field *fields, size_t n,
                                struct buf *why)
{
    struct walk w = { .xml = { .start = on_start, .text = on_text, .end = on_end },
                      .fields = fields,
                      .n = n };
    w.path = BUF_FIXED(w.path_space);
    const enum xml_outcome outcome = xml_read(&w.xml, text, DEPTH_MAX);
    if (outcome == XML_OUTCOME_READ)
        return ST_OK;
    if (outcome == XML_OUTCOME_NO_MEMORY)
        return ST_NO_MEMORY;
    buf_lit(why, "answered with ");
    buf_str(why, str_from(sentence_of(outcome, &w)));
    if (outcome == XML_OUTCOME_BROKEN) {
        buf_int(why, w.xml.line);
        buf_lit(why, ")");
    }
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
    TRY(creds_read_end(buf_view(&t->each[EXPIRATION]), now_s, &expires_at_s, why));
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
