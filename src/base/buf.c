/*
 * buf - the parts of a bounded buffer that are not on the fast path.
 *
 * Growing copies into a fresh block and wipes the block it leaves, so that buf_wipe() at the end is
 * enough for text that held a secret.
 */
#include "presignd/buf.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 256, DIGITS_MAX = 20 };

static void *fail(struct buf *b, enum status st)
{
    if (b->st == ST_OK)
        b->st = st;
    return NULL;
}

void buf_release(struct buf *b)
{
    if (!b->fixed) {
        free(b->ptr);
        b->ptr = NULL;
        b->cap = 0;
    }
    buf_reset(b);
}

void buf_wipe(struct buf *b)
{
    if (b->ptr)
        explicit_bzero(b->ptr, b->cap);
    buf_release(b);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->st = ST_OK;
}

static size_t next_cap(const struct buf *b, size_t want)
{
    size_t cap = b->cap > 0 ? b->cap : FIRST_CAP;
    while (cap < want && cap <= b->limit / 2)
        cap *= 2;
    return MIN_OF(MAX_OF(cap, want), b->limit);
}

static bool grow(struct buf *b, size_t want)
{
    size_t cap = next_cap(b, want);
    char *block = malloc(cap > 0 ? cap : 1);
    if (!block)
        return false;
    if (b->ptr) {
        memcpy(block, b->ptr, b->len);
        explicit_bzero(b->ptr, b->cap);
        free(b->ptr);
    }
    b->ptr = block;
    b->cap = cap;
    return true;
}

char *buf_room_slow(struct buf *b, size_t n)
{
    if (b->st != ST_OK)
        return NULL;
    if (n > b->limit - b->len)
        return fail(b, ST_TOO_LARGE);
    if ((!b->ptr || n > b->cap - b->len) && (b->fixed || !grow(b, b->len + n)))
        return fail(b, b->fixed ? ST_TOO_LARGE : ST_NO_MEMORY);
    return b->ptr + b->len;
}

/* Writes the digits so that they end at `end`; returns how many. */
static size_t digits_before(char *end, uint64_t v)
{
    size_t n = 0;
    do {
        *--end = (char)('0' + v % 10);
        v /= 10;
        n++;
    } while (v > 0);
    return n;
}

void buf_int(struct buf *b, int64_t v)
{
    char digits[DIGITS_MAX];
    uint64_t size = v < 0 ? UINT64_C(0) - (uint64_t)v : (uint64_t)v;
    size_t n = digits_before(digits + DIGITS_MAX, size);
    if (v < 0)
        buf_char(b, '-');
    buf_str(b, (struct str){ digits + DIGITS_MAX - n, n });
}

void buf_int_padded(struct buf *b, int64_t v, int width)
{
    assert(v >= 0);
    char digits[DIGITS_MAX];
    size_t n = digits_before(digits + DIGITS_MAX, (uint64_t)v);
    for (int i = (int)n; i < width; i++)
        buf_char(b, '0');
    buf_str(b, (struct str){ digits + DIGITS_MAX - n, n });
}

void buf_truncate(struct buf *b, size_t len)
{
    assert(len <= b->len);
    b->len = len;
}

enum status buf_check(const struct buf *b)
{
    return b->st;
}

struct str buf_view(const struct buf *b)
{
    return (struct str){ b->ptr, b->len };
}

const char *buf_cstr(struct buf *b)
{
    if (b->len == b->limit || !buf_room(b, 1))
        return NULL;
    b->ptr[b->len] = '\0';
    return b->ptr;
}
