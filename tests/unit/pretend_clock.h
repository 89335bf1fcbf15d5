/*
 * pretend_clock.h - for a test of one loop whose time is the test's own: the clocks stand still
 * while anything runs, and a sleep that nothing ends takes no time but moves them by its length.
 * Hours pass in milliseconds, and a machine that stands still for a while changes nothing.
 *
 * What the loop cannot see coming (an answer from another thread) is counted in pretend_awaited:
 * while it is not zero a sleep is a real one, and the clocks wait.
 *
 * The Makefile links a test that includes this with ld's --wrap for the two functions below.
 */
#ifndef PRESIGND_TEST_PRETEND_CLOCK_H
#define PRESIGND_TEST_PRETEND_CLOCK_H

#include <stdatomic.h>
#include <sys/epoll.h>
#include <time.h>

#include "presignd/base.h"

enum { PRETEND_PATIENCE_MS = 20000 }; /* for what is awaited; afterwards time goes on */

#define PRETEND_BOOTED_S 1000
#define PRETEND_EPOCH_S  1800000000

static atomic_int_least64_t pretend_us;
static int pretend_awaited;

int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms);
int __wrap_clock_gettime(clockid_t id, struct timespec *out);

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
    const int64_t us = atomic_load(&pretend_us);
    const int64_t from_s = id == CLOCK_REALTIME ? PRETEND_EPOCH_S : PRETEND_BOOTED_S;
    *out = (struct timespec){ .tv_sec = (time_t)(from_s + us / 1000000),
                              .tv_nsec = us % 1000000 * 1000 };
    return 0;
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
    const int n = __real_epoll_wait(fd, events, max, pretend_awaited ? PRETEND_PATIENCE_MS : 0);
    if (n == 0)
        atomic_fetch_add(&pretend_us, (int64_t)timeout_ms * 1000);
    return n;
}

#endif
