/* floor: net */
/*
 * resp_link and a real redis-server: users, databases, scripts, restarts, a server that is stopped,
 * becomes a replica, or may evict. What no real server does is in test_resp_link.c.
 */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "presignd/log.h"

#include "redis_kit.h"
#include "resp_kit.h"

static void open_both(struct redis_server *s, struct rig *r, const char *options)
{
    redis_start(s, 0, options);
    rig_init(r, s->port);
}

static void end_both(struct redis_server *s, struct rig *r)
{
    rig_end(r);
    redis_kill(s);
}

static void test_commands(void **state)
{
    (void)state;
    if (redis_missing())
        skip();
    struct redis_server s;
    struct rig r;
    open_both(&s, &r, "");
    rig_start(&r);
    UNTIL(&r, "up", is_up(&r));
    assert_int_equal(r.ups, 1);
    assert_string_equal(r.why, "");

    struct asked a = ask(&r, "SET greeting hello");
    assert_int_equal(a.kind, RESP_OK);
    assert_int_equal(a.n_rows, 1);
    assert_string_equal(a.row_texts[0], "OK");
    a = ask(&r, "GET greeting");
    assert_string_equal(a.row_texts[0], "hello");
    a = ask(&r, "GET nothing");
    assert_true(a.rows[0].null);
    a = ask(&r, "INCRBY number 41");
    assert_true(a.rows[0].is_int && a.rows[0].num == 41);
    a = ask(&r, "MGET greeting nothing number");
    assert_int_equal(a.n_rows, 3);
    a = ask(&r, "NOSUCH");
    assert_int_equal(a.kind, RESP_ERROR);
    end_both(&s, &r);
}

/* clang-format off */
static const struct {
    const char *name;
    const char *options;
    const char *username, *password;
    int database;
    bool up;
    const char *why; /* part of it; "": none */
} greetings[] = {
    { "password",       "--requirepass pw",                 "",  "pw", 0,  true,  ""  },
    { "user",           "--user u on >pw ~* +@all",         "u", "pw", 2,  true,  ""  },
    { "user without INFO", "--user u on >pw ~* +@all -info","u", "pw", 0,  true,  "may not ask INFO" },
    { "no password",    "--requirepass pw",                 "",  "",   0,  false, "wants a password" },
    { "wrong password", "--requirepass pw",                 "",  "no", 0,  false, "refused the user or the password" },
    { "wrong user",     "--user u on >pw ~* +@all",         "v", "pw", 0,  false, "refused the user or the password" },
    { "needless one",   "",                                 "",  "pw", 0,  false, "AUTH failed" },
    { "database",       "--databases 4",                    "",  "",   3,  true,  ""  },
    { "no such database","--databases 4",                   "",  "",   4,  false, "SELECT failed" },
    { "evicts",         "--maxmemory 100mb --maxmemory-policy allkeys-lfu", "", "", 0, true, "allkeys-lfu" },
    { "limited",        "--maxmemory 100mb --maxmemory-policy noeviction",  "", "", 0, true, "" },
    { "replica",        "--replicaof 127.0.0.1 1",          "",  "",   0,  false, "read-only replica" },
};
/* clang-format on */

static void test_greetings(void **state)
{
    (void)state;
    if (redis_missing())
        skip();
    for (size_t i = 0; i < ROWS(greetings); i++) {
        const char *name = greetings[i].name;
        struct redis_server s;
        struct rig r;
        /* Not redis_start(): its PING may be refused. */
        s = (struct redis_server){ .port = redis_free_port() };
        redis_spawn(&s, greetings[i].options);
        rig_init(&r, s.port);
        r.config.username = str_from(greetings[i].username);
        r.config.database = greetings[i].database;
        if (greetings[i].password[0]) {
            assert_int_equal(secret_set(&r.password, str_from(greetings[i].password)), ST_OK);
            r.config.password = &r.password;
        }
        rig_start(&r);
        if (greetings[i].up)
            UNTIL(&r, name, is_up(&r));
        else
            UNTIL(&r, name, reason_has(&r, greetings[i].why));
        if (greetings[i].why[0] ? !reason_has(&r, greetings[i].why) : reason(&r)[0] != '\0')
            fail_msg("%s: the reason is \"%s\"", name, reason(&r));
        CHECK_EQ(name, is_up(&r), greetings[i].up);
        CHECK_EQ(name, ask(&r, "SET x 1").kind, greetings[i].up ? RESP_OK : RESP_UNSENT);
        end_both(&s, &r);
    }
}

static void test_databases(void **state)
{
    (void)state;
    if (redis_missing())
        skip();
    struct redis_server s;
    struct rig r;
    open_both(&s, &r, "");
    r.config.database = 7;
    rig_start(&r);
    UNTIL(&r, "up", is_up(&r));
    assert_int_equal(ask(&r, "SET here 1").kind, RESP_OK);
    assert_int_equal(redis_num(&s, "EXISTS here"), 0);
    redis_num(&s, "SELECT 7");
    assert_int_equal(redis_num(&s, "EXISTS here"), 1);
    end_both(&s, &r);
}

static struct asked run(struct rig *r, const struct resp_script *script, struct str arg)
{
    const struct str words[] = { STR("{user}"), arg, STR("a\0b\r\n*1\r\n"), STR("") };
    struct asked a = { .command = { .done = answered } };
    resp_link_send(r->link, &a.command, script, 1, words, ROWS(words));
    UNTIL(r, "a script", a.done);
    return a;
}

static void test_scripts(void **state)
{
    (void)state;
    if (redis_missing())
        skip();
    struct redis_server s;
    struct rig r;
    open_both(&s, &r, "");
    rig_start(&r);
    UNTIL(&r, "up", is_up(&r));
    struct resp_script script = {
        .text = STR("return {KEYS[1], ARGV[1], #ARGV[2], {#ARGV, {false, ''}}, #ARGV[3]}"),
    };
    resp_script_prepare(&script);
    for (int i = 0; i < 3; i++) {
        const struct asked a = run(&r, &script, STR("first"));
        assert_int_equal(a.kind, RESP_OK);
        assert_int_equal(a.n_rows, 7);
        assert_string_equal(a.row_texts[0], "{user}");
        assert_string_equal(a.row_texts[1], "first");
        assert_int_equal(a.rows[2].num, 9);
        assert_int_equal(a.rows[3].num, 3);
        assert_true(a.rows[4].null);
        assert_true(!a.rows[5].null && a.rows[5].text.len == 0);
        assert_int_equal(a.rows[6].num, 0);
        if (i == 1)
            redis_num(&s, "SCRIPT FLUSH");
    }
    struct resp_script bad = { .text = STR("return {err='MYERR no'}") };
    resp_script_prepare(&bad);
    const struct asked a = run(&r, &bad, STR(""));
    assert_int_equal(a.kind, RESP_ERROR);
    assert_non_null(strstr(a.text, "MYERR no"));
    end_both(&s, &r);
}

/* Stopped, not ended: its sockets stay, nothing is answered. */
static void test_stopped(void **state)
{
    (void)state;
    if (redis_missing())
        skip();
    struct redis_server s;
    struct rig r;
    open_both(&s, &r, "");
    r.config.timeout_ms = 50;
    rig_start(&r);
    UNTIL(&r, "up", is_up(&r));
    assert_int_equal(kill(s.pid, SIGSTOP), 0);
    int timeouts = 0;
    while (is_up(&r) && timeouts < 100) {
        const struct asked a = ask(&r, "INCR x");
        assert_true(a.kind == RESP_TIMEOUT || a.kind == RESP_UNSENT);
        timeouts += a.kind == RESP_TIMEOUT;
    }
    assert_int_equal(timeouts, RESP_BREAKER_FAILURES);
    assert_int_equal(ask(&r, "INCR x").kind, RESP_UNSENT);
    /* The probe gets no answer either, nor does a new connection. */
    UNTIL(&r, "given up", reason_has(&r, "connected, but"));
    assert_int_equal(kill(s.pid, SIGCONT), 0);
    UNTIL(&r, "up again", is_up(&r));
    /* What was sent before its time was over happens after all. */
    UNTIL(&r, "five", redis_num(&s, "INCRBY x 0") == RESP_BREAKER_FAILURES);
    end_both(&s, &r);
}

static void test_killed(void **state)
{
    (void)state;
    if (redis_missing())
        skip();
    struct redis_server s;
    struct rig r;
    open_both(&s, &r, "");
    rig_start(&r);
    UNTIL(&r, "up", is_up(&r));
    struct asked a[20];
    assert_int_equal(kill(s.pid, SIGSTOP), 0);
    for (size_t i = 0; i < ROWS(a); i++)
        send_words(&r, &a[i], "INCR x");
    turn(&r);
    const int port = s.port;
    redis_kill(&s);
    UNTIL(&r, "lost", a[ROWS(a) - 1].done);
    for (size_t i = 0; i < ROWS(a); i++)
        assert_int_equal(a[i].kind, RESP_LOST);
    UNTIL(&r, "told", r.downs == 1);
    UNTIL(&r, "refused", reason_has(&r, "refused"));
    redis_start(&s, port, "");
    UNTIL(&r, "up again", r.ups == 2);
    assert_int_equal(ask(&r, "SET x 1").kind, RESP_OK);
    end_both(&s, &r);
}

/* Failover: the server turns into a replica under the link's feet, and back. */
static void test_failover(void **state)
{
    (void)state;
    if (redis_missing())
        skip();
    struct redis_server s;
    struct rig r;
    open_both(&s, &r, "");
    rig_start(&r);
    UNTIL(&r, "up", is_up(&r));
    redis_num(&s, "REPLICAOF 127.0.0.1 1");
    UNTIL(&r, "noticed", ask(&r, "SET x 1").kind != RESP_OK && !is_up(&r));
    UNTIL(&r, "a replica", reason_has(&r, "read-only replica"));
    assert_int_equal(ask(&r, "SET x 1").kind, RESP_UNSENT);
    redis_num(&s, "REPLICAOF NO ONE");
    UNTIL(&r, "up again", is_up(&r));
    assert_int_equal(ask(&r, "SET x 1").kind, RESP_OK);
    end_both(&s, &r);
}

/* One server in cluster mode: without slots it is down, with all of them it is fine. */
static void test_cluster(void **state)
{
    (void)state;
    if (redis_missing())
        skip();
    char folder[] = "/tmp/presignd-cluster-XXXXXX", options[128], file[64];
    assert_non_null(mkdtemp(folder));
    snprintf(options, sizeof(options), "--dir %s --cluster-enabled yes", folder);
    struct redis_server s;
    struct rig r;
    open_both(&s, &r, options);
    rig_start(&r);
    UNTIL(&r, "up", is_up(&r));
    assert_int_equal(ask(&r, "SET x 1").kind, RESP_ERROR);
    UNTIL(&r, "told", r.downs == 1);
    assert_non_null(strstr(r.why, "cluster"));
    redis_num(&s, "CLUSTER ADDSLOTSRANGE 0 16383");
    UNTIL(&r, "works", is_up(&r) && ask(&r, "SET x 1").kind == RESP_OK);
    end_both(&s, &r);
    snprintf(file, sizeof(file), "%s/nodes.conf", folder);
    unlink(file);
    rmdir(folder);
}

#ifdef PRESIGND_HIREDIS_SSL

static void run_program(const char *line)
{
    char copy[1024], *argv[64];
    size_t n = 0;
    pid_t pid;
    int status = -1;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *save, *w = strtok_r(copy, " ", &save); w && n < ROWS(argv) - 1;
         w = strtok_r(NULL, " ", &save))
        argv[n++] = w;
    argv[n] = NULL;
    assert_int_equal(posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* clang-format off */
static const struct {
    const char *name;
    const char *host;
    bool trusted;     /* the certificate's own authority is */
    bool server_tls, link_tls;
    const char *why; /* part of it; NULL: it comes up */
} handshakes[] = {
    { "as it should be",   "localhost", true,  true,  true,  NULL },
    { "untrusted",         "localhost", false, true,  true,  "certificate: self" },
    { "for another name",  "127.0.0.1", true,  true,  true,  "certificate: IP address mismatch" },
    { "server without",    "localhost", true,  false, true,  " " }, /* versions differ in what they say */
    { "link without",      "localhost", true,  true,  false, "reset" },
};
/* clang-format on */

static void test_tls(void **state)
{
    (void)state;
    if (redis_missing())
        skip();
    char folder[] = "/tmp/presignd-tls-XXXXXX", key[64], cert[64], line[1024];
    assert_non_null(mkdtemp(folder));
    snprintf(key, sizeof(key), "%s/key", folder);
    snprintf(cert, sizeof(cert), "%s/cert", folder);
    snprintf(line, sizeof(line),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
             "-subj /CN=localhost "
             "-addext subjectAltName=DNS:localhost -keyout %s -out %s -batch",
             key, cert);
    run_program(line);
    for (size_t i = 0; i < ROWS(handshakes); i++) {
        struct redis_server s = { .port = redis_free_port() };
        struct rig r;
        snprintf(line, sizeof(line),
                 "--port 0 --tls-port %d --tls-cert-file %s --tls-key-file %s "
                 "--tls-ca-cert-file %s --tls-auth-clients no",
                 s.port, cert, key, cert);
        redis_spawn(&s, handshakes[i].server_tls ? line : "");
        rig_init(&r, s.port);
        r.config.host = str_from(handshakes[i].host);
        r.config.tls = handshakes[i].link_tls;
        setenv("SSL_CERT_FILE", handshakes[i].trusted ? cert : "/dev/null", 1);
        rig_start(&r);
        if (handshakes[i].why)
            UNTIL(&r, handshakes[i].name, reason_has(&r, handshakes[i].why));
        else
            UNTIL(&r, handshakes[i].name, is_up(&r) && ask(&r, "SET x 1").kind == RESP_OK);
        CHECK_EQ(handshakes[i].name, r.ups, !handshakes[i].why);
        end_both(&s, &r);
    }
    unlink(key);
    unlink(cert);
    rmdir(folder);
}

#endif

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_setup(sink, LOG_LEVEL_DEBUG);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),  cmocka_unit_test(test_greetings),
        cmocka_unit_test(test_databases), cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_stopped),   cmocka_unit_test(test_killed),
        cmocka_unit_test(test_failover),  cmocka_unit_test(test_cluster),
#ifdef PRESIGND_HIREDIS_SSL
        cmocka_unit_test(test_tls),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
