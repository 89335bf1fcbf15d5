/*
 * resp_link against a real redis-server, started here, and against a small server of our own that
 * misbehaves as it is told. The latter has no thread: each step of it stands between two turns of
 * the loop.
 */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "presignd/log.h"
#include "presignd/resp_link.h"

extern char **environ;

enum { PATIENCE_MS = 20000, KEPT_ROWS = 8, KEPT_TEXT = 256 };

/* one link, and what it said */

struct rig {
    struct loop *loop;
    struct resp_link *link;
    struct resp_config config;
    struct resp_listener listener;
    struct secret password;
    int ups, downs;
    char why[KEPT_TEXT];
};

static void changed(struct resp_listener *h, bool up, struct str why)
{
    struct rig *r = container_of(h, struct rig, listener);
    *(up ? &r->ups : &r->downs) += 1;
    snprintf(r->why, sizeof(r->why), "%.*s", STR_ARGS(why));
}

static void rig_init(struct rig *r, int port)
{
    *r = (struct rig){
        .config = { .host = STR("127.0.0.1"), .port = (uint16_t)port, .timeout_ms = 1000 },
        .listener = { .changed = changed }
    };
    r->loop = loop_new();
    assert_non_null(r->loop);
}

static void rig_start(struct rig *r)
{
    AUTO(buf) why = BUF_INIT(256);
    assert_int_equal(resp_link_new(&r->link, r->loop, &r->config, &r->listener, &why), ST_OK);
}

static void rig_end(struct rig *r)
{
    resp_link_free(r->link);
    loop_free(r->loop);
    secret_release(&r->password);
}

static bool is_up(const struct rig *r)
{
    struct str why;
    return resp_link_up(r->link, &why);
}

static const char *reason(const struct rig *r)
{
    static char text[KEPT_TEXT];
    struct str why;
    resp_link_up(r->link, &why);
    snprintf(text, sizeof(text), "%.*s", STR_ARGS(why));
    return text;
}

/* Turns the loop until `cond` holds; the test fails with `name` when it never does. */
#define UNTIL(r, name, cond)                                            \
    do {                                                                \
        const int64_t end_us_ = loop_clock_us() + PATIENCE_MS * 1000LL; \
        while (!(cond)) {                                               \
            if (loop_clock_us() > end_us_)                              \
                fail_msg("%s: never: %s", (name), #cond);               \
            loop_turn((r)->loop, 5);                                    \
        }                                                               \
    } while (0)

/* one command, and its answer */

struct asked {
    struct resp_command command;
    int done;
    enum resp_kind kind;
    char text[KEPT_TEXT];
    struct resp_row rows[KEPT_ROWS];
    char row_texts[KEPT_ROWS][KEPT_TEXT];
    size_t n_rows;
};

static void answered(struct resp_command *c, const struct resp_reply *r)
{
    struct asked *a = container_of(c, struct asked, command);
    a->done++;
    a->kind = r->kind;
    a->n_rows = r->n_rows;
    snprintf(a->text, sizeof(a->text), "%.*s", STR_ARGS(r->text));
    for (size_t i = 0; i < r->n_rows && i < KEPT_ROWS; i++) {
        a->rows[i] = r->rows[i];
        snprintf(a->row_texts[i], KEPT_TEXT, "%.*s", STR_ARGS(r->rows[i].text));
    }
}

static void send_words(struct rig *r, struct asked *a, const char *line)
{
    char copy[KEPT_TEXT];
    struct str words[32];
    size_t n = 0;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *save, *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        words[n++] = str_from(w);
    *a = (struct asked){ .command = { .done = answered } };
    resp_link_send(r->link, &a->command, NULL, 0, words, n);
    assert_int_equal(a->done, 0);
}

static struct asked ask(struct rig *r, const char *line)
{
    struct asked a;
    send_words(r, &a, line);
    UNTIL(r, line, a.done);
    assert_null(a.command.slot);
    return a;
}

/* redis-server */

struct server {
    pid_t pid;
    int port;
};

static bool has_redis(void)
{
    static int known;
    if (!known) {
        known = access("/usr/bin/redis-server", X_OK) == 0 ? 1 : -1;
        if (known < 0)
            print_message("redis-server is not installed: its tests are left out\n");
    }
    return known > 0;
}

/* A port that was free a moment ago. */
static int free_port(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    close(fd);
    return ntohs(in.sin_port);
}

static void server_start(struct server *s, int port, const char *options)
{
    char line[512];
    char *argv[64];
    static char nothing[1];
    size_t n = 0;
    s->port = port;
    snprintf(line, sizeof(line),
             "redis-server --port %d --bind 127.0.0.1 --dir /tmp --save  --appendonly no "
             "--logfile /dev/null --enable-debug-command yes %s",
             s->port, options);
    for (char *save, *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        argv[n++] = w;
        if (strcmp(w, "--save") == 0)
            argv[n++] = nothing;
    }
    argv[n] = NULL;
    assert_int_equal(posix_spawn(&s->pid, "/usr/bin/redis-server", NULL, NULL, argv, environ), 0);
}

static void server_end(struct server *s)
{
    kill(s->pid, SIGCONT);
    kill(s->pid, SIGKILL);
    assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
}

static void test_commands(void **state)
{
    (void)state;
    if (!has_redis())
        skip();
    struct server s;
    struct rig r;
    server_start(&s, free_port(), "");
    rig_init(&r, s.port);
    rig_start(&r);
    UNTIL(&r, "up", is_up(&r));
    assert_int_equal(r.ups, 1);
    assert_string_equal(r.why, "");

    struct asked a = ask(&r, "SET greeting hello");
    CHECK_EQ("set", a.kind, RESP_OK);
    CHECK_EQ("set", a.n_rows, 1);
    assert_string_equal(a.row_texts[0], "OK");
    a = ask(&r, "GET greeting");
    assert_string_equal(a.row_texts[0], "hello");
    a = ask(&r, "GET nothing");
    assert_true(a.rows[0].null);
    a = ask(&r, "INCRBY number 41");
    assert_true(a.rows[0].is_int && a.rows[0].num == 41);
    a = ask(&r, "MGET greeting nothing number");
    CHECK_EQ("mget", a.n_rows, 3);
    a = ask(&r, "NOSUCH");
    CHECK_EQ("unknown", a.kind, RESP_ERROR);

    rig_end(&r);
    server_end(&s);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_setup(2, LOG_LEVEL_DEBUG);
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_commands) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
