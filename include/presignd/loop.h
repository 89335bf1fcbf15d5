/*
 * loop - one thread's event loop: epoll, timers, and the one door for other threads (loop_post).
 *
 * What hangs on a loop belongs to its thread. Nothing here blocks but the sleep of loop_run.
 * The only file that reads a clock: loop_now_* give the time of the current turn, read once a turn.
 */
#ifndef PRESIGND_LOOP_H
#define PRESIGND_LOOP_H

#include "presignd/status.h"

struct loop;

/* A watched file descriptor; embed it, find the owner with container_of. */
struct source {
    void (*ready)(struct source *s, uint32_t epoll_events);
    int fd;
    uint32_t events; /* what is watched now; 0: not in the set */
};

/* A moment; embed it. */
struct timer {
    void (*due)(struct timer *t);
    int64_t at_ms; /* on the loop's monotonic clock */
    size_t slot;   /* place in the heap + 1; 0: not set */
};

/* A message from any thread. Embed it; whoever runs it owns it from then on. */
struct post {
    void (*run)(struct post *p, struct loop *l);
    struct post *next;
};

/* Asked every turn before sleeping: does its work, returns the longest sleep it allows, in ms, or
 * -1 for any. libmicrohttpd's MHD_run and MHD_get_timeout hang here. */
struct turn {
    int64_t (*before_sleep)(struct turn *t);
    struct turn *next;
};

struct loop *loop_new(void); /* NULL: no memory or descriptors */
/* Posts not yet run are run first. Nobody may post any more: join the threads that do. */
void loop_free(struct loop *l);

/* Runs until loop_stop(). */
void loop_run(struct loop *l);

/*
 * One turn: sleeps at most max_sleep_ms, handles what is ready, runs posts and due timers; for
 * tests and commands. Posts that were there before the call are run in it.
 */
void loop_turn(struct loop *l, int64_t max_sleep_ms);

/* May be called from any thread and from signal handlers' threads (not from a handler itself). */
void loop_stop(struct loop *l);
void loop_post(struct loop *l, struct post *p);

/*
 * Starts, changes (events differ) or ends (events 0) the watch of s->fd. End it before closing the
 * descriptor or freeing the source; any callback may do that to any source, also to its own.
 * ST_NO_MEMORY, or ST_INVALID for what epoll does not take; ending always succeeds.
 */
MUST_CHECK enum status loop_watch(struct loop *l, struct source *s, uint32_t epoll_events);

/*
 * Sets or moves a timer; loop_timer_stop of one not set is fine. A timer fires once. One that is
 * set by a timer fires in the next turn at the earliest. ST_NO_MEMORY; moving always succeeds.
 */
MUST_CHECK enum status loop_timer_at(struct loop *l, struct timer *t, int64_t at_ms);
void loop_timer_stop(struct loop *l, struct timer *t);

void loop_turn_add(struct loop *l, struct turn *t);
void loop_turn_remove(struct loop *l, struct turn *t);

/* Monotonic milliseconds, and wall-clock microseconds since 1970, of this turn. */
int64_t loop_now_ms(const struct loop *l);
int64_t loop_wall_us(const struct loop *l);

/* Fresh readings, for what is measured within a turn (latency) and for threads without a loop. */
int64_t loop_clock_us(void);
int64_t loop_clock_wall_us(void);

/* A turn's length so far: milliseconds since the loop last woke; other threads may ask (livez). */
int64_t loop_stuck_ms(const struct loop *l);

#endif
