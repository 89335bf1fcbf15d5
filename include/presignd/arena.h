/*
 * arena - the memory of one request (or one configuration): many small pieces, one end.
 *
 * Blocks are kept by arena_reset() up to a bound, so that a warm request calls no allocator.
 */
#ifndef PRESIGND_ARENA_H
#define PRESIGND_ARENA_H

#include "presignd/buf.h"

struct arena_block;

struct arena {
    struct arena_block *first; /* kept for the next round */
    struct arena_block *now;
    size_t used_bytes;
    size_t limit_bytes;
};

#define ARENA_INIT(max) ((struct arena){ .limit_bytes = (max) })

void arena_release(struct arena *a);

/* Everything handed out is gone; up to 16 KiB stay for reuse. */
void arena_reset(struct arena *a);

/* Zeroed, aligned for any type; NULL past the limit or without memory. n may be 0. */
void *arena_alloc(struct arena *a, size_t n);

/* n elements of `size`, overflow checked. */
void *arena_array(struct arena *a, size_t n, size_t size);

/* A copy with a NUL behind it (not counted). ptr NULL on failure, also for an empty s never NULL. */
struct str arena_copy(struct arena *a, struct str s);

/* The view of a buffer copied in; the buffer's failure or no memory gives the status. */
MUST_CHECK enum status arena_keep(struct arena *a, const struct buf *b, struct str *out);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))

#endif
