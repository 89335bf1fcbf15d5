/*
 * test.h - what every unit test starts with: cmocka with the four headers it needs, checks that
 * name the row they fail in, and a main() made of the list of tests.
 *
 *     static void test_decode(void **state)
 *     {
 *         (void)state;
 *         for (size_t i = 0; i < ROWS(cases); i++)
 *             CHECK_EQ(cases[i].name, decode(cases[i].in), cases[i].want);
 *     }
 *
 *     TEST_MAIN(cmocka_unit_test(test_decode))
 */
#ifndef PRESIGND_TEST_H
#define PRESIGND_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* The condition, with the row's name in the failure. */
#define CHECK(name, cond)                                \
    do {                                                 \
        if (!(cond))                                     \
            fail_msg("%s: not true: %s", (name), #cond); \
    } while (0)

/* Two integers (or enums), `got` and `want`. */
#define CHECK_EQ(name, got, want)                                                         \
    do {                                                                                  \
        const intmax_t got_ = (intmax_t)(got);                                            \
        const intmax_t want_ = (intmax_t)(want);                                          \
        if (got_ != want_)                                                                \
            fail_msg("%s: %s is %" PRIdMAX ", not %" PRIdMAX, (name), #got, got_, want_); \
    } while (0)

/* Bytes with their lengths; for a struct str or struct buf x pass x.ptr, x.len. */
static inline void check_bytes(const char *name, const char *got, size_t got_len, const char *want,
                               size_t want_len)
{
    if (got_len == want_len && (got_len == 0 || memcmp(got, want, got_len) == 0))
        return;
    fail_msg("%s: got \"%.*s\" (%zu bytes), not \"%.*s\" (%zu bytes)", name, (int)got_len,
             got ? got : "", got_len, (int)want_len, want ? want : "", want_len);
}

#define CHECK_BYTES(name, got, got_len, want, want_len) \
    check_bytes((name), (got), (got_len), (want), (want_len))

/* Anything with .ptr and .len (struct str, struct buf) against the same, or against a text. */
#define CHECK_STR(name, got, want)                                       \
    do {                                                                 \
        const __typeof__(got) one_ = (got);                              \
        const __typeof__(want) other_ = (want);                          \
        check_bytes((name), one_.ptr, one_.len, other_.ptr, other_.len); \
    } while (0)
#define CHECK_TEXT(name, got, text) CHECK_STR(name, got, str_from(text))

#define TEST_MAIN(...)                                      \
    int main(void)                                          \
    {                                                       \
        const struct CMUnitTest tests_[] = { __VA_ARGS__ }; \
        return cmocka_run_group_tests(tests_, NULL, NULL);  \
    }

#endif
