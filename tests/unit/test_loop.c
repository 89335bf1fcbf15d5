/*
 * loop: order and bounds of a turn, timers against a plain sort, sources that take each other out,
 * posts and stops from other threads.
 */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "oom.h"
#include "presignd/loop.h"

enum { LONG_MS = 60000, TURNS_MAX = 100000 };

static struct loop *new_loop(void)
{
    struct loop *l = loop_new();
    assert_non_null(l);
    return l;
}

/* posts */

struct note {
    struct post post;
    int number;
    bool again;
    struct trail *trail;
};

struct trail {
    int seen[64];
    size_t len;
};

static void note_run(struct post *p, struct loop *l)
{
    struct note *n = container_of(p, struct note, post);
    assert_true(n->trail->len < ROWS(n->trail->seen));
    n->trail->seen[n->trail->len++] = n->number;
    if (n->again) {
        n->again = false;
        loop_post(l, p);
    }
}

static void test_posts_in_order(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct trail trail = { .len = 0 };
    struct note notes[10];
    for (int i = 0; i < 10; i++) {
        notes[i] = (struct note){ { .run = note_run }, i, false, &trail };
        loop_post(l, &notes[i].post);
    }
    loop_turn(l, LONG_MS);
    CHECK_EQ("all in one turn", trail.len, 10);
    for (int i = 0; i < 10; i++)
        CHECK_EQ("order", trail.seen[i], i);
    loop_free(l);
}

static void test_post_from_a_post_waits_a_turn(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct trail trail = { .len = 0 };
    struct note n = { { .run = note_run }, 1, true, &trail };
    loop_post(l, &n.post);
    loop_turn(l, LONG_MS);
    CHECK_EQ("first turn", trail.len, 1);
    loop_turn(l, LONG_MS);
    CHECK_EQ("second turn", trail.len, 2);
    loop_turn(l, 0);
    CHECK_EQ("and no more", trail.len, 2);
    loop_free(l);
}

static void test_free_runs_what_was_posted(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct trail trail = { .len = 0 };
    struct note a = { { .run = note_run }, 1, true, &trail };
    struct note b = { { .run = note_run }, 2, false, &trail };
    loop_post(l, &a.post);
    loop_post(l, &b.post);
    loop_free(l);
    CHECK_EQ("the re-posted one too", trail.len, 3);
    CHECK_EQ("order", trail.seen[2], 1);
    loop_free(NULL);
}

enum { THREADS = 4, EACH = 5000 };

struct crowd {
    struct loop *loop;
    int64_t next[THREADS]; /* the number expected from each */
    int64_t total;
};

struct call {
    struct post post;
    struct crowd *crowd;
    int thread;
    int number;
};

static void call_run(struct post *p, struct loop *l)
{
    struct call *c = container_of(p, struct call, post);
    struct crowd *crowd = c->crowd;
    if (c->number != crowd->next[c->thread]++)
        crowd->total = INT64_MIN / 2;
    if (++crowd->total == (int64_t)THREADS * EACH)
        loop_stop(l);
    free(c);
}

struct caller {
    struct crowd *crowd;
    int thread;
};

static void *call_many(void *arg)
{
    const struct caller *me = arg;
    for (int i = 0; i < EACH; i++) {
        struct call *c = malloc(sizeof(*c));
        if (!c)
            abort();
        *c = (struct call){ { .run = call_run }, me->crowd, me->thread, i };
        loop_post(me->crowd->loop, &c->post);
    }
    return NULL;
}

static void test_posts_of_many_threads(void **state)
{
    (void)state;
    struct crowd crowd = { .loop = new_loop() };
    struct caller callers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){ &crowd, i };
        assert_int_equal(pthread_create(&threads[i], NULL, call_many, &callers[i]), 0);
    }
    loop_run(crowd.loop);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    CHECK_EQ("all, each thread's in its order", crowd.total, THREADS * EACH);
    loop_free(crowd.loop);
}

/* stopping */

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void test_stop(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    loop_stop(l);
    loop_run(l); /* returns: a stop before the start counts */

    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, run_loop, l), 0);
    loop_stop(l);
    assert_int_equal(pthread_join(t, NULL), 0);
    loop_free(l);
}

/* timers */

struct alarm {
    struct timer timer;
    struct loop *loop;
    int64_t *order; /* where fired times are noted */
    size_t *count;
    int again;
};

static void alarm_due(struct timer *t)
{
    struct alarm *a = container_of(t, struct alarm, timer);
    a->order[(*a->count)++] = t->at_ms;
    CHECK_EQ("not set while it fires", t->slot, 0);
    if (a->again-- > 0)
        assert_int_equal(loop_timer_at(a->loop, t, 0), ST_OK);
}

enum { ALARMS = 500, MOVES = 20000 };

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* All times lie in the past, so one turn fires all, and in the heap's order. */
static void test_timers_against_a_sort(void **state)
{
    (void)state;
    static struct alarm alarms[ALARMS];
    static int64_t fired[ALARMS];
    size_t count = 0;
    struct loop *l = new_loop();
    const int64_t now = loop_now_ms(l);
    uint64_t seed = 20261121;

    for (size_t i = 0; i < ALARMS; i++)
        alarms[i] = (struct alarm){ { .due = alarm_due }, l, fired, &count, 0 };
    for (int i = 0; i < MOVES; i++) {
        struct alarm *a = &alarms[draw(&seed) % ALARMS];
        if (draw(&seed) % 4 == 0)
            loop_timer_stop(l, &a->timer);
        else
            CHECK_EQ("set", loop_timer_at(l, &a->timer, now - (int64_t)(draw(&seed) % 1000)),
                     ST_OK);
    }
    size_t set = 0;
    int64_t sum = 0;
    for (size_t i = 0; i < ALARMS; i++)
        if (alarms[i].timer.slot) {
            set++;
            sum += alarms[i].timer.at_ms;
        }
    CHECK("some are set, some not", set > 0 && set < ALARMS);

    loop_turn(l, LONG_MS);
    CHECK_EQ("all that were set", count, set);
    for (size_t i = 0; i < count; i++) {
        CHECK("earliest first", i == 0 || fired[i] >= fired[i - 1]);
        sum -= fired[i];
    }
    CHECK_EQ("each at its last time", sum, 0);
    loop_turn(l, 0);
    CHECK_EQ("once", count, set);
    loop_free(l);
}

static void test_timer_of_a_timer_waits_a_turn(void **state)
{
    (void)state;
    int64_t fired[8];
    size_t count = 0;
    struct loop *l = new_loop();
    struct alarm a = { { .due = alarm_due }, l, fired, &count, 3 };
    assert_int_equal(loop_timer_at(l, &a.timer, 0), ST_OK);
    for (size_t turns = 1; turns <= 4; turns++) {
        const size_t before = count;
        for (int i = 0; i < TURNS_MAX && count == before; i++)
            loop_turn(l, LONG_MS);
        CHECK_EQ("one more", count, turns);
    }
    loop_free(l);
}

static void test_timer_bounds_the_sleep(void **state)
{
    (void)state;
    int64_t fired[1];
    size_t count = 0;
    struct loop *l = new_loop();
    struct alarm a = { { .due = alarm_due }, l, fired, &count, 0 };
    const int64_t due = loop_clock_us() / 1000 + 20;
    assert_int_equal(loop_timer_at(l, &a.timer, due), ST_OK);
    for (int i = 0; i < TURNS_MAX && !count; i++)
        loop_turn(l, LONG_MS);
    CHECK_EQ("fired", count, 1);
    CHECK("not early", loop_now_ms(l) >= due);
    CHECK("long before the longest sleep", loop_now_ms(l) < due + LONG_MS / 2);
    loop_free(l);
}

static void stop_other(struct timer *t)
{
    struct alarm *pair = container_of(t, struct alarm, timer);
    struct alarm *other = pair->again ? pair - 1 : pair + 1;
    ++*pair->count;
    loop_timer_stop(pair->loop, &other->timer);
    loop_timer_stop(pair->loop, t); /* of one not set: fine */
}

static void test_timer_stops_another_that_is_due(void **state)
{
    (void)state;
    size_t count = 0;
    struct loop *l = new_loop();
    struct alarm pair[2] = { { { .due = stop_other }, l, NULL, &count, 0 },
                             { { .due = stop_other }, l, NULL, &count, 1 } };
    assert_int_equal(loop_timer_at(l, &pair[0].timer, 1), ST_OK);
    assert_int_equal(loop_timer_at(l, &pair[1].timer, 1), ST_OK);
    loop_turn(l, LONG_MS);
    CHECK_EQ("one of the two", count, 1);
    loop_free(l);
}

/* sources */

struct end {
    struct source source;
    struct loop *loop;
    struct end **victim; /* taken out and freed by ready */
    int *calls;
    uint32_t seen;
    uint32_t then; /* events of the victim after ready; 0: freed */
};

static void end_free(struct end *e)
{
    if (!e)
        return;
    assert_int_equal(loop_watch(e->loop, &e->source, 0), ST_OK);
    close(e->source.fd);
    free(e);
}

static void end_ready(struct source *s, uint32_t epoll_events)
{
    struct end *e = container_of(s, struct end, source);
    e->seen |= epoll_events;
    ++*e->calls;
    if (!e->victim)
        return;
    if (e->then) {
        assert_int_equal(loop_watch(e->loop, &(*e->victim)->source, e->then), ST_OK);
        return;
    }
    struct end **victim = e->victim; /* it may be e itself */
    end_free(*victim);
    *victim = NULL;
}

/* A readable source. */
static struct end *end_new(struct loop *l, int *calls, struct end **victim)
{
    int fds[2];
    struct end *e = calloc(1, sizeof(*e));
    assert_non_null(e);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    close(fds[1]);
    *e = (struct end){ { .ready = end_ready, .fd = fds[0] }, l, victim, calls, 0, 0 };
    assert_int_equal(loop_watch(l, &e->source, EPOLLIN), ST_OK);
    return e;
}

static void test_source_frees_another_that_is_ready(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct end *ends[2] = { NULL, NULL };
    int calls = 0;
    ends[0] = end_new(l, &calls, &ends[1]);
    ends[1] = end_new(l, &calls, &ends[0]);
    loop_turn(l, LONG_MS);
    CHECK_EQ("only who came first", calls, 1);
    CHECK("one is gone", !ends[0] != !ends[1]);
    end_free(ends[0]);
    end_free(ends[1]);
    loop_free(l);
}

static void test_source_frees_itself(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    int calls = 0;
    struct end *e = NULL;
    e = end_new(l, &calls, &e);
    loop_turn(l, LONG_MS);
    CHECK_EQ("called", calls, 1);
    CHECK("gone", !e);
    loop_turn(l, 0);
    CHECK_EQ("once", calls, 1);
    loop_free(l);
}

static void test_events_no_longer_wanted(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct end *ends[2] = { NULL, NULL };
    int calls = 0;
    for (int i = 0; i < 2; i++) {
        ends[i] = end_new(l, &calls, &ends[1 - i]);
        ends[i]->then = EPOLLPRI;
    }
    loop_turn(l, LONG_MS);
    CHECK("the second is not told what it did not want",
          !((ends[0]->seen | ends[1]->seen) & EPOLLPRI));
    CHECK("one saw its bytes, not both", !(ends[0]->seen & EPOLLIN) != !(ends[1]->seen & EPOLLIN));
    end_free(ends[0]);
    end_free(ends[1]);
    loop_free(l);
}

static void test_watch_refusals(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    int calls = 0;
    struct end *e = end_new(l, &calls, NULL);
    struct source none = { .ready = end_ready, .fd = -1 };
    struct source twice = { .ready = end_ready, .fd = e->source.fd };
    struct source file = { .ready = end_ready, .fd = open("/proc/self/exe", O_RDONLY) };
    CHECK_EQ("no descriptor", loop_watch(l, &none, EPOLLIN), ST_INVALID);
    CHECK_EQ("watched by another", loop_watch(l, &twice, EPOLLIN), ST_INVALID);
    CHECK_EQ("a file", loop_watch(l, &file, EPOLLIN), ST_INVALID);
    CHECK_EQ("left as it was", file.events, 0);
    CHECK_EQ("ending what is not watched", loop_watch(l, &file, 0), ST_OK);
    CHECK_EQ("the same again", loop_watch(l, &e->source, EPOLLIN), ST_OK);
    close(file.fd);
    end_free(e);
    loop_free(l);
}

static void test_busy_sources_starve_nobody(void **state)
{
    (void)state;
    enum { BUSY = 100, ROUNDS = 50 };
    struct loop *l = new_loop();
    struct end *busy[BUSY];
    int calls = 0;
    for (int i = 0; i < BUSY; i++)
        busy[i] = end_new(l, &calls, NULL);
    int64_t fired[ROUNDS + 1];
    size_t timers = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct trail trail = { .len = 0 };
        struct note n = { { .run = note_run }, i, false, &trail };
        struct alarm a = { { .due = alarm_due }, l, fired, &timers, 0 };
        loop_post(l, &n.post);
        assert_int_equal(loop_timer_at(l, &a.timer, loop_now_ms(l)), ST_OK);
        loop_turn(l, LONG_MS);
        CHECK_EQ("the timer had its turn", timers, i + 1);
        CHECK_EQ("the post had its turn", trail.len, 1);
    }
    for (int i = 0; i < BUSY; i++) {
        CHECK("each was served", busy[i]->seen & EPOLLIN);
        end_free(busy[i]);
    }
    loop_free(l);
}

/* turns */

struct hook {
    struct turn turn;
    struct loop *loop;
    struct turn *removes;
    int64_t answer;
    int calls;
};

static int64_t hook_ask(struct turn *t)
{
    struct hook *h = container_of(t, struct hook, turn);
    h->calls++;
    if (h->removes)
        loop_turn_remove(h->loop, h->removes);
    return h->answer;
}

static void test_turn_bounds_the_sleep(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct hook any = { { .before_sleep = hook_ask }, l, NULL, -1, 0 };
    struct hook now = { { .before_sleep = hook_ask }, l, NULL, 0, 0 };
    const int64_t began_us = loop_clock_us();
    loop_turn_add(l, &any.turn);
    loop_turn_add(l, &now.turn);
    for (int i = 0; i < 100; i++)
        loop_turn(l, LONG_MS);
    CHECK_EQ("asked each turn", any.calls, 100);
    CHECK_EQ("asked each turn", now.calls, 100);
    CHECK("no long sleep", loop_clock_us() - began_us < INT64_C(1000) * LONG_MS / 2);

    loop_turn_remove(l, &now.turn);
    loop_turn_remove(l, &now.turn); /* of one not there: fine */
    loop_turn(l, 0);
    CHECK_EQ("removed", now.calls, 100);
    CHECK_EQ("still there", any.calls, 101);
    loop_free(l);
}

static void test_turns_remove_each_other(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct hook hooks[3];
    for (int i = 0; i < 3; i++) {
        hooks[i] = (struct hook){ { .before_sleep = hook_ask }, l, NULL, 0, 0 };
        loop_turn_add(l, &hooks[i].turn);
    }
    hooks[0].removes = &hooks[1].turn;
    hooks[2].removes = &hooks[2].turn;
    loop_turn(l, LONG_MS);
    loop_turn(l, LONG_MS);
    CHECK_EQ("remover", hooks[0].calls, 2);
    CHECK_EQ("removed before its turn", hooks[1].calls, 0);
    CHECK_EQ("removed itself", hooks[2].calls, 1);
    loop_free(l);
}

/* clocks */

struct stuck {
    struct post post;
    int64_t seen_ms;
};

static void stick(struct post *p, struct loop *l)
{
    struct stuck *s = container_of(p, struct stuck, post);
    const int64_t until_us = loop_clock_us() + 5000;
    while (loop_clock_us() < until_us)
        continue;
    s->seen_ms = loop_stuck_ms(l);
}

static void test_stuck(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct stuck s = { { .run = stick }, 0 };
    CHECK_EQ("not running", loop_stuck_ms(l), 0);
    loop_post(l, &s.post);
    loop_turn(l, LONG_MS);
    CHECK("seen from inside", s.seen_ms >= 4 && s.seen_ms < LONG_MS);
    CHECK_EQ("not running again", loop_stuck_ms(l), 0);
    loop_free(l);
}

static void test_clocks(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    const int64_t before_ms = loop_now_ms(l);
    CHECK("wall clock is past 2020", loop_wall_us(l) > INT64_C(1577836800000000));
    CHECK("wall clock is not ahead", loop_wall_us(l) <= loop_clock_wall_us());
    CHECK("monotonic is not ahead", before_ms <= loop_clock_us() / 1000);
    loop_turn(l, 2);
    CHECK("it goes on", loop_now_ms(l) > before_ms);
    loop_free(l);
}

/* memory */

static void alarm_never(struct timer *t)
{
    (void)t;
    abort();
}

static bool loop_with_timers(void)
{
    static struct timer timers[200];
    struct loop *l = loop_new();
    if (!l)
        return oom_struck();
    bool kept = true;
    for (size_t i = 0; i < ROWS(timers); i++) {
        timers[i] = (struct timer){ .due = alarm_never };
        const enum status st = loop_timer_at(l, &timers[i], INT64_MAX);
        kept = kept && (st == ST_OK) == (timers[i].slot != 0);
        kept = kept && (st == ST_OK || (st == ST_NO_MEMORY && oom_struck()));
    }
    for (size_t i = 0; i < ROWS(timers); i++)
        loop_timer_stop(l, &timers[i]);
    loop_free(l);
    return kept;
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture(loop_with_timers);
}

TEST_MAIN(
    cmocka_unit_test(test_posts_in_order), cmocka_unit_test(test_post_from_a_post_waits_a_turn),
    cmocka_unit_test(test_free_runs_what_was_posted), cmocka_unit_test(test_posts_of_many_threads),
    cmocka_unit_test(test_stop), cmocka_unit_test(test_timers_against_a_sort),
    cmocka_unit_test(test_timer_of_a_timer_waits_a_turn),
    cmocka_unit_test(test_timer_bounds_the_sleep),
    cmocka_unit_test(test_timer_stops_another_that_is_due),
    cmocka_unit_test(test_source_frees_another_that_is_ready),
    cmocka_unit_test(test_source_frees_itself), cmocka_unit_test(test_events_no_longer_wanted),
    cmocka_unit_test(test_watch_refusals), cmocka_unit_test(test_busy_sources_starve_nobody),
    cmocka_unit_test(test_turn_bounds_the_sleep), cmocka_unit_test(test_turns_remove_each_other),
    cmocka_unit_test(test_stuck), cmocka_unit_test(test_clocks), cmocka_unit_test(test_no_memory))
