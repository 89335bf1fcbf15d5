/*
 * oom - the allocator's front door; see oom.h.
 *
 * A program that defines malloc() serves the shared libraries with it as well. What passes goes on
 * to the sanitizer's allocator where one is linked, else to glibc's; free() needs no door, since
 * every block is the real allocator's own.
 *
 * Compiled without sanitizers: it runs before their runtimes have set themselves up. The reserved
 * names below are those of glibc and of these runtimes.
 */
#include "test.h"

#include "oom.h"

#include <errno.h>

enum { RUNS_MAX = 100000 };

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

#define WEAK __attribute__((weak))
WEAK void *__interceptor_malloc(size_t n);
WEAK void *__interceptor_calloc(size_t n, size_t size);
WEAK void *__interceptor_realloc(void *p, size_t n);
WEAK int __interceptor_posix_memalign(void **out, size_t align, size_t n);
WEAK void *__interceptor_aligned_alloc(size_t align, size_t n);

/* The program's own machine code, as the linker laid it out. */
extern const char __executable_start[];
extern const char etext[];

static _Thread_local struct {
    bool armed;
    bool struck;
    enum oom_scope scope;
    enum oom_mode mode;
    size_t turn; /* the allocation to refuse; 0: none */
    size_t seen;
} plan;

static bool is_ours(const void *caller)
{
    return (uintptr_t)caller >= (uintptr_t)__executable_start &&
           (uintptr_t)caller < (uintptr_t)etext;
}

static bool refuse(const void *caller)
{
    if (!plan.armed || (plan.scope == OOM_OURS && !is_ours(caller)))
        return false;
    plan.seen++;
    if (plan.turn == 0 || plan.seen < plan.turn)
        return false;
    if (plan.mode == OOM_ONCE && plan.seen > plan.turn)
        return false;
    plan.struck = true;
    return true;
}

#define CALLER __builtin_return_address(0)

static void *none(void)
{
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t n)
{
    if (refuse(CALLER))
        return none();
    return __interceptor_malloc ? __interceptor_malloc(n) : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    if (refuse(CALLER))
        return none();
    return __interceptor_calloc ? __interceptor_calloc(n, size) : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    if (n > 0 && refuse(CALLER))
        return none();
    return __interceptor_realloc ? __interceptor_realloc(p, n) : __libc_realloc(p, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    if (refuse(CALLER))
        return ENOMEM;
    if (__interceptor_posix_memalign)
        return __interceptor_posix_memalign(out, align, n);
    void *p = __libc_memalign(align, n);
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

void *aligned_alloc(size_t align, size_t n)
{
    if (refuse(CALLER))
        return none();
    return __interceptor_aligned_alloc ? __interceptor_aligned_alloc(align, n)
                                       : __libc_memalign(align, n);
}

bool oom_struck(void)
{
    return plan.struck;
}

void oom_pause(void)
{
    plan.armed = false;
}

void oom_resume(void)
{
    plan.armed = true;
}

static bool run(enum oom_scope scope, enum oom_mode mode, size_t turn, oom_scenario *scenario)
{
    plan.scope = scope;
    plan.mode = mode;
    plan.turn = turn;
    plan.seen = 0;
    plan.struck = false;
    plan.armed = true;
    const bool held = scenario();
    plan.armed = false;
    return held;
}

struct oom_result oom_probe(enum oom_scope scope, enum oom_mode mode, oom_scenario *scenario)
{
    if (!run(scope, mode, 0, scenario) || plan.seen == 0)
        return (struct oom_result){ .failed_at = SIZE_MAX };
    for (size_t n = 1; n <= RUNS_MAX; n++) {
        const bool held = run(scope, mode, n, scenario);
        if (!held)
            return (struct oom_result){ .runs = n, .failed_at = n };
        if (!plan.struck)
            return (struct oom_result){ .runs = n - 1 };
    }
    return (struct oom_result){ .runs = RUNS_MAX, .failed_at = SIZE_MAX };
}

static void torture(enum oom_scope scope, oom_scenario *scenario)
{
    static const char *const words[] = { [OOM_ONCE] = "alone", [OOM_FROM] = "and all after it" };
    for (enum oom_mode mode = OOM_ONCE; mode <= OOM_FROM; mode++) {
        const struct oom_result got = oom_probe(scope, mode, scenario);
        if (got.failed_at == SIZE_MAX)
            fail_msg("the undisturbed run fails, allocates nothing, or the runs do not end");
        if (got.failed_at > 0)
            fail_msg("promise broken when allocation %zu %s fails", got.failed_at, words[mode]);
    }
}

void oom_torture(oom_scenario *scenario)
{
    torture(OOM_ALL, scenario);
}

void oom_torture_ours(oom_scenario *scenario)
{
    torture(OOM_OURS, scenario);
}
