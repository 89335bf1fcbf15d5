/*
 * lanes - the loops of a service, each with its worker and its thread: how all of them are built,
 * started, drained and ended.
 *
 * The first lane runs on the thread that builds them; every other one has a thread. All are built
 * before any thread starts. Whoever drains or ends them does so from the first lane's thread.
 */
#ifndef PRESIGND_LANES_H
#define PRESIGND_LANES_H

#include <pthread.h>

#include "presignd/worker.h"

struct lane {
    struct worker worker;
    struct lanes *all;
    pthread_t thread;
    bool threaded;
    struct post drain, quiesce, stop;
    bool told_to_stop; /* for the first lane's thread alone, like all that posts */
    struct timer idle_check;
};

struct lanes {
    struct fleet fleet;
    struct lane *list;
    struct worker **workers;
    size_t n;
    atomic_size_t serving;
    struct timer drain_over, patience_over;
    bool draining;
};

/* n workers with their loops; the worlds are empty. After a failure too, lanes_release. */
MUST_CHECK enum status lanes_build(struct lanes *ls, size_t n);

/* The threads of all but the first, whose loop the caller runs. ST_INTERNAL: no thread to be had;
 * those that started run on. */
MUST_CHECK enum status lanes_start(struct lanes *ls);

/*
 * Not ready from now on; answers close their connections. After delay_ms nothing is accepted any
 * more, and each lane ends when nothing is under way in it, at the latest timeout_ms from now; with
 * the last one the first lane's loop ends. Called again: all end now.
 */
void lanes_terminate(struct lanes *ls, int64_t delay_ms, int64_t timeout_ms);

/* After the first loop was run: threads are joined, listeners stopped. Fine on what was never built. */
void lanes_join(struct lanes *ls);

/* Workers and loops go; what else hangs on the loops is gone already. */
void lanes_release(struct lanes *ls);

#endif
