/*
 * arena - a chain of blocks and one mark that moves through it.
 *
 * After a reset the chain is walked again from its first block, so a warm request finds its memory
 * where the last one left it. Pieces are zeroed when they are handed out, not when they come back:
 * that touches only what is used.
 */
#include "presignd/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = alignof(max_align_t), BLOCK_BYTES = 4096, KEEP_BYTES = 16384 };

struct arena_block {
    struct arena_block *next;
    size_t cap;
    size_t used;
    alignas(max_align_t) char bytes[];
};

static void free_chain(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_release(struct arena *a)
{
    free_chain(a->first);
    a->first = a->now = NULL;
    a->used_bytes = 0;
}

void arena_reset(struct arena *a)
{
    size_t kept = 0;
    struct arena_block **link = &a->first;
    while (*link && (*link)->cap <= KEEP_BYTES - kept) {
        kept += (*link)->cap;
        (*link)->used = 0;
        link = &(*link)->next;
    }
    free_chain(*link);
    *link = NULL;
    a->now = a->first;
    a->used_bytes = 0;
}

/* A fresh block behind the current one; what was kept behind it stays in the chain. */
static struct arena_block *block_new(struct arena *a, size_t n)
{
    size_t cap = MAX_OF(n, BLOCK_BYTES - sizeof(struct arena_block));
    struct arena_block *block = malloc(sizeof(*block) + cap);
    if (!block)
        return NULL;
    struct arena_block **link = a->now ? &a->now->next : &a->first;
    *block = (struct arena_block){ .next = *link, .cap = cap };
    *link = block;
    return block;
}

static struct arena_block *block_for(struct arena *a, size_t n)
{
    struct arena_block *block = a->now ? a->now : a->first;
    if (block && n <= block->cap - block->used)
        return block;
    if (block && block->next && n <= block->next->cap)
        return block->next;
    return block_new(a, n);
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t bytes = MAX_OF(n, 1);
    if (bytes > SIZE_MAX - sizeof(struct arena_block) - ALIGN)
        return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (bytes > a->limit_bytes - a->used_bytes)
        return NULL;

    struct arena_block *block = block_for(a, bytes);
    if (!block)
        return NULL;
    void *piece = memset(block->bytes + block->used, 0, bytes);
    block->used += bytes;
    a->now = block;
    a->used_bytes += bytes;
    return piece;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(n, size, &bytes) ? NULL : arena_alloc(a, bytes);
}

struct str arena_copy(struct arena *a, struct str s)
{
    char *copy = s.len < SIZE_MAX ? arena_alloc(a, s.len + 1) : NULL;
    if (!copy)
        return STR_NONE;
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return (struct str){ copy, s.len };
}

enum status arena_keep(struct arena *a, const struct buf *b, struct str *out)
{
    TRY(buf_check(b));
    struct str copy = arena_copy(a, buf_view(b));
    if (!copy.ptr)
        return ST_NO_MEMORY;
    *out = copy;
    return ST_OK;
}
