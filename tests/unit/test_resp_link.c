/*
 * resp_link against a small server of our own that misbehaves as it is told. It has no thread: each
 * step of it stands between two turns of the loop. How a real server and the link get along is in
 * test_resp_server.c.
 */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "presignd/log.h"

#include "oom.h"
#include "resp_kit.h"

/* the server */

enum { IN_MAX = 1 << 17, OUT_MAX = 1 << 17, WORDS_MAX = 64, FLOOD = 1 << 14 };

enum way { SAY, HANG, CLOSE, RESET, SAY_CLOSE, SLOW, FLOODS };

struct fake {
    int listener, port, fd;
    enum way way;    /* what to do about a command that is not part of the greeting */
    const char *say; /* the reply to it */
    size_t say_len;
    const char *info;
    bool mute;         /* nor to the greeting is anything said */
    bool deaf;         /* PING is no exception */
    bool echo;         /* the reply is the command's last word */
    bool knows_script; /* EVALSHA works */
    int connections, commands, pings, evals, evalshas;
    bool flooding;
    char last[KEPT_TEXT]; /* the last command, words with blanks between */
    size_t n_in, n_out, out_at;
    char in[IN_MAX], out[OUT_MAX];
};

struct stage {
    struct rig rig;
    struct fake fake;
};

#define GOOD_INFO "redis_version:7.0.15\r\nrole:master\r\n"

static void fake_listen(struct fake *f, int port)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    const int on = 1;
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(f->listener >= 0);
    setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(f->listener, (const struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(f->listener, 16), 0);
    assert_int_equal(getsockname(f->listener, (struct sockaddr *)&in, &len), 0);
    f->port = ntohs(in.sin_port);
}

static void fake_hang_up(struct fake *f, bool reset)
{
    const struct linger now = { .l_onoff = 1, .l_linger = 0 };
    if (f->fd < 0)
        return;
    if (reset)
        setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(f->fd);
    f->fd = -1;
    f->n_in = f->n_out = f->out_at = 0;
    f->flooding = false;
}

static void fake_end(struct fake *f)
{
    fake_hang_up(f, false);
    if (f->listener >= 0)
        close(f->listener);
    f->listener = -1;
}

static void fake_put(struct fake *f, const char *bytes, size_t n)
{
    assert_true(n <= OUT_MAX - f->n_out);
    memcpy(f->out + f->n_out, bytes, n);
    f->n_out += n;
}

static void fake_text(struct fake *f, const char *text)
{
    fake_put(f, text, strlen(text));
}

static void fake_bulk(struct fake *f, const char *text)
{
    char head[32];
    snprintf(head, sizeof(head), "$%zu\r\n", strlen(text));
    fake_text(f, head);
    fake_text(f, text);
    fake_text(f, "\r\n");
}

static void fake_misbehave(struct fake *f)
{
    switch (f->way) {
    case SAY:
    case SLOW:
    case FLOODS:
        f->flooding = f->way == FLOODS;
        fake_put(f, f->say, f->say_len);
        break;
    case HANG: break;
    case CLOSE: fake_hang_up(f, false); break;
    case RESET: fake_hang_up(f, true); break;
    case SAY_CLOSE:
        assert_int_equal(send(f->fd, f->say, f->say_len, MSG_NOSIGNAL), f->say_len);
        fake_hang_up(f, false);
        break;
    }
}

static void fake_obey(struct fake *f, struct str *words, size_t n)
{
    f->last[0] = '\0';
    for (size_t i = 0, at = 0; i < n && at < KEPT_TEXT; i++)
        at += (size_t)snprintf(f->last + at, KEPT_TEXT - at, "%s%.*s", i ? " " : "",
                               STR_ARGS(words[i]));
    const bool hello = str_equal(words[0], STR("INFO")) || str_equal(words[0], STR("AUTH")) ||
                       str_equal(words[0], STR("SELECT"));
    f->pings += str_equal(words[0], STR("PING"));
    f->evals += str_equal(words[0], STR("EVAL"));
    f->evalshas += str_equal(words[0], STR("EVALSHA"));
    f->commands += !hello;
    if (hello && f->mute)
        return;
    if (str_equal(words[0], STR("INFO")))
        fake_bulk(f, f->info);
    else if (hello)
        fake_text(f, "+OK\r\n");
    else if (str_equal(words[0], STR("PING")) && !f->deaf)
        fake_text(f, "+PONG\r\n");
    else if (str_equal(words[0], STR("EVALSHA")) && !f->knows_script && f->way == SAY)
        fake_text(f, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
    else if (f->echo)
        fake_bulk(f, strrchr(f->last, ' ') + 1);
    else
        fake_misbehave(f);
}

/* "*2\r\n$3\r\nGET\r\n$1\r\nx\r\n"; 0: not all of it is there. */
static size_t fake_words(const struct fake *f, struct str *words, size_t *n)
{
    const char *at = f->in, *end = f->in + f->n_in;
    const char *line = memchr(at, '\n', (size_t)(end - at));
    if (!line)
        return 0;
    assert_int_equal(*at, '*');
    *n = strtoul(at + 1, NULL, 10);
    assert_true(*n > 0 && *n <= WORDS_MAX);
    at = line + 1;
    for (size_t i = 0; i < *n; i++) {
        line = memchr(at, '\n', (size_t)(end - at));
        if (!line)
            return 0;
        words[i] = (struct str){ line + 1, strtoul(at + 1, NULL, 10) };
        if ((size_t)(end - line - 1) < words[i].len + 2)
            return 0;
        at = words[i].ptr + words[i].len + 2;
    }
    return (size_t)(at - f->in);
}

static void fake_read(struct fake *f)
{
    const ssize_t n = recv(f->fd, f->in + f->n_in, IN_MAX - f->n_in, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        fake_hang_up(f, false);
        return;
    }
    f->n_in += n > 0 ? (size_t)n : 0;
    struct str words[WORDS_MAX];
    size_t count = 0;
    for (size_t len = fake_words(f, words, &count); len; len = fake_words(f, words, &count)) {
        fake_obey(f, words, count);
        if (f->fd < 0)
            return;
        memmove(f->in, f->in + len, f->n_in - len);
        f->n_in -= len;
        if (f->n_in == 0)
            return;
    }
}

static void fake_write(struct fake *f)
{
    static char filler[FLOOD];
    const size_t left = f->n_out - f->out_at;
    const ssize_t n = left ? send(f->fd, f->out + f->out_at, f->way == SLOW ? 1 : left,
                                  MSG_NOSIGNAL | MSG_DONTWAIT)
                           : 0;
    f->out_at += n > 0 ? (size_t)n : 0;
    if (f->out_at == f->n_out)
        f->out_at = f->n_out = 0;
    if (f->flooding && f->n_out == 0) {
        memset(filler, 'x', sizeof(filler));
        (void)!send(f->fd, filler, sizeof(filler), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

static void fake_step(struct rig *r)
{
    struct fake *f = &container_of(r, struct stage, rig)->fake;
    if (f->fd < 0 && f->listener >= 0) {
        f->fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        f->connections += f->fd >= 0;
    }
    if (f->fd >= 0)
        fake_read(f);
    if (f->fd >= 0)
        fake_write(f);
}

static void behave(struct fake *f)
{
    f->way = SAY;
    f->say = "+FINE\r\n";
    f->say_len = 7;
    f->info = GOOD_INFO;
    f->mute = f->deaf = f->echo = false;
}

static struct stage *stage_new(void)
{
    struct stage *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->fake.fd = -1;
    fake_listen(&s->fake, 0);
    behave(&s->fake);
    rig_init(&s->rig, s->fake.port);
    s->rig.before_turn = fake_step;
    return s;
}

static struct stage *stage_up(int64_t timeout_ms)
{
    struct stage *s = stage_new();
    s->rig.config.timeout_ms = timeout_ms;
    rig_start(&s->rig);
    UNTIL(&s->rig, "up", is_up(&s->rig));
    return s;
}

static void stage_free(struct stage *s)
{
    rig_end(&s->rig);
    fake_end(&s->fake);
    free(s);
}

/* one reply, of every kind */

enum after { STAYS, RECONNECTS };

#define BYTES(text) text, sizeof(text) - 1
#define LIST4(x)    x x x x

/* clang-format off */
static const struct {
    const char *name;
    enum way way;
    const char *say;
    size_t say_len;
    enum resp_kind want;
    const char *text;   /* part of the answer's */
    enum after after;
    const char *reason; /* part of the link's, while it is down */
} replies[] = {
    { "status",            SAY,   BYTES("+FINE\r\n"),                      RESP_OK,      "",    STAYS, "" },
    { "empty",             SAY,   BYTES("$0\r\n\r\n"),                     RESP_OK,      "",    STAYS, "" },
    { "bytes",             SAY,   BYTES("$4\r\na\0\r\n\r\n"),              RESP_OK,      "",    STAYS, "" },
    { "nothing",           SAY,   BYTES("$-1\r\n"),                        RESP_OK,      "",    STAYS, "" },
    { "integer",           SAY,   BYTES(":-9223372036854775808\r\n"),      RESP_OK,      "",    STAYS, "" },
    { "empty array",       SAY,   BYTES("*0\r\n"),                         RESP_OK,      "",    STAYS, "" },
    { "no array",          SAY,   BYTES("*-1\r\n"),                        RESP_OK,      "",    STAYS, "" },
    { "byte by byte",      SLOW,  BYTES("*2\r\n$3\r\nabc\r\n:7\r\n"),      RESP_OK,      "",    STAYS, "" },

    { "error",             SAY,   BYTES("-ERR no\r\n"),                    RESP_ERROR,   "ERR no", STAYS, "" },
    { "out of memory",     SAY,   BYTES("-OOM command not allowed\r\n"),   RESP_ERROR,   "OOM", STAYS, "" },
    { "no script",         SAY,   BYTES("-NOSCRIPT what\r\n"),             RESP_ERROR,   "NOSCRIPT", STAYS, "" },
    { "not permitted",     SAY,   BYTES("-NOPERM no\r\n"),                 RESP_ERROR,   "NOPERM", STAYS, "" },
    { "empty error",       SAY,   BYTES("-\r\n"),                          RESP_ERROR,   "",    STAYS, "" },
    { "READONLY",          SAY,   BYTES("-READONLY You can't write\r\n"),  RESP_ERROR,   "READONLY", RECONNECTS, "read-only replica" },
    { "LOADING",           SAY,   BYTES("-LOADING Redis is loading\r\n"),  RESP_ERROR,   "LOADING",  RECONNECTS, "loading" },
    { "MASTERDOWN",        SAY,   BYTES("-MASTERDOWN Link\r\n"),           RESP_ERROR,   "MASTERDOWN", RECONNECTS, "without its primary" },
    { "MOVED",             SAY,   BYTES("-MOVED 3999 127.0.0.1:1\r\n"),    RESP_ERROR,   "MOVED",    RECONNECTS, "cluster mode" },
    { "ASK",               SAY,   BYTES("-ASK 3999 127.0.0.1:1\r\n"),      RESP_ERROR,   "ASK",      RECONNECTS, "cluster mode" },
    { "CLUSTERDOWN",       SAY,   BYTES("-CLUSTERDOWN Hash slot\r\n"),     RESP_ERROR,   "CLUSTERDOWN", RECONNECTS, "cluster" },
    { "NOAUTH",            SAY,   BYTES("-NOAUTH Authentication\r\n"),     RESP_ERROR,   "NOAUTH",   RECONNECTS, "password" },

    { "closed",            CLOSE, BYTES(""),                               RESP_LOST,    "closed the connection", RECONNECTS, "closed the connection" },
    { "reset",             RESET, BYTES(""),                               RESP_LOST,    "reset",    RECONNECTS, "reset" },
    { "half, then closed", SAY_CLOSE, BYTES("$10\r\nabc"),                 RESP_LOST,    "closed",   RECONNECTS, "closed" },
    { "half an array, closed", SAY_CLOSE, BYTES("*3\r\n:1\r\n"),           RESP_LOST,    "closed",   RECONNECTS, "closed" },
    { "a reply, then closed", SAY_CLOSE, BYTES("+FINE\r\n"),               RESP_OK,      "",         RECONNECTS, "closed" },

    { "SSH",               SAY,   BYTES("SSH-2.0-OpenSSH_9.2\r\n"),        RESP_GARBAGE, "rotocol",  RECONNECTS, "rotocol" },
    { "HTTP",              SAY,   BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"), RESP_GARBAGE, "rotocol", RECONNECTS, "rotocol" },
    { "TLS alert",         SAY,   BYTES("\x15\x03\x01\x00\x02\x02\x16"),   RESP_GARBAGE, "rotocol",  RECONNECTS, "rotocol" },
    { "zeros",             SAY,   BYTES("\0\0\0\0\r\n"),                   RESP_GARBAGE, "rotocol",  RECONNECTS, "rotocol" },
    { "blank line",        SAY,   BYTES("\r\n"),                           RESP_GARBAGE, "rotocol",  RECONNECTS, "rotocol" },
    { "no number",         SAY,   BYTES(":12a\r\n"),                       RESP_GARBAGE, "",         RECONNECTS, "" },
    { "number too large",  SAY,   BYTES(":99999999999999999999\r\n"),      RESP_GARBAGE, "",         RECONNECTS, "" },
    { "negative length",   SAY,   BYTES("$-5\r\n"),                        RESP_GARBAGE, "",         RECONNECTS, "" },
    { "length of words",   SAY,   BYTES("$ten\r\n"),                       RESP_GARBAGE, "",         RECONNECTS, "" },
    { "negative array",    SAY,   BYTES("*-7\r\n"),                        RESP_GARBAGE, "",         RECONNECTS, "" },
    { "array of 2^31 - 1", SAY,   BYTES("*2147483647\r\n"),                RESP_GARBAGE, "larger",   RECONNECTS, "larger" },
    { "array of 2^62",     SAY,   BYTES("*4611686018427387904\r\n"),       RESP_GARBAGE, "",         RECONNECTS, "" },
    { "one row too many",  SAY,   BYTES("*2049\r\n"),                      RESP_GARBAGE, "larger",   RECONNECTS, "larger" },
    { "many arrays",       SAY,   BYTES("*2000\r\n*48\r\n"), RESP_TIMEOUT, "in time", STAYS, "" },
    { "too many in arrays",SAY,   BYTES("*2000\r\n*49\r\n"),             RESP_GARBAGE, "larger",   RECONNECTS, "larger" },
    { "deep",              SAY,   BYTES(LIST4("*1\r\n") LIST4("*1\r\n") LIST4("*1\r\n")), RESP_GARBAGE, "", RECONNECTS, "" },
    { "text without end",  FLOODS, BYTES("$536870912\r\n"),                RESP_GARBAGE, "larger",   RECONNECTS, "larger" },
    { "line without end",  FLOODS, BYTES("+"),                             RESP_GARBAGE, "larger",   RECONNECTS, "larger" },
    { "RESP3 map",         SAY,   BYTES("%1\r\n+a\r\n+b\r\n"),             RESP_GARBAGE, "",         RECONNECTS, "" },
    { "RESP3 set",         SAY,   BYTES("~1\r\n+a\r\n"),                   RESP_GARBAGE, "",         RECONNECTS, "" },
    { "RESP3 push",        SAY,   BYTES(">1\r\n+a\r\n"),                   RESP_GARBAGE, "",         RECONNECTS, "" },
    { "RESP3 double",      SAY,   BYTES(",1.5\r\n"),                       RESP_GARBAGE, "",         RECONNECTS, "" },
    { "RESP3 bool",        SAY,   BYTES("#t\r\n"),                         RESP_GARBAGE, "",         RECONNECTS, "" },
    { "RESP3 verbatim",    SAY,   BYTES("=5\r\ntxt:a\r\n"),                RESP_GARBAGE, "",         RECONNECTS, "" },
    { "RESP3 big number",  SAY,   BYTES("(12345678901234567890\r\n"),      RESP_GARBAGE, "",         RECONNECTS, "" },

    { "two replies",       SAY,   BYTES("+FINE\r\n+FINE\r\n"),             RESP_OK,      "",         RECONNECTS, "not asked for" },
    { "a list too many",   SAY,   BYTES("+FINE\r\n*1\r\n:1\r\n"),          RESP_OK,      "",         RECONNECTS, "not asked for" },
    { "a last word",       SAY,   BYTES("+FINE\r\n-ERR max number of clients\r\n"), RESP_OK, "",     RECONNECTS, "max number of clients" },

    { "silence",           HANG,  BYTES(""),                               RESP_TIMEOUT, "in time",  STAYS, "" },
    { "half, then silence",SAY,   BYTES("$10\r\nabc"),                     RESP_TIMEOUT, "in time",  STAYS, "" },
    { "huge, then silence",SAY,   BYTES("$536870912\r\n"),                 RESP_TIMEOUT, "in time",  STAYS, "" },
};
/* clang-format on */

static void test_replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(replies); i++) {
        const char *name = replies[i].name;
        struct stage *s = stage_up(replies[i].want == RESP_TIMEOUT ? 20 : 5000);
        s->fake.way = replies[i].way;
        s->fake.say = replies[i].say;
        s->fake.say_len = replies[i].say_len;
        const struct asked a = ask(&s->rig, "GET x");
        CHECK_EQ(name, a.kind, replies[i].want);
        CHECK_EQ(name, a.done, 1);
        if (!strstr(a.text, replies[i].text))
            fail_msg("%s: the answer is \"%s\"", name, a.text);
        if (replies[i].after == RECONNECTS) {
            UNTIL(&s->rig, name, s->rig.downs == 1);
            if (!strstr(s->rig.why, replies[i].reason))
                fail_msg("%s: the reason is \"%s\"", name, s->rig.why);
            behave(&s->fake);
            UNTIL(&s->rig, name, s->rig.ups == 2);
            CHECK_EQ(name, ask(&s->rig, "GET x").kind, RESP_OK);
        }
        CHECK_EQ(name, s->fake.connections, replies[i].after == RECONNECTS ? 2 : 1);
        CHECK_EQ(name, s->rig.downs, replies[i].after == RECONNECTS);
        stage_free(s);
    }
}

static void test_rows(void **state)
{
    (void)state;
    struct stage *s = stage_up(5000);
    s->fake.say =
        "*5\r\n*3\r\n:1\r\n$-1\r\n$2\r\nab\r\n*0\r\n$0\r\n\r\n*1\r\n*1\r\n:-3\r\n-ERR x\r\n";
    s->fake.say_len = strlen(s->fake.say);
    const struct asked a = ask(&s->rig, "GET x");
    assert_int_equal(a.kind, RESP_OK);
    assert_int_equal(a.n_rows, 6);
    assert_true(a.rows[0].is_int && a.rows[0].num == 1 && !a.rows[0].null);
    assert_true(a.rows[1].null && !a.rows[1].is_int);
    assert_string_equal(a.row_texts[2], "ab");
    assert_true(!a.rows[3].null && !a.rows[3].is_int && a.rows[3].text.len == 0);
    assert_true(a.rows[4].is_int && a.rows[4].num == -3);
    assert_string_equal(a.row_texts[5], "ERR x");
    stage_free(s);
}

/* The most that a reply may hold. */
static void test_largest(void **state)
{
    (void)state;
    struct stage *s = stage_up(5000);
    static char rows[OUT_MAX];
    size_t n = (size_t)snprintf(rows, sizeof(rows), "*%d\r\n", RESP_ROWS_MAX);
    for (int i = 0; i < RESP_ROWS_MAX; i++)
        n += (size_t)snprintf(rows + n, sizeof(rows) - n, "$20\r\n%020d\r\n", i);
    s->fake.say = rows;
    s->fake.say_len = n;
    const struct asked a = ask(&s->rig, "GET x");
    assert_int_equal(a.kind, RESP_OK);
    assert_int_equal(a.n_rows, RESP_ROWS_MAX);
    assert_string_equal(a.row_texts[7], "00000000000000000007");
    stage_free(s);
}

/* order, time */

static void test_order(void **state)
{
    (void)state;
    enum { COMMANDS = 500 };
    struct stage *s = stage_up(5000);
    struct asked *a = calloc(COMMANDS, sizeof(*a));
    assert_non_null(a);
    s->fake.echo = true;
    for (int i = 0; i < COMMANDS; i++) {
        char line[32];
        snprintf(line, sizeof(line), "ECHO %d", i);
        send_words(&s->rig, &a[i], line);
    }
    UNTIL(&s->rig, "the last", a[COMMANDS - 1].done);
    for (int i = 0; i < COMMANDS; i++) {
        assert_int_equal(a[i].done, 1);
        assert_int_equal(strtol(a[i].row_texts[0], NULL, 10), i);
    }
    assert_int_equal(s->fake.commands, COMMANDS);
    free(a);
    stage_free(s);
}

/* A reply after its time is nobody's; the next one's is the next one's. */
static void test_late_reply(void **state)
{
    (void)state;
    struct stage *s = stage_up(300);
    s->fake.way = HANG;
    struct asked a = ask(&s->rig, "GET late");
    assert_int_equal(a.kind, RESP_TIMEOUT);
    UNTIL(&s->rig, "arrived", s->fake.commands == 1);
    struct asked b;
    send_words(&s->rig, &b, "GET next");
    UNTIL(&s->rig, "arrived", s->fake.commands == 2);
    fake_text(&s->fake, "+late\r\n+next\r\n");
    UNTIL(&s->rig, "the next", b.done);
    assert_int_equal(b.kind, RESP_OK);
    assert_string_equal(b.row_texts[0], "next");
    assert_int_equal(a.done, 1);
    s->fake.echo = true;
    a = ask(&s->rig, "ECHO third");
    assert_string_equal(a.row_texts[0], "third");
    stage_free(s);
}

static void test_deadline(void **state)
{
    (void)state;
    struct stage *s = stage_up(60);
    s->fake.way = HANG;
    const int64_t start_us = loop_clock_us();
    const int64_t from_ms = witness_ms();
    const struct asked a = ask(&s->rig, "GET x");
    assert_int_equal(a.kind, RESP_TIMEOUT);
    assert_true(loop_clock_us() - start_us >= 59000);
    assert_true(witness_ms() - from_ms < 60 + TURN_MAX_MS);
    stage_free(s);
}

/* the breaker */

static void trip(struct stage *s)
{
    s->fake.way = HANG;
    for (size_t i = 0; i < RESP_BREAKER_FAILURES; i++) {
        assert_true(is_up(&s->rig));
        assert_int_equal(ask(&s->rig, "GET x").kind, RESP_TIMEOUT);
    }
    assert_false(is_up(&s->rig));
    assert_true(reason_has(&s->rig, "does not answer in time"));
    UNTIL(&s->rig, "told", s->rig.downs == 1);
}

/* However many wait while the server stalls. */
static void test_one_stall(void **state)
{
    (void)state;
    struct stage *s = stage_up(20);
    s->fake.way = HANG;
    struct asked a[4 * RESP_BREAKER_FAILURES];
    for (size_t i = 0; i < ROWS(a); i++)
        send_words(&s->rig, &a[i], "GET x");
    UNTIL(&s->rig, "the last", a[ROWS(a) - 1].done);
    for (size_t i = 0; i < ROWS(a); i++)
        assert_int_equal(a[i].kind, RESP_TIMEOUT);
    assert_true(is_up(&s->rig));
    stage_free(s);
}

static void test_breaker_closes(void **state)
{
    (void)state;
    struct stage *s = stage_up(20);
    trip(s);
    const int before = s->fake.commands - s->fake.pings;
    assert_int_equal(ask(&s->rig, "GET x").kind, RESP_UNSENT);
    /* The late replies of those five, then the probe's. */
    UNTIL(&s->rig, "all there", s->fake.commands - s->fake.pings == RESP_BREAKER_FAILURES);
    assert_true(before <= RESP_BREAKER_FAILURES);
    fake_text(&s->fake, "+1\r\n+2\r\n+3\r\n+4\r\n+5\r\n");
    UNTIL(&s->rig, "up again", is_up(&s->rig));
    assert_int_equal(s->rig.ups, 2);
    assert_int_equal(s->fake.connections, 1);
    assert_int_equal(s->fake.pings, 1);
    behave(&s->fake);
    assert_int_equal(ask(&s->rig, "GET x").kind, RESP_OK);
    stage_free(s);
}

static void test_breaker_reconnects(void **state)
{
    (void)state;
    struct stage *s = stage_up(20);
    s->fake.deaf = true;
    trip(s);
    UNTIL(&s->rig, "probed", s->fake.pings == 1);
    assert_int_equal(ask(&s->rig, "GET x").kind, RESP_UNSENT);
    behave(&s->fake);
    UNTIL(&s->rig, "up again", is_up(&s->rig));
    assert_int_equal(s->fake.connections, 2);
    assert_int_equal(ask(&s->rig, "GET x").kind, RESP_OK);
    stage_free(s);
}

/* One answer in time and it is counted from the start. */
static void test_not_in_a_row(void **state)
{
    (void)state;
    enum { FEWER = RESP_BREAKER_FAILURES - 1 };
    struct stage *s = stage_up(200);
    for (int i = 0; i < 3; i++) {
        struct asked a[FEWER];
        s->fake.way = HANG;
        for (int n = 0; n < FEWER; n++)
            send_words(&s->rig, &a[n], "GET x");
        UNTIL(&s->rig, "the last", a[FEWER - 1].done);
        assert_int_equal(a[FEWER - 1].kind, RESP_TIMEOUT);
        fake_text(&s->fake, "+1\r\n+2\r\n+3\r\n+4\r\n");
        behave(&s->fake);
        assert_int_equal(ask(&s->rig, "GET x").kind, RESP_OK);
    }
    assert_int_equal(s->rig.downs, 0);
    stage_free(s);
}

/* limits */

static void test_too_many_wait(void **state)
{
    (void)state;
    enum { MORE = 3 };
    struct stage *s = stage_up(3000);
    struct asked *a = calloc(RESP_WAITING_MAX + MORE, sizeof(*a));
    assert_non_null(a);
    s->fake.way = HANG;
    for (int i = 0; i < RESP_WAITING_MAX + MORE; i++)
        send_words(&s->rig, &a[i], "GET x");
    UNTIL(&s->rig, "the last", a[RESP_WAITING_MAX + MORE - 1].done);
    for (int i = 0; i < MORE; i++) {
        assert_int_equal(a[RESP_WAITING_MAX + i].kind, RESP_UNSENT);
        assert_non_null(strstr(a[RESP_WAITING_MAX + i].text, "too much"));
    }
    assert_int_equal(a[0].done, 0);
    UNTIL(&s->rig, "all", a[RESP_WAITING_MAX - 1].done);
    for (int i = 0; i < RESP_WAITING_MAX; i++) /* lost: the probe went by before */
        assert_true(a[i].done == 1 && (a[i].kind == RESP_TIMEOUT || a[i].kind == RESP_LOST));
    stage_free(s);
    free(a);
}

static void test_too_large(void **state)
{
    (void)state;
    struct stage *s = stage_up(1000);
    static char text[RESP_COMMAND_BYTES_MAX + 1];
    memset(text, 'x', sizeof(text));
    const struct str words[] = { STR("GET"), { text, sizeof(text) - 3 } };
    struct asked a = { .command = { .done = answered } };
    resp_link_send(s->rig.link, &a.command, NULL, 0, words, ROWS(words));
    assert_int_equal(a.done, 0);
    UNTIL(&s->rig, "answered", a.done);
    assert_int_equal(a.kind, RESP_UNSENT);
    assert_int_equal(ask(&s->rig, "GET x").kind, RESP_OK);
    stage_free(s);
}

/* scripts */

static struct resp_script script(void)
{
    struct resp_script s = { .text = STR("return 1") };
    resp_script_prepare(&s);
    return s;
}

static void send_script(struct stage *s, struct asked *a, const struct resp_script *script)
{
    const struct str words[] = { STR("key"), STR("one"), STR("") };
    *a = (struct asked){ .command = { .done = answered } };
    resp_link_send(s->rig.link, &a->command, script, 1, words, ROWS(words));
}

static void test_script(void **state)
{
    (void)state;
    struct stage *s = stage_up(5000);
    const struct resp_script sum = script();
    assert_string_equal(sum.sha1, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    struct asked a;
    send_script(s, &a, &sum);
    UNTIL(&s->rig, "unknown", a.done);
    assert_int_equal(a.kind, RESP_OK);
    assert_int_equal(s->fake.evalshas, 1);
    assert_int_equal(s->fake.evals, 1);
    assert_string_equal(s->fake.last, "EVAL return 1 1 key one ");

    s->fake.knows_script = true;
    send_script(s, &a, &sum);
    UNTIL(&s->rig, "known", a.done);
    assert_int_equal(a.kind, RESP_OK);
    assert_int_equal(s->fake.evals, 1);
    assert_string_equal(s->fake.last,
                        "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 key one ");

    const struct resp_script nameless = { .text = STR("return 2") };
    send_script(s, &a, &nameless);
    UNTIL(&s->rig, "nameless", a.done);
    assert_int_equal(a.kind, RESP_OK);
    assert_string_equal(s->fake.last, "EVAL return 2 1 key one ");
    stage_free(s);
}

/* The time runs on through the second attempt; after it, or unwanted, there is none. */
static void test_script_deadline(void **state)
{
    (void)state;
    struct stage *s = stage_up(40);
    const struct resp_script sum = script();
    struct asked a;
    s->fake.way = HANG;
    send_script(s, &a, &sum);
    UNTIL(&s->rig, "arrived", s->fake.evalshas == 1);
    fake_text(&s->fake, "-NOSCRIPT x\r\n");
    UNTIL(&s->rig, "timeout", a.done);
    assert_int_equal(a.kind, RESP_TIMEOUT);
    const int sent = s->fake.evals;
    UNTIL(&s->rig, "EVAL at most once", s->fake.n_out == 0);

    struct asked late = { .done = 0 };
    send_script(s, &late, &sum);
    UNTIL(&s->rig, "timeout", late.done);
    UNTIL(&s->rig, "arrived", s->fake.evalshas == 2);
    struct asked unwanted;
    send_script(s, &unwanted, &sum);
    resp_link_forget(s->rig.link, &unwanted.command);
    UNTIL(&s->rig, "arrived", s->fake.evalshas == 3);
    fake_text(&s->fake, s->fake.evals ? "+evaluated\r\n" : "");
    fake_text(&s->fake, "-NOSCRIPT x\r\n-NOSCRIPT x\r\n");
    behave(&s->fake);
    assert_int_equal(ask(&s->rig, "GET x").kind, RESP_OK);
    assert_true(sent <= 1);
    assert_int_equal(s->fake.evals, sent);
    assert_int_equal(unwanted.done, 0);
    stage_free(s);
}

/* connecting */

static void test_refused_then_there(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    fake_end(&s->fake);
    rig_start(&s->rig);
    UNTIL(&s->rig, "refused", reason_has(&s->rig, "refused"));
    assert_int_equal(ask(&s->rig, "GET x").kind, RESP_UNSENT);
    assert_int_equal(s->rig.downs, 0); /* it never was up */
    fake_listen(&s->fake, s->fake.port);
    UNTIL(&s->rig, "up", is_up(&s->rig));
    assert_int_equal(s->rig.ups, 1);
    stage_free(s);
}

static void test_greeting(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    assert_int_equal(secret_set(&s->rig.password, STR("pw")), ST_OK);
    s->rig.config.username = STR("u");
    s->rig.config.password = &s->rig.password;
    s->rig.config.database = 3;
    s->fake.info = "redis_version:7.0.0\r\nrole:slave\r\n";
    rig_start(&s->rig);
    UNTIL(&s->rig, "a replica", reason_has(&s->rig, "read-only replica"));
    assert_false(is_up(&s->rig));
    s->fake.info =
        "redis_version:7.0.0\r\nrole:master\r\nmaxmemory:1\r\nmaxmemory_policy:allkeys-lru\r\n";
    UNTIL(&s->rig, "became the primary", is_up(&s->rig));
    assert_true(reason_has(&s->rig, "allkeys-lru"));
    assert_non_null(strstr(s->rig.why, "allkeys-lru"));
    stage_free(s);
}

/* It accepts and says nothing: the link gives up and tries again. */
static void test_mute(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    s->fake.mute = true;
    rig_start(&s->rig);
    UNTIL(&s->rig, "mute", reason_has(&s->rig, "connected, but"));
    behave(&s->fake);
    UNTIL(&s->rig, "up", is_up(&s->rig));
    assert_int_equal(s->fake.connections, 2);
    stage_free(s);
}

/* A name, looked up by the helper thread; an address that refuses is followed by the next. */
static void test_name(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    s->rig.config.host = STR("localhost");
    rig_start(&s->rig);
    UNTIL(&s->rig, "up", is_up(&s->rig));
    fake_hang_up(&s->fake, true);
    UNTIL(&s->rig, "up again", s->rig.ups == 2);
    stage_free(s);
}

static void test_no_name(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    s->rig.config.host = STR("nowhere.invalid");
    rig_start(&s->rig);
    UNTIL(&s->rig, "no such name", reason_has(&s->rig, "leads nowhere"));
    resp_link_free(s->rig.link);
    s->rig.config.host = STR("a\0b");
    rig_start(&s->rig);
    UNTIL(&s->rig, "no name", reason_has(&s->rig, "none"));
    stage_free(s);
}

#ifndef PRESIGND_HIREDIS_SSL
static void test_tls_missing(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    AUTO(buf) why = BUF_INIT(256);
    s->rig.config.tls = true;
    assert_int_equal(
        resp_link_new(&s->rig.link, s->rig.loop, &s->rig.config, &s->rig.listener, &why),
        ST_INVALID);
    assert_non_null(strstr(buf_cstr(&why), "TLS"));
    assert_null(s->rig.link);
    stage_free(s);
}
#endif

/* what is under way when the connection ends */

static void test_all_lost(void **state)
{
    (void)state;
    struct stage *s = stage_up(5000);
    s->fake.way = HANG;
    struct asked a[10], b[10];
    for (size_t i = 0; i < ROWS(a); i++)
        send_words(&s->rig, &a[i], "GET x");
    UNTIL(&s->rig, "arrived", s->fake.commands == ROWS(a));
    fake_hang_up(&s->fake, true);
    /* Sent to nobody: the reset is known only when the loop reads. */
    for (size_t i = 0; i < ROWS(b); i++)
        send_words(&s->rig, &b[i], "GET y");
    UNTIL(&s->rig, "lost", b[ROWS(b) - 1].done);
    for (size_t i = 0; i < ROWS(a); i++) {
        assert_int_equal(a[i].kind, RESP_LOST);
        assert_int_equal(b[i].kind, RESP_LOST);
        assert_int_equal(a[i].done, 1);
    }
    assert_int_equal(s->rig.downs, 1);
    stage_free(s);
}

/* READONLY in the midst: what is already under way is answered, what comes is not sent. */
static void test_leaving(void **state)
{
    (void)state;
    struct stage *s = stage_up(5000);
    struct asked a, b, c;
    s->fake.way = HANG;
    send_words(&s->rig, &a, "SET x 1");
    send_words(&s->rig, &b, "GET y");
    UNTIL(&s->rig, "arrived", s->fake.commands == 2);
    fake_text(&s->fake, "-READONLY no\r\n");
    UNTIL(&s->rig, "refused", a.done);
    assert_int_equal(a.kind, RESP_ERROR);
    assert_false(is_up(&s->rig));
    send_words(&s->rig, &c, "GET z");
    UNTIL(&s->rig, "unsent", c.done);
    assert_int_equal(c.kind, RESP_UNSENT);
    assert_int_equal(b.done, 0);
    fake_text(&s->fake, "+there\r\n");
    UNTIL(&s->rig, "answered", b.done);
    assert_int_equal(b.kind, RESP_OK);
    behave(&s->fake);
    UNTIL(&s->rig, "up", is_up(&s->rig));
    assert_int_equal(s->rig.downs, 1);
    assert_int_equal(s->fake.connections, 2);
    stage_free(s);
}

/* callbacks that do things */

struct chain {
    struct asked asked;
    struct stage *stage;
    int left;
    enum resp_kind last;
};

static void ask_again(struct resp_command *c, const struct resp_reply *r)
{
    struct chain *n = container_of(c, struct chain, asked.command);
    const struct str words[] = { STR("GET"), STR("x") };
    n->last = r->kind;
    n->asked.done++;
    if (n->left-- > 0)
        resp_link_send(n->stage->rig.link, c, NULL, 0, words, ROWS(words));
}

static void test_ask_from_done(void **state)
{
    (void)state;
    struct stage *s = stage_up(5000);
    const struct str words[] = { STR("GET"), STR("x") };
    struct chain n = { .asked.command.done = ask_again, .stage = s, .left = 100 };
    resp_link_send(s->rig.link, &n.asked.command, NULL, 0, words, ROWS(words));
    UNTIL(&s->rig, "a chain", n.asked.done == 101);
    assert_int_equal(n.last, RESP_OK);
    /* From a LOST, and from an UNSENT: one of these a turn. */
    s->fake.way = RESET;
    n.left = 20;
    n.asked.done = 0;
    resp_link_send(s->rig.link, &n.asked.command, NULL, 0, words, ROWS(words));
    UNTIL(&s->rig, "a broken chain", n.left < 0);
    stage_free(s);
}

/* The link is freed from within its own callbacks. */
struct freer {
    struct asked asked, other;
    struct stage *stage;
};

static void free_in_done(struct resp_command *c, const struct resp_reply *r)
{
    struct freer *f = container_of(c, struct freer, asked.command);
    answered(c, r);
    resp_link_free(TAKE(f->stage->rig.link));
}

/* clang-format off */
static const struct {
    const char *name;
    enum way way;
    const char *say;
    int64_t timeout_ms;
} frees[] = {
    { "at a reply",    SAY,       "+FINE\r\n",     5000 },
    { "at an error",   SAY,       "-READONLY\r\n", 5000 },
    { "at two",        SAY,       "+1\r\n+2\r\n",  5000 },
    { "at garbage",    SAY,       "what?\r\n",     5000 },
    { "at a timeout",  HANG,      "",              20   },
    { "at a loss",     RESET,     "",              5000 },
    { "at the end",    SAY_CLOSE, "$9\r\nabc",     5000 },
};
/* clang-format on */

static void test_free_from_done(void **state)
{
    (void)state;
    const struct str words[] = { STR("GET"), STR("x") };
    for (size_t i = 0; i < ROWS(frees); i++) {
        struct stage *s = stage_up(frees[i].timeout_ms);
        s->fake.way = frees[i].way;
        s->fake.say = frees[i].say;
        s->fake.say_len = strlen(frees[i].say);
        struct freer f = { .asked.command.done = free_in_done,
                           .other.command.done = answered,
                           .stage = s };
        resp_link_send(s->rig.link, &f.asked.command, NULL, 0, words, ROWS(words));
        resp_link_send(s->rig.link, &f.other.command, NULL, 0, words, ROWS(words));
        UNTIL(&s->rig, frees[i].name, f.asked.done);
        CHECK(frees[i].name, !s->rig.link);
        for (int t = 0; t < 3; t++)
            turn(&s->rig);
        CHECK_EQ(frees[i].name, f.other.done, 0);
        CHECK(frees[i].name, !f.other.command.slot);
        stage_free(s);
    }
}

static void free_in_changed(struct resp_listener *h, bool up, struct str why)
{
    struct rig *r = container_of(h, struct rig, listener);
    changed(h, up, why);
    if (r->ups == 1 && (r->downs == 1 || r->password.len == 0))
        resp_link_free(TAKE(r->link));
}

static void test_free_from_changed(void **state)
{
    (void)state;
    for (int at_loss = 0; at_loss < 2; at_loss++) {
        struct stage *s = stage_new();
        s->rig.listener.changed = free_in_changed;
        if (at_loss)
            assert_int_equal(secret_set(&s->rig.password, STR("kept until the loss")), ST_OK);
        rig_start(&s->rig);
        UNTIL(&s->rig, "up", s->rig.ups == 1);
        fake_hang_up(&s->fake, true);
        UNTIL(&s->rig, "freed", !s->rig.link);
        stage_free(s);
    }
}

/* In every phase, with commands that nobody hears of any more. */
static void test_free_any_time(void **state)
{
    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        struct stage *s = stage_new();
        struct asked a;
        s->fake.mute = turns % 2;
        rig_start(&s->rig);
        send_words(&s->rig, &a, "GET x");
        for (int i = 0; i < turns; i++)
            turn(&s->rig);
        if (!a.command.slot)
            send_words(&s->rig, &a, "GET x");
        const int done = a.done;
        resp_link_free(TAKE(s->rig.link));
        turn(&s->rig);
        assert_int_equal(a.done, done);
        assert_null(a.command.slot);
        stage_free(s);
    }
    resp_link_free(NULL);
}

static void test_forget(void **state)
{
    (void)state;
    struct stage *s = stage_up(30);
    s->fake.way = HANG;
    struct asked a[3], b[3];
    for (size_t i = 0; i < ROWS(a); i++)
        send_words(&s->rig, &a[i], "GET x");
    resp_link_forget(s->rig.link, &a[1].command);
    assert_null(a[1].command.slot);
    resp_link_forget(s->rig.link, &a[1].command);
    UNTIL(&s->rig, "timeouts", a[2].done);
    assert_int_equal(a[0].done, 1);
    assert_int_equal(a[1].done, 0);

    /* Those that were not sent, wherever they stand in the list. */
    fake_hang_up(&s->fake, true);
    fake_end(&s->fake);
    UNTIL(&s->rig, "down", !is_up(&s->rig));
    for (size_t gone = 0; gone < ROWS(b); gone++) {
        for (size_t i = 0; i < ROWS(b); i++)
            send_words(&s->rig, &b[i], "GET y");
        resp_link_forget(s->rig.link, &b[gone].command);
        struct asked last;
        send_words(&s->rig, &last, "GET z");
        UNTIL(&s->rig, "unsent", last.done);
        for (size_t i = 0; i < ROWS(b); i++)
            assert_int_equal(b[i].done, i != gone);
    }
    stage_free(s);
}

/* memory */

static void turns(struct stage *s, int most, const int *until)
{
    for (int i = 0; i < most && !*until; i++) {
        fake_step(&s->rig);
        loop_turn(s->rig.loop, 5);
    }
}

/* Connects, asks, and asks once more when there is memory again: each question gets one answer. */
static bool lives_without_memory(void)
{
    oom_pause();
    struct stage *s = stage_new();
    const struct str words[] = { STR("GET"), STR("x") };
    const struct resp_script sum = script();
    struct asked a = { .command.done = answered }, b = a, c = a;
    char space[256];
    struct buf why = BUF_FIXED(space);
    oom_resume();
    bool ok = false;
    if (resp_link_new(&s->rig.link, s->rig.loop, &s->rig.config, &s->rig.listener, &why) == ST_OK) {
        turns(s, 30, &s->rig.ups);
        resp_link_send(s->rig.link, &a.command, NULL, 0, words, ROWS(words));
        resp_link_send(s->rig.link, &b.command, &sum, 1, words, ROWS(words));
        turns(s, 400, &b.done);
        turns(s, 400, &a.done);
        oom_pause();
        ok = a.done == 1 && b.done == 1;
        ok = ok && ((a.kind == RESP_OK && b.kind == RESP_OK) || oom_struck());
        for (int i = 0; i < 4000 && !is_up(&s->rig); i++)
            turns(s, 1, &c.done);
        resp_link_send(s->rig.link, &c.command, NULL, 0, words, ROWS(words));
        turns(s, 400, &c.done);
        ok = ok && c.done == 1 && c.kind == RESP_OK;
    } else {
        oom_pause();
        ok = oom_struck();
    }
    stage_free(s);
    oom_resume();
    return ok;
}

static void test_no_memory(void **state)
{
    (void)state;
    /* hiredis 0.14 ends the program when it finds no memory while connecting; 1.x does not. */
#ifdef PRESIGND_HIREDIS_SSL
    oom_torture(lives_without_memory);
#else
    oom_torture_ours(lives_without_memory);
#endif
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_setup(sink, LOG_LEVEL_DEBUG);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_late_reply),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_one_stall),
        cmocka_unit_test(test_breaker_closes),
        cmocka_unit_test(test_breaker_reconnects),
        cmocka_unit_test(test_not_in_a_row),
        cmocka_unit_test(test_too_many_wait),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_script),
        cmocka_unit_test(test_script_deadline),
        cmocka_unit_test(test_refused_then_there),
        cmocka_unit_test(test_greeting),
        cmocka_unit_test(test_mute),
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_no_name),
#ifndef PRESIGND_HIREDIS_SSL
        cmocka_unit_test(test_tls_missing),
#endif
        cmocka_unit_test(test_all_lost),
        cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_ask_from_done),
        cmocka_unit_test(test_free_from_done),
        cmocka_unit_test(test_free_from_changed),
        cmocka_unit_test(test_free_any_time),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
