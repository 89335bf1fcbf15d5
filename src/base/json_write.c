/*
 * json_write - an append-only JSON writer.
 *
 * Answers are nearly all base64, hex and ASCII names, so text is copied in runs: a block of bytes
 * is looked at together, and only where one must be escaped or belongs to a multi-byte character
 * they are looked at one by one.
 */
#include "presignd/json_write.h"

#include <string.h>

enum { WORD = 8, LARGE_BLOCK = 64, INDENT = 2, MICROS_PER_MS = 1000, MS_PER_S = 1000 };

/* What stands after the backslash; 'u' for the long form, 1 for a byte of a multi-byte character,
   0 for a byte that stands for itself. RFC 8259 section 7. */
/* clang-format off */
#define FOUR(v)    (v), (v), (v), (v)
#define SIXTEEN(v) FOUR(v), FOUR(v), FOUR(v), FOUR(v)
static const char escapes[256] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n', 'u', 'f', 'r', 'u', 'u',
    SIXTEEN('u'),
    0, 0, '"', 0, FOUR(0), FOUR(0), FOUR(0),                   SIXTEEN(0),
    SIXTEEN(0),   FOUR(0), FOUR(0), FOUR(0), '\\', 0, 0, 0,
    SIXTEEN(0),   FOUR(0), FOUR(0), FOUR(0), 0, 0, 0, 'u',
    SIXTEEN(1),   SIXTEEN(1), SIXTEEN(1), SIXTEEN(1),
    SIXTEEN(1),   SIXTEEN(1), SIXTEEN(1), SIXTEEN(1),
};
/* clang-format on */

/*
 * No byte of the block is a control, a quote, a backslash, DEL or outside ASCII. Without branches,
 * and inlined with a fixed size, so that compilers turn it into a few vector instructions.
 */
static inline bool block_plain(const char *p, int size)
{
    unsigned char special = 0;
    for (int i = 0; i < size; i++) {
        signed char c = (signed char)p[i]; /* negative: outside ASCII */
        special = (unsigned char)(special | (c < 0x20) | (c == '"') | (c == '\\') | (c == 0x7f));
    }
    return special == 0;
}

/* The same for the WORD bytes at p, in one register: texts are mostly short. */
static inline bool word_plain(const char *p)
{
    const uint64_t ones = UINT64_MAX / 0xff, tops = ones << 7;
    uint64_t x;
    memcpy(&x, p, WORD);
    const uint64_t quote = x ^ (ones * '"'), back = x ^ (ones * '\\'), del = x ^ (ones * 0x7f);
    /* a byte that is zero, or below 0x20, borrows into its top bit */
    const uint64_t special = x | (x - ones * 0x20) | (quote - ones) | (back - ones) | (del - ones);
    return (special & tops) == 0;
}

/* Where the first byte at or after `at` is that cannot simply be copied. */
static size_t plain_until(struct str s, size_t at)
{
    while (s.len - at >= LARGE_BLOCK && block_plain(s.ptr + at, LARGE_BLOCK))
        at += LARGE_BLOCK;
    while (s.len - at >= WORD && word_plain(s.ptr + at))
        at += WORD;
    /* What remains is the end of a last word, which may overlap the one before. */
    if (at < s.len && s.len - at < WORD && s.len >= WORD && word_plain(s.ptr + s.len - WORD))
        return s.len;
    while (at < s.len && escapes[(unsigned char)s.ptr[at]] == 0)
        at++;
    return at;
}

static void write_code(struct buf *out, unsigned point)
{
    static const char hex[] = "0123456789abcdef";
    buf_lit(out, "\\u");
    for (int shift = 12; shift >= 0; shift -= 4)
        buf_char(out, hex[point >> shift & 0x0f]);
}

static void write_escape(struct buf *out, char c, char how)
{
    if (how == 'u') {
        write_code(out, (unsigned char)c);
        return;
    }
    buf_char(out, '\\');
    buf_char(out, how);
}

/* Of two or three bytes. */
static unsigned point_of(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    return n == 2 ? (u[0] & 0x1fU) << 6 | (u[1] & 0x3fU)
                  : (u[0] & 0x0fU) << 12 | (u[1] & 0x3fU) << 6 | (u[2] & 0x3fU);
}

/* Writes the one character at `at`; returns how many bytes of the input it was. */
static size_t write_special(struct buf *out, struct str s, size_t at)
{
    char how = escapes[(unsigned char)s.ptr[at]];
    if (how != 1) {
        write_escape(out, s.ptr[at], how);
        return 1;
    }
    size_t n = str_utf8_at(s, at);
    if (n == 0) {
        buf_lit(out, "\xef\xbf\xbd");
        return 1;
    }
    if (str_hidden_at(s, at, n)) /* a log is read on terminals */
        write_code(out, point_of(s.ptr + at, n));
    else
        buf_str(out, str_slice(s, at, at + n));
    return n;
}

void jw_escape(struct buf *out, struct str value)
{
    size_t at = 0;
    while (at < value.len) {
        size_t end = plain_until(value, at);
        buf_str(out, str_slice(value, at, end));
        at = end < value.len ? end + write_special(out, value, end) : end;
    }
}

static void quoted(struct buf *out, struct str value)
{
    char *to = buf_room(out, value.len + 2);
    if (!to)
        return;
    if (plain_until(value, 0) < value.len) {
        buf_char(out, '"');
        jw_escape(out, value);
        buf_char(out, '"');
        return;
    }
    *to = '"';
    if (value.len > 0)
        memcpy(to + 1, value.ptr, value.len);
    to[value.len + 1] = '"';
    buf_advance(out, value.len + 2);
}

static void new_line(const struct jw *j)
{
    buf_char(j->out, '\n');
    for (int i = 0; i < j->depth * INDENT; i++)
        buf_char(j->out, ' ');
}

/* What the value about to be written stands in: '}' , ']' or 0 at the top. */
static char inside(const struct jw *j)
{
    return j->depth > 0 ? j->closers[j->depth - 1] : '\0';
}

/* Everything that stands before a value or its key; false when it may not stand there. */
static bool begin(struct jw *j, char place)
{
    if (inside(j) != place || (j->depth == 0 && j->comma))
        j->broken = true;
    if (j->broken)
        return false;
    if (j->comma)
        buf_char(j->out, ',');
    if (j->pretty && j->depth > 0)
        new_line(j);
    j->comma = true;
    return true;
}

static bool begin_pair(struct jw *j, struct str key)
{
    if (!begin(j, '}'))
        return false;
    quoted(j->out, key);
    buf_char(j->out, ':');
    if (j->pretty)
        buf_char(j->out, ' ');
    return true;
}

/* A key that is a literal needs no look at its bytes, and goes out in one piece. */
static bool begin_key(struct jw *j, const char *key)
{
    if (j->pretty || !j->comma)
        return begin_pair(j, str_from(key));
    if (inside(j) != '}')
        j->broken = true;
    const size_t len = strlen(key);
    char *to = j->broken ? NULL : buf_room(j->out, len + 4);
    if (!to)
        return false;
    to[0] = ',';
    to[1] = '"';
    memcpy(to + 2, key, len);
    to[len + 2] = '"';
    to[len + 3] = ':';
    buf_advance(j->out, len + 4);
    return true;
}

static void open_here(struct jw *j, char bracket)
{
    assert(bracket == '{' || bracket == '[');
    if (j->depth == JW_DEPTH_MAX) {
        j->broken = true;
        return;
    }
    buf_char(j->out, bracket);
    j->closers[j->depth++] = bracket == '{' ? '}' : ']';
    j->comma = false;
}

void jw_open(struct jw *j, char bracket)
{
    if (begin(j, j->depth > 0 ? ']' : '\0'))
        open_here(j, bracket);
}

void jw_open_key(struct jw *j, const char *key, char bracket)
{
    if (begin_key(j, key))
        open_here(j, bracket);
}

void jw_open_pair(struct jw *j, struct str key, char bracket)
{
    if (begin_pair(j, key))
        open_here(j, bracket);
}

void jw_close(struct jw *j)
{
    if (j->depth == 0)
        j->broken = true;
    if (j->broken)
        return;
    j->depth--;
    if (j->pretty && j->comma)
        new_line(j);
    buf_char(j->out, j->closers[j->depth]);
    j->comma = true;
}

void jw_str(struct jw *j, const char *key, struct str value)
{
    if (begin_key(j, key))
        quoted(j->out, value);
}

void jw_int(struct jw *j, const char *key, int64_t value)
{
    if (begin_key(j, key))
        buf_int(j->out, value);
}

void jw_bool(struct jw *j, const char *key, bool value)
{
    if (begin_key(j, key))
        buf_str(j->out, value ? STR("true") : STR("false"));
}

void jw_null(struct jw *j, const char *key)
{
    if (begin_key(j, key))
        buf_lit(j->out, "null");
}

void jw_pair(struct jw *j, struct str key, struct str value)
{
    if (begin_pair(j, key))
        quoted(j->out, value);
}

void jw_pair_int(struct jw *j, struct str key, int64_t value)
{
    if (begin_pair(j, key))
        buf_int(j->out, value);
}

void jw_raw(struct jw *j, const char *key, struct str json)
{
    if (json.len == 0)
        j->broken = true;
    if (begin_key(j, key))
        buf_str(j->out, json);
}

void jw_micros_as_s(struct jw *j, const char *key, int64_t micros)
{
    int64_t ms = MAX_OF(micros, 0) / MICROS_PER_MS;
    if (!begin_key(j, key))
        return;
    buf_int(j->out, ms / MS_PER_S);
    buf_char(j->out, '.');
    buf_int_padded(j->out, ms % MS_PER_S, 3);
}

void jw_item_str(struct jw *j, struct str value)
{
    if (begin(j, ']'))
        quoted(j->out, value);
}

void jw_item_int(struct jw *j, int64_t value)
{
    if (begin(j, ']'))
        buf_int(j->out, value);
}

enum status jw_end(const struct jw *j)
{
    if (j->broken || j->depth > 0 || !j->comma)
        return ST_INTERNAL;
    return buf_check(j->out);
}
