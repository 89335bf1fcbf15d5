/*
 * lanes - starting, draining and ending loops.
 *
 * Lanes are told by posts. A post may not be posted again while it waits, and in a loop that has
 * ended it waits for ever: each is posted once.
 */
#include "presignd/lanes.h"

#include <stdlib.h>

#include "presignd/log.h"

enum { IDLE_CHECK_MS = 20 };

/* ---- on the lane's own loop --------------------------------------------------------------------- */

/* Ends its listener, and its loop unless it is the first. */
static void lane_stop(struct lane *lane)
{
    struct lanes *ls = lane->all;
    if (!lane->worker.server.daemon)
        return;
    loop_timer_stop(lane->worker.loop, &lane->idle_check);
    server_stop(&lane->worker.server);
    if (atomic_fetch_sub(&ls->serving, 1) == 1)
        loop_stop(ls->list[0].worker.loop);
    if (lane->threaded)
        loop_stop(lane->worker.loop);
}

static void lane_idle_check(struct timer *t)
{
    struct lane *lane = container_of(t, struct lane, idle_check);
    struct loop *l = lane->worker.loop;
    if (server_idle(&lane->worker.server) ||
        loop_timer_at(l, t, loop_now_ms(l) + IDLE_CHECK_MS) != ST_OK)
        lane_stop(lane);
}

static void lane_drain_posted(struct post *p, struct loop *l)
{
    (void)l;
    server_drain(&container_of(p, struct lane, drain)->worker.server);
}

static void lane_quiesce_posted(struct post *p, struct loop *l)
{
    struct lane *lane = container_of(p, struct lane, quiesce);
    if (!lane->worker.server.daemon)
        return;
    server_quiesce(&lane->worker.server);
    if (loop_timer_at(l, &lane->idle_check, loop_now_ms(l) + IDLE_CHECK_MS) != ST_OK)
        lane_stop(lane);
}

static void lane_stop_posted(struct post *p, struct loop *l)
{
    (void)l;
    lane_stop(container_of(p, struct lane, stop));
}

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    loop_run(lane->worker.loop);
    log_flush();
    return NULL;
}

/* ---- on the first lane's thread ----------------------------------------------------------------- */

static void tell_to_stop(struct lane *lane)
{
    if (lane->told_to_stop)
        return;
    lane->told_to_stop = true;
    loop_post(lane->worker.loop, &lane->stop);
}

static void stop_all(struct lanes *ls)
{
    for (size_t i = 0; i < ls->n; i++)
        tell_to_stop(&ls->list[i]);
}

static void drain_over(struct timer *t)
{
    struct lanes *ls = container_of(t, struct lanes, drain_over);
    for (size_t i = 0; i < ls->n; i++)
        loop_post(ls->list[i].worker.loop, &ls->list[i].quiesce);
}

static void patience_over(struct timer *t)
{
    struct lanes *ls = container_of(t, struct lanes, patience_over);
    log_say(LOG_LEVEL_WARN, "drain_timeout", STR("stopping although requests are under way"),
            loop_clock_wall_us());
    stop_all(ls);
}

void lanes_terminate(struct lanes *ls, int64_t delay_ms, int64_t timeout_ms)
{
    struct loop *l = ls->list[0].worker.loop;
    if (ls->draining) {
        stop_all(ls);
        return;
    }
    ls->draining = true;
    atomic_store(&ls->fleet.draining, true);
    log_say(LOG_LEVEL_INFO, "draining", STR("not ready any more; finishing what is under way"),
            loop_wall_us(l));
    for (size_t i = 0; i < ls->n; i++)
        loop_post(ls->list[i].worker.loop, &ls->list[i].drain);
    const int64_t now_ms = loop_now_ms(l);
    if (loop_timer_at(l, &ls->drain_over, now_ms + delay_ms) != ST_OK ||
        loop_timer_at(l, &ls->patience_over, now_ms + timeout_ms) != ST_OK)
        stop_all(ls);
}

/* ---- life --------------------------------------------------------------------------------------- */

static enum status lane_build(struct lanes *ls, size_t i)
{
    struct lane *lane = &ls->list[i];
    lane->all = ls;
    lane->drain.run = lane_drain_posted;
    lane->quiesce.run = lane_quiesce_posted;
    lane->stop.run = lane_stop_posted;
    lane->idle_check.due = lane_idle_check;
    ls->workers[i] = &lane->worker;
    return worker_init(&lane->worker, &ls->fleet);
}

enum status lanes_build(struct lanes *ls, size_t n)
{
    ls->drain_over.due = drain_over;
    ls->patience_over.due = patience_over;
    ls->list = calloc(n, sizeof(*ls->list));
    ls->workers = calloc(n, sizeof(struct worker *));
    if (!ls->list || !ls->workers)
        return ST_NO_MEMORY;
    ls->n = n;
    ls->fleet.workers = ls->workers;
    ls->fleet.n_workers = n;
    atomic_store(&ls->serving, n);
    for (size_t i = 0; i < n; i++)
        TRY(lane_build(ls, i));
    return ST_OK;
}

enum status lanes_start(struct lanes *ls)
{
    for (size_t i = 1; i < ls->n; i++) {
        if (pthread_create(&ls->list[i].thread, NULL, lane_main, &ls->list[i]) != 0)
            return ST_INTERNAL;
        ls->list[i].threaded = true;
    }
    return ST_OK;
}

void lanes_join(struct lanes *ls)
{
    for (size_t i = 1; i < ls->n; i++)
        if (ls->list[i].threaded) {
            tell_to_stop(&ls->list[i]);
            pthread_join(ls->list[i].thread, NULL);
        }
    for (size_t i = 0; i < ls->n; i++) {
        server_stop(&ls->list[i].worker.server);
        server_stop(&ls->list[i].worker.admin);
    }
}

void lanes_release(struct lanes *ls)
{
    for (size_t i = 0; i < ls->n; i++)
        worker_release(&ls->list[i].worker);
    ls->n = 0;
    free(TAKE(ls->list));
    free(TAKE(ls->workers));
}
