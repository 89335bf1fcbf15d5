#include "test.h"

#include "oom.h"
#include "presignd/arena.h"

enum { LIMIT = 1 << 20, PIECES = 300 };

static void test_zeroed_and_aligned(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(LIMIT);
    for (int round = 0; round < 3; round++) {
        for (size_t n = 0; n < PIECES; n++) {
            unsigned char *p = arena_alloc(&a, n);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xff, n);
        }
        arena_reset(&a);
    }
}

/* Each piece is filled with its own byte; none may have run into another. */
static void test_pieces_do_not_overlap(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(LIMIT);
    unsigned char *pieces[PIECES];
    for (size_t n = 0; n < PIECES; n++) {
        pieces[n] = arena_alloc(&a, n * 7);
        assert_non_null(pieces[n]);
        memset(pieces[n], (int)(n & 0xff), n * 7);
    }
    for (size_t n = 0; n < PIECES; n++) {
        for (size_t i = 0; i < n * 7; i++)
            assert_int_equal(pieces[n][i], n & 0xff);
    }
}

static void test_empty_pieces_differ(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(LIMIT);
    void *one = arena_alloc(&a, 0), *two = arena_alloc(&a, 0);
    assert_non_null(one);
    assert_non_null(two);
    assert_ptr_not_equal(one, two);
}

static void test_limit(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(64);
    assert_non_null(arena_alloc(&a, 48));
    assert_null(arena_alloc(&a, 17));
    assert_non_null(arena_alloc(&a, 16));
    assert_null(arena_alloc(&a, 0));
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 64));

    AUTO(arena) none = ARENA_INIT(0);
    assert_null(arena_alloc(&none, 0));
    assert_null(arena_copy(&none, STR("")).ptr);
}

static void test_sizes_that_overflow(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(SIZE_MAX);
    static const struct {
        const char *name;
        size_t n, size;
    } cases[] = {
        { "product just over", SIZE_MAX / 16 + 1, 16 },
        { "product far over", SIZE_MAX, SIZE_MAX },
        { "no room for rounding", SIZE_MAX, 1 },
        { "no room for the block's head", SIZE_MAX - 16, 1 },
    };
    for (size_t i = 0; i < ROWS(cases); i++)
        CHECK(cases[i].name, !arena_array(&a, cases[i].n, cases[i].size));
    assert_null(arena_copy(&a, (struct str){ "", SIZE_MAX }).ptr);
    assert_non_null(arena_array(&a, 0, SIZE_MAX));
    assert_non_null(arena_array(&a, 3, 5));
}

/* The promise that a warm request calls no allocator: the same memory comes again. */
static void test_reset_keeps_blocks(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(LIMIT);
    void *first[8];
    for (size_t i = 0; i < ROWS(first); i++)
        first[i] = arena_alloc(&a, 1500);
    arena_reset(&a);
    for (size_t i = 0; i < ROWS(first); i++)
        assert_ptr_equal(arena_alloc(&a, 1500), first[i]);
}

static void test_large_piece_between_kept_blocks(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(LIMIT);
    for (int i = 0; i < 4; i++)
        assert_non_null(arena_alloc(&a, 3000));
    arena_reset(&a);
    memset(arena_alloc(&a, 100), 1, 100);
    memset(arena_alloc(&a, 50000), 2, 50000);
    memset(arena_alloc(&a, 3000), 3, 3000);
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 60000));
    assert_int_equal(a.used_bytes, 60000);
}

static void test_copy(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(LIMIT);
    char source[] = "abc";
    struct str copy = arena_copy(&a, str_from(source));
    source[0] = 'x';
    CHECK_TEXT("its own bytes", copy, "abc");
    assert_int_equal(copy.ptr[3], '\0');
    assert_non_null(arena_copy(&a, STR("")).ptr);
    struct str empty = arena_copy(&a, STR_NONE);
    assert_non_null(empty.ptr);
    assert_int_equal(empty.len, 0);
    assert_int_equal(empty.ptr[0], '\0');
}

static void test_keep(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(64);
    AUTO(buf) b = BUF_INIT(100);
    struct str kept = STR("untouched");

    buf_lit(&b, "text");
    assert_int_equal(arena_keep(&a, &b, &kept), ST_OK);
    buf_release(&b);
    CHECK_TEXT("outlives the buffer", kept, "text");

    for (int i = 0; i < 10; i++)
        buf_lit(&b, "0123456789");
    assert_int_equal(arena_keep(&a, &b, &kept), ST_NO_MEMORY);
    buf_char(&b, 'x');
    assert_int_equal(arena_keep(&a, &b, &kept), ST_TOO_LARGE);
    CHECK_TEXT("untouched by failures", kept, "text");
}

static bool gives_or_says_null(void)
{
    AUTO(arena) a = ARENA_INIT(LIMIT);
    size_t missing = 0;
    for (int round = 0; round < 2; round++) {
        for (size_t n = 0; n < 20; n++) {
            char *p = arena_alloc(&a, n * 500);
            missing += !p;
            if (p)
                memset(p, 1, n * 500);
        }
        arena_reset(&a);
    }
    return (missing > 0) == oom_struck();
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture(gives_or_says_null);
}

TEST_MAIN(cmocka_unit_test(test_zeroed_and_aligned), cmocka_unit_test(test_pieces_do_not_overlap),
          cmocka_unit_test(test_empty_pieces_differ), cmocka_unit_test(test_limit),
          cmocka_unit_test(test_sizes_that_overflow), cmocka_unit_test(test_reset_keeps_blocks),
          cmocka_unit_test(test_large_piece_between_kept_blocks), cmocka_unit_test(test_copy),
          cmocka_unit_test(test_keep), cmocka_unit_test(test_no_memory))
