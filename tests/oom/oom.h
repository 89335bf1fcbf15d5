/*
 * oom - runs a scenario with memory failing at every place in turn.
 *
 * A test that includes this header is linked with oom.c, which stands in front of the allocator of
 * the whole process (malloc, calloc, realloc, posix_memalign, aligned_alloc; strdup and the
 * libraries come through them). Refusals hit the calling thread only, and only while a scenario
 * runs.
 *
 *     static bool grant_promises(void)
 *     {
 *         enum status st = grant(...);
 *         return st == ST_OK || oom_struck();    (without a refusal it must work)
 *     }
 *     ...
 *     oom_torture(grant_promises);
 *
 * A scenario cleans up behind itself and returns whether its promises held. It does not assert and
 * does not skip: those leave by longjmp, with memory still failing.
 */
#ifndef PRESIGND_OOM_H
#define PRESIGND_OOM_H

#include <stdbool.h>
#include <stddef.h>

typedef bool oom_scenario(void);

enum oom_scope {
    OOM_ALL,  /* every allocation of the thread, those inside libraries too */
    OOM_OURS, /* calls made by the program's own code only */
};

enum oom_mode {
    OOM_ONCE, /* the n-th allocation fails, later ones work again */
    OOM_FROM, /* the n-th and all that follow fail */
};

struct oom_result {
    size_t runs;      /* with a refusal */
    size_t failed_at; /* the n whose run broke a promise; 0: none did */
};

/*
 * Runs the scenario undisturbed, then with the first, the second, ... allocation refused, until a
 * run ends before its turn came. failed_at is SIZE_MAX where the undisturbed run already fails,
 * allocates nothing, or the runs do not come to an end.
 */
struct oom_result oom_probe(enum oom_scope scope, enum oom_mode mode, oom_scenario *scenario);

/* Both modes over all allocations; the cmocka test fails, naming n and the mode. */
void oom_torture(oom_scenario *scenario);

/* The same, over the program's own calls only. */
void oom_torture_ours(oom_scenario *scenario);

/* Inside a scenario: has this run been refused memory so far? */
bool oom_struck(void);

/* Inside a scenario: no refusals and no counting between these two; they do not nest. */
void oom_pause(void);
void oom_resume(void);

#endif
