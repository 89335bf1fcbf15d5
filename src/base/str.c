/*
 * str - questions about borrowed bytes. Nothing here allocates or trusts a NUL.
 *
 * The pointer of an empty view may be NULL, so no view goes to memcmp or memchr before its length
 * was looked at (C11 7.24.1: null pointers are undefined there even for zero bytes).
 */
#include "presignd/str.h"

#include <string.h>

struct str str_from(const char *cstr)
{
    return cstr ? (struct str){ cstr, strlen(cstr) } : STR_NONE;
}

bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_equal_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_equal(str_slice(s, 0, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_equal(str_slice(s, s.len - suffix.len, s.len), suffix);
}

int str_compare(struct str a, struct str b)
{
    size_t common = MIN_OF(a.len, b.len);
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

size_t str_find(struct str s, char c, size_t from)
{
    if (from >= s.len)
        return s.len;
    const char *hit = memchr(s.ptr + from, c, s.len - from);
    return hit ? (size_t)(hit - s.ptr) : s.len;
}

size_t str_find_text(struct str s, struct str part)
{
    const char *hit = s.len > 0 ? memmem(s.ptr, s.len, part.ptr, part.len) : NULL;
    return hit ? (size_t)(hit - s.ptr) : s.len;
}

struct str str_slice(struct str s, size_t from, size_t to)
{
    size_t end = MIN_OF(to, s.len);
    size_t start = MIN_OF(from, end);
    return (struct str){ s.ptr ? s.ptr + start : NULL, end - start };
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    size_t from = 0, to = s.len;
    while (from < to && blank(s.ptr[from]))
        from++;
    while (to > from && blank(s.ptr[to - 1]))
        to--;
    return str_slice(s, from, to);
}

bool str_cut(struct str *rest, char sep, struct str *out_part)
{
    if (!rest->ptr)
        return false;
    size_t at = str_find(*rest, sep, 0);
    *out_part = str_slice(*rest, 0, at);
    *rest = at < rest->len ? str_slice(*rest, at + 1, rest->len) : STR_NONE;
    return true;
}

bool str_to_int(struct str s, int64_t max, int64_t *out_value)
{
    int64_t value = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_digit(s.ptr[i]))
            return false;
        int digit = s.ptr[i] - '0';
        if (value > (INT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *out_value = value;
    return true;
}

bool str_printable_ascii(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7e)
            return false;
    }
    return true;
}

/* RFC 3629 section 4: what the second byte may be is where overlong forms and surrogates show. */
static bool second_byte_fits(unsigned char lead, unsigned char second)
{
    switch (lead) {
    case 0xe0: return second >= 0xa0 && second <= 0xbf;
    case 0xed: return second >= 0x80 && second <= 0x9f;
    case 0xf0: return second >= 0x90 && second <= 0xbf;
    case 0xf4: return second >= 0x80 && second <= 0x8f;
    default: return second >= 0x80 && second <= 0xbf;
    }
}

static size_t length_by_lead(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

size_t str_utf8_at(struct str s, size_t at)
{
    if (at >= s.len)
        return 0;
    const unsigned char *p = (const unsigned char *)s.ptr + at;
    size_t n = length_by_lead(p[0]);
    if (n <= 1)
        return n;
    if (n > s.len - at || !second_byte_fits(p[0], p[1]))
        return 0;
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return n;
}

/* Eight ASCII bytes at a time: nearly every text is nothing else. */
static size_t skip_ascii(struct str s, size_t at)
{
    while (s.len - at >= sizeof(uint64_t)) {
        uint64_t eight;
        memcpy(&eight, s.ptr + at, sizeof(eight));
        if (eight & UINT64_C(0x8080808080808080))
            break;
        at += sizeof(eight);
    }
    return at;
}

bool str_valid_utf8(struct str s)
{
    size_t at = 0;
    while ((at = skip_ascii(s, at)) < s.len) {
        size_t n = str_utf8_at(s, at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

bool str_hidden_at(struct str s, size_t at, size_t n)
{
    const unsigned char *u = (const unsigned char *)s.ptr + at;
    if (n == 2)
        return (u[0] == 0xc2 && u[1] < 0xa0) || (u[0] == 0xd8 && u[1] == 0x9c);
    if (n != 3 || u[0] != 0xe2)
        return false;
    if (u[1] == 0x80)
        return u[2] == 0x8e || u[2] == 0x8f || (u[2] >= 0xaa && u[2] <= 0xae);
    return u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9;
}
