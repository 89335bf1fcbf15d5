/*
 * buf - text that is built, with a limit that is part of the design.
 *
 * Errors stick: after a push that did not fit or found no memory every later push does nothing, and
 * buf_check() says which it was. So emitters need no status each; the builder asks once.
 */
#ifndef PRESIGND_BUF_H
#define PRESIGND_BUF_H

#include <string.h>

#include "presignd/status.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t limit;   /* len never exceeds it */
    enum status st; /* the first failure, else ST_OK */
    bool fixed;     /* ptr belongs to the caller and does not grow */
};

/* Grows on the heap up to `max` bytes. */
#define BUF_INIT(max) ((struct buf){ .limit = (max), .st = ST_OK })

/* Writes into the caller's array; nothing to release. */
#define BUF_FIXED(array) \
    ((struct buf){ .ptr = (array), .cap = sizeof(array), .limit = sizeof(array), .fixed = true })

/* Wipes nothing, frees the heap block; the buffer is empty and usable afterwards. */
void buf_release(struct buf *b);

/* Overwrites the bytes, then releases: for text that held a secret. */
void buf_wipe(struct buf *b);

/* Empties, keeps the block, forgets a failure. */
void buf_reset(struct buf *b);

/* What buf_room() does when the block must grow, or the push must fail. */
char *buf_room_slow(struct buf *b, size_t n);

/* Makes room for n more bytes and returns where they go (then buf_advance), or NULL: b->st says why. */
static inline char *buf_room(struct buf *b, size_t n)
{
    if (b->st == ST_OK && b->ptr && n <= b->cap - b->len)
        return b->ptr + b->len;
    return buf_room_slow(b, n);
}

/* The bytes must not lie in this buffer. */
static inline void buf_str(struct buf *b, struct str s)
{
    char *to = buf_room(b, s.len);
    if (to && s.len > 0) {
        memcpy(to, s.ptr, s.len);
        b->len += s.len;
    }
}

static inline void buf_char(struct buf *b, char c)
{
    char *to = buf_room(b, 1);
    if (to) {
        *to = c;
        b->len++;
    }
}

/* Literals only: a variable here does not compile. */
#define buf_lit(b, lit) buf_str((b), STR(lit))

/* Decimal. */
void buf_int(struct buf *b, int64_t v);

/* Decimal, at least `width` digits, zeros in front; v >= 0. */
void buf_int_padded(struct buf *b, int64_t v, int width);

/* n bytes written to where buf_room() pointed now count. */
static inline void buf_advance(struct buf *b, size_t n)
{
    assert(b->st == ST_OK && n <= b->cap - b->len);
    b->len += n;
}

/* Cuts back to an earlier length. */
void buf_truncate(struct buf *b, size_t len);

/* ST_OK, ST_TOO_LARGE or ST_NO_MEMORY. */
MUST_CHECK enum status buf_check(const struct buf *b);

/* What stands in it; valid until the next push. */
struct str buf_view(const struct buf *b);

/* NUL-terminated, the NUL not counted; NULL after a failure or when the NUL does not fit. */
const char *buf_cstr(struct buf *b);

#endif
