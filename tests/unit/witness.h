/*
 * witness.h - a clock for the claim that something does not take long: a thread that counts its own
 * short naps. While the machine stands still nobody counts, so that only what this process itself
 * spends or waits for is seen.
 */
#ifndef PRESIGND_TEST_WITNESS_H
#define PRESIGND_TEST_WITNESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static atomic_int_least64_t witness_naps;

static inline void *witness_main(void *arg)
{
    static const struct timespec nap = { .tv_nsec = 1000000 };
    for (;;) {
        nanosleep(&nap, NULL);
        atomic_fetch_add(&witness_naps, 1);
    }
    return arg;
}

static inline void witness_start(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, witness_main, NULL), 0);
    pthread_detach(thread);
}

/* Milliseconds that were lived through, or fewer: a difference of two of them is never too long. */
static inline int64_t witness_ms(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, witness_start);
    return atomic_load(&witness_naps);
}

#endif
