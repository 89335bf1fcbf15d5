/*
 * filename - what a client calls its file, made fit for an object key and a header.
 *
 * Marks are dropped before normalising: one that stands between a letter and its accent would
 * otherwise hide the pair from NFC, and a second cleaning would give another name. Plain names
 * (nearly all) are answered with a view of the input and cost one scan.
 *
 * utf8proc puts combining marks in order in quadratic time, so only CUT_BYTES of a longer name
 * reach it; far less than that is kept anyway.
 */
#include "presignd/filename.h"

#include <string.h>

#include <utf8proc.h>

#include "presignd/encode.h"

enum { CUT_BYTES = 1024, TAIL_MAX = 64 };

static struct str last_part(struct str s)
{
    size_t from = s.len;
    while (from > 0 && s.ptr[from - 1] != '/' && s.ptr[from - 1] != '\\')
        from--;
    return str_slice(s, from, s.len);
}

static bool dropped_ascii(unsigned char c)
{
    return c < 0x20 || c == 0x7f || c == '$';
}

/* Controls, line separators, bidi marks, the byte order mark, noncharacters. */
static bool dropped(utf8proc_int32_t c)
{
    if (c < 0x80)
        return dropped_ascii((unsigned char)c);
    return c < 0xa0 || c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || (c >= 0xfdd0 && c <= 0xfdef) ||
           (c & 0xfffe) == 0xfffe;
}

/* True when no byte needs a look: ASCII without anything to drop. */
static bool plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x80 || dropped_ascii(c))
            return false;
    }
    return true;
}

/* The largest boundary of a character at or below `at`. */
static size_t boundary(struct str s, size_t at)
{
    while (at > 0 && at < s.len && ((unsigned char)s.ptr[at] & 0xc0) == 0x80)
        at--;
    return at;
}

/* Where the last dot stands when what follows is short enough to keep; else the length. */
static size_t tail_start(struct str s)
{
    for (size_t at = s.len; at > 1 && s.len - at < TAIL_MAX; at--) {
        if (s.ptr[at - 1] == '.')
            return at - 1;
    }
    return s.len;
}

/* At most `max` bytes, the end of the stem cut off. */
static void shortened(struct buf *out, struct str s, size_t max)
{
    if (s.len <= max) {
        buf_str(out, s);
        return;
    }
    size_t tail = tail_start(s);
    buf_str(out, str_slice(s, 0, boundary(s, max - (s.len - tail))));
    buf_str(out, str_slice(s, tail, s.len));
}

/* The characters that stay. */
static enum status without_marks(struct str s, struct buf *out)
{
    for (size_t at = 0; at < s.len;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.ptr + at,
                                              (utf8proc_ssize_t)(s.len - at), &c);
        if (n <= 0)
            return ST_FILENAME_INVALID;
        if (!dropped(c))
            buf_str(out, str_slice(s, at, at + (size_t)n));
        at += (size_t)n;
    }
    return buf_check(out);
}

/* NFC (Unicode Standard Annex #15); the code points lie in the arena. */
static enum status composed(struct str s, struct arena *a, struct buf *out)
{
    const int options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)s.ptr;
    utf8proc_ssize_t len = (utf8proc_ssize_t)s.len;
    utf8proc_ssize_t n = utf8proc_decompose(bytes, len, NULL, 0, options);
    if (n < 0)
        return ST_FILENAME_INVALID;
    utf8proc_int32_t *points = arena_array(a, (size_t)n + 1, sizeof(*points));
    if (!points)
        return ST_NO_MEMORY;
    if (utf8proc_decompose(bytes, len, points, n, options) != n)
        return ST_FILENAME_INVALID;
    n = utf8proc_normalize_utf32(points, n, options);
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        utf8proc_uint8_t text[4];
        utf8proc_ssize_t bytes_of = utf8proc_encode_char(points[i], text);
        buf_str(out, (struct str){ (const char *)text, (size_t)bytes_of });
    }
    return buf_check(out);
}

/* Blanks at the ends go with the leading dots: a store may trim the form's field, and the key would
 * no longer be the one in the policy. */
static struct str bare(struct str s)
{
    size_t from = 0;
    while (from < s.len && (s.ptr[from] == '.' || s.ptr[from] == ' '))
        from++;
    return str_trim(str_slice(s, from, s.len));
}

static struct buf arena_buf(struct arena *a, size_t n)
{
    char *room = arena_alloc(a, n);
    return (struct buf){ .ptr = room, .cap = room ? n : 0, .limit = n, .fixed = room != NULL };
}

/* Everything a plain name does not need. */
static enum status normalised(struct str name, struct arena *a, struct str *out)
{
    struct buf kept = arena_buf(a, name.len);
    struct buf cut = arena_buf(a, CUT_BYTES);
    struct buf text = arena_buf(a, 3 * CUT_BYTES); /* NFC grows by at most three in UTF-8 */
    if (!kept.ptr || !cut.ptr || !text.ptr)
        return ST_NO_MEMORY;
    TRY(without_marks(name, &kept));
    shortened(&cut, bare(buf_view(&kept)), CUT_BYTES);
    TRY(composed(buf_view(&cut), a, &text));
    *out = buf_view(&text);
    return ST_OK;
}

enum status filename_clean(struct str raw, struct arena *a, struct str *out)
{
    if (!str_valid_utf8(raw))
        return ST_FILENAME_INVALID;
    struct str name = last_part(raw);
    if (!plain(name))
        TRY(normalised(name, a, &name));
    name = bare(name);
    if (name.len == 0)
        return ST_FILENAME_INVALID;
    if (name.len > FILENAME_MAX_BYTES) {
        struct buf cut = arena_buf(a, FILENAME_MAX_BYTES);
        if (!cut.ptr)
            return ST_NO_MEMORY;
        shortened(&cut, name, FILENAME_MAX_BYTES);
        name = str_trim(buf_view(&cut));
    }
    *out = name;
    return ST_OK;
}

struct str filename_extension(struct str clean, struct arena *a)
{
    size_t dot = clean.len;
    while (dot > 0 && clean.ptr[dot - 1] != '.')
        dot--;
    struct str ext = str_slice(clean, dot, clean.len);
    if (dot == 0 || ext.len == 0 || ext.len > FILENAME_EXT_MAX)
        return STR("");
    char *lower = arena_alloc(a, ext.len);
    if (!lower)
        return STR("");
    for (size_t i = 0; i < ext.len; i++) {
        if (!ascii_alnum(ext.ptr[i]))
            return STR("");
        lower[i] = ascii_lower(ext.ptr[i]);
    }
    return (struct str){ lower, ext.len };
}

/* One '_' for each character that the quoted form does not hold. */
static void quoted(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c & 0xc0) == 0x80)
            continue;
        buf_char(out, c >= 0x80 || c == '"' || c == '\\' ? '_' : s.ptr[i]);
    }
}

void filename_disposition(struct buf *out, struct str clean)
{
    buf_lit(out, "attachment; filename=\"");
    quoted(out, clean);
    buf_lit(out, "\"");
    if (str_printable_ascii(clean))
        return;
    buf_lit(out, "; filename*=UTF-8''");
    encode_uri(out, clean);
}
