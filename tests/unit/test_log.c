/*
 * log: whole lines of valid JSON, whatever the sink does: a file, a pipe that is full, a reader
 * that left, a socket, a terminal, many threads and two processes at once.
 */
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "oom.h"
#include "presignd/log.h"

enum { LINE_LIMIT = 4096 };

static const int64_t WALL_US = INT64_C(1795293900123456); /* 2026-11-21T20:45:00.123Z */

/* What came out: a text that grows. */
struct heard {
    char *text;
    size_t len;
};

static void hear(struct heard *h, const char *bytes, size_t len)
{
    h->text = realloc(h->text, h->len + len + 1);
    if (!h->text)
        abort();
    memcpy(h->text + h->len, bytes, len);
    h->len += len;
    h->text[h->len] = '\0';
}

static void forget(struct heard *h)
{
    free(h->text);
    *h = (struct heard){ NULL, 0 };
}

static struct str heard_view(const struct heard *h)
{
    return (struct str){ h->text, h->len };
}

/* Reads what is there without waiting. */
static void drain(int fd, struct heard *h)
{
    char space[65536];
    struct pollfd there = { .fd = fd, .events = POLLIN };
    while (poll(&there, 1, 0) == 1) {
        const ssize_t n = read(fd, space, sizeof(space));
        if (n <= 0)
            return;
        hear(h, space, (size_t)n);
    }
}

static bool take_line(const char **at, const char **out_line, size_t *out_len)
{
    const char *end = strchr(*at, '\n');
    if (!end)
        return false;
    *out_line = *at;
    *out_len = (size_t)(end - *at);
    *at = end + 1;
    return true;
}

static json_t *parse(const char *name, const char *line, size_t len)
{
    json_error_t why;
    json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(o))
        fail_msg("%s: no JSON object: %.*s (%s)", name, (int)len, line, why.text);
    return o;
}

static const char *text_of(json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* Counts the lines, each valid; adds up the reported losses. */
struct tally {
    int64_t lines, lost, reports;
};

static struct tally count(const char *name, const struct heard *h)
{
    struct tally t = { 0 };
    const char *at = h->text ? h->text : "";
    const char *line;
    size_t len;
    while (take_line(&at, &line, &len)) {
        CHECK(name, len < LINE_LIMIT);
        json_t *o = parse(name, line, len);
        if (strcmp(text_of(o, "event"), "log_lines_lost") == 0) {
            t.reports++;
            t.lost += json_integer_value(json_object_get(o, "count"));
        } else {
            t.lines++;
        }
        json_decref(o);
    }
    CHECK(name, *at == '\0');
    return t;
}

/* A file in memory as the sink; what it holds is taken with `contents`. */
static int file_sink(enum log_level least)
{
    const int fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(fd >= 0);
    log_setup(fd, least);
    return fd;
}

static struct heard contents(int fd)
{
    struct heard h = { NULL, 0 };
    char space[65536];
    hear(&h, "", 0);
    off_t at = 0;
    for (ssize_t n = 1; n > 0; at += n) {
        n = pread(fd, space, sizeof(space), at);
        assert_true(n >= 0);
        hear(&h, space, (size_t)n);
    }
    return h;
}

static void say(enum log_level level, int number)
{
    struct log_line l;
    log_begin(&l, level, "test", WALL_US);
    jw_int(&l.j, "number", number);
    log_end(&l);
}

/* times */

static const struct {
    const char *name;
    int64_t wall_us;
    const char *want;
} times[] = {
    { "epoch", 0, "1970-01-01T00:00:00.000Z" },
    { "microseconds are cut", 1999, "1970-01-01T00:00:00.001Z" },
    { "today", INT64_C(1795293900123456), "2026-11-21T20:45:00.123Z" },
    { "leap day", INT64_C(1709164800000000), "2024-02-29T00:00:00.000Z" },
    { "century without one", INT64_C(4107542400000000), "2100-03-01T00:00:00.000Z" },
    { "last", INT64_C(253402300799999999), "9999-12-31T23:59:59.999Z" },
    { "beyond is the last", INT64_MAX, "9999-12-31T23:59:59.999Z" },
    { "before is the first", -1, "1970-01-01T00:00:00.000Z" },
};

static void test_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(times); i++) {
        char space[32];
        struct buf b = BUF_FIXED(space);
        log_time(&b, times[i].wall_us);
        CHECK_TEXT(times[i].name, b, times[i].want);
    }
}

/* lines */

static void test_line(void **state)
{
    (void)state;
    const int fd = file_sink(LOG_LEVEL_INFO);
    struct log_line l;
    log_begin(&l, LOG_LEVEL_INFO, "listening", WALL_US);
    jw_int(&l.j, "port", 8080);
    jw_str(&l.j, "name", STR("a\n\"b\""));
    log_end(&l);
    log_flush();
    struct heard h = contents(fd);
    CHECK_TEXT("line", heard_view(&h),
               "{\"time\":\"2026-11-21T20:45:00.123Z\",\"level\":\"info\",\"event\":\"listening\","
               "\"port\":8080,\"name\":\"a\\n\\\"b\\\"\"}\n");
    forget(&h);
    close(fd);
}

static void test_levels(void **state)
{
    (void)state;
    for (int least = LOG_LEVEL_DEBUG; least <= LOG_LEVEL_ERROR; least++) {
        const int fd = file_sink((enum log_level)least);
        for (int level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ERROR; level++) {
            CHECK_EQ("enabled", log_enabled((enum log_level)level), level >= least);
            say((enum log_level)level, level);
            log_say((enum log_level)level, "said", STR("x"), WALL_US);
        }
        log_flush();
        struct heard h = contents(fd);
        CHECK_EQ("lines", count("levels", &h).lines, 2 * (LOG_LEVEL_ERROR - least + 1));
        forget(&h);
        close(fd);
    }
}

static void test_when_it_is_written(void **state)
{
    (void)state;
    const int fd = file_sink(LOG_LEVEL_INFO);
    say(LOG_LEVEL_INFO, 1);
    CHECK_EQ("an ordinary line waits", lseek(fd, 0, SEEK_END), 0);
    CHECK("and says so", log_pending());
    say(LOG_LEVEL_ERROR, 2);
    struct heard h = contents(fd);
    CHECK_EQ("an error takes all with it", count("error", &h).lines, 2);
    CHECK("nothing waits", !log_pending());
    forget(&h);

    int said = 0;
    for (; said < 10000 && lseek(fd, 0, SEEK_END) < 1000; said++)
        say(LOG_LEVEL_INFO, said);
    CHECK("many lines go by themselves", said > 100 && said < 600);
    log_flush();
    h = contents(fd);
    CHECK_EQ("all of them", count("many", &h).lines, said + 2);
    forget(&h);
    close(fd);
}

static const struct {
    const char *name;
    struct str filler; /* repeated as one member's value */
    size_t times;
    bool inner; /* in an object that is never closed */
    bool cut;
} lengths[] = {
    { "short", STR_INIT("x"), 10, false, false },
    { "one member too long", STR_INIT("x"), 5000, false, true },
    { "all quotes", STR_INIT("\""), 3000, false, true },
    { "looks like members", STR_INIT("\",\"a\":{},[,"), 400, false, true },
    { "backslashes", STR_INIT("\\"), 2500, false, true },
    { "controls", STR_INIT("\x01"), 1000, false, true },
    { "closes nothing", STR_INIT("}}]]"), 1200, false, true },
    { "in an inner object", STR_INIT("x"), 5000, true, true },
    { "left open by the caller", STR_INIT("x"), 10, true, true },
};

static const char tricky[] = "a\\\",\"b\":{[\"";

static void test_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(lengths); i++) {
        const int fd = file_sink(LOG_LEVEL_INFO);
        AUTO(buf) value = BUF_INIT(100000);
        for (size_t n = 0; n < lengths[i].times; n++)
            buf_str(&value, lengths[i].filler);
        struct log_line l;
        log_begin(&l, LOG_LEVEL_INFO, "test", WALL_US);
        jw_str(&l.j, "tricky", str_from(tricky));
        jw_int(&l.j, "number", 7);
        if (lengths[i].inner)
            jw_open_key(&l.j, "inner", '{');
        jw_str(&l.j, "value", buf_view(&value));
        jw_int(&l.j, "after", 8);
        log_end(&l);
        log_flush();
        struct heard h = contents(fd);
        CHECK_EQ(lengths[i].name, count(lengths[i].name, &h).lines, 1);
        json_t *o = parse(lengths[i].name, h.text, h.len);
        CHECK_EQ(lengths[i].name, json_is_true(json_object_get(o, "cut")), lengths[i].cut);
        CHECK_EQ(lengths[i].name, json_integer_value(json_object_get(o, "number")), 7);
        CHECK_TEXT(lengths[i].name, str_from(text_of(o, "tricky")), tricky);
        json_decref(o);
        forget(&h);
        close(fd);
    }
}

/* Every length around the limit: the closing brace and the newline must have their place. */
static void test_every_length(void **state)
{
    (void)state;
    static char filler[LINE_LIMIT];
    memset(filler, 'x', sizeof(filler));
    for (size_t n = 3950; n < LINE_LIMIT; n++) {
        const int fd = file_sink(LOG_LEVEL_INFO);
        struct log_line l;
        log_begin(&l, LOG_LEVEL_INFO, "test", WALL_US);
        jw_str(&l.j, "a", (struct str){ filler, n });
        log_end(&l);
        log_flush();
        struct heard h = contents(fd);
        CHECK_EQ("at most a page", MAX_OF(h.len, LINE_LIMIT), LINE_LIMIT);
        CHECK_EQ("one line", count("lengths", &h).lines, 1);
        CHECK("whole or cut", !strstr(h.text, "\"cut\":true") == !!strstr(h.text, "\"a\":"));
        forget(&h);
        close(fd);
    }
}

static const struct {
    const char *name;
    struct str filler;
    size_t times;
    bool cut;
} messages[] = {
    { "empty", STR_INIT(""), 0, false },
    { "short", STR_INIT("hello"), 1, false },
    { "as long as it may be", STR_INIT("x"), 3072, false },
    { "one more", STR_INIT("x"), 3073, true },
    { "two-byte letters", STR_INIT("\xc3\xa4"), 4000, true },
    { "four-byte letters, shifted", STR_INIT("\xf0\x9f\x98\x80"), 2000, true },
    { "controls", STR_INIT("\x01\x1f"), 2000, true },
    { "no UTF-8", STR_INIT("\xff"), 4000, true },
    { "only continuations", STR_INIT("\x80"), 4000, true },
};

static void test_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(messages); i++) {
        const int fd = file_sink(LOG_LEVEL_INFO);
        AUTO(buf) message = BUF_INIT(100000);
        for (size_t n = 0; n < messages[i].times; n++)
            buf_str(&message, messages[i].filler);
        log_say(LOG_LEVEL_WARN, "said", buf_view(&message), WALL_US);
        log_flush();
        struct heard h = contents(fd);
        json_t *o = parse(messages[i].name, h.text, h.len);
        const bool cut = json_is_true(json_object_get(o, "cut"));
        const char *said = text_of(o, "message");
        CHECK_EQ(messages[i].name, cut, messages[i].cut);
        CHECK(messages[i].name, json_object_get(o, "message"));
        if (str_valid_utf8(buf_view(&message)))
            CHECK(messages[i].name, !strstr(said, "\xef\xbf\xbd"));
        CHECK(messages[i].name, !cut || strlen(said) >= 3072 / 6);
        json_decref(o);
        forget(&h);
        close(fd);
    }
}

/* sinks that are full */

enum { MANY = 5000 };

/* The sink is set. Says MANY lines that nobody reads, then reads while flushing; everything is accounted for. */
static void fill_and_drain(const char *name, int read_fd)
{
    const uint64_t lost_before = log_lost();
    struct heard h = { NULL, 0 };
    hear(&h, "", 0);
    for (int i = 0; i < MANY; i++)
        say(i % 100 ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, i);
    CHECK(name, log_pending());
    for (int i = 0; i < 10000 && log_pending(); i++) {
        drain(read_fd, &h);
        log_flush();
    }
    drain(read_fd, &h);
    CHECK(name, !log_pending());

    const struct tally t = count(name, &h);
    CHECK(name, t.lines > 0 && t.lost > 0);
    CHECK_EQ(name, t.lines + t.lost, MANY);
    CHECK_EQ(name, log_lost() - lost_before, t.lost);
    CHECK(name, t.reports >= 1);
    forget(&h);
}

static void test_full_pipe(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    log_setup(fds[1], LOG_LEVEL_INFO);
    fill_and_drain("pipe", fds[0]);
    CHECK("the caller's descriptor still blocks", !(fcntl(fds[1], F_GETFL) & O_NONBLOCK));
    close(fds[0]);
    close(fds[1]);
}

/* A pipe that cannot be opened a second time is asked for room before each write. */
static void test_full_pipe_of_others(void **state)
{
    (void)state;
    int fds[2];
    struct rlimit files, none;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    none = (struct rlimit){ 0, files.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    log_setup(fds[1], LOG_LEVEL_INFO);
    const int restored = setrlimit(RLIMIT_NOFILE, &files);
    assert_int_equal(restored, 0);
    fill_and_drain("pipe of others", fds[0]);
    close(fds[0]);
    close(fds[1]);
}

static void test_lines_after_a_loss(void **state)
{
    (void)state;
    int fds[2];
    struct heard h = { NULL, 0 };
    assert_int_equal(pipe(fds), 0);
    log_setup(fds[1], LOG_LEVEL_INFO);
    const uint64_t lost_before = log_lost();
    for (int i = 0; i < MANY; i++)
        say(LOG_LEVEL_INFO, i);
    const uint64_t lost = log_lost() - lost_before;
    CHECK("some are lost", lost > 0);
    drain(fds[0], &h);
    say(LOG_LEVEL_INFO, MANY);
    CHECK_EQ("the next one is not", log_lost() - lost_before, lost);
    for (int i = 0; i < 100 && log_pending(); i++) {
        log_flush();
        drain(fds[0], &h);
    }
    const struct tally t = count("after a loss", &h);
    CHECK_EQ("reported once", t.reports, 1);
    CHECK_EQ("all of them", t.lost, lost);
    CHECK_EQ("all lines", t.lines + t.lost, MANY + 1);
    forget(&h);
    close(fds[0]);
    close(fds[1]);
}

static void test_full_socket(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    log_setup(fds[1], LOG_LEVEL_INFO);
    fill_and_drain("socket", fds[0]);
    close(fds[0]);
    close(fds[1]);
}

static void test_full_terminal(void **state)
{
    (void)state;
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    const int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    log_setup(terminal, LOG_LEVEL_INFO);
    fill_and_drain("terminal", master);
    close(terminal);
    close(master);
}

static void test_full_disk(void **state)
{
    (void)state;
    const int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    log_setup(fd, LOG_LEVEL_INFO);
    for (int i = 0; i < MANY; i++)
        say(LOG_LEVEL_INFO, i);
    log_flush();
    CHECK("they wait", log_pending());
    close(fd);

    const int file = file_sink(LOG_LEVEL_INFO);
    log_flush();
    struct heard h = contents(file);
    const struct tally t = count("after it", &h);
    CHECK("some were lost", t.lost > 0);
    CHECK_EQ("all are accounted for", t.lines + t.lost, MANY);
    forget(&h);
    close(file);
}

static void test_reader_left(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    log_setup(fds[1], LOG_LEVEL_INFO);
    say(LOG_LEVEL_ERROR, 1);
    close(fds[0]);
    for (int i = 0; i < MANY; i++)
        say(LOG_LEVEL_ERROR, i);
    CHECK("lines wait for a reader", log_pending());
    close(fds[1]);

    const int file = file_sink(LOG_LEVEL_INFO); /* a reload with another sink */
    log_flush();
    CHECK("and find one", lseek(file, 0, SEEK_END) > 0);
    CHECK("all of them", !log_pending());
    close(file);
}

static void test_bad_descriptor(void **state)
{
    (void)state;
    log_setup(-1, LOG_LEVEL_INFO);
    say(LOG_LEVEL_ERROR, 1);
    CHECK("waits", log_pending());
    const int file = file_sink(LOG_LEVEL_INFO);
    log_flush();
    CHECK("written", lseek(file, 0, SEEK_END) > 0);
    close(file);
}

/* many writers */

enum { WRITERS = 4, EACH = 3000 };

static void *write_many(void *arg)
{
    static const char filler[1500] = { 'x' };
    const int *first = arg;
    for (int i = 0; i < EACH; i++) {
        struct log_line l;
        log_begin(&l, LOG_LEVEL_INFO, "test", WALL_US);
        jw_int(&l.j, "number", *first + i);
        jw_str(&l.j, "pad", (struct str){ filler, 1 });
        jw_str(&l.j, "more", (struct str){ "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", (size_t)i % 32 });
        log_end(&l);
        if (i % 50 == 0)
            log_flush();
    }
    for (int i = 0; i < 1000000 && log_pending(); i++) {
        struct pollfd nothing = { .fd = -1 };
        poll(&nothing, 1, 1);
        log_flush();
    }
    return NULL;
}

static void *read_all(void *arg)
{
    const int *fd = arg;
    struct heard *h = calloc(1, sizeof(*h));
    if (!h)
        abort();
    char space[10000];
    for (ssize_t n = read(*fd, space, sizeof(space)); n > 0; n = read(*fd, space, sizeof(space)))
        hear(h, space, (size_t)n);
    return h;
}

static void writers(int first)
{
    pthread_t threads[WRITERS];
    int firsts[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        firsts[i] = first + i * EACH;
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &firsts[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* Threads of two processes share a pipe (or socket): no line is torn, none is lost silently. */
static void shared_sink(const char *name, int write_fd, int read_fd)
{
    log_setup(write_fd, LOG_LEVEL_INFO);
    const pid_t child = fork(); /* while there is one thread only: all ThreadSanitizer can follow */
    assert_true(child >= 0);
    if (child == 0) {
        writers(WRITERS * EACH);
        _exit(0);
    }
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, read_all, &read_fd), 0);
    writers(0);
    int left = -1;
    assert_int_equal(waitpid(child, &left, 0), child);
    CHECK_EQ(name, left, 0);
    log_setup(STDERR_FILENO, LOG_LEVEL_INFO); /* lets go of what it opened of the pipe */
    close(write_fd);

    struct heard *h = NULL;
    assert_int_equal(pthread_join(reader, (void **)&h), 0);
    close(read_fd);
    const struct tally t = count(name, h);
    CHECK(name, t.lines > 0);
    CHECK_EQ(name, t.lines + t.lost, 2 * WRITERS * EACH);
    forget(h);
    free(h);
}

static void test_shared_pipe(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_true(fcntl(fds[1], F_SETPIPE_SZ, 4096) >=
                4096); /* what is longer will not fit at once */
    shared_sink("pipe", fds[1], fds[0]);
}

static void test_shared_socket(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    shared_sink("socket", fds[1], fds[0]);
}

static void *say_one(void *arg)
{
    (void)arg;
    say(LOG_LEVEL_INFO, 1);
    return NULL;
}

static void test_end_of_a_thread_flushes(void **state)
{
    (void)state;
    const int fd = file_sink(LOG_LEVEL_INFO);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, say_one, NULL), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    struct heard h = contents(fd);
    CHECK_EQ("its line", count("thread", &h).lines, 1);
    forget(&h);
    close(fd);
}

/* memory: a thread that gets no queue loses its lines, counts them, and lives */

static int runs;

/* The first, undisturbed run leaves the queue to the second, which is refused it. */
static bool lose_or_write(void)
{
    if (runs++ == 0) {
        char *volatile some = malloc(1);
        free(some);
        return true;
    }
    const uint64_t lost = log_lost();
    say(LOG_LEVEL_ERROR, 1);
    return log_lost() - lost == (oom_struck() ? 1 : 0);
}

static void *first_line_of_a_thread(void *arg)
{
    struct oom_result *r = arg;
    *r = oom_probe(OOM_OURS, OOM_FROM, lose_or_write);
    return NULL;
}

static void test_no_memory(void **state)
{
    (void)state;
    const int fd = file_sink(LOG_LEVEL_INFO);
    struct oom_result r = { 0, 0 };
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, first_line_of_a_thread, &r), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    CHECK_EQ("refused once", r.runs, 1);
    CHECK_EQ("counted, not crashed", r.failed_at, 0);
    CHECK("the next line found a queue", lseek(fd, 0, SEEK_END) > 0);
    close(fd);
}

static int quiet(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_when_it_is_written),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_say),
        cmocka_unit_test(test_full_pipe),
        cmocka_unit_test(test_full_pipe_of_others),
        cmocka_unit_test(test_lines_after_a_loss),
        cmocka_unit_test(test_full_socket),
        cmocka_unit_test(test_full_terminal),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_reader_left),
        cmocka_unit_test(test_bad_descriptor),
        cmocka_unit_test(test_shared_pipe),
        cmocka_unit_test(test_shared_socket),
        cmocka_unit_test(test_end_of_a_thread_flushes),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, quiet, NULL);
}
