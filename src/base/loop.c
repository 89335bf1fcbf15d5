/*
 * loop - epoll, an eventfd that wakes it, a binary heap of timers, a list of posted messages.
 *
 * A turn: the hooks (they say how long we may sleep), the sleep, the clocks, what became ready,
 * the posts, the timers that are due. Each of these is bounded by what was there when it began, so
 * a descriptor that is always ready, a post that posts itself and a timer that sets itself again
 * cannot keep the others from their share.
 *
 * Anything may be unwatched, stopped, removed or freed by any callback: a source that is taken out
 * also loses the events that are already fetched for it, and the hooks are walked with a cursor
 * that removal moves on.
 */
#include "presignd/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, HEAP_FIRST = 64 };

struct loop {
    int epoll_fd;
    struct source wake; /* the eventfd: each write is an edge; its count is never read */
    int64_t now_ms;
    int64_t wall_us;

    struct epoll_event batch[BATCH];
    int batch_next, batch_end; /* not yet handled */

    struct timer **heap;
    size_t heap_len, heap_cap;
    bool firing; /* timers set now wait for the next turn */

    struct turn *turns;
    struct turn *turn_next; /* cursor of ask_turns() */

    /* Written by other threads; apart from what the loop writes all the time. */
    _Alignas(64) _Atomic(struct post *) posts; /* last posted first */
    atomic_bool stop;
    _Alignas(64) atomic_int_least64_t woke_ms; /* 0: sleeping or not running */
};

/* clocks */

static int64_t clock_us(clockid_t id)
{
    struct timespec t;
    const int failed = clock_gettime(id, &t);
    assert(!failed);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t loop_clock_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

int64_t loop_clock_wall_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

int64_t loop_now_ms(const struct loop *l)
{
    return l->now_ms;
}

int64_t loop_wall_us(const struct loop *l)
{
    return l->wall_us;
}

static void read_clocks(struct loop *l)
{
    l->now_ms = loop_clock_us() / 1000;
    l->wall_us = loop_clock_wall_us();
}

static void mark_awake(struct loop *l)
{
    atomic_store_explicit(&l->woke_ms, l->now_ms, memory_order_relaxed);
}

static void mark_asleep(struct loop *l)
{
    atomic_store_explicit(&l->woke_ms, 0, memory_order_relaxed);
}

int64_t loop_stuck_ms(const struct loop *l)
{
    const int64_t woke_ms = atomic_load_explicit(&l->woke_ms, memory_order_relaxed);
    return woke_ms ? loop_clock_us() / 1000 - woke_ms : 0;
}

/* sources */

/* What epoll already handed us for a source must not reach it after it was taken out. */
static void forget_events(struct loop *l, const struct source *s)
{
    for (int i = l->batch_next; i < l->batch_end; i++)
        if (l->batch[i].data.ptr == s)
            l->batch[i].data.ptr = NULL;
}

enum status loop_watch(struct loop *l, struct source *s, uint32_t epoll_events)
{
    if (s->events == epoll_events)
        return ST_OK;
    if (!epoll_events) {
        /* It cannot fail for a watched descriptor, and of a closed one nothing is left. */
        epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
        forget_events(l, s);
        s->events = 0;
        return ST_OK;
    }

    struct epoll_event e = { .events = epoll_events, .data.ptr = s };
    if (epoll_ctl(l->epoll_fd, s->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &e))
        return errno == ENOMEM || errno == ENOSPC ? ST_NO_MEMORY : ST_INVALID;
    s->events = epoll_events;
    return ST_OK;
}

static void handle_ready(struct loop *l)
{
    while (l->batch_next < l->batch_end) {
        const struct epoll_event e = l->batch[l->batch_next++];
        struct source *s = e.data.ptr;
        if (!s)
            continue;
        /* The watch may have changed since these events were fetched. */
        const uint32_t events = e.events & (s->events | EPOLLERR | EPOLLHUP);
        if (events)
            s->ready(s, events);
    }
}

/* timers: a binary heap by time; t->slot is the place of t, counted from 1 */

static void heap_put(struct loop *l, size_t i, struct timer *t)
{
    l->heap[i] = t;
    t->slot = i + 1;
}

static void heap_up(struct loop *l, size_t i, struct timer *t)
{
    while (i > 0) {
        const size_t parent = (i - 1) / 2;
        if (l->heap[parent]->at_ms <= t->at_ms)
            break;
        heap_put(l, i, l->heap[parent]);
        i = parent;
    }
    heap_put(l, i, t);
}

static void heap_down(struct loop *l, size_t i, struct timer *t)
{
    for (size_t child = 2 * i + 1; child < l->heap_len; child = 2 * i + 1) {
        if (child + 1 < l->heap_len && l->heap[child + 1]->at_ms < l->heap[child]->at_ms)
            child++;
        if (t->at_ms <= l->heap[child]->at_ms)
            break;
        heap_put(l, i, l->heap[child]);
        i = child;
    }
    heap_put(l, i, t);
}

/* Puts t at place i or wherever its time belongs. */
static void heap_settle(struct loop *l, size_t i, struct timer *t)
{
    if (i > 0 && t->at_ms < l->heap[(i - 1) / 2]->at_ms)
        heap_up(l, i, t);
    else
        heap_down(l, i, t);
}

static enum status heap_grow(struct loop *l)
{
    if (l->heap_len < l->heap_cap)
        return ST_OK;
    const size_t cap = l->heap_cap ? l->heap_cap * 2 : HEAP_FIRST;
    struct timer **heap = calloc(cap, sizeof(struct timer *));
    if (!heap)
        return ST_NO_MEMORY;
    if (l->heap_len)
        memcpy(heap, l->heap, l->heap_len * sizeof(struct timer *));
    free(l->heap);
    l->heap = heap;
    l->heap_cap = cap;
    return ST_OK;
}

enum status loop_timer_at(struct loop *l, struct timer *t, int64_t at_ms)
{
    if (!t->slot) {
        TRY(heap_grow(l));
        t->slot = ++l->heap_len;
    }
    /* A timer set by a timer is not due in the same turn: else two of them could hold the loop. */
    t->at_ms = l->firing ? MAX_OF(at_ms, l->now_ms + 1) : at_ms;
    heap_settle(l, t->slot - 1, t);
    return ST_OK;
}

void loop_timer_stop(struct loop *l, struct timer *t)
{
    if (!t->slot)
        return;
    const size_t place = t->slot - 1;
    struct timer *last = l->heap[--l->heap_len];
    t->slot = 0;
    if (last != t)
        heap_settle(l, place, last);
}

static void fire_timers(struct loop *l)
{
    l->firing = true;
    while (l->heap_len && l->heap[0]->at_ms <= l->now_ms) {
        struct timer *t = l->heap[0];
        loop_timer_stop(l, t);
        t->due(t);
    }
    l->firing = false;
}

/* posts: any thread pushes at the head, the loop takes the whole list and turns it round */

static void wake(struct loop *l)
{
    const uint64_t one = 1;
    ssize_t n;
    do
        n = write(l->wake.fd, &one, sizeof(one));
    while (n < 0 && errno == EINTR);
}

/* Nothing to do: the turn goes on to the posts anyway, and an edge needs no reading. */
static void woken(struct source *s, uint32_t epoll_events)
{
    (void)s;
    (void)epoll_events;
}

void loop_post(struct loop *l, struct post *p)
{
    struct post *head = atomic_load_explicit(&l->posts, memory_order_relaxed);
    do
        p->next = head;
    while (!atomic_compare_exchange_weak_explicit(&l->posts, &head, p, memory_order_release,
                                                  memory_order_relaxed));
    /* Who finds the list occupied need not wake: the one who began it does. */
    if (!head)
        wake(l);
}

void loop_stop(struct loop *l)
{
    atomic_store_explicit(&l->stop, true, memory_order_release);
    wake(l);
}

static bool run_posts(struct loop *l)
{
    struct post *p = atomic_exchange_explicit(&l->posts, NULL, memory_order_acquire);
    struct post *first = NULL;
    while (p) {
        struct post *next = p->next;
        p->next = first;
        first = p;
        p = next;
    }
    const bool any = first;
    while (first) {
        struct post *next = first->next; /* run() may free its post */
        first->run(first, l);
        first = next;
    }
    return any;
}

/* turns */

void loop_turn_add(struct loop *l, struct turn *t)
{
    t->next = NULL;
    struct turn **end = &l->turns;
    while (*end)
        end = &(*end)->next;
    *end = t;
}

void loop_turn_remove(struct loop *l, struct turn *t)
{
    if (l->turn_next == t)
        l->turn_next = t->next;
    for (struct turn **at = &l->turns; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            t->next = NULL;
            return;
        }
}

static int64_t ask_turns(struct loop *l, int64_t sleep_ms)
{
    for (struct turn *t = l->turns; t; t = l->turn_next) {
        l->turn_next = t->next;
        const int64_t allowed = t->before_sleep(t);
        if (allowed >= 0)
            sleep_ms = MIN_OF(sleep_ms, allowed);
    }
    return sleep_ms;
}

/* The turn's own work took time: the sleep is cut from a fresh reading, not from now_ms. */
static int64_t until_next_timer(const struct loop *l, int64_t sleep_ms)
{
    if (!l->heap_len || sleep_ms == 0)
        return sleep_ms;
    const int64_t left_ms = l->heap[0]->at_ms - loop_clock_us() / 1000;
    return MIN_OF(sleep_ms, MAX_OF(left_ms, 0));
}

static void turn(struct loop *l, int64_t max_sleep_ms)
{
    const int64_t sleep_ms = until_next_timer(l, ask_turns(l, max_sleep_ms));

    mark_asleep(l);
    const int n = epoll_wait(l->epoll_fd, l->batch, BATCH, (int)MIN_OF(sleep_ms, INT32_MAX));
    read_clocks(l);
    mark_awake(l);

    l->batch_next = 0;
    l->batch_end = MAX_OF(n, 0); /* a signal is a short sleep */
    handle_ready(l);
    run_posts(l);
    fire_timers(l);
}

void loop_turn(struct loop *l, int64_t max_sleep_ms)
{
    mark_awake(l);
    turn(l, max_sleep_ms);
    mark_asleep(l);
}

void loop_run(struct loop *l)
{
    read_clocks(l);
    mark_awake(l);
    /* Taken back on leaving, not on entering: a stop that came before the start counts. */
    while (!atomic_exchange_explicit(&l->stop, false, memory_order_acquire))
        turn(l, INT32_MAX);
    mark_asleep(l);
}

/* life */

struct loop *loop_new(void)
{
    struct loop *l = aligned_alloc(_Alignof(struct loop), sizeof(*l));
    if (!l)
        return NULL;
    memset(l, 0, sizeof(*l));
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake = (struct source){ .ready = woken, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
    if (l->epoll_fd < 0 || l->wake.fd < 0 || loop_watch(l, &l->wake, EPOLLIN | EPOLLET) != ST_OK) {
        loop_free(l);
        return NULL;
    }
    read_clocks(l);
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    while (run_posts(l))
        continue;
    if (l->wake.fd >= 0)
        close(l->wake.fd);
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    free(l->heap);
    free(l);
}
