/*
 * tally_text - lines of words with one blank between them, taken apart without any leniency.
 */
#include "presignd/tally_text.h"

enum { NAME_MAX_BYTES = 64, TALLY_WORDS = 6, CHARGE_WORDS = 3, ID_WORDS = 2 };
#define TAT_MAX_US (INT64_MAX / 4)

const struct str limit_kind_words[4] = {
    [LIMIT_RATE] = STR_INIT("rate"),
    [LIMIT_COUNT] = STR_INIT("count"),
    [LIMIT_BYTES] = STR_INIT("bytes"),
    [LIMIT_OPEN] = STR_INIT("open"),
};

/* ---- words -------------------------------------------------------------------------------------- */

/* Exactly n words: the last is what no separator follows. */
static enum status split(struct str line, struct str *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const size_t end = str_find(line, ' ', 0);
        if ((end < line.len) != (i + 1 < n))
            return ST_INVALID;
        words[i] = str_slice(line, 0, end);
        line = str_slice(line, end + 1, line.len);
    }
    return ST_OK;
}

static enum status read_name(struct str word, struct str *out)
{
    if (word.len == 0 || word.len > NAME_MAX_BYTES || word.ptr[0] < 'a' || word.ptr[0] > 'z')
        return ST_INVALID;
    for (size_t i = 0; i < word.len; i++) {
        const char c = word.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !ascii_digit(c) && c != '_' && c != '-')
            return ST_INVALID;
    }
    *out = word;
    return ST_OK;
}

static enum status read_kind(struct str word, enum limit_kind *out)
{
    for (size_t i = 0; i < ARRAY_LEN(limit_kind_words); i++)
        if (str_equal(word, limit_kind_words[i])) {
            *out = (enum limit_kind)i;
            return ST_OK;
        }
    return ST_INVALID;
}

static enum status read_number(struct str word, int64_t max, int64_t *out)
{
    /* One spelling per number, so that what is written is what was read. */
    if (word.len > 1 && word.ptr[0] == '0')
        return ST_INVALID;
    return str_to_int(word, max, out) ? ST_OK : ST_INVALID;
}

static void write_number(struct buf *b, int64_t v, int64_t max)
{
    buf_int(b, MIN_OF(MAX_OF(v, 0), max));
}

/* ---- tallies ------------------------------------------------------------------------------------ */

static enum status read_tally(struct str line, struct tally *out)
{
    struct str w[TALLY_WORDS];
    TRY(split(line, w, TALLY_WORDS));
    TRY(read_name(w[0], &out->name));
    TRY(read_kind(w[1], &out->kind));
    TRY(read_number(w[2], LIMITS_NUMBER_MAX, &out->start_s));
    TRY(read_number(w[3], LIMITS_NUMBER_MAX, &out->used));
    TRY(read_number(w[4], LIMITS_NUMBER_MAX, &out->reserved));
    return read_number(w[5], TAT_MAX_US, &out->tat_us);
}

enum status tallies_read(struct str text, struct tally *out, size_t max, size_t *out_n)
{
    size_t n = 0;
    struct str rest = text.len > 0 ? text : STR_NONE, line;
    while (str_cut(&rest, '\n', &line)) {
        if (n == max)
            return ST_INVALID;
        TRY(read_tally(line, &out[n]));
        for (size_t i = 0; i < n; i++)
            if (str_equal(out[i].name, out[n].name))
                return ST_INVALID;
        n++;
    }
    *out_n = n;
    return ST_OK;
}

void tallies_write(struct buf *b, const struct tally *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_char(b, '\n');
        buf_str(b, t[i].name);
        buf_char(b, ' ');
        buf_str(b, limit_kind_words[t[i].kind]);
        buf_char(b, ' ');
        write_number(b, t[i].start_s, LIMITS_NUMBER_MAX);
        buf_char(b, ' ');
        write_number(b, t[i].used, LIMITS_NUMBER_MAX);
        buf_char(b, ' ');
        write_number(b, t[i].reserved, LIMITS_NUMBER_MAX);
        buf_char(b, ' ');
        write_number(b, t[i].tat_us, TAT_MAX_US);
    }
}

/* ---- charges ------------------------------------------------------------------------------------ */

enum status charges_read(struct str text, struct charge *out, size_t max, size_t *out_n)
{
    size_t n = 0;
    struct str rest = text.len > 0 ? text : STR_NONE, line;
    while (str_cut(&rest, '\n', &line)) {
        struct str w[CHARGE_WORDS];
        if (n == max)
            return ST_INVALID;
        TRY(split(line, w, CHARGE_WORDS));
        TRY(read_name(w[0], &out[n].name));
        TRY(read_kind(w[1], &out[n].kind));
        TRY(read_number(w[2], LIMITS_NUMBER_MAX, &out[n].start_s));
        if (out[n].kind != LIMIT_COUNT && out[n].kind != LIMIT_BYTES)
            return ST_INVALID;
        n++;
    }
    *out_n = n;
    return ST_OK;
}

void charges_write(struct buf *b, const struct charge *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_char(b, '\n');
        buf_str(b, c[i].name);
        buf_char(b, ' ');
        buf_str(b, limit_kind_words[c[i].kind]);
        buf_char(b, ' ');
        write_number(b, c[i].start_s, LIMITS_NUMBER_MAX);
    }
}

/* ---- open ends ---------------------------------------------------------------------------------- */

enum status open_ends_read(struct str text, struct open_end *out, size_t max, size_t *out_n)
{
    size_t n = 0;
    struct str rest = text.len > 0 ? text : STR_NONE, pair;
    while (str_cut(&rest, ' ', &pair)) {
        const size_t colon = str_find(pair, ':', 0);
        if (n == max)
            return ST_INVALID;
        TRY(read_number(str_slice(pair, 0, colon), LIMITS_NUMBER_MAX, &out[n].end_s));
        TRY(read_number(str_slice(pair, colon + 1, pair.len), LIMITS_NUMBER_MAX, &out[n].n));
        if (out[n].n == 0 || (n > 0 && out[n].end_s <= out[n - 1].end_s))
            return ST_INVALID;
        n++;
    }
    *out_n = n;
    return ST_OK;
}

void open_ends_write(struct buf *b, const struct open_end *e, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_char(b, ' ');
        write_number(b, e[i].end_s, LIMITS_NUMBER_MAX);
        buf_char(b, ':');
        write_number(b, e[i].n, LIMITS_NUMBER_MAX);
    }
}

static void cut_out(struct open_end *e, size_t *n_ends, size_t at, size_t n)
{
    memmove(e + at, e + at + n, (*n_ends - at - n) * sizeof(*e));
    *n_ends -= n;
}

/* The two whose ends lie closest become one that ends when the later does. */
static void merge_closest(struct open_end *e, size_t *n_ends)
{
    size_t best = 1;
    for (size_t i = 2; i < *n_ends; i++)
        if (e[i].end_s - e[i - 1].end_s < e[best].end_s - e[best - 1].end_s)
            best = i;
    e[best].n += e[best - 1].n;
    cut_out(e, n_ends, best - 1, 1);
}

static void take_away(struct open_end *e, size_t *n_ends, size_t at, int64_t n)
{
    while (n > 0 && at < *n_ends) {
        const int64_t part = MIN_OF(n, e[at].n);
        n -= part;
        e[at].n -= part;
        if (e[at].n == 0)
            cut_out(e, n_ends, at, 1);
    }
}

void open_ends_add(struct open_end *e, size_t *n_ends, int64_t end_s, int64_t n)
{
    size_t at = 0;
    while (at < *n_ends && e[at].end_s < end_s)
        at++;
    if (n <= 0) {
        take_away(e, n_ends, at, -n);
        return;
    }
    if (at < *n_ends && e[at].end_s == end_s) {
        e[at].n += n;
        return;
    }
    if (*n_ends == OPEN_ENDS_MAX) {
        merge_closest(e, n_ends);
        open_ends_add(e, n_ends, end_s, n);
        return;
    }
    memmove(e + at + 1, e + at, (*n_ends - at) * sizeof(*e));
    e[at] = (struct open_end){ end_s, n };
    (*n_ends)++;
}

void open_ends_expire(struct open_end *e, size_t *n_ends, int64_t now_s)
{
    size_t over = 0;
    while (over < *n_ends && e[over].end_s <= now_s)
        over++;
    if (over > 0)
        cut_out(e, n_ends, 0, over);
}

int64_t open_ends_sum(const struct open_end *e, size_t n_ends)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n_ends; i++)
        sum += MIN_OF(e[i].n, LIMITS_NUMBER_MAX - sum);
    return sum;
}

/* ---- ids ---------------------------------------------------------------------------------------- */

enum status ids_read(struct str text, struct id_pair *out, size_t max, size_t *out_n)
{
    size_t n = 0;
    struct str rest = text.len > 0 ? text : STR_NONE, line;
    while (str_cut(&rest, '\n', &line)) {
        struct str w[ID_WORDS];
        if (n == max)
            return ST_INVALID;
        TRY(split(line, w, ID_WORDS));
        if (w[0].len == 0 || w[0].len > ID_TEXT_MAX || w[1].len > ID_TEXT_MAX)
            return ST_INVALID;
        out[n++] = (struct id_pair){ w[0], w[1] };
    }
    *out_n = n;
    return ST_OK;
}

void ids_write(struct buf *b, const struct id_pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_char(b, '\n');
        buf_str(b, p[i].id);
        buf_char(b, ' ');
        buf_str(b, p[i].uuid);
    }
}
