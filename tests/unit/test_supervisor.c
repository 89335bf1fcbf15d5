/* floor: app */
/*
 * supervisor: the manager's side is a socket of the test's own; a loop that hangs is a real one,
 * with a thread that waits in the middle of a turn.
 */
#include "test.h"

#include <pthread.h>
#include <semaphore.h>

#include "manager.h"
#include "presignd/log.h"
#include "presignd/supervisor.h"

enum { EVERY_MS = 40, PULSES = 8, TURNS_MAX = 20000, TURN_MS = 10 };

/* How many signs of life have come; any other news is a fault. */
static int signs(struct manager *m)
{
    int n = 0;
    struct str text;
    while ((text = manager_hears(m)).len > 0) {
        CHECK_TEXT("a sign", text, "WATCHDOG=1");
        n++;
    }
    return n;
}

static void set_number(const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64, value);
    assert_int_equal(setenv(name, text, 1), 0);
}

/* ---- the environment ---------------------------------------------------------------------------- */

static const char *const variables[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                         "LISTEN_PID",    "LISTEN_FDS",    "LISTEN_FDNAMES" };

static void forget_variables(void)
{
    for (size_t i = 0; i < ROWS(variables); i++)
        unsetenv(variables[i]);
}

static void test_no_manager(void **state)
{
    (void)state;
    char space[256];
    struct buf why = BUF_FIXED(space);
    struct supervisor s;
    struct lanes ls = { .n = 0 };
    forget_variables();
    assert_int_equal(supervisor_take(&s, environ, &why), ST_OK);
    assert_int_equal(s.notify.fd, -1);
    assert_int_equal(s.every_ms, 0);
    assert_int_equal(s.sockets.public_fd, -1);
    assert_int_equal(lanes_build(&ls, 1), ST_OK);
    assert_int_equal(supervisor_watch(&s, &ls), ST_OK);
    assert_int_equal(s.pulse.slot, 0);
    supervisor_ready(&s, STR("to nobody"));
    supervisor_stopping(&s);
    supervisor_release(&s);
    supervisor_release(&s);
    lanes_release(&ls);
}

static void test_variables_are_taken(void **state)
{
    (void)state;
    char space[256];
    struct buf why = BUF_FIXED(space);
    struct supervisor s;
    forget_variables();
    setenv("NOTIFY_SOCKET", "@presignd-nobody", 1);
    setenv("WATCHDOG_USEC", "40000", 1);
    set_number("WATCHDOG_PID", getpid());
    set_number("LISTEN_PID", getpid() + 1);
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_FDNAMES", "public", 1);
    assert_int_equal(supervisor_take(&s, environ, &why), ST_OK);
    assert_true(s.notify.fd >= 0);
    assert_int_equal(s.every_ms, 20); /* half */
    CHECK_EQ("another's sockets", s.sockets.public_fd, -1);
    for (size_t i = 0; i < ROWS(variables); i++)
        CHECK(variables[i], getenv(variables[i]) == NULL);
    supervisor_release(&s);
}

static void test_a_manager_of_another_kind(void **state)
{
    (void)state;
    char space[256];
    struct buf why = BUF_FIXED(space);
    struct supervisor s;
    forget_variables();
    setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
    assert_int_equal(supervisor_take(&s, environ, &why), ST_OK);
    assert_int_equal(s.notify.fd, -1); /* is not told */
    CHECK_EQ("why", why.len, 0);
    supervisor_release(&s);
    forget_variables();
}

static void test_faults(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *name, *value; } faults[] = {
        { "WATCHDOG_USEC", "soon" }, { "LISTEN_FDS", "1" },
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(faults); i++) {
        char space[256];
        struct buf why = BUF_FIXED(space);
        struct supervisor s;
        forget_variables();
        set_number("LISTEN_PID", getpid());
        setenv("LISTEN_FDNAMES", "neither", 1);
        setenv(faults[i].name, faults[i].value, 1);
        CHECK_EQ(faults[i].name, supervisor_take(&s, environ, &why), ST_INVALID);
        CHECK(faults[i].name, why.len > 0);
        supervisor_release(&s);
    }
    forget_variables();
}

/* ---- news and signs ----------------------------------------------------------------------------- */

struct service {
    struct manager manager;
    struct lanes lanes;
    struct supervisor s;
};

static void service_start(struct service *v, size_t loops)
{
    char space[256];
    struct buf why = BUF_FIXED(space);
    *v = (struct service){ .lanes = { .n = 0 } };
    forget_variables();
    manager_open(&v->manager);
    setenv("NOTIFY_SOCKET", v->manager.name, 1);
    set_number("WATCHDOG_USEC", 2 * EVERY_MS * 1000);
    assert_int_equal(supervisor_take(&v->s, environ, &why), ST_OK);
    assert_int_equal(lanes_build(&v->lanes, loops), ST_OK);
    assert_int_equal(supervisor_watch(&v->s, &v->lanes), ST_OK);
    assert_int_equal(lanes_start(&v->lanes), ST_OK);
}

static void service_end(struct service *v)
{
    for (size_t i = 1; i < v->lanes.n; i++)
        loop_stop(v->lanes.list[i].worker.loop); /* without a listener nothing else ends it */
    lanes_join(&v->lanes);
    supervisor_release(&v->s);
    lanes_release(&v->lanes);
    close(v->manager.fd);
}

/* Turns the first loop until so many pulses were due. */
static void pass_pulses(struct service *v, int pulses)
{
    int64_t last_ms = v->s.pulse.at_ms;
    for (int turns = 0; pulses > 0; turns++) {
        assert_true(turns < TURNS_MAX);
        loop_turn(v->lanes.list[0].worker.loop, TURN_MS);
        pulses -= v->s.pulse.at_ms != last_ms;
        last_ms = v->s.pulse.at_ms;
    }
}

static void await_sign(struct service *v)
{
    for (int turns = 0; signs(&v->manager) == 0; turns++) {
        CHECK("it lives", turns < TURNS_MAX);
        loop_turn(v->lanes.list[0].worker.loop, TURN_MS);
    }
}

static void test_order_of_news(void **state)
{
    (void)state;
    struct service v;
    service_start(&v, 1);
    supervisor_ready(&v.s, STR("one"));
    CHECK_TEXT("ready", manager_hears(&v.manager), "READY=1\nSTATUS=one");
    const int64_t before_us = loop_clock_us();
    supervisor_reloading(&v.s);
    struct str text = manager_hears(&v.manager), line;
    int64_t at_us = 0;
    CHECK("reloading", str_cut(&text, '\n', &line) && str_equal(line, STR("RELOADING=1")));
    CHECK("since when", str_cut(&text, '\n', &line) && str_starts(line, STR("MONOTONIC_USEC=")) &&
                            str_to_int(str_slice(line, 15, line.len), INT64_MAX, &at_us));
    CHECK("a moment ago", at_us >= before_us && at_us <= loop_clock_us());
    supervisor_ready(&v.s, STR("two"));
    CHECK_TEXT("ready again", manager_hears(&v.manager), "READY=1\nSTATUS=two");
    supervisor_stopping(&v.s);
    CHECK("stopping", str_starts(manager_hears(&v.manager), STR("STOPPING=1\n")));
    supervisor_ready(&v.s, STR("a reload that ended late"));
    supervisor_reloading(&v.s);
    CHECK_TEXT("and no more", manager_hears(&v.manager), "");
    service_end(&v);
}

static void test_signs_of_life(void **state)
{
    (void)state;
    struct service v;
    service_start(&v, 2);
    const int64_t from_us = loop_clock_us();
    pass_pulses(&v, PULSES);
    const int64_t took_ms = (loop_clock_us() - from_us) / 1000;
    const int n = signs(&v.manager);
    CHECK("one for each, but where a loop had no processor", n >= 1 && n <= PULSES);
    CHECK("not more often than asked for", took_ms >= (PULSES - 2) * EVERY_MS);
    service_end(&v);
}

struct hang {
    struct post post;
    sem_t begun, end;
};

static void hang(struct post *p, struct loop *l)
{
    (void)l;
    struct hang *h = container_of(p, struct hang, post);
    sem_post(&h->begun);
    while (sem_wait(&h->end) != 0)
        continue;
}

static void test_none_while_a_loop_hangs(void **state)
{
    (void)state;
    struct service v;
    struct hang h = { .post = { .run = hang } };
    int out[2];
    char log[4096];
    assert_int_equal(pipe(out), 0);
    log_setup(out[1], LOG_LEVEL_INFO);
    sem_init(&h.begun, 0, 0);
    sem_init(&h.end, 0, 0);
    service_start(&v, 2);
    await_sign(&v);

    loop_post(v.lanes.list[1].worker.loop, &h.post);
    while (sem_wait(&h.begun) != 0)
        continue;
    pass_pulses(&v, 3); /* by then it has hung for longer than the time between two signs */
    (void)signs(&v.manager);
    pass_pulses(&v, PULSES);
    CHECK_EQ("none", signs(&v.manager), 0);
    log_flush();
    const ssize_t n = read(out[0], log, sizeof(log));
    const struct str text = { log, n > 0 ? (size_t)n : 0 };
    const struct str event = STR("\"event\":\"loop_stuck\"");
    const size_t at = str_find_text(text, event);
    CHECK("the log says so", at < text.len);
    CHECK("it names the loop", str_find_text(text, STR("\"loop\":1,")) < text.len);
    const struct str rest = str_slice(text, at + event.len, text.len);
    CHECK("once", str_find_text(rest, event) == rest.len);

    sem_post(&h.end);
    await_sign(&v);
    service_end(&v);
    log_setup(STDERR_FILENO, LOG_LEVEL_INFO);
    sem_destroy(&h.begun);
    sem_destroy(&h.end);
    close(out[0]);
    close(out[1]);
}

/* The manager was busy when the news came: they come when it has read. */
static void test_news_are_sent_again(void **state)
{
    (void)state;
    struct service v;
    service_start(&v, 1);
    int sent = 0;
    do
        notify_alive(&v.s.notify);
    while (++sent < TURNS_MAX);
    supervisor_ready(&v.s, STR("late"));
    CHECK("no room for it", v.s.again.slot > 0);
    CHECK("older ones first", signs(&v.manager) > 0);
    struct str text;
    for (int turns = 0;
         (text = manager_hears(&v.manager)).len == 0 || str_equal(text, STR("WATCHDOG=1"));
         turns++) {
        CHECK("in time", turns < TURNS_MAX);
        loop_turn(v.lanes.list[0].worker.loop, TURN_MS);
    }
    CHECK_TEXT("late", text, "READY=1\nSTATUS=late");
    CHECK_EQ("the timer rests", v.s.again.slot, 0);
    service_end(&v);
}

TEST_MAIN(cmocka_unit_test(test_no_manager), cmocka_unit_test(test_variables_are_taken),
          cmocka_unit_test(test_a_manager_of_another_kind), cmocka_unit_test(test_faults),
          cmocka_unit_test(test_order_of_news), cmocka_unit_test(test_signs_of_life),
          cmocka_unit_test(test_none_while_a_loop_hangs),
          cmocka_unit_test(test_news_are_sent_again))
