/*
 * doctor_report - the report in lines for people and as JSON for programs.
 *
 * What others said (a store, a name server, a file) stands in the lines too: controls, and what
 * turns a terminal's text around, never reach it.
 */
#include "presignd/doctor_report.h"

#include "presignd/json_write.h"

enum { NAME_AT = 8, TEXT_AT = 24 };

/* clang-format off */
static const struct {
    struct str mark, colour, word;
} looks[VERDICT_COUNT] = {
    [VERDICT_OK]      = { STR_INIT("ok"),   STR_INIT("\033[32m"), STR_INIT("ok")        },
    [VERDICT_NOTE]    = { STR_INIT("note"), STR_INIT("\033[36m"), STR_INIT("note")      },
    [VERDICT_SKIPPED] = { STR_INIT("-"),    STR_INIT("\033[2m"),  STR_INIT("not_tried") },
    [VERDICT_WARNING] = { STR_INIT("warn"), STR_INIT("\033[33m"), STR_INIT("warning")   },
    [VERDICT_FAILED]  = { STR_INIT("FAIL"), STR_INIT("\033[31m"), STR_INIT("failed")    },
};
/* clang-format on */

#define PLAIN STR("\033[0m")
#define BOLD  STR("\033[1m")

/* ---- lines -------------------------------------------------------------------------------------- */

struct line {
    struct buf *out;
    size_t at, indent;
};

static void put_blanks(struct buf *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_char(out, ' ');
}

/* Columns: one for each character of UTF-8. */
static size_t put_clean(struct buf *out, struct str text)
{
    size_t columns = 0;
    for (size_t i = 0, n; i < text.len; i += n, columns++) {
        n = str_utf8_at(text, i);
        const bool control = n == 1 && ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f);
        if (n == 0 || control || str_hidden_at(text, i, n))
            buf_char(out, '?');
        else
            buf_str(out, str_slice(text, i, i + n));
        n = MAX_OF(n, (size_t)1);
    }
    return columns;
}

static size_t width_of(struct str text)
{
    size_t columns = 0;
    for (size_t i = 0; i < text.len; i += MAX_OF(str_utf8_at(text, i), (size_t)1))
        columns++;
    return columns;
}

static void put_word(struct line *l, struct str word)
{
    const size_t width = width_of(word);
    const bool first = l->at == l->indent;
    if (!first && l->at + 1 + width > DOCTOR_COLUMNS) {
        buf_lit(l->out, "\n");
        put_blanks(l->out, l->indent);
        l->at = l->indent;
    } else if (!first) {
        buf_char(l->out, ' ');
        l->at++;
    }
    l->at += put_clean(l->out, word);
}

static void put_words(struct line *l, struct str text)
{
    for (struct str word; str_cut(&text, ' ', &word);)
        if (word.len)
            put_word(l, word);
}

static void put_coloured(struct buf *out, struct str text, struct str colour, bool wanted)
{
    if (wanted)
        buf_str(out, colour);
    buf_str(out, text);
    if (wanted)
        buf_str(out, PLAIN);
}

void report_row(struct buf *out, const struct diagnosis *g, bool colour)
{
    const struct str name = str_from(g->check);
    struct line l = { .out = out, .at = TEXT_AT, .indent = TEXT_AT };
    buf_lit(out, "  ");
    put_coloured(out, looks[g->verdict].mark, looks[g->verdict].colour, colour);
    put_blanks(out, NAME_AT - 2 - looks[g->verdict].mark.len);
    buf_str(out, name);
    put_blanks(out, name.len < TEXT_AT - NAME_AT ? TEXT_AT - NAME_AT - name.len : 1);
    if (g->about.len) {
        put_words(&l, g->about);
        buf_lit(out, ":");
        l.at++;
    }
    put_words(&l, g->says);
    buf_lit(out, "\n");
    if (g->todo.len == 0)
        return;
    put_blanks(out, TEXT_AT);
    l = (struct line){ .out = out, .at = TEXT_AT + 3, .indent = TEXT_AT + 3 };
    put_coloured(out, STR("-> "), BOLD, colour);
    put_words(&l, g->todo);
    buf_lit(out, "\n");
}

void report_bucket(struct buf *out, const struct bucket *b, bool colour)
{
    buf_lit(out, "\n");
    put_coloured(out, STR("bucket "), BOLD, colour);
    put_coloured(out, b->name, BOLD, colour);
    buf_lit(out, ": ");
    put_clean(out, b->where.bucket);
    buf_lit(out, " in ");
    put_clean(out, b->where.region);
    buf_lit(out, " at ");
    buf_str(out, b->own_place.scheme);
    buf_lit(out, "://");
    put_clean(out, b->own_place.host);
    buf_lit(out, "\n");
}

static void put_count(struct buf *out, size_t n, struct str what)
{
    buf_int(out, (int64_t)n);
    buf_str(out, what);
}

void report_summary(struct buf *out, const struct report *r, bool colour)
{
    const size_t *n = r->counts;
    const enum verdict worst = n[VERDICT_FAILED]    ? VERDICT_FAILED
                               : n[VERDICT_WARNING] ? VERDICT_WARNING
                                                    : VERDICT_OK;
    buf_lit(out, "\n");
    if (colour)
        buf_str(out, looks[worst].colour);
    put_count(out, n[VERDICT_OK], STR(" ok, "));
    put_count(out, n[VERDICT_WARNING],
              n[VERDICT_WARNING] == 1 ? STR(" warning, ") : STR(" warnings, "));
    put_count(out, n[VERDICT_FAILED], STR(" failed"));
    if (colour)
        buf_str(out, PLAIN);
    if (n[VERDICT_SKIPPED]) {
        buf_lit(out, ", ");
        put_count(out, n[VERDICT_SKIPPED], STR(" not tried"));
    }
    buf_lit(out, "\n");
}

/* ---- JSON --------------------------------------------------------------------------------------- */

static void write_diagnosis(struct jw *j, const struct diagnosis *g)
{
    jw_open(j, '{');
    jw_str(j, "check", str_from(g->check));
    jw_str(j, "bucket", g->bucket);
    jw_str(j, "about", g->about);
    jw_str(j, "status", looks[g->verdict].word);
    jw_str(j, "says", g->says);
    jw_str(j, "todo", g->todo);
    jw_close(j);
}

static size_t left_out(const struct report *r)
{
    size_t all = 0;
    for (size_t v = 0; v < VERDICT_COUNT; v++)
        all += r->counts[v];
    return all - MIN_OF(all, r->n);
}

enum status report_json(struct buf *out, const struct report *r)
{
    struct jw j = { .out = out };
    jw_open(&j, '{');
    jw_bool(&j, "healthy", r->counts[VERDICT_FAILED] == 0);
    jw_int(&j, "ok", (int64_t)r->counts[VERDICT_OK]);
    jw_int(&j, "warnings", (int64_t)r->counts[VERDICT_WARNING]);
    jw_int(&j, "failed", (int64_t)r->counts[VERDICT_FAILED]);
    jw_int(&j, "not_tried", (int64_t)r->counts[VERDICT_SKIPPED]);
    jw_int(&j, "left_out", (int64_t)left_out(r));
    jw_open_key(&j, "findings", '[');
    for (size_t i = 0; i < r->n; i++)
        write_diagnosis(&j, &r->list[i]);
    jw_close(&j);
    jw_close(&j);
    buf_lit(out, "\n");
    return jw_end(&j);
}
