/*
 * json_guard - see the header for why.
 *
 * While a thread parses, each block jansson holds is noted in a list. When memory runs out the
 * allocator jumps back over jansson's frames (which hold no locks) and the list is freed.
 *
 * A block is looked up from the end of the list: jansson frees what is young (old token buffers, a
 * name after its value), so with bounded depth the search stays proportional to the text.
 */
#include "presignd/json_guard.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCKS = 64 };

struct guard {
    jmp_buf out;
    void **blocks; /* `few` until they do not suffice */
    size_t n;
    size_t cap;
    void *few[FIRST_BLOCKS];
};

static _Thread_local struct guard *active;

static bool more_notes(struct guard *g)
{
    void **more = malloc(2 * g->cap * sizeof(*more));
    if (!more)
        return false;
    memcpy(more, g->blocks, g->n * sizeof(*more));
    if (g->blocks != g->few)
        free(g->blocks);
    g->blocks = more;
    g->cap *= 2;
    return true;
}

static void *guarded_malloc(size_t n)
{
    void *block = malloc(n);
    struct guard *g = active;
    if (!g)
        return block;
    if (!block || (g->n == g->cap && !more_notes(g))) {
        free(block);
        longjmp(g->out, 1);
    }
    g->blocks[g->n++] = block;
    return block;
}

static void forget(struct guard *g, const void *block)
{
    for (size_t i = g->n; i-- > 0;) {
        if (g->blocks[i] == block) {
            memmove(&g->blocks[i], &g->blocks[i + 1], (g->n - i - 1) * sizeof(*g->blocks));
            g->n--;
            return;
        }
    }
}

static void guarded_free(void *block)
{
    if (active && block)
        forget(active, block);
    free(block);
}

static void take_over_allocation(void)
{
    json_set_alloc_funcs(guarded_malloc, guarded_free);
}

static void guard_release(struct guard *g)
{
    if (g->blocks != g->few)
        free(g->blocks);
}

static void guard_abandon(struct guard *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->blocks[i]);
}

/* The guard lies in the caller's frame: what changes in it between setjmp and longjmp stays valid. */
static bool load(struct guard *g, struct str text, size_t flags, json_t **out_doc,
                 json_error_t *out_error)
{
    if (setjmp(g->out) != 0) {
        active = NULL;
        return false;
    }
    active = g;
    *out_doc = json_loadb(text.ptr ? text.ptr : "", text.len, flags, out_error);
    active = NULL;
    return true;
}

enum status json_guard_load(struct str text, size_t flags, json_t **out_doc,
                            json_error_t *out_error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, take_over_allocation);

    AUTO(guard) g = { .cap = FIRST_BLOCKS };
    g.blocks = g.few;
    json_t *doc = NULL;
    if (!load(&g, text, flags, &doc, out_error)) {
        guard_abandon(&g);
        return ST_NO_MEMORY;
    }
    if (!doc)
        return ST_INVALID_REQUEST;
    *out_doc = doc;
    return ST_OK;
}
