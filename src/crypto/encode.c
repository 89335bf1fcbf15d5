/*
 * encode - text forms of bytes. Every emitter asks for its exact room first, so a buffer's limit
 * means the length of the text and not of a worst case.
 */
#include "presignd/encode.h"

static const char HEX_LOWER[] = "0123456789abcdef";
static const char HEX_UPPER[] = "0123456789ABCDEF";
static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char BASE64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void encode_hex(struct buf *out, struct str bytes)
{
    char *to = buf_room(out, bytes.len * 2);
    if (!to)
        return;
    for (size_t i = 0; i < bytes.len; i++) {
        const unsigned char c = (unsigned char)bytes.ptr[i];
        to[2 * i] = HEX_LOWER[c >> 4];
        to[2 * i + 1] = HEX_LOWER[c & 15];
    }
    buf_advance(out, bytes.len * 2);
}

/* Writes ceil(4/3 len) letters, without padding; returns how many. */
static size_t write_base64(char *to, struct str bytes, const char alphabet[64])
{
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    const char *start = to;
    size_t left = bytes.len;

    for (; left >= 3; left -= 3, in += 3, to += 4) {
        const uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        to[0] = alphabet[v >> 18];
        to[1] = alphabet[v >> 12 & 63];
        to[2] = alphabet[v >> 6 & 63];
        to[3] = alphabet[v & 63];
    }
    if (left) {
        const uint32_t v = (uint32_t)in[0] << 16 | (left == 2 ? (uint32_t)in[1] << 8 : 0);
        *to++ = alphabet[v >> 18];
        *to++ = alphabet[v >> 12 & 63];
        if (left == 2)
            *to++ = alphabet[v >> 6 & 63];
    }
    return (size_t)(to - start);
}

void encode_base64(struct buf *out, struct str bytes)
{
    const size_t padded = (bytes.len + 2) / 3 * 4;
    char *to = buf_room(out, padded);
    if (!to)
        return;
    for (size_t i = write_base64(to, bytes, BASE64); i < padded; i++)
        to[i] = '=';
    buf_advance(out, padded);
}

void encode_base64url(struct buf *out, struct str bytes)
{
    char *to = buf_room(out, (bytes.len * 4 + 2) / 3);
    if (to)
        buf_advance(out, write_base64(to, bytes, BASE64URL));
}

static bool unreserved(char c)
{
    return ascii_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* `kept` is one more byte that stays as it is. */
static void percent(struct buf *out, struct str bytes, char kept)
{
    size_t plain = 0;
    for (size_t i = 0; i < bytes.len; i++)
        plain += unreserved(bytes.ptr[i]) || bytes.ptr[i] == kept;
    const size_t len = plain + 3 * (bytes.len - plain);
    char *to = buf_room(out, len);
    if (!to)
        return;
    for (size_t i = 0; i < bytes.len; i++) {
        const unsigned char c = (unsigned char)bytes.ptr[i];
        if (unreserved((char)c) || c == (unsigned char)kept) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = HEX_UPPER[c >> 4];
        *to++ = HEX_UPPER[c & 15];
    }
    buf_advance(out, len);
}

void encode_uri(struct buf *out, struct str bytes)
{
    percent(out, bytes, '-');
}

void encode_uri_path(struct buf *out, struct str bytes)
{
    percent(out, bytes, '/');
}

static int hex_value(char c)
{
    if (ascii_digit(c))
        return c - '0';
    const char lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

enum status decode_hex(struct buf *out, struct str text)
{
    if (text.len % 2)
        return ST_INVALID;
    const size_t len = text.len / 2;
    char *to = buf_room(out, len);
    if (!to)
        return buf_check(out);
    for (size_t i = 0; i < len; i++) {
        const int high = hex_value(text.ptr[2 * i]);
        const int low = hex_value(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return ST_INVALID;
        to[i] = (char)(high << 4 | low);
    }
    buf_advance(out, len);
    return ST_OK;
}

/* 0-63, or 64 for what is not in the alphabet. */
static uint32_t base64_value(char c, char c62, char c63)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (ascii_digit(c))
        return (uint32_t)(c - '0') + 52;
    return c == c62 ? 62 : c == c63 ? 63 : 64;
}

/* `text` without padding. */
static enum status decode64(struct buf *out, struct str text, char c62, char c63)
{
    if (text.len % 4 == 1)
        return ST_INVALID;
    const size_t len = text.len / 4 * 3 + (text.len % 4 ? text.len % 4 - 1 : 0);
    char *to = buf_room(out, len);
    if (!to)
        return buf_check(out);

    uint32_t bits = 0;
    uint32_t seen = 0; /* bit 6 once a letter was wrong */
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        const uint32_t v = base64_value(text.ptr[i], c62, c63);
        seen |= v;
        bits = bits << 6 | (v & 63);
        if (i % 4)
            to[n++] = (char)(bits >> (6 - 2 * (i % 4)));
    }
    const uint32_t spare = text.len % 4 == 2 ? bits & 15 : text.len % 4 == 3 ? bits & 3 : 0;
    if (seen > 63 || spare)
        return ST_INVALID;
    buf_advance(out, len);
    return ST_OK;
}

enum status decode_base64(struct buf *out, struct str text)
{
    if (text.len % 4)
        return ST_INVALID;
    struct str letters = text;
    for (int i = 0; i < 2 && letters.len && letters.ptr[letters.len - 1] == '='; i++)
        letters.len--;
    return decode64(out, letters, '+', '/');
}

enum status decode_base64url(struct buf *out, struct str text)
{
    return decode64(out, text, '-', '_');
}
