/*
 * ini - a line is looked at once and forgotten; what lasts is the section and how far in the last
 * key stood, for a line further in goes on with that key's value. Measured against the key and not
 * against the margin, because whole files are written indented.
 */
#include "presignd/ini.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

void ini_begin(struct ini *r, struct str text)
{
    const struct str mark = STR(BYTE_ORDER_MARK);
    *r = (struct ini){ .rest = text };
    if (str_starts(text, mark))
        r->rest = str_slice(text, mark.len, text.len);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool comment_mark(char c)
{
    return c == '#' || c == ';';
}

static size_t indent_of(struct str line)
{
    size_t n = 0;
    while (n < line.len && blank(line.ptr[n]))
        n++;
    return n;
}

/* Up to a comment that stands behind a blank. */
static struct str without_comment(struct str text)
{
    for (size_t i = 1; i < text.len; i++)
        if (comment_mark(text.ptr[i]) && blank(text.ptr[i - 1]))
            return str_slice(text, 0, i);
    return text;
}

static enum ini_line read_section(struct ini *r, struct str text)
{
    const size_t end = str_find(text, ']', 0);
    const struct str name = str_trim(str_slice(text, 1, end));
    const struct str behind = str_trim(str_slice(text, end + 1, text.len));
    if (end == text.len || !name.len || (behind.len && !comment_mark(behind.ptr[0])))
        return INI_BAD;
    r->section = name;
    r->in_section = true;
    r->after_key = false;
    return INI_SECTION;
}

static enum ini_line read_pair(struct ini *r, struct str text, size_t indent)
{
    const size_t equals = str_find(text, '=', 0);
    const struct str key = str_trim(str_slice(text, 0, equals));
    if (!r->in_section || equals == text.len || !key.len)
        return INI_BAD;
    r->key = key;
    r->value = str_trim(without_comment(str_slice(text, equals + 1, text.len)));
    r->after_key = true;
    r->indent = indent;
    return INI_PAIR;
}

enum ini_line ini_next(struct ini *r)
{
    struct str line;
    while (str_cut(&r->rest, '\n', &line)) {
        r->line++;
        if (str_ends(line, STR("\r")))
            line.len--;
        const size_t indent = indent_of(line);
        const struct str text = str_trim(line);
        if (!text.len || comment_mark(text.ptr[0]))
            continue;
        if (r->after_key && indent > r->indent)
            continue;
        return text.ptr[0] == '[' ? read_section(r, text) : read_pair(r, text, indent);
    }
    return INI_END;
}
