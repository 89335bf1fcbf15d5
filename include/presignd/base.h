/*
 * base - what every file of presignd stands on: the three GNU features we allow ourselves
 * (cleanup, typeof, statement expression) and a handful of words built from them.
 */
#ifndef PRESIGND_BASE_H
#define PRESIGND_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of type `type` whose member `member` is `*ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Released at the end of the scope: AUTO(buf) b = ...;  calls buf_release(&b). */
#define AUTO(type) __attribute__((cleanup(type##_release))) struct type

/* Freed at the end of the scope: AUTO_PTR(keyset) *ks = ...;  calls keyset_free(ks). */
#define AUTO_PTR(type) __attribute__((cleanup(type##_free_at))) struct type

/* Declares what AUTO_PTR needs; stands beside the declaration of type_free(). */
#define DEFINE_AUTO_PTR(type)                          \
    static inline void type##_free_at(struct type **p) \
    {                                                  \
        type##_free(*p);                               \
    }

/* The same for counted snapshots: AUTO_PTR drops one reference with type_unref(). */
#define DEFINE_AUTO_PTR_UNREF(type)                    \
    static inline void type##_free_at(struct type **p) \
    {                                                  \
        type##_unref(*p);                              \
    }

/* Moves a pointer out of a variable, which becomes NULL: return TAKE(ks). */
#define TAKE(var)                       \
    __extension__({                     \
        __typeof__(var) taken_ = (var); \
        (var) = NULL;                   \
        taken_;                         \
    })

/* Leaves the function with the status of `expr` unless it is ST_OK. */
#define TRY(expr)                         \
    do {                                  \
        enum status try_status_ = (expr); \
        if (try_status_ != ST_OK)         \
            return try_status_;           \
    } while (0)

/* The lesser and the greater of two integers, each evaluated once. 64 bits wide, and unsigned where
 * their sum is; other types are an error. */
#define MIN_OF(a, b) PICK_(lesser, a, b)
#define MAX_OF(a, b) PICK_(greater, a, b)
/* clang-format off */
#define PICK_(which, a, b) _Generic((a) + (b),                                              \
    int: which##_i64, long: which##_i64, long long: which##_i64,                            \
    unsigned: which##_u64, unsigned long: which##_u64, unsigned long long: which##_u64)((a), (b))
/* clang-format on */

static inline int64_t lesser_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t greater_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t lesser_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t greater_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
