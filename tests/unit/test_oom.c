/* floor: base - the self-test of tests/oom: it must strike each allocation and see each slip. */
#include "test.h"

#include "oom.h"

#include <stdio.h>

/* Called through these, so that the compiler leaves no pair of allocation and free() out. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void *(*volatile do_aligned_alloc)(size_t, size_t) = aligned_alloc;
static int (*volatile do_posix_memalign)(void **, size_t, size_t) = posix_memalign;

static size_t refused; /* by how many of the calls, over all runs */

static void tally(void *p)
{
    if (!p)
        refused++;
    free(p);
}

static bool one_of_each(void)
{
    const size_t n = 32;
    const size_t before = refused;
    tally(do_malloc(32));
    tally(do_calloc(n, 2));
    tally(do_realloc(NULL, n));
    tally(do_aligned_alloc(16, n));
    void *p = NULL;
    tally(do_posix_memalign(&p, 64, n) == 0 ? p : NULL);
    return (refused > before) == oom_struck();
}

static bool library_call(void)
{
    char *text = NULL;
    if (asprintf(&text, "the C library allocates for %s", "this") < 0)
        return oom_struck();
    const bool held = strcmp(text, "the C library allocates for this") == 0;
    free(text);
    return held;
}

static bool slips_at_the_third(void)
{
    bool held = true;
    for (int i = 0; i < 4; i++) {
        void *p = do_malloc(32);
        held = held && (p || i != 2);
        free(p);
    }
    return held;
}

static bool never_works(void)
{
    free(do_malloc(1));
    return false;
}

static bool no_memory_wanted(void)
{
    return true;
}

static bool paused(void)
{
    oom_pause();
    void *quiet = do_malloc(32);
    oom_resume();
    free(do_malloc(32));
    const bool held = quiet != NULL;
    free(quiet);
    return held;
}

static void test_probe(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name;
        oom_scenario *scenario;
        enum oom_scope scope;
        enum oom_mode mode;
        size_t runs, failed_at;
    } cases[] = {
        { "each door, alone",        one_of_each,        OOM_ALL,  OOM_ONCE, 5, 0        },
        { "each door, from",         one_of_each,        OOM_ALL,  OOM_FROM, 5, 0        },
        { "each door, ours",         one_of_each,        OOM_OURS, OOM_ONCE, 5, 0        },
        { "a slip is seen",          slips_at_the_third, OOM_ALL,  OOM_ONCE, 3, 3        },
        { "a slip is seen earlier",  slips_at_the_third, OOM_ALL,  OOM_FROM, 1, 1        },
        { "fails undisturbed",       never_works,        OOM_ALL,  OOM_ONCE, 0, SIZE_MAX },
        { "allocates nothing",       no_memory_wanted,   OOM_ALL,  OOM_ONCE, 0, SIZE_MAX },
        { "the pause is not struck", paused,             OOM_ALL,  OOM_FROM, 1, 0        },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct oom_result got = oom_probe(cases[i].scope, cases[i].mode, cases[i].scenario);
        CHECK_EQ(cases[i].name, got.runs, cases[i].runs);
        CHECK_EQ(cases[i].name, got.failed_at, cases[i].failed_at);
    }
}

static void test_each_door_refuses(void **state)
{
    (void)state;
    refused = 0;
    oom_probe(OOM_ALL, OOM_ONCE, one_of_each);
    assert_int_equal(refused, 5);
    refused = 0;
    oom_probe(OOM_ALL, OOM_FROM, one_of_each);
    assert_int_equal(refused, 5 + 4 + 3 + 2 + 1);
}

static void test_nothing_outside_a_scenario(void **state)
{
    (void)state;
    oom_probe(OOM_ALL, OOM_FROM, one_of_each);
    void *p = do_malloc(64);
    assert_non_null(p);
    free(p);
}

static void test_libraries(void **state)
{
    (void)state;
    oom_torture(library_call);
}

TEST_MAIN(cmocka_unit_test(test_probe), cmocka_unit_test(test_each_door_refuses),
          cmocka_unit_test(test_nothing_outside_a_scenario), cmocka_unit_test(test_libraries))
